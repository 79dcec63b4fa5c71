//! Everything from outside, in one binary: the program, a real Kafka, stock clients. One file a subject.

mod it {
    mod acks;
    mod clients;
    mod commands;
    mod events;
    mod functions;
    mod kafka;
    mod ledger;
    mod limits;
    mod mqtt;
    mod mqtt_auth;
    mod mqtt_hostile;
    mod mqtt_limits;
    mod mqtt_v3;
    mod mqtt_v5;
    mod plugins;
    mod reload;
    mod sasl;
    mod schemas;
    mod shutdown;
    mod walkthrough;
}
