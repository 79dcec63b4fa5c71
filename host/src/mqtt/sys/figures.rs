//! The numbers: `stats/...` of what there is, `metrics/...` of what went through since the start. Names are EMQX's, with
//! `/` for its dots; what this broker does not have (delayed messages, routes to other nodes) is left out.

use crate::mqtt::broker::Broker;
use crate::mqtt::traffic::Kind;

/// What there is now, and the most that there was.
pub fn stats(broker: &Broker, mut tell: impl FnMut(&str, u64)) {
    let metrics = &broker.metrics;
    let gauges = [
        ("connections", &metrics.sessions_current),
        ("live_connections", &metrics.connections_current),
        ("sessions", &metrics.sessions_current),
        ("subscriptions", &metrics.subscriptions_current),
        ("suboptions", &metrics.subscriptions_current),
        ("subscriptions/shared", &metrics.subscriptions_shared),
        ("retained", &metrics.retained_current),
    ];
    for (name, gauge) in gauges {
        tell(&format!("{name}/count"), gauge.get());
        tell(&format!("{name}/max"), gauge.peak());
    }
}

/// What went through.
pub fn metrics(broker: &Broker, mut tell: impl FnMut(&str, u64)) {
    let (metrics, totals) = (&broker.metrics, broker.links.traffic());
    let (connects, refused) = (metrics.connections_accepted.get(), metrics.connections_refused.get());
    tell("bytes/received", metrics.bytes_received.get());
    tell("bytes/sent", metrics.bytes_sent.get());
    let received: u64 = totals.publish_received.iter().sum();
    let sent: u64 = totals.publish_sent.iter().sum();
    tell("packets/received", totals.all_received() + connects);
    tell("packets/sent", totals.all_sent() + connects);
    tell("packets/connect/received", connects + refused);
    tell("packets/connack/sent", connects);
    tell("packets/publish/received", received);
    tell("packets/publish/sent", sent);
    tell("packets/publish/auth_error", metrics.unauthorized_publish.get());
    // Not the same moment, so never below zero.
    let subscribe = metrics.unauthorized.get().saturating_sub(metrics.unauthorized_publish.get());
    tell("packets/subscribe/auth_error", subscribe);
    for kind in [Kind::PubAck, Kind::PubRec, Kind::PubRel, Kind::PubComp] {
        tell(&format!("packets/{}/received", kind.name()), totals.received(kind));
        tell(&format!("packets/{}/sent", kind.name()), totals.sent(kind));
    }
    for (kind, question, answer) in [
        (Kind::Subscribe, "subscribe", "suback"),
        (Kind::Unsubscribe, "unsubscribe", "unsuback"),
        (Kind::Ping, "pingreq", "pingresp"),
    ] {
        tell(&format!("packets/{question}/received"), totals.received(kind));
        tell(&format!("packets/{answer}/sent"), totals.sent(kind));
    }
    tell("messages/received", received);
    tell("messages/publish", metrics.messages_received.get());
    tell("messages/sent", sent);
    tell("messages/delivered", metrics.messages_sent.get());
    for (qos, (received, sent)) in totals.publish_received.iter().zip(&totals.publish_sent).enumerate() {
        tell(&format!("messages/qos{qos}/received"), *received);
        tell(&format!("messages/qos{qos}/sent"), *sent);
    }
    let acked = totals.received(Kind::PubAck) + totals.received(Kind::PubComp);
    tell("messages/acked", acked);
    let dropped = [
        ("queue_full", metrics.delivery_dropped_queue_full.get()),
        ("qos0_msg", metrics.delivery_dropped_qos0.get()),
        ("expired", metrics.delivery_dropped_expired.get()),
        ("too_large", metrics.delivery_dropped_too_large.get()),
        ("session_ended", metrics.delivery_dropped_session_ended.get()),
    ];
    tell("delivery/dropped", dropped.iter().map(|(_, count)| count).sum());
    for (cause, count) in dropped {
        tell(&format!("delivery/dropped/{cause}"), count);
    }
}

/// As in RFC 3339, in UTC, with milliseconds.
pub fn datetime(unix_millis: i64) -> String {
    let (seconds, millis) = (unix_millis.div_euclid(1000), unix_millis.rem_euclid(1000));
    let (days, of_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}+00:00")
}

/// Year, month and day of a number of days since 1970-01-01, in the Gregorian calendar.
fn civil(days: i64) -> (i64, i64, i64) {
    // Counted from 0000-03-01, so that the leap day is the last of its year; eras of 400 years are all alike.
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (millis, expected) in [
            (0, "1970-01-01T00:00:00.000+00:00"),
            (951_782_400_000, "2000-02-29T00:00:00.000+00:00"),
            (1_700_000_000_123, "2023-11-14T22:13:20.123+00:00"),
            (4_107_542_399_999, "2100-02-28T23:59:59.999+00:00"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000+00:00"),
            (-1, "1969-12-31T23:59:59.999+00:00"),
        ] {
            assert_eq!(datetime(millis), expected);
        }
    }
}
