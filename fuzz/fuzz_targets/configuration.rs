//! cluster.toml.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = holdfast_node::untrusted::configuration::read(bytes);
});
