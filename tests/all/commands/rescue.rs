//! Copies out of processes that hold deleted databases, and copies with and without a doubtful log: each holds exactly what
//! was committed, and the originals stay as they are.

mod beside_a_writer;
mod pair;

use std::io::Write;

use rusqlite::Connection;
use waltop::rescue::RescueError;

use super::*;
use crate::{python::Python, support::eventually};

const FILES: [&str; 3] = ["notes.db", "notes.db-wal", "notes.db-shm"];

/// A Python process that has made `path`, in this journal mode, with the numbers from 1 to `rows` in the table `t`.
fn writer(path: &Path, mode: &str, rows: u32) -> Option<Python> {
    let mut python = Python::open(path)?;
    python.sql(&format!("PRAGMA journal_mode = {mode}"));
    python.sql("CREATE TABLE t(x INTEGER PRIMARY KEY, filler)");
    for number in 1..=rows {
        python.sql(&format!("INSERT INTO t VALUES ({number}, hex(randomblob(200)))"));
    }
    Some(python)
}

fn delete(home: &Home, names: &[&str]) {
    for name in names {
        fs::remove_file(home.at(name)).expect("removed");
    }
}

/// The number of rows and the largest number in `path`, asked by a connection of this process: it is a copy.
fn content(path: &Path) -> (u32, u32) {
    let connection = Connection::open(path).expect("a copy");
    let sql = "SELECT count(*), coalesce(max(x), 0) FROM t";
    let content = connection.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).expect("a table");
    let check: String =
        connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("an answer");
    assert_eq!(check, "ok");
    content
}

fn rescue<'a>(pid: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["rescue", "notes.db", "--pid", pid, "--to", "copy.db"][..], more].concat()
}

