//! The golden cases of `tests/rules`, and properties that hold for every text and every event.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::message::{Client, ClientId, Message, MessageId, Properties, ProtocolVersion, QoS};
use crate::topic::TopicName;
use crate::value::Value;

/// Every line of every file there is one case: a rule or a template, what it is given and what must come of it.
#[test]
fn golden_cases() {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/rules"));
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let (mut ran, mut failed) = (0, Vec::new());
    for file in files.iter().filter(|file| file.extension().is_some_and(|ending| ending == "jsonl")) {
        let name = file.file_name().unwrap().to_string_lossy();
        for (number, line) in std::fs::read_to_string(file).unwrap().lines().enumerate() {
            ran += 1;
            if let Err(difference) = golden(line) {
                failed.push(format!("{name}:{}: {difference}", number + 1));
            }
        }
    }
    assert!(ran > 1500, "only {ran} cases found");
    assert!(failed.is_empty(), "{} of {ran} cases:\n{}", failed.len(), failed.join("\n"));
}

fn golden(line: &str) -> Result<(), String> {
    let case = Value::from_json(line.as_bytes()).map_err(|error| error.to_string())?;
    let text = |key: &str| {
        case.get(key.as_bytes()).and_then(Value::text).map(|text| String::from_utf8_lossy(&text).into_owned())
    };
    let differ = |found: String| Err(format!("{}: {found}", text("case").unwrap_or_default()));
    for (key, warnings) in [("codes", false), ("warnings", true)] {
        let Some(Value::List(expected)) = case.get(key.as_bytes()) else { continue };
        let problems = match compile(&text("sql").unwrap_or_default(), &NoFunctions) {
            Ok(plan) if warnings => plan.warnings().to_vec(),
            Ok(_) => Vec::new(),
            Err(problems) => problems,
        };
        let sql = text("sql").unwrap_or_default();
        let codes: Vec<Value> = problems.iter().map(|problem| Value::str(problem.code.as_str())).collect();
        // Which part of the text is underlined, and a part of the hint.
        let places: Vec<Value> = problems.iter().map(|problem| Value::str(&sql[problem.span.clone()])).collect();
        let same_places = case.get(b"places").is_none_or(|wanted| *wanted == Value::list(places));
        let hinted = |(problem, wanted): (&Diagnostic, &Value)| {
            let wanted = String::from_utf8_lossy(&wanted.text().unwrap_or_default()).into_owned();
            problem.hint.as_deref().unwrap_or_default().contains(&wanted)
        };
        let same_hints = match case.get(b"hints") {
            Some(Value::List(wanted)) => problems.iter().zip(wanted.iter()).all(hinted),
            _ => true,
        };
        let same = codes == **expected && same_places && same_hints;
        return if same { Ok(()) } else { differ(format!("{problems:?}")) };
    }
    let answer = tester::run_line(line, &NoFunctions, Still::default().context());
    if let Some(sql) = text("sql")
        && let Ok(tree) = parser::parse(&sql)
    {
        let printed = print::print(&tree);
        let Value::Map(mut entries) = case.clone() else { return differ(String::from("no object")) };
        Arc::make_mut(&mut entries).insert(Bytes::from_static(b"sql"), Value::str(&printed));
        let mut line = Vec::new();
        Value::Map(entries).to_json(&mut line);
        let again = tester::run_line(&line, &NoFunctions, Still::default().context());
        if again != answer {
            return differ(format!("{answer}\nbut printed as {printed}: {again}"));
        }
    }
    let found = Value::from_json(answer.as_bytes()).map_err(|error| error.to_string())?;
    let same =
        ["outputs", "no_result", "rendered"].iter().all(|key| found.get(key.as_bytes()) == case.get(key.as_bytes()));
    let kind = found.get(b"error").and_then(|error| error.get(b"kind"));
    if same && kind == case.get(b"error") { Ok(()) } else { differ(answer) }
}

