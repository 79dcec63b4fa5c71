//! Protobuf: a `.proto` source compiled in memory, and its messages both ways, in the form that EMQX gives them: field
//! names as written, enums by name, bytes and strings as text; absent fields are left out unless they have no absence.

mod read;
mod write;

use std::path::Path;

use prost_reflect::{DescriptorPool, MessageDescriptor};
use protox::file::{ChainFileResolver, File, FileResolver, GoogleFileResolver, IncludeFileResolver};

/// What the source is called in complaints and imports.
const ROOT: &str = "schema.proto";

/// A compiled source.
pub(super) struct Protobuf {
    pool: DescriptorPool,
}

/// The source itself, under its name.
struct Source(String);

impl FileResolver for Source {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        if name == ROOT { File::from_source(name, &self.0) } else { Err(protox::Error::file_not_found(name)) }
    }
}

impl Protobuf {
    /// Imports are looked for in `folder`, and among the well-known types.
    pub(super) fn compile(source: &str, folder: Option<&Path>) -> Result<Protobuf, String> {
        let mut resolver = ChainFileResolver::new();
        resolver.add(Source(source.to_owned()));
        if let Some(folder) = folder {
            resolver.add(IncludeFileResolver::new(folder.to_path_buf()));
        }
        resolver.add(GoogleFileResolver::new());
        let mut compiler = protox::Compiler::with_file_resolver(resolver);
        compiler.include_imports(true);
        // The debug form is the one with file, line and column.
        compiler.open_file(ROOT).map_err(|error| format!("{error:?}"))?;
        Ok(Protobuf { pool: compiler.descriptor_pool() })
    }

    /// By its full name, or without the package; inner messages as `Outer.Inner`.
    pub(super) fn message(&self, name: &str) -> Result<MessageDescriptor, String> {
        let short = |message: &MessageDescriptor| {
            let package = message.package_name();
            message.full_name().strip_prefix(package).is_some_and(|rest| rest.trim_start_matches('.') == name)
        };
        let found = self.pool.get_message_by_name(name).or_else(|| self.pool.all_messages().find(short));
        found.ok_or_else(|| format!("the schema has no message `{name:.100}`"))
    }

    /// By the places of messages within the source, and within each other.
    pub(super) fn message_at(&self, way: &[usize]) -> Result<MessageDescriptor, String> {
        let missing = || format!("the schema has no message at the place {way:?}");
        let (first, inner) = way.split_first().ok_or_else(missing)?;
        let file = self.pool.get_file_by_name(ROOT).ok_or_else(missing)?;
        let mut message = file.messages().nth(*first).ok_or_else(missing)?;
        for place in inner {
            let within = written(&message).nth(*place);
            message = within.ok_or_else(missing)?;
        }
        Ok(message)
    }

    /// The way that [`Protobuf::message_at`] takes; only to messages that the source itself has.
    pub(super) fn way_to(&self, message: &MessageDescriptor) -> Result<Vec<usize>, String> {
        let foreign = || format!("the message `{}` is not of this source", message.full_name());
        let mut way = Vec::new();
        let mut inner = message.clone();
        while let Some(outer) = inner.parent_message() {
            way.push(written(&outer).position(|message| message == inner).ok_or_else(foreign)?);
            inner = outer;
        }
        let file = self.pool.get_file_by_name(ROOT).ok_or_else(foreign)?;
        way.push(file.messages().position(|message| message == inner).ok_or_else(foreign)?);
        way.reverse();
        Ok(way)
    }
}

