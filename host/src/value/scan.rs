//! Several paths read out of one JSON text in one pass, without building the document.
//!
//! Gives for each path exactly what decoding the whole text and walking the path would give, errors included.

use bytes::Bytes;

use super::json::{Scanned, Scanner};
use super::{JsonError, Value};

/// Key paths to extract, merged into a tree. A path is answered by the nearest wanted place above or at its end.
#[derive(Clone, Debug, Default)]
pub struct PathSet {
    root: Node,
    slots: usize,
    nested: bool,
}

#[derive(Clone, Debug, Default)]
struct Node {
    /// Where the value here goes. Then nothing below is looked for: its paths continue in the extracted value.
    slot: Option<usize>,
    children: Vec<(Box<[u8]>, Node)>,
    /// The slots at and below this place: `first..end`.
    first: usize,
    end: usize,
}

/// Where a path's value is found after extraction: walk the last `rest` steps of the path from slot `slot`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Location {
    pub slot: usize,
    /// How many leading keys of the path the slot stands for.
    pub keys: usize,
}

impl PathSet {
    /// The paths to extract, each a sequence of object keys; the empty path is the document itself. With `nested`, a path
    /// that meets a string before its end goes on in the JSON that the string holds; otherwise it leads nowhere.
    #[must_use]
    pub fn new<'p>(nested: bool, paths: impl IntoIterator<Item = &'p [&'p [u8]]>) -> PathSet {
        let mut root = Node::default();
        for path in paths {
            root.insert(path);
        }
        let mut slots = 0;
        root.number(&mut slots);
        PathSet { root, slots, nested }
    }

    /// How many slots [`PathSet::extract`] fills.
    #[must_use]
    pub fn slots(&self) -> usize {
        self.slots
    }

    /// Where the value for `path` (one of those given to [`PathSet::new`]) is found.
    #[must_use]
    pub fn locate(&self, path: &[&[u8]]) -> Option<Location> {
        let mut node = &self.root;
        for keys in 0..=path.len() {
            if let Some(slot) = node.slot {
                return Some(Location { slot, keys });
            }
            node = &node.children.iter().find(|(key, _)| path.get(keys).is_some_and(|step| **key == **step))?.1;
        }
        None
    }

    /// Checks the whole of `text` and puts the value of each path into its slot; slots of paths that lead nowhere are
    /// left as they are, so they should be [`Value::Undefined`]. `slots` must have [`PathSet::slots`] elements.
    pub fn extract(&self, text: &Bytes, slots: &mut [Value]) -> Result<(), JsonError> {
        Scanner::new(text, Some(text))?.document(|scanner, depth| self.root.fill(scanner, depth, self.nested, slots))
    }
}

impl Node {
    fn insert(&mut self, path: &[&[u8]]) {
        if self.slot.is_some() {
            return;
        }
        let Some((key, rest)) = path.split_first() else {
            self.slot = Some(0);
            self.children.clear();
            return;
        };
        match self.children.iter_mut().find(|(known, _)| **known == **key) {
            Some((_, child)) => child.insert(rest),
            None => {
                let mut child = Node::default();
                child.insert(rest);
                self.children.push((Box::from(*key), child));
            }
        }
    }

    fn number(&mut self, next: &mut usize) {
        self.first = *next;
        if let Some(slot) = &mut self.slot {
            *slot = *next;
            *next += 1;
        }
        for (_, child) in &mut self.children {
            child.number(next);
        }
        self.end = *next;
    }

    fn fill(&self, scanner: &mut Scanner<'_>, depth: usize, nested: bool, slots: &mut [Value]) -> Scanned<()> {
        if let Some(slot) = self.slot {
            slots[slot] = scanner.read(depth)?;
            return Ok(());
        }
        match scanner.peek() {
            Some(b'{') => scanner.object(depth, |scanner, key, depth| {
                match self.children.iter().find(|(wanted, _)| key.is(wanted)) {
                    Some((_, child)) => {
                        // The last of duplicate keys wins: forget what an earlier one gave.
                        slots[child.first..child.end].fill(Value::Undefined);
                        child.fill(scanner, depth, nested, slots)
                    }
                    None => scanner.skip(depth),
                }
            }),
            Some(b'"') if nested => {
                self.fill_from(&scanner.read(depth)?, slots);
                Ok(())
            }
            _ => scanner.skip(depth),
        }
    }

    /// The same for a value that is decoded already. Recursion is bounded by the longest path.
    fn fill_from(&self, value: &Value, slots: &mut [Value]) {
        if let Some(slot) = self.slot {
            slots[slot] = value.clone();
            return;
        }
        match value {
            Value::Str(text) => {
                // What a text holds may be a text again; each is shorter than the one before.
                if let Ok(inner) = Value::from_json_shared(text) {
                    self.fill_from(&inner, slots);
                }
            }
            _ => self.fill_decoded(value, slots),
        }
    }

    fn fill_decoded(&self, value: &Value, slots: &mut [Value]) {
        for (key, child) in &self.children {
            if let Some(item) = value.get(key) {
                child.fill_from(item, slots);
            }
        }
    }
}
