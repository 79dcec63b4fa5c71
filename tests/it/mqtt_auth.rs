//! Who gets in and what they may do: TLS and client certificates, tokens, an HTTP service, and the chain of them.

use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use support::authority::{Authority, openssl};
use support::millstream::{Millstream, NODE};
use support::mqtt::{Client, Received, anybody};
use support::scratch::Scratch;
use support::service::{Request, Service};
use support::tools::run;
use support::wait::until;
use support::wire::{Connect, Packet, Publish, Version};

/// The code of the CONNACK for this user and password.
fn code(host: &Millstream, client: &str, user: Option<&str>, password: &str) -> u8 {
    let connect = Connect { client, user, password: Some(password.as_bytes()), ..anybody(Version::V5) };
    Client::try_connect(host.tcp(), &connect).expect("an answer").1
}

fn log_in(host: &Millstream, client: &str, user: Option<&str>, password: &str) -> Client {
    let connect = Connect { client, user, password: Some(password.as_bytes()), ..anybody(Version::V5) };
    Client::connect_with(host.tcp(), &connect).0
}

fn message(topic: &str, id: u16) -> Publish<'_> {
    Publish { topic, payload: b"x", qos: 1, id, ..Publish::default() }
}

/// The code of the PUBACK for a message to `topic`: 0x10 is "allowed, and nobody wants it".
fn publish(client: &mut Client, topic: &str) -> u8 {
    client.at_least_once(&message(topic, 1))
}

const TLS: &str = r#"
[listeners.ssl]
bind = "127.0.0.1:0"
[listeners.ssl.ssl_options]
certfile = "server.pem"
keyfile = "server.key"
cacertfile = "ca.pem"
verify = "verify_peer"
fail_if_no_peer_cert = true
"#;

/// `mosquitto_pub` over TLS; whether it went well.
fn publish_over_tls(host: &Millstream, certificate: &str, more: &[&str]) -> bool {
    let port = host.listener("ssl").port().to_string();
    let file = |name: &str| host.folder().join(name).display().to_string();
    let (ca, pem, key) = (file("ca.pem"), file(&format!("{certificate}.pem")), file(&format!("{certificate}.key")));
    let base = ["-h", "127.0.0.1", "-p", &port, "--cafile", &ca, "--cert", &pem, "--key", &key, "-q", "1", "-m", "x"];
    run("mosquitto_pub", &[&base[..], more].concat()).code == Some(0)
}

#[test]
fn a_client_certificate_gives_its_owner_the_name_that_the_configuration_takes_from_it() {
    for (kind, name) in [
        ("cn", "dev-7"),
        ("dn", "CN=dev-7,O=Plant\\, Seven,C=DE"),
        ("san_dns", "dev-7.plant.example"),
        ("san_uri", "urn:plant:dev-7"),
        ("san_email", "dev-7@plant.example"),
    ] {
        let scratch = Scratch::new("names");
        let authority = Authority::new(scratch.path(), "ca");
        let _ = authority.issue("server", "/CN=server", "IP:127.0.0.1");
        let names = "email:dev-7@plant.example,URI:urn:plant:dev-7,DNS:dev-7.plant.example,DNS:other.example";
        let _ = authority.issue("device", "/C=DE/O=Plant, Seven/CN=dev-7", names);
        let _ = authority.issue("nameless", "/O=Plant", "");
        let rules = "[authorization]\nno_match = \"deny\"\nrules = [\n{ permission = \"allow\", topics = [\"u/${username}\"] },\n\
                     { permission = \"allow\", username = \"watcher\", topics = [\"#\"] } ]\n";
        let config = format!("{NODE}{TLS}[mqtt]\npeer_cert_as_username = \"{kind}\"\n{rules}");
        let host = Millstream::start_in(scratch, &config);
        let watcher = Connect { client: "w", user: Some("watcher"), ..anybody(Version::V5) };
        let mut watcher = Client::connect_with(host.tcp(), &watcher).0;
        assert_eq!(watcher.subscribe("#", 0), 0);
        let topic = format!("u/{name}");
        // What the client claims to be does not count.
        assert!(publish_over_tls(&host, "device", &["-i", "d", "-u", "root", "-t", &topic]), "{kind}");
        assert!(matches!(watcher.expect(), Packet::Publish { topic: seen, .. } if seen == topic), "{kind}");
        if kind != "dn" {
            assert!(!publish_over_tls(&host, "nameless", &["-i", "n", "-u", name, "-t", &topic]), "{kind}");
            assert_eq!(watcher.receive(Duration::from_millis(50)), Received::Nothing, "{kind}");
        }
    }
}

