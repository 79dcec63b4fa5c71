//! How many files, sockets among them, the system lets this process have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// As many as may be had without asking anybody: the soft limit is raised to the hard one. A shell's soft limit is often
/// 1024, which would be the number of clients.
pub fn allow_all() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return;
    }
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => tracing::debug!(files = ?limit.maximum, "may have that many files open"),
        Err(error) => tracing::warn!(%error, files = ?limit.current, "cannot raise the limit of open files"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_becomes_the_hard_one() {
        allow_all();
        let limit = getrlimit(Resource::Nofile);
        assert_eq!(limit.current, limit.maximum);
    }
}
