//! Text as a whole: case, trimming, length, padding. Counts characters as people do, by grapheme cluster.
//!
//! What has to walk over bytes that are not UTF-8 raises; it never replaces them.

use unicode_segmentation::UnicodeSegmentation;

use super::args::{built, bytes, int, str_value, text, utf8, within_limit, word};
use super::{Fault, Function};
use crate::value::Value;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new(
        1..=1,
        "lower(text) -> text",
        "Lower case, by the Unicode mapping of each character, without language rules.",
        &[
            ("lower('ABC é')", r#""abc é""#),
            ("lower('ΑΣ')", r#""ασ""#),
            ("lower(true)", r#""true""#),
            ("lower(1)", "!"),
            ("lower(nope)", "!"),
            ("lower(json_decode('null'))", "!"),
            ("lower([])", "!"),
            ("lower(hexstr2bin('FF'))", "!"),
            ("lower('A', 'B')", "!"),
        ],
        |args| Ok(str_value(utf8(&text(args, 0)?)?.chars().flat_map(char::to_lowercase).collect::<String>())),
    ),
    Function::new(
        1..=1,
        "upper(text) -> text",
        "Upper case, by the Unicode mapping of each character, without language rules.",
        &[("upper('Straße')", r#""STRASSE""#), ("upper(true)", r#""TRUE""#), ("upper(1.5)", "!")],
        |args| Ok(str_value(utf8(&text(args, 0)?)?.to_uppercase())),
    ),
    Function::new(
        1..=1,
        "trim(text) -> text",
        "Without white space at both ends. The ideographic space U+3000 stays, as in EMQX.",
        &[
            ("trim('  x ')", r#""x""#),
            (r"trim(unescape('\t\r\n\v\fx y\x85'))", r#""x y""#),
            ("trim('\u{3000}x')", "\"\u{3000}x\""),
            ("trim('')", r#""""#),
            ("trim('x', 'x')", "!"),
        ],
        |args| {
            let text = text(args, 0)?;
            Ok(str_value(trim_end(trim_start(utf8(&text)?), is_space).to_owned()))
        },
    ),
    Function::new(
        1..=1,
        "ltrim(text) -> text",
        "Without white space at the beginning.",
        &[("ltrim('  x ')", r#""x ""#), ("ltrim('x', 'x')", "!")],
        |args| Ok(str_value(trim_start(utf8(&text(args, 0)?)?).to_owned())),
    ),
    Function::new(
        1..=2,
        "rtrim(text[, characters]) -> text",
        "Without white space, or without these characters, at the end.",
        &[
            ("rtrim('  x ')", r#""  x""#),
            ("rtrim('abcbc', 'bc')", r#""a""#),
            ("rtrim('abc', '')", r#""abc""#),
            ("rtrim('日本語', '語')", r#""日本""#),
            ("rtrim('abc', 1)", "!"),
        ],
        rtrim,
    ),
    Function::new(
        1..=1,
        "reverse(text) -> text",
        "Backwards. As in EMQX only for characters up to U+00FF, of which those above U+007F become single bytes.",
        &[
            ("reverse('abc')", r#""cba""#),
            ("reverse('')", r#""""#),
            ("bin2hexstr(reverse('é'))", r#""E9""#),
            ("reverse('日本')", "!"),
        ],
        reverse,
    ),
    Function::new(
        1..=1,
        "strlen(text) -> integer",
        "The number of characters; CR LF counts as one. For bytes, see bytesize.",
        &[
            ("strlen('日本語')", "3"),
            (r"strlen(unescape('\r\n'))", "1"),
            (r"strlen(unescape('e\x301'))", "1"),
            ("strlen('👨‍👩‍👧')", "1"),
            ("strlen('')", "0"),
            ("strlen(true)", "4"),
            ("strlen(nope)", "!"),
            ("strlen(5)", "!"),
            ("strlen(hexstr2bin('61FF'))", "!"),
        ],
        |args| Ok(Value::Int(utf8(&text(args, 0)?)?.graphemes(true).count() as i64)),
    ),
    Function::new(
        2..=4,
        "pad(text, length[, where[, filler]]) -> text",
        "Filled up to a length in characters: 'trailing', 'leading' or 'both' (an odd one goes to the end). The filler \
         may be any text and counts as one character.",
        &[
            ("pad('abc', 5)", r#""abc  ""#),
            ("pad('abc', 5, 'leading')", r#""  abc""#),
            ("pad('abc', 6, 'both')", r#"" abc  ""#),
            ("pad('abc', 5, 'leading', '0')", r#""00abc""#),
            ("pad('abc', 6, 'both', 'ex')", r#""exabcexex""#),
            ("pad('abc', 2)", r#""abc""#),
            ("pad('abc', -1)", r#""abc""#),
            ("pad('日', 2, 'trailing', '本')", r#""日本""#),
            ("pad('abc', 5, 'middle')", "!"),
            ("pad(5, 5)", "!"),
            ("pad('a', 1.5)", "!"),
            ("pad('a', 5, 'leading', 0)", "!"),
            ("pad('a', 99999999999999999999)", "!"),
        ],
        pad,
    ),
    Function::new(
        1..=1,
        "ascii(text) -> integer",
        "The first byte.",
        &[("ascii('a')", "97"), ("ascii('é')", "195"), ("ascii('')", "!"), ("ascii(1)", "!")],
        |args| match text(args, 0)?.first() {
            Some(byte) => Ok(Value::Int(i64::from(*byte))),
            None => Err(Fault::argument(args, 0, "text that is not empty")),
        },
    ),
];

/// What EMQX trims: Unicode's pattern white space.
fn is_space(cluster: &str) -> bool {
    cluster
        .chars()
        .all(|c| matches!(c, '\t'..='\r' | ' ' | '\u{85}' | '\u{200E}' | '\u{200F}' | '\u{2028}' | '\u{2029}'))
}

fn trim_start(text: &str) -> &str {
    let spaces: usize = text.graphemes(true).take_while(|cluster| is_space(cluster)).map(str::len).sum();
    &text[spaces..]
}

fn trim_end(text: &str, unwanted: impl Fn(&str) -> bool) -> &str {
    let len: usize = text.graphemes(true).rev().take_while(|cluster| unwanted(cluster)).map(str::len).sum();
    &text[..text.len() - len]
}

fn rtrim(args: &[Value]) -> Result<Value, Fault> {
    let text = text(args, 0)?;
    let text = utf8(&text)?;
    let rest = if args.len() == 1 {
        trim_end(text, is_space)
    } else {
        let characters: Vec<&str> = utf8(bytes(args, 1)?)?.graphemes(true).collect();
        trim_end(text, |cluster| characters.contains(&cluster))
    };
    Ok(str_value(rest.to_owned()))
}

fn reverse(args: &[Value]) -> Result<Value, Fault> {
    let text = text(args, 0)?;
    let backwards = utf8(&text)?.graphemes(true).rev().flat_map(str::chars);
    let bytes: Option<Vec<u8>> = backwards.map(|c| u8::try_from(c).ok()).collect();
    bytes.map(str_value).ok_or_else(|| Fault::argument(args, 0, "text of characters up to U+00FF"))
}

fn pad(args: &[Value]) -> Result<Value, Fault> {
    let text = text(args, 0)?;
    let wanted = usize::try_from(int(args, 1)?).unwrap_or(0);
    let place = if args.len() > 2 { word(args, 2)? } else { b"trailing" };
    let filler: &[u8] = if args.len() > 3 { bytes(args, 3)? } else { b" " };
    let missing = wanted.saturating_sub(utf8(&text)?.graphemes(true).count());
    let before = match place {
        b"trailing" => 0,
        b"leading" => missing,
        b"both" => missing / 2,
        _ => return Err(Fault::argument(args, 2, "'trailing', 'leading' or 'both'")),
    };
    within_limit(missing.saturating_mul(filler.len().max(1)))?;
    built([&filler.repeat(before)[..], &text, &filler.repeat(missing - before)].concat())
}
