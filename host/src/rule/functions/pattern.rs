//! PCRE patterns as EMQX compiles them (byte by byte, no Unicode), run by a regex engine with bounded backtracking.
//!
//! A pattern never costs without limit: its text, its program and its steps are bounded, and compiled ones are kept.

use std::cell::RefCell;
use std::fmt::Write;
use std::rc::Rc;

use bytes::Bytes;
use fancy_regex::{BytesMode, Regex, RegexBuilder};
use rustc_hash::FxHashMap;

use super::Fault;

/// In bytes.
const MAX_PATTERN: usize = 4096;
/// Memory of one compiled program, in bytes.
const MAX_PROGRAM: usize = 1 << 20;
/// Steps of a search that needs backtracking; one is in the order of 20 nanoseconds.
const MAX_BACKTRACKS: usize = 100_000;
/// Compiled patterns that one thread keeps.
const KEPT: usize = 64;

type Key = (Bytes, bool);
/// A pattern that does not compile is remembered too: finding that out may cost milliseconds.
type Kept = Result<Rc<Regex>, Fault>;

/// The compiled pattern, or why there is none; from this thread's store if it was used before.
///
/// `line_end` says that the subject ends in a line feed: only there PCRE's `$` differs from the engine's.
pub fn compiled(pattern: &Bytes, line_end: bool) -> Kept {
    thread_local! {
        static STORE: RefCell<FxHashMap<Key, Kept>> = RefCell::default();
    }
    let key = (pattern.clone(), line_end);
    if let Some(kept) = STORE.with_borrow(|store| store.get(&key).cloned()) {
        return kept;
    }
    let kept = compile(pattern, line_end).map(Rc::new);
    STORE.with_borrow_mut(|store| {
        if store.len() >= KEPT {
            store.clear();
        }
        // The key is copied: a slice would keep its whole message alive.
        store.insert((Bytes::copy_from_slice(pattern), line_end), kept.clone());
    });
    kept
}

fn compile(pattern: &[u8], line_end: bool) -> Result<Regex, Fault> {
    if pattern.len() > MAX_PATTERN {
        return Err(Fault::failed(format!("the pattern is longer than {MAX_PATTERN} bytes")));
    }
    let (mut rest, mut unicode, mut properties) = (pattern, false, false);
    loop {
        if let Some(after) = rest.strip_prefix(b"(*UTF)").or_else(|| rest.strip_prefix(b"(*UTF8)")) {
            (rest, unicode) = (after, true);
        } else if let Some(after) = rest.strip_prefix(b"(*UCP)") {
            (rest, properties) = (after, true);
        } else {
            break;
        }
    }
    let mode = if unicode { BytesMode::UnicodeBytes } else { BytesMode::Ascii };
    let translated = Translator::new(rest, unicode, properties, line_end).run();
    RegexBuilder::new(&translated)
        .bytes_mode(mode)
        .delegate_size_limit(MAX_PROGRAM)
        .delegate_dfa_size_limit(MAX_PROGRAM)
        .max_prog_size(MAX_PROGRAM)
        .backtrack_limit(MAX_BACKTRACKS)
        .build()
        .map_err(|error| Fault::failed(format!("the pattern does not compile: {error:.300}")))
}

/// Rewrites what PCRE reads differently: raw bytes, `\Q…\E`, `\h \v \R \e \cX`, `\w \d \s` and `\p` by mode, lone braces,
/// `$`, and in classes the brackets and operators that PCRE has no set operations for.
struct Translator<'a> {
    rest: &'a [u8],
    unicode: bool,
    /// `(*UCP)`: `\w`, `\d` and `\s` go by Unicode's properties.
    properties: bool,
    /// Whether `$` is also to match before a line feed at the very end.
    before_line_end: bool,
    out: String,
}

