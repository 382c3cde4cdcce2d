//! Opens a file to read, packed by gzip or not.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use crate::failure::Failure;

/// The first bytes of every gzip file.
const GZIP: [u8; 2] = [0x1f, 0x8b];
const BUFFER_BYTES: usize = 256 * 1024;

/// The file's text; one that begins as gzip does is unpacked on the way, whatever its name.
pub fn open(path: &Path) -> Result<Box<dyn BufRead + Send>, Failure> {
    let failed = |error: io::Error| Failure::usage(format!("{} cannot be read: {error}", path.display()));
    let mut head = Vec::new();
    let mut file = File::open(path).map_err(failed)?;
    Read::by_ref(&mut file).take(2).read_to_end(&mut head).map_err(failed)?;
    let packed = head == GZIP;
    let whole = io::Cursor::new(head).chain(file);
    if packed {
        let unpacked = flate2::bufread::MultiGzDecoder::new(BufReader::with_capacity(BUFFER_BYTES, whole));
        return Ok(Box::new(BufReader::with_capacity(BUFFER_BYTES, unpacked)));
    }
    Ok(Box::new(BufReader::with_capacity(BUFFER_BYTES, whole)))
}
