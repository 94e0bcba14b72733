//! For how long each lock of a look has been held: since it was first seen, or as the sampler knows better.

use std::time::Instant;

use jiff::Timestamp;

use crate::{
    history::{History, Lock},
    observe::{
        first_seen::{FirstSeen, Key, Kind},
        watched::View,
    },
    snapshot::{Holder, JournalMode, Locks, Process},
};

/// When a look was taken, on both clocks.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    /// By the calendar.
    pub timestamp: Timestamp,
    /// By the clock that only goes forward.
    pub instant: Instant,
}

/// The name under which the times of `view`'s database are kept; `None` where it has no file.
pub fn database(view: &View) -> Option<String> {
    view.sights[0].as_ref().map(|sight| format!("{}:{}", sight.facts.device, sight.facts.inode))
}

/// Fills in how long every lock in `locks` has been held.
pub fn fill_in(
    locks: &mut Locks,
    view: &View,
    processes: &[Process],
    history: &History,
    first_seen: &mut FirstSeen,
    now: Now,
) {
    let Some(database) = database(view) else { return };
    let state = state(view);
    let mut held = |pid: Option<i32>, lock: Kind, slot: Option<u8>, mark: Option<u64>, not_before| {
        let process = processes.iter().find(|process| Some(process.pid) == pid);
        let start_ticks = process.and_then(|process| process.start_ticks);
        let key = Key { database: database.clone(), pid, start_ticks, lock, slot, mark };
        let since = first_seen.since(key, now.timestamp, not_before);
        now.timestamp.duration_since(since).as_millis_f64()
    };
    // locking_mode=EXCLUSIVE keeps its lock over commits; a rollback commit does not.
    let exclusive_mark = if view.mode() == JournalMode::Wal { None } else { state };
    if let Some(holder) = &mut locks.exclusive {
        holder.held_ms = Some(held(holder.pid, Kind::Exclusive, None, exclusive_mark, None));
    }
    let is_writer_exclusive =
        locks.exclusive.as_ref().is_some_and(|e| locks.writer.as_ref().is_some_and(|w| w.pid == e.pid));
    if is_writer_exclusive {
        locks.writer.clone_from(&locks.exclusive);
    } else if let Some(holder) = &mut locks.writer {
        let not_before = sampled_since(history, Lock::Write, holder, now);
        holder.held_ms = Some(held(holder.pid, Kind::Write, None, state, not_before));
    }
    for (holder, kind, lock) in [
        (&mut locks.checkpointer, Kind::Checkpoint, Lock::Checkpoint),
        (&mut locks.recoverer, Kind::Recover, Lock::Recover),
    ] {
        if let Some(holder) = holder {
            let not_before = sampled_since(history, lock, holder, now);
            holder.held_ms = Some(held(holder.pid, kind, None, state, not_before));
        }
    }
    for reader in &mut locks.readers {
        let mark = if reader.slot.is_some() { reader.frame.map(u64::from) } else { state };
        reader.held_ms = Some(held(reader.pid, Kind::Read, reader.slot, mark, None));
    }
}

// What moves with every commit: the commit counter, or else the time of the last write.
fn state(view: &View) -> Option<u64> {
    let written = |which: usize| {
        let at = view.sights[which].as_ref()?.facts.modified_at?;
        u64::try_from(at.as_nanosecond()).ok()
    };
    let commits = view.index.as_ref().map(|index| u64::from(index.commits));
    commits.or_else(|| if view.mode() == JournalMode::Wal { written(1) } else { written(0) })
}

// When the sampler saw `holder` take the lock; `None` where it did not see that.
fn sampled_since(history: &History, lock: Lock, holder: &Holder, now: Now) -> Option<Timestamp> {
    let (start, who) = history.current(lock)?;
    if who.pid != holder.pid || history.is_from_the_beginning(start) {
        return None;
    }
    now.timestamp.checked_sub(now.instant.saturating_duration_since(start)).ok()
}
