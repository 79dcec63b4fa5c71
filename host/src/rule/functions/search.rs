//! Finding, cutting and replacing within text. Searches compare bytes, positions count characters.

use bytes::Bytes;
use memchr::memmem;
use unicode_segmentation::UnicodeSegmentation;

use super::args::{built, bytes, count, text, word};
use super::{Fault, Function, MAX_BUILT};
use crate::value::Value;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new(
        2..=3,
        "substr(text, start[, length]) -> text",
        "The characters from a position on, counted from zero.",
        &[
            ("substr('abcdef', 2)", r#""cdef""#),
            ("substr('abcdef', 4, 10)", r#""ef""#),
            ("substr('abcdef', 1, 0)", r#""""#),
            ("substr('日本語x', 1, 2)", r#""本語""#),
            ("substr('abc', 5)", r#""""#),
            ("substr(hexstr2bin('61FF'), 0, 1)", r#""a""#),
            ("substr(hexstr2bin('61FF'), 0)", "!"),
            ("substr('abc', -1)", "!"),
            ("substr('abc', 0, -1)", "!"),
            ("substr('abc', 1.0)", "!"),
            ("substr(5, 0)", "!"),
        ],
        substr,
    ),
    Function::new(
        2..=3,
        "split(text, separator[, mode]) -> list",
        "The parts between separators; the separator is one text as a whole. Parts that are empty are dropped. Modes: \
         'notrim' keeps them, 'leading' and 'trailing' cut once, at the first or the last separator, and \
         'leading_notrim' and 'trailing_notrim' do both.",
        &[
            ("split('a/b//c/', '/')", r#"["a","b","c"]"#),
            ("split('', '/')", "[]"),
            ("split('abc', '')", r#"["abc"]"#),
            ("split('a, b', ', ')", r#"["a","b"]"#),
            ("split('a//b', '/', 'notrim')", r#"["a","","b"]"#),
            ("split('', '/', 'notrim')", r#"[""]"#),
            ("split('a/b/c', '/', 'leading')", r#"["a","b/c"]"#),
            ("split('a/b/c', '/', 'trailing')", r#"["a/b","c"]"#),
            ("split('/a', '/', 'leading')", r#"["a"]"#),
            ("split('/a', '/', 'leading_notrim')", r#"["","a"]"#),
            ("split('a/', '/', 'trailing_notrim')", r#"["a",""]"#),
            ("split('a', '/', 'other')", "!"),
            ("split(1, '/')", "!"),
            ("split('a', 1)", "!"),
        ],
        split,
    ),
    Function::new(
        2..=3,
        "tokens(text, separators[, 'nocrlf']) -> list",
        "The parts between separators, where any single byte separates; empty parts are dropped. With 'nocrlf', line \
         ends separate too.",
        &[
            ("tokens(' a b,,c ', ' ,')", r#"["a","b","c"]"#),
            ("tokens('abc', '')", r#"["abc"]"#),
            (r"tokens(unescape('a\r\nb c'), ' ', 'nocrlf')", r#"["a","b","c"]"#),
            (r"length(tokens(unescape('a\r\nb c'), ' '))", "2"),
            ("bin2hexstr(last(tokens('a本b', '日')))", r#""9CAC62""#),
            ("tokens('a', ' ', 'crlf')", "!"),
            ("tokens(1, ' ')", "!"),
        ],
        tokens,
    ),
    Function::new(
        3..=4,
        "replace(text, find, by[, where]) -> text",
        "Replaces a text by another: 'all' occurrences, the first ('leading') or the last ('trailing').",
        &[
            ("replace('aaa', 'aa', 'b')", r#""ba""#),
            ("replace('a-b-c', '-', '+', 'leading')", r#""a+b-c""#),
            ("replace('a-b-c', '-', '+', 'trailing')", r#""a-b+c""#),
            ("replace('a-b-c', '-', '', 'all')", r#""abc""#),
            ("replace('abc', '', 'x')", r#""abc""#),
            ("replace('abc', 'b', 1)", "!"),
            ("replace(1, '1', '2')", "!"),
            ("replace('a', 'a', 'b', 'some')", "!"),
        ],
        replace,
    ),
    Function::new(
        2..=3,
        "find(text, wanted[, where]) -> text",
        "The rest of a text from the first ('leading') or last ('trailing') occurrence on; '' if there is none.",
        &[
            ("find('acbcd', 'c')", r#""cbcd""#),
            ("find('acbcd', 'c', 'leading')", r#""cbcd""#),
            ("find('acbcd', 'c', 'trailing')", r#""cd""#),
            ("find('abc', 'x')", r#""""#),
            ("find('abc', '')", r#""abc""#),
            ("find('abc', 'a', 'all')", "!"),
            ("find('abc', 1)", "!"),
        ],
        find,
    ),
    Function::new(
        2..=2,
        "rm_prefix(text, prefix) -> text",
        "Without this prefix, if it is there.",
        &[
            ("rm_prefix('foo/bar', 'foo/')", r#""bar""#),
            ("rm_prefix('foo/bar', 'bar')", r#""foo/bar""#),
            ("rm_prefix('a', 'a')", r#""""#),
            ("rm_prefix(1, 'a')", "!"),
        ],
        |args| {
            let (text, prefix) = (text(args, 0)?, bytes(args, 1)?);
            Ok(Value::Str(if text.starts_with(prefix) { text.slice(prefix.len()..) } else { text }))
        },
    ),
];

fn substr(args: &[Value]) -> Result<Value, Fault> {
    let text = text(args, 0)?;
    let start = count(args, 1, 0)?;
    let len = if args.len() > 2 { count(args, 2, 0)? } else { usize::MAX };
    let (valid, broken) = match std::str::from_utf8(&text) {
        Ok(whole) => (whole, false),
        Err(error) => (std::str::from_utf8(&text[..error.valid_up_to()]).unwrap_or_default(), true),
    };
    // One further item stands for the end, so that a range that ends there finds it.
    let mut ends = valid.grapheme_indices(true).map(|(at, _)| at).chain([valid.len()]);
    let from = ends.nth(start);
    let to = if len == 0 { from } else { ends.nth(len - 1) };
    if broken && to.is_none() {
        return Err(Fault::argument(args, 0, "text that is valid UTF-8 up to the last wanted character"));
    }
    let (from, to) = (from.unwrap_or(valid.len()), to.unwrap_or(valid.len()));
    Ok(Value::Str(text.slice(from..to)))
}

fn split(args: &[Value]) -> Result<Value, Fault> {
    let (text, separator) = (text(args, 0)?, bytes(args, 1)?);
    let mode = if args.len() > 2 { Some(word(args, 2)?) } else { None };
    let cut = |at: Option<usize>| match at {
        Some(at) => vec![text.slice(..at), text.slice(at + separator.len()..)],
        None => vec![text.clone()],
    };
    let occurs = !separator.is_empty();
    let parts = match mode {
        _ if !occurs => vec![text.clone()],
        None | Some(b"notrim") => split_everywhere(&text, separator),
        Some(b"leading" | b"leading_notrim") => cut(memmem::find(&text, separator)),
        Some(b"trailing" | b"trailing_notrim") => cut(memmem::rfind(&text, separator)),
        _ => Vec::new(),
    };
    let keep = match mode {
        None | Some(b"leading" | b"trailing") => false,
        Some(b"notrim" | b"leading_notrim" | b"trailing_notrim") => true,
        _ => {
            return Err(Fault::argument(
                args,
                2,
                "'notrim', 'leading', 'trailing', 'leading_notrim' or 'trailing_notrim'",
            ));
        }
    };
    Ok(Value::list(parts.into_iter().filter(|part| keep || !part.is_empty()).map(Value::Str).collect()))
}

fn split_everywhere(text: &Bytes, separator: &[u8]) -> Vec<Bytes> {
    let mut from = 0;
    let mut parts = Vec::new();
    for at in memmem::find_iter(text, separator) {
        parts.push(text.slice(from..at));
        from = at + separator.len();
    }
    parts.push(text.slice(from..));
    parts
}

fn tokens(args: &[Value]) -> Result<Value, Fault> {
    let (text, separators) = (text(args, 0)?, bytes(args, 1)?);
    let line_ends = match args.get(2) {
        None => false,
        Some(_) if word(args, 2)? == b"nocrlf" => true,
        Some(_) => return Err(Fault::argument(args, 2, "'nocrlf'")),
    };
    let mut separates = [false; 256];
    for byte in separators {
        separates[usize::from(*byte)] = true;
    }
    for byte in b"\r\n" {
        separates[usize::from(*byte)] |= line_ends;
    }
    let parts = text.split(|byte| separates[usize::from(*byte)]).filter(|part| !part.is_empty());
    Ok(Value::list(parts.map(|part| Value::Str(text.slice_ref(part))).collect()))
}

fn replace(args: &[Value]) -> Result<Value, Fault> {
    let (text, wanted, by) = (text(args, 0)?, bytes(args, 1)?, bytes(args, 2)?);
    let place = if args.len() > 3 { word(args, 3)? } else { b"all" };
    let at: Vec<usize> = match place {
        b"all" | b"leading" | b"trailing" if wanted.is_empty() => Vec::new(),
        b"all" => memmem::find_iter(&text, wanted).collect(),
        b"leading" => memmem::find(&text, wanted).into_iter().collect(),
        b"trailing" => memmem::rfind(&text, wanted).into_iter().collect(),
        _ => return Err(Fault::argument(args, 3, "'all', 'leading' or 'trailing'")),
    };
    let mut out = Vec::with_capacity(text.len());
    let mut from = 0;
    for at in at {
        out.extend_from_slice(&text[from..at]);
        out.extend_from_slice(by);
        from = at + wanted.len();
        if out.len() > MAX_BUILT {
            break;
        }
    }
    out.extend_from_slice(&text[from..]);
    built(out)
}

fn find(args: &[Value]) -> Result<Value, Fault> {
    let (text, wanted) = (text(args, 0)?, bytes(args, 1)?);
    let place = if args.len() > 2 { word(args, 2)? } else { b"leading" };
    let at = match place {
        b"leading" | b"trailing" if wanted.is_empty() => Some(0),
        b"leading" => memmem::find(&text, wanted),
        b"trailing" => memmem::rfind(&text, wanted),
        _ => return Err(Fault::argument(args, 2, "'leading' or 'trailing'")),
    };
    Ok(Value::Str(at.map_or_else(Bytes::new, |at| text.slice(at..))))
}
