//! Our options to librdkafka's: the one place that knows its property names.

use rdkafka::config::{ClientConfig, RDKafkaLogLevel};

use super::config::{
    ActionConfig, Authentication, Compression, ConnectorConfig, Mechanism, PartitionStrategy, RequiredAcks, Verify,
};
use super::lane::Gate;

/// Records that librdkafka may hold for one action; more wait in front of it, where they can still be dropped or refused.
pub(super) const WINDOW_MESSAGES: usize = 100_000;
/// As [`WINDOW_MESSAGES`], in bytes of key, value and headers.
pub(super) const WINDOW_BYTES: usize = 64 << 20;

/// What ends a batch of an action: a little before librdkafka's linger does, so that nothing is left over behind it.
pub(super) fn gate(action: &ActionConfig) -> Gate {
    let linger = action.parameters.max_linger_time.duration();
    Gate { open_for: linger - linger / 5, batch_bytes: action.parameters.max_batch_bytes.as_usize() }
}

/// The settings of the producer of one action.
pub(super) fn producer_settings(name: &str, connector: &ConnectorConfig, action: &ActionConfig) -> ClientConfig {
    let parameters = &action.parameters;
    let mut config = ClientConfig::new();
    config.set_log_level(RDKafkaLogLevel::Warning);
    let mut set = |key: &str, value: String| {
        config.set(key, value);
    };
    set("client.id", format!("millstream-{name}"));
    set("bootstrap.servers", connector.bootstrap_hosts.split(',').map(str::trim).collect::<Vec<_>>().join(","));
    set("socket.connection.setup.timeout.ms", connector.connect_timeout.0.to_string());
    set("retry.backoff.ms", "100".to_owned());
    set(
        "topic.metadata.refresh.fast.interval.ms",
        connector.min_metadata_refresh_interval.0.clamp(1, 60_000).to_string(),
    );
    set(
        "topic.metadata.refresh.interval.ms",
        match parameters.partition_count_refresh_interval.0 {
            0 => "-1".to_owned(),
            interval => interval.min(3_600_000).to_string(),
        },
    );
    set("socket.timeout.ms", connector.request_timeout.0.clamp(10, 300_000).to_string());
    set("socket.send.buffer.bytes", connector.socket_opts.sndbuf.0.min(100_000_000).to_string());
    set("socket.receive.buffer.bytes", connector.socket_opts.recbuf.0.min(100_000_000).to_string());
    set("socket.nagle.disable", connector.socket_opts.nodelay.to_string());
    set("socket.keepalive.enable", (connector.socket_opts.tcp_keepalive != "none").to_string());
    set("reconnect.backoff.ms", "100".to_owned());
    set("reconnect.backoff.max.ms", "2000".to_owned());
    set("allow.auto.create.topics", connector.allow_auto_topic_creation.to_string());

    security(connector, &mut set);

    // The window in front of librdkafka is ours; its own limits are only a net under it.
    set("queue.buffering.max.messages", (2 * WINDOW_MESSAGES).to_string());
    set("queue.buffering.max.kbytes", (4 * WINDOW_BYTES / 1024).to_string());
    set("linger.ms", parameters.max_linger_time.0.to_string());
    set("batch.size", parameters.max_batch_bytes.0.to_string());
    set("batch.num.messages", "100000".to_owned());
    set("message.max.bytes", "1000000000".to_owned());
    set("message.timeout.ms", action.delivery_timeout().map_or(0, |limit| limit.0).to_string());
    set(
        "compression.codec",
        match parameters.compression {
            Compression::Off => "none",
            Compression::Gzip => "gzip",
            Compression::Snappy => "snappy",
            Compression::Lz4 => "lz4",
            Compression::Zstd => "zstd",
        }
        .to_owned(),
    );
    set(
        "partitioner",
        match parameters.partition_strategy {
            PartitionStrategy::KeyDispatch => "murmur2_random",
            PartitionStrategy::Random => "random",
        }
        .to_owned(),
    );
    let idempotent = parameters.required_acks == RequiredAcks::AllIsr;
    set("enable.idempotence", idempotent.to_string());
    set(
        "acks",
        match parameters.required_acks {
            RequiredAcks::AllIsr => "all",
            RequiredAcks::LeaderOnly => "1",
            RequiredAcks::None => "0",
        }
        .to_owned(),
    );
    if let Some(in_flight) = parameters.max_inflight {
        set("max.in.flight.requests.per.connection", in_flight.to_string());
    }
    config
}

fn security(connector: &ConnectorConfig, set: &mut impl FnMut(&str, String)) {
    let tls = connector.tls();
    match &connector.authentication {
        Authentication::None => set("security.protocol", if tls { "ssl" } else { "plaintext" }.to_owned()),
        Authentication::Password(login) => {
            set("security.protocol", if tls { "sasl_ssl" } else { "sasl_plaintext" }.to_owned());
            set(
                "sasl.mechanism",
                match login.mechanism {
                    Mechanism::Plain => "PLAIN",
                    Mechanism::ScramSha256 => "SCRAM-SHA-256",
                    Mechanism::ScramSha512 => "SCRAM-SHA-512",
                }
                .to_owned(),
            );
            set("sasl.username", login.username.clone());
            set("sasl.password", login.password.expose().to_owned());
        }
    }
    if !tls {
        return;
    }
    let ssl = connector.ssl.as_ref();
    let verified = ssl.is_none_or(|ssl| ssl.verify == Verify::VerifyPeer);
    set("enable.ssl.certificate.verification", verified.to_string());
    set("ssl.endpoint.identification.algorithm", if verified { "https" } else { "none" }.to_owned());
    let file = |path: Option<&String>| path.cloned();
    // The OpenSSL that is built in knows no system folder; librdkafka looks in the usual ones.
    set("ssl.ca.location", file(ssl.and_then(|ssl| ssl.cacertfile.as_ref())).unwrap_or_else(|| "probe".to_owned()));
    if let Some(path) = file(ssl.and_then(|ssl| ssl.certfile.as_ref())) {
        set("ssl.certificate.location", path);
    }
    if let Some(path) = file(ssl.and_then(|ssl| ssl.keyfile.as_ref())) {
        set("ssl.key.location", path);
    }
    if let Some(password) = ssl.and_then(|ssl| ssl.password.as_ref()) {
        set("ssl.key.password", password.expose().to_owned());
    }
}
