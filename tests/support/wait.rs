//! Waiting for a condition instead of for a time.

use std::thread;
use std::time::{Duration, Instant};

const STEP: Duration = Duration::from_millis(5);

/// Asks `ready` again and again until it answers, and gives the answer; panics, naming `what`, after `limit`.
pub fn eventually<T>(what: &str, limit: Duration, mut ready: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ready() {
            return answer;
        }
        assert!(start.elapsed() < limit, "waited {limit:?} in vain for: {what}");
        thread::sleep(STEP);
    }
}

/// [`eventually`] for a plain condition.
pub fn until(what: &str, limit: Duration, mut holds: impl FnMut() -> bool) {
    eventually(what, limit, || holds().then_some(()));
}

/// Fails as soon as `holds` does not hold, and watches it for `time`: the way to say that something does NOT happen.
/// Only of worth beside a condition which shows that it could have happened.
pub fn throughout(what: &str, time: Duration, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while start.elapsed() < time {
        assert!(holds(), "did not hold for {time:?}: {what} (broken after {:?})", start.elapsed());
        thread::sleep(STEP);
    }
}
