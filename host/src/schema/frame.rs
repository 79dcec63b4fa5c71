//! The frame around data whose schema is in a registry: a zero byte, the schema's id in 4 bytes, and for Protobuf the way
//! to the message through the places of messages within the schema (Confluent, "Wire format"). Knows no schema.

use bytes::Bytes;

use super::varint;

const MAGIC: u8 = 0;
/// Messages within messages; nobody writes more.
const MAX_WAY: usize = 32;

/// The id, and what is behind it.
pub(super) fn open(data: &Bytes) -> Result<(u32, Bytes), String> {
    match data[..] {
        [MAGIC, a, b, c, d, ..] => Ok((u32::from_be_bytes([a, b, c, d]), data.slice(5..))),
        [MAGIC, ..] | [] => Err(String::from("the data ends within its tag, a zero byte and a schema id of 4 bytes")),
        [other, ..] => Err(format!("the data has no tag: it begins with {other:#04x} where a zero byte is due")),
    }
}

/// Takes the way to the message: for the first one of all a zero, for others their number and their places.
pub(super) fn take_way(body: &mut Bytes) -> Result<Vec<usize>, String> {
    let place = |body: &mut Bytes| {
        let number = varint::take_signed(body)?;
        usize::try_from(number).map_err(|_| format!("the place {number} of a message is negative"))
    };
    match place(body)? {
        0 => Ok(vec![0]),
        length if length > MAX_WAY => Err(format!("the way to the message has {length} parts; at most {MAX_WAY}")),
        length => (0..length).map(|_| place(body)).collect(),
    }
}

/// The tag, with the way if there is one.
pub(super) fn tag(id: u32, way: Option<&[usize]>) -> Vec<u8> {
    let mut out = vec![MAGIC];
    out.extend_from_slice(&id.to_be_bytes());
    match way {
        None => {}
        Some([0]) => out.push(0),
        Some(way) => {
            varint::put_signed(&mut out, way.len() as i64);
            way.iter().for_each(|place| varint::put_signed(&mut out, *place as i64));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_and_what_is_none() {
        for (way, bytes) in [
            (None, &[0, 0, 0, 1, 2][..]),
            (Some(&[0][..]), &[0, 0, 0, 1, 2, 0]),
            (Some(&[1]), &[0, 0, 0, 1, 2, 2, 2]),
            (Some(&[0, 0]), &[0, 0, 0, 1, 2, 4, 0, 0]),
            (Some(&[2, 70]), &[0, 0, 0, 1, 2, 4, 4, 0x8C, 1]),
        ] {
            let mut data = tag(258, way);
            assert_eq!(data, bytes);
            data.push(9);
            let (id, mut body) = open(&Bytes::from(data)).expect("a tag");
            assert_eq!(id, 258);
            if let Some(way) = way {
                assert_eq!(take_way(&mut body).as_deref(), Ok(way));
            }
            assert_eq!(&body[..], [9]);
        }
        for (data, part) in [(&b""[..], "ends within"), (b"\0\0\0\0", "ends within"), (b"\x01\0\0\0\x01", "0x01")] {
            assert!(open(&Bytes::from_static(data)).is_err_and(|error| error.contains(part)), "{data:?}");
        }
        for (body, part) in [
            (&b""[..], "early"),
            (b"\x01", "negative"),
            (b"\x02\x01", "negative"),
            (b"\x02", "early"),
            (b"\x7E", "parts"),
        ] {
            assert!(take_way(&mut Bytes::from_static(body)).is_err_and(|error| error.contains(part)), "{body:?}");
        }
    }
}
