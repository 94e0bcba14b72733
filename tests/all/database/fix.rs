//! What the file keeps is put right, or left as it is.

use std::{fs, path::Path};

use tempfile::TempDir;
use waltop::{
    config::profile::Profile,
    database::fix::{self, FixError},
    diagnose::fix::{FixExtent, FixStep, TO_FILE, TO_WAL, plan},
    snapshot::{Database, FileFacts, JournalMode},
};

use super::{endangered, host, names, plain, seen, text, trace, wal};
use crate::support::Actor;

fn apply(path: &Path, database: &Database) -> Result<Vec<String>, FixError> {
    let profile = Profile::hardened();
    fix::apply(path, database, &profile, plan(database, &profile, FixExtent::InPlace))
}

#[test]
fn a_rollback_journal_becomes_a_log() {
    let folder = TempDir::new().expect("a folder");
    let path = host(&folder, "INSERT INTO host VALUES (1)");
    let applied = apply(&path, &seen(&path, JournalMode::Rollback, false)).expect("a fix");
    assert_eq!(applied, [TO_WAL]);
    assert_eq!(names(folder.path()), ["notes.db"]);
    assert_eq!(text(&plain(&path), "PRAGMA journal_mode"), "wal");
    assert_eq!(text(&plain(&path), "SELECT count(*) FROM host"), "1");
}

#[test]
fn a_log_needs_no_fix() {
    let folder = TempDir::new().expect("a folder");
    let path = host(&folder, "PRAGMA journal_mode = wal");
    let before = trace(folder.path());
    let applied = apply(&path, &seen(&path, JournalMode::Wal, false)).expect("nothing to do");
    assert!(applied.is_empty(), "{applied:?}");
    assert_eq!(trace(folder.path()), before);
}

#[test]
fn what_a_crash_left_is_moved_and_removed() {
    let folder = TempDir::new().expect("a folder");
    let (path, writer) = wal(&folder);
    writer.kill();
    let mut left = seen(&path, JournalMode::Wal, false);
    left.files.wal = Some(FileFacts {
        bytes: 4152,
        device: "fe:00".to_owned(),
        inode: 2,
        uid: 0,
        gid: None,
        mode: 0o644,
        modified_at: None,
    });
    assert_eq!(apply(&path, &left).expect("a fix"), [TO_FILE]);
    assert_eq!(names(folder.path()), ["notes.db"]);
    assert_eq!(text(&plain(&path), "SELECT count(*) FROM host"), "1");
}

#[test]
fn a_vacuum_rewrites_the_file() {
    let folder = TempDir::new().expect("a folder");
    let path = host(&folder, "PRAGMA journal_mode = wal");
    let steps = ["PRAGMA auto_vacuum = incremental", "VACUUM"]
        .map(|sql| FixStep { sql: sql.to_owned(), why: String::new() });
    let database = seen(&path, JournalMode::Wal, false);
    fix::apply(&path, &database, &Profile::hardened(), steps.into()).expect("a fix");
    assert_eq!(text(&plain(&path), "PRAGMA auto_vacuum"), "2");
    assert_eq!(names(folder.path()), ["notes.db"]);
}

#[test]
fn it_is_refused_while_the_file_is_held() {
    let folder = TempDir::new().expect("a folder");
    let path = host(&folder, "INSERT INTO host VALUES (1)");
    let database = seen(&path, JournalMode::Rollback, false);
    let before = fs::read(&path).expect("the file");
    let mut holder = Actor::open(&path);
    for begin in ["BEGIN", "BEGIN IMMEDIATE", "BEGIN EXCLUSIVE"] {
        holder.sql(begin).sql("SELECT * FROM host");
        let error = apply(&path, &database).expect_err(begin);
        assert!(matches!(error, FixError::Held { .. }), "{begin}: {error}");
        assert!(error.to_string().contains("stop the processes"), "{error}");
        holder.sql("COMMIT");
    }
    assert_eq!(fs::read(&path).expect("the file"), before);
    assert!(apply(&path, &database).is_ok(), "an idle neighbour is not in the way");
    holder.sql("INSERT INTO host VALUES (2)");
}

#[test]
fn it_is_refused_where_it_would_lose_data_or_nothing_is_known() {
    let folder = TempDir::new().expect("a folder");
    let path = host(&folder, "");
    let before = trace(folder.path());
    let error = apply(&path, &endangered(&path, JournalMode::Rollback)).expect_err("data would be lost");
    assert!(matches!(error, FixError::Hazard { .. }), "{error}");
    let mut unread = seen(&path, JournalMode::Rollback, false);
    unread.header = None;
    let error = apply(&path, &unread).expect_err("nothing is known");
    assert!(matches!(error, FixError::Unread { .. }), "{error}");
    assert_eq!(trace(folder.path()), before);
}
