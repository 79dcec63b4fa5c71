//! What a rule does with each message and where its cost lies, for people who write rules. Evaluates nothing, and says
//! only what the plan really does: no figure here is an estimate of time.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::ast::{Body, Callee, Expr, Field, Kind, Path, Statement, Step};
use super::event::Column;
use super::plan::Attribute;
use super::print::{print, print_path};
use super::{Diagnostic, FunctionCatalog, check, functions, parser, plan};
use crate::value::{Map, Value};

/// What one rule does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The rule in one form for all spellings.
    pub sql: String,
    /// The entries of FROM.
    pub sources: Vec<String>,
    /// Columns of the event that it reads, `payload` not among them.
    pub columns: Vec<String>,
    pub payload: Payload,
    pub calls: Vec<Call>,
    /// Whether all columns are in the output.
    pub star: bool,
    /// The names in the output besides.
    pub fields: Vec<String>,
    /// Operators, calls and look-ups for each message, whether or not WHERE lets it through.
    pub steps: usize,
    /// The same for each element of FOREACH.
    pub element_steps: Option<usize>,
    pub warnings: Vec<Diagnostic>,
}

/// What happens to the payload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Payload {
    /// In the output as it came: shared, never copied, never parsed for it.
    pub passed_on: bool,
    /// Read in one pass over its bytes, which builds nothing but these.
    pub paths: Vec<String>,
    /// Why the whole document is built in a second pass; empty if it is not.
    pub whole: Vec<String>,
    /// Calls that decode it once more for themselves.
    pub again: usize,
}

/// A function that is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    pub name: String,
    pub kind: CallKind,
    /// In how many places of the rule.
    pub places: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallKind {
    BuiltIn,
    /// Reads a column of the event.
    Attribute,
    Plugin,
    /// Raises when it is reached.
    Unknown,
}

/// Explains a rule.
///
/// # Errors
/// The same as for compiling it.
pub fn explain(sql: &str, catalog: &dyn FunctionCatalog) -> Result<Explanation, Vec<Diagnostic>> {
    let statement = parser::parse(sql)?;
    plan::plan(&statement, catalog)?;
    let mut survey = Survey::new(catalog);
    survey.statement(&statement);
    Ok(Explanation {
        sql: print(&statement),
        sources: statement.sources.iter().map(|(topic, _)| topic.clone()).collect(),
        columns: survey.columns,
        payload: survey.payload,
        calls: survey.calls.into_iter().map(|(name, (kind, places))| Call { name, kind, places }).collect(),
        star: survey.star,
        fields: survey.fields,
        steps: survey.steps,
        element_steps: survey.element_steps,
        warnings: check::check(&statement, catalog),
    })
}

struct Survey<'a> {
    catalog: &'a dyn FunctionCatalog,
    columns: Vec<String>,
    payload: Payload,
    calls: BTreeMap<String, (CallKind, usize)>,
    star: bool,
    fields: Vec<String>,
    steps: usize,
    element_steps: Option<usize>,
}

