//! MQTT 3.1.1 and 5.0 on the wire, written from the OASIS standard for these tests: what a client sends, what a server
//! answers. It never checks what it is told to send, because tests send wrong things on purpose.

/// The protocol level of CONNECT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    V4 = 4,
    V5 = 5,
}

/// What a server sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packet {
    ConnAck { session_present: bool, code: u8, properties: Vec<u8> },
    Publish { dup: bool, qos: u8, retain: bool, topic: String, id: u16, properties: Vec<u8>, payload: Vec<u8> },
    PubAck { id: u16, code: u8 },
    PubRec { id: u16, code: u8 },
    PubRel { id: u16, code: u8 },
    PubComp { id: u16, code: u8 },
    SubAck { id: u16, codes: Vec<u8> },
    UnsubAck { id: u16, codes: Vec<u8> },
    PingResp,
    Disconnect { code: u8 },
}

/// A PUBLISH to be sent; `id` counts for QoS 1 and 2, `properties` (as bytes, without their length) for 5.0.
#[derive(Clone, Copy, Debug, Default)]
pub struct Publish<'a> {
    pub topic: &'a str,
    pub payload: &'a [u8],
    pub qos: u8,
    pub id: u16,
    pub dup: bool,
    pub retain: bool,
    pub properties: &'a [u8],
}

/// A CONNECT to be sent.
#[derive(Clone, Copy, Debug)]
pub struct Connect<'a> {
    pub version: Version,
    pub client: &'a str,
    /// Clean Session of 3.1.1, Clean Start of 5.0.
    pub clean: bool,
    /// Seconds; 0 turns it off.
    pub keep_alive: u16,
    pub user: Option<&'a str>,
    pub password: Option<&'a [u8]>,
    pub properties: &'a [u8],
    pub will: Option<Will<'a>>,
}

/// The will of a CONNECT; its `properties` (as bytes, without their length) count for 5.0.
#[derive(Clone, Copy, Debug, Default)]
pub struct Will<'a> {
    pub topic: &'a str,
    pub payload: &'a [u8],
    pub qos: u8,
    pub retain: bool,
    pub properties: &'a [u8],
}

pub fn connect(out: &mut Vec<u8>, connect: &Connect<'_>) {
    let mut body = Vec::new();
    field(&mut body, b"MQTT");
    let given = |bit: u8, is: bool| if is { bit } else { 0 };
    let flags = given(0x02, connect.clean) | given(0x80, connect.user.is_some());
    let will = connect.will.map_or(0, |will| 0x04 | will.qos << 3 | given(0x20, will.retain));
    body.extend([connect.version as u8, flags | given(0x40, connect.password.is_some()) | will]);
    body.extend(connect.keep_alive.to_be_bytes());
    properties(&mut body, connect.version, connect.properties);
    field(&mut body, connect.client.as_bytes());
    if let Some(will) = &connect.will {
        properties(&mut body, connect.version, will.properties);
        field(&mut body, will.topic.as_bytes());
        field(&mut body, will.payload);
    }
    for part in [connect.user.map(str::as_bytes), connect.password].into_iter().flatten() {
        field(&mut body, part);
    }
    frame(out, 0x10, &body);
}

pub fn publish(out: &mut Vec<u8>, version: Version, publish: &Publish<'_>) {
    let mut body = Vec::with_capacity(publish.topic.len() + publish.payload.len() + publish.properties.len() + 8);
    field(&mut body, publish.topic.as_bytes());
    if publish.qos > 0 {
        body.extend(publish.id.to_be_bytes());
    }
    properties(&mut body, version, publish.properties);
    body.extend(publish.payload);
    frame(out, 0x30 | u8::from(publish.dup) << 3 | publish.qos << 1 | u8::from(publish.retain), &body);
}

pub fn subscribe(out: &mut Vec<u8>, version: Version, id: u16, filter: &str, qos: u8) {
    subscribe_all(out, version, id, &[], &[(filter, qos)]);
}

