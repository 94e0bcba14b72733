//! Reads recordings: a folder of segments with its open minute, or one file.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use jiff::Timestamp;

use self::growth::GrowthMark;
use super::{
    frame::MOST_CONTENT,
    line::{FormatVersion, LineHead, LogLine, RecordingEvent, RecordingHeader, RecordingLine},
    line_text,
    open_minute::{self, LineSpan},
    segment::{self, Segment},
};

mod growth;

/// A recording that can be read. Segments are opened as they are needed.
#[derive(Debug)]
pub struct Recording {
    /// `None`: it is one file, to which nothing is added.
    folder: Option<PathBuf>,
    /// The state of the open minute when it was read.
    mark: GrowthMark,
    /// The segments, the oldest first.
    segments: Vec<PathBuf>,
    /// The numbers of those that have been removed since it was opened.
    removed: BTreeSet<usize>,
    open: Option<OpenFrame>,
    /// The paths of the databases that were recorded last.
    databases: Vec<String>,
}

/// The open minute as it was when the recording was opened.
#[derive(Debug)]
struct OpenFrame {
    frame: RecordedFrame,
    lines: LineSpan,
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

/// Where a frame of a recording is, and the earliest and latest time of its lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FramePlace {
    /// The segment and the position in it; `None`: the open minute.
    segment: Option<(usize, usize)>,
    pub first_at: Timestamp,
    pub last_at: Timestamp,
}

/// A line of a frame. Snapshots, which are most of the text, are left as they are.
#[derive(Debug)]
pub enum RecordedText<'a> {
    Snapshot {
        head: LineHead,
        text: &'a [u8],
        /// Whether it is the first one, or the first one behind a gap.
        is_first: bool,
    },
    Event(Box<RecordingLine>),
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

    /// The same with the first snapshot alone, and the first one behind each gap. Snapshots are most of the text.
    pub fn events(&self) -> impl Iterator<Item = RecordingLine> {
        let mut repeated = RepeatedSnapshots::default();
        line_text::split(&self.text).filter(move |line| !repeated.has(line)).filter_map(line_text::parse)
    }

    /// The sizes of the logs in its snapshots. The rest of these is not kept.
    pub fn logs(&self) -> impl Iterator<Item = LogLine> {
        let lines = line_text::split(&self.text).filter(|line| is_snapshot(line));
        lines.filter_map(|line| serde_json::from_slice(line).ok())
    }

    /// All its lines, the snapshots not parsed.
    pub fn texts(&self) -> impl Iterator<Item = RecordedText<'_>> {
        let mut repeated = RepeatedSnapshots::default();
        line_text::split(&self.text).filter_map(move |line| {
            let is_first = !repeated.has(line);
            if is_snapshot(line) {
                let head = serde_json::from_slice(line).ok()?;
                Some(RecordedText::Snapshot { head, text: line, is_first })
            } else {
                Some(RecordedText::Event(Box::new(line_text::parse(line)?)))
            }
        })
    }

    /// The text of all its lines, each with whether it is a snapshot that [`Self::events`] leaves out.
    pub(super) fn raw_lines(&self) -> impl Iterator<Item = (&[u8], bool)> {
        let mut repeated = RepeatedSnapshots::default();
        line_text::split(&self.text).map(move |line| (line, repeated.has(line)))
    }

    /// The lines about findings and gaps, with the snapshots that [`Self::events`] has.
    pub fn judgements(&self) -> impl Iterator<Item = RecordingLine> {
        const KINDS: [&[u8]; 4] = [SNAPSHOT, b"finding-on", b"finding-off", b"gap"];
        let mut repeated = RepeatedSnapshots::default();
        let lines = line_text::split(&self.text).filter(move |line| !repeated.has(line));
        lines.filter(|line| KINDS.contains(&line_text::kind(line))).filter_map(line_text::parse)
    }

    /// The lines about the beginning of a finding.
    pub fn findings(&self) -> impl DoubleEndedIterator<Item = RecordingLine> {
        let lines: Vec<_> =
            line_text::split(&self.text).filter(|line| line_text::kind(line) == b"finding-on").collect();
        lines.into_iter().filter_map(line_text::parse)
    }

    /// `None` if its first line is no header.
    fn of(text: Vec<u8>) -> Option<Self> {
        let first = line_text::split(&text).next()?;
        let line: RecordingLine = serde_json::from_slice(first).ok()?;
        let RecordingEvent::Header(header) = line.event else { return None };
        Some(Self { header, text })
    }
}

impl OpenFrame {
    fn of(text: Vec<u8>) -> Option<Self> {
        let lines = LineSpan::of(open_minute::heads(&text))?;
        Some(Self { frame: RecordedFrame::of(text)?, lines })
    }
}

/// Finds the snapshots that follow another one without a gap between them.
#[derive(Debug, Default)]
struct RepeatedSnapshots {
    has_snapshot: bool,
}

impl RepeatedSnapshots {
    /// Whether the next line is one.
    fn has(&mut self, line: &[u8]) -> bool {
        let kind = line_text::kind(line);
        let is_repeated = kind == SNAPSHOT && self.has_snapshot;
        self.has_snapshot = (self.has_snapshot || kind == SNAPSHOT) && kind != b"gap";
        is_repeated
    }
}

const SNAPSHOT: &[u8] = b"snapshot";

