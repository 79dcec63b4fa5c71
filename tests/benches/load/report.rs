//! What the load came to, as text or as one JSON object.

use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

use super::drive::Stats;
use super::verify::Verified;

pub struct Report {
    pub stats: Stats,
    /// CPU time of the measured process.
    pub cpu: Option<Duration>,
    pub verified: Option<Verified>,
}

impl Report {
    /// Was everything acknowledged, and everything acknowledged in Kafka?
    pub fn complete(&self) -> bool {
        self.stats.taken() == self.stats.sent && self.verified.is_none_or(|verified| verified.came == verified.expected)
    }

    fn rate(&self) -> f64 {
        self.stats.taken() as f64 / self.stats.elapsed.as_secs_f64()
    }

    fn cpu_us(&self) -> Option<f64> {
        self.cpu.map(|cpu| cpu.as_secs_f64() * 1e6 / self.stats.taken().max(1) as f64)
    }

    fn percentiles(&self) -> [u64; 4] {
        [0.5, 0.95, 0.99, 0.999].map(|part| self.stats.latency.percentile(part))
    }

    pub fn json(&self) -> Value {
        let [p50, p95, p99, p999] = self.percentiles();
        json!({
            "sent": self.stats.sent,
            "acked": self.stats.acked,
            "refused": self.stats.refused,
            "seconds": self.stats.elapsed.as_secs_f64(),
            "messages_per_second": self.rate(),
            "ack_us": { "p50": p50, "p95": p95, "p99": p99, "p999": p999 },
            "cpu_us_per_message": self.cpu_us(),
            "kafka": self.verified.map(|verified| json!({ "came": verified.came, "expected": verified.expected })),
            "complete": self.complete(),
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Stats { sent, acked, refused, elapsed, .. } = &self.stats;
        writeln!(f, "sent {sent}, acknowledged {acked}, refused {refused} in {:.2} s", elapsed.as_secs_f64())?;
        writeln!(f, "throughput  {:.0} messages/s", self.rate())?;
        if self.stats.qos > 0 {
            let [p50, p95, p99, p999] = self.percentiles().map(|us| us as f64 / 1000.0);
            writeln!(f, "acknowledged after (ms)  p50 {p50:.2}  p95 {p95:.2}  p99 {p99:.2}  p99.9 {p999:.2}")?;
        }
        if let Some(cpu) = self.cpu_us() {
            writeln!(f, "CPU of the process  {cpu:.2} us a message")?;
        }
        if let Some(Verified { came, expected }) = self.verified {
            let verdict = if came == expected { "all there" } else { "WRONG" };
            writeln!(f, "records in Kafka  {came} of {expected}: {verdict}")?;
        }
        Ok(())
    }
}
