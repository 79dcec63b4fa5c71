//! Plugins in the message's way: what they add, how a hostile one hurts nobody else, how one is swapped under load.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use support::kafka::{Kafka, Record};
use support::millstream::{Millstream, NODE, action, connector, plugin};
use support::mqtt::Client;
use support::publisher::{Load, OnLoss};
use support::scratch::Scratch;
use support::wait::until;
use support::wire::{Publish, Version};

/// A plugin, an action and a rule of one name, from `<name>/#` to `topic`.
fn rule_with_plugin(name: &str, component: &str, config: &str, on_error: &str, topic: &str) -> String {
    let path = plugin(component);
    let mut text = action(name, "kafka", topic);
    write!(
        text,
        r#"
[plugins.{name}]
path = "{path}"
config = {config}
limits = {{ memory = "16MB", deadline = "50ms" }}
[rules.{name}]
sql = 'SELECT * FROM "{name}/#"'
transform = [{{ plugin = "{name}", on_error = "{on_error}" }}]
actions = ["{name}"]
"#,
        path = path.display()
    )
    .expect("a String takes everything");
    text
}

fn message(topic: &str, id: u16) -> Publish<'_> {
    Publish { topic, payload: b"{\"temp\": 21.5}", qos: 1, id, ..Publish::default() }
}

fn headers(record: &Record) -> Vec<(&str, &str)> {
    record
        .headers
        .iter()
        .map(|(key, value)| (key.as_str(), str::from_utf8(value.as_deref().unwrap_or_default()).expect("UTF-8")))
        .collect()
}

#[test]
fn site_tags_adds_headers() {
    let kafka = Kafka::shared();
    let topic = kafka.topic("tags", 1);
    let rule =
        rule_with_plugin("tags", "site-tags", r#"{ site = "plant-7", tags = { line = "3" } }"#, "refuse", &topic);
    let host = Millstream::start(&[NODE, &connector("kafka", &kafka.plaintext), &rule].concat());
    let mut client = Client::connect(host.tcp(), Version::V5, "tagged");
    assert_eq!(client.at_least_once(&message("tags/1", 1)), 0);
    let records = kafka.read(&topic);
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].text(), "{\"temp\": 21.5}");
    assert_eq!(headers(&records[0]), [("site", "plant-7"), ("line", "3")]);
}

