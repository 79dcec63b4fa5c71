//! Sparkplug B payloads. A metric that has only an alias gets the name that the last birth of the same edge node or device
//! gave to it, if this connection sent that birth ([`learn_birth`]).

mod births;

use std::sync::Arc;

use bytes::Bytes;

use super::args::bytes;
use super::codec::{from_base64, to_base64};
use super::schemas::message;
use super::{Fault, Function};
use crate::rule::World;
use crate::value::{Map, Value};
pub use births::learn_birth;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::with_world(
        1..=2,
        "sparkplug_encode(map[, message]) -> text",
        "The bytes of a Sparkplug B payload, or of another of its messages, such as 'Payload.Metric'.",
        &[("sparkplug_encode(map_new(), 'Nothing')", "!"), ("sparkplug_encode(1)", "!")],
        |world, args| {
            let encoded = world.schemas().sparkplug_encode(&args[0], message(args, 1)?);
            encoded.map(Value::Str).map_err(Fault::failed)
        },
    ),
    Function::with_world(
        1..=2,
        "sparkplug_decode(text[, message]) -> map",
        "The value of a Sparkplug B payload, or of another of its messages, field for field.",
        &[("sparkplug_decode(1)", "!"), ("sparkplug_decode('abc')", "!")],
        |world, args| {
            let data = bytes(args, 0)?;
            world.schemas().sparkplug_decode(data, message(args, 1)?).map_err(Fault::failed)
        },
    ),
    Function::with_world(
        1..=2,
        "spb_encode(map[, message]) -> text",
        "Like sparkplug_encode, with Base64 in the metrics' bytes_value.",
        &[("spb_encode(1)", "!")],
        |world, args| {
            let value = each_metric(&args[0], &mut |metric| {
                if let Some(Value::Str(text)) = metric.get(&b"bytes_value"[..]) {
                    let data = from_base64(text).ok_or_else(|| Fault::failed("a bytes_value is not Base64"))?;
                    metric.insert(Bytes::from_static(b"bytes_value"), Value::Str(data.into()));
                }
                Ok(())
            })?;
            let encoded = world.schemas().sparkplug_encode(&value, message(args, 1)?);
            encoded.map(Value::Str).map_err(Fault::failed)
        },
    ),
    Function::with_world(
        1..=2,
        "spb_decode(text[, message]) -> map",
        "Like sparkplug_decode, with Base64 in the metrics' bytes_value, and with the names of metrics that have only an \
         alias, if the same connection sent the birth of the edge node or device that the topic names.",
        &[("spb_decode('abc')", "!")],
        spb_decode,
    ),
    Function::new(
        1..=1,
        "spb_zip_kvs(map) -> map",
        "A decoded payload in which property sets are maps from key to value, lists of them are lists, and the rows of data \
         sets are maps from column to element.",
        &[
            (
                r#"spb_zip_kvs(json_decode('{"metrics":[{"properties":{"keys":["u"],"values":[{"type":12}]}}]}'))"#,
                r#"{"metrics":[{"properties":{"u":{"type":12}}}]}"#,
            ),
            (
                r#"spb_zip_kvs(json_decode('{"dataset_value":{"columns":["a"],"rows":[{"elements":[{"int_value":5}]}]}}'))"#,
                r#"{"dataset_value":{"rows":[{"a":{"int_value":5}}],"columns":["a"]}}"#,
            ),
            (
                r#"spb_zip_kvs(json_decode('{"propertysets_value":{"propertyset":[{"keys":["k"],"values":[1]}]}}'))"#,
                r#"{"propertysets_value":[{"k":1}]}"#,
            ),
            ("spb_zip_kvs(map_new())", "{}"),
            ("spb_zip_kvs('a')", "!"),
        ],
        |args| match &args[0] {
            Value::Map(_) if args[0].fits(1 << 20, 256) => Ok(zip(&args[0])),
            _ => Err(Fault::argument(args, 0, "a map of bounded size")),
        },
    ),
];

