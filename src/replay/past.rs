//! Parts of the past of a recording, as timelines and as the strips of the last minute.

use std::{collections::HashMap, rc::Rc, sync::Arc};

use jiff::{SignedDuration, Timestamp};

use crate::{
    history::{
        LaneSpan, LastMinute, LockOwner, SampledLock, TimeBase, TimeWindow, Timeline, TimelineBuilder,
        WriteLane,
    },
    recording::{
        LONGEST_SILENCE, LogLine, RecorderHost, RecordingEvent, RecordingLine, Redaction, Span, SpanKind,
        SpanReader,
    },
    snapshot::ActivityClass,
};

use super::cursor::{RecordingCursor, SnapshotPlace};

/// Windows up to this length have the size of the log of each snapshot; longer ones that of each minute.
pub(super) const FINE: SignedDuration = SignedDuration::from_mins(5);
/// A hold that began before a window is found this far back.
const BEFORE: SignedDuration = SignedDuration::from_mins(1);
/// The longest time between two samples of one activity.
const APART: SignedDuration = SignedDuration::from_millis(500);
/// The period of a strip.
pub(super) const STRIP: SignedDuration = SignedDuration::from_mins(1);

/// Fills a timeline with the lines of one database.
pub(super) struct TimelineReader<'a> {
    path: Rc<str>,
    pub(super) builder: TimelineBuilder,
    spans: SpanReader,
    databases: Vec<String>,
    /// The machine on which a process could still be the recorded one; `None` if none is compared.
    here: Option<&'a RecorderHost>,
    is_here: bool,
    /// The newest activity of each process, with its first and its last sample.
    doing: HashMap<Option<i32>, (Timestamp, Timestamp, ActivityClass, Arc<LockOwner>)>,
}

impl<'a> TimelineReader<'a> {
    pub(super) fn new(path: Rc<str>, builder: TimelineBuilder, here: Option<&'a RecorderHost>) -> Self {
        Self {
            path,
            builder,
            spans: SpanReader::new(Redaction::Off),
            databases: Vec::new(),
            here,
            is_here: true,
            doing: HashMap::new(),
        }
    }

    pub(super) fn add(&mut self, line: &RecordingLine) {
        let Self { path, builder, spans, is_here, .. } = self;
        spans.add(line, &mut |span| draw(builder, path, *is_here, &span));
        match &line.event {
            RecordingEvent::Header(header) => {
                self.databases.clone_from(&header.databases);
                self.is_here = self.here.is_none_or(|here| {
                    (&here.boot_id, here.pid_namespace) == (&header.boot_id, header.pid_namespace)
                });
            }
            RecordingEvent::Snapshot { snapshot } => {
                let database = snapshot.databases.iter().find(|it| it.path.as_os_str() == &*self.path);
                if let Some(log) = database.and_then(|it| it.files.wal.as_ref()) {
                    self.builder.log_had(line.stamp.at, log.bytes);
                }
            }
            RecordingEvent::Activity { who, class } if self.is_its(line) => {
                self.note_activity(line.stamp.at, &Arc::new(LockOwner::from(who)), *class);
            }
            _ => {}
        }
    }

    pub(super) fn add_sizes(&mut self, line: &LogLine) {
        let its = line.snapshot.databases.iter().find(|it| it.path.as_os_str() == &*self.path);
        if let Some(log) = its.and_then(|it| it.files.wal.as_ref()) {
            self.builder.log_had(line.at, log.bytes);
        }
    }

    fn is_its(&self, line: &RecordingLine) -> bool {
        line.db.and_then(|index| self.databases.get(index)).is_some_and(|path| **path == *self.path)
    }

    fn note_activity(&mut self, at: Timestamp, who: &Arc<LockOwner>, class: ActivityClass) {
        let newest = self.doing.get_mut(&who.pid);
        match newest {
            Some((_, last, known, _)) if *known == class && at.duration_since(*last) <= APART => *last = at,
            _ => {
                let before = self.doing.insert(who.pid, (at, at, class, Arc::clone(who)));
                if let Some((began, last, class, who)) = before {
                    let ended = if at.duration_since(last) <= APART { at } else { last };
                    self.builder.add(LaneSpan::Activity(class), &who, began, ended);
                }
            }
        }
    }

    pub(super) fn finish(mut self) -> Timeline {
        for (began, last, class, who) in std::mem::take(&mut self.doing).into_values() {
            self.builder.add(LaneSpan::Activity(class), &who, began, last);
        }
        let Self { path, mut builder, spans, is_here, .. } = self;
        spans.finish(&mut |span| draw(&mut builder, &path, is_here, &span));
        builder.finish()
    }
}