fn is_snapshot(line: &[u8]) -> bool {
    line_text::kind(line) == SNAPSHOT
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
        let folder = metadata.is_dir().then(|| path.to_owned());
        let mark = folder.as_deref().map(GrowthMark::of).unwrap_or_default();
        let (segments, lines) = if metadata.is_dir() {
            // The open minute first: if it becomes a frame meanwhile, its lines are in both.
            let lines = open_minute::lines(path).map_err(failed)?;
            let names = segment::segments(path).map_err(failed)?;
            (names.into_iter().map(|name| name.in_folder(path)).collect(), lines)
        } else {
            match lines_of_file(path).map_err(failed)? {
                Some(lines) => (Vec::new(), lines),
                None => (vec![path.to_owned()], Vec::new()),
            }
        };
        let open = OpenFrame::of(lines);
        let newest = match &open {
            Some(open) => Some(open.frame.header.clone()),
            None => newest_header(&segments)?,
        };
        let header = newest.ok_or_else(|| RecordingError::Empty(path.to_owned()))?;
        if header.format.major > FormatVersion::CURRENT.major {
            return Err(RecordingError::Newer(header.format));
        }
        let removed = BTreeSet::new();
        Ok(Self { folder, mark, segments, removed, open, databases: header.databases })
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
        if let Some(open) = &self.open {
            add(open.lines.first_at, open.lines.last_at);
        }
        Ok(span)
    }

    /// Where its frames are, in the order in which they were written.
    ///
    /// # Errors
    ///
    /// A segment cannot be read.
    pub fn places(&self) -> Result<Vec<FramePlace>, RecordingError> {
        places_from(&self.segments, self.open.as_ref(), (0, 0))
    }

    /// Whether the frame at `place` has not been removed as too old.
    pub fn has(&self, place: &FramePlace) -> bool {
        place.segment.is_none_or(|(number, _)| !self.removed.contains(&number))
    }

    /// What `work` makes of the frame at `place`; `None` if it is damaged, or was removed meanwhile.
    ///
    /// # Errors
    ///
    /// The segment cannot be read, or a later format has written it.
    pub fn at<T>(
        &self,
        place: &FramePlace,
        work: impl FnOnce(&RecordedFrame) -> T,
    ) -> Result<Option<T>, RecordingError> {
        let Some((number, position)) = place.segment else {
            let Some(open) = &self.open else { return Ok(None) };
            return Ok(Some(work(understood(&open.frame)?)));
        };
        let segment = self.segments.get(number).map(|path| open(path)).transpose()?.flatten();
        let Some(frame) = segment.and_then(|it| it.lines(position).ok()).and_then(RecordedFrame::of) else {
            return Ok(None);
        };
        Ok(Some(work(understood(&frame)?)))
    }

    /// The paths of the databases that were recorded last.
    pub fn databases(&self) -> &[String] {
        &self.databases
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
        mut work: impl FnMut(&RecordedFrame) -> Result<(), E>,
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
                    work(understood(&frame)?)?;
                }
            }
        }
        let Some(OpenFrame { frame, lines }) = &self.open else { return Ok(()) };
        let overlaps = lines.first_at <= to && lines.last_at >= from;
        if lines.first_seq > last_seq && overlaps { work(understood(frame)?) } else { Ok(()) }
    }
}

// Where the frames of `segments` and the open minute are, from the segment `first` and the position in it on.
fn places_from(
    segments: &[PathBuf],
    open_minute: Option<&OpenFrame>,
    (first, skipped): (usize, usize),
) -> Result<Vec<FramePlace>, RecordingError> {
    let (mut places, mut last_seq) = (Vec::new(), 0);
    for (number, path) in segments.iter().enumerate().skip(first) {
        let Some(segment) = open(path)? else { continue };
        let skipped = if number == first { skipped } else { 0 };
        for (position, index) in segment.frames().enumerate() {
            last_seq = last_seq.max(index.last_seq);
            if position >= skipped {
                let [first_at, last_at] = [index.first_at, index.last_at]
                    .map(|at| Timestamp::from_microsecond(at).unwrap_or_default());
                places.push(FramePlace { segment: Some((number, position)), first_at, last_at });
            }
        }
    }
    let lines = open_minute.map(|open| open.lines).filter(|lines| lines.first_seq > last_seq);
    places.extend(lines.map(|lines| FramePlace {
        segment: None,
        first_at: lines.first_at,
        last_at: lines.last_at,
    }));
    Ok(places)
}

// The lines of a file of lines; `None` if it is a segment.
fn lines_of_file(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let mut file = File::open(path)?;
    let mut bytes = Vec::new();
    (&mut file).take(1).read_to_end(&mut bytes)?;
    if bytes != b"{" {
        return Ok(None);
    }
    file.take(u64::from(MOST_CONTENT) - 1).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

// The header of the newest frame that can be read.
fn newest_header(segments: &[PathBuf]) -> Result<Option<RecordingHeader>, RecordingError> {
    for path in segments.iter().rev() {
        let Some(segment) = open(path)? else { continue };
        let positions = (0..segment.frames().count()).rev();
        let mut frames = positions.filter_map(|it| segment.lines(it).ok().and_then(RecordedFrame::of));
        if let Some(frame) = frames.next() {
            return Ok(Some(frame.header));
        }
    }
    Ok(None)
}

fn understood(frame: &RecordedFrame) -> Result<&RecordedFrame, RecordingError> {
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
