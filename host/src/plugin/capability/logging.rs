//! The log of a plugin: entries under its name, bounded in length and rate, without control characters.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Longer entries are cut.
const MAX_ENTRY_BYTES: usize = 4096;
/// Entries of one plugin a second, over all its instances.
const MAX_ENTRIES: u32 = 100;

/// How serious an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Level {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
}

/// Shared by the instances of one plugin.
#[derive(Debug)]
pub(in super::super) struct GuestLog {
    plugin: String,
    allowance: Mutex<Allowance>,
}

#[derive(Debug)]
struct Allowance {
    since: Instant,
    used: u32,
    lost: u64,
}

impl GuestLog {
    pub(in super::super) fn new(plugin: &str) -> GuestLog {
        GuestLog { plugin: plugin.into(), allowance: Mutex::new(Allowance { since: Instant::now(), used: 0, lost: 0 }) }
    }

    /// Writes one entry if the allowance has room.
    pub(in super::super) fn write(&self, level: Level, text: &str) {
        let Some(lost) = self.allowance.lock().take(Instant::now()) else { return };
        let plugin = self.plugin.as_str();
        if lost > 0 {
            tracing::warn!(plugin, lost, "the plugin logs too much; entries were lost");
        }
        let text = printable(text);
        match level {
            Level::Trace => tracing::trace!(plugin, "{text}"),
            Level::Debug => tracing::debug!(plugin, "{text}"),
            Level::Info => tracing::info!(plugin, "{text}"),
            Level::Warn => tracing::warn!(plugin, "{text}"),
            Level::Error => tracing::error!(plugin, "{text}"),
        }
    }
}

impl Allowance {
    /// `None` when it is used up; otherwise how many entries were lost before this one and not yet told of.
    fn take(&mut self, now: Instant) -> Option<u64> {
        if now.duration_since(self.since) >= Duration::from_secs(1) {
            self.since = now;
            self.used = 0;
        }
        if self.used >= MAX_ENTRIES {
            self.lost += 1;
            return None;
        }
        self.used += 1;
        Some(std::mem::take(&mut self.lost))
    }
}

/// Cut to the bound, and no control characters: a guest must not forge log lines or drive a terminal.
pub(in super::super) fn printable(text: &str) -> String {
    let cut = &text[..text.floor_char_boundary(MAX_ENTRY_BYTES)];
    let mut clean: String = cut.trim_end().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if cut.len() < text.len() {
        clean.push_str(" [cut]");
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_allowance_runs_out_and_comes_back() {
        let start = Instant::now();
        let mut allowance = Allowance { since: start, used: 0, lost: 0 };
        let granted = (0..MAX_ENTRIES + 7).filter(|_| allowance.take(start).is_some()).count();
        assert_eq!(granted as u32, MAX_ENTRIES);
        assert_eq!(allowance.take(start + Duration::from_secs(1)), Some(7));
        assert_eq!(allowance.take(start + Duration::from_secs(1)), Some(0));
    }

    #[test]
    fn entries_are_one_short_line() {
        assert_eq!(printable("a\x1b[31m\nforged\n"), "a [31m forged");
        let long = printable(&"é".repeat(MAX_ENTRY_BYTES));
        assert!(long.ends_with(" [cut]") && long.len() <= MAX_ENTRY_BYTES + 6);
    }
}
