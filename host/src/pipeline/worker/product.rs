//! What an action makes of one row: a record, a line of text, or nothing where it would go round for ever.

use std::sync::Arc;

use super::super::Rule;
use super::super::action::{Action, RenderError, Target};
use super::super::console;
use super::super::ingress::Inbound;
use super::super::republish::{MAX_HOPS, Publication};
use crate::message::{Client, Message, Record};
use crate::rule::{Event, Plan, Row, Source};

/// What an action makes of one row.
pub(super) enum Product {
    /// To be sent, or, with a publication, to be published.
    Record(Record, Option<Arc<Publication>>),
    /// Done; so many bytes were printed.
    Printed(usize),
    /// Not to be republished again.
    Loop,
}

pub(super) fn product(
    action: &Action,
    rule: &Rule,
    inbound: &Inbound,
    message: &Message,
    event: &dyn Event,
    row: &Row<'_>,
) -> Result<Product, RenderError> {
    match &action.target {
        Target::Kafka(kafka) => kafka.render(row, message).map(|record| Product::Record(record, None)),
        Target::Republish(templates) => {
            let Some(sender) = next_sender(inbound, &rule.name) else { return Ok(Product::Loop) };
            let (record, publication) = templates.render(row, inbound.original(), sender)?;
            Ok(Product::Record(record, Some(Arc::new(publication))))
        }
        Target::Console => {
            let matched = matching_source(&rule.plan, inbound);
            Ok(Product::Printed(console::print(&rule.name, message.topic.as_str(), &matched, event, row)))
        }
    }
}

/// Who sends what `rule` republishes; `None` when that would go round: it comes from the rule itself, or from too many
/// republish actions in a row.
fn next_sender(origin: &Inbound, rule: &str) -> Option<Client> {
    let before = &origin.original().client;
    let own = before.is_rule() && before.id.as_str() == rule;
    (!own && before.hops < MAX_HOPS).then(|| Client::rule(rule, before.hops + 1))
}

/// The entry of FROM because of which a rule runs.
fn matching_source(plan: &Plan, inbound: &Inbound) -> String {
    let matching = plan.sources().iter().find(|source| match (source, &inbound.event) {
        (Source::Topic(filter), None) => filter.matches(inbound.message.topic.as_str()),
        (source, Some(event)) => source.events().any(|kind| kind == event.kind()),
        _ => false,
    });
    matching.map(Source::to_string).unwrap_or_default()
}
