//! A checked answer of a guest for one message, before it touches the record.
//!
//! Both worlds decode to this; only when the whole batch has decoded are the records consumed, so that a malformed answer
//! leaves them as they were.

use std::sync::Arc;

use bytes::Bytes;

use super::error::PluginError;
use super::transform::Verdict;
use crate::message::Record;

/// More records than this from one batch are an error: a few bytes of answer must not become gigabytes of records.
pub(super) const MAX_RECORDS: usize = 65_536;

/// What a guest decided.
#[derive(Debug)]
pub(super) enum Outcome {
    Keep,
    One(Patch),
    /// At least one.
    Many(Vec<Patch>),
    Drop(String),
    Refuse(String),
    /// It decided nothing.
    Failed(Arc<PluginError>),
}

/// Differences to the message's record; `None` leaves the field as it is.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Patch {
    pub(super) topic: Option<Arc<str>>,
    pub(super) key: Option<Option<Bytes>>,
    pub(super) value: Option<Option<Bytes>>,
    pub(super) timestamp: Option<Option<i64>>,
    /// The record's own headers do not survive.
    pub(super) clear_headers: bool,
    pub(super) append_headers: Vec<(Arc<str>, Option<Bytes>)>,
}

impl Outcome {
    /// Consumes the record.
    pub(super) fn apply(self, record: Record) -> Verdict {
        match self {
            Outcome::Keep => Verdict::Keep(record),
            Outcome::One(patch) => Verdict::Replace(vec![patch.apply(record)]),
            Outcome::Many(patches) => {
                Verdict::Replace(patches.into_iter().map(|patch| patch.apply(record.clone())).collect())
            }
            Outcome::Drop(reason) => Verdict::Drop(reason),
            Outcome::Refuse(reason) => Verdict::Refuse(reason),
            Outcome::Failed(error) => Verdict::Failed { record, error },
        }
    }
}

impl Patch {
    fn apply(self, mut record: Record) -> Record {
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
        record
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

    fn replaced(patch: Patch) -> Record {
        match Outcome::One(patch).apply(record()) {
            Verdict::Replace(mut records) if records.len() == 1 => records.remove(0),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_empty_patch_changes_nothing() {
        assert_eq!(replaced(Patch::default()), record());
    }

    #[test]
    fn none_is_not_unchanged() {
        let patch = Patch { key: Some(None), value: Some(None), timestamp: Some(None), ..Patch::default() };
        let expected = Record { key: None, value: None, timestamp: None, ..record() };
        assert_eq!(replaced(patch), expected);
    }

    #[test]
    fn headers_are_appended_or_replaced() {
        let b: (Arc<str>, _) = ("b".into(), Some(Bytes::from_static(b"1")));
        let append = Patch { append_headers: vec![b.clone()], ..Patch::default() };
        assert_eq!(replaced(append).headers, [("a".into(), None), b.clone()]);
        let instead = Patch { append_headers: vec![b.clone()], clear_headers: true, ..Patch::default() };
        assert_eq!(replaced(instead).headers, [b]);
        assert_eq!(replaced(Patch { clear_headers: true, ..Patch::default() }).headers, []);
    }

    #[test]
    fn every_part_of_a_split_starts_from_the_record() {
        let topics = ["x", "y"].map(|topic| Patch { topic: Some(topic.into()), ..Patch::default() });
        let Verdict::Replace(records) = Outcome::Many(topics.into()).apply(record()) else { panic!("not replaced") };
        assert_eq!(records, [Record { topic: "x".into(), ..record() }, Record { topic: "y".into(), ..record() }]);
    }
}
