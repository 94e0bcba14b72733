//! For how long each process of a sample has been idle in all of the watched databases.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant},
};

use rustix::time::{ClockId, clock_gettime};

use super::Observer;
use crate::{
    snapshot::{Database, LockHold, Process, ProcessId},
    state::first_seen::{FirstSeen, IdleSample, IdleTime},
    units,
};

/// When a sample was taken, on the monotonic clock.
#[derive(Debug, Clone, Copy)]
pub struct IdleClock {
    pub instant: Instant,
    /// In ms, the same for every process of a boot. It stops while the machine sleeps.
    pub ms: u64,
}

impl IdleClock {
    /// The current time, taken at `instant`.
    pub fn at(instant: Instant) -> Self {
        let now = clock_gettime(ClockId::Monotonic);
        let (seconds, nanoseconds) = (u64::try_from(now.tv_sec), u64::try_from(now.tv_nsec));
        Self { instant, ms: seconds.unwrap_or(0) * 1000 + nanoseconds.unwrap_or(0) / 1_000_000 }
    }
}

/// The idleness in ms from which on the descendants of a process are checked.
const ASKED_FROM_MS: u64 = 500;
/// Time between the first two checks: each reads a file of every process.
const ASKED_FIRST: Duration = Duration::from_secs(3);
/// The maximum time between two checks. The time doubles up to this: a process that its descendants kept busy for half
/// of the period was not idle over all of it.
const ASKED_LAST: Duration = Duration::from_secs(30);

/// The state that is kept between samples.
#[derive(Debug, Default)]
pub struct IdleTracker {
    looked_at: Option<Instant>,
    asked_at: Option<Instant>,
    leaves_descendants_out: bool,
    // Time to the next check; it is reset when there is a new process.
    patience: Duration,
    // Since when the samples have covered each process.
    watched: HashMap<ProcessId, Instant>,
    // When each was last seen stopped. Then it could use no CPU time.
    stopped: HashMap<ProcessId, Instant>,
}

impl Observer {
    /// Leaves the work of descendants out of the idleness of processes: for one sample, which would only begin to measure
    /// it and reads every process for that.
    pub fn without_descendants(mut self) -> Self {
        self.idleness.leaves_descendants_out = true;
        self
    }
}

impl IdleTracker {
    /// When the last sample was taken.
    pub fn sampled_at(&self) -> Option<Instant> {
        self.looked_at
    }

    /// Fills in the activity of the processes of `databases`. `writers` has, for each database, the processes sampled
    /// with the write lock since the last sample; `below` returns the CPU time of all descendants of each process.
    pub fn fill_in(
        &mut self,
        databases: &mut [Database],
        writers: &[Vec<i32>],
        first_seen: &mut FirstSeen,
        below: &dyn Fn() -> HashMap<i32, u64>,
        now: IdleClock,
    ) {
        let IdleClock { instant: now, ms: at } = now;
        self.looked_at = Some(now);
        let mut seen: BTreeMap<ProcessId, IdleSample> = BTreeMap::new();
        for (database, writers) in databases.iter().zip(writers) {
            for process in &database.processes {
                let (Some(identity), Some(cpu_ticks)) = (process.identity(), process.idleness.cpu_ticks)
                else {
                    continue;
                };
                let waits = database.locks.wait_of(process.pid).is_some();
                let has_locked = waits || is_active(process, database) || writers.contains(&process.pid);
                let seen = seen.entry(identity).or_insert(IdleSample {
                    process: identity,
                    cpu_ticks,
                    has_locked: false,
                    below_ticks: None,
                    at,
                });
                // It was described once per database, at slightly different times.
                seen.cpu_ticks = seen.cpu_ticks.max(cpu_ticks);
                seen.has_locked |= has_locked;
            }
        }
        self.watched.retain(|identity, _| seen.contains_key(identity));
        self.stopped.retain(|identity, _| seen.contains_key(identity));
        if seen.keys().any(|identity| !self.watched.contains_key(identity)) {
            self.patience = ASKED_FIRST;
        }
        let mut idle: HashMap<ProcessId, Option<IdleTime>> =
            seen.iter().map(|(identity, seen)| (*identity, first_seen.idle(seen))).collect();
        self.ask_below(&seen, &mut idle, first_seen, below, now);
        count_children(databases, &mut idle);
        for process in databases.iter_mut().flat_map(|database| &mut database.processes) {
            let Some(identity) = process.identity().filter(|it| idle.contains_key(it)) else { continue };
            let since = *self.watched.entry(identity).or_insert(now);
            if process.is_stopped() {
                self.stopped.insert(identity, now);
            }
            let free_ms = self
                .stopped
                .get(&identity)
                .map_or(f64::INFINITY, |at| units::milliseconds(now.saturating_duration_since(*at)));
            let idle = idle.get(&identity).copied().flatten();
            process.idleness.watched_ms = Some(units::milliseconds(now.saturating_duration_since(since)));
            process.idleness.cpu_idle_ms = idle.map(|idle| milliseconds(idle.cpu_ms).min(free_ms));
            process.idleness.idle_ms = idle.map(|idle| milliseconds(idle.ms).min(free_ms));
        }
    }
}

