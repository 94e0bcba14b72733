//! The waits for the write lock, from refused tries and the edges of holds.
//!
//! SQLite asks without blocking, sleeps and asks again, so a wait is a series of refused tries by one owner. It ends with
//! the lock, with the end of the last connection, or with silence: nothing else says that a program gave up. Why a
//! writer was refused follows from what else it asked for (tried with SQLite 3.40.1): `BEGIN IMMEDIATE` takes a read
//! slot right before it tries, and gives it back right after a refusal; a read transaction that becomes a write has had
//! its slot for longer, and does not try again.
//!
//! A client that asks and blocks is silent while it waits. Once the lock is free, the kernel wakes up the first of those
//! that block, and it asks again at once. Any other request of its thread shows that it has given up.
//!
//! A busy handler of the program's own, which sleeps longer than SQLite's, looks like a program that starts again each
//! time.

use std::{collections::HashMap, time::Duration};

use super::{
    event::{LockRequest, RequestKind},
    lock_state::{FileLocks, LockEdge, LockedFile, OwnerState, is_for_write},
};
use crate::{history::SampledLock, snapshot::RefusalReason};

/// How long SQLite's own handler sleeps after each try, in ms; the last one repeats (`sqliteDefaultBusyCallback`).
pub const SLEEPS_MS: [u64; 12] = [1, 2, 5, 10, 15, 20, 25, 25, 25, 50, 50, 100];
const LONGEST_SLEEP: Duration = Duration::from_millis(100);
/// After this time a program that could try at any time has given up.
const LONGEST: Duration = Duration::from_secs(1);
/// How much later than planned a process may wake up.
const SLACK: Duration = Duration::from_millis(30);
/// A slot that was taken longer ago belongs to a read before the write.
const READ_BEFORE: Duration = Duration::from_millis(1);
/// SQLite gives a lock back within some microseconds if the snapshot is too old; a commit writes first.
const AT_ONCE: Duration = Duration::from_micros(50);
/// The first sleep of SQLite's handler, as it is measured.
const FIRST_SLEEP: std::ops::Range<Duration> = Duration::from_micros(900)..Duration::from_millis(2);
/// From this try on the first sleep cannot be the next one.
const FEW_TRIES: u32 = 4;

/// A wait that is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedWait {
    pub pid: i32,
    pub thread: i32,
    pub holder: Option<i32>,
    pub reason: RefusalReason,
    pub tries: u32,
    pub got_it: bool,
    pub from: Duration,
    pub to: Duration,
}

/// The waits on one file.
#[derive(Debug, Default)]
pub struct WaitTracker {
    /// When requests began to be seen.
    armed_at: Option<Duration>,
    open: HashMap<u64, OpenWait>,
    /// The start of a hold by an owner that had been reading, for what comes of it.
    upgrade: Option<(u64, Duration)>,
    /// The last end of a hold of the write lock, and whose it was.
    last_end: Option<(u64, Duration)>,
    /// Whether no process has taken the lock since.
    is_free: bool,
}

#[derive(Debug, Clone, Copy)]
struct OpenWait {
    pid: i32,
    thread: i32,
    holder: Option<i32>,
    tries: u32,
    from: Duration,
    before_last: Duration,
    last: Duration,
    is_upgrade: bool,
    /// How often the next try came after the first sleep of SQLite's handler, which one wait has once.
    first_sleeps: u32,
    /// Whether its last request sleeps in the kernel until the lock is free.
    is_blocked: bool,
    /// Whether it may have begun before the trace, so that the next sleep of its handler may be the longest one.
    may_be_older: bool,
}

impl WaitTracker {
    /// Requests are seen from `at` on: a wait whose first try comes soon after may have begun before.
    pub fn armed(&mut self, at: Duration) {
        self.armed_at = Some(at);
    }

