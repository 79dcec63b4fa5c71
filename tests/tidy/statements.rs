//! The tables of normative statements in `tests/mqtt/`: complete, in order, and true. Each statement that concerns a
//! server names tests, each of those exists and names the statement, and no test names one that there is not.
//!
//! Ids of 3.1.1 and 5.0 look alike and mean different things. Below `it/mqtt_v3/` an id is one of 3.1.1; everywhere else
//! it is one of 5.0, unless `of 3.1.1` follows.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::Range;
use std::path::Path;

use super::source::{Source, sources};

/// One standard: its table, the folder of its tests, and how many statements its Appendix B lists.
struct Standard {
    table: &'static str,
    folder: &'static str,
    statements: usize,
}

const V3: Standard = Standard { table: "tests/mqtt/statements_v3.tsv", folder: "tests/it/mqtt_v3/", statements: 141 };
const V5: Standard = Standard { table: "tests/mqtt/statements_v5.tsv", folder: "tests/it/mqtt_v5/", statements: 251 };

/// Statements of both tables that are marked `untested`. It may only fall.
const UNTESTED: usize = 0;

/// Whom a statement concerns. All but `server` have no test: what only a client does, what only a server does that
/// connects to other servers, and what only a server does that offers enhanced authentication.
const CONCERNS: [&str; 4] = ["server", "client", "bridge", "unoffered"];

#[derive(Debug)]
struct Row {
    id: String,
    concerns: String,
    text: String,
    tests: Vec<String>,
}

/// A test function: the lines of its comment and attributes, and its body.
#[derive(Debug)]
struct Test {
    /// `path::name`.
    name: String,
    text: String,
}

/// The ids that `text` mentions, those of 3.1.1 (which `of 3.1.1` follows) apart.
#[derive(Debug, Default, PartialEq, Eq)]
struct Mentions {
    plain: BTreeSet<String>,
    of_3_1_1: BTreeSet<String>,
}

/// Complaints about the tables below `root` and all that is written about statements in its sources.
pub fn complaints(root: &Path) -> Vec<String> {
    let mut complaints = Vec::new();
    let read = |standard: &Standard| {
        let text = fs::read_to_string(root.join(standard.table)).unwrap_or_else(|e| panic!("{}: {e}", standard.table));
        rows(&text)
    };
    let (v3, v5) = (read(&V3), read(&V5));
    let files: Vec<Source> = ["host/src", "tests"]
        .into_iter()
        .flat_map(|folder| {
            let within = move |source: Source| Source { path: format!("{folder}/{}", source.path), ..source };
            sources(&root.join(folder)).into_iter().map(within)
        })
        .filter(|source| source.path != "tests/tidy/statements.rs")
        .collect();
    let tests: Vec<Test> = files.iter().flat_map(|source| tests(&source.path, &source.text)).collect();
    for (standard, rows) in [(&V3, &v3), (&V5, &v5)] {
        let about = |complaint: String| format!("{}: {complaint}", standard.table);
        complaints.extend(order(rows, standard.statements).into_iter().map(about));
        complaints.extend(truth(rows, standard, &tests).into_iter().map(about));
    }
    let untested = [&v3, &v5].into_iter().flatten().filter(|row| row.tests == ["untested"]).count();
    if untested != UNTESTED {
        complaints.push(format!("{untested} statements are untested, UNTESTED says {UNTESTED}: it may only fall"));
    }
    for source in &files {
        for (ids, rows) in of(&source.path, &source.text, &v3, &v5) {
            for id in ids.iter().filter(|id| rows.iter().all(|row| row.id != **id)) {
                complaints.push(format!("{}: there is no statement {id}", source.path));
            }
        }
    }
    complaints
}

/// What a file mentions, with the table that it is to be found in.
fn of<'a>(path: &str, text: &str, v3: &'a [Row], v5: &'a [Row]) -> [(BTreeSet<String>, &'a [Row]); 2] {
    let Mentions { plain, of_3_1_1 } = mentions(text);
    [(plain, if path.starts_with(V3.folder) { v3 } else { v5 }), (of_3_1_1, v3)]
}

