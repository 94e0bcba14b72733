//! Reads recordings: a folder of segments with its open minute, or one file.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use jiff::{SignedDuration, Timestamp};

use super::{
    frame::MOST_CONTENT,
    line::{FormatVersion, RecordingEvent, RecordingHeader, RecordingLine},
    open_minute,
    segment::{self, Segment},
};

/// A recording that can be read. Segments are opened as they are needed.
#[derive(Debug)]
pub struct Recording {
    /// The segments, the oldest first.
    segments: Vec<PathBuf>,
    /// Whole lines of the open minute.
    open: Vec<u8>,
}

/// Why a recording cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    #[error("there is no recording in {}; waltop record makes one", .0.display())]
    Empty(PathBuf),
    #[error("cannot read the recording {}: {error}", path.display())]
    Io { path: PathBuf, error: io::Error },
    #[error(
        "the recording has format {}.{}, and this waltop reads format {}; read it with a newer waltop",
        .0.major, .0.minor, FormatVersion::CURRENT.major
    )]
    Newer(FormatVersion),
}

/// The lines of one frame, or of the open minute.
#[derive(Debug)]
pub struct RecordedFrame {
    pub header: RecordingHeader,
    text: Vec<u8>,
}

impl RecordedFrame {
    /// All its lines that this program understands.
    pub fn lines(&self) -> impl Iterator<Item = RecordingLine> {
        open_minute::parsed(&self.text)
    }

    /// The same without the snapshots after the first one, which are most of the text.
    pub fn events(&self) -> impl Iterator<Item = RecordingLine> {
        let mut has_snapshot = false;
        let is_wanted = move |line: &&[u8]| {
            let is_repeated = is_snapshot(line) && has_snapshot;
            has_snapshot |= is_snapshot(line);
            !is_repeated
        };
        let lines = self.text.split(|byte| *byte == b'\n').filter(is_wanted);
        lines.filter_map(|line| serde_json::from_slice(line).ok())
    }

    /// `None` if its first line is no header.
    fn of(text: Vec<u8>) -> Option<Self> {
        let first = text.split(|byte| *byte == b'\n').next()?;
        let line: RecordingLine = serde_json::from_slice(first).ok()?;
        let RecordingEvent::Header(header) = line.event else { return None };
        Some(Self { header, text })
    }

    // The earliest and the latest time of its lines.
    fn span(&self) -> Option<(Timestamp, Timestamp)> {
        let times = || self.events().map(|line| line.stamp.at);
        Some((times().min()?, self.last_at()?.max(times().max()?)))
    }

    fn last_at(&self) -> Option<Timestamp> {
        let last = self.text.rsplit(|byte| *byte == b'\n').find(|line| !line.is_empty())?;
        Some(serde_json::from_slice::<RecordingLine>(last).ok()?.stamp.at)
    }
}

// The writer puts the kind of a line before its content.
fn is_snapshot(line: &[u8]) -> bool {
    const TAG: &[u8] = br#""event":"snapshot""#;
    const WITHIN: usize = 256;
    line[..line.len().min(WITHIN)].windows(TAG.len()).any(|it| it == TAG)
}

