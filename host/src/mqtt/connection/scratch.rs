//! Buffers that all connections of a thread share: they are only in use while one of them is polled.
//!
//! This is why an idle connection holds no buffer. Whatever must outlive the poll is taken out or copied.

use std::cell::Cell;

use bytes::BytesMut;

use crate::mqtt::packet::PacketId;
use crate::pipeline::Inbound;

/// One thread's buffers.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// Sockets are read into it; what was read is split off, so that payloads are slices of it.
    pub read: BytesMut,
    /// Packets to write are put together here.
    pub out: BytesMut,
    /// The messages of one socket read.
    pub batch: Vec<Inbound>,
    /// Positions in `batch` of messages that a subscriber here has already.
    pub routed: Vec<u32>,
    /// Positions in `batch` of QoS 2 messages, and their packet ids.
    pub exactly_once: Vec<(usize, PacketId)>,
}

/// More than this is not kept for the next connection.
const KEEP_OUT: usize = 256 << 10;
const KEEP_BATCH: usize = 4096;

thread_local! {
    static SCRATCH: Cell<Option<Box<Scratch>>> = const { Cell::new(None) };
}

/// Lends the thread's buffers to `work`. Called again inside `work` it lends fresh ones.
pub(super) fn with<R>(work: impl FnOnce(&mut Scratch) -> R) -> R {
    let mut scratch = SCRATCH.take().unwrap_or_default();
    let result = work(&mut scratch);
    scratch.out.clear();
    if scratch.out.capacity() > KEEP_OUT {
        scratch.out = BytesMut::new();
    }
    scratch.batch.clear();
    scratch.batch.shrink_to(KEEP_BATCH);
    scratch.routed.clear();
    scratch.exactly_once.clear();
    SCRATCH.set(Some(scratch));
    result
}
