//! A plugin's view of a hand-written batch, and the answer it makes.

use super::*;
use crate::codec::Batch;
use crate::run::walk;
use crate::{Error, Plugin};

/// Runs a closure as a plugin.
struct Run<F>(F);

impl<F: FnMut(&mut Message<'_>) -> Result<Outcome, Error>> Plugin for Run<F> {
    type Config = serde_json::Value;

    fn new(_: serde_json::Value) -> Result<Self, Error> {
        Err(Error::new("made by the test"))
    }

    fn transform(&mut self, message: &mut Message<'_>) -> Result<Outcome, Error> {
        (self.0)(message)
    }
}

const ARENA: &[u8] = b"outkeyvalueh1vrulecidmqtt/tpqann\xc0\x00\x02\x07";
const NONE: u32 = u32::MAX;

/// One message: topic out, key `key`, value `value`, headers h1=v and h1=null, property p=q.
fn words() -> Vec<u32> {
    let mut words = vec![1, 24, 3];
    words.extend([0, 3, 3, 3, 6, 5, 0, 2, 7, 1, 1 | 1 << 2 | 1 << 4, 1883]);
    words.extend([32, 4, 14, 4, 18, 3, 29, 3, 21, 6, 2, 1]);
    words.extend([11, 2, 13, 1, 11, 2, 0, NONE, 27, 1, 28, 1]);
    words
}

fn answer(plugin: impl FnMut(&mut Message<'_>) -> Result<Outcome, Error>) -> (Vec<u32>, Vec<u8>) {
    let answer = walk(&mut Run(plugin), Batch::new(ARENA, &words()));
    (answer.words, answer.arena)
}

#[test]
fn everything_can_be_read() {
    let (words, _) = answer(|message| {
        assert_eq!((message.topic(), message.key(), message.value_text()), ("out", Some(&b"key"[..]), Some("value")));
        assert_eq!(message.timestamp(), Some(0x1_0000_0007));
        assert_eq!(message.headers().collect::<Vec<_>>(), [("h1", Some(&b"v"[..])), ("h1", None)]);
        let origin = message.origin();
        assert_eq!(
            (origin.rule(), origin.client_id(), origin.username(), origin.topic()),
            ("rule", "cid", Some("ann"), "mqtt/t")
        );
        assert_eq!((origin.qos(), origin.retain()), (1, true));
        assert_eq!(origin.peer(), Some("192.0.2.7:1883".parse().unwrap()));
        assert_eq!(origin.user_properties().collect::<Vec<_>>(), [("p", "q")]);
        Ok(Outcome::Send)
    });
    assert_eq!(words, [0]);
}

#[test]
fn changes_are_seen_at_once_and_written_as_differences() {
    let (words, arena) = answer(|message| {
        message.set_value("new");
        assert_eq!(message.value_text(), Some("new"));
        message.clear_key();
        assert_eq!(message.key(), None);
        message.push_header("n", "1");
        assert_eq!(message.header("n"), Some(&b"1"[..]));
        Ok(Outcome::Send)
    });
    assert_eq!(arena, b"newn1");
    assert_eq!(words, [1, 0b100_0110, 0, NONE, 0, 3, 1, 3, 1, 4, 1]);
}

#[test]
fn headers_are_removed_and_set() {
    let (words, _) = answer(|message| {
        message.push_header("a", "1");
        message.remove_headers("none");
        message.set_header("h1", "x");
        assert_eq!(message.headers().collect::<Vec<_>>(), [("a", Some(&b"1"[..])), ("h1", Some(&b"x"[..]))]);
        message.clear_headers();
        assert_eq!(message.headers().count(), 0);
        Ok(Outcome::Send)
    });
    assert_eq!(words, [1, 0b10_0000]);
}

#[test]
fn a_message_can_be_split_dropped_and_refused() {
    let (words, arena) =
        answer(|_| Ok(Outcome::Split(vec![Record::new().topic("a"), Record::new().timestamp(None).null_value()])));
    assert_eq!((&words[..], &arena[..]), (&[2, 2, 1, 0, 1, 0b1_0100, 0, NONE][..], &b"a"[..]));
    let (words, arena) = answer(|_| Ok(Outcome::Drop("why".into())));
    assert_eq!((&words[..], &arena[..]), (&[3, 0, 3][..], &b"why"[..]));
    let (words, arena) = answer(|_| Err(Error::new("no")));
    assert_eq!((&words[..], &arena[..]), (&[4, 0, 2][..], &b"no"[..]));
    let (words, _) = answer(|_| Ok(Outcome::Split(Vec::new())));
    assert_eq!(words[0], 3);
}

#[test]
fn changes_do_not_leak_into_the_next_message() {
    let mut words = words();
    let row: Vec<u32> = words[3..27].to_vec();
    words[0] = 2;
    words.splice(27..27, row);
    let mut first = true;
    let mut plugin = Run(|message: &mut Message<'_>| {
        if std::mem::take(&mut first) {
            message.set_topic("t");
            message.push_header("n", "1");
        }
        Ok(Outcome::Send)
    });
    let answer = walk(&mut plugin, Batch::new(ARENA, &words));
    assert_eq!(answer.words.last(), Some(&0));
    assert_eq!(answer.words.len(), 10);
}
