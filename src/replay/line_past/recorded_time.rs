//! What a recorder on a host has recorded of a time without a link, made of the lines that waltop there sends.

use jiff::{SignedDuration, Timestamp};

use super::{FRAME_LINES, LineFrame};
use crate::recording::{
    GapReason, LONGEST_SILENCE, LogLine, RecordingEvent, RecordingLine, Stamp, parse_line,
};

/// A time without a link, on the clock of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissedTime {
    /// The last line before.
    pub from: Timestamp,
    /// The first sample after.
    pub to: Timestamp,
    /// The databases that are watched there.
    pub databases: Vec<String>,
}

/// What was recorded of it.
#[derive(Debug)]
pub struct RecordedTime {
    pub missed: MissedTime,
    /// How much of it was not watched by the recorder either.
    pub unwatched: SignedDuration,
    pub(super) frames: Vec<LineFrame>,
    /// The end of it, if that was not watched.
    pub(super) rest: Option<(Timestamp, Timestamp)>,
}

/// Takes the lines, in their order.
#[derive(Debug)]
pub struct RecordedTimeReader {
    time: RecordedTime,
    header: Option<RecordingLine>,
    /// Up to when it was watched; `None` before the first line.
    until: Option<Timestamp>,
    /// Whether the recorder has ended.
    has_ended: bool,
}

impl MissedTime {
    pub fn length(&self) -> SignedDuration {
        self.to.duration_since(self.from)
    }
}

impl RecordedTime {
    /// Whether anything of it was recorded.
    pub fn is_known(&self) -> bool {
        self.unwatched < self.missed.length()
    }
}

impl RecordedTimeReader {
    pub fn new(missed: MissedTime) -> Self {
        let time = RecordedTime { missed, unwatched: SignedDuration::ZERO, frames: Vec::new(), rest: None };
        Self { time, header: None, until: None, has_ended: false }
    }

    /// Takes the text of the next line.
    pub fn add(&mut self, text: &[u8]) {
        let Some(line) = parse_line(text) else {
            // A snapshot that follows another one has only the sizes of the logs.
            if let Ok(log) = serde_json::from_slice::<LogLine>(text) {
                self.reach(log.at);
                if let Some(frame) = self.frame(log.at) {
                    frame.logs.push(log);
                }
            }
            return;
        };
        match &line.event {
            RecordingEvent::Header(_) => self.header = Some(line),
            RecordingEvent::Gap { from, to, reason } => self.add_gap(line.stamp, *from, *to, *reason),
            _ => self.add_line(line),
        }
    }

    fn add_line(&mut self, line: RecordingLine) {
        let at = line.stamp.at;
        self.reach(at);
        self.has_ended |= matches!(line.event, RecordingEvent::Ended);
        if let Some(frame) = self.frame(at) {
            if let RecordingEvent::Snapshot { snapshot } = &line.event {
                frame.logs.push(LogLine::of(at, snapshot));
                frame.has_snapshot = true;
            }
            if frame.lines.len() < 2 * FRAME_LINES {
                frame.lines.push(line);
            }
        }
    }

    fn add_gap(&mut self, stamp: Stamp, from: Timestamp, to: Timestamp, reason: GapReason) {
        self.reach(from);
        let missed = &self.time.missed;
        let (from, to) = (from.max(missed.from), to.min(missed.to));
        self.until = self.until.max(Some(to));
        self.has_ended = false;
        if from < to {
            if reason.is_blind() {
                self.time.unwatched += to.duration_since(from);
            }
            self.push_gap(Stamp { at: to, ..stamp }, from, reason);
        }
    }

    fn push_gap(&mut self, stamp: Stamp, from: Timestamp, reason: GapReason) {
        let event = RecordingEvent::Gap { from, to: stamp.at, reason };
        if let Some(frame) = self.frame(stamp.at) {
            frame.lines.push(RecordingLine { seq: 0, stamp, exact: false, db: None, event });
        }
    }

