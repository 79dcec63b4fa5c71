//! Users with passwords, in a file with argon2 hashes.
//!
//! Hashing is slow on purpose: it runs on blocking threads, a few at a time, and a right password is remembered (as a
//! keyed digest, bounded) so that reconnects are cheap. A password is never logged or kept.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use argon2::{Argon2, PasswordHash, PasswordVerifier};
use bytes::Bytes;
use parking_lot::Mutex;
use rustc_hash::{FxHashMap, FxHashSet};
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use super::{Credentials, Grant, Verdict, random};
use crate::mqtt::packet::Reason;

/// Why the users cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum UsersError {
    #[error("cannot read the users file {}: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("users file {}, line {line}: expected `name:$argon2id$...`, an argon2 hash in PHC form", path.display())]
    Line { path: PathBuf, line: usize },
    #[error("users file {}, line {line}: user `{name}` is there twice", path.display())]
    Twice { path: PathBuf, line: usize, name: String },
}

/// Hash computations at the same time; each takes tens of milliseconds and megabytes.
const HASHING: usize = 2;
/// Right passwords that are remembered.
const REMEMBERED: usize = 10_000;

/// The users of one file.
#[derive(Debug)]
pub struct Users {
    users: FxHashMap<String, String>,
    remembered: Mutex<FxHashSet<[u8; 32]>>,
    key: [u8; 32],
    hashing: Arc<Semaphore>,
}

impl Users {
    /// Reads the file.
    pub fn load(path: &Path) -> Result<Users, UsersError> {
        let users = read_users(path)?;
        Ok(Users { users, remembered: Mutex::default(), key: random(), hashing: Arc::new(Semaphore::new(HASHING)) })
    }

    /// Whether the name that the client claims is here, with this password.
    pub(super) async fn check(&self, credentials: &Credentials<'_>) -> Verdict {
        let Some(name) = credentials.claimed_name() else { return Verdict::Ignore(Reason::NotAuthorized) };
        let password = credentials.password.cloned().unwrap_or_default();
        let right = self.verify(name, password).await;
        match (right, self.users.contains_key(name)) {
            (true, _) => Verdict::Allow(Grant::default()),
            (false, true) => Verdict::Deny(Reason::BadUserNameOrPassword),
            // EMQX: a user who is not here may be known to the next.
            (false, false) => Verdict::Ignore(Reason::BadUserNameOrPassword),
        }
    }

    async fn verify(&self, name: &str, password: Bytes) -> bool {
        let digest = self.digest(name, &password);
        if self.remembered.lock().contains(&digest) {
            return true;
        }
        // A name that does not exist costs as much as one that does.
        let known = self.users.get(name);
        let Some(hash) = known.or_else(|| self.users.values().next()).cloned() else { return false };
        let Ok(permit) = self.hashing.clone().acquire_owned().await else { return false };
        let verified = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            PasswordHash::new(&hash).is_ok_and(|hash| Argon2::default().verify_password(&password, &hash).is_ok())
        });
        let verified = verified.await.unwrap_or(false) && known.is_some();
        if verified {
            let mut remembered = self.remembered.lock();
            if remembered.len() >= REMEMBERED {
                remembered.clear();
            }
            remembered.insert(digest);
        }
        verified
    }

    #[cfg(test)]
    pub(super) fn remembered(&self) -> usize {
        self.remembered.lock().len()
    }

    fn digest(&self, name: &str, password: &[u8]) -> [u8; 32] {
        let mut digest = Sha256::new();
        digest.update(self.key);
        digest.update((name.len() as u64).to_be_bytes());
        digest.update(name);
        digest.update(password);
        digest.finalize().into()
    }
}

fn read_users(path: &Path) -> Result<FxHashMap<String, String>, UsersError> {
    let text = std::fs::read_to_string(path).map_err(|source| UsersError::Read { path: path.to_owned(), source })?;
    let mut users = FxHashMap::default();
    for (index, line) in text.lines().enumerate() {
        let (line, number) = (line.trim(), index + 1);
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        // The hash begins with `$`, so a name may contain colons.
        let parsed = line.find(":$").map(|at| (&line[..at], &line[at + 1..]));
        let Some((name, hash)) = parsed.filter(|(name, hash)| !name.is_empty() && is_argon2(hash)) else {
            return Err(UsersError::Line { path: path.to_owned(), line: number });
        };
        if users.insert(name.to_owned(), hash.to_owned()).is_some() {
            return Err(UsersError::Twice { path: path.to_owned(), line: number, name: name.to_owned() });
        }
    }
    Ok(users)
}

fn is_argon2(hash: &str) -> bool {
    PasswordHash::new(hash).is_ok_and(|hash| hash.algorithm.as_str().starts_with("argon2") && hash.hash.is_some())
}
