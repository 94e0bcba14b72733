//! Where maintenance itself would lose data, it is refused, with the process and the finding that forbid it.

use super::*;
use crate::python::Python;

// Every command that would connect refuses, names `pid` and `finding`, and leaves the files alone.
fn assert_refused(home: &Home, pid: i32, finding: &str) {
    home.document("a.md", "# A lock\n");
    let before = Home::listing(&home.folder());
    for args in [
        &["checkpoint", "notes.db"][..],
        &["checkpoint", "--mode", "truncate", "notes.db"],
        &["ingest", "notes", "--db", "notes.db"],
        &["search", "lock", "--db", "notes.db"],
        &["fix", "--yes", "notes.db"],
    ] {
        let said = home.run(args);
        let line = said.refusal();
        assert!(
            line.contains(&format!("{pid} (")) && line.ends_with(&format!("; see: waltop explain {finding}")),
            "{args:?}: {line}"
        );
        assert_eq!(Home::listing(&home.folder()), before, "{args:?}");
    }
    let status = home.run(&["status", "notes.db"]);
    assert_eq!(status.code, Some(0), "to look is allowed: {status:?}");
    assert!(has_line(&status.out, "error", &pid.to_string()), "{}", status.out);
    assert_eq!(Home::listing(&home.folder()), before, "status");
}

#[test]
fn beside_a_holder_whose_log_was_deleted() {
    let home = Home::with_wal();
    let mut holder = home.actor();
    holder.sql("INSERT INTO t VALUES (2)");
    fs::remove_file(home.at("notes.db-wal")).expect("removed");
    assert_refused(&home, holder.pid(), "split-wal");
}

#[test]
fn beside_a_holder_whose_log_was_replaced() {
    let home = Home::with_wal();
    let mut holder = home.actor();
    holder.sql("INSERT INTO t VALUES (2)");
    let copy = fs::read(home.at("notes.db-wal")).expect("readable");
    fs::remove_file(home.at("notes.db-wal")).expect("removed");
    fs::write(home.at("notes.db-wal"), copy).expect("written");
    assert_refused(&home, holder.pid(), "split-wal");
}

#[test]
fn beside_a_holder_whose_database_was_replaced() {
    let home = Home::with_wal();
    let mut holder = home.actor();
    holder.sql("INSERT INTO t VALUES (2)");
    // As a restore from a backup does it under a running program.
    fs::copy(home.db(), home.at("new.db")).expect("a copy");
    fs::rename(home.at("new.db"), home.db()).expect("in its place");
    assert_refused(&home, holder.pid(), "split-wal");
}

#[test]
fn beside_one_that_lost_its_locks() {
    let home = Home::with_wal();
    let Some(mut holder) = Python::open(&home.db()) else { return };
    holder.sql("INSERT INTO t VALUES (2)");
    holder.lose_locks();
    assert_refused(&home, holder.pid(), "lost-locks");
    // It was not hurt by the looks.
    assert_eq!(holder.run("print(*db.execute('SELECT count(*) FROM t').fetchone())"), ["2"]);
}
