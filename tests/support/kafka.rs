//! A real Kafka, set up by `kafka.sh` and owned by the test: killed, frozen and started again on the same data.
//! Ordinary tests share one and take a topic each; a test that harms Kafka starts its own.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use std::{fs, pin, task};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message};
use rdkafka::{Offset, TopicPartitionList};

use crate::process::{Process, Signal};
use crate::scratch::Scratch;
use crate::wait::{eventually, until};

/// Starting takes 2.5 s on two idle cores; recovery of a killed one and two busy cores take their time.
const START_LIMIT: Duration = Duration::from_secs(120);
/// One question to a Kafka that answers.
const ASK_LIMIT: Duration = Duration::from_secs(20);

/// One record as a consumer sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub partition: i32,
    pub offset: i64,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(String, Option<Vec<u8>>)>,
    /// Milliseconds since 1970.
    pub timestamp: Option<i64>,
}

impl Record {
    /// The value as text; panics when it has none or is not UTF-8.
    #[must_use]
    pub fn text(&self) -> &str {
        str::from_utf8(self.value.as_deref().expect("a record with a value")).expect("a value in UTF-8")
    }
}

#[derive(Debug)]
pub struct Kafka {
    process: Option<Process>,
    scratch: Scratch,
    /// `host:port` of the listener without TLS.
    pub plaintext: String,
    /// `host:port` of the listener that asks for a user and a password over TLS.
    pub sasl_ssl: String,
}

/// The user of the SASL_SSL listener, as Confluent's API keys are.
pub const API_KEY: &str = "API_KEY";
pub const API_SECRET: &str = "api-secret";

