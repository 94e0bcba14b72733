//! Since when each process has used no CPU time and held no transaction lock, as far as samples show.
//!
//! CPU time is a counter: two samples with the same value, however far apart, prove that no tick was used in between.
//! Times are milliseconds on the monotonic clock, which stands still while the machine sleeps and which no user sets.
//! So neither a night in suspend nor a corrected clock makes a process idle.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::snapshot::ProcessId;

/// How long a process has to be idle before the file records it for the next waltop. Each time that it runs again after
/// that, the threshold doubles, up to the longest, so that a daemon with regular pauses does not cause constant writes.
/// Whatever is not recorded yet is written at the end.
const WORTH_KEEPING_MS: u64 = 5000;
const LONGEST_WORTH_MS: u64 = 600_000;

/// A sample of a process.
#[derive(Debug, Clone, Copy)]
pub struct IdleSample {
    pub process: ProcessId,
    /// CPU time used so far, in clock ticks.
    pub cpu_ticks: u64,
    /// Whether it holds a transaction lock, or has held one since the previous sample.
    pub has_locked: bool,
    /// CPU time used by all its descendants, exited ones included, in clock ticks; `None` if it was not read.
    pub below_ticks: Option<u64>,
    /// When it was taken, in ms on the monotonic clock.
    pub at: u64,
}

/// How long a process has been idle, in ms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdleTime {
    /// Without a tick of CPU time.
    pub cpu_ms: u64,
    /// Without a transaction lock either.
    pub ms: u64,
}

/// What the file keeps of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersistedIdle {
    pid: i32,
    start_ticks: u64,
    cpu_ticks: u64,
    cpu_since: u64,
    // When, since then, a transaction lock or work of its descendants was last seen.
    locked_at: Option<u64>,
    #[serde(default)]
    below_ticks: Option<u64>,
}

#[derive(Debug, Clone, Copy)]
struct IdleEntry {
    kept: PersistedIdle,
    written: Option<PersistedIdle>,
    // When it was last seen idle.
    at: u64,
    // How long it has to be idle to be recorded, in ms.
    worth: u64,
    // Seen in the current sample.
    is_seen: bool,
}

/// Every known process.
#[derive(Debug, Default)]
pub struct IdleBook {
    entries: BTreeMap<ProcessId, IdleEntry>,
}

impl IdleBook {
    pub fn of(kept: Vec<PersistedIdle>) -> Self {
        let entry = |kept: PersistedIdle| (kept.process(), IdleEntry::of(kept, Some(kept)));
        Self { entries: kept.into_iter().map(entry).collect() }
    }

    /// Records a sample of a process; returns how long it has been idle, or `None` if nothing is known from before.
    pub fn see(&mut self, seen: &IdleSample) -> Option<IdleTime> {
        let ProcessId { pid, start_ticks } = seen.process;
        let locked_at = seen.has_locked.then_some(seen.at);
        let (cpu_ticks, below_ticks) = (seen.cpu_ticks, seen.below_ticks);
        let anew = PersistedIdle { pid, start_ticks, cpu_ticks, cpu_since: seen.at, locked_at, below_ticks };
        let Some(entry) = self.entries.get_mut(&seen.process) else {
            self.entries.insert(seen.process, IdleEntry { is_seen: true, ..IdleEntry::of(anew, None) });
            return seen.has_locked.then_some(IdleTime { cpu_ms: 0, ms: 0 });
        };
        // A future time is from another clock.
        if entry.kept.cpu_ticks != seen.cpu_ticks || entry.kept.since() > seen.at {
            if entry.is_worth_keeping() && entry.written == Some(entry.kept) {
                entry.worth = (entry.worth * 2).min(LONGEST_WORTH_MS);
            }
            entry.kept = anew;
        } else {
            let is_other = |now: u64| entry.kept.below_ticks.is_some_and(|before| before != now);
            if seen.has_locked || below_ticks.is_some_and(is_other) {
                entry.kept.locked_at = Some(seen.at);
            }
            entry.kept.below_ticks = below_ticks.or(entry.kept.below_ticks);
        }
        entry.at = seen.at;
        entry.is_seen = true;
        Some(IdleTime { cpu_ms: seen.at - entry.kept.cpu_since, ms: seen.at - entry.kept.since() })
    }

