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
