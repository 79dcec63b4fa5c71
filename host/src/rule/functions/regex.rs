//! Regular expressions: PCRE patterns over bytes. How patterns are read and bounded is in `pattern.rs`.

use bytes::Bytes;
use fancy_regex::Captures;

use super::args::{built, bytes, text, within_limit};
use super::pattern::compiled;
use super::{Fault, Function};
use crate::value::Value;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new(
        2..=2,
        "regex_match(text, pattern) -> bool",
        "Whether the pattern matches anywhere in the text. It sees bytes, not characters, unless it begins with (*UTF).",
        &[
            ("regex_match('ABC', '(?i)abc')", "true"),
            ("regex_match('abc', '^b')", "false"),
            ("regex_match('日', '^.$')", "false"),
            ("regex_match('日', '(*UTF)^.$')", "true"),
            ("regex_match('日', '^...$')", "true"),
            ("regex_match('日日', '^(?:日)+$')", "true"),
            ("regex_match('abab', '^(ab)\\1$')", "true"),
            ("regex_match('ab', 'a(?=b)')", "true"),
            ("regex_match('ab', '(?<!a)b')", "false"),
            (r"regex_match(unescape('a\n'), 'a$')", "true"),
            (r"regex_match(unescape('a\n\n'), 'a$')", "false"),
            (r"regex_match(unescape('a\nb'), '(?m)a$')", "true"),
            (r"regex_match('a[b', '[[]b')", "true"),
            (r"regex_match('&', '[a&&b]')", "true"),
            (r"regex_match('a{x}', '^a{x}$')", "true"),
            (r"regex_match('aa', '^a{2}$')", "true"),
            (r"regex_match('a.b', '^a\Q.\Eb$')", "true"),
            (r"regex_match(unescape('a\tb'), 'a\hb')", "true"),
            (r"regex_match('a/b', 'a\/b')", "true"),
            (r"regex_match('<', '\<')", "true"),
            ("regex_match(true, '^true$')", "true"),
            ("regex_match('a', '(')", "!"),
            (r"regex_match('a', '[\w-\.]')", "!"),
            ("regex_match('a', 1)", "!"),
            ("regex_match(1, '1')", "!"),
            ("regex_match(pad('c', 60, 'leading', 'a'), '^(a|aa)+\\1b?$')", "!"),
            ("regex_match('a', '((a{100}){100}){100}')", "!"),
        ],
        |args| {
            let (subject, pattern) = (text(args, 0)?, bytes(args, 1)?);
            let regex = compiled(pattern, subject.ends_with(b"\n"))?;
            regex.is_match(&subject[..]).map(Value::Bool).map_err(search_fault)
        },
    ),
    Function::new(
        3..=3,
        "regex_replace(text, pattern, by) -> text",
        r"Replaces every match. In the replacement, & is the match, \1 or \g{1} a group, and \& a plain &.",
        &[
            ("regex_replace('ab12', '[0-9]+', '<&>')", r#""ab<12>""#),
            (r"regex_replace('a-b', '(\w)-(\w)', '\2-\1')", r#""b-a""#),
            (r"regex_replace('a', 'a', '\g{0}\&\\')", r#""a&\\""#),
            (r"regex_replace('a', '(a)', '\g1\g{1}')", r#""aa""#),
            (r"regex_replace('a', 'a', '\9')", r#""""#),
            ("regex_replace('abc', 'x*', '-')", r#""-a-b-c-""#),
            ("regex_replace('baac', 'a*', 'x')", r#""xbxxcx""#),
            ("regex_replace('abc', 'd', 'x')", r#""abc""#),
            ("regex_replace('', '^$', 'x')", r#""x""#),
            ("regex_replace('a', '(', 'b')", "!"),
            ("regex_replace('a', 'a', 1)", "!"),
        ],
        replace,
    ),
    Function::new(
        2..=2,
        "regex_extract(text, pattern) -> list",
        "The groups of the first match, without the match as a whole; a group that took no part is ''.",
        &[
            ("regex_extract('ac', '(a)(b)?(c)')", r#"["a","","c"]"#),
            ("regex_extract('ab', '(a)(b)?(c)?')", r#"["a","b"]"#),
            ("regex_extract('temp=21.5 hum=40', '(\\d+)\\.(\\d)')", r#"["21","5"]"#),
            ("regex_extract('a', 'a')", "[]"),
            ("regex_extract('a', '(b)')", "[]"),
            ("regex_extract('a', '(?<name>a)')", r#"["a"]"#),
            ("regex_extract('a', '(')", "!"),
        ],
        extract,
    ),
];

fn extract(args: &[Value]) -> Result<Value, Fault> {
    let (subject, pattern) = (text(args, 0)?, bytes(args, 1)?);
    let regex = compiled(pattern, subject.ends_with(b"\n"))?;
    let Some(found) = regex.captures(&subject[..]).map_err(search_fault)? else {
        return Ok(Value::list(Vec::new()));
    };
    let groups = (1..found.len()).map(|n| found.get(n).map(|group| subject.slice(group.start()..group.end())));
    let mut groups: Vec<Option<Bytes>> = groups.collect();
    let set = groups.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
    groups.truncate(set);
    Ok(Value::list(groups.into_iter().map(|group| Value::Str(group.unwrap_or_default())).collect()))
}

fn replace(args: &[Value]) -> Result<Value, Fault> {
    let (subject, pattern) = (text(args, 0)?, bytes(args, 1)?);
    let pieces = replacement(bytes(args, 2)?)?;
    let regex = compiled(pattern, subject.ends_with(b"\n"))?;
    let mut out = Vec::with_capacity(subject.len());
    let (mut copied, mut from) = (0, 0);
    while from <= subject.len() {
        let Some(found) = regex.captures_from_pos(&subject[..], from).map_err(search_fault)? else { break };
        let Some(whole) = found.get(0) else { break };
        let (start, end) = (whole.start(), whole.end());
        // `\K` and look-behind may report a start before what was already replaced.
        out.extend_from_slice(&subject[copied.min(start)..start]);
        fill(&pieces, &found, &subject, &mut out);
        within_limit(out.len())?;
        copied = end;
        from = if end > start { end } else { end + 1 };
    }
    out.extend_from_slice(&subject[copied..]);
    built(out)
}

enum Piece {
    Literal(u8),
    Group(usize),
}

fn fill(pieces: &[Piece], found: &Captures<'_, [u8]>, subject: &[u8], out: &mut Vec<u8>) {
    for piece in pieces {
        match piece {
            Piece::Literal(byte) => out.push(*byte),
            Piece::Group(n) => {
                if let Some(group) = found.get(*n) {
                    out.extend_from_slice(&subject[group.start()..group.end()]);
                }
            }
        }
    }
}

/// Reads a replacement: `&`, `\N`, `\gN`, `\g{N}`; any other escaped byte is itself.
fn replacement(mut rest: &[u8]) -> Result<Vec<Piece>, Fault> {
    let mut pieces = Vec::with_capacity(rest.len());
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        match (byte, tail.first()) {
            (b'&', _) => pieces.push(Piece::Group(0)),
            (b'\\', Some(b'1'..=b'9')) => pieces.push(Piece::Group(digits(&mut rest)?)),
            (b'\\', Some(b'g')) => {
                rest = &tail[1..];
                let braced = rest.first() == Some(&b'{');
                rest = &rest[usize::from(braced)..];
                pieces.push(Piece::Group(digits(&mut rest)?));
                if braced {
                    rest = rest.strip_prefix(b"}").ok_or_else(|| Fault::failed(r"`\g{` is not closed by `}`"))?;
                }
            }
            (b'\\', Some(&escaped)) => {
                rest = &tail[1..];
                pieces.push(Piece::Literal(escaped));
            }
            _ => pieces.push(Piece::Literal(byte)),
        }
    }
    Ok(pieces)
}

fn digits(rest: &mut &[u8]) -> Result<usize, Fault> {
    let len = rest.iter().take_while(|c| c.is_ascii_digit()).count();
    let (number, tail) = rest.split_at(len);
    *rest = tail;
    std::str::from_utf8(number)
        .ok()
        .and_then(|number| number.parse().ok())
        .ok_or_else(|| Fault::failed("a group in the replacement needs a number"))
}

fn search_fault(error: fancy_regex::Error) -> Fault {
    Fault::failed(format!("the search was given up: {error:.200}"))
}