/// The files of a copy that are there.
fn files_of_copy(home: &Home) -> Vec<String> {
    let names = fs::read_dir(home.folder()).expect("a folder").flatten();
    let names = names.map(|it| it.file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.filter(|name| name.starts_with("copy.db")).collect();
    names.sort();
    names
}

#[test]
fn a_deleted_database_is_copied_out_of_the_process_whatever_was_deleted() {
    for names in [&FILES[..], &FILES[..1], &FILES[1..], &FILES[1..2]] {
        let home = Home::new();
        let Some(mut python) = writer(&home.db(), "wal", 50) else { return };
        // Some of it is in the main file, and the rest in the log.
        python.sql("PRAGMA wal_checkpoint(PASSIVE)").sql("INSERT INTO t VALUES (51, NULL)");
        delete(&home, names);
        let before = Home::listing(&home.folder());
        let pid = python.pid().to_string();
        let said = home.run(&rescue(&pid, &["--json"]));
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{names:?}: {said:?}");
        let report = said.json();
        assert_eq!(report["tables"], serde_json::json!([{ "name": "t", "rows": 51 }]), "{report}");
        assert_eq!((&report["copy"]["is_complete"], &report["pid"]), (&true.into(), &python.pid().into()));
        assert!(report["copied"]["frames"].as_u64() > Some(0), "{report}");
        assert_eq!(files_of_copy(&home), ["copy.db"], "the file alone is complete");
        assert_eq!(fs::metadata(home.at("copy.db")).expect("there").mode() & 0o777, 0o600);
        assert_eq!(content(&home.at("copy.db")), (51, 51));
        fs::remove_file(home.at("copy.db")).expect("removed");
        assert_eq!(Home::listing(&home.folder()), before, "{names:?}");
        // It keeps its locks and goes on.
        python.sql("INSERT INTO t VALUES (52, NULL)").sql("PRAGMA wal_checkpoint(TRUNCATE)");
    }
}

#[test]
fn a_log_of_which_all_was_moved_and_one_that_was_truncated_are_copied() {
    for mode in ["PASSIVE", "RESTART", "TRUNCATE"] {
        let home = Home::new();
        let Some(mut python) = writer(&home.db(), "wal", 20) else { return };
        python.sql(&format!("PRAGMA wal_checkpoint({mode})"));
        delete(&home, &FILES);
        let pid = python.pid().to_string();
        let said = home.run(&rescue(&pid, &[]));
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{mode}: {said:?}");
        assert!(said.out.contains("20 rows") && said.out.contains("not missing commits"), "{said:?}");
        assert_eq!(content(&home.at("copy.db")), (20, 20), "{mode}");
    }
}

#[test]
fn what_is_not_committed_is_not_in_the_copy() {
    let home = Home::new();
    let Some(mut python) = writer(&home.db(), "wal", 10) else { return };
    // So little cache that its pages are in the log before the commit.
    python.sql("PRAGMA cache_size = 10").sql("BEGIN IMMEDIATE");
    for number in 11..500 {
        python.sql(&format!("INSERT INTO t VALUES ({number}, hex(randomblob(2000)))"));
    }
    delete(&home, &FILES);
    let pid = python.pid().to_string();
    let said = home.run(&rescue(&pid, &[]));
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{said:?}");
    assert_eq!(content(&home.at("copy.db")), (10, 10));
    python.sql("COMMIT");
}

#[test]
fn an_existing_file_is_never_written_to() {
    let home = Home::new();
    let Some(python) = writer(&home.db(), "wal", 5) else { return };
    delete(&home, &FILES);
    let pid = python.pid().to_string();
    for taken in ["copy.db", "copy.db-wal", "copy.db-shm", "copy.db-journal"] {
        fs::write(home.at(taken), "mine").expect("written");
        let before = Home::listing(&home.folder());
        let said = home.run(&rescue(&pid, &[]));
        assert!(said.refusal().contains(&format!("{taken} exists")), "{said:?}");
        assert_eq!(Home::listing(&home.folder()), before, "{taken}");
        fs::remove_file(home.at(taken)).expect("removed");
    }
    // Its process deletes files beside that name when it closes.
    let said = home.run(&["rescue", "notes.db", "--pid", &pid, "--to", "notes.db"]);
    assert!(said.refusal().contains("is the path that "), "{said:?}");
    std::os::unix::fs::symlink("elsewhere.db", home.at("copy.db")).expect("a link");
    assert!(home.run(&rescue(&pid, &[])).refusal().contains("copy.db exists"));
    assert!(!home.at("elsewhere.db").exists());
}

#[test]
fn a_process_that_has_nothing_to_rescue_is_refused_by_name() {
    let home = Home::new();
    let Some(mut python) = writer(&home.db(), "wal", 5) else { return };
    let pid = python.pid().to_string();
    assert!(home.run(&rescue(&pid, &[])).refusal().starts_with("nothing that "), "nothing was deleted");
    let other = home.run(&["rescue", "other.db", "--pid", &pid, "--to", "copy.db"]);
    assert!(other.refusal().contains("has no file open that was "), "{other:?}");
    let mut ended = Command::new("true").spawn().expect("it starts");
    let gone = ended.id().to_string();
    ended.wait().expect("it ends");
    let no_process = RescueError::NoProcess { pid: gone.parse().expect("a PID") };
    assert!(home.run(&rescue(&gone, &[])).refusal() == no_process.to_string());
    for args in [&["rescue", "notes.db"][..], &["rescue", "notes.db", "--to", "dir", "--freeze"]] {
        assert_eq!(home.run(args).code, Some(2), "{args:?}");
    }
    assert_eq!(files_of_copy(&home), [""; 0]);
    python.sql("INSERT INTO t VALUES (6, NULL)");
}

#[test]
fn another_users_process_is_refused_by_name() {
    if !is_root() {
        return eprintln!("not tested: only root can run the program as another user");
    }
    let home = Home::new();
    let Some(python) = writer(&home.db(), "wal", 5) else { return };
    delete(&home, &FILES);
    home.let_another_in();
    fs::set_permissions(home.folder(), fs::Permissions::from_mode(0o777)).expect("a mode");
    let said = home.run_as(User::Another, &rescue(&python.pid().to_string(), &[]));
    assert!(said.refusal().contains("no permission to read the descriptors of "), "{said:?}");
    assert_eq!(files_of_copy(&home), [""; 0]);
}

#[test]
fn of_two_generations_in_one_process_one_is_chosen_by_its_inode() {
    let home = Home::new();
    let Some(mut python) = writer(&home.db(), "wal", 5) else { return };
    let first = fs::metadata(home.db()).expect("there").ino();
    delete(&home, &FILES);
    python.run("import sqlite3; old = db; db = sqlite3.connect(path, isolation_level=None)");
    python.sql("PRAGMA journal_mode = wal").sql("CREATE TABLE t(x INTEGER PRIMARY KEY)");
    python.sql("INSERT INTO t VALUES (100)");
    let pid = python.pid().to_string();
    let said = home.run(&rescue(&pid, &[]));
    assert_eq!(said.code, Some(0), "only one was deleted: {said:?}");
    assert_eq!(content(&home.at("copy.db")), (5, 5));
    fs::remove_file(home.at("copy.db")).expect("removed");
    let second = fs::metadata(home.db()).expect("there").ino();
    delete(&home, &FILES);
    let said = home.run(&rescue(&pid, &[]));
    let list = said.refusal();
    assert!(list.contains("choose one with --inode") && list.contains(&first.to_string()), "{list}");
    for (inode, expected) in [(first, (5, 5)), (second, (1, 100))] {
        let said = home.run(&rescue(&pid, &["--inode", &inode.to_string()]));
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{said:?}");
        assert_eq!(content(&home.at("copy.db")), expected, "{inode}");
        fs::remove_file(home.at("copy.db")).expect("removed");
    }
    let said = home.run(&rescue(&pid, &["--inode", "1"]));
    assert!(said.refusal().contains("--inode 1"), "{said:?}");
}

#[test]
fn a_rollback_database_is_copied_from_a_frozen_process_with_its_journal() {
    let home = Home::new();
    let Some(mut python) = writer(&home.db(), "delete", 10) else { return };
    // A transaction whose pages are in the main file already, so that only its journal makes the copy right.
    python.sql("PRAGMA cache_size = 10").sql("BEGIN IMMEDIATE");
    for number in 11..500 {
        python.sql(&format!("INSERT INTO t VALUES ({number}, hex(randomblob(2000)))"));
    }
    delete(&home, &["notes.db", "notes.db-journal"]);
    let pid = python.pid().to_string();
    let said = home.run(&rescue(&pid, &[]));
    assert!(said.refusal().contains("give --freeze"), "{said:?}");
    let said = home.run(&rescue(&pid, &["--freeze"]));
    assert!(said.refusal().contains("give --yes"), "nobody is there to ask: {said:?}");
    assert_eq!(files_of_copy(&home), [""; 0]);
    let said = home.run(&rescue(&pid, &["--freeze", "--yes", "--json"]));
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{said:?}");
    let report = said.json();
    assert_eq!(report["copied"]["frozen"], true, "{report}");
    assert!(report["copied"]["journal_bytes"].as_u64() > Some(0), "{report}");
    assert_eq!(files_of_copy(&home), ["copy.db"]);
    assert_eq!(content(&home.at("copy.db")), (10, 10));
    // It goes on. SQLite itself refuses a commit to a main file that has no name.
    assert_eq!(python.run("print(db.execute('SELECT max(x) FROM t').fetchone()[0])"), ["499"]);
}

#[test]
fn a_process_that_was_stopped_before_stays_stopped() {
    let home = Home::new();
    let Some(python) = writer(&home.db(), "delete", 10) else { return };
    delete(&home, &["notes.db"]);
    let pid = rustix::process::Pid::from_raw(python.pid()).expect("a PID");
    let state = || {
        let stat = fs::read_to_string(format!("/proc/{}/stat", python.pid())).expect("it lives");
        stat.rsplit_once(") ").and_then(|(_, fields)| fields.chars().next())
    };
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).expect("it lives");
    eventually("it is stopped", || (state() == Some('T')).then_some(()));
    let said = home.run(&rescue(&python.pid().to_string(), &["--freeze", "--yes"]));
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(state(), Some('T'));
    rustix::process::kill_process(pid, rustix::process::Signal::CONT).expect("it lives");
    assert_eq!(content(&home.at("copy.db")), (10, 10));
}

