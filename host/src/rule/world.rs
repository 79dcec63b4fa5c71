//! What a rule may ask of the world around it: the time, chance, the environment, what it kept, and help with work that
//! needs a fence around it. Whoever evaluates a rule brings one; nothing in `rule/` asks anybody else.
//!
//! A plan that calls none of the functions behind it never touches it, so bringing one costs nothing.

use std::time::Duration;

use bytes::Bytes;

use super::Functions;
use crate::value::Value;

/// What one evaluation may use besides its event.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The functions that are not built in.
    pub functions: &'a dyn Functions,
    pub world: &'a dyn World,
    /// How long it may take; looked at now and then, and before each call out of the rule.
    pub limit: Duration,
}

/// How long an evaluation may take where nobody has a reason to say otherwise.
pub const EVALUATION_LIMIT: Duration = Duration::from_secs(10);

/// The world as the built-in functions see it. Every method is called by the function that is named at it, each time that
/// a rule calls that function, and must come back soon: a worker waits for it.
pub trait World {
    /// `now_timestamp`, `now_rfc3339`, `format_date`, `mongo_date`: nanoseconds since 1970-01-01 UTC.
    fn now(&self) -> i64;

    /// The zone `local`, and `unix_ts_to_rfc3339`: how far this node's zone is east of UTC at that time, in seconds.
    fn utc_offset(&self, unix_seconds: i64) -> i64;

    /// `random`, `uuid_v4`: 64 bits that nobody can guess from earlier ones.
    fn random(&self) -> u64;

    /// `getenv`: the variable that rules know by this name; they see no other part of the environment.
    fn variable(&self, name: &[u8]) -> Option<Bytes>;

    /// `kv_store_get`, `proc_dict_get`: what is kept under this key.
    fn recall(&self, memory: Memory, key: &[u8]) -> Option<Bytes>;

    /// `kv_store_put`, `proc_dict_put` and, with no content, `kv_store_del`, `proc_dict_del`; gives what was there before.
    ///
    /// # Errors
    /// There is no room for it.
    fn remember(&self, memory: Memory, key: &[u8], content: Option<&[u8]>) -> Result<Option<Bytes>, String>;

    /// `spb_decode`: the topic of the message that the event is about.
    fn topic(&self) -> Option<&str>;

    /// `jq`: all outputs of a program over one JSON text, as a JSON array. Without a limit, the configured one holds.
    ///
    /// # Errors
    /// The program is none, raised an error, or did not end within its limits of time, memory and output.
    fn jq(&self, program: &[u8], input: &[u8], limit: Option<Duration>) -> Result<Bytes, String>;

    /// `schema_encode` and its kin.
    fn schemas(&self) -> &dyn Schemas;
}

/// Schemas, by the names that rules use. Every method answers in bounded time, with the reason when it cannot help.
pub trait Schemas {
    /// The complaint about a name that no schema has.
    fn missing(&self, schema: &str) -> Option<String>;

    /// `schema_encode`. The message is named for Protobuf, and only there.
    fn encode(&self, schema: &str, value: &Value, message: Option<&str>) -> Result<Bytes, String>;

    /// `schema_decode`.
    fn decode(&self, schema: &str, data: &Bytes, message: Option<&str>) -> Result<Value, String>;

    /// `sparkplug_encode`, `spb_encode`; a payload if no other message is named.
    fn sparkplug_encode(&self, value: &Value, message: Option<&str>) -> Result<Bytes, String>;

    /// `sparkplug_decode`, `spb_decode`.
    fn sparkplug_decode(&self, data: &Bytes, message: Option<&str>) -> Result<Value, String>;

    /// `avro_encode`: by the schema of this id in an external registry; not for Protobuf.
    fn registry_encode(&self, registry: &str, id: u32, value: &Value) -> Result<Bytes, String>;

    /// `avro_decode`, and `schema_decode_tagged` with an id.
    fn registry_decode(&self, registry: &str, id: u32, data: &Bytes) -> Result<Value, String>;

    /// `schema_encode_and_tag`: by a schema of our own, under the id that it has below a subject of an external registry.
    fn encode_and_tag(
        &self,
        schema: &str,
        registry: &str,
        value: &Value,
        subject: &str,
        message: Option<&str>,
    ) -> Result<Bytes, String>;