fn plan(sql: &str) -> Plan {
    compile(sql, &NoFunctions).unwrap_or_else(|problems| panic!("{sql}: {problems:?}"))
}

fn evaluate(sql: &str, event: &dyn Event) -> Result<Vec<String>, EvalError> {
    let mut rows = Vec::new();
    plan(sql).evaluate(event, Still::default().context(), &mut rows)?;
    let print = |row: &Row<'_>| {
        let mut out = Vec::new();
        row.write_json(&mut out);
        String::from_utf8(out).unwrap()
    };
    Ok(rows.iter().map(print).collect())
}

fn message(payload: &'static str) -> Message {
    let client = Client {
        id: ClientId::new("press-7"),
        username: None,
        peer: "[::ffff:192.0.2.14]:50712".parse().unwrap(),
        version: ProtocolVersion::V5,
        attrs: Default::default(),
        hops: 0,
    };
    Message {
        id: MessageId::next(1_765_432_100_100),
        client: Arc::new(client),
        topic: TopicName::new("plant/a/press").unwrap(),
        payload: Bytes::from_static(payload.as_bytes()),
        qos: QoS::AtLeastOnce,
        retain: false,
        dup: false,
        properties: None,
        received_at: 1_765_432_100_100,
    }
}

#[test]
fn every_column_of_a_publication() {
    let message = message("{\"bar\":4.2}");
    let event = PublishEvent { message: &message, node: "broker@10.0.0.5", rule_id: "r-press" };
    let rows = evaluate("SELECT * FROM \"plant/#\"", &event).unwrap();
    let id = message.id.to_string();
    let expected = r#"{"username":"undefined","topic":"plant/a/press","timestamp":1765432100100,"qos":1,"publish_received_at":1765432100100,"pub_props":{"User-Property":{}},"peername":"192.0.2.14:50712","peerhost":"192.0.2.14","payload":"{\"bar\":4.2}","node":"broker@10.0.0.5","metadata":{"rule_id":"r-press","namespace":"global"},"id":"ID","flags":{"retain":false,"dup":false},"event":"message.publish","clientid":"press-7","client_attrs":{}}"#;
    assert_eq!(rows, [expected.replace("ID", &id)]);
    // The fast printing and the values agree.
    for column in Column::ALL {
        let (mut fast, mut slow) = (Vec::new(), Vec::new());
        assert!(event.write_json(column.name().as_bytes(), &mut fast));
        event.column(column).unwrap().to_json(&mut slow);
        assert_eq!(String::from_utf8(fast), String::from_utf8(slow));
    }
}

#[test]
fn properties_are_columns_in_the_terms_of_the_standard() {
    let mut message = message("");
    message.properties = Some(Box::new(Properties {
        message_expiry_interval: Some(30),
        content_type: Some(String::from("text/plain")),
        user_properties: vec![(String::from("a"), String::from("1")), (String::from("a"), String::from("2"))],
        ..Properties::default()
    }));
    let event = PublishEvent { message: &message, node: "n", rule_id: "r" };
    let rows = evaluate("SELECT pub_props, pub_props.'User-Property'.a as a FROM t", &event).unwrap();
    let expected = r#"{"pub_props":{"User-Property-Pairs":[{"value":"1","key":"a"},{"value":"2","key":"a"}],"User-Property":{"a":"2"},"Message-Expiry-Interval":30,"Content-Type":"text/plain"},"a":"2"}"#;
    assert_eq!(rows, [expected]);
}

#[test]
fn a_whole_payload_is_never_copied() {
    let message = message("{\"bar\":4.2}");
    let event = PublishEvent { message: &message, node: "n", rule_id: "r" };
    let mut rows = Vec::new();
    plan("SELECT * FROM t WHERE payload.bar > 4").evaluate(&event, Still::default().context(), &mut rows).unwrap();
    let value = Template::parse("${payload}").unwrap().render_bytes(&rows[0]).unwrap();
    assert_eq!(value.as_ptr(), message.payload.as_ptr());
    assert_eq!(
        Template::parse("${clientid}/${topic}").unwrap().render_bytes(&rows[0]).unwrap(),
        "press-7/plant/a/press"
    );
}

