//! One message as a plugin sees it, and what a plugin can do with it.
//!
//! Reading shows the message with the changes made so far. Nothing is copied until something is set.

use std::net::{IpAddr, SocketAddr};

use crate::codec::{Answer, Edit, Range, Row, field};

/// What becomes of a message.
#[derive(Debug)]
pub enum Outcome {
    /// It goes on, with the changes that were made to it.
    Send,
    /// These go on in its place, in this order; changes that were made to the message itself do not count. An empty list
    /// drops it.
    Split(Vec<Record>),
    /// It ends here, on purpose, for this reason. The device gets a success.
    Drop(String),
}

/// One message. What goes to Kafka can be read and changed; [`Message::origin`] can be read.
#[derive(Debug)]
pub struct Message<'a> {
    row: Row<'a>,
    answer: &'a mut Answer,
    edit: &'a mut Edit,
}

impl<'a> Message<'a> {
    pub(crate) fn new(row: Row<'a>, answer: &'a mut Answer, edit: &'a mut Edit) -> Message<'a> {
        edit.clear();
        Message { row, answer, edit }
    }

    /// The value; `None` is Kafka's null (a tombstone).
    pub fn value(&self) -> Option<&[u8]> {
        self.current(self.edit.value, field::VALUE)
    }

    /// The value as text; `None` if it is null or not UTF-8.
    pub fn value_text(&self) -> Option<&str> {
        std::str::from_utf8(self.value()?).ok()
    }

    pub fn key(&self) -> Option<&[u8]> {
        self.current(self.edit.key, field::KEY)
    }

    /// The Kafka topic.
    pub fn topic(&self) -> &str {
        match self.edit.topic {
            Some(range) => range.text(&self.answer.arena),
            None => self.row.range(field::TOPIC).text(self.row.arena),
        }
    }

    /// Milliseconds since 1970-01-01 UTC; `None` lets the producer's clock decide.
    pub fn timestamp(&self) -> Option<i64> {
        self.edit.timestamp.unwrap_or_else(|| self.row.timestamp())
    }

    /// In order, duplicates included. A value of `None` is a null header value.
    pub fn headers(&self) -> impl Iterator<Item = (&str, Option<&[u8]>)> {
        let (sent, made) = (self.row.arena, self.answer.arena.as_slice());
        let own = self.row.pairs(field::HEADERS).filter(|_| !self.edit.clear_headers);
        let own = own.map(move |(name, value)| (name.text(sent), value.of(sent)));
        own.chain(self.edit.headers.iter().map(move |(name, value)| (name.text(made), value.of(made))))
    }

    /// The value of the first header with this name.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers().find(|(found, _)| *found == name).and_then(|(_, value)| value)
    }

    /// Where the message came from.
    pub fn origin(&self) -> Origin<'a> {
        Origin(self.row)
    }

    pub fn set_value(&mut self, value: impl AsRef<[u8]>) {
        self.edit.value = Some(self.answer.put(value.as_ref()));
    }

    /// Makes the value Kafka's null.
    pub fn clear_value(&mut self) {
        self.edit.value = Some(Range::none());
    }

    pub fn set_key(&mut self, key: impl AsRef<[u8]>) {
        self.edit.key = Some(self.answer.put(key.as_ref()));
    }

    pub fn clear_key(&mut self) {
        self.edit.key = Some(Range::none());
    }

    /// The Kafka topic; an empty one fails the batch.
    pub fn set_topic(&mut self, topic: &str) {
        self.edit.topic = Some(self.answer.put(topic.as_bytes()));
    }

    pub fn set_timestamp(&mut self, millis: i64) {
        self.edit.timestamp = Some(Some(millis));
    }

    pub fn clear_timestamp(&mut self) {
        self.edit.timestamp = Some(None);
    }

    /// Adds a header at the end, also when there is one with this name.
    pub fn push_header(&mut self, name: &str, value: impl AsRef<[u8]>) {
        let pair = (self.answer.put(name.as_bytes()), self.answer.put(value.as_ref()));
        self.edit.headers.push(pair);
    }

    /// Adds a header with a null value.
    pub fn push_null_header(&mut self, name: &str) {
        let name = self.answer.put(name.as_bytes());
        self.edit.headers.push((name, Range::none()));
    }

    /// One header with this name, at the end; others with this name are removed.
    pub fn set_header(&mut self, name: &str, value: impl AsRef<[u8]>) {
        self.remove_headers(name);
        self.push_header(name, value);
    }

    /// Removes all headers with this name.
    pub fn remove_headers(&mut self, name: &str) {
        if !self.headers().any(|(found, _)| found == name) {
            return;
        }
        // The format can only drop all of them; the others are written again.
        let mut kept = Vec::new();
        if !self.edit.clear_headers {
            for (found, value) in self.row.pairs(field::HEADERS) {
                if found.text(self.row.arena) != name {
                    let value = value.of(self.row.arena).map_or(Range::none(), |value| self.answer.put(value));
                    let found = self.answer.put(found.text(self.row.arena).as_bytes());
                    kept.push((found, value));
                }
            }
        }
        let arena = &self.answer.arena;
        kept.extend(self.edit.headers.iter().filter(|(found, _)| found.text(arena) != name));
        self.edit.headers = kept;
        self.edit.clear_headers = true;
    }

    pub fn clear_headers(&mut self) {
        self.edit.headers.clear();
        self.edit.clear_headers = true;
    }

    fn current(&self, edited: Option<Range>, at: usize) -> Option<&[u8]> {
        match edited {
            Some(range) => range.of(&self.answer.arena),
            None => self.row.range(at).of(self.row.arena),
        }
    }

    pub(crate) fn finish(self, outcome: Result<Outcome, crate::Error>) {
        match outcome {
            Ok(Outcome::Send) => self.answer.send(self.edit),
            Ok(Outcome::Split(records)) if records.is_empty() => self.answer.drop("split into nothing"),
            Ok(Outcome::Split(records)) => self.answer.split(&records),
            Ok(Outcome::Drop(reason)) => self.answer.drop(&reason),
            Err(error) => self.answer.refuse(&error.into_text()),
        }
    }
}