    /// Forgets the waits under way: what happened since the last request is not known.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Takes a request in, before it is applied to `locks`. Returns a wait that ended without the lock.
    pub fn request(
        &mut self,
        file: LockedFile,
        request: &LockRequest,
        locks: &FileLocks,
    ) -> Option<EndedWait> {
        let is_blocked = request.kind == RequestKind::Deferred { is_exclusive: true };
        let is_refused = request.kind == RequestKind::Refused { is_exclusive: true };
        if !(is_refused || is_blocked) || !is_for_write(file, request) {
            return self.end_of_block(file, request);
        }
        let own = locks.owner(request.owner);
        // A reader that finds the index unfinished asks for the write lock, too, and has no slot yet.
        let is_checkpoint = own.holds(file, SampledLock::Checkpoint);
        if is_refused && file == LockedFile::Index && own.reading_since.is_none() && !is_checkpoint {
            return None;
        }
        let is_upgrade = is_refused
            && own.reading_since.is_some_and(|since| request.at.saturating_sub(since) > READ_BEFORE);
        let before = self.open.get(&request.owner).is_some_and(|wait| wait.goes_on_with(request.at));
        let mut ended = if before { None } else { self.open.remove(&request.owner).map(OpenWait::given_up) };
        if let Some(wait) = self.open.get_mut(&request.owner)
            && let Some(given_up) = wait.split_off_at(request.at)
        {
            ended = Some(given_up);
        }
        let wait = self.open.entry(request.owner).or_insert(OpenWait {
            pid: request.pid,
            thread: request.thread,
            holder: locks.holder(file, SampledLock::Write).map(|holder| holder.pid),
            tries: 0,
            from: request.at,
            before_last: request.at,
            last: request.at,
            is_upgrade,
            first_sleeps: 0,
            is_blocked,
            may_be_older: self
                .armed_at
                .is_some_and(|armed| request.at.saturating_sub(armed) <= LONGEST_SLEEP + SLACK),
        });
        wait.tries += 1;
        wait.first_sleeps += u32::from(FIRST_SLEEP.contains(&request.at.saturating_sub(wait.last)));
        wait.before_last = wait.last;
        wait.last = request.at;
        wait.thread = request.thread;
        wait.is_blocked = is_blocked;
        ended
    }

    // A thread that blocks asks for nothing else: if it does, it has the lock or has given up.
    fn end_of_block(&mut self, file: LockedFile, request: &LockRequest) -> Option<EndedWait> {
        let wait = self.open.get(&request.owner)?;
        let has_it = request.kind == RequestKind::Exclusive && is_for_write(file, request);
        if !wait.is_blocked || wait.thread != request.thread || has_it {
            return None;
        }
        self.open.remove(&request.owner).map(|wait| wait.ended(request.at, false))
    }

    /// Takes in what came of `request`, by an owner with these states before and after it. Returns a wait that ended.
    pub fn applied(
        &mut self,
        file: LockedFile,
        request: &LockRequest,
        edges: &[LockEdge],
        (before, after): (OwnerState, OwnerState),
    ) -> Option<EndedWait> {
        let has_given_back = request.kind == RequestKind::Released
            && after.reading_since.is_none()
            && self.open.get(&request.owner).is_some_and(|wait| wait.is_upgrade);
        // The last connection of a process that waits is closed only once it has given up.
        let has_closed = file == LockedFile::Index && before.has_index_open() && !after.has_index_open();
        if has_given_back || has_closed {
            return self.open.remove(&request.owner).map(|wait| wait.closed(request.at));
        }
        let write = edges.iter().find(|edge| edge.lock == SampledLock::Write)?;
        self.is_free = !write.is_taken;
        if write.is_taken {
            let since = before.reading_since;
            let has_old_snapshot = file == LockedFile::Index
                && self.last_end.is_some_and(|(owner, end)| {
                    owner != request.owner && since.is_some_and(|since| since < end)
                });
            self.upgrade = has_old_snapshot.then_some((request.owner, request.at));
            let wait = self.open.remove(&request.owner)?;
            return Some(if wait.goes_on_with(request.at) {
                wait.ended(request.at, true)
            } else {
                wait.given_up()
            });
        }
        self.last_end = Some((request.owner, request.at));
        let (owner, from) = self.upgrade.take()?;
        let is_refused = owner == request.owner && request.at.saturating_sub(from) < AT_ONCE;
        is_refused.then_some(EndedWait {
            pid: request.pid,
            thread: request.thread,
            holder: None,
            reason: RefusalReason::OldSnapshot,
            tries: 1,
            got_it: false,
            from,
            to: from,
        })
    }