fn spb_decode(world: &dyn World, args: &[Value]) -> Result<Value, Fault> {
    let decoded = world.schemas().sparkplug_decode(bytes(args, 0)?, message(args, 1)?).map_err(Fault::failed)?;
    let names = births::names(world);
    each_metric(&decoded, &mut |metric| {
        if let Some(Value::Str(data)) = metric.get(&b"bytes_value"[..]) {
            let text = Value::Str(to_base64(data).into());
            metric.insert(Bytes::from_static(b"bytes_value"), text);
        }
        let alias = metric.get(&b"alias"[..]).and_then(births::alias);
        if let (Some(alias), Some(names), None) = (alias, &names, metric.get(&b"name"[..]))
            && let Some(name) = names.name(alias)
        {
            metric.insert(Bytes::from_static(b"name"), Value::Str(name));
        }
        Ok(())
    })
}

/// The value with every metric of it changed, those within templates too.
fn each_metric(value: &Value, change: &mut dyn FnMut(&mut Map) -> Result<(), Fault>) -> Result<Value, Fault> {
    if !value.fits(1 << 20, 256) {
        return Err(Fault::failed("the payload is too large"));
    }
    let (Value::Map(map), metrics) = (value, &b"metrics"[..]) else { return Ok(value.clone()) };
    let Some(Value::List(list)) = map.get(metrics) else { return Ok(value.clone()) };
    let mut changed = Vec::with_capacity(list.len());
    for metric in list.iter() {
        let Value::Map(metric) = metric else {
            changed.push(metric.clone());
            continue;
        };
        let mut metric = Map::clone(metric);
        if let Some(template) = metric.get(&b"template_value"[..]) {
            let template = each_metric(template, change)?;
            metric.insert(Bytes::from_static(b"template_value"), template);
        }
        change(&mut metric)?;
        changed.push(Value::map(metric));
    }
    let mut map = Map::clone(map);
    map.insert(Bytes::from_static(metrics), Value::list(changed));
    Ok(Value::Map(Arc::new(map)))
}

fn zip(value: &Value) -> Value {
    match value {
        Value::List(items) => Value::list(items.iter().map(zip).collect()),
        Value::Map(map) => Value::map(map.iter().map(|(key, value)| (key.clone(), zip_entry(key, value))).collect()),
        other => other.clone(),
    }
}

fn zip_entry(key: &[u8], value: &Value) -> Value {
    let zipped = match key {
        b"properties" | b"propertyset_value" => pairs(value.get(b"keys"), value.get(b"values")),
        b"propertysets_value" => sets(value),
        b"dataset_value" => rows(value),
        _ => None,
    };
    zipped.unwrap_or_else(|| zip(value))
}

/// Keys and values of the same number, one after the other.
fn pairs(keys: Option<&Value>, values: Option<&Value>) -> Option<Value> {
    let (Some(Value::List(keys)), Some(Value::List(values))) = (keys, values) else { return None };
    let texts = keys.iter().map(|key| match key {
        Value::Str(key) => Some(key.clone()),
        _ => None,
    });
    let keys = texts.collect::<Option<Vec<Bytes>>>().filter(|keys| keys.len() == values.len())?;
    Some(Value::map(keys.into_iter().zip(values.iter().map(zip)).collect()))
}

fn sets(value: &Value) -> Option<Value> {
    let Some(Value::List(sets)) = value.get(b"propertyset") else { return None };
    let sets = sets.iter().map(|set| pairs(set.get(b"keys"), set.get(b"values")).unwrap_or_else(|| zip(set)));
    Some(Value::list(sets.collect()))
}

fn rows(value: &Value) -> Option<Value> {
    let (Value::Map(set), Some(Value::List(rows))) = (value, value.get(b"rows")) else { return None };
    let columns = value.get(b"columns");
    let rows = rows.iter().map(|row| pairs(columns, row.get(b"elements")).unwrap_or_else(|| zip(row)));
    let mut set = Map::clone(set);
    let rows = Value::list(rows.collect());
    set.insert(Bytes::from_static(b"rows"), rows);
    Some(Value::map(set))
}
