//! The PROXY protocol, versions 1 and 2 (HAProxy's `proxy-protocol.txt`): a load balancer in front says who the peer is.
//!
//! Where a listener expects it, a connection without a right header is closed: believing half of one would let a client
//! choose its own address. [`parse`] is pure; [`read`] never takes a byte of what follows the header.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::io::{AsyncRead, AsyncReadExt};

/// What the header says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// The real peer; `None` when the connection is the proxy's own (a health check) or not TCP.
    pub source: Option<SocketAddr>,
    /// The common name of a client certificate that the proxy itself has verified (version 2, PP2_SUBTYPE_SSL_CN).
    pub common_name: Option<String>,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// So many more bytes belong to the header for certain.
    Read(usize),
    /// All of the bytes were the header.
    Done(Header),
}

/// The bytes are no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a PROXY protocol header: {0}")]
pub struct Malformed(&'static str);

/// Why there is no header.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error("the connection was lost before the PROXY protocol header: {0}")]
    Lost(#[from] std::io::Error),
    #[error("no PROXY protocol header within `proxy_protocol_timeout`")]
    Late,
}

/// The signature of version 2; the shortest header of version 1 is longer.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// The longest line of version 1, with its end.
const MAX_LINE: usize = 107;
/// Addresses and all that a proxy may append in version 2.
const MAX_BODY: usize = 4096;

/// Reads a whole header and nothing more.
pub async fn read<S: AsyncRead + Unpin>(stream: &mut S) -> Result<Header, ProxyError> {
    let mut bytes = Vec::with_capacity(MAX_LINE);
    loop {
        match parse(&bytes)? {
            Step::Done(header) => return Ok(header),
            Step::Read(more) => {
                let end = bytes.len();
                bytes.resize(end + more, 0);
                stream.read_exact(&mut bytes[end..]).await?;
            }
        }
    }
}

/// Looks at the beginning of a header.
pub fn parse(bytes: &[u8]) -> Result<Step, Malformed> {
    if bytes.len() < SIGNATURE.len() {
        return Ok(Step::Read(SIGNATURE.len() - bytes.len()));
    }
    match bytes.strip_prefix(&SIGNATURE) {
        Some(rest) => parse_binary(rest),
        None => parse_text(bytes),
    }
}

/// Version 1: one line. Its length shows only at its end, so it is read byte by byte.
fn parse_text(bytes: &[u8]) -> Result<Step, Malformed> {
    if !bytes.starts_with(b"PROXY ") {
        return Err(Malformed("it begins with neither signature"));
    }
    let Some(line) = bytes.strip_suffix(b"\r\n") else {
        return match bytes.len() < MAX_LINE {
            true => Ok(Step::Read(1)),
            false => Err(Malformed("the line is longer than 107 bytes")),
        };
    };
    let line = std::str::from_utf8(line).map_err(|_| Malformed("the line is not ASCII"))?;
    let mut words = line.split(' ').skip(1);
    let family = words.next().unwrap_or_default();
    if family == "UNKNOWN" {
        return Ok(Step::Done(Header::default()));
    }
    let wrong = Malformed("expected `PROXY TCP4|TCP6 SOURCE DESTINATION PORT PORT`");
    let words: Vec<&str> = words.collect();
    let [source, destination, source_port, destination_port] = words[..] else { return Err(wrong) };
    let address = |text: &str| match family {
        "TCP4" => text.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
        "TCP6" => text.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        _ => None,
    };
    let port = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<u16>().ok()).flatten();
    let all = (address(source), address(destination), port(source_port), port(destination_port));
    let (Some(ip), Some(_), Some(port), Some(_)) = all else { return Err(wrong) };
    Ok(Step::Done(Header { source: Some(SocketAddr::new(ip, port)), common_name: None }))
}