#[test]
fn missing_placeholders() {
    let row = Row::default();
    let template = Template::parse("dev-${x.y}").unwrap();
    let render = |missing| {
        let mut out = Vec::new();
        template.render(&row, missing, &mut out).map(|()| String::from_utf8(out).unwrap())
    };
    assert_eq!(render(Missing::Text).unwrap(), "dev-undefined");
    assert_eq!(render(Missing::Empty).unwrap(), "dev-");
    assert_eq!(render(Missing::Error).unwrap_err().name, "x.y");
    assert_eq!(Template::parse("${x}").unwrap().render_bytes(&row), None);
    assert_eq!(Template::parse("").unwrap().render_bytes(&row), None);
    assert_eq!(Template::parse("").unwrap().literal(), Some(""));
    assert!(Template::parse("${x}").unwrap().is_single_placeholder());
    assert!(!template.is_single_placeholder() && template.literal().is_none());
}

#[test]
fn invalid_json_is_told_apart_from_other_failures() {
    let (bad, good) = (message("oops"), message("{}"));
    let event = |message| PublishEvent { message, node: "n", rule_id: "r" };
    let kind = |sql: &str, message| evaluate(sql, &event(message)).unwrap_err().kind;
    assert_eq!(kind("SELECT payload.x FROM t", &bad), EvalErrorKind::PayloadNotJson);
    assert_eq!(kind("SELECT 1 / 0 as x FROM t", &good), EvalErrorKind::Other);
}

/// A catalog of one function that answers with the number of its arguments.
struct Counting;

impl FunctionCatalog for Counting {
    fn resolve(&self, name: &str) -> Option<FunctionId> {
        (name == "count_args").then_some(FunctionId(7))
    }
}

impl Functions for Counting {
    fn call(&self, id: FunctionId, args: &[Value]) -> Result<Value, String> {
        assert_eq!(id, FunctionId(7));
        if args.is_empty() { Err(String::from("none given")) } else { Ok(Value::Int(args.len() as i64)) }
    }
}

#[test]
fn functions_that_are_not_built_in() {
    let message = message("{}");
    let event = PublishEvent { message: &message, node: "n", rule_id: "r" };
    let run = |sql: &str| {
        let mut rows = Vec::new();
        compile(sql, &Counting)
            .unwrap()
            .evaluate(&event, Context { functions: &Counting, ..Still::default().context() }, &mut rows)
            .map(|()| rows[0].get("a"))
    };
    assert_eq!(run("SELECT count_args(1, 2) as a FROM t"), Ok(Some(Value::Int(2))));
    assert!(run("SELECT count_args() as a FROM t").unwrap_err().message.contains("none given"));
    assert!(run("SELECT cuont_args() as a FROM t").unwrap_err().message.contains("sql_function_not_supported"));
    assert!(run("SELECT uper('a') as a FROM t").unwrap_err().message.contains("did you mean `upper`"));
}

#[test]
fn sources_are_told_apart() {
    let plan = plan("SELECT * FROM \"t/#\", '$events/client/connected', u");
    let [Source::Topic(first), Source::Event(second), Source::Topic(third)] = plan.sources() else {
        panic!("{:?}", plan.sources())
    };
    assert_eq!((first.as_str(), second.as_str(), third.as_str()), ("t/#", "$events/client/connected", "u"));
}

