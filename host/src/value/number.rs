//! Numbers written in text: which texts are numbers, and how floats print. Never yields NaN or an infinity.

use std::io::Write;

use num_bigint::BigInt;

use super::Value;

/// Integers with more digits than this are refused wherever text becomes a number: conversion costs their square.
pub const MAX_INTEGER_DIGITS: usize = 4096;

/// An integer in decimal: optional sign, digits, leading zeros allowed. `None` for any other text.
#[must_use]
pub fn parse_integer(text: &[u8]) -> Option<Value> {
    let digits = unsigned(text);
    if digits.is_empty() || digits.len() > MAX_INTEGER_DIGITS || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let text = std::str::from_utf8(text).ok()?;
    match text.parse::<i64>() {
        Ok(number) => Some(Value::Int(number)),
        Err(_) => BigInt::parse_bytes(text.as_bytes(), 10).map(Value::big),
    }
}

/// A float in the strict form `digits.digits`, optionally signed and with an exponent. `None` for any other text and
/// for numbers beyond the range of floats.
#[must_use]
pub fn parse_float(text: &[u8]) -> Option<Value> {
    let whole = unsigned(text);
    let fraction = digits(whole)?.strip_prefix(b".")?;
    let exponent = digits(fraction)?;
    if let Some(exponent) = exponent.strip_prefix(b"e").or_else(|| exponent.strip_prefix(b"E")) {
        digits(unsigned(exponent)).filter(|rest| rest.is_empty())?;
    } else if !exponent.is_empty() {
        return None;
    }
    Value::float(std::str::from_utf8(text).ok()?.parse().ok()?)
}

fn unsigned(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"-").or_else(|| text.strip_prefix(b"+")).unwrap_or(text)
}

/// What follows the digits at the start of `text`; `None` when there are none.
fn digits(text: &[u8]) -> Option<&[u8]> {
    let count = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    (count > 0).then_some(&text[count..])
}

/// The number that a text stands for in a comparison with a number: an integer, else a float (rule-sql 2.9, rule 3).
#[must_use]
pub fn parse_number(text: &[u8]) -> Option<Value> {
    parse_integer(text).or_else(|| parse_float(text))
}

/// Fixed notation with at most ten decimals, at least one (rule-sql 0.3). Ties round away from zero.
pub fn write_fixed(number: f64, out: &mut Vec<u8>) {
    /// Below this, floats lie closer together than half of the last decimal, so that the shortest digits which read back
    /// as the number are, if they are few enough, also its nearest ten decimals.
    const FINE: f64 = (1 << 19) as f64;
    let start = out.len();
    if number.abs() < FINE {
        // Writing to memory does not fail.
        let _ = write!(out, "{number}");
        match out[start..].iter().position(|byte| *byte == b'.') {
            None => return out.extend_from_slice(b".0"),
            Some(point) if out.len() - start - point <= 11 => return,
            Some(_) => out.truncate(start),
        }
    }
    out.extend_from_slice(fixed(number, 10).as_bytes());
    while out.ends_with(b"0") && !out.ends_with(b".0") {
        out.pop();
    }
}

/// Fixed notation with exactly this many decimals, at most 253. Ties of the binary value go away from zero.
#[must_use]
pub fn fixed(number: f64, decimals: usize) -> String {
    // A tie has one more bit than decimals behind the point, and that bit is set.
    let scaled = number * 2f64.powi(decimals as i32 + 1);
    let tie = scaled.fract() == 0.0 && scaled % 2.0 != 0.0;
    if !tie {
        return format!("{number:.decimals$}");
    }
    // With one decimal more it is exact, and ends with a five.
    let mut digits = format!("{number:.*}", decimals + 1).into_bytes();
    digits.pop();
    if decimals == 0 {
        digits.pop();
    }
    for digit in digits.iter_mut().rev().filter(|digit| digit.is_ascii_digit()) {
        if *digit < b'9' {
            *digit += 1;
            return digits.into_iter().map(char::from).collect();
        }
        *digit = b'0';
    }
    let sign = usize::from(digits.first() == Some(&b'-'));
    digits.insert(sign, b'1');
    digits.into_iter().map(char::from).collect()
}

