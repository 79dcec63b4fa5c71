//! What the kernel says of a process: its resident memory; and how many files may be open at once.

use std::fs;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Resident memory of a process, in bytes (`VmRSS` of proc_pid_status(5)).
#[must_use]
pub fn resident(pid: u32) -> u64 {
    let path = format!("/proc/{pid}/status");
    let status = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    parse(&status).unwrap_or_else(|| panic!("no VmRSS in {path}"))
}

fn parse(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix(" kB")?.trim_end().parse::<u64>().ok()? * 1024)
}

/// Lets this process, and those that it starts from then on, have `wanted` files open, or as many as the system allows;
/// gives how many that is.
pub fn allow_files(wanted: u64) -> u64 {
    let before = getrlimit(Resource::Nofile);
    let limit = |maximum| Rlimit { current: Some(wanted), maximum };
    let enough = before.maximum.is_none_or(|maximum| maximum >= wanted);
    // Only the privileged may raise the second, the hard limit.
    let raised = match enough {
        true => setrlimit(Resource::Nofile, limit(before.maximum)),
        false => setrlimit(Resource::Nofile, limit(Some(wanted)))
            .or_else(|_| setrlimit(Resource::Nofile, Rlimit { current: before.maximum, maximum: before.maximum })),
    };
    raised.expect("the limit may be raised up to the hard one");
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_memory_is_in_bytes() {
        assert_eq!(parse("Name:\tx\nVmHWM:\t 9000 kB\nVmRSS:\t    8123 kB\n"), Some(8123 * 1024));
        assert!(resident(std::process::id()) > 1_000_000);
    }
}
