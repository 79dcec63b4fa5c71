//! Dates and times between numbers and text. The clock and the zone of the node are asked of the world.
//!
//! Years run from 0 to 9999, as in RFC 3339.

use super::args::{bytes, integer, moment, str_value, utf8};
use super::{Fault, Function};
use crate::rule::World;
use crate::value::Value;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::with_world(
        1..=2,
        "unix_ts_to_rfc3339(timestamp[, unit]) -> text",
        "The time in the node's zone, with its offset (+00:00, never Z). Units: 'second', 'millisecond', 'microsecond', \
         'nanosecond'.",
        &[
            ("unix_ts_to_rfc3339(0)", r#""1970-01-01T00:00:00+00:00""#),
            ("unix_ts_to_rfc3339(1700000000123, 'millisecond')", r#""2023-11-14T22:13:20.123+00:00""#),
            ("unix_ts_to_rfc3339(1700000000000, 'millisecond')", r#""2023-11-14T22:13:20.000+00:00""#),
            ("unix_ts_to_rfc3339(-1)", r#""1969-12-31T23:59:59+00:00""#),
            ("unix_ts_to_rfc3339(1.5)", "!"),
            ("unix_ts_to_rfc3339(0, 'minute')", "!"),
            ("unix_ts_to_rfc3339(9223372036854775807)", "!"),
        ],
        |world, args| {
            let unit = if args.len() > 1 { unit(args, 1)? } else { SECOND };
            local_text(world, moment(args, 0)?, unit)
        },
    ),
    Function::new(
        1..=2,
        "rfc3339_to_unix_ts(text[, unit]) -> integer",
        "The timestamp of an RFC 3339 time, whose zone is required. Digits beyond the unit are dropped; before 1970 a \
         fraction is subtracted, as in EMQX.",
        &[
            ("rfc3339_to_unix_ts('2023-11-14T22:13:20Z')", "1700000000"),
            ("rfc3339_to_unix_ts('2023-11-14T22:13:20.999Z')", "1700000000"),
            ("rfc3339_to_unix_ts('2023-11-15 06:13:20.5+08:00', 'millisecond')", "1700000000500"),
            ("rfc3339_to_unix_ts('2023-11-14T22:13:20z', 'nanosecond')", "1700000000000000000"),
            ("rfc3339_to_unix_ts('1969-12-31T23:59:59.500Z', 'millisecond')", "-1500"),
            ("rfc3339_to_unix_ts('2023-11-14T22:13:20')", "!"),
            ("rfc3339_to_unix_ts('2023-02-30T00:00:00Z')", "!"),
            ("rfc3339_to_unix_ts('2023-11-14T25:13:20Z')", "!"),
            ("rfc3339_to_unix_ts('2023-11-14T22:13:20.Z')", "!"),
            ("rfc3339_to_unix_ts('now')", "!"),
            ("rfc3339_to_unix_ts(1)", "!"),
        ],
        |args| {
            let unit = if args.len() > 1 { unit(args, 1)? } else { SECOND };
            let read = rfc3339(bytes(args, 0)?, unit);
            read.map_or_else(
                || Err(Fault::argument(args, 0, "a time like 2023-11-14T22:13:20Z")),
                |n| integer(n.into()),
            )
        },
    ),
    Function::with_world(
        3..=4,
        "format_date(unit, offset, format[, timestamp]) -> text",
        "The timestamp, or now, at an offset from UTC. Directives: %Y %m %d %H %M %S, %N %3N %6N fractions, %z %:z %::z \
         offset; anything else stays as it is. As in EMQX, other characters than ASCII come out encoded twice, and a \
         fraction before 1970 has a minus sign.",
        &[
            ("format_date('second', '+08:00', '%Y-%m-%d %H:%M:%S%z', 1700000000)", r#""2023-11-15 06:13:20+0800""#),
            (
                "format_date('millisecond', 'Z', '%Y-%m-%dT%H:%M:%S.%3N%:z', 1700000000123)",
                r#""2023-11-14T22:13:20.123+00:00""#,
            ),
            ("format_date('microsecond', '-05:30', '%6N %::z %H:%M', 1700000000123456)", r#""123456 -05:30:00 16:43""#),
            ("format_date('nanosecond', 3600, '%N|%3N|%6N', 1700000000123456789)", r#""123456789|123|123456""#),
            ("format_date('second', 'z', '100%% %y', 0)", r#""100%% %y""#),
            ("format_date('second', 0, '%N', 5)", r#""000000000""#),
            ("format_date('millisecond', 'Z', '%S.%3N', -1)", r#""00.0-1""#),
            ("format_date('second', 'Z', '年%Y', 0)", r#""å¹´1970""#),
            ("strlen(format_date('millisecond', 'local', '%Y-%m-%d %H:%M:%S.%3N'))", "23"),
            ("format_date('second', 0, '%Y', 1.5)", "!"),
            ("format_date('second', '+8', '%Y', 0)", "!"),
            ("format_date('second', '+8', '%Y')", "!"),
        ],
        |world, args| {
            let unit = unit(args, 0)?;
            let timestamp = if args.len() > 3 { moment(args, 3)? } else { unit.of_nanos(world.now()) };
            let offset = offset(world, args, 1, timestamp / unit.per_second)?;
            // Towards zero, as EMQX does it: before 1970 the fraction is negative.
            let (date, _) = Civil::at(timestamp / unit.per_second, SECOND, offset)?;
            let nanos = timestamp % unit.per_second * (1_000_000_000 / unit.per_second);
            render(utf8(bytes(args, 2)?)?, &date, nanos, offset)
        },
    ),
    Function::with_world(
        3..=4,
        "date_to_unix_ts(unit, [offset, ]format, text) -> integer",
        "The timestamp of a text read by position. Other characters of the format only skip as many bytes. An offset \
         is subtracted in addition to one in the text.",
        &[
            ("date_to_unix_ts('second', '%Y-%m-%d %H:%M:%S', '2023-11-14 22:13:20')", "1700000000"),
            ("date_to_unix_ts('second', '%Y-%m-%d %H-%M-%S', '2023-11-14 22:13:20')", "1700000000"),
            ("date_to_unix_ts('millisecond', '%Y-%m-%d %H:%M:%S.%3N', '2023-11-14 22:13:20.123')", "1700000000123"),
            ("date_to_unix_ts('second', '+08:00', '%Y-%m-%d %H:%M:%S', '2023-11-15 06:13:20')", "1700000000"),
            ("date_to_unix_ts('second', '%Y-%m-%d %H:%M:%S%z', '2023-11-15 06:13:20+0800')", "1700000000"),
            ("date_to_unix_ts('second', '+08:00', '%Y-%m-%d %H:%M:%S%z', '2023-11-15 06:13:20+0800')", "1699971200"),
            ("date_to_unix_ts('second', '%Y-%m-%d %H:%M:%S%:z', '2023-11-14 22:13:20')", "1700000000"),
            ("date_to_unix_ts('second', '%Y-%m-%d', '2023-11-14')", "!"),
            ("date_to_unix_ts('second', '%Y-%m-%d %H:%M:%S', '2023-02-30 00:00:00')", "!"),
            ("date_to_unix_ts('second', '%Y-%m-%d %H:%M:%S', '2023-1-14 22:13:20')", "!"),
        ],
        parse_date,
    ),
    Function::with_world(
        1..=1,
        "timezone_to_offset_seconds(zone) -> integer",
        "The offset from UTC in seconds of Z, local (the node's zone now), +HH:MM, +HHMM or +HH:MM:SS; an integer is \
         already one.",
        &[
            ("timezone_to_offset_seconds('+08:00')", "28800"),
            ("timezone_to_offset_seconds('-0530')", "-19800"),
            ("timezone_to_offset_seconds('-1:2')", "-3720"),
            ("timezone_to_offset_seconds('+01:00:01')", "3601"),
            ("timezone_to_offset_seconds('z')", "0"),
            ("timezone_to_offset_seconds(3600)", "3600"),
            ("timezone_to_offset_seconds(nope)", "0"),
            ("timezone_to_offset_seconds('+08')", "!"),
            ("timezone_to_offset_seconds('+24:00')", "!"),
            ("timezone_to_offset_seconds('local')", "0"),
            ("timezone_to_offset_seconds('UTC')", "!"),
        ],
        zone_now,
    ),
    Function::with_world(
        1..=1,
        "timezone_to_second(zone) -> integer",
        "Like timezone_to_offset_seconds.",
        &[("timezone_to_second('+08:00')", "28800")],
        zone_now,
    ),
];

const DAY: i64 = 86_400;

#[derive(Clone, Copy)]
pub(super) struct Unit {
    pub(super) per_second: i64,
    /// Of a fraction.
    digits: usize,
}

impl Unit {
    /// Nanoseconds in this unit.
    pub(super) fn of_nanos(self, nanos: i64) -> i64 {
        nanos.div_euclid(1_000_000_000 / self.per_second)
    }
}

pub(super) const SECOND: Unit = Unit { per_second: 1, digits: 0 };

pub(super) fn unit(args: &[Value], at: usize) -> Result<Unit, Fault> {
    match args.get(at) {
        Some(Value::Str(word)) if word == "second" => Ok(SECOND),
        Some(Value::Str(word)) if word == "millisecond" => Ok(Unit { per_second: 1000, digits: 3 }),
        Some(Value::Str(word)) if word == "microsecond" => Ok(Unit { per_second: 1_000_000, digits: 6 }),
        Some(Value::Str(word)) if word == "nanosecond" => Ok(Unit { per_second: 1_000_000_000, digits: 9 }),
        _ => Err(Fault::argument(args, at, "'second', 'millisecond', 'microsecond' or 'nanosecond'")),
    }
}

fn zone_now(world: &dyn World, args: &[Value]) -> Result<Value, Fault> {
    offset(world, args, 0, SECOND.of_nanos(world.now())).map(Value::Int)
}

/// The zone in an argument, in seconds east of UTC; `local` as it is at that time.
fn offset(world: &dyn World, args: &[Value], at: usize, unix_seconds: i64) -> Result<i64, Fault> {
    match args.get(at) {
        Some(Value::Int(seconds)) => Ok(*seconds),
        Some(Value::Undefined) => Ok(0),
        Some(Value::Str(zone)) if zone == "local" => Ok(world.utc_offset(unix_seconds)),
        Some(Value::Str(zone)) => parse_zone(zone).ok_or_else(|| Fault::argument(args, at, "a zone like Z or +08:00")),
        _ => Err(Fault::argument(args, at, "a zone like Z or +08:00, or seconds")),
    }
}

fn parse_zone(zone: &[u8]) -> Option<i64> {
    if matches!(zone, b"Z" | b"z") {
        return Some(0);
    }
    let sign = match zone.first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let parts: Vec<&[u8]> = match &zone[1..] {
        compact if compact.len() == 4 && !compact.contains(&b':') => compact.chunks(2).collect(),
        rest => rest.split(|c| *c == b':').collect(),
    };
    if !(2..=3).contains(&parts.len()) || parts.iter().any(|part| part.len() > 2) {
        return None;
    }
    let mut seconds = 0;
    for (part, (limit, weight)) in parts.iter().zip([(24, 3600), (60, 60), (60, 1)]) {
        seconds += number(part).filter(|n| *n < limit)? * weight;
    }
    Some(sign * seconds)
}

/// Digits only, and at least one; at most 18 of them.
fn number(digits: &[u8]) -> Option<i64> {
    let plain = !digits.is_empty() && digits.len() <= 18 && digits.iter().all(u8::is_ascii_digit);
    plain.then(|| digits.iter().fold(0, |n, c| n * 10 + i64::from(c - b'0')))
}

/// A time in the node's zone, in RFC 3339 with as many digits of the fraction as the unit has.
pub(super) fn local_text(world: &dyn World, timestamp: i64, unit: Unit) -> Result<Value, Fault> {
    let offset = world.utc_offset(timestamp.div_euclid(unit.per_second));
    let (date, fraction) = Civil::at(timestamp, unit, offset)?;
    let fraction = if unit.digits == 0 { String::new() } else { format!(".{fraction:0>0$}", unit.digits) };
    let (sign, away) = (if offset < 0 { '-' } else { '+' }, offset.unsigned_abs());
    Ok(str_value(format!("{}{fraction}{sign}{:02}:{:02}", date.iso(), away / 3600, away / 60 % 60)))
}

/// A date and a time of day in the proleptic Gregorian calendar.
#[derive(Default)]
pub(super) struct Civil {
    year: i64,
    month: i64,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
}

impl Civil {
    /// The date at a timestamp, and the fraction of its second in the unit.
    pub(super) fn at(timestamp: i64, unit: Unit, offset: i64) -> Result<(Civil, i64), Fault> {
        let outside = || Fault::failed("the time is outside the years 0 to 9999");
        let seconds = timestamp.div_euclid(unit.per_second).checked_add(offset).ok_or_else(outside)?;
        // From year 0 to year 9999.
        if !(-62_167_219_200..253_402_300_800).contains(&seconds) {
            return Err(outside());
        }
        let (days, rest) = (seconds.div_euclid(DAY), seconds.rem_euclid(DAY));
        // Years that begin in March, so that the leap day comes last; eras of 400 of them.
        let since = days + 719_468;
        let (era, day_of_era) = (since.div_euclid(146_097), since.rem_euclid(146_097));
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted = (5 * day_of_year + 2) / 153;
        let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
        let date = Civil {
            year: era * 400 + year_of_era + i64::from(month <= 2),
            month,
            day: day_of_year - (153 * shifted + 2) / 5 + 1,
            hour: rest / 3600,
            minute: rest / 60 % 60,
            second: rest % 60,
        };
        Ok((date, timestamp.rem_euclid(unit.per_second)))
    }

    /// Seconds since 1970; `None` where there is no such day. The time of day is not checked.
    fn seconds(&self) -> Option<i64> {
        let leap = self.year % 4 == 0 && (self.year % 100 != 0 || self.year % 400 == 0);
        let days_in_month = match self.month {
            2 => 28 + i64::from(leap),
            4 | 6 | 9 | 11 => 30,
            1..=12 => 31,
            _ => return None,
        };
        if !(1..=days_in_month).contains(&self.day) {
            return None;
        }
        let (year, shifted) =
            if self.month > 2 { (self.year, self.month - 3) } else { (self.year - 1, self.month + 9) };
        let year_of_era = year.rem_euclid(400);
        let day_of_era =
            year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + (153 * shifted + 2) / 5 + self.day - 1;
        let days = year.div_euclid(400) * 146_097 + day_of_era - 719_468;
        Some(days * DAY + self.hour * 3600 + self.minute * 60 + self.second)
    }

    pub(super) fn iso(&self) -> String {
        let Civil { year, month, day, hour, minute, second } = self;
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")
    }
}

fn rfc3339(text: &[u8], unit: Unit) -> Option<i128> {
    let field = |from: usize, len: usize| number(text.get(from..from + len)?);
    let marks = [(4, b'-'), (7, b'-'), (13, b':'), (16, b':')];
    if !marks.iter().all(|(at, mark)| text.get(*at) == Some(mark)) {
        return None;
    }
    let date = Civil {
        year: field(0, 4)?,
        month: field(5, 2)?,
        day: field(8, 2)?,
        hour: field(11, 2).filter(|n| *n < 24)?,
        minute: field(14, 2).filter(|n| *n < 60)?,
        second: field(17, 2).filter(|n| *n <= 60)?,
    };
    let mut zone = text.get(19..)?;
    let mut fraction = 0;
    if let Some(rest) = zone.strip_prefix(b".") {
        let len = rest.iter().take_while(|c| c.is_ascii_digit()).count();
        let digits: Vec<u8> = rest[..len].iter().copied().chain(std::iter::repeat(b'0')).take(9).collect();
        fraction = number(&digits).filter(|_| len > 0)? / (1_000_000_000 / unit.per_second);
        zone = &rest[len..];
    }
    if !matches!(zone, [b'Z' | b'z'] | [_, _, _, b':', _, _]) {
        return None;
    }
    let seconds = date.seconds()? - parse_zone(zone)?;
    // EMQX takes the fraction away from times before 1970.
    let fraction = if seconds < 0 { -fraction } else { fraction };
    Some(i128::from(seconds) * i128::from(unit.per_second) + i128::from(fraction))
}

/// A part of a date format.
#[derive(Clone, Copy, PartialEq)]
enum Part<'f> {
    Year,
    Month,
    Day,
    Hour,
    Minute,
    Second,
    /// As many digits of the fraction.
    Fraction(usize),
    /// An offset, with as many colons.
    Offset(usize),
    Literal(&'f str),
}

/// The next part of a format, and what follows it.
fn next_part(format: &str) -> Option<(Part<'_>, &str)> {
    const DIRECTIVES: [(&str, Part<'static>); 12] = [
        ("%Y", Part::Year),
        ("%m", Part::Month),
        ("%d", Part::Day),
        ("%H", Part::Hour),
        ("%M", Part::Minute),
        ("%S", Part::Second),
        ("%N", Part::Fraction(9)),
        ("%3N", Part::Fraction(3)),
        ("%6N", Part::Fraction(6)),
        ("%z", Part::Offset(0)),
        ("%:z", Part::Offset(1)),
        ("%::z", Part::Offset(2)),
    ];
    let first = format.chars().next()?;
    let directive = DIRECTIVES.iter().find_map(|(name, part)| Some((*part, format.strip_prefix(name)?)));
    Some(directive.unwrap_or_else(|| {
        let (literal, rest) = format.split_at(first.len_utf8());
        (Part::Literal(literal), rest)
    }))
}

fn render(mut format: &str, date: &Civil, nanos: i64, offset: i64) -> Result<Value, Fault> {
    let mut out = String::with_capacity(format.len() * 2);
    while let Some((part, rest)) = next_part(format) {
        format = rest;
        let (sign, away) = (if offset < 0 { '-' } else { '+' }, offset.unsigned_abs());
        let (hours, minutes, seconds) = (away / 3600, away / 60 % 60, away % 60);
        out.push_str(&match part {
            // Each byte is taken for a character of Latin-1, as in EMQX.
            Part::Literal(text) => text.bytes().map(char::from).collect(),
            Part::Year => format!("{:04}", date.year),
            Part::Month => format!("{:02}", date.month),
            Part::Day => format!("{:02}", date.day),
            Part::Hour => format!("{:02}", date.hour),
            Part::Minute => format!("{:02}", date.minute),
            Part::Second => format!("{:02}", date.second),
            Part::Fraction(digits) => {
                let part = nanos / 10i64.pow(9 - digits as u32);
                format!("{:0>digits$}", part.to_string())
            }
            Part::Offset(0) => format!("{sign}{hours:02}{minutes:02}"),
            Part::Offset(1) => format!("{sign}{hours:02}:{minutes:02}"),
            Part::Offset(_) => format!("{sign}{hours:02}:{minutes:02}:{seconds:02}"),
        });
    }
    super::args::built(out.into_bytes())
}

fn parse_date(world: &dyn World, args: &[Value]) -> Result<Value, Fault> {
    let unit = unit(args, 0)?;
    // Of a zone that changes its offset, the present one counts.
    let extra = if args.len() > 3 { offset(world, args, 1, SECOND.of_nanos(world.now()))? } else { 0 };
    let (mut format, text_at) = (utf8(bytes(args, args.len() - 2)?)?, args.len() - 1);
    let mut text: &[u8] = bytes(args, text_at)?;
    let mismatch = || Fault::argument(args, text_at, "a date in the given format");
    let mut date = Civil::default();
    let (mut found, mut fraction, mut zone) = (0u8, 0, 0);
    while let Some((part, rest)) = next_part(format).filter(|_| !text.is_empty()) {
        format = rest;
        let width = match part {
            Part::Year => 4,
            Part::Fraction(digits) => digits,
            Part::Offset(colons) => [5, 6, 9][colons.min(2)],
            Part::Literal(literal) => literal.len(),
            _ => 2,
        };
        let (taken, rest) = text.split_at(width.min(text.len()));
        text = rest;
        let digits = || number(taken).filter(|_| taken.len() == width).ok_or_else(mismatch);
        let (slot, bit) = match part {
            Part::Literal(_) => continue,
            Part::Offset(_) => {
                zone = parse_zone(taken).ok_or_else(mismatch)?;
                continue;
            }
            Part::Fraction(given) => {
                fraction = digits()? * 10i64.pow(9 - given as u32);
                continue;
            }
            Part::Year => (&mut date.year, 1),
            Part::Month => (&mut date.month, 2),
            Part::Day => (&mut date.day, 4),
            Part::Hour => (&mut date.hour, 8),
            Part::Minute => (&mut date.minute, 16),
            Part::Second => (&mut date.second, 32),
        };
        *slot = digits()?;
        found |= bit;
    }
    if found != 63 {
        return Err(Fault::failed("year, month, day, hour, minute and second are all required"));
    }
    let seconds = i128::from(date.seconds().ok_or_else(mismatch)?) - i128::from(zone) - i128::from(extra);
    let fraction = fraction / (1_000_000_000 / unit.per_second);
    integer((seconds * i128::from(unit.per_second) + i128::from(fraction)).into())
}
