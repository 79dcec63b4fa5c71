//! Values in Erlang's external term format, version 131: how they are kept, and how Erlang programs exchange them.
//!
//! Reading never trusts a length: nothing is allocated before the bytes for it are there, and depth is limited.

use bytes::Bytes;
use flate2::Decompress;
use num_bigint::{BigInt, Sign};

use super::args::{integer, within_limit};
use super::compression::inflate;
use super::{Fault, MAX_BUILT};
use crate::value::{Map, Value};

/// Values and levels of one term.
const MAX_NODES: usize = 1 << 20;
const MAX_LEVELS: usize = 256;

const VERSION: u8 = 131;
const NEW_FLOAT: u8 = 70;
const BIT_BINARY: u8 = 77;
const COMPRESSED: u8 = 80;
const SMALL_INTEGER: u8 = 97;
const INTEGER: u8 = 98;
const ATOM_LATIN1: u8 = 100;
const NIL: u8 = 106;
const STRING: u8 = 107;
const LIST: u8 = 108;
const BINARY: u8 = 109;
const SMALL_BIG: u8 = 110;
const LARGE_BIG: u8 = 111;
const SMALL_ATOM_LATIN1: u8 = 115;
const MAP: u8 = 116;
const ATOM_UTF8: u8 = 118;
const SMALL_ATOM_UTF8: u8 = 119;

/// The term of a value.
pub(super) fn encode(value: &Value) -> Result<Vec<u8>, Fault> {
    if !value.fits(MAX_NODES, MAX_LEVELS) {
        return Err(Fault::failed("the value is too large for a term"));
    }
    let mut out = vec![VERSION];
    write(value, &mut out)?;
    Ok(out)
}

fn write(value: &Value, out: &mut Vec<u8>) -> Result<(), Fault> {
    within_limit(out.len())?;
    match value {
        Value::Undefined | Value::Null | Value::Bool(_) | Value::Sym(_) => {
            write_atom(value.spelling().unwrap_or_default(), out);
        }
        Value::Int(n) => write_integer(*n, out),
        Value::Big(n) => write_big(n, out),
        Value::Float(x) => {
            out.push(NEW_FLOAT);
            out.extend_from_slice(&x.to_be_bytes());
        }
        Value::Str(text) => {
            out.push(BINARY);
            write_len(text.len(), out);
            out.extend_from_slice(text);
        }
        Value::Bits { bytes, len } => {
            out.push(BIT_BINARY);
            write_len(bytes.len(), out);
            out.push((len % 8) as u8);
            out.extend_from_slice(bytes);
        }
        Value::List(items) => write_list(items, out)?,
        Value::Map(map) => {
            out.push(MAP);
            write_len(map.len(), out);
            for (key, value) in map.iter() {
                out.push(BINARY);
                write_len(key.len(), out);
                out.extend_from_slice(key);
                write(value, out)?;
            }
        }
    }
    Ok(())
}

fn write_atom(spelling: &str, out: &mut Vec<u8>) {
    match u8::try_from(spelling.len()) {
        Ok(len) => out.extend_from_slice(&[SMALL_ATOM_UTF8, len]),
        // No symbol is longer than 65,535 bytes.
        Err(_) => {
            out.push(ATOM_UTF8);
            out.extend_from_slice(&(spelling.len() as u16).to_be_bytes());
        }
    }
    out.extend_from_slice(spelling.as_bytes());
}

fn write_integer(n: i64, out: &mut Vec<u8>) {
    if let Ok(n) = u8::try_from(n) {
        out.extend_from_slice(&[SMALL_INTEGER, n]);
    } else if let Ok(n) = i32::try_from(n) {
        out.push(INTEGER);
        out.extend_from_slice(&n.to_be_bytes());
    } else {
        write_big(&BigInt::from(n), out);
    }
}

fn write_big(n: &BigInt, out: &mut Vec<u8>) {
    let (sign, digits) = n.to_bytes_le();
    match u8::try_from(digits.len()) {
        Ok(len) => out.extend_from_slice(&[SMALL_BIG, len]),
        Err(_) => {
            out.push(LARGE_BIG);
            write_len(digits.len(), out);
        }
    }
    out.push(u8::from(sign == Sign::Minus));
    out.extend_from_slice(&digits);
}

