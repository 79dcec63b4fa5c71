//! Built-in functions that need more than their arguments: a process for jq, memory between messages, the environment.
//! What never ends, or wants all memory, is a counted failure, and the next message goes through.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::kafka::Kafka;
use support::millstream::{Millstream, NODE, action, connector, plugin};
use support::mqtt::Client;
use support::scratch::Scratch;
use support::tools::millstream;
use support::wire::{Publish, Version};

/// One answer of `sql test --stdin` for each statement, all in one process.
fn answers(statements: &[String]) -> Vec<Value> {
    let line = |sql: &String| format!("{}\n", json!({"sql": sql, "event": {"topic": "t/1", "payload": "{\"n\": 1}"}}));
    let output = millstream(&["sql", "test", "--stdin"], &statements.iter().map(line).collect::<String>()).ok();
    output.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn a_jq_program_that_never_ends_or_wants_everything_fails_and_the_next_one_runs() {
    // (program, part of the error)
    let hostile = [
        ("def f: f; f", "did not end within"),
        ("[range(infinite)] | length", "needs more than"),
        ("last(range(infinite))", "did not end within"),
        ("def f: 1 + f; f", "needs more than"),
        ("def f: . + . | f; \"x\" | f", "needs more than"),
        ("reduce range(10000000) as $i (null; [.]) | tojson", "needs more than"),
        ("\"x\" * 1000000000 | length", "needs more than"),
        ("[limit(20000000; repeat(1))] | tojson | length", "needs more than"),
        ("def f: [., .] | f; limit(1; 1 | f)", "did not end within"),
    ];
    let statement =
        |program: &str, milliseconds: u32| format!("SELECT jq('{program}', payload, {milliseconds}) AS a FROM \"t/#\"");
    let mut statements = Vec::new();
    for (program, _) in hostile {
        statements.extend([statement(program, 2_000), statement(".n + 1", 10_000)]);
    }
    let answers = answers(&statements);
    assert_eq!(answers.len(), statements.len());
    for (pair, (program, part)) in answers.chunks(2).zip(hostile) {
        let error = pair[0]["error"]["message"].as_str().unwrap_or_default();
        // How fast memory fills is the machine's business: running out of time is as good an end.
        assert!(error.contains(part) || error.contains("did not end within"), "{program}: {}", pair[0]);
        assert_eq!(pair[1], json!({"outputs": [{"a": [2]}]}), "after {program}");
    }
}

#[test]
fn statements_are_tried_out_with_what_a_configuration_has() {
    let config = format!(
        "{NODE}
[rule_engine]
jq_function_default_timeout = \"200ms\"
[schema_registry.schemas.reading]
type = \"avro\"
source = '{{\"type\": \"record\", \"name\": \"R\", \"fields\": [{{\"name\": \"n\", \"type\": \"int\"}}]}}'
[plugins.functions]
path = '{}'
limits = {{ deadline = \"2s\" }}
",
        plugin("functions-guest").display()
    );
    let scratch = Scratch::new("trial");
    let file = scratch.write("edge.toml", &config);
    let file = file.to_str().expect("a path in UTF-8");
    let event = scratch.write("event.json", r#"{"topic": "t/1", "payload": "{\"n\": 1}"}"#);
    let event = event.to_str().expect("a path in UTF-8");
    let sql =
        r#"SELECT bin2hexstr(schema_encode('reading', json_decode(payload))) AS a, g_echo(topic) AS b FROM "t/#""#;
    let tried = |more: &[&str]| {
        let said = millstream(&[&["sql", "test", "--json", "--event", event], more].concat(), "");
        let answer: Value = serde_json::from_str(&said.stdout).unwrap_or_else(|error| panic!("{error}: {said:?}"));
        (said.code, answer)
    };
    assert_eq!(tried(&["--sql", sql, "--config", file]), (Some(0), json!({"outputs": [{"a": "02", "b": "t/1"}]})));
    let (code, without) = tried(&["--sql", sql]);
    assert_eq!((code, without["error"]["kind"].as_str()), (Some(1), Some("runtime")), "{without}");
    let endless = "SELECT jq('def f: f; f', payload) AS a FROM \"t/#\"";
    let started = Instant::now();
    let (code, late) = tried(&["--sql", endless, "--config", file]);
    assert_eq!((code, late["error"]["kind"].as_str()), (Some(1), Some("runtime")), "{late}");
    assert!(started.elapsed() < Duration::from_secs(9), "the usual limit is ten seconds");
    let warned = |sql: &str, config: &[&str]| -> Vec<String> {
        let said = millstream(&[&["sql", "explain", "--json", "--sql", sql], config].concat(), "").ok();
        let plan: Value = serde_json::from_str(&said).expect("JSON");
        plan["warnings"].as_array().expect("warnings").iter().map(Value::to_string).collect()
    };
    assert!(warned(sql, &["--config", file]).is_empty(), "the plugin's function and the schema are known");
    let unknown = warned(sql, &[]);
    assert!(matches!(&unknown[..], [one] if one.contains("g_echo")), "{unknown:?}");
    let slip = sql.replace("'reading'", "'raeding'");
    let unknown = warned(&slip, &["--config", file]);
    assert!(matches!(&unknown[..], [one] if one.contains("R0104") && one.contains("`reading`")), "{unknown:?}");
    let with_rule = format!("{config}[rules.r]\nsql = '''{slip}'''\nactions = [{{ function = \"console\" }}]\n");
    let checked = millstream(&["check", scratch.write("slip.toml", &with_rule).to_str().expect("UTF-8")], "");
    assert!(checked.code == Some(0) && checked.stdout.contains("`raeding`"), "{checked:?}");
    let bad = scratch.write("bad.toml", &config.replace("\"int\"", "\"integer\""));
    let refused = millstream(&["sql", "test", "--sql", sql, "--config", bad.to_str().expect("UTF-8")], "");
    assert!(refused.code == Some(1) && refused.stderr.contains("schemas.reading"), "{refused:?}");
}

#[test]
fn what_a_rule_keeps_is_there_for_the_next_message() {
    let statements = [
        "SELECT kv_store_get('seen', 0) AS before, kv_store_put('seen', kv_store_get('seen', 0) + 1) AS ok FROM \"t/#\"",
        "SELECT kv_store_get('seen', 0) AS before, kv_store_put('seen', kv_store_get('seen', 0) + 1) AS ok FROM \"t/#\"",
        "SELECT kv_store_del('seen') AS gone, kv_store_get('seen') AS after FROM \"t/#\"",
        "SELECT proc_dict_put('last', payload.n) AS a, proc_dict_get('last') AS b FROM \"t/#\"",
        "SELECT kv_store_put('k', pad('x', 2000000)) AS a FROM \"t/#\"",
    ];
    let answers = answers(&statements.map(String::from));
    assert_eq!(answers[0], json!({"outputs": [{"before": 0, "ok": true}]}));
    assert_eq!(answers[1], json!({"outputs": [{"before": 1, "ok": true}]}));
    assert_eq!(answers[2], json!({"outputs": [{"gone": true, "after": "undefined"}]}));
    assert_eq!(answers[3], json!({"outputs": [{"a": "undefined", "b": 1}]}));
    assert!(answers[4]["error"]["message"].as_str().is_some_and(|error| error.contains("at most")), "{}", answers[4]);
}

#[test]
fn every_function_can_be_looked_up() {
    let all: Value = serde_json::from_str(&millstream(&["sql", "functions", "--json"], "").ok()).expect("JSON");
    let families = all["families"].as_array().expect("families");
    let names: Vec<&str> = families
        .iter()
        .flat_map(|family| family["functions"].as_array().expect("functions"))
        .map(|function| function["name"].as_str().expect("a name"))
        .collect();
    assert!(names.len() > 140 && names.contains(&"jq") && names.contains(&"topic"), "{names:?}");
    let text = millstream(&["sql", "functions"], "").ok();
    for name in &names {
        assert!(text.contains(&format!("  {name}(")), "{name} is not listed");
    }
    let one = millstream(&["sql", "functions", "substr"], "").ok();
    assert!(one.starts_with("substr(text, start[, length]) -> text\n") && one.contains("raises"), "{one}");
    let wrong = millstream(&["sql", "functions", "sub_str"], "");
    assert!(wrong.code == Some(1) && wrong.stderr.contains("did you mean `substr`?"), "{wrong:?}");
}

#[test]
fn a_running_node_counts_what_its_functions_refuse_and_goes_on() {
    let kafka = Kafka::shared();
    let topic = kafka.topic("functions", 1);
    let rule = "
[rules.all]
sql = 'SELECT jq(payload, 1, 1000) AS payload, getenv(clientid) AS env, proc_dict_put(1, topic) AS last FROM \"t/#\"'
actions = [\"sink\"]
";
    let value = action("sink", "kafka", &topic).replace("${payload}", "${payload} ${env} ${last}");
    let config = [NODE, &connector("kafka", &kafka.plaintext), &value, rule].concat();
    let scratch = Scratch::new("functions");
    let file = scratch.write("edge.toml", &config);
    let arguments = ["--config", file.to_str().expect("a path in UTF-8")];
    let host = Millstream::serve(scratch, &arguments, &[("EMQXVAR_SITE", "plant-7")]);
    let mut client = Client::connect(host.tcp(), Version::V5, "SITE");
    let mut publish = |id: u16, topic: &str, payload: &[u8]| {
        client.at_least_once(&Publish { topic, payload, qos: 1, id, ..Publish::default() })
    };
    assert_eq!(publish(1, "t/1", b". + 1"), 0);
    assert_eq!(publish(2, "t/2", b"def f: f; f"), 0x83);
    assert_eq!(publish(3, "t/3", b"[limit(20000000; repeat(1))]"), 0x83);
    assert_eq!(publish(4, "t/4", b". + 2"), 0);
    assert_eq!(kafka.read_at_least(&topic, 2).len(), 2);
    let values: Vec<String> = kafka.read(&topic).iter().map(|record| record.text().to_owned()).collect();
    assert_eq!(values, ["[2] plant-7 ", "[3] plant-7 t/1"]);
    let failed = host.metrics().sum("millstream_rule_failed_total", &[("rule", "all"), ("cause", "exception")]);
    assert_eq!(failed, 2);
}
