//! Sparkplug B: its payload as a Protobuf schema that is always there. Knows the shape of a payload, not its topics.

use std::sync::LazyLock;

use super::{Schema, SchemaKind};

/// The schema, compiled when it is first used.
pub(super) fn schema() -> Result<&'static Schema, String> {
    static SCHEMA: LazyLock<Result<Schema, String>> =
        LazyLock::new(|| Schema::compile(SchemaKind::Protobuf, include_str!("sparkplug.proto"), None));
    SCHEMA.as_ref().map_err(Clone::clone)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::Schemas;
    use crate::value::Value;

    #[test]
    fn a_payload_and_its_bytes() {
        let value = br#"{"timestamp":1700000000123,"seq":2,"metrics":[
            {"name":"t","alias":7,"datatype":10,"double_value":21.5,
             "properties":{"keys":["unit"],"values":[{"type":12,"string_value":"C"}]}},
            {"alias":8,"datatype":16,"dataset_value":{"num_of_columns":1,"columns":["a"],"types":[7],
             "rows":[{"elements":[{"int_value":5}]}]}}]}"#;
        let value = Value::from_json(value).expect("JSON");
        let schemas = Schemas::default();
        let encoded = schemas.sparkplug_encode(&value, None).unwrap_or_else(|error| panic!("{error}"));
        // Field 1 is the timestamp, a varint.
        assert_eq!(&encoded[..7], b"\x08\xFB\xD0\x95\xFF\xBC\x31");
        assert!(schemas.sparkplug_decode(&encoded, None).is_ok_and(|decoded| decoded.strict_eq(&value)));
        let metric = schemas.sparkplug_decode(&Bytes::from_static(b"\x0A\x01t\x50\x05"), Some("Payload.Metric"));
        assert_eq!(metric, Ok(Value::from_json(br#"{"name":"t","int_value":5}"#).expect("JSON")));
        assert!(schemas.sparkplug_decode(&Bytes::from_static(b"\xFF"), None).is_err());
    }
}