#[test]
fn an_exclusive_log_without_an_index_is_copied_from_a_frozen_process() {
    let home = Home::new();
    let Some(mut maker) = writer(&home.db(), "wal", 3) else { return };
    maker.run("db.close()");
    let Some(mut python) = Python::open(&home.db()) else { return };
    python.sql("PRAGMA locking_mode = EXCLUSIVE");
    python.sql("INSERT INTO t VALUES (4, NULL)");
    assert!(!home.at("notes.db-shm").exists(), "its index is in its memory");
    delete(&home, &FILES[..2]);
    let pid = python.pid().to_string();
    assert!(home.run(&rescue(&pid, &[])).refusal().contains("give --freeze"));
    let said = home.run(&rescue(&pid, &["--freeze", "--yes"]));
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(content(&home.at("copy.db")), (4, 4));
}

#[test]
fn one_that_holds_the_whole_file_takes_no_lock_for_its_commits() {
    let home = Home::new();
    let Some(mut python) = writer(&home.db(), "wal", 3) else { return };
    // It has an index, and from now on no lock on it says that it writes.
    python.sql("PRAGMA locking_mode = EXCLUSIVE").sql("INSERT INTO t VALUES (4, NULL)");
    delete(&home, &FILES);
    let pid = python.pid().to_string();
    let said = home.run(&rescue(&pid, &[]));
    assert!(said.refusal().starts_with("it holds the whole file"), "{said:?}");
    assert_eq!(home.run(&rescue(&pid, &["--freeze", "--yes"])).code, Some(0));
    assert_eq!(content(&home.at("copy.db")), (4, 4));
}