/// The messages within a message that the source has; the entries of its maps are the compiler's.
fn written(outer: &MessageDescriptor) -> impl Iterator<Item = MessageDescriptor> {
    outer.child_messages().filter(|message| !message.is_map_entry())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::Index;

    use super::*;
    use crate::value::Value;

    const SOURCE: &str = r#"
syntax = "proto3";
package plant;
import "google/protobuf/timestamp.proto";
message Reading {
  string id = 1;
  optional double t = 2;
  repeated sint32 raw = 3;
  map<int64, Unit> units = 4;
  oneof kind { bool on = 5; bytes blob = 6; }
  Unit unit = 7;
  Inner inner = 8;
  uint64 big = 9;
  google.protobuf.Timestamp at = 10;
  message Inner { Inner more = 1; float f = 2; }
}
enum Unit { NONE = 0; KELVIN = 1; }
"#;

    fn json(text: &str) -> Value {
        Value::from_json(text.as_bytes()).expect("JSON")
    }

    fn protobuf() -> Protobuf {
        Protobuf::compile(SOURCE, None).unwrap_or_else(|error| panic!("{error}"))
    }

    fn encode(value: &Value, message: &str) -> Result<Vec<u8>, String> {
        let protobuf = protobuf();
        protobuf.encode(value, &protobuf.message(message)?)
    }

    fn decode(data: impl Into<Bytes>, message: &str) -> Result<Value, String> {
        let protobuf = protobuf();
        protobuf.decode(&data.into(), &protobuf.message(message)?)
    }

    #[test]
    fn messages_and_bytes() {
        let value = json(
            r#"{"id":"p","t":1.5,"raw":[-1,2],"units":{"7":"KELVIN"},"blob":"xy","unit":"KELVIN",
                "inner":{"f":0.5,"more":{"f":0.0}},"big":18446744073709551615,"at":{"seconds":1,"nanos":0}}"#,
        );
        let encoded = encode(&value, "Reading").unwrap_or_else(|error| panic!("{error}"));
        let decoded = decode(encoded.clone(), "plant.Reading");
        assert!(decoded.as_ref().is_ok_and(|decoded| decoded.strict_eq(&value)), "{decoded:?}");
        // Field 1, length 1; field 2, eight bytes; as the specification of the encoding has it.
        assert_eq!(&encoded[..12], b"\x0A\x01p\x11\0\0\0\0\0\0\xF8\x3F");
        let empty = json(r#"{"id":"","raw":[],"units":{},"unit":"NONE","big":0}"#);
        assert!(decode(Bytes::new(), "Reading").expect("nothing is a message").strict_eq(&empty));
        assert_eq!(encode(&json(r#"{"f":1}"#), "Reading.Inner").expect("a float"), b"\x15\0\0\x80\x3F");
    }

    /// Random messages with the bytes that another implementation (Google's for Python, 7.36) made of them.
    #[test]
    fn bytes_as_others_write_them() {
        let (protobuf, message, _) = vectors();
        for line in include_str!("protobuf/vectors.jsonl").lines() {
            let case: serde_json::Value = serde_json::from_str(line).expect("JSON");
            let value = json(&case["value"].to_string());
            let encoded = protobuf.encode(&value, &message).unwrap_or_else(|error| panic!("{line}: {error}"));
            let hex: String = encoded.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(case["hex"], hex, "{line}");
            let decoded = protobuf.decode(&Bytes::from(encoded), &message);
            assert!(decoded.as_ref().is_ok_and(|decoded| decoded.strict_eq(&value)), "{line}: {decoded:?}");
        }
    }

    fn vectors() -> (Protobuf, MessageDescriptor, Vec<Vec<u8>>) {
        let protobuf = Protobuf::compile(include_str!("protobuf/vectors.proto"), None);
        let protobuf = protobuf.unwrap_or_else(|error| panic!("{error}"));
        let message = protobuf.message("v.All").expect("the message");
        let bytes = |line: &str| {
            let case: serde_json::Value = serde_json::from_str(line).expect("JSON");
            let hex = case["hex"].as_str().expect("text").as_bytes().chunks(2);
            hex.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).expect("text"), 16).expect("hex")).collect()
        };
        (protobuf, message, include_str!("protobuf/vectors.jsonl").lines().map(bytes).collect())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        /// What is read from damaged data can be written, and is then read as the same.
        #[test]
        fn damaged_data_is_read_or_refused(
            which in any::<Index>(), damage in vec((any::<Index>(), any::<u8>()), 0..6), end in any::<Index>(),
        ) {
            thread_local!(static VECTORS: (Protobuf, MessageDescriptor, Vec<Vec<u8>>) = vectors());
            VECTORS.with(|(protobuf, message, vectors)| {
                let mut data = [&which.get(vectors)[..], b"\x08"].concat();
                for (at, byte) in &damage {
                    *at.get_mut(&mut data) = *byte;
                }
                data.truncate(end.index(data.len() + 1));
                if let Ok(value) = protobuf.decode(&Bytes::from(data), message) {
                    let again = protobuf.encode(&value, message).map(Bytes::from);
                    let again = again.and_then(|data| protobuf.decode(&data, message));
                    prop_assert!(again.as_ref().is_ok_and(|again| again.strict_eq(&value)), "{value:?} {again:?}");
                }
                Ok(())
            })?;
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for (value, part) in [
            (r#"{"id":1}"#, "plant.Reading.id"),
            (r#"{"nope":1}"#, "no field `nope`"),
            (r#"{"raw":[2147483648]}"#, "32 bits"),
            (r#"{"raw":1}"#, "a list"),
            (r#"{"unit":"GRAM"}"#, "plant.Unit"),
            (r#"{"units":{"x":"NONE"}}"#, "keys"),
            (r#"{"big":-1}"#, "without a sign"),
            (r#"{"on":true,"blob":"x"}"#, "exclude each other"),
            ("[]", "a map"),
        ] {
            let error = encode(&json(value), "Reading").expect_err(value);
            assert!(error.contains(part), "{value}: {error}");
        }
        assert!(encode(&json("{}"), "Other").is_err_and(|error| error.contains("no message `Other`")));
    }

    /// Each level wraps the one before; the lengths need more bytes the deeper it gets.
    fn nested(levels: usize) -> Vec<u8> {
        let mut deep = Vec::new();
        for _ in 0..levels {
            let mut len = deep.len();
            let mut head = vec![0x0A];
            while len >= 0x80 {
                head.push(len as u8 | 0x80);
                len >>= 7;
            }
            head.push(len as u8);
            deep.splice(0..0, head);
        }
        deep
    }

    #[test]
    fn data_that_lies_or_nests_without_end_is_refused() {
        for data in [
            // A length beyond the end, of one field and of a number; a text that is none.
            &b"\x0A\xFF"[..],
            b"\x0A\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01",
            b"\xFF\xFF\xFF",
            b"\x0A\x05abc",
            b"\x0A\x01\xFF",
            b"\x11abc",
            b"\x48",
            // No field of this number; no form of this number; the end of a group that did not begin, and a group without one.
            b"\x00\x00",
            b"\x0E",
            b"\xA4\x01",
            b"\xA3\x01\x08\x01",
            // Another type's form: text as a number, a number as text, a message as a group.
            b"\x08\x01",
            b"\x12\x01a",
            b"\x43\x44",
        ] {
            assert!(decode(data, "Reading").is_err(), "{data:?}");
        }
        assert!(decode(nested(90), "Reading.Inner").is_ok());
        assert!(decode(nested(10_000), "Reading.Inner").is_err_and(|error| error.contains("levels")));
        // Groups of a number that the schema does not know.
        let groups = |levels| [[0xA3, 0x01].repeat(levels), [0xA4, 0x01].repeat(levels)].concat();
        assert!(decode(groups(90), "Reading").is_ok());
        assert!(decode(groups(100_000), "Reading").is_err_and(|error| error.contains("levels")));
        // Two bytes for a number, and for a map with an entry for every field that cannot be absent.
        let numbers = [&b"\x1A\x80\x80\x80\x01"[..], &vec![0; 2 << 20]].concat();
        assert!(decode(numbers, "Reading").is_err_and(|error| error.contains("values")));
        let entries = b"\x22\x02\x08\x01".repeat(200_000);
        assert!(decode(entries, "Reading").is_err_and(|error| error.contains("values")));
    }

    #[test]
    fn fields_in_pieces_and_fields_that_nobody_knows() {
        for (data, json) in [
            // The last one counts, of a field and of those that exclude each other.
            (&b"\x0A\x01a\x0A\x01b"[..], r#"{"id":"b"}"#),
            (b"\x28\x01\x32\x01x", r#"{"blob":"x"}"#),
            (b"\x32\x01x\x28\x00", r#"{"on":false}"#),
            // Two pieces of one message, around another field.
            (b"\x42\x05\x15\0\0\x80\x3F\x0A\x01a\x42\x02\x0A\x00", r#"{"id":"a","inner":{"f":1.0,"more":{"f":0.0}}}"#),
            // Numbers all in one piece and each in its own.
            (b"\x1A\x02\x01\x04\x18\x05", r#"{"raw":[-1,2,-3]}"#),
            // An entry without a value, and one without a key whose value has no name.
            (b"\x22\x02\x08\x07\x22\x02\x10\x09", r#"{"units":{"7":"NONE","0":9}}"#),
            // A number of ten bytes for a negative enum.
            (b"\x38\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01", r#"{"unit":-1}"#),
            // Of numbers that the schema does not know: a varint, eight bytes, a text, four bytes, a group with one of each.
            (
                b"\xA0\x01\x05\xA1\x01\0\0\0\0\0\0\0\0\xA2\x01\x01x\xA5\x01\0\0\0\0\
                  \xA3\x01\xA0\x01\x05\xA2\x01\x01x\xA4\x01\x0A\x01a",
                r#"{"id":"a"}"#,
            ),
        ] {
            let mut expected = r#"{"id":"","raw":[],"units":{},"unit":"NONE","big":0}"#.to_owned();
            expected.insert_str(expected.len() - 1, &format!(",{}", &json[1..json.len() - 1]));
            let decoded = decode(data, "Reading").unwrap_or_else(|error| panic!("{data:?}: {error}"));
            assert!(decoded.strict_eq(&self::json(&expected)), "{data:?}: {decoded:?}");
        }
    }

    #[test]
    fn a_message_has_its_place() {
        let source = r#"syntax = "proto3";
            import "google/protobuf/timestamp.proto";
            message A { map<string, int32> m = 1; message B { } message C { message D { } } }
            message E { }"#;
        let protobuf = Protobuf::compile(source, None).unwrap_or_else(|error| panic!("{error}"));
        for (name, way) in [("A", &[0][..]), ("E", &[1]), ("A.B", &[0, 0]), ("A.C", &[0, 1]), ("A.C.D", &[0, 1, 0])] {
            let message = protobuf.message(name).expect(name);
            assert_eq!(protobuf.way_to(&message).as_deref(), Ok(way), "{name}");
            assert_eq!(protobuf.message_at(way), Ok(message), "{name}");
        }
        let foreign = protobuf.message("google.protobuf.Timestamp").expect("an import");
        assert!(protobuf.way_to(&foreign).is_err());
        for way in [&[][..], &[2], &[0, 2], &[1, 0], &[0, 1, 0, 0]] {
            assert!(protobuf.message_at(way).is_err(), "{way:?}");
        }
    }

    #[test]
    fn a_group_is_a_message() {
        let source =
            "syntax = \"proto2\"; message A { optional group G = 1 { optional int32 n = 2; } required int32 r = 3; }";
        let protobuf = Protobuf::compile(source, None).unwrap_or_else(|error| panic!("{error}"));
        let message = protobuf.message("A").expect("A");
        let value = json(r#"{"g":{"n":5},"r":1}"#);
        let encoded = protobuf.encode(&value, &message).expect("a group");
        assert_eq!(encoded, b"\x0B\x10\x05\x0C\x18\x01");
        assert!(protobuf.decode(&Bytes::from(encoded), &message).is_ok_and(|decoded| decoded.strict_eq(&value)));
        assert!(protobuf.encode(&json("{}"), &message).is_err_and(|error| error.contains("`r`")));
    }

    #[test]
    fn bad_sources_say_where() {
        for (source, place) in [
            ("syntax = \"proto3\";\nmessage A {\n  strin id = 1;\n}", "3:3"),
            ("syntax = \"proto3\";\nmessage A {\n  string id = ;\n}", "3:15"),
            ("syntax = \"proto3\";\nimport \"gone.proto\";\n", "2:1"),
        ] {
            let error = Protobuf::compile(source, None).err().expect(source);
            assert!(error.contains(&format!("{ROOT}:{place}")), "{error}");
        }
    }
}
