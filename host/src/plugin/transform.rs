//! What goes into a transform and what comes out, whichever world the plugin was built for.

use std::sync::Arc;

use super::error::PluginError;
use crate::message::{Message, Record};

/// One record on its way through a plugin, with where it came from.
#[derive(Debug)]
pub struct Item<'a> {
    pub record: Record,
    pub message: &'a Message,
    /// The name of the rule that is running.
    pub rule: &'a str,
}

impl Item<'_> {
    /// What it needs in the guest's memory, roughly, in bytes.
    pub(super) fn weight(&self) -> usize {
        let bytes = |field: &Option<bytes::Bytes>| field.as_ref().map_or(0, bytes::Bytes::len);
        let headers: usize = self.record.headers.iter().map(|(name, value)| name.len() + bytes(value) + 16).sum();
        let properties = self.message.properties.as_ref().map_or(0, |properties| {
            properties.user_properties.iter().map(|(name, value)| name.len() + value.len() + 16).sum()
        });
        256 + self.record.topic.len() + bytes(&self.record.key) + bytes(&self.record.value) + headers + properties
    }
}

/// What became of one item.
#[derive(Debug)]
#[must_use]
pub enum Verdict {
    /// Unchanged.
    Keep(Record),
    /// Changed (one) or split (several); never empty.
    Replace(Vec<Record>),
    /// The plugin ended it on purpose, with its reason.
    Drop(String),
    /// The plugin finds it wrong, with its reason.
    Refuse(String),
    /// The plugin failed on it; the record is as it was before, for `on_error = "pass"` or `"dead_letter"`.
    Failed { record: Record, error: Arc<PluginError> },
}
