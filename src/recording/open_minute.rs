//! The newest minute of a recording: plain lines, each written by one `write`.

use std::{
    fs::File,
    io::{self, Read, Write},
    os::unix::fs::FileExt,
    path::Path,
};

use jiff::Timestamp;

use super::{
    frame::{self, FrameIndex, MOST_CONTENT},
    line::{LineHead, RecordingLine},
    line_text,
};
use crate::state::folder;

/// Its name in the folder.
pub const FILE: &str = "open.jsonl";
/// It takes no line that would make it longer.
const MOST: u64 = MOST_CONTENT as u64 / 2;

#[derive(Debug)]
pub struct OpenMinute {
    file: File,
    /// Bytes of its whole lines. What is behind them is left of a write that failed.
    length: u64,
    is_torn: bool,
    lines: Option<LineSpan>,
}

/// The numbers and times of some lines.
#[derive(Debug, Clone, Copy)]
pub struct LineSpan {
    pub first_seq: u64,
    pub last_seq: u64,
    pub first_at: Timestamp,
    pub last_at: Timestamp,
}

impl LineSpan {
    /// Of all of `lines`; `None` if there are none.
    pub fn of(lines: impl IntoIterator<Item = LineHead>) -> Option<Self> {
        lines.into_iter().fold(None, |span, line| Some(Self::with(span, line.seq, line.at)))
    }

    fn with(span: Option<Self>, seq: u64, at: Timestamp) -> Self {
        let before = span.unwrap_or(Self { first_seq: seq, last_seq: seq, first_at: at, last_at: at });
        Self { last_seq: seq, first_at: before.first_at.min(at), last_at: before.last_at.max(at), ..before }
    }
}

impl OpenMinute {
    /// The open minute in `folder`, with the lines that an earlier recorder left in it.
    ///
    /// # Errors
    ///
    /// It cannot be read or created.
    pub fn open(folder: &Path) -> io::Result<(Self, Vec<LineHead>)> {
        let file = folder::options().read(true).append(true).create(true).open(folder.join(FILE))?;
        let bytes = read(&file)?;
        let whole = whole_lines(&bytes);
        let heads: Vec<_> = heads(whole).collect();
        let (length, is_torn) = (whole.len() as u64, whole.len() < bytes.len());
        Ok((Self { file, length, is_torn, lines: LineSpan::of(heads.iter().copied()) }, heads))
    }

    /// Whether it has no line.
    pub fn is_empty(&self) -> bool {
        self.lines.is_none()
    }

    /// Bytes of its lines.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Appends the line `seq` of the time `at`, which `text` is, with its line break.
    ///
    /// # Errors
    ///
    /// It cannot be written, or the file is too long.
    pub fn append(&mut self, seq: u64, at: Timestamp, text: &[u8]) -> io::Result<()> {
        let length = self.length + text.len() as u64;
        if length > MOST {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        if self.is_torn {
            self.file.set_len(self.length)?;
        }
        self.is_torn = true;
        let written = self.file.write(text)?;
        if written < text.len() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        (self.is_torn, self.length) = (false, length);
        self.lines = Some(LineSpan::with(self.lines, seq, at));
        Ok(())
    }

    /// Its lines as a frame, with what stands before that; `None` if it is empty.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    pub fn frame(&self) -> io::Result<Option<(FrameIndex, Vec<u8>)>> {
        let Some(span) = self.lines else { return Ok(None) };
        let mut bytes = vec![0; usize::try_from(self.length).unwrap_or(0)];
        self.file.read_exact_at(&mut bytes, 0)?;
        let frame = frame::compress(&bytes)?;
        let short = |length: usize| u32::try_from(length).map_err(|_| io::ErrorKind::FileTooLarge);
        let index = FrameIndex {
            length: short(frame.len())?,
            content: short(bytes.len())?,
            first_seq: span.first_seq,
            last_seq: span.last_seq,
            first_at: span.first_at.as_microsecond(),
            last_at: span.last_at.as_microsecond(),
        };
        Ok(Some((index, frame)))
    }

    /// Waits until its lines are on the disk.
    ///
    /// # Errors
    ///
    /// The disk fails.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// Removes its lines.
    ///
    /// # Errors
    ///
    /// They cannot be removed.
    pub fn clear(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        (self.length, self.is_torn, self.lines) = (0, false, None);
        Ok(())
    }
}

/// The lines of the open minute in `folder`; none if there is no such file.
///
/// # Errors
///
/// It cannot be read.
pub fn lines(folder: &Path) -> io::Result<Vec<u8>> {
    let file = match folder::options().read(true).open(folder.join(FILE)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut bytes = read(&file)?;
    bytes.truncate(whole_lines(&bytes).len());
    Ok(bytes)
}

fn read(mut file: &File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    (&mut file).take(MOST_CONTENT.into()).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// `bytes` without a last line that was cut off.
fn whole_lines(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    &bytes[..end]
}

/// The lines in `bytes` that this program understands.
pub fn parsed(bytes: &[u8]) -> impl Iterator<Item = RecordingLine> {
    line_text::split(bytes).filter_map(line_text::parse)
}

/// The heads of the lines in `bytes`.
pub fn heads(bytes: &[u8]) -> impl Iterator<Item = LineHead> {
    line_text::split(bytes).filter_map(|line| serde_json::from_slice(line).ok())
}
