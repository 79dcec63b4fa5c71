//! Who may connect and who may do what, as it is written in the configuration. Names are EMQX's. Only data.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};

use super::Verify;
use crate::message::QoS;
use crate::units::{Millis, Secret};

/// Who may connect. Without any mechanism, client certificates or `allow_anonymous`, listeners serve this machine only.
///
/// Either EMQX's form, the chain alone, `[[authentication]]` once for each authenticator; or a table `[authentication]`
/// with `users_file`, `allow_anonymous` and `[[authentication.chain]]`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AuthenticationConfig {
    /// One `name:hash` a line; the hash is argon2's PHC string (`$argon2id$v=19$...`). It stands before the chain.
    pub users_file: Option<PathBuf>,
    /// Clients without user name and password are let in. Default: only when there is no mechanism at all.
    pub allow_anonymous: Option<bool>,
    /// Authenticators in the order in which they are asked.
    pub chain: Vec<AuthenticatorConfig>,
    /// It was written as a table, so the chain is a key of it; for telling where something is wrong.
    pub is_table: bool,
}

impl AuthenticationConfig {
    /// Whether the configuration says anything of who may connect.
    #[must_use]
    pub fn asks(&self) -> bool {
        let on = |authenticator: &AuthenticatorConfig| match authenticator {
            AuthenticatorConfig::Jwt(jwt) => jwt.enable,
            AuthenticatorConfig::PasswordBased(PasswordBackend::BuiltInDatabase(users)) => users.enable,
            AuthenticatorConfig::PasswordBased(PasswordBackend::Http(hook)) => hook.enable,
        };
        self.users_file.is_some() || self.allow_anonymous.is_some() || self.chain.iter().any(on)
    }

    /// What is wrong with the values, by key; `hook` knows what is wrong with an HTTP request. Files are not read.
    #[must_use]
    pub fn check(&self, hook: impl Fn(&HookConfig) -> Vec<(String, String)>) -> Vec<(String, String)> {
        let mut found = Vec::new();
        for (index, authenticator) in self.chain.iter().enumerate() {
            let wrong = match authenticator {
                AuthenticatorConfig::Jwt(jwt) => jwt.check(),
                AuthenticatorConfig::PasswordBased(PasswordBackend::BuiltInDatabase(_)) => Vec::new(),
                AuthenticatorConfig::PasswordBased(PasswordBackend::Http(http)) => hook(http),
            };
            let chain = if self.is_table { "chain." } else { "" };
            found.extend(wrong.into_iter().map(|(key, message)| (format!("{chain}[{index}].{key}"), message)));
        }
        found
    }
}

impl<'de> Deserialize<'de> for AuthenticationConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<AuthenticationConfig, D::Error> {
        #[derive(Default, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        struct Table {
            users_file: Option<PathBuf>,
            allow_anonymous: Option<bool>,
            chain: Vec<AuthenticatorConfig>,
        }
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = AuthenticationConfig;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a table, or a list of authenticators")
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<AuthenticationConfig, A::Error> {
                let Table { users_file, allow_anonymous, chain } =
                    Table::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Ok(AuthenticationConfig { users_file, allow_anonymous, chain, is_table: true })
            }
            fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<AuthenticationConfig, A::Error> {
                let chain = Vec::deserialize(de::value::SeqAccessDeserializer::new(items))?;
                Ok(AuthenticationConfig { chain, ..AuthenticationConfig::default() })
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// One authenticator of the chain.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(tag = "mechanism", rename_all = "snake_case")]
pub enum AuthenticatorConfig {
    Jwt(JwtConfig),
    PasswordBased(PasswordBackend),
}

/// Where names and passwords are looked up.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(tag = "backend", rename_all = "snake_case")]
pub enum PasswordBackend {
    BuiltInDatabase(UsersConfig),
    Http(HookConfig),
}

/// A question to an HTTP service (EMQX: HTTP Authentication, HTTP Authorization). It answers 200 with
/// `{"result": "allow" | "deny" | "ignore"}`, which may also hold `is_superuser`, `client_attrs`, `acl` and `expire_at`
/// (authentication only), or 204 for `allow`. Any other answer, or none in time, is `ignore`.
///
/// `${clientid}`, `${username}`, `${peerhost}` may stand in path, query, headers and body; for authentication `${password}`,
/// `${cert_common_name}` and `${cert_subject}` too, for authorization `${topic}`, `${action}`, `${qos}`, `${retain}` and
/// `${client_attrs.NAME}`. What is not known is empty.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HookConfig {
    #[serde(default = "yes")]
    pub enable: bool,
    pub method: HookMethod,
    pub url: String,
    #[serde(default)]
    pub headers: BTreeMap<String, Secret>,
    /// An object of texts: sent as JSON, as a form when the `content-type` header says so, in the query with `get`.
    #[serde(default)]
    pub body: BTreeMap<String, String>,
    /// Questions at the same time; more wait, within their time limit.
    #[serde(default = "default_pool_size")]
    pub pool_size: NonZeroUsize,
    #[serde(default = "seconds::<15>")]
    pub connect_timeout: Millis,
    /// For the whole of a question. EMQX gives authorization 30 s, which is long for a client that is not read meanwhile.
    #[serde(default = "seconds::<5>")]
    pub request_timeout: Millis,
    #[serde(default)]
    pub ssl: Option<HookSsl>,
}

