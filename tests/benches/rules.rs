//! What the rule language costs: nanoseconds and, under callgrind, instructions of one evaluation, one thread, no I/O.
//!
//!     cargo run --release --bin rule-cost                      all cases, by the clock
//!     cargo run --release --bin rule-cost -- NAME              the cases whose name holds NAME
//!     cargo run --release --bin rule-cost -- --instructions    the same, counted by valgrind; slow, and the same each time
//!
//! It measures the host's library itself. Payloads look like telemetry: ten fields, a nested object, a short list.

use std::hint::black_box;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use bytes::Bytes;
use millstream::message::{Client, ClientId, Message, MessageId, ProtocolVersion, QoS};
use millstream::rule::{
    Context as Surroundings, EVALUATION_LIMIT, Memory, NoFunctions, Plan, PublishEvent, Row, Schemas, Template, World,
    compile,
};
use millstream::schema;
use millstream::topic::{FilterIndex, TopicFilter, TopicName};
use millstream::value::Value;
use millstream::value::scan::PathSet;

/// As in the product.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What is measured.
type Run = Box<dyn FnMut()>;
/// A name, and what makes ready: only the cases that are asked for are made.
type Case = (String, Box<dyn Fn() -> anyhow::Result<Run>>);

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["--count", count, name] => repeat(name, count.parse()?),
        ["--instructions"] => instructions(""),
        ["--instructions", part] => instructions(part),
        [] => clock(""),
        [part] => clock(part),
        _ => anyhow::bail!("usage: rule-cost [--instructions] [NAME]"),
    }
}

fn clock(part: &str) -> anyhow::Result<()> {
    println!("{:<44}{:>12}", "case", "ns each");
    for (name, make) in cases().into_iter().filter(|(name, _)| name.contains(part)) {
        println!("{name:<44}{:>12.1}", nanoseconds(&mut *make()?));
    }
    Ok(())
}

/// The median over many short runs: what else the machine does meets few of them.
fn nanoseconds(run: &mut dyn FnMut()) -> f64 {
    const EACH: u32 = 200;
    let mut times = Vec::new();
    let end = Instant::now() + Duration::from_millis(700);
    while Instant::now() < end {
        let start = Instant::now();
        for _ in 0..EACH {
            run();
        }
        times.push(start.elapsed());
    }
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1e9 / f64::from(EACH)
}

fn repeat(wanted: &str, count: usize) -> anyhow::Result<()> {
    let (_, make) = cases().into_iter().find(|(name, _)| name == wanted).context("there is no such case")?;
    let mut run = make()?;
    (0..count).for_each(|_| run());
    Ok(())
}

/// Counts two runs of different length; what starting costs is in both.
fn instructions(part: &str) -> anyhow::Result<()> {
    const SHORT: u64 = 200;
    println!("{:<44}{:>12}", "case", "instructions");
    for (name, _) in cases().into_iter().filter(|(name, _)| name.contains(part)) {
        let (short, long) = (counted(&name, SHORT)?, counted(&name, 2 * SHORT)?);
        println!("{name:<44}{:>12}", long.saturating_sub(short) / SHORT);
    }
    Ok(())
}

fn counted(name: &str, count: u64) -> anyhow::Result<u64> {
    let own = std::env::current_exe()?;
    let run = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(own)
        .args(["--count", &count.to_string(), name])
        .output()
        .context("cannot run valgrind")?;
    let said = String::from_utf8_lossy(&run.stderr);
    ensure!(run.status.success(), "valgrind failed: {said}");
    let total = said.lines().find_map(|line| line.split_once("Collected : ")).context("valgrind counted nothing")?;
    Ok(total.1.trim().parse()?)
}

fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    let mut add = |name: String, make: Box<dyn Fn() -> anyhow::Result<Run>>| cases.push((name, make));

    for (size, bytes) in [("256 B", 256), ("1 KiB", 1024)] {
        for (name, sql) in [
            ("WHERE on one field", "SELECT * FROM \"t/#\" WHERE payload.temp > 20"),
            ("WHERE false", "SELECT * FROM \"t/#\" WHERE payload.temp > 99"),
            (
                "three fields, two functions",
                "SELECT clientid, upper(payload.status) AS s, round(payload.temp) AS t FROM \"t/#\"",
            ),
        ] {
            add(format!("{name}, {size}"), Box::new(move || evaluated(sql, &telemetry(bytes))));
        }
        for (name, text) in [("SELECT * to JSON", "${.}"), ("SELECT * to ${payload}", "${payload}")] {
            let make = move || rendered("SELECT * FROM \"t/#\"", text, &telemetry(bytes));
            add(format!("{name}, {size}"), Box::new(make));
        }
    }
    let foreach = "FOREACH payload.m AS s DO s.id AS id, s.v AS v INCASE s.v > 1 FROM \"t/#\"";
    add(String::from("FOREACH of 100, 80 pass"), Box::new(move || evaluated(foreach, &hundred())));
    for (name, text) in [
        ("template ${clientid}", "${clientid}"),
        ("template of two columns", "${clientid}/${topic}"),
        ("template ${payload.temp}", "${payload.temp}"),
        ("template of JSON, three placeholders", "{\"id\":\"${clientid}\",\"t\":${payload.temp},\"q\":${qos}}"),
    ] {
        add(name.to_owned(), Box::new(move || template_alone(text, &telemetry(256))));
    }
    for rules in [10, 10_000] {
        add(format!("one rule of {rules} matches"), Box::new(move || one_of_many(rules, "press", 1)));
        add(format!("none of {rules} rules matches"), Box::new(move || one_of_many(rules, "lathe", 0)));
    }
    for (size, bytes) in [("256 B", 256), ("1 KiB", 1024)] {
        for (name, scan) in scanners() {
            add(format!("{name}, {size}"), Box::new(move || Ok(scan(telemetry(bytes)))));
        }
    }
    cases
}

/// A list of 100 objects, 80 of them with `v` over 1.
fn hundred() -> Bytes {
    let list: Vec<String> = (0..100).map(|n| format!("{{\"id\":{n},\"v\":{}.5}}", n % 5)).collect();
    Bytes::from(format!("{{\"m\":[{}]}}", list.join(",")))
}

/// Telemetry of about this many bytes; what varies with the size are more readings, not one long text.
fn telemetry(bytes: usize) -> Bytes {
    let mut text = String::from(
        "{\"device\":\"press-0042\",\"ts\":1765432100100,\"seq\":12345,\"status\":\"ok\",\"loc\":{\"lat\":52.52,\"lon\":13.405},\
         \"tags\":[\"hot\",\"new\"],\"temp\":21.5,\"hum\":40.25",
    );
    for n in 0.. {
        let reading = format!(",\"r{n}\":{}.{}", n * 7 % 100, n % 10);
        if text.len() + reading.len() + 10 > bytes {
            break;
        }
        text += &reading;
    }
    let pad = bytes.saturating_sub(text.len() + 8);
    Bytes::from(format!("{text},\"p\":\"{}\"}}", "x".repeat(pad)))
}

fn plan(sql: &str) -> anyhow::Result<Plan> {
    compile(sql, &NoFunctions).map_err(|problems| anyhow::anyhow!("{sql}: {problems:?}"))
}

fn template(text: &str) -> anyhow::Result<Template> {
    Template::parse(text).map_err(|problem| anyhow::anyhow!("{text}: {problem}"))
}

fn evaluated(sql: &str, payload: &Bytes) -> anyhow::Result<Run> {
    let (plan, message) = (plan(sql)?, message("t/1", payload)?);
    Ok(Box::new(move || {
        let event = PublishEvent { message: &message, node: "edge-1", rule_id: "bench" };
        let mut rows = Vec::new();
        let done = plan.evaluate(&event, CONTEXT, &mut rows);
        assert!(done.is_ok());
        black_box(&rows);
    }))
}

fn rendered(sql: &str, text: &str, payload: &Bytes) -> anyhow::Result<Run> {
    let (plan, template, message) = (plan(sql)?, template(text)?, message("t/1", payload)?);
    Ok(Box::new(move || {
        let event = PublishEvent { message: &message, node: "edge-1", rule_id: "bench" };
        let mut rows = Vec::new();
        let done = plan.evaluate(&event, CONTEXT, &mut rows);
        assert!(done.is_ok() && rows.len() == 1);
        black_box(template.render_bytes(&rows[0]));
    }))
}

