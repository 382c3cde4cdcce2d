//! An event trace.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| holdfast_fuzz::input::trace::untrusted::read(bytes));
