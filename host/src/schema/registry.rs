//! A Confluent-compatible schema registry: schemas by id, and the ids of our own schemas under a subject.
//!
//! A schema never changes under its id, nor an id for a schema, so what was learned once is kept for good and is there
//! while the registry is away. Threads aside ask; a worker that needs the answer waits for it, but all waits of a
//! [`WINDOW`] together are no longer than [`PATIENCE`]: a registry that is slow, silent or asked for nonsense by a client
//! holds nobody up. What comes late serves the next message. A failure is believed for a moment.

use std::collections::HashMap;
use std::hash::Hash;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use serde_json::{Value as Json, json};

use super::config::{ExternalConfig, SchemaKind};
use super::http::{Client, Refused, path_segment};
use super::{Schema, Sourced};

/// How long workers wait for one registry, all their waits within a window added up.
const PATIENCE: Duration = Duration::from_secs(1);
const WINDOW: Duration = Duration::from_secs(10);
/// How long a failure is believed.
const FAILURE: Duration = Duration::from_secs(5);
/// Schemas and ids that are kept, each; some that are asked for come from the data of clients.
const MAX_KEPT: usize = 10_000;
/// Requests at one time.
const MAX_FETCHES: usize = 4;

/// One external registry. Clones share what they learned.
#[derive(Clone)]
pub(super) struct Registry(Arc<Inner>);

struct Inner {
    name: String,
    made_from: ExternalConfig,
    client: Client,
    schemas: Answers<u32, Arc<Schema>>,
    ids: Answers<Registration, u32>,
    fetches: Mutex<usize>,
    waits: Mutex<Waits>,
}

/// A schema of ours under a subject of the registry.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Registration {
    subject: String,
    kind: SchemaKind,
    source: Arc<str>,
}

/// What the registry answered, by what it was asked.
struct Answers<K, V> {
    known: Mutex<HashMap<K, Answer<V>>>,
    news: Condvar,
}

#[derive(Clone)]
enum Answer<V> {
    Fetching,
    Known(V),
    /// With the time until which it is believed.
    Failed(String, Instant),
}

impl<K, V> Default for Answers<K, V> {
    fn default() -> Answers<K, V> {
        Answers { known: Mutex::default(), news: Condvar::new() }
    }
}

/// How long workers have waited in the window that began with its first wait.
#[derive(Default)]
struct Waits {
    since: Option<Instant>,
    spent: Duration,
}

impl Waits {
    /// What is left for a wait that begins now.
    fn left(&mut self, now: Instant) -> Duration {
        if self.since.is_none_or(|since| now.saturating_duration_since(since) >= WINDOW) {
            *self = Waits { since: Some(now), spent: Duration::ZERO };
        }
        PATIENCE.saturating_sub(self.spent)
    }
}

impl Registry {
    pub(super) fn new(name: &str, config: &ExternalConfig) -> Result<Registry, (&'static str, String)> {
        let client = Client::new(config)?;
        Ok(Registry(Arc::new(Inner {
            name: name.to_owned(),
            made_from: config.clone(),
            client,
            schemas: Answers::default(),
            ids: Answers::default(),
            fetches: Mutex::new(0),
            waits: Mutex::default(),
        })))
    }

    /// Whether these are its settings.
    pub(super) fn is_from(&self, config: &ExternalConfig) -> bool {
        self.0.made_from == *config
    }

    /// The schema of an id.
    pub(super) fn by_id(&self, id: u32) -> Result<Arc<Schema>, String> {
        ask(&self.0, |inner| &inner.schemas, id, fetch_schema)
            .map_err(|why| format!("the schema {id} of the registry `{}` is not at hand: {why}", self.0.name))
    }

    /// The id of a schema under a subject; it is registered there if it is not yet.
    pub(super) fn id_of(&self, subject: &str, schema: &Sourced) -> Result<u32, String> {
        let registration =
            Registration { subject: subject.to_owned(), kind: schema.kind, source: schema.source.clone() };
        ask(&self.0, |inner| &inner.ids, registration, fetch_id)
            .map_err(|why| format!("no id under the subject `{subject}` of the registry `{}`: {why}", self.0.name))
    }
}

fn fetch_schema(inner: &Inner, id: &u32) -> Result<Arc<Schema>, String> {
    let answer = inner.client.ask(&format!("/schemas/ids/{id}"), None).map_err(|refused| refused.why)?;
    let text = |key| answer.get(key).and_then(Json::as_str);
    let kind = match text("schemaType").unwrap_or("AVRO") {
        "AVRO" => SchemaKind::Avro,
        "PROTOBUF" => SchemaKind::Protobuf,
        "JSON" => SchemaKind::Json,
        other => return Err(format!("it is of type {other:.40}; expected AVRO, PROTOBUF or JSON")),
    };
    if answer.get("references").and_then(Json::as_array).is_some_and(|list| !list.is_empty()) {
        return Err(String::from("it refers to other schemas of the registry, which are not read"));
    }
    Schema::compile(kind, text("schema").ok_or("the answer has no `schema`")?, None).map(Arc::new)
}

