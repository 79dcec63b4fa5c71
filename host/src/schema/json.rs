//! JSON Schema: checks values and JSON text. Without `$schema`, a schema is of draft 6, as in EMQX. References point into
//! the schema itself; nothing is fetched.

use bytes::Bytes;
use jsonschema::{Draft, PatternOptions, Validator};

use super::MAX_DATA;
use crate::value::Value;

/// Steps of a pattern that needs backtracking.
const MAX_BACKTRACKS: usize = 100_000;
/// Memory of one compiled pattern, in bytes.
const MAX_PATTERN: usize = 1 << 20;

/// A compiled schema.
pub(super) struct Json(Validator);

impl Json {
    pub(super) fn compile(source: &str) -> Result<Json, String> {
        let schema: serde_json::Value = serde_json::from_str(source)
            .map_err(|error| format!("line {}, column {} of the schema: {error}", error.line(), error.column()))?;
        let patterns = PatternOptions::fancy_regex().backtrack_limit(MAX_BACKTRACKS).size_limit(MAX_PATTERN);
        let options = jsonschema::options().with_pattern_options(patterns).offline();
        let options = if schema.get("$schema").is_some() { options } else { options.with_draft(Draft::Draft6) };
        let compiled = options.build(&schema);
        compiled
            .map(Json)
            .map_err(|error| format!("this is no JSON Schema: at `{}`: {error:.300}", error.instance_path()))
    }

    /// The JSON text of a value that fits.
    pub(super) fn encode(&self, value: &Value) -> Result<Vec<u8>, String> {
        let mut text = Vec::new();
        value.encode_json(&mut text).map_err(|_| "a bit string has no JSON form")?;
        if text.len() > MAX_DATA {
            return Err(format!("the data is longer than {MAX_DATA} bytes"));
        }
        self.check(&text)?;
        Ok(text)
    }

    /// The value of a JSON text that fits.
    pub(super) fn decode(&self, text: &Bytes) -> Result<Value, String> {
        let value = Value::from_json_shared(text).map_err(|error| format!("the data is {error}"))?;
        self.check(text)?;
        Ok(value)
    }

    fn check(&self, text: &[u8]) -> Result<(), String> {
        let instance: serde_json::Value = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        self.0
            .validate(&instance)
            .map_err(|error| format!("at `{}`: {}", error.instance_path(), cut(&error.to_string())))
    }
}

/// A message quotes the data; of that, the beginning is enough.
fn cut(message: &str) -> String {
    message.chars().take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &'static str) -> Bytes {
        Bytes::from_static(text.as_bytes())
    }

    #[test]
    fn values_that_fit_and_others() {
        let schema = r##"{"type":"object","required":["t"],"properties":{"t":{"type":"number","maximum":100},
            "id":{"$ref":"#/definitions/id"}},"definitions":{"id":{"type":"string","pattern":"^[a-z]+$"}}}"##;
        let json = Json::compile(schema).unwrap_or_else(|error| panic!("{error}"));
        let value = Value::from_json(br#"{"t":21.5,"id":"press"}"#).expect("JSON");
        let encoded = json.encode(&value).expect("it fits");
        assert_eq!(json.decode(&Bytes::from(encoded)), Ok(value));
        for (data, place) in [
            (r#"{"t":101}"#, "/t"),
            (r#"{"t":1,"id":"Press"}"#, "/id"),
            ("{}", "``"),
            ("[]", "``"),
            ("oops", "the data is"),
        ] {
            let error = json.decode(&text(data)).expect_err(data);
            assert!(error.contains(place), "{data}: {error}");
        }
    }

    #[test]
    fn without_a_draft_it_is_the_sixth() {
        // From 2019-09 on, `items` is for the elements after those of `prefixItems`, and a list of schemas is none.
        let tuple = r#"{"items":[{"type":"string"}]}"#;
        let json = Json::compile(tuple).unwrap_or_else(|error| panic!("{error}"));
        assert!(json.decode(&text("[1]")).is_err() && json.decode(&text("[\"a\",1]")).is_ok());
        let newest = "https://json-schema.org/draft/2020-12/schema";
        assert!(Json::compile(&tuple.replacen('{', &format!("{{\"$schema\":\"{newest}\","), 1)).is_err());
        let json = Json::compile(&format!(r#"{{"$schema":"{newest}","prefixItems":[{{"type":"string"}}]}}"#));
        assert!(json.is_ok_and(|json| json.decode(&text("[1]")).is_err()));
    }

    #[test]
    fn bad_schemas_say_where_and_nothing_is_fetched() {
        for (schema, part) in [
            ("{\n  \"type\": \"object\",\n}", "line 3, column 1"),
            (r#"{"type":"objekt"}"#, "/type"),
            (r#"{"$ref":"http://127.0.0.1:1/schema.json"}"#, "no JSON Schema"),
            (r#"{"pattern":"("}"#, "pattern"),
        ] {
            let error = Json::compile(schema).err().expect(schema);
            assert!(error.contains(part), "{schema}: {error}");
        }
    }

    #[test]
    fn a_pattern_that_would_never_end_is_given_up() {
        let json = Json::compile(r#"{"pattern":"^(a|aa)+\\1b$"}"#).unwrap_or_else(|error| panic!("{error}"));
        let text = format!("\"{}c\"", "a".repeat(200));
        assert!(json.decode(&Bytes::from(text)).is_err());
    }
}