impl Kafka {
    /// The Kafka that all ordinary tests of this program share. Do not harm it.
    pub fn shared() -> &'static Kafka {
        static SHARED: OnceLock<Kafka> = OnceLock::new();
        SHARED.get_or_init(|| {
            let kafka = Kafka::start();
            kafka.scratch.remove_at_exit();
            kafka
        })
    }

    /// A Kafka of one's own, answering.
    #[must_use]
    pub fn start() -> Kafka {
        let mut kafka = Kafka::prepare();
        kafka.run();
        kafka
    }

    /// Chosen ports and formatted storage, but nobody at home.
    #[must_use]
    pub fn prepare() -> Kafka {
        let scratch = Scratch::new("kafka");
        let dir = scratch.path().to_str().expect("a path in UTF-8");
        let prepared = Command::new(script()).args(["prepare", dir]).output().expect("kafka.sh runs");
        assert!(prepared.status.success(), "kafka.sh prepare: {}", String::from_utf8_lossy(&prepared.stderr));
        let env = fs::read_to_string(scratch.path().join("kafka.env")).expect("kafka.sh writes kafka.env");
        let address = |key: &str| {
            let line = env.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
            line.unwrap_or_else(|| panic!("no {key} in kafka.env")).to_string()
        };
        let (plaintext, sasl_ssl) = (address("PLAINTEXT"), address("SASL_SSL"));
        Kafka { process: None, scratch, plaintext, sasl_ssl }
    }

    /// Starts it on its data and its ports, and waits until it answers.
    pub fn run(&mut self) {
        let dir = self.scratch.path().to_str().expect("a path in UTF-8");
        let log = self.scratch.path().join("kafka.log");
        self.process = Some(Process::spawn("Kafka", &script(), &["run", dir], &log));
        let consumer = self.consumer();
        until("Kafka to answer", START_LIMIT, || {
            let process = self.process.as_mut().expect("it was started");
            assert!(process.ended().is_none(), "Kafka stopped");
            consumer.fetch_metadata(None, Duration::from_secs(1)).is_ok()
        });
    }

    /// kill -9: no controlled shutdown, no flush.
    pub fn kill(&mut self) {
        self.process().kill();
    }

    /// Freezes it: connections stay, answers stop.
    pub fn freeze(&mut self) {
        self.process().signal(Signal::STOP);
    }

    /// Lets a frozen one go on.
    pub fn thaw(&mut self) {
        self.process().signal(Signal::CONT);
    }

    fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("Kafka was started")
    }

    /// The certificate that its SASL_SSL listener is to be checked with.
    #[must_use]
    pub fn ca_file(&self) -> PathBuf {
        self.scratch.path().join("tls/ca.pem")
    }

    /// Creates a topic with a name of its own that starts with `name`, and waits until its partitions have leaders.
    #[must_use]
    pub fn topic(&self, name: &str, partitions: i32) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let topic = format!("{name}-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        self.create_topic(&topic, partitions, &[]);
        topic
    }

    /// Creates `topic` with exactly this name and these settings.
    pub fn create_topic(&self, topic: &str, partitions: i32, settings: &[(&str, &str)]) {
        let admin: AdminClient<DefaultClientContext> = self.client().create().expect("an admin client");
        let mut new = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
        for (key, value) in settings {
            new = new.set(key, value);
        }
        let options = AdminOptions::new().operation_timeout(Some(ASK_LIMIT));
        let created = block_on(admin.create_topics([&new], &options)).expect("Kafka answers");
        for one in created {
            one.unwrap_or_else(|(topic, code)| panic!("topic {topic} was not created: {code}"));
        }
        let consumer = self.consumer();
        until("leaders of the new topic", ASK_LIMIT, || {
            let known = consumer.fetch_metadata(Some(topic), ASK_LIMIT);
            known.is_ok_and(|known| {
                let partitions_known = known.topics().first().map_or(&[][..], |topic| topic.partitions());
                partitions_known.len() == partitions as usize && partitions_known.iter().all(|p| p.leader() >= 0)
            })
        });
    }

    /// How many records `topic` holds now, over all partitions.
    #[must_use]
    pub fn count(&self, topic: &str) -> u64 {
        let consumer = self.consumer();
        partitions(&consumer, topic)
            .into_iter()
            .map(|partition| {
                let marks = consumer.fetch_watermarks(topic, partition, ASK_LIMIT).expect("watermarks");
                (marks.1 - marks.0).unsigned_abs()
            })
            .sum()
    }

    /// All records that `topic` holds now, each partition in its order.
    #[must_use]
    pub fn read(&self, topic: &str) -> Vec<Record> {
        let consumer = self.consumer();
        let mut assignment = TopicPartitionList::new();
        let mut missing = 0;
        for partition in partitions(&consumer, topic) {
            let (low, high) = consumer.fetch_watermarks(topic, partition, ASK_LIMIT).expect("watermarks");
            missing += high - low;
            assignment.add_partition_offset(topic, partition, Offset::Beginning).expect("a partition");
        }
        consumer.assign(&assignment).expect("partitions that were just listed");
        let mut records = Vec::new();
        let start = Instant::now();
        while missing > 0 {
            assert!(start.elapsed() < START_LIMIT, "{missing} records of {topic} cannot be read");
            let Some(message) = consumer.poll(Duration::from_millis(200)) else { continue };
            let message = message.unwrap_or_else(|error| panic!("reading {topic}: {error}"));
            missing -= 1;
            let headers = message.headers().map_or_else(Vec::new, |headers| {
                headers.iter().map(|h| (h.key.to_string(), h.value.map(<[u8]>::to_vec))).collect()
            });
            records.push(Record {
                partition: message.partition(),
                offset: message.offset(),
                key: message.key().map(<[u8]>::to_vec),
                value: message.payload().map(<[u8]>::to_vec),
                headers,
                timestamp: message.timestamp().to_millis(),
            });
        }
        records
    }

    /// All records of `topic`, as soon as it holds `count` or more.
    #[must_use]
    pub fn read_at_least(&self, topic: &str, count: u64) -> Vec<Record> {
        eventually(&format!("{count} records in {topic}"), ASK_LIMIT, || (self.count(topic) >= count).then_some(()));
        self.read(topic)
    }

    fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.plaintext);
        config.set("reconnect.backoff.max.ms", "200").set("log_level", "0");
        config
    }

    fn consumer(&self) -> BaseConsumer {
        let mut config = self.client();
        config.set("group.id", "tests").set("enable.auto.commit", "false").set("check.crcs", "true");
        config.create().expect("a consumer")
    }
}

fn partitions(consumer: &BaseConsumer, topic: &str) -> Vec<i32> {
    let known = consumer.fetch_metadata(Some(topic), ASK_LIMIT).expect("Kafka answers");
    known.topics().iter().flat_map(|topic| topic.partitions().iter().map(|p| p.id())).collect()
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("support/kafka.sh")
}

/// Waits for one future without a runtime: librdkafka's own threads complete it.
fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin::pin!(future);
    let mut context = task::Context::from_waker(task::Waker::noop());
    let mut poll = || match future.as_mut().poll(&mut context) {
        task::Poll::Ready(output) => Some(output),
        task::Poll::Pending => None,
    };
    eventually("an answer of Kafka's", 2 * ASK_LIMIT, &mut poll)
}
