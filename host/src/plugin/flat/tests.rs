//! Encoding against a decoder written from the format; decoding against answers that are right, wrong and random.

use std::collections::BTreeMap;

use super::*;
use crate::message::{ClientId, Message, MessageId, Properties, ProtocolVersion, QoS, Record};
use crate::topic::TopicName;

fn message(client: &Arc<Client>, topic: &str) -> Message {
    Message {
        id: MessageId::next(0),
        client: client.clone(),
        topic: TopicName::new(topic).unwrap(),
        payload: Bytes::new(),
        qos: QoS::ExactlyOnce,
        retain: true,
        dup: false,
        properties: Some(Box::new(Properties {
            user_properties: vec![("p".into(), "1".into()), ("p".into(), "2".into())],
            ..Properties::default()
        })),
        received_at: 0,
    }
}

fn client(id: &str) -> Arc<Client> {
    Arc::new(Client {
        id: ClientId::new(id),
        username: Some("ann".into()),
        peer: "192.0.2.7:1883".parse().unwrap(),
        version: ProtocolVersion::V5,
        attrs: BTreeMap::new(),
        hops: 0,
    })
}

#[test]
fn a_batch_is_written_as_the_format_says() {
    let (a, b) = (client("a"), client("b"));
    let messages = [message(&a, "t/1"), message(&a, "t/2"), message(&b, "t/3")];
    let record = Record {
        topic: "out".into(),
        key: None,
        value: Some(Bytes::from_static(b"value")),
        headers: vec![("h".into(), Some(Bytes::from_static(b"x"))), ("h".into(), None)],
        timestamp: Some(-2),
    };
    let rule = "rule";
    let items: Vec<_> = messages.iter().map(|message| Item { record: &record, message, rule }).collect();
    let mut scratch = Scratch::default();
    // Twice: nothing of the first batch may be left in the second.
    scratch.encode(&items);
    scratch.encode(&items);

    let Messages { arena, words } = &scratch.messages;
    let (n, row, pairs) = (words[0] as usize, words[1] as usize, words[2] as usize);
    assert_eq!((n, row, pairs), (3, ROW_WORDS, 12));
    assert_eq!(words.len(), 3 + n * row + pairs * PAIR_WORDS);
    let range = |at: usize| match words[at + 1] {
        NONE => None,
        length => Some(std::str::from_utf8(&arena[words[at] as usize..][..length as usize]).unwrap()),
    };
    for (index, topic, id) in [(0, "t/1", "a"), (1, "t/2", "a"), (2, "t/3", "b")] {
        let at = 3 + index * row;
        assert_eq!((range(at), range(at + 2), range(at + 4)), (Some("out"), None, Some("value")));
        assert_eq!((words[at + 8], words[at + 9]), (u32::MAX - 1, u32::MAX));
        assert_eq!(words[at + 10], 2 | 1 << 2 | HAS_TIMESTAMP);
        assert_eq!(words[at + 11], 1883);
        assert_eq!(&arena[words[at + 12] as usize..][..words[at + 13] as usize], [192, 0, 2, 7]);
        assert_eq!(
            (range(at + 14), range(at + 16), range(at + 18), range(at + 20)),
            (Some(rule), Some(id), Some("ann"), Some(topic))
        );
        let pair = |which: u32| {
            let at = 3 + n * row + which as usize * PAIR_WORDS;
            (range(at), range(at + 2))
        };
        assert_eq!(words[at + 7], 2);
        assert_eq!([pair(words[at + 6]), pair(words[at + 6] + 1)], [(Some("h"), Some("x")), (Some("h"), None)]);
        assert_eq!(words[at + 23], 2);
        assert_eq!([pair(words[at + 22]), pair(words[at + 22] + 1)], [(Some("p"), Some("1")), (Some("p"), Some("2"))]);
    }
    // What is shared is written once.
    assert_eq!(words[3], words[3 + row]);
    assert_eq!(words[3 + 16], words[3 + row + 16]);
}

fn decode(arena: &[u8], words: &[u32], expected: usize) -> Result<Vec<Verdict>, PluginError> {
    let mut found = Vec::new();
    verdicts(&mut Scratch::default(), Outcomes { arena: arena.into(), words: words.into() }, expected, &mut found)?;
    Ok(found)
}