/// Members of a class: which bytes are, as characters of Latin-1, of this general category of Unicode.
fn latin1(category: &str) -> Option<&'static str> {
    Some(match category {
        "L" => r"A-Za-z\xAA\xB5\xBA\xC0-\xD6\xD8-\xF6\xF8-\xFF",
        "L&" => r"A-Za-z\xB5\xC0-\xD6\xD8-\xF6\xF8-\xFF",
        "Lu" => r"A-Z\xC0-\xD6\xD8-\xDE",
        "Ll" => r"a-z\xB5\xDF-\xF6\xF8-\xFF",
        "Lo" => r"\xAA\xBA",
        "N" => r"0-9\xB2\xB3\xB9\xBC-\xBE",
        "Nd" => "0-9",
        "No" => r"\xB2\xB3\xB9\xBC-\xBE",
        "P" => r"!-#%-*,-/:;?@\x5B-\x5D_\x7B\x7D\xA1\xA7\xAB\xB6\xB7\xBB\xBF",
        "S" => r"$+<->\x5E\x60\x7C\x7E\xA2-\xA6\xA8\xA9\xAC\xAE-\xB1\xB4\xB8\xD7\xF7",
        "Z" | "Zs" => r"\x20\xA0",
        "C" => r"\x00-\x1F\x7F-\x9F\xAD",
        "Cc" => r"\x00-\x1F\x7F-\x9F",
        _ => return None,
    })
}

