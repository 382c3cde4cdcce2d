//! The two slots on disk.
//!
//! A slot is whole blocks of its own: a header with magic, version, generation, length and CRC32C, then the state in
//! postcard. The newer whole slot counts. Both are written on each update, one after the other, each synced, so that at
//! any time at least one is whole, and after an update any one of them will do.

use std::io;
use std::path::Path;
use std::sync::Arc;

use holdfast_world::{DiskFile, OpenMode, World};

use super::state::ControlState;
use super::{CONTROL_FILE, ControlError};
use crate::segments::{BLOCK, create_zeroed};

/// Bytes of a slot.
pub(super) const SLOT_BYTES: usize = 1 << 20;
const MAGIC: [u8; 8] = *b"HFCTRL\0\0";
const VERSION: u32 = 2;
const HEADER_LEN: usize = 32;

#[derive(Debug)]
pub(super) struct Slots {
    file: Arc<dyn DiskFile>,
}

impl Slots {
    pub(super) async fn create(world: &World, dir: &Path, state: &ControlState) -> Result<Self, ControlError> {
        let path = dir.join(CONTROL_FILE);
        if world.disk.exists(&path).await? {
            return Err(ControlError::Exists);
        }
        // Written whole under another name first: a node that dies here is still fresh.
        let unfinished = dir.join("control.unfinished");
        if world.disk.exists(&unfinished).await? {
            world.disk.remove_file(&unfinished).await?;
        }
        let slots = Self { file: create_zeroed(&*world.disk, &unfinished, 2 * SLOT_BYTES as u64).await? };
        slots.write(&encode(state)?).await?;
        world.disk.rename(&unfinished, &path).await?;
        world.disk.sync_dir(dir).await?;
        Ok(slots)
    }

    /// Opens the file and makes both slots hold the newer state.
    pub(super) async fn open(world: &World, dir: &Path) -> Result<(Self, ControlState), ControlError> {
        let path = dir.join(CONTROL_FILE);
        if !world.disk.exists(&path).await? {
            return Err(ControlError::Missing);
        }
        let slots = Self { file: world.disk.open(&path, OpenMode::ReadWrite).await? };
        let first = slots.read(0).await?;
        let second = slots.read(1).await?;
        if let (Ok(_), Err(error)) | (Err(error), Ok(_)) = (&first, &second) {
            // Its write was cut off, or it has rotted.
            tracing::warn!(rot = "at start", %error, "one of the two copies in the control file is written anew");
        }
        let state = newer(first, second)?;
        // What was read may have reached the cache only: make it durable before anything is built on it.
        slots.write(&encode(&state)?).await?;
        Ok((slots, state))
    }

    /// Writes both slots, one after the other, each synced.
    pub(super) async fn write(&self, image: &[u8]) -> io::Result<()> {
        for slot in 0..2 {
            self.file.write_all_at(image, slot * SLOT_BYTES as u64).await?;
            self.file.sync_data().await?;
        }
        Ok(())
    }

    async fn read(&self, slot: u64) -> io::Result<Result<ControlState, ControlError>> {
        let mut image = vec![0; SLOT_BYTES];
        let end = (slot + 1) * SLOT_BYTES as u64;
        match self.file.read_exact_at(&mut image, slot * SLOT_BYTES as u64).await {
            Ok(()) => Ok(decode(&image)),
            // Where the file has all its bytes it is the drive that has not given them: nothing is known of the slot then.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && self.file.len().await? < end => {
                Ok(Err(ControlError::Damaged))
            }
            Err(error) => Err(error),
        }
    }
}

/// The newer of two slots; the one that is whole, if one is not.
fn newer(
    first: Result<ControlState, ControlError>,
    second: Result<ControlState, ControlError>,
) -> Result<ControlState, ControlError> {
    match (first, second) {
        (Ok(first), Ok(second)) if first.generation >= second.generation => Ok(first),
        (_, Ok(second)) => Ok(second),
        (Ok(first), _) => Ok(first),
        (Err(ControlError::UnknownVersion { version }), _) | (_, Err(ControlError::UnknownVersion { version })) => {
            Err(ControlError::UnknownVersion { version })
        }
        (Err(_), Err(_)) => Err(ControlError::Damaged),
    }
}

/// The blocks of a slot that hold `state`.
pub(super) fn encode(state: &ControlState) -> Result<Vec<u8>, ControlError> {
    let body = postcard::to_stdvec(state).map_err(io::Error::other)?;
    let bytes = HEADER_LEN + body.len();
    if bytes > SLOT_BYTES {
        return Err(ControlError::TooLarge { bytes, limit: SLOT_BYTES });
    }
    let mut image = Vec::with_capacity(bytes.next_multiple_of(BLOCK));
    image.extend_from_slice(&MAGIC);
    image.extend_from_slice(&VERSION.to_le_bytes());
    image.extend_from_slice(&(body.len() as u32).to_le_bytes());
    image.extend_from_slice(&state.generation.to_le_bytes());
    image.extend_from_slice(&[0; 4]);
    let crc = crc32c::crc32c_append(crc32c::crc32c(&image), &body);
    image.extend_from_slice(&crc.to_le_bytes());
    image.extend_from_slice(&body);
    image.resize(bytes.next_multiple_of(BLOCK), 0);
    Ok(image)
}

fn decode(image: &[u8]) -> Result<ControlState, ControlError> {
    let word = |at: usize| u32::from_le_bytes([image[at], image[at + 1], image[at + 2], image[at + 3]]);
    if image[..8] != MAGIC {
        return Err(ControlError::Damaged);
    }
    let body_len = word(12) as usize;
    let body = image.get(HEADER_LEN..HEADER_LEN + body_len).ok_or(ControlError::Damaged)?;
    if crc32c::crc32c_append(crc32c::crc32c(&image[..HEADER_LEN - 4]), body) != word(HEADER_LEN - 4) {
        return Err(ControlError::Damaged);
    }
    let version = word(8);
    if version != VERSION {
        return Err(ControlError::UnknownVersion { version });
    }
    postcard::from_bytes(body).map_err(|_| ControlError::Damaged)
}
