//! jq behind a fence: a process of its own for each worker that needs it, which is killed when a program does not end in
//! time. It limits its own memory, and a program that overflows its stack ends nothing but it.
//!
//! Request: length of the program and of the input (u32, little endian each), program, input. Answer: 0 for outputs or 1
//! for an error, a length (u32), and as many bytes.

use std::io::{self, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Resource, Rlimit, Signal, set_parent_process_death_signal, setrlimit};

use crate::rule::jq;

/// Memory of a helper, in bytes; a program that wants more ends with it.
const MAX_MEMORY: u64 = 256 << 20;
/// Stack of a program, in bytes.
const STACK: usize = 32 << 20;
/// Longest program or input that is sent, in bytes.
const MAX_REQUEST: usize = 64 << 20;

/// The helper of one worker; its process is started when it is first needed, and again after it was killed.
#[derive(Default)]
pub(super) struct Helper(Option<Process>);

struct Process {
    child: Child,
    requests: ChildStdin,
    answers: ChildStdout,
}

/// Why there is no answer.
enum Trouble {
    Late,
    /// The process has ended.
    Gone,
    Io(io::Error),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Trouble {
        match error.kind() {
            io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof => Trouble::Gone,
            _ => Trouble::Io(error),
        }
    }
}

impl Helper {
    /// Runs one program; waits no longer than `limit`.
    pub(super) fn ask(&mut self, program: &[u8], input: &[u8], limit: Duration) -> Result<Bytes, String> {
        if program.len().max(input.len()) > MAX_REQUEST {
            return Err(format!("program and input have at most {MAX_REQUEST} bytes"));
        }
        let process = match &mut self.0 {
            Some(process) => process,
            none => {
                none.insert(Process::start().map_err(|error| format!("the helper process does not start: {error}"))?)
            }
        };
        let trouble = match process.exchange(program, input, limit) {
            Ok(answer) => return answer,
            Err(trouble) => trouble,
        };
        // Whatever it is doing, nobody waits for it any more.
        self.0 = None;
        Err(match trouble {
            Trouble::Late => format!("the program did not end within {limit:?}"),
            Trouble::Gone => {
                format!("the program needs more than {} MiB of memory, or too much stack", MAX_MEMORY >> 20)
            }
            Trouble::Io(error) => format!("the helper process cannot be asked: {error}"),
        })
    }
}

impl Process {
    fn start() -> io::Result<Process> {
        // The file may have been replaced since this process started; this name still finds it.
        let mut child = Command::new("/proc/self/exe")
            .arg("jq-helper")
            .env_clear()
            // Memory counts when it is used, not when the allocator sets an address range aside.
            .env("MIMALLOC_ARENA_EAGER_COMMIT", "0")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        match (child.stdin.take(), child.stdout.take()) {
            (Some(requests), Some(answers)) => Ok(Process { child, requests, answers }),
            _ => Err(io::Error::other("it has no pipes")),
        }
    }

    fn exchange(&mut self, program: &[u8], input: &[u8], limit: Duration) -> Result<Result<Bytes, String>, Trouble> {
        let deadline = Instant::now() + limit.min(Duration::from_secs(3600));
        write_block(&mut self.requests, &[program.len(), input.len()], &[program, input])?;
        let mut head = [0; 5];
        self.read(&mut head, deadline)?;
        let [kind, a, b, c, d] = head;
        let len = u32::from_le_bytes([a, b, c, d]) as usize;
        if len > jq::MAX_OUTPUT * 2 {
            return Err(Trouble::Io(io::Error::other("its answer is too long")));
        }
        let mut body = vec![0; len];
        self.read(&mut body, deadline)?;
        let text = |body: Vec<u8>| String::from_utf8_lossy(&body).into_owned();
        Ok(if kind == 0 { Ok(Bytes::from(body)) } else { Err(text(body)) })
    }

    fn read(&mut self, mut into: &mut [u8], deadline: Instant) -> Result<(), Trouble> {
        while !into.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            let left = Timespec::try_from(left).map_err(|_| Trouble::Late)?;
            let mut wanted = [PollFd::new(&self.answers, PollFlags::IN)];
            match poll(&mut wanted, Some(&left)) {
                Ok(0) => return Err(Trouble::Late),
                Ok(_) => {}
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(Trouble::Io(error.into())),
            }
            match self.answers.read(into)? {
                0 => return Err(Trouble::Gone),
                read => into = &mut into[read..],
            }
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn write_block(to: &mut impl Write, lengths: &[usize], parts: &[&[u8]]) -> io::Result<()> {
    let head: Vec<u8> = lengths.iter().flat_map(|len| (*len as u32).to_le_bytes()).collect();
    to.write_all(&head)?;
    parts.iter().try_for_each(|part| to.write_all(part))?;
    to.flush()
}

/// The life of a helper process: answers requests until nobody asks any more.
///
/// # Errors
/// The limits cannot be set, or a pipe is broken.
pub fn serve(requests: impl Read + Send, answers: impl Write + Send) -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    setrlimit(Resource::Data, Rlimit { current: Some(MAX_MEMORY), maximum: Some(MAX_MEMORY) })?;
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    std::thread::scope(|scope| {
        let worker =
            std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, || answer_all(requests, answers))?;
        worker.join().unwrap_or_else(|_| Err(io::Error::other("a program ended by a panic")))
    })
}

fn answer_all(mut requests: impl Read, mut answers: impl Write) -> io::Result<()> {
    loop {
        let mut head = [0; 8];
        match requests.read_exact(&mut head) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            other => other?,
        }
        let [a, b, c, d, e, f, g, h] = head;
        let mut program = vec![0; u32::from_le_bytes([a, b, c, d]) as usize];
        let mut input = vec![0; u32::from_le_bytes([e, f, g, h]) as usize];
        requests.read_exact(&mut program)?;
        requests.read_exact(&mut input)?;
        let (kind, body) = match jq::run(&program, &input) {
            Ok(outputs) => (0, outputs),
            Err(error) => (1, error.into_bytes()),
        };
        answers.write_all(&[kind])?;
        write_block(&mut answers, &[body.len()], &[&body])?;
    }
}
