//! The house rules that a compiler does not know: layers, owners of foreign crates, module lines, tests that could not
//! fail, paths in the README. It reads text only; it must never need a build of what it reads.

use std::fs;
use std::path::{Path, PathBuf};

use tidy::paths::{crate_paths, names_of};
use tidy::source::{Source, sources};

mod tidy {
    pub mod paths;
    pub mod source;
    pub mod statements;
}

/// Part, level, and the parts of lower levels that it must not use all the same. A part may use any lower level, and
/// of its own level what [`SAME_LEVEL`] names. Level 0 is what all others stand on.
const LAYERS: &[(&str, u8)] = &[
    ("units", 0),
    ("message", 0),
    ("event", 0),
    ("topic", 0),
    ("value", 0),
    ("ack", 0),
    ("ledger", 0),
    ("task", 0),
    ("telemetry", 0),
    ("rule", 1),
    ("plugin", 1),
    ("schema", 1),
    ("buffer", 1),
    ("kafka", 1),
    ("pipeline", 2),
    ("control", 3),
    ("mqtt", 4),
    ("api", 4),
    ("config", 5),
    ("app", 5),
    ("cli", 6),
    ("main", 6),
];

/// User and used on one level.
const SAME_LEVEL: &[(&str, &str)] = &[("kafka", "buffer"), ("app", "config"), ("main", "cli")];

/// User, part, and the one module of it (with what the part re-exports from there) that the user may name.
const NARROW: &[(&str, &str, &str)] = &[("mqtt", "pipeline", "ingress"), ("mqtt", "control", "sessions")];

/// The command line starts the program and prints; what it does is done below.
const COMMANDS_USE: &[&str] = &["app", "cli", "config"];

/// A foreign crate, and where in `host/src` alone it may be named.
const OWNERS: &[(&str, &[&str])] = &[
    ("rumqttd", &["mqtt/codec"]),
    ("wasmtime", &["plugin/"]),
    ("wasmtime_wasi", &["plugin/"]),
    ("rdkafka", &["kafka/"]),
    ("axum", &["api/"]),
    ("hyper", &["mqtt/hook.rs"]),
    ("jsonwebtoken", &["mqtt/auth/jwt/"]),
    ("apache_avro", &["schema/avro"]),
    ("jsonschema", &["schema/json"]),
    ("prost_reflect", &["schema/protobuf"]),
    ("protox", &["schema/protobuf"]),
    ("jaq_core", &["rule/jq"]),
    ("clap", &["cli/", "main.rs"]),
];

/// Where in `host/src` a foreign crate must not be named: logic that decides does no input or output.
const BANNED: &[(&str, &[&str])] = &[(
    "tokio",
    &["rule/", "buffer/", "value", "message.rs", "topic.rs", "ack.rs", "mqtt/session.rs", "mqtt/session/", "mqtt/acks"],
)];

fn root() -> PathBuf {
    // Of a checkout with links in it the real place counts.
    let tests = fs::canonicalize(env!("CARGO_MANIFEST_DIR")).expect("the folder of this package");
    tests.parent().expect("tests/ lies in the workspace").to_path_buf()
}

fn host() -> Vec<Source> {
    sources(&root().join("host/src"))
}

/// Fails with all complaints at once.
fn report(complaints: &[String]) {
    assert!(complaints.is_empty(), "{} found:\n{}", complaints.len(), complaints.join("\n"));
}

/// `mqtt/codec.rs` and `mqtt.rs` belong to `mqtt`.
fn part(path: &str) -> &str {
    path.split('/').next().unwrap_or(path).trim_end_matches(".rs")
}

fn level(part: &str) -> Option<u8> {
    LAYERS.iter().find(|(name, _)| *name == part).map(|(_, level)| *level)
}

fn may_use(user: &str, used: &str) -> bool {
    let (Some(above), Some(below)) = (level(user), level(used)) else { return false };
    user == used || above == 0 && below == 0 || below < above || SAME_LEVEL.contains(&(user, used))
}

/// What `part/mod.rs` re-exports from its `module`.
fn exports(host: &[Source], part: &str, module: &str) -> Vec<String> {
    let file = format!("{part}/mod.rs");
    let code = host.iter().find(|source| source.path == file).map_or("", |source| &source.code);
    let head = format!("pub use {module}::");
    let found = code.match_indices(&head).flat_map(|(at, head)| names_of(&code[at + head.len()..]));
    found.collect()
}

#[test]
fn every_part_has_a_level() {
    let parts = host().into_iter().map(|source| part(&source.path).to_string()).filter(|part| part != "lib");
    let unknown: Vec<_> = parts.filter(|part| level(part).is_none()).collect();
    report(&unknown);
}

