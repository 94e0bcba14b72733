//! What of the settings of real processes can be seen from outside, and whose they are.

use std::iter;

use waltop::snapshot::{PragmaRow, PragmaSource};

use super::*;

/// Enough rows in a temporary table that they do not stay in a cache of pages.
const SPILL: &str = "CREATE TEMP TABLE big AS WITH RECURSIVE n(x) AS \
                     (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 20000) SELECT x, randomblob(200) FROM n";

fn rows(watch: &mut Monitor, pragma: &str) -> Vec<PragmaRow> {
    let rows = look(watch).pragmas.rows.into_iter();
    rows.filter(|row| row.name == pragma && row.source == PragmaSource::Observed).collect()
}

/// The rows of `pragma`: whose, which value, and whether the profile is content.
fn seen(watch: &mut Monitor, pragma: &str) -> Vec<(Option<i32>, Option<String>, Option<bool>)> {
    rows(watch, pragma).into_iter().map(|row| (row.pid, row.actual, row.ok)).collect()
}

fn said(pid: i32, value: &str, ok: Option<bool>) -> (Option<i32>, Option<String>, Option<bool>) {
    (Some(pid), Some(value.to_owned()), ok)
}

fn temp_files(watch: &mut Monitor, pid: i32) -> Option<u32> {
    look(watch).process(pid).expect("it has the database open").temp_files
}

#[test]
fn temporary_files_on_disk_are_seen_and_those_in_memory_are_not() {
    let scene = Scene::new("wal");
    let Some((mut on_disk, mut in_memory)) = Python::open(&scene.path()).zip(Python::open(&scene.path()))
    else {
        return;
    };
    let mut watch = scene.patient();
    for python in [&mut on_disk, &mut in_memory] {
        python.sql("SELECT * FROM t");
        assert_eq!(temp_files(&mut watch, python.pid()), Some(0));
    }
    assert!(seen(&mut watch, "temp_store").is_empty(), "that there is none shows nothing");
    in_memory.sql("PRAGMA temp_store = MEMORY").sql(SPILL);
    assert_eq!(temp_files(&mut watch, in_memory.pid()), Some(0));
    on_disk.sql("PRAGMA temp_store = FILE").sql(SPILL);
    let files = temp_files(&mut watch, on_disk.pid());
    if files.is_none() {
        eprintln!("not tested further: this SQLite gives its temporary files no name");
        return;
    }
    assert_eq!(files, Some(1));
    assert_eq!(seen(&mut watch, "temp_store"), [said(on_disk.pid(), "FILE", Some(false))]);
    // Under a profile that asks for nothing it is told all the same, and not judged.
    let mut careless = scene.watch_with(|config| config.profile.pragmas.retain(|it| it.name != "temp_store"));
    assert_eq!(seen(&mut careless, "temp_store"), [said(on_disk.pid(), "FILE", None)]);
    on_disk.sql("DROP TABLE big").run("db.close()");
    on_disk.run("import sqlite3; db = sqlite3.connect(path, isolation_level=None)");
    on_disk.sql("SELECT * FROM t");
    assert!(seen(&mut watch, "temp_store").is_empty());
}

#[test]
fn a_temporary_file_without_a_name_may_be_anybodys() {
    let scene = Scene::new("wal");
    let Some(mut python) = Python::open(&scene.path()) else { return };
    python.sql("SELECT * FROM t");
    let mut watch = scene.patient();
    assert_eq!(temp_files(&mut watch, python.pid()), Some(0));
    // A name that it had is its own program's; without one it could be SQLite's just as well.
    python.run("import os, tempfile; own = tempfile.NamedTemporaryFile(delete=False); os.unlink(own.name)");
    assert_eq!(temp_files(&mut watch, python.pid()), Some(0));
    python.run("nameless = os.open(os.path.dirname(path), os.O_TMPFILE | os.O_RDWR)");
    assert_eq!(temp_files(&mut watch, python.pid()), None);
    assert_eq!(seen(&mut watch, "temp_store"), [(Some(python.pid()), None, None)]);
    python.run("os.close(nameless)");
    assert_eq!(temp_files(&mut watch, python.pid()), Some(0));
}

#[test]
fn the_process_that_maps_the_database_has_a_row_of_its_own() {
    let scene = Scene::new("wal");
    let (mut plain, mut first, mut second) = (scene.actor(), scene.actor(), scene.actor());
    for actor in [&mut plain, &mut first, &mut second] {
        actor.sql("PRAGMA mmap_size = 0").sql("SELECT * FROM t");
    }
    let alike = |value: &str, ok| (None, Some(value.to_owned()), Some(ok));
    assert_eq!(seen(&mut scene.patient(), "mmap_size"), [alike("not mapped", true)]);
    for actor in [&mut first, &mut second] {
        actor.sql("PRAGMA mmap_size = 1048576").sql("SELECT * FROM t");
    }
    let mut pids = [first.pid(), second.pid()];
    pids.sort_unstable();
    let mapped = pids.map(|pid| said(pid, "mapped", Some(false)));
    let other = said(plain.pid(), "not mapped", Some(true));
    let expected: Vec<_> = mapped.into_iter().chain(iter::once(other)).collect();
    assert_eq!(seen(&mut scene.patient(), "mmap_size"), expected);
    plain.close();
    assert_eq!(seen(&mut scene.patient(), "mmap_size"), [alike("mapped", false)], "of all alike");
}

#[test]
fn a_read_only_client_has_a_row_of_its_own_and_others_have_none() {
    let scene = Scene::new("wal");
    let mut owner = scene.actor();
    owner.sql("SELECT * FROM t");
    let mut watch = scene.patient();
    assert!(seen(&mut watch, "read_only").is_empty());
    let mut visitor = Actor::open_read_only(&scene.path());
    visitor.sql("SELECT * FROM t");
    assert_eq!(seen(&mut watch, "read_only"), [said(visitor.pid(), "ON", Some(false))]);
    let note = rows(&mut watch, "read_only").remove(0).note.expect("a note");
    assert!(note.contains("read-only") && note.contains(&visitor.pid().to_string()), "{note}");
    visitor.close();
    assert!(seen(&mut watch, "read_only").is_empty());
}

#[test]
fn the_process_that_keeps_the_whole_file_to_itself_is_named() {
    let scene = Scene::new("wal");
    let mut normal = scene.actor();
    normal.sql("BEGIN IMMEDIATE").sql("INSERT INTO t VALUES (2)");
    assert!(seen(&mut scene.patient(), "locking_mode").is_empty(), "a write lock is none on the file");
    normal.sql("COMMIT");
    normal.close();
    let mut alone = scene.actor();
    alone.sql("PRAGMA locking_mode = EXCLUSIVE").sql("INSERT INTO t VALUES (3)");
    assert_eq!(seen(&mut scene.patient(), "locking_mode"), [said(alone.pid(), "EXCLUSIVE", Some(false))]);
}