#[test]
fn only_certificates_of_the_authority_and_only_the_versions_that_are_named() {
    let scratch = Scratch::new("versions");
    let authority = Authority::new(scratch.path(), "ca");
    let _ = authority.issue("server", "/CN=server", "IP:127.0.0.1");
    let _ = authority.issue("device", "/CN=dev-7", "");
    let stranger = Authority::new(scratch.path(), "stranger");
    let _ = stranger.issue("forged", "/CN=dev-7", "");
    let old =
        TLS.replace("listeners.ssl", "listeners.old").replace("[listeners.old]", "[listeners.old]\ntype = \"ssl\"");
    let config = format!("{NODE}{TLS}versions = [\"tlsv1.3\"]\n{old}versions = [\"tlsv1.2\"]\n");
    let host = Millstream::start_in(scratch, &config);
    let handshake = |listener: &str, certificate: &str, version: &str| {
        let address = host.listener(listener).to_string();
        let file = |name: &str| host.folder().join(name).display().to_string();
        let (ca, pem, key) = (file("ca.pem"), file(&format!("{certificate}.pem")), file(&format!("{certificate}.key")));
        let base = ["s_client", "-connect", &address, "-CAfile", &ca, "-cert", &pem, "-key", &key, version];
        let said = run("openssl", &base).stdout;
        said.contains("Cipher is") && !said.contains("Cipher is (NONE)")
    };
    assert!(handshake("ssl", "device", "-tls1_3") && handshake("old", "device", "-tls1_2"));
    assert!(!handshake("ssl", "device", "-tls1_2") && !handshake("old", "device", "-tls1_3"));
    let publish = |certificate| publish_over_tls(&host, certificate, &["-t", "t"]);
    assert!(publish("device") && !publish("forged"));
}

/// base64url without padding, by openssl.
fn base64url(bytes: &[u8], scratch: &Scratch) -> String {
    let file = scratch.path().join("bytes");
    fs::write(&file, bytes).expect("a file");
    let text = openssl(&["base64", "-A", "-in", file.to_str().expect("UTF-8")]);
    text.trim().trim_end_matches('=').replace('+', "-").replace('/', "_")
}

/// Signs a token with `openssl dgst` and these arguments.
fn token(scratch: &Scratch, algorithm: &str, key_id: &str, claims: &str, sign: &[&str]) -> String {
    let header = format!(r#"{{"typ":"JWT","alg":"{algorithm}","kid":"{key_id}"}}"#);
    let message = [base64url(header.as_bytes(), scratch), base64url(claims.as_bytes(), scratch)].join(".");
    let (input, output) = (scratch.path().join("message"), scratch.path().join("signature"));
    fs::write(&input, &message).expect("a file");
    let (input, output) = (input.to_str().expect("UTF-8"), output.to_str().expect("UTF-8"));
    let _ = openssl(&[&["dgst", "-binary", "-out", output], sign, &[input]].concat());
    let signature = fs::read(output).expect("a signature");
    [message, base64url(&signature, scratch)].join(".")
}

fn by_secret(scratch: &Scratch, secret: &str, claims: &str) -> String {
    token(scratch, "HS256", "", claims, &["-sha256", "-hmac", secret])
}

fn in_seconds(seconds: u64) -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs() + seconds
}