fn rows(table: &str) -> Vec<Row> {
    let lines = table.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines
        .map(|line| {
            let mut fields = line.split('\t').map(str::to_string);
            let mut next = || fields.next().unwrap_or_default();
            let (id, concerns, text) = (next(), next(), next());
            Row { id, concerns, text, tests: next().split_whitespace().map(str::to_string).collect() }
        })
        .collect()
}

/// Chapter, section and so on of `MQTT-3.1.2-4`, and its number there.
fn parts(id: &str) -> Option<(Vec<u32>, u32)> {
    let (section, number) = id.strip_prefix("MQTT-")?.split_once('-')?;
    let section: Result<Vec<u32>, _> = section.split('.').map(str::parse).collect();
    Some((section.ok()?, number.parse().ok()?))
}

/// Every statement once, in order, none left out.
fn order(rows: &[Row], statements: usize) -> Vec<String> {
    let mut complaints = Vec::new();
    if rows.len() != statements {
        complaints.push(format!("{} statements instead of {statements}", rows.len()));
    }
    let mut before: Option<(Vec<u32>, u32)> = None;
    for row in rows {
        let Some((section, number)) = parts(&row.id) else {
            complaints.push(format!("not an id: {:?}", row.id));
            continue;
        };
        // 5.0 has no MQTT-2.2.1-1.
        let first = number == 1 || row.id == "MQTT-2.2.1-2";
        let follows = before.as_ref().is_none_or(|(section_before, number_before)| {
            section == *section_before && number == number_before + 1 || section > *section_before && first
        });
        if !follows {
            complaints.push(format!("{} does not follow the one before it", row.id));
        }
        before = Some((section, number));
    }
    complaints
}

/// Rows say something of their own, whom they concern, and tests that show it; and tests are in the rows that they name.
fn truth(rows: &[Row], standard: &Standard, tests: &[Test]) -> Vec<String> {
    let mut complaints = Vec::new();
    let by_name: BTreeMap<&str, &Test> = tests.iter().map(|test| (test.name.as_str(), test)).collect();
    for row in rows {
        let id = &row.id;
        if row.text.is_empty() || row.text.contains("MUST") {
            complaints.push(format!("{id}: say in your own words what it asks for"));
        }
        match (row.concerns.as_str(), row.tests.is_empty()) {
            ("server", true) => complaints.push(format!("{id}: name a test, or write `untested`")),
            ("server", false) => {}
            (concerns, true) if CONCERNS.contains(&concerns) => {}
            (concerns, _) => complaints.push(format!("{id}: `{concerns}` is none of {CONCERNS:?}, or has no tests")),
        }
        for name in row.tests.iter().filter(|name| *name != "untested") {
            match by_name.get(name.as_str()) {
                None => complaints.push(format!("{id}: there is no test {name}")),
                Some(test) if !named(test, standard).contains(id) => {
                    complaints.push(format!("{id}: {name} does not name it"));
                }
                Some(_) => {}
            }
        }
    }
    for test in tests.iter().filter(|test| test.name.starts_with(standard.folder)) {
        let named = named(test, standard);
        if named.is_empty() {
            complaints.push(format!("{} names no statement", test.name));
        }
        let missing = |id: &&String| rows.iter().any(|row| row.id == **id && !row.tests.contains(&test.name));
        for id in named.iter().filter(missing) {
            complaints.push(format!("{id}: {} names it and is not in its row", test.name));
        }
    }
    complaints
}

/// The statements of this standard that a test names.
fn named(test: &Test, standard: &Standard) -> BTreeSet<String> {
    let Mentions { plain, of_3_1_1 } = mentions(&test.text);
    match (standard.table == V3.table, test.name.starts_with(V3.folder)) {
        (true, false) => of_3_1_1,
        (false, true) => BTreeSet::new(),
        _ => plain,
    }
}

