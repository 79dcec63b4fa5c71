//! Programs that other people wrote: mosquitto's clients, kcat, paho for Python, `millstream` itself as a command.

use std::env;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

/// What a program that has ended left behind.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    /// Standard output of a program that went well.
    #[must_use]
    pub fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "it failed: {self:?}");
        self.stdout
    }
}

/// Runs `program`, at most five minutes long: an unoptimized build compiles a
/// Python component for a minute on two busy cores.
#[must_use]
pub fn run(program: &str, arguments: &[&str]) -> Ended {
    run_with_input(program, arguments, "")
}

/// Runs `program` with `input` as its standard input, at most five minutes long: an unoptimized build compiles a
/// Python component for a minute on two busy cores.
#[must_use]
pub fn run_with_input(program: &str, arguments: &[&str], input: &str) -> Ended {
    let mut command = Command::new("timeout");
    command.args(["--kill-after=5", "300", program]).args(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("timeout (Debian: coreutils) starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    let input = input.to_string();
    // From another thread, so that a program which answers as it reads cannot block us both.
    let writer = std::thread::spawn(move || {
        // A program that does not read its input closes the pipe.
        let _ = stdin.write_all(input.as_bytes());
    });
    let Output { status, stdout, stderr } = child.wait_with_output().expect("it ends");
    writer.join().expect("the writer ends");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("output in UTF-8");
    let ended = Ended { code: status.code(), stdout: text(stdout), stderr: text(stderr) };
    assert_ne!(ended.code, Some(127), "{program} is missing: tests/run says what to install");
    assert_ne!(ended.code, Some(124), "{program} did not end within five minutes: {ended:?}");
    ended
}

/// `mosquitto_pub` with these arguments, against `address`.
pub fn mosquitto_pub(address: SocketAddr, arguments: &[&str]) {
    let (host, port) = (address.ip().to_string(), address.port().to_string());
    let _ = run("mosquitto_pub", &[&["-h", &host, "-p", &port], arguments].concat()).ok();
}

/// All of `topic` by kcat, one line a record in kcat's format `format`.
#[must_use]
pub fn kcat(bootstrap: &str, topic: &str, format: &str) -> String {
    run("kcat", &["-q", "-b", bootstrap, "-C", "-t", topic, "-o", "beginning", "-e", "-f", format]).ok()
}

/// Runs a Python script with `paho-mqtt` at hand; `MILLSTREAM_PYTHON` names the interpreter that has it.
#[must_use]
pub fn python(script: &str, arguments: &[&str]) -> String {
    let python = env::var("MILLSTREAM_PYTHON").unwrap_or_else(|_| "python3".to_string());
    run(&python, &[&["-c", script], arguments].concat()).ok()
}

/// The program under test, as a command.
#[must_use]
pub fn millstream(arguments: &[&str], input: &str) -> Ended {
    let binary: PathBuf = crate::millstream::binary();
    run_with_input(binary.to_str().expect("a path in UTF-8"), arguments, input)
}