/// The layout of floats in JSON: shortest digits that read back as the same number (rule-sql 0.4).
pub fn write_json_float(number: f64, out: &mut Vec<u8>) {
    if number == 0.0 {
        out.extend_from_slice(b"0.0");
        return;
    }
    let shortest = format!("{:e}", number.abs());
    let (mantissa, exponent) = shortest.split_once('e').unwrap_or((&shortest, "0"));
    let mut digits: Vec<u8> = mantissa.bytes().filter(u8::is_ascii_digit).collect();
    let exponent: i32 = exponent.parse().unwrap_or(0);
    even_tie(number.abs(), &mut digits, exponent);
    if number < 0.0 {
        out.push(b'-');
    }
    if prints_plainly(&digits, exponent) {
        write_plain(&digits, exponent, out);
    } else {
        out.push(digits[0]);
        out.push(b'.');
        match &digits[1..] {
            [] => out.push(b'0'),
            more => out.extend_from_slice(more),
        }
        out.extend_from_slice(format!("e{exponent}").as_bytes());
    }
}

/// Where two texts of the shortest length are equally near to the number, takes the one that ends with an even digit.
fn even_tie(number: f64, digits: &mut [u8], exponent: i32) {
    // Only a number of few bits behind its point lies exactly between two texts that are both read back as it.
    if digits.len() < 15 || (number * (1u64 << 40) as f64).fract() != 0.0 {
        return;
    }
    let exact = format!("{number:.30e}");
    let exact: Vec<u8> = exact.bytes().take_while(|byte| *byte != b'e').filter(u8::is_ascii_digit).collect();
    let (shorter, rest) = exact.split_at(digits.len());
    let tie = rest[0] == b'5' && rest[1..].iter().all(|digit| *digit == b'0');
    let Some(last) = shorter.last().copied().filter(|last| tie && *last < b'9') else { return };
    let mut even = shorter.to_vec();
    even[digits.len() - 1] = last + last % 2;
    // At a power of two the numbers below lie closer together: not every half is read back.
    let text = format!("{}e{}", String::from_utf8_lossy(&even), exponent + 1 - even.len() as i32);
    if text.parse() == Ok(number) {
        digits.copy_from_slice(&even);
    }
}

fn prints_plainly(digits: &[u8], exponent: i32) -> bool {
    let count = digits.len() as i32;
    let k = exponent - count + 1;
    let range = match (count, exponent) {
        (1, _) => -4..=2,
        (_, 10..) => -(count + 2)..=2,
        _ => -(count + 2)..=1,
    };
    let mantissa = digits.iter().fold(0u64, |sum, digit| sum.wrapping_mul(10).wrapping_add(u64::from(digit - b'0')));
    let exact = match k {
        0 => mantissa < 1 << 53,
        1 => mantissa <= (1 << 52) / 5,
        2 => mantissa <= (1 << 51) / 25,
        _ => true,
    };
    range.contains(&k) && exact
}

fn write_plain(digits: &[u8], exponent: i32, out: &mut Vec<u8>) {
    if exponent < 0 {
        out.extend_from_slice(b"0.");
        out.extend(std::iter::repeat_n(b'0', (-exponent - 1) as usize));
        out.extend_from_slice(digits);
        return;
    }
    let whole = exponent as usize + 1;
    if digits.len() > whole {
        out.extend_from_slice(&digits[..whole]);
        out.push(b'.');
        out.extend_from_slice(&digits[whole..]);
    } else {
        out.extend_from_slice(digits);
        out.extend(std::iter::repeat_n(b'0', whole - digits.len()));
        out.extend_from_slice(b".0");
    }
}
