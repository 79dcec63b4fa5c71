//! Integers in groups of seven bits, low ones first: the way of Avro, of Protobuf and of the registry's frame.

use bytes::{Buf, Bytes};

/// Takes one of at most 64 bits from the front of `data`.
pub(super) fn take(data: &mut Bytes) -> Result<u64, String> {
    let mut number = 0u64;
    for (at, byte) in data.iter().take(10).enumerate() {
        number |= u64::from(byte & 0x7F) << (7 * at);
        if *byte < 0x80 {
            data.advance(at + 1);
            return Ok(number);
        }
    }
    Err(String::from(if data.len() < 10 { "the data ends early" } else { "an integer has more than 64 bits" }))
}

/// Takes one whose sign is its lowest bit.
pub(super) fn take_signed(data: &mut Bytes) -> Result<i64, String> {
    take(data).map(signed)
}

/// From zero, -1, 1, -2, ... by their places.
pub(super) fn signed(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

pub(super) fn put_signed(out: &mut Vec<u8>, number: i64) {
    let mut rest = ((number << 1) ^ (number >> 63)) as u64;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        for (number, bytes) in [
            (0, &[0][..]),
            (-1, &[1]),
            (64, &[0x80, 0x01]),
            (i64::MAX, &[0xFE, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01]),
            (i64::MIN, &[0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01]),
        ] {
            let mut out = Vec::new();
            put_signed(&mut out, number);
            assert_eq!(out, bytes);
            out.push(7);
            let mut data = Bytes::from(out);
            assert_eq!((take_signed(&mut data), &data[..]), (Ok(number), &[7][..]));
        }
        for bytes in [&[][..], &[0x80], &[0xFF; 9], &[0xFF; 10], &[0xFF; 11]] {
            let (mut data, part) = (Bytes::copy_from_slice(bytes), if bytes.len() < 10 { "early" } else { "64 bits" });
            assert!(take(&mut data).is_err_and(|error| error.contains(part)), "{bytes:?}");
        }
    }
}