// A process of another boot keeps no start: it is none of those that run now.
fn draw(builder: &mut TimelineBuilder, path: &Rc<str>, is_here: bool, span: &Span) {
    if let SpanKind::Gap(reason) = span.kind {
        if reason.is_blind() {
            builder.unwatched(span.began, span.ended);
        }
        return;
    }
    if span.database.as_ref() != Some(path) {
        return;
    }
    let what = match span.kind {
        SpanKind::Hold(SampledLock::Write) => LaneSpan::Hold { goes_on: span.goes_on },
        SpanKind::Hold(SampledLock::Checkpoint) => LaneSpan::Checkpoint,
        SpanKind::Wait { got } => LaneSpan::Wait { got },
        SpanKind::MayWait => LaneSpan::MayWait,
        SpanKind::Pin => LaneSpan::Pin,
        SpanKind::Hold(SampledLock::Recover) | SpanKind::Finding(_) | SpanKind::Gap(_) => return,
    };
    if let Some(who) = &span.who {
        let who = LockOwner::from(who);
        let start_ticks = who.start_ticks.filter(|_| is_here);
        builder.add(what, &Arc::new(LockOwner { start_ticks, ..who }), span.began, span.ended);
    }
}

/// A part of the past of a database.
pub struct PastPart<'a> {
    pub path: &'a str,
    pub window: TimeWindow,
    /// The end of a window without one.
    pub newest: Timestamp,
    /// The machine on which the processes could still run; `None` if none of them is to be found.
    pub here: Option<&'a RecorderHost>,
}

/// `part` of the past of the recording of `cursor`. `is_wanted` is asked between two frames; `None` if it says no.
pub fn timeline(
    cursor: &RecordingCursor,
    base: TimeBase,
    part: &PastPart<'_>,
    mut is_wanted: impl FnMut() -> bool,
) -> Option<Timeline> {
    let (first, last) = cursor.span();
    let end = part.window.end.unwrap_or_else(|| base.instant_of(part.newest));
    let window = TimeWindow { end: Some(end), ..part.window };
    let builder = TimelineBuilder::new(base, (first, last.max(part.newest)), window);
    let (from, to) = builder.span();
    let is_fine = to.duration_since(from) <= FINE;
    let mut reader = TimelineReader::new(Rc::from(part.path), builder, part.here);
    let mut watched_until = None;
    for place in cursor.places(from.checked_sub(BEFORE).unwrap_or(from), to) {
        if !is_wanted() {
            return None;
        }
        note_silence(&mut reader, watched_until, place.first_at);
        watched_until = watched_until.max(Some(place.last_at));
        // A frame that cannot be read was not watched.
        let read = cursor.recording().at(&place, |frame| {
            frame.events().for_each(|line| reader.add(&line));
            if is_fine {
                frame.logs().for_each(|line| reader.add_sizes(&line));
            }
        });
        if !matches!(read, Ok(Some(()))) {
            reader.builder.unwatched(place.first_at, place.last_at);
        }
    }
    note_silence(&mut reader, watched_until.or(Some(last)), to);
    Some(reader.finish())
}

// A time without a line, be there a reason or none.
pub(super) fn note_silence(
    reader: &mut TimelineReader<'_>,
    watched_until: Option<Timestamp>,
    until: Timestamp,
) {
    let silence = watched_until.filter(|last| until.duration_since(*last) > LONGEST_SILENCE);
    if let Some(last) = silence {
        reader.builder.unwatched(last, until);
    }
}

/// The minute before `at` of each of the databases at `paths`.
pub fn minutes(
    cursor: &mut RecordingCursor,
    base: TimeBase,
    place: SnapshotPlace,
    paths: &[String],
) -> Vec<LastMinute> {
    let frames = cursor.frames(place);
    let (first, _) = cursor.span();
    let at = cursor.at();
    let lines = || frames.iter().flat_map(|frame| &frame.lines).filter(|line| line.stamp.at <= at);
    let strip = |path: &String| {
        let window = TimeWindow { end: Some(base.instant_of(at)), span: STRIP.unsigned_abs() };
        let known = (first.min(at.checked_sub(STRIP).unwrap_or(first)), at);
        let mut reader =
            TimelineReader::new(Rc::from(path.as_str()), TimelineBuilder::new(base, known, window), None);
        lines().for_each(|line| reader.add(line));
        minute_of(reader.finish())
    };
    paths.iter().map(strip).collect()
}

/// Cells of a timeline of a minute in one time slice.
const CELLS: usize = Timeline::CELLS / WriteLane::CELLS;

/// What a timeline of a minute shows, in time slices.
pub(super) fn minute_of(timeline: Timeline) -> LastMinute {
    let held = timeline.lanes.into_iter().filter(|lane| lane.shares.iter().any(|it| *it > 0.0));
    LastMinute {
        lanes: held.take(crate::history::LockHistory::LANES).map(lane).collect(),
        unwatched: timeline.unwatched.chunks(CELLS).map(|cells| cells.iter().all(|is| *is)).collect(),
    }
}

#[expect(clippy::cast_precision_loss, reason = "ten cells")]
fn lane(lane: crate::history::TimelineLane) -> WriteLane {
    let share = |cells: &[f32]| cells.iter().sum::<f32>() / CELLS as f32;
    WriteLane {
        pid: lane.who.pid,
        name: lane.who.name,
        cells: lane.shares.chunks(CELLS).map(share).collect(),
    }
}