    // The recorder has watched up to `at`, unless there was no line for too long.
    fn reach(&mut self, at: Timestamp) {
        let is_silent =
            self.has_ended || self.until.is_none_or(|until| at.duration_since(until) > LONGEST_SILENCE);
        let (from, to) = (self.time.missed.from, self.time.missed.to);
        let begins = self.until.map_or(from, |until| until.max(from));
        let ends = at.min(to);
        if is_silent && begins < ends {
            self.time.unwatched += ends.duration_since(begins);
            if at > to {
                self.time.rest = Some((begins, ends));
            } else {
                let stamp = Stamp { at: ends, boot_ms: 0.0 };
                self.push_gap(stamp, begins, GapReason::Link);
            }
        }
        self.has_ended &= self.until.is_some_and(|until| at <= until);
        self.until = self.until.max(Some(at));
    }

    // The frame of a line of the time `at`; `None` if the line is not about the missed time.
    fn frame(&mut self, at: Timestamp) -> Option<&mut LineFrame> {
        let (from, to) = (self.time.missed.from, self.time.missed.to);
        if at <= from || at > to {
            return None;
        }
        if let Some(header) = self.header.take() {
            let first_at = self.time.frames.last().map_or(from, |frame| frame.last_at);
            self.time.frames.push(LineFrame {
                lines: vec![header],
                has_snapshot: false,
                logs: Vec::new(),
                first_at,
                last_at: first_at,
            });
        }
        let frame = self.time.frames.last_mut()?;
        frame.last_at = frame.last_at.max(at);
        Some(frame)
    }

