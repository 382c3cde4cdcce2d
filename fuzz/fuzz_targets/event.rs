//! An event of the change log.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = holdfast_inventory::untrusted::event::read(bytes);
});
