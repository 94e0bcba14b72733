//! Every command beside every situation in which a connection loses data: whatever connects or signals is refused, the
//! refusal names the fact, and no file changes. A healthy twin of each command gets through.

use std::{any::Any, os::unix::fs::FileExt};

use super::*;
use crate::{namespace::Namespace, python::Python, support::eventually};

/// A situation: the database as it is named, the fact that forbids a connection, and what keeps the situation up.
struct Situation {
    home: Home,
    path: String,
    fact: &'static str,
    /// Ends with its value: processes and mounts.
    kept: Vec<Box<dyn Any>>,
}

impl Situation {
    fn new(home: Home, fact: &'static str, kept: Vec<Box<dyn Any>>) -> Self {
        let path = home.db().display().to_string();
        Self { home, path, fact, kept }
    }
}

/// What connects to a database, writes to it or ends processes; with a word of what a healthy database answers.
const COMMANDS: &[&[&str]] = &[
    &["checkpoint", "DB"],
    &["checkpoint", "--mode", "truncate", "DB"],
    &["health", "DB"],
    &["fix", "--yes", "DB"],
    &["optimize", "--yes", "DB"],
    &["stats", "DB"],
    &["search", "lock", "--db", "DB"],
    &["ingest", "notes", "--db", "DB"],
    &["watch", "notes", "--db", "DB"],
];

fn assert_refused(situation: &Situation) {
    let Situation { home, path, fact, .. } = situation;
    home.document("a.md", "# A lock\n");
    let folder = home.folder();
    let before = (Home::listing(&folder), contents(&folder));
    for command in COMMANDS {
        let args: Vec<&str> = command.iter().map(|&it| if it == "DB" { path.as_str() } else { it }).collect();
        let said = home.run(&args);
        let line = said.refusal();
        assert!(names(line, fact), "{fact}: {args:?}: {line}");
        assert_eq!((Home::listing(&folder), contents(&folder)), before, "{fact}: {args:?}");
    }
    for command in [&["status", path][..], &["check", path], &["reap", "--yes", "--for", "50ms", path]] {
        let said = home.run(command);
        assert!(said.code.is_some(), "{fact}: {command:?}: {said:?}");
        assert_eq!((Home::listing(&folder), contents(&folder)), before, "{fact}: {command:?}");
    }
    if !is_no_finding(fact) {
        let report = home.run(&["check", "--json", path]);
        let report: Value =
            serde_json::from_str(&report.out).unwrap_or_else(|error| panic!("{error}: {report:?}"));
        let findings = report["databases"][0]["findings"].as_array().expect("a list");
        assert!(findings.iter().any(|it| it["name"] == *fact), "{fact}: {report}");
    }
}

// The refusal of a finding names its page; the others say what they are.
fn names(line: &str, fact: &str) -> bool {
    match fact {
        "another-namespace" => line.contains("nsenter"),
        finding => line.ends_with(&format!("; see: waltop explain {finding}")),
    }
}

fn is_no_finding(fact: &str) -> bool {
    fact == "another-namespace"
}

fn contents(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let files = fs::read_dir(folder).expect("readable").map(|it| it.expect("readable").path());
    let mut contents: Vec<_> =
        files.filter(|it| it.is_file()).map(|it| (it.clone(), fs::read(&it).expect("readable"))).collect();
    // A mapped index is written by those who use it.
    contents.retain(|(path, _)| !path.to_string_lossy().ends_with("-shm"));
    contents.sort();
    contents
}

fn writer(home: &Home) -> Actor {
    let mut writer = home.actor();
    writer.sql("PRAGMA wal_autocheckpoint = 0").sql("INSERT INTO t VALUES (2)");
    writer
}

#[test]
fn a_healthy_database_is_connected_to() {
    let home = Home::with_wal();
    home.document("a.md", "# A lock\n");
    let _writer = writer(&home);
    for command in COMMANDS.iter().filter(|it| it[0] != "watch") {
        let args: Vec<&str> = command.iter().map(|&it| if it == "DB" { "notes.db" } else { it }).collect();
        let said = home.run(&args);
        // A search finds nothing before the first ingestion, and that is another refusal.
        assert!(!said.err.contains("waltop explain"), "{args:?}: {said:?}");
        assert!(said.code == Some(0) || args[0] == "search" || args[0] == "health", "{args:?}: {said:?}");
    }
}

#[test]
fn two_names() {
    let home = Home::with_wal();
    fs::create_dir(home.root().join("other")).expect("made");
    let link = home.root().join("other/alias.db");
    fs::hard_link(home.db(), &link).expect("linked");
    let mut other = Actor::open(&link);
    other.sql("INSERT INTO t VALUES (2)");
    assert_refused(&Situation::new(home, "other-log", vec![Box::new(other)]));
}

