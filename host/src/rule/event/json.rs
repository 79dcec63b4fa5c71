//! An event made of any columns, from a JSON object: for trying rules out. Undefined columns cannot be given, but for
//! those that samples leave undefined.

use super::{Arc, Bytes, Column, Event, Value, sample};
use crate::event::EventKind;
use crate::value::{JsonError, Map};

/// Columns by name.
#[derive(Clone, Debug, Default)]
pub struct JsonEvent {
    kind: EventType,
    columns: Arc<Map>,
}

/// What such an event is, by its `event_type` (rule-sql 5.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EventType {
    /// `message_publish`
    #[default]
    Publication,
    /// `client_connected` and so on: the event's name with `_` for each point.
    Event(EventKind),
    /// `$bridges/mqtt:*`
    Data,
}

impl EventType {
    /// The type of that name, in the form of `event_type` or of the column `event`.
    #[must_use]
    pub fn of(name: &str) -> Option<EventType> {
        let plain = |event: &str| event.replace('.', "_");
        let name = plain(name);
        if name == "message_publish" {
            return Some(EventType::Publication);
        }
        if name.starts_with("$bridges/") || name.starts_with("$sources/") {
            return Some(EventType::Data);
        }
        EventKind::ALL.iter().copied().find(|kind| plain(kind.name()) == name).map(EventType::Event)
    }
}

/// Why a text gives no event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonEventError {
    #[error("the event is {0}")]
    Json(#[from] JsonError),
    #[error("the event must be a JSON object of columns")]
    NoObject,
    #[error(
        "there is no such `event_type`; expected one like \"message_publish\", \"client_connected\" or \"$bridges/mqtt:*\""
    )]
    Type,
}

impl JsonEvent {
    /// The columns of a JSON text.
    pub fn parse(text: &[u8]) -> Result<JsonEvent, JsonEventError> {
        JsonEvent::new(Value::from_json(text)?)
    }

    /// The columns of a map. `event_type` (`message_publish` if absent) is taken out, and gives the column `event` unless
    /// that is there.
    pub fn new(columns: Value) -> Result<JsonEvent, JsonEventError> {
        let Value::Map(mut columns) = columns else { return Err(JsonEventError::NoObject) };
        let entries = Arc::make_mut(&mut columns);
        let said = entries.remove(b"event_type".as_slice());
        let text = |value: &Value| match value {
            Value::Str(text) => Some(String::from_utf8_lossy(text).into_owned()),
            _ => None,
        };
        let kind = match &said {
            Some(said) => text(said).and_then(|said| EventType::of(&said)).ok_or(JsonEventError::Type)?,
            None => {
                let event = entries.get(b"event".as_slice()).and_then(text);
                event.and_then(|event| EventType::of(&event)).unwrap_or_default()
            }
        };
        let name = match kind {
            EventType::Publication => String::from("message.publish"),
            EventType::Event(kind) => kind.name().to_string(),
            EventType::Data => said.as_ref().and_then(text).unwrap_or_default(),
        };
        entries.entry(Bytes::from_static(b"event")).or_insert_with(|| Value::sym(&name));
        for (column, value) in entries.iter_mut() {
            if let Value::Str(text) = value
                && is_symbol(kind, column)
            {
                *value = Value::sym(&String::from_utf8_lossy(text));
            }
        }
        Ok(JsonEvent { kind, columns })
    }

    #[must_use]
    pub fn kind(&self) -> EventType {
        self.kind
    }

    /// Adds EMQX's sample of each column that was not given, such as a payload of `{"msg": "hello"}` (rule-sql 5.1). The
    /// times in it are always the same.
    #[must_use]
    pub fn with_samples(mut self) -> JsonEvent {
        let entries = Arc::make_mut(&mut self.columns);
        for (name, value) in sample::columns(self.kind) {
            entries.entry(Bytes::copy_from_slice(name.as_bytes())).or_insert(value);
        }
        self
    }
}

/// Columns that are symbols in an event that happened (rule-sql 3.1 to 3.17), so that `is_str` says the same of them here.
fn is_symbol(kind: EventType, column: &[u8]) -> bool {
    use EventKind::{CheckAuthzComplete, ClientConnack};
    match column {
        b"event" | b"node" => true,
        b"reason" => matches!(kind, EventType::Event(_)),
        b"reason_code" => kind == EventType::Event(ClientConnack),
        b"action" | b"authz_source" | b"result" => kind == EventType::Event(CheckAuthzComplete),
        _ => false,
    }
}

impl Event for JsonEvent {
    fn column(&self, column: Column) -> Option<Value> {
        self.other(column.name().as_bytes())
    }

    fn other(&self, name: &[u8]) -> Option<Value> {
        self.columns.get(name).cloned()
    }

    fn text(&self, column: Column) -> Option<&[u8]> {
        match self.columns.get(column.name().as_bytes()) {
            Some(Value::Str(text)) => Some(text),
            _ => None,
        }
    }

    fn payload(&self) -> Option<&Bytes> {
        match self.columns.get(b"payload".as_slice()) {
            Some(Value::Str(text)) => Some(text),
            _ => None,
        }
    }

    fn names(&self, visit: &mut dyn FnMut(&str)) {
        self.columns.keys().filter_map(|key| std::str::from_utf8(key).ok()).for_each(visit);
    }

    fn has(&self, name: &[u8]) -> bool {
        self.columns.contains_key(name)
    }
}
