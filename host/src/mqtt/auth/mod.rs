//! Authentication: a chain of mechanisms in the order of the configuration, each of which lets in, refuses, or leaves the
//! question to the next (EMQX: Authentication Chain).
//!
//! At the end of the chain stands what needs no mechanism: a verified client certificate, or nobody being asked. A name or a
//! password that no mechanism knew is refused there, whatever certificate comes with it. Nothing of a password or token
//! is ever logged or kept.

mod grant;
mod http;
mod jwt;
mod placeholders;
mod users;

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;

pub use grant::Grant;
pub use jwt::JwtError;
pub use placeholders::{CONNECT, Facts, REQUEST, Text, UnknownPlaceholder};
pub use users::UsersError;

use self::http::HttpAuthenticator;
use self::jwt::Jwt;
use self::users::Users;
use super::certificate::PeerCertificate;
use super::config::{AuthenticationConfig, AuthenticatorConfig, PasswordBackend};
use super::hook::{Hook, HookError};
use super::packet::Reason;
use crate::telemetry::metrics::Metrics;

/// Why the mechanisms cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    #[error(transparent)]
    Users(#[from] UsersError),
    #[error("authenticator {authenticator}: {source}")]
    Jwt { authenticator: usize, source: JwtError },
    #[error("authenticator {authenticator}: {source}")]
    Http { authenticator: usize, source: HookError },
}

/// What is wrong with a configuration, by key. Files are not read.
#[must_use]
pub fn check_authentication(config: &AuthenticationConfig) -> Vec<(String, String)> {
    config.check(|hook| Hook::check(hook, CONNECT))
}

/// Who says what about who it is.
#[derive(Clone, Copy, Debug)]
pub struct Credentials<'a> {
    pub client_id: &'a str,
    pub username: Option<&'a str>,
    pub password: Option<&'a Bytes>,
    pub peer: SocketAddr,
    pub certificate: &'a PeerCertificate,
    /// The user name is the one in the certificate.
    pub name_from_certificate: bool,
}

impl Credentials<'_> {
    /// The user name that the client itself claims.
    fn claimed_name(&self) -> Option<&str> {
        self.username.filter(|_| !self.name_from_certificate)
    }
}

/// What one mechanism says.
#[derive(Debug)]
enum Verdict {
    Allow(Grant),
    Deny(Reason),
    /// It is for the next to decide; the reason counts if nobody does.
    Ignore(Reason),
}

/// Decides who may connect.
#[derive(Debug)]
pub struct Authenticator {
    chain: Vec<Mechanism>,
    anonymous: bool,
}

#[derive(Debug)]
enum Mechanism {
    Users(Users),
    Jwt(Box<Jwt>),
    Http(Box<HttpAuthenticator>),
}

impl Authenticator {
    /// Reads all files that the mechanisms need.
    pub fn load(config: &AuthenticationConfig, metrics: &Arc<Metrics>) -> Result<Authenticator, AuthError> {
        let mut chain = Vec::new();
        if let Some(file) = &config.users_file {
            chain.push(Mechanism::Users(Users::load(file)?));
        }
        for (index, authenticator) in config.chain.iter().enumerate() {
            let number = index + 1;
            match authenticator {
                AuthenticatorConfig::Jwt(jwt) if jwt.enable => {
                    let jwt = Jwt::load(jwt).map_err(|source| AuthError::Jwt { authenticator: number, source })?;
                    chain.push(Mechanism::Jwt(Box::new(jwt)));
                }
                AuthenticatorConfig::PasswordBased(PasswordBackend::BuiltInDatabase(users)) if users.enable => {
                    chain.push(Mechanism::Users(Users::load(&users.users_file)?));
                }
                AuthenticatorConfig::PasswordBased(PasswordBackend::Http(http)) if http.enable => {
                    let http = HttpAuthenticator::new(http, metrics.clone());
                    let http = http.map_err(|source| AuthError::Http { authenticator: number, source })?;
                    chain.push(Mechanism::Http(Box::new(http)));
                }
                _ => {}
            }
        }
        let anonymous = config.allow_anonymous.unwrap_or(chain.is_empty());
        Ok(Authenticator { chain, anonymous })
    }

    /// Whether this client may connect, and with what rights; otherwise the reason to tell it. May take a while: call it
    /// under the connect time limit. `now`: seconds since 1970-01-01 UTC.
    pub async fn check(&self, credentials: &Credentials<'_>, now: i64) -> Result<Grant, Reason> {
        let mut reason = Reason::NotAuthorized;
        for mechanism in &self.chain {
            let verdict = match mechanism {
                Mechanism::Users(users) => users.check(credentials).await,
                Mechanism::Jwt(jwt) => jwt.check(credentials, now),
                Mechanism::Http(http) => http.check(credentials, now).await,
            };
            match verdict {
                Verdict::Allow(grant) => return Ok(Grant { identified: true, ..grant }),
                Verdict::Deny(reason) => return Err(reason),
                Verdict::Ignore(why) if why != Reason::NotAuthorized => reason = why,
                Verdict::Ignore(_) => {}
            }
        }
        let claims = credentials.claimed_name().is_some() || credentials.password.is_some_and(|text| !text.is_empty());
        match (claims && !self.chain.is_empty(), credentials.certificate.verified || self.anonymous) {
            (false, true) => Ok(Grant { identified: credentials.certificate.verified, ..Grant::default() }),
            _ => Err(reason),
        }
    }
}

/// Random bytes from the operating system.
#[must_use]
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    if rustls::crypto::ring::default_provider().secure_random.fill(&mut bytes).is_err() {
        // The operating system has no randomness at all; the standard library's seeds are the next best.
        use std::hash::{BuildHasher, Hasher};
        for chunk in bytes.chunks_mut(8) {
            let seed = std::hash::RandomState::new().build_hasher().finish().to_be_bytes();
            chunk.copy_from_slice(&seed[..chunk.len()]);
        }
    }
    bytes
}

#[cfg(test)]
mod tests;
