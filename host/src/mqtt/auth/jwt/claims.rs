//! From the claims of a verified token to a decision. Pure: it is told the time.

use serde_json::{Map, Value};

use super::{Credentials, JwtError};
use crate::mqtt::acl::OwnRulesError;
use crate::mqtt::auth::Grant;
use crate::mqtt::auth::placeholders::{Facts, NAMES, Text};
use crate::mqtt::config::JwtConfig;

/// Why a token of ours does not let in. It holds nothing of what the token says.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    #[error("it has expired, or `exp` is no time")]
    Expired,
    #[error("it is not valid yet, or `nbf` is no time")]
    TooEarly,
    #[error("it has no claim `{0}`, which `verify_claims` asks for")]
    Missing(String),
    #[error("its claim `{0}` is not what `verify_claims` asks for")]
    Different(String),
    #[error("its rules cannot be used: {0}")]
    Rules(#[from] OwnRulesError),
}

/// What is expected of every token.
#[derive(Debug)]
pub struct Expectations {
    claims: Vec<(String, Text)>,
    acl: String,
    disconnect: bool,
}

impl Expectations {
    pub fn new(config: &JwtConfig) -> Result<Expectations, JwtError> {
        let claims = config.verify_claims.iter().map(|(claim, text)| {
            let text = Text::parse(text, NAMES).map_err(|source| JwtError::Claim { claim: claim.clone(), source })?;
            Ok((claim.clone(), text))
        });
        Ok(Expectations {
            claims: claims.collect::<Result<_, JwtError>>()?,
            acl: config.acl_claim_name.clone(),
            disconnect: config.disconnect_after_expire,
        })
    }

    /// What the token grants at `now`, in seconds since 1970-01-01 UTC.
    pub fn judge(&self, claims: &Map<String, Value>, who: &Credentials<'_>, now: i64) -> Result<Grant, Refused> {
        let expires = claims.get("exp").map(seconds);
        if expires.is_some_and(|at| at.is_none_or(|at| at <= now)) {
            return Err(Refused::Expired);
        }
        if claims.get("nbf").map(seconds).is_some_and(|at| at.is_none_or(|at| at > now)) {
            return Err(Refused::TooEarly);
        }
        let facts = Facts { client_id: who.client_id, username: who.username, ..Facts::default() };
        for (claim, text) in &self.claims {
            let said = claims.get(claim).ok_or_else(|| Refused::Missing(claim.clone()))?;
            let expected = text.fill(&facts, str::to_owned);
            let fits = match said {
                // An audience may be several (RFC 7519, 4.1.3).
                Value::Array(several) if claim == "aud" => several.iter().any(|one| *one == expected),
                said => *said == expected,
            };
            // Empty is nobody: a claim that a client without user name could fit by having none.
            if !fits || expected.is_empty() {
                return Err(Refused::Different(claim.clone()));
            }
        }
        let mut grant = Grant::read(claims, &self.acl)?;
        // Without rules of its own, a client that may stay has nothing that ends.
        grant.expires_at = expires.flatten().filter(|_| self.disconnect || grant.acl.is_some());
        grant.disconnect = self.disconnect;
        Ok(grant)
    }
}

/// A NumericDate, which EMQX also takes as text. Fractions count down.
fn seconds(value: &Value) -> Option<i64> {
    let number = match value {
        Value::Number(number) => number.as_i64().map(|n| n as f64).or_else(|| number.as_f64()),
        Value::String(text) => text.parse::<f64>().ok(),
        _ => None,
    };
    // Far beyond any date, and still exact.
    number.filter(|number| number.abs() < 1e15).map(|number| number.floor() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mqtt::certificate::PeerCertificate;

    const NOW: i64 = 1_700_000_000;

    fn judge(config: &str, claims: &str) -> Result<Grant, String> {
        let config: JwtConfig = toml::from_str(config).unwrap();
        let who = Credentials {
            client_id: "dev-1",
            username: Some("joe"),
            password: None,
            peer: "127.0.0.1:1".parse().unwrap(),
            certificate: &PeerCertificate::default(),
            name_from_certificate: false,
        };
        let claims = serde_json::from_str(claims).unwrap();
        Expectations::new(&config).unwrap().judge(&claims, &who, NOW).map_err(|refused| refused.to_string())
    }

    #[test]
    fn times_are_held_to() {
        for (claims, fits) in [
            ("{}", true),
            (r#"{"exp": 1700000001}"#, true),
            (r#"{"exp": 1700000000}"#, false),
            (r#"{"exp": 1700000000.5}"#, false),
            (r#"{"exp": "1700000001"}"#, true),
            (r#"{"exp": "1699999999"}"#, false),
            (r#"{"exp": "never"}"#, false),
            (r#"{"exp": null}"#, false),
            (r#"{"exp": [1700000001]}"#, false),
            (r#"{"exp": 1e300}"#, false),
            (r#"{"nbf": 1700000000}"#, true),
            (r#"{"nbf": 1700000001}"#, false),
            (r#"{"nbf": true}"#, false),
            (r#"{"iat": 1800000000}"#, true),
        ] {
            assert_eq!(judge("", claims).is_ok(), fits, "{claims}");
        }
    }

    #[test]
    fn expected_claims_are_there_and_equal() {
        let config = r#"verify_claims = { username = "${username}", sub = "d:${clientid}", aud = "mqtt" }"#;
        for (claims, expected) in [
            (r#"{"username": "joe", "sub": "d:dev-1", "aud": "mqtt"}"#, ""),
            (r#"{"username": "joe", "sub": "d:dev-1", "aud": ["x", "mqtt"]}"#, ""),
            (r#"{"username": "joe", "sub": "d:dev-1", "aud": []}"#, "`aud`"),
            (r#"{"username": "jim", "sub": "d:dev-1", "aud": "mqtt"}"#, "`username`"),
            (r#"{"username": "joe", "sub": ["d:dev-1"], "aud": "mqtt"}"#, "`sub`"),
            (r#"{"username": "joe", "aud": "mqtt"}"#, "no claim `sub`"),
        ] {
            let said = judge(config, claims).map_or_else(|refused| refused, |_| String::new());
            assert!(said.contains(expected) && said.is_empty() == expected.is_empty(), "{claims}: {said}");
        }
        assert!(Expectations::new(&toml::from_str("verify_claims = { a = \"${password}\" }").unwrap()).is_err());
    }

    #[test]
    fn a_grant_ends_as_configured() {
        let plain = r#"{"exp": 1700000060}"#;
        let ruled = r#"{"exp": 1700000060, "acl": {"all": ["t"]}, "client_attrs": {"site": "p7"}}"#;
        let ends = |config, claims| {
            let grant = judge(config, claims).unwrap();
            (grant.expires_at, grant.disconnect)
        };
        assert_eq!(ends("", plain), (Some(NOW + 60), true));
        assert_eq!(ends("disconnect_after_expire = false", plain).0, None);
        assert_eq!(ends("disconnect_after_expire = false", ruled), (Some(NOW + 60), false));
        assert_eq!(judge("", ruled).unwrap().attrs["site"], "p7");
        assert!(judge("acl_claim_name = \"rules\"", ruled).unwrap().acl.is_none());
        assert!(judge("", r#"{"acl": [{"permission": "allow"}]}"#).unwrap_err().contains("rules"));
    }
}
