//! Compiled components on disk, so that a plugin compiles once and not at every start.
//!
//! Deserializing compiled code runs it as it is: whoever can write an entry can run code in this process. Therefore
//! - the folder is ours and closed to others (mode 0700), or the cache is not used at all;
//! - an entry carries the SHA-256 of what it holds, of the component it was made from and of the engine settings, and
//!   all three are checked before a byte of it is used. Anything odd is a miss, and the entry is written anew;
//! - entries are written to a temporary file, fsynced and renamed: a reader never sees half of one.
//!
//! This is the one file with `unsafe`. It must never deserialize bytes that did not pass [`Cache::read`].
//!
//! An entry: magic (8 bytes), engine hash (32), component hash (32), artefact hash (32), artefact.

use std::fs;
use std::hash::{Hash, Hasher};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest, Sha256};
use wasmtime::component::Component;

use super::error::PluginError;

const MAGIC: &[u8; 8] = b"MSCWASM1";
const HEADER: usize = 8 + 3 * 32;
/// More entries than this are trimmed, oldest first: each saved edit of a plugin leaves one behind.
const MAX_ENTRIES: usize = 64;

/// SHA-256 of a component file; says whether it changed.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ContentHash([u8; 32]);

impl ContentHash {
    #[must_use]
    pub fn of(bytes: &[u8]) -> ContentHash {
        ContentHash(Sha256::digest(bytes).into())
    }
}

impl std::fmt::Display for ContentHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

/// The folder of compiled components.
#[derive(Debug)]
pub(super) struct Cache {
    folder: PathBuf,
    engine: [u8; 32],
}

impl Cache {
    /// Opens or creates the folder, and refuses one that others could write to.
    pub(super) fn open(folder: &Path, engine: &wasmtime::Engine) -> Result<Cache, PluginError> {
        let fail = |cause: String| PluginError::Cache { path: folder.to_path_buf(), cause };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|e| fail(e.to_string()))?;
        let found = fs::symlink_metadata(folder).map_err(|e| fail(e.to_string()))?;
        if !found.is_dir() {
            return Err(fail("it is not a folder".into()));
        }
        let ours = our_user(folder).map_err(|e| fail(e.to_string()))?;
        if found.uid() != ours {
            return Err(fail(format!("it belongs to user {}, not to user {ours} who runs this", found.uid())));
        }
        if found.mode() & 0o077 != 0 {
            fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).map_err(|e| fail(e.to_string()))?;
        }
        let mut hasher = Sha256Hasher(Sha256::new());
        engine.precompile_compatibility_hash().hash(&mut hasher);
        Ok(Cache { folder: folder.to_path_buf(), engine: hasher.0.finalize().into() })
    }

    /// The compiled form of the component with this hash, if a sound entry of this very engine exists.
    pub(super) fn load(&self, engine: &wasmtime::Engine, content: ContentHash) -> Option<Component> {
        let entry = self.read(content)?;
        // SAFETY: the artefact was produced by `Component::serialize` of an engine with the same compatibility hash, its
        // SHA-256 is intact, and the folder is writable by this user alone (checked in `open`): see the head of the file.
        #[allow(unsafe_code)]
        let component = unsafe { Component::deserialize(engine, entry.get(HEADER..)?) };
        component
            .inspect_err(|e| tracing::warn!(error = %e, "a cached compiled plugin does not load; compiling again"))
            .ok()
    }

    /// Writes the entry; failing to is no more than a slow next start, so it is logged and not returned.
    pub(super) fn store(&self, content: ContentHash, artefact: &[u8]) {
        if let Err(error) = self.try_store(content, artefact) {
            tracing::warn!(%error, folder = %self.folder.display(), "a compiled plugin could not be cached");
        }
    }

    fn read(&self, content: ContentHash) -> Option<Vec<u8>> {
        let entry = fs::read(self.path(content)).ok()?;
        let (header, artefact) = entry.split_at_checked(HEADER)?;
        let sound = header == self.header(content, artefact);
        if !sound {
            tracing::warn!(entry = %self.path(content).display(), "a cached compiled plugin is damaged or foreign; compiling again");
        }
        sound.then_some(entry)
    }

    fn try_store(&self, content: ContentHash, artefact: &[u8]) -> io::Result<()> {
        let temporary = temporary_name(&self.folder);
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
        let written = file
            .write_all(&self.header(content, artefact))
            .and_then(|()| file.write_all(artefact))
            .and_then(|()| file.sync_all())
            .and_then(|()| fs::rename(&temporary, self.path(content)));
        if written.is_err() {
            // The error that counts is the first one.
            let _ = fs::remove_file(&temporary);
        }
        written?;
        self.trim()
    }

    fn header(&self, content: ContentHash, artefact: &[u8]) -> [u8; HEADER] {
        let mut header = [0; HEADER];
        header[..8].copy_from_slice(MAGIC);
        header[8..40].copy_from_slice(&self.engine);
        header[40..72].copy_from_slice(&content.0);
        header[72..].copy_from_slice(&Sha256::digest(artefact));
        header
    }

    fn path(&self, content: ContentHash) -> PathBuf {
        let engine: String = self.engine[..8].iter().map(|byte| format!("{byte:02x}")).collect();
        self.folder.join(format!("{content}-{engine}.cwasm"))
    }

    fn trim(&self) -> io::Result<()> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            if entry.path().extension().is_some_and(|extension| extension == "cwasm") {
                entries.push((entry.metadata()?.modified()?, entry.path()));
            }
        }
        entries.sort();
        let surplus = entries.len().saturating_sub(MAX_ENTRIES);
        entries.iter().take(surplus).try_for_each(|(_, path)| fs::remove_file(path))
    }
}

/// The user that this process creates files as, learned from a file that it creates.
fn our_user(folder: &Path) -> io::Result<u32> {
    let probe = temporary_name(folder);
    let file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&probe)?;
    let user = file.metadata().map(|metadata| metadata.uid());
    fs::remove_file(&probe)?;
    user
}

/// A name that no other writer in the folder uses.
fn temporary_name(folder: &Path) -> PathBuf {
    static SEQUENCE: AtomicU64 = AtomicU64::new(0);
    folder.join(format!("{}-{}.tmp", std::process::id(), SEQUENCE.fetch_add(1, Ordering::Relaxed)))
}

/// Feeds what a value hashes to SHA-256, so that the result is the same in every process.
struct Sha256Hasher(Sha256);

impl Hasher for Sha256Hasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let digest: [u8; 32] = self.0.clone().finalize().into();
        u64::from_le_bytes([digest[0], digest[1], digest[2], digest[3], digest[4], digest[5], digest[6], digest[7]])
    }
}

#[cfg(test)]
mod tests;
