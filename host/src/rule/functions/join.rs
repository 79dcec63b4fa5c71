//! Text put together from values, and escapes resolved.

use super::args::{built, bytes, json, list, str_value, text, text_form, utf8, within_limit};
use super::{Fault, Function};
use crate::value::Value;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new(
        1..=2,
        "concat(any, any) or concat(list) -> text",
        "The text forms of two values, or of all elements of a list, one after the other.",
        &[
            ("concat(1, 2)", r#""12""#),
            ("concat('a', [])", r#""a""#),
            ("concat('a', [104,105])", r#""ahi""#),
            ("concat('a', [1,2])", r#""a[1,2]""#),
            ("concat('a', nope)", r#""aundefined""#),
            ("concat(1.5, true)", r#""1.5true""#),
            ("concat(['a', 1, 'b'])", r#""a1b""#),
            ("concat([])", r#""""#),
            ("concat('a', 'b', 'c')", "!"),
            ("concat('a')", "!"),
            ("concat('a', hexstr2bin('FF'))", "!"),
        ],
        |args| {
            let joined = join(if args.len() == 1 { list(args, 0)? } else { args }, b"")?;
            utf8(&joined)?;
            built(joined)
        },
    ),
    Function::new(
        1..=2,
        "join_to_string([separator, ]list) -> text",
        "The text forms of the elements, with ', ' or another separator between them.",
        &[
            ("join_to_string(['a', 1, [1,2]])", r#""a, 1, [1,2]""#),
            ("join_to_string('-', [1, 2, 3])", r#""1-2-3""#),
            ("join_to_string([])", r#""""#),
            ("join_to_string(1)", "!"),
            ("join_to_string(1, [2])", "!"),
        ],
        |args| match args {
            [_] => built(join(list(args, 0)?, b", ")?),
            _ => built(join(list(args, 1)?, bytes(args, 0)?)?),
        },
    ),
    Function::new(
        1..=1,
        "join_to_sql_values_string(list) -> text",
        "The elements for an SQL statement: numbers bare, undefined as NULL, everything else in single quotes.",
        &[
            ("join_to_sql_values_string([1, true, nope, [1]])", r#""1, 'true', NULL, '[1]'""#),
            ("join_to_sql_values_string([1.5, 'a'])", r#""1.5, 'a'""#),
            (r"join_to_sql_values_string([unescape('a\x27s\\')])", r#""'a\\'s\\\\'""#),
            (r#"join_to_sql_values_string([json_decode('{"a":1}')])"#, r#""'{\"a\":1}'""#),
            ("join_to_sql_values_string('a')", "!"),
        ],
        sql_values,
    ),
    Function::new(
        1..=1,
        "unescape(text) -> text",
        r#"Resolves the escapes \\ \n \t \r \b \f \v \a \' \" \? and \x with all hexadecimal digits that follow; SQL text has none of its own."#,
        &[
            (r"unescape('a\tb\x41')", r#""a\tbA""#),
            (r"unescape('\n\r\b\f\\')", r#""\n\r\b\f\\""#),
            (r"bin2hexstr(unescape('\a\v\?'))", r#""070B3F""#),
            (r"unescape('\x41BC')", r#""䆼""#),
            (r#"unescape('\"')"#, r#""\"""#),
            (r"unescape('\x1F600')", r#""😀""#),
            (r"unescape('\x110000')", "!"),
            (r"unescape('\xD800')", "!"),
            (r"unescape('\x')", "!"),
            (r"unescape('\q')", "!"),
            (r"unescape('a\')", r#""a\\""#),
            ("unescape(1)", "!"),
        ],
        unescape,
    ),
];

fn join(items: &[Value], separator: &[u8]) -> Result<Vec<u8>, Fault> {
    let mut out = Vec::new();
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            out.extend_from_slice(separator);
        }
        out.extend_from_slice(&text_form(item)?);
        within_limit(out.len())?;
    }
    Ok(out)
}

fn sql_values(args: &[Value]) -> Result<Value, Fault> {
    let mut out = Vec::new();
    for (at, item) in list(args, 0)?.iter().enumerate() {
        if at > 0 {
            out.extend_from_slice(b", ");
        }
        match item {
            Value::Undefined => out.extend_from_slice(b"NULL"),
            Value::Int(_) | Value::Big(_) | Value::Float(_) => out.extend_from_slice(&text_form(item)?),
            Value::List(_) => quote(&json(item)?, &mut out),
            _ => quote(&text_form(item)?, &mut out),
        }
        within_limit(out.len())?;
    }
    built(out)
}

fn quote(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'\'');
    for &byte in text {
        if matches!(byte, b'\'' | b'\\') {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out.push(b'\'');
}

fn unescape(args: &[Value]) -> Result<Value, Fault> {
    let text = text(args, 0)?;
    let text = utf8(&text)?;
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        let Some(escape) = rest.next() else {
            out.push('\\');
            break;
        };
        out.push(match escape {
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'a' => '\x07',
            'b' => '\x08',
            'f' => '\x0C',
            'v' => '\x0B',
            '\\' | '\'' | '"' | '?' => escape,
            'x' => {
                let tail = rest.as_str();
                let digits = tail.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(tail.len());
                rest = tail[digits..].chars();
                code_point(&tail[..digits])?
            }
            other => return Err(Fault::failed(format!("`\\{other}` is not an escape"))),
        });
    }
    Ok(str_value(out))
}

/// Leading zeros are any number; what is left has to be a character.
fn code_point(digits: &str) -> Result<char, Fault> {
    let significant = match digits.trim_start_matches('0') {
        "" if !digits.is_empty() => "0",
        rest => rest,
    };
    u32::from_str_radix(significant, 16)
        .ok()
        .and_then(char::from_u32)
        .ok_or_else(|| Fault::failed(format!("`\\x{digits:.16}` is not a character")))
}
