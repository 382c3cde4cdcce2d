//! A snapshot on its way between nodes, chunk after chunk.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = holdfast_raft::untrusted::snapshot::read(bytes);
});
