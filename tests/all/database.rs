//! The door to `SQLite`: what its connections are set up with, leave behind and refuse.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use rusqlite::Connection;
use tempfile::TempDir;
use waltop::database::{
    factory,
    migrations::{self, TABLE},
};

use crate::support::WALTOP;

mod schema {
    use super::*;

    #[test]
    fn twenty_first_openers_at_once_all_succeed() {
        let folder = TempDir::new().expect("a folder");
        let path = folder.path().join("notes.db");
        let openers: Vec<_> = (0..20)
            .map(|_| {
                Command::new(WALTOP)
                    .args(["actor", "--migrate"])
                    .arg(&path)
                    .stdin(Stdio::null())
                    .stdout(Stdio::null())
                    .stderr(Stdio::piped())
                    .spawn()
                    .expect("an opener starts")
            })
            .collect();
        for opener in openers {
            let output = opener.wait_with_output().expect("an opener ends");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        let connection = plain(&path);
        assert_eq!(text(&connection, "PRAGMA journal_mode"), "wal");
        assert_eq!(text(&connection, &format!("SELECT count(*) FROM {TABLE}")), "1");
        assert_eq!(text(&connection, "PRAGMA integrity_check"), "ok");
    }

    #[test]
    fn a_host_keeps_its_own_numbers_and_tables() {
        let folder = TempDir::new().expect("a folder");
        let path =
            host(&folder, "PRAGMA user_version = 42; PRAGMA application_id = 7; CREATE TABLE its(own);");
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
        let mut writer = crate::support::Actor::open(&path);
        writer.sql("BEGIN IMMEDIATE");
        let mut connection = factory::open(&path, false).expect("it opens beside a writer");
        connection.busy_timeout(std::time::Duration::ZERO).expect("a timeout");
        migrations::migrate(&mut connection).expect("nothing is to be done");
    }

    #[test]
    fn what_waltop_did_not_make_is_refused_and_left_as_it_is() {
        for (sql, name) in [
            ("CREATE TABLE nodes(id)", "nodes"),
            ("CREATE TABLE Edges(id)", "edges"),
            ("CREATE VIEW nodes_fts AS SELECT 1", "nodes_fts"),
            ("CREATE TABLE nodes_fts_data(id)", "nodes_fts_data"),
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
                "DELETE FROM {TABLE} WHERE version = 99; UPDATE {TABLE} SET checksum = '1'"
            ))
            .expect("rows");
        let error = migrated(&path).expect_err("it is different");
        assert!(error.contains("schema 1 differs"), "{error}");
    }

    #[test]
    fn full_text_follows_every_change_of_a_document() {
        let folder = TempDir::new().expect("a folder");
        let path = folder.path().join("notes.db");
        let mut connection = factory::open(&path, true).expect("it opens");
        migrations::migrate(&mut connection).expect("it migrates");
        let write =
            "INSERT INTO nodes (path, folder, title, kind, body, bytes, modified_ns, hash, ingested_at)
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
        connection.execute_batch("INSERT INTO edges VALUES (1, 'link', 'b', 1)").expect("an edge");
        connection.execute_batch("DELETE FROM nodes").expect("deleted");
        assert_eq!((hits("thoughts"), text(&connection, "SELECT count(*) FROM edges")), (0, "0".to_owned()));
        connection
            .execute_batch("INSERT INTO nodes_fts (nodes_fts, rank) VALUES ('integrity-check', 1)")
            .expect("in step");
    }
}

mod opening {
    use super::*;

    #[test]
    fn every_connection_is_set_up_as_the_profile_asks() {
        let folder = TempDir::new().expect("a folder");
        let connection = factory::open(&folder.path().join("notes.db"), true).expect("it opens");
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
    fn bad_paths_are_told_in_one_line_and_nothing_is_made() {
        let folder = TempDir::new().expect("a folder");
        fs::write(
            folder.path().join("text.db"),
            "no database, but long enough to look like one. ".repeat(30),
        )
        .expect("a file");
        for (name, create, says) in [
            ("missing.db", false, "No such file"),
            ("missing/notes.db", true, "No such file"),
            (".", true, "directory"),
            ("text.db", true, "is not an SQLite database"),
        ] {
            let error = factory::open(&folder.path().join(name), create).expect_err(name).to_string();
            assert!(error.contains(says) && !error.contains('\n'), "{name}: {error}");
        }
        assert_eq!(names(folder.path()), ["text.db"]);
    }
}

fn host(folder: &TempDir, sql: &str) -> PathBuf {
    let path = folder.path().join("notes.db");
    plain(&path).execute_batch(&format!("CREATE TABLE host(id); {sql}")).expect("a host's database");
    path
}

fn plain(path: &Path) -> Connection {
    Connection::open(path).expect("a connection")
}

fn migrated(path: &Path) -> Result<(), String> {
    let mut connection = factory::open(path, true).map_err(|error| error.to_string())?;
    migrations::migrate(&mut connection).map_err(|error| error.to_string())
}

fn text(connection: &Connection, sql: &str) -> String {
    let value = connection.query_row(sql, [], |row| row.get::<_, rusqlite::types::Value>(0)).expect(sql);
    match value {
        rusqlite::types::Value::Integer(value) => value.to_string(),
        rusqlite::types::Value::Text(value) => value,
        other => panic!("{sql}: {other:?}"),
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("the folder");
    let mut names: Vec<_> =
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}
