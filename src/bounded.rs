//! Reads with a limit, whatever the size of the source.
//!
//! Another process can make some sources arbitrarily long (its command line, the lock table, a file of waltop's). They
//! must not cost waltop unbounded memory or time. Every read of `/proc` and of waltop's own state uses this module.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
    time::{Duration, Instant},
};

/// The buffer of [`each_line`]. A longer line is skipped, and counts as a cut.
const BUFFER: usize = 64 << 10;

/// Most files of `/proc` fit into one reading of this size. An empty vector would begin with 32 bytes, and read the status
/// of a process in eight.
const READING: usize = 4 << 10;

/// The start of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BoundedFile {
    /// At most as many bytes as the limit.
    pub bytes: Vec<u8>,
    pub is_cut: bool,
}

/// Reads at most `limit` bytes of the file at `path`.
///
/// # Errors
///
/// It cannot be read.
pub(crate) fn read(path: &Path, limit: usize) -> io::Result<BoundedFile> {
    read_from(File::open(path)?, limit)
}

/// Reads at most `limit` bytes from `source`.
///
/// # Errors
///
/// It cannot be read.
pub(crate) fn read_from(source: impl Read, limit: usize) -> io::Result<BoundedFile> {
    let mut bytes = Vec::with_capacity(READING.min(limit + 1));
    // One byte more than the limit shows whether there is more.
    source.take(limit as u64 + 1).read_to_end(&mut bytes)?;
    let is_cut = bytes.len() > limit;
    bytes.truncate(limit);
    Ok(BoundedFile { bytes, is_cut })
}

/// Reads the file at `path` if it has at most `limit` bytes.
///
/// # Errors
///
/// It cannot be read, or is larger ([`io::ErrorKind::FileTooLarge`]).
pub(crate) fn read_whole(path: &Path, limit: usize) -> io::Result<Vec<u8>> {
    read(path, limit)?.whole()
}

/// The same as text; invalid UTF-8 is replaced.
///
/// # Errors
///
/// As [`read_whole`].
pub(crate) fn read_text(path: &Path, limit: usize) -> io::Result<String> {
    Ok(text_of(read_whole(path, limit)?))
}

/// The text of a file that the kernel prints as one record, if it has at most `limit` bytes: the first reading gives all
/// of it, so that none has to find its end. Most of what a sample reads of a process is such a file.
///
/// # Errors
///
/// As [`read_whole`].
pub(crate) fn read_record(path: &Path, limit: usize) -> io::Result<String> {
    let mut bytes = vec![0; limit + 1];
    let count = File::open(path)?.read(&mut bytes)?;
    bytes.truncate(count);
    let is_cut = count > limit;
    let bytes = BoundedFile { bytes, is_cut }.whole()?;
    Ok(text_of(bytes))
}

fn text_of(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

impl BoundedFile {
    /// All bytes.
    ///
    /// # Errors
    ///
    /// It was cut: [`io::ErrorKind::FileTooLarge`].
    pub fn whole(self) -> io::Result<Vec<u8>> {
        if self.is_cut {
            let limit = crate::units::bytes(self.bytes.len() as u64);
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it is larger than {limit}")));
        }
        Ok(self.bytes)
    }
}

/// Limits that end a read early.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReadLimits {
    pub bytes: u64,
    pub time: Duration,
}

/// Why lines were left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CutReason {
    /// The source has more bytes than the limit.
    Bytes(u64),
    /// It took longer than the limit.
    Time(Duration),
    /// A line is longer than the buffer.
    Line,
    /// More lines match than are kept.
    Lines(usize),
}

impl std::fmt::Display for CutReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(f, "cut after {}", crate::units::bytes(*bytes)),
            Self::Time(time) => write!(f, "cut after {} ms", time.as_millis()),
            Self::Lines(lines) => write!(f, "cut after {} lines", crate::units::count(*lines as u64)),
            Self::Line => write!(f, "a line longer than {} was left out", crate::units::bytes(BUFFER as u64)),
        }
    }
}

/// The lines that were read from a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BoundedLines {
    pub bytes: u64,
    /// Why lines are missing; `None` if none are.
    pub cut: Option<CutReason>,
}

