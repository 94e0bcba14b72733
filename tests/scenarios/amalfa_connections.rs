//! Amalfa's connections: each one opened by whoever wanted one, in their own way.
//!
//! The report: what a connection must be. The timeout is set before all else, since a start in a crowd is a race; WAL,
//! synchronous NORMAL, no mapping, temporary tables in memory, foreign keys on. A reader with `readonly: true` is a trap
//! of WAL mode: it ended in "disk I/O error". A health check writes. An old schema is brought up to date on opening.
//!
//! There is no scale: nothing here is timed.

use std::{
    path::{Path, PathBuf},
    process::Child,
};

use jiff::Timestamp;
use rusqlite::Connection;
use waltop::{
    diagnose::health::HealthReport,
    ingest::RunSummary,
    report::DatabaseReports,
    snapshot::{Finding, PragmaCompliance, PragmaRow, PragmaSource},
};

use super::{
    cast::{Home, Said, refusal, rows, text},
    corpus,
    recorded::{Named, Recorder},
};
use crate::{
    python::Python,
    support::{Actor, eventually},
};

const DOCUMENTS: usize = 20;
/// The tables as the first waltop made them.
const FIRST_SCHEMA: &str = include_str!("../../migrations/V1__documents.sql");

/// What refinery 0.10.1, which applied the first migrations, wrote beside them.
const FIRST_RECORD: &str = "CREATE TABLE waltop_migrations(
             version int4 PRIMARY KEY,
             name VARCHAR(255),
             applied_on VARCHAR(255),
             checksum VARCHAR(255));
    INSERT INTO waltop_migrations
    VALUES (1, 'documents', '2026-11-29T06:51:42.013930578Z', '10192762295786834808');";

const MIGRATIONS: &str =
    "SELECT group_concat(version) FROM (SELECT version FROM waltop_migrations ORDER BY 1)";

/// How it was lost.
#[derive(Debug)]
pub struct Lost {
    /// What one is told that sets the journal mode first, and the timeout after it, beside a writer.
    pub wal_before_timeout: Option<String>,
    /// What a read-only connection is told that is to move the log.
    pub read_only: Option<String>,
    /// The files that it leaves behind as the last one.
    pub left_behind: Vec<String>,
    /// What one is told that expects the tables of today in a database of before.
    pub old_schema: Option<String>,
    /// The writer beside the first one, and whom a recording names for its moment.
    pub culprit: i32,
    pub named: Named,
}

/// How it was won.
#[derive(Debug)]
pub struct Won {
    /// The ingestion that was started beside a writer, on a database that was not in WAL mode yet.
    pub beside_a_writer: RunSummary,
    pub journal_mode: String,
    /// What our own connection says of itself.
    pub ours: Vec<PragmaRow>,
    /// The read-only process, and what was found.
    pub read_only: (i32, Vec<Finding>),
    /// What `waltop health` says, of its write among other things.
    pub health: HealthReport,
    /// The migrations that were in the database of before, and that are after an ingestion.
    pub migrations: (String, String),
    /// Its documents of before and after it.
    pub documents: (u64, u64),
    /// The number that its owner keeps in it, after that.
    pub user_version: String,
}

struct Scene {
    home: Home,
    notes: PathBuf,
}

impl Scene {
    fn new() -> Self {
        let home = Home::new();
        let notes = home.at("notes");
        corpus::write(&notes, DOCUMENTS).expect("the notes");
        Self { home, notes }
    }

    fn ingest(&self, database: &Path) -> Child {
        let args = ["--db", &database.display().to_string(), &self.notes.display().to_string()];
        self.home.command(&[&["ingest", "--json"], &args[..]].concat()).spawn().expect("waltop starts")
    }

    /// A database whose tables are those of the first waltop, with a document and a number of its owner.
    fn of_before(&self) -> PathBuf {
        let path =
            self.home.database("before.db", &["PRAGMA journal_mode = WAL", "PRAGMA user_version = 42"]);
        let connection = Connection::open(&path).expect("the database");
        connection.execute_batch(FIRST_SCHEMA).expect("the first tables");
        connection.execute_batch(FIRST_RECORD).expect("their record");
        connection
            .execute_batch(
                "INSERT INTO nodes (path, folder, title, kind, body, bytes, modified_ns, hash, ingested_at)
                 VALUES ('old.md', '', 'Old', 'note', 'of before', 1, 1, x'00', '')",
            )
            .expect("a document");
        path
    }

    /// A read-only connection of another program.
    fn reader(database: &Path) -> Option<Python> {
        let mut reader = Python::open(database)?;
        reader.run("import sqlite3; db.close()");
        reader.run("db = sqlite3.connect('file:' + path + '?mode=ro', uri=True, isolation_level=None)");
        reader.sql("SELECT count(*) FROM t");
        Some(reader)
    }
}

