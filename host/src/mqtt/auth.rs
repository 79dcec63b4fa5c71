//! Authentication: user names with argon2 hashes, client certificates, or nobody asked.
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

use super::config::AuthenticationConfig;
use super::packet::Reason;

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

/// Who says what about who it is.
#[derive(Clone, Debug)]
pub struct Credentials {
    pub username: Option<String>,
    pub password: Option<Bytes>,
    /// TLS has verified a client certificate.
    pub certificate: bool,
    /// ... and the user name is the one in it.
    pub name_from_certificate: bool,
}

/// Decides who may connect.
#[derive(Debug)]
pub struct Authenticator {
    users: Option<FxHashMap<String, String>>,
    anonymous: bool,
    remembered: Mutex<FxHashSet<[u8; 32]>>,
    key: [u8; 32],
    hashing: Arc<Semaphore>,
}

impl Authenticator {
    /// Reads the users file, if there is one.
    pub fn load(config: &AuthenticationConfig) -> Result<Authenticator, UsersError> {
        let users = config.users_file.as_deref().map(read_users).transpose()?;
        let anonymous = config.allow_anonymous.unwrap_or(users.is_none());
        Ok(Authenticator {
            users,
            anonymous,
            remembered: Mutex::default(),
            key: random(),
            hashing: Arc::new(Semaphore::new(HASHING)),
        })
    }

    /// Whether this client may connect; otherwise the reason to tell it. May take a while: call it under the connect
    /// time limit.
    pub async fn check(&self, credentials: &Credentials) -> Result<(), Reason> {
        let name = credentials.username.as_deref().filter(|_| !credentials.name_from_certificate);
        match (&self.users, name) {
            (Some(users), Some(name)) => {
                let password = credentials.password.clone().unwrap_or_default();
                match self.verify(users, name, password).await {
                    true => Ok(()),
                    false => Err(Reason::BadUserNameOrPassword),
                }
            }
            _ if credentials.certificate || self.anonymous => Ok(()),
            _ => Err(Reason::NotAuthorized),
        }
    }

    /// Whether who passes [`Authenticator::check`] with these credentials has proved who it is.
    #[must_use]
    pub fn identifies(&self, credentials: &Credentials) -> bool {
        credentials.certificate || (self.users.is_some() && credentials.username.is_some())
    }

    async fn verify(&self, users: &FxHashMap<String, String>, name: &str, password: Bytes) -> bool {
        let digest = self.digest(name, &password);
        if self.remembered.lock().contains(&digest) {
            return true;
        }
        // A name that does not exist costs as much as one that does.
        let known = users.get(name);
        let Some(hash) = known.or_else(|| users.values().next()).cloned() else { return false };
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

/// Random bytes from the operating system.
#[must_use]
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    if rustls::crypto::ring::default_provider().secure_random.fill(&mut bytes).is_err() {
        // The operating system has no randomness at all; the standard library's seeds are the next best.
        use std::hash::{BuildHasher, Hasher};
        for chunk in bytes.chunks_mut(8) {
            let seed = std::hash::RandomState::new().build_hasher().finish().to_be_bytes();
            chunk.copy_from_slice(&seed[..chunk.len()]);
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use argon2::password_hash::{PasswordHasher, SaltString};
    use argon2::{Algorithm, Params, Version};

    fn hash(password: &str) -> String {
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(8, 1, 1, None).unwrap());
        let salt = SaltString::from_b64("c29tZXNhbHQ").unwrap();
        argon2.hash_password(password.as_bytes(), &salt).unwrap().to_string()
    }

    fn load(text: &str, allow_anonymous: Option<bool>) -> Result<Authenticator, UsersError> {
        let path = std::env::temp_dir().join(format!("millstream-users-{:x}", u64::from_be_bytes(random())));
        std::fs::write(&path, text).unwrap();
        let loaded = Authenticator::load(&AuthenticationConfig { users_file: Some(path.clone()), allow_anonymous });
        std::fs::remove_file(path).unwrap();
        loaded
    }

    fn credentials(username: Option<&str>, password: &'static str) -> Credentials {
        Credentials {
            username: username.map(str::to_owned),
            password: Some(Bytes::from_static(password.as_bytes())),
            certificate: false,
            name_from_certificate: false,
        }
    }

    #[tokio::test]
    async fn passwords_are_checked_and_right_ones_remembered() {
        let users = format!("# staff\n\njoe:{}\nan:na:{}\n", hash("secret"), hash("other"));
        let authenticator = load(&users, None).unwrap();
        for (name, password, expected) in [
            (Some("joe"), "secret", Ok(())),
            (Some("joe"), "secret", Ok(())),
            (Some("an:na"), "other", Ok(())),
            (Some("joe"), "other", Err(Reason::BadUserNameOrPassword)),
            (Some("joe"), "", Err(Reason::BadUserNameOrPassword)),
            (Some("jim"), "secret", Err(Reason::BadUserNameOrPassword)),
            (None, "", Err(Reason::NotAuthorized)),
        ] {
            assert_eq!(authenticator.check(&credentials(name, password)).await, expected, "{name:?} {password}");
        }
        assert_eq!(authenticator.remembered.lock().len(), 2);
    }

    #[tokio::test]
    async fn certificates_and_anonymity_are_ways_in_of_their_own() {
        let authenticator = load(&format!("joe:{}", hash("x")), None).unwrap();
        let mut certified = credentials(None, "");
        certified.certificate = true;
        assert_eq!(authenticator.check(&certified).await, Ok(()));
        certified.username = Some("joe".to_owned());
        assert_eq!(authenticator.check(&certified).await, Err(Reason::BadUserNameOrPassword), "claims to be joe");
        certified.name_from_certificate = true;
        assert_eq!(authenticator.check(&certified).await, Ok(()));
        let anonymous = load(&format!("joe:{}", hash("x")), Some(true)).unwrap();
        assert_eq!(anonymous.check(&credentials(None, "")).await, Ok(()));
        let nobody =
            Authenticator::load(&AuthenticationConfig { users_file: None, allow_anonymous: Some(false) }).unwrap();
        assert_eq!(nobody.check(&credentials(Some("joe"), "x")).await, Err(Reason::NotAuthorized));
    }

    #[test]
    fn a_bad_users_file_is_named_with_its_line() {
        let good = hash("x");
        for (text, line) in [
            ("joe:plaintext".to_owned(), "line 1"),
            (format!("\njoe:{good}\njoe:{good}"), "line 3"),
            (format!(":{good}"), "line 1"),
            ("joe:$2b$12$abcdefghijklmnopqrstuu".to_owned(), "line 1"),
        ] {
            let error = load(&text, None).unwrap_err().to_string();
            assert!(error.contains(line), "{error}");
        }
        let missing = AuthenticationConfig { users_file: Some(PathBuf::from("no/such/file")), allow_anonymous: None };
        assert!(Authenticator::load(&missing).unwrap_err().to_string().contains("no/such/file"));
    }
}
