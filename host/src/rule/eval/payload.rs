//! The decoded payload: all paths of the plan in one pass, the whole document only if something asks for it.

use std::cell::OnceCell;

use super::{Bytes, EvalError, EvalErrorKind, Evaluator, Result, Value};
use crate::value::JsonError;
use crate::value::scan::Location;

/// What one payload text gave.
pub(super) struct Decoded {
    paths: Slots,
    /// Kept only if the plan may need more than its paths.
    source: Option<Bytes>,
    document: OnceCell<Value>,
}

/// Few paths are the rule: these need no allocation.
enum Slots {
    Few([Value; FEW]),
    Many(Vec<Value>),
}

const FEW: usize = 4;

impl Slots {
    fn new(count: usize) -> Slots {
        match count {
            0..=FEW => Slots::Few([const { Value::Undefined }; FEW]),
            _ => Slots::Many(vec![Value::Undefined; count]),
        }
    }

    fn all(&mut self) -> &mut [Value] {
        match self {
            Slots::Few(values) => values,
            Slots::Many(values) => values,
        }
    }

    fn get(&self, slot: usize) -> Option<&Value> {
        match self {
            Slots::Few(values) => values.get(slot),
            Slots::Many(values) => values.get(slot),
        }
    }
}

impl Decoded {
    #[inline]
    pub(super) fn at(&self, location: Location) -> &Value {
        self.paths.get(location.slot).unwrap_or(&Value::Undefined)
    }
}

impl Evaluator<'_> {
    /// The paths of `text`, or of whatever payload was decoded before it.
    #[inline]
    pub(super) fn decoded(&self, text: &Bytes) -> Result<&Decoded> {
        if let Some(decoded) = self.decoded.get() {
            return Ok(decoded);
        }
        let mut paths = Slots::new(self.plan.payload.slots());
        self.plan.payload.extract(text, paths.all()).map_err(not_json)?;
        let source = self.plan.needs_document.then(|| text.clone());
        Ok(self.decoded.get_or_init(|| Decoded { paths, source, document: OnceCell::new() }))
    }

    /// The whole document of `text`, or of whatever payload was decoded before it.
    pub(super) fn document(&self, text: &Bytes) -> Result<&Value> {
        let decoded = self.decoded(text)?;
        if let Some(document) = decoded.document.get() {
            return Ok(document);
        }
        let document = Value::from_json_shared(decoded.source.as_ref().unwrap_or(text)).map_err(not_json)?;
        Ok(decoded.document.get_or_init(|| document))
    }

    /// A document of its own, which leaves what is remembered alone.
    pub(super) fn separate_document(&self, text: &Bytes) -> Result<Value> {
        Value::from_json_shared(text).map_err(not_json)
    }
}

#[cold]
fn not_json(error: JsonError) -> EvalError {
    EvalError { kind: EvalErrorKind::PayloadNotJson, message: format!("the payload is {error} (decode_json_failed)") }
}
