//! What goes into a transform, whichever world the plugin was built for.

use crate::message::{Message, Record};

/// One record on its way through a plugin, with where it came from.
#[derive(Clone, Copy, Debug)]
pub struct Item<'a> {
    pub record: &'a Record,
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