    /// All lines have come.
    pub fn finish(mut self) -> RecordedTime {
        let (from, to) = (self.time.missed.from, self.time.missed.to);
        let until = self.until.unwrap_or(from).max(from);
        if until < to {
            self.time.rest = Some((until, to));
            self.time.unwatched += to.duration_since(until);
        }
        self.time
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            LinePast,
            tests::{at, begun, hold, line, minute, snapshot},
        },
        *,
    };
    use crate::{
        diagnose::fixture,
        history::{SampledLock, Timeline},
        json,
        recording::{RecordedProcess, RecorderHost},
        snapshot::LockHolder,
    };

    fn writer() -> RecordedProcess {
        RecordedProcess { pid: Some(7), start: Some(1), name: "writer".to_owned() }
    }

    fn header(second: i64, path: &str) -> RecordingLine {
        let header = RecorderHost::default().header("web1", vec![path.to_owned()]);
        line(second, None, RecordingEvent::Header(header))
    }

    fn path() -> String {
        fixture::live().path.to_string_lossy().into_owned()
    }

    /// Lines of ten seconds, a time without a link up to second 40, and a sample after it. `end` has what comes with that.
    fn with_missed_time(end: &[RecordingLine]) -> (LinePast, MissedTime) {
        let mut past = begun();
        for second in 0..=10 {
            past.add(snapshot(second));
        }
        past.begin(past.header.clone().expect("a header"));
        for line in end {
            past.add(line.clone());
        }
        let missed = past.add(snapshot(40)).expect("there was no link");
        assert_eq!((missed.from, missed.to), (at(10), at(40)));
        (past, missed)
    }

    fn recorded(missed: MissedTime, lines: Vec<RecordingLine>) -> RecordedTime {
        let mut reader = RecordedTimeReader::new(missed);
        for line in lines {
            reader.add(json::line(&line).expect("JSON").as_bytes());
        }
        reader.finish()
    }

    fn unwatched_seconds(timeline: &Timeline) -> usize {
        timeline.unwatched.iter().filter(|is| **is).count() * 60 / Timeline::CELLS
    }

    #[test]
    fn what_a_recorder_has_recorded_stands_in_the_place_of_the_time_without_a_link() {
        let (mut past, missed) = with_missed_time(&[]);
        assert!(unwatched_seconds(&minute(&past, 50)) >= 28);
        let mut lines = vec![header(5, &path())];
        lines.extend((5..46).map(snapshot));
        lines.insert(20, hold(15, 24));
        let recorded = recorded(missed, lines);
        assert!(recorded.is_known() && recorded.unwatched.is_zero(), "{recorded:?}");
        past.fill(recorded);
        let timeline = minute(&past, 50);
        assert_eq!((unwatched_seconds(&timeline), timeline.figures.count), (0, 1));
        assert!((timeline.figures.max_ms - 9000.0).abs() < 1.0, "{:?}", timeline.figures);
        // Of the seconds from 15 to 35; the period ends with second 50.
        let missed = &timeline.log[Timeline::CELLS * 25 / 60..Timeline::CELLS * 45 / 60];
        assert!(missed.iter().all(Option::is_some), "the sizes of the log come along");
    }

    #[test]
    fn what_the_recorder_did_not_watch_stays_missed() {
        let (mut past, missed) = with_missed_time(&[]);
        let gap = |from, to| RecordingEvent::Gap { from: at(from), to: at(to), reason: GapReason::Killed };
        let mut lines = vec![header(20, &path()), snapshot(20), snapshot(24)];
        lines.extend([line(30, None, gap(24, 30)), snapshot(30), snapshot(34)]);
        lines.push(line(35, None, RecordingEvent::Ended));
        let recorded = recorded(missed.clone(), lines);
        assert_eq!(recorded.unwatched, SignedDuration::from_secs(10 + 6 + 5));
        past.fill(recorded);
        let unwatched = unwatched_seconds(&minute(&past, 41));
        assert!((20..=23).contains(&unwatched), "{unwatched}");
        let nothing = super::tests::recorded(missed, Vec::new());
        assert!(!nothing.is_known());
        let (mut past, _) = with_missed_time(&[]);
        past.fill(nothing);
        assert!(unwatched_seconds(&minute(&past, 50)) >= 28, "nothing was recorded");
    }

    #[test]
    fn a_recorder_of_another_database_knows_nothing_of_this_one() {
        let (mut past, missed) = with_missed_time(&[]);
        let mut lines = vec![header(5, "/srv/other.db")];
        lines.extend((5..46).map(snapshot));
        past.fill(recorded(missed, lines));
        assert!(unwatched_seconds(&minute(&past, 50)) >= 28);
    }

    #[test]
    fn a_hold_that_goes_on_behind_the_time_without_a_link_is_one_hold() {
        let held = |second: i64| {
            let mut line = snapshot(second);
            if let RecordingEvent::Snapshot { snapshot } = &mut line.event {
                let holder = LockHolder { pid: Some(7), label: None, held_ms: None };
                snapshot.databases[0].locks.writer = Some(holder);
            }
            line
        };
        let begins = |second| {
            line(second, Some(0), RecordingEvent::HoldBegun { lock: SampledLock::Write, who: writer() })
        };
        for is_held_after in [true, false] {
            let mut past = begun();
            for second in 0..=10 {
                past.add(snapshot(second));
            }
            past.begin(past.header.clone().expect("a header"));
            if is_held_after {
                past.add(begins(39));
            }
            let missed = past.add(if is_held_after { held(40) } else { snapshot(40) }).expect("no link");
            let mut lines = vec![header(5, &path())];
            lines.extend((5..20).map(snapshot));
            lines.push(begins(20));
            lines.extend((20..46).map(held));
            past.fill(recorded(missed, lines));
            if is_held_after {
                past.add(hold(39, 45));
                past.add(snapshot(45));
            }
            let figures = minute(&past, 50).figures;
            let expected = if is_held_after { 25_000.0 } else { 20_000.0 };
            assert_eq!(figures.count, 1, "{figures:?}");
            assert!((figures.max_ms - expected).abs() < 1.0, "{figures:?}");
        }
    }
}
