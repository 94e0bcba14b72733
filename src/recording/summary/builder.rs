//! Counts the spans and lines of a recording.

use std::{
    collections::{HashMap, VecDeque},
    rc::Rc,
};

use jiff::Timestamp;

use super::{
    super::{
        line::{LogLine, RecordedProcess, RecordingEvent, RecordingLine},
        reader::RecordedFrame,
        redaction::Redaction,
        spans::{Span, SpanKind, SpanReader},
        strip::HeldStrips,
        who::PastHold,
    },
    DatabaseSummary, FindingSummary, IngestionSummary, LogSummary, PastGap, ProcessSummary, RecordingSummary,
    WaitSummary,
};
use crate::{
    history::SampledLock,
    snapshot::{Finding, FindingKind},
};

/// How many of the longest holds are reported.
const LONGEST: usize = 10;
/// How many names, or pairs of names, are counted apart; the others are left out of the tables.
const MOST_NAMES: usize = 1000;
/// Recent holds in which the holder of a wait is looked for.
const RECENT: usize = 256;

/// What has been counted up to a line.
pub struct SummaryBuilder {
    from: Timestamp,
    to: Timestamp,
    reader: SpanReader,
    recorded: Option<(Timestamp, Timestamp)>,
    databases: Vec<DatabaseBuilder>,
    gaps: Vec<PastGap>,
}

struct DatabaseBuilder {
    path: Rc<str>,
    holds: u64,
    held_ms: f64,
    longest: Vec<PastHold>,
    names: HashMap<String, (ProcessSummary, Vec<i32>)>,
    recent: VecDeque<Span>,
    checkpoints: u64,
    longest_checkpoint_ms: f64,
    waits: HashMap<(String, Option<String>), WaitSummary>,
    log: LogSummary,
    findings: HashMap<FindingKind, FindingSummary>,
    /// When the last span of a finding ended, and its length in ms with those that it continues.
    finding_ends: HashMap<(FindingKind, Option<i32>), (Timestamp, f64)>,
    ingestion: IngestionSummary,
    runs: Vec<String>,
    strips: HeldStrips,
}

impl SummaryBuilder {
    pub fn new(from: Timestamp, to: Timestamp, redaction: Redaction) -> Self {
        let (reader, databases, gaps) = (SpanReader::new(redaction), Vec::new(), Vec::new());
        Self { from, to, reader, recorded: None, databases, gaps }
    }

    pub fn add_frame(&mut self, frame: &RecordedFrame) {
        let (from, to, mut done) = (self.from, self.to, Vec::new());
        let is_header = |line: &RecordingLine| matches!(line.event, RecordingEvent::Header(_));
        for line in frame.events().filter(|line| line.stamp.at <= to || is_header(line)) {
            self.reader.add(&line, &mut |span| done.push(span));
            for span in done.drain(..) {
                let is_wait = matches!(span.kind, SpanKind::Wait { .. });
                let path = span.database.as_ref().filter(|_| is_wait);
                let open = path.and_then(|path| self.reader.open_write_hold(path)).cloned();
                self.add_span(&span, open.as_ref());
            }
            self.add_line(&line, &frame.header.databases);
        }
        // Of most snapshots nothing else is read.
        frame.logs().filter(|line| (from..=to).contains(&line.at)).for_each(|line| self.add_log(&line));
    }

    /// The summary of the databases that `is_asked` names.
    pub fn finish(mut self, is_asked: impl Fn(&str) -> bool) -> RecordingSummary {
        let reader = std::mem::take(&mut self.reader);
        reader.finish(&mut |span| self.add_span(&span, None));
        let asked = self.databases.into_iter().filter(|it| is_asked(&it.path));
        let databases = asked.map(DatabaseBuilder::summary).collect();
        let Self { from, to, recorded, gaps, .. } = self;
        RecordingSummary { from, to, recorded, databases, gaps }
    }

    fn database(&mut self, path: &str) -> &mut DatabaseBuilder {
        let known = self.databases.iter().position(|it| &*it.path == path);
        let index = known.unwrap_or_else(|| {
            self.databases.push(DatabaseBuilder::new(path, self.from, self.to));
            self.databases.len() - 1
        });
        &mut self.databases[index]
    }

