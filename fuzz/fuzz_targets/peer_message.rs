//! What a peer says: appends, heartbeats, votes, answers.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = holdfast_raft::untrusted::peer_message::read(bytes);
});
