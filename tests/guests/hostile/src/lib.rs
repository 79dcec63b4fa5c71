//! Misbehaves as its configuration says. `{"do": "loop"}` does it in every `transform`; with `"when": "text"` only if a
//! message's value is that text, and otherwise keeps all; with `"in_init": true` already in `init`.
//!
//! It speaks the flat world without the SDK's help, because the SDK does not let a plugin answer nonsense.

use std::cell::RefCell;
use std::time::Duration;

use millstream_sdk::bindings::flat::exports::millstream::plugin::plugin_flat::{Guest, Messages, Outcomes};

#[derive(Clone, Copy, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
enum Deed {
    /// Nothing: keeps all.
    Behave,
    /// Runs for ever.
    Loop,
    /// Waits inside the host for an hour.
    Sleep,
    /// Takes memory until there is none.
    Flood,
    /// Keeps a megabyte more after every call.
    Leak,
    /// Panics.
    Trap,
    /// Recurses without end.
    Overflow,
    /// Calls `exit`.
    Exit,
    /// One outcome too few.
    TooFew,
    /// One outcome too many.
    TooMany,
    /// A reason as long as memory allows.
    HugeOutput,
    /// A range outside the arena.
    BadRange,
    /// Ten thousand log entries.
    Chatter,
    /// Five hundred lines on stderr.
    Print,
    /// Looks for files, variables, arguments and a network; traps if it finds any.
    Explore,
    /// Returns an error; meant for `init`.
    Refuse,
}

#[derive(serde::Deserialize)]
struct Config {
    r#do: Deed,
    #[serde(default)]
    when: Option<String>,
    #[serde(default)]
    in_init: bool,
}

thread_local! {
    static CONFIG: RefCell<Option<Config>> = const { RefCell::new(None) };
    static HOARD: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

struct Hostile;

impl Guest for Hostile {
    fn init(config: String) -> Result<(), String> {
        let config: Config = serde_json::from_str(&config).map_err(|e| e.to_string())?;
        let deed = config.in_init.then_some(config.r#do);
        CONFIG.set(Some(config));
        match deed {
            Some(Deed::Refuse) => Err("I do not like this configuration".into()),
            Some(deed) => {
                perform(deed, 0);
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn transform(batch: Messages) -> Outcomes {
        let count = batch.words[0] as usize;
        CONFIG.with_borrow(|config| match config {
            Some(config) if !config.in_init && config.when.as_ref().is_none_or(|when| has_value(&batch, when)) => {
                perform(config.r#do, count)
            }
            _ => keep(count),
        })
    }
}

fn has_value(batch: &Messages, text: &str) -> bool {
    let rows = batch.words[3..].chunks(batch.words[1] as usize).take(batch.words[0] as usize);
    rows.into_iter().any(|row| batch.arena[row[4] as usize..].get(..row[5] as usize) == Some(text.as_bytes()))
}

fn keep(count: usize) -> Outcomes {
    Outcomes { arena: Vec::new(), words: vec![0; count] }
}

fn perform(deed: Deed, count: usize) -> Outcomes {
    match deed {
        Deed::Behave | Deed::Refuse => keep(count),
        Deed::Loop => loop {
            std::hint::black_box(0);
        },
        Deed::Sleep => {
            std::thread::sleep(Duration::from_secs(3600));
            keep(count)
        }
        Deed::Flood => {
            let mut hoard = Vec::new();
            loop {
                hoard.push(vec![1_u8; 1 << 20]);
                std::hint::black_box(&hoard);
            }
        }
        Deed::Leak => {
            HOARD.with_borrow_mut(|hoard| hoard.push(vec![1_u8; 1 << 20]));
            keep(count)
        }
        Deed::Trap => panic!("as my configuration says"),
        Deed::Overflow => keep(dig(count as u64) as usize),
        Deed::Exit => std::process::exit(3),
        Deed::TooFew => keep(count.saturating_sub(1)),
        Deed::TooMany => keep(count + 1),
        Deed::HugeOutput => Outcomes { arena: vec![b'x'; 20 << 20], words: vec![3, 0, 20 << 20] },
        Deed::BadRange => Outcomes { arena: Vec::new(), words: vec![3, 1, 1] },
        Deed::Chatter => {
            (0..10_000).for_each(|n| millstream_sdk::log::info(&format!("entry {n}")));
            keep(count)
        }
        Deed::Print => {
            (0..500).for_each(|n| eprintln!("line {n}"));
            keep(count)
        }
        Deed::Explore => {
            assert!(std::fs::read_dir("/").is_err(), "there are files");
            assert!(std::fs::write("here", "x").is_err(), "a file was written");
            assert_eq!(std::env::vars().count(), 0, "there are variables");
            assert_eq!(std::env::args().count(), 0, "there are arguments");
            assert!(std::net::TcpStream::connect("127.0.0.1:80").is_err(), "there is a network");
            assert!(std::net::UdpSocket::bind("127.0.0.1:0").is_err(), "there is a network");
            assert!(std::time::SystemTime::now() > std::time::UNIX_EPOCH, "there is no clock");
            keep(count)
        }
    }
}

#[allow(unconditional_recursion, reason = "that is the deed")]
fn dig(depth: u64) -> u64 {
    let bottom = std::hint::black_box([depth; 64]);
    1 + dig(bottom[(depth % 64) as usize] + 1)
}

millstream_sdk::bindings::flat::export_transform_flat!(Hostile with_types_in millstream_sdk::bindings::flat);
