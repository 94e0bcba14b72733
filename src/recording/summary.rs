//! What a recording says of a longer time: the output of `waltop report`.

use std::{
    collections::{HashMap, VecDeque},
    path::Path,
    rc::Rc,
};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    line::{GapReason, RecordedProcess, RecordingEvent, RecordingLine},
    reader::{Recording, RecordingError},
    spans::{Span, SpanKind, SpanReader},
    strip::HeldStrips,
    who::PastHold,
};
use crate::{
    history::SampledLock,
    snapshot::{FindingKind, Severity, Snapshot},
    units,
};

/// The output of `waltop report`.
#[derive(Debug, Clone, JsonSchema, Serialize, Deserialize)]
pub struct RecordingSummary {
    pub from: Timestamp,
    pub to: Timestamp,
    /// The first and the last line in that time; `None` if there is none.
    pub recorded: Option<(Timestamp, Timestamp)>,
    pub databases: Vec<DatabaseSummary>,
    /// The times that were not watched, the oldest first.
    pub gaps: Vec<PastGap>,
}

/// A time that was not watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct PastGap {
    pub from: Timestamp,
    pub to: Timestamp,
    pub reason: GapReason,
}

/// One database in that time.
#[derive(Debug, Clone, JsonSchema, Serialize, Deserialize)]
pub struct DatabaseSummary {
    pub path: String,
    /// Holds of the write lock.
    pub holds: u64,
    /// Their sum in ms.
    pub held_ms: f64,
    /// The longest, the longest first.
    pub longest: Vec<PastHold>,
    /// The same by process name, most time first.
    pub by_process: Vec<ProcessSummary>,
    pub checkpoints: u64,
    /// The longest checkpoint in ms.
    pub longest_checkpoint_ms: f64,
    /// Waits for the write lock by victim and holder, most time first.
    pub waits: Vec<WaitSummary>,
    pub log: LogSummary,
    /// The findings, the worst and longest first.
    pub findings: Vec<FindingSummary>,
    pub ingestion: IngestionSummary,
    /// For drawing.
    #[serde(skip)]
    pub strips: HeldStrips,
}

/// The holds of the processes with one name.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct ProcessSummary {
    pub name: String,
    /// How many processes had it.
    pub processes: u64,
    pub holds: u64,
    pub held_ms: f64,
    pub longest_ms: f64,
}

/// The waits of the processes with one name for those with another one.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct WaitSummary {
    pub victim: String,
    /// `None` if no recorded hold overlaps the waits.
    pub holder: Option<String>,
    pub waits: u64,
    pub waited_ms: f64,
    pub longest_ms: f64,
    /// Waits that ended without the lock.
    pub gave_up: u64,
}

/// The size of the log, from a sample a minute.
#[derive(Debug, Clone, Default, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct LogSummary {
    pub first_bytes: Option<u64>,
    pub last_bytes: Option<u64>,
    pub largest_bytes: Option<u64>,
    pub largest_at: Option<Timestamp>,
    /// For drawing.
    #[serde(skip)]
    pub sizes: Vec<(Timestamp, u64)>,
}

/// The findings of one kind.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct FindingSummary {
    pub kind: FindingKind,
    /// The worst.
    pub severity: Severity,
    pub times: u64,
    /// How long it was there in all, in ms.
    pub total_ms: f64,
    /// The longest in ms, and its message.
    pub longest_ms: f64,
    pub message: String,
}

/// What waltop's ingestions committed.
#[derive(Debug, Clone, Default, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct IngestionSummary {
    pub runs: u64,
    pub batches: u64,
    pub files: u64,
    pub longest_hold_ms: f64,
}

/// How many of the longest holds are reported.
const LONGEST: usize = 10;
/// How many names, or pairs of names, are counted apart; the others are left out of the tables.
const MOST_NAMES: usize = 1000;
/// Recent holds in which the holder of a wait is looked for.
const RECENT: usize = 256;

impl RecordingSummary {
    /// What `recording` says of the time between `from` and `to`, of each of `databases` or of all if there are none.
    ///
    /// # Errors
    ///
    /// The recording cannot be read.
    pub fn new(
        recording: &Recording,
        from: Timestamp,
        to: Timestamp,
        databases: &[&Path],
    ) -> Result<Self, RecordingError> {
        let mut counted =
            SummaryBuilder { from, to, recorded: None, databases: Vec::new(), gaps: Vec::new() };
        let (mut reader, mut done) = (SpanReader::default(), Vec::new());
        recording.for_each(from, to, |frame| {
            let is_header = |line: &RecordingLine| matches!(line.event, RecordingEvent::Header(_));
            for line in frame.events().filter(|line| line.stamp.at <= to || is_header(line)) {
                reader.add(&line, &mut |span| done.push(span));
                for span in done.drain(..) {
                    let open = span.database.as_ref().and_then(|path| reader.open_write_hold(path));
                    counted.add_span(&span, open);
                }
                counted.add_line(&line, &frame.header.databases);
            }
            Ok::<_, RecordingError>(())
        })?;
        reader.finish(&mut |span| counted.add_span(&span, None));
        let is_asked = |path: &str| databases.is_empty() || databases.contains(&Path::new(path));
        let built = counted.databases.into_iter().filter(|it| is_asked(&it.path));
        let databases = built.map(DatabaseBuilder::summary).collect();
        Ok(Self { from, to, recorded: counted.recorded, databases, gaps: counted.gaps })
    }
}

