//! The schemas of a snapshot as rules see them. Adds nothing: rules and schemas do not know each other.

use bytes::Bytes;

use crate::rule;
use crate::schema::Schemas;
use crate::value::Value;

impl rule::Schemas for Schemas {
    fn missing(&self, schema: &str) -> Option<String> {
        self.missing(schema)
    }

    fn encode(&self, schema: &str, value: &Value, message: Option<&str>) -> Result<Bytes, String> {
        self.encode(schema, value, message)
    }

    fn decode(&self, schema: &str, data: &Bytes, message: Option<&str>) -> Result<Value, String> {
        self.decode(schema, data, message)
    }

    fn sparkplug_encode(&self, value: &Value, message: Option<&str>) -> Result<Bytes, String> {
        self.sparkplug_encode(value, message)
    }

    fn sparkplug_decode(&self, data: &Bytes, message: Option<&str>) -> Result<Value, String> {
        self.sparkplug_decode(data, message)
    }

    fn registry_encode(&self, registry: &str, id: u32, value: &Value) -> Result<Bytes, String> {
        self.registry_encode(registry, id, value)
    }

    fn registry_decode(&self, registry: &str, id: u32, data: &Bytes) -> Result<Value, String> {
        self.registry_decode(registry, id, data)
    }

    fn encode_and_tag(
        &self,
        schema: &str,
        registry: &str,
        value: &Value,
        subject: &str,
        message: Option<&str>,
    ) -> Result<Bytes, String> {
        self.encode_and_tag(schema, registry, value, subject, message)
    }

