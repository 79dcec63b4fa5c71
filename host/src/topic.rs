//! Topic names, topic filters and the index that finds all filters which match a name.
//!
//! Checked at construction, so that nothing behind this module needs to check again: a [`TopicName`] has no wildcard,
//! a [`TopicFilter`] has wildcards only where MQTT allows them. Matching works on whole levels, never on bytes.

use std::fmt;
use std::sync::Arc;

use rustc_hash::FxHashMap;

/// The longest topic that a packet can carry, in bytes (MQTT-1.5.4: a two byte length).
pub const MAX_TOPIC_BYTES: usize = 65_535;
/// More levels than this are refused: they cost work in every index and no device needs them.
pub const MAX_TOPIC_LEVELS: usize = 128;

/// Why a topic name or filter was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    #[error("a topic must have at least one character (MQTT-4.7.3-1)")]
    Empty,
    #[error("a topic must not contain the null character U+0000 (MQTT-4.7.3-2)")]
    NullCharacter,
    #[error("a topic must not be longer than {MAX_TOPIC_BYTES} bytes (MQTT-4.7.3-3)")]
    TooLong,
    #[error("a topic must not have more than {MAX_TOPIC_LEVELS} levels")]
    TooDeep,
    #[error("a topic name must not contain the wildcards `+` and `#` (MQTT-3.3.2-2)")]
    WildcardInName,
    #[error("`#` must be the last level and stand alone in it (MQTT-4.7.1-1)")]
    MisplacedMultiLevel,
    #[error("`+` must stand alone in its level (MQTT-4.7.1-2)")]
    MisplacedSingleLevel,
}

fn check_common(text: &str) -> Result<(), TopicError> {
    if text.is_empty() {
        return Err(TopicError::Empty);
    }
    if text.len() > MAX_TOPIC_BYTES {
        return Err(TopicError::TooLong);
    }
    let mut separators = 0;
    for byte in text.bytes() {
        match byte {
            0 => return Err(TopicError::NullCharacter),
            b'/' => separators += 1,
            _ => {}
        }
    }
    if separators >= MAX_TOPIC_LEVELS {
        return Err(TopicError::TooDeep);
    }
    Ok(())
}

/// The topic of one message: non-empty, no wildcard, no U+0000.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicName(Arc<str>);

impl TopicName {
    /// Checks a name as MQTT 5.0 section 4.7 asks.
    pub fn new(name: &str) -> Result<TopicName, TopicError> {
        check_common(name)?;
        if name.bytes().any(|b| b == b'+' || b == b'#') {
            return Err(TopicError::WildcardInName);
        }
        Ok(TopicName(Arc::from(name)))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The shared text, for whoever keeps it.
    #[must_use]
    pub fn shared(&self) -> Arc<str> {
        self.0.clone()
    }
}

impl fmt::Display for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// A subscription's or rule's filter: non-empty, wildcards only as whole levels, `#` only last.
/// `$share/...` is not special here; whoever serves shared subscriptions takes the prefix off first.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicFilter(Arc<str>);

impl TopicFilter {
    /// Checks a filter as MQTT 5.0 section 4.7 asks.
    pub fn new(filter: &str) -> Result<TopicFilter, TopicError> {
        check_common(filter)?;
        let mut levels = filter.split('/').peekable();
        while let Some(level) = levels.next() {
            if level.contains('#') && (level != "#" || levels.peek().is_some()) {
                return Err(TopicError::MisplacedMultiLevel);
            }
            if level.contains('+') && level != "+" {
                return Err(TopicError::MisplacedSingleLevel);
            }
        }
        Ok(TopicFilter(Arc::from(filter)))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    #[must_use]
    pub fn has_wildcard(&self) -> bool {
        self.0.bytes().any(|b| b == b'+' || b == b'#')
    }

    /// Whether this filter matches `topic`; wildcards in the first level never match a topic that begins with `$`
    /// (MQTT-4.7.2-1).
    #[must_use]
    pub fn matches(&self, topic: &str) -> bool {
        let mut names = topic.split('/');
        let hidden = topic.starts_with('$');
        for (depth, level) in self.0.split('/').enumerate() {
            let wildcard = matches!(level, "#" | "+");
            if wildcard && depth == 0 && hidden {
                return false;
            }
            if level == "#" {
                return true;
            }
            match names.next() {
                Some(name) if wildcard || name == level => {}
                _ => return false,
            }
        }
        names.next().is_none()
    }
}

impl fmt::Display for TopicFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TopicFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[derive(Clone, Debug)]
struct Node<T> {
    exact: FxHashMap<Box<str>, Node<T>>,
    single: Option<Box<Node<T>>>,
    /// Entries whose filter ends here.
    here: Vec<T>,
    /// Entries whose filter ends with `/#` below here (they match here too).
    below: Vec<T>,
}

impl<T> Default for Node<T> {
    fn default() -> Node<T> {
        Node { exact: FxHashMap::default(), single: None, here: Vec::new(), below: Vec::new() }
    }
}

impl<T> Node<T> {
    fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.single.is_none() && self.here.is_empty() && self.below.is_empty()
    }
}

/// A trie of topic filters. Looking a name up costs its levels (times two for each `+` that also matches), whatever
/// the number of filters. Removing the last entry of a filter frees its nodes.
#[derive(Clone, Debug)]
pub struct FilterIndex<T> {
    root: Node<T>,
    len: usize,
}

impl<T> Default for FilterIndex<T> {
    fn default() -> FilterIndex<T> {
        FilterIndex { root: Node::default(), len: 0 }
    }
}

impl<T> FilterIndex<T> {
    #[must_use]
    pub fn new() -> FilterIndex<T> {
        FilterIndex::default()
    }

