use std::cell::Cell;

use tempfile::TempDir;

use super::*;
use crate::{
    diagnose::fixture::{READER, WRITER, live},
    snapshot::{PossibleWaiter, ProcessState, WaiterEvidence},
};

struct Stretch {
    idleness: IdleTracker,
    first_seen: FirstSeen,
    began: Instant,
    // CPU time of all below the writer.
    below: u64,
    // How often that was asked for.
    asked: Cell<u32>,
    _folder: TempDir,
}

impl Stretch {
    fn new() -> Self {
        let folder = TempDir::new().expect("a folder");
        let first_seen = FirstSeen::load(&folder.path().join("first-seen.json"), "boot".to_owned());
        Self {
            idleness: IdleTracker::default(),
            first_seen,
            began: Instant::now(),
            below: 0,
            asked: Cell::new(0),
            _folder: folder,
        }
    }

    // A look at `second`, at which each process has used the CPU time given.
    fn look(&mut self, second: u64, ticks: [u64; 2], adapt: impl FnOnce(&mut Database)) -> Database {
        self.look_after(second, ticks, &[], adapt)
    }

    fn look_after(
        &mut self,
        second: u64,
        ticks: [u64; 2],
        writers: &[i32],
        adapt: impl FnOnce(&mut Database),
    ) -> Database {
        let mut database = live();
        for (process, ticks) in database.processes.iter_mut().zip(ticks) {
            process.idleness.cpu_ticks = Some(ticks);
        }
        adapt(&mut database);
        let now = IdleClock { instant: self.began + Duration::from_secs(second), ms: 5000 + 1000 * second };
        let mut databases = [database];
        let below = self.below;
        let asked = &self.asked;
        let below = || {
            asked.set(asked.get() + 1);
            HashMap::from([(WRITER, below), (READER, 7)])
        };
        self.idleness.fill_in(&mut databases, &[writers.to_vec()], &mut self.first_seen, &below, now);
        let [database] = databases;
        database
    }
}

fn idle(database: &Database, pid: i32) -> Option<f64> {
    database.process(pid).expect("a row").idleness.idle_ms
}

#[test]
fn a_sample_without_descendants_asks_for_none() {
    for (leaves_descendants_out, asked) in [(false, 1), (true, 0)] {
        let mut stretch = Stretch::new();
        stretch.idleness.leaves_descendants_out = leaves_descendants_out;
        stretch.look(0, [10, 10], |_| {});
        assert_eq!(stretch.asked.get(), asked);
    }
}

#[test]
fn idleness_is_reported_from_the_second_sample_on() {
    let mut stretch = Stretch::new();
    let first = stretch.look(0, [5, 5], |_| {});
    assert_eq!((idle(&first, WRITER), idle(&first, READER)), (None, None));
    let second = stretch.look(60, [5, 6], |_| {});
    assert_eq!((idle(&second, WRITER), idle(&second, READER)), (Some(60_000.0), Some(0.0)));
    assert_eq!(second.processes[1].idleness.watched_ms, Some(60_000.0));
}

#[test]
fn only_what_an_idle_connection_holds_does_not_count() {
    let holds = [
        (LockHold::Shared, Some(60_000.0)),
        (LockHold::Write, Some(0.0)),
        (LockHold::Checkpoint, Some(0.0)),
        (LockHold::Recover, Some(0.0)),
        (LockHold::Read(0), Some(0.0)),
        (LockHold::Read(4), Some(0.0)),
        (LockHold::Exclusive, Some(0.0)),
    ];
    for (hold, expected) in holds {
        let mut stretch = Stretch::new();
        stretch.look(0, [5, 5], |_| {});
        let seen = stretch.look(60, [5, 5], |database| database.processes[0].holds = vec![hold]);
        assert_eq!(idle(&seen, WRITER), expected, "{hold}");
        assert_eq!(seen.processes[0].idleness.cpu_idle_ms, Some(60_000.0), "{hold} is no CPU time");
        assert_eq!(idle(&seen, READER), Some(60_000.0), "{hold} is not his");
    }
}

#[test]
fn a_shared_lock_with_a_rollback_journal_is_a_transaction() {
    let mut stretch = Stretch::new();
    stretch.look(0, [5, 5], |_| {});
    let seen = stretch.look(60, [5, 5], |database| {
        database.header = None;
        database.processes[0].holds = vec![LockHold::Shared];
    });
    assert_eq!(idle(&seen, WRITER), Some(0.0), "nor is it known what it is without a header");
}

#[test]
fn a_write_between_the_samples_counts() {
    let mut stretch = Stretch::new();
    stretch.look(0, [5, 5], |_| {});
    let seen = stretch.look_after(60, [5, 5], &[WRITER], |_| {});
    assert_eq!((idle(&seen, WRITER), idle(&seen, READER)), (Some(0.0), Some(60_000.0)));
}

