//! Simulated peers around a real session: a network that breaks at any moment, a pipeline and a client that answer in
//! any order. No socket and no clock; every step is chosen by the test, so a failure shrinks to the steps that matter.
//!
//! The peers keep to the standard, and check that the broker does. Each run ends with everything being carried to its
//! end, and then nothing may be missing, doubled or left over.

mod publisher;
mod subscriber;

use super::*;

fn id(n: u16) -> PacketId {
    PacketId::new(n).unwrap()
}

/// Every way to put `step` once and twice into `script`.
fn interrupted<S: Clone>(script: &[S], step: &S) -> Vec<Vec<S>> {
    let mut all = Vec::new();
    for first in 0..=script.len() {
        let mut once = script.to_vec();
        once.insert(first, step.clone());
        for second in first + 1..=once.len() {
            let mut twice = once.clone();
            twice.insert(second, step.clone());
            all.push(twice);
        }
        all.push(once);
    }
    all
}
