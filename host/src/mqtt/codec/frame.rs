//! Cuts one frame out of the stream: first byte, remaining length, and the size limit before anything is buffered.

use super::DecodeError;

pub(super) const CONNECT: u8 = 1;
pub(super) const PUBLISH: u8 = 3;
pub(super) const PUBACK: u8 = 4;
pub(super) const PUBREC: u8 = 5;
pub(super) const PUBREL: u8 = 6;
pub(super) const PUBCOMP: u8 = 7;
pub(super) const SUBSCRIBE: u8 = 8;
pub(super) const UNSUBSCRIBE: u8 = 10;
pub(super) const PINGREQ: u8 = 12;
pub(super) const DISCONNECT: u8 = 14;
pub(super) const AUTH: u8 = 15;

/// One whole packet.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    pub bytes: &'a [u8],
    header: usize,
}

impl<'a> Frame<'a> {
    pub(super) fn packet_type(&self) -> u8 {
        self.bytes[0] >> 4
    }

    pub(super) fn flags(&self) -> u8 {
        self.bytes[0] & 0x0f
    }

    /// Variable header and payload.
    pub(super) fn body(&self) -> &'a [u8] {
        &self.bytes[self.header..]
    }
}

/// The frame at the start of `data`; `None` when more bytes are needed.
pub fn cut(data: &[u8], max_packet_size: usize) -> Result<Option<Frame<'_>>, DecodeError> {
    let Some((header, total)) = lengths(data)? else { return Ok(None) };
    if total > max_packet_size {
        return Err(DecodeError::TooLarge { limit: max_packet_size });
    }
    Ok(data.get(..total).map(|bytes| Frame { bytes, header }))
}

/// The length of the frame that starts `data`, as far as it can be told.
#[must_use]
pub fn frame_len(data: &[u8]) -> Option<usize> {
    lengths(data).ok().flatten().map(|(_, total)| total)
}

/// Length of the fixed header and of the whole frame that starts `data`, as soon as the length field is complete.
pub(super) fn lengths(data: &[u8]) -> Result<Option<(usize, usize)>, DecodeError> {
    // The common case, without a loop: one or two length bytes.
    let remaining = match data {
        [_, a, ..] if *a < 0x80 => return Ok(Some((2, 2 + usize::from(*a)))),
        [_, a, b, ..] if *b < 0x80 => return Ok(Some((3, 3 + usize::from(a & 0x7f) + (usize::from(*b) << 7)))),
        [] => return Ok(None),
        [_, rest @ ..] => rest,
    };
    let length = variable_int(remaining)?;
    Ok(length.map(|(value, bytes)| (1 + bytes, 1 + bytes + value as usize)))
}

/// A variable byte integer (MQTT 5.0, 1.5.5) and how many bytes it takes; `None` when it is cut off.
pub(super) fn variable_int(data: &[u8]) -> Result<Option<(u32, usize)>, DecodeError> {
    let mut value = 0;
    for (index, byte) in data.iter().take(4).enumerate() {
        value |= u32::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Ok(Some((value, index + 1)));
        }
    }
    if data.len() >= 4 {
        return Err(DecodeError::Malformed("a length of more than four bytes (MQTT-1.5.5-1)"));
    }
    Ok(None)
}

/// A cursor over one frame's body. Running out of bytes is a malformed packet: the frame is complete.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

const SHORT: DecodeError = DecodeError::Malformed("a field ends outside of its packet");

impl<'a> Reader<'a> {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn take(&mut self, n: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self.0.split_at_checked(n).ok_or(SHORT)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn u8(&mut self) -> Result<u8, DecodeError> {
        let (first, rest) = self.0.split_first().ok_or(SHORT)?;
        self.0 = rest;
        Ok(*first)
    }

    pub(super) fn u16(&mut self) -> Result<u16, DecodeError> {
        let (first, rest) = self.0.split_first_chunk().ok_or(SHORT)?;
        self.0 = rest;
        Ok(u16::from_be_bytes(*first))
    }

    pub(super) fn u32(&mut self) -> Result<u32, DecodeError> {
        let (first, rest) = self.0.split_first_chunk().ok_or(SHORT)?;
        self.0 = rest;
        Ok(u32::from_be_bytes(*first))
    }

    pub(super) fn variable_int(&mut self) -> Result<u32, DecodeError> {
        let (value, bytes) = variable_int(self.0)?.ok_or(SHORT)?;
        self.0 = &self.0[bytes..];
        Ok(value)
    }

    /// Binary data: two length bytes, then that many.
    pub(super) fn binary(&mut self) -> Result<&'a [u8], DecodeError> {
        let len = self.u16()?;
        self.take(usize::from(len))
    }

    /// A UTF-8 string: well formed (MQTT-1.5.4-1) and without U+0000 (MQTT-1.5.4-2).
    pub(super) fn string(&mut self) -> Result<&'a str, DecodeError> {
        let text = std::str::from_utf8(self.binary()?)
            .map_err(|_| DecodeError::Malformed("a string is not UTF-8 (MQTT-1.5.4-1)"))?;
        if text.as_bytes().contains(&0) {
            return Err(DecodeError::Malformed("a string contains U+0000 (MQTT-1.5.4-2)"));
        }
        Ok(text)
    }
}
