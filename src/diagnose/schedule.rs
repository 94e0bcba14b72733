//! Scheduled checkpoints of a profile: when the next one is due, and what it may do then.
//!
//! The decisions use values only; the caller supplies the clock. The schedule ledger records the last checkpoint and
//! the current claim: the console and a watching daemon run the same schedules, and only one of them runs each
//! checkpoint.

use std::{path::Path, time::Duration};

use jiff::Timestamp;

use crate::{
    config::profile::Schedule,
    diagnose::{
        checkpoint::{blockers, no_room},
        guard,
    },
    snapshot::{CheckpointMode, CheckpointSchedule, Database, LastCheckpoint, Presence},
};

/// The decision about a checkpoint that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckpointPlan {
    Run {
        mode: CheckpointMode,
        /// Why this mode runs instead of the scheduled one, which a process would block.
        instead: Option<String>,
    },
    /// There is nothing to move: it counts as run.
    Idle,
    /// Run it as soon as this condition is over.
    Wait(String),
}

/// What a due checkpoint in `mode` may do, as of the sample of `database`. PASSIVE blocks no process. The other modes
/// hold the write lock while they wait. If a process writes or would keep them from completing, PASSIVE runs instead
/// and moves what it can; the next checkpoint tries the scheduled mode again.
pub fn plan(database: &Database, mode: CheckpointMode) -> CheckpointPlan {
    if let Some(why) = obstacle(database) {
        return CheckpointPlan::Wait(why);
    }
    let is_moved = database.wal.as_ref().is_some_and(|wal| wal.pending == Some(0));
    let has_log = database.files.wal.as_ref().is_some_and(|file| file.bytes > 0);
    if database.presence() == Presence::Clean || !has_log || is_moved && mode != CheckpointMode::Truncate {
        return CheckpointPlan::Idle;
    }
    let in_the_way = if mode.blocks_writers() { blockers(database, mode) } else { Vec::new() };
    let Some(first) = in_the_way.into_iter().next() else {
        return CheckpointPlan::Run { mode, instead: None };
    };
    let why = format!("{mode} would block others: {}", first.why);
    if is_moved {
        CheckpointPlan::Wait(why)
    } else {
        CheckpointPlan::Run { mode: CheckpointMode::Passive, instead: Some(why) }
    }
}

/// What prevents every checkpoint.
fn obstacle(database: &Database) -> Option<String> {
    if database.files.db.is_none() {
        return Some("there is no database at its path".to_owned());
    }
    if let Some(why) = &database.unfit {
        return Some(why.clone());
    }
    if database.is_wal() != Some(true) {
        return Some("the database is not in WAL mode".to_owned());
    }
    // The worker checks whether root would own the connection.
    if let Some(why) = guard::confirmed_hazard(database, false) {
        return Some(format!("data could be lost: {why}"));
    }
    // A log left by a crash is recovered by the next program that opens the database, or by the user.
    if database.presence() == Presence::Leftover {
        return Some("no process has the database open, and a crash may have left its log".to_owned());
    }
    if let Some(full) = no_room(database) {
        return Some(full.why(database));
    }
    let locks = &database.locks;
    if locks.exclusive.is_none() && locks.recoverer.is_none() && locks.checkpointer.is_none() {
        return None;
    }
    blockers(database, CheckpointMode::Passive).into_iter().next().map(|blocker| blocker.why)
}

/// When the next checkpoint of `database` is due: one period after the last one, plus a jitter of up to a tenth of the
/// period, so that the checkpoints of several databases do not coincide. If there was none, the jitter alone applies
/// after `since`, the start of the watch. The same last checkpoint always gives the same time.
pub fn due(schedule: Schedule, database: &Path, last: Option<Timestamp>, since: Timestamp) -> Timestamp {
    let jitter = jitter(schedule.every, database, last);
    let wait = if last.is_some() { schedule.every + jitter } else { jitter };
    last.unwrap_or(since).checked_add(wait).unwrap_or(Timestamp::MAX)
}

fn jitter(every: Duration, database: &Path, last: Option<Timestamp>) -> Duration {
    let mut hasher = blake3::Hasher::new();
    hasher.update(database.as_os_str().as_encoded_bytes());
    hasher.update(&last.map_or(0, Timestamp::as_nanosecond).to_le_bytes());
    let share = f64::from(hasher.finalize().as_bytes()[0]) / f64::from(u8::MAX);
    every.mul_f64(share / 10.0)
}

