//! What is read from outside, for those who try to break it: the property tests beside the decoders, and the targets of `fuzz/`.
//! A reader takes any bytes and must refuse them or read something whole; each has a valid input to begin with.

pub use crate::checkpoint::manifest::untrusted as manifest;
pub use crate::encode::untrusted as log_entry;
pub use crate::meta::untrusted as meta_entry;
pub use crate::transport::snapshots::untrusted as snapshot;
pub use crate::transport::wire::untrusted as peer_message;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_valid_inputs_are_read() {
        assert!(log_entry::read(&log_entry::valid()));
        assert!(manifest::read(&manifest::valid()));
        assert!(meta_entry::read(&meta_entry::valid()));
        assert!(peer_message::read(&peer_message::valid()));
        assert!(snapshot::read(&snapshot::valid()));
    }
}