#[test]
fn one_that_shares_its_files_with_another_process_is_not_frozen_alone() {
    let home = Home::new();
    let Some(python) = writer(&home.db(), "delete", 3) else { return };
    let mut other = home.actor();
    other.sql("SELECT * FROM t");
    delete(&home, &FILES[..1]);
    let said = home.run(&rescue(&python.pid().to_string(), &["--freeze", "--yes"]));
    assert!(said.refusal().starts_with(&format!("{} also has the file open", other.pid())), "{said:?}");
    other.sql("SELECT * FROM t");
}

#[test]
fn a_signal_ends_it_and_the_process_goes_on() {
    let home = Home::new();
    let Some(mut python) = writer(&home.db(), "memory", 3) else { return };
    // Without a journal file no moment of this transaction can be copied, so that it is frozen again and again.
    python.sql("BEGIN IMMEDIATE");
    delete(&home, &FILES[..1]);
    let pid = python.pid().to_string();
    let mut rescuer = home
        .command(Path::new(WALTOP))
        .args(rescue(&pid, &["--freeze", "--yes"]))
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let stat = || fs::read_to_string(format!("/proc/{pid}/stat")).expect("it lives");
    eventually("it is frozen", || stat().contains(") T ").then_some(()));
    let raw = rustix::process::Pid::from_raw(i32::try_from(rescuer.id()).expect("a PID")).expect("a PID");
    rustix::process::kill_process(raw, rustix::process::Signal::TERM).expect("it lives");
    assert_eq!(rescuer.wait().expect("it ends").code(), Some(130));
    assert_eq!(python.run("print(1)"), ["1"]);
    assert_eq!(files_of_copy(&home), [""; 0]);
}

#[test]
fn without_room_nothing_is_begun() {
    if !is_root() {
        return eprintln!("not tested: only root can mount a small file system");
    }
    let home = Home::new();
    let Some(python) = writer(&home.db(), "wal", 200) else { return };
    delete(&home, &FILES);
    let small = home.at("small");
    fs::create_dir(&small).expect("a folder");
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"]).arg(&small).status();
    if !mounted.is_ok_and(|status| status.success()) {
        return eprintln!("not tested: nothing can be mounted here");
    }
    let to = small.join("copy.db");
    let pid = python.pid().to_string();
    let said = home.run(&["rescue", "notes.db", "--pid", &pid, "--to", to.to_str().expect("text")]);
    let left = fs::read_dir(&small).expect("a folder").count();
    assert!(Command::new("umount").arg(&small).status().expect("umount runs").success());
    assert!(said.refusal().contains(" free; name a path on another disk"), "{said:?}");
    assert_eq!(left, 0);
}

#[test]
fn a_read_only_configuration_copies_and_stops_no_process() {
    let home = Home::new();
    let Some(python) = writer(&home.db(), "wal", 3) else { return };
    delete(&home, &FILES);
    let folder = home.root().join("config/waltop");
    fs::create_dir_all(&folder).expect("a folder");
    fs::File::create(folder.join("config.toml"))
        .and_then(|mut file| file.write_all(b"readonly = true\n"))
        .expect("written");
    let pid = python.pid().to_string();
    assert!(home.run(&rescue(&pid, &["--freeze", "--yes"])).refusal().contains("read-only here"));
    assert_eq!(home.run(&rescue(&pid, &[])).code, Some(0));
}
