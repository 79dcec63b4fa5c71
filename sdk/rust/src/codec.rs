//! The flat form of a batch, as `wit/transform-flat.wit` describes it: reading messages, writing outcomes.
//!
//! Nothing is copied on the way in. On the way out only what changed is written.

use crate::message::Record;

/// Words before the first row.
const HEAD: usize = 3;
const PAIR_WORDS: usize = 4;
/// The length of a range that is none.
const NONE: u32 = u32::MAX;

const KEEP: u32 = 0;
const REPLACE_ONE: u32 = 1;
const REPLACE_MANY: u32 = 2;
const DROP: u32 = 3;
const REFUSE: u32 = 4;

const TOPIC: u32 = 1;
const KEY: u32 = 1 << 1;
const VALUE: u32 = 1 << 2;
const TIMESTAMP: u32 = 1 << 3;
const NO_TIMESTAMP: u32 = 1 << 4;
const CLEAR_HEADERS: u32 = 1 << 5;
const APPEND_HEADERS: u32 = 1 << 6;

/// A range in an arena; a length of `NONE` is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range(u32, u32);

impl Range {
    pub fn none() -> Range {
        Range(0, NONE)
    }

    pub fn of(self, arena: &[u8]) -> Option<&[u8]> {
        if self.1 == NONE { None } else { arena.get(self.0 as usize..self.0 as usize + self.1 as usize) }
    }

    pub fn text(self, arena: &[u8]) -> &str {
        self.optional_text(arena).unwrap_or_default()
    }

    pub fn optional_text(self, arena: &[u8]) -> Option<&str> {
        std::str::from_utf8(self.of(arena)?).ok()
    }
}

/// What came from the host.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    pub arena: &'a [u8],
    words: &'a [u32],
}

/// The fields of a row, by their first word.
pub mod field {
    pub const TOPIC: usize = 0;
    pub const KEY: usize = 2;
    pub const VALUE: usize = 4;
    pub const HEADERS: usize = 6;
    pub const TIMESTAMP: usize = 8;
    pub const FLAGS: usize = 10;
    pub const PORT: usize = 11;
    pub const ADDRESS: usize = 12;
    pub const RULE: usize = 14;
    pub const CLIENT_ID: usize = 16;
    pub const USERNAME: usize = 18;
    pub const MQTT_TOPIC: usize = 20;
    pub const USER_PROPERTIES: usize = 22;
}

impl<'a> Batch<'a> {
    pub fn new(arena: &'a [u8], words: &'a [u32]) -> Batch<'a> {
        Batch { arena, words }
    }

    /// Number of messages.
    pub fn len(&self) -> usize {
        self.words[0] as usize
    }

    pub fn row(&self, index: usize) -> Row<'a> {
        let width = self.words[1] as usize;
        let start = HEAD + index * width;
        let pairs = HEAD + self.len() * width;
        Row { words: &self.words[start..start + width], pairs: &self.words[pairs..], arena: self.arena }
    }
}

/// One message of the batch.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    words: &'a [u32],
    pairs: &'a [u32],
    pub arena: &'a [u8],
}

impl<'a> Row<'a> {
    pub fn word(&self, at: usize) -> u32 {
        self.words[at]
    }

    pub fn range(&self, at: usize) -> Range {
        Range(self.words[at], self.words[at + 1])
    }

    pub fn timestamp(&self) -> Option<i64> {
        let (low, high) = (u64::from(self.words[field::TIMESTAMP]), u64::from(self.words[field::TIMESTAMP + 1]));
        (self.words[field::FLAGS] & 1 << 4 != 0).then_some(((high << 32) | low) as i64)
    }

    /// Name and value ranges of headers or user properties.
    pub fn pairs(&self, at: usize) -> impl Iterator<Item = (Range, Range)> + use<'a> {
        let (start, count) = (self.words[at] as usize * PAIR_WORDS, self.words[at + 1] as usize * PAIR_WORDS);
        let pairs = self.pairs[start..start + count].chunks_exact(PAIR_WORDS);
        pairs.map(|pair| (Range(pair[0], pair[1]), Range(pair[2], pair[3])))
    }
}

/// What was changed in one message so far. Ranges point into the answer's arena.
#[derive(Debug, Default)]
pub struct Edit {
    pub topic: Option<Range>,
    pub key: Option<Range>,
    pub value: Option<Range>,
    pub timestamp: Option<Option<i64>>,
    /// The message's own headers are gone.
    pub clear_headers: bool,
    pub headers: Vec<(Range, Range)>,
}

impl Edit {
    fn flags(&self) -> u32 {
        let timestamp = match self.timestamp {
            None => 0,
            Some(Some(_)) => TIMESTAMP,
            Some(None) => NO_TIMESTAMP,
        };
        let flag = |is_set: bool, flag: u32| if is_set { flag } else { 0 };
        flag(self.topic.is_some(), TOPIC)
            | flag(self.key.is_some(), KEY)
            | flag(self.value.is_some(), VALUE)
            | timestamp
            | flag(self.clear_headers, CLEAR_HEADERS)
            | flag(!self.headers.is_empty(), APPEND_HEADERS)
    }

    /// Forgets everything, and keeps the memory.
    pub fn clear(&mut self) {
        let mut headers = std::mem::take(&mut self.headers);
        headers.clear();
        *self = Edit { headers, ..Edit::default() };
    }
}

/// What goes back to the host.
#[derive(Debug, Default)]
pub struct Answer {
    pub arena: Vec<u8>,
    pub words: Vec<u32>,
}

impl Answer {
    pub fn put(&mut self, bytes: &[u8]) -> Range {
        let offset = self.arena.len() as u32;
        self.arena.extend_from_slice(bytes);
        Range(offset, bytes.len() as u32)
    }

    /// The message goes on with these changes.
    pub fn send(&mut self, edit: &Edit) {
        match edit.flags() {
            0 => self.words.push(KEEP),
            flags => {
                self.words.push(REPLACE_ONE);
                self.patch(flags, edit);
            }
        }
    }

    pub fn split(&mut self, records: &[Record]) {
        self.words.extend([REPLACE_MANY, records.len() as u32]);
        for record in records {
            let edit = record.edit(self);
            self.patch(edit.flags(), &edit);
        }
    }

    pub fn drop(&mut self, reason: &str) {
        self.reason(DROP, reason);
    }

    pub fn refuse(&mut self, reason: &str) {
        self.reason(REFUSE, reason);
    }

    fn reason(&mut self, kind: u32, reason: &str) {
        let Range(offset, length) = self.put(reason.as_bytes());
        self.words.extend([kind, offset, length]);
    }

    fn patch(&mut self, flags: u32, edit: &Edit) {
        self.words.push(flags);
        for range in [edit.topic, edit.key, edit.value].into_iter().flatten() {
            self.words.extend([range.0, range.1]);
        }
        if let Some(Some(timestamp)) = edit.timestamp {
            self.words.extend([timestamp as u32, (timestamp >> 32) as u32]);
        }
        if !edit.headers.is_empty() {
            self.words.push(edit.headers.len() as u32);
            for (name, value) in &edit.headers {
                self.words.extend([name.0, name.1, value.0, value.1]);
            }
        }
    }
}
