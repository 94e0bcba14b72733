//! What the file keeps is put right when somebody says yes, and only then.

use super::*;

const TO_WAL: &str = "PRAGMA journal_mode = wal";

// Bytes 18 and 19 of the header: 2 is WAL.
fn is_wal(home: &Home) -> bool {
    fs::read(home.db()).expect("readable")[18..20] == [2, 2]
}

#[test]
fn a_dry_run_shows_the_sql_and_runs_none_of_it() {
    let home = Home::with_rollback();
    let before = Home::listing(&home.root());
    for args in [&["fix", "--dry-run", "notes.db"][..], &["fix", "--dry-run", "--yes", "notes.db"]] {
        let said = home.run(args);
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{said:?}");
        assert_eq!(said.out, format!("{}: would run: {TO_WAL}\n", home.db().display()));
        assert_eq!(Home::listing(&home.root()), before);
    }
    let report = &home.json(&["fix", "--dry-run", "--json", "notes.db"])[0];
    assert_eq!((&report["sql"][0], &report["applied"]), (&TO_WAL.into(), &false.into()));
    assert_eq!(Home::listing(&home.root()), before);
}

#[test]
fn without_a_terminal_it_asks_for_yes() {
    let home = Home::with_rollback();
    let before = Home::listing(&home.root());
    for args in [&["fix", "notes.db"][..], &["fix", "--json", "notes.db"]] {
        let said = home.run(args);
        assert!(said.refusal().contains("give --yes, or --dry-run"), "{said:?}");
        assert_eq!(Home::listing(&home.root()), before);
    }
}

#[test]
fn with_yes_it_is_done_and_done_once() {
    let home = Home::with_rollback();
    let said = home.run(&["fix", "--yes", "notes.db"]);
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{said:?}");
    assert_eq!(said.out, format!("{}: done: {TO_WAL}\n", home.db().display()));
    assert!(is_wal(&home));
    assert_eq!(Home::listing(&home.folder()).len(), 1, "no sidecars are left");
    let before = Home::listing(&home.root());
    let said = home.run(&["fix", "--yes", "notes.db"]);
    assert_eq!((said.code, said.out), (Some(0), format!("{}: nothing to fix\n", home.db().display())));
    let report = &home.json(&["fix", "--json", "notes.db"])[0];
    assert_eq!((&report["sql"], &report["applied"]), (&Value::Array(Vec::new()), &false.into()));
    assert_eq!(Home::listing(&home.root()), before);
    let mut actor = home.actor();
    actor.sql("SELECT * FROM t");
}

#[test]
fn whoever_holds_the_file_is_named() {
    let home = Home::with_rollback();
    let mut holder = home.actor();
    for begin in ["BEGIN", "BEGIN IMMEDIATE"] {
        holder.sql(begin).sql("SELECT * FROM t");
        let said = home.run(&["fix", "--yes", "notes.db"]);
        let line = said.refusal();
        assert!(line.contains("is in use; stop ") && line.contains(&holder.pid().to_string()), "{line}");
        assert!(!is_wal(&home));
        holder.sql("COMMIT");
    }
    assert_eq!(home.run(&["fix", "--yes", "notes.db"]).code, Some(0), "an idle one is not in the way");
    holder.sql("INSERT INTO t VALUES (2)");
    assert!(is_wal(&home));
}
