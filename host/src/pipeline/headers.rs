//! Kafka headers from templates, as EMQX makes them: those of one placeholder first, then the extra pairs.

use std::sync::Arc;

use bytes::Bytes;

use crate::kafka::{HeaderEncodeMode, Parameters};
use crate::rule::{Diagnostic, Missing, Row, Template};
use crate::value::Value;

pub(super) type Headers = Vec<(Arc<str>, Option<Bytes>)>;

/// The compiled header templates of an action.
pub(super) struct HeaderTemplates {
    from: Option<Template>,
    extra: Vec<Extra>,
    mode: HeaderEncodeMode,
}

struct Extra {
    fixed_name: Option<Arc<str>>,
    name: Template,
    value: Template,
}

/// The value of `kafka_headers` cannot be headers; the message fails.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`kafka_headers` gave {0}, expected an object, an array of {{\"key\": .., \"value\": ..}} objects, or JSON text of either"
)]
pub(super) struct BadHeaders(&'static str);

impl HeaderTemplates {
    pub(super) fn compile(parameters: &Parameters) -> Result<HeaderTemplates, (&'static str, Diagnostic)> {
        let parse = |key: &'static str, text: &str| Template::parse(text).map_err(|diagnostic| (key, diagnostic));
        let from = parameters.kafka_headers.as_deref();
        let from = from
            .map(|text| Template::wide_placeholder(text).map_or_else(|| parse("kafka_headers", text), Ok))
            .transpose()?;
        let extra = parameters.kafka_ext_headers.iter().map(|pair| {
            let name = parse("kafka_ext_headers", &pair.kafka_ext_header_key)?;
            let value = &pair.kafka_ext_header_value;
            let value = Template::wide_placeholder(value).map_or_else(|| parse("kafka_ext_headers", value), Ok)?;
            Ok(Extra { fixed_name: name.literal().map(Arc::from), name, value })
        });
        Ok(HeaderTemplates {
            from,
            extra: extra.collect::<Result<_, _>>()?,
            mode: parameters.kafka_header_value_encode_mode,
        })
    }

    /// Whether `kafka_headers` is the one placeholder that it must be.
    pub(super) fn is_well_formed(&self) -> bool {
        self.from.as_ref().is_none_or(Template::is_single_placeholder)
    }

    pub(super) fn render(&self, row: &Row<'_>) -> Result<Headers, BadHeaders> {
        let mut headers = Headers::new();
        if let Some(value) = self.from.as_ref().and_then(|from| from.value(row)) {
            self.collect(value, &mut headers)?;
        }
        for pair in &self.extra {
            self.extra(pair, row, &mut headers);
        }
        Ok(headers)
    }

    fn extra(&self, pair: &Extra, row: &Row<'_>, headers: &mut Headers) {
        // A pair with a missing placeholder is left out.
        let mut text = Vec::new();
        let name = match &pair.fixed_name {
            Some(name) => name.clone(),
            None if pair.name.render(row, Missing::Error, &mut text).is_ok() => text_of(&text),
            None => return,
        };
        let value = match pair.value.is_single_placeholder() {
            true => pair.value.value(row),
            false => {
                let mut bytes = Vec::new();
                pair.value.render(row, Missing::Error, &mut bytes).is_ok().then(|| Value::Str(bytes.into()))
            }
        };
        if let Some(value) = value {
            self.push(name, &value, headers);
        }
    }

    fn collect(&self, value: Value, headers: &mut Headers) -> Result<(), BadHeaders> {
        match value {
            Value::Undefined => Ok(()),
            Value::Map(map) => {
                for (name, value) in map.iter() {
                    self.push(text_of(name), value, headers);
                }
                Ok(())
            }
            Value::List(items) => items.iter().try_for_each(|item| self.collect_pair(item, headers)),
            Value::Str(text) => match Value::from_json(&text) {
                Ok(value @ (Value::Map(_) | Value::List(_))) => self.collect(value, headers),
                Ok(_) => Err(BadHeaders("JSON text of a scalar")),
                Err(_) => Err(BadHeaders("text that is not JSON")),
            },
            _ => Err(BadHeaders("a scalar")),
        }
    }

    fn collect_pair(&self, item: &Value, headers: &mut Headers) -> Result<(), BadHeaders> {
        match item {
            Value::List(items) => items.iter().try_for_each(|item| self.collect_pair(item, headers)),
            Value::Map(map) => match (map.get(b"key".as_slice()), map.get(b"value".as_slice())) {
                (Some(Value::Str(name)), Some(value)) => {
                    self.push(text_of(name), value, headers);
                    Ok(())
                }
                _ => Err(BadHeaders("an array with an element that has no `key` and `value`")),
            },
            _ => Err(BadHeaders("an array with an element that is no object")),
        }
    }

    fn push(&self, name: Arc<str>, value: &Value, headers: &mut Headers) {
        let json = |value: &Value| {
            let mut bytes = Vec::new();
            value.to_json(&mut bytes);
            Bytes::from(bytes)
        };
        let value = match (self.mode, value) {
            (HeaderEncodeMode::None | HeaderEncodeMode::Auto, Value::Str(text)) => text.clone(),
            (HeaderEncodeMode::None, _) => return,
            (HeaderEncodeMode::Json | HeaderEncodeMode::Auto, value) => json(value),
        };
        headers.push((name, Some(value)));
    }
}

/// Header names are text; bytes that are not UTF-8 are replaced.
fn text_of(bytes: &[u8]) -> Arc<str> {
    String::from_utf8_lossy(bytes).into()
}
