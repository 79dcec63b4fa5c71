//! JSON text to values (rule-sql 0.6): RFC 8259, any top-level value, the last of duplicate keys wins.
//!
//! One scanner serves both reading and skipping, so that a document is accepted by both or by neither.
//! Never recurses deeper than [`MAX_DEPTH`], and never copies text that it can share with its source.

use bytes::Bytes;

use super::number::{MAX_INTEGER_DIGITS, parse_integer};
use super::{Map, Value};

/// Arrays and objects nest at most this deep.
pub const MAX_DEPTH: usize = 128;

/// Why a text is not acceptable as JSON, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not valid JSON at byte {offset}: {reason}")]
pub struct JsonError {
    /// Bytes from the start of the text.
    pub offset: usize,
    pub reason: &'static str,
}

impl Value {
    /// Decodes a JSON text. Text without escapes is copied; see [`Value::from_json_shared`].
    pub fn from_json(text: &[u8]) -> Result<Value, JsonError> {
        Scanner::new(text, None)?.document(Scanner::read)
    }

    /// Decodes a JSON text whose strings then share its memory.
    pub fn from_json_shared(text: &Bytes) -> Result<Value, JsonError> {
        Scanner::new(text, Some(text))?.document(Scanner::read)
    }
}

/// A position in a JSON text that is known to be UTF-8.
pub(super) struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
    /// The shared memory that `text` is, if it is shared.
    shared: Option<&'a Bytes>,
    /// Why scanning stopped; meaningful after a [`Broken`].
    failure: JsonError,
}

/// Scanning stopped. The reason waits in the scanner: results that fit into registers are worth a lot here.
#[derive(Clone, Copy, Debug)]
pub(super) struct Broken;

