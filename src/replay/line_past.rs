//! The past of a host that sends its lines: the newest ones, in memory, for timelines and for the strips of the last
//! minute.

use std::{collections::VecDeque, path::Path, rc::Rc, time::Instant};

use jiff::{SignedDuration, Timestamp};

use crate::{
    history::{DatabaseTrend, TimeBase, TimeWindow, Timeline, TimelineBuilder},
    recording::{GapReason, LogLine, RecordingEvent, RecordingHeader, RecordingLine, Stamp},
    snapshot::{Database, Snapshot},
};

use super::past::{FINE, STRIP, TimelineReader, minute_of, note_silence};
use fill::CarriedHold;

mod fill;
mod recorded_time;

pub use recorded_time::{MissedTime, RecordedTime, RecordedTimeReader};

/// The period of one frame.
const FRAME: SignedDuration = SignedDuration::from_mins(1);
/// Frames that are kept.
const FRAMES: usize = 60;
/// Lines that are kept; the oldest frames go first.
const LINES: usize = 200_000;
/// Lines of one frame.
const FRAME_LINES: usize = 20_000;
/// The growth of the log is measured over at least this time.
const GROWTH: SignedDuration = SignedDuration::from_secs(2);

/// See the module. Times are those of the host.
#[derive(Debug, Default)]
pub struct LinePast {
    frames: VecDeque<LineFrame>,
    header: Option<RecordingHeader>,
    /// The clock of instants at the first line.
    base: Option<TimeBase>,
    /// Whether no sample of the newest connection has come.
    is_new: bool,
    /// The lines before it: what they say may have begun earlier.
    early: Vec<RecordingLine>,
    /// Holds of this connection that began before it.
    carried: Vec<CarriedHold>,
}

/// About a minute: its header, what happened, and one whole snapshot.
#[derive(Debug)]
struct LineFrame {
    lines: Vec<RecordingLine>,
    has_snapshot: bool,
    logs: Vec<LogLine>,
    first_at: Timestamp,
    last_at: Timestamp,
}

impl LineFrame {
    // Whether its lines are about the database at `path`, among others. A recorder may watch other ones.
    fn has(&self, path: &str) -> bool {
        self.lines.first().is_none_or(|line| match &line.event {
            RecordingEvent::Header(header) => header.databases.iter().any(|known| known == path),
            _ => true,
        })
    }

    // What it is for a database that it does not have.
    fn as_gap(&self) -> RecordingLine {
        let stamp = Stamp { at: self.last_at, boot_ms: 0.0 };
        let event = RecordingEvent::Gap { from: self.first_at, to: self.last_at, reason: GapReason::Link };
        RecordingLine { seq: 0, stamp, exact: false, db: None, event }
    }
}

impl LinePast {
    /// A connection begins whose lines are those of `header`. The time before it was not watched.
    pub fn begin(&mut self, header: RecordingHeader) {
        (self.header, self.is_new) = (Some(header), true);
        self.early.clear();
        self.carried.clear();
    }

    /// Takes the next line, which came just now. Returns the time without a link that has ended with it.
    pub fn add(&mut self, mut line: RecordingLine) -> Option<MissedTime> {
        self.carried.iter().for_each(|hold| hold.extend(&mut line));
        let at = line.stamp.at;
        self.base.get_or_insert_with(|| TimeBase { instant: Instant::now(), at });
        let is_snapshot = matches!(line.event, RecordingEvent::Snapshot { .. });
        if self.is_new && !is_snapshot {
            if self.early.len() < FRAME_LINES {
                self.early.push(line);
            }
            return None;
        }
        let early = std::mem::take(&mut self.early);
        let is_over = |frame: &LineFrame| {
            let is_long = at.duration_since(frame.first_at) >= FRAME || frame.lines.len() >= FRAME_LINES;
            is_snapshot && is_long
        };
        let mut missed = None;
        if self.is_new || self.frames.back().is_none_or(is_over) {
            missed = self.open_frame(line.stamp);
        }
        let frame = self.frames.back_mut()?;
        frame.last_at = frame.last_at.max(at);
        if let RecordingEvent::Snapshot { snapshot } = &line.event {
            frame.logs.push(LogLine::of(at, snapshot));
            if std::mem::replace(&mut frame.has_snapshot, true) {
                return missed;
            }
        }
        // A sample with more events than this is not kept whole.
        if frame.lines.len() < 2 * FRAME_LINES {
            frame.lines.push(line);
            frame.lines.extend(early);
        }
        missed
    }