impl<'a> Survey<'a> {
    fn new(catalog: &'a dyn FunctionCatalog) -> Survey<'a> {
        Survey {
            catalog,
            columns: Vec::new(),
            payload: Payload::default(),
            calls: BTreeMap::new(),
            star: false,
            fields: Vec::new(),
            steps: 0,
            element_steps: None,
        }
    }

    fn statement(&mut self, statement: &Statement) {
        match &statement.body {
            Body::Select(fields) => self.fields(fields),
            Body::Foreach { fields, each, incase } => {
                self.fields(fields);
                if let Some(Field::Expr { expr, .. }) = fields.last()
                    && matches!(&expr.kind, Kind::Path(path) if path.name == "payload" && path.steps.is_empty())
                {
                    self.payload.whole.push(String::from("FOREACH runs over it"));
                }
                let before = std::mem::take(&mut self.steps);
                if let Some(incase) = incase {
                    self.expr(incase);
                }
                match each {
                    Some(each) => {
                        self.fields.clear();
                        self.payload.passed_on = false;
                        self.fields(each);
                    }
                    None => {
                        self.star = true;
                        self.payload.passed_on = true;
                        if let Some(Field::Expr { alias: None, .. }) = fields.last() {
                            add(&mut self.fields, "item");
                        }
                    }
                }
                self.element_steps = Some(std::mem::replace(&mut self.steps, before));
            }
        }
        if let Some(condition) = &statement.condition {
            self.expr(condition);
        }
    }

    fn fields(&mut self, fields: &[Field]) {
        let (mut star, mut text_payload) = (false, false);
        for field in fields {
            let Field::Expr { expr, alias } = field else {
                star = true;
                self.payload.passed_on = true;
                continue;
            };
            self.expr(expr);
            let target = match (alias.as_ref().map(|alias| &alias.kind), &expr.kind) {
                (Some(Kind::Path(path)), _) => Some(path),
                (None, Kind::Path(path) | Kind::Slice(path, ..)) => Some(path),
                _ => None,
            };
            let Some(target) = target else {
                match &expr.kind {
                    Kind::Const(Value::Str(text)) => add(&mut self.fields, &String::from_utf8_lossy(text)),
                    _ => add(&mut self.fields, "(generated)"),
                }
                continue;
            };
            add(&mut self.fields, &target.name);
            let whole_payload = |path: &Path| path.name == "payload" && path.steps.is_empty();
            self.payload.passed_on |= matches!(&expr.kind, Kind::Path(path) if whole_payload(path));
            if target.name == "payload" {
                // Storing into a payload that the output already holds as text decodes it (rule-sql 2.7).
                let decodes = if alias.is_some() { text_payload } else { star };
                if !target.steps.is_empty() && decodes {
                    self.payload.whole.push(format!("`{}` is stored into it", print_path(target)));
                }
                text_payload |= target.steps.is_empty();
            }
        }
        self.star = star;
    }

    fn expr(&mut self, expr: &Expr) {
        if !matches!(expr.kind, Kind::Const(_)) {
            self.steps += 1;
        }
        match &expr.kind {
            Kind::Path(path) | Kind::Slice(path, ..) => self.path(path),
            Kind::Call(callee, arguments) => {
                self.call(callee, arguments.len());
                arguments.iter().for_each(|argument| self.expr(argument));
            }
            _ => expr.for_each_part(|part| self.expr(part)),
        }
    }

    fn path(&mut self, path: &Path) {
        if path.name != "payload" {
            if Column::of(path.name.as_bytes()).is_some() {
                add(&mut self.columns, &path.name);
            }
            return;
        }
        if path.steps.is_empty() {
            return;
        }
        let keys = path.steps.iter().take_while(|step| matches!(step, Step::Key(_))).count();
        let leading = Path { steps: path.steps[..keys].to_vec(), ..path.clone() };
        add(&mut self.payload.paths, &print_path(&leading));
        if path.steps.iter().any(|step| matches!(step, Step::Variable(_))) {
            add(&mut self.payload.whole, &format!("`{}` takes its index from it", print_path(path)));
        }
    }

    fn call(&mut self, callee: &Callee, arguments: usize) {
        let (name, kind) = match callee {
            Callee::Qualified(path) => (print_path(path), CallKind::Unknown),
            Callee::Name(name) => {
                let attribute =
                    Attribute::NAMES.iter().any(|(known, arity)| known == name && arity.contains(&arguments));
                let kind = if attribute {
                    CallKind::Attribute
                } else if functions::lookup(name).is_some() {
                    CallKind::BuiltIn
                } else if self.catalog.resolve(name).is_some() {
                    CallKind::Plugin
                } else {
                    CallKind::Unknown
                };
                self.payload.again += usize::from(attribute && name == "payload" && arguments == 1);
                (name.clone(), kind)
            }
        };
        self.calls.entry(name).or_insert((kind, 0)).1 += 1;
    }
}

fn add(names: &mut Vec<String>, name: &str) {
    if !names.iter().any(|known| known == name) {
        names.push(name.to_owned());
    }
}

impl Explanation {
    /// In words, a line for each matter.
    #[must_use]
    pub fn text(&self) -> String {
        let or = |list: &[String], none: &str| if list.is_empty() { none.to_owned() } else { list.join(", ") };
        let mut output: Vec<String> =
            self.star.then(|| String::from("every column (shown, not copied)")).into_iter().collect();
        output.extend(self.fields.iter().cloned());
        let calls = self.calls.iter().map(|call| {
            let times = if call.places > 1 { format!(", {} places", call.places) } else { String::new() };
            format!("{} ({}{times})", call.name, call.kind.words())
        });
        let steps = |count: usize| if count == 1 { String::from("1 step") } else { format!("{count} steps") };
        let mut work = format!("{} a message", steps(self.steps));
        if let Some(element) = self.element_steps {
            work += &format!(", {} for each element", steps(element));
        }
        let lines = [
            ("statement", self.sql.clone()),
            ("fires on", self.sources.join(", ")),
            ("columns", or(&self.columns, "none is read")),
            ("payload", self.payload.text()),
            ("calls", or(&calls.collect::<Vec<_>>(), "none")),
            ("output", or(&output, "nothing")),
            ("work", work + "; fields are computed before WHERE decides"),
        ];
        let mut out: Vec<String> = lines.iter().map(|(name, text)| format!("{name:<10}{text}")).collect();
        // Diagnostics show the rule as it is printed above only by accident: the place is in what the user wrote.
        out.extend(self.warnings.iter().map(|warning| format!("{:<10}{warning}", "warning")));
        out.join("\n")
    }

