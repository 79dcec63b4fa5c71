//! The program under test, as a user runs it: a configuration file, a process, its ports, its signals, its log.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;
use std::{env, fs};

use serde_json::Value;

use crate::http;
use crate::metrics::{Ledger, Metrics};
use crate::process::{Process, Signal};
use crate::scratch::Scratch;
use crate::wait::{eventually, until};

/// Compiling a Python component cold takes seconds, and two cores are shared by all tests.
const START_LIMIT: Duration = Duration::from_secs(120);
/// Longer than the program's own deadline for a graceful stop.
const STOP_LIMIT: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub struct Millstream {
    process: Process,
    scratch: Scratch,
    listeners: BTreeMap<String, SocketAddr>,
    /// Where /metrics and the probes are.
    pub api: SocketAddr,
    /// The in-process Kafka of `serve --dev`.
    pub kafka: Option<String>,
}

impl Millstream {
    /// `serve --config` with this text, ready.
    #[must_use]
    pub fn start(config: &str) -> Millstream {
        Millstream::start_in(Scratch::new("host"), config)
    }

    /// [`Millstream::start`] for a static that many tests share: it ends with this program, and its folder with it.
    #[must_use]
    pub fn start_shared(scratch: Scratch, config: &str) -> Millstream {
        scratch.remove_at_exit();
        Millstream::start_in(scratch, config)
    }

    /// [`Millstream::start`] in a folder that the test has put files into; relative paths count from there.
    #[must_use]
    pub fn start_in(scratch: Scratch, config: &str) -> Millstream {
        let file = scratch.write("millstream.toml", config);
        Millstream::serve(scratch, &["--config", file.to_str().expect("a path in UTF-8")], &[])
    }

    /// `serve` with these arguments and environment variables, in the folder, ready.
    #[must_use]
    pub fn serve(scratch: Scratch, arguments: &[&str], environment: &[(&str, &str)]) -> Millstream {
        let ports = scratch.path().join("ports.json");
        let log = scratch.path().join("millstream.log");
        let mut all = vec!["serve", "--ports-file", ports.to_str().expect("a path in UTF-8")];
        all.extend(arguments);
        let mut process = Process::spawn_with("millstream", &binary(), &all, &log, environment);
        let ready = eventually("millstream to be ready", START_LIMIT, || {
            if let Some(status) = process.ended() {
                panic!("millstream stopped at start with {status}");
            }
            fs::read(&ports).ok()
        });
        let ready: Value = serde_json::from_slice(&ready).expect("the ports file is JSON");
        let address = |value: &Value| -> SocketAddr {
            let text = value.as_str().unwrap_or_else(|| panic!("no address in {ready}"));
            text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
        };
        let listeners = ready["listeners"].as_object().expect("listeners by name");
        let listeners = listeners.iter().map(|(name, value)| (name.clone(), address(value))).collect();
        let (api, kafka) = (address(&ready["api"]), ready["kafka"].as_str().map(str::to_string));
        Millstream { process, scratch, listeners, api, kafka }
    }

    /// The address of the listener `tcp`.
    #[must_use]
    pub fn tcp(&self) -> SocketAddr {
        self.listener("tcp")
    }

    #[must_use]
    pub fn listener(&self, name: &str) -> SocketAddr {
        *self.listeners.get(name).unwrap_or_else(|| panic!("no listener {name} in {:?}", self.listeners))
    }