/// The schedule of `database` with its current state. A last checkpoint in the future was recorded before the clock was
/// set back, so it is ignored.
pub fn seen(
    schedule: Schedule,
    database: &Database,
    last: Option<LastCheckpoint>,
    (since, now): (Timestamp, Timestamp),
) -> CheckpointSchedule {
    let at = last.as_ref().map(|last| last.at).filter(|at| *at <= now);
    CheckpointSchedule {
        mode: schedule.mode,
        every_ms: schedule.every.as_secs_f64() * 1e3,
        due_at: due(schedule, &database.path, at, since),
        held_back: match plan(database, schedule.mode) {
            CheckpointPlan::Wait(why) | CheckpointPlan::Run { instead: Some(why), .. } => Some(why),
            CheckpointPlan::Run { instead: None, .. } | CheckpointPlan::Idle => None,
        },
        last,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnose::fixture::*;

    const EVERY: Duration = Duration::from_mins(15);
    const SCHEDULE: Schedule = Schedule { mode: CheckpointMode::Truncate, every: EVERY };

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + minute * 60).expect("a time")
    }

    #[test]
    fn the_next_one_comes_a_period_and_a_jitter_after_the_last() {
        let paths: Vec<String> = (0..50).map(|number| format!("/srv/{number}.db")).collect();
        let of = |path: &String, last| due(SCHEDULE, Path::new(path), last, at(0));
        let tenth = EVERY / 10;
        for path in &paths {
            let next = of(path, Some(at(7)));
            assert!(next >= at(7) + EVERY && next <= at(7) + EVERY + tenth, "{next}");
            assert_eq!(next, of(path, Some(at(7))), "whoever asks");
            let first = of(path, None);
            assert!(first >= at(0) && first <= at(0) + tenth, "soon, where there was none: {first}");
        }
        let all: std::collections::BTreeSet<Timestamp> =
            paths.iter().map(|path| of(path, Some(at(7)))).collect();
        assert!(all.len() > 25, "they do not fall together: {}", all.len());
    }

    #[test]
    fn a_clock_that_was_set_back_does_not_put_it_off() {
        let last = LastCheckpoint::started(at(600), CheckpointMode::Passive, None);
        let schedule = seen(SCHEDULE, &quiet(), Some(last), (at(0), at(1)));
        assert!(schedule.due_at <= at(0) + EVERY / 10, "{}", schedule.due_at);
    }

    #[test]
    fn no_process_is_ever_blocked() {
        let run = |mode| CheckpointPlan::Run { mode, instead: None };
        for mode in CheckpointMode::ALL {
            assert_eq!(plan(&quiet(), mode), run(mode));
        }
        let writing = live();
        assert_eq!(
            plan(&writing, CheckpointMode::Passive),
            run(CheckpointMode::Passive),
            "it waits for nobody"
        );
        let gentle = |database: &Database, mode| match plan(database, mode) {
            CheckpointPlan::Run { mode: CheckpointMode::Passive, instead: Some(why) } => why,
            other => panic!("{other:?}"),
        };
        assert_eq!(
            gentle(&writing, CheckpointMode::Truncate),
            "TRUNCATE would block others: 71201 (bun) holds the write lock for 20 ms"
        );
        assert!(
            gentle(&pinned(), CheckpointMode::Full)
                .starts_with("FULL would block others: 71168 (python3) pins")
        );
    }

    #[test]
    fn where_all_is_moved_only_a_truncate_has_something_to_do() {
        let mut database = quiet();
        database.wal = Some(wal(19_031, 19_031));
        for mode in [CheckpointMode::Passive, CheckpointMode::Full, CheckpointMode::Restart] {
            assert_eq!(plan(&database, mode), CheckpointPlan::Idle, "{mode}");
        }
        assert_eq!(
            plan(&database, CheckpointMode::Truncate),
            CheckpointPlan::Run { mode: CheckpointMode::Truncate, instead: None }
        );
        database.locks.readers = vec![reader(READER, 2, 19_031, 50.0)];
        assert!(
            matches!(plan(&database, CheckpointMode::Truncate), CheckpointPlan::Wait(why) if why.contains("71168 (python3) reads"))
        );
        database.files.wal.as_mut().expect("a log").bytes = 0;
        assert_eq!(plan(&database, CheckpointMode::Truncate), CheckpointPlan::Idle);
    }

    #[test]
    fn it_waits_where_a_checkpoint_cannot_or_must_not_run() {
        let why = |database: &Database| match plan(database, CheckpointMode::Passive) {
            CheckpointPlan::Wait(why) => why,
            other => panic!("{other:?}"),
        };
        assert_eq!(why(&rollback()), "the database is not in WAL mode");
        let mut database = quiet();
        database.locks.checkpointer = Some(held(WRITER, 50.0));
        assert_eq!(why(&database), "71201 (bun) is running a checkpoint for 50 ms");
        let mut database = quiet();
        database.filesystem.as_mut().expect("it is known").free_bytes = Some(4_096);
        assert!(why(&database).ends_with("are not free"), "{}", why(&database));
        let mut database = quiet();
        database.processes.clear();
        database.locks.index_held = false;
        assert!(why(&database).starts_with("no process has the database open"), "{}", why(&database));
        database.files.wal = None;
        database.files.shm = None;
        assert_eq!(plan(&database, CheckpointMode::Passive), CheckpointPlan::Idle);
        database.files.db = None;
        assert_eq!(why(&database), "there is no database at its path");
        let mut database = quiet();
        database.findings.push(crate::snapshot::Finding {
            kind: crate::snapshot::FindingKind::SplitWal,
            severity: crate::snapshot::Severity::Error,
            label: None,
            pid: None,
            message: "71168 (bun) writes where nobody reads".to_owned(),
            evidence: serde_json::Map::new(),
            remedy: crate::snapshot::Remedy { action: None, command: None },
        });
        assert!(why(&database).ends_with("; see: waltop explain split-wal"), "{}", why(&database));
    }

    #[test]
    fn a_schedule_tells_its_mode_its_period_and_what_holds_it_back() {
        let last = LastCheckpoint::started(at(1), CheckpointMode::Passive, None);
        let schedule = seen(SCHEDULE, &quiet(), Some(last.clone()), (at(0), at(1)));
        assert_eq!((schedule.mode, schedule.every_ms), (CheckpointMode::Truncate, 900_000.0));
        assert_eq!((schedule.held_back, schedule.last), (None, Some(last)));
        assert!(schedule.due_at >= at(16), "{}", schedule.due_at);
        let held_back = |database: &Database| seen(SCHEDULE, database, None, (at(0), at(1))).held_back;
        assert!(held_back(&live()).is_some_and(|why| why.contains("holds the write lock")));
        assert!(held_back(&rollback()).is_some_and(|why| why.contains("not in WAL mode")));
    }
}