    // Returns the time without a link before it.
    fn open_frame(&mut self, stamp: Stamp) -> Option<MissedTime> {
        let is_new = std::mem::take(&mut self.is_new);
        let last = self.last().filter(|last| is_new && *last < stamp.at);
        let line = |event| RecordingLine { seq: 0, stamp, exact: false, db: None, event };
        let header = self.header.clone().map(|header| line(RecordingEvent::Header(header)));
        let gap = |from| line(RecordingEvent::Gap { from, to: stamp.at, reason: GapReason::Link });
        let lines = header.into_iter().chain(last.map(gap)).collect();
        let (first_at, last_at) = (stamp.at, stamp.at);
        let frame = LineFrame { lines, has_snapshot: false, logs: Vec::new(), first_at, last_at };
        self.frames.push_back(frame);
        self.remove_oldest();
        let databases = self.header.as_ref().map(|header| header.databases.clone()).unwrap_or_default();
        last.map(|from| MissedTime { from, to: stamp.at, databases })
    }

    fn remove_oldest(&mut self) {
        let is_full = |frames: &VecDeque<LineFrame>| {
            frames.len() > FRAMES || frames.iter().map(|it| it.lines.len()).sum::<usize>() > LINES
        };
        while self.frames.len() > 1 && is_full(&self.frames) {
            self.frames.pop_front();
        }
    }

    /// The part `window` of the past of the database at `path`, at the time `now` of the host; `None` if no line has come.
    pub fn timeline(&self, path: &str, window: TimeWindow, now: Timestamp) -> Option<Timeline> {
        let (base, first) = (self.base?, self.frames.front()?.first_at);
        let end = window.end.unwrap_or_else(|| base.instant_of(now));
        let window = TimeWindow { end: Some(end), ..window };
        let builder = TimelineBuilder::new(base, (first, now.max(first)), window);
        let mut timeline = self.read(path, builder);
        timeline.is_recorded = false;
        Some(timeline)
    }

    fn read(&self, path: &str, builder: TimelineBuilder) -> Timeline {
        let (from, to) = builder.span();
        let is_fine = to.duration_since(from) <= FINE;
        let mut reader = TimelineReader::new(Rc::from(path), builder, None);
        let mut watched_until = None;
        for frame in self.frames.iter().filter(|frame| frame.last_at >= from && frame.first_at <= to) {
            note_silence(&mut reader, watched_until, frame.first_at);
            if frame.has(path) {
                frame.lines.iter().for_each(|line| reader.add(line));
            } else {
                reader.add(&frame.as_gap());
            }
            if is_fine {
                frame.logs.iter().for_each(|line| reader.add_sizes(line));
            }
            watched_until = watched_until.max(Some(frame.last_at));
        }
        note_silence(&mut reader, watched_until.or(self.last()), to);
        reader.finish()
    }

    // The time of the newest line.
    fn last(&self) -> Option<Timestamp> {
        self.frames.iter().map(|frame| frame.last_at).max()
    }

    /// What a console draws beside each database of `snapshot`, the newest sample.
    pub fn trends(&self, snapshot: &Snapshot) -> Vec<DatabaseTrend> {
        snapshot.databases.iter().map(|database| self.trend(database, snapshot.taken_at)).collect()
    }

    fn trend(&self, database: &Database, at: Timestamp) -> DatabaseTrend {
        let path = database.path.to_string_lossy();
        let minute = TimeWindow { end: None, span: STRIP.unsigned_abs() };
        let minute = self.timeline(&path, minute, at).map(minute_of).unwrap_or_default();
        let wal_bytes_per_second = self.growth(&database.path, at);
        DatabaseTrend { wal_bytes_per_second, frames_moved_per_second: None, minute }
    }

    fn growth(&self, path: &Path, at: Timestamp) -> Option<f64> {
        let mut logs = self.frames.iter().rev().flat_map(|frame| frame.logs.iter().rev());
        let now = logs.next()?;
        let before = logs.find(|log| at.duration_since(log.at) >= GROWTH)?;
        let grown = now.bytes(path)?.checked_sub(before.bytes(path)?)?;
        #[expect(clippy::cast_precision_loss, reason = "a rate, shown rounded")]
        Some(grown as f64 / now.at.duration_since(before.at).as_secs_f64().max(1.0))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        diagnose::fixture,
        history::SampledLock,
        recording::{RecordedProcess, RecorderHost},
    };