#[test]
fn limits_hold() {
    let refused = |sql: String| compile(&sql, &NoFunctions).unwrap_err()[0].code;
    assert_eq!(refused(format!("SELECT a{} FROM t", " ".repeat(MAX_SQL_BYTES))), Code::Text);
    assert_eq!(refused(format!("SELECT {}a{} FROM t", "(".repeat(5000), ")".repeat(5000))), Code::Limit);
    assert_eq!(refused(format!("SELECT {}a FROM t", "-".repeat(5000))), Code::Limit);
    assert_eq!(refused(format!("SELECT a{} as x FROM t", "+a".repeat(5000))), Code::Limit);
    assert_eq!(refused(format!("SELECT a{} FROM t", ".a".repeat(5000))), Code::Limit);
    assert_eq!(refused(format!("SELECT a{} FROM t", ",a".repeat(5000))), Code::Limit);
    assert_eq!(refused(format!("SELECT a FROM t WHERE {} a = 1", "NOT ".repeat(5000))), Code::Limit);
    assert_eq!(refused(format!("SELECT a{} FROM t", "[a".repeat(5000))), Code::Limit);
    assert_eq!(refused(format!("SELECT {}", "case when a then ".repeat(3000))), Code::Limit);
    assert_eq!(refused(format!("SELECT {} FROM t", "1".repeat(5000))), Code::Limit);
    // Long chains of conditions are fine: they are flat.
    assert!(compile(&format!("SELECT a FROM t WHERE a = 1{}", " OR a = 1".repeat(3000)), &NoFunctions).is_ok());
}

#[test]
fn values_that_grow_without_bound_fail() {
    let message = message("{}");
    let event = PublishEvent { message: &message, node: "n", rule_id: "r" };
    for step in ["x + x as x", "[x,x] as x", "x as y.a, x as y.b, y as x", "x as x.a"] {
        let sql = format!("SELECT 'aaaaaaaa' as x, {} FROM t", vec![step; 300].join(", "));
        assert!(evaluate(&sql, &event).is_err(), "{step}");
    }
    let squares = format!("SELECT 1000000007 as x, {} FROM t", vec!["x * x as x"; 300].join(", "));
    assert!(evaluate(&squares, &event).is_err());
}

#[test]
fn every_line_gets_one_line_back() {
    for line in [
        b"".as_slice(),
        b"x",
        b"\xFF",
        b"{}",
        b"[]",
        b"{\"sql\":1}",
        b"{\"sql\":\"x\",\"template\":\"y\"}",
        b"{\"template\":\"a\",\"vars\":1}",
    ] {
        let answer = tester::run_line(line, &NoFunctions, Still::default().context());
        assert!(answer.starts_with("{\"error\":{\"message\":") && !answer.contains('\n'), "{answer}");
    }
    assert_eq!(
        tester::run_line("{\"template\":\"a\\n${b}\"}", &NoFunctions, Still::default().context()),
        "{\"rendered\":\"a\\nundefined\"}"
    );
}

/// Words that rules are made of, in any order.
fn any_sql() -> impl Strategy<Value = String> {
    const WORDS: [&str; 58] = [
        "SELECT",
        "FOREACH",
        "DO",
        "INCASE",
        "FROM",
        "WHERE",
        "CASE",
        "WHEN",
        "THEN",
        "ELSE",
        "END",
        "AND",
        "OR",
        "NOT",
        "IN",
        "AS",
        "a",
        "b.c",
        "payload",
        "payload.a",
        "payload.a[1]",
        "payload[b]",
        "\"x y\"",
        "'text'",
        "''",
        "1",
        "0",
        "-",
        "+",
        "*",
        "/",
        "div",
        "mod",
        "(",
        ")",
        "[",
        "]",
        ",",
        ".",
        "=",
        "!=",
        "<",
        ">=",
        "=~",
        "[1..3]",
        "[0]",
        "[-0]",
        "1.5",
        "true",
        "str(",
        "upper(",
        "topic(",
        "item",
        "qos",
        "é",
        ";",
        "--",
        "\n/",
    ];
    let words = proptest::collection::vec(proptest::sample::select(WORDS.to_vec()), 0..24);
    prop_oneof![words.prop_map(|words| words.join(" ")), ".{0,60}", any_rule()]
}

