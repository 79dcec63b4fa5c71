//! Entries in Millstream's log, under the plugin's name. At most 100 a second; longer ones than 4096 bytes are cut.

use crate::bindings::flat::millstream::plugin::host::{Level, log};

pub fn trace(text: &str) {
    log(Level::Trace, text);
}

pub fn debug(text: &str) {
    log(Level::Debug, text);
}

pub fn info(text: &str) {
    log(Level::Info, text);
}

pub fn warn(text: &str) {
    log(Level::Warn, text);
}

pub fn error(text: &str) {
    log(Level::Error, text);
}
