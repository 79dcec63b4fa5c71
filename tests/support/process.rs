//! Child processes that end with the tests: when the guard is dropped (also by a panic), and, through the parent-death
//! signal, when the test program itself is killed. Nothing may be left running.

use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{LazyLock, mpsc};
use std::time::Duration;
use std::{fs, thread};

pub use rustix::process::Signal;
use rustix::process::{Pid, kill_process_group};

use crate::wait::until;

type Order = (Command, mpsc::SyncSender<io::Result<Child>>);

/// The parent-death signal is sent when the *thread* that forked ends, so one thread that never ends does all of it.
static SPAWNER: LazyLock<mpsc::SyncSender<Order>> = LazyLock::new(|| {
    let (orders, inbox) = mpsc::sync_channel::<Order>(1);
    thread::spawn(move || {
        for (mut command, reply) in inbox {
            // A test that gave up waiting for the answer is gone; its child is killed by the guard of nobody.
            if let Err(mpsc::SendError(Ok(mut child))) = reply.send(command.spawn()) {
                let _ = child.kill();
            }
        }
    });
    orders
});

/// One child, in a process group of its own, with its output in a file.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `program` in the folder of the file `log`, which its standard output and standard error are appended to.
    #[must_use]
    pub fn spawn(name: &str, program: &Path, arguments: &[&str], log: &Path) -> Process {
        Process::spawn_with(name, program, arguments, log, &[])
    }

    /// [`Process::spawn`] with additional environment variables.
    #[must_use]
    pub fn spawn_with(name: &str, program: &Path, args: &[&str], log: &Path, env: &[(&str, &str)]) -> Process {
        let out = File::options().create(true).append(true).open(log);
        let out = out.unwrap_or_else(|error| panic!("cannot write {}: {error}", log.display()));
        let err = out.try_clone().expect("a file handle can be doubled");
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(program).args(args).envs(env.iter().copied());
        command.current_dir(log.parent().expect("a file lies in a folder"));
        command.stdin(Stdio::null()).stdout(out).stderr(err).process_group(0);
        let (reply, answer) = mpsc::sync_channel(1);
        SPAWNER.send((command, reply)).expect("the spawner never ends");
        let child = answer.recv().expect("the spawner answers");
        let child = child.unwrap_or_else(|error| panic!("setpriv (Debian: util-linux) does not start: {error}"));
        Process { name: name.to_string(), child, log: log.to_path_buf() }
    }

    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// All that it wrote so far.
    #[must_use]
    pub fn output(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// The exit status, once it has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be waited for")
    }

    /// Sends `signal` to the child and to all that it started; one that has ended is left alone.
    pub fn signal(&mut self, signal: Signal) {
        if self.ended().is_none()
            && let Some(group) = Pid::from_raw(self.child.id().cast_signed())
        {
            // It may end between the question and the signal; that is what was asked for.
            let _ = kill_process_group(group, signal);
        }
    }

    /// kill -9, and waits until it is gone.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        let _ = self.child.wait();
    }

    /// Waits for the end; panics after `limit`, with its output.
    pub fn wait(&mut self, limit: Duration) -> ExitStatus {
        let name = format!("the end of {}", self.name);
        until(&name, limit, || self.ended().is_some());
        self.ended().expect("it has ended")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            let output = self.output();
            let skipped = output.len().saturating_sub(16_384);
            let tail = output.get(skipped..).unwrap_or(&output);
            eprintln!("---- output of {} ({skipped} bytes skipped)\n{tail}\n----", self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn a_dropped_process_takes_its_children_with_it() {
        let scratch = Scratch::new("process");
        let log = scratch.path().join("log");
        let shell = Process::spawn("shell", Path::new("bash"), &["-c", "sleep 1000 & echo $!; wait"], &log);
        until("the child's id", Duration::from_secs(5), || shell.output().ends_with('\n'));
        let stat = PathBuf::from(format!("/proc/{}/stat", shell.output().trim()));
        assert!(stat.exists());
        drop(shell);
        // Gone, or a zombie that nobody has collected yet.
        let gone = || fs::read_to_string(&stat).map_or(true, |stat| stat.contains(") Z "));
        until("the end of the child", Duration::from_secs(5), gone);
    }

    #[test]
    fn the_exit_code_and_the_output_are_seen() {
        let scratch = Scratch::new("process");
        let log = scratch.path().join("log");
        let mut shell = Process::spawn("shell", Path::new("bash"), &["-c", "echo out; echo err >&2; exit 3"], &log);
        assert_eq!(shell.wait(Duration::from_secs(5)).code(), Some(3));
        assert_eq!(shell.output(), "out\nerr\n");
    }
}
