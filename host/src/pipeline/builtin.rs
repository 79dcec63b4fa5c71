//! EMQX's built-in actions as the configuration says them: `republish` and `console` (rule-sql 6.3, 6.4).
//!
//! An action of its own is `[actions.NAME]` with `type = "republish"` and `parameters`; inside a rule it is an entry of
//! `actions`, as EMQX writes it: `{ function = "republish", args = { ... } }`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Unexpected, Visitor};

/// `[actions.NAME]` of type `republish`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RepublishAction {
    #[serde(rename = "type")]
    pub kind: RepublishType,
    #[serde(default = "yes")]
    pub enable: bool,
    #[serde(default)]
    pub description: String,
    #[serde(default)]
    pub tags: Vec<String>,
    pub parameters: Republish,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RepublishType {
    Republish,
}

/// `[actions.NAME]` of type `console`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsoleAction {
    #[serde(rename = "type")]
    pub kind: ConsoleType,
    #[serde(default = "yes")]
    pub enable: bool,
    #[serde(default)]
    pub description: String,
    #[serde(default)]
    pub tags: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConsoleType {
    Console,
}

/// A built-in action with all that it was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Function {
    Republish(Republish),
    Console,
}

/// A built-in action under a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuiltIn {
    pub enable: bool,
    pub function: Function,
}

impl From<RepublishAction> for BuiltIn {
    fn from(action: RepublishAction) -> BuiltIn {
        BuiltIn { enable: action.enable, function: Function::Republish(action.parameters) }
    }
}

impl From<ConsoleAction> for BuiltIn {
    fn from(action: ConsoleAction) -> BuiltIn {
        BuiltIn { enable: action.enable, function: Function::Console }
    }
}

/// What `republish` publishes, in EMQX's words. Text is a template over the rule's output.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Republish {
    pub topic: String,
    /// Empty means the whole output as JSON.
    #[serde(default = "payload")]
    pub payload: String,
    /// 0, 1 or 2, or one placeholder; a missing value is 0.
    #[serde(default = "qos")]
    pub qos: Setting<u8>,
    /// `true`, `false` or one placeholder; a missing value is `false`.
    #[serde(default = "retain")]
    pub retain: Setting<bool>,
    /// One placeholder for an object. `${pub_props.'User-Property'}` takes those of the message that the rule runs for,
    /// whether the rule selects them or not. Text that does not begin with `${` is ignored.
    #[serde(default = "user_properties")]
    pub user_properties: String,
    /// `Payload-Format-Indicator`, `Message-Expiry-Interval`, `Content-Type`, `Response-Topic` and `Correlation-Data`.
    #[serde(default)]
    pub mqtt_properties: BTreeMap<String, PropertyText>,
    /// `true`: to subscribers only; no rule runs for it and it is not retained.
    #[serde(default)]
    pub direct_dispatch: Setting<bool>,
}

fn yes() -> bool {
    true
}

fn payload() -> String {
    "${payload}".to_owned()
}

fn qos() -> Setting<u8> {
    Setting::Placeholder("${qos}".to_owned())
}

fn retain() -> Setting<bool> {
    Setting::Placeholder("${retain}".to_owned())
}

fn user_properties() -> String {
    "${user_properties}".to_owned()
}

/// A constant, or a placeholder that gives it for each message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Setting<T> {
    Fixed(T),
    Placeholder(String),
}

impl<T: Default> Default for Setting<T> {
    fn default() -> Setting<T> {
        Setting::Fixed(T::default())
    }
}

/// What a constant may be.
trait Constant: Sized {
    const EXPECTED: &'static str;

    fn of_integer(_: i64) -> Option<Self> {
        None
    }

    fn of_bool(_: bool) -> Option<Self> {
        None
    }
}

impl Constant for u8 {
    const EXPECTED: &'static str = "0, 1, 2, or one placeholder like \"${qos}\"";

    fn of_integer(n: i64) -> Option<u8> {
        u8::try_from(n).ok().filter(|n| *n <= 2)
    }
}

impl Constant for bool {
    const EXPECTED: &'static str = "true, false, or one placeholder like \"${retain}\"";

    fn of_bool(value: bool) -> Option<bool> {
        Some(value)
    }
}

impl<'de, T: Constant> Deserialize<'de> for Setting<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Setting<T>, D::Error> {
        struct Either<T>(std::marker::PhantomData<T>);
        impl<T: Constant> Visitor<'_> for Either<T> {
            type Value = Setting<T>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(T::EXPECTED)
            }

            fn visit_i64<E: Error>(self, n: i64) -> Result<Setting<T>, E> {
                T::of_integer(n).map(Setting::Fixed).ok_or_else(|| E::invalid_value(Unexpected::Signed(n), &self))
            }

            fn visit_u64<E: Error>(self, n: u64) -> Result<Setting<T>, E> {
                self.visit_i64(i64::try_from(n).unwrap_or(i64::MAX))
            }

            fn visit_bool<E: Error>(self, value: bool) -> Result<Setting<T>, E> {
                T::of_bool(value).map(Setting::Fixed).ok_or_else(|| E::invalid_value(Unexpected::Bool(value), &self))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Setting<T>, E> {
                match text.starts_with("${") && text.ends_with('}') {
                    true => Ok(Setting::Placeholder(text.to_owned())),
                    false => Err(E::invalid_value(Unexpected::Str(text), &self)),
                }
            }
        }
        deserializer.deserialize_any(Either(std::marker::PhantomData))
    }
}