impl HookConfig {
    /// What is wrong with the values taken together, by key.
    #[must_use]
    pub fn check(&self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        let mut complain = |wrong: bool, key: &str, message: &str| {
            if wrong {
                found.push((key.to_owned(), message.to_owned()));
            }
        };
        let typed = self.headers.keys().any(|name| name.eq_ignore_ascii_case("content-type"));
        complain(typed && self.method == HookMethod::Get, "headers", "a `get` has no body and so no `content-type`");
        complain(
            self.request_timeout.0 == 0,
            "request_timeout",
            "no answer comes in no time; expected \"1ms\" or more",
        );
        if let Some(ssl) = &self.ssl {
            let https = self.url.starts_with("https://");
            let on = ssl.enable.unwrap_or(https);
            complain(
                https != on,
                "ssl.enable",
                "`https` is with TLS and `http` is without; the URL and `enable` differ",
            );
            let pair = ssl.certfile.is_some() == ssl.keyfile.is_some();
            complain(!pair, "ssl.certfile", "`certfile` and `keyfile` go together");
            let blind = ssl.verify == Some(Verify::VerifyNone);
            complain(blind, "ssl.verify", "the service is always verified; name its authority in `cacertfile`");
        }
        found
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HookMethod {
    Get,
    Post,
}

/// TLS towards an HTTP service, which is always verified. Files are PEM.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HookSsl {
    /// Default: as the URL says.
    pub enable: Option<bool>,
    pub verify: Option<Verify>,
    /// The authorities that may have signed its certificate; the system's, if it does not say.
    pub cacertfile: Option<PathBuf>,
    /// A certificate to show it, with its key.
    pub certfile: Option<PathBuf>,
    pub keyfile: Option<PathBuf>,
}

fn default_pool_size() -> NonZeroUsize {
    NonZeroUsize::MIN.saturating_add(7)
}

fn seconds<const N: u64>() -> Millis {
    Millis::from_secs(N)
}

/// `mechanism = "password_based"`, `backend = "built_in_database"`: here the database is a file.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UsersConfig {
    #[serde(default = "yes")]
    pub enable: bool,
    /// As `authentication.users_file`.
    pub users_file: PathBuf,
}

