//! No target: writes the valid inputs that the targets begin with to corpus/. It is built as they are, so that one build is
//! enough for all.

#![no_main]

libfuzzer_sys::fuzz_target!(
    init: holdfast_fuzz::seeds::write().expect("the corpus can be written"),
    |_bytes: &[u8]| {}
);
