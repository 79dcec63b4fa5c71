//! A bounded buffer between those who log and the stream that the log goes to. Logging never waits for the stream: when
//! the buffer is full, lines are left out, and the log says how many.

use std::io::{self, Write};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use tracing_subscriber::fmt::MakeWriter;

/// Bytes that may wait to be written.
const CAPACITY: usize = 1 << 20;
/// How long the end of the process waits for the last lines.
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Debug, Default)]
struct State {
    waiting: Vec<u8>,
    left_out: u64,
    writing: bool,
    closed: bool,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

/// What the log writes to; cheap to clone.
#[derive(Clone, Debug)]
pub struct LogWriter(Arc<Shared>);

/// Dropping it waits, for two seconds at most, until what was logged is written.
#[derive(Debug)]
pub struct Flush(Arc<Shared>);

impl LogWriter {
    /// Starts the thread that writes to `stream`.
    pub fn start(stream: impl Write + Send + 'static) -> io::Result<(LogWriter, Flush)> {
        let shared = Arc::new(Shared::default());
        let writer = Arc::clone(&shared);
        thread::Builder::new().name("log".to_owned()).spawn(move || writer.write_all(stream))?;
        Ok((LogWriter(Arc::clone(&shared)), Flush(shared)))
    }
}

impl Shared {
    fn write_all(&self, mut stream: impl Write) {
        let mut batch = Vec::new();
        let mut state = self.state.lock();
        loop {
            while state.waiting.is_empty() && state.left_out == 0 {
                if state.closed {
                    return;
                }
                self.changed.wait(&mut state);
            }
            std::mem::swap(&mut state.waiting, &mut batch);
            let left_out = std::mem::take(&mut state.left_out);
            state.writing = true;
            drop(state);
            // A log that nobody can read is no reason to stop.
            let _ = stream.write_all(&batch);
            if left_out > 0 {
                let _ = writeln!(
                    stream,
                    "{left_out} log lines were left out here: the log was written faster than it was read"
                );
            }
            let _ = stream.flush();
            batch.clear();
            state = self.state.lock();
            state.writing = false;
            self.changed.notify_all();
        }
    }
}

impl Write for &LogWriter {
    /// Takes the whole line or leaves it out.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut state = self.0.state.lock();
        if state.waiting.len() + line.len() > CAPACITY {
            state.left_out += 1;
        } else {
            state.waiting.extend_from_slice(line);
        }
        self.0.changed.notify_all();
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for LogWriter {
    type Writer = &'a LogWriter;

    fn make_writer(&'a self) -> &'a LogWriter {
        self
    }
}

impl Drop for Flush {
    fn drop(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        let mut state = self.0.state.lock();
        state.closed = true;
        self.0.changed.notify_all();
        while !state.waiting.is_empty() || state.writing {
            if self.0.changed.wait_until(&mut state, deadline).timed_out() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stream that takes nothing until it is told to.
    #[derive(Clone, Default)]
    struct Gate(Arc<Inside>);

    #[derive(Default)]
    struct Inside {
        open: Mutex<bool>,
        opened: Condvar,
        taken: Mutex<Vec<u8>>,
    }

    impl Gate {
        fn open(&self) {
            *self.0.open.lock() = true;
            self.0.opened.notify_all();
        }

        fn text(&self) -> String {
            String::from_utf8(self.0.taken.lock().clone()).unwrap()
        }
    }

    impl Write for Gate {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut open = self.0.open.lock();
            self.0.opened.wait_while(&mut open, |open| !*open);
            self.0.taken.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_was_logged_is_written_at_the_end() {
        let gate = Gate::default();
        gate.open();
        let (log, flush) = LogWriter::start(gate.clone()).unwrap();
        writeln!(&log, "one").unwrap();
        writeln!(&log, "two").unwrap();
        drop(flush);
        assert_eq!(gate.text(), "one\ntwo\n");
    }

    #[test]
    fn a_stream_that_hangs_costs_lines_and_no_time() {
        let gate = Gate::default();
        let (log, flush) = LogWriter::start(gate.clone()).unwrap();
        let line = [b'x'; 1024];
        // The thread may take one buffer full before it hangs.
        for _ in 0..3 * CAPACITY / line.len() {
            (&log).write_all(&line).unwrap();
        }
        assert!(log.0.state.lock().waiting.len() <= CAPACITY);
        gate.open();
        drop(flush);
        assert!(gate.text().contains("log lines were left out here"));
    }
}
