//! Says when the configuration should be loaded again: one of its files changed, or SIGHUP came. It loads nothing.
//!
//! The system's notifications make it quick, a look at the files every few seconds makes it sure (network folders, a
//! watch that failed). What counts is the content: a file that was only touched changes nothing. Requests never queue
//! up: while one waits to be taken, all that comes is part of it.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hasher;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::task::Drain;

/// An editor saves in several steps; this long it must be quiet.
const QUIET: Duration = Duration::from_millis(150);
/// How often the files are looked at without being told.
const POLL: Duration = Duration::from_secs(3);

/// Why to load again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reload {
    /// These files have a new content, appeared or went away.
    Changed(Vec<PathBuf>),
    /// The operator asked, by SIGHUP.
    Hangup,
}

/// The task; [`FileWatch::run`] it.
#[derive(Debug)]
pub struct FileWatch {
    known: Snapshot,
    files: watch::Receiver<Vec<PathBuf>>,
    reloads: mpsc::Sender<Reload>,
    poll: Duration,
}

/// The other end: tells which files to watch, and hears of reloads. Dropping it ends the task.
#[derive(Debug)]
pub struct Reloads {
    files: watch::Sender<Vec<PathBuf>>,
    reloads: mpsc::Receiver<Reload>,
}

/// A watch over `files` (see `Config::files`) and its other end.
#[must_use]
pub async fn watch_files(files: Vec<PathBuf>) -> (FileWatch, Reloads) {
    let mut known = Snapshot::default();
    known.update(&files).await;
    let (file_sender, file_receiver) = watch::channel(files);
    let (sender, receiver) = mpsc::channel(1);
    let task = FileWatch { known, files: file_receiver, reloads: sender, poll: POLL };
    (task, Reloads { files: file_sender, reloads: receiver })
}

impl Reloads {
    /// The next request; `None` when the task has ended.
    pub async fn next(&mut self) -> Option<Reload> {
        self.reloads.recv().await
    }

    /// Watches these from now on.
    pub fn watch(&self, files: Vec<PathBuf>) {
        self.files.send_if_modified(|old| {
            let new = *old != files;
            *old = files;
            new
        });
    }
}

impl FileWatch {
    /// Runs until the drain or until nobody listens any more.
    pub async fn run(mut self, mut drain: Drain) {
        let told = Arc::new(Notify::new());
        let mut hangup = match signal(SignalKind::hangup()) {
            Ok(signal) => Some(signal),
            Err(error) => {
                tracing::warn!(%error, "SIGHUP cannot be heard; changed files still are");
                None
            }
        };
        let mut files = self.files.borrow_and_update().clone();
        let mut _listening = listen(&files, &told);
        let mut known = std::mem::take(&mut self.known);
        let mut poll = interval(self.poll);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let changed = tokio::select! {
                _ = drain.requested() => return,
                () = self.reloads.closed() => return,
                changed = self.files.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    files = self.files.borrow_and_update().clone();
                    _listening = listen(&files, &told);
                    // New ones are only remembered; a change of one that was known before still counts.
                    known.update(&files).await
                }
                () = heard(hangup.as_mut()) => {
                    known.update(&files).await;
                    self.request(Reload::Hangup);
                    continue;
                }
                () = told.notified() => {
                    sleep(QUIET).await;
                    known.update(&files).await
                }
                _ = poll.tick() => known.update(&files).await,
            };
            if !changed.is_empty() {
                self.request(Reload::Changed(changed));
            }
        }
    }

    /// A request that waits already will see the newest state.
    fn request(&self, reload: Reload) {
        let _ = self.reloads.try_send(reload);
    }
}

async fn heard(hangup: Option<&mut Signal>) {
    match hangup {
        Some(signal) => {
            if signal.recv().await.is_none() {
                std::future::pending::<()>().await;
            }
        }
        None => std::future::pending().await,
    }
}

/// Watches the folders, not the files: editors and package managers put a new file in the place of the old one.
fn listen(files: &[PathBuf], told: &Arc<Notify>) -> Option<RecommendedWatcher> {
    let bell = Arc::clone(told);
    let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        if event.is_ok_and(|event| !event.kind.is_access()) {
            bell.notify_one();
        }
    });
    let watched = watcher.and_then(|mut watcher| {
        let folders: BTreeSet<&Path> = files.iter().map(|file| folder(file)).collect();
        folders.into_iter().try_for_each(|folder| watcher.watch(folder, RecursiveMode::NonRecursive))?;
        Ok(watcher)
    });
    watched.inspect_err(|error| tracing::warn!(%error, "cannot be told of changed files; looking at them instead")).ok()
}

