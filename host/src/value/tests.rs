//! Printing, reading, order, and properties of all values.

use proptest::prelude::*;

use super::scan::PathSet;
use super::*;

fn json(text: &str) -> Value {
    Value::from_json(text.as_bytes()).unwrap()
}

fn printed(value: &Value) -> String {
    let mut out = Vec::new();
    value.to_json(&mut out);
    String::from_utf8(out).unwrap()
}

fn text(value: &Value) -> String {
    String::from_utf8(value.text().unwrap().to_vec()).unwrap()
}

#[test]
fn floats_as_text() {
    for (number, expected) in [
        (1.0, "1.0"),
        (100_000.0, "100000.0"),
        (1.0e20, "100000000000000000000.0"),
        (0.1 + 0.2, "0.3"),
        (123_456_789.123_456_79, "123456789.123456791"),
        (1.0e-11, "0.0"),
        (-0.0, "-0.0"),
        // Exactly between two neighbours: away from zero.
        (0.000_488_281_25, "0.0004882813"),
        (-0.000_488_281_25, "-0.0004882813"),
    ] {
        assert_eq!(text(&Value::Float(number)), expected);
    }
}

#[test]
fn floats_as_json() {
    for (number, expected) in [
        (1.0, "1.0"),
        (100.0, "100.0"),
        (1000.0, "1.0e3"),
        (12340.0, "12340.0"),
        (123_400.0, "1.234e5"),
        (1_234_567.0, "1234567.0"),
        (0.0001, "0.0001"),
        (0.00012, "1.2e-4"),
        (0.00001, "1.0e-5"),
        (1.0e20, "1.0e20"),
        (123_456_789_012.0, "123456789012.0"),
        (9_007_199_254_740_992.0, "9.007199254740992e15"),
        (-0.0, "0.0"),
        (-1.5, "-1.5"),
        (0.1 + 0.2, "0.30000000000000004"),
        (5e-324, "5.0e-324"),
    ] {
        assert_eq!(printed(&Value::Float(number)), expected);
    }
}

#[test]
fn lists_of_code_points_are_text() {
    for (list, expected) in [
        ("[]", ""),
        ("[1,2]", "[1,2]"),
        ("[104,105]", "hi"),
        ("[35,36]", "#$"),
        ("[10]", "\n"),
        ("[200,300]", "ÈĬ"),
        ("[20013]", "中"),
        ("[127]", "[127]"),
        ("[128]", "[128]"),
        ("[7]", "[7]"),
        ("[0]", "[0]"),
        ("[55296]", "[55296]"),
        ("[\"x\",1]", "[\"x\",1]"),
        ("[1.5]", "[1.5]"),
        ("[true]", "[true]"),
        ("[[35]]", "[[35]]"),
        ("[-1]", "[-1]"),
    ] {
        assert_eq!(text(&json(list)), expected, "{list}");
    }
}

#[test]
fn json_is_printed_compactly_with_keys_descending() {
    let value = json(" { \"a\" : 3 , \"b\" : [ null , true ] , \"c\" : \"\\u00e9\\n/\\\"\\\\\\u0001\\u007f\" } ");
    assert_eq!(printed(&value), "{\"c\":\"é\\n/\\\"\\\\\\u0001\u{7f}\",\"b\":[null,true],\"a\":3}");
    assert_eq!(printed(&Value::Undefined), "\"undefined\"");
    assert_eq!(printed(&Value::Str(Bytes::from_static(b"a\xE9\x80b\xFF"))), "\"a\u{FFFD}b\u{FFFD}\"");
    let bits = Value::list(vec![Value::Bits { bytes: Bytes::from_static(&[0x80]), len: 1 }]);
    assert_eq!(printed(&bits), "[null]");
    assert_eq!(bits.text(), None);
    assert_eq!(bits.encode_json(&mut Vec::new()), Err(NoText));
}

#[test]
fn numbers_in_json() {
    assert_eq!(json("1e2"), Value::Float(100.0));
    assert_eq!(json("-0"), Value::Int(0));
    assert_eq!(json("-9223372036854775808"), Value::Int(i64::MIN));
    assert_eq!(printed(&json("9223372036854775808")), "9223372036854775808");
    assert_eq!(json("0.5"), Value::Float(0.5));
}