    /// `schema_decode_tagged`, and `avro_decode` without an id.
    fn decode_tagged(&self, registry: &str, data: &Bytes) -> Result<Value, String>;
}

/// Where something is kept between evaluations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Memory {
    /// Shared by all rules of this node, lost with its process.
    Node,
    /// As long as the connection of the client whose event this is.
    Connection,
}

/// A world that stands still, for tests and fuzzers: always the same moment in UTC, numbers in a row, memory of its own.
#[cfg(any(test, fuzzing))]
pub mod still {
    use std::cell::{Cell, RefCell};

    use rustc_hash::FxHashMap;

    use super::{Bytes, Context, Duration, EVALUATION_LIMIT, Memory, Schemas, Value, World};
    use crate::rule::{NoFunctions, jq};

    #[derive(Default)]
    pub struct Still {
        drawn: Cell<u64>,
        kept: RefCell<FxHashMap<(Memory, Vec<u8>), Bytes>>,
    }

    impl Still {
        /// 2023-11-14 22:13:20.123456789 UTC.
        pub const NOW: i64 = 1_700_000_000_123_456_789;

        pub fn context(&self) -> Context<'_> {
            Context { functions: &NoFunctions, world: self, limit: EVALUATION_LIMIT }
        }
    }

    impl World for Still {
        fn now(&self) -> i64 {
            Still::NOW
        }

        fn utc_offset(&self, _: i64) -> i64 {
            0
        }

        fn random(&self) -> u64 {
            self.drawn.set(self.drawn.get().wrapping_add(0x9E37_79B9_7F4A_7C15));
            self.drawn.get()
        }

        fn variable(&self, name: &[u8]) -> Option<Bytes> {
            (name == b"SITE").then(|| Bytes::from_static(b"plant-7"))
        }

        fn recall(&self, memory: Memory, key: &[u8]) -> Option<Bytes> {
            self.kept.borrow().get(&(memory, key.to_vec())).cloned()
        }

        fn remember(&self, memory: Memory, key: &[u8], content: Option<&[u8]>) -> Result<Option<Bytes>, String> {
            let (key, mut kept) = ((memory, key.to_vec()), self.kept.borrow_mut());
            Ok(match content {
                Some(content) => kept.insert(key, Bytes::copy_from_slice(content)),
                None => kept.remove(&key),
            })
        }

        fn topic(&self) -> Option<&str> {
            None
        }

        fn jq(&self, program: &[u8], input: &[u8], _: Option<Duration>) -> Result<Bytes, String> {
            // A program that never ends would be all that a fuzzer finds.
            if cfg!(fuzzing) { Err(String::from("no jq")) } else { jq::run(program, input).map(Bytes::from) }
        }

        fn schemas(&self) -> &dyn Schemas {
            &Nothing
        }
    }

    /// No schema at all.
    struct Nothing;

    impl Nothing {
        fn refuse<T>(&self) -> Result<T, String> {
            Err(String::from("there is no schema"))
        }
    }

    impl Schemas for Nothing {
        fn missing(&self, _: &str) -> Option<String> {
            self.refuse::<()>().err()
        }

        fn encode(&self, _: &str, _: &Value, _: Option<&str>) -> Result<Bytes, String> {
            self.refuse()
        }

        fn decode(&self, _: &str, _: &Bytes, _: Option<&str>) -> Result<Value, String> {
            self.refuse()
        }

        fn sparkplug_encode(&self, _: &Value, _: Option<&str>) -> Result<Bytes, String> {
            self.refuse()
        }

        fn sparkplug_decode(&self, _: &Bytes, _: Option<&str>) -> Result<Value, String> {
            self.refuse()
        }

        fn registry_encode(&self, _: &str, _: u32, _: &Value) -> Result<Bytes, String> {
            self.refuse()
        }

        fn registry_decode(&self, _: &str, _: u32, _: &Bytes) -> Result<Value, String> {
            self.refuse()
        }

        fn encode_and_tag(&self, _: &str, _: &str, _: &Value, _: &str, _: Option<&str>) -> Result<Bytes, String> {
            self.refuse()
        }

        fn decode_tagged(&self, _: &str, _: &Bytes) -> Result<Value, String> {
            self.refuse()
        }
    }
}
