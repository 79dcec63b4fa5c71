//! Bits: of integers, in two's complement of any width, and of text, cut out at bit positions.

use bytes::Bytes;
use num_bigint::{BigInt, Sign};

use super::args::{MAX_INTEGER_BITS, big, float, int, integer, word};
use super::{Fault, Function};
use crate::value::Value;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new(
        1..=1,
        "bitnot(integer) -> integer",
        "Every bit inverted.",
        &[("bitnot(5)", "-6"), ("bitnot(-6)", "5"), ("bitnot(1.0)", "!")],
        |args| integer(!big(args, 0)?),
    ),
    Function::new(
        2..=2,
        "bitand(integer, integer) -> integer",
        "The bits set in both.",
        &[("bitand(12, 10)", "8"), ("bitand(-1, 255)", "255"), ("bitand(1, '1')", "!")],
        |args| integer(big(args, 0)? & big(args, 1)?),
    ),
    Function::new(
        2..=2,
        "bitor(integer, integer) -> integer",
        "The bits set in either.",
        &[("bitor(12, 10)", "14"), ("bitor(1, nope)", "!")],
        |args| integer(big(args, 0)? | big(args, 1)?),
    ),
    Function::new(
        2..=2,
        "bitxor(integer, integer) -> integer",
        "The bits set in one of the two.",
        &[("bitxor(12, 10)", "6"), ("bitxor(-1, 1)", "-2"), ("bitxor(1.0, 1)", "!")],
        |args| integer(big(args, 0)? ^ big(args, 1)?),
    ),
    Function::new(
        2..=2,
        "bitsl(integer, places) -> integer",
        "Shifted to the left; a negative number of places shifts to the right.",
        &[
            ("bitsl(1, 3)", "8"),
            ("bitsl(1, 70)", "1180591620717411303424"),
            ("bitsl(8, -2)", "2"),
            ("bitsl(0, 99999999999999999999)", "0"),
            ("bitsl(1, 1000000000)", "!"),
            ("bitsl(1.0, 1)", "!"),
        ],
        |args| shift(&big(args, 0)?, int(args, 1)?),
    ),
    Function::new(
        2..=2,
        "bitsr(integer, places) -> integer",
        "Shifted to the right, keeping the sign; a negative number of places shifts to the left.",
        &[
            ("bitsr(8, 2)", "2"),
            ("bitsr(-8, 1)", "-4"),
            ("bitsr(-1, 99999999999999999999)", "-1"),
            ("bitsr(1, -3)", "8"),
            ("bitsr(1, -1000000000)", "!"),
        ],
        |args| shift(&big(args, 0)?, int(args, 1)?.saturating_neg()),
    ),
    Function::new(
        1..=1,
        "bitsize(text or bits) -> integer",
        "The number of bits.",
        &[
            ("bitsize('abc')", "24"),
            ("bitsize(subbits('abc', 1, 5, 'bits'))", "5"),
            ("bitsize('')", "0"),
            ("bitsize(1)", "!"),
        ],
        |args| Ok(Value::Int(bits_of(args)?.len as i64)),
    ),
    Function::new(
        1..=1,
        "bytesize(text or list) -> integer",
        "The number of bytes of a text, or of a list of texts and bytes.",
        &[
            ("bytesize('日')", "3"),
            ("bytesize(['ab', 99, ['d']])", "4"),
            ("bytesize([])", "0"),
            ("bytesize([256])", "!"),
            ("bytesize(1)", "!"),
            ("bytesize(subbits('abc', 1, 5, 'bits'))", "!"),
        ],
        |args| {
            byte_size(&args[0])
                .map(|n| Value::Int(n as i64))
                .ok_or_else(|| Fault::argument(args, 0, "text or a list of text"))
        },
    ),
    Function::new(
        2..=6,
        "subbits(text, [start, ]length[, type[, sign[, endian]]]) -> integer or float or text or bits",
        "Bits from a position on, counted from one, read as 'integer' (else 'float' or 'bits'), 'unsigned' (else \
         'signed') and 'big' (else 'little') endian. Undefined past the end; fewer bits where the text ends.",
        &[
            ("subbits('abc', 8)", "97"),
            ("subbits('abc', 9, 8)", "98"),
            ("subbits('abc', 2, 4)", "12"),
            ("subbits('abc', 1, 16, 'integer', 'unsigned', 'little')", "25185"),
            ("subbits('abc', 1, 12, 'integer', 'unsigned', 'little')", "1633"),
            ("subbits('abc', 17, 100)", "99"),
            ("subbits('abc', 17, -1)", "99"),
            ("subbits('abc', 25, 8)", r#""undefined""#),
            ("subbits('abc', 0, 8)", r#""undefined""#),
            ("subbits('', 1, 8)", r#""undefined""#),
            ("subbits('abc', 1, 0)", "0"),
            ("subbits(hexstr2bin('FFFE'), 1, 16, 'integer', 'signed')", "-2"),
            ("subbits(hexstr2bin('FEFF'), 1, 16, 'integer', 'signed', 'little')", "-2"),
            ("subbits(hexstr2bin('40490FDB'), 1, 32, 'float')", "3.1415927410125732"),
            ("subbits(hexstr2bin('DB0F4940'), 1, 32, 'float', 'signed', 'little')", "3.1415927410125732"),
            ("subbits(hexstr2bin('3FF8000000000000'), 1, 64, 'float')", "1.5"),
            ("subbits(hexstr2bin('3C00'), 1, 16, 'float')", "1.0"),
            ("subbits(hexstr2bin('8001'), 1, 16, 'float')", "-5.960464477539063e-8"),
            ("subbits(hexstr2bin('7C00'), 1, 16, 'float')", "!"),
            ("subbits(hexstr2bin('7F800000'), 1, 32, 'float')", "!"),
            ("subbits('abc', 1, 24, 'float')", "!"),
            ("subbits('abc', 9, 16, 'bits')", r#""bc""#),
            ("bitsize(subbits('abc', 2, 5, 'bits'))", "5"),
            ("subbits('abc', 1, 8, 'text')", "!"),
            ("subbits('abc', 1, 8, 'integer', 'positive')", "!"),
            ("subbits('abc', 1, 8, 'integer', 'signed', 'middle')", "!"),
            ("subbits(1, 1, 8)", "!"),
            ("subbits('abc', 1.0, 8)", "!"),
        ],
        subbits,
    ),
];

/// To the left, or for negative places to the right.
fn shift(n: &BigInt, places: i64) -> Result<Value, Fault> {
    let distance = places.unsigned_abs();
    if places <= 0 {
        // Whatever is shifted further than the limit is gone.
        return integer(n >> distance.min(MAX_INTEGER_BITS + 1));
    }
    if n.sign() != Sign::NoSign && n.bits().saturating_add(distance) > MAX_INTEGER_BITS {
        return Err(Fault::failed(format!("the result is wider than {MAX_INTEGER_BITS} bits")));
    }
    integer(n << distance.min(MAX_INTEGER_BITS))
}

fn byte_size(value: &Value) -> Option<usize> {
    match value {
        Value::Str(text) => Some(text.len()),
        Value::List(items) => items.iter().try_fold(0usize, |sum, item| match item {
            Value::Int(0..=255) => Some(sum + 1),
            other => Some(sum + byte_size(other)?),
        }),
        _ => None,
    }
}

/// A text or bit string seen as bits.
struct BitSlice<'a> {
    bytes: &'a [u8],
    len: usize,
}

fn bits_of(args: &[Value]) -> Result<BitSlice<'_>, Fault> {
    match &args[0] {
        Value::Str(bytes) => Ok(BitSlice { bytes, len: bytes.len() * 8 }),
        Value::Bits { bytes, len } => Ok(BitSlice { bytes, len: (*len).min(bytes.len() * 8) }),
        _ => Err(Fault::argument(args, 0, "text or bits")),
    }
}

fn subbits(args: &[Value]) -> Result<Value, Fault> {
    let whole = bits_of(args)?;
    let (start, len_at) = if args.len() == 2 { (1, 1) } else { (int(args, 1)?, 2) };
    let len = int(args, len_at)?;
    let kind = choice(args, 3, &["integer", "float", "bits"])?;
    let signed = choice(args, 4, &["unsigned", "signed"])? == 1;
    let little = choice(args, 5, &["big", "little"])? == 1;
    let Ok(start) = usize::try_from(start) else { return Ok(Value::Undefined) };
    if start < 1 || start > whole.len {
        return Ok(Value::Undefined);
    }
    let left = whole.len - (start - 1);
    let len = usize::try_from(len).map_or(left, |len| len.min(left));
    let cut = cut(&whole, start - 1, len);
    match kind {
        0 if len as u64 > MAX_INTEGER_BITS => {
            Err(Fault::failed(format!("an integer has at most {MAX_INTEGER_BITS} bits")))
        }
        0 => integer(read_integer(cut, len, signed, little)),
        1 => read_float(&cut, len, little),
        _ if len.is_multiple_of(8) => Ok(Value::Str(cut.into())),
        _ => Ok(Value::Bits { bytes: Bytes::from(cut), len }),
    }
}

/// The index of the word given at `at`; the first one by default.
fn choice(args: &[Value], at: usize, words: &[&str]) -> Result<usize, Fault> {
    if at >= args.len() {
        return Ok(0);
    }
    let given = word(args, at)?;
    words
        .iter()
        .position(|word| word.as_bytes() == given)
        .ok_or_else(|| Fault::argument(args, at, format!("one of {}", words.join(", "))))
}

/// `len` bits from `from` on, at the high end of the bytes; the rest of the last byte is zero.
fn cut(whole: &BitSlice<'_>, from: usize, len: usize) -> Vec<u8> {
    let (first, shift) = (from / 8, from % 8);
    let mut out: Vec<u8> = (first..first + len.div_ceil(8))
        .map(|at| {
            let next = whole.bytes.get(at + 1).copied().unwrap_or(0);
            ((u16::from_be_bytes([whole.bytes[at], next]) << shift) >> 8) as u8
        })
        .collect();
    if let (Some(last), 1..) = (out.last_mut(), len % 8) {
        *last &= 0xFF << (8 - len % 8);
    }
    out
}

fn read_integer(mut cut: Vec<u8>, len: usize, signed: bool, little: bool) -> BigInt {
    let number = if little {
        // The bits of a last byte that is not full are the most significant ones.
        if let (Some(last), 1..) = (cut.last_mut(), len % 8) {
            *last >>= 8 - len % 8;
        }
        BigInt::from_bytes_le(Sign::Plus, &cut)
    } else {
        BigInt::from_bytes_be(Sign::Plus, &cut) >> (cut.len() * 8 - len)
    };
    if signed && len > 0 && number.bit(len as u64 - 1) { number - (BigInt::from(1) << len) } else { number }
}

fn read_float(cut: &[u8], len: usize, little: bool) -> Result<Value, Fault> {
    let mut bytes = cut.to_vec();
    if little {
        bytes.reverse();
    }
    match (len, &bytes[..]) {
        (16, &[a, b]) => float(half(u16::from_be_bytes([a, b]))),
        (32, &[a, b, c, d]) => float(f64::from(f32::from_be_bytes([a, b, c, d]))),
        (64, &[a, b, c, d, e, f, g, h]) => float(f64::from_be_bytes([a, b, c, d, e, f, g, h])),
        _ => Err(Fault::failed(format!("a float has 16, 32 or 64 bits, not {len}"))),
    }
}

/// IEEE 754 half precision; NaN also for the infinities.
fn half(bits: u16) -> f64 {
    let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
    let exponent = i32::from(bits >> 10 & 0x1F);
    let fraction = f64::from(bits & 0x3FF) / 1024.0;
    match exponent {
        0 => sign * fraction * 2f64.powi(-14),
        31 => f64::NAN,
        _ => sign * (1.0 + fraction) * 2f64.powi(exponent - 15),
    }
}
