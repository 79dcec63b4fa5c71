//! Decodes compact binary sensor frames to JSON; `README.md` has the format. What is not a sound frame is refused.

mod frame;

use frame::Frame;
use millstream_sdk::{Error, Message, Outcome, Plugin};

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    /// One message for each reading instead of one for the frame.
    #[serde(default)]
    split: bool,
    /// Take the record's timestamp from the frame.
    #[serde(default = "yes")]
    timestamp: bool,
}

fn yes() -> bool {
    true
}

struct BinaryFrame {
    config: Config,
}

impl Plugin for BinaryFrame {
    type Config = Config;

    fn new(config: Config) -> Result<BinaryFrame, Error> {
        Ok(BinaryFrame { config })
    }

    fn transform(&mut self, message: &mut Message<'_>) -> Result<Outcome, Error> {
        let bytes = message.value().ok_or_else(|| Error::new("the value is null; a frame was expected"))?;
        let frame = Frame::read(bytes)?;
        let timestamp = if self.config.timestamp { Some(frame.millis()) } else { message.timestamp() };
        if self.config.split {
            let part = |reading| millstream_sdk::Record::new().value(frame.reading_json(reading)).timestamp(timestamp);
            let parts: Vec<_> = frame.readings.iter().map(part).collect();
            return Ok(if parts.is_empty() {
                Outcome::Drop("the frame has no readings".into())
            } else {
                Outcome::Split(parts)
            });
        }
        message.set_value(frame.json());
        if let Some(millis) = timestamp {
            message.set_timestamp(millis);
        }
        Ok(Outcome::Send)
    }
}

millstream_sdk::transform!(BinaryFrame);
