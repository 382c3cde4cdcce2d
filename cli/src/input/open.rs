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
    if !packed && !head.is_empty() && path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gz")) {
        return Err(Failure::usage(format!("{} is named .gz and is not packed by gzip", path.display()))
            .hint("fetch or pack it anew; if it is plain text, take the .gz off its name"));
    }
    let whole = io::Cursor::new(head).chain(file);
    if packed {
        let unpacked = flate2::bufread::MultiGzDecoder::new(BufReader::with_capacity(BUFFER_BYTES, whole));
        return Ok(Box::new(BufReader::with_capacity(BUFFER_BYTES, Unpacked(unpacked))));
    }
    Ok(Box::new(BufReader::with_capacity(BUFFER_BYTES, whole)))
}

/// Marks the errors of an unpacker as what is wrong with the data, unlike those of the disk.
struct Unpacked<R>(R);

impl<R: Read> Read for Unpacked<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.read(into).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => io::Error::new(error.kind(), "its gzip data is cut off"),
            io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => {
                io::Error::new(io::ErrorKind::InvalidData, format!("its gzip data is damaged: {error}"))
            }
            _ => error,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;
    use crate::input::{DirtyRow, Event, TraceReader};

    fn trace() -> String {
        let row =
            |n: u64| format!("2019-10-01 00:{:02}:{:02} UTC,cart,{},1.5,s{}\n", n / 60 % 60, n % 60, n % 7, n % 11);
        let dirty = "2019-10-01 00:00:00 UTC,stare,1,1.5,s\n";
        let rows: String = (0..2_000).map(row).collect();
        format!("event_time,event_type,product_id,price,user_session\n{dirty}{rows}{dirty}")
    }

    fn packed(text: &str) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text.as_bytes()).expect("memory is written");
        encoder.finish().expect("memory is written")
    }

    /// What is read of a file of these bytes, as far as it can be.
    fn read(name: &str, bytes: &[u8]) -> Result<Vec<Result<Event, DirtyRow>>, Failure> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).expect("the file is written");
        let mut reader = TraceReader::new(open(&path)?)?;
        std::iter::from_fn(|| reader.next_event().transpose()).collect()
    }

    #[test]
    fn a_packed_trace_is_read_as_the_plain_one_whatever_its_name_and_in_however_many_members() {
        let plain = read("trace.csv", trace().as_bytes()).expect("it is whole");
        assert_eq!((plain.len(), plain.iter().filter(|row| row.is_err()).count()), (2_002, 2));
        let whole = trace();
        let (first, second) = whole.split_at(40_000);
        for (name, bytes) in [
            ("trace.csv.gz", packed(&trace())),
            ("trace.csv", packed(&trace())),
            ("trace.gz", [packed(first), packed(second)].concat()),
        ] {
            assert_eq!(read(name, &bytes).expect("it is whole"), plain, "{name}");
        }
    }

    #[test]
    fn a_packed_file_that_was_cut_anywhere_is_an_error_that_says_so_and_what_to_do() {
        let whole = packed(&trace());
        for length in [2, 5, 10, 11, whole.len() / 2, whole.len() - 8, whole.len() - 1] {
            let said = read("t.csv.gz", &whole[..length]).expect_err("it is cut off").to_string();
            assert!(said.contains("gzip data is cut off") && said.contains("hint: fetch"), "{length}: {said}");
        }
    }

    #[test]
    fn a_packed_file_that_is_damaged_or_followed_by_something_else_is_an_error_that_says_so_and_what_to_do() {
        let whole = packed(&trace());
        let mut checksum = whole.clone();
        let at = checksum.len() - 6;
        checksum[at] ^= 1;
        let garbage = [&GZIP[..], &[0x55; 100]].concat();
        let followed = [whole.as_slice(), b"and more that is none"].concat();
        for (what, bytes) in [("checksum", checksum), ("garbage", garbage), ("followed", followed)] {
            let said = read("t.csv.gz", &bytes).expect_err("it is damaged").to_string();
            assert!(said.contains("gzip data is damaged") && said.contains("hint: fetch"), "{what}: {said}");
        }
    }

    #[test]
    fn a_file_named_gz_that_is_none_is_refused_by_its_name() {
        let said = read("t.csv.gz", b"no gzip at all").expect_err("it is none").to_string();
        assert!(said.contains("t.csv.gz is named .gz and is not packed by gzip") && said.contains("hint: "), "{said}");
        let said = read("t.csv.gz", b"").expect_err("it is empty").to_string();
        assert!(said.contains("the file is empty"), "{said}");
        assert!(read("t.csv", packed("").as_slice()).expect_err("empty").to_string().contains("the file is empty"));
    }
}