const BROKEN: [&[u8]; 32] = [
    b"",
    b" ",
    b"{",
    b"[1,]",
    b"{\"a\":1,}",
    b"{\"a\" 1}",
    b"{a:1}",
    b"1 2",
    b"01",
    b"-",
    b"1.",
    b".5",
    b"1e",
    b"+1",
    b"1e999",
    b"nul",
    b"tru",
    b"\"",
    b"\"\\x\"",
    b"\"\\u12\"",
    b"\"\\ud800\"",
    b"\"\\ud800\\u0041\"",
    b"\"\\udc00\"",
    b"\"\n\"",
    b"\"\xFF\"",
    b"\"\xED\xA0\x80\"",
    b"[1}",
    b"NaN",
    b"'a'",
    b"\xEF\xBB\xBF1",
    b"[1] x",
    b"{\"a\":1 \"b\":2}",
];

#[test]
fn broken_json_is_refused_by_reading_and_by_skipping() {
    let deep = format!("{}{}", "[".repeat(129), "]".repeat(129));
    let long = "1".repeat(5000);
    let all = BROKEN.iter().copied().chain([deep.as_bytes(), long.as_bytes()]);
    for text in all {
        let shown = String::from_utf8_lossy(text).into_owned();
        assert!(Value::from_json(text).is_err(), "{shown}");
        assert_eq!(skip(text).unwrap_err(), Value::from_json(text).unwrap_err(), "{shown}");
        let inside = [b"{\"other\":", text, b"}"].concat();
        assert_eq!(skip(&inside).is_err(), Value::from_json(&inside).is_err(), "inside an object: {shown}");
    }
    let deep = format!("{}{}", "[".repeat(128), "]".repeat(128));
    assert!(Value::from_json(deep.as_bytes()).is_ok() && skip(deep.as_bytes()).is_ok());
}

/// Reads nothing but a key that is not there.
fn skip(text: &[u8]) -> Result<(), JsonError> {
    let key: &[u8] = b"absent";
    PathSet::new(true, [[key].as_slice()]).extract(&Bytes::copy_from_slice(text), &mut [Value::Undefined])
}

#[test]
fn text_is_shared_with_its_source() {
    let source = Bytes::from_static(b"{\"a\":\"plain\"}");
    let value = Value::from_json_shared(&source).unwrap();
    let Some(Value::Str(inner)) = value.get(b"a") else { panic!("no text") };
    assert_eq!(inner.as_ptr(), source[6..].as_ptr());
}

#[test]
fn text_that_is_a_number() {
    for (text, expected) in [
        ("10", Some(Value::Int(10))),
        ("-007", Some(Value::Int(-7))),
        ("+1.0", Some(Value::Float(1.0))),
        ("1.5e3", Some(Value::Float(1500.0))),
        ("1.5E-3", Some(Value::Float(0.0015))),
        ("", None),
        ("-", None),
        (" 1", None),
        ("1e3", None),
        ("1.", None),
        (".5", None),
        ("1.0e", None),
        ("1.0x", None),
        ("1.0e400", None),
        ("0x10", None),
        ("inf", None),
    ] {
        assert_eq!(number::parse_number(text.as_bytes()), expected, "{text}");
    }
}

#[test]
fn kinds_are_ordered() {
    let ascending = [
        json("-1e300"),
        json("-1"),
        json("0"),
        json("0.5"),
        json("9007199254740992"),
        json("9007199254740993"),
        json("1e300"),
        Value::Bool(false),
        Value::sym("message.publish"),
        Value::Null,
        Value::Bool(true),
        Value::Undefined,
        json("{}"),
        json("{\"b\":1}"),
        json("{\"a\":1,\"b\":1}"),
        json("{\"a\":1,\"b\":2}"),
        json("[]"),
        json("[1]"),
        json("[1,0]"),
        json("[2]"),
        json("\"\""),
        json("\"10\""),
        json("\"9\""),
        json("\"a\""),
        Value::Bits { bytes: Bytes::from_static(b"a\x80"), len: 9 },
        json("\"ab\""),
    ];
    for (i, a) in ascending.iter().enumerate() {
        for (j, b) in ascending.iter().enumerate() {
            // "ab" and the nine bits of "a\x80" differ in the ninth bit.
            let expected = if (i, j) == (24, 25) || (i, j) == (25, 24) { j.cmp(&i) } else { i.cmp(&j) };
            assert_eq!(a.cmp_total(b), expected, "{a:?} {b:?}");
        }
    }
}

