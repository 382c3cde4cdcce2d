//! An entry of a shard's log, decoded and applied.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = holdfast_raft::untrusted::log_entry::read(bytes);
});
