//! Puts what a recorder has recorded into a time without a link.

use std::path::Path;

use jiff::Timestamp;

use super::{LinePast, RecordedTime};
use crate::{
    history::SampledLock,
    recording::{
        GapReason, RecordedProcess, RecordingEvent, RecordingHeader, RecordingLine, Redaction, Span,
        SpanKind, SpanReader, Stamp,
    },
    snapshot::{Database, Snapshot},
    units,
};

/// A hold of the write lock that the recorder saw begin, and that went on when the link was there again.
#[derive(Debug)]
pub struct CarriedHold {
    /// Its database, as an index into those of the header.
    db: usize,
    pid: Option<i32>,
    began: Timestamp,
    /// The first sample of the connection.
    seen: Timestamp,
}

impl CarriedHold {
    /// Makes the end of the hold that of the whole hold.
    pub fn extend(&self, line: &mut RecordingLine) {
        let (at, db) = (line.stamp.at, line.db);
        if let RecordingEvent::HoldEnded { lock: SampledLock::Write, who, began, held_ms } = &mut line.event
            && (db, who.pid) == (Some(self.db), self.pid)
            && *began <= self.seen
            && at >= self.seen
        {
            *began = self.began;
            *held_ms = units::milliseconds(at.duration_since(self.began).unsigned_abs());
        }
    }
}

impl LinePast {
    /// Shows `recorded` in the place of the time without a link. Nothing changes if that time is not kept any more.
    pub fn fill(&mut self, recorded: RecordedTime) {
        let RecordedTime { missed, frames, rest, .. } = recorded;
        let is_it = |line: &RecordingLine| {
            matches!(&line.event, RecordingEvent::Gap { from, to, reason: GapReason::Link }
                if (*from, *to) == (missed.from, missed.to))
        };
        let places = self.frames.iter().enumerate();
        let mut places = places.filter_map(|(at, frame)| Some((at, frame.lines.iter().position(is_it)?)));
        let Some((at, position)) = places.next() else { return };
        if frames.is_empty() {
            return;
        }
        let gap = self.frames[at].lines.remove(position);
        let count = frames.len();
        for (number, frame) in frames.into_iter().enumerate() {
            self.frames.insert(at + number, frame);
        }
        match rest {
            Some((from, to)) => {
                let event = RecordingEvent::Gap { from, to, reason: GapReason::Link };
                self.frames[at + count].lines.insert(position, RecordingLine { event, ..gap });
            }
            // The recorder was there up to the first sample, so that it knows more of the time before than that.
            None => self.join(at.saturating_sub(1), at + count, missed.to),
        }
        self.remove_oldest();
    }

    // Makes one past of the frames from `first` on and of those from `next` on, which begin with the sample at `seen`.
    fn join(&mut self, first: usize, next: usize, seen: Timestamp) {
        let frame = &self.frames[next];
        let header = frame.lines.iter().find_map(|line| match &line.event {
            RecordingEvent::Header(header) => Some(header.clone()),
            _ => None,
        });
        let snapshot = frame.lines.iter().find_map(|line| match &line.event {
            RecordingEvent::Snapshot { snapshot } => Some(snapshot.clone()),
            _ => None,
        });
        let Some((header, snapshot)) = header.zip(snapshot) else { return };
        let mut spans = SpanReader::new(Redaction::Off);
        let before = self.frames.range(first..next).flat_map(|frame| &frame.lines);
        before.for_each(|line| spans.add(line, &mut |_| {}));
        let is_old = |line: &RecordingLine| {
            let is_over =
                matches!(line.event, RecordingEvent::HoldEnded { .. } | RecordingEvent::Waited { .. });
            is_over && line.stamp.at <= seen
        };
        self.frames[next].lines.retain(|line| !is_old(line));
        let mut ends = Vec::new();
        for span in spans.open() {
            let Some(db) = db_of(&header, span) else { continue };
            if !goes_on(span, &snapshot) {
                ends.extend(end_of(span, db, seen));
            } else if span.is_write_hold() {
                let pid = span.who.as_ref().and_then(|who| who.pid);
                self.carried.push(CarriedHold { db, pid, began: span.began, seen });
            }
        }
        // Behind the header.
        self.frames[next].lines.splice(1..1, ends);
        for line in self.frames.range_mut(next..).flat_map(|frame| &mut frame.lines) {
            self.carried.iter().for_each(|hold| hold.extend(line));
        }
    }
}

fn db_of(header: &RecordingHeader, span: &Span) -> Option<usize> {
    header.database(Path::new(&**span.database.as_ref()?))
}

// Whether `snapshot` has what `span` is.
fn goes_on(span: &Span, snapshot: &Snapshot) -> bool {
    let pid = span.who.as_ref().and_then(|who| who.pid);
    let its = |it: &&Database| span.database.as_deref().is_some_and(|path| it.path.as_os_str() == path);
    let Some(database) = snapshot.databases.iter().find(its) else { return false };
    let locks = &database.locks;
    match span.kind {
        SpanKind::Hold(lock) => {
            let holder = match lock {
                SampledLock::Write => &locks.writer,
                SampledLock::Checkpoint => &locks.checkpointer,
                SampledLock::Recover => &locks.recoverer,
            };
            holder.as_ref().is_some_and(|holder| holder.pid == pid)
        }
        SpanKind::Pin => locks.pinning_readers(database.wal.as_ref()).any(|reader| reader.pid == pid),
        SpanKind::MayWait => locks.possible_waiters.iter().any(|waiter| Some(waiter.pid) == pid),
        SpanKind::Wait { .. } | SpanKind::Finding(_) | SpanKind::Gap(_) => true,
    }
}

// The line about the end of `span` at `at`.
fn end_of(span: &Span, db: usize, at: Timestamp) -> Option<RecordingLine> {
    let who: RecordedProcess = span.who.clone()?;
    let length = units::milliseconds(at.duration_since(span.began).unsigned_abs());
    let event = match span.kind {
        SpanKind::Hold(lock) => RecordingEvent::HoldEnded { lock, who, began: span.began, held_ms: length },
        SpanKind::Pin => RecordingEvent::PinEnded { who, pinned_ms: length },
        SpanKind::MayWait => RecordingEvent::MayWaitEnded { who },
        SpanKind::Wait { .. } | SpanKind::Finding(_) | SpanKind::Gap(_) => return None,
    };
    let stamp = Stamp { at, boot_ms: 0.0 };
    Some(RecordingLine { seq: 0, stamp, exact: span.exact, db: Some(db), event })
}
