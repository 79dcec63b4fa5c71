//! Host side of the plain transform world: items become WIT records, WIT outcomes become [`Verdict`]s.

use bytes::Bytes;

use super::error::PluginError;
use super::transform::Item;
use super::verdict::{MAX_RECORDS, Patch, Verdict};
use super::world::plain::millstream::plugin::types as wire;

/// What has to be made before it can be lent to a call.
pub(super) struct Lent<'a> {
    peer: String,
    headers: Vec<wire::HeaderParam<'a>>,
    user_properties: Vec<(&'a str, &'a str)>,
}

pub(super) fn lend<'a>(items: &'a [Item<'_>]) -> Vec<Lent<'a>> {
    let lend = |item: &'a Item<'_>| {
        let header = |(name, value): &'a (_, Option<Bytes>)| -> wire::HeaderParam<'a> {
            let name: &std::sync::Arc<str> = name;
            wire::HeaderParam { name, value: value.as_deref() }
        };
        let properties = item.message.properties.as_ref().map_or(&[][..], |properties| &properties.user_properties);
        Lent {
            peer: item.message.client.peer.to_string(),
            headers: item.record.headers.iter().map(header).collect(),
            user_properties: properties.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect(),
        }
    };
    items.iter().map(lend).collect()
}

/// One WIT record for each item, borrowing all of it.
pub(super) fn messages<'a>(items: &'a [Item<'_>], lent: &'a [Lent<'a>]) -> Vec<wire::Message<'a>> {
    items.iter().zip(lent).map(|(item, lent)| message(item, lent)).collect()
}

fn message<'a>(item: &'a Item<'_>, lent: &'a Lent<'a>) -> wire::Message<'a> {
    let Item { record, message, rule } = item;
    wire::Message {
        outgoing: wire::OutgoingParam {
            topic: &record.topic,
            key: record.key.as_deref(),
            value: record.value.as_deref(),
            headers: &lent.headers,
            timestamp: record.timestamp,
        },
        origin: wire::Origin {
            rule,
            client_id: message.client.id.as_str(),
            username: message.client.username.as_deref(),
            peer: &lent.peer,
            topic: message.topic.as_str(),
            qos: message.qos as u8,
            retain: message.retain,
            user_properties: &lent.user_properties,
        },
    }
}

/// Checks what came back against the number of messages that went in, and appends one verdict for each. After an error
/// `verdicts` may hold some of them.
pub(super) fn verdicts(
    answer: Vec<wire::Outcome>,
    expected: usize,
    verdicts: &mut Vec<Verdict>,
) -> Result<(), PluginError> {
    if answer.len() != expected {
        return Err(PluginError::WrongOutcomeCount { expected, got: answer.len() });
    }
    let records =
        |outcome: &wire::Outcome| if let wire::Outcome::Replace(records) = outcome { records.len() } else { 0 };
    if answer.iter().map(records).sum::<usize>() > MAX_RECORDS {
        return Err(PluginError::MalformedOutcome(format!("more than {MAX_RECORDS} records from one batch")));
    }
    for (n, outcome) in answer.into_iter().enumerate() {
        verdicts.push(verdict(outcome, n)?);
    }
    Ok(())
}

fn verdict(outcome: wire::Outcome, n: usize) -> Result<Verdict, PluginError> {
    Ok(match outcome {
        wire::Outcome::Keep => Verdict::Keep,
        wire::Outcome::Drop(reason) => Verdict::Drop(reason),
        wire::Outcome::Refuse(reason) => Verdict::Refuse(reason),
        wire::Outcome::Replace(records) => {
            let mut patches = records.into_iter().map(|record| patch(record, n)).collect::<Result<Vec<_>, _>>()?;
            match patches.pop() {
                None => {
                    return Err(PluginError::MalformedOutcome(format!("message {n}: replaced by nothing; use `drop`")));
                }
                Some(only) if patches.is_empty() => Verdict::Change(only),
                Some(last) => {
                    patches.push(last);
                    Verdict::Split(patches)
                }
            }
        }
    })
}

/// A whole record, as a patch that leaves nothing.
fn patch(record: wire::OutgoingResult, n: usize) -> Result<Patch, PluginError> {
    if record.topic.is_empty() {
        return Err(PluginError::MalformedOutcome(format!("message {n}: the topic is empty")));
    }
    Ok(Patch {
        topic: Some(record.topic.into()),
        key: Some(record.key.map(Bytes::from)),
        value: Some(record.value.map(Bytes::from)),
        timestamp: Some(record.timestamp),
        clear_headers: true,
        append_headers: record.headers.into_iter().map(|h| (h.name.into(), h.value.map(Bytes::from))).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(topic: &str) -> wire::OutgoingResult {
        wire::OutgoingResult { topic: topic.into(), key: None, value: None, headers: Vec::new(), timestamp: None }
    }

    fn decode(answer: Vec<wire::Outcome>, expected: usize) -> Result<Vec<Verdict>, PluginError> {
        let mut found = Vec::new();
        verdicts(answer, expected, &mut found)?;
        Ok(found)
    }

    #[test]
    fn replacing_by_one_is_a_change_and_by_several_a_split() {
        let answer =
            vec![wire::Outcome::Replace(vec![record("a")]), wire::Outcome::Replace(vec![record("a"), record("b")])];
        let outcomes = decode(answer, 2).unwrap();
        assert!(matches!(&outcomes[0], Verdict::Change(patch) if patch.topic.as_deref() == Some("a")));
        assert!(matches!(&outcomes[1], Verdict::Split(patches) if patches[1].topic.as_deref() == Some("b")));
    }

    #[test]
    fn what_cannot_be_sent_is_malformed() {
        for answer in [wire::Outcome::Replace(Vec::new()), wire::Outcome::Replace(vec![record("")])] {
            assert!(matches!(decode(vec![answer], 1), Err(PluginError::MalformedOutcome(_))));
        }
    }

    #[test]
    fn the_count_must_fit() {
        let error = decode(vec![wire::Outcome::Keep], 2).unwrap_err();
        assert!(matches!(error, PluginError::WrongOutcomeCount { expected: 2, got: 1 }));
    }
}
