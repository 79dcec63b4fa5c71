//! Input and output cases for a plugin: `millstream plugin test COMPONENT --cases FILE`. `plugins/README.md` has the
//! format. A case runs through the very code that the pipeline runs.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value as Json;

use super::{Engine, Guest, Item, Limits, PluginError, Verdict, Warm};
use crate::value::Value;

mod format;
#[cfg(test)]
mod tests;

use format::{Call, Case, Cases, Expect, MessageCase, RecordCase};

/// What became of a file of cases.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    pub results: Vec<CaseResult>,
}

/// What became of one case.
#[derive(Clone, Debug, Serialize)]
pub struct CaseResult {
    pub name: String,
    pub passed: bool,
    /// What was different from what was expected; absent when it passed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// The file cannot be run at all.
#[derive(Debug, thiserror::Error)]
pub enum CasesError {
    #[error("the cases are not usable: {0}; plugins/README.md shows the format")]
    Format(String),
    #[error("case `{case}`: {cause}")]
    Case { case: String, cause: String },
}

impl Report {
    #[must_use]
    pub fn passed(&self) -> bool {
        self.results.iter().all(|result| result.passed)
    }

    #[must_use]
    pub fn failures(&self) -> usize {
        self.results.iter().filter(|result| !result.passed).count()
    }
}

/// Runs all cases of a file on the component `bytes`. A case's plugin is loaded once for each configuration in the file.
pub fn run(engine: &Arc<Engine>, name: &str, bytes: &[u8], cases_json: &str) -> Result<Report, CasesError> {
    let cases: Cases = serde_json::from_str(cases_json).map_err(|e| CasesError::Format(e.to_string()))?;
    if cases.cases.is_empty() {
        return Err(CasesError::Format("there are no cases".into()));
    }
    let limits = Limits::from(cases.limits);
    let mut loaded: HashMap<String, Result<Warm, PluginError>> = HashMap::new();
    let mut results = Vec::with_capacity(cases.cases.len());
    for case in &cases.cases {
        let config = case.config.as_ref().or(cases.config.as_ref()).map_or_else(|| "{}".to_owned(), Json::to_string);
        let guest = loaded.entry(config).or_insert_with_key(|config| {
            let guest = Guest::load(engine, name, bytes, config, limits)?;
            Ok(Warm::new(guest))
        });
        let problem = match check(case, guest) {
            Ok(()) => None,
            Err(Problem::Differs(problem)) => Some(problem),
            Err(Problem::Unusable(cause)) => return Err(CasesError::Case { case: case.name.clone(), cause }),
        };
        results.push(CaseResult { name: case.name.clone(), passed: problem.is_none(), problem });
    }
    Ok(Report { results })
}

enum Problem {
    /// The plugin did something else.
    Differs(String),
    /// The case makes no sense.
    Unusable(String),
}

fn differs<T>(expected: impl std::fmt::Display, got: impl std::fmt::Display) -> Result<T, Problem> {
    Err(Problem::Differs(format!("expected {expected}, got {got}")))
}

fn unusable(cause: impl Into<String>) -> Problem {
    Problem::Unusable(cause.into())
}

fn check(case: &Case, guest: &mut Result<Warm, PluginError>) -> Result<(), Problem> {
    let warm = match (guest, &case.expect) {
        (Err(PluginError::GuestRefusedInit(reason)), Expect::InitError(text)) if reason.contains(text) => return Ok(()),
        (Err(error), Expect::InitError(text)) => return differs(format!("init to fail with `{text}`"), error),
        (Err(error), Expect::Failed(kind)) if error.kind() == kind => return Ok(()),
        (Err(error), expect) => return differs(expect, format!("a plugin that is not loaded: {error}")),
        (Ok(_), Expect::InitError(text)) => {
            return differs(format!("init to fail with `{text}`"), "a plugin that starts");
        }
        (Ok(warm), _) => warm,
    };
    match (&case.message, &case.call) {
        (Some(message), None) => transform(message, &case.expect, warm),
        (None, Some(call)) => function(call, &case.args, &case.expect, warm),
        _ => Err(unusable("a case has either `message` or `call`")),
    }
}

fn transform(case: &MessageCase, expect: &Expect, warm: &mut Warm) -> Result<(), Problem> {
    let message = case.message().map_err(unusable)?;
    let record = case.record().map_err(unusable)?;
    let items = [Item { record: &record, message: &message, rule: &case.rule }];
    let mut verdicts = Vec::new();
    warm.transform(&items, &mut verdicts);
    let Some(verdict) = verdicts.pop() else { return differs(expect, "nothing") };
    let patches = match (expect, verdict) {
        (Expect::Keep, Verdict::Keep) => return Ok(()),
        (Expect::Drop(text), Verdict::Drop(reason)) | (Expect::Refuse(text), Verdict::Refuse(reason))
            if reason.contains(text) =>
        {
            return Ok(());
        }
        (Expect::Failed(kind), Verdict::Failed(error)) if error.kind() == kind => return Ok(()),
        (Expect::Replace(_), Verdict::Change(patch)) => vec![patch],
        (Expect::Replace(_), Verdict::Split(patches)) => patches,
        (_, other) => return differs(expect, shown(&other)),
    };
    let changed = patches.into_iter().map(|patch| {
        let mut changed = record.clone();
        patch.apply(&mut changed);
        changed
    });
    let records: Vec<_> = changed.collect();
    match expect {
        Expect::Replace(expected) if expected.len() == records.len() => {
            expected.iter().zip(&records).try_for_each(|(expected, got)| compare(expected, &record, got))
        }
        Expect::Replace(expected) => {
            differs(format!("{} records", expected.len()), format!("{}: {records:?}", records.len()))
        }
        _ => differs(expect, format!("replace by {records:?}")),
    }
}

fn compare(
    expected: &RecordCase,
    before: &crate::message::Record,
    got: &crate::message::Record,
) -> Result<(), Problem> {
    let difference = expected.difference(before, got).map_err(unusable)?;
    difference.map_or(Ok(()), |problem| Err(Problem::Differs(problem)))
}

fn function(call: &Call, args: &[Json], expect: &Expect, warm: &mut Warm) -> Result<(), Problem> {
    let Some(index) = warm.functions().iter().position(|function| function.name == *call) else {
        return Err(unusable(format!("the plugin has no function `{call}`")));
    };
    let args = args.iter().map(format::argument).collect::<Result<Vec<_>, _>>().map_err(unusable)?;
    match (expect, warm.call(index, &args)) {
        (Expect::Value(expected), Ok(value)) => {
            let expected = format::argument(expected).map_err(unusable)?;
            if value.loose_eq(&expected) { Ok(()) } else { differs(text(&expected), text(&value)) }
        }
        (Expect::Error(part), Err(PluginError::GuestFailed(reason))) if reason.contains(part) => Ok(()),
        (Expect::Failed(kind), Err(error)) if error.kind() == kind => Ok(()),
        (expect, Ok(value)) => differs(expect, text(&value)),
        (expect, Err(error)) => differs(expect, format!("{error} ({})", error.kind())),
    }
}

fn text(value: &Value) -> String {
    let mut json = Vec::new();
    value.to_json(&mut json);
    String::from_utf8_lossy(&json).into_owned()
}

fn shown(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Keep => "keep".into(),
        Verdict::Change(patch) => format!("replace by {patch:?}"),
        Verdict::Split(patches) => format!("replace by {patches:?}"),
        Verdict::Drop(reason) => format!("drop with `{reason}`"),
        Verdict::Refuse(reason) => format!("refuse with `{reason}`"),
        Verdict::Failed(error) => format!("a failure: {error} ({})", error.kind()),
    }
}