    /// How many entries there are, each filter's entries counted one by one.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds an entry; the same filter may have many.
    pub fn insert(&mut self, filter: &TopicFilter, entry: T) {
        self.entries_mut(filter).push(entry);
        self.len += 1;
    }

    /// The entries of exactly this filter, made if there are none; for callers that replace or count within it.
    fn entries_mut(&mut self, filter: &TopicFilter) -> &mut Vec<T> {
        let mut node = &mut self.root;
        for level in filter.as_str().split('/') {
            match level {
                "#" => return &mut node.below,
                "+" => node = node.single.get_or_insert_default(),
                name => {
                    if !node.exact.contains_key(name) {
                        node.exact.insert(name.into(), Node::default());
                    }
                    let Some(next) = node.exact.get_mut(name) else { unreachable!("inserted above") };
                    node = next;
                }
            }
        }
        &mut node.here
    }

    /// Removes the entries of this filter that `gone` says yes to, and gives them back.
    pub fn remove(&mut self, filter: &TopicFilter, mut gone: impl FnMut(&T) -> bool) -> Vec<T> {
        let levels: Vec<&str> = filter.as_str().split('/').collect();
        let removed = Self::remove_below(&mut self.root, &levels, &mut gone);
        self.len -= removed.len();
        removed
    }

    fn remove_below(node: &mut Node<T>, levels: &[&str], gone: &mut impl FnMut(&T) -> bool) -> Vec<T> {
        let (level, rest) = match levels {
            [] => return node.here.extract_if(.., |entry| gone(entry)).collect(),
            ["#"] => return node.below.extract_if(.., |entry| gone(entry)).collect(),
            [level, rest @ ..] => (*level, rest),
        };
        if level == "+" {
            let Some(next) = &mut node.single else { return Vec::new() };
            let removed = Self::remove_below(next, rest, gone);
            if next.is_empty() {
                node.single = None;
            }
            return removed;
        }
        let Some(next) = node.exact.get_mut(level) else { return Vec::new() };
        let removed = Self::remove_below(next, rest, gone);
        if next.is_empty() {
            node.exact.remove(level);
            if node.exact.capacity() > 64 && node.exact.len() * 8 < node.exact.capacity() {
                node.exact.shrink_to_fit();
            }
        }
        removed
    }

    /// Calls `found` for every entry whose filter matches `topic`, in no particular order.
    pub fn for_each_match<'t>(&'t self, topic: &str, mut found: impl FnMut(&'t T)) {
        if self.len > 0 {
            Self::visit(&self.root, Some(topic), !topic.starts_with('$'), &mut found);
        }
    }

