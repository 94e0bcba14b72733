//! A database with its log and without it.

use super::*;

/// A home with a database of 5 rows, of which a log that no process uses has 3.
fn left_behind() -> Option<Home> {
    let home = Home::new();
    let mut python = writer(&home.db(), "wal", 2)?;
    python.sql("PRAGMA wal_checkpoint(TRUNCATE)");
    for number in 3..=5 {
        python.sql(&format!("INSERT INTO t VALUES ({number}, NULL)"));
    }
    drop(python);
    Some(home)
}

fn both(home: &Home) -> Said {
    home.run(&["rescue", "notes.db", "--to", "both"])
}

/// What `stat` and the bytes of the originals say.
fn originals(home: &Home) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    for name in ["notes.db", "notes.db-wal", "notes.db-shm", "notes.db-journal"] {
        let Ok(it) = fs::metadata(home.at(name)) else { continue };
        let stat = format!(
            "{name} {}:{} {}:{} {:o} {} {}.{}",
            it.dev(),
            it.ino(),
            it.uid(),
            it.gid(),
            it.mode(),
            it.len(),
            it.mtime(),
            it.mtime_nsec()
        );
        all.push((stat, fs::read(home.at(name)).expect("readable")));
    }
    all
}

#[test]
fn both_readings_are_copied_and_the_originals_stay_as_they_are() {
    let Some(home) = left_behind() else { return };
    let before = originals(&home);
    let said = both(&home);
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{said:?}");
    assert!(has_line(&said.out, "  t ", "5") && has_line(&said.out, "  t ", "2"), "{said:?}");
    assert_eq!(originals(&home), before);
    assert_eq!(content(&home.at("both/with-log.db")), (5, 5));
    assert_eq!(content(&home.at("both/without-log.db")), (2, 2));
    assert_eq!(fs::metadata(home.at("both")).expect("there").mode() & 0o777, 0o700);
    let names = fs::read_dir(home.at("both")).expect("a folder").flatten();
    let modes: Vec<u32> = names.map(|it| it.metadata().expect("there").mode() & 0o777).collect();
    assert_eq!(modes, [0o600, 0o600]);
    let said = both(&home);
    assert!(said.refusal().contains("is not an empty folder"), "{said:?}");
    fs::create_dir(home.at("empty")).expect("a folder");
    let report = home.json(&["rescue", "notes.db", "--to", "empty", "--json"]);
    let tables = serde_json::json!([{ "name": "t", "with_log": 5, "without_log": 2 }]);
    assert_eq!((&report["tables"], &report["copied"]["frames"]), (&tables, &3.into()), "{report}");
    assert_eq!(originals(&home), before);
}

#[test]
fn a_log_of_an_older_database_gives_itself_away_by_the_rows() {
    let Some(home) = left_behind() else { return };
    // The backup of another day is put beside the log that was left.
    let other = Home::new();
    let Some(mut python) = writer(&other.db(), "wal", 40) else { return };
    python.run("db.close()");
    fs::copy(other.db(), home.db()).expect("copied");
    let before = originals(&home);
    let said = home.run(&["rescue", "notes.db", "--to", "both", "--json"]);
    let report: Value = serde_json::from_str(&said.out).expect("JSON");
    assert_eq!(report["without_log"]["errors"], serde_json::json!([]), "{report}");
    assert_eq!(content(&home.at("both/without-log.db")), (40, 40));
    assert_ne!(report["tables"][0]["with_log"], 40, "{report}");
    assert_eq!(originals(&home), before);
}

#[test]
fn a_main_file_that_was_overwritten_is_read_from_its_log() {
    let Some(home) = left_behind() else { return };
    let mut python = Python::open(&home.db()).expect("it was there before");
    python.sql("PRAGMA user_version = 7").sql("INSERT INTO t VALUES (6, NULL)");
    drop(python);
    let mut bytes = fs::read(home.db()).expect("readable");
    bytes[..100].fill(0x16);
    fs::write(home.db(), bytes).expect("written");
    let before = originals(&home);
    let said = both(&home);
    assert_eq!(said.code, Some(1), "one of them is damaged: {said:?}");
    assert_eq!(originals(&home), before);
    assert_eq!(content(&home.at("both/with-log.db")), (6, 6));
}

#[test]
fn a_hot_journal_is_rolled_back_in_one_copy() {
    let home = Home::new();
    let Some(mut python) = writer(&home.db(), "delete", 4) else { return };
    python.sql("PRAGMA cache_size = 10").sql("BEGIN IMMEDIATE");
    for number in 5..500 {
        python.sql(&format!("INSERT INTO t VALUES ({number}, hex(randomblob(2000)))"));
    }
    drop(python);
    let before = originals(&home);
    assert_eq!(before.len(), 2, "a main file and a journal");
    let report: Value =
        serde_json::from_str(&home.run(&["rescue", "notes.db", "--to", "both", "--json"]).out).expect("JSON");
    assert!(report["copied"]["journal_bytes"].as_u64() > Some(0), "{report}");
    assert_eq!(content(&home.at("both/with-log.db")), (4, 4));
    assert_eq!(originals(&home), before);
}

#[test]
fn beside_a_process_the_copies_are_as_exact() {
    let Some(home) = left_behind() else { return };
    let mut python = Python::open(&home.db()).expect("it was there before");
    python.sql("INSERT INTO t VALUES (6, NULL)");
    let said = both(&home);
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{said:?}");
    assert_eq!(content(&home.at("both/with-log.db")), (6, 6));
    python.sql("INSERT INTO t VALUES (7, NULL)");
    python.lose_locks();
    let said = home.run(&["rescue", "notes.db", "--to", "again"]);
    assert!(said.refusal().starts_with(&format!("{} has ", python.pid())), "{said:?}");
    assert!(!home.at("again").exists(), "nothing is left");
}

#[test]
fn a_path_without_a_file_names_the_process_that_has_it() {
    let home = Home::new();
    assert!(both(&home).refusal().starts_with("no such file: notes.db; name a "));
    let Some(python) = writer(&home.db(), "wal", 2) else { return };
    delete(&home, &FILES);
    assert!(both(&home).refusal().contains(&format!("copy it with --pid {} ", python.pid())));
    assert!(!home.at("both").exists());
}