/// Version 2, after its signature: version and command, family, length, addresses, then type-length-value fields.
fn parse_binary(bytes: &[u8]) -> Result<Step, Malformed> {
    let Some((&[command, family, high, low], body)) = bytes.split_first_chunk::<4>() else {
        return Ok(Step::Read(4 - bytes.len()));
    };
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length > MAX_BODY {
        return Err(Malformed("it is longer than 4096 bytes"));
    }
    if body.len() < length {
        return Ok(Step::Read(length - body.len()));
    }
    match command {
        // LOCAL: whatever addresses there are mean nothing.
        0x20 => return Ok(Step::Done(Header::default())),
        0x21 => {}
        _ => return Err(Malformed("unknown version or command")),
    }
    let short = Malformed("the addresses are cut off");
    let (source, fields) = match family {
        0x11 => {
            let (addresses, fields) = body.split_first_chunk::<12>().ok_or(short)?;
            let [a, b, c, d, _, _, _, _, high, low, _, _] = *addresses;
            let source = SocketAddr::from(([a, b, c, d], u16::from_be_bytes([high, low])));
            (Some(source), fields)
        }
        0x21 => {
            let (addresses, fields) = body.split_first_chunk::<36>().ok_or(short)?;
            let (ip, rest) = addresses.split_first_chunk::<16>().ok_or(short)?;
            let port = u16::from_be_bytes([rest[16], rest[17]]);
            (Some(SocketAddr::from((*ip, port))), fields)
        }
        // Not TCP over IP: the header is right, but says nothing that we could use.
        _ => return Ok(Step::Done(Header::default())),
    };
    Ok(Step::Done(Header { source, common_name: verified_name(fields)? }))
}

const PP2_TYPE_SSL: u8 = 0x20;
const PP2_SUBTYPE_SSL_CN: u8 = 0x22;
/// The client showed a certificate, in this connection or in the session that it resumes.
const PP2_CLIENT_CERT: u8 = 0x02 | 0x04;

fn verified_name(fields: &[u8]) -> Result<Option<String>, Malformed> {
    let Some(ssl) = find_field(fields, PP2_TYPE_SSL)? else { return Ok(None) };
    let Some((&[client, verify @ ..], inner)) = ssl.split_first_chunk::<5>() else {
        return Err(Malformed("the TLS field is cut off"));
    };
    if client & PP2_CLIENT_CERT == 0 || verify != [0; 4] {
        return Ok(None);
    }
    let name = find_field(inner, PP2_SUBTYPE_SSL_CN)?;
    name.map(|name| String::from_utf8(name.to_vec()).map_err(|_| Malformed("the common name is not UTF-8"))).transpose()
}

