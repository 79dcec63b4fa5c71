//! Digests, as lower-case hexadecimal. For recognising data, not for keeping passwords.

use blake2::{Blake2b512, Blake2s256};
use md4::Md4;
use md5::Md5;
use ripemd::Ripemd160;
use sha1::Sha1;
use sha2::{Digest, Sha224, Sha256, Sha384, Sha512};
use sha3::digest::{ExtendableOutput, XofReader};
use sha3::{Sha3_224, Sha3_256, Sha3_384, Sha3_512, Shake128, Shake256};

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
        "The digest by one of the algorithms md4, md5, sha, sha1, sha224, sha256, sha384, sha512, sha3_224, sha3_256, \
         sha3_384, sha3_512, shake128 (16 bytes), shake256 (32 bytes), blake2b, blake2s and ripemd160.",
        &[
            ("hash('sha1', 'abc')", r#""a9993e364706816aba3e25717850c26c9cd0d89d""#),
            ("hash('sha', 'abc')", r#""a9993e364706816aba3e25717850c26c9cd0d89d""#),
            ("hash('md5', 'abc')", r#""900150983cd24fb0d6963f7d28e17f72""#),
            ("hash('sha224', 'abc')", r#""23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7""#),
            ("strlen(hash('sha256', true))", "64"),
            ("strlen(hash('sha384', 'abc'))", "96"),
            ("strlen(hash('sha512', 'abc'))", "128"),
            ("hash('md4', 'abc')", r#""a448017aaf21d8525fc10ae87aa6729d""#),
            ("hash('ripemd160', 'abc')", r#""8eb208f7e05d987a9b044a8e98c6b087f15a0bfc""#),
            ("hash('sha3_224', 'abc')", r#""e642824c3f8cf24ad09234ee7d3c766fc9a3a5168d0c94ad73b46fdf""#),
            ("hash('sha3_256', 'abc')", r#""3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532""#),
            ("strlen(hash('sha3_384', 'abc'))", "96"),
            ("strlen(hash('sha3_512', 'abc'))", "128"),
            ("hash('shake128', 'abc')", r#""5881092dd818bf5cf8a3ddb793fbcba7""#),
            ("hash('shake256', 'abc')", r#""483366601360a8771c6863080cc4114d8db44530f8f1e1ee4f94ea37e78b5739""#),
            ("hash('blake2s', 'abc')", r#""508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982""#),
            ("substr(hash('blake2b', 'abc'), 0, 32)", r#""ba80a53f981c4d0d6a2797b69f12f6e9""#),
            ("hash('sha', nope)", "!"),
            ("hash('sha', 1)", "!"),
            ("hash('crc', 'abc')", "!"),
            ("hash(1, 'abc')", "!"),
        ],
        |args| {
            let (algorithm, data) = (word(args, 0)?, text(args, 1)?);
            Ok(match algorithm {
                b"md4" => digest(&Md4::digest(&data)),
                b"md5" => digest(&Md5::digest(&data)),
                b"sha" | b"sha1" => digest(&Sha1::digest(&data)),
                b"sha224" => digest(&Sha224::digest(&data)),
                b"sha256" => digest(&Sha256::digest(&data)),
                b"sha384" => digest(&Sha384::digest(&data)),
                b"sha512" => digest(&Sha512::digest(&data)),
                b"sha3_224" => digest(&Sha3_224::digest(&data)),
                b"sha3_256" => digest(&Sha3_256::digest(&data)),
                b"sha3_384" => digest(&Sha3_384::digest(&data)),
                b"sha3_512" => digest(&Sha3_512::digest(&data)),
                b"shake128" => shake::<16>(Shake128::default(), &data),
                b"shake256" => shake::<32>(Shake256::default(), &data),
                b"blake2b" => digest(&Blake2b512::digest(&data)),
                b"blake2s" => digest(&Blake2s256::digest(&data)),
                b"ripemd160" => digest(&Ripemd160::digest(&data)),
                _ => return Err(Fault::argument(args, 0, "the name of an algorithm, such as sha256")),
            })
        },
    ),
];

/// As many bytes as OpenSSL gives when it is not told how many.
fn shake<const LENGTH: usize>(mut hasher: impl ExtendableOutput, data: &[u8]) -> Value {
    let mut out = [0; LENGTH];
    hasher.update(data);
    hasher.finalize_xof().read(&mut out);
    digest(&out)
}

fn digest(bytes: &[u8]) -> Value {
    str_value(hex(bytes, b"0123456789abcdef"))
}
