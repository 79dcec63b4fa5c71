//! The action `republish`: a rule's output as a new MQTT message (rule-sql 6.3).
//!
//! What it means for the promise to the publisher. The new message goes to the subscribers of this node, which settles a
//! delivery there as it does for any message, and then down the pipeline like a message of a client; the branch of the
//! promise that led here goes along with it. So an acknowledgement waits for what the rules do with the new message too:
//! PUBACK still says "Kafka has it" when it takes two rules to get there, and a refusal on the way is told. Nobody may want
//! the new message: that is no failure, the republishing itself is done. With `direct_dispatch` no rule sees it and the
//! branch settles at once.
//!
//! A worker cannot wait for room in its own queue. Republished messages have a share of the queue of their own, as large
//! as that of clients' messages; one that does not fit is refused (0x97, cause `queue_full`) and reaches no subscriber.
//!
//! Loops. As in EMQX a rule that runs for its own message does not republish again. EMQX lets two rules feed each other
//! for ever; here a message counts the republish actions behind it ([`Client::hops`]), and beyond [`MAX_HOPS`] the next one
//! is left out. Both are counted as dropped with cause `loop`, and the publisher is not told: its message was handled.
//!
//! The sender of a republished message is the rule ([`Client::rule`]): its id is the client id, there is no address.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;

use super::builtin::{Republish, Setting};
use super::headers::Headers;
use crate::message::{Client, Message, MessageId, Properties, QoS, Record};
use crate::rule::{Missing, Row, Template};
use crate::topic::TopicName;
use crate::value::Value;

/// Republish actions that one message may have behind it.
pub(super) const MAX_HOPS: u8 = 16;

/// Where republished messages go besides the rules: the subscribers of this node. The pipeline lies below the front that
/// has them, so whoever knows both puts this in.
pub trait Subscribers: Send + Sync {
    /// Gives `message` to all that subscribe to its topic, and keeps it as the retained one of its topic when it says so
    /// and `may_retain`. Must not wait.
    fn publish(&self, message: &Message, may_retain: bool);
}

/// The compiled arguments of one `republish`.
pub(super) struct RepublishTemplates {
    topic: Template,
    payload: Template,
    qos: Choice<QoS>,
    retain: Choice<bool>,
    direct_dispatch: Choice<bool>,
    user_properties: UserProperties,
    properties: Vec<(Property, Template)>,
}

enum Choice<T> {
    Fixed(T),
    Placeholder(Template),
}

enum UserProperties {
    None,
    /// Those of the message that the rule runs for.
    Original,
    Placeholder(Template),
}

#[derive(Clone, Copy)]
enum Property {
    PayloadFormatIndicator,
    MessageExpiryInterval,
    ContentType,
    ResponseTopic,
    CorrelationData,
}