fn mentions(text: &str) -> Mentions {
    let mut mentions = Mentions::default();
    for (at, _) in text.match_indices("MQTT-") {
        let id: String = text[at..].chars().take_while(|c| c.is_ascii_alphanumeric() || "-.".contains(*c)).collect();
        let id = id.trim_end_matches(['-', '.']);
        if parts(id).is_some() {
            let after = &text[at + id.len()..];
            let place = if after.starts_with(" of 3.1.1") { &mut mentions.of_3_1_1 } else { &mut mentions.plain };
            place.insert(id.to_string());
        }
    }
    mentions
}

/// All test functions of a formatted file.
fn tests(path: &str, text: &str) -> Vec<Test> {
    let lines: Vec<&str> = text.lines().collect();
    let is_test =
        |line: &&str| line.trim_start().starts_with("#[test]") || line.trim_start().starts_with("#[tokio::test");
    let starts = (0..lines.len()).filter(|at| is_test(&lines[*at]));
    starts.filter_map(|at| Some(test(path, &lines, function(&lines, at)?))).collect()
}

/// The lines from the first one of the comment above the attribute at `attribute` to the function's closing brace.
fn function(lines: &[&str], attribute: usize) -> Option<Range<usize>> {
    let indent = lines[attribute].len() - lines[attribute].trim_start().len();
    let above = lines[..attribute].iter().rev().take_while(|line| line.trim_start().starts_with(['/', '#'])).count();
    let end = lines[attribute..].iter().position(|line| line.len() == indent + 1 && line.ends_with('}'))?;
    Some(attribute - above..attribute + end + 1)
}

fn test(path: &str, lines: &[&str], at: Range<usize>) -> Test {
    let head = lines[at.clone()].iter().find_map(|line| line.split_once("fn ").map(|(_, rest)| rest));
    let name = head.and_then(|rest| rest.split('(').next()).unwrap_or_default();
    Test { name: format!("{path}::{name}"), text: lines[at].join("\n") }
}

#[test]
fn the_tables_are_checked_as_they_should_be() {
    let table =
        "# comment\nMQTT-1.5.4-1\tserver\ttext\ta.rs::good\nMQTT-2.2.1-2\tclient\ttext\nMQTT-2.2.1-3\tserver\ttext\t";
    let mut rows = rows(table);
    assert_eq!(order(&rows, 3), [""; 0]);
    let file = "/// MQTT-1.5.4-1, and MQTT-3.1.2-22 of 3.1.1.\n#[test]\nfn good() {\n    x();\n}\n\n#[test]\nfn other() {\n}\n";
    let found = tests("a.rs", file);
    assert_eq!(found.iter().map(|test| test.name.as_str()).collect::<Vec<_>>(), ["a.rs::good", "a.rs::other"]);
    assert_eq!(truth(&rows, &V5, &found), ["MQTT-2.2.1-3: name a test, or write `untested`"]);
    rows[2].tests = vec!["a.rs::other".into()];
    assert_eq!(truth(&rows, &V5, &found), ["MQTT-2.2.1-3: a.rs::other does not name it"]);
    rows[2].tests = vec!["a.rs::none".into()];
    assert_eq!(truth(&rows, &V5, &found), ["MQTT-2.2.1-3: there is no test a.rs::none"]);
    rows[2].tests = vec!["a.rs::good".into()];
    assert_eq!(truth(&rows, &V3, &found).len(), 2, "the ids of 5.0 are none of 3.1.1");
    rows.swap(1, 2);
    assert_eq!(order(&rows, 4).len(), 3);
    let inside = tests("tests/it/mqtt_v5/a.rs", file);
    assert_eq!(truth(&rows[..1], &V5, &inside).len(), 3, "not the row's test, not in the row, and one without a name");
    let Mentions { plain, of_3_1_1 } = mentions("(MQTT-3.1.2-3), MQTT-4.7.1, MQTT-2.2.1-2 of 3.1.1; MQTT-1.5.4-1.");
    assert_eq!(plain.into_iter().collect::<Vec<_>>(), ["MQTT-1.5.4-1", "MQTT-3.1.2-3"]);
    assert_eq!(of_3_1_1.into_iter().collect::<Vec<_>>(), ["MQTT-2.2.1-2"]);
}