    // `open` is the hold of the write lock of the same database that goes on beside a wait.
    fn add_span(&mut self, span: &Span, open: Option<&Span>) {
        if !span.overlaps(self.from, self.to) {
            return;
        }
        if let SpanKind::Gap(reason) = span.kind {
            self.gaps.push(PastGap { from: span.began, to: span.ended, reason });
        }
        if let Some(path) = span.database.clone() {
            let watched_from = self.recorded.map_or(self.from, |(first, _)| first);
            let counted = (watched_from.max(self.from), self.to);
            self.database(&path).add(span, counted, open);
        }
    }

    fn add_line(&mut self, line: &RecordingLine, databases: &[String]) {
        let at = line.stamp.at;
        if (self.from..=self.to).contains(&at) && !line.event.is_beginning() {
            self.was_recorded(at);
        }
        if let RecordingEvent::Batch { run, batch, .. } = &line.event
            && let Some(path) = line.db.and_then(|index| databases.get(index))
        {
            let database = self.database(path);
            if !database.runs.contains(run) && database.runs.len() < MOST_NAMES {
                database.runs.push(run.clone());
            }
            let ingestion = &mut database.ingestion;
            ingestion.batches += 1;
            ingestion.files += batch.files;
            ingestion.longest_hold_ms = ingestion.longest_hold_ms.max(batch.hold_ms);
        }
    }

    fn was_recorded(&mut self, at: Timestamp) {
        let (first, last) = self.recorded.unwrap_or((at, at));
        self.recorded = Some((first.min(at), last.max(at)));
    }

    fn add_log(&mut self, line: &LogLine) {
        let at = line.at;
        self.was_recorded(at);
        for database in &line.snapshot.databases {
            let bytes = database.files.wal.as_ref().map_or(0, |file| file.bytes);
            let log = &mut self.database(&database.path.to_string_lossy()).log;
            log.first_bytes.get_or_insert(bytes);
            log.last_bytes = Some(bytes);
            if log.largest_bytes.is_none_or(|largest| bytes > largest) {
                (log.largest_bytes, log.largest_at) = (Some(bytes), Some(at));
            }
            log.sizes.push((at, bytes));
        }
    }
}

impl DatabaseBuilder {
    fn new(path: &str, from: Timestamp, to: Timestamp) -> Self {
        Self {
            path: Rc::from(path),
            holds: 0,
            held_ms: 0.0,
            longest: Vec::new(),
            names: HashMap::new(),
            recent: VecDeque::new(),
            checkpoints: 0,
            longest_checkpoint_ms: 0.0,
            waits: HashMap::new(),
            log: LogSummary::default(),
            findings: HashMap::new(),
            finding_ends: HashMap::new(),
            ingestion: IngestionSummary::default(),
            runs: Vec::new(),
            strips: HeldStrips::new(from, to),
        }
    }

    // What lies between the two times of `counted` adds to the sums.
    fn add(&mut self, span: &Span, counted: (Timestamp, Timestamp), open: Option<&Span>) {
        match &span.kind {
            SpanKind::Hold(SampledLock::Write) => self.add_hold(span, span.ms_within(counted)),
            SpanKind::Hold(SampledLock::Checkpoint) => {
                self.checkpoints += 1;
                self.longest_checkpoint_ms = self.longest_checkpoint_ms.max(span.ms());
            }
            SpanKind::Wait { got } => self.add_wait(span, *got, open),
            SpanKind::Finding(finding) => self.add_finding(span, finding, span.ms_within(counted)),
            SpanKind::Hold(SampledLock::Recover) | SpanKind::MayWait | SpanKind::Pin | SpanKind::Gap(_) => {}
        }
    }

    fn add_finding(&mut self, span: &Span, finding: &Finding, counted_ms: f64) {
        let entry = self.findings.entry(finding.kind).or_insert_with(|| FindingSummary {
            kind: finding.kind,
            severity: finding.severity,
            times: 0,
            total_ms: 0.0,
            longest_ms: -1.0,
            message: String::new(),
        });
        // A finding whose severity changed goes on.
        let subject = (finding.kind, finding.pid);
        let before = self.finding_ends.get(&subject).filter(|(ended, _)| *ended == span.began);
        let length = before.map_or(0.0, |(_, ms)| *ms) + span.ms();
        entry.times += u64::from(before.is_none());
        if self.finding_ends.len() < MOST_NAMES || self.finding_ends.contains_key(&subject) {
            self.finding_ends.insert(subject, (span.ended, length));
        }
        entry.severity = entry.severity.max(finding.severity);
        entry.total_ms += counted_ms;
        if length > entry.longest_ms {
            entry.longest_ms = length;
            entry.message.clone_from(&finding.message);
        }
    }