impl Property {
    const NAMES: [(&'static str, Property); 5] = [
        ("Payload-Format-Indicator", Property::PayloadFormatIndicator),
        ("Message-Expiry-Interval", Property::MessageExpiryInterval),
        ("Content-Type", Property::ContentType),
        ("Response-Topic", Property::ResponseTopic),
        ("Correlation-Data", Property::CorrelationData),
    ];
}

/// What a republished message has beside topic, payload and user properties, which are in its [`Record`].
#[derive(Debug)]
pub(super) struct Publication {
    qos: QoS,
    retain: bool,
    dup: bool,
    pub(super) direct: bool,
    properties: Properties,
    sender: Arc<Client>,
}

/// Why an output gave no message.
#[derive(Debug, thiserror::Error)]
pub(super) enum RepublishError {
    #[error("the topic template gave `{0}`, which is not a topic to publish to")]
    Topic(String),
    #[error("`qos` gave {0}; expected 0, 1 or 2")]
    QoS(String),
    #[error("`retain` gave {0}; expected true or false")]
    Retain(String),
    #[error("`user_properties` gave {0}; expected an object")]
    UserProperties(String),
    #[error("a user property is not text")]
    NotText,
}

/// What is wrong with the arguments: the key, and why.
pub type BadArgument = (String, String);

impl RepublishTemplates {
    pub(super) fn compile(said: &Republish) -> Result<RepublishTemplates, BadArgument> {
        let parse = |key: &str, text: &str| {
            Template::parse(text).map_err(|diagnostic| (key.to_owned(), diagnostic.to_string()))
        };
        let topic = parse("topic", &said.topic)?;
        if let Some(Err(error)) = topic.literal().map(TopicName::new) {
            return Err(("topic".to_owned(), error.to_string()));
        }
        let payload = if said.payload.is_empty() { "${.}" } else { &said.payload };
        let properties = said.mqtt_properties.iter().map(|(name, text)| {
            let key = format!("mqtt_properties.{name}");
            let known = Property::NAMES.iter().find(|(known, _)| known == name);
            let Some((_, property)) = known else {
                let names = Property::NAMES.map(|(known, _)| format!("`{known}`")).join(", ");
                return Err((key, format!("there is no such property to set; expected {names}")));
            };
            Ok((*property, parse(&key, &text.0)?))
        });
        let user_properties = match said.user_properties.as_str() {
            "${pub_props.'User-Property'}" | "${.pub_props.'User-Property'}" => UserProperties::Original,
            text if text.starts_with("${") => UserProperties::Placeholder(single("user_properties", text)?),
            _ => UserProperties::None,
        };
        Ok(RepublishTemplates {
            topic,
            payload: parse("payload", payload)?,
            // The configuration takes nothing above 2.
            qos: choice("qos", &said.qos, |n| QoS::from_u8(n).unwrap_or(QoS::AtMostOnce))?,
            retain: choice("retain", &said.retain, |retain| retain)?,
            direct_dispatch: choice("direct_dispatch", &said.direct_dispatch, |direct| direct)?,
            user_properties,
            properties: properties.collect::<Result<_, _>>()?,
        })
    }

    /// The message that one output becomes, in the form in which transforms see it, and the rest of it. `original`: what
    /// the rule ran for.
    pub(super) fn render(
        &self,
        row: &Row<'_>,
        original: &Message,
        sender: Client,
    ) -> Result<(Record, Publication), RepublishError> {
        let topic = text(&self.topic, row);
        let topic = String::from_utf8(topic).map_err(|error| RepublishError::Topic(error.to_string()))?;
        if TopicName::new(&topic).is_err() {
            return Err(RepublishError::Topic(topic));
        }
        let qos = match self.qos.value(row) {
            Picked::Fixed(qos) => qos,
            Picked::Missing => QoS::AtMostOnce,
            Picked::Value(Value::Int(n)) if (0..=2).contains(&n) => QoS::from_u8(n as u8).unwrap_or(QoS::AtMostOnce),
            Picked::Value(other) => return Err(RepublishError::QoS(shown(&other))),
        };
        let retain = match self.retain.value(row) {
            Picked::Fixed(retain) => retain,
            Picked::Missing => false,
            Picked::Value(Value::Bool(retain)) => retain,
            Picked::Value(other) => return Err(RepublishError::Retain(shown(&other))),
        };
        let direct = match self.direct_dispatch.value(row) {
            Picked::Fixed(direct) | Picked::Value(Value::Bool(direct)) => direct,
            Picked::Missing => false,
            Picked::Value(other) => {
                tracing::error!(value = shown(&other), "`direct_dispatch` is neither true nor false; taken as false");
                false
            }
        };
        let record = Record {
            topic: topic.into(),
            key: None,
            value: Some(Bytes::from(text(&self.payload, row))),
            headers: self.user_properties(row, original)?,
            timestamp: None,
        };
        let (properties, dup) = (self.properties(row), original.dup);
        Ok((record, Publication { qos, retain, dup, direct, properties, sender: Arc::new(sender) }))
    }

