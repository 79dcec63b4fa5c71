//! What happened, as columns that rules read (rule-sql 3). A column is built only when somebody asks for it.
//!
//! Nothing here reads a clock or changes the message.

use std::sync::Arc;

use bytes::Bytes;

use crate::event::{EventKind, Occurrence};
use crate::message::{Message, Properties};
use crate::value::{Value, write_json_text};

mod columns;
mod json;
mod occurrence;
mod publish;
mod sample;

pub use json::{EventType, JsonEvent, JsonEventError};

/// The columns with a place of their own, in ascending order of their names; events may have others too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Column {
    ClientAttrs,
    ClientId,
    Event,
    Flags,
    Id,
    Metadata,
    Node,
    Payload,
    PeerHost,
    PeerName,
    PubProps,
    PublishReceivedAt,
    Qos,
    Timestamp,
    Topic,
    Username,
}

impl Column {
    pub const ALL: [Column; 16] = [
        Column::ClientAttrs,
        Column::ClientId,
        Column::Event,
        Column::Flags,
        Column::Id,
        Column::Metadata,
        Column::Node,
        Column::Payload,
        Column::PeerHost,
        Column::PeerName,
        Column::PubProps,
        Column::PublishReceivedAt,
        Column::Qos,
        Column::Timestamp,
        Column::Topic,
        Column::Username,
    ];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Column::ClientAttrs => "client_attrs",
            Column::ClientId => "clientid",
            Column::Event => "event",
            Column::Flags => "flags",
            Column::Id => "id",
            Column::Metadata => "metadata",
            Column::Node => "node",
            Column::Payload => "payload",
            Column::PeerHost => "peerhost",
            Column::PeerName => "peername",
            Column::PubProps => "pub_props",
            Column::PublishReceivedAt => "publish_received_at",
            Column::Qos => "qos",
            Column::Timestamp => "timestamp",
            Column::Topic => "topic",
            Column::Username => "username",
        }
    }

    /// The column of that name, if it is one of these.
    #[must_use]
    pub fn of(name: &[u8]) -> Option<Column> {
        Column::ALL.binary_search_by(|column| column.name().as_bytes().cmp(name)).ok().map(|at| Column::ALL[at])
    }
}

/// Whether any event has a column of that name.
#[must_use]
pub fn is_column(name: &str) -> bool {
    let others = || EventKind::ALL.iter().flat_map(|kind| columns::that_happen(*kind));
    Column::of(name.as_bytes()).is_some() || others().any(|column| *column == name)
}

/// One event. Its columns have symbol keys in EMQX's terms (rule-sql 2.3).
pub trait Event {
    /// The value of a column; `None` when this event has no such column.
    fn column(&self, column: Column) -> Option<Value>;

    /// The value of a column that [`Column`] does not know.
    fn other(&self, name: &[u8]) -> Option<Value>;

    /// The text of a column, for whoever need not keep it. `None` does not mean that there is no such column.
    fn text(&self, column: Column) -> Option<&[u8]>;

    /// The payload if it is text (or bytes), without building a value.
    fn payload(&self) -> Option<&Bytes>;

    /// All column names in ascending order.
    fn names(&self, visit: &mut dyn FnMut(&str));

    /// Whether there is such a column, be it undefined.
    fn has(&self, name: &[u8]) -> bool;

    /// Appends the column's JSON form; `false` if there is no such column.
    fn write_json(&self, name: &[u8], out: &mut Vec<u8>) -> bool {
        match self.get(name) {
            Some(value) => {
                value.to_json(out);
                true
            }
            None => false,
        }
    }

    /// Appends all columns as a JSON object, keys in descending order.
    fn write_all(&self, out: &mut Vec<u8>) {
        let mut names = Vec::new();
        self.names(&mut |name| names.push(name.to_string()));
        out.push(b'{');
        for (i, name) in names.iter().rev().enumerate() {
            if i > 0 {
                out.push(b',');
            }
            write_json_text(name.as_bytes(), out);
            out.push(b':');
            self.write_json(name.as_bytes(), out);
        }
        out.push(b'}');
    }

    /// A column by its name.
    fn get(&self, name: &[u8]) -> Option<Value> {
        match Column::of(name) {
            Some(column) => self.column(column),
            None => self.other(name),
        }
    }
}

/// The event `message.publish` of one message.
#[derive(Clone, Copy, Debug)]
pub struct PublishEvent<'a> {
    pub message: &'a Message,
    /// The name of this node.
    pub node: &'a str,
    pub rule_id: &'a str,
}

/// An event besides publications.
#[derive(Clone, Copy, Debug)]
pub struct OccurredEvent<'a> {
    pub occurrence: &'a Occurrence,
    /// [`Occurrence::as_message`]; its payload is the column `payload`, perhaps as a decode plugin made it.
    pub message: &'a Message,
    /// The name of this node.
    pub node: &'a str,
    pub rule_id: &'a str,
}
