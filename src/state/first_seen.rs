//! Since when each lock has been seen held, and each process idle. A small file keeps it, so that the next sample
//! continues the count.
//!
//! So a cron `check` and the next console know that a reader has been at its frame for days. The file keeps an
//! observation: "at least that long". Two samples that show the same lock with the same holder do not prove that it was
//! held in between, so the count continues only with [`SinceEvidence`] that it was.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::snapshot::Unseen;

mod file;
mod idle;

pub use idle::{IdleSample, IdleTime};

/// Shortest time between two writes of the file, except for the first and the last.
const REST: Duration = Duration::from_secs(5);

/// The lock, its holder, and the state of the database.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct HeldKey {
    /// The main file, as `device:inode`.
    pub database: String,
    /// `None`: a process that is not visible from here.
    pub pid: Option<i32>,
    /// Its start in clock ticks since boot.
    pub start_ticks: Option<u64>,
    pub lock: TimedLock,
    /// The slot of a reader.
    pub slot: Option<u8>,
    /// A reader's frame; for other locks a counter that moves with every commit, so that two short holds do not look
    /// like one long hold.
    pub mark: Option<u64>,
}

/// The kinds of locks that are timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TimedLock {
    Write,
    Checkpoint,
    Recover,
    Exclusive,
    Read,
}

/// What a sample knows about the time since the previous one.
#[derive(Debug, Clone, Copy, Default)]
pub struct SinceEvidence {
    /// How often the holder was scheduled, all its threads together: if it was not, it has done nothing.
    pub runs: Option<u64>,
    /// Whether the lock, once released, could not be taken again in the same state: a reader behind the newest frame
    /// would get a newer one.
    pub is_irretrievable: bool,
    /// Since when a sampler has seen the lock held without interruption.
    pub sampled: Option<SampledSince>,
}

/// A sampler's observation of a lock.
#[derive(Debug, Clone, Copy)]
pub struct SampledSince {
    /// Since when it is held.
    pub since: Timestamp,
    /// Whether the sampler saw it being taken; otherwise it was held when the sampler started.
    pub is_whole: bool,
}

#[derive(Debug, Clone, Copy)]
struct TimedEntry {
    at: Timestamp,
    runs: Option<u64>,
    is_irretrievable: bool,
    // Seen in the current sample.
    is_held: bool,
}

/// The times, and the file that keeps them.
#[derive(Debug)]
pub struct FirstSeen {
    path: PathBuf,
    boot: String,
    entries: BTreeMap<HeldKey, TimedEntry>,
    idle: idle::IdleBook,
    // Removed databases that are still in the file.
    forgotten: BTreeSet<String>,
    is_changed: bool,
    written: Option<Instant>,
    trouble: Option<Unseen>,
}

impl FirstSeen {
    /// Loads what the file at `path` has for the current boot of the system; empty if there is no file.
    pub fn load(path: &Path, boot: String) -> Self {
        let mut first_seen = Self {
            path: path.to_owned(),
            boot,
            entries: BTreeMap::new(),
            idle: idle::IdleBook::default(),
            forgotten: BTreeSet::new(),
            is_changed: false,
            written: None,
            trouble: None,
        };
        match first_seen.kept() {
            Ok((entries, idle)) => {
                first_seen.entries = entries;
                first_seen.idle = idle::IdleBook::of(idle);
            }
            Err(error) => {
                first_seen.trouble = Some(problem(&error));
                first_seen.is_changed = true;
            }
        }
        first_seen
    }

    /// Since when `key` is known to be held: since `now`, if `evidence` does not reach further back.
    pub fn since(&mut self, key: HeldKey, now: Timestamp, evidence: SinceEvidence) -> Timestamp {
        let sampled = evidence.sampled.map(|sampled| sampled.since.min(now));
        let earlier =
            self.entries.get(&key).filter(|entry| entry.is_same_hold(evidence)).map(|entry| entry.at);
        let at = match evidence.sampled {
            Some(SampledSince { is_whole: true, .. }) => sampled,
            _ => earlier.into_iter().chain(sampled).min(),
        };
        // A clock that was set back must not produce a future time.
        let at = at.unwrap_or(now).min(now);
        let entry = TimedEntry {
            at,
            runs: evidence.runs,
            is_irretrievable: evidence.is_irretrievable,
            is_held: true,
        };
        let before = self.entries.insert(key, entry);
        self.is_changed |= before.is_none_or(|before| !before.has_same_value(&entry));
        at
    }

    /// How long the process of `seen` has done nothing.
    pub fn idle(&mut self, seen: &IdleSample) -> Option<IdleTime> {
        self.idle.see(seen)
    }

    /// Forgets what was held in `database`, which is gone: the next file may get the same numbers.
    pub fn forget(&mut self, database: &str) {
        self.entries.retain(|key, _| key.database != database);
        self.forgotten.insert(database.to_owned());
        self.is_changed = true;
    }

