//! Checkpoints beside real holders: what is moved, what is said of it, and what is left.

use std::{fs, path::Path};

use tempfile::TempDir;
use waltop::{
    config::profile::Profile,
    database::checkpoint::{CheckpointError, CheckpointOutcome, run},
    snapshot::CheckpointMode,
    snapshot::{Database, JournalMode},
};

use super::{endangered, host, names, plain, seen, text, trace, wal};
use crate::support::{Actor, eventually};

fn checkpoint(
    path: &Path,
    mode: CheckpointMode,
    database: &Database,
) -> Result<CheckpointOutcome, CheckpointError> {
    run(path, mode, database, &Profile::hardened())
}

fn beside_others(path: &Path, mode: CheckpointMode) -> CheckpointOutcome {
    checkpoint(path, mode, &seen(path, JournalMode::Wal, true)).expect("a checkpoint")
}

/// What an outcome says, for comparison: busy, frames in the log, frames moved, complete.
fn said(outcome: &CheckpointOutcome) -> (bool, Option<u32>, Option<u32>, bool) {
    (outcome.busy, outcome.frames_in_log, outcome.frames_moved, outcome.complete())
}

fn reader(path: &Path) -> Actor {
    let mut reader = Actor::open(path);
    reader.sql("BEGIN").sql("SELECT * FROM host");
    reader
}

#[test]
fn a_pinned_reader_keeps_every_mode_from_completing() {
    let folder = TempDir::new().expect("a folder");
    let (path, mut writer) = wal(&folder);
    let pinned = reader(&path);
    writer.sql("INSERT INTO host VALUES (2)").sql("INSERT INTO host VALUES (3)");
    let files = names(folder.path());
    for mode in CheckpointMode::ALL {
        let outcome = beside_others(&path, mode);
        // One frame before the reader came, two after. PASSIVE does not call that busy.
        assert_eq!(said(&outcome), (mode != CheckpointMode::Passive, Some(3), Some(1), false), "{mode}");
        assert_eq!(outcome.frames_moved_now, Some(u32::from(mode == CheckpointMode::Passive)), "{mode}");
        assert_eq!(names(folder.path()), files, "{mode}");
    }
    pinned.close();
    assert_eq!(said(&beside_others(&path, CheckpointMode::Passive)), (false, Some(3), Some(3), true));
}

#[test]
fn a_reader_at_the_newest_frame_keeps_the_log_from_restarting() {
    let folder = TempDir::new().expect("a folder");
    let (path, mut writer) = wal(&folder);
    writer.sql("INSERT INTO host VALUES (2)");
    let newest = reader(&path);
    for mode in CheckpointMode::ALL {
        let blocked = mode.needs_empty_slots();
        assert_eq!(said(&beside_others(&path, mode)), (blocked, Some(2), Some(2), !blocked), "{mode}");
    }
    newest.close();
    assert_eq!(said(&beside_others(&path, CheckpointMode::Restart)), (false, Some(2), Some(2), true));
    assert_eq!(said(&beside_others(&path, CheckpointMode::Truncate)), (false, Some(2), Some(2), true));
}

#[test]
fn a_writer_keeps_all_but_passive_from_completing() {
    let folder = TempDir::new().expect("a folder");
    let (path, mut writer) = wal(&folder);
    writer.sql("BEGIN IMMEDIATE").sql("INSERT INTO host VALUES (2)");
    for mode in CheckpointMode::ALL {
        let blocked = mode.blocks_writers();
        let outcome = beside_others(&path, mode);
        assert_eq!((outcome.busy, outcome.complete()), (blocked, !blocked), "{mode}");
    }
    writer.sql("COMMIT");
}

#[test]
fn another_checkpointer_leaves_the_figures_unknown() {
    let folder = TempDir::new().expect("a folder");
    let (path, mut writer) = wal(&folder);
    let pinned = reader(&path);
    writer.sql("INSERT INTO host VALUES (2)");
    let mut other = Actor::open(&path);
    other.sql("PRAGMA busy_timeout = 60000");
    other.order("PRAGMA wal_checkpoint(TRUNCATE)");
    // Not found out by trying: a checkpoint of ours would turn the other one away.
    eventually("the other one has the checkpoint lock", || has_checkpoint_lock(other.pid()).then_some(()));
    for mode in CheckpointMode::ALL {
        assert_eq!(said(&beside_others(&path, mode)), (true, None, None, false), "{mode}");
    }
    pinned.close();
    assert_eq!(other.answer(), "ok");
}

