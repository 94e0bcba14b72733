//! For how long each process of a look has done nothing in any of the watched databases.

use std::{
    collections::{BTreeMap, HashMap},
    time::Instant,
};

use rustix::time::{ClockId, clock_gettime};

use crate::{
    observe::first_seen::{FirstSeen, Idle, Seen},
    snapshot::{Database, Hold, Process},
};

/// What is remembered from look to look.
#[derive(Debug, Default)]
pub struct Idleness {
    looked_at: Option<Instant>,
    // Since when the looks have covered each process, by PID and start.
    watched: HashMap<(i32, u64), Instant>,
}

impl Idleness {
    /// When the last look was taken.
    pub fn looked_at(&self) -> Option<Instant> {
        self.looked_at
    }

    /// Fills in what the processes of `databases` have done. `writers` are, for each database, those that were sampled
    /// with the write lock since the last look.
    pub fn fill_in(
        &mut self,
        databases: &mut [Database],
        writers: &[Vec<i32>],
        first_seen: &mut FirstSeen,
        now: Instant,
    ) {
        self.looked_at = Some(now);
        let at = monotonic_ms();
        let mut seen: BTreeMap<(i32, u64), Seen> = BTreeMap::new();
        for (database, writers) in databases.iter().zip(writers) {
            for process in &database.processes {
                let (Some(identity), Some(cpu_ticks)) = (process.identity(), process.activity.cpu_ticks)
                else {
                    continue;
                };
                let has_locked = is_active(process, database) || writers.contains(&process.pid);
                let seen = seen.entry(identity).or_insert(Seen {
                    process: identity,
                    cpu_ticks,
                    has_locked: false,
                    at,
                });
                // It was described once for each database, a moment apart.
                seen.cpu_ticks = seen.cpu_ticks.max(cpu_ticks);
                seen.has_locked |= has_locked;
            }
        }
        self.watched.retain(|identity, _| seen.contains_key(identity));
        let idle: HashMap<(i32, u64), Option<Idle>> =
            seen.into_iter().map(|(identity, seen)| (identity, first_seen.idle(&seen))).collect();
        for process in databases.iter_mut().flat_map(|database| &mut database.processes) {
            let Some(identity) = process.identity().filter(|it| idle.contains_key(it)) else { continue };
            let since = *self.watched.entry(identity).or_insert(now);
            let idle = idle.get(&identity).copied().flatten();
            process.activity.watched_ms = Some(now.saturating_duration_since(since).as_secs_f64() * 1e3);
            process.activity.cpu_idle_ms = idle.map(|idle| milliseconds(idle.cpu_ms));
            process.activity.idle_ms = idle.map(|idle| milliseconds(idle.ms));
        }
    }
}

// Whether it holds more than what any idle connection does. That with the whole file locked tells nothing of its
// transactions, so it counts.
fn is_active(process: &Process, database: &Database) -> bool {
    process.holds.iter().any(|hold| *hold != Hold::Shared || database.is_wal() != Some(true))
}

// The same for every process of a boot, and it stands still while the machine sleeps.
fn monotonic_ms() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    let (seconds, nanoseconds) = (u64::try_from(now.tv_sec), u64::try_from(now.tv_nsec));
    seconds.unwrap_or(0) * 1000 + nanoseconds.unwrap_or(0) / 1_000_000
}

#[expect(clippy::cast_precision_loss, reason = "a float holds every millisecond of 285 000 years")]
fn milliseconds(ms: u64) -> f64 {
    ms as f64
}
