//! Any text as rule SQL; what compiles is run over an event that has something of everything.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use millstream_fuzz::rule::{JsonEvent, NoFunctions, Still, compile};
use millstream_fuzz::value::Value;

const EVENT: &str = r#"{
    "topic": "t/a/b", "clientid": "c", "username": "u", "qos": 1, "timestamp": 1700000000123,
    "payload": "{\"a\":{\"b\":[1,-2.5,\"x\",null,true,{\"c\":\"ü\"}]},\"n\":\"21.5\",\"m\":[{\"k\":\"bar\",\"v\":4.2}],\"big\":123456789012345678901234567890}",
    "pub_props": {"User-Property": {"k": "v"}, "User-Property-Pairs": [{"key": "k", "value": "v"}]}
}"#;

/// Bytes of rows.
const MAX_PRINTED: usize = 4 << 20;

static COLUMNS: LazyLock<Value> = LazyLock::new(|| Value::from_json(EVENT.as_bytes()).expect("JSON"));

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    match compile(&text, &NoFunctions) {
        Err(problems) => {
            assert!(!problems.is_empty(), "refused without a reason");
            for problem in problems {
                // Must point into the text.
                assert!(problem.render(&text).contains(problem.code.as_str()));
            }
        }
        Ok(plan) => {
            let event = JsonEvent::new(COLUMNS.clone()).expect("an event");
            let mut rows = Vec::new();
            let done = plan.evaluate(&event, Still::default().context(), &mut rows);
            assert!(done.is_ok() || rows.is_empty(), "rows of a rule that failed");
            // Whoever prints rows stops at some size: each may show all of the message.
            let (mut json, mut printed) = (Vec::new(), 0);
            for row in &rows {
                if printed > MAX_PRINTED {
                    break;
                }
                json.clear();
                row.write_json(&mut json);
                Value::from_json(&json).expect("a row is JSON");
                printed += json.len();
            }
        }
    }
});
