//! What births say: the names that stand behind aliases, of each edge node and each device of a connection. One table for
//! each, kept as bytes in which an alias is looked up in place; the next birth of the same device replaces it.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::rule::{Memory, World};
use crate::value::Value;

/// Keeps the names of a birth, if that is what the world's topic says of the payload (Sparkplug 3.0, "Topics").
///
/// # Errors
/// The payload is none, or there is no room for its names.
pub fn learn_birth(world: &dyn World, payload: &Bytes) -> Result<(), String> {
    let Some((Kind::Birth, device)) = world.topic().and_then(read) else { return Ok(()) };
    let table = tabulate(&world.schemas().sparkplug_decode(payload, None)?);
    world.remember(Memory::Connection, &key(&device), table.as_deref()).map(drop)
}

/// The names for the message that the world is at, if it is data of a device whose birth was seen.
pub(super) fn names(world: &dyn World) -> Option<Names> {
    let (Kind::Data, device) = world.topic().and_then(read)? else { return None };
    world.recall(Memory::Connection, &key(&device)).map(Names)
}

enum Kind {
    Birth,
    Data,
}

/// Of `namespace/group/kind/node` and `namespace/group/kind/node/device` the kind, and all but it.
fn read(topic: &str) -> Option<(Kind, [&str; 4])> {
    let mut levels = topic.split('/');
    let (namespace, group, kind, node) = (levels.next()?, levels.next()?, levels.next()?, levels.next()?);
    let (device, end) = (levels.next(), levels.next());
    let kind = match (kind, device, end) {
        ("NBIRTH", None, None) | ("DBIRTH", Some(_), None) => Kind::Birth,
        ("NDATA", None, None) | ("DDATA", Some(_), None) => Kind::Data,
        _ => return None,
    };
    Some((kind, [namespace, group, node, device.unwrap_or_default()]))
}

/// No term, and so no key of a rule, begins like this.
fn key(device: &[&str; 4]) -> Vec<u8> {
    format!("spb birth {}", device.join("/")).into_bytes()
}

/// Their number; for each, by the alias, alias and end of the name; the names. Numbers have their high bytes first, so that
/// aliases are in the order of their bytes.
pub(super) struct Names(Bytes);

const COUNT: usize = 4;
const ROW: usize = 12;

impl Names {
    pub(super) fn name(&self, alias: u64) -> Option<Bytes> {
        let (count, rest) = self.0.split_at_checked(COUNT)?;
        let count = u32::from_be_bytes(count.try_into().ok()?) as usize;
        let rows = rest.get(..count.checked_mul(ROW)?)?.as_chunks::<ROW>().0;
        let at = rows.binary_search_by(|row| row[..8].cmp(&alias.to_be_bytes()[..])).ok()?;
        let end = |row: &[u8; ROW]| u32::from_be_bytes([row[8], row[9], row[10], row[11]]) as usize;
        let start = at.checked_sub(1).map_or(0, |before| end(&rows[before]));
        let names = COUNT + count * ROW;
        (names + end(&rows[at]) <= self.0.len()).then(|| self.0.slice(names + start..names + end(&rows[at])))
    }
}

/// The table of a payload's metrics, if one of them has both a name and an alias.
fn tabulate(payload: &Value) -> Option<Vec<u8>> {
    let Some(Value::List(metrics)) = payload.get(b"metrics") else { return None };
    let named = metrics.iter().filter_map(|metric| match metric.get(b"name") {
        Some(Value::Str(name)) => Some((alias(metric.get(b"alias")?)?, name)),
        _ => None,
    });
    let named: BTreeMap<u64, &Bytes> = named.collect();
    let (mut rows, mut names) = (Vec::new(), Vec::new());
    for (alias, name) in &named {
        names.extend_from_slice(name);
        rows.extend_from_slice(&alias.to_be_bytes());
        rows.extend_from_slice(&u32::try_from(names.len()).ok()?.to_be_bytes());
    }
    let count = u32::try_from(named.len()).ok().filter(|count| *count > 0)?;
    Some([&count.to_be_bytes()[..], &rows, &names].concat())
}

pub(super) fn alias(value: &Value) -> Option<u64> {
    u64::try_from(value.to_big()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(metrics: &str) -> Value {
        Value::from_json(format!("{{\"metrics\":{metrics}}}").as_bytes()).expect("JSON")
    }

    #[test]
    fn names_stand_behind_aliases() {
        let table = tabulate(&payload(
            r#"[{"name":"c","alias":18446744073709551615},{"name":"a","alias":0},{"name":"none"},{"alias":7},
                {"name":"","alias":5},{"name":"old","alias":300},{"name":"bé","alias":300}]"#,
        ));
        let names = Names(table.expect("four names").into());
        for (alias, name) in
            [(0, Some("a")), (5, Some("")), (300, Some("bé")), (u64::MAX, Some("c")), (7, None), (1, None)]
        {
            assert_eq!(names.name(alias).as_deref(), name.map(str::as_bytes), "{alias}");
        }
        for nothing in ["[]", r#"[{"name":"a"},{"alias":1}]"#, "1"] {
            assert_eq!(tabulate(&payload(nothing)), None);
        }
    }

    #[test]
    fn what_is_no_table_has_no_names() {
        let table = tabulate(&payload(r#"[{"name":"a","alias":1}]"#)).expect("a name");
        for cut in 0..table.len() {
            assert_eq!(Names(Bytes::copy_from_slice(&table[..cut])).name(1), None, "{cut}");
        }
        assert_eq!(Names(Bytes::from_static(&[0xFF; 40])).name(1), None);
    }

    #[test]
    fn topics() {
        for (topic, device) in [
            ("spBv1.0/g/NBIRTH/n", Some(["spBv1.0", "g", "n", ""])),
            ("spBv1.0/g/DDATA/n/d", Some(["spBv1.0", "g", "n", "d"])),
            ("spBv1.0/g/NDATA/n/d", None),
            ("spBv1.0/g/DBIRTH/n", None),
            ("spBv1.0/g/DBIRTH/n/d/e", None),
            ("spBv1.0/g/NDEATH/n", None),
            ("spBv1.0/STATE/h", None),
            ("", None),
        ] {
            assert_eq!(read(topic).map(|(_, device)| device), device, "{topic}");
        }
    }
}
