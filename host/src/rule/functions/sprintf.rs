//! Formatted text with Erlang's control sequences: `~F.P.PadModC`, of which all parts but the letter may be missing.
//!
//! Field widths and precisions are bounded; nothing is read from the arguments that no sequence asks for.

use num_bigint::BigInt;
use num_traits::ToPrimitive;

use super::args::{built, bytes, list, within_limit};
use super::term_text::{Style, write_term};
use super::{Fault, Function};
use crate::value::Value;
use crate::value::number::fixed;

/// The largest field width, precision or repeat count.
const MAX_WIDTH: usize = 1 << 16;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new(
        1..=usize::MAX,
        "sprintf(format, any...) -> text",
        "Text with each ~ sequence replaced by the next argument: ~s text, ~p and ~w any value in term syntax, ~b ~B \
         integer (the precision is the base), ~f ~e ~g float, ~c character code, ~n line feed, ~~ tilde, ~i skips one.",
        &[
            ("sprintf('~s is ~b', 'a', 1)", r#""a is 1""#),
            ("sprintf('[~10s][~-10s][~.3s]', 'abcdef', 'abcdef', 'abcdef')", r#""[    abcdef][abcdef    ][abc]""#),
            ("sprintf('~3s|~5.2s|~5..*s', 'abcdef', 'abcdef', 'ab')", r#""abc|   ab|***ab""#),
            ("sprintf('~s', 'é')", r#""é""#),
            ("bin2hexstr(sprintf('~ts', 'é'))", r#""E9""#),
            ("sprintf('~ts', '日')", "!"),
            ("sprintf('~s', [104,'i'])", r#""hi""#),
            ("sprintf('~s', true)", r#""true""#),
            ("sprintf('~s', 1)", "!"),
            ("sprintf('~p ~w', 'ab', 'ab')", r#""<<\"ab\">> <<97,98>>""#),
            ("sprintf('~p ~p', [35,36], [1,2])", r##""\"#$\" [1,2]""##),
            ("sprintf('~w', [35,36])", r#""[35,36]""#),
            (r#"sprintf('~p', json_decode('{"b":2,"a":1}'))"#, r##""#{<<\"a\">> => 1,<<\"b\">> => 2}""##),
            ("sprintf('~p ~p ~p', nope, 1000.0, '')", r#""undefined 1.0e3 <<>>""#),
            ("sprintf('~p', subbits('ab', 1, 12, 'bits'))", r#""<<97,6:4>>""#),
            ("sprintf('~2p', 12345)", r#""12345""#),
            ("sprintf('~b ~.16b ~.16B', 255, 255, 255)", r#""255 ff FF""#),
            ("sprintf('~4..0b', 7)", r#""0007""#),
            ("sprintf('~16.16.0b', 255)", r#""00000000000000ff""#),
            ("sprintf('~-4b|', 7)", r#""7   |""#),
            ("sprintf('~.16#', 255)", r##""16#FF""##),
            ("sprintf('~b', 99999999999999999999)", r#""99999999999999999999""#),
            ("sprintf('~b', 1.0)", "!"),
            ("sprintf('~.37b', 1)", "!"),
            ("sprintf('~.1b', 1)", "!"),
            ("sprintf('~.2f ~f', 3.14159, 1.0)", r#""3.14 1.000000""#),
            ("sprintf('~8.2.0f', 3.14159)", r#""00003.14""#),
            ("sprintf('~f', 1)", "!"),
            ("sprintf('~e ~.3e', 100.0, 0.00123)", r#""1.00000e+2 1.23e-3""#),
            ("sprintf('~g ~g', 0.1, 100000.0)", r#""0.100000 1.00000e+5""#),
            ("sprintf('~3c~c', 66, 67)", r#""BBBC""#),
            ("sprintf('~*c', 3, 66)", r#""BBB""#),
            ("sprintf('~n~~~i', 1)", r#""\n~""#),
            ("sprintf('none')", r#""none""#),
            ("sprintf('~s')", "!"),
            ("sprintf('none', 1)", "!"),
            ("sprintf('~q', 1)", "!"),
            ("sprintf('~', 1)", "!"),
            ("sprintf('~999999999s', 'a')", "!"),
            ("sprintf(1)", "!"),
        ],
        |args| format(bytes(args, 0)?, &args[1..]),
    ),
    Function::new(
        2..=2,
        "sprintf_s(format, list) -> text",
        "Like sprintf, with the arguments in a list.",
        &[("sprintf_s('~s-~b', ['a', 1])", r#""a-1""#), ("sprintf_s('~s', [])", "!"), ("sprintf_s('~s', 'a')", "!")],
        |args| format(bytes(args, 0)?, list(args, 1)?),
    ),
];

/// One control sequence, without its letter.
struct Spec {
    width: Option<usize>,
    left: bool,
    precision: Option<usize>,
    pad: u8,
    unicode: bool,
}

/// What of the format and of the arguments is still to be read.
struct Reader<'a> {
    format: &'a [u8],
    args: std::slice::Iter<'a, Value>,
}

fn format(format: &[u8], args: &[Value]) -> Result<Value, Fault> {
    let mut reader = Reader { format, args: args.iter() };
    let mut out = Vec::with_capacity(format.len() * 2);
    while let Some(byte) = reader.next() {
        if byte == b'~' {
            reader.control(&mut out)?
        } else {
            out.push(byte)
        }
        within_limit(out.len())?;
    }
    match reader.args.len() {
        0 => built(out),
        unused => Err(Fault::failed(format!("the format leaves {unused} argument(s) unused"))),
    }
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.format.split_first()?;
        self.format = rest;
        Some(*first)
    }

    fn skip(&mut self, byte: u8) -> bool {
        let rest = self.format.strip_prefix(&[byte]);
        self.format = rest.unwrap_or(self.format);
        rest.is_some()
    }

    fn arg(&mut self) -> Result<&'a Value, Fault> {
        self.args.next().ok_or_else(|| Fault::failed("the format asks for more arguments than there are"))
    }

    /// Digits, or `*` for the next argument.
    fn count(&mut self) -> Result<Option<usize>, Fault> {
        let count = if self.skip(b'*') {
            match self.arg()? {
                Value::Int(n) => usize::try_from(*n).ok(),
                _ => return Err(Fault::failed("`*` in a format needs an integer")),
            }
        } else {
            let len = self.format.iter().take_while(|c| c.is_ascii_digit()).count();
            let (digits, rest) = self.format.split_at(len);
            self.format = rest;
            let value = digits.iter().fold(0usize, |n, c| n.saturating_mul(10).saturating_add(usize::from(c - b'0')));
            (len > 0).then_some(value)
        };
        match count {
            Some(n) if n > MAX_WIDTH => Err(Fault::failed(format!("a width in the format is over {MAX_WIDTH}"))),
            other => Ok(other),
        }
    }

    fn control(&mut self, out: &mut Vec<u8>) -> Result<(), Fault> {
        let left = self.skip(b'-');
        let width = self.count()?;
        let (mut precision, mut pad) = (None, b' ');
        if self.skip(b'.') {
            precision = self.count()?;
            if self.skip(b'.') {
                pad = self.next().ok_or_else(incomplete)?;
            }
        }
        let mut unicode = false;
        while let Some(b't' | b'l') = self.format.first() {
            unicode |= self.next() == Some(b't');
        }
        let spec = Spec { width, left, precision, pad, unicode };
        match self.next().ok_or_else(incomplete)? {
            letter @ (b'~' | b'n') => {
                let byte = if letter == b'n' { b'\n' } else { b'~' };
                out.extend(std::iter::repeat_n(byte, width.unwrap_or(1)));
            }
            b'i' => drop(self.arg()?),
            letter => out.extend_from_slice(&spec.render(letter, self.arg()?)?),
        }
        Ok(())
    }
}

impl Spec {
    fn render(&self, letter: u8, value: &Value) -> Result<Vec<u8>, Fault> {
        let mismatch = |expected: &str| {
            let found = super::args::describe(value);
            Fault::failed(format!("`~{}` needs {expected}, but got {found}", char::from(letter)))
        };
        match (letter, value) {
            (b's', _) => self.string(value).ok_or_else(|| mismatch("text or a list of bytes")),
            (b'w' | b'p', _) => {
                let mut term = Vec::new();
                write_term(value, if letter == b'p' { Style::Pretty } else { Style::Plain }, &mut term)?;
                // For `~p` the width is that of a line and the precision an indentation; we never break a line.
                Ok(if letter == b'p' { term } else { self.field(term, self.precision) })
            }
            (b'b' | b'B' | b'#' | b'+', _) => {
                let n = value.to_big().ok_or_else(|| mismatch("an integer"))?;
                Ok(self.field(self.integer(letter, &n)?, None))
            }
            (b'f' | b'e' | b'g', Value::Float(x)) => Ok(self.field(self.float(letter, *x)?, None)),
            (b'f' | b'e' | b'g', _) => Err(mismatch("a float")),
            (b'c', Value::Int(0x100..)) if self.unicode => Err(mismatch("a character code of at most 255")),
            (b'c', Value::Int(code @ 0..=0x10FFFF)) => {
                let count = self.precision.or(self.width).unwrap_or(1);
                let characters = vec![(*code & 0xFF) as u8; count];
                Ok(if self.precision.is_some() { self.adjust(characters, self.width.unwrap_or(0)) } else { characters })
            }
            (b'c', _) => Err(mismatch("a character code")),
            _ => Err(Fault::failed(format!("`~{}` is not a sequence", char::from(letter)))),
        }
    }

    /// Cut at the precision, or else at the width; filled up to both.
    fn string(&self, value: &Value) -> Option<Vec<u8>> {
        let mut text = match value {
            Value::Str(text) => text.to_vec(),
            Value::List(_) => {
                let mut out = Vec::new();
                flatten(value, &mut out)?;
                out
            }
            symbol => symbol.spelling()?.as_bytes().to_vec(),
        };
        if self.unicode {
            // EMQX makes single bytes of what is decoded.
            text = std::str::from_utf8(&text).ok()?.chars().map(|c| u8::try_from(c).ok()).collect::<Option<_>>()?;
        }
        if let Some(limit) = self.precision.or(self.width) {
            text.truncate(limit);
        }
        if let Some(precision) = self.precision {
            text.extend(std::iter::repeat_n(self.pad, precision.saturating_sub(text.len())));
        }
        if let Some(width) = self.width {
            text = self.adjust(text, width);
            text.truncate(width);
        }
        Some(text)
    }

    /// A term in its field; one that is too long becomes asterisks.
    fn field(&self, term: Vec<u8>, precision: Option<usize>) -> Vec<u8> {
        let Some(width) = self.width.or(precision) else { return term };
        let limit = precision.unwrap_or(width).min(width);
        let shown = if term.len() > limit { vec![b'*'; limit] } else { term };
        self.adjust(shown, width)
    }

    fn adjust(&self, mut text: Vec<u8>, width: usize) -> Vec<u8> {
        let missing = width.saturating_sub(text.len());
        let at = if self.left { text.len() } else { 0 };
        text.splice(at..at, std::iter::repeat_n(self.pad, missing));
        text
    }

    fn integer(&self, letter: u8, n: &BigInt) -> Result<Vec<u8>, Fault> {
        let base = self.precision.unwrap_or(10);
        let radix = base.to_u32().filter(|base| (2..=36).contains(base));
        let radix = radix.ok_or_else(|| Fault::failed(format!("an integer has a base of 2 to 36, not {base}")))?;
        let (sign, magnitude) = (if n.sign() == num_bigint::Sign::Minus { "-" } else { "" }, n.magnitude());
        let digits = magnitude.to_str_radix(radix);
        let digits = if matches!(letter, b'B' | b'#') { digits.to_ascii_uppercase() } else { digits };
        let prefix = if matches!(letter, b'#' | b'+') { format!("{base}#") } else { String::new() };
        Ok(format!("{sign}{prefix}{digits}").into_bytes())
    }

    fn float(&self, letter: u8, x: f64) -> Result<Vec<u8>, Fault> {
        let precision = self.precision.unwrap_or(6);
        if precision > 253 || precision < if letter == b'e' { 2 } else { 1 } {
            return Err(Fault::failed(format!("a float cannot be written with precision {precision}")));
        }
        // How many digits stand before the point, less one; for `~g` only.
        let magnitude = match x.abs() {
            a if a < 0.1 => None,
            a if a < 1.0 => Some(-1),
            a if a < 10.0 => Some(0),
            a if a < 100.0 => Some(1),
            a if a < 1000.0 => Some(2),
            a if a < 10_000.0 => Some(3),
            _ => None,
        };
        let decimals = match (letter, magnitude) {
            (b'f', _) => Some(precision),
            (b'g', Some(magnitude)) => usize::try_from(precision as i64 - 1 - magnitude).ok().filter(|n| *n > 0),
            _ => None,
        };
        Ok(match decimals {
            Some(decimals) => fixed(x, decimals),
            None => scientific(x, precision.max(2)),
        }
        .into_bytes())
    }
}

/// That many significant digits, and an exponent with its sign.
fn scientific(x: f64, digits: usize) -> String {
    let text = format!("{x:.*e}", digits - 1);
    match text.split_once('e') {
        Some((mantissa, exponent)) if exponent.starts_with('-') => format!("{mantissa}e{exponent}"),
        Some((mantissa, exponent)) => format!("{mantissa}e+{exponent}"),
        None => text,
    }
}

/// The bytes of a list of bytes, texts and such lists.
fn flatten(value: &Value, out: &mut Vec<u8>) -> Option<()> {
    match value {
        Value::Str(text) => out.extend_from_slice(text),
        Value::Int(byte) => out.push(u8::try_from(*byte).ok()?),
        Value::List(items) => items.iter().try_for_each(|item| flatten(item, out))?,
        _ => return None,
    }
    (out.len() <= super::MAX_BUILT).then_some(())
}

fn incomplete() -> Fault {
    Fault::failed("a sequence at the end of the format has no letter")
}