/// Where a message came from.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a>(Row<'a>);

impl<'a> Origin<'a> {
    /// The name of the rule that is running.
    pub fn rule(&self) -> &'a str {
        self.0.range(field::RULE).text(self.0.arena)
    }

    pub fn client_id(&self) -> &'a str {
        self.0.range(field::CLIENT_ID).text(self.0.arena)
    }

    /// The name that the client authenticated with.
    pub fn username(&self) -> Option<&'a str> {
        self.0.range(field::USERNAME).optional_text(self.0.arena)
    }

    /// The client's address, if known.
    pub fn peer(&self) -> Option<SocketAddr> {
        let bytes = self.0.range(field::ADDRESS).of(self.0.arena)?;
        let ip: IpAddr = match bytes.len() {
            4 => <[u8; 4]>::try_from(bytes).ok()?.into(),
            16 => <[u8; 16]>::try_from(bytes).ok()?.into(),
            _ => return None,
        };
        Some(SocketAddr::new(ip, u16::try_from(self.0.word(field::PORT)).ok()?))
    }

    /// The MQTT topic that was published to.
    pub fn topic(&self) -> &'a str {
        self.0.range(field::MQTT_TOPIC).text(self.0.arena)
    }

    /// 0, 1 or 2.
    pub fn qos(&self) -> u8 {
        (self.0.word(field::FLAGS) & 3) as u8
    }

    pub fn retain(&self) -> bool {
        self.0.word(field::FLAGS) & 1 << 2 != 0
    }

    /// MQTT 5 user properties, in order, duplicates included.
    pub fn user_properties(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let arena = self.0.arena;
        self.0.pairs(field::USER_PROPERTIES).map(move |(name, value)| (name.text(arena), value.text(arena)))
    }
}

/// One part of a message that is split: the message as it came, with these differences.
#[derive(Clone, Debug, Default)]
pub struct Record {
    topic: Option<String>,
    key: Option<Option<Vec<u8>>>,
    value: Option<Option<Vec<u8>>>,
    timestamp: Option<Option<i64>>,
    clear_headers: bool,
    headers: Vec<(String, Option<Vec<u8>>)>,
}

impl Record {
    /// Without any difference.
    pub fn new() -> Record {
        Record::default()
    }

    pub fn topic(mut self, topic: impl Into<String>) -> Record {
        self.topic = Some(topic.into());
        self
    }

    pub fn key(mut self, key: impl Into<Vec<u8>>) -> Record {
        self.key = Some(Some(key.into()));
        self
    }

    pub fn null_key(mut self) -> Record {
        self.key = Some(None);
        self
    }

    pub fn value(mut self, value: impl Into<Vec<u8>>) -> Record {
        self.value = Some(Some(value.into()));
        self
    }

    pub fn null_value(mut self) -> Record {
        self.value = Some(None);
        self
    }

    /// `None` lets the producer's clock decide.
    pub fn timestamp(mut self, millis: Option<i64>) -> Record {
        self.timestamp = Some(millis);
        self
    }

    /// Adds a header after the message's own.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) -> Record {
        self.headers.push((name.into(), Some(value.into())));
        self
    }

    /// The message's own headers are not taken over.
    pub fn without_headers(mut self) -> Record {
        self.clear_headers = true;
        self
    }

    pub(crate) fn edit(&self, answer: &mut Answer) -> Edit {
        let put = |answer: &mut Answer, field: &Option<Vec<u8>>| match field {
            Some(bytes) => answer.put(bytes),
            None => Range::none(),
        };
        Edit {
            topic: self.topic.as_ref().map(|topic| answer.put(topic.as_bytes())),
            key: self.key.as_ref().map(|key| put(answer, key)),
            value: self.value.as_ref().map(|value| put(answer, value)),
            timestamp: self.timestamp,
            clear_headers: self.clear_headers,
            headers: self
                .headers
                .iter()
                .map(|(name, value)| (answer.put(name.as_bytes()), put(answer, value)))
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests;