impl Recording {
    /// The recording at `path`: a folder, a segment, or a file of lines.
    ///
    /// # Errors
    ///
    /// There is none, it cannot be read, or a later format has written it.
    pub fn open(path: &Path) -> Result<Self, RecordingError> {
        let failed = |error| RecordingError::Io { path: path.to_owned(), error };
        let metadata = match fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(RecordingError::Empty(path.to_owned()));
            }
            metadata => metadata.map_err(failed)?,
        };
        let recording = if metadata.is_dir() {
            // The open minute first: if it becomes a frame meanwhile, its lines are in both.
            let open = open_minute::lines(path).map_err(failed)?;
            let names = segment::segments(path).map_err(failed)?;
            Self { segments: names.into_iter().map(|name| name.in_folder(path)).collect(), open }
        } else {
            let mut start = Vec::new();
            let file = File::open(path).map_err(failed)?;
            file.take(MOST_CONTENT.into()).read_to_end(&mut start).map_err(failed)?;
            let is_text = start.starts_with(b"{");
            Self {
                segments: if is_text { Vec::new() } else { vec![path.to_owned()] },
                open: if is_text { start } else { Vec::new() },
            }
        };
        match recording.newest()? {
            None => Err(RecordingError::Empty(path.to_owned())),
            Some(frame) if frame.header.format.major > FormatVersion::CURRENT.major => {
                Err(RecordingError::Newer(frame.header.format))
            }
            Some(_) => Ok(recording),
        }
    }

    /// The time of its first line, and of its last.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    pub fn span(&self) -> Result<Option<(Timestamp, Timestamp)>, RecordingError> {
        let mut span: Option<(Timestamp, Timestamp)> = None;
        let mut add = |from: Timestamp, to: Timestamp| {
            span = Some(span.map_or((from, to), |(first, last)| (first.min(from), last.max(to))));
        };
        for path in &self.segments {
            let Some(segment) = open(path)? else { continue };
            for index in segment.frames() {
                let time = |at| Timestamp::from_microsecond(at).unwrap_or_default();
                add(time(index.first_at), time(index.last_at));
            }
        }
        if let Some((from, to)) = RecordedFrame::of(self.open.clone()).and_then(|frame| frame.span()) {
            add(from, to);
        }
        Ok(span)
    }

    /// The paths of the databases that were recorded last.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    pub fn databases(&self) -> Result<Vec<String>, RecordingError> {
        Ok(self.newest()?.map(|frame| frame.header.databases).unwrap_or_default())
    }

    /// The frames with lines between `from` and `to`, in the order in which they were written. `work` gets one after the
    /// other, so that a long recording takes little memory. A damaged frame is left out: its time was not watched.
    ///
    /// # Errors
    ///
    /// A segment cannot be read, a later format has written it, or `work` fails.
    pub fn for_each<E: From<RecordingError>>(
        &self,
        from: Timestamp,
        to: Timestamp,
        mut work: impl FnMut(RecordedFrame) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut last_seq = 0;
        for path in &self.segments {
            let Some(segment) = open(path)? else { continue };
            for (position, index) in segment.frames().enumerate() {
                last_seq = last_seq.max(index.last_seq);
                if !index.overlaps(from, to) {
                    continue;
                }
                if let Some(frame) = segment.lines(position).ok().and_then(RecordedFrame::of) {
                    work(understood(frame)?)?;
                }
            }
        }
        let Some(frame) = RecordedFrame::of(self.open.clone()) else { return Ok(()) };
        let is_new = frame.lines().next().is_some_and(|line| line.seq > last_seq);
        let overlaps = frame.span().is_some_and(|(first, last)| first <= to && last >= from);
        if is_new && overlaps { work(understood(frame)?) } else { Ok(()) }
    }

    /// The frames with lines within `around` of `at`.
    ///
    /// # Errors
    ///
    /// As [`Recording::for_each`].
    pub fn frames_around(
        &self,
        at: Timestamp,
        around: SignedDuration,
    ) -> Result<Vec<RecordedFrame>, RecordingError> {
        let mut frames = Vec::new();
        let (from, to) = (at.saturating_sub(around), at.saturating_add(around));
        let (Ok(from), Ok(to)) = (from, to) else { return Ok(frames) };
        self.for_each(from, to, |frame| {
            frames.push(frame);
            Ok::<_, RecordingError>(())
        })?;
        Ok(frames)
    }

    fn newest(&self) -> Result<Option<RecordedFrame>, RecordingError> {
        if let Some(frame) = RecordedFrame::of(self.open.clone()) {
            return Ok(Some(frame));
        }
        for path in self.segments.iter().rev() {
            let Some(segment) = open(path)? else { continue };
            let positions = (0..segment.frames().count()).rev();
            let mut frames = positions.filter_map(|it| segment.lines(it).ok().and_then(RecordedFrame::of));
            if let Some(frame) = frames.next() {
                return Ok(Some(frame));
            }
        }
        Ok(None)
    }
}

fn understood(frame: RecordedFrame) -> Result<RecordedFrame, RecordingError> {
    let format = frame.header.format;
    if format.major > FormatVersion::CURRENT.major { Err(RecordingError::Newer(format)) } else { Ok(frame) }
}

// `None`: it was removed meanwhile, since it is too old.
fn open(path: &Path) -> Result<Option<Segment>, RecordingError> {
    match Segment::open(path) {
        Ok(segment) => Ok(Some(segment)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(RecordingError::Io { path: path.to_owned(), error }),
    }
}