/// `mechanism = "jwt"` (EMQX: JWT Authentication). HS256/384/512 with a secret; RS, PS, ES 256/384(/512) and EdDSA with a
/// public key or a key set.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JwtConfig {
    #[serde(default = "yes")]
    pub enable: bool,
    /// Where CONNECT has the token.
    #[serde(default)]
    pub from: TokenFrom,
    /// May be left out: the keys that are given say it.
    #[serde(default)]
    pub algorithm: Option<KeyKind>,
    #[serde(default)]
    pub secret: Option<Secret>,
    #[serde(default)]
    pub secret_base64_encoded: bool,
    /// A public key or a certificate in PEM form, or a file with one. A changed file is read again.
    #[serde(default)]
    pub public_key: Option<String>,
    /// Keys come from a key set (JWKS, RFC 7517).
    #[serde(default)]
    pub use_jwks: bool,
    /// The key set, as a file that whoever rotates keys replaces; it is read again when it changes. Ours.
    #[serde(default)]
    pub jwks_file: Option<PathBuf>,
    /// Claims that must be there and equal this text, in which `${clientid}` and `${username}` may stand. For `aud`, one of
    /// several is enough. `exp` and `nbf` are always held to.
    #[serde(default)]
    pub verify_claims: BTreeMap<String, String>,
    /// The claim with the client's own rules.
    #[serde(default = "acl")]
    pub acl_claim_name: String,
    /// At `exp` the client is disconnected (0x87). If not, its own rules end then, and deny everything.
    #[serde(default = "yes")]
    pub disconnect_after_expire: bool,
}

impl JwtConfig {
    fn check(&self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        let mut complain = |wrong: bool, key: &str, message: &str| {
            if wrong {
                found.push((key.to_owned(), message.to_owned()));
            }
        };
        let given = [self.secret.is_some(), self.public_key.is_some(), self.use_jwks];
        complain(
            given.iter().filter(|given| **given).count() != 1,
            "algorithm",
            "expected one of `secret`, `public_key`, or `use_jwks = true` with `jwks_file`",
        );
        complain(
            self.use_jwks != self.jwks_file.is_some(),
            "use_jwks",
            "`use_jwks = true` and `jwks_file` go together",
        );
        let (hmac, public) = (self.algorithm == Some(KeyKind::Hmac), self.algorithm == Some(KeyKind::PublicKey));
        complain(hmac && self.secret.is_none(), "algorithm", "\"hmac-based\" needs a `secret`");
        complain(public && self.secret.is_some(), "algorithm", "\"public-key\" needs a `public_key`, not a `secret`");
        let empty = self.secret.as_ref().is_some_and(|secret| secret.expose().is_empty());
        complain(empty, "secret", "an empty secret protects nothing");
        for claim in self.verify_claims.keys().filter(|claim| matches!(claim.as_str(), "" | "exp" | "iat" | "nbf")) {
            complain(true, &format!("verify_claims.{claim}"), "this claim is a time, which is always held to");
        }
        found
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenFrom {
    #[default]
    Password,
    Username,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum KeyKind {
    #[serde(rename = "hmac-based")]
    Hmac,
    #[serde(rename = "public-key")]
    PublicKey,
}

fn yes() -> bool {
    true
}

fn acl() -> String {
    "acl".to_owned()
}

/// `[authorization]`: the first rule that fits decides.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AuthorizationConfig {
    /// When no rule fits.
    pub no_match: Permission,
    /// What becomes of a client whose publication or subscription is denied.
    pub deny_action: DenyAction,
    pub rules: Vec<RuleConfig>,
    /// Services that are asked, in their order, about what no rule decides.
    pub sources: Vec<SourceConfig>,
    /// How long their answers are remembered for the client that got them.
    pub cache: CacheConfig,
}

impl AuthorizationConfig {
    /// What is wrong with the values, by key; `hook` knows what is wrong with an HTTP request.
    #[must_use]
    pub fn check(&self, hook: impl Fn(&HookConfig) -> Vec<(String, String)>) -> Vec<(String, String)> {
        let sources = self.sources.iter().enumerate();
        let wrong = sources.flat_map(|(index, SourceConfig::Http(config))| {
            hook(config).into_iter().map(move |(key, message)| (format!("sources.[{index}].{key}"), message))
        });
        wrong.collect()
    }
}

/// One `[[authorization.sources]]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum SourceConfig {
    Http(HookConfig),
}

/// `[authorization.cache]`: of each client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CacheConfig {
    pub enable: bool,
    /// Answers; the oldest goes first.
    pub max_size: usize,
    pub ttl: Millis,
}