/// A list of bytes has a shorter form, which Erlang always uses.
fn write_list(items: &[Value], out: &mut Vec<u8>) -> Result<(), Fault> {
    let byte = |item: &Value| match item {
        Value::Int(n) => u8::try_from(*n).ok(),
        _ => None,
    };
    if items.is_empty() {
        out.push(NIL);
        return Ok(());
    }
    if let Ok(len) = u16::try_from(items.len())
        && let Some(bytes) = items.iter().map(byte).collect::<Option<Vec<u8>>>()
    {
        out.push(STRING);
        out.extend_from_slice(&len.to_be_bytes());
        out.extend_from_slice(&bytes);
        return Ok(());
    }
    out.push(LIST);
    write_len(items.len(), out);
    items.iter().try_for_each(|item| write(item, out))?;
    out.push(NIL);
    Ok(())
}

/// What is written is at most `MAX_BUILT` long, and so is each of its parts.
fn write_len(len: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(&(len as u32).to_be_bytes());
}

/// The value of a term. Tuples, functions and the like have none.
pub(super) fn decode(term: &Bytes) -> Result<Value, Fault> {
    let mut reader = Reader { rest: term.clone(), nodes: MAX_NODES };
    let value = reader.version().and_then(|()| reader.whole());
    value.ok_or_else(|| Fault::failed("the data is no term of numbers, text, symbols, lists and maps"))
}

struct Reader {
    rest: Bytes,
    /// Values that may still be read.
    nodes: usize,
}

impl Reader {
    fn version(&mut self) -> Option<()> {
        (self.byte()? == VERSION).then_some(())
    }

    /// One term, and nothing after it.
    fn whole(&mut self) -> Option<Value> {
        if self.rest.first() == Some(&COMPRESSED) {
            self.byte()?;
            let len = self.len()?;
            if len > MAX_BUILT {
                return None;
            }
            let unpacked = inflate(&self.rest, Decompress::new(true)).ok()?;
            self.rest = Bytes::from(unpacked);
            if self.rest.len() != len {
                return None;
            }
        }
        let value = self.term(MAX_LEVELS)?;
        self.rest.is_empty().then_some(value)
    }

    fn byte(&mut self) -> Option<u8> {
        Some(self.take(1)?[0])
    }

    fn take(&mut self, len: usize) -> Option<Bytes> {
        (self.rest.len() >= len).then(|| self.rest.split_to(len))
    }

    fn len(&mut self) -> Option<usize> {
        Some(u32::from_be_bytes(self.take(4)?[..].try_into().ok()?) as usize)
    }

    fn short_len(&mut self) -> Option<usize> {
        Some(usize::from(u16::from_be_bytes(self.take(2)?[..].try_into().ok()?)))
    }

    fn term(&mut self, levels: usize) -> Option<Value> {
        self.nodes = self.nodes.checked_sub(1)?;
        match self.byte()? {
            SMALL_INTEGER => Some(Value::Int(i64::from(self.byte()?))),
            INTEGER => Some(Value::Int(i64::from(i32::from_be_bytes(self.take(4)?[..].try_into().ok()?)))),
            SMALL_BIG => {
                let len = usize::from(self.byte()?);
                self.big(len)
            }
            LARGE_BIG => {
                let len = self.len()?;
                self.big(len)
            }
            NEW_FLOAT => Value::float(f64::from_be_bytes(self.take(8)?[..].try_into().ok()?)),
            tag @ (SMALL_ATOM_UTF8 | SMALL_ATOM_LATIN1) => {
                let len = usize::from(self.byte()?);
                self.atom(len, tag == SMALL_ATOM_UTF8)
            }
            tag @ (ATOM_UTF8 | ATOM_LATIN1) => {
                let len = self.short_len()?;
                self.atom(len, tag == ATOM_UTF8)
            }
            BINARY => {
                let len = self.len()?;
                self.take(len).map(Value::Str)
            }
            BIT_BINARY => {
                let (len, bits) = (self.len()?, usize::from(self.byte()?));
                self.bits(len, bits)
            }
            NIL => Some(Value::list(Vec::new())),
            STRING => {
                let len = self.short_len()?;
                let bytes = self.take(len)?;
                self.nodes = self.nodes.checked_sub(len)?;
                Some(Value::list(bytes.iter().map(|byte| Value::Int(i64::from(*byte))).collect()))
            }
            LIST => {
                let (len, levels) = (self.len()?, levels.checked_sub(1)?);
                let items = (0..len).map(|_| self.term(levels)).collect::<Option<Vec<Value>>>()?;
                (self.byte()? == NIL).then(|| Value::list(items))
            }
            MAP => {
                let (len, levels) = (self.len()?, levels.checked_sub(1)?);
                let mut map = Map::new();
                for _ in 0..len {
                    let key = key(self.term(levels)?)?;
                    map.insert(key, self.term(levels)?);
                }
                Some(Value::map(map))
            }
            _ => None,
        }
    }

