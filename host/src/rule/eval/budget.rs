//! What one evaluation may cost: how much it builds and keeps, and its time. What stands beside each element of a payload's
//! list, and what a function does to all of the payload for each of them, grows with the square of the message.

use std::cell::Cell;
use std::time::{Duration, Instant};

use super::super::functions::Function;
use super::{EvalError, MAX_LEVELS, MAX_NODES, Result, Value};

/// What a row counts by itself, in nodes: with the record that is made of it.
const ROW: usize = 8;
/// Work between two looks at the clock, in steps of about a nanosecond: a look costs some 25.
const LOOK: u64 = 100_000;

/// Kinds of work, in steps.
pub(super) const ELEMENT: u64 = 500;
const CALL: u64 = 200;

/// What is left of both.
pub(super) struct Budget {
    /// In nodes.
    room: Cell<usize>,
    limit: Duration,
    worked: Cell<u64>,
    began: Cell<Option<Instant>>,
}

impl Budget {
    pub(super) fn new(limit: Duration) -> Budget {
        Budget { room: Cell::new(MAX_NODES), limit, worked: Cell::new(0), began: Cell::new(None) }
    }

    /// Takes the room of a value that was built and is kept.
    pub(super) fn keep(&self, value: &Value) -> Result<()> {
        let mut room = self.room.get();
        let fits = value.fits_into(&mut room, MAX_LEVELS);
        self.room.set(room);
        if fits { Ok(()) } else { Err(EvalError::too_large()) }
    }

    /// Takes the room of a row of so many values, each of them shared or kept before.
    pub(super) fn row(&self, values: usize) -> Result<()> {
        self.room.set(self.room.get().checked_sub(ROW + values).ok_or_else(EvalError::too_large)?);
        Ok(())
    }

    /// Counts a built-in's work over these arguments; what asks the world may take its time.
    #[inline]
    pub(super) fn call(&self, function: &Function, args: &[Value]) -> Result<()> {
        if !function.is_pure() {
            return self.foreign_call();
        }
        let sizes = args.iter().map(|arg| match arg {
            Value::Str(text) => text.len(),
            Value::List(items) => items.len(),
            Value::Map(entries) => entries.len(),
            _ => 0,
        });
        self.work(CALL + sizes.sum::<usize>() as u64)
    }

    /// Before a call that may take long whatever its arguments are.
    pub(super) fn foreign_call(&self) -> Result<()> {
        self.work(LOOK)
    }

    /// Counts work that is about to be done; now and then looks whether the time is up.
    #[inline]
    pub(super) fn work(&self, steps: u64) -> Result<()> {
        let worked = self.worked.get() + steps;
        self.worked.set(worked);
        if worked < LOOK { Ok(()) } else { self.look() }
    }

    /// The time runs from the first look: what needs none is no matter.
    #[cold]
    fn look(&self) -> Result<()> {
        self.worked.set(0);
        let now = Instant::now();
        match self.began.get() {
            Some(began) if now.duration_since(began) >= self.limit => Err(EvalError::other(format!(
                "the rule was not done with the message after {} s",
                self.limit.as_secs_f32()
            ))),
            Some(_) => Ok(()),
            None => {
                self.began.set(Some(now));
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::{Context, JsonEvent, NoFunctions, Still, compile};

    /// How many rows a statement makes of a payload with a list of so many elements; or why it makes none.
    fn rows(sql: &str, elements: usize, limit: Duration) -> std::result::Result<usize, String> {
        let elements = vec![r#"{"a":1}"#; elements].join(",");
        let payload = Value::Str(format!(r#"{{"l":[{elements}]}}"#).into());
        let event = JsonEvent::new(Value::map([("payload".into(), payload)].into())).expect("an event");
        let (world, mut rows) = (Still::default(), Vec::new());
        let context = Context { limit, ..world.context() };
        match compile(sql, &NoFunctions).expect("SQL").evaluate(&event, context, &mut rows) {
            Ok(()) => Ok(rows.len()),
            Err(error) => {
                assert!(rows.is_empty(), "rows of a rule that failed");
                Err(error.message)
            }
        }
    }

    #[test]
    fn what_is_shared_takes_little_room_and_what_is_built_takes_its_size() {
        const LONG: Duration = Duration::from_secs(3600);
        // (statement, elements, whether there is room for all)
        for (sql, elements, fits) in [
            ("foreach payload.l from t", 50_000, true),
            ("foreach payload.l from t", 120_000, false),
            ("foreach payload.l as e do e.a, payload, payload.l as all from t", 50_000, true),
            ("foreach payload.l as e do e.a, upper(payload) as text from t", 500, true),
            ("foreach payload.l as e do e.a, upper(payload) as text from t", 5_000, false),
            ("foreach payload.l as e do [e.a, payload.l] as both from t", 2_000, false),
            ("foreach payload.l as e do payload, e.a as payload.a from t", 500, true),
            ("foreach payload.l as e do payload, e.a as payload.a from t", 2_000, false),
            ("foreach payload.l as e do payload, payload.l from t", 2_000, false),
            ("foreach payload.l as e do json_decode(payload) as all incase e.a = 2 from t", 2_000, true),
            ("select payload.l as payload.m, 1 as payload.n from t", 100_000, true),
            ("select [payload, payload] as both from t", 100_000, true),
        ] {
            let rows = rows(sql, elements, LONG);
            assert_eq!(rows.is_ok(), fits, "{sql}: {rows:?}");
            assert!(rows.map_or_else(|error| error.contains("more than 64 MiB"), |_| true), "{sql}");
        }
    }

    #[test]
    fn an_evaluation_ends_when_its_time_is_up() {
        for (sql, elements, ends) in [
            ("select upper(payload) as a, lower(payload) as b from t", 10, false),
            ("foreach payload.l as e do upper(e.a) as a from t", 20, false),
            ("foreach payload.l as e do e.a from t", 1_000, true),
            ("foreach payload.l as e incase e.a = 2 from t", 1_000, true),
            ("foreach payload.l as e do strlen(payload) as a from t", 300, true),
            ("select uuid_v4() as a, uuid_v4() as b from t", 1, true),
        ] {
            let late = rows(sql, elements, Duration::ZERO).is_err_and(|error| error.contains("not done"));
            assert_eq!(late, ends, "{sql}");
        }
    }

    #[test]
    fn a_list_of_all_beside_each_element_is_no_work() {
        // Found by the fuzzer of statements, which printed it.
        let sql = "foreach x,[0..20002]from t";
        assert_eq!(rows(sql, 0, Duration::from_secs(3600)), Ok(20_003));
    }
}
