//! Writes lines into a folder of recordings: at most one writer at a time.

use std::{
    fs::File,
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use rustix::fs::{FlockOperation, flock};
use serde::Serialize;

use super::{
    line::{LineKind, RecordingLine, Stamp},
    open_minute::OpenMinute,
    retention::{self, RetentionLimits},
    segment::{self, SegmentName},
};
use crate::{
    json,
    state::folder::{self, StateFolder},
};

/// A minute in ms.
const MINUTE_MS: f64 = 60_000.0;
/// A busy minute is closed earlier.
const MOST_BYTES: u64 = 8 << 20;

/// The lock on a folder of recordings; the kernel releases it even if the process is killed.
#[derive(Debug)]
pub struct RecorderLock {
    // Closing it releases the lock.
    _file: File,
}

const LOCK_FILE: &str = "recorder.lock";

/// Why a folder cannot be recorded into.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("{} is recorded into by PID {pid}; stop it, or give another folder with --dir", folder.display())]
    Taken { folder: PathBuf, pid: i32 },
    #[error("cannot record into {}: {error}; give another folder with --dir", folder.display())]
    Io { folder: PathBuf, error: io::Error },
}

impl RecorderLock {
    fn acquire(folder: &Path) -> Result<Self, StartError> {
        let failed = |error| StartError::Io { folder: folder.to_owned(), error };
        let path = folder.join(LOCK_FILE);
        let mut options = folder::options();
        let mut file =
            options.read(true).write(true).create(true).truncate(false).open(path).map_err(failed)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Err(StartError::Taken { folder: folder.to_owned(), pid: pid_in(&mut file) });
            }
            Err(error) => return Err(failed(error.into())),
        }
        let line = format!("{}\n", std::process::id());
        file.set_len(0).and_then(|()| file.write_all(line.as_bytes())).map_err(failed)?;
        Ok(Self { _file: file })
    }
}

/// The PID in a lock file; 0 if its writer has not come to that.
fn pid_in(file: &mut File) -> i32 {
    let mut text = String::new();
    let read = file.take(32).read_to_string(&mut text);
    read.ok().and_then(|_| text.trim().parse().ok()).unwrap_or(0)
}

/// What an earlier writer left: the last time that it wrote, and whether it ended by itself.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LastWritten {
    pub at: Timestamp,
    pub has_ended: bool,
}

/// Appends lines. After a minute the open file becomes a frame of the day's segment.
#[derive(Debug)]
pub struct RecordingWriter {
    folder: StateFolder,
    _lock: RecorderLock,
    limits: RetentionLimits,
    open: OpenMinute,
    /// Since boot, in ms, of the first line of the open minute.
    open_since_ms: f64,
    seq: u64,
    segment: SegmentName,
}

impl RecordingWriter {
    /// Begins to write into `folder`, which is created if it is missing. What an earlier writer left in the open minute
    /// becomes a frame.
    ///
    /// # Errors
    ///
    /// Another process writes into it, or it cannot be written.
    pub fn start(folder: &Path, limits: RetentionLimits) -> Result<(Self, Option<LastWritten>), StartError> {
        let failed = |error| StartError::Io { folder: folder.to_owned(), error };
        let made = StateFolder::make(folder).map_err(failed)?;
        let lock = RecorderLock::acquire(made.path())?;
        Self::take_over(made, lock, limits).map_err(failed)
    }

    fn take_over(
        folder: StateFolder,
        lock: RecorderLock,
        limits: RetentionLimits,
    ) -> io::Result<(Self, Option<LastWritten>)> {
        let (open, lines) = OpenMinute::open(folder.path())?;
        let segment = segment::segments(folder.path())?.last().copied();
        let closed = match segment {
            Some(name) => segment::repair(&name.in_folder(folder.path()))?,
            None => None,
        };
        let mut last = closed.map(|frame| LastWritten {
            at: Timestamp::from_microsecond(frame.last_at).unwrap_or_default(),
            has_ended: false,
        });
        let seq = closed.map_or(0, |frame| frame.last_seq);
        let is_closed = lines.last().is_none_or(|line| line.seq <= seq);
        if let Some(line) = lines.last() {
            last = Some(LastWritten { at: line.at, has_ended: line.event == LineKind::Ended });
        }
        let seq = seq.max(lines.last().map_or(0, |line| line.seq));
        let segment = segment.unwrap_or_else(|| SegmentName::of_day(Timestamp::UNIX_EPOCH));
        let mut writer = Self { folder, _lock: lock, limits, open, open_since_ms: 0.0, seq, segment };
        if is_closed {
            writer.open.clear()?;
        } else {
            let at = lines.first().map_or(Timestamp::UNIX_EPOCH, |line| line.at);
            writer.close_minute(at)?;
        }
        Ok((writer, last))
    }

    /// Sets other limits.
    pub fn set_limits(&mut self, limits: RetentionLimits) {
        self.limits = limits;
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Whether the next line is the first one of a minute: a header and a whole snapshot belong there.
    pub fn is_at_beginning(&self) -> bool {
        self.open.is_empty()
    }

    /// Whether the file system has enough room for more.
    ///
    /// # Errors
    ///
    /// It cannot be asked.
    pub fn has_room(&self) -> io::Result<bool> {
        Ok(retention::free(self.folder.path())? >= self.limits.min_free)
    }

    /// Removes old segments, for more room.
    ///
    /// # Errors
    ///
    /// One cannot be removed.
    pub fn make_room(&self, now: Timestamp) -> io::Result<()> {
        retention::enforce(self.folder.path(), &self.limits, now)
    }

    /// Appends a line.
    ///
    /// # Errors
    ///
    /// It cannot be written. The lines before it are whole.
    pub fn write(
        &mut self,
        stamp: Stamp,
        exact: bool,
        db: Option<usize>,
        event: impl Serialize,
    ) -> io::Result<()> {
        let line = RecordingLine { seq: self.seq + 1, stamp, exact, db, event };
        let text = json::line(&line).map_err(io::Error::other)? + "\n";
        let is_first = self.open.is_empty();
        self.open.append(line.seq, stamp.at, text.as_bytes())?;
        if is_first {
            self.open_since_ms = stamp.boot_ms;
        }
        self.seq = line.seq;
        Ok(())
    }

    /// Closes the open minute if it is over, and removes what is too old or too much.
    ///
    /// # Errors
    ///
    /// The disk is full, or something cannot be removed. The open minute stays as it is.
    pub fn end_of_tick(&mut self, stamp: Stamp) -> io::Result<()> {
        let is_over = stamp.boot_ms - self.open_since_ms >= MINUTE_MS;
        if !self.open.is_empty() && (is_over || self.open.length() > MOST_BYTES) {
            self.close_minute(stamp.at)?;
            retention::enforce(self.folder.path(), &self.limits, stamp.at)?;
        }
        Ok(())
    }

    /// Makes a frame of the open minute, whose time is `at`.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    pub fn close_minute(&mut self, at: Timestamp) -> io::Result<()> {
        if let Some((index, frame)) = self.open.frame()? {
            // After the clock was set back, the newest segment goes on.
            self.segment = self.segment.max(SegmentName::of_day(at));
            let length = segment::append(&self.segment.in_folder(self.folder.path()), &index, &frame)?;
            if length >= self.limits.segment_size() {
                self.segment.part += 1;
            }
        }
        self.open.clear()
    }

    /// Waits until the open minute is on the disk.
    ///
    /// # Errors
    ///
    /// The disk fails.
    pub fn sync(&self) -> io::Result<()> {
        self.open.sync()
    }
}
