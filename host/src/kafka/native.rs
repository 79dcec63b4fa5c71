//! The only unsafe code of the Kafka side: records into librdkafka, delivery reports out of it, a run at a time.
//!
//! rdkafka's own `send` looks the topic up by name and copies that name for every record, and its `poll` tells nobody
//! where a run of delivery reports ends, so a connection would be woken for each. Both are done here on the handles
//! that rdkafka owns. What goes along with a record is an index, never a pointer, so a wrong one cannot be followed.

#![allow(unsafe_code)]

use std::collections::HashMap;
use std::ffi::{CStr, CString, c_void};
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use rdkafka::bindings as native;
use rdkafka::client::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::error::KafkaError as RdError;
use rdkafka::producer::{BaseProducer, DeliveryResult, Producer, ProducerContext};
use rdkafka::util::IntoOpaque;

pub(super) use native::rd_kafka_resp_err_t as Code;

/// At most so many topic handles are kept; a dynamic topic beyond that replaces them all.
const MAX_TOPICS: usize = 10_000;

/// librdkafka's `RD_KAFKA_PARTITION_UA`: its partitioner chooses.
const UNASSIGNED: i32 = -1;

/// A record's place in the send window, as librdkafka carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticket(pub(super) usize);

impl IntoOpaque for Ticket {
    fn into_ptr(self) -> *mut c_void {
        ptr::without_provenance_mut(self.0)
    }

    unsafe fn from_ptr(pointer: *mut c_void) -> Ticket {
        Ticket(pointer.addr())
    }
}

/// One record, borrowed for the time of the call; librdkafka copies it.
pub(super) struct Outgoing<'a> {
    pub(super) topic: &'a Arc<str>,
    /// `None`: librdkafka chooses, as `partitioner` says.
    pub(super) partition: Option<i32>,
    pub(super) key: Option<&'a [u8]>,
    pub(super) value: Option<&'a [u8]>,
    pub(super) headers: &'a [(Arc<str>, Option<bytes::Bytes>)],
    /// Milliseconds since 1970-01-01 UTC; `None` or 0: now.
    pub(super) timestamp: Option<i64>,
    pub(super) ticket: Ticket,
}

/// What the producer's queue gave.
pub(super) enum Event<'a> {
    /// A run of delivery reports.
    Reports(&'a mut dyn Iterator<Item = (Ticket, Code)>),
    Error(Code, String),
    /// A line of the log and its syslog level.
    Log(i32, String),
}

/// Sees what librdkafka reports outside [`NativeProducer::poll`]: rdkafka's drop polls once more after a purge.
pub(super) struct Context<F>(pub(super) F);

impl<F: Fn(Ticket, Code) + Send + Sync> ClientContext for Context<F> {}

impl<F: Fn(Ticket, Code) + Send + Sync> ProducerContext for Context<F> {
    type DeliveryOpaque = Ticket;

    fn delivery(&self, result: &DeliveryResult<'_>, ticket: Ticket) {
        let code = match result {
            Ok(_) => Code::RD_KAFKA_RESP_ERR_NO_ERROR,
            Err((error, _)) => error.rdkafka_error_code().map_or(Code::RD_KAFKA_RESP_ERR__FAIL, code_of),
        };
        (self.0)(ticket, code);
    }
}

fn code_of(code: rdkafka::types::RDKafkaErrorCode) -> Code {
    // The two enumerations are one list; rdkafka converts in the other direction only.
    if code == rdkafka::types::RDKafkaErrorCode::PurgeInflight {
        Code::RD_KAFKA_RESP_ERR__PURGE_INFLIGHT
    } else if code == rdkafka::types::RDKafkaErrorCode::PurgeQueue {
        Code::RD_KAFKA_RESP_ERR__PURGE_QUEUE
    } else {
        Code::RD_KAFKA_RESP_ERR__FAIL
    }
}

struct TopicHandle(NonNull<native::rd_kafka_topic_t>);
// SAFETY: librdkafka's topic handles are reference counted and may be used from any thread (rdkafka.h, "thread safety").
unsafe impl Send for TopicHandle {}
// SAFETY: as above.
unsafe impl Sync for TopicHandle {}