/// The row is there already.
fn template_alone(text: &str, payload: &Bytes) -> anyhow::Result<Run> {
    let (plan, template) = (plan("SELECT * FROM \"t/#\"")?, template(text)?);
    // Lives as long as the program: the row borrows both.
    let message: &'static Message = Box::leak(Box::new(message("t/1", payload)?));
    let event: &'static PublishEvent<'static> =
        Box::leak(Box::new(PublishEvent { message, node: "edge-1", rule_id: "bench" }));
    let mut rows: Vec<Row<'static>> = Vec::new();
    plan.evaluate(event, CONTEXT, &mut rows)?;
    Ok(Box::new(move || {
        black_box(template.render_bytes(&rows[0]));
    }))
}

/// Finding the rules of a message and running those that match, as the pipeline does.
fn one_of_many(count: usize, machine: &str, expected: usize) -> anyhow::Result<Run> {
    let mut index = FilterIndex::new();
    let mut plans = Vec::new();
    for n in 0..count {
        let filter = format!("plant/{n}/+/press");
        index.insert(&TopicFilter::new(&filter)?, plans.len());
        plans.push(plan(&format!("SELECT * FROM \"{filter}\" WHERE payload.temp > 20"))?);
    }
    let message = message(&format!("plant/{}/a/{machine}", count / 2), &telemetry(256))?;
    Ok(Box::new(move || {
        let event = PublishEvent { message: &message, node: "edge-1", rule_id: "bench" };
        let mut rows = Vec::new();
        index.for_each_match(message.topic.as_str(), |rule| {
            let done = plans[*rule].evaluate(&event, CONTEXT, &mut rows);
            assert!(done.is_ok());
        });
        assert_eq!(rows.len(), expected);
        black_box(&rows);
    }))
}

/// What runs over a payload.
type Scan = fn(Bytes) -> Run;

/// One field out of a payload that is checked whole, and the whole document.
fn scanners() -> Vec<(&'static str, Scan)> {
    vec![
        ("scan: one field, ours", |text| {
            let paths = PathSet::new(true, [&[&b"temp"[..]][..]]);
            Box::new(move || {
                let mut found = [Value::Undefined];
                assert!(paths.extract(&text, &mut found).is_ok());
                assert_eq!(found[0], Value::Float(21.5));
            })
        }),
        ("scan: whole, ours", |text| Box::new(move || drop(black_box(Value::from_json_shared(&text))))),
        ("scan: whole, serde_json", |text| {
            Box::new(move || drop(black_box(serde_json::from_slice::<serde_json::Value>(&text))))
        }),
    ]
}

/// A world that no rule here asks anything of.
struct Nowhere;

const CONTEXT: Surroundings<'static> =
    Surroundings { functions: &NoFunctions, world: &Nowhere, limit: EVALUATION_LIMIT };

impl World for Nowhere {
    fn now(&self) -> i64 {
        0
    }

    fn utc_offset(&self, _: i64) -> i64 {
        0
    }

    fn random(&self) -> u64 {
        0
    }

    fn variable(&self, _: &[u8]) -> Option<Bytes> {
        None
    }

    fn recall(&self, _: Memory, _: &[u8]) -> Option<Bytes> {
        None
    }

    fn remember(&self, _: Memory, _: &[u8], _: Option<&[u8]>) -> Result<Option<Bytes>, String> {
        Err(String::from("there is no memory here"))
    }

    fn topic(&self) -> Option<&str> {
        None
    }

    fn jq(&self, _: &[u8], _: &[u8], _: Option<Duration>) -> Result<Bytes, String> {
        Err(String::from("there is no jq here"))
    }

    fn schemas(&self) -> &dyn Schemas {
        static NONE: LazyLock<schema::Schemas> = LazyLock::new(schema::Schemas::default);
        &*NONE
    }
}

fn message(topic: &str, payload: &Bytes) -> anyhow::Result<Message> {
    let client = Client {
        id: ClientId::new("press-0042"),
        username: Some(Arc::from("operator")),
        peer: SocketAddr::from(([192, 0, 2, 1], 40_000)),
        version: ProtocolVersion::V5,
        attrs: Default::default(),
        hops: 0,
    };
    Ok(Message {
        id: MessageId::next(1_765_432_100_100),
        client: Arc::new(client),
        topic: TopicName::new(topic)?,
        payload: payload.clone(),
        qos: QoS::AtLeastOnce,
        retain: false,
        dup: false,
        properties: None,
        received_at: 1_765_432_100_100,
    })
}
