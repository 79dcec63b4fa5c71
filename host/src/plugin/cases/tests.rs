//! Cases on the sample plugin: right ones pass, wrong ones say what is different.

use super::super::SITE_TAGS;
use super::*;

fn run_on_site_tags(cases: &str) -> Result<Report, CasesError> {
    run(&Engine::new(None).unwrap(), "site-tags", SITE_TAGS, cases)
}

/// What is said of each case; nothing for one that passed.
fn problems(cases: &str) -> Vec<String> {
    let report = run_on_site_tags(&format!(r#"{{"config": {{"site": "plant-7"}}, "cases": [{cases}]}}"#)).unwrap();
    report.results.into_iter().map(|result| result.problem.unwrap_or_default()).collect()
}

#[test]
fn right_cases_pass() {
    let cases = r#"
        {"name": "a", "message": {"value": "v"}, "expect": {"replace": [{"headers": [["site", "plant-7"]]}]}},
        {"name": "b", "message": {"value": {"hex": "00ff"}, "headers": [["x", null]]},
         "expect": {"replace": [{"value": {"hex": "00 ff"}, "headers": [["x", null], ["site", "plant-7"]]}]}},
        {"name": "c", "message": {"value": "{\"b\":2.0,\"a\":1}"},
         "expect": {"replace": [{"value": {"json": {"a": 1, "b": 2}}, "headers": [["site", "plant-7"]]}]}},
        {"name": "d", "config": {"site": ""}, "expect": {"init_error": "`site` is empty"}},
        {"name": "e", "config": {}, "expect": {"init_error": "missing field `site`"}},
        {"name": "f", "config": {}, "message": {}, "expect": {"failed": "refused_init"}}
    "#;
    assert_eq!(problems(cases), ["", "", "", "", "", ""]);
}

#[test]
fn wrong_cases_say_what_is_different() {
    let cases = r#"
        {"name": "a", "message": {"value": "v"}, "expect": "keep"},
        {"name": "b", "message": {"value": "v"}, "expect": {"replace": []}},
        {"name": "c", "message": {"value": "v"}, "expect": {"replace": [{"headers": [["site", "x"]]}]}},
        {"name": "d", "message": {"value": "v"}, "expect": {"replace": [{"value": "w", "headers": [["site", "plant-7"]]}]}},
        {"name": "e", "message": {"value": "v"}, "expect": {"replace": [{"value": null, "headers": [["site", "plant-7"]]}]}},
        {"name": "f", "message": {"value": "v"}, "expect": {"replace": [{"topic": "x", "headers": [["site", "plant-7"]]}]}},
        {"name": "g", "message": {"value": "v"}, "expect": {"replace": [{"timestamp": 1, "headers": [["site", "plant-7"]]}]}},
        {"name": "h", "expect": {"init_error": "no"}, "message": {}}
    "#;
    let said = problems(cases);
    let expected = [
        "expected keep",
        "expected 0 records",
        "[site=`plant-7`]",
        "the value is `v`",
        "the value is `v`",
        "the topic `x`",
        "timestamp Some(1)",
        "a plugin that starts",
    ];
    for (said, expected) in said.iter().zip(expected) {
        assert!(said.contains(expected), "{said:?} should contain {expected:?}");
    }
    assert_eq!(said.len(), expected.len());
}

#[test]
fn a_file_that_makes_no_sense_is_an_error() {
    for (cases, says) in [
        ("{", "not usable"),
        (r#"{"cases": []}"#, "no cases"),
        (r#"{"cases": [{"name": "a", "expect": "keep", "mesage": {}}]}"#, "unknown field `mesage`"),
        (r#"{"config": {"site": "a"}, "cases": [{"name": "a", "expect": "keep"}]}"#, "either `message` or `call`"),
        (
            r#"{"config": {"site": "a"}, "cases": [{"name": "a", "expect": "keep", "message": {"value": {"hex": "0"}}}]}"#,
            "odd number",
        ),
        (r#"{"config": {"site": "a"}, "cases": [{"name": "a", "expect": "keep", "message": {"qos": 3}}]}"#, "qos 3"),
        (r#"{"config": {"site": "a"}, "cases": [{"name": "a", "expect": "keep", "call": "f"}]}"#, "no function `f`"),
    ] {
        let error = run_on_site_tags(cases).unwrap_err();
        assert!(error.to_string().contains(says), "{cases}: {error}");
    }
}