pub(super) type Scanned<T> = Result<T, Broken>;

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a [u8], shared: Option<&'a Bytes>) -> Result<Scanner<'a>, JsonError> {
        match std::str::from_utf8(text) {
            Ok(_) => Ok(Scanner { text, at: 0, shared, failure: JsonError { offset: 0, reason: "" } }),
            Err(error) => Err(JsonError { offset: error.valid_up_to(), reason: "invalid UTF-8" }),
        }
    }

    /// One value with nothing but white space around it. `depth` levels may be opened below it.
    pub(super) fn document<T>(
        mut self,
        value: impl FnOnce(&mut Scanner<'a>, usize) -> Scanned<T>,
    ) -> Result<T, JsonError> {
        self.white_space();
        let found = value(&mut self, MAX_DEPTH).map_err(|Broken| self.failure)?;
        self.white_space();
        match self.peek() {
            None => Ok(found),
            Some(_) => Err(JsonError { offset: self.at, reason: "unexpected text after the value" }),
        }
    }

    #[cold]
    #[inline(never)]
    fn error(&mut self, reason: &'static str) -> Broken {
        self.failure = JsonError { offset: self.at, reason };
        Broken
    }

    #[inline]
    pub(super) fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    #[inline]
    fn white_space(&mut self) {
        while let Some(byte) = self.peek() {
            if byte > b' ' || !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return;
            }
            self.at += 1;
        }
    }

    #[inline]
    fn word(&mut self, word: &[u8]) -> Scanned<()> {
        if !self.text[self.at..].starts_with(word) {
            return Err(self.error("expected a value"));
        }
        self.at += word.len();
        Ok(())
    }

    /// Reads the value at this position.
    pub(super) fn read(&mut self, depth: usize) -> Scanned<Value> {
        match self.peek() {
            Some(b'"') => self.string().map(|text| Value::Str(text.into_bytes(self.shared))),
            Some(b'{') => {
                let mut entries = Map::new();
                self.object(depth, |scanner, key, depth| {
                    let item = scanner.read(depth)?;
                    entries.insert(key.into_bytes(scanner.shared), item);
                    Ok(())
                })?;
                Ok(Value::map(entries))
            }
            Some(b'[') => {
                let mut items = Vec::new();
                self.array(depth, |scanner, depth| {
                    items.push(scanner.read(depth)?);
                    Ok(())
                })?;
                Ok(Value::list(items))
            }
            Some(b'-' | b'0'..=b'9') => self.number_value(),
            Some(b't') => self.word(b"true").map(|()| Value::Bool(true)),
            Some(b'f') => self.word(b"false").map(|()| Value::Bool(false)),
            Some(b'n') => self.word(b"null").map(|()| Value::Null),
            _ => Err(self.error("expected a value")),
        }
    }

    /// Checks the value at this position as strictly as reading it would, and goes past it.
    #[inline(always)]
    pub(super) fn skip(&mut self, depth: usize) -> Scanned<()> {
        match self.peek() {
            Some(b'"') => self.string().map(|_| ()),
            Some(b'-' | b'0'..=b'9') => self.skip_number(),
            _ => self.skip_rarer(depth),
        }
    }

    /// Kept apart, so that the values which are frequent inside objects are gone past without a call.
    #[inline(never)]
    fn skip_rarer(&mut self, depth: usize) -> Scanned<()> {
        match self.peek() {
            Some(b'{') => self.object(depth, |scanner, _, depth| scanner.skip(depth)),
            Some(b'[') => self.array(depth, Scanner::skip),
            Some(b't') => self.word(b"true"),
            Some(b'f') => self.word(b"false"),
            Some(b'n') => self.word(b"null"),
            _ => Err(self.error("expected a value")),
        }
    }

    #[inline]
    fn enter(&mut self, depth: usize) -> Scanned<usize> {
        let Some(below) = depth.checked_sub(1) else { return Err(self.error("nested deeper than 128 levels")) };
        self.at += 1;
        self.white_space();
        Ok(below)
    }

    /// An object whose entries `entry` consumes, the value itself included.
    #[inline]
    pub(super) fn object(
        &mut self,
        depth: usize,
        mut entry: impl FnMut(&mut Scanner<'a>, Text<'a>, usize) -> Scanned<()>,
    ) -> Scanned<()> {
        let below = self.enter(depth)?;
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        loop {
            if self.peek() != Some(b'"') {
                return Err(self.error("expected a key in double quotes"));
            }
            let key = self.string()?;
            if self.peek() != Some(b':') {
                self.white_space();
                if self.peek() != Some(b':') {
                    return Err(self.error("expected `:` after the key"));
                }
            }
            self.at += 1;
            self.white_space();
            entry(self, key, below)?;
            if self.peek() != Some(b',') {
                self.white_space();
            }
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Err(self.error("expected `,` or `}`")),
            }
            self.white_space();
        }
    }

    #[inline]
    fn array(&mut self, depth: usize, mut item: impl FnMut(&mut Scanner<'a>, usize) -> Scanned<()>) -> Scanned<()> {
        let below = self.enter(depth)?;
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(());
        }
        loop {
            item(self, below)?;
            if self.peek() != Some(b',') {
                self.white_space();
            }
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Err(self.error("expected `,` or `]`")),
            }
            self.white_space();
        }
    }

    /// A string, from its opening quote to past its closing one.
    #[inline(always)]
    fn string(&mut self) -> Scanned<Text<'a>> {
        let start = self.at + 1;
        let end = start + plain_run(&self.text[start..]);
        self.at = end;
        if self.peek() != Some(b'"') {
            return self.unplain_string(start);
        }
        self.at += 1;
        Ok(Text { raw: &self.text[start..end], escaped: false })
    }

    /// The rest of a string that is not plain: it has escapes, or is broken.
    #[inline(never)]
    fn unplain_string(&mut self, start: usize) -> Scanned<Text<'a>> {
        loop {
            match self.peek() {
                Some(b'"') => {
                    let raw = &self.text[start..self.at];
                    self.at += 1;
                    return Ok(Text { raw, escaped: true });
                }
                Some(b'\\') => self.escape()?,
                Some(_) => return Err(self.error("a control character in a string must be escaped")),
                None => return Err(self.error("the string has no end")),
            }
            self.at += plain_run(&self.text[self.at..]);
        }
    }

    fn escape(&mut self) -> Scanned<()> {
        match self.text.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
            Some(b'u') => {
                let lone = "a surrogate in a string must be one of a pair";
                let Some(unit) = hex4(&self.text[self.at + 2..]) else {
                    return Err(self.error("expected four hexadecimal digits"));
                };
                match unit {
                    0xD800..0xDC00 => {
                        let low = self.text[self.at + 6..].strip_prefix(b"\\u").and_then(hex4);
                        if !low.is_some_and(|low| (0xDC00..0xE000).contains(&low)) {
                            return Err(self.error(lone));
                        }
                        self.at += 12;
                    }
                    0xDC00..0xE000 => return Err(self.error(lone)),
                    _ => self.at += 6,
                }
            }
            _ => return Err(self.error("unknown escape in a string")),
        }
        Ok(())
    }

    #[inline(always)]
    fn digits(&mut self) -> Scanned<()> {
        let rest = &self.text[self.at..];
        let count = rest.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len());
        self.at += count;
        if count == 0 { Err(self.error("expected a digit")) } else { Ok(()) }
    }

    #[inline(always)]
    fn number(&mut self) -> Scanned<Number<'a>> {
        let offset = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        let zero = self.peek() == Some(b'0');
        let whole = self.at;
        self.digits()?;
        if zero && self.at > whole + 1 {
            self.at = whole + 1;
            return Err(self.error("a number must not begin with a zero"));
        }
        let mut form = Form::Integer;
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
            form = Form::Decimal;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
            form = Form::Scientific;
        }
        Ok(Number { text: &self.text[offset..self.at], form })
    }

    fn number_value(&mut self) -> Scanned<Value> {
        let offset = self.at;
        let number = self.number()?;
        match number.value() {
            Ok(value) => Ok(value),
            Err(reason) => {
                self.at = offset;
                Err(self.error(reason))
            }
        }
    }

    /// The frequent forms at once: digits, perhaps a fraction, few enough that the number cannot be too large.
    #[inline(always)]
    fn skip_number(&mut self) -> Scanned<()> {
        const SHORT: usize = 300;
        let rest = &self.text[self.at..];
        let sign = usize::from(rest.first() == Some(&b'-'));
        let digits = |from: usize| {
            let mut at = from;
            while rest.get(at).is_some_and(u8::is_ascii_digit) {
                at += 1;
            }
            at
        };
        let whole = digits(sign);
        let mut end = whole;
        if rest.get(whole) == Some(&b'.') {
            end = digits(whole + 1);
        }
        let plain = whole > sign
            && end != whole + 1
            && (rest[sign] != b'0' || whole == sign + 1)
            && !matches!(rest.get(end), Some(b'e' | b'E'));
        if plain && end <= SHORT {
            self.at += end;
            return Ok(());
        }
        self.skip_unusual_number()
    }

    /// Only long integers, very long decimals and exponents can be too large.
    #[inline(never)]
    fn skip_unusual_number(&mut self) -> Scanned<()> {
        let offset = self.at;
        let number = self.number()?;
        match number.form {
            Form::Integer if number.text.len() <= MAX_INTEGER_DIGITS => Ok(()),
            Form::Decimal if number.text.len() <= 300 => Ok(()),
            _ => {
                self.at = offset;
                self.number_value().map(|_| ())
            }
        }
    }
}