/// SUBSCRIBE with any number of filters and their options. For 5.0 `properties` as bytes, without their length.
pub fn subscribe_all(out: &mut Vec<u8>, version: Version, id: u16, bytes: &[u8], filters: &[(&str, u8)]) {
    let mut body = id.to_be_bytes().to_vec();
    properties(&mut body, version, bytes);
    for (filter, options) in filters {
        field(&mut body, filter.as_bytes());
        body.push(*options);
    }
    frame(out, 0x82, &body);
}

pub fn unsubscribe(out: &mut Vec<u8>, version: Version, id: u16, filters: &[&str]) {
    let mut body = id.to_be_bytes().to_vec();
    properties(&mut body, version, &[]);
    filters.iter().for_each(|filter| field(&mut body, filter.as_bytes()));
    frame(out, 0xa2, &body);
}

/// PUBACK (0x40), PUBREC (0x50), PUBREL (0x62) or PUBCOMP (0x70), with success.
pub fn answer(out: &mut Vec<u8>, first: u8, id: u16) {
    frame(out, first, &id.to_be_bytes());
}

pub fn ping(out: &mut Vec<u8>) {
    frame(out, 0xc0, &[]);
}

pub fn disconnect(out: &mut Vec<u8>) {
    frame(out, 0xe0, &[]);
}

/// A fixed header and `body`.
pub fn frame(out: &mut Vec<u8>, first: u8, body: &[u8]) {
    out.push(first);
    variable(out, body.len());
    out.extend(body);
}

/// A two-byte length and the bytes: strings and binary data.
pub fn field(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend((bytes.len() as u16).to_be_bytes());
    out.extend(bytes);
}

/// One User Property (0x26).
pub fn user_property(out: &mut Vec<u8>, key: &str, value: &str) {
    out.push(0x26);
    field(out, key.as_bytes());
    field(out, value.as_bytes());
}

fn properties(out: &mut Vec<u8>, version: Version, bytes: &[u8]) {
    if version == Version::V5 {
        variable(out, bytes.len());
        out.extend(bytes);
    }
}

fn variable(out: &mut Vec<u8>, mut value: usize) {
    while value > 127 {
        out.push((value % 128) as u8 | 0x80);
        value /= 128;
    }
    out.push(value as u8);
}

/// Takes one packet off the front of `input`; `None` when it is not all there. Panics on what no server may send.
pub fn take(input: &mut Vec<u8>, version: Version) -> Option<Packet> {
    let first = *input.first()?;
    let (length, width) = variable_at(input, 1)?;
    let end = 1 + width + length;
    if input.len() < end {
        return None;
    }
    let packet = parse(first, &input[1 + width..end], version);
    let packet = packet.unwrap_or_else(|| panic!("not a packet of a server: {:02x?}", &input[..end]));
    input.drain(..end);
    Some(packet)
}

fn parse(first: u8, mut body: &[u8], version: Version) -> Option<Packet> {
    let body = &mut body;
    let packet = match first >> 4 {
        2 => {
            let (flags, code) = (byte(body)?, byte(body)?);
            Packet::ConnAck { session_present: flags == 1, code, properties: take_properties(body, version)? }
        }
        3 => {
            let topic = String::from_utf8(take_field(body)?).ok()?;
            let qos = first >> 1 & 3;
            let id = if qos > 0 { word(body)? } else { 0 };
            let properties = take_properties(body, version)?;
            let payload = std::mem::take(body).to_vec();
            Packet::Publish { dup: first & 8 != 0, qos, retain: first & 1 != 0, topic, id, properties, payload }
        }
        kind @ 4..=7 => {
            let id = word(body)?;
            let code = if body.is_empty() { 0 } else { byte(body)? };
            if !body.is_empty() {
                take_properties(body, version)?;
            }
            match kind {
                4 => Packet::PubAck { id, code },
                5 => Packet::PubRec { id, code },
                6 => Packet::PubRel { id, code },
                _ => Packet::PubComp { id, code },
            }
        }
        kind @ (9 | 11) => {
            let id = word(body)?;
            take_properties(body, version)?;
            let codes = std::mem::take(body).to_vec();
            if kind == 9 { Packet::SubAck { id, codes } } else { Packet::UnsubAck { id, codes } }
        }
        13 => Packet::PingResp,
        14 => {
            let code = if body.is_empty() { 0 } else { byte(body)? };
            if !body.is_empty() {
                take_properties(body, version)?;
            }
            Packet::Disconnect { code }
        }
        _ => return None,
    };
    body.is_empty().then_some(packet)
}

