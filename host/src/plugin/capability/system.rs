//! WASI with nothing in it: no files, no arguments, no environment, no network.
//!
//! It is linked because the languages' runtimes ask for it. Clocks and randomness work; what is written to stdout and
//! stderr goes to the plugin's log, a line an entry; waiting ends with the call's deadline, because the epoch cannot
//! stop a guest that sleeps inside the host.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use parking_lot::Mutex;
use wasmtime::component::{HasData, Linker, Resource, ResourceTable};
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::bindings::{io::poll as waiting, sync::io::poll};
use wasmtime_wasi::p2::{DynPollable, OutputStream, Pollable, StreamResult};
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, async_trait};

use super::super::store::State;
use super::logging::{GuestLog, Level, printable};

/// A guest gets at most this much randomness in one call, in bytes.
const MAX_RANDOM: u64 = 64 << 10;
/// A longer line is logged in pieces.
const MAX_LINE: usize = 4096;
/// Of what a guest wrote before it died, this much goes into the error.
const MAX_LAST_WORDS: usize = 512;

/// Links WASI p2, with waiting bounded.
pub(in super::super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    wasmtime_wasi::p2::add_to_linker_sync(linker)?;
    linker.allow_shadowing(true);
    poll::add_to_linker::<State, BoundedWaiting>(linker, |state| Waiting {
        table: &mut state.table,
        deadline: state.deadline,
        overslept: &mut state.overslept,
    })?;
    linker.allow_shadowing(false);
    Ok(())
}

/// The empty context, and the lines that the guest writes to stderr.
pub(in super::super) fn context(log: &Arc<GuestLog>) -> (WasiCtx, Lines) {
    let stderr = Lines::new(log.clone(), Level::Warn);
    let wasi = WasiCtxBuilder::new()
        .stdout(Lines::new(log.clone(), Level::Info))
        .stderr(stderr.clone())
        .allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false)
        .max_random_size(MAX_RANDOM)
        .build();
    (wasi, stderr)
}

struct BoundedWaiting;

impl HasData for BoundedWaiting {
    type Data<'a> = Waiting<'a>;
}

struct Waiting<'a> {
    table: &'a mut ResourceTable,
    deadline: Instant,
    overslept: &'a mut bool,
}

impl Waiting<'_> {
    fn wait<T>(
        overslept: &mut bool,
        deadline: Instant,
        ready: impl Future<Output = wasmtime::Result<T>>,
    ) -> wasmtime::Result<T> {
        let bounded = async { tokio::time::timeout_at(deadline.into(), ready).await };
        wasmtime_wasi::runtime::in_tokio(bounded).unwrap_or_else(|_| {
            *overslept = true;
            Err(wasmtime::format_err!("the guest waited until its deadline"))
        })
    }
}

impl poll::Host for Waiting<'_> {
    fn poll(&mut self, pollables: Vec<Resource<DynPollable>>) -> wasmtime::Result<Vec<u32>> {
        Waiting::wait(self.overslept, self.deadline, waiting::Host::poll(self.table, pollables))
    }
}

impl poll::HostPollable for Waiting<'_> {
    fn ready(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<bool> {
        Waiting::wait(self.overslept, self.deadline, waiting::HostPollable::ready(self.table, pollable))
    }

    fn block(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<()> {
        Waiting::wait(self.overslept, self.deadline, waiting::HostPollable::block(self.table, pollable))
    }

    fn drop(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<()> {
        waiting::HostPollable::drop(self.table, pollable)
    }
}

/// An output stream that becomes log entries. Cloning gives another handle to the same stream.
#[derive(Clone)]
pub(in super::super) struct Lines {
    log: Arc<GuestLog>,
    level: Level,
    written: Arc<Mutex<Written>>,
}

#[derive(Default)]
struct Written {
    line: Vec<u8>,
    /// The end of what was written, for an error message.
    last: String,
}

impl Lines {
    fn new(log: Arc<GuestLog>, level: Level) -> Lines {
        Lines { log, level, written: Arc::default() }
    }

    fn append(&self, bytes: &[u8]) {
        let mut written = self.written.lock();
        for &byte in bytes {
            if byte != b'\n' {
                written.line.push(byte);
            }
            if byte == b'\n' || written.line.len() >= MAX_LINE {
                self.end_line(&mut written);
            }
        }
    }

    fn end_line(&self, written: &mut Written) {
        let text = printable(&String::from_utf8_lossy(&written.line));
        written.line.clear();
        if text.trim().is_empty() {
            return;
        }
        self.log.write(self.level, &text);
        if !written.last.is_empty() {
            written.last.push_str(" | ");
        }
        written.last.push_str(&text);
        if written.last.len() > MAX_LAST_WORDS {
            let start = written.last.ceil_char_boundary(written.last.len() - MAX_LAST_WORDS);
            written.last.drain(..start);
        }
    }

    /// What was written so far is no part of what comes now.
    pub(in super::super) fn forget(&self) {
        self.written.lock().last.clear();
    }

    /// What the guest wrote last; forgotten afterwards.
    pub(in super::super) fn last_words(&self) -> String {
        let mut written = self.written.lock();
        if !written.line.is_empty() {
            self.end_line(&mut written);
        }
        std::mem::take(&mut written.last)
    }
}

impl IsTerminal for Lines {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Lines {
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }

    fn async_stream(&self) -> Box<dyn tokio::io::AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }
}

impl OutputStream for Lines {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.append(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(MAX_LINE)
    }
}

#[async_trait]
impl Pollable for Lines {
    async fn ready(&mut self) {}
}

impl tokio::io::AsyncWrite for Lines {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        self.append(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_words_are_the_end_of_what_was_written() {
        let lines = Lines::new(Arc::new(GuestLog::new("test")), Level::Warn);
        lines.append(b"one\ntw");
        lines.append(b"o\n\nrest");
        assert_eq!(lines.last_words(), "one | two | rest");
        assert_eq!(lines.last_words(), "");
        lines.append(&[b'x'; 3 * MAX_LINE]);
        assert!(lines.written.lock().line.len() < MAX_LINE);
        assert!(lines.last_words().len() <= MAX_LAST_WORDS);
    }
}
