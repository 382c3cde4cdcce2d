//! Entries of a shard's log, one after the other, applied, and the state out of memory and back.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| holdfast_fuzz::history::read(bytes));
