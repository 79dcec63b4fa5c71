//! Topic names and filters: which are valid, and what matches what.

use support::peer::{Peer, QOS_1};
use support::wire::Version;

use super::{join, name};

/// `#` only as the last level and alone in it, `+` only alone in its level.
pub fn wildcards_stand_alone(version: Version) {
    let mut subscriber = join(version, &name(version, "wildcards"));
    let code = if version == Version::V5 { 0x8f } else { 0x80 };
    for bad in ["w#", "w/x#", "w/#/x", "#/w", "##", "w/##", "#w", "w+", "+w", "w/+x", "w/x+/y", "++", "w/++/x", "+#"] {
        subscriber.subscribe_all(&[], &[(bad, 1)]);
        eprintln!("{bad}");
        subscriber.expect_suback(&[code]);
    }
    for good in ["w/#", "w/+", "+/w", "w/+/x", "+/+", "/+", "+/", "+/w/#", "w/+/+/#", "//", "/"] {
        subscriber.subscribe(&format!("{}/{good}", name(version, "wildcards")), 1);
    }
}

/// A table of filters and topics below one level of this flow's own.
pub fn filters_match_whole_levels(version: Version) {
    let root = name(version, "levels");
    let mut peer = join(version, &name(version, "levels-publisher"));
    for (filter, matching, others) in [
        ("#", &["", "a", "a/b", "/", "a//b"][..], &[][..]),
        ("+", &["a", "", "é"], &["a/b", "a/", "/a"]),
        ("a/+", &["a/b", "a/"], &["a", "a/b/c", "A/b", "a/b/"]),
        ("a/#", &["a", "a/b", "a/b/c", "a/"], &["ab", "b/a"]),
        ("+/b/#", &["a/b", "a/b/c", "/b"], &["b", "a/c/b", "a/b2"]),
        ("a//c", &["a//c"], &["a/b/c", "a/c", "a///c"]),
        ("a b", &["a b"], &["a.b", "ab", "a  b"]),
    ] {
        let mut subscriber = join(version, &name(version, "levels-subscriber"));
        subscriber.subscribe(&format!("{root}/{filter}"), 1);
        for (topics, comes) in [(matching, true), (others, false)] {
            for topic in topics {
                let topic = format!("{root}/{topic}");
                peer.say(QOS_1, &topic, b"x");
                if comes {
                    assert_eq!(subscriber.take(&topic).1, b"x", "{filter} {topic}");
                }
            }
        }
        subscriber.expect_silence();
    }
}

/// No two spellings are the same topic: case, composed and decomposed letters, a byte order mark, blanks.
pub fn topics_are_compared_as_they_are(version: Version) {
    let root = name(version, "spelling");
    let spellings =
        ["e\u{301}", "\u{e9}", "E\u{301}", "e", "\u{feff}e", "e\u{feff}", " e", "e ", "/e", "e/", "%65", "e\u{200d}"];
    let mut peer = join(version, &name(version, "spelling-publisher"));
    let mut subscribers: Vec<Peer> = Vec::new();
    for (number, spelling) in spellings.iter().enumerate() {
        let mut subscriber = join(version, &name(version, &format!("spelling-{number}")));
        subscriber.subscribe(&format!("{root}/{spelling}"), 1);
        subscribers.push(subscriber);
    }
    for (spelling, subscriber) in spellings.iter().zip(&mut subscribers) {
        let topic = format!("{root}/{spelling}");
        peer.say(QOS_1, &topic, spelling.as_bytes());
        // Byte for byte as it was published.
        subscriber.expect_publish(QOS_1, &topic, 1, &[], spelling.as_bytes());
    }
    subscribers.iter_mut().for_each(Peer::expect_silence);
}

/// `#` and `+` at the beginning do not match topics that begin with `$`; a filter that names the `$` does.
pub fn wildcards_do_not_match_dollar_topics(version: Version) {
    let root = name(version, "dollar");
    let (dollar, plain) = (format!("${root}/x"), format!("{root}/x"));
    let mut wild = join(version, &name(version, "dollar-wild"));
    wild.subscribe("+/x", 0);
    let mut all = join(version, &name(version, "dollar-all"));
    all.subscribe("#", 0);
    let mut named = join(version, &name(version, "dollar-named"));
    named.subscribe(&format!("${root}/+"), 1);
    let mut peer = join(version, &name(version, "dollar-publisher"));
    peer.say(QOS_1, &dollar, b"hidden");
    peer.say(QOS_1, &plain, b"seen");
    assert_eq!(named.take(&dollar).1, b"hidden");
    named.expect_silence();
    // Other tests publish as well, so both see more than these two; what they must not see would have come first.
    for subscriber in [&mut wild, &mut all] {
        loop {
            let packet = subscriber.packet();
            assert!(!packet.is_empty(), "the connection has ended");
            assert!(!contains(&packet, dollar.as_bytes()), "{packet:02x?}");
            if contains(&packet, plain.as_bytes()) {
                break;
            }
        }
    }
}

fn contains(packet: &[u8], part: &[u8]) -> bool {
    packet.windows(part.len()).any(|window| window == part)
}

/// The longest topic that a packet can carry works as name and as filter; there is no way to write a longer one.
pub fn a_topic_may_have_65535_bytes(version: Version) {
    let mut longest = name(version, "longest/");
    longest.push_str(&"x".repeat(65_535 - longest.len()));
    let mut subscriber = join(version, &name(version, "longest-subscriber"));
    subscriber.subscribe(&longest, 1);
    let mut peer = join(version, &name(version, "longest-publisher"));
    peer.say(QOS_1, &longest, b"x");
    peer.say(QOS_1, &longest[..65_534], b"shorter by one");
    subscriber.expect_publish(QOS_1, &longest, 1, &[], b"x");
    subscriber.expect_silence();
}
