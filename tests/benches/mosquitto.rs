//! Debian's mosquitto with a configuration that lets any load through and logs nothing.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use support::process::Process;
use support::scratch::Scratch;
use support::wait::until;

/// Listening; the folder is its own and goes with it.
pub fn start() -> Result<(Process, Scratch, SocketAddr)> {
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let scratch = Scratch::new("mosquitto");
    let lines = format!("listener {} 127.0.0.1\nallow_anonymous true\n", address.port());
    let rest =
        "max_inflight_messages 0\nmax_queued_messages 0\nset_tcp_nodelay true\nlog_type none\npersistence false\n";
    let file = scratch.write("mosquitto.conf", &(lines + rest));
    let log = scratch.path().join("log");
    let file = file.to_str().context("a path in UTF-8")?;
    let process = Process::spawn("mosquitto", Path::new("mosquitto"), &["-c", file], &log);
    until("mosquitto to listen", Duration::from_secs(10), || TcpStream::connect(address).is_ok());
    Ok((process, scratch, address))
}
