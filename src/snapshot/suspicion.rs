//! What one sample shows against a process, before a second sample confirms it.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Process;

/// Time to the next sample if only the number of samples is too small, in milliseconds.
const NEXT_SAMPLE_MS: i64 = 250;

/// What a sample can show against a process, or against the files themselves.
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
    /// It reads a file that was replaced, and can write to none.
    OutdatedReader,
    /// It has the main file open, and neither the log nor a lock.
    UnreadLog,
    /// The files contradict each other.
    Contradiction,
    /// Page 1 is damaged.
    DamagedHeader,
    /// No process uses the log, and it may belong to another main file.
    DoubtfulLog,
    /// A journal has to be rolled back.
    HotJournal,
}

impl SuspicionKind {
    /// Whether it is about the content of the files, and not about a process.
    pub fn is_about_content(self) -> bool {
        matches!(self, Self::Contradiction | Self::DamagedHeader | Self::DoubtfulLog | Self::HotJournal)
    }

    /// The shortest time between the first and the last of the samples that confirm it, in milliseconds. It is longer
    /// for a process whose descriptors cannot be read, because only its locks show what it does.
    pub fn span_ms(self) -> i64 {
        match self {
            Self::UnprovenLog => 1000,
            _ => 500,
        }
    }

    /// How many consecutive samples confirm it. A connection that opens holds SHARED for a moment before byte 128:
    /// beside a program that connects a hundred times a second on a loaded machine, two samples of 96 met that moment
    /// four times.
    fn samples(self) -> u32 {
        match self {
            Self::UnprovenLog => 4,
            _ => 2,
        }
    }
}

/// A suspicion of a sample, and since when every complete sample has shown the same.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Suspicion {
    pub kind: SuspicionKind,
    /// The process; `None` if it is about the files, or about a process that is not visible from here.
    pub pid: Option<i32>,
    /// Its start in clock ticks since boot. A suspicion never passes to a process that reuses a PID.
    pub start_ticks: Option<u64>,
    /// The evidence. Only the same evidence confirms it.
    pub evidence: Vec<String>,
    /// The first of the consecutive samples that showed it.
    pub since: Timestamp,
    /// How much longer samples have to show it before it is confirmed, in milliseconds.
    pub remaining_ms: i64,
    /// How many consecutive samples have shown it.
    pub samples: u32,
}

impl Suspicion {
    /// A suspicion that the sample at `now` is the first to show.
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

    /// Copies its start from the same suspicion in `previous`, as of `now`.
    pub fn keep_start(&mut self, previous: &[Self], now: Timestamp) {
        if let Some(same) = previous.iter().find(|it| self.is_same(it)) {
            self.since = same.since.min(now);
            let seen = i64::try_from(now.duration_since(self.since).as_millis()).unwrap_or(i64::MAX);
            self.samples = same.samples.saturating_add(1);
            let missing = if self.samples < self.kind.samples() { NEXT_SAMPLE_MS } else { 0 };
            self.remaining_ms = self.kind.span_ms().saturating_sub(seen).max(missing);
        }
    }

    /// Whether `other` has the same subject and evidence.
    fn is_same(&self, other: &Self) -> bool {
        (self.kind, self.pid, self.start_ticks, &self.evidence)
            == (other.kind, other.pid, other.start_ticks, &other.evidence)
    }

    /// Whether it is about `process`, and not about another one that had its PID.
    pub fn is_against(&self, process: &Process) -> bool {
        self.pid == Some(process.pid) && self.start_ticks == process.start_ticks
    }

    /// Whether enough samples have shown it.
    pub fn is_confirmed(&self) -> bool {
        self.remaining_ms == 0
    }
}