/// How many bytes at the start of `text` are neither a quote nor a backslash nor a control character; eight at a time.
#[inline(always)]
pub(super) fn plain_run(text: &[u8]) -> usize {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    // Marks bytes below `limit`. The lowest mark is exact; a borrow can only disturb the bytes above it.
    let below = |word: u64, limit: u64| word.wrapping_sub(ONES * limit) & !word;
    let mut rest = text;
    while let Some((chunk, after)) = rest.split_first_chunk::<8>() {
        let word = u64::from_le_bytes(*chunk);
        // Flipping the second bit puts the quote (0x22) right behind the control characters and moves none of them out.
        let stops = (below(word ^ (ONES * 2), 0x21) | below(word ^ (ONES * u64::from(b'\\')), 1)) & (ONES << 7);
        if stops != 0 {
            return text.len() - rest.len() + stops.trailing_zeros() as usize / 8;
        }
        rest = after;
    }
    let stop = rest.iter().position(|&byte| byte == b'"' || byte == b'\\' || byte < 0x20);
    text.len() - rest.len() + stop.unwrap_or(rest.len())
}

fn hex4(text: &[u8]) -> Option<u32> {
    text.get(..4)?.iter().try_fold(0, |sum, &byte| Some(sum * 16 + char::from(byte).to_digit(16)?))
}