/// Calls `take` with each line of `source`, without its end, in one reused buffer. `take` returns whether to continue.
///
/// # Errors
///
/// It cannot be read.
pub(crate) fn each_line(
    mut source: impl Read,
    bounds: ReadLimits,
    mut take: impl FnMut(&[u8]) -> bool,
) -> io::Result<BoundedLines> {
    let begin = Instant::now();
    let mut buffer = vec![0; BUFFER];
    // The bytes of an unfinished line, and whether the remaining part of an overlong line is being skipped.
    let (mut kept, mut is_in_long_line) = (0, false);
    let mut reading = BoundedLines { bytes: 0, cut: None };
    loop {
        let is_late = reading.bytes > 0 && begin.elapsed() >= bounds.time;
        let count = match source.read(&mut buffer[kept..]) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if count == 0 {
            if kept > 0 && !is_in_long_line {
                take(&buffer[..kept]);
            }
            return Ok(reading);
        }
        // Only now is it known that there is more.
        if reading.bytes >= bounds.bytes {
            return Ok(BoundedLines { cut: Some(CutReason::Bytes(bounds.bytes)), ..reading });
        }
        if is_late {
            return Ok(BoundedLines { cut: Some(CutReason::Time(bounds.time)), ..reading });
        }
        reading.bytes += count as u64;
        let (filled, mut start) = (kept + count, 0);
        while let Some(length) = buffer[start..filled].iter().position(|&byte| byte == b'\n') {
            let is_whole = !std::mem::take(&mut is_in_long_line);
            if is_whole && !take(&buffer[start..start + length]) {
                return Ok(reading);
            }
            start += length + 1;
        }
        buffer.copy_within(start..filled, 0);
        kept = filled - start;
        if kept == BUFFER {
            (kept, is_in_long_line, reading.cut) = (0, true, Some(CutReason::Line));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fuzz::for_a_while;

    const WIDE: ReadLimits = ReadLimits { bytes: 1 << 30, time: Duration::from_hours(1) };

    /// Returns at most this many bytes per read, as the kernel returns a page.
    struct Pages<'a>(&'a [u8], usize);

    impl Read for Pages<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.1.min(buffer.len());
            (&mut self.0).take(count as u64).read(buffer)
        }
    }

    fn lines(source: impl Read, bounds: ReadLimits) -> (Vec<Vec<u8>>, Option<CutReason>) {
        let mut lines = Vec::new();
        let cut = each_line(source, bounds, |line| {
            lines.push(line.to_vec());
            true
        });
        (lines, cut.expect("it can be read").cut)
    }

    #[test]
    fn a_file_is_read_up_to_the_limit_and_a_cut_is_marked() {
        let of = |limit| read_from(&b"12345"[..], limit).expect("it can be read");
        assert_eq!(of(4), BoundedFile { bytes: b"1234".to_vec(), is_cut: true });
        assert_eq!(of(5), BoundedFile { bytes: b"12345".to_vec(), is_cut: false });
        assert_eq!(of(5).whole().expect("all of it"), b"12345");
        assert_eq!(of(4).whole().expect_err("too large").kind(), io::ErrorKind::FileTooLarge);
    }

    #[test]
    fn a_record_is_read_if_it_is_no_longer_than_the_limit() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), b"12\xff45").expect("written");
        assert_eq!(read_record(file.path(), 5).expect("it can be read"), "12\u{fffd}45");
        let longer = read_record(file.path(), 4).expect_err("too large");
        assert_eq!(longer.kind(), io::ErrorKind::FileTooLarge);
        std::fs::write(file.path(), "").expect("written");
        assert_eq!(read_record(file.path(), 4).expect("it can be read"), "");
        let gone = read_record(&file.path().join("none"), 4).map(drop);
        assert!(gone.is_err());
    }

    #[test]
    fn an_endless_file_is_no_more_than_its_beginning() {
        let zeros = read("/dev/zero".as_ref(), 1000).expect("it can be read");
        assert!(zeros.is_cut && zeros.bytes == [0; 1000]);
        let bounds = ReadLimits { bytes: 1 << 20, ..WIDE };
        let (found, cut) = lines(File::open("/dev/zero").expect("it opens"), bounds);
        assert_eq!((found.len(), cut), (0, Some(CutReason::Bytes(1 << 20))), "no line ends in it");
        let (_, cut) = lines(io::repeat(b'\n'), ReadLimits { time: Duration::ZERO, ..WIDE });
        assert_eq!(cut, Some(CutReason::Time(Duration::ZERO)));
    }

    #[test]
    fn a_line_longer_than_the_buffer_is_passed_over_and_marked() {
        let text = [b"a\n".as_slice(), &vec![b'x'; 3 * BUFFER], b"\nb\n"].concat();
        let (found, cut) = lines(&text[..], WIDE);
        assert_eq!(found, [b"a", b"b"]);
        assert_eq!(cut, Some(CutReason::Line));
    }

    #[test]
    fn fuzz_lines_are_those_of_the_whole_text_whatever_the_pages() {
        let inputs =
            (prop::collection::vec(prop_oneof![3 => any::<u8>(), 1 => Just(b'\n')], 0..400), 1_usize..50);
        for_a_while("lines", |runner| {
            runner.run(&inputs, |(text, page)| {
                let mut expected: Vec<&[u8]> = text.split(|&byte| byte == b'\n').collect();
                expected.pop_if(|last| last.is_empty());
                let (found, cut) = lines(Pages(&text, page), WIDE);
                prop_assert_eq!(found, expected);
                prop_assert_eq!(cut, None);
                Ok(())
            })
        });
    }
}
