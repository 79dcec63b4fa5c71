//! Digests, as lower-case hexadecimal. For recognising data, not for keeping passwords.

use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha224, Sha256, Sha384, Sha512};

use super::args::{bytes, str_value, text, word};
use super::conversion::hex;
use super::{Fault, Function};
use crate::value::Value;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new(
        1..=1,
        "md5(text) -> text",
        "The MD5 digest.",
        &[
            ("md5('abc')", r#""900150983cd24fb0d6963f7d28e17f72""#),
            ("md5('')", r#""d41d8cd98f00b204e9800998ecf8427e""#),
            ("md5(1)", "!"),
            ("md5(true)", "!"),
        ],
        |args| Ok(digest(&Md5::digest(bytes(args, 0)?))),
    ),
    Function::new(
        1..=1,
        "sha(text) -> text",
        "The SHA-1 digest.",
        &[("sha('abc')", r#""a9993e364706816aba3e25717850c26c9cd0d89d""#), ("sha(nope)", "!")],
        |args| Ok(digest(&Sha1::digest(bytes(args, 0)?))),
    ),
    Function::new(
        1..=1,
        "sha256(text) -> text",
        "The SHA-256 digest.",
        &[
            ("sha256('abc')", r#""ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad""#),
            ("sha256([])", "!"),
        ],
        |args| Ok(digest(&Sha256::digest(bytes(args, 0)?))),
    ),
    Function::new(
        2..=2,
        "hash(algorithm, text) -> text",
        "The digest by one of the algorithms md5, sha, sha1, sha224, sha256, sha384 and sha512.",
        &[
            ("hash('sha1', 'abc')", r#""a9993e364706816aba3e25717850c26c9cd0d89d""#),
            ("hash('sha', 'abc')", r#""a9993e364706816aba3e25717850c26c9cd0d89d""#),
            ("hash('md5', 'abc')", r#""900150983cd24fb0d6963f7d28e17f72""#),
            ("hash('sha224', 'abc')", r#""23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7""#),
            ("strlen(hash('sha256', true))", "64"),
            ("strlen(hash('sha384', 'abc'))", "96"),
            ("strlen(hash('sha512', 'abc'))", "128"),
            ("hash('sha', nope)", "!"),
            ("hash('sha', 1)", "!"),
            ("hash('crc', 'abc')", "!"),
            ("hash(1, 'abc')", "!"),
        ],
        |args| {
            let (algorithm, data) = (word(args, 0)?, text(args, 1)?);
            Ok(match algorithm {
                b"md5" => digest(&Md5::digest(&data)),
                b"sha" | b"sha1" => digest(&Sha1::digest(&data)),
                b"sha224" => digest(&Sha224::digest(&data)),
                b"sha256" => digest(&Sha256::digest(&data)),
                b"sha384" => digest(&Sha384::digest(&data)),
                b"sha512" => digest(&Sha512::digest(&data)),
                _ => return Err(Fault::argument(args, 0, "md5, sha, sha1, sha224, sha256, sha384 or sha512")),
            })
        },
    ),
];

fn digest(bytes: &[u8]) -> Value {
    str_value(hex(bytes, b"0123456789abcdef"))
}
