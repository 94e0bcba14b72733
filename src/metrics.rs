//! Metrics: the samples of a monitor as numbers, in the text formats that Prometheus scrapes.
//!
//! Holds are counted from the changes of the histories, which a recorder reads as well. Nothing here does I/O or reads a
//! clock. A label never holds a PID or a command line, and a number that waltop cannot know has no line.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use jiff::Timestamp;

mod catalogue;
mod family;
mod hold_histogram;
mod process_slots;
mod totals;

use totals::DatabaseTotals;

use crate::{history::LockHistory, snapshot::Snapshot, text, threads};

/// Counts what happens from sample to sample.
#[derive(Debug)]
pub struct MetricsMeter {
    /// When it began to count.
    since: Timestamp,
    databases: BTreeMap<PathBuf, DatabaseTotals>,
    trace_requests: RisingCount,
    trace_lost: RisingCount,
    lock_samples: RisingCount,
}

/// One sample, and what it cost.
#[derive(Debug)]
pub struct MeterInput<'a> {
    pub snapshot: &'a Snapshot,
    /// One for each database of the snapshot.
    pub histories: &'a [Arc<Mutex<LockHistory>>],
    /// The clock of the histories.
    pub now: Instant,
    /// Whether the lock table could be read.
    pub has_lock_table: bool,
    /// How many processes of which something could not be read; `None` if they could not be listed.
    pub unseen_processes: Option<usize>,
    /// Whether the samples are being written to a recording; `None` if they are not recorded.
    pub is_written: Option<bool>,
    pub cost: SampleCost,
}

/// What waltop itself has used.
#[derive(Debug, Clone, Copy, Default)]
pub struct SampleCost {
    /// CPU time of the process since its start.
    pub cpu: Duration,
    /// Its resident memory; `None` if unknown.
    pub memory_bytes: Option<u64>,
    /// How long the sample took.
    pub took: Duration,
}

/// The sum of a count that may begin again at 0.
#[derive(Debug, Clone, Copy, Default)]
struct RisingCount {
    last: u64,
    total: u64,
}

impl RisingCount {
    /// Records that the count is now at `count`; below the last one, it has begun again.
    fn reaches(&mut self, count: u64) {
        self.total += count.checked_sub(self.last).unwrap_or(count);
        self.last = count;
    }
}

/// All metrics of one sample, in both formats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricsText {
    /// Prometheus text format 0.0.4.
    pub plain: Arc<str>,
    /// `OpenMetrics` 1.0.
    pub open: Arc<str>,
}

impl MetricsMeter {
    /// A meter that counts from `since` on.
    pub fn new(since: Timestamp) -> Self {
        Self {
            since,
            databases: BTreeMap::new(),
            trace_requests: RisingCount::default(),
            trace_lost: RisingCount::default(),
            lock_samples: RisingCount::default(),
        }
    }

    /// Counts what has happened since the sample before.
    pub fn tick(&mut self, input: &MeterInput<'_>) -> MetricsText {
        self.forget_readers(input.snapshot);
        for (database, history) in input.snapshot.databases.iter().zip(input.histories) {
            let totals = self.databases.entry(database.path.clone()).or_default();
            totals.take(history, input.now, input.snapshot.trace.is_some());
        }
        if let Some(trace) = input.snapshot.trace {
            self.trace_requests.reaches(trace.requests);
            self.trace_lost.reaches(trace.overruns + trace.gaps + trace.unparsed);
        }
        if let Some(sampling) = input.snapshot.sampling {
            self.lock_samples.reaches(sampling.samples);
        }
        let families = catalogue::families(self, input, &labels(input.snapshot));
        MetricsText {
            plain: family::plain_text(&families).into(),
            open: family::open_metrics_text(&families).into(),
        }
    }

    // The history of a database that is no longer sampled keeps no changes for a reader that takes none.
    fn forget_readers(&mut self, snapshot: &Snapshot) {
        let sampled: BTreeSet<_> = snapshot.databases.iter().map(|database| &database.path).collect();
        for (path, totals) in &mut self.databases {
            if !sampled.contains(path) {
                totals.stop();
            }
        }
    }
}

/// The label of each database: its path, and a number where the text of two paths is the same.
fn labels(snapshot: &Snapshot) -> Vec<String> {
    let mut taken = BTreeSet::new();
    let label = |path: &PathBuf| {
        let path = text::clean(&path.to_string_lossy());
        let mut label = path.clone();
        let mut number = 1;
        while !taken.insert(label.clone()) {
            number += 1;
            label = format!("{path} ({number})");
        }
        label
    };
    snapshot.databases.iter().map(|database| &database.path).map(label).collect()
}

#[cfg(test)]
mod tests;
