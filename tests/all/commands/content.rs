//! Files that do not belong together, or are damaged: every command that would connect refuses with the finding, and not
//! a byte changes.

use std::os::unix::fs::FileExt;

use super::*;
use crate::python::Python;

/// The content of every file of the database, by name.
fn contents(home: &Home) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<(String, Vec<u8>)> = fs::read_dir(home.folder())
        .expect("a folder")
        .map(|entry| entry.expect("an entry"))
        .filter(|entry| entry.path().is_file())
        .map(|entry| {
            (entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path()).expect("read"))
        })
        .collect();
    files.sort();
    files
}

fn assert_all_refuse(home: &Home, finding: &str) {
    home.document("a.md", "# A lock\n");
    let before = contents(home);
    for args in [
        &["checkpoint", "notes.db"][..],
        &["checkpoint", "--mode", "truncate", "notes.db"],
        &["health", "notes.db"],
        &["stats", "notes.db"],
        &["optimize", "--yes", "notes.db"],
        &["fix", "--yes", "notes.db"],
        &["ingest", "notes", "--db", "notes.db"],
        &["search", "lock", "--db", "notes.db"],
    ] {
        let said = home.run(args);
        let line = said.refusal();
        assert!(line.ends_with(&format!("; see: waltop explain {finding}")), "{args:?}: {line}");
        assert!(contents(home) == before, "{args:?} changed a file");
    }
    let status = home.run(&["status", "--json", "notes.db"]);
    assert_eq!(status.code, Some(0), "{status:?}");
    let check = home.run(&["check", "notes.db", "--json"]);
    assert_eq!(check.code, Some(1), "{check:?}");
    let report: Value = serde_json::from_str(&check.out).expect("JSON");
    let findings = report["databases"][0]["findings"].as_array().expect("a list");
    assert!(findings.iter().any(|it| it["name"] == finding), "{findings:?}");
    assert!(contents(home) == before, "status or check changed a file");
}

fn fill(python: &mut Python, rows: u32) {
    python.sql("BEGIN");
    python.run(&format!("db.executemany('INSERT INTO t VALUES (randomblob(500))', [()] * {rows})"));
    python.sql("COMMIT");
}

/// What a new connection reads.
fn rows_and_integrity(home: &Home) -> Vec<String> {
    let mut python = Python::open(&home.db()).expect("there is one");
    let read = "print(*[db.execute(it).fetchone()[0] for it in ('SELECT count(*) FROM t', 'PRAGMA integrity_check')])";
    let said = python.run(read);
    python.run("db.close()");
    said
}

/// A database with 300 rows in the main file and 200 more in the log, whose writer was killed.
fn with_log() -> Option<Home> {
    let home = Home::with_wal();
    let mut writer = Python::open(&home.db())?;
    fill(&mut writer, 299);
    writer.sql("PRAGMA wal_checkpoint(TRUNCATE)").sql("PRAGMA wal_autocheckpoint = 0");
    fill(&mut writer, 200);
    writer.kill();
    Some(home)
}

/// Gives the main file a later modification time than the log has, as a copy has that was made after it.
fn touch(home: &Home) {
    let log = fs::metadata(home.at("notes.db-wal")).and_then(|it| it.modified()).expect("a log");
    let main = fs::OpenOptions::new().write(true).open(home.db()).expect("the main file");
    main.set_modified(log + std::time::Duration::from_mins(1)).expect("set");
}

/// Another database with 30 rows, put in the place of the main file.
fn restore(home: &Home) {
    let backup = home.root().join("backup.db");
    let mut python = Python::open(&backup).expect("there is one");
    python.sql("CREATE TABLE t(x)");
    fill(&mut python, 30);
    python.run("db.close()");
    fs::rename(backup, home.db()).expect("in its place");
    touch(home);
}