/// The Receive Maximum (0x21) among the properties of a CONNACK; 65,535 when it is not there.
#[must_use]
pub fn receive_maximum(mut properties: &[u8]) -> u16 {
    let body = &mut properties;
    while let Some(kind) = byte(body) {
        let known = match kind {
            0x21 => return word(body).expect("a Receive Maximum of two bytes"),
            0x24 | 0x25 | 0x28 | 0x29 | 0x2a => body.split_off(..1).is_some(),
            0x13 | 0x22 => body.split_off(..2).is_some(),
            0x11 | 0x27 => body.split_off(..4).is_some(),
            0x12 | 0x15 | 0x16 | 0x1a | 0x1c | 0x1f => take_field(body).is_some(),
            0x26 => take_field(body).is_some() && take_field(body).is_some(),
            _ => false,
        };
        assert!(known, "not a property of CONNACK: 0x{kind:02x}");
    }
    u16::MAX
}

fn byte(body: &mut &[u8]) -> Option<u8> {
    body.split_off_first().copied()
}

fn word(body: &mut &[u8]) -> Option<u16> {
    Some(u16::from_be_bytes([byte(body)?, byte(body)?]))
}

fn take_field(body: &mut &[u8]) -> Option<Vec<u8>> {
    let length = word(body)? as usize;
    body.split_off(..length).map(<[u8]>::to_vec)
}

fn take_properties(body: &mut &[u8], version: Version) -> Option<Vec<u8>> {
    if version == Version::V4 {
        return Some(Vec::new());
    }
    let (length, width) = variable_at(body, 0)?;
    body.split_off(..width)?;
    body.split_off(..length).map(<[u8]>::to_vec)
}

/// The variable byte integer at `at` and how many bytes it takes; `None` when it is not all there.
fn variable_at(input: &[u8], at: usize) -> Option<(usize, usize)> {
    let mut value = 0;
    for width in 0..4 {
        let byte = *input.get(at + width)?;
        value |= usize::from(byte & 0x7f) << (7 * width);
        if byte & 0x80 == 0 {
            return Some((value, width + 1));
        }
    }
    panic!("a length of more than four bytes: {:02x?}", &input[at..at + 4]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_written_as_the_standard_draws_them() {
        let mut out = Vec::new();
        publish(&mut out, Version::V4, &Publish { topic: "a/b", payload: b"x", qos: 1, id: 10, ..Publish::default() });
        assert_eq!(out, [0x32, 8, 0, 3, b'a', b'/', b'b', 0, 10, b'x']);
        out.clear();
        subscribe(&mut out, Version::V5, 1, "#", 2);
        assert_eq!(out, [0x82, 7, 0, 1, 0, 0, 1, b'#', 2]);
    }

    #[test]
    fn the_receive_maximum_is_found_behind_other_properties() {
        assert_eq!(receive_maximum(&[0x25, 1, 0x1f, 0, 2, b'o', b'k', 0x21, 0, 64, 0x28, 1]), 64);
        assert_eq!(receive_maximum(&[0x27, 0, 16, 0, 0]), 65_535);
    }

    #[test]
    fn packets_are_taken_off_one_by_one_and_only_when_they_are_whole() {
        let whole = [0x20, 3, 1, 0, 0, 0x40, 2, 0, 7, 0x40, 4, 0, 8, 0x97, 0];
        let mut input = Vec::new();
        let mut taken = Vec::new();
        for byte in whole {
            input.push(byte);
            taken.extend(take(&mut input, Version::V5));
        }
        assert!(input.is_empty());
        let conn_ack = Packet::ConnAck { session_present: true, code: 0, properties: vec![] };
        assert_eq!(taken, [conn_ack, Packet::PubAck { id: 7, code: 0 }, Packet::PubAck { id: 8, code: 0x97 }]);
    }
}