    fn big(&mut self, len: usize) -> Option<Value> {
        let sign = if self.byte()? == 0 { Sign::Plus } else { Sign::Minus };
        integer(BigInt::from_bytes_le(sign, &self.take(len)?)).ok()
    }

    fn atom(&mut self, len: usize, utf8: bool) -> Option<Value> {
        let spelling = self.take(len)?;
        let latin1 = || spelling.iter().map(|byte| char::from(*byte)).collect();
        let spelling = if utf8 { std::str::from_utf8(&spelling).ok()?.to_owned() } else { latin1() };
        (spelling.chars().count() <= 255).then(|| Value::sym(&spelling))
    }

    fn bits(&mut self, len: usize, bits: usize) -> Option<Value> {
        let bytes = self.take(len)?;
        match bits {
            8 => Some(Value::Str(bytes)),
            1..=7 if len > 0 => {
                // What is beyond the last bit may be anything; here it is zero.
                let mut bytes = bytes.to_vec();
                *bytes.last_mut()? &= 0xFF << (8 - bits);
                Some(Value::Bits { bytes: bytes.into(), len: (len - 1) * 8 + bits })
            }
            _ => None,
        }
    }
}

/// Keys are text here; a number is written out, as JSON does.
fn key(value: Value) -> Option<Bytes> {
    match value {
        Value::Str(text) => Some(text),
        symbol if symbol.spelling().is_some() => symbol.spelling().map(|word| Bytes::from(word.to_owned())),
        number if number.is_number() => number.text(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Bytes {
        (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[at * 2..at * 2 + 2], 16).expect("hex")).collect()
    }

    #[test]
    fn values_come_back_as_they_were() {
        let map = Value::from_json(br#"{"a":[1,-1,2.5,null,true,"x"],"b":{"c":12345678901234567890}}"#).expect("JSON");
        let values = [
            Value::Undefined,
            Value::sym("message.publish"),
            Value::Int(i64::MIN),
            Value::Int(256),
            Value::big(BigInt::from(-1) << 9000u32),
            Value::Float(-0.0),
            Value::Bits { bytes: Bytes::from_static(&[0xA8]), len: 5 },
            Value::list(vec![Value::Int(1); 70_000]),
            Value::list(vec![Value::Int(255), Value::Int(256)]),
            map,
        ];
        for value in values {
            let term = encode(&value).expect("a term");
            assert!(decode(&Bytes::from(term)).expect("a value").strict_eq(&value), "{value:?}");
        }
    }

    #[test]
    fn what_lies_about_its_length_costs_nothing() {
        for hex in
            ["836CFFFFFFFF6101", "836DFFFFFFFF61", "8374FFFFFFFF", "836FFFFFFFFF0001", "83", "", "8468", "836101FF"]
        {
            assert!(decode(&bytes(hex)).is_err(), "{hex}");
        }
        // A million levels of lists, and a term that unpacks to more than it says.
        let deep = [&[VERSION][..], &[LIST, 0, 0, 0, 1].repeat(1_000_000)].concat();
        assert!(decode(&Bytes::from(deep)).is_err());
        assert!(decode(&bytes("835000000001789C4B4C4A0600024D0127")).is_err());
    }

    #[test]
    fn erlangs_own_terms_are_read() {
        let map = Value::map([(Bytes::from("1"), Value::sym("foo"))].into());
        for (hex, value) in [
            ("8364000474727565", Value::Bool(true)),
            ("837309756E646566696E6564", Value::Undefined),
            ("836B00026869", Value::list(vec![Value::Int(104), Value::Int(105)])),
            ("83740000000161017703666F6F", map),
        ] {
            assert_eq!(decode(&bytes(hex)), Ok(value), "{hex}");
        }
        for hex in ["8368016101", "836C0000000161016102", "834D00000001099F"] {
            assert!(decode(&bytes(hex)).is_err(), "{hex}");
        }
    }

    #[test]
    fn compressed_terms_are_read() {
        let plain = encode(&Value::str("abcabcabcabcabcabc")).expect("a term");
        let mut packer = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
        std::io::Write::write_all(&mut packer, &plain[1..]).expect("memory");
        let packed = packer.finish().expect("memory");
        let with_len = |len: usize| [&[VERSION, COMPRESSED][..], &(len as u32).to_be_bytes(), &packed].concat();
        assert_eq!(decode(&with_len(plain.len() - 1).into()), Ok(Value::str("abcabcabcabcabcabc")));
        assert!(decode(&with_len(plain.len()).into()).is_err());
    }
}