/// A template for a property, which may be written as a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PropertyText(pub String);

impl<'de> Deserialize<'de> for PropertyText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<PropertyText, D::Error> {
        struct TextOrNumber;
        impl Visitor<'_> for TextOrNumber {
            type Value = PropertyText;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a text, which may have placeholders, or a whole number")
            }

            fn visit_i64<E: Error>(self, n: i64) -> Result<PropertyText, E> {
                Ok(PropertyText(n.to_string()))
            }

            fn visit_u64<E: Error>(self, n: u64) -> Result<PropertyText, E> {
                Ok(PropertyText(n.to_string()))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<PropertyText, E> {
                Ok(PropertyText(text.to_owned()))
            }
        }
        deserializer.deserialize_any(TextOrNumber)
    }
}

/// One entry of a rule's `actions`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ActionUse {
    /// The name of an action; EMQX's `type:name` is understood.
    Named(String),
    /// A built-in action of this rule alone.
    Inline(Function),
}

impl<'de> Deserialize<'de> for ActionUse {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ActionUse, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Said {
            function: FunctionName,
            args: Option<Republish>,
        }

        #[derive(Deserialize)]
        #[serde(rename_all = "snake_case")]
        enum FunctionName {
            Republish,
            Console,
        }

        struct NameOrTable;
        impl<'de> Visitor<'de> for NameOrTable {
            type Value = ActionUse;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(
                    "the name of an action, or a table like { function = \"republish\", args = { topic = \"t\" } } \
                     or { function = \"console\" }",
                )
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<ActionUse, E> {
                Ok(ActionUse::Named(name.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ActionUse, A::Error> {
                let Said { function, args } = Said::deserialize(MapAccessDeserializer::new(map))?;
                match (function, args) {
                    (FunctionName::Republish, Some(args)) => Ok(ActionUse::Inline(Function::Republish(args))),
                    (FunctionName::Republish, None) => Err(A::Error::missing_field("args")),
                    (FunctionName::Console, None) => Ok(ActionUse::Inline(Function::Console)),
                    (FunctionName::Console, Some(_)) => Err(A::Error::custom("`console` takes no `args`")),
                }
            }
        }
        deserializer.deserialize_any(NameOrTable)
    }
}

/// Whether it is the action of that name.
impl PartialEq<&str> for ActionUse {
    fn eq(&self, name: &&str) -> bool {
        matches!(self, ActionUse::Named(named) if named == name)
    }
}

impl From<&str> for ActionUse {
    fn from(name: &str) -> ActionUse {
        ActionUse::Named(name.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_emqx_s() {
        let republish: Republish = toml::from_str("topic = \"a/${clientid}\"").unwrap();
        assert_eq!(
            (republish.payload.as_str(), republish.user_properties.as_str()),
            ("${payload}", "${user_properties}")
        );
        assert_eq!(republish.qos, Setting::Placeholder("${qos}".to_owned()));
        assert_eq!(republish.retain, Setting::Placeholder("${retain}".to_owned()));
        assert_eq!(republish.direct_dispatch, Setting::Fixed(false));
    }

    #[test]
    fn constants_and_placeholders_are_told_apart_and_others_refused() {
        let text = "topic = \"t\"\nqos = 2\nretain = true\ndirect_dispatch = \"${direct}\"\n\
                    mqtt_properties = { Message-Expiry-Interval = 60, Content-Type = \"${kind}\" }";
        let republish: Republish = toml::from_str(text).unwrap();
        assert_eq!((republish.qos, republish.retain), (Setting::Fixed(2), Setting::Fixed(true)));
        assert_eq!(republish.direct_dispatch, Setting::Placeholder("${direct}".to_owned()));
        assert_eq!(republish.mqtt_properties["Message-Expiry-Interval"].0, "60");
        for bad in ["qos = 3", "qos = \"1\"", "qos = true", "retain = 1", "retain = \"yes\"", "payloat = \"\""] {
            assert!(toml::from_str::<Republish>(&format!("topic = \"t\"\n{bad}")).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_rule_names_actions_or_brings_its_own() {
        #[derive(Deserialize)]
        struct Rule {
            actions: Vec<ActionUse>,
        }
        let read = |actions: &str| toml::from_str::<Rule>(&format!("actions = [{actions}]")).map(|rule| rule.actions);
        let found =
            read("\"sink\", { function = \"republish\", args = { topic = \"t\" } }, { function = \"console\" }");
        let found = found.unwrap();
        assert_eq!(found[0], ActionUse::Named("sink".to_owned()));
        assert!(matches!(&found[1], ActionUse::Inline(Function::Republish(args)) if args.topic == "t"));
        assert_eq!(found[2], ActionUse::Inline(Function::Console));
        for bad in [
            "{ function = \"republish\" }",
            "{ function = \"console\", args = { topic = \"t\" } }",
            "{ function = \"run\" }",
            "{ topic = \"t\" }",
            "7",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