#[test]
fn a_process_is_idle_only_since_it_was_last_stopped() {
    let mut stretch = Stretch::new();
    let stopped = |database: &mut Database| database.processes[0].state = ProcessState::Stopped;
    stretch.look(0, [5, 5], stopped);
    let seen = stretch.look(60, [5, 5], stopped);
    assert_eq!((idle(&seen, WRITER), idle(&seen, READER)), (Some(0.0), Some(60_000.0)));
    let seen = stretch.look(61, [5, 5], |_| {});
    let idleness = &seen.processes[0].idleness;
    assert_eq!((idleness.cpu_idle_ms, idleness.idle_ms), (Some(1000.0), Some(1000.0)), "it runs again");
    assert_eq!(idle(&seen, READER), Some(61_000.0));
}

#[test]
fn who_may_wait_for_the_lock_is_not_idle() {
    let mut stretch = Stretch::new();
    stretch.look(0, [5, 5], |_| {});
    let seen = stretch.look(60, [5, 5], |database| {
        database.locks.possible_waiters = vec![PossibleWaiter {
            pid: READER,
            holder: Some(WRITER),
            samples: 10,
            asleep: 10,
            span_ms: 1000.0,
            evidence: WaiterEvidence::HandlerSleep { sleep_ms: 100 },
        }];
    });
    assert_eq!((idle(&seen, WRITER), idle(&seen, READER)), (Some(60_000.0), Some(0.0)));
}

#[test]
fn who_waits_for_others_to_work_is_not_idle() {
    let mut stretch = Stretch::new();
    stretch.look(0, [5, 5], |_| {});
    let seen = stretch.look(60, [5, 5], |_| {});
    assert_eq!((idle(&seen, WRITER), idle(&seen, READER)), (Some(60_000.0), Some(60_000.0)));
    stretch.below += 1;
    let seen = stretch.look(90, [5, 5], |_| {});
    assert_eq!((idle(&seen, WRITER), idle(&seen, READER)), (Some(0.0), Some(90_000.0)));
    assert_eq!(seen.processes[0].idleness.cpu_idle_ms, Some(90_000.0), "its own is another matter");
    let seen = stretch.look(100, [5, 5], |_| {});
    assert_eq!(idle(&seen, WRITER), Some(10_000.0));
}

#[test]
fn a_parent_is_as_busy_as_its_children() {
    let mut stretch = Stretch::new();
    let fork = |database: &mut Database| {
        database.processes[1].parent = Some(WRITER);
        database.processes[1].start_ticks = Some(2000);
    };
    stretch.look(0, [5, 5], fork);
    let seen = stretch.look(60, [5, 6], fork);
    assert_eq!((idle(&seen, WRITER), idle(&seen, READER)), (Some(0.0), Some(0.0)));
    assert_eq!(seen.processes[0].idleness.cpu_idle_ms, Some(60_000.0));
    let seen = stretch.look(90, [5, 6], fork);
    assert_eq!((idle(&seen, WRITER), idle(&seen, READER)), (Some(30_000.0), Some(30_000.0)));
}

#[test]
fn what_cannot_be_measured_is_not_reported() {
    let mut stretch = Stretch::new();
    for second in [0, 60] {
        let seen = stretch.look(second, [5, 5], |database| {
            database.processes[0].start_ticks = None;
            database.processes[1].idleness.cpu_ticks = None;
        });
        assert_eq!((idle(&seen, WRITER), idle(&seen, READER)), (None, None));
    }
}

#[test]
fn what_those_below_do_is_asked_seldom_and_only_for_an_idle_process() {
    let mut stretch = Stretch::new();
    for (second, ticks, asked) in [
        (0, [5, 5], 1),
        (1, [5, 5], 1),
        (5, [6, 6], 1),
        (10, [6, 6], 2),
        (15, [6, 6], 2),
        (17, [6, 6], 3),
        (28, [6, 6], 3),
    ] {
        stretch.look(second, ticks, |_| {});
        assert_eq!(stretch.asked.get(), asked, "second {second}");
    }
}

#[test]
fn the_clock_of_idleness_counts_the_milliseconds_of_the_monotonic_clock() {
    let milliseconds = || {
        let now = clock_gettime(ClockId::Monotonic);
        now.tv_sec.unsigned_abs() * 1_000 + now.tv_nsec.unsigned_abs() / 1_000_000
    };
    let instant = Instant::now();
    let before = milliseconds();
    let clock = IdleClock::at(instant);
    assert!((before..=milliseconds()).contains(&clock.ms) && clock.instant == instant, "{clock:?}");
}
