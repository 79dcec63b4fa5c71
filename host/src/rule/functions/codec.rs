//! Base64, JSON and Erlang terms, both ways.

use super::args::{built, bytes, json, str_value};
use super::term_codec::{decode as decode_term, encode as encode_term};
use super::{Fault, Function};
use crate::value::Value;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new(
        1..=3,
        "base64_encode(text[, option[, option]]) -> text",
        "Base64 (RFC 4648). Options: 'no_padding', 'urlsafe'; others are ignored, as in EMQX.",
        &[
            ("base64_encode('a')", r#""YQ==""#),
            ("base64_encode('')", r#""""#),
            ("base64_encode('hello')", r#""aGVsbG8=""#),
            ("base64_encode('a', 'no_padding')", r#""YQ""#),
            ("base64_encode(hexstr2bin('FBFF'))", r#""+/8=""#),
            ("base64_encode(hexstr2bin('FBFF'), 'urlsafe')", r#""-_8=""#),
            ("base64_encode(hexstr2bin('FBFF'), 'urlsafe', 'no_padding')", r#""-_8""#),
            ("base64_encode('a', 'other')", r#""YQ==""#),
            ("base64_encode(1)", "!"),
        ],
        |args| {
            let data = bytes(args, 0)?;
            built(encode(data, Options::of(args)))
        },
    ),
    Function::new(
        1..=3,
        "base64_decode(text[, option[, option]]) -> text",
        "The bytes of a Base64 text; white space in it is ignored. Padding is required without 'no_padding', and - and \
         _ are digits only with 'urlsafe'.",
        &[
            ("base64_decode('YQ==')", r#""a""#),
            ("base64_decode(' aGVs bG8= ')", r#""hello""#),
            ("base64_decode('')", r#""""#),
            ("base64_decode('YQ', 'no_padding')", r#""a""#),
            ("bin2hexstr(base64_decode('-_8=', 'urlsafe'))", r#""FBFF""#),
            ("bin2hexstr(base64_decode('-_8', 'no_padding', 'urlsafe'))", r#""FBFF""#),
            ("base64_decode('YQ')", "!"),
            ("base64_decode('-_8=')", "!"),
            ("base64_decode('+/8=', 'urlsafe')", "!"),
            ("base64_decode('Y')", "!"),
            ("base64_decode('YQ==YQ==')", "!"),
            ("base64_decode('Y?==')", "!"),
            ("base64_decode(1)", "!"),
        ],
        |args| {
            let text = bytes(args, 0)?;
            decode(text, Options::of(args)).map(str_value).ok_or_else(|| Fault::argument(args, 0, "valid Base64"))
        },
    ),
    Function::new(
        1..=1,
        "json_encode(any) -> text",
        "The value as compact JSON. Undefined becomes the text \"undefined\".",
        &[
            ("json_encode('a')", r#""\"a\"""#),
            ("json_encode(1)", r#""1""#),
            ("json_encode(1000.0)", r#""1.0e3""#),
            ("json_encode(1.0e20)", r#""1.0e20""#),
            ("json_encode(0.30000000000000004)", r#""0.30000000000000004""#),
            ("json_encode(nope)", r#""\"undefined\"""#),
            ("json_encode([35,36])", r#""[35,36]""#),
            ("json_encode([])", r#""[]""#),
            (r#"json_encode(json_decode('{"b":1,"c":null,"a":[true]}'))"#, r#""{\"c\":null,\"b\":1,\"a\":[true]}""#),
            ("json_encode(subbits('a', 1, 5, 'bits'))", "!"),
        ],
        |args| built(json(&args[0])?),
    ),
    Function::new(
        1..=1,
        "json_decode(text) -> any",
        "The value that a JSON text stands for.",
        &[
            ("json_decode('[1,2.0,null]')", "[1,2.0,null]"),
            ("json_decode(' 1e2 ')", "100.0"),
            (r#"json_decode('{"a":1,"a":2}')"#, r#"{"a":2}"#),
            ("json_decode('99999999999999999999')", "99999999999999999999"),
            ("json_decode('')", "!"),
            ("json_decode('{}x')", "!"),
            ("json_decode('oops')", "!"),
            ("json_decode('1e999')", "!"),
            ("json_decode(1)", "!"),
            ("json_decode(nope)", "!"),
        ],
        |args| Value::from_json_shared(bytes(args, 0)?).map_err(|error| Fault::failed(error.to_string())),
    ),
    Function::new(
        1..=1,
        "term_encode(any) -> text",
        "The value in Erlang's external term format, version 131.",
        &[
            ("bin2hexstr(term_encode('a'))", r#""836D0000000161""#),
            ("bin2hexstr(term_encode(1))", r#""836101""#),
            ("bin2hexstr(term_encode(300))", r#""83620000012C""#),
            ("bin2hexstr(term_encode(-1))", r#""8362FFFFFFFF""#),
            ("bin2hexstr(term_encode(1.5))", r#""83463FF8000000000000""#),
            ("bin2hexstr(term_encode([1,'a']))", r#""836C0000000261016D00000001616A""#),
            ("bin2hexstr(term_encode([1,2]))", r#""836B00020102""#),
            ("bin2hexstr(term_encode([]))", r#""836A""#),
            ("bin2hexstr(term_encode(map_new()))", r#""837400000000""#),
            ("bin2hexstr(term_encode(true))", r#""83770474727565""#),
            ("bin2hexstr(term_encode(99999999999))", r#""836E0500FFE7764817""#),
            ("bin2hexstr(term_encode(subbits('abc', 1, 5, 'bits')))", r#""834D000000010560""#),
        ],
        |args| encode_term(&args[0]).and_then(built),
    ),
    Function::new(
        1..=1,
        "term_decode(text) -> any",
        "The value of an Erlang term of numbers, text, symbols, lists and maps, packed or not. Tuples and the like raise.",
        &[
            ("term_decode(term_encode([1, -2.5, 'x', nope]))", r#"[1,-2.5,"x","undefined"]"#),
            (r#"term_decode(term_encode(json_decode('{"a":[null]}')))"#, r#"{"a":[null]}"#),
            ("term_decode(hexstr2bin('8368016101'))", "!"),
            ("term_decode(hexstr2bin('8361'))", "!"),
            ("term_decode(hexstr2bin('836101FF'))", "!"),
            ("term_decode('abc')", "!"),
            ("term_decode(1)", "!"),
        ],
        |args| decode_term(bytes(args, 0)?),
    ),
];

#[derive(Clone, Copy)]
struct Options {
    padding: bool,
    urlsafe: bool,
}

impl Options {
    fn of(args: &[Value]) -> Options {
        let given = |option: &str| args[1..].iter().any(|arg| matches!(arg, Value::Str(text) if text == option));
        Options { padding: !given("no_padding"), urlsafe: given("urlsafe") }
    }

    fn alphabet(self) -> &'static [u8; 64] {
        if self.urlsafe {
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        } else {
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
        }
    }
}

const STANDARD: Options = Options { padding: true, urlsafe: false };

pub(super) fn to_base64(data: &[u8]) -> Vec<u8> {
    encode(data, STANDARD)
}

pub(super) fn from_base64(text: &[u8]) -> Option<Vec<u8>> {
    decode(text, STANDARD)
}

fn encode(data: &[u8], options: Options) -> Vec<u8> {
    let alphabet = options.alphabet();
    let mut out = Vec::with_capacity(data.len().div_ceil(3) * 4);
    for group in data.chunks(3) {
        let bits = group.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        let digits = [18, 12, 6, 0].map(|shift| alphabet[(bits >> shift & 63) as usize]);
        out.extend_from_slice(&digits[..=group.len()]);
        if options.padding {
            out.extend_from_slice(&b"=="[..3 - group.len()]);
        }
    }
    out
}

fn decode(text: &[u8], options: Options) -> Option<Vec<u8>> {
    let mut values = [None; 256];
    for (value, digit) in options.alphabet().iter().enumerate() {
        values[usize::from(*digit)] = Some(value as u32);
    }
    let digits: Vec<u8> = text.iter().copied().filter(|c| !matches!(c, b' ' | b'\t' | b'\r' | b'\n')).collect();
    let len = digits.iter().position(|c| *c == b'=').unwrap_or(digits.len());
    let (digits, padding) = digits.split_at(len);
    let missing = (4 - len % 4) % 4;
    let padded = padding.len() == missing && padding.iter().all(|c| *c == b'=');
    if missing == 3 || !(padded || (padding.is_empty() && !options.padding)) {
        return None;
    }
    let mut out = Vec::with_capacity(len / 4 * 3 + 2);
    for group in digits.chunks(4) {
        let mut bits = 0;
        for digit in group {
            bits = bits << 6 | values[usize::from(*digit)]?;
        }
        bits <<= 6 * (4 - group.len());
        out.extend_from_slice(&bits.to_be_bytes()[1..group.len()]);
    }
    Some(out)
}
