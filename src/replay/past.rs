//! Parts of the past of a recording, as timelines and as the strips of the last minute.

use std::{collections::HashMap, rc::Rc, sync::Arc};

use jiff::{SignedDuration, Timestamp};

use crate::{
    history::{LaneSpan, LockOwner, SampledLock, TimeBase, TimeWindow, Timeline, TimelineBuilder, WriteLane},
    recording::{RecordingEvent, RecordingLine, Span, SpanKind, SpanReader},
    snapshot::ActivityClass,
};

use super::cursor::{RecordingCursor, SnapshotPlace};

/// Windows up to this length have the size of the log of each snapshot; longer ones that of each minute.
const FINE: SignedDuration = SignedDuration::from_mins(5);
/// A hold that began before a window is found this far back.
const BEFORE: SignedDuration = SignedDuration::from_mins(1);
/// The longest time between two samples of one activity.
const APART: SignedDuration = SignedDuration::from_millis(500);
/// The period of a strip.
const STRIP: SignedDuration = SignedDuration::from_mins(1);

/// Fills a timeline with the lines of one database.
struct TimelineReader {
    path: Rc<str>,
    builder: TimelineBuilder,
    spans: SpanReader,
    databases: Vec<String>,
    /// The newest activity of each process, with its first and its last sample.
    doing: HashMap<Option<i32>, (Timestamp, Timestamp, ActivityClass, Arc<LockOwner>)>,
    last_at: Option<Timestamp>,
}

impl TimelineReader {
    fn new(path: Rc<str>, builder: TimelineBuilder) -> Self {
        Self {
            path,
            builder,
            spans: SpanReader::default(),
            databases: Vec::new(),
            doing: HashMap::new(),
            last_at: None,
        }
    }

    fn add(&mut self, line: &RecordingLine) {
        let Self { path, builder, spans, .. } = self;
        spans.add(line, &mut |span| draw(builder, path, &span));
        match &line.event {
            // The line after it says whether the time before was watched.
            RecordingEvent::Header(header) => return self.databases.clone_from(&header.databases),
            RecordingEvent::Snapshot { snapshot } => {
                self.note_silence(line.stamp.at);
                let database = snapshot.databases.iter().find(|it| it.path.as_os_str() == &*self.path);
                if let Some(log) = database.and_then(|it| it.files.wal.as_ref()) {
                    self.builder.log_had(line.stamp.at, log.bytes);
                }
            }
            RecordingEvent::Activity { who, class } if self.is_its(line) => {
                self.note_activity(line.stamp.at, &Arc::new(LockOwner::from(who)), *class);
            }
            // The time before is told by the line itself.
            RecordingEvent::Gap { .. } => {}
            _ => self.note_silence(line.stamp.at),
        }
        self.last_at = self.last_at.max(Some(line.stamp.at));
    }

    fn is_its(&self, line: &RecordingLine) -> bool {
        line.db.and_then(|index| self.databases.get(index)).is_some_and(|path| **path == *self.path)
    }

    // A time without a line and without a reason.
    fn note_silence(&mut self, at: Timestamp) {
        let silence =
            self.last_at.filter(|last| at.duration_since(*last) > crate::recording::LONGEST_SILENCE);
        if let Some(last) = silence {
            self.builder.unwatched(last, at);
        }
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

    fn finish(mut self) -> Timeline {
        for (began, last, class, who) in std::mem::take(&mut self.doing).into_values() {
            self.builder.add(LaneSpan::Activity(class), &who, began, last);
        }
        let Self { path, mut builder, spans, .. } = self;
        spans.finish(&mut |span| draw(&mut builder, &path, &span));
        builder.finish()
    }
}

fn draw(builder: &mut TimelineBuilder, path: &Rc<str>, span: &Span) {
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
        builder.add(what, &Arc::new(LockOwner::from(who)), span.began, span.ended);
    }
}

/// The part `window` of the past of the database at `path`. `is_wanted` is asked between two frames; `None` if it says
/// no.
pub fn timeline(
    cursor: &RecordingCursor,
    base: TimeBase,
    path: &str,
    window: TimeWindow,
    mut is_wanted: impl FnMut() -> bool,
) -> Option<Timeline> {
    let end = window.end.unwrap_or_else(|| base.instant_of(cursor.at()));
    let window = TimeWindow { end: Some(end), ..window };
    let builder = TimelineBuilder::new(base, cursor.span(), window);
    let (from, to) = builder.span();
    let is_fine = to.duration_since(from) <= FINE;
    let mut reader = TimelineReader::new(Rc::from(path), builder);
    for place in cursor.places(from.checked_sub(BEFORE).unwrap_or(from), to) {
        if !is_wanted() {
            return None;
        }
        // A frame that cannot be read was not watched.
        let _ = cursor.recording().at(place, |frame| {
            if is_fine {
                frame.lines().for_each(|line| reader.add(&line));
            } else {
                frame.events().for_each(|line| reader.add(&line));
            }
        });
    }
    Some(reader.finish())
}

/// The strips of the minute before `at` of each of the databases at `paths`.
pub fn strips(
    cursor: &mut RecordingCursor,
    base: TimeBase,
    place: SnapshotPlace,
    paths: &[String],
) -> Vec<Vec<WriteLane>> {
    let frames = cursor.frames(place);
    let (first, _) = cursor.span();
    let at = cursor.at();
    let lines = || frames.iter().flat_map(|frame| &frame.lines).take_while(|line| line.stamp.at <= at);
    let strip = |path: &String| {
        let window = TimeWindow { end: Some(base.instant_of(at)), span: STRIP.unsigned_abs() };
        let known = (first.min(at.checked_sub(STRIP).unwrap_or(first)), at);
        let mut reader =
            TimelineReader::new(Rc::from(path.as_str()), TimelineBuilder::new(base, known, window));
        lines().for_each(|line| reader.add(line));
        let held = reader.finish().lanes.into_iter().filter(|lane| lane.shares.iter().any(|it| *it > 0.0));
        held.take(crate::history::LockHistory::LANES).map(lane).collect()
    };
    paths.iter().map(strip).collect()
}

#[expect(clippy::cast_precision_loss, reason = "ten cells")]
fn lane(lane: crate::history::TimelineLane) -> WriteLane {
    const CELLS: usize = Timeline::CELLS / WriteLane::CELLS;
    let share = |cells: &[f32]| cells.iter().sum::<f32>() / CELLS as f32;
    WriteLane {
        pid: lane.who.pid,
        name: lane.who.name,
        cells: lane.shares.chunks(CELLS).map(share).collect(),
    }
}
