//! A catalogue of items.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| holdfast_fuzz::input::catalogue::untrusted::read(bytes));
