//! A command as a client sends it.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = holdfast_node::untrusted::command::read(bytes);
});