#[test]
fn a_hot_journal() {
    let home = Home::with_rollback();
    let Some(mut writer) = Python::open(&home.db()) else { return };
    fill(&mut writer, 4000);
    writer.sql("PRAGMA cache_size = 5").sql("BEGIN").sql("UPDATE t SET x = randomblob(300)");
    writer.kill();
    assert!(home.at("notes.db-journal").exists());
    assert_all_refuse(&home, "hot-journal");
    let status = home.run(&["status", "notes.db"]);
    assert!(status.out.contains(" hot; rollback"), "{}", status.out);
    assert_eq!(rows_and_integrity(&home), ["4001 ok"], "it was not touched, so the rollback finds all");
}

#[test]
fn a_doubtful_log_until_it_is_decided() {
    let Some(home) = with_log() else { return };
    touch(&home);
    assert_all_refuse(&home, "doubtful-log");
    let unasked = home.run(&["fix", "--keep", "with-log", "notes.db"]);
    assert_eq!(unasked.code, Some(2), "{unasked:?}");
    let planned = home.run(&["fix", "--keep", "without-log", "--dry-run", "notes.db"]);
    assert!(planned.out.contains("would run: mv ") && home.at("notes.db-wal").exists(), "{planned:?}");
    let done = home.run(&["fix", "--keep", "with-log", "--yes", "notes.db"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert_eq!(rows_and_integrity(&home), ["500 ok"]);
    let again = home.run(&["fix", "--keep", "with-log", "--yes", "notes.db"]);
    assert!(again.refusal().contains("is not in doubt"), "{again:?}");
}

#[test]
fn a_restored_backup_beside_an_old_log_keeps_without_it() {
    let Some(home) = with_log() else { return };
    let log = fs::read(home.at("notes.db-wal")).expect("the log");
    restore(&home);
    assert_all_refuse(&home, "doubtful-log");
    let done = home.run(&["fix", "--keep", "without-log", "--yes", "notes.db"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    let kept: Vec<_> = contents(&home).into_iter().filter(|(name, _)| name.contains("-wal")).collect();
    assert!(kept.len() == 1 && kept[0].0.starts_with("notes.db-wal.kept-") && kept[0].1 == log);
    assert_eq!(rows_and_integrity(&home), ["30 ok"]);
}

#[test]
fn a_log_that_is_not_in_doubt_is_not_decided() {
    let Some(home) = with_log() else { return };
    let before = contents(&home);
    for keep in ["with-log", "without-log"] {
        let said = home.run(&["fix", "--keep", keep, "--yes", "notes.db"]);
        assert!(said.refusal().contains("is not in doubt"), "{said:?}");
    }
    assert!(contents(&home) == before);
    assert_eq!(home.run(&["fix", "--yes", "notes.db"]).code, Some(0), "a crash is mended as before");
    assert_eq!(rows_and_integrity(&home), ["500 ok"]);
}

#[test]
fn a_damaged_page_1_beside_a_holder_and_alone() {
    let home = Home::with_wal();
    let Some(mut holder) = Python::open(&home.db()) else { return };
    fill(&mut holder, 100);
    holder.sql("PRAGMA wal_checkpoint(TRUNCATE)").sql("INSERT INTO t VALUES (1)");
    let main = fs::OpenOptions::new().write(true).open(home.db()).expect("the main file");
    main.write_all_at(&[0x17, 3, 3, 0, 0x41, 0, 0xd1, 0xc2, 9, 9, 9, 9, 9, 9, 9, 9], 0).expect("written");
    drop(main);
    assert_all_refuse(&home, "damaged-header");
    let status = home.run(&["status", "notes.db"]);
    assert!(status.out.contains(&format!("open in {} (", holder.pid())), "{}", status.out);
    holder.kill();
    assert_all_refuse(&home, "damaged-header");
}

#[test]
fn a_file_that_is_cut_off_beside_its_holder() {
    let home = Home::with_wal();
    let Some(mut holder) = Python::open(&home.db()) else { return };
    fill(&mut holder, 500);
    holder.sql("PRAGMA wal_checkpoint(TRUNCATE)").sql("SELECT count(*) FROM t");
    let main = fs::OpenOptions::new().write(true).open(home.db()).expect("the main file");
    main.set_len(5 * 4096).expect("cut");
    drop(main);
    assert_all_refuse(&home, "mismatched-files");
}
