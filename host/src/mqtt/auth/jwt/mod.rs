//! JSON Web Tokens as EMQX takes them: in the password or the user name, signed with a shared secret or by whoever holds
//! the private key to one of ours.
//!
//! `keys` reads keys, `provider` verifies signatures with ring, `claims` decides on what a verified token says. A token that
//! is none, or that none of our keys signed, is left to the next mechanism; one that we trust and that does not fit is
//! refused.

mod claims;
mod keys;
mod provider;

use std::path::PathBuf;

use super::{Credentials, UnknownPlaceholder, Verdict};
use crate::mqtt::config::{JwtConfig, TokenFrom};
use crate::mqtt::packet::Reason;

use claims::Expectations;
use keys::Keys;

/// Why tokens cannot be verified.
#[derive(Debug, thiserror::Error)]
pub enum JwtError {
    #[error("cannot read {}: {reason}", path.display())]
    Read { path: PathBuf, reason: String },
    #[error("`public_key` holds no public key that can be used: {0}")]
    PublicKey(String),
    #[error("the key set {} cannot be used: {reason}", path.display())]
    KeySet { path: PathBuf, reason: String },
    #[error("`secret` is not base64, although `secret_base64_encoded` says so")]
    Base64,
    #[error("`{0}` is missing")]
    Missing(&'static str),
    #[error("`verify_claims.{claim}`: {source}")]
    Claim { claim: String, source: UnknownPlaceholder },
}

/// Verifies tokens.
#[derive(Debug)]
pub struct Jwt {
    from: TokenFrom,
    keys: Keys,
    expected: Expectations,
}

/// A larger token is not looked at: nobody needs one, and verifying costs.
const MAX_TOKEN: usize = 64 << 10;

impl Jwt {
    /// Reads keys and cuts texts.
    pub fn load(config: &JwtConfig) -> Result<Jwt, JwtError> {
        provider::install();
        Ok(Jwt { from: config.from, keys: Keys::load(config)?, expected: Expectations::new(config)? })
    }

    /// `now`: seconds since 1970-01-01 UTC.
    pub(super) fn check(&self, credentials: &Credentials<'_>, now: i64) -> Verdict {
        let token = match self.from {
            TokenFrom::Password => credentials.password.map(|password| &password[..]),
            TokenFrom::Username => credentials.username.map(str::as_bytes),
        };
        let verified = token.filter(|token| token.len() <= MAX_TOKEN).and_then(|token| self.keys.verify(token));
        let Some(claims) = verified else { return Verdict::Ignore(Reason::NotAuthorized) };
        match self.expected.judge(&claims, credentials, now) {
            Ok(grant) => Verdict::Allow(grant),
            Err(refused) => {
                tracing::debug!(client = credentials.client_id, reason = %refused, "a token is refused");
                Verdict::Deny(Reason::BadUserNameOrPassword)
            }
        }
    }
}

#[cfg(test)]
mod tests;
