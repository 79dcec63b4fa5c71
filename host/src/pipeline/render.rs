//! The pipeline's figures in Prometheus' text format: each family once, one line for each rule or action.

use std::fmt::{Display, Write};

use super::{Ingress, Pipeline};
use crate::event::EventKind;
use crate::kafka::State;
use crate::ledger::{DropCause, FailCause};

pub(super) fn metrics(pipeline: &Pipeline, ingress: &Ingress, out: &mut String) {
    let mut page = Page(out);
    page.family("millstream_ingress_waiting", "gauge", "Messages and events that wait for a worker.");
    page.line("millstream_ingress_waiting", &[], ingress.depth());
    page.family(
        "millstream_events_dropped_total",
        "counter",
        "Events that found their share of the way in full, by kind.",
    );
    for kind in EventKind::ALL.iter().filter(|kind| kind.happens()) {
        page.line("millstream_events_dropped_total", &[("event", kind.name())], ingress.dropped_events(*kind));
    }
    rules(pipeline, &mut page);
    actions(pipeline, &mut page);
}

fn rules(pipeline: &Pipeline, page: &mut Page<'_>) {
    let readings: Vec<_> = pipeline.rules.iter().map(|rule| (&rule.name, rule.counters.read())).collect();
    page.family("millstream_rule_matched_total", "counter", "Messages that FROM matched.");
    for (rule, tally) in &readings {
        page.line("millstream_rule_matched_total", &[("rule", rule)], tally.matched);
    }
    page.family("millstream_rule_passed_total", "counter", "Messages that SELECT gave something for.");
    for (rule, tally) in &readings {
        page.line("millstream_rule_passed_total", &[("rule", rule)], tally.passed);
    }
    page.family("millstream_rule_no_result_total", "counter", "Messages that WHERE left out.");
    for (rule, tally) in &readings {
        page.line("millstream_rule_no_result_total", &[("rule", rule)], tally.no_result);
    }
    page.family("millstream_rule_failed_total", "counter", "Messages that the rule could not handle, by cause.");
    for (rule, tally) in &readings {
        for (cause, n) in [("exception", tally.exception), ("decode_refused", tally.decode_refused)] {
            page.line("millstream_rule_failed_total", &[("rule", rule), ("cause", cause)], n);
        }
    }
    page.family("millstream_rule_decode_dropped_total", "counter", "Messages that a decode plugin dropped.");
    for (rule, tally) in &readings {
        page.line("millstream_rule_decode_dropped_total", &[("rule", rule)], tally.decode_dropped);
    }
    let results: Vec<_> = pipeline.rules.iter().map(|rule| (&rule.name, rule.counters.read_results())).collect();
    page.family("millstream_rule_actions_total", "counter", "Records that the rule gave to its actions.");
    for (rule, counts) in &results {
        page.line("millstream_rule_actions_total", &[("rule", rule)], counts.total);
    }
    page.family("millstream_rule_actions_success_total", "counter", "Of these, those that arrived.");
    for (rule, counts) in &results {
        page.line("millstream_rule_actions_success_total", &[("rule", rule)], counts.success);
    }
    page.family("millstream_rule_actions_failed_total", "counter", "Of these, those that did not, by EMQX's cause.");
    for (rule, counts) in &results {
        for (cause, n) in [("out_of_service", counts.out_of_service), ("unknown", counts.unknown)] {
            page.line("millstream_rule_actions_failed_total", &[("rule", rule), ("cause", cause)], n);
        }
    }
    page.family("millstream_rule_actions_discarded_total", "counter", "Of these, those that were dropped on purpose.");
    for (rule, counts) in &results {
        page.line("millstream_rule_actions_discarded_total", &[("rule", rule)], counts.discarded);
    }
}

fn actions(pipeline: &Pipeline, page: &mut Page<'_>) {
    // One reading each, so that a page never shows an action out of balance.
    let readings: Vec<_> = pipeline.actions.iter().map(|action| (action, action.ledger.counts())).collect();
    page.family("millstream_action_accepted_total", "counter", "Records that rules gave to the action.");
    for (action, counts) in &readings {
        page.line("millstream_action_accepted_total", &[("action", &action.name)], counts.accepted);
    }
    page.family(
        "millstream_action_delivered_total",
        "counter",
        "Records that Kafka confirmed, or that a built-in action has done.",
    );
    for (action, counts) in &readings {
        page.line("millstream_action_delivered_total", &[("action", &action.name)], counts.delivered);
    }
    page.family("millstream_action_failed_total", "counter", "Records that were not delivered, by cause.");
    for (action, counts) in &readings {
        for cause in FailCause::ALL {
            let labels = [("action", action.name.as_str()), ("cause", cause.label())];
            page.line("millstream_action_failed_total", &labels, counts.failed(*cause));
        }
    }
    page.family("millstream_action_dropped_total", "counter", "Records that were dropped on purpose, by cause.");
    for (action, counts) in &readings {
        for cause in DropCause::ALL {
            let labels = [("action", action.name.as_str()), ("cause", cause.label())];
            page.line("millstream_action_dropped_total", &labels, counts.dropped(*cause));
        }
    }
    page.family("millstream_action_pending", "gauge", "Records accepted that have no outcome yet.");
    for (action, counts) in &readings {
        page.line("millstream_action_pending", &[("action", &action.name)], counts.pending);
    }
    let sinks: Vec<_> = pipeline.actions.iter().filter_map(|action| Some((&action.name, action.kafka()?))).collect();
    page.family("millstream_action_in_flight", "gauge", "Pending records that the Kafka client holds.");
    page.family("millstream_action_waiting", "gauge", "Pending records that wait in front of the Kafka client.");
    page.family("millstream_action_waiting_bytes", "gauge", "Their bytes of key, value and headers.");
    for (action, kafka) in &sinks {
        let (in_flight, waiting, bytes) = kafka.sink.depths();
        page.line("millstream_action_in_flight", &[("action", action)], in_flight);
        page.line("millstream_action_waiting", &[("action", action)], waiting);
        page.line("millstream_action_waiting_bytes", &[("action", action)], bytes);
    }
    page.family("millstream_connector_status", "gauge", "1 for the state that an action's connection is in.");
    for (action, kafka) in &sinks {
        let status = kafka.sink.status();
        for state in State::ALL {
            let connector = &kafka.made_from.1.connector;
            let labels = [("connector", connector.as_str()), ("action", action), ("status", &state.to_string())];
            page.line("millstream_connector_status", &labels, u8::from(status.state == state));
        }
    }
}

struct Page<'a>(&'a mut String);

impl Page<'_> {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// Label values are names that the configuration has checked; they need no escape.
    fn line(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let labels: Vec<String> = labels.iter().map(|(key, value)| format!("{key}=\"{value}\"")).collect();
        let braces = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let _ = writeln!(self.0, "{name}{braces} {value}");
    }
}
