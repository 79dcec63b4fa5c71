//! A small HTTP/1.1 service in the test process: it answers what the test says and remembers what it was asked.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use parking_lot::{Condvar, Mutex};

/// What was asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Names in lower case, in the order of the request.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Request {
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// An answer: a status and a body, which is JSON if there is one.
pub type Reply = (u16, String);
type Answer = Box<dyn Fn(&Request) -> Reply + Send + Sync>;

struct Shared {
    answer: Answer,
    asked: Mutex<Vec<Request>>,
    /// While it is set, nobody gets an answer.
    silent: Mutex<bool>,
    speaks: Condvar,
    closed: AtomicBool,
}

/// The service; it ends when it is dropped.
pub struct Service {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

impl Service {
    /// Answers each request as `answer` says.
    pub fn start(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Service {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        Service::listen(listener, Box::new(answer))
    }

    /// [`Service::start`] where another one was.
    pub fn start_at(address: SocketAddr, answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Service {
        let listener = TcpListener::bind(address).expect("the port is free again");
        Service::listen(listener, Box::new(answer))
    }

    fn listen(listener: TcpListener, answer: Answer) -> Service {
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared {
            answer,
            asked: Mutex::default(),
            silent: Mutex::default(),
            speaks: Condvar::new(),
            closed: AtomicBool::new(false),
        });
        let of_thread = shared.clone();
        let accepting = thread::spawn(move || {
            for stream in listener.incoming() {
                if of_thread.closed.load(Ordering::SeqCst) {
                    return;
                }
                let (Ok(stream), shared) = (stream, of_thread.clone()) else { continue };
                // A client that goes in the middle is no failure of the service.
                thread::spawn(move || serve(&stream, &shared));
            }
        });
        Service { address, shared, accepting: Some(accepting) }
    }

    /// All that was asked so far.
    #[must_use]
    pub fn asked(&self) -> Vec<Request> {
        self.shared.asked.lock().clone()
    }

    /// From now on it takes questions and gives no answer, or gives all of them.
    pub fn set_silent(&self, silent: bool) {
        *self.shared.silent.lock() = silent;
        self.shared.speaks.notify_all();
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::SeqCst);
        self.set_silent(false);
        // Wakes the thread that accepts, so that the port is free.
        let _ = TcpStream::connect(self.address);
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
    }
}

fn serve(stream: &TcpStream, shared: &Shared) -> Option<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let request = read(&mut reader)?;
        shared.asked.lock().push(request.clone());
        shared.speaks.wait_while(&mut shared.silent.lock(), |silent| *silent);
        if shared.closed.load(Ordering::SeqCst) {
            return None;
        }
        let (status, body) = (shared.answer)(&request);
        let kind = if body.is_empty() { "" } else { "content-type: application/json\r\n" };
        let head = format!("HTTP/1.1 {status} Status\r\n{kind}content-length: {}\r\n\r\n", body.len());
        (&*stream).write_all((head + &body).as_bytes()).ok()?;
    }
}

fn read(reader: &mut impl BufRead) -> Option<Request> {
    let mut line = || {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        Some(line.trim_end().to_string())
    };
    let first = line()?;
    let mut words = first.split(' ');
    let mut request = Request { method: words.next()?.into(), target: words.next()?.into(), ..Request::default() };
    loop {
        let header = line()?;
        let Some((name, value)) = header.split_once(':') else { break };
        request.headers.push((name.to_ascii_lowercase(), value.trim().to_string()));
    }
    let length = request.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    request.body = String::from_utf8(body).ok()?;
    Some(request)
}
