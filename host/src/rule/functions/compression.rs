//! Deflate in its three containers. What is unpacked is bounded, however small it was packed.

use std::io::{Read, Write};

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use flate2::write::{DeflateEncoder, ZlibEncoder};
use flate2::{Compression, Decompress, FlushDecompress, GzBuilder, Status};

use super::args::{built, bytes};
use super::{Fault, Function, MAX_BUILT};
use crate::value::Value;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new(
        1..=1,
        "gzip(text) -> text",
        "Packed in the gzip format (RFC 1952), without name and time.",
        &[("gunzip(gzip('abc'))", r#""abc""#), ("subbits(gzip(''), 1, 16)", "8075"), ("gzip(1)", "!")],
        |args| {
            let mut packer = GzBuilder::new().operating_system(3).write(Vec::new(), Compression::default());
            packer.write_all(bytes(args, 0)?).and_then(|()| packer.finish()).map_err(|_| not_packed()).and_then(built)
        },
    ),
    Function::new(
        1..=1,
        "gunzip(text) -> text",
        "Unpacked from the gzip format; at most 16 MiB.",
        &[
            ("gunzip(hexstr2bin('1F8B08000000000000034B4C4A0600C241243503000000'))", r#""abc""#),
            ("gunzip('abc')", "!"),
            ("gunzip('')", "!"),
            ("gunzip(hexstr2bin('1F8B08000000000000034B4C4A0600C2412435'))", "!"),
            ("gunzip(nope)", "!"),
        ],
        gunzip,
    ),
    Function::new(
        1..=1,
        "zip(text) -> text",
        "Packed as a bare deflate stream (RFC 1951).",
        &[("bin2hexstr(zip('abc'))", r#""4B4C4A0600""#), ("zip(true)", "!")],
        |args| {
            let mut packer = DeflateEncoder::new(Vec::new(), Compression::default());
            packer.write_all(bytes(args, 0)?).and_then(|()| packer.finish()).map_err(|_| not_packed()).and_then(built)
        },
    ),
    Function::new(
        1..=1,
        "unzip(text) -> text",
        "Unpacked from a bare deflate stream; at most 16 MiB.",
        &[
            ("unzip(hexstr2bin('4B4C4A0600'))", r#""abc""#),
            ("unzip(hexstr2bin('4B4C'))", "!"),
            ("unzip('abc')", "!"),
            ("unzip(1)", "!"),
        ],
        |args| inflate(bytes(args, 0)?, Decompress::new(false)).and_then(built),
    ),
    Function::new(
        1..=1,
        "zip_compress(text) -> text",
        "Packed in the zlib format (RFC 1950).",
        &[("bin2hexstr(zip_compress('abc'))", r#""789C4B4C4A0600024D0127""#), ("zip_compress([])", "!")],
        |args| {
            let mut packer = ZlibEncoder::new(Vec::new(), Compression::default());
            packer.write_all(bytes(args, 0)?).and_then(|()| packer.finish()).map_err(|_| not_packed()).and_then(built)
        },
    ),
    Function::new(
        1..=1,
        "zip_uncompress(text) -> text",
        "Unpacked from the zlib format; at most 16 MiB.",
        &[
            ("zip_uncompress(zip_compress('abc'))", r#""abc""#),
            ("zip_uncompress(hexstr2bin('789C4B4C4A0600024D0128'))", "!"),
            ("zip_uncompress(hexstr2bin('789C4B4C4A06'))", "!"),
            ("zip_uncompress(zip('abc'))", "!"),
        ],
        |args| inflate(bytes(args, 0)?, Decompress::new(true)).and_then(built),
    ),
];

/// A gzip file may consist of several members; what follows them has to be one too.
fn gunzip(args: &[Value]) -> Result<Value, Fault> {
    let packed: &Bytes = bytes(args, 0)?;
    if packed.is_empty() {
        return Err(corrupt());
    }
    let mut out = Vec::new();
    let read = MultiGzDecoder::new(&packed[..]).take(MAX_BUILT as u64 + 1).read_to_end(&mut out);
    read.map_err(|_| corrupt())?;
    built(out)
}

/// One stream, which has to be whole; what follows it is ignored.
pub(super) fn inflate(mut packed: &[u8], mut unpacker: Decompress) -> Result<Vec<u8>, Fault> {
    let mut out = Vec::with_capacity(packed.len().saturating_mul(4).clamp(64, 1 << 16));
    loop {
        let (read, wrote) = (unpacker.total_in(), unpacker.total_out());
        let status = unpacker.decompress_vec(packed, &mut out, FlushDecompress::None).map_err(|_| corrupt())?;
        packed = &packed[(unpacker.total_in() - read) as usize..];
        if status == Status::StreamEnd {
            return Ok(out);
        }
        if out.len() > MAX_BUILT {
            return Err(Fault::failed(format!("the result is longer than {MAX_BUILT} bytes")));
        }
        if out.len() == out.capacity() {
            out.reserve(out.capacity());
        } else if unpacker.total_in() == read && unpacker.total_out() == wrote {
            return Err(corrupt());
        }
    }
}

fn corrupt() -> Fault {
    Fault::failed("the data is not a whole, correct stream of this format")
}

fn not_packed() -> Fault {
    Fault::failed("the data could not be packed")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::Still;

    fn call(name: &str, data: Vec<u8>) -> Result<Value, Fault> {
        let function = FUNCTIONS.iter().find(|function| function.name == name).expect(name);
        function.call(&Still::default(), &[Value::Str(data.into())])
    }

    #[test]
    fn all_kinds_of_bytes_come_back() {
        let data: Vec<u8> = (0..200_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        for (pack, unpack) in [("gzip", "gunzip"), ("zip", "unzip"), ("zip_compress", "zip_uncompress")] {
            for data in [Vec::new(), vec![7; 100_000], data.clone()] {
                let Ok(Value::Str(packed)) = call(pack, data.clone()) else { panic!("{pack}") };
                assert_eq!(call(unpack, packed.to_vec()), Ok(Value::Str(data.into())), "{unpack}");
            }
        }
    }

    #[test]
    fn a_bomb_is_refused() {
        // Half a gigabyte of zeros in half a megabyte.
        let chunk = vec![0u8; 1 << 20];
        let mut gzip = GzBuilder::new().write(Vec::new(), Compression::default());
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
        let mut bare = DeflateEncoder::new(Vec::new(), Compression::default());
        for _ in 0..512 {
            gzip.write_all(&chunk).expect("memory");
            zlib.write_all(&chunk).expect("memory");
            bare.write_all(&chunk).expect("memory");
        }
        let bombs = [gzip.finish(), bare.finish(), zlib.finish()].map(|bomb| bomb.expect("memory"));
        for (unpack, bomb) in ["gunzip", "unzip", "zip_uncompress"].into_iter().zip(bombs) {
            assert!(bomb.len() < 1 << 20);
            let fault = call(unpack, bomb).expect_err(unpack).to_string();
            assert!(fault.contains("longer than 16777216 bytes"), "{fault}");
        }
    }
}
