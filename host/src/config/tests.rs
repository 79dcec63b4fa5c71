//! Configurations and what is said about them: each case is a text and the exact diagnostics, secrets and all.

use std::path::{Path, PathBuf};

use super::check::{Compiler, SqlProblem};
use super::*;
use crate::pipeline::{OnError, PluginUse};

/// Knows one word of SQL that is wrong, and one plugin that cannot be loaded.
struct Fussy;

impl Compiler for Fussy {
    fn start(&mut self, config: &Config) -> Result<(), String> {
        if config.node.data_dir == Path::new("nowhere") { Err("cannot write there".to_owned()) } else { Ok(()) }
    }

    fn plugin(&mut self, _name: &str, config: &PluginConfig) -> Result<(), String> {
        if config.path == Path::new("embedded:broken") { Err("this is not a component".to_owned()) } else { Ok(()) }
    }

    fn step(&mut self, plugin: &str) -> Result<(), String> {
        if plugin == "functions" { Err("it is a function plugin".to_owned()) } else { Ok(()) }
    }

    fn sql(&mut self, sql: &str) -> Vec<SqlProblem> {
        let wrong = sql.find("SELCT").map(|at| SqlProblem {
            span: at..at + 5,
            message: "expected SELECT or FOREACH".to_owned(),
            hint: Some("did you mean `SELECT`?".to_owned()),
        });
        wrong.into_iter().collect()
    }
}

fn load(text: &str, overrides: &[(&str, &str)]) -> Result<Config, LoadError> {
    let variables = overrides.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Loader::text("m.toml", text.to_owned()).with(overrides::from_variables(variables)).load(&mut Fussy)
}

/// Everything that is said about the text, without the last line that counts the errors.
fn said(text: &str, overrides: &[(&str, &str)]) -> String {
    let diagnostics = match load(text, overrides) {
        Ok(config) => config.warnings,
        Err(LoadError::Invalid(report)) => report.diagnostics,
        Err(other) => panic!("{other}"),
    };
    diagnostics.iter().map(|diagnostic| format!("{diagnostic}\n")).collect()
}

/// The first lines of the diagnostics: place, path, message.
fn check(text: &str, expected: &[&str]) {
    let said = said(text, &[]);
    let heads: Vec<&str> = said.lines().filter(|line| line.starts_with("m.toml:")).collect();
    assert_eq!(heads, expected, "\n{said}");
}

/// Sections that are fine, to be followed by the one that a test is about.
const FINE: &str = r#"
listeners.tcp.bind = "127.0.0.1:1883"
plugins.site-tags = { path = "embedded:site-tags" }
connectors.c = { type = "kafka_producer", bootstrap_hosts = "k:9092" }
actions.a = { type = "kafka_producer", connector = "c", parameters = { topic = "t" } }
rules.r = { sql = 'SELECT * FROM "t/#"', actions = ["a"] }
"#;

fn check_after_fine(text: &str, expected: &[&str]) {
    check(&format!("{FINE}{text}"), expected);
}

#[test]
fn the_design_s_example_reads() {
    let text = r#"
[node]
name = "edge-1"
data_dir = "data"
[listeners.tcp]
bind = "0.0.0.0:1883"
[api]
bind = "127.0.0.1:18083"
[plugins.site-tags]
path = "embedded:site-tags"
config = { site = "plant-7" }
limits = { memory = "16MB", deadline = "20ms" }
[connectors.my-confluent]
type = "confluent_producer"
bootstrap_hosts = "pkc-0000.region.provider.example:9092"
authentication = { username = "API_KEY", password = "hunter2" }
[actions.to-testtopic-in]
type = "confluent_producer"
connector = "my-confluent"
ack = "delivered"
[actions.to-testtopic-in.parameters]
topic = "testtopic-in"
message = { key = "${clientid}", value = "${payload}" }
kafka_headers = "${pub_props.User-Property}"
partition_strategy = "key_dispatch"
compression = "lz4"
[rules.my_rule]
sql = 'SELECT * FROM "t/#" WHERE payload.temp > 20'
transform = [{ plugin = "site-tags", on_error = "refuse" }]
actions = ["confluent_producer:to-testtopic-in"]
"#;
    let config = load(text, &[]).unwrap();
    assert_eq!(config.warnings, []);
    assert_eq!(config.node.name, "edge-1");
    assert_eq!(config.api, Some(ApiConfig { bind: "127.0.0.1:18083".to_owned() }));
    let rule = &config.rules["my_rule"];
    assert_eq!(rule.actions, ["to-testtopic-in"]);
    assert_eq!(rule.transform, [PluginUse { plugin: "site-tags".to_owned(), on_error: OnError::Refuse }]);
    assert!(!format!("{config:?}").contains("hunter2"));
}