    /// Ends a sample: forgets processes that were not seen and do not exist.
    pub fn end_sample(&mut self, lives: &dyn Fn(ProcessId) -> bool) {
        self.entries.retain(|&process, entry| std::mem::take(&mut entry.is_seen) || lives(process));
    }

    /// Whether the file would mislead, or lacks an idle time that has to be recorded. An entry whose CPU time has moved
    /// on since it was written does not mislead: its counter shows that.
    pub fn is_due(&self) -> bool {
        self.entries.values().any(|entry| {
            let IdleEntry { kept, written, .. } = entry;
            let misleads =
                written.is_some_and(|it| it.cpu_ticks == kept.cpu_ticks && it.locked_at < kept.locked_at);
            *written != Some(*kept) && (misleads || entry.is_worth_keeping())
        })
    }

    /// Whether the file differs in anything.
    pub fn is_changed(&self) -> bool {
        self.entries.values().any(|entry| entry.written != Some(entry.kept))
    }

    /// Merges what other waltop processes have written about existing processes. An entry that has seen a lock wins; of
    /// two with the same CPU time the earlier one wins.
    pub fn merge(&mut self, theirs: Vec<PersistedIdle>, lives: &dyn Fn(ProcessId) -> bool) {
        for theirs in theirs {
            match self.entries.get_mut(&theirs.process()) {
                Some(IdleEntry { kept, .. }) if kept.cpu_ticks == theirs.cpu_ticks => {
                    kept.cpu_since = kept.cpu_since.min(theirs.cpu_since);
                    kept.locked_at = kept.locked_at.max(theirs.locked_at);
                }
                None if lives(theirs.process()) => {
                    self.entries.insert(theirs.process(), IdleEntry::of(theirs, Some(theirs)));
                }
                Some(_) | None => {}
            }
        }
    }

    pub fn entries(&self) -> Vec<PersistedIdle> {
        self.entries.values().map(|entry| entry.kept).collect()
    }

    /// Records that everything has been written.
    pub fn is_written(&mut self) {
        for entry in self.entries.values_mut() {
            entry.written = Some(entry.kept);
        }
    }
}

impl IdleEntry {
    fn of(kept: PersistedIdle, written: Option<PersistedIdle>) -> Self {
        Self { kept, written, at: kept.since(), worth: WORTH_KEEPING_MS, is_seen: false }
    }

    fn is_worth_keeping(&self) -> bool {
        self.at.saturating_sub(self.kept.since()) >= self.worth
    }
}

impl PersistedIdle {
    fn process(&self) -> ProcessId {
        ProcessId { pid: self.pid, start_ticks: self.start_ticks }
    }