#[test]
fn plugins_in_python_and_javascript_work_one_after_the_other_and_a_function_of_a_plugin_is_called_by_sql() {
    let kafka = Kafka::shared();
    let topic = kafka.topic("languages", 1);
    let component = |name: &str, file: &str, config: &str| {
        let path = plugin(file).display().to_string();
        format!("[plugins.{name}]\npath = \"{path}\"\nconfig = {config}\nlimits = {{ deadline = \"2s\" }}\n")
    };
    let config = [
        NODE,
        &connector("kafka", &kafka.plaintext),
        &action("sink", "kafka", &topic).replace("${payload}", "${.}"),
        &component("mask", "python-mask", r#"{ fields = ["owner"] }"#),
        &component("units", "javascript-units", r#"{ fields = { temp = "fahrenheit_to_celsius" } }"#),
        &component("functions", "functions-guest", "{}"),
        "[rules.all]\nsql = 'SELECT payload.temp as temp, g_echo(payload.owner) as owner FROM \"t/#\"'\n",
        "transform = [\"mask\", \"units\"]\nactions = [\"sink\"]\n",
    ];
    let host = Millstream::start(&config.concat());
    let mut client = Client::connect(host.tcp(), Version::V5, "polyglot");
    let payload = br#"{"temp": 212, "owner": "Ann"}"#;
    let code = client.at_least_once(&Publish { topic: "t/1", payload, qos: 1, id: 1, ..Publish::default() });
    assert_eq!(code, 0, "0x{code:02x}");
    let records = kafka.read(&topic);
    let value: serde_json::Value = serde_json::from_str(records[0].text()).expect("JSON");
    assert_eq!((value["temp"].as_f64(), value["owner"].as_str()), (Some(100.0), Some("***")), "{value}");
}

#[test]
fn the_cases_of_every_plugin_hold() {
    let tests = fs::canonicalize(env!("CARGO_MANIFEST_DIR")).expect("the folder of this package");
    let plugins = tests.with_file_name("plugins");
    let mut run = 0;
    for name in ["binary-frame", "javascript-units", "python-mask", "site-tags"] {
        for file in fs::read_dir(plugins.join(name).join("cases")).expect("a folder with cases") {
            let (component, file) = (plugin(name), file.expect("a file").path());
            let text = |path: &Path| path.to_str().expect("a path in UTF-8").to_string();
            let arguments = ["plugin", "test", &text(&component), "--cases", &text(&file)];
            let said = support::tools::millstream(&arguments, "");
            assert_eq!(said.code, Some(0), "{}: {said:?}", file.display());
            run += 1;
        }
    }
    assert!(run >= 4, "only {run} files of cases were found");
}

/// What the hostile guest can do in `transform` that must cost its own message and nothing else.
const DEEDS: [&str; 10] =
    ["loop", "sleep", "flood", "trap", "overflow", "exit", "too_few", "too_many", "huge_output", "bad_range"];

#[test]
fn hostile_plugins_lose_their_own_messages_with_a_reason_and_another_rule_flows_on() {
    let kafka = Kafka::shared();
    let (good, bad) = (kafka.topic("victim", 4), kafka.topic("hostile", 1));
    let mut config = [NODE, &connector("kafka", &kafka.plaintext), &action("good", "kafka", &good)].concat();
    config += "[rules.good]\nsql = 'SELECT * FROM \"t/#\"'\nactions = [\"good\"]\n";
    for deed in DEEDS {
        config += &rule_with_plugin(deed, "hostile-guest", &format!("{{ do = \"{deed}\" }}"), "refuse", &bad);
    }
    let host = Millstream::start(&config);
    let load = Load { clients: 4, messages: 10_000, window: 50, on_loss: OnLoss::Stop }.start(host.tcp());
    let mut client = Client::connect(host.tcp(), Version::V5, "hostile");
    for round in 1..=3 {
        for deed in DEEDS {
            let code = client.at_least_once(&message(&format!("{deed}/1"), round));
            assert!(code >= 0x80, "{deed} in round {round}: 0x{code:02x}");
        }
    }
    let report = load.join();
    assert_eq!(report.acked(), 40_000);
    report.verify(&kafka.read(&good));
    assert_eq!(kafka.count(&bad), 0);
    for deed in DEEDS {
        let ledger = host.ledger(deed);
        assert_eq!((ledger.delivered, ledger.pending), (0, 0), "{deed}: {ledger:?}");
    }
}

#[test]
fn a_plugin_that_talks_too_much_or_looks_around_finds_nothing_and_is_not_punished() {
    let kafka = Kafka::shared();
    let topic = kafka.topic("curious", 1);
    let mut config = [NODE, &connector("kafka", &kafka.plaintext)].concat();
    for deed in ["chatter", "print", "explore"] {
        // Ten thousand calls of the host are slow in a build without optimization, and slowness is not the subject.
        config += &rule_with_plugin(deed, "hostile-guest", &format!("{{ do = \"{deed}\" }}"), "refuse", &topic)
            .replace("50ms", "5s");
    }
    let host = Millstream::start(&config);
    let mut client = Client::connect(host.tcp(), Version::V5, "curious");
    for deed in ["chatter", "print", "explore"] {
        assert_eq!(client.at_least_once(&message(&format!("{deed}/1"), 1)), 0, "{deed}");
    }
    assert_eq!(kafka.count(&topic), 3);
    let lines = host.log().lines().count();
    assert!(lines < 1_000, "the plugin filled the log with {lines} lines");
}

#[test]
fn what_becomes_of_a_failed_message_is_what_the_rule_says() {
    let kafka = Kafka::shared();
    let topic = kafka.topic("onerror", 1);
    let mut config = [NODE, &connector("kafka", &kafka.plaintext)].concat();
    for on_error in ["refuse", "drop", "pass"] {
        config += &rule_with_plugin(on_error, "hostile-guest", "{ do = \"trap\" }", on_error, &topic);
    }
    let host = Millstream::start(&config);
    let mut client = Client::connect(host.tcp(), Version::V5, "fate");
    let code = client.at_least_once(&message("refuse/1", 1));
    assert!(code >= 0x80, "0x{code:02x}");
    assert_eq!(client.at_least_once(&message("drop/1", 2)), 0);
    assert_eq!(client.at_least_once(&message("pass/1", 3)), 0);
    let records = kafka.read(&topic);
    assert_eq!(records.iter().map(Record::text).collect::<Vec<_>>(), ["{\"temp\": 21.5}"]);
    let ledgers = ["refuse", "drop", "pass"].map(|action| host.ledger(action));
    assert_eq!(ledgers.map(|ledger| ledger.delivered), [0, 0, 1], "{ledgers:?}");
    assert_eq!(ledgers.map(|ledger| ledger.dropped), [0, 1, 0], "{ledgers:?}");
}

#[test]
fn a_plugin_of_a_bad_configuration_stops_the_start_with_its_own_words() {
    let kafka = Kafka::shared();
    let rule = rule_with_plugin("tags", "site-tags", r#"{ site = "" }"#, "refuse", "x");
    let scratch = Scratch::new("init");
    let file = scratch.write("edge.toml", &[NODE, &connector("kafka", &kafka.plaintext), &rule].concat());
    let ended = support::tools::millstream(&["check", file.to_str().expect("a path in UTF-8")], "");
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!((ended.stdout + &ended.stderr).contains("name the site"));
}

/// A host whose rule runs a copy of site-tags, `tags.wasm` beside the configuration, and the configuration.
fn swappable(topic: &str) -> (Millstream, String) {
    let kafka = Kafka::shared();
    let scratch = Scratch::new("swap");
    fs::copy(plugin("site-tags"), scratch.path().join("tags.wasm")).expect("a copy of the component");
    let rule = r#"
[plugins.tags]
path = "tags.wasm"
config = { site = "plant-7" }
[rules.all]
sql = 'SELECT * FROM "t/#"'
transform = [{ plugin = "tags", on_error = "refuse" }]
actions = ["sink"]
"#;
    let config = [NODE, &connector("kafka", &kafka.plaintext), &action("sink", "kafka", topic), rule].concat();
    (Millstream::start_in(scratch, &config), config)
}

const LOAD: Load = Load { clients: 4, messages: 20_000, window: 50, on_loss: OnLoss::Stop };

#[test]
fn a_new_plugin_configuration_is_swapped_in_under_load_without_a_lost_or_doubled_message() {
    let kafka = Kafka::shared();
    let topic = kafka.topic("swap", 4);
    let (host, config) = swappable(&topic);
    let load = LOAD.start(host.tcp());
    until("load", Duration::from_secs(60), || load.acked() > 5_000);
    fs::write(host.folder().join("millstream.toml"), config.replace("plant-7", "plant-8"))
        .expect("a new configuration");
    host.await_log("the new configuration is in use");
    assert!(!load.ended(), "the load was over before the swap");
    let report = load.join();
    assert_eq!(report.acked(), 80_000);
    let records = kafka.read(&topic);
    assert_eq!(records.len(), 80_000);
    report.verify(&records);
    let sites: Vec<_> = records.iter().map(|record| (record.key.as_deref(), headers(record))).collect();
    assert!(sites.iter().any(|(_, headers)| *headers == [("site", "plant-7")]));
    assert!(sites.iter().any(|(_, headers)| *headers == [("site", "plant-8")]));
    // One message went through one version: none untouched, none touched twice.
    assert!(sites.iter().all(|(_, headers)| *headers == [("site", "plant-7")] || *headers == [("site", "plant-8")]));
}

#[test]
fn a_new_component_file_is_swapped_in_under_load_and_a_broken_one_is_not() {
    let kafka = Kafka::shared();
    let topic = kafka.topic("component", 4);
    let (host, _) = swappable(&topic);
    let file = host.folder().join("tags.wasm");
    let replace = |bytes: &[u8]| {
        let new = host.folder().join("tags.new");
        fs::write(&new, bytes).expect("a new component");
        fs::rename(&new, &file).expect("a new component in its place");
    };
    let load = LOAD.start(host.tcp());
    until("load", Duration::from_secs(60), || load.acked() > 5_000);

    replace(b"not a component");
    host.await_log("the new configuration is not used");
    // The same program with one more (custom, empty) section is another component.
    let mut next = fs::read(plugin("site-tags")).expect("the component");
    next.extend([0, 2, 1, b'x']);
    replace(&next);
    host.await_log("the new configuration is in use");
    assert!(!load.ended(), "the load was over before the swap");

    let report = load.join();
    assert_eq!(report.acked(), 80_000);
    let records = kafka.read(&topic);
    assert_eq!(records.len(), 80_000);
    report.verify(&records);
    assert!(records.iter().all(|record| headers(record) == [("site", "plant-7")]));
}
