//! Tokens signed here, by keys made here, against every way to say which keys are ours. RSA is tried with openssl's keys,
//! against the running program.

use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
};
use ring::{digest, hmac};

use super::keys::Keys;
use super::*;

fn base64(bytes: &[u8], alphabet: &[u8; 64]) -> String {
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let group = chunk.iter().fold(0_u32, |group, byte| group << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        (0..=chunk.len()).for_each(|n| text.push(char::from(alphabet[(group >> (18 - 6 * n)) as usize & 63])));
    }
    text
}

fn url(bytes: &[u8]) -> String {
    base64(bytes, b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
}

fn pem(label: &str, der: &[u8]) -> String {
    let mut text = base64(der, b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");
    text.push_str(&"=".repeat((4 - text.len() % 4) % 4));
    let lines: Vec<String> =
        text.as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line).into_owned()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

fn token(header: &str, claims: &str, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let message = format!("{}.{}", url(header.as_bytes()), url(claims.as_bytes()));
    let signature = url(&sign(message.as_bytes()));
    format!("{message}.{signature}")
}

fn by_secret(algorithm: hmac::Algorithm, secret: &'static [u8]) -> impl FnOnce(&[u8]) -> Vec<u8> {
    move |message| hmac::sign(&hmac::Key::new(algorithm, secret), message).as_ref().to_vec()
}

fn keys(config: &str) -> Result<Keys, JwtError> {
    provider::install();
    Keys::load(&toml::from_str(config).unwrap())
}

fn is_ours(keys: &Keys, token: &str) -> bool {
    keys.verify(token.as_bytes()).is_some()
}

const CLAIMS: &str = r#"{"sub":"dev-1","exp":17}"#;

#[test]
fn secrets_sign_in_three_strengths() {
    let plain = keys("secret = \"a secret\"").unwrap();
    let encoded = keys("secret = \"YSBzZWNyZXQ=\"\nsecret_base64_encoded = true").unwrap();
    for (name, algorithm) in [("HS256", hmac::HMAC_SHA256), ("HS384", hmac::HMAC_SHA384), ("HS512", hmac::HMAC_SHA512)]
    {
        let header = format!(r#"{{"typ":"JWT","alg":"{name}"}}"#);
        let good = token(&header, CLAIMS, by_secret(algorithm, b"a secret"));
        assert!(is_ours(&plain, &good) && is_ours(&encoded, &good), "{name}");
        assert!(!is_ours(&plain, &token(&header, CLAIMS, by_secret(algorithm, b"another"))), "{name}");
        assert_eq!(plain.verify(good.as_bytes()).unwrap()["sub"], "dev-1");
        // Each character counts.
        for at in 0..good.len() {
            let mut bad = good.clone().into_bytes();
            bad[at] = if bad[at] == b'A' { b'B' } else { b'A' };
            let bad = String::from_utf8(bad).unwrap();
            assert!(!is_ours(&plain, &bad), "{name} at {at}");
        }
    }
    assert!(matches!(keys("secret = \"?\"\nsecret_base64_encoded = true"), Err(JwtError::Base64)));
}

#[test]
fn what_is_no_token_of_ours_is_left_to_others() {
    let keys = keys("secret = \"a secret\"").unwrap();
    let signed = |header: &str, claims: &str| token(header, claims, by_secret(hmac::HMAC_SHA256, b"a secret"));
    assert!(is_ours(&keys, &signed(r#"{"alg":"HS256"}"#, CLAIMS)));
    for bad in [
        String::new(),
        "password".to_owned(),
        "a.b.c".to_owned(),
        "..".to_owned(),
        signed(r#"{"alg":"none"}"#, CLAIMS),
        signed(r#"{"alg":"HS999"}"#, CLAIMS),
        signed(r#"{"alg":"RS256"}"#, CLAIMS),
        signed(r#"{"alg":"HS256","crit":["b64"]}"#, CLAIMS),
        signed(r#"{"alg":"HS256"}"#, "[]"),
        signed(r#"{"alg":"HS256"}"#, "not JSON"),
        signed(r#"{"alg":"HS256"}"#, CLAIMS) + ".more",
        token(r#"{"alg":"none"}"#, CLAIMS, |_| Vec::new()),
    ] {
        assert!(!is_ours(&keys, &bad), "{bad}");
    }
}

struct Curve {
    name: &'static str,
    curve: &'static str,
    info: Vec<u8>,
    coordinate: usize,
    pair: EcdsaKeyPair,
}

fn curves() -> [Curve; 2] {
    let hex =
        |text: &str| (0..text.len() / 2).map(|n| u8::from_str_radix(&text[2 * n..2 * n + 2], 16).unwrap()).collect();
    let both = [
        (
            "ES256",
            "P-256",
            32,
            &ECDSA_P256_SHA256_FIXED_SIGNING,
            "3059301306072a8648ce3d020106082a8648ce3d030107034200",
        ),
        ("ES384", "P-384", 48, &ECDSA_P384_SHA384_FIXED_SIGNING, "3076301006072a8648ce3d020106052b81040022036200"),
    ];
    both.map(|(name, curve, coordinate, algorithm, prefix)| {
        let random = SystemRandom::new();
        let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).unwrap();
        let mut info: Vec<u8> = hex(prefix);
        info.extend(pair.public_key().as_ref());
        Curve { name, curve, info, coordinate, pair }
    })
}

impl Curve {
    fn token(&self, key_id: &str) -> String {
        let header = format!(r#"{{"alg":"{}","kid":"{key_id}"}}"#, self.name);
        token(&header, CLAIMS, |message| self.pair.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec())
    }

    fn jwk(&self, more: &str) -> String {
        let (x, y) = self.pair.public_key().as_ref()[1..].split_at(self.coordinate);
        format!(r#"{{"kty":"EC","crv":"{}","x":"{}","y":"{}"{more}}}"#, self.curve, url(x), url(y))
    }
}

#[test]
fn a_public_key_verifies_what_its_private_key_signed_and_is_never_a_secret() {
    for curve in curves() {
        let text = pem("PUBLIC KEY", &curve.info);
        let keys = keys(&format!("public_key = '''{text}'''")).unwrap();
        assert!(is_ours(&keys, &curve.token("any")), "{}", curve.name);
        // The public key as the secret of HS256: the old attack on verifiers that let the token choose.
        for secret in [text.clone().into_bytes(), curve.info.clone(), curve.pair.public_key().as_ref().to_vec()] {
            let forged = token(r#"{"alg":"HS256"}"#, CLAIMS, |message| {
                hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &secret), message).as_ref().to_vec()
            });
            assert!(!is_ours(&keys, &forged), "{}", curve.name);
        }
    }
    let [first, second] = curves();
    let keys = keys(&format!("public_key = '''{}'''", pem("PUBLIC KEY", &first.info))).unwrap();
    assert!(!is_ours(&keys, &second.token("any")) && !is_ours(&keys, &curves()[0].token("any")));
}

#[test]
fn edwards_curves_are_known() {
    let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
    let pair = Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap();
    let mut info = vec![0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
    info.extend(pair.public_key().as_ref());
    let keys = keys(&format!("public_key = '''{}'''", pem("PUBLIC KEY", &info))).unwrap();
    let good = token(r#"{"alg":"EdDSA"}"#, CLAIMS, |message| pair.sign(message).as_ref().to_vec());
    assert!(is_ours(&keys, &good));
    assert!(!is_ours(&keys, &token(r#"{"alg":"EdDSA"}"#, CLAIMS, |_| vec![0; 64])));
}

#[test]
fn a_key_set_is_searched_by_key_id_and_by_algorithm() {
    let path =
        std::env::temp_dir().join(format!("millstream-jwks-{:x}", u64::from_be_bytes(crate::mqtt::auth::random())));
    let load = |keys_in_set: &[String]| {
        std::fs::write(&path, format!(r#"{{"keys":[{}]}}"#, keys_in_set.join(","))).unwrap();
        keys(&format!("use_jwks = true\njwks_file = '{}'", path.display()))
    };
    let [small, large] = curves();
    let other = r#"{"kty":"oct","k":"c2VjcmV0","kid":"shared"}"#.to_owned();
    let strange = r#"{"kty":"LWE","q":7}"#.to_owned();
    let both = [other.clone(), strange, small.jwk(r#","kid":"s","use":"sig""#), large.jwk(r#","alg":"ES384""#)];
    let both = load(&both).unwrap();
    assert!(is_ours(&both, &small.token("s")) && is_ours(&both, &large.token("whatever")));
    assert!(!is_ours(&both, &small.token("t")), "another key is named");
    let shared = token(r#"{"alg":"HS256","kid":"shared"}"#, CLAIMS, by_secret(hmac::HMAC_SHA256, b"secret"));
    assert!(!is_ours(&both, &shared), "a set holds public keys only");
    for useless in [vec![], vec![other], vec![small.jwk(r#","use":"enc""#)]] {
        assert!(matches!(load(&useless), Err(JwtError::KeySet { .. })), "{useless:?}");
    }
    std::fs::write(&path, "{}").unwrap();
    let error = keys(&format!("use_jwks = true\njwks_file = '{}'", path.display())).unwrap_err().to_string();
    assert!(error.contains(&path.display().to_string()), "{error}");
    std::fs::remove_file(path).unwrap();
}

#[test]
fn keys_that_cannot_be_used_are_named() {
    let broken = pem("PUBLIC KEY", &digest::digest(&digest::SHA256, b"x").as_ref()[..31]);
    for (config, part) in [
        ("public_key = \"no/such/file\"".to_owned(), "no/such/file"),
        (format!("public_key = '''{broken}'''"), "public_key"),
        ("public_key = \"-----BEGIN nothing\"".to_owned(), "PEM"),
        ("".to_owned(), "secret"),
        ("use_jwks = true".to_owned(), "jwks_file"),
    ] {
        let error = keys(&config).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}