#[test]
fn a_magic_link() {
    let home = Home::with_wal();
    let script = "mkdir inside; mount -t tmpfs none inside";
    let Some(namespace) = Namespace::new("a tmpfs", script, &home.folder()) else { return };
    let path = home.at("inside/app.db");
    let mut inside = Actor::open_through(&namespace.launcher(), &path);
    inside.sql("PRAGMA journal_mode = wal").sql("CREATE TABLE t(x)");
    // The file of the same name here, which the path does not mean.
    let mut decoy = Actor::open(&path);
    decoy.sql("PRAGMA journal_mode = wal").sql("CREATE TABLE decoy(x)");
    decoy.close();
    let mut situation = Situation::new(home, "another-namespace", vec![]);
    situation.path = format!("/proc/{}/root{}", inside.pid(), path.display());
    assert_refused(&situation);
    let report = situation.home.json(&["status", "--json", &situation.path]);
    assert_eq!(report["databases"][0]["processes"][0]["pid"], inside.pid(), "{report}");
    inside.sql("INSERT INTO t VALUES (1)");
    // A copy is one of that file, too.
    let copies = situation.home.root().join("copies").display().to_string();
    let report = situation.home.json(&["rescue", &situation.path, "--to", &copies, "--json"]);
    let tables: Vec<&Value> =
        report["tables"].as_array().expect("a list").iter().map(|it| &it["name"]).collect();
    assert_eq!(tables, ["t"], "{report}");
    drop(namespace);
}

#[test]
fn an_overlay_upper_directory() {
    let home = Home::with_wal();
    let at = home.root().display().to_string();
    let script = format!(
        "mkdir {at}/low {at}/scratch {at}/merged; \
         mount -t overlay -o lowerdir={at}/low,upperdir={at}/work,workdir={at}/scratch none {at}/merged"
    );
    let Some(namespace) = Namespace::new("an overlay", &script, &home.folder()) else { return };
    assert_refused(&Situation::new(home, "overlay-upper", vec![Box::new(namespace)]));
}

#[test]
fn a_deleted_log() {
    let home = Home::with_wal();
    let writer = writer(&home);
    fs::remove_file(home.at("notes.db-wal")).expect("removed");
    assert_refused(&Situation::new(home, "split-wal", vec![Box::new(writer)]));
}

#[test]
fn a_database_replaced_under_its_writer() {
    let home = Home::with_wal();
    fs::copy(home.db(), home.root().join("backup.db")).expect("a copy");
    let writer = writer(&home);
    fs::rename(home.db(), home.at("broken.db")).expect("out of the way");
    fs::copy(home.root().join("backup.db"), home.db()).expect("in its place");
    assert_refused(&Situation::new(home, "split-wal", vec![Box::new(writer)]));
}

#[test]
fn a_child_on_the_connection_of_its_parent() {
    let home = Home::with_wal();
    let Some(mut python) = Python::open(&home.db()) else { return };
    python.sql("INSERT INTO t VALUES (2)");
    python.run("import os; orders, give = os.pipe(); answers, answer = os.pipe()");
    python.run(
        "child = os.fork() or (db.execute('BEGIN IMMEDIATE'), os.write(answer, b'x'), os.read(orders, 1), os._exit(0))",
    );
    python.run("os.read(answers, 1)");
    let mut situation = Situation::new(home, "forked-connection", vec![]);
    assert_refused(&situation);
    python.run("os.write(give, b'x'); os.waitpid(child, 0)");
    situation.kept.push(Box::new(python));
}

#[test]
fn a_lost_lock_on_the_main_file() {
    let home = Home::with_wal();
    let Some(mut python) = Python::open(&home.db()) else { return };
    python.sql("INSERT INTO t VALUES (2)").run("open(path, 'rb').read(16)");
    assert_refused(&Situation::new(home, "lost-locks", vec![Box::new(python)]));
}

#[test]
fn a_lost_lock_on_the_index() {
    let home = Home::with_wal();
    let Some(mut python) = Python::open(&home.db()) else { return };
    python.sql("INSERT INTO t VALUES (2)").lose_locks();
    assert_refused(&Situation::new(home, "lost-locks", vec![Box::new(python)]));
}

#[test]
fn sidecars_of_another_owner() {
    if !is_root() {
        eprintln!("not tested: only root may give files away");
        return;
    }
    let home = Home::with_wal();
    let writer = writer(&home);
    for suffix in ["", "-wal", "-shm"] {
        let owner = if suffix.is_empty() { ANOTHER } else { 1234 };
        chown(home.at(&format!("notes.db{suffix}")), Some(owner), Some(owner)).expect("given away");
    }
    assert_refused(&Situation::new(home, "foreign-owner", vec![Box::new(writer)]));
}

