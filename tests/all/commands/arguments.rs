//! Databases named by a URI or by their folder, and databases that SQLite cannot read: encrypted ones, and WAL2 mode.

use std::{fs::OpenOptions, os::unix::fs::FileExt};

use super::*;
use crate::python::Python;

// Bytes without a pattern, as encryption makes them (xorshift).
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[1]
    };
    (0..length).map(|_| next()).collect()
}

// Writes over the main file while a process has it open. This process has no connection, so no lock is lost.
fn overwrite(path: &Path, from: usize) {
    let length = usize::try_from(path.metadata().expect("there").len()).expect("small");
    let file = OpenOptions::new().write(true).open(path).expect("writable");
    file.write_all_at(&noise(length - from), from as u64).expect("written");
}

// A process with the write lock of the database, whose log is empty.
fn writer(home: &Home) -> Actor {
    let mut writer = home.actor();
    writer.sql("INSERT INTO t VALUES (2)").sql("PRAGMA wal_checkpoint(TRUNCATE)").sql("BEGIN IMMEDIATE");
    writer
}

fn database(home: &Home) -> Value {
    home.json(&["status", "notes.db", "--json"])["databases"][0].clone()
}

#[test]
fn a_uri_names_a_database_of_a_command_that_connects_to_nothing() {
    let home = Home::with_wal();
    fs::rename(home.db(), home.at("a b.db")).expect("renamed");
    let shown = |uri: &str| {
        let said = home.run(&["status", uri]);
        assert_eq!(said.code, Some(0), "{said:?}");
        assert!(said.out.contains("a b.db\nfiles"), "{said:?}");
        said.err
    };
    assert_eq!(shown("file:a%20b.db?mode=ro&vfs=unix"), "");
    let note =
        "waltop: note: a b.db: no lock is visible of a connection with nolock=1, since it takes none\n";
    assert_eq!(shown("file:a%20b.db?nolock=1"), note);
    let said = home.run(&["check", "file:a%20b.db?vfs=unix-none"]);
    assert!(
        said.refusal().contains("asks for the VFS unix-none, whose locks waltop cannot see;"),
        "{said:?}"
    );
    for args in [
        &["safe", "file:a%20b.db", "--for", "restore"][..],
        &["wait", "file:a%20b.db", "--until", "free"],
        &["explain", "517", "--db", "file:a%20b.db"],
    ] {
        let said = home.run(args);
        // In a PID namespace not all processes are visible, so that the answer may be that nothing is known.
        assert!(said.out.contains("a b.db"), "{said:?}");
    }
}

#[test]
fn a_folder_names_the_databases_in_it() {
    let home = Home::with_wal();
    home.document("a.md", "# A lock\n");
    fs::create_dir(home.at("below")).expect("a folder");
    fs::copy(home.db(), home.at("below/other.db")).expect("copied");
    let mut user = home.actor();
    user.sql("SELECT * FROM t");
    let shown = |args: &[&str]| {
        let found = home.json(&[&["status", "--json"], args].concat());
        let found = found["databases"].as_array().expect("databases").clone();
        let name = |it: &Value| it["path"].as_str().and_then(|it| it.rsplit('/').next()).map(str::to_owned);
        found.iter().filter_map(name).collect::<Vec<_>>()
    };
    assert_eq!(shown(&["."]), ["notes.db"], "not its log, its index or a document");
    assert_eq!(shown(&["-r", "."]), ["other.db", "notes.db"]);

    assert!(home.run(&["status", "notes"]).refusal().contains("no file in notes is a SQLite database;"));
    assert!(home.run(&["check", "-r", "notes"]).refusal().contains("no file in or below notes is"));
}

#[test]
fn of_an_encrypted_database_the_locks_and_processes_are_shown() {
    let home = Home::with_wal();
    let writer = writer(&home);
    let plain = database(&home);
    assert_eq!(
        (&plain["locks"]["writer"]["pid"], &plain["header"]["journal_mode"]),
        (&writer.pid().into(), &"wal".into())
    );
    // All of it, or all but what SQLCipher leaves for other programs.
    for from in [0, 32] {
        overwrite(&home.db(), from);
        let seen = database(&home);
        assert_eq!(seen["locks"]["writer"]["pid"], writer.pid(), "{from}");
        assert_eq!(seen["processes"][0]["pid"], writer.pid(), "{from}");
        assert_eq!(
            (&seen["header"], &seen["unfit"]),
            (&Value::Null, &Value::Null),
            "{from}: no figure of noise"
        );
        assert_eq!(seen["content"]["first_page"]["state"], "encrypted", "{from}");
        let said = home.run(&["status", "notes.db"]);
        assert!(said.out.contains("; encrypted, so its mode and its pages are unknown\n"), "{said:?}");
        for command in ["health", "stats", "fix"] {
            let said = home.run(&[command, "notes.db"]);
            assert!(
                said.refusal().contains("is encrypted, or no SQLite database: waltop has no key"),
                "{said:?}"
            );
        }
    }
}

#[test]
fn wal2_mode_is_named_and_not_taken_for_a_rollback_journal() {
    let home = Home::with_wal();
    let writer = writer(&home);
    let file = OpenOptions::new().write(true).open(home.db()).expect("writable");
    file.write_all_at(&[3, 3], 18).expect("written");
    let seen = database(&home);
    assert_eq!(seen["header"]["journal_mode"], "wal2");
    assert_eq!(seen["locks"]["writer"]["pid"], writer.pid());
    let kinds = seen["findings"].as_array().expect("findings").iter().map(|it| it["name"].clone());
    assert_eq!(kinds.collect::<Vec<_>>(), ["bare-client"], "nothing that fix could change");
    let said = home.run(&["status", "notes.db"]);
    assert!(said.out.contains("; WAL2, which only a branch of SQLite can open\n"), "{said:?}");
    let said = home.run(&["fix", "notes.db", "--yes"]);
    assert!(said.refusal().contains("is in WAL2 mode, which only a branch of SQLite can open"), "{said:?}");
}

#[test]
fn the_lock_folder_of_the_vfs_unix_dotfile_is_named() {
    let home = Home::with_rollback();
    let Some(mut python) = Python::open(&home.db()) else { return };
    python.run("import sqlite3; db.close(); uri = 'file:' + path + '?vfs=unix-dotfile'");
    python.run("db = sqlite3.connect(uri, uri=True, isolation_level=None)");
    python.sql("SELECT * FROM t");
    let beside = || home.json(&["status", "notes.db", "--json"])["databases"][0]["locks_beside"].clone();
    assert_eq!(beside(), serde_json::json!([]), "it is idle");
    python.sql("BEGIN IMMEDIATE");
    assert_eq!(beside()[0]["kind"], "dotfile");
    let said = home.run(&["status", "notes.db"]);
    assert!(
        said.out.contains("beside      notes.db.lock: this folder is a lock of SQLite's VFS unix-dotfile"),
        "{said:?}"
    );
    python.sql("COMMIT");
    assert_eq!(beside(), serde_json::json!([]));
}
