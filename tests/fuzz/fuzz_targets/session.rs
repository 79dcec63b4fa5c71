//! A client's bytes over two connections of one session, with a pipeline that settles, refuses and loses.
#![no_main]

use libfuzzer_sys::fuzz_target;
use millstream_fuzz::mqtt::fuzzing;

fuzz_target!(|data: &[u8]| fuzzing::session(data));