/// What became of connections that were opened in any way; `None` where there is no Python to open them.
pub fn lose() -> Option<Lost> {
    let scene = Scene::new();
    let path = scene.home.database("new.db", &["CREATE TABLE t (x)"]);
    let mut writer = Actor::open(&path);
    writer.sql("BEGIN IMMEDIATE").sql("INSERT INTO t VALUES (1)");
    let recorder = Recorder::start(&scene.home, &[&path]);
    let mut opener = Python::open(&path)?;
    opener.run("import sqlite3; db = sqlite3.connect(path, timeout=0, isolation_level=None)");
    let wal_before_timeout = refusal(&mut opener, "PRAGMA journal_mode = WAL");
    let named = recorder.named(&scene.home, &path, Timestamp::now());
    let culprit = writer.pid();

    let path = scene.home.database("read.db", &["PRAGMA journal_mode = WAL", "CREATE TABLE t (x)"]);
    let mut writer = Actor::open(&path);
    writer.sql("INSERT INTO t VALUES (1)");
    let mut reader = Scene::reader(&path)?;
    let read_only = refusal(&mut reader, "PRAGMA wal_checkpoint");
    writer.close();
    reader.run("db.close()");
    let left = |suffix: &&str| scene.home.at(&format!("read.db{suffix}")).exists();
    let left_behind = ["-wal", "-shm"].iter().filter(|it| left(it)).map(|it| (*it).to_owned()).collect();

    let mut opener = Python::open(&scene.of_before())?;
    let old_schema = refusal(&mut opener, "SELECT count(*) FROM nodes_vectors");
    Some(Lost { wal_before_timeout, read_only, left_behind, old_schema, culprit, named })
}

/// The same with waltop's own connections; `None` where there is no Python to be the stranger among them.
pub fn win() -> Option<Won> {
    let scene = Scene::new();
    let path = scene.home.database("new.db", &["CREATE TABLE t (x)"]);
    let mut writer = Actor::open(&path);
    writer.sql("BEGIN IMMEDIATE").sql("INSERT INTO t VALUES (1)");
    let ingestion = scene.ingest(&path);
    eventually("the ingestion has the database open and waits", || {
        let status = scene.home.status(&path);
        (status["processes"].as_array().map_or(0, Vec::len) >= 2).then_some(())
    });
    writer.sql("COMMIT");
    let beside_a_writer = Said::of(ingestion).summary();
    let journal_mode = text(&path, "PRAGMA journal_mode");

    let reader = Scene::reader(&path)?;
    let pragmas: PragmaCompliance =
        serde_json::from_value(scene.home.status(&path)["pragmas"].take()).expect("rows");
    let ours = pragmas.rows.into_iter().filter(|row| row.source == PragmaSource::Connection).collect();
    let findings = scene.home.findings(&path, std::time::Duration::from_millis(50));
    let read_only = (reader.pid(), findings);
    let said = scene.home.run(&["health", "--json", &path.display().to_string()]);
    let health: DatabaseReports<HealthReport> =
        serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {said:?}"));
    let [health] = <[HealthReport; 1]>::try_from(health.databases).expect("one database");

    let path = scene.of_before();
    let before = (text(&path, MIGRATIONS), rows(&path, "nodes"));
    let said = Said::of(scene.ingest(&path));
    assert_eq!(said.code, Some(0), "{said:?}");
    Some(Won {
        beside_a_writer,
        journal_mode,
        ours,
        read_only,
        health,
        migrations: (before.0, text(&path, MIGRATIONS)),
        documents: (before.1, rows(&path, "nodes")),
        user_version: text(&path, "SELECT CAST(user_version AS TEXT) FROM pragma_user_version"),
    })
}

#[test]
fn the_old_way_they_are_refused_and_leave_files_behind_and_miss_tables() {
    let Some(lost) = lose() else { return };
    assert_eq!(lost.wal_before_timeout.as_deref(), Some("database is locked"), "{lost:?}");
    assert_eq!(lost.named.holder, Some(lost.culprit), "{lost:?}");
    assert_eq!(lost.read_only.as_deref(), Some("disk I/O error"), "{lost:?}");
    assert_eq!(lost.left_behind, ["-wal", "-shm"], "{lost:?}");
    assert_eq!(lost.old_schema.as_deref(), Some("no such table: nodes_vectors"), "{lost:?}");
}

#[test]
fn ours_comply_a_stranger_is_found_and_an_old_schema_is_brought_up_to_date() {
    let Some(won) = win() else { return };
    assert_eq!((won.beside_a_writer.ingested, won.journal_mode.as_str()), (20, "wal"), "{won:?}");
    assert!(won.ours.len() >= 5 && won.ours.iter().all(|row| row.ok == Some(true)), "{:?}", won.ours);
    for (name, value) in [("busy_timeout", "5000"), ("mmap_size", "0"), ("foreign_keys", "ON")] {
        let row = won.ours.iter().find(|row| row.name == name).expect(name);
        assert_eq!(row.actual.as_deref(), Some(value), "{row:?}");
    }
    let (reader, findings) = &won.read_only;
    let trap = findings
        .iter()
        .find(|it| it.kind == waltop::snapshot::FindingKind::ReadonlyTrap)
        .expect("it is found");
    assert_eq!(trap.pid, Some(*reader), "{trap:?}");
    assert!(won.health.healthy && won.health.write.proved, "{:?}", won.health);
    assert_eq!(won.migrations.0, "1");
    assert!(won.migrations.1.starts_with("1,2,3,4,5,6"), "{won:?}");
    assert_eq!((won.documents, won.user_version.as_str()), ((1, 21), "42"));
}
