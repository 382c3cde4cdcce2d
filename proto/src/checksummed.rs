//! How messages between nodes are encoded: as protobuf, with a checksum of CRC-32C behind it.
//!
//! TCP's own checksum has 16 bits, and nothing guards what lies in a machine's memory on the way. What a peer says becomes votes,
//! entries of the log and states, so that a bit that flips there must be found before it is believed: the message is refused, the
//! call fails, and both sides meet anew.

use std::fmt;
use std::marker::PhantomData;

use holdfast_mutation::{Mutation, is_on};
use prost::Message;
use prost::bytes::{Buf, BufMut, Bytes};
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

/// Bytes of the checksum, least significant first.
const CHECKSUM_BYTES: usize = 4;

/// What is kept of the room for encoding between two messages of a stream, in bytes.
const KEPT_BYTES: usize = 64 * 1_024;

/// The codec of the peer service.
pub struct Checksummed<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for Checksummed<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> fmt::Debug for Checksummed<T, U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Checksummed")
    }
}

/// Encodes messages with their checksum.
#[derive(Debug)]
pub struct Sealing<T> {
    /// A checksum is of bytes that lie together, and the buffer of a frame cannot be read.
    room: Vec<u8>,
    message: PhantomData<T>,
}

/// Decodes messages whose checksum is right.
#[derive(Debug)]
pub struct Opening<U>(PhantomData<U>);

impl<T, U> Codec for Checksummed<T, U>
where
    T: Message + Send + 'static,
    U: Message + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = Sealing<T>;
    type Decoder = Opening<U>;

    fn encoder(&mut self) -> Self::Encoder {
        Sealing { room: Vec::new(), message: PhantomData }
    }

    fn decoder(&mut self) -> Self::Decoder {
        Opening(PhantomData)
    }
}

impl<T: Message + Send + 'static> Encoder for Sealing<T> {
    type Item = T;
    type Error = Status;

    fn encode(&mut self, message: T, frame: &mut EncodeBuf<'_>) -> Result<(), Status> {
        self.room.clear();
        message.encode(&mut self.room).map_err(|error| Status::internal(error.to_string()))?;
        frame.put_slice(&self.room);
        frame.put_u32_le(crc32c::crc32c(&self.room));
        if self.room.capacity() > KEPT_BYTES {
            self.room = Vec::new();
        }
        Ok(())
    }
}

impl<U: Message + Default + Send + 'static> Decoder for Opening<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, frame: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        let whole = frame.copy_to_bytes(frame.remaining());
        let message = checked(&whole).ok_or_else(|| Status::data_loss("a message of a peer was damaged on its way"))?;
        U::decode(message).map(Some).map_err(|error| Status::internal(error.to_string()))
    }
}

/// The message of a frame; `None` where it is not the one of its checksum.
fn checked(frame: &Bytes) -> Option<Bytes> {
    let end = frame.len().checked_sub(CHECKSUM_BYTES)?;
    let (message, checksum) = frame.split_at(end);
    let checksum = u32::from_le_bytes(checksum.try_into().ok()?);
    // A slice of the frame: what is long in a message is not copied.
    let is_whole = crc32c::crc32c(message) == checksum || is_on(Mutation::PeerChecksumIgnored);
    is_whole.then(|| frame.slice(..end))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(message: &[u8]) -> Vec<u8> {
        [message, &crc32c::crc32c(message).to_le_bytes()].concat()
    }

    #[test]
    fn a_message_comes_back_as_it_was_sealed() {
        for message in [&b""[..], b"entries"] {
            assert_eq!(checked(&sealed(message).into()).as_deref(), Some(message));
        }
    }

    #[test]
    fn a_flipped_bit_anywhere_a_missing_and_an_added_byte_are_found() {
        let whole = sealed(b"a vote for term 7");
        for bit in 0..whole.len() * 8 {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(checked(&flipped.into()), None, "bit {bit}");
        }
        for length in 0..whole.len() {
            assert_eq!(checked(&Bytes::copy_from_slice(&whole[..length])), None, "{length} bytes");
        }
        assert_eq!(checked(&[whole.as_slice(), b"x"].concat().into()), None);
    }
}