/// A checked string as it stands in the document.
#[derive(Clone, Copy)]
pub(super) struct Text<'a> {
    raw: &'a [u8],
    escaped: bool,
}

impl<'a> Text<'a> {
    #[inline]
    pub(super) fn is(&self, text: &[u8]) -> bool {
        if self.escaped { self.unescape() == text } else { self.raw == text }
    }

    fn into_bytes(self, shared: Option<&Bytes>) -> Bytes {
        match shared {
            _ if self.escaped => Bytes::from(self.unescape()),
            Some(shared) => shared.slice_ref(self.raw),
            None => Bytes::copy_from_slice(self.raw),
        }
    }

    fn unescape(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.raw.len());
        let mut rest = self.raw;
        while let Some(at) = rest.iter().position(|&byte| byte == b'\\') {
            out.extend_from_slice(&rest[..at]);
            rest = &rest[at + 1..];
            let Some((&kind, after)) = rest.split_first() else { break };
            rest = after;
            match kind {
                b'b' => out.push(0x08),
                b'f' => out.push(0x0C),
                b'n' => out.push(b'\n'),
                b'r' => out.push(b'\r'),
                b't' => out.push(b'\t'),
                b'u' => {
                    let mut unit = hex4(rest).unwrap_or(0);
                    rest = rest.get(4..).unwrap_or_default();
                    if let 0xD800..0xDC00 = unit {
                        let low = rest.get(2..).and_then(hex4).unwrap_or(0xDC00);
                        rest = rest.get(6..).unwrap_or_default();
                        unit = 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
                    }
                    let letter = char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER);
                    out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
                }
                other => out.push(other),
            }
        }
        out.extend_from_slice(rest);
        out
    }
}

enum Form {
    Integer,
    /// With a fraction, without an exponent.
    Decimal,
    Scientific,
}

/// A number whose form is right; whether its size is acceptable remains to be seen.
struct Number<'a> {
    text: &'a [u8],
    form: Form,
}

impl Number<'_> {
    #[inline]
    fn value(&self) -> Result<Value, &'static str> {
        match self.form {
            Form::Integer if self.text.len() <= 18 => {
                let (negative, digits) = match self.text {
                    [b'-', digits @ ..] => (true, digits),
                    digits => (false, digits),
                };
                let number = digits.iter().fold(0, |sum: i64, digit| sum * 10 + i64::from(digit - b'0'));
                Ok(Value::Int(if negative { -number } else { number }))
            }
            Form::Integer => parse_integer(self.text).ok_or("an integer of more than 4096 digits"),
            Form::Decimal | Form::Scientific => {
                let number = std::str::from_utf8(self.text).ok().and_then(|text| text.parse().ok());
                number.and_then(Value::float).ok_or("a number beyond the range of floats")
            }
        }
    }
}
