//! Damaged input for the tests of everything that reads bytes from outside.
//!
//! Noise alone is refused at its first byte and tries little; what is nearly right gets far. So a test gives a valid input and
//! is given it cut, with bytes changed, copied and put in, and now and then noise.

use proptest::collection::vec;
use proptest::prelude::{Strategy, any};

/// Places changed in one input, at most.
const CHANGES: usize = 8;
/// Bytes put in at once, and of noise, at most.
const STRETCH: usize = 64;

#[derive(Clone, Debug)]
enum Change {
    /// This byte at this share of the length.
    Set(f64, u8),
    /// These bytes in between.
    Insert(f64, Vec<u8>),
    /// So many bytes from one place again at another.
    Copy(f64, f64, usize),
    /// So many bytes are left out.
    Remove(f64, usize),
    /// The rest is left out.
    Cut(f64),
}

fn change() -> impl Strategy<Value = Change> {
    let place = || 0.0..1.0_f64;
    proptest::prop_oneof![
        6 => (place(), any::<u8>()).prop_map(|(at, byte)| Change::Set(at, byte)),
        2 => (place(), vec(any::<u8>(), 1..STRETCH)).prop_map(|(at, bytes)| Change::Insert(at, bytes)),
        2 => (place(), place(), 1..STRETCH).prop_map(|(from, to, len)| Change::Copy(from, to, len)),
        2 => (place(), 1..STRETCH).prop_map(|(at, len)| Change::Remove(at, len)),
        1 => place().prop_map(Change::Cut),
    ]
}

fn apply(bytes: &mut Vec<u8>, change: Change) {
    let place = |share: f64| ((bytes.len() as f64 * share) as usize).min(bytes.len());
    match change {
        Change::Set(at, byte) => {
            let at = place(at);
            if let Some(old) = bytes.get_mut(at) {
                *old = byte;
            }
        }
        Change::Insert(at, more) => {
            let at = place(at);
            bytes.splice(at..at, more);
        }
        Change::Copy(from, to, len) => {
            let (from, to) = (place(from), place(to));
            let copied = bytes[from..bytes.len().min(from + len)].to_vec();
            bytes.splice(to..to, copied);
        }
        Change::Remove(at, len) => {
            let at = place(at);
            bytes.drain(at..bytes.len().min(at + len));
        }
        Change::Cut(at) => bytes.truncate(place(at)),
    }
}

/// Inputs near `valid`, itself among them, and noise.
pub fn mangled(valid: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    let near = vec(change(), 0..=CHANGES).prop_map(move |changes| {
        let mut bytes = valid.clone();
        for change in changes {
            apply(&mut bytes, change);
        }
        bytes
    });
    proptest::prop_oneof![9 => near, 1 => vec(any::<u8>(), 0..STRETCH)]
}

/// The same for what is read as text.
pub fn mangled_text(valid: &str) -> impl Strategy<Value = String> + use<> {
    mangled(valid.as_bytes().to_vec()).prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use proptest::proptest;

    use super::*;

    proptest! {
        #[test]
        fn every_change_can_be_made_to_any_input(valid in vec(any::<u8>(), 0..100), change in change()) {
            let mut bytes = valid.clone();
            apply(&mut bytes, change);
            assert!(bytes.len() <= 2 * valid.len() + STRETCH);
        }
    }
}
