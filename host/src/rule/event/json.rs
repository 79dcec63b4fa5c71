//! An event made of any columns, from a JSON object: for trying rules out. Undefined columns cannot be given.

use super::{Arc, Bytes, Column, Event, Value};
use crate::value::{JsonError, Map};

/// Columns by name.
#[derive(Clone, Debug, Default)]
pub struct JsonEvent {
    columns: Arc<Map>,
}

/// Why a text gives no event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonEventError {
    #[error("the event is {0}")]
    Json(#[from] JsonError),
    #[error("the event must be a JSON object of columns")]
    NoObject,
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
        let kind = entries.remove(b"event_type".as_slice());
        let name = match &kind {
            Some(Value::Str(kind)) => event_name(&String::from_utf8_lossy(kind)),
            _ => String::from("message.publish"),
        };
        let event = entries.entry(Bytes::from_static(b"event")).or_insert_with(|| Value::sym(&name));
        // Event names are symbols, not text.
        if let Value::Str(text) = event {
            *event = Value::sym(&String::from_utf8_lossy(text));
        }
        Ok(JsonEvent { columns })
    }
}

/// `client_check_authz_complete` is the event `client.check_authz_complete`; names that already have a point stay.
fn event_name(kind: &str) -> String {
    match kind {
        "schema_validation_failed" => String::from("schema.validation_failed"),
        "message_transformation_failed" => String::from("message.transformation_failed"),
        _ if kind.starts_with('$') || kind.contains('.') => kind.to_string(),
        _ => kind.replacen('_', ".", 1),
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