/// JSON texts, most of them valid, with the names that the rules here read.
fn any_json() -> impl Strategy<Value = String> {
    let leaf = proptest::sample::select(vec![
        "null",
        "true",
        "0",
        "1",
        "-2",
        "1.5",
        "1e20",
        "99999999999999999999",
        "\"\"",
        "\"7\"",
        "\"a/b\"",
        "\"{\\\"b\\\":[1]}\"",
        "[]",
        "{}",
        "\"é\\u0000\"",
        "oops",
    ]);
    let key = proptest::sample::select(vec!["a", "b", "c", "i", "item", "x", "y", "qos", "flags", "payload", ""]);
    leaf.prop_map(String::from).prop_recursive(4, 24, 4, move |inner| {
        let entry = (key.clone(), inner.clone()).prop_map(|(key, value)| format!("\"{key}\":{value}"));
        prop_oneof![
            proptest::collection::vec(inner, 0..4).prop_map(|items| format!("[{}]", items.join(","))),
            proptest::collection::vec(entry, 0..5).prop_map(|entries| format!("{{{}}}", entries.join(" , "))),
        ]
    })
}

fn any_template() -> impl Strategy<Value = String> {
    let piece = proptest::sample::select(vec![
        "${",
        "}",
        "$",
        ".",
        "a",
        "b",
        "${a}",
        "${a.b}",
        "${.}",
        "${}",
        "${$}",
        "${payload.a.b}",
        "${a..b}",
        " ",
        "é",
        "{",
        "[1]",
        "1",
    ]);
    let pieces = proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat());
    prop_oneof![pieces, ".{0,40}"]
}

/// The tree as text, without where its nodes were written.
fn without_places(tree: &ast::Statement) -> String {
    let text = format!("{tree:?}");
    let digit = |letter: char| letter.is_ascii_digit();
    let parts = text.split("..").map(|part| part.trim_matches(digit));
    parts.collect::<Vec<_>>().join("..")
}