    fn add_hold(&mut self, span: &Span, counted_ms: f64) {
        self.holds += 1;
        self.held_ms += counted_ms;
        let name = name_of(span.who.as_ref());
        self.strips.add(&name, span.began, span.ended);
        if !self.names.contains_key(&name) && self.names.len() < MOST_NAMES {
            let (processes, holds, held_ms, longest_ms) = (0, 0, 0.0, 0.0);
            let summary = ProcessSummary { name: name.clone(), processes, holds, held_ms, longest_ms };
            self.names.insert(name.clone(), (summary, Vec::new()));
        }
        if let Some((summary, pids)) = self.names.get_mut(&name) {
            summary.holds += 1;
            summary.held_ms += counted_ms;
            summary.longest_ms = summary.longest_ms.max(span.ms());
            if let Some(pid) = span.who.as_ref().and_then(|who| who.pid)
                && !pids.contains(&pid)
                && pids.len() < MOST_NAMES
            {
                pids.push(pid);
                summary.processes += 1;
            }
        }
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(span.clone());
        let is_long = self.longest.last().is_none_or(|last| span.ms() > last.held_ms);
        if (is_long || self.longest.len() < LONGEST)
            && let Some(hold) = PastHold::of(span)
        {
            let place = self.longest.partition_point(|it| it.held_ms >= hold.held_ms);
            self.longest.insert(place, hold);
            self.longest.truncate(LONGEST);
        }
    }

    fn add_wait(&mut self, span: &Span, got: bool, open: Option<&Span>) {
        let victim = name_of(span.who.as_ref());
        let holder = self.holder_during(span, open);
        let key = (victim.clone(), holder.clone());
        if self.waits.len() >= MOST_NAMES && !self.waits.contains_key(&key) {
            return;
        }
        let entry = self.waits.entry(key).or_insert(WaitSummary {
            victim,
            holder,
            waits: 0,
            waited_ms: 0.0,
            longest_ms: 0.0,
            gave_up: 0,
        });
        entry.waits += 1;
        entry.waited_ms += span.ms();
        entry.longest_ms = entry.longest_ms.max(span.ms());
        entry.gave_up += u64::from(!got);
    }

    // The one that held the lock for most of a wait.
    fn holder_during(&self, wait: &Span, open: Option<&Span>) -> Option<String> {
        let overlap = |hold: &&Span| {
            let from = hold.began.max(wait.began);
            let to = hold.ended.max(hold.began).min(wait.ended);
            to.duration_since(from).as_nanos()
        };
        let open = open.map(|hold| Span { ended: wait.ended, ..hold.clone() });
        let held = self
            .recent
            .iter()
            .chain(&open)
            .filter(|hold| hold.overlaps(wait.began, wait.ended) && hold.who != wait.who);
        let most = held.max_by_key(overlap)?;
        Some(name_of(most.who.as_ref()))
    }

    fn summary(self) -> DatabaseSummary {
        let mut by_process: Vec<_> = self.names.into_values().map(|(summary, _)| summary).collect();
        by_process.sort_by(|a, b| b.held_ms.total_cmp(&a.held_ms).then_with(|| a.name.cmp(&b.name)));
        let mut waits: Vec<_> = self.waits.into_values().collect();
        waits.sort_by(|a, b| b.waited_ms.total_cmp(&a.waited_ms).then_with(|| a.victim.cmp(&b.victim)));
        let mut findings: Vec<_> = self.findings.into_values().collect();
        findings.sort_by(|a, b| {
            b.severity.cmp(&a.severity).then(b.total_ms.total_cmp(&a.total_ms)).then(a.kind.cmp(&b.kind))
        });
        let ingestion = IngestionSummary { runs: self.runs.len() as u64, ..self.ingestion };
        DatabaseSummary {
            path: self.path.to_string(),
            holds: self.holds,
            held_ms: self.held_ms,
            longest: self.longest,
            by_process,
            checkpoints: self.checkpoints,
            longest_checkpoint_ms: self.longest_checkpoint_ms,
            waits,
            log: self.log,
            findings,
            ingestion,
            strips: self.strips,
        }
    }
}

/// What a table calls a process: its name, or its PID if it has none.
fn name_of(who: Option<&RecordedProcess>) -> String {
    match who {
        None => "a process that is not visible".to_owned(),
        Some(who) if who.name.is_empty() => who.to_string(),
        Some(who) => who.name.clone(),
    }
}
