//! Avro: a schema as a table of types, and its binary encoding both ways (Avro 1.11, "Binary Encoding").
//!
//! The library reads schemas; data is read here, straight into values, because data may nest as deep as its schema
//! allows and claim any length: both are bounded. Unions take the first branch that the value fits.

mod read;
mod write;

use std::collections::HashMap;

use apache_avro::Schema;
use apache_avro::schema::{InnerDecimalSchema, Name, UuidSchema};
use bytes::Bytes;

use crate::value::Value;

/// A compiled schema.
pub(super) struct Avro {
    types: Vec<Type>,
    root: Id,
}

/// Index of a type in the table.
type Id = usize;

enum Type {
    /// A named type that is being read; never there in the end.
    Open,
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    String,
    Array(Id),
    Map(Id),
    Union(Vec<Id>),
    Record {
        name: String,
        fields: Vec<Field>,
    },
    Enum(Vec<Bytes>),
    Fixed(usize),
}

struct Field {
    name: Bytes,
    of: Id,
    default: Option<Value>,
}

/// Nested types of one schema, so that its walk needs no more stack than there is.
const MAX_TYPES: usize = 10_000;

impl Avro {
    pub(super) fn compile(source: &str) -> Result<Avro, String> {
        let json: serde_json::Value = serde_json::from_str(source)
            .map_err(|error| format!("line {}, column {} of the schema: {error}", error.line(), error.column()))?;
        let schema = Schema::parse(&json).map_err(|error| format!("this is no Avro schema: {error}"))?;
        let mut table = Table { types: Vec::new(), named: HashMap::new() };
        let root = table.add(&schema, None)?;
        Ok(Avro { types: table.types, root })
    }

    fn of(&self, id: Id) -> &Type {
        self.types.get(id).unwrap_or(&Type::Open)
    }
}

struct Table {
    types: Vec<Type>,
    named: HashMap<String, Id>,
}

impl Table {
    fn add(&mut self, schema: &Schema, namespace: Option<&str>) -> Result<Id, String> {
        let plain = match schema {
            Schema::Null => Type::Null,
            Schema::Boolean => Type::Boolean,
            Schema::Int | Schema::Date | Schema::TimeMillis => Type::Int,
            Schema::Long
            | Schema::TimeMicros
            | Schema::TimestampMillis
            | Schema::TimestampMicros
            | Schema::TimestampNanos
            | Schema::LocalTimestampMillis
            | Schema::LocalTimestampMicros
            | Schema::LocalTimestampNanos => Type::Long,
            Schema::Float => Type::Float,
            Schema::Double => Type::Double,
            Schema::Bytes | Schema::BigDecimal | Schema::Uuid(UuidSchema::Bytes) => Type::Bytes,
            Schema::String | Schema::Uuid(UuidSchema::String) => Type::String,
            Schema::Array(array) => Type::Array(self.add(&array.items, namespace)?),
            Schema::Map(map) => Type::Map(self.add(&map.types, namespace)?),
            Schema::Union(union) => {
                let branches = union.variants().iter().map(|branch| self.add(branch, namespace));
                Type::Union(branches.collect::<Result<_, _>>()?)
            }
            Schema::Record(record) => {
                let name = record.name.fullname(namespace);
                let id = self.name(&record.name, namespace, Type::Open)?;
                let inner = record.name.namespace().or(namespace);
                let mut fields = Vec::new();
                for field in &record.fields {
                    let of = self.add(&field.schema, inner)?;
                    let default =
                        field.default.as_ref().and_then(|json| Value::from_json(json.to_string().as_bytes()).ok());
                    let default = default.map(|value| self.default(of, value));
                    fields.push(Field { name: Bytes::copy_from_slice(field.name.as_bytes()), of, default });
                }
                self.types[id] = Type::Record { name, fields };
                return Ok(id);
            }
            Schema::Enum(of) => {
                let symbols = of.symbols.iter().map(|symbol| Bytes::copy_from_slice(symbol.as_bytes())).collect();
                return self.name(&of.name, namespace, Type::Enum(symbols));
            }
            Schema::Decimal(decimal) => match &decimal.inner {
                InnerDecimalSchema::Bytes => Type::Bytes,
                InnerDecimalSchema::Fixed(fixed) => return self.name(&fixed.name, namespace, Type::Fixed(fixed.size)),
            },
            Schema::Fixed(fixed) | Schema::Duration(fixed) | Schema::Uuid(UuidSchema::Fixed(fixed)) => {
                return self.name(&fixed.name, namespace, Type::Fixed(fixed.size));
            }
            Schema::Ref { name } => {
                let full = name.fullname(namespace);
                let known = self.named.get(&full).copied();
                return known.ok_or_else(|| format!("the schema refers to `{full}`, which it does not define before"));
            }
        };
        self.push(plain)
    }

