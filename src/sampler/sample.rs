//! A snapshot as a console, a recorder and a listener take it.

use std::time::Duration;

use jiff::Timestamp;

use crate::{
    history::DatabaseTrend,
    hosts::WatchedHosts,
    metrics::MetricsText,
    recording::{PlayedMoment, RecorderState},
    snapshot::Snapshot,
};

/// A snapshot with its findings, and what a console draws in addition.
#[derive(Debug, Clone)]
pub struct Sample {
    /// The observations, and their findings.
    pub snapshot: Snapshot,
    /// One for each database of the snapshot.
    pub trends: Vec<DatabaseTrend>,
    /// Where the samples are recorded; `None` if they are not.
    pub recorder: Option<RecorderState>,
    /// The moment of a recording from which it comes; `None` if it was just taken.
    pub replay: Option<PlayedMoment>,
    /// Its metrics; `None` if they are not counted.
    pub metrics: Option<MetricsText>,
    /// Whether it saw all of the lock table.
    pub has_lock_table: bool,
    /// The hosts that have sent it; `None` if this one took it.
    pub hosts: Option<WatchedHosts>,
    /// The time that the sample itself took.
    pub took: Duration,
}

impl Sample {
    /// A sample of `snapshot`, with nothing beside its trends.
    pub fn of(snapshot: Snapshot, trends: Vec<DatabaseTrend>) -> Self {
        Self {
            snapshot,
            trends,
            recorder: None,
            replay: None,
            metrics: None,
            has_lock_table: true,
            hosts: None,
            took: Duration::ZERO,
        }
    }

    /// The time of the sample of the database at `index`, on the clock of its host.
    pub fn taken_at(&self, index: usize) -> Timestamp {
        let host = self.hosts.as_ref().and_then(|hosts| hosts.of(index));
        host.and_then(|host| host.newest).map_or(self.snapshot.taken_at, |newest| newest.there)
    }
}
