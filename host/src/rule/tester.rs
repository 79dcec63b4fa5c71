//! Trying rules and templates out, one JSON object a line (`millstream sql test --stdin`): the very code that the pipeline
//! runs. Never fails on a line; what is wrong with it is its answer.

use bytes::Bytes;

use super::eval::{MAX_LEVELS, MAX_NODES};
use super::event::{Column, Event, EventType};
use super::{Context, EvalError, FunctionCatalog, JsonEvent, Missing, Plan, Row, Source, Template, compile};
use crate::value::{Map, Value};

/// Why a line has no output.
enum Refusal {
    Parse(String),
    Runtime(String),
}

/// The answer to one line: `{"sql","event"}`, with `"samples": true` for EMQX's samples in place of columns that the event
/// leaves out, gives `{"outputs":[…]}` or `{"no_result":true}`, `{"template","vars"}`
/// gives `{"rendered":…}`; anything else `{"error":{"kind":"parse"|"runtime","message":…}}`. Has no line break.
#[must_use]
pub fn run_line(line: impl AsRef<[u8]>, catalog: &dyn FunctionCatalog, context: Context<'_>) -> String {
    let answer = answer(line.as_ref(), catalog, context).unwrap_or_else(|refusal| {
        let (kind, message) = match refusal {
            Refusal::Parse(message) => ("parse", message),
            Refusal::Runtime(message) => ("runtime", message),
        };
        object([("error", object([("kind", Value::str(kind)), ("message", Value::str(&message))]))])
    });
    let mut out = Vec::new();
    answer.to_json(&mut out);
    String::from_utf8_lossy(&out).into_owned()
}

fn answer(line: &[u8], catalog: &dyn FunctionCatalog, context: Context<'_>) -> Result<Value, Refusal> {
    let request = Value::from_json(line).map_err(|error| Refusal::Parse(format!("the line is {error}")))?;
    match (request.get(b"sql"), request.get(b"template")) {
        (Some(Value::Str(sql)), None) => {
            let samples = matches!(request.get(b"samples"), Some(Value::Bool(true)));
            let plan = compile(&String::from_utf8_lossy(sql), catalog).map_err(|problems| {
                Refusal::Parse(problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
            })?;
            run(&plan, request.get(b"event"), samples, context)
        }
        (None, Some(Value::Str(template))) => run_template(&String::from_utf8_lossy(template), request.get(b"vars")),
        _ => {
            let message =
                "the line must be {\"sql\": text, \"event\": object} or {\"template\": text, \"vars\": object}";
            Err(Refusal::Parse(String::from(message)))
        }
    }
}

fn run(plan: &Plan, event: Option<&Value>, samples: bool, context: Context<'_>) -> Result<Value, Refusal> {
    let columns = event.cloned().unwrap_or_else(|| Value::map(Map::new()));
    let mut event = JsonEvent::new(columns).map_err(|error| Refusal::Parse(error.to_string()))?;
    if samples {
        event = event.with_samples();
    }
    if !fires(plan, &event) {
        return Ok(object([("no_result", Value::Bool(true))]));
    }
    let mut rows = Vec::new();
    plan.evaluate(&event, context, &mut rows).map_err(|error| Refusal::Runtime(error.message))?;
    if rows.is_empty() {
        return Ok(object([("no_result", Value::Bool(true))]));
    }
    let outputs = Value::list(rows.iter().map(Row::to_value).collect());
    if !outputs.fits(MAX_NODES, MAX_LEVELS) {
        return Err(Refusal::Runtime(EvalError::too_large().message));
    }
    Ok(object([("outputs", outputs)]))
}

/// Whether the rule's FROM lets the event in. A publication without a topic is let in: then only the rest is tried out.
fn fires(plan: &Plan, event: &JsonEvent) -> bool {
    let topic = event.text(Column::Topic).and_then(|topic| std::str::from_utf8(topic).ok());
    plan.sources().iter().any(|source| match (event.kind(), source) {
        (EventType::Publication, Source::Topic(filter)) => topic.is_none_or(|topic| filter.matches(topic)),
        (EventType::Publication, _) => topic.is_none(),
        (EventType::Event(kind), source) => source.events().any(|named| named == kind),
        (EventType::Data, source) => matches!(source, Source::Data(_)),
    })
}

fn run_template(text: &str, vars: Option<&Value>) -> Result<Value, Refusal> {
    let template = Template::parse(text).map_err(|problem| Refusal::Parse(problem.to_string()))?;
    let row = match vars {
        Some(Value::Map(entries)) => Row::of_map(entries),
        None => Row::default(),
        Some(_) => return Err(Refusal::Parse(String::from("`vars` must be a JSON object"))),
    };
    let mut out = Vec::new();
    template.render(&row, Missing::Text, &mut out).map_err(|missing| Refusal::Runtime(missing.to_string()))?;
    Ok(object([("rendered", Value::Str(Bytes::from(out)))]))
}

fn object<const N: usize>(entries: [(&'static str, Value); N]) -> Value {
    Value::map(entries.into_iter().map(|(key, value)| (Bytes::from_static(key.as_bytes()), value)).collect())
}