    fn since(&self) -> u64 {
        self.locked_at.unwrap_or(0).max(self.cpu_since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const P: ProcessId = ProcessId { pid: 7, start_ticks: 4200 };

    fn seen(cpu_ticks: u64, at: u64) -> IdleSample {
        IdleSample { process: P, cpu_ticks, has_locked: false, below_ticks: None, at }
    }

    fn locked(cpu_ticks: u64, at: u64) -> IdleSample {
        IdleSample { has_locked: true, ..seen(cpu_ticks, at) }
    }

    fn idle(cpu_ms: u64, ms: u64) -> IdleTime {
        IdleTime { cpu_ms, ms }
    }

    #[test]
    fn one_sample_proves_nothing() {
        assert_eq!(IdleBook::default().see(&seen(5, 1000)), None);
        assert_eq!(
            IdleBook::default().see(&locked(5, 1000)),
            Some(idle(0, 0)),
            "but activity can be seen at once"
        );
    }

    #[test]
    fn a_tick_or_a_lock_restarts_the_count() {
        let mut book = IdleBook::default();
        book.see(&seen(5, 1000));
        assert_eq!(book.see(&seen(5, 61_000)), Some(idle(60_000, 60_000)));
        assert_eq!(book.see(&seen(6, 62_000)), Some(idle(0, 0)), "one tick");
        assert_eq!(book.see(&seen(6, 72_000)), Some(idle(10_000, 10_000)));
        assert_eq!(book.see(&locked(6, 82_000)), Some(idle(20_000, 0)), "a lock and no tick");
        assert_eq!(book.see(&seen(6, 83_000)), Some(idle(21_000, 1000)));
    }

    #[test]
    fn another_process_of_that_pid_restarts() {
        let mut book = IdleBook::default();
        book.see(&seen(5, 1000));
        assert_eq!(
            book.see(&IdleSample { process: ProcessId { pid: 7, start_ticks: 9999 }, ..seen(5, 61_000) }),
            None
        );
    }

    #[test]
    fn a_time_of_another_clock_is_void() {
        let mut book = IdleBook::default();
        book.see(&seen(5, 61_000));
        assert_eq!(book.see(&seen(5, 1000)), Some(idle(0, 0)));
    }

    #[test]
    fn who_does_not_live_is_forgotten() {
        let mut book = IdleBook::default();
        book.see(&seen(5, 1000));
        book.end_sample(&|_| false);
        assert_eq!(book.entries().len(), 1, "it was seen");
        book.end_sample(&|_| true);
        assert_eq!(book.entries().len(), 1, "it has no database open now, and lives");
        book.end_sample(&|_| false);
        assert_eq!(book.entries(), []);
    }

    #[test]
    fn a_busy_process_does_not_keep_the_file_busy() {
        let mut book = IdleBook::default();
        book.see(&seen(5, 1000));
        assert!(book.is_changed() && !book.is_due());
        book.is_written();
        book.see(&seen(6, 2000));
        assert!(!book.is_due(), "the ticks in the file tell that it is outdated");
        book.see(&seen(6, 2000 + WORTH_KEEPING_MS));
        assert!(book.is_due());
        book.is_written();
        assert!(!book.is_changed());
        book.see(&locked(6, 9000));
        assert!(book.is_due(), "the file would hide the lock");
    }

    #[test]
    fn a_daemon_that_pauses_again_and_again_does_not_keep_the_file_busy() {
        let mut book = IdleBook::default();
        let mut written = 0;
        for tick in 0..100 {
            for second in 0..7 {
                book.see(&seen(tick, 1000 * (7 * tick + second)));
                if book.is_due() {
                    book.is_written();
                    written += 1;
                }
            }
        }
        assert_eq!(written, 1, "it is then known to pause for more than that");
        book.see(&seen(100, 1_000_000));
        book.see(&seen(100, 1_000_000 + 2 * WORTH_KEEPING_MS));
        assert!(book.is_due(), "this is longer than its pauses");
    }

    #[test]
    fn who_saw_a_lock_knows_better_and_the_earlier_reading_proves_more() {
        let (mut ours, mut theirs) = (IdleBook::default(), IdleBook::default());
        ours.see(&seen(5, 1000));
        theirs.see(&seen(5, 2000));
        theirs.see(&locked(5, 3000));
        ours.merge(theirs.entries(), &|_| true);
        assert_eq!(ours.see(&seen(5, 4000)), Some(idle(3000, 1000)));
        let mut newcomer = IdleBook::default();
        newcomer.see(&seen(5, 5000));
        ours.merge(newcomer.entries(), &|_| true);
        assert_eq!(ours.see(&seen(5, 5000)), Some(idle(4000, 2000)), "who has only come now knows nothing");
        theirs.see(&seen(9, 5000));
        ours.merge(theirs.entries(), &|_| true);
        assert_eq!(ours.see(&seen(5, 6000)), Some(idle(5000, 3000)), "other ticks are another time");
        let mut third = IdleBook::default();
        third.merge(ours.entries(), &|_| false);
        assert_eq!(third.entries(), [], "it is gone");
    }
}
