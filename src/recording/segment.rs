//! The segments of a recording: the frames of one day, or of a part of it.

use std::{
    fmt,
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use jiff::{Timestamp, civil::Date, tz::TimeZone};

use super::frame::{self, FrameIndex};
use crate::state::folder;

/// The day of a segment in UTC, and its number within that day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SegmentName {
    pub day: Date,
    pub part: u32,
}

const EXTENSION: &str = ".jsonl.zst";
/// The most segments of a folder that are listed.
const MOST: usize = 100_000;

impl SegmentName {
    /// The first segment of the day of `at`.
    pub fn of_day(at: Timestamp) -> Self {
        Self { day: at.to_zoned(TimeZone::UTC).date(), part: 0 }
    }

    /// `2026-11-30.jsonl.zst`, and `2026-11-30.1.jsonl.zst` for the second part.
    fn parse(name: &str) -> Option<Self> {
        let stem = name.strip_suffix(EXTENSION)?;
        let (day, part) =
            stem.split_once('.').map_or((stem, Some(0)), |(day, part)| (day, part.parse().ok()));
        let name = Self { day: day.parse().ok()?, part: part? };
        (name.to_string() == format!("{stem}{EXTENSION}")).then_some(name)
    }

    pub fn in_folder(self, folder: &Path) -> PathBuf {
        folder.join(self.to_string())
    }
}

impl fmt::Display for SegmentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.part {
            0 => write!(f, "{}{EXTENSION}", self.day),
            part => write!(f, "{}.{part}{EXTENSION}", self.day),
        }
    }
}

/// The segments in `folder`, the oldest first.
///
/// # Errors
///
/// It cannot be listed.
pub fn segments(folder: &Path) -> io::Result<Vec<SegmentName>> {
    let names = fs::read_dir(folder)?.take(MOST).flatten();
    let mut names: Vec<_> =
        names.filter_map(|entry| SegmentName::parse(entry.file_name().to_str()?)).collect();
    names.sort();
    Ok(names)
}

/// A segment that can be read.
#[derive(Debug)]
pub struct Segment {
    file: File,
    /// Each frame with the position of its first byte.
    frames: Vec<(u64, FrameIndex)>,
    /// Bytes of the whole frames; what is behind them was cut off while it was written.
    whole: u64,
}

impl Segment {
    /// The segment at `path`. The frames behind a damaged one are not found.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        let (mut frames, mut at) = (Vec::new(), 0);
        let mut bytes = [0; FrameIndex::BYTES];
        while at + FrameIndex::BYTES as u64 <= length {
            file.read_exact_at(&mut bytes, at)?;
            let Some(index) = FrameIndex::decode(&bytes) else { break };
            let start = at + FrameIndex::BYTES as u64;
            let end = start + u64::from(index.length);
            if end > length {
                break;
            }
            frames.push((start, index));
            at = end;
        }
        Ok(Self { file, frames, whole: at })
    }

    /// What stands before its frames.
    pub fn frames(&self) -> impl DoubleEndedIterator<Item = &FrameIndex> {
        self.frames.iter().map(|(_, index)| index)
    }

    /// The lines of the frame at `position` in its frames.
    ///
    /// # Errors
    ///
    /// It is damaged, or there is none.
    pub fn lines(&self, position: usize) -> io::Result<Vec<u8>> {
        let (start, index) = self.frames.get(position).ok_or(io::ErrorKind::NotFound)?;
        let mut bytes = vec![0; usize::try_from(index.length).unwrap_or(0)];
        self.file.read_exact_at(&mut bytes, *start)?;
        frame::decompress(&bytes, index)
    }
}

/// Cuts what is behind the last whole frame of the segment at `path`. Returns the index of that frame.
///
/// # Errors
///
/// It cannot be read or cut.
pub fn repair(path: &Path) -> io::Result<Option<FrameIndex>> {
    let segment = Segment::open(path)?;
    if segment.file.metadata()?.len() > segment.whole {
        let file = folder::options().write(true).open(path)?;
        file.set_len(segment.whole)?;
        file.sync_data()?;
    }
    Ok(segment.frames().last().copied())
}

/// Appends `frame` to the segment at `path`, and waits until it is on the disk. Returns the length of the segment.
///
/// # Errors
///
/// It cannot be written. The segment is then as it was.
pub fn append(path: &Path, index: &FrameIndex, frame: &[u8]) -> io::Result<u64> {
    let mut file = folder::options().append(true).create(true).open(path)?;
    let before = file.metadata()?.len();
    let mut bytes = index.encode();
    bytes.extend_from_slice(frame);
    let written = file.write_all(&bytes).and_then(|()| file.sync_data());
    if let Err(error) = written {
        // If that fails, too, the reader ignores the rest.
        let _ = file.set_len(before);
        return Err(error);
    }
    Ok(before + bytes.len() as u64)
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn add(path: &Path, seq: u64, lines: &[u8]) {
        let frame = frame::compress(lines).expect("compressed");
        let short = |length: usize| u32::try_from(length).expect("short");
        let index = FrameIndex {
            length: short(frame.len()),
            content: short(lines.len()),
            first_seq: seq,
            last_seq: seq,
            first_at: 0,
            last_at: 0,
        };
        append(path, &index, &frame).expect("written");
    }

    #[test]
    fn names_are_dates_in_order_and_nothing_else() {
        let name = |text: &str| SegmentName::parse(text);
        let (first, tenth) = (name("2026-11-30.jsonl.zst"), name("2026-11-30.10.jsonl.zst"));
        assert!(first < name("2026-11-30.2.jsonl.zst") && name("2026-11-30.2.jsonl.zst") < tenth);
        assert_eq!(
            tenth.map(|it| (it.part, it.to_string())),
            Some((10, "2026-11-30.10.jsonl.zst".to_owned()))
        );
        for other in ["2026-11-30.0.jsonl.zst", "2026-11-31.jsonl.zst", "2026-11-30.jsonl", "x.jsonl.zst", ""]
        {
            assert_eq!(name(other), None, "{other}");
        }
    }

    #[test]
    fn a_segment_cut_at_any_byte_keeps_its_whole_frames_and_goes_on() {
        let dir = TempDir::new().expect("a folder");
        let path = dir.path().join("2026-11-30.jsonl.zst");
        add(&path, 1, b"one\n");
        let first = fs::metadata(&path).expect("there").len();
        add(&path, 2, b"two\n");
        let whole = fs::read(&path).expect("there");
        for cut in 0..whole.len() {
            fs::write(&path, &whole[..cut]).expect("written");
            let left = u64::from(cut as u64 >= first);
            let last = repair(&path).expect("repaired").map(|index| index.last_seq);
            assert_eq!(last, (left > 0).then_some(1), "cut at {cut}");
            add(&path, 3, b"three\n");
            let segment = Segment::open(&path).expect("there");
            let lines: Vec<_> =
                (0..segment.frames().count()).map(|it| segment.lines(it).expect("whole")).collect();
            let expected: &[&[u8]] = if left > 0 { &[b"one\n", b"three\n"] } else { &[b"three\n"] };
            assert_eq!(lines, expected, "cut at {cut}");
        }
    }
}
