//! What one sample says against a process, before a second sample confirms it.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Process;

/// Time to the next sample where only their number is short, in milliseconds.
const NEXT_SAMPLE_MS: i64 = 250;

/// What a sample can say against a process, or against the files themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SuspicionKind {
    /// It has a deleted, replaced or moved file of the database open.
    ReplacedFile,
    /// It has the current log or index open, and no descriptor on the current main file.
    LogWithoutMain,
    /// It has the main file open under another name, with the log and index of that name.
    OtherLog,
    /// It holds SHARED on the main file, and no lock on byte 128 of this `-shm`; its descriptors cannot be read.
    UnprovenLog,
    /// It maps the index, and no lock of it covers byte 128.
    LostIndexLock,
    /// It maps the index and holds byte 128, and no lock of it overlaps the SHARED bytes of the main file.
    LostMainLock,
    /// It uses a connection that a related process opened before a fork.
    ForkedConnection,
    /// It reads a file that was replaced, and can write to nothing.
    OutdatedReader,
    /// The files contradict each other.
    Contradiction,
    /// Page 1 is damaged.
    DamagedHeader,
    /// No process uses the log, and the main file may be another than its own.
    DoubtfulLog,
    /// A journal waits to be rolled back.
    HotJournal,
}

impl SuspicionKind {
    /// Whether it is about the bytes of the files, and not about a process.
    pub fn is_about_content(self) -> bool {
        matches!(self, Self::Contradiction | Self::DamagedHeader | Self::DoubtfulLog | Self::HotJournal)
    }

    /// How far apart the first and the last of the samples are at least that confirm it, in milliseconds. A process whose
    /// descriptors cannot be read is judged by its locks alone, so that takes longer.
    pub fn span_ms(self) -> i64 {
        match self {
            Self::UnprovenLog => 1000,
            _ => 500,
        }
    }

    /// How many samples in a row confirm it. A connection that opens holds SHARED for a moment before byte 128: beside a
    /// program that connects a hundred times a second on a loaded machine, two samples of 96 met that moment four times.
    fn samples(self) -> u32 {
        match self {
            Self::UnprovenLog => 4,
            _ => 2,
        }
    }
}

/// Something that a sample says, and since when every complete sample has said the same.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Suspicion {
    pub kind: SuspicionKind,
    /// The process; `None` where it is about the files, or about a process that cannot be seen from here.
    pub pid: Option<i32>,
    /// Its start in clock ticks since boot. A suspicion never passes to a process that takes over a PID.
    pub start_ticks: Option<u64>,
    /// What was seen. Only the same evidence confirms it.
    pub evidence: Vec<String>,
    /// The first of the samples in a row that saw it.
    pub since: Timestamp,
    /// For how much longer samples have to see it before it is confirmed, in milliseconds.
    pub remaining_ms: i64,
    /// How many samples in a row have seen it.
    pub samples: u32,
}

impl Suspicion {
    /// One that the sample at `now` is the first to see.
    pub fn new(
        kind: SuspicionKind,
        process: Option<&Process>,
        evidence: Vec<String>,
        now: Timestamp,
    ) -> Self {
        Self {
            kind,
            pid: process.map(|process| process.pid),
            start_ticks: process.and_then(|process| process.start_ticks),
            evidence,
            since: now,
            remaining_ms: kind.span_ms(),
            samples: 1,
        }
    }

    /// Takes over since when it has been seen from `previous`, where that is the same, as of `now`.
    pub fn keep_start(&mut self, previous: &[Self], now: Timestamp) {
        if let Some(same) = previous.iter().find(|it| self.is_same(it)) {
            self.since = same.since.min(now);
            let seen = i64::try_from(now.duration_since(self.since).as_millis()).unwrap_or(i64::MAX);
            self.samples = same.samples.saturating_add(1);
            let missing = if self.samples < self.kind.samples() { NEXT_SAMPLE_MS } else { 0 };
            self.remaining_ms = self.kind.span_ms().saturating_sub(seen).max(missing);
        }
    }

    /// Whether `other` is about the same subject, with the same evidence.
    fn is_same(&self, other: &Self) -> bool {
        (self.kind, self.pid, self.start_ticks, &self.evidence)
            == (other.kind, other.pid, other.start_ticks, &other.evidence)
    }

    /// Whether it is about `process`, and not about another that had its PID.
    pub fn is_against(&self, process: &Process) -> bool {
        self.pid == Some(process.pid) && self.start_ticks == process.start_ticks
    }

    /// Whether enough samples have seen it.
    pub fn is_confirmed(&self) -> bool {
        self.remaining_ms == 0
    }
}