    /// As one value, for programs.
    #[must_use]
    pub fn value(&self) -> Value {
        let texts = |list: &[String]| Value::list(list.iter().map(|text| Value::str(text)).collect());
        let count = |number: usize| Value::Int(i64::try_from(number).unwrap_or(i64::MAX));
        let calls = self.calls.iter().map(|call| {
            object([
                ("name", Value::str(&call.name)),
                ("kind", Value::str(call.kind.word())),
                ("places", count(call.places)),
            ])
        });
        let warnings = self.warnings.iter().map(|warning| {
            object([
                ("code", Value::str(warning.code.as_str())),
                ("start", count(warning.span.start)),
                ("end", count(warning.span.end)),
                ("message", Value::str(&warning.message)),
                ("hint", warning.hint.as_deref().map_or(Value::Null, Value::str)),
            ])
        });
        object([
            ("sql", Value::str(&self.sql)),
            ("sources", texts(&self.sources)),
            ("columns", texts(&self.columns)),
            (
                "payload",
                object([
                    ("passed_on", Value::Bool(self.payload.passed_on)),
                    ("scanned_for", texts(&self.payload.paths)),
                    ("decoded_whole_because", texts(&self.payload.whole)),
                    ("decoded_again_by_calls", count(self.payload.again)),
                ]),
            ),
            ("calls", Value::list(calls.collect())),
            ("output", object([("every_column", Value::Bool(self.star)), ("fields", texts(&self.fields))])),
            ("steps", count(self.steps)),
            ("steps_for_each_element", self.element_steps.map_or(Value::Null, count)),
            ("warnings", Value::list(warnings.collect())),
        ])
    }
}

impl Payload {
    fn text(&self) -> String {
        let mut parts = Vec::new();
        match self.paths.as_slice() {
            [] => {}
            [path] => parts.push(format!("scanned once for {path}")),
            paths => parts.push(format!("scanned once for {} paths: {}", paths.len(), paths.join(", "))),
        }
        if !self.whole.is_empty() {
            parts.push(format!("decoded whole, because {}", self.whole.join(" and ")));
        }
        if self.again > 0 {
            let calls = if self.again == 1 { String::from("a call") } else { format!("{} calls", self.again) };
            parts.push(format!("decoded once more by {calls} of payload(path)"));
        }
        if self.passed_on {
            parts.push(String::from("passed on as it is (shared, not copied)"));
        }
        if parts.is_empty() { String::from("never looked at") } else { parts.join("; ") }
    }
}

impl CallKind {
    fn word(self) -> &'static str {
        match self {
            CallKind::BuiltIn => "built_in",
            CallKind::Attribute => "attribute",
            CallKind::Plugin => "plugin",
            CallKind::Unknown => "unknown",
        }
    }