#[test]
fn two_equalities() {
    let (int, float) = (json("[1,{\"a\":2}]"), json("[1.0,{\"a\":2.0}]"));
    assert!(int.loose_eq(&float) && !int.strict_eq(&float) && int.strict_eq(&int.clone()));
    assert!(Value::Sym("true".into()).strict_eq(&Value::Bool(true)));
    assert!(!Value::sym("a").strict_eq(&Value::str("a")));
}

#[test]
fn a_value_that_shares_its_parts_is_measured_in_bounded_time() {
    let mut value = Value::Int(1);
    for _ in 0..60 {
        value = Value::list(vec![value.clone(), value]);
    }
    assert!(!value.fits(100_000, 128));
    assert!(!json("[[[1]]]").fits(100, 2) && json("[[[1]]]").fits(100, 3));
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        any::<i128>().prop_map(|number| Value::big(BigInt::from(number))),
        any::<f64>().prop_filter_map("finite", Value::float),
        ".{0,12}".prop_map(|text| Value::str(&text)),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::list),
            proptest::collection::btree_map("[a-c]{0,2}", inner, 0..6)
                .prop_map(|map| Value::map(map.into_iter().map(|(key, item)| (Bytes::from(key), item)).collect())),
        ]
    })
}

/// What decoding everything and walking the keys gives.
fn walked(value: &Value, path: &[&[u8]]) -> Value {
    let Some((key, rest)) = path.split_first() else { return value.clone() };
    let decoded;
    let here = match value {
        Value::Str(text) => {
            decoded = Value::from_json(text).unwrap_or_default();
            &decoded
        }
        other => other,
    };
    here.get(key).map_or(Value::Undefined, |next| walked(next, rest))
}

proptest! {
    #[test]
    fn json_round_trip(value in any_value()) {
        let text = printed(&value);
        let back = json(&text);
        prop_assert!(back.loose_eq(&value), "{text}");
        prop_assert_eq!(printed(&back), text);
    }

    /// The short way of printing and the exact one, with at most ten decimals.
    #[test]
    fn floats_print_as_they_round(scaled in -10_000_000_000_000_000i64..10_000_000_000_000_000, digits in 0..14i32) {
        let number = scaled as f64 / 10f64.powi(digits);
        let exact = format!("{number:.10}");
        let exact = exact.trim_end_matches('0');
        let expected = if exact.ends_with('.') { format!("{exact}0") } else { exact.to_owned() };
        // Between two neighbours the text goes away from zero, and the formatter to the even one.
        prop_assume!((number * 2048.0).fract() != 0.0 || (number * 1024.0).fract() == 0.0);
        prop_assert_eq!(Value::Float(number).text().unwrap(), expected);
    }

    #[test]
    fn order_is_total(a in any_value(), b in any_value(), c in any_value()) {
        prop_assert_eq!(a.cmp_total(&b), b.cmp_total(&a).reverse());
        if a.cmp_total(&b).is_le() && b.cmp_total(&c).is_le() {
            prop_assert!(a.cmp_total(&c).is_le());
        }
    }

    #[test]
    fn any_bytes_decode_or_give_an_error(text in proptest::collection::vec(any::<u8>(), 0..64)) {
        let read = Value::from_json(&text).map(|_| ());
        prop_assert_eq!(skip(&text), read);
    }

    #[test]
    fn nearly_json_decodes_or_gives_an_error(text in "[\\[\\]{}:,\"\\\\a-b0-1.eE+\\-u ]{0,40}") {
        let read = Value::from_json(text.as_bytes()).map(|_| ());
        prop_assert_eq!(skip(text.as_bytes()), read);
    }

    #[test]
    fn extraction_is_decoding_and_walking(value in any_value(), nested in any::<bool>(), paths in proptest::collection::vec(proptest::collection::vec("[a-c]{0,2}", 0..4), 1..5)) {
        // A document whose parts are JSON inside JSON.
        let text = if nested { printed(&Value::str(&printed(&value))) } else { printed(&value) };
        let paths: Vec<Vec<&[u8]>> = paths.iter().map(|path| path.iter().map(|key| key.as_bytes()).collect()).collect();
        let set = PathSet::new(true, paths.iter().map(Vec::as_slice));
        let mut slots = vec![Value::Undefined; set.slots()];
        set.extract(&Bytes::from(text.clone()), &mut slots).unwrap();
        let document = json(&text);
        for path in &paths {
            let found = set.locate(path).unwrap();
            prop_assert_eq!(walked(&slots[found.slot], &path[found.keys..]), walked(&document, path), "{} {:?}", text, path);
        }
    }
}
