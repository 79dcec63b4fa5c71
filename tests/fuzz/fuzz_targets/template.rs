//! Any text as a `${}` template, over any JSON object: the first line is the template, the rest the variables.
#![no_main]

use libfuzzer_sys::fuzz_target;
use millstream_fuzz::rule::{Missing, Row, Template};
use millstream_fuzz::value::Value;

fuzz_target!(|data: &[u8]| {
    let at = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let text = String::from_utf8_lossy(&data[..at]);
    let variables = Value::from_json(data.get(at + 1..).unwrap_or_default());
    let row = match &variables {
        Ok(Value::Map(entries)) => Row::of_map(entries),
        _ => Row::default(),
    };
    for template in [Template::parse(&text).ok(), Template::wide_placeholder(&text)].into_iter().flatten() {
        let _ = (template.render_bytes(&row), template.value(&row), template.literal());
        let mut lenient = Vec::new();
        template.render(&row, Missing::Text, &mut lenient).expect("a missing variable is the word `undefined`");
        template.render(&row, Missing::Empty, &mut Vec::new()).expect("a missing variable is nothing");
        let mut strict = Vec::new();
        if template.render(&row, Missing::Error, &mut strict).is_ok() {
            assert_eq!(strict, lenient, "nothing is missing, and still the policy matters");
        }
    }
});
