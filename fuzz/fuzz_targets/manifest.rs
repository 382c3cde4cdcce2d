//! A checkpoint's manifest.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = holdfast_raft::untrusted::manifest::read(bytes);
});