    fn user_properties(&self, row: &Row<'_>, original: &Message) -> Result<Headers, RepublishError> {
        let template = match &self.user_properties {
            UserProperties::None => return Ok(Vec::new()),
            UserProperties::Original => {
                let given = original.properties.iter().flat_map(|properties| &properties.user_properties);
                let copied = given.map(|(key, value)| (key.as_str().into(), Some(Bytes::from(value.clone()))));
                return Ok(copied.collect());
            }
            UserProperties::Placeholder(template) => template,
        };
        match template.value(row) {
            None => Ok(Vec::new()),
            Some(Value::Map(entries)) => entries
                .iter()
                .map(|(key, value)| {
                    let key = std::str::from_utf8(key).map_err(|_| RepublishError::NotText)?;
                    let mut text = Vec::new();
                    value.write_text(&mut text).map_err(|_| RepublishError::NotText)?;
                    Ok((key.into(), Some(Bytes::from(text))))
                })
                .collect(),
            Some(other) => Err(RepublishError::UserProperties(shown(&other))),
        }
    }

    fn properties(&self, row: &Row<'_>) -> Properties {
        let mut properties = Properties::default();
        for (property, template) in &self.properties {
            let text = text(template, row);
            let utf8 = || std::str::from_utf8(&text).ok().map(str::to_owned);
            match property {
                // Of these two only what reads as a number is kept.
                Property::PayloadFormatIndicator => {
                    let given = utf8().and_then(|text| text.parse().ok());
                    properties.payload_format_indicator = given.filter(|given| *given <= 1);
                }
                Property::MessageExpiryInterval => {
                    properties.message_expiry_interval = utf8().and_then(|text| text.parse().ok());
                }
                Property::ContentType => properties.content_type = utf8(),
                Property::ResponseTopic => {
                    properties.response_topic = utf8().filter(|topic| TopicName::new(topic).is_ok());
                }
                Property::CorrelationData => properties.correlation_data = Some(Bytes::from(text)),
            }
        }
        properties
    }
}

/// What is wrong with the arguments of a `republish`, if anything is.
#[must_use]
pub fn check_republish(said: &Republish) -> Option<BadArgument> {
    RepublishTemplates::compile(said).err()
}

impl Publication {
    /// The message, from its record as transforms left it.
    pub(super) fn message(&self, record: Record) -> Result<Message, RepublishError> {
        let topic = TopicName::new(&record.topic).map_err(|_| RepublishError::Topic(record.topic.to_string()))?;
        let mut properties = self.properties.clone();
        for (key, value) in record.headers {
            let value = String::from_utf8(value.unwrap_or_default().into()).map_err(|_| RepublishError::NotText)?;
            properties.user_properties.push((key.to_string(), value));
        }
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let received_at = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
        Ok(Message {
            id: MessageId::next(received_at),
            client: self.sender.clone(),
            topic,
            payload: record.value.unwrap_or_default(),
            qos: self.qos,
            retain: self.retain,
            dup: self.dup,
            properties: (properties != Properties::default()).then(|| Box::new(properties)),
            received_at,
        })
    }
}

/// What a choice comes to.
enum Picked<T> {
    Fixed(T),
    Missing,
    Value(Value),
}

impl<T: Copy> Choice<T> {
    fn value(&self, row: &Row<'_>) -> Picked<T> {
        match self {
            Choice::Fixed(value) => Picked::Fixed(*value),
            Choice::Placeholder(template) => template.value(row).map_or(Picked::Missing, Picked::Value),
        }
    }
}

fn choice<T: Copy, U>(key: &str, said: &Setting<T>, fixed: impl Fn(T) -> U) -> Result<Choice<U>, BadArgument> {
    match said {
        Setting::Fixed(value) => Ok(Choice::Fixed(fixed(*value))),
        Setting::Placeholder(text) => single(key, text).map(Choice::Placeholder),
    }
}

fn single(key: &str, text: &str) -> Result<Template, BadArgument> {
    Template::wide_placeholder(text)
        .ok_or_else(|| (key.to_owned(), format!("`{text}` is not one placeholder, such as \"${{{key}}}\"")))
}

/// As EMQX renders text: what is missing is the word `undefined`.
fn text(template: &Template, row: &Row<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    // With `Missing::Text` nothing can be missing.
    let _ = template.render(row, Missing::Text, &mut out);
    out
}

fn shown(value: &Value) -> String {
    let mut json = Vec::new();
    value.to_json(&mut json);
    json.truncate(200);
    String::from_utf8_lossy(&json).into_owned()
}
