//! CPU time of another process, as the kernel counts it in `/proc`.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::param::clock_ticks_per_second;

/// User and system time of all threads of a process since its start.
#[derive(Clone, Copy, Debug)]
pub struct Cpu(Duration);

impl Cpu {
    pub fn of(pid: u32) -> Result<Cpu> {
        let path = format!("/proc/{pid}/stat");
        let stat = fs::read_to_string(&path).with_context(|| format!("no process {pid}"))?;
        Cpu::parse(&stat).with_context(|| format!("{path} is not as expected: {stat}"))
    }

    fn parse(stat: &str) -> Option<Cpu> {
        // The name, in parentheses, may contain anything; the fields after it are counted from 3 (proc_pid_stat(5)).
        let (_, rest) = stat.rsplit_once(") ")?;
        let mut fields = rest.split(' ').skip(14 - 3);
        let user: u64 = fields.next()?.parse().ok()?;
        let system: u64 = fields.next()?.parse().ok()?;
        Some(Cpu(Duration::from_secs_f64((user + system) as f64 / clock_ticks_per_second() as f64)))
    }

    pub fn since(self, before: Cpu) -> Duration {
        self.0.saturating_sub(before.0)
    }
}

#[test]
fn user_and_system_time_are_added_up() {
    let stat = "42 (a) b) S 1 2 3 4 5 6 7 8 9 10 150 50 13 14 15";
    let ticks = Duration::from_secs_f64(200.0 / clock_ticks_per_second() as f64);
    assert_eq!(Cpu::parse(stat).expect("a line of stat").0, ticks);
}