fn folder(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// What the files were like at the last look.
#[derive(Debug, Default)]
struct Snapshot(BTreeMap<PathBuf, Option<Seen>>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    /// `None` if it cannot be relied on.
    modified: Option<SystemTime>,
    len: u64,
    content: u64,
}

impl Snapshot {
    /// Looks again; answers with the files that were known before and have another content now.
    async fn update(&mut self, files: &[PathBuf]) -> Vec<PathBuf> {
        let old = std::mem::take(&mut self.0);
        let mut changed = Vec::new();
        for file in files {
            let before = old.get(file);
            let now = look(file, before.copied().flatten()).await;
            if before.is_some_and(|before| before.map(|seen| seen.content) != now.map(|seen| seen.content)) {
                changed.push(file.clone());
            }
            self.0.insert(file.clone(), now);
        }
        changed
    }
}

/// A file that changed so shortly before a look may change again without another time stamp.
const FRESH: Duration = Duration::from_secs(1);

/// The file as it is; `None` if it cannot be read. It is not read when its size and time are as before.
async fn look(file: &Path, before: Option<Seen>) -> Option<Seen> {
    let metadata = tokio::fs::metadata(file).await.ok()?;
    let settled = |modified: &SystemTime| modified.elapsed().is_ok_and(|age| age > FRESH);
    let (modified, len) = (metadata.modified().ok().filter(settled), metadata.len());
    if let Some(before) = before
        && modified.is_some()
        && before.modified == modified
        && before.len == len
    {
        return Some(before);
    }
    let mut hasher = rustc_hash::FxHasher::default();
    hasher.write(&tokio::fs::read(file).await.ok()?);
    Some(Seen { modified, len, content: hasher.finish() })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Folder(PathBuf);

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn folder_for(test: &str) -> Folder {
        let folder = std::env::temp_dir().join(format!("millstream-watch-{test}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Folder(folder)
    }

    #[tokio::test]
    async fn content_counts_and_a_touch_does_not() {
        let folder = folder_for("content");
        let (a, b) = (folder.0.join("a"), folder.0.join("b"));
        std::fs::write(&a, "1").unwrap();
        let files = [a.clone(), b.clone()];
        let mut known = Snapshot::default();
        assert_eq!(known.update(&files).await, Vec::<PathBuf>::new());
        std::fs::write(&a, "1").unwrap();
        assert_eq!(known.update(&files).await, Vec::<PathBuf>::new());
        std::fs::write(&a, "2").unwrap();
        std::fs::write(&b, "new").unwrap();
        assert_eq!(known.update(&files).await, files);
        std::fs::remove_file(&b).unwrap();
        assert_eq!(known.update(&files).await, [b]);
    }

    #[tokio::test]
    async fn a_replaced_file_asks_for_one_reload() {
        let folder = folder_for("replace");
        let file = folder.0.join("millstream.toml");
        std::fs::write(&file, "old").unwrap();
        let (mut task, mut reloads) = watch_files(vec![file.clone()]).await;
        task.poll = Duration::from_millis(50);
        let (_trigger, drain) = crate::task::drain();
        let running = tokio::spawn(task.run(drain));
        // The first look must be over; a change before it would be no change.
        let started = async {
            loop {
                std::fs::write(folder.0.join("next"), format!("{:?}", std::time::Instant::now())).unwrap();
                std::fs::rename(folder.0.join("next"), &file).unwrap();
                if let Ok(reload) = tokio::time::timeout(Duration::from_millis(300), reloads.next()).await {
                    return reload;
                }
            }
        };
        let reload = tokio::time::timeout(Duration::from_secs(20), started).await.unwrap();
        assert_eq!(reload, Some(Reload::Changed(vec![file])));
        drop(reloads);
        tokio::time::timeout(Duration::from_secs(20), running).await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn the_drain_ends_it() {
        let (task, _reloads) = watch_files(Vec::new()).await;
        let (trigger, drain) = crate::task::drain();
        trigger.announce(Duration::from_secs(1));
        tokio::time::timeout(Duration::from_secs(20), task.run(drain)).await.unwrap();
    }
}