fn find_field(mut fields: &[u8], wanted: u8) -> Result<Option<&[u8]>, Malformed> {
    while let Some((&[kind, high, low], rest)) = fields.split_first_chunk::<3>() {
        let length = usize::from(u16::from_be_bytes([high, low]));
        let (value, rest) = rest.split_at_checked(length).ok_or(Malformed("a field is cut off"))?;
        if kind == wanted {
            return Ok(Some(value));
        }
        fields = rest;
    }
    if fields.is_empty() { Ok(None) } else { Err(Malformed("a field is cut off")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// All of `bytes` at once, byte for byte as [`read`] would ask for them.
    fn whole(bytes: &[u8]) -> Result<Header, Malformed> {
        let mut end = 0;
        loop {
            match parse(&bytes[..end])? {
                Step::Read(more) if end + more > bytes.len() => return Err(Malformed("cut off")),
                Step::Read(more) => end += more,
                Step::Done(header) if end == bytes.len() => return Ok(header),
                Step::Done(_) => return Err(Malformed("something follows")),
            }
        }
    }

    fn binary(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let length = (body.len() as u16).to_be_bytes();
        [&SIGNATURE[..], &[command, family], &length, body].concat()
    }

    fn field(kind: u8, value: &[u8]) -> Vec<u8> {
        [&[kind][..], &(value.len() as u16).to_be_bytes(), value].concat()
    }

    const FOUR: [u8; 12] = [192, 0, 2, 7, 10, 0, 0, 1, 0x12, 0x34, 0, 80];

    #[test]
    fn lines_are_read() {
        for (line, source) in [
            ("PROXY TCP4 192.0.2.7 10.0.0.1 56324 1883\r\n", Some("192.0.2.7:56324")),
            ("PROXY TCP6 2001:db8::7 ::1 4711 1883\r\n", Some("[2001:db8::7]:4711")),
            ("PROXY UNKNOWN\r\n", None),
            ("PROXY UNKNOWN ffff::1 ffff::1 65535 65535\r\n", None),
        ] {
            let source = source.map(|text| text.parse().unwrap());
            assert_eq!(whole(line.as_bytes()), Ok(Header { source, common_name: None }), "{line}");
        }
        for bad in [
            "PROXY TCP4 192.0.2.7 10.0.0.1 56324\r\n",
            "PROXY TCP4 192.0.2.7 10.0.0.1 56324 1883 1\r\n",
            "PROXY TCP4 2001:db8::7 ::1 4711 1883\r\n",
            "PROXY TCP6 192.0.2.7 10.0.0.1 56324 1883\r\n",
            "PROXY TCP4 192.0.2.7 10.0.0.1 65536 1883\r\n",
            "PROXY TCP4 192.0.2.7 10.0.0.1 +1 1883\r\n",
            "PROXY TCP4  192.0.2.7 10.0.0.1 1 1883\r\n",
            "PROXY UDP4 192.0.2.7 10.0.0.1 1 1883\r\n",
            "PROXY TCP4 192.0.2.7 10.0.0.1 1 1883\n",
            "proxy TCP4 192.0.2.7 10.0.0.1 1 1883\r\n",
            "\u{10}\u{c}\0\u{4}MQTT\u{4}\u{2}\0\0\0\0",
        ] {
            assert!(whole(bad.as_bytes()).is_err(), "{bad:?}");
        }
        let endless = [b"PROXY UNKNOWN ".as_slice(), &[b'x'; 200]].concat();
        assert_eq!(parse(&endless[..MAX_LINE]), Err(Malformed("the line is longer than 107 bytes")));
    }

    #[test]
    fn binary_headers_are_read() {
        let six = [&[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7][..], &[0; 16], &[1, 2, 0, 80]].concat();
        let source = |text: &str| Ok(Header { source: Some(text.parse().unwrap()), common_name: None });
        assert_eq!(whole(&binary(0x21, 0x11, &FOUR)), source("192.0.2.7:4660"));
        assert_eq!(whole(&binary(0x21, 0x21, &six)), source("[2001:db8::7]:258"));
        for no_source in [binary(0x20, 0x00, &[]), binary(0x20, 0x11, &FOUR), binary(0x21, 0x31, &[0; 216])] {
            assert_eq!(whole(&no_source), Ok(Header::default()));
        }
        for bad in [
            binary(0x31, 0x11, &FOUR),
            binary(0x22, 0x11, &FOUR),
            binary(0x21, 0x11, &FOUR[..11]),
            binary(0x21, 0x21, &six[..35]),
            binary(0x21, 0x11, &[&FOUR[..], &[4, 0]].concat()),
            binary(0x21, 0x11, &[&FOUR[..], &[4, 0, 9, 1]].concat()),
        ] {
            assert!(whole(&bad).is_err(), "{bad:02x?}");
        }
        let long = [&SIGNATURE[..], &[0x21, 0x11, 0xff, 0xff]].concat();
        assert_eq!(parse(&long), Err(Malformed("it is longer than 4096 bytes")));
    }

    #[test]
    fn a_common_name_counts_when_the_proxy_has_verified_it() {
        let said = |client: u8, verify: u32| {
            let name = field(PP2_SUBTYPE_SSL_CN, b"device-7");
            let ssl = [&[client][..], &verify.to_be_bytes(), &field(0x21, b"TLSv1.3"), &name].concat();
            let body = [&FOUR[..], &field(0x02, b"authority"), &field(PP2_TYPE_SSL, &ssl)].concat();
            whole(&binary(0x21, 0x11, &body)).unwrap().common_name
        };
        assert_eq!(said(0x07, 0).as_deref(), Some("device-7"));
        assert_eq!(said(0x01, 0), None, "no certificate was shown");
        assert_eq!(said(0x07, 18), None, "it was not verified");
    }

    #[tokio::test]
    async fn nothing_behind_the_header_is_taken() {
        for header in [b"PROXY TCP4 192.0.2.7 10.0.0.1 4660 80\r\n".to_vec(), binary(0x21, 0x11, &FOUR)] {
            let wire = [&header[..], b"\x10rest"].concat();
            let mut stream = &wire[..];
            let read = read(&mut stream).await.unwrap();
            assert_eq!(read.source, Some("192.0.2.7:4660".parse().unwrap()));
            assert_eq!(stream, b"\x10rest");
        }
        let cut = read(&mut &b"PROXY TCP4 192"[..]).await;
        assert!(matches!(cut, Err(ProxyError::Lost(_))), "{cut:?}");
    }

    proptest! {
        #[test]
        fn any_bytes_are_judged_and_never_more_is_asked_for_than_a_header_has(
            mut bytes in proptest::collection::vec(any::<u8>(), 0..300),
            kind in 0_usize..3,
        ) {
            let beginning: &[u8] = [b"PROXY TCP4 ".as_slice(), &SIGNATURE, b""][kind];
            bytes.splice(0..0, beginning.iter().copied());
            let mut end = 0;
            while let Ok(Step::Read(more)) = parse(&bytes[..end]) {
                prop_assert!(more > 0 && end + more <= SIGNATURE.len() + 4 + MAX_BODY);
                end += more;
                if end > bytes.len() {
                    break;
                }
            }
        }
    }
}
