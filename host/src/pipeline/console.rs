//! The action `console`: a rule's output in the log, for whoever builds the rule (rule-sql 6.4).
//!
//! One line at level `info` with the rule, what it ran for, the output and the columns, both as JSON. It cannot fail.

use crate::rule::{Event, Row};

/// Prints one output; gives how long it was, in bytes.
pub(super) fn print(rule: &str, trigger: &str, matched: &str, event: &dyn Event, row: &Row<'_>) -> usize {
    if !tracing::enabled!(tracing::Level::INFO) {
        return 0;
    }
    let (mut output, mut columns) = (Vec::new(), Vec::new());
    row.write_json(&mut output);
    event.write_all(&mut columns);
    tracing::info!(
        rule,
        trigger,
        matched,
        output = %String::from_utf8_lossy(&output),
        columns = %String::from_utf8_lossy(&columns),
        "console"
    );
    output.len() + columns.len()
}