fn fetch_id(inner: &Inner, wanted: &Registration) -> Result<u32, String> {
    let mut body = json!({ "schema": &*wanted.source });
    match wanted.kind {
        SchemaKind::Avro => {}
        SchemaKind::Protobuf => body["schemaType"] = json!("PROTOBUF"),
        SchemaKind::Json => body["schemaType"] = json!("JSON"),
    }
    let subject = format!("/subjects/{}", path_segment(&wanted.subject));
    // Whoever may only read finds what others registered.
    let answer = match inner.client.ask(&subject, Some(&body)) {
        Err(Refused { status: Some(404), .. }) => inner.client.ask(&format!("{subject}/versions"), Some(&body)),
        other => other,
    };
    let answer = answer.map_err(|refused| refused.why)?;
    let id = answer.get("id").and_then(Json::as_u64).and_then(|id| u32::try_from(id).ok());
    id.ok_or_else(|| String::from("the answer has no `id`"))
}

/// The answer that is known, or the one that comes soon enough.
fn ask<K, V>(
    inner: &Arc<Inner>,
    answers: fn(&Inner) -> &Answers<K, V>,
    key: K,
    fetch: fn(&Inner, &K) -> Result<V, String>,
) -> Result<V, String>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + Send + 'static,
{
    let Answers { known, news } = answers(inner);
    let mut known = known.lock();
    let now = Instant::now();
    match known.get(&key) {
        Some(Answer::Known(value)) => return Ok(value.clone()),
        Some(Answer::Failed(why, until)) if now < *until => return Err(why.clone()),
        Some(Answer::Fetching) => {}
        _ => {
            make_room(&mut known, now)?;
            start(inner, answers, key.clone(), fetch)?;
            known.insert(key.clone(), Answer::Fetching);
        }
    }
    let deadline = now + inner.waits.lock().left(now);
    let answer = loop {
        match known.get(&key) {
            Some(Answer::Known(value)) => break Ok(value.clone()),
            Some(Answer::Failed(why, _)) => break Err(why.clone()),
            _ => {}
        }
        if Instant::now() >= deadline {
            break Err(String::from("the registry has not answered yet"));
        }
        let _ = news.wait_until(&mut known, deadline);
    };
    inner.waits.lock().spent += now.elapsed();
    answer
}

/// Failures make room, the old ones first; what is known stays.
fn make_room<K, V>(known: &mut HashMap<K, Answer<V>>, now: Instant) -> Result<(), String> {
    if known.len() >= MAX_KEPT {
        known.retain(|_, answer| !matches!(answer, Answer::Failed(_, until) if *until <= now));
    }
    if known.len() >= MAX_KEPT {
        known.retain(|_, answer| !matches!(answer, Answer::Failed(..)));
    }
    if known.len() >= MAX_KEPT { Err(format!("{MAX_KEPT} others are kept already")) } else { Ok(()) }
}

/// Asks on a thread of its own, which ends with the request; the request has a time limit.
fn start<K, V>(
    inner: &Arc<Inner>,
    answers: fn(&Inner) -> &Answers<K, V>,
    key: K,
    fetch: fn(&Inner, &K) -> Result<V, String>,
) -> Result<(), String>
where
    K: Eq + Hash + Send + 'static,
    V: Clone + Send + 'static,
{
    let mut fetches = inner.fetches.lock();
    if *fetches >= MAX_FETCHES {
        return Err(String::from("the registry is busy with other requests"));
    }
    let shared = inner.clone();
    let run = move || {
        // A library that panics over what a registry sent must not leave the question open for ever.
        let answer = catch_unwind(AssertUnwindSafe(|| fetch(&shared, &key)));
        let answer = match answer.unwrap_or_else(|_| Err(String::from("the schema cannot be read"))) {
            Ok(value) => Answer::Known(value),
            Err(why) => Answer::Failed(why, Instant::now() + FAILURE),
        };
        *shared.fetches.lock() -= 1;
        let Answers { known, news } = answers(&shared);
        known.lock().insert(key, answer);
        news.notify_all();
    };
    std::thread::Builder::new().name("schema-registry".to_owned()).spawn(run).map_err(|error| error.to_string())?;
    *fetches += 1;
    Ok(())
}

#[cfg(test)]
mod tests;