#[test]
fn diagnostics_look_like_this() {
    let text = "
[connectors.my-confluent]
type = \"kafka_producer\"
bootstrap_hosts = \"k:9092\"
authentication = { usrname = \"u\", password = \"hunter2\" }
[actions.a]
type = 'kafka_producer'
connector = 'my-conflent'
parameters = { topic = 't', compression = 'lz5' }
[rules.r]
sql = '''
SELECT *
  SELCT x'''
actions = ['a']
";
    let expected = r#"m.toml:5:20: connectors.my-confluent.authentication.usrname: unknown key; did you mean `username`?
    5 | authentication = { usrname = "u", password = ****** }
      |                    ^^^^^^^
m.toml:8:13: actions.a.connector: there is no connector `my-conflent`; did you mean `my-confluent`?
    8 | connector = 'my-conflent'
      |             ^^^^^^^^^^^^^
m.toml:9:43: actions.a.parameters.compression: unknown value; did you mean `lz4`?
    9 | parameters = { topic = 't', compression = 'lz5' }
      |                                           ^^^^^
m.toml:13:3: rules.r.sql: expected SELECT or FOREACH; did you mean `SELECT`?
   13 |   SELCT x'''
      |   ^^^^^
"#;
    assert_eq!(said(text, &[]), expected);
}

#[test]
fn types_and_keys() {
    check_after_fine(
        "[node]\nworkers = 'many'\nshutdown_timeout = 5\nnam = 'x'\n[api]\nbind = 18083\n[log]\nformat = 'xml'\nlevel = 'loud'\n",
        &[
            "m.toml:8:11: node.workers: expected a whole number, 1 or more, found a string",
            "m.toml:9:20: node.shutdown_timeout: expected a duration with its unit, like \"20ms\" or \"5s\", found `5`",
            "m.toml:10:1: node.nam: unknown key; did you mean `name`?",
            "m.toml:12:8: api.bind: expected a string, found a whole number",
            "m.toml:14:10: log.format: unknown value; expected `json` or `text`",
        ],
    );
    check_after_fine(
        "[node]\nworkers = 0\nname = 2024-01-01\n[api]\nbind = ':1'\n",
        &[
            "m.toml:8:11: node.workers: expected a whole number, 1 or more, found `0`",
            "m.toml:9:8: node.name: expected a string, found a date",
            "m.toml:11:8: api.bind: expected `host:port`, like \"127.0.0.1:18083\"",
        ],
    );
    check_after_fine(
        "[log]\nlevel = 'loud'\n[nodee]\n[node]\nworkers = 99999999999999999999999999999999999999999999\n",
        &[
            "m.toml:8:9: log.level: `loud` is not a log level; expected error, warn, info, debug, trace or off, or PART=LEVEL, separated by commas",
            "m.toml:9:2: nodee: unknown section; did you mean `node`?",
            "m.toml:11:11: node.workers: this number is too large",
        ],
    );
}

#[test]
fn missing_keys_are_shown_at_their_table() {
    check_after_fine(
        "[actions.b]\ntype = 'kafka_producer'\n[rules.x]\n",
        &["m.toml:7:1: actions.b: missing key `connector`", "m.toml:9:1: rules.x: missing key `sql`"],
    );
}

#[test]
fn one_wrong_key_does_not_hide_the_next() {
    check_after_fine(
        "[actions.b]\ntyp = 'x'\ntype = 'kafka_producr'\nconector = 'c'\n[actions.b.parameters]\ntopic = 1\nbuffer = { mode = 'memry', segment = 1 }\n",
        &[
            "m.toml:8:1: actions.b.typ: unknown key; did you mean `type`?",
            "m.toml:9:8: actions.b.type: unknown value; did you mean `kafka_producer`?",
            "m.toml:10:1: actions.b.conector: unknown key; did you mean `connector`?",
            "m.toml:12:9: actions.b.parameters.topic: expected a string, found a whole number",
            "m.toml:13:19: actions.b.parameters.buffer.mode: unknown value; did you mean `memory`?",
            "m.toml:13:28: actions.b.parameters.buffer.segment: unknown key; expected `memory_overload_protection`, `mode`, `per_partition_limit` or `segment_bytes`",
        ],
    );
}

#[test]
fn what_does_not_go_together() {
    check_after_fine(
        r#"[api]
bind = "127.0.0.1:1883"
[connectors.d]
type = "confluent_producer"
bootstrap_hosts = "k:9092"
authentication = { username = "u", password = "p" }
[actions.to-d]
type = "kafka_producer"
connector = "d"
ack = "persisted"
parameters = { topic = "t" }
[actions."böse"]
type = "kafka_producer"
connector = "c"
parameters = { topic = "t" }
[rules.x]
sql = "SELECT 1"
decode = ["site-tag"]
transform = [{ plugin = "site-tags", on_error = "dead_letter" }, { plugin = "other", on_eror = "drop" }]
actions = ["to-d", "kafka_producer:to-d", "confluent_producer:a", "b"]
"#,
        &[
            "m.toml:8:8: api.bind: this address is taken by `listeners.tcp.bind`; give each its own port",
            "m.toml:14:8: actions.to-d.type: the action has type `kafka_producer`, but connector `d` has type `confluent_producer`; they must be the same",
            "m.toml:16:7: actions.to-d.ack: \"persisted\" needs the disk buffer, which this version does not have; use \"delivered\" or \"received\"",
            "m.toml:18:10: actions.böse: not a name; expected a letter or digit, then letters, digits, `_` and `-`, less than 255 in all",
            "m.toml:24:11: rules.x.decode[0]: there is no plugin `site-tag`; did you mean `site-tags`?",
            "m.toml:25:49: rules.x.transform[0].on_error: `dead_letter` needs a dead letter target, which this version does not have; use \"refuse\", \"drop\" or \"pass\"",
            "m.toml:25:77: rules.x.transform[1].plugin: there is no plugin `other`; expected `site-tags`",
            "m.toml:25:86: rules.x.transform[1].on_eror: unknown key; did you mean `on_error`?",
            "m.toml:26:20: rules.x.actions[1]: action `to-d` is listed twice; every message would be written twice",
            "m.toml:26:43: rules.x.actions[2]: action `a` has type `kafka_producer`, not `confluent_producer`",
            "m.toml:26:67: rules.x.actions[3]: there is no action `b`; did you mean `a`?",
        ],
    );
}

#[test]
fn addresses_collide_when_their_ports_do() {
    let taken = |bind: &str| {
        said(&format!("{FINE}listeners.other.bind = {bind}\n"), &[]).contains("taken by `listeners.other.bind`")
    };
    for (bind, collides) in
        [("1883", true), ("':1883'", true), ("'0.0.0.0:1883'", true), ("'127.0.0.2:1883'", false), ("1884", false)]
    {
        assert_eq!(taken(bind), collides, "{bind}");
    }
}

#[test]
fn a_plugin_that_does_not_load_is_shown_at_its_path() {
    check_after_fine(
        "[plugins.x]\nconfig = {}\npath = 'embedded:broken'",
        &["m.toml:9:8: plugins.x.path: this is not a component"],
    );
}

#[test]
fn templates_are_compiled_and_steps_are_tried() {
    let text = r#"[plugins.functions]
path = "embedded:functions"
[actions.b]
type = "kafka_producer"
connector = "c"
parameters = { topic = "t", kafka_headers = "a ${b}" }
[actions.d]
type = "kafka_producer"
connector = "c"
parameters = { topic = "t", message.key = "LONG" }
[rules.x]
sql = "SELECT 1"
decode = ["functions"]
transform = ["site-tags"]
actions = ["b", "d"]
"#;
    check_after_fine(
        &text.replace("LONG", &"x".repeat(70_000)),
        &[
            "m.toml:12:45: actions.b.parameters.kafka_headers: expected exactly one placeholder, like \"${pub_props.User-Property-Pairs}\"",
            "m.toml:16:43: actions.d.parameters.message.key: the template has 70000 bytes; at most 65536 are allowed",
            "m.toml:19:11: rules.x.decode[0]: it is a function plugin",
        ],
    );
}

#[test]
fn what_is_disabled_cannot_be_used() {
    let text = r#"listeners.tcp.bind = 1883
connectors.c = { type = "kafka_producer", bootstrap_hosts = "k:9092", enable = false }
actions.a = { type = "kafka_producer", connector = "c", parameters = { topic = "t" }, enable = false }
rules.r = { sql = "SELECT 1", actions = ["a"] }
"#;
    check(
        text,
        &["m.toml:4:42: rules.r.actions[0]: action `a` is disabled; enable it, or set `enable = false` in rules.r too"],
    );
    check(&text.replace("actions = [\"a\"]", "actions = [\"a\"], enable = false"), &[]);
}

#[test]
fn what_cannot_be_tried_is_said_once() {
    check_after_fine(
        "[plugins.x]\npath = 'embedded:broken'\n[rules.x]\nsql = 'SELCT'\n[node]\ndata_dir = 'nowhere'",
        &["m.toml:12:12: node.data_dir: cannot write there"],
    );
}

#[test]
fn odd_things_are_warnings() {
    check(
        "[connectors.c]\ntype = 'kafka_producer'\nbootstrap_hosts = 'k'\n[rules.r]\nsql = 'SELECT 1'\n",
        &[
            "m.toml:1:1: warning: listeners: there is no listener, so no client can connect; add [listeners.tcp] with bind = \"0.0.0.0:1883\"",
            "m.toml:1:13: warning: connectors.c: no action uses this connector",
            "m.toml:4:8: warning: rules.r: the rule has no actions, so what it selects goes nowhere",
        ],
    );
    check_after_fine("", &[]);
}

#[test]
fn syntax_errors_come_alone_and_hide_secrets() {
    let text = "[connectors.c]\npassword = \"hunter2\nbootstrap_hosts = k:9092\n";
    let said = said(text, &[]);
    assert!(said.starts_with("m.toml:2:20: invalid basic string"), "{said}");
    assert!(said.contains("\nm.toml:3:19: string values must be quoted"), "{said}");
    assert!(said.contains("    2 | password =******\n") && !said.contains("hunter2"), "{said}");
}

#[test]
fn a_secret_is_nowhere() {
    let secret = "hunter2";
    for text in [
        "[connectors.c]\ntype = 'kafka_producer'\nauthentication = { username = 1, pasword = 'hunter2' }",
        "[connectors.c]\nauthentication = { password = { x = 'hunter2' } }",
        "[connectors.c]\nauthentication = 'none'\npassword = 'hunter2'\n",
        "[plugins.p]\nconfig = { token = ['hunter2', 'hunter2'], x = 1 }\nsecrets = { key = 'hunter2' }",
        "[actions.a]\nparameters.topic = 7 # ok\nparameters.client_secret = '''\nhunter2\n'''",
        "[rules.r]\nsecret = 'hunter2'\nsql = 'SELCT hunter2'",
        "x = 1\n[rules.r]\nsecret = 'hunter2'\nactions = ['hunter2']",
    ] {
        let said = said(text, &[]);
        assert!(!said.is_empty());
        // A value that is no secret by its key may be shown where it stands, but no message repeats it.
        let shown: String =
            said.lines().filter(|line| !line.contains("SELCT") && !line.contains("actions = [")).collect();
        assert!(!shown.contains(secret), "{said}");
        let Err(LoadError::Invalid(report)) = load(text, &[]) else { panic!("{text} was taken") };
        let json = serde_json::to_string(&report.diagnostics).unwrap();
        assert!(!json.contains(secret), "{json}");
    }
}

#[test]
fn the_environment_wins() {
    let config = load(
        &format!(
            "{FINE}[connectors.my-c]\ntype = 'kafka_producer'\nbootstrap_hosts = 'x'\nauthentication.username = 'u'"
        ),
        &[
            ("MILLSTREAM__NODE__WORKERS", "3"),
            ("MILLSTREAM__NODE__NAME", "7"),
            ("MILLSTREAM__API__BIND", "0.0.0.0:18083"),
            ("MILLSTREAM__CONNECTORS__MY_C__AUTHENTICATION__PASSWORD", "12345"),
            ("MILLSTREAM__CONNECTORS__MY_C__ALLOW_AUTO_TOPIC_CREATION", "true"),
            ("MILLSTREAM__RULES__R__TAGS", "[\"x\", \"y\"]"),
            ("MILLSTREAM", "no"),
            ("OTHER__NODE__NAME", "no"),
        ],
    )
    .unwrap();
    assert_eq!((config.node.workers.get(), config.node.name.as_str()), (3, "7"));
    assert_eq!(config.api.unwrap().bind, "0.0.0.0:18083");
    assert!(config.connectors["my-c"].allow_auto_topic_creation);
    assert_eq!(config.rules["r"].tags, ["x", "y"]);
    let crate::kafka::Authentication::Password(password) = &config.connectors["my-c"].authentication else { panic!() };
    assert_eq!(password.password.expose(), "12345");
}

#[test]
fn a_wrong_override_is_named() {
    let said = said(
        FINE,
        &[
            ("MILLSTREAM__API__BNID", "x:1"),
            ("MILLSTREAM__NODE__NAME__X", "1"),
            ("MILLSTREAM__LOG__PASSWORT", "hunter2"),
        ],
    );
    let expected = "environment variable MILLSTREAM__API__BNID:1:1: api.bnid: unknown key; did you mean `bind`?
    1 | x:1
      | ^^^
environment variable MILLSTREAM__LOG__PASSWORT:1:1: log.passwort: unknown key; expected `format` or `level`
    1 | ******
      | ^^^^^^
environment variable MILLSTREAM__NODE__NAME__X:1:1: node.name: expected a string, found a table
    1 | 1
      | ^
";
    assert_eq!(said, expected);
}

struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn folder(test: &str) -> Folder {
    let folder = std::env::temp_dir().join(format!("millstream-config-{test}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    Folder(folder)
}

fn write(folder: &Folder, name: &str, content: &str) -> PathBuf {
    let file = folder.0.join(name);
    std::fs::write(&file, content).unwrap();
    file
}

#[test]
fn files_are_found_beside_the_configuration() {
    let folder = folder("files");
    let plugin = write(&folder, "p.wasm", "");
    let secret = write(&folder, "secret", " hunter2\r\n");
    let text = "
listeners.tcp.bind = 1883
plugins.p = { path = 'p.wasm', config = { somefile = 'its own' } }
actions.a = { type = 'kafka_producer', connector = 'c', parameters = { topic = 't' } }
rules.r = { sql = 'SELECT 1', actions = ['a'] }
[connectors.c]
type = 'kafka_producer'
bootstrap_hosts = 'k'
authentication = { username = 'u', password = 'file://secret' }
";
    let file = write(&folder, "millstream.toml", text);
    let config = Loader::file(&file).load(&mut Fussy).unwrap();
    let crate::kafka::Authentication::Password(password) = &config.connectors["c"].authentication else { panic!() };
    assert_eq!(password.password.expose(), " hunter2");
    assert_eq!(config.plugins["p"].path, plugin);
    assert_eq!(config.node.data_dir, Path::new("data"));
    let mut files = vec![file, plugin, secret];
    files.sort();
    assert_eq!(config.files, files);
}

#[test]
fn missing_files_are_named() {
    let folder = folder("missing");
    let text = "
[plugins.p]
path = 'plugins/p.wasm'
[plugins.q]
path = '.'
[connectors.c]
type = 'kafka_producer'
bootstrap_hosts = 'k'
authentication = { username = 'u', password = 'file://secret' }
ssl = { cacertfile = 'ca.pem' }
";
    let file = write(&folder, "millstream.toml", text);
    let Err(LoadError::Invalid(report)) = Loader::file(&file).load(&mut Fussy) else { panic!() };
    let below = |name: &str| folder.0.join(name).display().to_string();
    let said: Vec<_> =
        report.diagnostics.iter().map(|it| (it.line, it.column, it.path.as_str(), it.message.clone())).collect();
    assert_eq!(
        said,
        [
            (
                3,
                8,
                "plugins.p.path",
                format!("cannot use the file `{}`: there is no folder `{}`", below("plugins/p.wasm"), below("plugins"))
            ),
            (5, 8, "plugins.q.path", format!("cannot use the file `{}`: it is not a file", below("."))),
            (
                9,
                47,
                "connectors.c.authentication.password",
                format!("cannot read the secret from `{}`: No such file or directory (os error 2)", below("secret"))
            ),
            (
                10,
                22,
                "connectors.c.ssl.cacertfile",
                format!("cannot use the file `{}`: there is no such file", below("ca.pem"))
            ),
        ]
    );
    let none = Loader::file(folder.0.join("none.toml")).load(&mut Fussy).unwrap_err().to_string();
    assert!(none.contains("none.toml") && none.contains("No such file"), "{none}");
    let binary = folder.0.join("binary.toml");
    std::fs::write(&binary, b"a = 1\nb = '\xff'\n").unwrap();
    assert!(Loader::file(binary).load(&mut Fussy).unwrap_err().to_string().ends_with("line 2 is not UTF-8"));
}

#[test]
fn built_in_actions_are_read_by_their_type_and_inside_rules() {
    let text = r#"
actions.again = { type = "republish", parameters = { topic = "u/${clientid}", qos = 1 } }
actions.log = { type = "console", enable = true }
rules.s = { sql = 'SELECT 1 FROM "t"', actions = ["republish:again", "log", { function = "console" }] }
"#;
    let config = load(&format!("{FINE}{text}"), &[]).unwrap();
    assert_eq!(config.built_ins.keys().collect::<Vec<_>>(), ["again", "log"]);
    assert_eq!(config.actions.keys().collect::<Vec<_>>(), ["a"]);
    let actions = &config.rules["s"].actions;
    assert_eq!(actions[..2], ["again", "log"]);
    assert_eq!(actions[2], ActionUse::Inline(Function::Console));
}

#[test]
fn what_is_wrong_with_a_built_in_action_is_named() {
    let text = r#"
actions.wild = { type = "republish", parameters = { topic = "a/#" } }
actions.log = { type = "console", connector = "c" }
actions.odd = { type = "republish", parameters = { topic = "t", qos = 3, mqtt_properties = { Topic-Alias = 1 } } }
actions.prop = { type = "republish", parameters = { topic = "t", mqtt_properties = { Topic-Alias = 1 } } }
rules.s = { sql = 'SELECT 1 FROM "t"', actions = ["wild", "log", "odd", "prop", { function = "run" }] }
rules.u = { sql = 'SELECT 1 FROM "t"', actions = [{ function = "republish", args = { topic = "+" } }] }
"#;
    let said = said(&format!("{FINE}{text}"), &[]);
    for part in [
        "actions.wild.parameters.topic: a topic name must not contain the wildcards",
        "actions.log.connector: unknown key",
        "actions.odd.parameters.qos: ",
        "0, 1, 2, or one placeholder",
        "actions.prop.parameters.mqtt_properties.Topic-Alias: there is no such property to set",
        "rules.s.actions[4].function",
        "rules.u.actions: [0].args.topic: a topic name must not contain the wildcards",
    ] {
        assert!(said.contains(part), "{part} in:\n{said}");
    }
}
