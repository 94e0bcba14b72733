//! waltop as a guest: its tables in databases that may be somebody else's.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use tempfile::TempDir;
use waltop::{
    config::profile::Profile,
    database::{
        factory,
        migrations::{self, TABLE, TableChange},
    },
};

use super::{host, names, plain, text};
use crate::support::{Actor, WALTOP, eventually};

#[test]
fn twenty_first_openers_at_once_all_succeed() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().canonicalize().expect("a path").join("notes.db");
    // A lock on the new, empty file keeps them at the start until all are there.
    let mut starter = Actor::open(&path);
    starter.sql("BEGIN EXCLUSIVE");
    let openers: Vec<Child> = (0..20).map(|_| opener(&path)).collect();
    for opener in &openers {
        eventually("an opener is at the start", || has_open(opener, &path).then_some(()));
    }
    starter.sql("COMMIT");
    for opener in openers {
        let output = opener.wait_with_output().expect("an opener ends");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    starter.close();
    let connection = plain(&path);
    assert_eq!(text(&connection, "PRAGMA journal_mode"), "wal");
    assert_eq!(text(&connection, &format!("SELECT group_concat(version) FROM {TABLE}")), "1,2,3,4,5,6,7");
    assert_eq!(text(&connection, "PRAGMA integrity_check"), "ok");
}

fn opener(path: &Path) -> Child {
    Command::new(WALTOP)
        .args(["actor", "--migrate"])
        .arg(path)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("an opener starts")
}

fn has_open(process: &Child, path: &Path) -> bool {
    let descriptors = fs::read_dir(format!("/proc/{}/fd", process.id())).expect("an opener that lives");
    descriptors.flatten().any(|it| fs::read_link(it.path()).is_ok_and(|target| target == path))
}

#[test]
fn a_host_keeps_its_own_numbers_and_tables() {
    let folder = TempDir::new().expect("a folder");
    let path = host(&folder, "PRAGMA user_version = 42; PRAGMA application_id = 7; CREATE TABLE its(own);");
    migrated(&path).expect("a guest is welcome");
    let connection = plain(&path);
    assert_eq!(text(&connection, "PRAGMA user_version"), "42");
    assert_eq!(text(&connection, "PRAGMA application_id"), "7");
    assert_eq!(text(&connection, "SELECT count(*) FROM its"), "0");
    assert_eq!(text(&connection, "SELECT count(*) FROM nodes"), "0");
}

#[test]
fn where_everything_is_applied_no_write_lock_is_asked_for() {
    let folder = TempDir::new().expect("a folder");
    let path = host(&folder, "");
    migrated(&path).expect("it migrates");
    let mut writer = Actor::open(&path);
    writer.sql("BEGIN IMMEDIATE");
    let mut connection = factory::open(&path, false, &Profile::hardened()).expect("it opens beside a writer");
    connection.busy_timeout(Duration::ZERO).expect("a timeout");
    let change = migrations::migrate(&mut connection).expect("nothing is to be done");
    assert_eq!(change, TableChange::Nothing);
}

#[test]
fn the_process_that_has_the_write_lock_is_named() {
    for mode in ["wal", "delete"] {
        let folder = TempDir::new().expect("a folder");
        let path = host(&folder, &format!("PRAGMA journal_mode = {mode}"));
        let mut writer = Actor::open(&path);
        writer.sql("BEGIN IMMEDIATE").sql("INSERT INTO host VALUES (1)");
        let mut connection = plain(&path);
        connection.busy_timeout(Duration::ZERO).expect("a timeout");
        let error = migrations::migrate(&mut connection).expect_err("it is locked").to_string();
        let who = format!("is locked by another process: {} (waltop) has the write lock; see ", writer.pid());
        assert!(error.contains(&who), "{mode}: {error}");
        writer.sql("COMMIT");
        migrations::migrate(&mut connection).expect("it was the lock alone");
    }
}

