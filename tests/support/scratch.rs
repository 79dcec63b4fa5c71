//! A folder of a test's own: removed when the test passes, kept and named when it fails.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::{env, fs, mem, process, thread};

static NEXT: AtomicU32 = AtomicU32::new(0);

#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// Makes a new folder whose name starts with `name`, below the system's folder for temporary files.
    #[must_use]
    pub fn new(name: &str) -> Scratch {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("millstream-{name}-{}-{number}", process::id()));
        fs::create_dir_all(&path).unwrap_or_else(|error| panic!("no folder {}: {error}", path.display()));
        Scratch { path }
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Has the folder removed when this program ends: what lives in a static is never dropped.
    pub fn remove_at_exit(&self) {
        // It waits for the end of its input, which comes when this program ends in whatever way. The second is for
        // those who still write there, and who are killed at the same moment.
        let mut janitor = Command::new("bash");
        janitor.args(["-c", "cat; sleep 1; rm -rf -- \"$0\""]).arg(&self.path).process_group(0);
        let mut janitor = janitor.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("bash starts");
        mem::forget(janitor.stdin.take());
        thread::spawn(move || janitor.wait());
    }

    /// Writes `text` to the file `name` in the folder and gives its path.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path.join(name);
        fs::write(&path, text).unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("kept for you: {}", self.path.display());
        } else {
            // A leftover in the temporary folder is no reason to fail a test that passed.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}
