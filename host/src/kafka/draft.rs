//! What the pipeline hands to an action: a record, and who is owed what when it is done.

use crate::ack::AckHandle;
use crate::ledger::Charge;
use crate::message::Record;

/// A record with all that hangs on it.
#[derive(Debug)]
pub struct Draft {
    pub record: Record,
    pub ack: AckHandle,
    pub charge: Charge,
}

impl Draft {
    /// Bytes that Kafka gets of it.
    pub(super) fn weight(&self) -> usize {
        let part = |part: &Option<bytes::Bytes>| part.as_ref().map_or(0, bytes::Bytes::len);
        let headers: usize = self.record.headers.iter().map(|(name, value)| name.len() + part(value)).sum();
        part(&self.record.key) + part(&self.record.value) + headers
    }
}
