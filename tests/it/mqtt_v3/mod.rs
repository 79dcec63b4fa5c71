//! MQTT 3.1.1, statement by statement: `tests/mqtt/statements_v3.tsv` says which test shows which one.
//!
//! What 5.0 has as well is a flow in `it/mqtt/`; what only 3.1.1 has is written out here. The ids here are those of 3.1.1.

mod connect;
mod delivery;
mod publish;
mod session;
mod subscribe;
mod transports;

use support::wire::Version::V4;
