//! MQTT 5.0, statement by statement: `tests/mqtt/statements_v5.tsv` says which test shows which one.
//!
//! What 3.1.1 has as well is a flow in `it/mqtt/`; what only 5.0 has is written out here. The ids here are those of 5.0.

mod connect;
mod delivery;
mod expiry;
mod flow;
mod options;
mod properties;
mod publish;
mod session;
mod shared;
mod subscribe;
mod transports;
mod will;

use support::wire::Version::V5;
