//! Any bytes as the payload of a message, under rules that look into it; and as JSON, which must survive being printed.
#![no_main]

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use millstream_fuzz::message::{Client, ClientId, Message, MessageId, ProtocolVersion, QoS};
use millstream_fuzz::rule::{Context, NoFunctions, Plan, PublishEvent, Still, compile, tester};
use millstream_fuzz::topic::TopicName;
use millstream_fuzz::value::Value;

static PLANS: LazyLock<Vec<Plan>> = LazyLock::new(|| {
    let texts = [
        r#"SELECT * FROM "t/#""#,
        r#"SELECT payload.a as a, payload.a.b[1].c as c, payload.x + 1 as x, payload.y * payload.z as yz FROM "t/#""#,
        r#"SELECT json_decode(payload) as all, hexstr2bin(payload) as h FROM "t/#" WHERE payload.temp > 20"#,
        r#"FOREACH payload as e DO e, e.k as k, e + 0 as n INCASE e.v > 1 FROM "t/#""#,
        r#"FOREACH payload.m as s DO s.k, upper(s.k) as K FROM "t/#" WHERE payload.m[1] = 'x' or payload = 1"#,
        r#"SELECT strlen(payload) as n, sha256(payload) as h, base64_encode(payload) as b, split(payload, ',') as s FROM "t/#""#,
    ];
    texts.into_iter().map(|text| compile(text, &NoFunctions).unwrap_or_else(|why| panic!("{text}: {why:?}"))).collect()
});

fuzz_target!(|data: &[u8]| {
    let message = Message {
        id: MessageId::next(1_700_000_000_000),
        client: Arc::new(Client {
            id: ClientId::new("c"),
            username: None,
            peer: ([127, 0, 0, 1], 1).into(),
            version: ProtocolVersion::V5,
            attrs: BTreeMap::new(),
            hops: 0,
        }),
        topic: TopicName::new("t/1").expect("a topic"),
        payload: Bytes::copy_from_slice(data),
        qos: QoS::AtLeastOnce,
        retain: false,
        dup: false,
        properties: None,
        received_at: 1_700_000_000_000,
    };
    let world = Still::default();
    let event = PublishEvent { message: &message, node: "n", rule_id: "r" };
    for plan in PLANS.iter() {
        let mut rows = Vec::new();
        let _ = plan.evaluate(&event, world.context(), &mut rows);
        for row in &rows {
            let mut json = Vec::new();
            row.write_json(&mut json);
            Value::from_json(&json).expect("a row is JSON");
        }
    }
    if let Ok(value) = Value::from_json(data) {
        let (mut once, mut twice) = (Vec::new(), Vec::new());
        value.to_json(&mut once);
        let again = Value::from_json(&once).unwrap_or_else(|why| panic!("printed as {once:?}: {why:?}"));
        again.to_json(&mut twice);
        assert_eq!(once, twice);
    }
    let answer = tester::run_line(data, &NoFunctions, world.context());
    assert!(!answer.contains('\n') && Value::from_json(answer.as_bytes()).is_ok());
});