    pub(super) fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).expect("a time")
    }

    pub(super) fn line(second: i64, db: Option<usize>, event: RecordingEvent) -> RecordingLine {
        #[expect(clippy::cast_precision_loss, reason = "a few seconds")]
        let stamp = Stamp { at: at(second), boot_ms: second as f64 * 1e3 };
        RecordingLine { seq: 1, stamp, exact: false, db, event }
    }

    pub(super) fn snapshot(second: i64) -> RecordingLine {
        let mut snapshot = Snapshot { taken_at: at(second), ..fixture::snapshot(vec![fixture::live()]) };
        snapshot.databases[0].locks.writer = None;
        line(second, None, RecordingEvent::Snapshot { snapshot: Box::new(snapshot) })
    }

    pub(super) fn begun() -> LinePast {
        let path = fixture::live().path.to_string_lossy().into_owned();
        let mut past = LinePast::default();
        past.begin(RecorderHost::default().header("web1", vec![path]));
        past
    }

    pub(super) fn minute(past: &LinePast, now: i64) -> Timeline {
        let window = TimeWindow { end: None, span: Duration::from_mins(1) };
        let path = fixture::live().path;
        past.timeline(&path.to_string_lossy(), window, at(now)).expect("lines have come")
    }

    pub(super) fn hold(from: i64, to: i64) -> RecordingLine {
        let who = RecordedProcess { pid: Some(7), start: Some(1), name: "writer".to_owned() };
        #[expect(clippy::cast_precision_loss, reason = "a few seconds")]
        let held_ms = (to - from) as f64 * 1e3;
        let event = RecordingEvent::HoldEnded { lock: SampledLock::Write, who, began: at(from), held_ms };
        line(to, Some(0), event)
    }

    #[test]
    fn a_hold_is_in_the_timeline_and_a_time_without_a_link_is_not_watched() {
        let mut past = begun();
        for second in 0..60 {
            past.add(snapshot(second));
        }
        past.add(hold(20, 30));
        let watched = minute(&past, 59);
        assert_eq!((watched.figures.count, watched.lanes.len(), watched.is_recorded), (1, 1, false));
        assert!(!watched.unwatched.iter().any(|it| *it), "all of it was watched");
        let header = past.header.clone().expect("a header");
        past.begin(header);
        past.add(snapshot(80));
        let timeline = minute(&past, 81);
        let unwatched = timeline.unwatched.iter().filter(|it| **it).count();
        let expected = Timeline::CELLS * 21 / 60;
        assert!(unwatched.abs_diff(expected) <= Timeline::CELLS / 30, "{unwatched} of {expected}");
    }

    #[test]
    fn a_hold_that_began_earlier_hides_no_time_without_a_link() {
        let mut past = begun();
        past.add(snapshot(10));
        let header = past.header.clone().expect("a header");
        past.begin(header);
        let who = RecordedProcess { pid: Some(7), start: Some(1), name: "writer".to_owned() };
        past.add(line(5, Some(0), RecordingEvent::HoldBegun { lock: SampledLock::Write, who }));
        past.add(snapshot(30));
        assert!(minute(&past, 31).unwatched.iter().any(|it| *it));
    }

    #[test]
    fn while_the_link_is_down_the_newest_time_is_not_watched() {
        let mut past = begun();
        for second in 0..10 {
            past.add(snapshot(second));
        }
        assert!(!minute(&past, 12).unwatched.iter().any(|it| *it));
        let timeline = minute(&past, 60);
        assert!(timeline.unwatched.last().is_some_and(|it| *it), "{:?}", timeline.unwatched);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut past = begun();
        for second in 0..i64::try_from(FRAMES).expect("small") * 120 {
            past.add(snapshot(second));
        }
        assert!(past.frames.len() <= FRAMES);
        assert!(past.frames.iter().all(|frame| frame.lines.len() == 2), "a header and one snapshot");
        for _ in 0..3 * LINES {
            past.add(hold(20, 21));
        }
        past.add(snapshot(100_000));
        assert!(past.frames.iter().map(|it| it.lines.len()).sum::<usize>() <= LINES);
    }
}
