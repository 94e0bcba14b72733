//! The door to SQLite: what its connections are set up with, leave behind and refuse.

mod checkpoint;
mod fix;
mod opening;
mod optimize;
mod pragmas;
mod schema;

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use rusqlite::{Connection, types::Value};
use tempfile::TempDir;
use waltop::snapshot::{
    AutoVacuum, ContentEvidence, Database, DatabaseFiles, DatabaseLocks, FileHeader, Finding, FindingKind,
    JournalMode, PathReach, PragmaCompliance, Remedy, Severity,
};

use crate::support::Actor;

fn host(folder: &TempDir, sql: &str) -> PathBuf {
    let path = folder.path().join("notes.db");
    plain(&path).execute_batch(&format!("CREATE TABLE host(id); {sql}")).expect("a host's database");
    path
}

fn plain(path: &Path) -> Connection {
    Connection::open(path).expect("a connection")
}

fn text(connection: &Connection, sql: &str) -> String {
    let value = connection.query_row(sql, [], |row| row.get::<_, Value>(0)).expect(sql);
    match value {
        Value::Integer(value) => value.to_string(),
        Value::Text(value) => value,
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

/// What `stat` says of each file in `folder`: name, inode, owner, group, mode, size.
fn trace(folder: &Path) -> Vec<(String, u64, u32, u32, u32, u64)> {
    let facts = |name: String| {
        let it = fs::metadata(folder.join(&name)).expect("a file");
        (name, it.ino(), it.uid(), it.gid(), it.mode(), it.len())
    };
    names(folder).into_iter().map(facts).collect()
}

/// A database in WAL mode with a table, and an actor that has it open and never checkpoints by itself.
fn wal(folder: &TempDir) -> (PathBuf, Actor) {
    let path = host(folder, "PRAGMA journal_mode = wal");
    let mut actor = Actor::open(&path);
    actor.sql("PRAGMA wal_autocheckpoint = 0").sql("INSERT INTO host VALUES (1)");
    (path, actor)
}

/// How a database would look from outside: whether it is in WAL mode, and whether somebody holds its index.
fn seen(path: &Path, journal_mode: JournalMode, index_held: bool) -> Database {
    Database {
        path: path.to_owned(),
        files: DatabaseFiles::default(),
        header: Some(FileHeader {
            journal_mode,
            page_size: 4096,
            page_count: 2,
            free_pages: Some(0),
            change_counter: Some(1),
            user_version: 0,
            application_id: 0,
            auto_vacuum: AutoVacuum::None,
            schema_cookie: 1,
            written_by: Some("3.54.1".to_owned()),
        }),
        wal: None,
        content: ContentEvidence::default(),
        space: Vec::new(),
        commits: None,
        filesystem: None,
        folder: None,
        locks: DatabaseLocks { index_held, ..DatabaseLocks::default() },
        processes: Vec::new(),
        handle_growth: Vec::new(),
        restarts: Vec::new(),
        pragmas: PragmaCompliance::default(),
        ingestions: Vec::new(),
        watchers: Vec::new(),
        findings: Vec::new(),
        suspicions: Vec::new(),
        is_complete: true,
        locks_beside: Vec::new(),
        reach: PathReach::Direct,
        overlays: Vec::new(),
        unfit: None,
        schedule: None,
    }
}

/// The same with a finding that forbids maintenance.
fn endangered(path: &Path, journal_mode: JournalMode) -> Database {
    let mut database = seen(path, journal_mode, true);
    database.findings.push(Finding {
        kind: FindingKind::SplitWal,
        severity: Severity::Error,
        label: None,
        pid: Some(71_168),
        message: "71168 (amalfa) writes where nobody reads".to_owned(),
        evidence: serde_json::Map::new(),
        remedy: Remedy { action: None, command: None },
    });
    database
}
