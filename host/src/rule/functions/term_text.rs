//! Values in Erlang's term syntax, for `~w` and `~p` of sprintf. On one line, whatever its length.

use super::Fault;
use super::args::{json, within_limit};
use crate::value::Value;

/// How texts and lists of code points are written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// `~w`: as numbers.
    Plain,
    /// `~p`: readable where they are printable.
    Pretty,
}

pub fn write_term(value: &Value, style: Style, out: &mut Vec<u8>) -> Result<(), Fault> {
    within_limit(out.len())?;
    match value {
        Value::Undefined | Value::Null | Value::Bool(_) | Value::Sym(_) => {
            write_atom(value.spelling().unwrap_or_default(), out);
        }
        Value::Float(x) if *x == 0.0 && x.is_sign_negative() => out.extend_from_slice(b"-0.0"),
        Value::Int(_) | Value::Big(_) | Value::Float(_) => out.extend_from_slice(&json(value)?),
        Value::Str(bytes) if style == Style::Pretty && !bytes.is_empty() && bytes.iter().all(|c| is_printable(*c)) => {
            out.extend_from_slice(b"<<");
            write_quoted(bytes, out);
            out.extend_from_slice(b">>");
        }
        Value::Str(bytes) => write_bytes(bytes, 0, out),
        Value::Bits { bytes, len } => write_bytes(bytes, len % 8, out),
        Value::List(items) => match printable_list(items) {
            Some(text) if style == Style::Pretty => write_quoted(&text, out),
            _ => {
                write_separated(b'[', items.iter(), out, |item, out| write_term(item, style, out))?;
                out.push(b']');
            }
        },
        Value::Map(map) => {
            out.push(b'#');
            write_separated(b'{', map.iter(), out, |(key, value), out| {
                write_term(&Value::Str(key.clone()), style, out)?;
                out.extend_from_slice(b" => ");
                write_term(value, style, out)
            })?;
            out.push(b'}');
        }
    }
    Ok(())
}

fn write_separated<T>(
    open: u8,
    items: impl Iterator<Item = T>,
    out: &mut Vec<u8>,
    mut write: impl FnMut(T, &mut Vec<u8>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    out.push(open);
    for (at, item) in items.enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write(item, out)?;
    }
    Ok(())
}

/// `<<97,98>>`; with `odd` bits in the last byte, `<<97,12:5>>`.
fn write_bytes(bytes: &[u8], odd: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(b"<<");
    for (at, byte) in bytes.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        let part =
            if odd > 0 && at + 1 == bytes.len() { format!("{}:{odd}", byte >> (8 - odd)) } else { byte.to_string() };
        out.extend_from_slice(part.as_bytes());
    }
    out.extend_from_slice(b">>");
}

fn write_atom(word: &str, out: &mut Vec<u8>) {
    let bare = word.starts_with(|c: char| c.is_ascii_lowercase())
        && word.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'@'));
    if bare {
        out.extend_from_slice(word.as_bytes());
        return;
    }
    out.push(b'\'');
    for byte in word.bytes() {
        if matches!(byte, b'\'' | b'\\') {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out.push(b'\'');
}

/// Printable in Latin-1, including the control characters that have an escape.
fn is_printable(byte: u8) -> bool {
    matches!(byte, 8..=13 | 27 | 32..=126 | 160..)
}

fn printable_list(items: &[Value]) -> Option<Vec<u8>> {
    let byte = |item: &Value| match item {
        Value::Int(n) => u8::try_from(*n).ok().filter(|c| is_printable(*c)),
        _ => None,
    };
    if items.is_empty() { None } else { items.iter().map(byte).collect() }
}

fn write_quoted(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for &byte in text {
        let escape = match byte {
            b'"' | b'\\' => byte,
            8 => b'b',
            9 => b't',
            10 => b'n',
            11 => b'v',
            12 => b'f',
            13 => b'r',
            27 => b'e',
            other => {
                out.push(other);
                continue;
            }
        };
        out.extend_from_slice(&[b'\\', escape]);
    }
    out.push(b'"');
}