#[test]
fn what_waltop_did_not_make_is_refused_and_left_as_it_is() {
    for (sql, name) in [
        ("CREATE TABLE nodes(id)", "nodes"),
        ("CREATE TABLE Edges(id)", "edges"),
        ("CREATE VIEW nodes_fts AS SELECT 1", "nodes_fts"),
        ("CREATE TABLE nodes_fts_data(id)", "nodes_fts_data"),
        ("CREATE TABLE nodes_vectors(id)", "nodes_vectors"),
        ("CREATE TABLE nodes_sections(id)", "nodes_sections"),
        ("CREATE TABLE nodes_files(id)", "nodes_files"),
        ("CREATE TABLE nodes_words_data(id)", "nodes_words_data"),
        ("CREATE TABLE waltop_migrations(id)", TABLE),
    ] {
        let folder = TempDir::new().expect("a folder");
        let path = host(&folder, sql);
        let before = fs::read(&path).expect("the file");
        let error = migrated(&path).expect_err(sql);
        assert!(error.contains(&format!(" {name} ")) && error.contains("use another file"), "{error}");
        assert_eq!(fs::read(&path).expect("the file"), before, "{sql}");
        assert_eq!(names(folder.path()), ["notes.db"], "{sql}");
    }
}

#[test]
fn a_foreign_database_in_wal_mode_is_refused_too() {
    let folder = TempDir::new().expect("a folder");
    let path = host(&folder, "PRAGMA journal_mode = wal; CREATE TABLE nodes(id);");
    let before = fs::read(&path).expect("the file");
    let error = migrated(&path).expect_err("it is foreign");
    assert!(error.contains("use another file"), "{error}");
    assert_eq!(fs::read(&path).expect("the file"), before);
}

#[test]
fn a_newer_or_different_schema_is_refused() {
    let folder = TempDir::new().expect("a folder");
    let path = host(&folder, "");
    migrated(&path).expect("it migrates");
    plain(&path)
        .execute_batch(&format!("INSERT INTO {TABLE} VALUES (99, 'later', '2030-01-01T00:00:00Z', '1')"))
        .expect("a row");
    let error = migrated(&path).expect_err("it is newer");
    assert!(error.contains("schema 99") && error.contains("use a newer waltop"), "{error}");
    plain(&path)
        .execute_batch(&format!(
            "DELETE FROM {TABLE} WHERE version = 99; UPDATE {TABLE} SET checksum = '1' WHERE version = 1"
        ))
        .expect("rows");
    let error = migrated(&path).expect_err("it is different");
    assert!(error.contains("schema 1 differs"), "{error}");
}

#[test]
fn full_text_follows_every_change_of_a_document() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("notes.db");
    let mut connection = factory::open(&path, true, &Profile::hardened()).expect("it opens");
    migrations::migrate(&mut connection).expect("it migrates");
    let write = "INSERT INTO nodes (path, folder, title, kind, body, bytes, modified_ns, hash, ingested_at)
                 VALUES ('a.md', '', 'Crème', 'note', ?1, 1, 1, x'00', '')
                 ON CONFLICT (path) DO UPDATE SET body = excluded.body RETURNING id";
    let id: i64 = connection.query_row(write, ["first words"], |row| row.get(0)).expect("a row");
    let again: i64 = connection.query_row(write, ["second thoughts"], |row| row.get(0)).expect("a row");
    assert_eq!(id, again);
    let hits = |word: &str| {
        let sql = "SELECT count(*) FROM nodes_fts WHERE nodes_fts MATCH ?1";
        connection.query_row(sql, [word], |row| row.get::<_, i64>(0)).expect("a count")
    };
    assert_eq!((hits("first"), hits("thoughts"), hits("creme")), (0, 1, 1));
    connection
        .execute_batch("INSERT INTO edges (source, kind, target, target_node) VALUES (1, 'link', 'b', 1)")
        .expect("an edge");
    connection.execute_batch("DELETE FROM nodes").expect("deleted");
    assert_eq!((hits("thoughts"), text(&connection, "SELECT count(*) FROM edges")), (0, "0".to_owned()));
    connection
        .execute_batch("INSERT INTO nodes_fts (nodes_fts, rank) VALUES ('integrity-check', 1)")
        .expect("in step");
}

fn migrated(path: &Path) -> Result<(), String> {
    let mut connection =
        factory::open(path, true, &Profile::hardened()).map_err(|error| error.to_string())?;
    migrations::migrate(&mut connection).map(drop).map_err(|error| error.to_string())
}
