//! One action of the running pipeline: a Kafka sink behind compiled templates, or a function that is built in.

use std::sync::Arc;

use crate::kafka::{ActionConfig, ConnectorConfig, Sink};
use crate::ledger::Ledger;
use crate::message::{Message, Record};
use crate::rule::{Diagnostic, Missing, Row, Template};
use crate::value::Value;

use super::headers::{BadHeaders, HeaderTemplates};
use super::republish::{RepublishError, RepublishTemplates};

/// An action as the workers use it.
pub struct Action {
    pub(super) name: String,
    pub(super) ledger: Arc<Ledger>,
    pub(super) target: Target,
}

/// Where an action's records go.
// The large variant is the one that nearly all actions are, and workers go through it for every record.
#[allow(clippy::large_enum_variant)]
pub(super) enum Target {
    Kafka(KafkaTarget),
    Republish(Box<RepublishTemplates>),
    Console,
}

/// A sink, and the templates in front of it.
pub(super) struct KafkaTarget {
    pub(super) sink: Arc<Sink>,
    templates: ActionTemplates,
    /// What the sink was made from; an equal pair keeps it over a reload.
    pub(super) made_from: (ConnectorConfig, ActionConfig),
}

/// The compiled templates of an action's parameters.
pub struct ActionTemplates {
    topic: Topic,
    key: Template,
    value: Template,
    timestamp: Template,
    headers: HeaderTemplates,
}

enum Topic {
    Fixed(Arc<str>),
    Dynamic(Template),
}

/// Why a row gave no record.
#[derive(Debug, thiserror::Error)]
pub(super) enum RenderError {
    #[error("the topic template found nothing for `{0}`")]
    Topic(String),
    #[error("the topic template gave an empty topic, or one that is not text")]
    EmptyTopic,
    #[error(transparent)]
    Headers(#[from] BadHeaders),
    #[error(transparent)]
    Republish(#[from] RepublishError),
}

impl ActionTemplates {
    /// Compiles all templates; the error names the key inside `parameters`.
    pub fn compile(config: &ActionConfig) -> Result<ActionTemplates, (&'static str, Diagnostic)> {
        let parameters = &config.parameters;
        let parse = |key: &'static str, text: &str| Template::parse(text).map_err(|diagnostic| (key, diagnostic));
        let topic = parse("topic", &parameters.topic)?;
        Ok(ActionTemplates {
            topic: match topic.literal() {
                Some(name) => Topic::Fixed(name.into()),
                None => Topic::Dynamic(topic),
            },
            key: parse("message.key", &parameters.message.key)?,
            value: parse("message.value", &parameters.message.value)?,
            timestamp: parse("message.timestamp", &parameters.message.timestamp)?,
            headers: HeaderTemplates::compile(parameters)?,
        })
    }

    /// Whether `kafka_headers` is one placeholder and nothing else.
    #[must_use]
    pub fn headers_are_well_formed(&self) -> bool {
        self.headers.is_well_formed()
    }
}

impl Action {
    pub(super) fn kafka(&self) -> Option<&KafkaTarget> {
        match &self.target {
            Target::Kafka(kafka) => Some(kafka),
            Target::Republish(_) | Target::Console => None,
        }
    }
}

impl KafkaTarget {
    pub(super) fn new(
        sink: Arc<Sink>,
        templates: ActionTemplates,
        made_from: (ConnectorConfig, ActionConfig),
    ) -> KafkaTarget {
        KafkaTarget { sink, templates, made_from }
    }

    /// The record that one row of a rule becomes.
    pub(super) fn render(&self, row: &Row<'_>, message: &Message) -> Result<Record, RenderError> {
        let templates = &self.templates;
        Ok(Record {
            topic: match &templates.topic {
                Topic::Fixed(name) => name.clone(),
                Topic::Dynamic(template) => dynamic_topic(template, row)?,
            },
            key: templates.key.render_bytes(row),
            value: templates.value.render_bytes(row),
            headers: templates.headers.render(row)?,
            timestamp: Some(timestamp(&templates.timestamp, row).unwrap_or(message.received_at)),
        })
    }
}

fn dynamic_topic(template: &Template, row: &Row<'_>) -> Result<Arc<str>, RenderError> {
    let mut text = Vec::new();
    template.render(row, Missing::Error, &mut text).map_err(|missing| RenderError::Topic(missing.to_string()))?;
    match std::str::from_utf8(&text) {
        Ok(name) if !name.is_empty() && !name.contains('\0') => Ok(name.into()),
        _ => Err(RenderError::EmptyTopic),
    }
}

/// Milliseconds, as an integer or in digits; anything else leaves the time of receipt.
fn timestamp(template: &Template, row: &Row<'_>) -> Option<i64> {
    let value = match template.is_single_placeholder() {
        true => template.value(row)?,
        false => Value::Str(template.render_bytes(row)?),
    };
    match value {
        Value::Int(millis) => Some(millis),
        Value::Str(digits) => std::str::from_utf8(&digits).ok()?.parse().ok(),
        _ => None,
    }
    .filter(|millis| *millis > 0)
}
