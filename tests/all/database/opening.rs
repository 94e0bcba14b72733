//! How connections are set up, and what is not opened.

use std::{fs, thread};

use tempfile::TempDir;
use waltop::{
    config::profile::Profile,
    database::{
        factory::{self, OpenError},
        sidecars::OnClose,
    },
};

use super::{host, names, text};
use crate::support::Actor;

#[test]
fn every_connection_is_set_up_as_the_profile_asks() {
    let folder = TempDir::new().expect("a folder");
    let connection =
        factory::open(&folder.path().join("notes.db"), true, &Profile::hardened()).expect("it opens");
    let expected = [
        ("busy_timeout", "5000"),
        ("journal_mode", "wal"),
        ("synchronous", "1"),
        ("mmap_size", "0"),
        ("temp_store", "2"),
        ("foreign_keys", "1"),
        ("wal_autocheckpoint", "1000"),
    ];
    for (pragma, value) in expected {
        assert_eq!(text(&connection, &format!("PRAGMA {pragma}")), value, "{pragma}");
    }
}

#[test]
fn another_profile_sets_its_connections_up_otherwise() {
    let folder = TempDir::new().expect("a folder");
    let profile = Profile::named("throughput", folder.path()).expect("it comes along");
    let path = folder.path().join("notes.db");
    let expected = [("busy_timeout", "30000"), ("mmap_size", "268435456"), ("cache_size", "-64000")];
    let opened = factory::open(&path, true, &profile).expect("it opens");
    let look = factory::open_for_look(&path, &profile, OnClose::LeaveFiles).expect("it opens");
    for connection in [opened, look] {
        for (pragma, value) in expected {
            assert_eq!(text(&connection, &format!("PRAGMA {pragma}")), value, "{pragma}");
        }
    }
}

#[test]
fn the_process_that_has_the_lock_is_reported_with_the_time_that_was_waited() {
    let folder = TempDir::new().expect("a folder");
    let path = host(&folder, "");
    let mut holder = Actor::open(&path);
    holder.sql("BEGIN EXCLUSIVE");
    let look = factory::open_for_look(&path, &Profile::hardened(), OnClose::Tidy);
    let error = look.expect_err("the file is locked");
    let OpenError::Busy { kept, .. } = &error else { panic!("{error}") };
    assert_eq!(kept.holder.as_ref().and_then(|it| it.pid), Some(holder.pid()), "{error}");
    assert!(!kept.waited.is_zero(), "{error}");
}

#[test]
fn bad_paths_are_reported_in_one_line_and_nothing_is_made() {
    let folder = TempDir::new().expect("a folder");
    fs::write(folder.path().join("text.db"), "no database, but long enough to look like one. ".repeat(30))
        .expect("a file");
    for (name, create, says) in [
        ("missing.db", false, "No such file"),
        ("missing/notes.db", true, "No such file"),
        (".", true, "directory"),
        ("text.db", true, "is not a SQLite database"),
    ] {
        let error = factory::open(&folder.path().join(name), create, &Profile::hardened())
            .expect_err(name)
            .to_string();
        assert!(error.contains(says) && !error.contains('\n'), "{name}: {error}");
    }
    assert_eq!(names(folder.path()), ["text.db"]);
}

#[test]
fn an_opener_waits_for_a_lock_from_its_first_statement() {
    let folder = TempDir::new().expect("a folder");
    let path = host(&folder, "");
    let mut holder = Actor::open(&path);
    holder.sql("BEGIN EXCLUSIVE");
    thread::scope(|scope| {
        let opener = scope.spawn(|| {
            factory::open(&path, false, &Profile::hardened()).map(drop).map_err(|error| error.to_string())
        });
        // A look gives up early, and by then the opener has met the lock as well.
        let look = factory::open_for_look(&path, &Profile::hardened(), OnClose::Tidy);
        let error = look.expect_err("the file is locked");
        assert!(matches!(error, OpenError::Busy { .. }), "{error}");
        assert!(!opener.is_finished());
        holder.sql("COMMIT");
        assert_eq!(opener.join().expect("no panic"), Ok(()));
    });
}

#[test]
fn a_sample_changes_nothing_that_the_file_keeps() {
    let folder = TempDir::new().expect("a folder");
    let path = host(&folder, "");
    let before = fs::read(&path).expect("the file");
    let look = factory::open_for_look(&path, &Profile::hardened(), OnClose::Tidy).expect("it opens");
    assert_eq!(text(&look, "PRAGMA journal_mode"), "delete");
    assert_eq!(text(&look, "PRAGMA synchronous"), "1");
    drop(look);
    assert_eq!(fs::read(&path).expect("the file"), before);
}

#[test]
fn the_switch_to_a_log_is_tried_until_a_writer_is_gone() {
    let folder = TempDir::new().expect("a folder");
    let path = host(&folder, "");
    let (mut writer, mut waiter) = (Actor::open(&path), Actor::open(&path));
    writer.sql("BEGIN IMMEDIATE");
    waiter.sql("PRAGMA busy_timeout = 500");
    thread::scope(|scope| {
        let opener = scope.spawn(|| {
            factory::open(&path, false, &Profile::hardened()).map(drop).map_err(|error| error.to_string())
        });
        // A waiter gives up after half a second, and by then the opener was refused, without any wait of SQLite's.
        assert_eq!(waiter.try_sql("BEGIN IMMEDIATE"), "error: database is locked");
        assert!(!opener.is_finished());
        writer.sql("COMMIT");
        assert_eq!(opener.join().expect("no panic"), Ok(()));
    });
}