    fn visit<'t>(node: &'t Node<T>, rest: Option<&str>, wildcards: bool, found: &mut impl FnMut(&'t T)) {
        if wildcards {
            node.below.iter().for_each(&mut *found);
        }
        let Some(rest) = rest else {
            node.here.iter().for_each(found);
            return;
        };
        let (level, rest) = match rest.split_once('/') {
            Some((level, rest)) => (level, Some(rest)),
            None => (rest, None),
        };
        if !node.exact.is_empty()
            && let Some(next) = node.exact.get(level)
        {
            Self::visit(next, rest, true, found);
        }
        if wildcards && let Some(next) = &node.single {
            Self::visit(next, rest, true, found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_filters_are_checked() {
        for bad in ["", "a/+", "a/#", "a\0b", "+"] {
            assert!(TopicName::new(bad).is_err(), "{bad:?}");
        }
        for good in ["/", "a", "$SYS/x", "ü/x", "a//b", " "] {
            assert!(TopicName::new(good).is_ok(), "{good:?}");
        }
        for bad in ["", "a/#/b", "a+", "+a/b", "#a", "a/b#", "a\0"] {
            assert!(TopicFilter::new(bad).is_err(), "{bad:?}");
        }
        for good in ["#", "+", "+/+", "a/+/b/#", "/", "$x/#"] {
            assert!(TopicFilter::new(good).is_ok(), "{good:?}");
        }
        assert_eq!(TopicName::new(&"a/".repeat(MAX_TOPIC_LEVELS)), Err(TopicError::TooDeep));
        assert_eq!(TopicName::new(&"a".repeat(MAX_TOPIC_BYTES + 1)), Err(TopicError::TooLong));
    }

    /// Every filter against every name, by the index and by the plain comparison, must agree.
    #[test]
    fn index_and_comparison_agree() {
        let levels = ["", "a", "b", "ü", "$x", "+"];
        let mut filters = vec![TopicFilter::new("#").unwrap()];
        let mut names = Vec::new();
        for one in levels {
            for two in [None, Some(""), Some("a"), Some("+"), Some("#"), Some("$x")] {
                for three in [None, Some("b"), Some("+"), Some("#")] {
                    let text: Vec<&str> = [Some(one), two, three].into_iter().flatten().collect();
                    let text = text.join("/");
                    filters.extend(TopicFilter::new(&text));
                    names.extend(TopicName::new(&text));
                }
            }
        }
        let mut index = FilterIndex::new();
        for filter in &filters {
            index.insert(filter, filter.clone());
        }
        assert_eq!(index.len(), filters.len());
        for name in &names {
            let mut found = Vec::new();
            index.for_each_match(name.as_str(), |filter| found.push(filter.clone()));
            found.sort();
            let mut expected: Vec<_> = filters.iter().filter(|f| f.matches(name.as_str())).cloned().collect();
            expected.sort();
            assert_eq!(found, expected, "{name}");
        }
    }

    #[test]
    fn the_standard_examples_match_as_printed() {
        for (filter, name, expected) in [
            ("sport/tennis/player1/#", "sport/tennis/player1", true),
            ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true),
            ("sport/tennis/+", "sport/tennis/player1/ranking", false),
            ("sport/+", "sport", false),
            ("sport/+", "sport/", true),
            ("+/+", "/finance", true),
            ("/+", "/finance", true),
            ("+", "/finance", false),
            ("#", "$SYS/x", false),
            ("+/monitor/Clients", "$SYS/monitor/Clients", false),
            ("$SYS/#", "$SYS/monitor/Clients", true),
        ] {
            assert_eq!(TopicFilter::new(filter).unwrap().matches(name), expected, "{filter} {name}");
        }
    }

    #[test]
    fn removing_the_last_entry_frees_the_way_to_it() {
        let mut index = FilterIndex::new();
        let filters: Vec<_> = ["a/b/c", "a/+/c", "a/#", "#"].iter().map(|f| TopicFilter::new(f).unwrap()).collect();
        for filter in &filters {
            index.insert(filter, 1);
            index.insert(filter, 2);
        }
        for filter in &filters {
            assert_eq!(index.remove(filter, |entry| *entry == 1), vec![1]);
            assert_eq!(index.remove(filter, |entry| *entry == 1), Vec::<i32>::new());
            assert_eq!(index.remove(filter, |_| true), vec![2]);
        }
        assert!(index.is_empty() && index.root.is_empty());
    }
}