    /// Ends a sample of `databases`: forgets which of their locks were not seen held, and those of processes that no
    /// longer exist according to `lives`. Then writes the file, if that is due.
    pub fn end_sample(&mut self, databases: &[String], lives: &dyn Fn(i32, Option<u64>) -> bool) {
        let before = self.entries.len();
        self.entries.retain(|key, entry| {
            let is_ours = databases.contains(&key.database);
            std::mem::take(&mut entry.is_held) || !is_ours && is_holder_alive(key, lives)
        });
        self.is_changed |= self.entries.len() != before;
        self.idle.end_sample(&|process| lives(process.pid, Some(process.start_ticks)));
        self.is_changed |= self.idle.is_due();
        if self.is_changed && self.written.is_none_or(|written| written.elapsed() >= REST) {
            self.write(databases, lives);
        }
    }

    /// Why the times cannot be stored; `None` if they can.
    pub fn problem(&self) -> Option<Unseen> {
        self.trouble.clone()
    }

    /// Writes pending changes, before this value is dropped.
    pub fn flush(&mut self, databases: &[String]) {
        if self.is_changed || self.idle.is_changed() {
            self.write(databases, &|_, _| true);
        }
    }

    fn write(&mut self, databases: &[String], lives: &dyn Fn(i32, Option<u64>) -> bool) {
        self.written = Some(Instant::now());
        self.is_changed = false;
        self.trouble = self.try_write(databases, lives).err().map(|error| problem(&error));
    }
}

impl TimedEntry {
    // Whether the holder cannot have released the lock and taken it again since.
    fn is_same_hold(&self, evidence: SinceEvidence) -> bool {
        self.is_irretrievable || (self.runs.is_some() && self.runs == evidence.runs)
    }

    fn has_same_value(&self, other: &Self) -> bool {
        (self.at, self.runs, self.is_irretrievable) == (other.at, other.runs, other.is_irretrievable)
    }
}

fn is_holder_alive(key: &HeldKey, lives: &dyn Fn(i32, Option<u64>) -> bool) -> bool {
    key.pid.is_none_or(|pid| lives(pid, key.start_ticks))
}