    /// The waits under way as of `now`, each up to its last try: those of threads that block, and of programs that have
    /// tried again, so that they do wait.
    pub fn under_way(&self, now: Duration) -> impl Iterator<Item = EndedWait> {
        let open = self.open.values().filter(move |wait| wait.goes_on_with(now));
        let waits = open.filter(|wait| wait.is_blocked || !wait.is_upgrade && wait.tries > 1);
        waits.map(|wait| wait.given_up())
    }

    /// The waits that have ended by silence as of `now`.
    pub fn silent(&mut self, now: Duration) -> Vec<EndedWait> {
        let free = self.last_end.filter(|_| self.is_free).map(|(_, end)| end);
        let over: Vec<u64> =
            self.open.iter().filter(|(_, wait)| wait.is_silent(now, free)).map(|(owner, _)| *owner).collect();
        over.into_iter().filter_map(|owner| self.open.remove(&owner)).map(OpenWait::given_up).collect()
    }
}

impl OpenWait {
    // Whether a try at `at` may belong to it. A read that became a write is tried again by the program, at any time; a
    // thread that blocks is woken up at any time.
    fn goes_on_with(&self, at: Duration) -> bool {
        let index = usize::try_from(self.tries).unwrap_or(usize::MAX).saturating_sub(1);
        let sleep = Duration::from_millis(SLEEPS_MS[index.min(SLEEPS_MS.len() - 1)]);
        let sleep = if self.may_be_older { LONGEST_SLEEP } else { sleep };
        self.is_upgrade || self.is_blocked || at.saturating_sub(self.last) <= 2 * sleep + SLACK
    }

    // The lock is free since `free`.
    fn is_silent(&self, now: Duration, free: Option<Duration>) -> bool {
        if self.is_blocked {
            return free.is_some_and(|at| at > self.last && now.saturating_sub(at) > LONGEST);
        }
        !self.goes_on_with(now) || now.saturating_sub(self.last) > LONGEST
    }

    // If its last try was the first of another wait, which the first sleep of the handler shows: that part stays.
    fn split_off_at(&mut self, at: Duration) -> Option<EndedWait> {
        // A client that asks each millisecond, as some builds of SQLite do, waits on.
        let is_steady = self.is_blocked || self.first_sleeps > 1;
        let gap = at.saturating_sub(self.last);
        if self.is_upgrade || is_steady || self.tries < FEW_TRIES || !FIRST_SLEEP.contains(&gap) {
            return None;
        }
        let (from, before_last) = (self.last, self.last);
        let next = Self { tries: 1, first_sleeps: 0, may_be_older: false, from, before_last, ..*self };
        let mut before = std::mem::replace(self, next);
        before.tries -= 1;
        before.last = before.before_last;
        Some(before.given_up())
    }

    fn closed(self, at: Duration) -> EndedWait {
        if self.is_blocked { self.ended(at, false) } else { self.given_up() }
    }

    fn given_up(self) -> EndedWait {
        let last = self.last;
        self.ended(last, false)
    }

    fn ended(self, at: Duration, got_it: bool) -> EndedWait {
        let reason = match (self.is_upgrade, self.tries, got_it) {
            (true, ..) => RefusalReason::DeferredUpgrade,
            (false, 1, false) if !self.is_blocked => RefusalReason::NoTimeout,
            (false, ..) => RefusalReason::Waited,
        };
        let Self { pid, thread, holder, tries, from, .. } = self;
        EndedWait { pid, thread, holder, reason, tries, got_it, from, to: at }
    }
}

#[cfg(test)]
mod tests;