impl Default for CacheConfig {
    fn default() -> CacheConfig {
        CacheConfig { enable: true, max_size: 32, ttl: Millis::from_secs(60) }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DenyAction {
    /// It gets its answer and stays (3.1.1 has no answer to a publication, so there only QoS 0 stays).
    #[default]
    Ignore,
    /// It is disconnected.
    Disconnect,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Permission {
    #[default]
    Allow,
    Deny,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    Publish,
    Subscribe,
    #[default]
    All,
}

/// One rule: who (all that are given must fit), what, and where.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleConfig {
    pub permission: Permission,
    #[serde(default)]
    pub action: Action,
    #[serde(default)]
    pub clientid: Option<String>,
    #[serde(default)]
    pub username: Option<String>,
    /// One address or a network, like `10.0.0.0/8`.
    #[serde(default)]
    pub ipaddr: Option<String>,
    /// Topic filters; `${clientid}`, `${username}` and `${client_attrs.NAME}` stand for the client's own, never for a
    /// wildcard. After `eq ` stands the very text: `eq a/#` is a subscription to `a/#` and nothing else.
    pub topics: Vec<String>,
    /// QoS levels that the rule is about; all, if it does not say.
    #[serde(default, deserialize_with = "levels")]
    pub qos: Option<Vec<QoS>>,
    /// Only publications that are (`true`) or are not (`false`) to be retained.
    #[serde(default)]
    pub retain: Option<bool>,
}

fn levels<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<QoS>>, D::Error> {
    let levels = Vec::<u8>::deserialize(deserializer)?
        .into_iter()
        .map(|n| QoS::from_u8(n).ok_or_else(|| de::Error::custom(format!("{n} is not a QoS; write 0, 1 or 2"))));
    levels.collect::<Result<_, _>>().map(Some)
}

/// One `[[banned]]`: an entry of EMQX's table of banned clients.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BanConfig {
    /// What `who` is compared with.
    #[serde(rename = "as")]
    pub kind: BanKind,
    pub who: String,
    /// For people: who banned it, why, since when.
    #[serde(default)]
    pub by: Option<String>,
    #[serde(default)]
    pub reason: Option<String>,
    #[serde(default)]
    pub at: Option<Until>,
    /// When the ban ends; never, if it does not say.
    #[serde(default)]
    pub until: Until,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BanKind {
    Clientid,
    Username,
    /// One address.
    Peerhost,
    /// A regular expression that fits anywhere in the client id; `^` and `$` bind it.
    ClientidRe,
    UsernameRe,
    /// A network, like `10.0.0.0/8`.
    PeerhostNet,
}

/// A moment: `"2027-01-31T12:00:00Z"`, seconds since 1970-01-01 UTC, or `"infinity"`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Until {
    #[default]
    Infinity,
    /// Seconds since 1970-01-01 UTC.
    At(i64),
}

impl Until {
    /// Whether it is later than `now` (seconds since 1970-01-01 UTC).
    #[must_use]
    pub fn is_after(self, now: i64) -> bool {
        match self {
            Until::Infinity => true,
            Until::At(at) => at > now,
        }
    }

