//! What time it is, asked of the world each time, and dates for MongoDB.

use super::args::{moment, str_value};
use super::date::{Civil, SECOND, local_text, unit};
use super::{Fault, Function};
use crate::rule::World;
use crate::value::Value;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::with_world(
        0..=1,
        "now_timestamp([unit]) -> integer",
        "The time since 1970-01-01 UTC, in seconds or in another unit.",
        &[
            ("is_int(now_timestamp())", "true"),
            ("strlen(str(now_timestamp('millisecond')))", "13"),
            ("strlen(str(now_timestamp('microsecond')))", "16"),
            ("strlen(str(now_timestamp('nanosecond')))", "19"),
            ("now_timestamp('minute')", "!"),
            ("now_timestamp(1)", "!"),
        ],
        |world, args| {
            let unit = if args.is_empty() { SECOND } else { unit(args, 0)? };
            Ok(Value::Int(unit.of_nanos(world.now())))
        },
    ),
    Function::with_world(
        0..=1,
        "now_rfc3339([unit]) -> text",
        "The time in the node's zone, with its offset (+00:00, never Z) and the fraction that the unit gives.",
        &[
            ("regex_match(now_rfc3339(), '^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d[+-]\\d\\d:\\d\\d$')", "true"),
            ("regex_match(now_rfc3339('millisecond'), ':\\d\\d\\.\\d{3}[+-]')", "true"),
            ("now_rfc3339('minute')", "!"),
        ],
        |world, args| {
            let unit = if args.is_empty() { SECOND } else { unit(args, 0)? };
            local_text(world, unit.of_nanos(world.now()), unit)
        },
    ),
    Function::with_world(
        0..=2,
        "mongo_date([timestamp[, unit]]) -> text",
        "The time, or now, as MongoDB's shell writes dates; without a unit the timestamp is in milliseconds.",
        &[
            ("mongo_date(1700000000123)", r#""ISODate(2023-11-14T22:13:20.123Z)""#),
            ("mongo_date(1700000000, 'second')", r#""ISODate(2023-11-14T22:13:20.000Z)""#),
            ("mongo_date(1700000000123456, 'microsecond')", r#""ISODate(2023-11-14T22:13:20.123Z)""#),
            ("strlen(mongo_date())", "33"),
            ("mongo_date('now')", "!"),
            ("mongo_date(1, 'day')", "!"),
        ],
        mongo_date,
    ),
];

fn mongo_date(world: &dyn World, args: &[Value]) -> Result<Value, Fault> {
    let milliseconds = match args.len() {
        0 => world.now().div_euclid(1_000_000),
        1 => moment(args, 0)?,
        _ => {
            let unit = unit(args, 1)?;
            let scaled = i128::from(moment(args, 0)?) * 1000 / i128::from(unit.per_second);
            i64::try_from(scaled).map_err(|_| Fault::argument(args, 0, "a time within the years 0 to 9999"))?
        }
    };
    let (date, _) = Civil::at(milliseconds.div_euclid(1000), SECOND, 0)?;
    Ok(str_value(format!("ISODate({}.{:03}Z)", date.iso(), milliseconds.rem_euclid(1000))))
}