impl IdleTracker {
    // A process that waits for others to do the work is not idle, whether they have the database open or not. The first
    // answer is only the base of the next comparison.
    fn ask_below(
        &mut self,
        seen: &BTreeMap<ProcessId, IdleSample>,
        idle: &mut HashMap<ProcessId, Option<IdleTime>>,
        first_seen: &mut FirstSeen,
        below: &dyn Fn() -> HashMap<i32, u64>,
        now: Instant,
    ) {
        let is_recent = self.asked_at.is_some_and(|at| now.saturating_duration_since(at) < self.patience);
        let is_idle = |idle: &Option<IdleTime>| idle.is_some_and(|idle| idle.ms >= ASKED_FROM_MS);
        let is_left_out = self.leaves_descendants_out || seen.is_empty();
        if is_left_out || is_recent || (self.asked_at.is_some() && !idle.values().any(is_idle)) {
            return;
        }
        if self.asked_at.replace(now).is_some() {
            self.patience = (self.patience * 2).min(ASKED_LAST);
        }
        let below = below();
        for (identity, seen) in seen {
            let below_ticks = below.get(&identity.pid).copied();
            let told = first_seen.idle(&IdleSample { below_ticks, ..*seen });
            // One sample proves nothing, even if it is ingested twice.
            idle.entry(*identity).and_modify(|idle| *idle = idle.and(told));
        }
    }
}

// A parent that waits for the work of its children is as busy as they are. Only its own CPU time counts for itself.
fn count_children(databases: &[Database], idle: &mut HashMap<ProcessId, Option<IdleTime>>) {
    let rows: Vec<&Process> = databases.iter().flat_map(|database| &database.processes).collect();
    let identities: HashMap<i32, ProcessId> =
        rows.iter().filter_map(|row| Some((row.pid, row.identity()?))).collect();
    // Youngest first: a child is younger than its parent, so its own children have already been counted.
    let mut children: Vec<(ProcessId, i32)> =
        rows.iter().filter_map(|row| Some((row.identity()?, row.parent?))).collect();
    children.sort_by_key(|(child, _)| Reverse((child.start_ticks, child.pid)));
    for (child, parent) in children {
        let theirs = idle.get(&child).copied().flatten();
        let of_parent = identities.get(&parent).and_then(|parent| idle.get_mut(parent));
        if let Some(of_parent) = of_parent {
            *of_parent = match (*of_parent, theirs) {
                (Some(own), Some(theirs)) => Some(IdleTime { ms: own.ms.min(theirs.ms), ..own }),
                // The activity of a new child is unknown.
                (own, None) => own.map(|own| IdleTime { ms: 0, ..own }),
                (None, _) => None,
            };
        }
    }
}

// Whether it holds more than any idle connection does. If the whole file is locked, its transactions are not visible,
// so it counts as active.
fn is_active(process: &Process, database: &Database) -> bool {
    process.holds.iter().any(|hold| *hold != LockHold::Shared || database.is_wal() != Some(true))
}

#[expect(clippy::cast_precision_loss, reason = "a float holds every millisecond of 285,000 years")]
fn milliseconds(ms: u64) -> f64 {
    ms as f64
}

#[cfg(test)]
mod tests;
