//! Who held the locks of a database at a moment in the past.

use std::{path::Path, rc::Rc};

use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    line::{GapReason, RecordedProcess, RecordingEvent, RecordingLine},
    reader::{Recording, RecordingError},
    redaction::Redaction,
    spans::{Span, SpanKind, SpanReader},
};
use crate::{
    history::SampledLock,
    snapshot::{Database, FindingKind, HolderActivity, LogReader, Severity},
    units,
};

/// The output of `waltop who`.
#[derive(Debug, Clone, JsonSchema, Serialize, Deserialize)]
pub struct WhoReport {
    pub at: Timestamp,
    /// How much time before and after it is reported, in ms.
    pub around_ms: f64,
    pub databases: Vec<WhoDatabase>,
}

/// One database at that moment.
#[derive(Debug, Clone, JsonSchema, Serialize, Deserialize)]
pub struct WhoDatabase {
    pub path: String,
    /// Why the moment was not watched; `None` if it was.
    pub unwatched: Option<UnwatchedTime>,
    /// The holds of a lock at that moment, the write lock's first.
    pub holds: Vec<PastHold>,
    /// The waits for the write lock at that moment.
    pub waits: Vec<PastWait>,
    /// The readers that kept frames in the log.
    pub pins: Vec<PastPin>,
    /// The readers of a database with a rollback journal: a commit waits until they have ended.
    #[serde(default)]
    pub readers: Vec<RecordedProcess>,
    pub findings: Vec<PastFinding>,
    /// The last hold of the write lock that ended before, within the time around.
    pub hold_before: Option<PastHold>,
    /// The first that began after it.
    pub hold_after: Option<PastHold>,
    /// The longest hold of the write lock in the time around.
    pub longest_hold: Option<PastHold>,
    /// Waits in the time around that ended without the lock.
    pub refused: Vec<PastWait>,
    /// Size of the log in bytes at the sample before.
    pub wal_bytes: Option<u64>,
    /// Its frames that were not checkpointed.
    pub pending_frames: Option<u32>,
}

/// A time that was not watched.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct UnwatchedTime {
    /// The last watched time before; `None` if there is none.
    pub from: Option<Timestamp>,
    /// The first watched time after.
    pub to: Option<Timestamp>,
    /// `None` if the recording does not say why.
    pub reason: Option<GapReason>,
}

/// A hold of a lock.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct PastHold {
    pub lock: SampledLock,
    pub process: RecordedProcess,
    pub began: Timestamp,
    /// `None` if it went on when the recording, or its watched time, ended.
    pub ended: Option<Timestamp>,
    /// Up to the last watched time if it went on.
    pub held_ms: f64,
    /// Whether the times are exact; otherwise it lasted at least that long.
    pub exact: bool,
    /// What the process did meanwhile, as the last snapshot of that time says; `None` if none says.
    pub activity: Option<HolderActivity>,
}

/// A wait for the write lock.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct PastWait {
    pub process: RecordedProcess,
    pub began: Timestamp,
    pub waited_ms: f64,
    /// Whether it is only possible that it waited.
    pub possible: bool,
    /// Whether it got the lock in the end; `None` if that is unknown.
    pub got: Option<bool>,
}

/// A reader that kept frames in the log.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct PastPin {
    pub process: RecordedProcess,
    pub began: Timestamp,
    /// How long it had done so at that moment, in ms: at least.
    pub pinned_ms: f64,
}

/// A finding of that time.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct PastFinding {
    pub kind: FindingKind,
    pub severity: Severity,
    pub pid: Option<i32>,
    pub message: String,
    pub began: Timestamp,
}

/// Without a line for this long, nothing was watched: a recorder writes one at least every 5 s.
pub const LONGEST_SILENCE: SignedDuration = SignedDuration::from_secs(15);

impl WhoReport {
    /// What `recording` says of `at` in each of `databases`, or in all of its databases if there are none.
    ///
    /// # Errors
    ///
    /// The recording cannot be read.
    pub fn new(
        recording: &Recording,
        at: Timestamp,
        around: SignedDuration,
        databases: &[&Path],
        redaction: Redaction,
    ) -> Result<Self, RecordingError> {
        let mut past = Past { redaction, ..Past::default() };
        let reach = around.max(LONGEST_SILENCE);
        let (from, to) = reached(at, reach);
        let (mut spans, mut reader) = (Vec::new(), SpanReader::new(redaction));
        let mut done = |span| spans.push(span);
        recording.for_each(from, to, |frame| {
            past.databases(&frame.header.databases);
            for line in frame.lines() {
                reader.add(&line, &mut done);
                past.add(line, at);
            }
            Ok::<_, RecordingError>(())
        })?;
        reader.finish(&mut done);
        if let Some((first, last)) =
            recording.span()?.filter(|_| past.before.is_none() && past.after.is_none())
        {
            (past.before, past.after) = (Some(last).filter(|it| *it < at), Some(first).filter(|it| *it > at));
        }
        let is_asked = |path: &Rc<str>| databases.is_empty() || databases.contains(&Path::new(&**path));
        let known = past.paths.iter().filter(|path| is_asked(path));
        let mut reports: Vec<_> = known.map(|path| past.report(path, &spans, at, around)).collect();
        // What was asked for and not recorded then was not watched.
        let asked: Vec<String> = if databases.is_empty() {
            recording.databases().to_vec()
        } else {
            databases.iter().map(|path| path.to_string_lossy().into_owned()).collect()
        };
        for path in asked {
            if !reports.iter().any(|report| report.path == path) {
                reports.push(WhoDatabase::unknown(path, past.before, past.after));
            }
        }
        Ok(Self { at, around_ms: units::milliseconds(around.unsigned_abs()), databases: reports })
    }

