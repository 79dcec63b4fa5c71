//! The chain as a whole: who gets in by which mechanism, and what is said to those who do not.

use std::path::PathBuf;

use argon2::password_hash::{PasswordHasher, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};

use super::*;

fn metrics() -> Arc<Metrics> {
    Arc::new(Metrics::default())
}

fn hash(password: &str) -> String {
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(8, 1, 1, None).unwrap());
    let salt = SaltString::from_b64("c29tZXNhbHQ").unwrap();
    argon2.hash_password(password.as_bytes(), &salt).unwrap().to_string()
}

/// The `[authentication]` table `more` with a users file of this text.
fn load(users: &str, more: &str) -> Result<Authenticator, AuthError> {
    let path = std::env::temp_dir().join(format!("millstream-users-{:x}", u64::from_be_bytes(random())));
    std::fs::write(&path, users).unwrap();
    let loaded = Authenticator::load(
        &toml::from_str(&format!("users_file = '{}'\n{more}", path.display())).unwrap(),
        &metrics(),
    );
    std::fs::remove_file(path).unwrap();
    loaded
}

/// Asks with a name and a password; `by` a certificate or by one that also has the name.
async fn ask(
    authenticator: &Authenticator,
    name: Option<&str>,
    password: &str,
    by: (bool, bool),
) -> Result<Grant, Reason> {
    let password = Bytes::copy_from_slice(password.as_bytes());
    let certificate = match by.0 {
        true => PeerCertificate::of_proxy(Some("device-7".to_owned())),
        false => PeerCertificate::default(),
    };
    let credentials = Credentials {
        client_id: "c",
        username: name,
        password: Some(&password),
        peer: "127.0.0.1:1".parse().unwrap(),
        certificate: &certificate,
        name_from_certificate: by.1,
    };
    authenticator.check(&credentials, 1_700_000_000).await
}

const PLAIN: (bool, bool) = (false, false);

#[tokio::test]
async fn passwords_are_checked_and_right_ones_remembered() {
    let users = format!("# staff\n\njoe:{}\nan:na:{}\n", hash("secret"), hash("other"));
    let authenticator = load(&users, "").unwrap();
    for (name, password, expected) in [
        (Some("joe"), "secret", None),
        (Some("joe"), "secret", None),
        (Some("an:na"), "other", None),
        (Some("joe"), "other", Some(Reason::BadUserNameOrPassword)),
        (Some("joe"), "", Some(Reason::BadUserNameOrPassword)),
        (Some("jim"), "secret", Some(Reason::BadUserNameOrPassword)),
        (None, "", Some(Reason::NotAuthorized)),
        (None, "secret", Some(Reason::NotAuthorized)),
    ] {
        assert_eq!(ask(&authenticator, name, password, PLAIN).await.err(), expected, "{name:?} {password}");
    }
    let Mechanism::Users(users) = &authenticator.chain[0] else { panic!() };
    assert_eq!(users.remembered(), 2);
}

#[tokio::test]
async fn certificates_and_anonymity_are_ways_in_of_their_own() {
    let users = format!("joe:{}", hash("x"));
    let authenticator = load(&users, "").unwrap();
    assert!(ask(&authenticator, None, "", (true, false)).await.is_ok());
    let claims_to_be_joe = ask(&authenticator, Some("joe"), "", (true, false)).await;
    assert_eq!(claims_to_be_joe.err(), Some(Reason::BadUserNameOrPassword));
    assert!(ask(&authenticator, Some("joe"), "", (true, true)).await.is_ok());
    let anonymous = load(&users, "allow_anonymous = true").unwrap();
    assert!(ask(&anonymous, None, "", PLAIN).await.is_ok());
    assert!(ask(&anonymous, Some("jim"), "x", PLAIN).await.is_err(), "a name that nobody knows is not anonymous");
    assert!(ask(&anonymous, None, "x", PLAIN).await.is_err(), "neither is a password");
    let nobody = Authenticator::load(&toml::from_str("allow_anonymous = false").unwrap(), &metrics()).unwrap();
    assert_eq!(ask(&nobody, Some("joe"), "x", PLAIN).await.err(), Some(Reason::NotAuthorized));
    let anybody = Authenticator::load(&AuthenticationConfig::default(), &metrics()).unwrap();
    assert!(ask(&anybody, Some("joe"), "x", PLAIN).await.is_ok());
}

/// `{"alg":"HS256"}`, `{"is_superuser":true}`, signed with `secret`.
const TOKEN: &str = "eyJhbGciOiJIUzI1NiJ9.eyJpc19zdXBlcnVzZXIiOnRydWV9.61_uRTjBo1SeIL6POivRXBNbPRo-uSprLOwD8y-UDxY";

#[tokio::test]
async fn the_chain_goes_on_until_one_decides() {
    let chain = "[[chain]]\nmechanism = \"jwt\"\nsecret = \"secret\"\n";
    let users = format!("joe:{}", hash("x"));
    let authenticator = load(&users, chain).unwrap();
    // Users first, then tokens; a name that the file knows is the file's to judge.
    assert!(!ask(&authenticator, Some("joe"), "x", PLAIN).await.unwrap().superuser);
    assert!(ask(&authenticator, Some("jim"), TOKEN, PLAIN).await.unwrap().superuser);
    assert!(ask(&authenticator, None, TOKEN, PLAIN).await.unwrap().superuser);
    let judged = ask(&authenticator, Some("joe"), TOKEN, PLAIN).await;
    assert_eq!(judged.err(), Some(Reason::BadUserNameOrPassword));
    assert!(ask(&authenticator, None, &format!("{TOKEN}x"), PLAIN).await.is_err());
    let off = load(&users, &format!("{chain}enable = false\n")).unwrap();
    assert!(ask(&off, None, TOKEN, PLAIN).await.is_err());
}

#[test]
fn a_bad_users_file_is_named_with_its_line() {
    let good = hash("x");
    for (text, line) in [
        ("joe:plaintext".to_owned(), "line 1"),
        (format!("\njoe:{good}\njoe:{good}"), "line 3"),
        (format!(":{good}"), "line 1"),
        ("joe:$2b$12$abcdefghijklmnopqrstuu".to_owned(), "line 1"),
    ] {
        let error = load(&text, "").unwrap_err().to_string();
        assert!(error.contains(line), "{error}");
    }
    let missing = AuthenticationConfig { users_file: Some(PathBuf::from("no/such/file")), ..Default::default() };
    assert!(Authenticator::load(&missing, &metrics()).unwrap_err().to_string().contains("no/such/file"));
}