struct SummaryBuilder {
    from: Timestamp,
    to: Timestamp,
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
    ingestion: IngestionSummary,
    runs: Vec<String>,
    strips: HeldStrips,
}

impl SummaryBuilder {
    fn database(&mut self, path: &str) -> &mut DatabaseBuilder {
        let known = self.databases.iter().position(|it| &*it.path == path);
        let index = known.unwrap_or_else(|| {
            self.databases.push(DatabaseBuilder::new(path, self.from, self.to));
            self.databases.len() - 1
        });
        &mut self.databases[index]
    }

    // `open` is the hold of the write lock of the same database that goes on.
    fn add_span(&mut self, span: &Span, open: Option<&Span>) {
        if !span.overlaps(self.from, self.to) {
            return;
        }
        if let SpanKind::Gap(reason) = span.kind {
            self.gaps.push(PastGap { from: span.began, to: span.ended, reason });
        }
        if let Some(path) = span.database.clone() {
            self.database(&path).add(span, open);
        }
    }

    fn add_line(&mut self, line: &RecordingLine, databases: &[String]) {
        let at = line.stamp.at;
        if (self.from..=self.to).contains(&at) {
            let (first, last) = self.recorded.unwrap_or((at, at));
            self.recorded = Some((first.min(at), last.max(at)));
        }
        match &line.event {
            RecordingEvent::Snapshot { snapshot } => self.add_sizes(line.stamp.at, snapshot),
            RecordingEvent::Batch { run, batch, .. } => {
                if let Some(path) = line.db.and_then(|index| databases.get(index)) {
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
            _ => {}
        }
    }

    fn add_sizes(&mut self, at: Timestamp, snapshot: &Snapshot) {
        for database in &snapshot.databases {
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
            ingestion: IngestionSummary::default(),
            runs: Vec::new(),
            strips: HeldStrips::new(from, to),
        }
    }

    fn add(&mut self, span: &Span, open: Option<&Span>) {
        match &span.kind {
            SpanKind::Hold(SampledLock::Write) => self.add_hold(span),
            SpanKind::Hold(SampledLock::Checkpoint) => {
                self.checkpoints += 1;
                self.longest_checkpoint_ms = self.longest_checkpoint_ms.max(span.ms());
            }
            SpanKind::Wait { got } => self.add_wait(span, *got, open),
            SpanKind::Finding(finding) => {
                let entry = self.findings.entry(finding.kind).or_insert_with(|| FindingSummary {
                    kind: finding.kind,
                    severity: finding.severity,
                    times: 0,
                    total_ms: 0.0,
                    longest_ms: -1.0,
                    message: String::new(),
                });
                entry.severity = entry.severity.max(finding.severity);
                entry.times += 1;
                entry.total_ms += span.ms();
                if span.ms() > entry.longest_ms {
                    entry.longest_ms = span.ms();
                    entry.message.clone_from(&finding.message);
                }
            }
            SpanKind::Hold(SampledLock::Recover) | SpanKind::MayWait | SpanKind::Pin | SpanKind::Gap(_) => {}
        }
    }

    fn add_hold(&mut self, span: &Span) {
        self.holds += 1;
        self.held_ms += span.ms();
        let name = name_of(span.who.as_ref());
        self.strips.add(&name, span.began, span.ended);
        if self.names.len() < MOST_NAMES || self.names.contains_key(&name) {
            let (summary, pids) = self.names.entry(name.clone()).or_insert_with(|| {
                let (processes, holds, held_ms, longest_ms) = (0, 0, 0.0, 0.0);
                (ProcessSummary { name, processes, holds, held_ms, longest_ms }, Vec::new())
            });
            summary.holds += 1;
            summary.held_ms += span.ms();
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

impl RecordingSummary {
    /// How much of its time was watched, in ms.
    pub fn watched_ms(&self) -> f64 {
        let Some((first, last)) = self.recorded else { return 0.0 };
        let length = |from: Timestamp, to: Timestamp| {
            let (from, to) = (from.max(first), to.min(last));
            units::milliseconds(to.duration_since(from).try_into().unwrap_or_default())
        };
        length(first, last) - self.gaps.iter().map(|gap| length(gap.from, gap.to)).sum::<f64>()
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