#[test]
fn a_log_beside_a_restored_file() {
    let home = Home::with_wal();
    let mut other = Actor::open(&home.root().join("backup.db"));
    other
        .sql("PRAGMA journal_mode = wal")
        .sql("CREATE TABLE u(x)")
        .sql("INSERT INTO u VALUES (randomblob(9000))");
    other.close();
    let writer = writer(&home);
    writer.kill();
    let log = home.at("notes.db-wal").metadata().expect("there").modified().expect("a time");
    fs::remove_file(home.db()).expect("removed");
    // The clock of the file system has to move on.
    eventually("a later time", || {
        fs::copy(home.root().join("backup.db"), home.db()).expect("in its place");
        (home.db().metadata().expect("there").modified().expect("a time") > log).then_some(())
    });
    assert_refused(&Situation::new(home, "doubtful-log", vec![]));
}

#[test]
fn a_backup_copied_over_a_live_file() {
    let home = Home::with_wal();
    let mut other = Actor::open(&home.root().join("backup.db"));
    other.sql("PRAGMA journal_mode = wal").sql("CREATE TABLE u(x)");
    other.close();
    let mut writer = writer(&home);
    writer
        .sql("INSERT INTO t VALUES (randomblob(200000))")
        .sql("PRAGMA wal_checkpoint")
        .sql("INSERT INTO t VALUES (3)");
    fs::copy(home.root().join("backup.db"), home.db()).expect("over it");
    assert_refused(&Situation::new(home, "mismatched-files", vec![Box::new(writer)]));
}

#[test]
fn a_truncated_file() {
    let home = Home::with_wal();
    let mut writer = writer(&home);
    writer
        .sql("INSERT INTO t VALUES (randomblob(200000))")
        .sql("PRAGMA wal_checkpoint")
        .sql("INSERT INTO t VALUES (3)");
    let file = fs::File::options().write(true).open(home.db()).expect("writable");
    file.set_len(3 * 4096).expect("cut");
    assert_refused(&Situation::new(home, "mismatched-files", vec![Box::new(writer)]));
}

#[test]
fn a_hot_journal() {
    let home = Home::with_rollback();
    let mut writer = home.actor();
    writer.sql("INSERT INTO t VALUES (randomblob(400000))").sql("PRAGMA cache_size = 5").sql("BEGIN");
    writer.sql("UPDATE t SET x = randomblob(400000)");
    writer.kill();
    assert!(home.at("notes.db-journal").metadata().expect("it is left").len() > 512);
    assert_refused(&Situation::new(home, "hot-journal", vec![]));
}

#[test]
fn an_overwritten_first_page() {
    for text in [
        &b"\x17\x03\x03\x00\x41\x00\xd1\xc2a record of TLS"[..],
        b"2026-01-01 INFO a line of a log",
        &[0; 32],
    ] {
        let home = Home::with_wal();
        let writer = writer(&home);
        let file = fs::File::options().write(true).open(home.db()).expect("writable");
        file.write_all_at(text, 0).expect("written");
        assert_refused(&Situation::new(home, "damaged-header", vec![Box::new(writer)]));
    }
}

#[test]
fn root_works_as_the_owner() {
    if !is_root() {
        eprintln!("not tested: only root may become another user");
        return;
    }
    let home = Home::with_wal();
    home.document("a.md", "# A lock\n");
    for path in [home.folder(), home.db()] {
        chown(path, Some(ANOTHER), Some(ANOTHER)).expect("given away");
    }
    // A document that the owner of the database may not read.
    fs::set_permissions(home.at("notes/a.md"), fs::Permissions::from_mode(0o600)).expect("a mode");
    for args in [
        &["ingest", "notes", "--db", "notes.db"][..],
        &["checkpoint", "notes.db"],
        &["stats", "notes.db"],
        &["optimize", "--yes", "notes.db"],
        &["search", "lock", "--db", "notes.db"],
    ] {
        let said = home.run(args);
        assert_eq!(said.code, Some(0), "{args:?}: {said:?}");
        let database = fs::read_dir(home.folder()).expect("readable").map(|it| it.expect("readable"));
        for file in database.filter(|it| it.file_name().to_string_lossy().starts_with("notes.db")) {
            let it = file.metadata().expect("there");
            assert_eq!((it.uid(), it.gid()), (ANOTHER, ANOTHER), "{args:?}: {}", file.path().display());
        }
    }
}