    /// 0 if each database was watched at that moment, else 2.
    pub fn exit(&self) -> u8 {
        let is_answered =
            self.databases.iter().all(|it| it.unwatched.is_none()) && !self.databases.is_empty();
        if is_answered { 0 } else { 2 }
    }
}

impl WhoDatabase {
    fn unknown(path: String, from: Option<Timestamp>, to: Option<Timestamp>) -> Self {
        Self {
            path,
            unwatched: Some(UnwatchedTime { from, to, reason: None }),
            holds: Vec::new(),
            waits: Vec::new(),
            pins: Vec::new(),
            readers: Vec::new(),
            findings: Vec::new(),
            hold_before: None,
            hold_after: None,
            longest_hold: None,
            refused: Vec::new(),
            wal_bytes: None,
            pending_frames: None,
        }
    }
}

/// What the lines around a moment say beside their spans.
#[derive(Debug, Default)]
struct Past {
    redaction: Redaction,
    paths: Vec<Rc<str>>,
    /// The last line before the moment, and the first one after it.
    before: Option<Timestamp>,
    after: Option<Timestamp>,
    /// Of the last snapshot before it: path, size of the log, frames that are not moved.
    logs: Vec<(Rc<str>, Option<u64>, Option<u32>)>,
    /// The readers without a log of that snapshot, and those that a later one has seen since before the moment.
    readers: Vec<(Rc<str>, RecordedProcess)>,
    activities: Vec<(Rc<str>, i32, Timestamp, HolderActivity)>,
}

impl Past {
    fn databases(&mut self, paths: &[String]) {
        for path in paths {
            if !self.paths.iter().any(|known| **known == **path) {
                self.paths.push(Rc::from(path.as_str()));
            }
        }
    }

    fn add(&mut self, line: RecordingLine, at: Timestamp) {
        let written = line.stamp.at;
        if written <= at {
            self.before = self.before.max(Some(written));
        } else {
            self.after = Some(self.after.map_or(written, |after| after.min(written)));
        }
        let RecordingEvent::Snapshot { snapshot } = line.event else { return };
        if written <= at || self.logs.is_empty() {
            self.logs = snapshot.databases.iter().map(log).collect();
        }
        if written <= at {
            self.readers.clear();
        }
        for database in &snapshot.databases {
            self.add_readers(database, written, at);
        }
        for database in snapshot.databases {
            let path: Rc<str> = Rc::from(database.path.to_string_lossy());
            let seen = database.processes.into_iter();
            let activities = seen.filter_map(|it| Some((Rc::clone(&path), it.pid, written, it.activity?)));
            self.activities.extend(activities);
        }
    }

    fn add_readers(&mut self, database: &Database, written: Timestamp, at: Timestamp) {
        let was_there = |reader: &&LogReader| {
            let held = SignedDuration::try_from_secs_f64(reader.held_ms.unwrap_or(0.0) / 1e3);
            let since = held.ok().and_then(|held| written.checked_sub(held).ok());
            reader.slot.is_none() && since.is_some_and(|since| since <= at)
        };
        let path: Rc<str> = Rc::from(database.path.to_string_lossy());
        for reader in database.locks.readers.iter().filter(was_there) {
            let process = RecordedProcess::of(database, reader.pid, reader.label.as_deref());
            let reader = (Rc::clone(&path), self.redaction.process(&process));
            if !self.readers.contains(&reader) {
                self.readers.push(reader);
            }
        }
    }