    fn from_date(date: &toml::value::Datetime) -> Option<Until> {
        let (day, time, offset) = (date.date?, date.time?, date.offset?);
        let minutes = match offset {
            toml::value::Offset::Z => 0,
            toml::value::Offset::Custom { minutes } => i64::from(minutes),
        };
        // Days from the civil calendar, with years that begin in March so that the leap day is the last.
        let (year, month) = (i64::from(day.year), i64::from(day.month));
        let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
        let days = year * 365 + year.div_euclid(4) - year.div_euclid(100)
            + year.div_euclid(400)
            + (month * 153 + 2) / 5
            + i64::from(day.day)
            - 719_469;
        let seconds = i64::from(time.hour) * 3600 + i64::from(time.minute) * 60 + i64::from(time.second.unwrap_or(0));
        Some(Until::At(days * 86_400 + seconds - minutes * 60))
    }
}

impl<'de> Deserialize<'de> for Until {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Until, D::Error> {
        struct Moment;
        impl<'de> Visitor<'de> for Moment {
            type Value = Until;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a time like \"2027-01-31T12:00:00Z\", seconds since 1970, or \"infinity\"")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Until, E> {
                if text == "infinity" {
                    return Ok(Until::Infinity);
                }
                let date = text.parse().ok().and_then(|date| Until::from_date(&date));
                date.ok_or_else(|| {
                    E::custom(format!(
                        "`{text}` is not a time; write one with its zone, like \"2027-01-31T12:00:00Z\", or \"infinity\""
                    ))
                })
            }
            fn visit_i64<E: de::Error>(self, seconds: i64) -> Result<Until, E> {
                Ok(Until::At(seconds))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Until, A::Error> {
                let date = toml::value::Datetime::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Until::from_date(&date)
                    .ok_or_else(|| de::Error::custom("the time needs a date, a time of day and a zone"))
            }
        }
        deserializer.deserialize_any(Moment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authentication_is_a_chain_or_a_table_with_one() {
        let chain = "mechanism = \"jwt\"\nsecret = \"hunter2\"\nverify_claims = { sub = \"${clientid}\" }\n";
        #[derive(Deserialize)]
        struct Whole {
            authentication: AuthenticationConfig,
        }
        let read = |text: &str| toml::from_str::<Whole>(text).map(|whole| whole.authentication);
        let list = read(&format!("[[authentication]]\n{chain}")).unwrap();
        let table =
            read(&format!("[authentication]\nallow_anonymous = true\n[[authentication.chain]]\n{chain}")).unwrap();
        assert_eq!(list.chain, table.chain);
        assert!(list.asks() && list.check(|_| Vec::new()).is_empty() && !format!("{list:?}").contains("hunter2"));
        assert_eq!((list.allow_anonymous, table.allow_anonymous), (None, Some(true)));
        for bad in [
            "[[authentication]]\nmechanism = \"jwt\"\nsecrets = \"x\"",
            "[[authentication]]\nmechanism = \"password_based\"\nbackend = \"mysql\"",
            "[authentication]\nchains = []",
            "authentication = 1",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
        for (bad, key) in [
            ("", "[0].algorithm"),
            ("secret = \"\"", "[0].secret"),
            ("secret = \"x\"\npublic_key = \"y\"", "[0].algorithm"),
            ("use_jwks = true", "[0].use_jwks"),
            ("public_key = \"y\"\nalgorithm = \"hmac-based\"", "[0].algorithm"),
            ("secret = \"x\"\nverify_claims = { exp = \"1\" }", "[0].verify_claims.exp"),
        ] {
            let wrong = read(&format!("[[authentication]]\nmechanism = \"jwt\"\n{bad}")).unwrap().check(|_| Vec::new());
            assert_eq!(wrong.first().map(|(key, _)| key.as_str()), Some(key), "{bad}");
        }
    }

    #[test]
    fn moments_are_read_in_every_form() {
        let read = |value: &str| {
            let ban: Result<BanConfig, _> = toml::from_str(&format!("as = \"clientid\"\nwho = \"x\"\nuntil = {value}"));
            ban.map(|ban| ban.until).ok()
        };
        for (value, seconds) in [
            ("0", 0),
            ("1700000000", 1_700_000_000),
            ("\"1970-01-01T00:00:00Z\"", 0),
            ("\"2023-11-14T22:13:20Z\"", 1_700_000_000),
            ("\"2023-11-15T06:13:20+08:00\"", 1_700_000_000),
            ("2023-11-14T22:13:20Z", 1_700_000_000),
            ("\"2024-02-29T00:00:00Z\"", 1_709_164_800),
            ("\"2000-03-01T00:00:00Z\"", 951_868_800),
            ("\"1969-12-31T23:59:59Z\"", -1),
        ] {
            assert_eq!(read(value), Some(Until::At(seconds)), "{value}");
        }
        assert_eq!(read("\"infinity\""), Some(Until::Infinity));
        for bad in ["\"tomorrow\"", "\"2023-11-14T22:13:20\"", "2023-11-14", "true", "\"2023-02-30T00:00:00Z\""] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