    fn decode_tagged(&self, registry: &str, data: &Bytes) -> Result<Value, String> {
        self.decode_tagged(registry, data)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::{Local, Supplies, Surroundings};
    use super::*;
    use crate::message::{Client, Message, MessageId, QoS};
    use crate::rule::{Context, EVALUATION_LIMIT, JsonEvent, NoFunctions, compile, learn_birth};
    use crate::topic::TopicName;

    fn message(client: &Arc<Client>, topic: &str, payload: &'static [u8]) -> Message {
        Message {
            id: MessageId::next(1),
            client: client.clone(),
            topic: TopicName::new(topic).expect("a topic"),
            payload: Bytes::from_static(payload),
            qos: QoS::AtLeastOnce,
            retain: false,
            dup: false,
            properties: None,
            received_at: 1,
        }
    }

    /// The value of an expression, in the world of a message.
    fn evaluate(supplies: &Supplies, message: &Message, local: &Local, expression: &str) -> Result<String, String> {
        let plan = compile(&format!("SELECT {expression} AS x FROM t"), &NoFunctions).expect("SQL");
        let event = JsonEvent::new(Value::map(Default::default())).expect("an event");
        let world = local.here(supplies, Some(message));
        let mut rows = Vec::new();
        let context = Context { functions: &NoFunctions, world: &world, limit: EVALUATION_LIMIT };
        plan.evaluate(&event, context, &mut rows).map_err(|error| error.to_string())?;
        let mut json = Vec::new();
        rows[0].get("x").expect("a column").to_json(&mut json);
        Ok(String::from_utf8_lossy(&json).into_owned())
    }

    #[test]
    fn schema_functions_in_sql() {
        let config = r#"
            [schemas.reading]
            type = "avro"
            source = '{"type":"record","name":"R","fields":[{"name":"t","type":"double"}]}'
            [schemas.frame]
            type = "protobuf"
            source = 'syntax = "proto3"; message F { uint32 id = 1; }'
            [schemas.limits]
            type = "json"
            source = '{"type":"object","properties":{"t":{"maximum":100}}}'
        "#;
        let schemas = Schemas::compile(&toml::from_str(config).expect("a configuration"), None);
        let schemas = schemas.unwrap_or_else(|problems| panic!("{problems:?}"));
        let supplies = Supplies { schemas, ..Supplies::default() };
        let any = message(&Arc::new(Client::rule("a", 1)), "t/1", b"");
        let local = Local::new(Arc::new(Surroundings::new([])));
        for (expression, expected) in [
            (r#"bin2hexstr(schema_encode('reading', json_decode('{"t":1.5}')))"#, Ok(r#""000000000000F83F""#)),
            ("schema_decode('reading', hexstr2bin('000000000000F83F'))", Ok(r#"{"t":1.5}"#)),
            ("schema_decode('reading', 'abc')", Err("ends early")),
            ("schema_decode('reading', 'abc', 'R')", Err("only a Protobuf schema")),
            (r#"bin2hexstr(schema_encode('frame', json_decode('{"id":5}'), 'F'))"#, Ok(r#""0805""#)),
            ("schema_decode('frame', hexstr2bin('0805'), 'F')", Ok(r#"{"id":5}"#)),
            ("schema_decode('frame', hexstr2bin('0805'))", Err("needs the name of the message")),
            ("schema_decode('frame', map_new(), 'F')", Err("argument 2")),
            (r#"schema_encode('limits', json_decode('{"t":5}'))"#, Ok(r#""{\"t\":5}""#)),
            (r#"[schema_check('limits', '{"t":5}'), schema_check('limits', '{"t":500}')]"#, Ok("[true,false]")),
            ("[schema_check('reading', map_new()), schema_check('frame', 'x', 'F')]", Ok("[false,false]")),
            ("schema_check('gone', 'x')", Err("serde_not_found")),
            ("avro_decode('gone', 'x', 1)", Err("no schema registry `gone`")),
            (
                "bin2hexstr(spb_encode(json_decode('{\"metrics\":[{\"bytes_value\":\"YWI=\"}]}')))",
                Ok(r#""120582010261 62""#),
            ),
            ("spb_encode(json_decode('{\"metrics\":[{\"bytes_value\":\"?\"}]}'))", Err("Base64")),
            ("spb_decode(hexstr2bin('12070A0174100750 05'))", Err("hexadecimal")),
            ("sparkplug_decode(hexstr2bin('120410075006'))", Ok(r#"{"metrics":[{"int_value":6,"alias":7}]}"#)),
        ] {
            let answer = evaluate(&supplies, &any, &local, expression);
            match (&answer, expected) {
                (Ok(json), Ok(expected)) => assert_eq!(*json, expected.replace(' ', ""), "{expression}"),
                (Err(error), Err(part)) => assert!(error.contains(part), "{expression}: {error}"),
                _ => panic!("{expression}: {answer:?}, expected {expected:?}"),
            }
        }
    }

    #[test]
    fn a_birth_names_what_has_only_an_alias() {
        let (client, other) = (Arc::new(Client::rule("a", 1)), Arc::new(Client::rule("b", 1)));
        let (supplies, local) = (Supplies::default(), Local::new(Arc::new(Surroundings::new([]))));
        let learn = |topic: &str, payload: &'static [u8]| {
            let message = message(&client, topic, payload);
            learn_birth(&local.here(&supplies, Some(&message)), &message.payload)
        };
        // The alias 7, with the value 6.
        let data = |client: &Arc<Client>, topic: &str, name: Option<&str>| {
            let decoded =
                evaluate(&supplies, &message(client, topic, b""), &local, "spb_decode(hexstr2bin('120410075006'))");
            let name = name.map(|name| format!("\"name\":\"{name}\",")).unwrap_or_default();
            assert_eq!(decoded, Ok(format!("{{\"metrics\":[{{{name}\"int_value\":6,\"alias\":7}}]}}")), "{topic}");
        };
        data(&client, "s/g/NDATA/n", None);
        assert_eq!(learn("s/g/NBIRTH/n", b"\x12\x05\x0A\x01t\x10\x07"), Ok(()));
        assert_eq!(learn("s/g/DBIRTH/n/d", b"\x12\x05\x0A\x01u\x10\x07"), Ok(()));
        data(&client, "s/g/NDATA/n", Some("t"));
        data(&client, "s/g/DDATA/n/d", Some("u"));
        // Another node, another device, what is no data, and another connection.
        for topic in ["s/g/NDATA/m", "s/g/DDATA/n/e", "s/g/NCMD/n", "t/1"] {
            data(&client, topic, None);
        }
        data(&other, "s/g/NDATA/n", None);
        // The next birth replaces all names of the one before; what is no birth changes nothing.
        assert_eq!(learn("s/g/NBIRTH/n", b"\x12\x05\x0A\x01v\x10\x07"), Ok(()));
        assert_eq!(learn("s/g/NDATA/n", b"\x12\x05\x0A\x01w\x10\x07"), Ok(()));
        assert!(learn("s/g/NBIRTH/n", b"\xFF").is_err());
        data(&client, "s/g/NDATA/n", Some("v"));
        assert_eq!(learn("s/g/NBIRTH/n", b"\x12\x05\x0A\x01x\x10\x08"), Ok(()));
        data(&client, "s/g/NDATA/n", None);
        assert_eq!(learn("s/g/NBIRTH/n", b""), Ok(()));
        data(&client, "s/g/DDATA/n/d", Some("u"));
    }
}
