//! From one kind of value to another. A text that is not exactly in the target's form raises.

use bytes::Bytes;
use num_bigint::BigInt;

use super::args::{bytes, count, float, number, str_value, text_form, utf8, whole};
use super::{Fault, Function};
use crate::value::Value;
use crate::value::number::{fixed, parse_float, parse_integer};

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new(
        1..=1,
        "str(any) -> text",
        "The text form. Beware: a list of integers that are all printable code points becomes that text.",
        &[
            ("str('a')", r#""a""#),
            ("str(1)", r#""1""#),
            ("str(1.0)", r#""1.0""#),
            ("str(1.0e20)", r#""100000000000000000000.0""#),
            ("str(0.30000000000000004)", r#""0.3""#),
            ("str(nope)", r#""undefined""#),
            ("str(json_decode('null'))", r#""null""#),
            ("str(true)", r#""true""#),
            ("str([])", r#""""#),
            ("str([1,2])", r#""[1,2]""#),
            ("str([35,36])", r##""#$""##),
            ("str([104,105])", r#""hi""#),
            ("str([20013])", r#""中""#),
            ("str(json_decode('{\"a\":1}'))", r#""{\"a\":1}""#),
            ("str(subbits('a', 1, 5, 'bits'))", "!"),
        ],
        |args| text_form(&args[0]).map(Value::Str),
    ),
    Function::new(
        1..=1,
        "str_utf8(any) -> text",
        "The text form, which has to be valid UTF-8.",
        &[("str_utf8('é')", r#""é""#), ("str_utf8(1)", r#""1""#), ("str_utf8(hexstr2bin('FF'))", "!")],
        |args| {
            let text = text_form(&args[0])?;
            utf8(&text)?;
            Ok(Value::Str(text))
        },
    ),
    Function::new(
        1..=1,
        "str_utf16_le(any) -> text",
        "The text form in UTF-16, low byte first, without a byte order mark.",
        &[
            ("bin2hexstr(str_utf16_le('aé'))", r#""6100E900""#),
            ("bin2hexstr(str_utf16_le('😀'))", r#""3DD800DE""#),
            ("bin2hexstr(str_utf16_le(1))", r#""3100""#),
            ("str_utf16_le(hexstr2bin('FF'))", "!"),
        ],
        |args| {
            let text = text_form(&args[0])?;
            Ok(str_value(utf8(&text)?.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>()))
        },
    ),
    Function::new(
        1..=1,
        "bool(any) -> bool",
        "True for true, 'true' and 1; false for false, 'false' and 0; nothing else.",
        &[
            ("bool(true)", "true"),
            ("bool('false')", "false"),
            ("bool(1)", "true"),
            ("bool(1.0)", "true"),
            ("bool(0.0)", "false"),
            ("bool('1')", "!"),
            ("bool('TRUE')", "!"),
            ("bool(2)", "!"),
            ("bool(nope)", "!"),
        ],
        to_bool,
    ),
    Function::new(
        1..=1,
        "int(number or bool or text) -> integer",
        "A float or a text holding a float goes down to the next integer. A text is in the form -7, 7.9 or 1.0e3.",
        &[
            ("int(5)", "5"),
            ("int(7.9)", "7"),
            ("int(-1.1)", "-2"),
            ("int(true)", "1"),
            ("int(false)", "0"),
            ("int('-7.9')", "-8"),
            ("int('+007')", "7"),
            ("int('1.0e3')", "1000"),
            ("int('99999999999999999999')", "99999999999999999999"),
            ("int('1e3')", "!"),
            ("int(' 3')", "!"),
            ("int('')", "!"),
            ("int('0x10')", "!"),
            ("int(nope)", "!"),
            ("int([])", "!"),
        ],
        to_int,
    ),
    Function::new(
        1..=2,
        "float(number or text[, decimals]) -> float",
        "A text is in the form 3, 3.0 or 1.5e3. With decimals (1 to 253): rounded to as many.",
        &[
            ("float(3)", "3.0"),
            ("float('3')", "3.0"),
            ("float('1.5e3')", "1.5e3"),
            ("float('1.0e5')", "1.0e5"),
            ("float('1e5')", "!"),
            ("float('.5')", "!"),
            ("float('5.')", "!"),
            ("float(true)", "!"),
            ("float('1.0e999')", "!"),
            ("float('3.14159', 2)", "3.14"),
            ("float(2.675, 2)", "2.67"),
            ("float(0.125, 2)", "0.13"),
            ("float('1.005', 2)", "1.0"),
            ("float(-0.125, 2)", "-0.13"),
            ("float(1, 253)", "1.0"),
            ("float(1.5, 0)", "!"),
            ("float(1.5, 254)", "!"),
        ],
        to_float,
    ),
    Function::new(
        2..=2,
        "float2str(float, decimals) -> text",
        "Fixed notation with at most this many decimals (0 to 253); zeros at the end are dropped, but one decimal stays.",
        &[
            ("float2str(20.2, 10)", r#""20.2""#),
            ("float2str(20.0, 2)", r#""20.0""#),
            ("float2str(0.1, 20)", r#""0.10000000000000000555""#),
            ("float2str(2.5, 0)", r#""3""#),
            ("float2str(-0.001, 2)", r#""-0.0""#),
            ("float2str(1, 2)", "!"),
            ("float2str('1.0', 2)", "!"),
            ("float2str(1.5, -1)", "!"),
        ],
        |args| match args[0] {
            Value::Float(x) => Ok(str_value(compact(x, decimals(args, 0)?))),
            _ => Err(Fault::argument(args, 0, "a float")),
        },
    ),
    Function::new(
        1..=1,
        "map(map or text) -> map",
        "A map as it is, the JSON object in a text, or the empty map for [].",
        &[
            (r#"map('{"a":1}')"#, r#"{"a":1}"#),
            ("map([])", "{}"),
            ("map(map_new())", "{}"),
            ("map('[1]')", "!"),
            ("map('oops')", "!"),
            ("map(nope)", "!"),
        ],
        |args| super::args::map(args, 0).map(Value::Map),
    ),
    Function::new(
        1..=2,
        "bin2hexstr(text or bits[, prefix]) -> text",
        "The bytes in hexadecimal, upper case. Bits are filled up in front to whole digits.",
        &[
            ("bin2hexstr('ab')", r#""6162""#),
            ("bin2hexstr('ab', '0x')", r#""0x6162""#),
            ("bin2hexstr('ab', nope)", r#""6162""#),
            ("bin2hexstr('')", r#""""#),
            ("bin2hexstr(subbits('abc', 1, 5, 'bits'))", r#""0C""#),
            ("bin2hexstr(subbits('abc', 1, 12, 'bits'))", r#""616""#),
            ("bin2hexstr(1)", "!"),
            ("bin2hexstr('a', 1)", "!"),
        ],
        |args| to_hex(args, prefix(args)?),
    ),
    Function::new(
        1..=2,
        "hexstr2bin(text[, prefix]) -> text",
        "The bytes written in hexadecimal, in either case. An odd digit is the low half of the first byte.",
        &[
            ("hexstr2bin('6162')", r#""ab""#),
            ("bin2hexstr(hexstr2bin('6364f'))", r#""06364F""#),
            ("hexstr2bin('0x61', '0x')", r#""a""#),
            ("hexstr2bin('')", r#""""#),
            ("hexstr2bin('61', '0x')", "!"),
            ("hexstr2bin('0X61', '0x')", "!"),
            ("hexstr2bin('6g')", "!"),
            ("hexstr2bin(61)", "!"),
        ],
        from_hex,
    ),
    Function::new(
        1..=1,
        "sqlserver_bin2hexstr(text or bits) -> text",
        "Like bin2hexstr with the prefix '0x'.",
        &[("sqlserver_bin2hexstr('ab')", r#""0x6162""#), ("sqlserver_bin2hexstr(1)", "!")],
        |args| to_hex(args, b"0x"),
    ),
];

fn to_bool(args: &[Value]) -> Result<Value, Fault> {
    match &args[0] {
        Value::Bool(b) => Ok(Value::Bool(*b)),
        Value::Str(text) if &text[..] == b"true" => Ok(Value::Bool(true)),
        Value::Str(text) if &text[..] == b"false" => Ok(Value::Bool(false)),
        number if number.to_float() == Some(1.0) => Ok(Value::Bool(true)),
        number if number.to_float() == Some(0.0) => Ok(Value::Bool(false)),
        _ => Err(Fault::argument(args, 0, "true, false, 'true', 'false', 1 or 0")),
    }
}

fn to_int(args: &[Value]) -> Result<Value, Fault> {
    let read = match &args[0] {
        Value::Bool(b) => Some(Value::Int(i64::from(*b))),
        Value::Str(text) => parse_integer(text).or_else(|| parse_float(text)),
        other => Some(other.clone()),
    };
    match read {
        Some(Value::Float(x)) => whole(x.floor()),
        Some(integer @ (Value::Int(_) | Value::Big(_))) => Ok(integer),
        _ => Err(Fault::argument(args, 0, "a number, a boolean, or text like -7, 7.9 or 1.0e3")),
    }
}

fn to_float(args: &[Value]) -> Result<Value, Fault> {
    let read = match &args[0] {
        Value::Str(text) => parse_float(text).or_else(|| parse_integer(text)).and_then(|number| number.to_float()),
        _ => Some(number(args, 0)?),
    };
    let x = read.ok_or_else(|| Fault::argument(args, 0, "a number, or text like 3, 3.0 or 1.5e3"))?;
    if args.len() == 1 {
        return float(x);
    }
    let rounded = fixed(x, decimals(args, 1)?);
    float(rounded.parse().map_err(|_| Fault::failed("the rounded number cannot be read back"))?)
}

fn decimals(args: &[Value], least: i64) -> Result<usize, Fault> {
    match count(args, 1, least)? {
        decimals @ 0..=253 => Ok(decimals),
        _ => Err(Fault::argument(args, 1, "at most 253")),
    }
}

/// Fixed notation with at most this many decimals; zeros at the end are dropped, but one decimal stays.
pub(super) fn compact(x: f64, decimals: usize) -> String {
    let text = fixed(x, decimals);
    if decimals == 0 {
        return text;
    }
    let kept = text.trim_end_matches('0');
    if kept.ends_with('.') { format!("{kept}0") } else { kept.to_owned() }
}

fn prefix(args: &[Value]) -> Result<&[u8], Fault> {
    match args.get(1) {
        None | Some(Value::Undefined) => Ok(b""),
        Some(_) => bytes(args, 1).map(AsRef::as_ref),
    }
}

fn to_hex(args: &[Value], prefix: &[u8]) -> Result<Value, Fault> {
    let digits = match &args[0] {
        Value::Str(bytes) => hex(bytes, b"0123456789ABCDEF"),
        Value::Bits { bytes, len } => {
            let number = BigInt::from_bytes_be(num_bigint::Sign::Plus, bytes) >> (bytes.len() * 8 - len);
            let width = len.div_ceil(4);
            format!("{number:0>width$X}").into_bytes()
        }
        _ => return Err(Fault::argument(args, 0, "text or bits")),
    };
    super::args::built([prefix, &digits].concat())
}

/// The bytes in hexadecimal, written with these digits.
pub(super) fn hex(bytes: &[u8], digits: &[u8; 16]) -> Vec<u8> {
    bytes.iter().flat_map(|byte| [digits[usize::from(byte >> 4)], digits[usize::from(byte & 15)]]).collect()
}

fn from_hex(args: &[Value]) -> Result<Value, Fault> {
    let text: &Bytes = bytes(args, 0)?;
    let digits =
        text.strip_prefix(prefix(args)?).ok_or_else(|| Fault::argument(args, 0, "text with the given prefix"))?;
    let nibbles: Option<Vec<u8>> =
        digits.iter().map(|digit| char::from(*digit).to_digit(16).map(|nibble| nibble as u8)).collect();
    let nibbles = nibbles.ok_or_else(|| Fault::argument(args, 0, "hexadecimal digits"))?;
    let (first, pairs) = nibbles.split_at(nibbles.len() % 2);
    let bytes = first.iter().copied().chain(pairs.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]));
    Ok(str_value(bytes.collect::<Vec<u8>>()))
}
