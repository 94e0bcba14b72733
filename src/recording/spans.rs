//! What lasted for a while in a recording: holds, waits, pins, findings, gaps.

use std::rc::Rc;

use jiff::{SignedDuration, Timestamp};

use super::{
    line::{GapReason, RecordedProcess, RecordingEvent, RecordingHeader, RecordingLine},
    redaction::Redaction,
};
use crate::{
    history::SampledLock,
    snapshot::{Database, Finding, FindingKind, LockHolder, Severity, Snapshot},
    units,
};

/// Something that lasted for a while.
#[derive(Debug, Clone)]
pub struct Span {
    /// Path of its database; `None` if it is about all of them.
    pub database: Option<Rc<str>>,
    pub kind: SpanKind,
    /// The process; `None` if it is about none.
    pub who: Option<RecordedProcess>,
    pub began: Timestamp,
    pub ended: Timestamp,
    /// Whether it went on when the recording, or its watched time, ended.
    pub goes_on: bool,
    /// Whether its times are exact.
    pub exact: bool,
}

#[derive(Debug, Clone)]
pub enum SpanKind {
    Hold(SampledLock),
    /// A wait for the write lock.
    Wait {
        got: bool,
    },
    MayWait,
    Pin,
    Finding(Rc<Finding>),
    Gap(GapReason),
}

impl Span {
    pub fn ms(&self) -> f64 {
        let length = self.ended.duration_since(self.began);
        units::milliseconds(length.try_into().unwrap_or_default())
    }

    /// How much of it lies between two times, in ms.
    pub fn ms_within(&self, (from, to): (Timestamp, Timestamp)) -> f64 {
        let (began, ended) = (self.began.max(from), self.ended.min(to));
        units::milliseconds(ended.duration_since(began).try_into().unwrap_or_default())
    }

    /// Whether it lasted at a time between `from` and `to`.
    pub fn overlaps(&self, from: Timestamp, to: Timestamp) -> bool {
        self.began <= to && self.ended >= from
    }

    pub fn is_write_hold(&self) -> bool {
        matches!(self.kind, SpanKind::Hold(SampledLock::Write))
    }
}

/// Makes spans of the lines of a recording, in their order. Those that began before the first line are known from the
/// snapshot there.
#[derive(Debug, Default)]
pub struct SpanReader {
    databases: Vec<Rc<str>>,
    boot_id: String,
    redaction: Redaction,
    open: Vec<Span>,
    /// The locks, by the path of their database, of which a hold has ended: each later hold has a line at its begin.
    released: Vec<(Option<Rc<str>>, SampledLock)>,
    last_at: Option<Timestamp>,
}

impl SpanReader {
    pub fn new(redaction: Redaction) -> Self {
        Self { redaction, ..Self::default() }
    }

    /// The lines that follow stand behind `header`. Spans that went on in another boot have ended with it.
    fn header(&mut self, header: &RecordingHeader, done: &mut impl FnMut(Span)) {
        if self.boot_id != header.boot_id
            && let Some(last) = self.last_at
        {
            self.end_all(last, done);
        }
        self.boot_id.clone_from(&header.boot_id);
        self.databases = header.databases.iter().map(|path| Rc::from(path.as_str())).collect();
    }

    /// Takes the next line. `done` gets the spans that have ended with it.
    pub fn add(&mut self, line: &RecordingLine, done: &mut impl FnMut(Span)) {
        let at = line.stamp.at;
        if let RecordingEvent::Header(header) = &line.event {
            self.header(header, done);
        }
        self.last_at = Some(at);
        let database = line.db.and_then(|index| self.databases.get(index)).cloned();
        let redaction = self.redaction;
        let span = |kind, who: Option<&RecordedProcess>, began, ended| Span {
            database: database.clone(),
            kind,
            who: who.map(|who| redaction.process(who)),
            began,
            ended,
            goes_on: false,
            exact: line.exact,
        };
        match &line.event {
            RecordingEvent::Snapshot { snapshot } => self.add_snapshot(snapshot, line),
            RecordingEvent::HoldBegun { lock, who } => {
                self.begin(span(SpanKind::Hold(*lock), Some(who), at, at));
            }
            RecordingEvent::HoldEnded { lock, who, began, .. } => {
                let kind = SpanKind::Hold(*lock);
                self.forget(&span(kind.clone(), Some(who), *began, at));
                let released = (database.clone(), *lock);
                if !self.released.contains(&released) {
                    self.released.push(released);
                }
                done(span(kind, Some(who), *began, at));
            }
            RecordingEvent::Waited { who, began, got, .. } => {
                done(span(SpanKind::Wait { got: *got }, Some(who), *began, at));
            }
            RecordingEvent::MayWaitBegun { who } => {
                self.begin(span(SpanKind::MayWait, Some(who), at, at));
            }
            RecordingEvent::MayWaitEnded { who } => {
                self.end(&span(SpanKind::MayWait, Some(who), at, at), done);
            }
            RecordingEvent::PinBegun { who, .. } => self.begin(span(SpanKind::Pin, Some(who), at, at)),
            RecordingEvent::PinEnded { who, .. } => self.end(&span(SpanKind::Pin, Some(who), at, at), done),
            RecordingEvent::FindingOn { finding } => {
                let who = subject(finding);
                let kind = SpanKind::Finding(Rc::new(redaction.finding(finding)));
                let began = span(kind, who.as_ref(), at, at);
                if !self.open.iter().any(|open| open.is_same(&began) && open.severity() == began.severity()) {
                    self.end(&began, done);
                    self.open.push(began);
                }
            }
            RecordingEvent::FindingOff { kind, pid, .. } => {
                self.end_where(at, done, |open| open.database == database && open.is_finding(*kind, *pid));
            }
            RecordingEvent::Gap { from, to, reason } => {
                self.end_all(*from, done);
                done(span(SpanKind::Gap(*reason), None, *from, *to));
            }
            RecordingEvent::Ended => self.end_all(at, done),
            _ => {}
        }
    }

