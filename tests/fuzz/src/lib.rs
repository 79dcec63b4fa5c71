//! The parts of Millstream that read bytes from outside, built from the same files without Kafka and WebAssembly, so that
//! an instrumented build takes a minute and not twenty. Holds no logic but the fuzzers' own checks.

#[path = "../../../host/src"]
mod host {
    pub mod ack;
    pub mod control;
    pub mod event;
    pub mod message;
    pub mod mqtt;
    pub mod rule;
    pub mod task;
    pub mod topic;
    pub mod units;
    pub mod value;
}

#[path = "../../../host/src/pipeline"]
pub mod pipeline {
    pub mod ingress;
    pub use ingress::{Closed, Inbound, Ingress, IngressLimits, ShardId};
}

#[path = "../../../host/src/telemetry"]
pub mod telemetry {
    pub mod metrics;
}

pub mod heap;

pub use host::{ack, control, event, message, mqtt, rule, task, topic, units, value};
