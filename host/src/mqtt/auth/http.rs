//! Authentication by somebody else's HTTP service (EMQX: HTTP Authentication). An answer that says nothing is `ignore`: the
//! next mechanism decides, and at the end of the chain the client is refused.

use std::sync::Arc;

use super::placeholders::{CONNECT, Facts};
use super::{Credentials, Grant, Verdict};
use crate::mqtt::config::{HookConfig, PeerCertAs};
use crate::mqtt::hook::{Answer, Hook, HookError};
use crate::mqtt::packet::Reason;
use crate::telemetry::metrics::Metrics;
use serde_json::{Map, Value};

/// Asks one service.
#[derive(Debug)]
pub struct HttpAuthenticator {
    hook: Hook,
}

impl HttpAuthenticator {
    pub fn new(config: &HookConfig, metrics: Arc<Metrics>) -> Result<HttpAuthenticator, HookError> {
        Ok(HttpAuthenticator { hook: Hook::new(config, CONNECT, metrics)? })
    }

    pub(super) async fn check(&self, who: &Credentials<'_>, now: i64) -> Verdict {
        let password = who.password.map(|password| String::from_utf8_lossy(password));
        let (name, subject) = (who.certificate.name(PeerCertAs::Cn), who.certificate.name(PeerCertAs::Dn));
        let facts = Facts {
            client_id: who.client_id,
            username: who.username,
            password: password.as_deref(),
            peerhost: Some(who.peer.ip()),
            cert_common_name: name.as_deref(),
            cert_subject: subject.as_deref(),
            ..Facts::default()
        };
        match self.hook.ask(&facts).await {
            Some(Answer::NoContent) => Verdict::Allow(Grant::default()),
            Some(Answer::Object(said)) => judge(&said, now),
            None => Verdict::Ignore(Reason::NotAuthorized),
        }
    }
}

/// From the body of an answer to a decision.
fn judge(said: &Map<String, Value>, now: i64) -> Verdict {
    match said.get("result").and_then(Value::as_str) {
        Some("allow") => {}
        Some("deny") => return Verdict::Deny(Reason::NotAuthorized),
        _ => return Verdict::Ignore(Reason::NotAuthorized),
    }
    // Seconds since 1970-01-01 UTC; milliseconds by mistake would last for ever.
    let expires = match said.get("expire_at") {
        None => None,
        Some(at) => match at.as_i64().filter(|at| *at > now && *at < now.saturating_mul(500)) {
            Some(at) => Some(at),
            None => return Verdict::Deny(Reason::BadUserNameOrPassword),
        },
    };
    match Grant::read(said, "acl") {
        Ok(grant) => Verdict::Allow(Grant { expires_at: expires, disconnect: expires.is_some(), ..grant }),
        Err(error) => {
            tracing::warn!(%error, "the rules in an HTTP answer cannot be used; the client is refused");
            Verdict::Deny(Reason::BadUserNameOrPassword)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_judged_as_emqx_does() {
        const NOW: i64 = 1_700_000_000;
        let judged = |text: &str| match judge(&serde_json::from_str(text).unwrap(), NOW) {
            Verdict::Allow(grant) => format!("allow {} {:?} {:?}", grant.superuser, grant.attrs, grant.expires_at),
            Verdict::Deny(reason) => format!("deny {reason:?}"),
            Verdict::Ignore(_) => "ignore".to_owned(),
        };
        for (said, expected) in [
            (r#"{"result": "allow"}"#, "allow false {} None"),
            (r#"{"result": "allow", "is_superuser": true}"#, "allow true {} None"),
            (r#"{"result": "allow", "client_attrs": {"a": "b"}}"#, "allow false {\"a\": \"b\"} None"),
            (r#"{"result": "allow", "expire_at": 1700000060}"#, "allow false {} Some(1700000060)"),
            (r#"{"result": "deny", "is_superuser": true}"#, "deny NotAuthorized"),
            (r#"{"result": "ignore"}"#, "ignore"),
            (r#"{"result": "Allow"}"#, "ignore"),
            (r#"{"result": true}"#, "ignore"),
            ("{}", "ignore"),
            (r#"{"result": "allow", "expire_at": 1699999999}"#, "deny BadUserNameOrPassword"),
            (r#"{"result": "allow", "expire_at": 1700000060000}"#, "deny BadUserNameOrPassword"),
            (r#"{"result": "allow", "expire_at": "soon"}"#, "deny BadUserNameOrPassword"),
            (r#"{"result": "allow", "acl": [{}]}"#, "deny BadUserNameOrPassword"),
        ] {
            assert_eq!(judged(said), expected, "{said}");
        }
    }
}
