//! A part of a recording as lines for a console on another machine: what happened to some databases between two times.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::{
    line::{LogLine, LogSizesEvent, RecordingLine, Stamp},
    line_text,
    reader::{RecordedFrame, Recording, RecordingError},
};
use crate::json;

/// The most bytes of an answer. What comes behind them is left out.
const MOST: usize = 16 << 20;
/// Lines that a timeline has no use for.
const LEFT_OUT: [&[u8]; 4] = [b"process-seen", b"process-gone", b"batch", b"file-replaced"];

/// Which part of a recording.
#[derive(Debug)]
pub struct RecordingExcerpt<'a> {
    pub from: Timestamp,
    pub to: Timestamp,
    /// Their paths.
    pub databases: &'a [PathBuf],
}

/// Why it could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ExcerptError {
    #[error(transparent)]
    Recording(#[from] RecordingError),
    /// The reader at the other end has gone, or does not read.
    #[error(transparent)]
    Output(#[from] io::Error),
}

/// What is needed of a line without all of it.
#[derive(Deserialize)]
struct EventHead {
    seq: u64,
    at: Timestamp,
    boot_ms: f64,
    db: Option<usize>,
}

impl RecordingExcerpt<'_> {
    /// Writes its lines to `out`, behind the header of each frame. What looks like a secret is replaced. A snapshot that
    /// follows another one has only the sizes of the logs. Returns how many lines there were, without headers.
    ///
    /// # Errors
    ///
    /// The recording cannot be read, or `out` fails.
    pub fn write(&self, recording: &Recording, out: &mut impl Write) -> Result<u64, ExcerptError> {
        let (mut lines, mut room) = (0, MOST);
        recording.for_each(self.from, self.to, |frame| {
            let mut header = self.header(frame);
            for (line, is_repeated) in frame.raw_lines() {
                let text = header.as_ref().and_then(|_| self.line(frame, line, is_repeated));
                let Some(text) = text else { continue };
                let header = header.replace(&[]).unwrap_or_default();
                let size = header.len() + text.len() + 2;
                if size > room {
                    room = 0;
                    break;
                }
                room -= size;
                if !header.is_empty() {
                    out.write_all(header)?;
                    out.write_all(b"\n")?;
                }
                out.write_all(text.as_bytes())?;
                out.write_all(b"\n")?;
                lines += 1;
            }
            Ok::<_, ExcerptError>(())
        })?;
        out.flush()?;
        Ok(lines)
    }

    // The first line of `frame`, if it has one of the databases.
    fn header<'f>(&self, frame: &'f RecordedFrame) -> Option<&'f [u8]> {
        let has_any = frame.header.databases.iter().any(|path| self.is_asked(Path::new(path)));
        let header = frame.raw_lines().next().map(|(line, _)| line);
        header.filter(|_| has_any)
    }

    fn is_asked(&self, path: &Path) -> bool {
        self.databases.iter().any(|asked| asked == path)
    }

    // What is written of a line of `frame`; `None` if nothing is.
    fn line(&self, frame: &RecordedFrame, line: &[u8], is_repeated: bool) -> Option<String> {
        let kind = line_text::kind(line);
        if kind == b"header" || LEFT_OUT.contains(&kind) {
            return None;
        }
        let head: EventHead = serde_json::from_slice(line).ok()?;
        if head.at < self.from || head.at > self.to {
            return None;
        }
        if is_repeated {
            return self.log_sizes(&head, line);
        }
        let is_other = |index: usize| {
            let path = frame.header.databases.get(index);
            path.is_none_or(|path| !self.is_asked(Path::new(path)))
        };
        if head.db.is_some_and(is_other) {
            return None;
        }
        let mut value: Value = serde_json::from_slice(line).ok()?;
        if let Some(databases) = value.pointer_mut("/snapshot/databases").and_then(Value::as_array_mut) {
            databases.retain(|it| it["path"].as_str().is_some_and(|path| self.is_asked(Path::new(path))));
        }
        json::redact(&mut value);
        json::line(&value).ok()
    }

    fn log_sizes(&self, head: &EventHead, line: &[u8]) -> Option<String> {
        let LogLine { mut snapshot, .. } = serde_json::from_slice(line).ok()?;
        snapshot.databases.retain(|it| self.is_asked(&it.path));
        let stamp = Stamp { at: head.at, boot_ms: head.boot_ms };
        let event = LogSizesEvent { snapshot };
        json::line(&RecordingLine { seq: head.seq, stamp, exact: false, db: None, event }).ok()
    }
}
