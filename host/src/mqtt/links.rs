//! Every connection of the front, from accept to close, so that all of them can be told to end and be waited for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use tokio::sync::watch;

use super::mailbox::{Kick, Link};
use super::traffic::Totals;

#[derive(Debug, Default)]
struct Table {
    links: FxHashMap<u64, Arc<Link>>,
    closed: bool,
    /// What went over connections that are gone.
    gone: Totals,
}

/// All connections.
#[derive(Debug)]
pub struct Links {
    table: Mutex<Table>,
    sequence: AtomicU64,
    /// Set when no connection may begin any more.
    closing: watch::Sender<bool>,
    count: watch::Sender<usize>,
}

impl Links {
    #[must_use]
    pub fn new() -> Arc<Links> {
        Arc::new(Links {
            table: Mutex::default(),
            sequence: AtomicU64::new(0),
            closing: watch::Sender::new(false),
            count: watch::Sender::new(0),
        })
    }

    /// A new connection; `None` when the front is closing.
    pub fn register(self: &Arc<Self>) -> Option<Registered> {
        let link = Arc::new(Link::default());
        let number = self.sequence.fetch_add(1, Ordering::Relaxed);
        let mut table = self.table.lock();
        if table.closed {
            return None;
        }
        table.links.insert(number, link.clone());
        self.count.send_replace(table.links.len());
        Some(Registered { links: self.clone(), link, number })
    }

    /// No new connection from now on; those in their handshake end, the others settle what is outstanding and end.
    pub fn drain(&self) {
        let mut table = self.table.lock();
        table.closed = true;
        table.links.values().for_each(|link| link.kick(Kick::Drain));
        self.closing.send_replace(true);
    }

    /// All that are left end at once.
    pub fn abort(&self) {
        self.table.lock().links.values().for_each(|link| link.kick(Kick::Abort));
    }

    /// Resolves when no connection is left.
    pub async fn empty(&self) {
        // The sender lives in `self`, so waiting cannot fail.
        let _ = self.count.subscribe().wait_for(|count| *count == 0).await;
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.table.lock().links.len()
    }

    /// What went over all connections since the start.
    #[must_use]
    pub fn traffic(&self) -> Totals {
        let (mut totals, links) = {
            let table = self.table.lock();
            (table.gone, table.links.values().cloned().collect::<Vec<_>>())
        };
        links.iter().for_each(|link| totals.add(&link.traffic));
        totals
    }
}

/// A connection's entry; dropping it takes the entry out.
#[derive(Debug)]
pub struct Registered {
    links: Arc<Links>,
    link: Arc<Link>,
    number: u64,
}

impl Registered {
    #[must_use]
    pub fn link(&self) -> &Arc<Link> {
        &self.link
    }

    /// Resolves when the front is closing; for connections that have no session yet.
    pub async fn closing(&self) {
        // The sender lives in `links`, so waiting cannot fail.
        let _ = self.links.closing.subscribe().wait_for(|closing| *closing).await;
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        let mut table = self.links.table.lock();
        table.links.remove(&self.number);
        table.gone.add(&self.link.traffic);
        if table.links.capacity() > 1024 && table.links.len() * 8 < table.links.capacity() {
            table.links.shrink_to_fit();
        }
        self.links.count.send_replace(table.links.len());
    }
}