    fn report(&self, path: &Rc<str>, spans: &[Span], at: Timestamp, around: SignedDuration) -> WhoDatabase {
        let is_its = |span: &&Span| span.database.as_ref().is_none_or(|it| it == path);
        let spans: Vec<&Span> = spans.iter().filter(is_its).collect();
        let then = || spans.iter().copied().filter(|span| span.overlaps(at, at));
        let (from, to) = reached(at, around);
        let nearby = || spans.iter().copied().filter(move |span| span.overlaps(from, to));
        let hold = |span: &&Span| self.hold(span, path);
        let mut holds: Vec<_> = then().filter_map(|span| hold(&span)).collect();
        holds.sort_by_key(|hold| (hold.lock, hold.began));
        let writes = || nearby().filter(|span| span.is_write_hold());
        let log = self.logs.iter().find(|(known, ..)| known == path);
        WhoDatabase {
            path: path.to_string(),
            unwatched: self.unwatched(&spans, at),
            holds,
            waits: then().filter_map(wait).collect(),
            pins: then().filter_map(|span| pin(span, at)).collect(),
            readers: self
                .readers
                .iter()
                .filter(|(known, _)| known == path)
                .map(|(_, it)| it.clone())
                .collect(),
            findings: then().filter_map(finding).collect(),
            hold_before: writes()
                .filter(|it| it.ended < at)
                .max_by_key(|it| it.ended)
                .as_ref()
                .and_then(hold),
            hold_after: writes().filter(|it| it.began > at).min_by_key(|it| it.began).as_ref().and_then(hold),
            longest_hold: writes().max_by(|a, b| a.ms().total_cmp(&b.ms())).as_ref().and_then(hold),
            refused: nearby().filter_map(wait).filter(|wait| wait.got == Some(false)).collect(),
            wal_bytes: log.and_then(|(_, bytes, _)| *bytes),
            pending_frames: log.and_then(|(_, _, pending)| *pending),
        }
    }

    fn unwatched(&self, spans: &[&Span], at: Timestamp) -> Option<UnwatchedTime> {
        let gap = spans.iter().find_map(|span| match span.kind {
            SpanKind::Gap(reason) if span.overlaps(at, at) => Some((span, reason)),
            _ => None,
        });
        if let Some((span, reason)) = gap {
            return Some(UnwatchedTime {
                from: Some(span.began),
                to: Some(span.ended),
                reason: Some(reason),
            });
        }
        let is_watched = self
            .before
            .zip(self.after)
            .is_some_and(|(before, after)| after.duration_since(before) <= LONGEST_SILENCE);
        (!is_watched).then_some(UnwatchedTime { from: self.before, to: self.after, reason: None })
    }

    fn hold(&self, span: &Span, path: &Rc<str>) -> Option<PastHold> {
        let hold = PastHold::of(span)?;
        let during = |(database, pid, at, _): &&(Rc<str>, i32, Timestamp, HolderActivity)| {
            database == path && Some(*pid) == hold.process.pid && span.overlaps(*at, *at)
        };
        let activity = self.activities.iter().rev().find(during).map(|(.., activity)| activity.clone());
        Some(PastHold { activity, ..hold })
    }
}

impl PastHold {
    /// The hold that `span` is; `None` if it is something else.
    pub fn of(span: &Span) -> Option<Self> {
        let SpanKind::Hold(lock) = span.kind else { return None };
        Some(Self {
            lock,
            process: span.who.clone()?,
            began: span.began,
            ended: (!span.goes_on).then_some(span.ended),
            held_ms: span.ms(),
            exact: span.exact && !span.goes_on,
            activity: None,
        })
    }
}

// The times that far before and after `at`.
fn reached(at: Timestamp, around: SignedDuration) -> (Timestamp, Timestamp) {
    (at.checked_sub(around).unwrap_or(at), at.checked_add(around).unwrap_or(at))
}

// Path, size of the log in bytes, and its frames that are not checkpointed.
fn log(database: &Database) -> (Rc<str>, Option<u64>, Option<u32>) {
    let bytes = database.files.wal.as_ref().map(|file| file.bytes);
    let pending = database.wal.as_ref().and_then(|wal| wal.pending);
    (Rc::from(database.path.to_string_lossy()), bytes, pending)
}

fn wait(span: &Span) -> Option<PastWait> {
    let (possible, got) = match span.kind {
        SpanKind::Wait { got } => (false, Some(got)),
        SpanKind::MayWait => (true, None),
        _ => return None,
    };
    Some(PastWait { process: span.who.clone()?, began: span.began, waited_ms: span.ms(), possible, got })
}

fn pin(span: &Span, at: Timestamp) -> Option<PastPin> {
    let process = span.who.clone().filter(|_| matches!(span.kind, SpanKind::Pin))?;
    let pinned = at.duration_since(span.began).unsigned_abs();
    Some(PastPin { process, began: span.began, pinned_ms: units::milliseconds(pinned) })
}

fn finding(span: &Span) -> Option<PastFinding> {
    let SpanKind::Finding(finding) = &span.kind else { return None };
    Some(PastFinding {
        kind: finding.kind,
        severity: finding.severity,
        pid: finding.pid,
        message: finding.message.clone(),
        began: span.began,
    })
}