    fn words(self) -> &'static str {
        match self {
            CallKind::BuiltIn => "built in",
            CallKind::Attribute => "reads a column",
            CallKind::Plugin => "plugin: runs in WebAssembly",
            CallKind::Unknown => "unknown: raises when reached",
        }
    }
}

fn object<const N: usize>(entries: [(&'static str, Value); N]) -> Value {
    let entries = entries.into_iter().map(|(key, value)| (Bytes::from_static(key.as_bytes()), value));
    Value::map(entries.collect::<Map>())
}

#[cfg(test)]
mod tests {
    use super::super::NoFunctions;
    use super::*;

    fn explained(sql: &str) -> Explanation {
        explain(sql, &NoFunctions).unwrap_or_else(|problems| panic!("{sql}: {problems:?}"))
    }

    #[test]
    fn the_payload_of_several_rules() {
        for (sql, expected) in [
            ("select topic from t", "never looked at"),
            ("select * from t", "passed on as it is (shared, not copied)"),
            ("select payload.a from t", "scanned once for payload.a"),
            (
                "select *, payload.a as a from t where payload.a > 1 and payload.b.c[1] = 2",
                "scanned once for 2 paths: payload.a, payload.b.c; passed on as it is (shared, not copied)",
            ),
            (
                "select payload.a[i] as a from t",
                "scanned once for payload.a; decoded whole, because `payload.a[i]` takes its index from it",
            ),
            ("foreach payload as p do p from t", "decoded whole, because FOREACH runs over it"),
            (
                "select payload, 1 as payload.x from t",
                "decoded whole, because `payload.x` is stored into it; passed on as it is (shared, not copied)",
            ),
            ("select payload('a.b') as a from t", "decoded once more by a call of payload(path)"),
        ] {
            assert_eq!(explained(sql).payload.text(), expected, "{sql}");
        }
    }

    #[test]
    fn all_of_a_rule_in_words() {
        let sql = "foreach payload.l as x do clientid, upper(x) as u, lwer(x) as v incase x > 1 from 'a/#' where qos=1";
        let expected = "\
statement FOREACH payload.l AS x DO clientid, upper(x) AS u, lwer(x) AS v INCASE x > 1 FROM \"a/#\" WHERE qos = 1
fires on  a/#
columns   clientid, qos
payload   scanned once for payload.l
calls     lwer (unknown: raises when reached), upper (built in)
output    clientid, u, v
work      3 steps a message, 7 steps for each element; fields are computed before WHERE decides";
        let text = explained(sql).text();
        assert_eq!(text.split("\nwarning").next(), Some(expected));
        assert!(text.contains("R0101") && text.contains("did you mean `lower`"), "{text}");
    }

    #[test]
    fn programs_read_the_same() {
        let value = explained("select payload.a as a from t where nosuch(1)").value();
        let mut json = Vec::new();
        value.to_json(&mut json);
        let json = String::from_utf8(json).unwrap();
        assert!(json.contains("\"scanned_for\":[\"payload.a\"]"), "{json}");
        assert!(json.contains("\"kind\":\"unknown\"") && json.contains("\"code\":\"R0101\""), "{json}");
    }
}