    /// What goes on.
    pub fn open(&self) -> &[Span] {
        &self.open
    }

    /// The hold of the write lock of the database at `path` that goes on.
    pub fn open_write_hold(&self, path: &str) -> Option<&Span> {
        self.open.iter().find(|span| span.is_write_hold() && span.database.as_deref() == Some(path))
    }

    /// The recording is over. What goes on ends at its last line.
    pub fn finish(mut self, done: &mut impl FnMut(Span)) {
        if let Some(last) = self.last_at {
            self.end_all(last, done);
        }
    }

    fn add_snapshot(&mut self, snapshot: &Snapshot, line: &RecordingLine) {
        for database in &snapshot.databases {
            let path: Rc<str> = Rc::from(database.path.to_string_lossy());
            for span in lasting(database, &path, line, self.redaction) {
                if !self.is_known_by_lines(&span) {
                    self.begin(span);
                }
            }
        }
    }

    // Whether `span` of a snapshot is a hold of a lock whose holds have lines. The snapshot may be older than those: the
    // locks are looked at some time before the lines are written.
    fn is_known_by_lines(&self, span: &Span) -> bool {
        let SpanKind::Hold(lock) = span.kind else { return false };
        let is_held = |open: &Span| {
            matches!(open.kind, SpanKind::Hold(other) if other == lock) && open.database == span.database
        };
        let is_released =
            |(path, known): &(Option<Rc<str>>, SampledLock)| *path == span.database && *known == lock;
        self.open.iter().any(is_held) || self.released.iter().any(is_released)
    }

    // What a snapshot has shown already began earlier.
    fn begin(&mut self, span: Span) {
        if !self.open.iter().any(|open| open.is_same(&span)) {
            self.open.push(span);
        }
    }

    fn forget(&mut self, span: &Span) {
        self.open.retain(|open| !open.is_same(span));
    }

    fn end(&mut self, span: &Span, done: &mut impl FnMut(Span)) {
        self.end_where(span.ended, done, |open| open.is_same(span));
    }

    fn end_where(&mut self, at: Timestamp, done: &mut impl FnMut(Span), is_it: impl Fn(&Span) -> bool) {
        for span in self.open.extract_if(.., |open| is_it(open)) {
            done(Span { ended: at.max(span.began), ..span });
        }
    }

    fn end_all(&mut self, at: Timestamp, done: &mut impl FnMut(Span)) {
        self.released.clear();
        for span in self.open.drain(..) {
            done(Span { ended: at.max(span.began), goes_on: true, ..span });
        }
    }
}

impl Span {
    fn is_same(&self, other: &Self) -> bool {
        let is_same_kind = match (&self.kind, &other.kind) {
            (SpanKind::Hold(lock), SpanKind::Hold(other)) => lock == other,
            (SpanKind::MayWait, SpanKind::MayWait) | (SpanKind::Pin, SpanKind::Pin) => true,
            (SpanKind::Finding(finding), SpanKind::Finding(other)) => {
                (finding.kind, finding.pid) == (other.kind, other.pid)
            }
            _ => false,
        };
        let pid = |span: &Self| span.who.as_ref().and_then(|who| who.pid);
        is_same_kind && self.database == other.database && pid(self) == pid(other)
    }

    fn severity(&self) -> Option<Severity> {
        match &self.kind {
            SpanKind::Finding(finding) => Some(finding.severity),
            _ => None,
        }
    }

    fn is_finding(&self, kind: FindingKind, pid: Option<i32>) -> bool {
        matches!(&self.kind, SpanKind::Finding(finding) if (finding.kind, finding.pid) == (kind, pid))
    }
}

/// What goes on in a sample.
fn lasting(database: &Database, path: &Rc<str>, line: &RecordingLine, redaction: Redaction) -> Vec<Span> {
    let at = line.stamp.at;
    let span = |kind, who, held_ms: Option<f64>| {
        let held = SignedDuration::try_from_secs_f64(held_ms.unwrap_or(0.0) / 1e3).unwrap_or_default();
        let began = at.checked_sub(held).unwrap_or(at);
        let (database, exact) = (Some(Rc::clone(path)), line.exact);
        Span { database, kind, who, began, ended: at, goes_on: true, exact }
    };
    let process = |pid: Option<i32>, label: &Option<String>| {
        Some(redaction.process(&RecordedProcess::of(database, pid, label.as_deref())))
    };
    let locks = &database.locks;
    let hold = |(lock, holder): (SampledLock, &Option<LockHolder>)| {
        let holder = holder.as_ref()?;
        Some(span(SpanKind::Hold(lock), process(holder.pid, &holder.label), holder.held_ms))
    };
    let holders = [
        (SampledLock::Write, &locks.writer),
        (SampledLock::Checkpoint, &locks.checkpointer),
        (SampledLock::Recover, &locks.recoverer),
    ];
    let readers = locks.pinning_readers(database.wal.as_ref());
    let pins = readers.map(|it| span(SpanKind::Pin, process(it.pid, &it.label), it.held_ms));
    let findings = database.findings.iter().map(|finding| {
        let who = subject(finding).map(|who| redaction.process(&who));
        span(SpanKind::Finding(Rc::new(redaction.finding(finding))), who, None)
    });
    holders.into_iter().filter_map(hold).chain(pins).chain(findings).collect()
}

fn subject(finding: &Finding) -> Option<RecordedProcess> {
    let name = finding.label.clone().unwrap_or_default();
    finding.pid.map(|pid| RecordedProcess { pid: Some(pid), start: None, name })
}
