//! What a guest may be granted: one file for each thing.
//!
//! `logging` and `system` are given to all: a bounded log, and a WASI that has a clock and randomness and nothing else.

pub(super) mod logging;
pub(super) mod system;