    /// The folder with its configuration file, `millstream.toml`.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.scratch.path()
    }

    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// All that it logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.output()
    }

    #[must_use]
    pub fn metrics(&self) -> Metrics {
        Metrics::scrape(self.api).unwrap_or_else(|| panic!("no answer from {}/metrics", self.api))
    }

    /// The ledger of `action`, checked.
    pub fn ledger(&self, action: &str) -> Ledger {
        let ledger = self.metrics().ledger(action);
        ledger.check();
        ledger
    }

    /// Waits until the ledger of `action` is as wanted, checking it at each look.
    pub fn await_ledger(&self, what: &str, action: &str, holds: impl Fn(&Ledger) -> bool) -> Ledger {
        eventually(what, Duration::from_secs(60), || Some(self.ledger(action)).filter(&holds))
    }

    /// The status code of a probe such as `/health/ready`.
    #[must_use]
    pub fn probe(&self, path: &str) -> u16 {
        http::get(self.api, path).unwrap_or_else(|| panic!("no answer from {}{path}", self.api)).0
    }

    /// Waits until the log contains `text`.
    pub fn await_log(&self, text: &str) {
        until(&format!("{text:?} in the log"), Duration::from_secs(60), || self.log().contains(text));
    }

    /// kill -9.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// SIGTERM, without waiting for what comes of it.
    pub fn terminate(&mut self) {
        self.process.signal(Signal::TERM);
    }

    /// Waits for the end.
    pub fn wait(&mut self) -> ExitStatus {
        self.process.wait(STOP_LIMIT)
    }

    /// SIGTERM, and waits for the graceful stop.
    pub fn stop(&mut self) -> ExitStatus {
        self.terminate();
        self.wait()
    }
}

/// The parts that every configuration of these tests starts with; ports are the system's to choose.
pub const NODE: &str = r#"
[node]
name = "edge-1"
data_dir = "data"
[listeners.tcp]
bind = "127.0.0.1:0"
[api]
bind = "127.0.0.1:0"
"#;

/// [`NODE`], a connector `kafka` to `bootstrap`, an action `sink` that keeps each client in one partition of `topic`
/// and in order, and a rule `all` from `t/#` to it.
#[must_use]
pub fn pass_through(bootstrap: &str, topic: &str) -> String {
    format!(
        r#"{NODE}{connector}{action}
[rules.all]
sql = 'SELECT * FROM "t/#"'
actions = ["sink"]
"#,
        connector = connector("kafka", bootstrap),
        action = action("sink", "kafka", topic),
    )
}

/// A connector without authentication.
#[must_use]
pub fn connector(name: &str, bootstrap: &str) -> String {
    format!("\n[connectors.{name}]\ntype = \"kafka_producer\"\nbootstrap_hosts = \"{bootstrap}\"\n")
}

/// An action that writes the payload to `topic` with the client id as key.
#[must_use]
pub fn action(name: &str, connector: &str, topic: &str) -> String {
    format!(
        r#"
[actions.{name}]
type = "kafka_producer"
connector = "{connector}"
[actions.{name}.parameters]
topic = "{topic}"
message = {{ key = "${{clientid}}", value = "${{payload}}" }}
partition_strategy = "key_dispatch"
"#
    )
}

/// The program: `MILLSTREAM_BIN`, or what cargo built beside this test.
#[must_use]
pub fn binary() -> PathBuf {
    if let Some(path) = env::var_os("MILLSTREAM_BIN") {
        return PathBuf::from(path);
    }
    let path = profile_folder().join("millstream");
    let fix = "run `cargo build -p millstream` (tests/run does) or set MILLSTREAM_BIN";
    assert!(path.exists(), "no {}: {fix}", path.display());
    path
}

/// A component that `plugins/build` made, by its name without `.wasm`.
#[must_use]
pub fn plugin(name: &str) -> PathBuf {
    let folder = match env::var_os("MILLSTREAM_PLUGINS") {
        Some(path) => PathBuf::from(path),
        None => profile_folder().parent().expect("a profile has a folder above it").join("plugins"),
    };
    let path = folder.join(format!("{name}.wasm"));
    let fix = "run plugins/build (tests/run does) or set MILLSTREAM_PLUGINS";
    assert!(path.exists(), "no {}: {fix}", path.display());
    path
}

/// `target/debug` when this program is `target/debug/load` or `target/debug/deps/it-0123`.
fn profile_folder() -> PathBuf {
    let this = env::current_exe().expect("a program knows where it is");
    let folder = this.parent().expect("a program lies in a folder");
    if folder.ends_with("deps") {
        folder.parent().expect("deps lies in a profile").to_path_buf()
    } else {
        folder.into()
    }
}
