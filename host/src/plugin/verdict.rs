//! What a guest decided about one message, checked, and before it touches the record.
//!
//! Both worlds decode to this; only when the whole batch has decoded is any record changed, so that a malformed answer
//! leaves them as they were.

use std::sync::Arc;

use bytes::Bytes;

use super::error::PluginError;
use crate::message::Record;

/// More records than this from one batch are an error: a few bytes of answer must not become gigabytes of records.
pub(super) const MAX_RECORDS: usize = 65_536;

/// What is to become of one item.
#[derive(Debug)]
#[must_use]
pub enum Verdict {
    /// Unchanged.
    Keep,
    /// One record, changed.
    Change(Patch),
    /// Several records in its place, at least one, each a change of the original.
    Split(Vec<Patch>),
    /// The plugin ended it on purpose, with its reason.
    Drop(String),
    /// The plugin finds it wrong, with its reason.
    Refuse(String),
    /// The plugin failed on it and decided nothing.
    Failed(Arc<PluginError>),
}

/// Differences to a record; `None` leaves the field as it is.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Patch {
    pub(super) topic: Option<Arc<str>>,
    pub(super) key: Option<Option<Bytes>>,
    pub(super) value: Option<Option<Bytes>>,
    pub(super) timestamp: Option<Option<i64>>,
    /// The record's own headers do not survive.
    pub(super) clear_headers: bool,
    pub(super) append_headers: Vec<(Arc<str>, Option<Bytes>)>,
}

impl Patch {
    /// Makes the changes.
    pub fn apply(self, record: &mut Record) {
        if let Some(topic) = self.topic {
            record.topic = topic;
        }
        if let Some(key) = self.key {
            record.key = key;
        }
        if let Some(value) = self.value {
            record.value = value;
        }
        if let Some(timestamp) = self.timestamp {
            record.timestamp = timestamp;
        }
        if self.clear_headers || record.headers.is_empty() {
            record.headers = self.append_headers;
        } else {
            record.headers.extend(self.append_headers);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        Record {
            topic: "t".into(),
            key: Some(Bytes::from_static(b"k")),
            value: Some(Bytes::from_static(b"v")),
            headers: vec![("a".into(), None)],
            timestamp: Some(7),
        }
    }

    fn changed(patch: Patch) -> Record {
        let mut record = record();
        patch.apply(&mut record);
        record
    }

    #[test]
    fn an_empty_patch_changes_nothing() {
        assert_eq!(changed(Patch::default()), record());
    }

    #[test]
    fn none_is_not_unchanged() {
        let patch = Patch { key: Some(None), value: Some(None), timestamp: Some(None), ..Patch::default() };
        let expected = Record { key: None, value: None, timestamp: None, ..record() };
        assert_eq!(changed(patch), expected);
        assert_eq!(&*changed(Patch { topic: Some("x".into()), ..Patch::default() }).topic, "x");
    }

    #[test]
    fn headers_are_appended_or_replaced() {
        let b: (Arc<str>, _) = ("b".into(), Some(Bytes::from_static(b"1")));
        let append = Patch { append_headers: vec![b.clone()], ..Patch::default() };
        assert_eq!(changed(append).headers, [("a".into(), None), b.clone()]);
        let instead = Patch { append_headers: vec![b.clone()], clear_headers: true, ..Patch::default() };
        assert_eq!(changed(instead).headers, [b]);
        assert_eq!(changed(Patch { clear_headers: true, ..Patch::default() }).headers, []);
    }
}