/// Rules that mostly compile.
fn any_rule() -> impl Strategy<Value = String> {
    let leaf = proptest::sample::select(vec![
        "a",
        "qos",
        "topic",
        "payload",
        "payload.a",
        "payload.a.b",
        "payload.a[1]",
        "payload.a[i]",
        "x.y",
        "1",
        "0",
        "-2",
        "1.5",
        "9223372036854775807",
        "'7'",
        "'a/+'",
        "nope",
        "[1,2]",
        "[2..4]",
        "payload.a[1..2]",
        "item",
        "flags()",
    ]);
    let value = leaf.prop_map(String::from).prop_recursive(3, 12, 3, |inner| {
        let operator = proptest::sample::select(vec!["+", "-", "*", "/", "div", "mod"]);
        prop_oneof![
            (inner.clone(), operator, inner.clone()).prop_map(|(a, operator, b)| format!("({a} {operator} {b})")),
            inner.clone().prop_map(|a| format!("str({a})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("[{a}, {b}]")),
            (inner.clone(), inner).prop_map(|(a, b)| format!("str(case when {a} < {b} then {a} else {b} end)")),
        ]
    });
    let alias =
        proptest::sample::select(vec!["a", "a.b", "a[1]", "a[-0]", "a[i].c", "payload", "payload.a", "i", "qos"]);
    let field = prop_oneof![
        3 => (value.clone(), alias).prop_map(|(value, alias)| format!("{value} as {alias}")),
        1 => value.clone(),
        1 => Just(String::from("*")),
    ];
    let fields = proptest::collection::vec(field, 1..5).prop_map(|fields| fields.join(", "));
    let operator = proptest::sample::select(vec!["=", "!=", "<", ">", "<=", ">=", "=~"]);
    let condition = (value.clone(), operator, value).prop_map(|(a, operator, b)| format!("{a} {operator} {b}"));
    prop_oneof![
        (fields.clone(), condition.clone())
            .prop_map(|(fields, condition)| format!("SELECT {fields} FROM t WHERE {condition}")),
        (fields.clone(), fields, condition)
            .prop_map(|(a, b, condition)| format!("FOREACH {a} DO {b} INCASE {condition} FROM t")),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_text_compiles_or_gives_diagnostics(sql in any_sql()) {
        match compile(&sql, &NoFunctions) {
            Ok(plan) => prop_assert!(!plan.sources().is_empty()),
            Err(problems) => {
                prop_assert!(!problems.is_empty());
                for problem in problems {
                    prop_assert!(problem.span.start <= problem.span.end && problem.span.end <= sql.len(), "{problem:?}");
                    prop_assert!(problem.render(&sql).contains('^'));
                }
            }
        }
    }

    #[test]
    fn printing_and_reading_again_gives_the_same_tree(sql in any_sql()) {
        let Ok(tree) = parser::parse(&sql) else { return Ok(()) };
        let printed = print::print(&tree);
        let again = parser::parse(&printed);
        prop_assert!(again.is_ok(), "{printed}: {again:?}");
        prop_assert_eq!(without_places(&again.unwrap()), without_places(&tree), "{}", printed);
    }

    #[test]
    fn explaining_never_panics(sql in any_sql()) {
        if let Ok(explanation) = explain::explain(&sql, &NoFunctions) {
            prop_assert!(!explanation.text().is_empty() && compile(&sql, &NoFunctions).is_ok());
        }
    }

    #[test]
    fn any_template_renders_or_is_refused(text in any_template(), vars in any_json()) {
        let Ok(vars) = Value::from_json(vars.as_bytes()) else { return Ok(()) };
        let map = match vars {
            Value::Map(entries) => entries,
            other => Arc::new([(Bytes::from_static(b"a"), other)].into_iter().collect()),
        };
        let (row, template) = (Row::of_map(&map), Template::parse(&text).unwrap());
        let mut out = Vec::new();
        prop_assert!(template.render(&row, Missing::Text, &mut out).is_ok());
        if !text.contains("${") {
            prop_assert_eq!(out, text.as_bytes());
        }
        std::hint::black_box((template.render_bytes(&row), template.value(&row)));
    }

    #[test]
    fn evaluation_never_panics_and_templates_agree_with_str(
        sql in any_rule(),
        payload in any_json(),
        columns in any_json(),
    ) {
        let mut columns = match Value::from_json(columns.as_bytes()) {
            Ok(Value::Map(columns)) => columns,
            _ => Arc::default(),
        };
        let entries = Arc::make_mut(&mut columns);
        entries.insert(Bytes::from_static(b"payload"), Value::str(&payload));
        entries.entry(Bytes::from_static(b"topic")).or_insert_with(|| Value::str("a/b"));
        entries.entry(Bytes::from_static(b"qos")).or_insert(Value::Int(1));
        let event = JsonEvent::new(Value::Map(columns)).unwrap();
        let plan = compile(&sql, &NoFunctions);
        prop_assert!(plan.is_ok(), "{sql}: {plan:?}");
        let mut rows = Vec::new();
        let Ok(()) = plan.unwrap().evaluate(&event, Still::default().context(), &mut rows) else { return Ok(()) };
        for row in rows {
            let mut json = Vec::new();
            row.write_json(&mut json);
            prop_assert!(Value::from_json(&json).is_ok());
            if let Some(value) = row.get("a").filter(|value| value.text().is_some()) {
                let mut rendered = Vec::new();
                Template::parse("${a}").unwrap().render(&row, Missing::Text, &mut rendered).unwrap();
                prop_assert_eq!(rendered, value.text().unwrap());
            }
        }
    }
}
