//! A chunk of a shard's state, or its header, as a checkpoint or a snapshot has it.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = holdfast_inventory::untrusted::chunk::read(bytes);
});