#[test]
fn every_kind_of_outcome_is_read() {
    let words = [
        0, // keep
        1, 0b100_1111, 0, 1, 9, NONE, 1, 2, 5, 1, 1, 0, 1, 0, 0, // topic, no key, value, timestamp, one header
        2, 2, 0b1_0000, 0b10_0000, // two records: no timestamp; no headers
        3, 3, 2, // drop
        4, 5, 0, // refuse, without a word
    ];
    let mut outcomes = decode(b"tvvde", &words, 5).unwrap().into_iter();
    assert!(matches!(outcomes.next(), Some(Verdict::Keep)));
    let Some(Verdict::Change(patch)) = outcomes.next() else { panic!("not one") };
    let expected = Patch {
        topic: Some("t".into()),
        key: Some(None),
        value: Some(Some(Bytes::from_static(b"vv"))),
        timestamp: Some(Some(0x1_0000_0005)),
        clear_headers: false,
        append_headers: vec![("t".into(), Some(Bytes::new()))],
    };
    assert_eq!(patch, expected);
    let Some(Verdict::Split(patches)) = outcomes.next() else { panic!("not many") };
    assert_eq!(patches[0], Patch { timestamp: Some(None), ..Patch::default() });
    assert_eq!(patches[1], Patch { clear_headers: true, ..Patch::default() });
    assert!(matches!(outcomes.next(), Some(Verdict::Drop(reason)) if reason == "de"));
    assert!(matches!(outcomes.next(), Some(Verdict::Refuse(reason)) if reason.is_empty()));
    assert!(outcomes.next().is_none());
}

#[test]
fn the_count_must_fit() {
    for (words, got) in [(&[0][..], 1), (&[], 0), (&[0, 0, 0], 3)] {
        let error = decode(b"", words, 2).unwrap_err();
        assert!(matches!(error, PluginError::WrongOutcomeCount { expected: 2, got: found } if found == got), "{error}");
    }
}

#[test]
fn flaws_are_named() {
    for (words, says) in [
        (&[9][..], "9 is no kind"),
        (&[1, 1 << 7], "0x80 are no valid flags"),
        (&[1, 0b1_1000, 0, 0], "0x18 are no valid flags"),
        (&[1, 1, 0, 0], "topic is empty"),
        (&[1, 1, 0, NONE], "is none"),
        (&[1, 1, 3, 1], "not UTF-8"),
        (&[1, 4, 3, 2], "beyond the arena of 4 bytes"),
        (&[1, 4, u32::MAX, u32::MAX - 1], "beyond the arena"),
        (&[1, 4, 3], "end in the middle"),
        (&[1, 1 << 6, u32::MAX], "end in the middle"),
        (&[2, u32::MAX], "end in the middle"),
        (&[2, 0], "replaced by nothing"),
        (&[3, 0, NONE], "is none"),
    ] {
        let error = decode(b"abc\xff", words, 1).unwrap_err();
        assert!(matches!(&error, PluginError::MalformedOutcome(text) if text.contains(says)), "{words:?}: {error}");
    }
}

#[test]
fn a_short_answer_cannot_become_too_many_records() {
    let mut words = vec![2, u32::MAX];
    words.resize(100_000, 0);
    let error = decode(b"", &words, 1).unwrap_err();
    assert!(error.to_string().contains("more than 65536 records"), "{error}");
}

#[test]
fn random_words_never_panic() {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut good = 0;
    for _ in 0..20_000 {
        // Mostly small, so that many get far.
        let words: Vec<u32> = (0..random() % 24)
            .map(|_| if random() % 8 == 0 { random() as u32 } else { (random() % 8) as u32 })
            .collect();
        good += u32::from(decode(b"abcdefgh", &words, (random() % 4) as usize).is_ok());
    }
    assert!(good > 0);
}

#[test]
fn names_are_shared_and_bounded() {
    let mut names = Names::default();
    let first = names.shared("site");
    assert!(Arc::ptr_eq(&first, &names.shared("site")));
    for n in 0..100 {
        assert_eq!(&*names.shared(&n.to_string()), n.to_string());
    }
    assert_eq!(names.recent.len(), Names::REMEMBERED);
}