#[test]
fn tokens_with_a_shared_secret_let_in_with_the_rights_that_they_name() {
    let work = Scratch::new("tokens");
    let config = format!(
        r#"{NODE}
[[authentication]]
mechanism = "jwt"
from = "password"
algorithm = "hmac-based"
secret = "not a good one"
verify_claims = {{ username = "${{username}}", sub = "${{clientid}}" }}
[authorization]
no_match = "deny"
rules = [{{ permission = "allow", topics = ["site/${{client_attrs.site}}/#"] }}]
"#
    );
    let host = Millstream::start(&config);
    let sign = |claims: &str| by_secret(&work, "not a good one", claims);
    let good = sign(r#"{"username":"joe","sub":"c","client_attrs":{"site":"p7"}}"#);
    let mut client = log_in(&host, "c", Some("joe"), &good);
    assert_eq!((publish(&mut client, "site/p7/x"), publish(&mut client, "site/p8/x")), (0x10, 0x87));
    assert_eq!(client.subscribe("site/p7/#", 1), 1);
    assert_eq!(client.subscribe("#", 1), 0x87);
    // Another client's token, a stranger's, an old one, one for later, and none.
    assert_eq!(code(&host, "d", Some("joe"), &good), 0x86);
    assert_eq!(code(&host, "c", Some("jim"), &good), 0x86);
    let forged = by_secret(&work, "another", r#"{"username":"joe","sub":"c"}"#);
    assert_eq!(code(&host, "c", Some("joe"), &forged), 0x87);
    for times in [format!("\"exp\":{}", in_seconds(0) - 1), format!("\"nbf\":{}", in_seconds(3600))] {
        let token = sign(&format!(r#"{{"username":"joe","sub":"c",{times}}}"#));
        assert_eq!(code(&host, "c", Some("joe"), &token), 0x86, "{times}");
    }
    assert_eq!((code(&host, "c", Some("joe"), ""), code(&host, "c", None, "")), (0x87, 0x87));

    let all = sign(r#"{"username":"joe","sub":"c","is_superuser":true}"#);
    assert_eq!(publish(&mut log_in(&host, "c", Some("joe"), &all), "anything"), 0x10);
    let listed = r#"{"username":"joe","sub":"c","acl":[
        {"permission":"allow","action":"publish","topic":"own/${clientid}","qos":[1]},
        {"permission":"deny","action":"all","topic":"own/#"},
        {"permission":"allow","action":"subscribe","topic":"eq seen/#"}]}"#;
    let mut listed = log_in(&host, "c", Some("joe"), &sign(listed));
    assert_eq!((publish(&mut listed, "own/c"), publish(&mut listed, "own/d")), (0x10, 0x87));
    assert_eq!(listed.exactly_once(&Publish { qos: 2, ..message("own/c", 2) }), 0x87, "allowed for QoS 1 only");
    assert_eq!((listed.subscribe("seen/#", 0), listed.subscribe("seen/x", 0)), (0, 0x87));
    let old = sign(r#"{"username":"joe","sub":"c","acl":{"pub":["a/${username}"],"sub":["b/+"],"all":[]}}"#);
    let mut old = log_in(&host, "c", Some("joe"), &old);
    assert_eq!((publish(&mut old, "a/joe"), publish(&mut old, "b/x"), old.subscribe("b/x", 0)), (0x10, 0x87, 0));
    assert!(!host.log().contains("not a good one") && !host.log().contains(&good));
}

#[test]
fn when_a_token_ends_so_does_the_connection_or_what_it_allowed() {
    let work = Scratch::new("ends");
    for disconnect in [true, false] {
        let config = format!(
            "{NODE}[[authentication]]\nmechanism = \"jwt\"\nsecret = \"s\"\ndisconnect_after_expire = {disconnect}\n"
        );
        let host = Millstream::start(&config);
        let claims = format!(r#"{{"exp":{},"acl":{{"all":["t"]}}}}"#, in_seconds(8));
        let mut client = log_in(&host, "c", None, &by_secret(&work, "s", &claims));
        assert_eq!(publish(&mut client, "t"), 0x10);
        if disconnect {
            assert_eq!(client.expect(), Packet::Disconnect { code: 0x87 });
        } else {
            until("the end of its rights", Duration::from_secs(30), || publish(&mut client, "t") == 0x87);
        }
    }
}

/// A key set with the public half of this RSA key.
fn key_set(key: &str, key_id: &str, scratch: &Scratch) -> String {
    let modulus = openssl(&["rsa", "-in", key, "-noout", "-modulus"]);
    let modulus = modulus.trim().trim_start_matches("Modulus=");
    let byte = |n: usize| u8::from_str_radix(&modulus[2 * n..2 * n + 2], 16).expect("hexadecimal");
    let modulus = base64url(&(0..modulus.len() / 2).map(byte).collect::<Vec<_>>(), scratch);
    format!(r#"{{"keys":[{{"kty":"RSA","use":"sig","kid":"{key_id}","n":"{modulus}","e":"AQAB"}}]}}"#)
}

#[test]
fn public_keys_of_every_kind_verify_and_a_changed_key_set_is_read_again() {
    let scratch = Scratch::new("keys");
    let file = |name: &str| scratch.path().join(name).to_str().expect("UTF-8").to_string();
    for name in ["rsa", "other"] {
        let _ = openssl(&["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", &file(name)]);
        let _ = openssl(&["pkey", "-in", &file(name), "-pubout", "-out", &file(&format!("{name}.pub"))]);
    }
    let jwks = scratch.write("jwks.json", &key_set(&file("rsa"), "rsa", &scratch));
    let config = format!(
        "{NODE}[listeners.tcp2]\nbind = \"127.0.0.1:0\"\n\
         [[authentication]]\nmechanism = \"jwt\"\nalgorithm = \"public-key\"\npublic_key = \"rsa.pub\"\nfrom = \"username\"\n\
         [[authentication]]\nmechanism = \"jwt\"\nuse_jwks = true\njwks_file = \"jwks.json\"\n"
    );
    let work = Scratch::new("signing");
    let (rsa, other) = (file("rsa"), file("other"));
    let host = Millstream::start_in(scratch, &config);
    let pss: &[&str] = &["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest"];
    for (algorithm, hash, padding) in [
        ("RS256", "-sha256", &[][..]),
        ("RS384", "-sha384", &[]),
        ("RS512", "-sha512", &[]),
        ("PS256", "-sha256", pss),
        ("PS384", "-sha384", pss),
        ("PS512", "-sha512", pss),
    ] {
        let good = token(&work, algorithm, "rsa", "{}", &[&[hash, "-sign", &rsa], padding].concat());
        assert_eq!(code(&host, "c", Some(&good), ""), 0, "{algorithm} as the user name, by the public key");
        assert_eq!(code(&host, "c", Some("joe"), &good), 0, "{algorithm} as the password, by the key set");
        let forged = token(&work, algorithm, "rsa", "{}", &[&[hash, "-sign", &other], padding].concat());
        assert_eq!(code(&host, "c", Some(&forged), &forged), 0x87, "{algorithm} by another key");
    }
    // Keys are rotated: the file is replaced, nobody restarts anything.
    let next = token(&work, "RS256", "other", "{}", &["-sha256", "-sign", &other]);
    assert_eq!(code(&host, "c", Some("joe"), &next), 0x87);
    fs::write(&jwks, key_set(&other, "other", &work)).expect("a file");
    until("the new key", Duration::from_secs(60), || code(&host, "c", Some("joe"), &next) == 0);
    let before = token(&work, "RS256", "rsa", "{}", &["-sha256", "-sign", &rsa]);
    assert_eq!(code(&host, "c", Some("joe"), &before), 0x87, "the old key is gone");
}

/// What the service of these tests says of a user.
fn of_user(request: &Request) -> (u16, String) {
    let says = |name: &str| request.body.contains(&format!("\"user\":\"{name}\""));
    let body = match () {
        () if says("joe") && request.body.contains("\"pass\":\"secret\"") => r#"{"result":"allow"}"#,
        () if says("root") => r#"{"result":"allow","is_superuser":true}"#,
        () if says("site") => {
            r#"{"result":"allow","client_attrs":{"site":"p7"},"acl":[
            {"permission":"deny","action":"all","topic":"secret"}]}"#
        }
        () if says("bad") => r#"{"result":"deny"}"#,
        () if says("odd") => r#"{"result":"allow","acl":[{"permission":"maybe"}]}"#,
        () if says("plain") => return (204, String::new()),
        () if says("broken") => return (500, String::new()),
        () => r#"{"result":"ignore"}"#,
    };
    (200, body.to_string())
}

fn hook(service: &Service, more: &str) -> String {
    format!(
        r#"
[[authentication]]
mechanism = "password_based"
backend = "http"
method = "post"
url = "http://{}/auth/${{clientid}}?ip=${{peerhost}}"
headers = {{ X-Key = "a key" }}
body = {{ user = "${{username}}", pass = "${{password}}" }}
{more}
"#,
        service.address
    )
}

#[test]
fn an_http_service_decides_who_gets_in() {
    let service = Service::start(of_user);
    let work = Scratch::new("chain");
    let token = "[[authentication]]\nmechanism = \"jwt\"\nsecret = \"s\"\n";
    let rules = "[authorization]\nno_match = \"deny\"\nrules = [{ permission = \"allow\", topics = [\"secret\", \"${client_attrs.site}/x\"] }]\n";
    let host = Millstream::start(&format!("{NODE}{}{token}{rules}", hook(&service, "")));
    for (user, password, expected) in [
        ("joe", "secret", 0),
        ("joe", "other", 0x87),
        ("plain", "", 0),
        ("root", "", 0),
        ("bad", "", 0x87),
        ("odd", "", 0x86),
        ("broken", "", 0x87),
        ("nobody", "", 0x87),
    ] {
        assert_eq!(code(&host, "a b", Some(user), password), expected, "{user} {password}");
    }
    let first = &service.asked()[0];
    assert_eq!((first.method.as_str(), first.target.as_str()), ("POST", "/auth/a%20b?ip=127.0.0.1"));
    assert_eq!(first.body, r#"{"pass":"secret","user":"joe"}"#);
    assert_eq!((first.header("x-key"), first.header("content-type")), (Some("a key"), Some("application/json")));
    // Superusers may do everything; others what they brought along, and then what the rules say.
    assert_eq!(publish(&mut log_in(&host, "c", Some("root"), ""), "anything"), 0x10);
    let mut site = log_in(&host, "c", Some("site"), "");
    assert_eq!(
        (publish(&mut site, "p7/x"), publish(&mut site, "p8/x"), publish(&mut site, "secret")),
        (0x10, 0x87, 0x87)
    );
    // Who the service does not know may have a token; who it refuses is refused.
    let good = by_secret(&work, "s", "{}");
    assert_eq!((code(&host, "c", Some("nobody"), &good), code(&host, "c", Some("bad"), &good)), (0, 0x87));
    assert!(!host.log().contains("a key") && !host.log().contains(&good));
}

#[test]
fn a_service_that_is_away_lets_nobody_in_by_itself_and_holds_nobody_for_long() {
    let work = Scratch::new("away");
    let service = Service::start(of_user);
    let address = service.address;
    let token = "[[authentication]]\nmechanism = \"jwt\"\nsecret = \"s\"\n";
    let host = Millstream::start(&format!("{NODE}{}{token}", hook(&service, "request_timeout = \"2s\"")));
    let good = by_secret(&work, "s", "{}");
    assert_eq!(code(&host, "c", Some("joe"), "secret"), 0);
    service.set_silent(true);
    assert_eq!((code(&host, "c", Some("joe"), "secret"), code(&host, "c", Some("joe"), &good)), (0x87, 0));
    drop(service);
    assert_eq!((code(&host, "c", Some("joe"), "secret"), code(&host, "c", Some("joe"), &good)), (0x87, 0));
    assert_eq!(host.log().matches("gives no answer").count(), 1, "it is said once");
    assert!(host.metrics().sum("millstream_mqtt_hook_failures_total", &[]) >= 4);
    let _service = Service::start_at(address, of_user);
    until("the service to be heard", Duration::from_secs(30), || code(&host, "c", Some("joe"), "secret") == 0);
    host.await_log("answers again");
}

fn of_topic(request: &Request) -> (u16, String) {
    let result = match () {
        () if request.target.contains("topic=yes") => "allow",
        () if request.target.contains("topic=no") => "deny",
        () => "ignore",
    };
    (200, format!(r#"{{"result":"{result}"}}"#))
}

fn source(service: &Service, cache: &str, timeout: &str) -> String {
    format!(
        r#"
[authorization]
no_match = "deny"
rules = [{{ permission = "allow", topics = ["free"] }}]
cache = {{ {cache} }}
[[authorization.sources]]
type = "http"
method = "get"
url = "http://{}/acl?who=${{clientid}}&topic=${{topic}}&do=${{action}}&qos=${{qos}}&retain=${{retain}}"
request_timeout = "{timeout}"
"#,
        service.address
    )
}

#[test]
fn what_no_rule_decides_is_asked_once_and_remembered() {
    let service = Service::start(of_topic);
    let host = Millstream::start(&format!("{NODE}{}", source(&service, "ttl = \"1h\"", "30s")));
    let mut client = Client::connect(host.tcp(), Version::V5, "c");
    assert_eq!(publish(&mut client, "free"), 0x10);
    assert_eq!(service.asked(), [], "a rule decided");
    // All at once: each waits for its answer, and the order stays.
    for (id, topic) in (1..).zip(["yes/1", "no/1", "free", "yes/1", "maybe", "no/1"]) {
        client.publish(&message(topic, id));
    }
    for (id, code) in (1..).zip([0x10, 0x87, 0x10, 0x10, 0x87, 0x87]) {
        assert_eq!(client.expect(), Packet::PubAck { id, code });
    }
    let targets: Vec<String> = service.asked().into_iter().map(|request| request.target).collect();
    let of = |topic: &str| format!("/acl?who=c&topic={topic}&do=publish&qos=1&retain=false");
    assert_eq!(targets, [of("yes%2F1"), of("no%2F1"), of("maybe")]);
    // With another QoS it is another question; so it is for another client, and so is a subscription.
    assert_eq!(client.exactly_once(&Publish { qos: 2, ..message("yes/1", 9) }), 0x10);
    assert_eq!(publish(&mut Client::connect(host.tcp(), Version::V5, "d"), "yes/1"), 0x10);
    assert_eq!((client.subscribe("yes/#", 1), client.subscribe("no/#", 1), client.subscribe("yes/#", 1)), (1, 0x87, 1));
    assert_eq!(service.asked().len(), 7);
}

#[test]
fn without_a_cache_every_packet_is_asked_about() {
    let service = Service::start(of_topic);
    let host = Millstream::start(&format!("{NODE}{}", source(&service, "enable = false", "30s")));
    let mut client = Client::connect(host.tcp(), Version::V5, "c");
    (1..=4).for_each(|id| client.publish(&message("yes", id)));
    for id in 1..=4 {
        assert_eq!(client.expect(), Packet::PubAck { id, code: 0x10 });
    }
    assert_eq!(service.asked().len(), 4);
}

#[test]
fn while_an_answer_is_waited_for_only_that_client_waits_and_nothing_is_lost() {
    let service = Service::start(of_topic);
    let host = Millstream::start(&format!("{NODE}{}", source(&service, "ttl = \"1h\"", "60s")));
    let mut waiting = Client::connect(host.tcp(), Version::V5, "waiting");
    let mut other = Client::connect(host.tcp(), Version::V5, "other");
    service.set_silent(true);
    (1..=20).for_each(|id| waiting.publish(&message(if id == 1 { "yes" } else { "free" }, id)));
    until("the question", Duration::from_secs(30), || !service.asked().is_empty());
    assert_eq!(publish(&mut other, "free"), 0x10);
    service.set_silent(false);
    for id in 1..=20 {
        assert_eq!(waiting.expect(), Packet::PubAck { id, code: 0x10 });
    }
}

#[test]
fn without_an_answer_no_match_decides_for_this_once() {
    let service = Service::start(of_topic);
    let host = Millstream::start(&format!("{NODE}{}", source(&service, "ttl = \"1h\"", "1s")));
    let mut client = Client::connect(host.tcp(), Version::V5, "c");
    service.set_silent(true);
    assert_eq!(publish(&mut client, "yes"), 0x87);
    service.set_silent(false);
    until("an answer", Duration::from_secs(30), || publish(&mut client, "yes") == 0x10);
}

#[test]
fn denied_clients_are_disconnected_if_so_configured() {
    let rules =
        "[authorization]\ndeny_action = \"disconnect\"\nrules = [{ permission = \"deny\", topics = [\"no\"] }]\n";
    let host = Millstream::start(&format!("{NODE}{rules}"));
    let mut publisher = Client::connect(host.tcp(), Version::V5, "p");
    publisher.publish(&message("no", 1));
    assert_eq!(publisher.expect(), Packet::Disconnect { code: 0x87 });
    let mut subscriber = Client::connect(host.tcp(), Version::V5, "s");
    let mut bytes = Vec::new();
    support::wire::subscribe(&mut bytes, Version::V5, 1, "no", 0);
    subscriber.send(&bytes).expect("the connection is open");
    assert_eq!(subscriber.expect(), Packet::Disconnect { code: 0x87 });
    assert_eq!(publish(&mut Client::connect(host.tcp(), Version::V5, "q"), "yes"), 0x10);
}

#[test]
fn a_wrong_configuration_is_said_with_its_place() {
    let scratch = Scratch::new("wrong");
    let config = format!(
        "{NODE}[[authentication]]\nmechanism = \"jwt\"\n[[authentication]]\nmechanism = \"password_based\"\nbackend = \"http\"\n\
         method = \"post\"\nurl = \"http://h/${{topic}}\"\nheaders = {{ Authorization = \"Bearer hunter2\" }}\n\
         [[banned]]\nas = \"peerhost_net\"\nwho = \"everywhere\"\n[listeners.x]\nbind = \"127.0.0.1:0\"\nbytes_rate = \"fast\"\n"
    );
    let file = scratch.write("millstream.toml", &config);
    let ended = support::tools::millstream(&["check", file.to_str().expect("UTF-8")], "");
    let said = format!("{}{}", ended.stdout, ended.stderr);
    assert_eq!(ended.code, Some(1), "{said}");
    for part in [
        "authentication[0].algorithm",
        "authentication[1].url",
        "banned[0].who",
        "listeners.x.bytes_rate",
        "`${topic}`",
    ] {
        assert!(said.contains(part), "no {part} in\n{said}");
    }
    assert!(!said.contains("hunter2"), "{said}");
}
