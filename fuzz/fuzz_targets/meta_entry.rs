//! An entry of the cluster's own records, and those records.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = holdfast_raft::untrusted::meta_entry::read(bytes);
});