    /// A default as a value: JSON writes bytes as text with a character for each, and a union's default is of its first
    /// branch.
    fn default(&self, of: Id, value: Value) -> Value {
        match (&self.types[of], value) {
            (Type::Bytes | Type::Fixed(_), Value::Str(text)) => {
                let bytes = std::str::from_utf8(&text).ok().and_then(|text| {
                    text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect::<Option<Vec<u8>>>()
                });
                Value::Str(bytes.map_or(text, Bytes::from))
            }
            (Type::Union(branches), value) => branches.first().map_or(Value::Null, |first| self.default(*first, value)),
            (Type::Array(items), Value::List(list)) => {
                Value::list(list.iter().map(|item| self.default(*items, item.clone())).collect())
            }
            (Type::Map(values), Value::Map(map)) => {
                let entries = map.iter().map(|(key, value)| (key.clone(), self.default(*values, value.clone())));
                Value::map(entries.collect())
            }
            (_, value) => value,
        }
    }

    fn push(&mut self, of: Type) -> Result<Id, String> {
        if self.types.len() >= MAX_TYPES {
            return Err(format!("the schema has more than {MAX_TYPES} types"));
        }
        self.types.push(of);
        Ok(self.types.len() - 1)
    }

    fn name(&mut self, name: &Name, namespace: Option<&str>, of: Type) -> Result<Id, String> {
        let id = self.push(of)?;
        self.named.insert(name.fullname(namespace), id);
        Ok(id)
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::Index;

    use super::*;

    const TREE: &str = r#"{"type":"record","name":"plant.Node","fields":[
        {"name":"id","type":"long"},
        {"name":"next","type":["null","Node"],"default":null}]}"#;

    fn avro(schema: &str) -> Avro {
        Avro::compile(schema).unwrap_or_else(|error| panic!("{schema}: {error}"))
    }

    fn json(text: &str) -> Value {
        Value::from_json(text.as_bytes()).expect("JSON")
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Schema, value, its bytes as the specification of Avro gives or implies them.
    #[test]
    fn values_and_bytes() {
        for (schema, value, bytes) in [
            ("\"null\"", "null", ""),
            ("\"boolean\"", "true", "01"),
            ("\"int\"", "-64", "7f"),
            ("\"long\"", "64", "8001"),
            ("\"long\"", "-9223372036854775808", "ffffffffffffffffff01"),
            ("\"float\"", "1.5", "0000c03f"),
            ("\"double\"", "-2.25", "00000000000002c0"),
            ("\"string\"", "\"foo\"", "06666f6f"),
            ("\"bytes\"", "\"ab\"", "046162"),
            (r#"{"type":"array","items":"long"}"#, "[3,27]", "04063600"),
            (r#"{"type":"array","items":"long"}"#, "[]", "00"),
            (r#"{"type":"map","values":"int"}"#, r#"{"a":1}"#, "0202610200"),
            (r#"["null","string"]"#, "\"a\"", "020261"),
            (r#"["null","string"]"#, "null", "00"),
            (r#"["int","string","double"]"#, "2.5", "040000000000000440"),
            (r#"{"type":"enum","name":"E","symbols":["A","B"]}"#, "\"B\"", "02"),
            (r#"{"type":"fixed","name":"F","size":2}"#, "\"xy\"", "7879"),
            (r#"{"type":"long","logicalType":"timestamp-millis"}"#, "1700000000123", "f6a1abfef962"),
            (TREE, r#"{"id":1,"next":{"id":2,"next":null}}"#, "02020400"),
            (
                r#"{"type":"record","name":"R","fields":[{"name":"a","type":"long"},{"name":"b","type":"string"}]}"#,
                r#"{"a":27,"b":"foo"}"#,
                "3606666f6f",
            ),
        ] {
            let (avro, value) = (avro(schema), json(value));
            let encoded = avro.encode(&value).unwrap_or_else(|error| panic!("{schema}: {error}"));
            assert_eq!(hex(&encoded), bytes, "{schema}");
            let decoded = avro.decode(&Bytes::from(encoded)).unwrap_or_else(|error| panic!("{schema}: {error}"));
            assert!(decoded.strict_eq(&value), "{schema}: {decoded:?}");
        }
    }

    /// Random schemas and values with the bytes that another implementation (fastavro 1.13) made of them.
    #[test]
    fn bytes_as_others_write_them() {
        for line in include_str!("avro/vectors.jsonl").lines() {
            let case: serde_json::Value = serde_json::from_str(line).expect("JSON");
            let (avro, value) = (avro(&case["schema"].to_string()), json(&case["value"].to_string()));
            let encoded = avro.encode(&value).unwrap_or_else(|error| panic!("{line}: {error}"));
            assert_eq!(case["hex"], hex(&encoded), "{line}");
            let decoded = avro.decode(&Bytes::from(encoded)).unwrap_or_else(|error| panic!("{line}: {error}"));
            assert!(decoded.strict_eq(&value), "{line}: {decoded:?}");
        }
    }

    const MIXED: &str = r#"{"type":"record","name":"R","fields":[
        {"name":"list","type":{"type":"array","items":["null","R","string",{"type":"enum","name":"E","symbols":["A"]}]}},
        {"name":"map","type":{"type":"map","values":{"type":"array","items":"null"}}},
        {"name":"fixed","type":{"type":"fixed","name":"F","size":3}},
        {"name":"flag","type":"boolean"},{"name":"int","type":"int"},{"name":"float","type":"float"}]}"#;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        /// What is read from any bytes is within bounds; what is written of it is read as the same.
        #[test]
        fn any_bytes_are_read_or_refused(bytes in vec(prop_oneof![0u8..8, any::<u8>()], 0..60), zeros in any::<Index>()) {
            thread_local!(static AVRO: Avro = avro(MIXED));
            AVRO.with(|avro| {
                let data = [bytes, vec![0; zeros.index(60)]].concat();
                if let Ok(value) = avro.decode(&Bytes::from(data)) {
                    prop_assert!(value.fits(super::super::MAX_NODES, super::super::MAX_LEVELS));
                    if let Ok(again) = avro.encode(&value) {
                        let again = avro.decode(&Bytes::from(again));
                        prop_assert!(again.as_ref().is_ok_and(|again| again.strict_eq(&value)), "{value:?} {again:?}");
                    }
                }
                Ok(())
            })?;
        }
    }

    #[test]
    fn defaults_fill_missing_fields_and_blocks_may_state_their_size() {
        let tree = avro(TREE);
        assert_eq!(hex(&tree.encode(&json(r#"{"id":1}"#)).expect("a default")), "0200");
        let error = tree.encode(&json(r#"{"next":null}"#)).expect_err("no id");
        assert!(error.contains("`id`") && error.contains("plant.Node"), "{error}");
        let longs = avro(r#"{"type":"array","items":"long"}"#);
        assert_eq!(longs.decode(&Bytes::from_static(&[0x03, 0x04, 0x06, 0x36, 0x00])), Ok(json("[3,27]")));
    }

    #[test]
    fn defaults_are_of_their_types() {
        for (of, default, bytes) in [
            ("\"bytes\"", "\"\\u0001\\u00FF\"", "0401ff"),
            (r#"{"type":"fixed","name":"F","size":1}"#, "\"\\u00FF\"", "ff"),
            (r#"["bytes","null"]"#, "\"\\u00FF\"", "0002ff"),
            (r#"{"type":"array","items":"bytes"}"#, "[\"\\u00FF\"]", "0202ff00"),
            (r#"{"type":"map","values":"bytes"}"#, "{\"k\":\"\\u00FF\"}", "02026b02ff00"),
            ("\"string\"", "\"\\u00FF\"", "04c3bf"),
            (r#"{"type":"record","name":"S","fields":[{"name":"t","type":"long"}]}"#, r#"{"t":1}"#, "02"),
        ] {
            let schema =
                format!(r#"{{"type":"record","name":"R","fields":[{{"name":"f","type":{of},"default":{default}}}]}}"#);
            assert_eq!(hex(&avro(&schema).encode(&json("{}")).expect("a default")), bytes, "{schema}");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for (schema, value) in [
            ("\"int\"", "2147483648"),
            ("\"long\"", "9223372036854775808"),
            ("\"long\"", "1.0"),
            ("\"string\"", "1"),
            (r#"["null","string"]"#, "1"),
            (r#"{"type":"enum","name":"E","symbols":["A","B"]}"#, "\"C\""),
            (r#"{"type":"fixed","name":"F","size":2}"#, "\"xyz\""),
            (r#"{"type":"array","items":"long"}"#, r#"["a"]"#),
            (TREE, "[]"),
        ] {
            assert!(avro(schema).encode(&json(value)).is_err(), "{schema}: {value}");
        }
        let latin = avro("\"string\"").encode(&Value::Str(Bytes::from_static(b"\xFF")));
        assert!(latin.is_err_and(|error| error.contains("UTF-8")));
        for schema in ["{", "\"text\"", r#"{"type":"record","name":"R"}"#, r#"{"type":"array","items":"Gone"}"#] {
            assert!(Avro::compile(schema).is_err(), "{schema}");
        }
        let error = Avro::compile("{\n  \"type\": \"record\",\n  \"name\" \"R\"\n}").err().expect("no JSON");
        assert!(error.starts_with("line 3, column 10"), "{error}");
    }

    #[test]
    fn data_that_lies_or_nests_without_end_is_refused() {
        let refused = |schema: &str, data: Vec<u8>, part: &str| {
            let error = avro(schema).decode(&Bytes::from(data)).expect_err(schema);
            assert!(error.contains(part), "{schema}: {error}");
        };
        refused("\"long\"", vec![0xFF; 11], "64 bits");
        refused("\"string\"", vec![0xFE, 0xFF, 0xFF, 0xFF, 0x0F], "ends early");
        refused("\"string\"", vec![0x01], "not this schema's");
        refused("\"string\"", vec![], "ends early");
        refused(r#"{"type":"array","items":"long"}"#, vec![0x02, 0x02], "ends early");
        refused(r#"{"type":"array","items":"long"}"#, vec![0x03, 0x80], "ends early");
        refused(r#"{"type":"fixed","name":"F","size":1000000000}"#, vec![0; 9], "ends early");
        refused("\"boolean\"", vec![2], "not this schema's");
        refused("\"double\"", f64::NAN.to_le_bytes().to_vec(), "not a finite number");
        refused("\"long\"", vec![2, 2], "goes on");
        refused(r#"["null","long"]"#, vec![4], "not this schema's");
        // A thousand thousand million nulls in seven bytes.
        refused(r#"{"type":"array","items":"null"}"#, vec![0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01, 0x00], "values");
        // Half as many records without a field, and the least count that a signed one has.
        let records = r#"{"type":"array","items":{"type":"record","name":"R","fields":[]}}"#;
        refused(records, vec![0x80, 0x80, 0x80, 0x80, 0x80, 0x01, 0x00], "values");
        refused(records, [vec![0xFF; 9], vec![0x01, 0x00]].concat(), "values");
        // A list as deep as its data is long.
        refused(TREE, [2, 2].repeat(500_000), "levels");
        // Two branches that differ only at the end of a deep value: trying both at each level would never end.
        let twins = r#"[{"type":"record","name":"A","fields":[{"name":"n","type":["null","A",
            {"type":"record","name":"B","fields":[{"name":"n","type":["null","A","B","string"]}]}]}]},"B"]"#;
        let deep = format!("{}1{}", r#"{"n":"#.repeat(60), "}".repeat(60));
        assert!(avro(twins).encode(&json(&deep)).is_err());
    }
}
