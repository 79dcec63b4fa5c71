//! Values as text (`T10`, rule-sql 0.3) and as JSON (rule-sql 0.4). Printing never fails, except for bit strings.

use std::io::Write;

use bytes::Bytes;

use super::json::plain_run;
use super::number::{write_fixed, write_json_float};
use super::{Map, Value};

/// A bit string has neither a text nor a JSON form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a bit string has no text form; convert it first, for instance with bin2hexstr()")]
pub struct NoText;

impl Value {
    /// The text form, which string concatenation and templates use; `None` for bit strings. Text is shared, not copied.
    #[must_use]
    pub fn text(&self) -> Option<Bytes> {
        if let Value::Str(text) = self {
            return Some(text.clone());
        }
        let mut out = Vec::new();
        self.write_text(&mut out).ok()?;
        Some(Bytes::from(out))
    }

    /// Appends the text form. After an error `out` may hold a part of it.
    pub fn write_text(&self, out: &mut Vec<u8>) -> Result<(), NoText> {
        match self {
            Value::Str(text) => out.extend_from_slice(text),
            Value::Int(number) => write_integer(*number, out),
            Value::Float(number) => write_fixed(*number, out),
            Value::List(items) => match printable(items) {
                Some(text) => out.extend_from_slice(text.as_bytes()),
                None => return self.encode_json(out),
            },
            Value::Big(_) | Value::Bits { .. } | Value::Map(_) => return self.encode_json(out),
            _ => out.extend_from_slice(self.spelling().unwrap_or_default().as_bytes()),
        }
        Ok(())
    }

    /// Appends the JSON form. A bit string, which has none, prints as `null`; [`Value::encode_json`] refuses it.
    pub fn to_json(&self, out: &mut Vec<u8>) {
        if let Err(NoText) = write_json(self, out, true) {
            unreachable!("lenient printing has no error");
        }
    }

    /// Appends the JSON form; fails on a bit string anywhere inside. After an error `out` may hold a part of it.
    pub fn encode_json(&self, out: &mut Vec<u8>) -> Result<(), NoText> {
        write_json(self, out, false)
    }
}

/// Prints an integer without going through a formatter.
pub fn write_integer(number: i64, out: &mut Vec<u8>) {
    let mut digits = [0u8; 20];
    let mut start = digits.len();
    let mut rest = number.unsigned_abs();
    loop {
        start -= 1;
        digits[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if number < 0 {
        out.push(b'-');
    }
    out.extend_from_slice(&digits[start..]);
}

/// The text that a list stands for when each element is a printable code point; the empty list is the empty text.
fn printable(items: &[Value]) -> Option<String> {
    items
        .iter()
        .map(|item| match item {
            Value::Int(code @ (8..=13 | 27 | 32..=126 | 160..=0xD7FF | 0xE000..=0xFFFD | 0x10000..=0x10FFFF)) => {
                u32::try_from(*code).ok().and_then(char::from_u32)
            }
            _ => None,
        })
        .collect()
}

fn write_json(value: &Value, out: &mut Vec<u8>, lenient: bool) -> Result<(), NoText> {
    match value {
        Value::Undefined => out.extend_from_slice(b"\"undefined\""),
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Sym(word) => write_json_text(word.as_bytes(), out),
        Value::Int(number) => write_integer(*number, out),
        Value::Big(number) => write!(out, "{number}").map_err(|_| NoText)?,
        Value::Float(number) => write_json_float(*number, out),
        Value::Str(text) => write_json_text(text, out),
        Value::Bits { .. } if lenient => out.extend_from_slice(b"null"),
        Value::Bits { .. } => return Err(NoText),
        Value::List(items) => {
            out.push(b'[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                write_json(item, out, lenient)?;
            }
            out.push(b']');
        }
        Value::Map(entries) => write_json_map(entries, out, lenient)?,
    }
    Ok(())
}

fn write_json_map(entries: &Map, out: &mut Vec<u8>, lenient: bool) -> Result<(), NoText> {
    out.push(b'{');
    for (i, (key, item)) in entries.iter().rev().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        write_json_text(key, out);
        out.push(b':');
        write_json(item, out, lenient)?;
    }
    out.push(b'}');
    Ok(())
}

/// Appends `text` as a JSON string. Each broken UTF-8 sequence becomes one U+FFFD.
pub fn write_json_text(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    match std::str::from_utf8(text) {
        Ok(_) => write_escaped(text, out),
        Err(_) => write_repaired(text, out),
    }
    out.push(b'"');
}

fn write_escaped(text: &[u8], out: &mut Vec<u8>) {
    let mut rest = text;
    loop {
        let (plain, after) = rest.split_at(plain_run(rest));
        out.extend_from_slice(plain);
        let Some((&byte, after)) = after.split_first() else { return };
        rest = after;
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            0x08 => out.extend_from_slice(b"\\b"),
            0x0C => out.extend_from_slice(b"\\f"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            _ => {
                let hex = |digit: u8| b"0123456789ABCDEF"[usize::from(digit & 15)];
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', hex(byte >> 4), hex(byte)]);
            }
        }
    }
}

/// A broken lead byte goes together with all continuation bytes that follow it.
fn write_repaired(mut text: &[u8], out: &mut Vec<u8>) {
    while let Err(broken) = std::str::from_utf8(text) {
        let (good, bad) = text.split_at(broken.valid_up_to());
        write_escaped(good, out);
        out.extend_from_slice("\u{FFFD}".as_bytes());
        let gone = 1 + bad.iter().skip(1).take_while(|byte| (0x80..0xC0).contains(*byte)).count();
        text = &bad[gone..];
    }
    write_escaped(text, out);
}
