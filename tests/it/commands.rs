//! The commands as a user types them: exit codes, file and line, one JSON object a line.

use std::time::Duration;

use serde_json::{Value, json};
use support::millstream::{Millstream, NODE, action, connector};
use support::scratch::Scratch;
use support::tools::{millstream, run};
use support::wait::eventually;

fn check(config: &str) -> support::tools::Ended {
    let scratch = Scratch::new("check");
    let file = scratch.write("edge.toml", config);
    millstream(&["check", file.to_str().expect("a path in UTF-8")], "")
}

fn good() -> String {
    let rule = "[rules.all]\nsql = 'SELECT * FROM \"t/#\"'\nactions = [\"sink\"]\n";
    [NODE, &connector("kafka", "127.0.0.1:9092"), &action("sink", "kafka", "x"), rule].concat()
}

/// The number of the line of `text` that contains `part`.
fn line_of(text: &str, part: &str) -> usize {
    text.lines().position(|line| line.contains(part)).expect("the line") + 1
}

#[test]
fn check_says_that_a_good_configuration_is_good() {
    let ended = check(&good());
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[test]
fn a_bad_configuration_is_refused_with_file_line_and_the_nearest_right_name() {
    let cases = [
        ("bootstrap_hosts", "bootstrap_host", "bootstrap_host = ", "bootstrap_hosts"),
        ("actions = [\"sink\"]", "actions = [\"sinc\"]", "\"sinc\"", "sink"),
        ("connector = \"kafka\"", "connector = \"kafak\"", "\"kafak\"", "kafka"),
        ("SELECT * FROM", "SELEKT * FROM", "SELEKT", "SELECT"),
        ("bind = \"127.0.0.1:0\"", "bind = true", "bind = true", "bind"),
    ];
    for (right, wrong, at, hint) in cases {
        let config = good().replacen(right, wrong, 1);
        let ended = check(&config);
        assert_eq!(ended.code, Some(1), "{wrong}: {ended:?}");
        let said = ended.stdout + &ended.stderr;
        let place = format!("edge.toml:{}", line_of(&config, at));
        assert!(said.contains(&place), "{wrong}: no {place} in\n{said}");
        assert!(said.contains(hint), "{wrong}: no {hint} in\n{said}");
    }
}

#[test]
fn check_warns_of_what_never_fires_and_of_placeholders_without_a_field() {
    let config = good().replace("SELECT * FROM", "SELECT payload.temp AS temp FROM").replace("t/#", "$share/g/t");
    let config = config.replace("key = \"${clientid}\"", "key = \"${tmep}\"");
    let ended = check(&config);
    assert_eq!(ended.code, Some(0), "warnings are no errors: {ended:?}");
    let said = ended.stdout + &ended.stderr;
    for (at, part) in [("$share/g/t", "R0106"), ("${tmep}", "did you mean `temp`?")] {
        let line = format!("edge.toml:{}", line_of(&config, at));
        assert!(said.contains(&line) && said.contains(part), "no {line} or no {part} in\n{said}");
    }
}

#[test]
fn sql_explain_says_what_is_read() {
    let sql = "SELECT *, payload.a AS a FROM \"t/#\" WHERE payload.b.c > 1";
    let ended = millstream(&["sql", "explain", "--sql", sql], "");
    assert!(ended.stdout.contains("scanned once for 2 paths: payload.a, payload.b.c"), "{ended:?}");
    let json = millstream(&["sql", "explain", "--json", "--sql", sql], "").stdout;
    let json: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["payload"]["scanned_for"], json!(["payload.a", "payload.b.c"]), "{json}");
    let ended = millstream(&["sql", "explain", "--sql", "SELECT a form \"t\""], "");
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stdout.contains("did you mean FROM?") && ended.stdout.contains("^^^^"), "{ended:?}");
}

#[test]
fn serve_does_not_start_with_a_bad_configuration() {
    let scratch = Scratch::new("serve");
    let file = scratch.write("edge.toml", &good().replace("[listeners.tcp]", "[listner.tcp]"));
    let ended = millstream(&["serve", "--config", file.to_str().expect("a path in UTF-8")], "");
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("edge.toml:"), "{ended:?}");
    assert!(ended.stderr.contains("listeners"), "{ended:?}");
}

#[test]
fn a_command_that_does_not_exist_is_a_usage_error_and_every_command_has_an_example() {
    assert_eq!(millstream(&["serv"], "").code, Some(2));
    for command in
        [&["serve"][..], &["check"], &["sql", "test"], &["sql", "explain"], &["plugin", "inspect"], &["plugin", "test"]]
    {
        let help = millstream(&[command, &["--help"]].concat(), "").ok();
        assert!(help.contains("millstream"), "{command:?} has no example: {help}");
    }
}

#[test]
fn sql_test_answers_one_line_for_each_line() {
    let cases = [
        (
            json!({"sql": "SELECT payload.a as a FROM \"t/#\"", "event": {"topic": "t/1", "payload": "{\"a\": 1}"}}),
            json!({"outputs": [{"a": 1}]}),
        ),
        (
            json!({"sql": "SELECT * FROM \"t/#\" WHERE qos > 1", "event": {"topic": "t/1", "qos": 1, "payload": ""}}),
            json!({"no_result": true}),
        ),
        (json!({"template": "d-${a.b}", "vars": {"a": {"b": 7}}}), json!({"rendered": "d-7"})),
    ];
    let input: String = cases.iter().map(|(input, _)| format!("{input}\n")).collect();
    let input = input + "{\"sql\": \"SELECT FROM\", \"event\": {}}\n";
    let output = millstream(&["sql", "test", "--stdin"], &input).stdout;
    let answers: Vec<Value> = output.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(answers.len(), cases.len() + 1, "{output}");
    for ((input, expected), answer) in cases.iter().zip(&answers) {
        assert_eq!(answer, expected, "{input}");
    }
    assert_eq!(answers[cases.len()]["error"]["kind"], "parse", "{output}");
}

#[test]
fn the_lines_of_the_dev_banner_work_as_typed() {
    let scratch = Scratch::new("dev");
    // Only the ports are not those of a user, whose own may be in use here.
    let ports = [("MILLSTREAM__LISTENERS__TCP__BIND", "127.0.0.1:0"), ("MILLSTREAM__API__BIND", "127.0.0.1:0")];
    let mut host = Millstream::serve(scratch, &["--dev"], &ports);
    let line = |command: &str| {
        eventually(&format!("a line with {command}"), Duration::from_secs(30), || {
            let log = host.log();
            let line = log.lines().find_map(|line| line.find(&format!("{command} ")).map(|at| line[at..].to_string()));
            line.filter(|_| log.ends_with('\n'))
        })
    };
    let (publish, read) = (line("mosquitto_pub"), line("kcat"));
    let _ = run("bash", &["-c", &publish]).ok();
    // The reader of the banner follows the topic for ever; one message is enough here.
    let one = run("bash", &["-c", &format!("{read} -c 1")]).ok();
    assert!(!one.trim().is_empty(), "nothing came of: {read}");
    assert!(host.kafka.is_some(), "the in-process Kafka is not in the ports file");
    assert_eq!(host.stop().code(), Some(0));
}