fn problem(error: &io::Error) -> Unseen {
    Unseen { what: "since when locks were held in earlier samples".to_owned(), why: error.to_string() }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use tempfile::TempDir;

    use super::*;

    fn key(database: &str, pid: i32, mark: u64) -> HeldKey {
        HeldKey {
            database: database.to_owned(),
            pid: Some(pid),
            start_ticks: Some(7),
            lock: TimedLock::Read,
            slot: Some(1),
            mark: Some(mark),
        }
    }

    // The holder of every key here has not run between the samples.
    const ASLEEP: SinceEvidence = SinceEvidence { runs: Some(3), is_irretrievable: false, sampled: None };

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("in range")
    }

    struct Place {
        folder: TempDir,
    }

    impl Place {
        fn new() -> Self {
            Self { folder: TempDir::new().expect("a folder") }
        }

        fn path(&self) -> PathBuf {
            self.folder.path().join("state/first-seen.json")
        }

        fn load(&self) -> FirstSeen {
            FirstSeen::load(&self.path(), "boot".to_owned())
        }
    }

    fn ours() -> Vec<String> {
        vec!["ours".to_owned()]
    }

    #[test]
    fn the_count_goes_on_in_the_next_process() {
        let place = Place::new();
        let mut first = place.load();
        assert_eq!(first.since(key("ours", 1, 5), at(100), ASLEEP), at(100));
        first.end_sample(&ours(), &|_, _| true);
        assert_eq!(first.problem(), None);
        let mode = fs::metadata(place.path()).expect("written").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);

        let mut next = place.load();
        assert_eq!(next.since(key("ours", 1, 5), at(400), ASLEEP), at(100));
        assert_eq!(next.since(key("ours", 1, 6), at(400), ASLEEP), at(400), "another frame");
        assert_eq!(next.since(key("ours", 2, 5), at(400), ASLEEP), at(400), "another process");
    }

    #[test]
    fn what_is_no_longer_held_is_forgotten() {
        let place = Place::new();
        let mut first = place.load();
        first.since(key("ours", 1, 5), at(100), ASLEEP);
        first.end_sample(&ours(), &|_, _| true);
        first.end_sample(&ours(), &|_, _| true);
        first.flush(&ours());
        assert_eq!(place.load().since(key("ours", 1, 5), at(400), ASLEEP), at(400));
    }

    #[test]
    fn another_database_is_kept_while_its_holder_lives() {
        let place = Place::new();
        let mut theirs = place.load();
        theirs.since(key("theirs", 1, 5), at(100), ASLEEP);
        theirs.since(key("theirs", 2, 5), at(100), ASLEEP);
        theirs.end_sample(&["theirs".to_owned()], &|_, _| true);

        let mut first = place.load();
        first.since(key("ours", 3, 1), at(200), ASLEEP);
        first.end_sample(&ours(), &|pid, ticks| (pid, ticks) != (2, Some(7)));
        let mut next = place.load();
        assert_eq!(next.since(key("theirs", 1, 5), at(400), ASLEEP), at(100));
        assert_eq!(next.since(key("theirs", 2, 5), at(400), ASLEEP), at(400), "its holder is gone");
        assert_eq!(next.since(key("ours", 3, 1), at(400), ASLEEP), at(200));
    }

    #[test]
    fn a_database_that_is_gone_leaves_nothing_to_the_next_of_its_name() {
        let place = Place::new();
        let mut first = place.load();
        first.since(key("ours", 1, 5), at(100), ASLEEP);
        first.end_sample(&ours(), &|_, _| true);
        first.forget("ours");
        assert_eq!(first.since(key("ours", 1, 5), at(400), ASLEEP), at(400));
        first.flush(&ours());
        assert_eq!(place.load().since(key("ours", 1, 5), at(500), ASLEEP), at(400), "nor does the file");
    }

    #[test]
    fn two_consoles_do_not_lose_each_others_times() {
        let place = Place::new();
        let (mut first, mut second) = (place.load(), place.load());
        first.since(key("ours", 1, 5), at(100), ASLEEP);
        first.end_sample(&ours(), &|_, _| true);
        second.since(key("theirs", 2, 5), at(200), ASLEEP);
        second.end_sample(&["theirs".to_owned()], &|_, _| true);
        let mut next = place.load();
        assert_eq!(next.since(key("ours", 1, 5), at(400), ASLEEP), at(100));
        assert_eq!(next.since(key("theirs", 2, 5), at(400), ASLEEP), at(200));
    }

    #[test]
    fn a_sampler_that_saw_the_lock_being_taken_knows_better() {
        let sampled = |second, is_whole| SinceEvidence {
            sampled: Some(SampledSince { since: at(second), is_whole }),
            ..ASLEEP
        };
        let mut first = Place::new().load();
        first.since(key("ours", 1, 5), at(100), ASLEEP);
        assert_eq!(first.since(key("ours", 1, 5), at(200), sampled(150, false)), at(100));
        assert_eq!(first.since(key("ours", 1, 5), at(200), sampled(150, true)), at(150));
        assert_eq!(first.since(key("ours", 2, 5), at(300), sampled(290, false)), at(290));
    }

    #[test]
    fn the_count_restarts_where_the_lock_may_have_been_given_back() {
        let ran = |runs| SinceEvidence { runs, ..SinceEvidence::default() };
        let behind = |runs| SinceEvidence { is_irretrievable: true, ..ran(runs) };
        let mut first = Place::new().load();
        assert_eq!(first.since(key("ours", 1, 5), at(100), ran(Some(3))), at(100));
        assert_eq!(first.since(key("ours", 1, 5), at(200), ran(Some(3))), at(100), "it has not run");
        assert_eq!(first.since(key("ours", 1, 5), at(300), ran(Some(4))), at(300), "it has run");
        assert_eq!(first.since(key("ours", 1, 5), at(400), ran(None)), at(400), "it cannot be told");
        assert_eq!(first.since(key("ours", 1, 5), at(500), ran(None)), at(500));
        assert_eq!(first.since(key("ours", 1, 5), at(600), behind(Some(5))), at(600), "not behind before");
        assert_eq!(first.since(key("ours", 1, 5), at(700), behind(Some(6))), at(600), "behind since");
    }

    #[test]
    fn a_clock_that_was_set_back_gives_no_negative_time() {
        let mut first = Place::new().load();
        first.since(key("ours", 1, 5), at(100), ASLEEP);
        assert_eq!(first.since(key("ours", 1, 5), at(50), ASLEEP), at(50));
    }

    #[test]
    fn entries_of_another_boot_are_void() {
        let place = Place::new();
        let mut first = place.load();
        first.since(key("ours", 1, 5), at(100), ASLEEP);
        first.end_sample(&ours(), &|_, _| true);
        let mut next = FirstSeen::load(&place.path(), "next boot".to_owned());
        assert_eq!(next.since(key("ours", 1, 5), at(400), ASLEEP), at(400));
    }

    #[test]
    fn a_spoilt_file_is_reported_and_created_again() {
        let place = Place::new();
        fs::create_dir(place.path().parent().expect("a folder")).expect("made");
        fs::write(place.path(), "{rubbish").expect("written");
        let mut first = place.load();
        assert!(first.problem().is_some());
        first.since(key("ours", 1, 5), at(100), ASLEEP);
        first.end_sample(&ours(), &|_, _| true);
        assert_eq!(first.problem(), None);
        assert_eq!(place.load().since(key("ours", 1, 5), at(400), ASLEEP), at(100));
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_reported() {
        let place = Place::new();
        fs::write(place.folder.path().join("state"), "a file in the way").expect("written");
        let mut first = place.load();
        first.since(key("ours", 1, 5), at(100), ASLEEP);
        first.end_sample(&ours(), &|_, _| true);
        assert!(first.problem().is_some());
        assert_eq!(first.since(key("ours", 1, 5), at(400), ASLEEP), at(100), "the count goes on here");
    }
}
