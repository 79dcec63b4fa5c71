//! What Kafka's answers mean for a record: its counter, and what its publisher is told.

use rdkafka::bindings::rd_kafka_resp_err_t as Code;
use rdkafka::types::RDKafkaErrorCode;

use crate::ack::{Outcome, Refusal};
use crate::ledger::FailCause;

/// Why a producer could not be made or used.
#[derive(Debug, thiserror::Error)]
pub enum KafkaError {
    #[error("action `{action}`: the Kafka client refused its settings: {reason}")]
    Settings { action: String, reason: String },
    #[error("action `{action}`: its thread could not be started: {source}")]
    Thread { action: String, source: std::io::Error },
    #[error("the embedded Kafka could not be started: {reason}")]
    Embedded { reason: String },
}

/// The cause under which a failed delivery is counted.
pub(super) fn cause_of(code: Code) -> FailCause {
    use Code::*;
    match code {
        RD_KAFKA_RESP_ERR__MSG_TIMED_OUT | RD_KAFKA_RESP_ERR__TIMED_OUT => FailCause::Timeout,
        RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART
        | RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC
        | RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION
        | RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION => FailCause::UnknownTopic,
        RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE | RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE => FailCause::TooLarge,
        RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED | RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED => {
            FailCause::NotAuthorized
        }
        RD_KAFKA_RESP_ERR__QUEUE_FULL => FailCause::QueueFull,
        _ if was_given_back(code) => FailCause::Shutdown,
        _ => FailCause::Kafka,
    }
}

/// Whether librdkafka was told to give the record up: Kafka said nothing about it.
pub(super) fn was_given_back(code: Code) -> bool {
    use Code::*;
    matches!(code, RD_KAFKA_RESP_ERR__PURGE_QUEUE | RD_KAFKA_RESP_ERR__PURGE_INFLIGHT | RD_KAFKA_RESP_ERR__DESTROY)
}

/// What the publisher hears. After a shutdown it hears nothing, so that it keeps the message and sends it again.
pub(super) fn outcome_of(cause: FailCause) -> Outcome {
    match cause {
        FailCause::Shutdown | FailCause::Lost => Outcome::Failed,
        FailCause::NotAuthorized => Outcome::Refused(Refusal::NotAuthorized),
        FailCause::QueueFull => Outcome::Refused(Refusal::QuotaExceeded),
        _ => Outcome::Refused(Refusal::ImplementationSpecific),
    }
}

/// Whether the producer is dead and must be replaced; the records it gives back were not refused one by one.
pub(super) fn is_fatal(code: Code) -> bool {
    code == Code::RD_KAFKA_RESP_ERR__FATAL
}

/// Kafka's own words for a code.
pub(super) fn describe(code: Code) -> String {
    RDKafkaErrorCode::from(code).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shutdown_never_looks_like_an_answer() {
        assert_eq!(outcome_of(cause_of(Code::RD_KAFKA_RESP_ERR__PURGE_INFLIGHT)), Outcome::Failed);
        for cause in FailCause::ALL {
            assert_ne!(outcome_of(*cause), Outcome::Delivered, "{cause:?}");
        }
    }
}
