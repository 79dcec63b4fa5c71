//! Millstream: MQTT in, rules and sandboxed plugins over every message, Kafka out, and an acknowledgement that is true.
//!
//! The modules stand in reading order. Each may use what is above it in this table, never what is below or beside it;
//! `tests/tidy.rs` checks that.
//!
//! | level | modules |
//! | --- | --- |
//! | 0 | `message` `event` `topic` `value` `units` `ack` `ledger` `task` `telemetry` |
//! | 1 | `rule` `plugin` `schema` `kafka` |
//! | 2 | `pipeline` |
//! | 3 | `control` |
//! | 4 | `mqtt` (of the pipeline only its `Ingress`, of `control` only the `sessions`), `api` |
//! | 5 | `config` `app` |
//! | 6 | `cli` |
//!
//! Invariants that no test alone can show: an acknowledgement is a value, and losing it means *not delivered*; logic that
//! decides (`mqtt::session`, `rule`, `kafka::window`) does no I/O and reads no clock; no queue is unbounded; nothing that
//! comes from outside (packet, SQL, template, plugin, configuration) can panic the process.

pub mod ack;
pub mod api;
pub mod app;
pub mod cli;
pub mod config;
pub mod control;
pub mod event;
pub mod kafka;
pub mod ledger;
pub mod message;
pub mod mqtt;
pub mod pipeline;
pub mod plugin;
pub mod rule;
pub mod schema;
pub mod task;
pub mod telemetry;
pub mod topic;
pub mod units;
pub mod value;
