//! Which partition a record goes to: the same as a Java producer's for a key, any for none.
//!
//! Pure arithmetic. `lane.rs` keeps a line for each partition; this says in which line to stand.

/// The partition of a key among `count` (at least one), as Kafka's default partitioner has it: murmur2, made positive.
pub(super) fn of_key(key: &[u8], count: usize) -> usize {
    (murmur2(key) & 0x7fff_ffff) as usize % count.max(1)
}

/// MurmurHash2, 32 bits, with the seed that Kafka's clients agree on.
fn murmur2(data: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    let mut hash = SEED ^ data.len() as u32;
    let (words, rest) = data.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k = (k ^ (k >> 24)).wrapping_mul(M);
        hash = hash.wrapping_mul(M) ^ k;
    }
    if !rest.is_empty() {
        let tail = rest.iter().rev().fold(0, |tail, byte| (tail << 8) | u32::from(*byte));
        hash = (hash ^ tail).wrapping_mul(M);
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_kafkas_own_clients() {
        // The values that Kafka's and librdkafka's own tests agree on.
        let known: [(&[u8], u32); 6] = [
            (b"kafka", 0xd067_cf64),
            (b"giberish123456789", 0x8f55_2b0c),
            (b"1234", 0x9fc9_7b14),
            (b"234", 0xe7c0_09ca),
            (b"34", 0x8739_30da),
            (b"4", 0x5a4b_5ca1),
        ];
        for (key, hash) in known {
            assert_eq!(murmur2(key), hash, "{}", String::from_utf8_lossy(key));
        }
        assert_eq!(murmur2(b""), 0x106e_08d9);
    }

    #[test]
    fn every_key_has_a_partition() {
        for n in 0..1000_u32 {
            assert!(of_key(&n.to_le_bytes(), 7) < 7);
        }
        assert_eq!(of_key(b"any", 0), 0);
    }
}