// Byte 121 of the one `-shm` that the process has open.
fn has_checkpoint_lock(pid: i32) -> bool {
    let table = fs::read_to_string("/proc/locks").expect("the lock table");
    table.lines().any(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [_, "POSIX", _, "WRITE", holder, _, start, end] = fields[..] else {
            return false;
        };
        let covers = |byte: u64| {
            start.parse().is_ok_and(|it: u64| it <= byte) && end.parse().is_ok_and(|it: u64| byte <= it)
        };
        holder == pid.to_string() && covers(121)
    })
}

#[test]
fn a_writer_that_comes_meanwhile_gets_its_turn() {
    let folder = TempDir::new().expect("a folder");
    let (path, mut writer) = wal(&folder);
    let _pinned = reader(&path);
    writer.sql("INSERT INTO host VALUES (2)").sql("PRAGMA busy_timeout = 30000");
    writer.order("INSERT INTO host VALUES (3)");
    assert!(!beside_others(&path, CheckpointMode::Truncate).complete());
    assert_eq!(writer.answer(), "ok");
}

#[test]
fn the_files_stay_with_those_who_use_them() {
    let folder = TempDir::new().expect("a folder");
    let (path, mut writer) = wal(&folder);
    let inodes = || trace(folder.path()).into_iter().map(|it| (it.0, it.1)).collect::<Vec<_>>();
    let before = inodes();
    assert_eq!(before.len(), 3);
    for mode in CheckpointMode::ALL {
        assert!(beside_others(&path, mode).complete(), "{mode}");
        assert_eq!(inodes(), before, "{mode}");
        writer.sql("INSERT INTO host VALUES (2)");
    }
}

#[test]
fn what_a_crash_left_is_moved_and_removed() {
    let folder = TempDir::new().expect("a folder");
    let (path, writer) = wal(&folder);
    writer.kill();
    let outcome = checkpoint(&path, CheckpointMode::Passive, &seen(&path, JournalMode::Wal, false))
        .expect("a checkpoint");
    assert_eq!(said(&outcome), (false, Some(1), Some(1), true));
    assert_eq!(names(folder.path()), ["notes.db"]);
    assert_eq!(text(&plain(&path), "SELECT count(*) FROM host"), "1");
}

#[test]
fn without_a_log_there_is_nothing_to_do_and_no_trace() {
    let folder = TempDir::new().expect("a folder");
    let path = host(&folder, "PRAGMA journal_mode = wal");
    let before = trace(folder.path());
    let outcome = checkpoint(&path, CheckpointMode::Truncate, &seen(&path, JournalMode::Wal, false))
        .expect("a checkpoint");
    assert_eq!(said(&outcome), (false, Some(0), Some(0), true));
    assert_eq!(trace(folder.path()), before);
}

#[test]
fn it_is_refused_where_it_cannot_or_must_not_be_run() {
    let folder = TempDir::new().expect("a folder");
    let path = host(&folder, "");
    let error = checkpoint(&path, CheckpointMode::Passive, &seen(&path, JournalMode::Rollback, false))
        .expect_err("no log");
    assert!(matches!(error, CheckpointError::NotWal { .. }), "{error}");
    // The look could not read the header: SQLite says it.
    let mut unread = seen(&path, JournalMode::Wal, false);
    unread.header = None;
    let error = checkpoint(&path, CheckpointMode::Passive, &unread).expect_err("no log");
    assert!(matches!(error, CheckpointError::NotWal { .. }), "{error}");

    let folder = TempDir::new().expect("a folder");
    let (path, _writer) = wal(&folder);
    let before = trace(folder.path());
    let error = checkpoint(&path, CheckpointMode::Passive, &endangered(&path, JournalMode::Wal))
        .expect_err("data would be lost");
    assert!(error.to_string().contains("71168 (amalfa) writes where nobody reads"), "{error}");
    assert_eq!(trace(folder.path()), before);
}