#[test]
fn parts_use_only_what_lies_below_them() {
    let mut complaints = Vec::new();
    let host = host();
    for source in host.iter().filter(|source| source.path != "lib.rs") {
        let user = part(&source.path);
        for path in crate_paths(&source.code) {
            let Some(used) = path.first().map(String::as_str) else { continue };
            // What is defined in lib.rs itself, such as a macro, has no level.
            let known = level(used).is_some();
            let narrow = NARROW.iter().find(|(left, right, _)| (*left, *right) == (user, used));
            let in_reach = narrow.is_none_or(|(.., module)| {
                path.get(1).is_some_and(|item| item == module || exports(&host, used, module).contains(item))
            });
            let allowed = may_use(user, used) && in_reach;
            if known && !allowed {
                complaints.push(format!("{}: {user} must not use crate::{}", source.path, path.join("::")));
            }
        }
    }
    report(&complaints);
}

#[test]
fn the_program_uses_the_command_line_and_the_command_line_little_else() {
    let main = host().into_iter().filter(|source| source.path == "main.rs");
    let complaints: Vec<_> = main
        .flat_map(|source| {
            let words = source
                .code
                .split("millstream::")
                .skip(1)
                .map(|rest| rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>());
            words.filter(|word| !COMMANDS_USE.contains(&word.as_str())).collect::<Vec<_>>()
        })
        .map(|word| format!("main.rs must not use millstream::{word}"))
        .collect();
    report(&complaints);
}

#[test]
fn foreign_crates_are_named_only_where_they_belong() {
    let mut complaints = Vec::new();
    for source in host() {
        let lies_in = |places: &[&str]| places.iter().any(|place| source.path.starts_with(place));
        for (name, places) in OWNERS {
            if source.names_crate(name) && !lies_in(places) {
                complaints.push(format!("{} names {name}, which belongs to {places:?}", source.path));
            }
        }
        for (name, places) in BANNED {
            if source.names_crate(name) && lies_in(places) {
                complaints.push(format!("{} names {name}", source.path));
            }
        }
    }
    report(&complaints);
}

#[test]
fn the_environment_is_read_in_the_configuration_only() {
    let reads = |source: &Source| source.code.contains("env::var") && !source.path.starts_with("config/");
    let complaints: Vec<_> = host().iter().filter(|source| reads(source)).map(|source| source.path.clone()).collect();
    report(&complaints);
}

#[test]
fn every_file_says_first_what_it_is() {
    let folders = ["host/src", "sdk", "tests"].map(|folder| sources(&root().join(folder)));
    let silent = |source: &&Source| !source.text.starts_with("//!");
    let complaints: Vec<_> = folders.iter().flatten().filter(silent).map(|source| source.path.clone()).collect();
    report(&complaints);
}

#[test]
fn no_test_is_ignored_and_nothing_is_left_to_do() {
    let mut complaints = Vec::new();
    for source in ["host", "sdk", "plugins", "tests"].iter().flat_map(|folder| sources(&root().join(folder))) {
        for banned in ["#[ignore", "todo!(", "unimplemented!(", "dbg!("] {
            if source.code.contains(banned) {
                complaints.push(format!("{}: {banned}", source.path));
            }
        }
        if source.throws_away_matches() {
            complaints.push(format!("{}: a `matches!` whose answer nobody looks at", source.path));
        }
    }
    report(&complaints);
}

#[test]
fn paths_that_the_readme_names_exist() {
    let readme = fs::read_to_string(root().join("README.md")).expect("a README.md");
    let mut complaints = Vec::new();
    let mut example = false;
    for line in readme.lines() {
        // Configuration in the README is an example: the files that it names are the reader's.
        example = if line.starts_with("```") { line.starts_with("```toml") } else { example };
        let words = line.split(|c: char| c.is_whitespace() || "`'\"()[]|,;:".contains(c));
        for word in words.filter(|word| !example && names_a_path(word)) {
            if !root().join(word.trim_end_matches('.')).exists() {
                complaints.push(word.to_string());
            }
        }
    }
    report(&complaints);
}

#[test]
fn every_statement_of_mqtt_has_its_test() {
    report(&tidy::statements::complaints(&root()));
}

fn names_a_path(word: &str) -> bool {
    let top = ["host/", "plugins/", "sdk/", "wit/", "tests/", ".ci/", ".config/"];
    top.iter().any(|top| word.starts_with(top)) && !word.contains(['<', '*', '$', '{'])
}

#[test]
fn the_checks_see_what_they_look_for() {
    assert!(!may_use("mqtt", "api") && !may_use("rule", "plugin") && !may_use("ack", "rule"));
    assert!(
        may_use("mqtt", "pipeline")
            && may_use("kafka", "buffer")
            && may_use("cli", "app")
            && !may_use("buffer", "kafka")
    );
    let pipeline = Source::new(Path::new("pipeline/mod.rs"), "pub use ingress::{A, B};\npub use worker::C;");
    assert_eq!(exports(&[pipeline], "pipeline", "ingress"), ["A", "B"]);
    let source = Source::new(Path::new("x.rs"), "fn f() {\n    matches!(g(), Some(_));\n    use rdkafka::x;\n}");
    assert!(source.throws_away_matches() && source.names_crate("rdkafka") && !source.names_crate("kafka"));
    let source = Source::new(Path::new("x.rs"), "let a = matches!(b, C); assert!(matches!(d, E)); // rdkafka::x");
    assert!(!source.throws_away_matches() && !source.names_crate("rdkafka"));
}
