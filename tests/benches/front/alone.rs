//! The parts of the front on one thread, without sockets: decoding, encoding, finding filters.

use std::hint::black_box;
use std::time::{Duration, Instant};

use millstream::message::ProtocolVersion;
use millstream::mqtt::measured;
use millstream::topic::{FilterIndex, TopicFilter};
use support::wire::{self, Publish, Version};

pub fn run() {
    println!("\n| alone, one thread | ns each |\n|---|---:|");
    let payload = [b'x'; 256];
    let mut properties = Vec::new();
    wire::user_property(&mut properties, "site", "plant-7");
    for (name, version, level, properties) in [
        ("decode PUBLISH, QoS 1, 256 B, 3.1.1", Version::V4, ProtocolVersion::V4, &[][..]),
        ("decode PUBLISH, QoS 1, 256 B, 5.0", Version::V5, ProtocolVersion::V5, &[][..]),
        ("decode PUBLISH, QoS 1, 256 B, 5.0, one user property", Version::V5, ProtocolVersion::V5, &properties[..]),
    ] {
        let mut bytes = Vec::new();
        for id in 1..=100 {
            let publish =
                Publish { topic: "site/7/temp", payload: &payload, qos: 1, id, properties, ..Publish::default() };
            wire::publish(&mut bytes, version, &publish);
        }
        row(name, 100, || assert_eq!(measured::decode(level, black_box(&bytes)), 100));
    }
    for (name, version) in [("3.1.1", ProtocolVersion::V4), ("5.0", ProtocolVersion::V5)] {
        let encode = || assert!(measured::encode(version, "site/7/temp", black_box(&payload), 100) > 25_600);
        row(&format!("encode PUBLISH, QoS 1, 256 B, {name}"), 100, encode);
    }
    for filters in [10, 100_000] {
        let mut index = FilterIndex::default();
        for n in 0..filters {
            let filter = TopicFilter::new(&format!("site/{n}/+")).expect("a filter");
            index.insert(&filter, n);
        }
        let topics: Vec<String> = (0..100).map(|n| format!("site/{}/temp", n * filters / 100)).collect();
        row(&format!("match, {filters} filters"), topics.len(), || {
            for topic in &topics {
                let mut found = 0;
                index.for_each_match(topic, |_| found += 1);
                assert_eq!(black_box(found), 1);
            }
        });
    }
}

/// The median over many calls, each of `n`: what else the machine does meets few of them.
fn row(name: &str, n: usize, mut work: impl FnMut()) {
    let mut times = Vec::new();
    let end = Instant::now() + Duration::from_secs(1);
    while Instant::now() < end {
        let start = Instant::now();
        work();
        times.push(start.elapsed());
    }
    times.sort_unstable();
    println!("| {name} | {:.0} |", times[times.len() / 2].as_secs_f64() * 1e9 / n as f64);
}