impl Drop for TopicHandle {
    fn drop(&mut self) {
        // SAFETY: the handle came from `rd_kafka_topic_new` and is given back once.
        unsafe { native::rd_kafka_topic_destroy(self.0.as_ptr()) }
    }
}

struct QueueHandle(NonNull<native::rd_kafka_queue_t>);
// SAFETY: librdkafka's queues are locked inside.
unsafe impl Send for QueueHandle {}
// SAFETY: as above.
unsafe impl Sync for QueueHandle {}

impl Drop for QueueHandle {
    fn drop(&mut self) {
        // SAFETY: the handle came from `rd_kafka_queue_get_main`, which took a reference for us.
        unsafe { native::rd_kafka_queue_destroy(self.0.as_ptr()) }
    }
}

/// An rdkafka producer with the two hot calls done directly.
pub(super) struct NativeProducer<F: Fn(Ticket, Code) + Send + Sync + 'static> {
    // Dropped in this order: handles before the client that they belong to.
    topics: RwLock<HashMap<Arc<str>, TopicHandle, rustc_hash::FxBuildHasher>>,
    queue: QueueHandle,
    producer: BaseProducer<Context<F>>,
}

impl<F: Fn(Ticket, Code) + Send + Sync + 'static> NativeProducer<F> {
    pub(super) fn new(config: &ClientConfig, reported_late: F) -> Result<NativeProducer<F>, String> {
        let producer: BaseProducer<Context<F>> =
            config.create_with_context(Context(reported_late)).map_err(|error: RdError| error.to_string())?;
        // SAFETY: the client lives as long as `producer`, which is dropped after the queue.
        let queue = unsafe { native::rd_kafka_queue_get_main(producer.client().native_ptr()) };
        let queue = NonNull::new(queue).ok_or("librdkafka has no main queue")?;
        Ok(NativeProducer { topics: RwLock::default(), queue: QueueHandle(queue), producer })
    }

    /// For the rare calls: metadata, purge, in-flight count.
    pub(super) fn producer(&self) -> &BaseProducer<Context<F>> {
        &self.producer
    }

    /// Hands one record over. It will come back as a delivery report with its ticket, unless an error is returned now.
    pub(super) fn produce(&self, record: &Outgoing<'_>) -> Result<(), Code> {
        let topics = self.topics.read();
        if let Some(topic) = topics.get(record.topic) {
            return self.produce_to(topic, record);
        }
        drop(topics);
        let Ok(name) = CString::new(record.topic.as_bytes()) else {
            return Err(Code::RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION);
        };
        // SAFETY: client and name outlive the call; a null configuration means the client's default.
        let topic =
            unsafe { native::rd_kafka_topic_new(self.producer.client().native_ptr(), name.as_ptr(), ptr::null_mut()) };
        let topic = TopicHandle(NonNull::new(topic).ok_or(Code::RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION)?);
        let outcome = self.produce_to(&topic, record);
        let mut topics = self.topics.write();
        if topics.len() >= MAX_TOPICS {
            topics.clear();
        }
        topics.insert(record.topic.clone(), topic);
        outcome
    }

    fn produce_to(&self, topic: &TopicHandle, record: &Outgoing<'_>) -> Result<(), Code> {
        use native::rd_kafka_vtype_t::*;
        let bytes = |part: Option<&[u8]>| match part {
            // An empty slice may dangle; librdkafka tells null from empty by the pointer, so give it a real one.
            Some([]) => (c"".as_ptr().cast::<c_void>(), 0),
            Some(part) => (part.as_ptr().cast::<c_void>(), part.len()),
            None => (ptr::null(), 0),
        };
        let (value, value_len) = bytes(record.value);
        let (key, key_len) = bytes(record.key);
        let headers = headers_of(record.headers)?;
        // SAFETY: the tags and the types behind them are those of rd_kafka_vtype_t; MSG_F_COPY makes librdkafka copy
        // key and value before it returns; on success it owns the headers, on failure we still do.
        let code = unsafe {
            native::rd_kafka_producev(
                self.producer.client().native_ptr(),
                RD_KAFKA_VTYPE_RKT,
                topic.0.as_ptr(),
                RD_KAFKA_VTYPE_PARTITION,
                record.partition.unwrap_or(UNASSIGNED),
                RD_KAFKA_VTYPE_MSGFLAGS,
                native::RD_KAFKA_MSG_F_COPY,
                RD_KAFKA_VTYPE_VALUE,
                value,
                value_len,
                RD_KAFKA_VTYPE_KEY,
                key,
                key_len,
                RD_KAFKA_VTYPE_OPAQUE,
                record.ticket.into_ptr(),
                RD_KAFKA_VTYPE_TIMESTAMP,
                record.timestamp.unwrap_or(0),
                RD_KAFKA_VTYPE_HEADERS,
                headers,
                RD_KAFKA_VTYPE_END,
            )
        };
        if code == Code::RD_KAFKA_RESP_ERR_NO_ERROR {
            return Ok(());
        }
        if !headers.is_null() {
            // SAFETY: not taken over, as said above.
            unsafe { native::rd_kafka_headers_destroy(headers) };
        }
        Err(code)
    }

    /// Waits up to `patience` for the next event and shows it to `seen`. False: nothing came.
    pub(super) fn poll(&self, patience: Duration, seen: impl FnOnce(Event<'_>)) -> bool {
        let millis = i32::try_from(patience.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: the queue is ours; the event is destroyed below by its guard.
        let event = unsafe { native::rd_kafka_queue_poll(self.queue.0.as_ptr(), millis) };
        let Some(event) = NonNull::new(event) else { return false };
        let event = EventGuard(event);
        // SAFETY: `event` is alive in this scope; the strings belong to it and are copied.
        unsafe {
            match native::rd_kafka_event_type(event.0.as_ptr()) {
                native::RD_KAFKA_EVENT_DR => seen(Event::Reports(&mut Reports(&event))),
                native::RD_KAFKA_EVENT_ERROR => {
                    let text = native::rd_kafka_event_error_string(event.0.as_ptr());
                    seen(Event::Error(native::rd_kafka_event_error(event.0.as_ptr()), text_of(text)));
                }
                native::RD_KAFKA_EVENT_LOG => {
                    let (mut facility, mut text, mut level) = (ptr::null(), ptr::null(), 0);
                    if native::rd_kafka_event_log(event.0.as_ptr(), &mut facility, &mut text, &mut level) == 0 {
                        let line = format!("{}: {}", text_of(facility), text_of(text));
                        seen(Event::Log(level, line));
                    }
                }
                _ => {}
            }
        }
        true
    }
}

/// # Safety
/// `text` is null or a C string that lives during the call.
unsafe fn text_of(text: *const std::ffi::c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: asked of the caller.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().trim().to_owned()
}

/// librdkafka's list of headers, or null for none.
fn headers_of(headers: &[(Arc<str>, Option<bytes::Bytes>)]) -> Result<*mut native::rd_kafka_headers_t, Code> {
    if headers.is_empty() {
        return Ok(ptr::null_mut());
    }
    // SAFETY: names and values are copied by the call; their lengths are given, so they need no terminator.
    unsafe {
        let list = native::rd_kafka_headers_new(headers.len());
        for (name, value) in headers {
            let (pointer, len) = value.as_ref().map_or((ptr::null(), 0), |v| (v.as_ptr(), v.len()));
            let code = native::rd_kafka_header_add(
                list,
                name.as_ptr().cast(),
                name.len() as isize,
                pointer.cast(),
                len as isize,
            );
            if code != Code::RD_KAFKA_RESP_ERR_NO_ERROR {
                native::rd_kafka_headers_destroy(list);
                return Err(code);
            }
        }
        Ok(list)
    }
}

struct EventGuard(NonNull<native::rd_kafka_event_t>);

impl Drop for EventGuard {
    fn drop(&mut self) {
        // SAFETY: came from `rd_kafka_queue_poll`, destroyed once.
        unsafe { native::rd_kafka_event_destroy(self.0.as_ptr()) }
    }
}

struct Reports<'a>(&'a EventGuard);

impl Iterator for Reports<'_> {
    type Item = (Ticket, Code);

    fn next(&mut self) -> Option<(Ticket, Code)> {
        // SAFETY: the event is alive; the message that it lends is read before the next call.
        unsafe {
            let message = native::rd_kafka_event_message_next(self.0.0.as_ptr());
            message.as_ref().map(|message| (Ticket::from_ptr(message._private), message.err))
        }
    }
}
