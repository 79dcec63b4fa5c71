//! What rules keep between messages: one store of the node, and a dictionary for each connection.
//!
//! All of it is bounded; what has no room is refused with a reason, and nothing is thrown out for it.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Weak};

use bytes::Bytes;
use parking_lot::Mutex;

use crate::message::Client;

/// Of the node's store, and of all dictionaries of one worker; in bytes, of keys and contents with what each entry costs.
const MAX_BYTES: usize = 64 << 20;
/// Of one connection's dictionary.
const MAX_CONNECTION_BYTES: usize = 1 << 20;
/// Of one entry.
const MAX_ENTRY: usize = 1 << 20;
/// What an entry costs besides its bytes.
const OVERHEAD: usize = 96;
/// A power of two.
const SHARDS: usize = 16;

/// Entries and their weight. Keys come from messages, so the hash is a keyed one.
#[derive(Default)]
struct Entries {
    map: HashMap<Box<[u8]>, Bytes>,
    weight: usize,
}

impl Entries {
    /// Puts or removes; gives what was there. `room` is how much the weight may grow.
    fn put(&mut self, key: &[u8], content: Option<&[u8]>, room: usize) -> Result<Option<Bytes>, String> {
        let weight = |content: &[u8]| key.len() + content.len() + OVERHEAD;
        let before = self.map.get(key).map_or(0, |content| weight(content));
        let Some(content) = content else {
            self.weight -= before;
            return Ok(self.map.remove(key));
        };
        let after = weight(content);
        if after > MAX_ENTRY {
            return Err(format!("key and value have {after} bytes; at most {MAX_ENTRY} are kept"));
        }
        if after.saturating_sub(before) > room {
            return Err(String::from("there is no room left for what rules keep; delete entries first"));
        }
        self.weight = self.weight - before + after;
        Ok(self.map.insert(key.into(), Bytes::copy_from_slice(content)))
    }
}

/// The store of `kv_store_*`: all workers read and write it.
#[derive(Default)]
pub(super) struct Shared {
    shards: [Mutex<Entries>; SHARDS],
    hasher: RandomState,
}

impl Shared {
    fn shard(&self, key: &[u8]) -> &Mutex<Entries> {
        &self.shards[self.hasher.hash_one(key) as usize % SHARDS]
    }

    pub(super) fn get(&self, key: &[u8]) -> Option<Bytes> {
        self.shard(key).lock().map.get(key).cloned()
    }

    pub(super) fn put(&self, key: &[u8], content: Option<&[u8]>) -> Result<Option<Bytes>, String> {
        let mut entries = self.shard(key).lock();
        let room = (MAX_BYTES / SHARDS).saturating_sub(entries.weight);
        entries.put(key, content, room)
    }
}

/// The dictionaries of `proc_dict_*` on one worker, which has all messages of its connections.
#[derive(Default)]
pub(super) struct Dictionaries {
    /// By the address of the client, which its owner keeps from being used again.
    by_client: HashMap<usize, Dictionary>,
    weight: usize,
    /// How many there may be before those of ended connections are looked for.
    sweep_at: usize,
}

#[derive(Default)]
struct Dictionary {
    owner: Weak<Client>,
    entries: Entries,
}

fn address(client: Option<&Arc<Client>>) -> usize {
    client.map_or(0, |client| Arc::as_ptr(client) as usize)
}

impl Dictionaries {
    pub(super) fn get(&self, client: Option<&Arc<Client>>, key: &[u8]) -> Option<Bytes> {
        self.by_client.get(&address(client))?.entries.map.get(key).cloned()
    }

    pub(super) fn put(
        &mut self,
        client: Option<&Arc<Client>>,
        key: &[u8],
        content: Option<&[u8]>,
    ) -> Result<Option<Bytes>, String> {
        if self.by_client.len() >= self.sweep_at.max(64) || self.weight + key.len() + OVERHEAD > MAX_BYTES {
            self.sweep();
        }
        let dictionary = self.by_client.entry(address(client)).or_default();
        if let Some(client) = client.filter(|_| dictionary.entries.map.is_empty()) {
            dictionary.owner = Arc::downgrade(client);
        }
        let before = dictionary.entries.weight;
        let room = MAX_CONNECTION_BYTES.saturating_sub(before).min(MAX_BYTES.saturating_sub(self.weight));
        let done = dictionary.entries.put(key, content, room);
        self.weight = self.weight - before + dictionary.entries.weight;
        if dictionary.entries.map.is_empty() {
            self.by_client.remove(&address(client));
        }
        done
    }

    /// Forgets what ended connections kept. The number doubles between two of these, so each put pays little for it.
    fn sweep(&mut self) {
        self.by_client.retain(|address, dictionary| *address == 0 || dictionary.owner.strong_count() > 0);
        self.weight = self.by_client.values().map(|dictionary| dictionary.entries.weight).sum();
        self.sweep_at = self.by_client.len() * 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client() -> Arc<Client> {
        Arc::new(Client::rule("c", 1))
    }

    #[test]
    fn the_store_fills_up_and_empties_again() {
        let store = Shared::default();
        let content = vec![7; 100_000];
        let mut kept = 0u32;
        while store.put(&kept.to_be_bytes(), Some(&content)).is_ok() {
            kept += 1;
        }
        // Its shards fill unevenly, but none holds more than its share.
        assert!((100..=MAX_BYTES as u32 / 100_000).contains(&kept), "{kept}");
        let full = kept.to_be_bytes();
        assert!(store.put(&full, Some(&content)).is_err_and(|error| error.contains("no room")));
        assert!(store.put(&full, Some(&vec![7; MAX_ENTRY])).is_err_and(|error| error.contains("at most")));
        for key in 0..kept {
            assert_eq!(store.put(&key.to_be_bytes(), None), Ok(Some(Bytes::from(content.clone()))));
        }
        assert!(store.shards.iter().all(|shard| shard.lock().weight == 0 && shard.lock().map.is_empty()));
        assert_eq!(store.put(&full, Some(&content)), Ok(None));
    }

    #[test]
    fn a_dictionary_ends_with_its_connection() {
        let mut dictionaries = Dictionaries::default();
        let (a, b) = (client(), client());
        assert_eq!(dictionaries.put(Some(&a), b"k", Some(b"1")), Ok(None));
        assert_eq!(dictionaries.put(Some(&a), b"k", Some(b"2")), Ok(Some(Bytes::from_static(b"1"))));
        assert_eq!(dictionaries.get(Some(&b), b"k"), None);
        assert_eq!(dictionaries.put(None, b"k", Some(b"3")), Ok(None));
        drop(a);
        dictionaries.sweep();
        assert_eq!(dictionaries.by_client.len(), 1);
        assert_eq!(dictionaries.get(None, b"k"), Some(Bytes::from_static(b"3")));
        assert_eq!(dictionaries.put(None, b"k", None), Ok(Some(Bytes::from_static(b"3"))));
        assert_eq!((dictionaries.by_client.len(), dictionaries.weight), (0, 0));
    }

    #[test]
    fn ended_connections_do_not_pile_up() {
        let mut dictionaries = Dictionaries::default();
        for _ in 0..10_000 {
            assert_eq!(dictionaries.put(Some(&client()), b"k", Some(b"1")), Ok(None));
        }
        assert!(dictionaries.by_client.len() <= 64);
    }
}
