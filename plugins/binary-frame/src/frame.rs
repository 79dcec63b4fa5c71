//! The frame: reading it, and writing it as JSON. No message and no configuration in here.

use std::fmt::Write;

const VERSION: u8 = 1;
const HEAD_BYTES: usize = 12;
const READING_BYTES: usize = 4;

/// One sound frame.
#[derive(Debug, PartialEq)]
pub struct Frame {
    device: u32,
    /// Seconds since 1970-01-01 UTC.
    seconds: u32,
    battery_percent: Option<u8>,
    pub readings: Vec<Reading>,
}

/// One measured value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading {
    quantity: Quantity,
    /// In hundredths of the unit.
    hundredths: i16,
    channel: u8,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Quantity {
    Temperature,
    Humidity,
    Pressure,
    Voltage,
}

/// Why bytes are no frame.
#[derive(Debug, PartialEq)]
pub enum Flaw {
    TooShort { bytes: usize },
    Version(u8),
    Length { expected: usize, got: usize },
    Checksum { expected: u8, got: u8 },
    Quantity(u8),
}

impl std::fmt::Display for Flaw {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Flaw::TooShort { bytes } => write!(f, "{bytes} bytes are too few for a frame"),
            Flaw::Version(version) => write!(f, "frame version {version} is not known; version {VERSION} is"),
            Flaw::Length { expected, got } => write!(f, "the frame should have {expected} bytes and has {got}"),
            Flaw::Checksum { expected, got } => write!(f, "the checksum is {got:#04x} and should be {expected:#04x}"),
            Flaw::Quantity(code) => write!(f, "{code} is no known quantity"),
        }
    }
}

impl std::error::Error for Flaw {}

impl Frame {
    pub fn read(bytes: &[u8]) -> Result<Frame, Flaw> {
        let &[version, count, d0, d1, d2, d3, s0, s1, s2, s3, battery, _, ..] = bytes else {
            return Err(Flaw::TooShort { bytes: bytes.len() });
        };
        if version != VERSION {
            return Err(Flaw::Version(version));
        }
        let expected = HEAD_BYTES + usize::from(count) * READING_BYTES;
        // The head's last byte is the checksum: it makes the sum of all bytes zero.
        if bytes.len() != expected {
            return Err(Flaw::Length { expected, got: bytes.len() });
        }
        let got = bytes[HEAD_BYTES - 1];
        let sum = bytes.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
        if sum != 0 {
            return Err(Flaw::Checksum { expected: got.wrapping_sub(sum), got });
        }
        let readings = bytes[HEAD_BYTES..].chunks_exact(READING_BYTES).map(Reading::read).collect::<Result<_, _>>()?;
        Ok(Frame {
            device: u32::from_be_bytes([d0, d1, d2, d3]),
            seconds: u32::from_be_bytes([s0, s1, s2, s3]),
            battery_percent: (battery <= 100).then_some(battery),
            readings,
        })
    }

    /// Milliseconds since 1970-01-01 UTC.
    pub fn millis(&self) -> i64 {
        i64::from(self.seconds) * 1000
    }

    pub fn json(&self) -> String {
        let mut json = self.head_json();
        json.push_str(",\"readings\":[");
        for (n, reading) in self.readings.iter().enumerate() {
            if n > 0 {
                json.push(',');
            }
            json.push('{');
            reading.write_json(&mut json);
            json.push('}');
        }
        json.push_str("]}");
        json
    }

    /// One reading as an object of its own, with the frame's head.
    pub fn reading_json(&self, reading: &Reading) -> String {
        let mut json = self.head_json();
        json.push(',');
        reading.write_json(&mut json);
        json.push('}');
        json
    }

    fn head_json(&self) -> String {
        let mut json = format!("{{\"device\":\"{:08x}\",\"time\":{}", self.device, self.seconds);
        if let Some(battery) = self.battery_percent {
            // Writing to a String cannot fail.
            let _ = write!(json, ",\"battery\":{battery}");
        }
        json
    }
}

impl Reading {
    fn read(bytes: &[u8]) -> Result<Reading, Flaw> {
        let &[code, channel, high, low] = bytes else { return Err(Flaw::TooShort { bytes: bytes.len() }) };
        let quantity = match code {
            1 => Quantity::Temperature,
            2 => Quantity::Humidity,
            3 => Quantity::Pressure,
            4 => Quantity::Voltage,
            other => return Err(Flaw::Quantity(other)),
        };
        Ok(Reading { quantity, channel, hundredths: i16::from_be_bytes([high, low]) })
    }

    fn write_json(&self, json: &mut String) {
        let (name, unit) = match self.quantity {
            Quantity::Temperature => ("temperature", "Cel"),
            Quantity::Humidity => ("humidity", "%RH"),
            Quantity::Pressure => ("pressure", "bar"),
            Quantity::Voltage => ("voltage", "V"),
        };
        let value = f64::from(self.hundredths) / 100.0;
        let _ = write!(json, "\"name\":\"{name}\",\"channel\":{},\"value\":{value},\"unit\":\"{unit}\"", self.channel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame with its checksum set right.
    fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
        bytes[11] = 0;
        bytes[11] = bytes.iter().fold(0_u8, |sum, byte| sum.wrapping_sub(*byte));
        bytes
    }

    fn frame() -> Vec<u8> {
        sealed(vec![1, 2, 0, 0, 0, 0x2a, 0x65, 0x53, 0xf1, 0, 87, 0, 1, 0, 0x08, 0x6b, 2, 1, 0xff, 0xfb])
    }

    #[test]
    fn a_frame_becomes_json() {
        let frame = Frame::read(&frame()).unwrap();
        assert_eq!(frame.millis(), 1_700_000_000_000);
        assert_eq!(
            frame.json(),
            "{\"device\":\"0000002a\",\"time\":1700000000,\"battery\":87,\"readings\":[\
             {\"name\":\"temperature\",\"channel\":0,\"value\":21.55,\"unit\":\"Cel\"},\
             {\"name\":\"humidity\",\"channel\":1,\"value\":-0.05,\"unit\":\"%RH\"}]}"
        );
    }

    #[test]
    fn flaws_are_named() {
        assert_eq!(Frame::read(b"abc"), Err(Flaw::TooShort { bytes: 3 }));
        let mut other = frame();
        other[0] = 9;
        assert_eq!(Frame::read(&other), Err(Flaw::Version(9)));
        assert_eq!(Frame::read(&frame()[..19]), Err(Flaw::Length { expected: 20, got: 19 }));
        let mut damaged = frame();
        damaged[15] ^= 1;
        assert!(matches!(Frame::read(&damaged), Err(Flaw::Checksum { .. })));
        let mut unknown = frame();
        unknown[12] = 77;
        assert_eq!(Frame::read(&sealed(unknown)), Err(Flaw::Quantity(77)));
    }
}