impl<'a> Translator<'a> {
    fn new(pattern: &'a [u8], unicode: bool, properties: bool, line_end: bool) -> Translator<'a> {
        // With `m` the engine's `$` already stops at every line feed.
        let multi_line = pattern.windows(2).enumerate().any(|(at, pair)| {
            pair == b"(?" && pattern[at + 2..].iter().take_while(|c| c.is_ascii_lowercase()).any(|c| *c == b'm')
        });
        let out = String::with_capacity(pattern.len() + 16);
        Translator { rest: pattern, unicode, properties, before_line_end: line_end && !multi_line, out }
    }

    fn run(mut self) -> String {
        while let Some(byte) = self.next() {
            match byte {
                b'\\' => self.escape(false),
                b'[' => self.class(),
                b'(' => self.group(),
                b'$' if self.before_line_end => self.out.push_str(r"(?=\n?\z)"),
                b'{' if !is_quantifier(self.rest) => self.out.push_str(r"\{"),
                b'}' if !self.closes_quantifier() => self.out.push_str(r"\}"),
                other => self.literal(other),
            }
        }
        self.out
    }

    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn literal(&mut self, byte: u8) {
        match (byte, self.unicode) {
            (0..0x80, _) => self.out.push(char::from(byte)),
            (_, false) => self.hex(u32::from(byte)),
            // The bytes of one character, which the engine takes as a character.
            (_, true) => {
                let len = byte.leading_ones().saturating_sub(1) as usize;
                let mut bytes = vec![byte];
                bytes.extend_from_slice(&self.rest[..len.min(self.rest.len())]);
                self.rest = &self.rest[len.min(self.rest.len())..];
                self.out.push_str(&String::from_utf8_lossy(&bytes));
            }
        }
    }

    fn hex(&mut self, code: u32) {
        // Writing to a String cannot fail.
        let _ = write!(self.out, r"\x{{{code:X}}}");
    }

    /// A group's beginning; `(?(name)` asks for a group like `(?(<name>)`.
    fn group(&mut self) {
        self.out.push('(');
        let Some(condition) = self.rest.strip_prefix(b"?(") else { return };
        let word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        let len = condition.iter().take_while(|byte| word(byte)).count();
        let (name, after) = condition.split_at(len);
        let named = name.first().is_some_and(|first| !first.is_ascii_digit());
        if named && after.first() == Some(&b')') && !matches!(name, b"DEFINE" | b"R") {
            self.out.push_str(&format!("?(<{}>)", String::from_utf8_lossy(name)));
            self.rest = &after[1..];
        }
    }

    fn escape(&mut self, in_class: bool) {
        let Some(byte) = self.next() else {
            self.out.push('\\');
            return;
        };
        let wide = |high: &'static str| if self.unicode { "" } else { high };
        match byte {
            b'w' | b'W' | b'd' | b'D' | b's' | b'S' if self.unicode != self.properties => {
                self.shorthand(byte, in_class)
            }
            b'p' | b'P' if !self.unicode => self.property(byte == b'P', in_class),
            b'p' | b'P' | b'x' | b'o' | b'g' | b'k' if self.rest.first() == Some(&b'{') => self.braced(byte),
            b'Q' => self.quoted(),
            b'E' => {}
            b'e' => self.hex(0x1B),
            b'c' => match self.next() {
                Some(letter) => self.hex(u32::from(letter.to_ascii_uppercase() ^ 0x40)),
                None => self.out.push_str(r"\c"),
            },
            b'h' | b'H' => self.set(&format!(r"\t\x20{}", wide(r"\xA0")), byte == b'H', in_class),
            b'v' | b'V' => self.set(&format!(r"\n\x0B\f\r{}", wide(r"\x85")), byte == b'V', in_class),
            b'N' if !in_class => self.out.push_str(r"[^\n]"),
            b'R' if !in_class => self.out.push_str(&format!(r"(?:\r\n|[\n\x0B\f\r{}])", wide(r"\x85"))),
            b'Z' if !in_class => self.out.push_str(r"(?=\n?\z)"),
            b'0'..=b'7' if in_class || byte == b'0' || self.is_octal() => self.octal(byte),
            b'b' if in_class => self.hex(8),
            b'<' | b'>' | b'/' | b'"' | b'\'' | b'`' | b'%' | b',' | b':' | b';' | b'=' | b'@' | b'_' | b'!' | b' ' => {
                self.hex(u32::from(byte));
            }
            0x80.. => self.literal(byte),
            other => {
                self.out.push('\\');
                self.out.push(char::from(other));
            }
        }
    }

    /// What stands in braces after `\p` and the like, as it is; a group that `\g` or `\k` refers to, as the engine writes it.
    fn braced(&mut self, kind: u8) {
        let len = self.rest.iter().position(|byte| *byte == b'}').map_or(0, |at| at + 1);
        let (braced, rest) = self.rest.split_at(len);
        self.rest = rest;
        let braced = String::from_utf8_lossy(braced);
        match (kind, braced.strip_prefix('{').and_then(|name| name.strip_suffix('}'))) {
            (b'g' | b'k', Some(group)) => self.out.push_str(&format!(r"\k<{group}>")),
            _ => {
                self.out.push('\\');
                self.out.push(char::from(kind));
                self.out.push_str(&braced);
            }
        }
    }

    /// `\w` and its kin: in characters without `(*UCP)` only ASCII, in bytes with it also Latin-1.
    fn shorthand(&mut self, kind: u8, in_class: bool) {
        let set = match (kind.to_ascii_lowercase(), self.properties) {
            (b'w', false) => String::from("0-9A-Za-z_"),
            (b'w', true) => format!("_{}{}", latin1("L").unwrap_or_default(), latin1("N").unwrap_or_default()),
            (b'd', _) => String::from("0-9"),
            (_, false) => String::from(r"\t\n\x0B\f\r\x20"),
            (_, true) => String::from(r"\t\n\x0B\f\r\x20\x85\xA0"),
        };
        self.set(&set, kind.is_ascii_uppercase(), in_class);
    }

    /// `\pL`, `\p{Lu}`, `\p{^Lu}`: of the characters that a byte can be, those of Latin-1.
    fn property(&mut self, negated: bool, in_class: bool) {
        let inside = match self.rest.split_first() {
            Some((b'{', rest)) => {
                rest.iter().position(|byte| *byte == b'}').map(|len| (&rest[..len], &rest[len + 1..]))
            }
            Some(_) => Some(self.rest.split_at(1)),
            None => None,
        };
        let name = inside.and_then(|(name, _)| std::str::from_utf8(name).ok()).unwrap_or_default();
        let (name, opposite) = name.strip_prefix('^').map_or((name, false), |name| (name, true));
        match (latin1(name), inside) {
            (Some(set), Some((_, rest))) => {
                self.rest = rest;
                self.set(set, negated != opposite, in_class);
            }
            // The engine says what is wrong.
            _ => self.braced(if negated { b'P' } else { b'p' }),
        }
    }

    fn set(&mut self, members: &str, negated: bool, in_class: bool) {
        match (negated, in_class) {
            (false, true) => self.out.push_str(members),
            (false, false) => self.out.push_str(&format!("[{members}]")),
            (true, _) => self.out.push_str(&format!("[^{members}]")),
        }
    }

    fn quoted(&mut self) {
        while let Some(byte) = self.next() {
            if byte == b'\\' && self.rest.first() == Some(&b'E') {
                self.next();
                return;
            }
            if byte.is_ascii_alphanumeric() || byte >= 0x80 { self.literal(byte) } else { self.hex(u32::from(byte)) }
        }
    }

    /// Whether two octal digits follow: a group that far along would be written otherwise.
    fn is_octal(&self) -> bool {
        matches!(self.rest, [b'0'..=b'7', b'0'..=b'7', ..])
    }

    /// Up to three octal digits, the first of which is `first`.
    fn octal(&mut self, first: u8) {
        let mut code = u32::from(first - b'0');
        for _ in 0..2 {
            match self.rest.first() {
                Some(digit @ b'0'..=b'7') => code = code * 8 + u32::from(digit - b'0'),
                _ => break,
            }
            self.next();
        }
        self.hex(code & 0xFF);
    }

    fn class(&mut self) {
        self.out.push('[');
        if self.rest.first() == Some(&b'^') {
            self.next();
            self.out.push('^');
        }
        // A bracket that comes first is a member.
        if self.rest.first() == Some(&b']') {
            self.next();
            self.out.push_str(r"\]");
        }
        while let Some(byte) = self.next() {
            match byte {
                b']' => {
                    self.out.push(']');
                    return;
                }
                b'\\' => self.escape(true),
                b'[' if self.rest.first() == Some(&b':') => match self.rest.windows(2).position(|pair| pair == b":]") {
                    Some(end) => {
                        self.out.push('[');
                        self.out.push_str(&String::from_utf8_lossy(&self.rest[..end + 2]));
                        self.rest = &self.rest[end + 2..];
                    }
                    None => self.out.push_str(r"\["),
                },
                b'[' | b'&' | b'~' => {
                    self.out.push('\\');
                    self.out.push(char::from(byte));
                }
                // A second hyphen in a row would subtract.
                b'-' if self.rest.first() == Some(&b'-') => self.out.push_str(r"\-"),
                other => self.literal(other),
            }
        }
    }

    /// Whether an open quantifier stands right before, as in `a{2`.
    fn closes_quantifier(&self) -> bool {
        let open = self.out.rfind('{');
        open.is_some_and(|at| {
            !self.out[..at].ends_with('\\')
                && !self.out[at + 1..].contains('}')
                && self.out[at + 1..].bytes().all(|c| c.is_ascii_digit() || c == b',')
        })
    }
}

/// Whether `n}`, `n,}` or `n,m}` follows.
fn is_quantifier(rest: &[u8]) -> bool {
    let Some(end) = rest.iter().position(|c| *c == b'}') else { return false };
    let mut bounds = rest[..end].splitn(2, |c| *c == b',');
    let digits = |part: &[u8]| part.iter().all(u8::is_ascii_digit);
    bounds.next().is_some_and(|low| !low.is_empty() && digits(low)) && bounds.next().is_none_or(digits)
}
