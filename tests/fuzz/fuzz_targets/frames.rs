//! Any bytes into the packet codec: a packet or an error, and never more memory than the bytes themselves ask for.
#![no_main]

use libfuzzer_sys::fuzz_target;
use millstream_fuzz::heap::{Counting, peak};
use millstream_fuzz::mqtt::fuzzing;

#[global_allocator]
static HEAP: Counting = Counting;

/// The dearest packet is a run of empty user properties: five bytes each on the wire, two strings in memory, in a list
/// that doubles, read twice and written once.
const BYTES_PER_BYTE: usize = 64;

fuzz_target!(|data: &[u8]| {
    let peak = peak(|| fuzzing::frames(data));
    assert!(peak <= 1024 + BYTES_PER_BYTE * data.len(), "{peak} bytes for {}", data.len());
});
