//! The keys that tokens are verified with: a shared secret, a public key, or a set of public keys (JWKS).

use std::path::Path;

use jsonwebtoken::jwk::{Jwk, JwkSet, PublicKeyUse};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, Validation, decode, decode_header};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, SubjectPublicKeyInfoDer};
use serde_json::{Map, Value};
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

use super::JwtError;
use crate::mqtt::config::JwtConfig;

/// What a verified token says.
pub type Claims = Map<String, Value>;

/// All keys of one authenticator.
#[derive(Debug)]
pub struct Keys(Vec<Key>);

#[derive(Debug)]
struct Key {
    /// The `kid` that tokens name it by; without one it is tried for every token.
    id: Option<String>,
    /// The only algorithm that it is for, if its set says so.
    only: Option<Algorithm>,
    key: DecodingKey,
}

impl Keys {
    /// Reads what the configuration names.
    pub fn load(config: &JwtConfig) -> Result<Keys, JwtError> {
        let one = |key| Keys(vec![Key { id: None, only: None, key }]);
        if config.use_jwks {
            return read_set(config.jwks_file.as_deref().ok_or(JwtError::Missing("jwks_file"))?);
        }
        if let Some(text) = &config.public_key {
            return public_key(text).map(one);
        }
        let secret = config.secret.as_ref().ok_or(JwtError::Missing("secret"))?.expose();
        match config.secret_base64_encoded {
            true => DecodingKey::from_base64_secret(secret).map(one).map_err(|_| JwtError::Base64),
            false => Ok(one(DecodingKey::from_secret(secret.as_bytes()))),
        }
    }

    /// The claims of a token that one of the keys signed. Of its times nothing is checked here.
    #[must_use]
    pub fn verify(&self, token: &[u8]) -> Option<Claims> {
        let header = decode_header(token).ok()?;
        // Extensions that must be understood: none is (RFC 7515, 4.1.11).
        if header.crit.is_some() {
            return None;
        }
        let mut validation = Validation::new(header.alg);
        validation.required_spec_claims.clear();
        (validation.validate_exp, validation.validate_nbf, validation.validate_aud) = (false, false, false);
        let named = |key: &&Key| match (&key.id, &header.kid) {
            (Some(id), Some(wanted)) => id == wanted,
            _ => true,
        };
        let fit =
            |key: &&Key| key.key.family() == header.alg.family() && key.only.is_none_or(|only| only == header.alg);
        let mut keys = self.0.iter().filter(named).filter(fit);
        keys.find_map(|key| decode::<Claims>(token, &key.key, &validation).ok()).map(|token| token.claims)
    }
}

/// A PEM text, or a file with one: a public key or a certificate.
fn public_key(text: &str) -> Result<DecodingKey, JwtError> {
    let pem = match text.contains("-----BEGIN") {
        true => text.as_bytes().to_vec(),
        false => read(Path::new(text))?,
    };
    let bad = |reason: &str| JwtError::PublicKey(reason.to_owned());
    if let Ok(info) = SubjectPublicKeyInfoDer::from_pem_slice(&pem) {
        let (_, info) = SubjectPublicKeyInfo::from_der(&info).map_err(|_| bad("it is damaged"))?;
        return decoding_key(&info).ok_or_else(|| bad("expected RSA, EC (P-256, P-384) or Ed25519"));
    }
    let certificate =
        CertificateDer::from_pem_slice(&pem).map_err(|_| bad("no public key and no certificate in PEM form"))?;
    let (_, certificate) = x509_parser::parse_x509_certificate(&certificate).map_err(|_| bad("it is damaged"))?;
    decoding_key(certificate.public_key()).ok_or_else(|| bad("expected RSA, EC (P-256, P-384) or Ed25519"))
}

/// id-Ed25519 (RFC 8410).
const ED25519: &str = "1.3.101.112";

fn decoding_key(info: &SubjectPublicKeyInfo<'_>) -> Option<DecodingKey> {
    let data = &info.subject_public_key.data;
    match info.parsed() {
        Ok(PublicKey::RSA(_)) => Some(DecodingKey::from_rsa_der(data)),
        // The size of the point tells the curve; others than these two have another size.
        Ok(PublicKey::EC(_)) if data.len() == 65 || data.len() == 97 => Some(DecodingKey::from_ec_der(data)),
        _ if info.algorithm.algorithm.to_id_string() == ED25519 => Some(DecodingKey::from_ed_der(data)),
        _ => None,
    }
}

fn read_set(path: &Path) -> Result<Keys, JwtError> {
    let bad = |reason: String| JwtError::KeySet { path: path.to_owned(), reason };
    let set: JwkSet = serde_json::from_slice(&read(path)?).map_err(|error| bad(error.to_string()))?;
    // A set may hold keys of kinds that are not for us; what is left must be something.
    let keys: Vec<Key> = set.keys.iter().filter_map(set_key).collect();
    if keys.is_empty() {
        return Err(bad("it has no public key for signatures that is known here".to_owned()));
    }
    Ok(Keys(keys))
}

fn set_key(jwk: &Jwk) -> Option<Key> {
    let for_signatures = matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature));
    let key = DecodingKey::from_jwk(jwk).ok().filter(|_| for_signatures)?;
    // As in EMQX, a key set holds public keys only.
    if key.family() == AlgorithmFamily::Hmac {
        return None;
    }
    let only = match jwk.common.key_algorithm {
        None => None,
        Some(algorithm) => Some(algorithm.to_string().parse().ok()?),
    };
    Some(Key { id: jwk.common.key_id.clone(), only, key })
}

fn read(path: &Path) -> Result<Vec<u8>, JwtError> {
    std::fs::read(path).map_err(|error| JwtError::Read { path: path.to_owned(), reason: error.to_string() })
}
