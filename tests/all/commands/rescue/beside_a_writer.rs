//! Copies beside a process that never stops writing: each must be a committed prefix of what it writes.

use std::{
    cell::{Cell, RefCell},
    env,
    process::Child,
};

use waltop::rescue::{RescueRequest, from_process, start_of};

use super::*;

/// Copies in a run of the tests. `WALTOP_RESCUES=100` makes the measurement.
const COPIES: u32 = 5;

/// Commits the numbers 1, 2, 3 … until it is ended, several pages each, with checkpoints of its own; after each commit the
/// number goes to the file that is named second.
const BUSY: &str = "
import os, sqlite3, sys
path, told = sys.argv[1:]
db = sqlite3.connect(path, isolation_level=None)
db.execute('PRAGMA journal_mode = wal')
db.execute('PRAGMA wal_autocheckpoint = 40')
db.execute('CREATE TABLE t(x INTEGER PRIMARY KEY, filler)')
db.execute('CREATE INDEX i ON t(filler)')
out = os.open(told, os.O_WRONLY | os.O_CREAT, 0o600)
number = 0
while True:
    number += 1
    db.execute('INSERT INTO t VALUES (?, hex(randomblob(3000)))', (number,))
    if number % 10 == 0:
        db.execute('UPDATE t SET filler = hex(randomblob(3000)) WHERE x % 97 = ?', (number % 97,))
    os.pwrite(out, b'%12d' % number, 0)
";

struct Busy(Child);

impl Busy {
    fn start(home: &Home) -> Option<Self> {
        let child = Command::new("python3").args(["-c", BUSY]).arg(home.db()).arg(home.at("told")).spawn();
        let Ok(child) = child else {
            eprintln!("not tested: there is no python3");
            return None;
        };
        let busy = Self(child);
        eventually("it writes", || (committed(home) > 100).then_some(()));
        Some(busy)
    }
}

/// The number that was committed last, or one before it.
fn committed(home: &Home) -> u32 {
    fs::read_to_string(home.at("told")).ok().and_then(|it| it.trim().parse().ok()).unwrap_or_default()
}

impl Drop for Busy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn each_copy_is_a_committed_prefix_and_none_is_older_than_its_beginning() {
    let home = Home::new();
    let Some(busy) = Busy::start(&home) else { return };
    delete(&home, &FILES);
    let pid = busy.0.id().to_string();
    let copies = env::var("WALTOP_RESCUES").ok().and_then(|it| it.parse().ok()).unwrap_or(COPIES);
    let (mut rows, mut moved) = (0, 0);
    for copy in 1..=copies {
        let before = committed(&home);
        let said = home.run(&rescue(&pid, &["--json"]));
        let after = committed(&home);
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{copy}: {said:?}");
        let (count, largest) = content(&home.at("copy.db"));
        assert_eq!(count, largest, "copy {copy} has a gap");
        assert!((before..=after + 1).contains(&largest), "copy {copy}: {before} <= {largest} <= {after}");
        moved += u32::from(said.json()["copied"]["frames_moved"].as_u64() > Some(0));
        rows += largest;
        fs::remove_file(home.at("copy.db")).expect("removed");
    }
    assert!(rows > 100 * copies, "it wrote all the time");
    println!("{copies} copies, {rows} rows in all, {moved} with a log of which a part was moved");
}

#[test]
fn a_frozen_writer_gives_a_committed_prefix_and_goes_on() {
    let home = Home::new();
    let Some(busy) = Busy::start(&home) else { return };
    delete(&home, &FILES);
    let pid = busy.0.id().to_string();
    for _ in 0..3 {
        let before = committed(&home);
        let said = home.run(&rescue(&pid, &["--freeze", "--yes"]));
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{said:?}");
        let (count, largest) = content(&home.at("copy.db"));
        assert!(count == largest && largest >= before, "{before} <= {largest}, {count} rows");
        eventually("it goes on", || (committed(&home) > largest + 10).then_some(()));
        fs::remove_file(home.at("copy.db")).expect("removed");
    }
}

/// Copies the deleted database of `python` into the folder of `home`, and has it run `lines` while the locks are held,
/// before the first page is read.
fn copy_while(home: &Home, python: Python, lines: &[&str]) -> PathBuf {
    let pid = python.pid();
    let proc = Path::new("/proc");
    let request = RescueRequest {
        proc,
        pid,
        start_ticks: start_of(proc, pid).expect("it lives"),
        path: &home.db(),
        inode: None,
        may_freeze: false,
    };
    let (python, is_first) = (RefCell::new(python), Cell::new(true));
    let meanwhile = || {
        if is_first.replace(false) {
            for line in lines {
                python.borrow_mut().run(line);
            }
        }
        false
    };
    let (copy, copied) = from_process(&request, &home.at("copy.db"), &meanwhile).expect("copied");
    assert!(!is_first.get() && copied.frames > 0);
    copy
}

#[test]
fn commits_go_on_under_the_locks_and_checkpoints_and_the_last_close_do_not() {
    for lines in [
        &["db.execute('INSERT INTO t VALUES (51, NULL)')"][..],
        &[
            "db.execute('INSERT INTO t VALUES (51, NULL)'); print(db.execute('PRAGMA wal_checkpoint').fetchone())",
        ],
        &["db.execute('PRAGMA busy_timeout = 0')", "db.execute('PRAGMA wal_checkpoint(TRUNCATE)')"],
        // Without a lock on the main file the last close would move the log, whoever reads.
        &["db.execute('INSERT INTO t VALUES (51, hex(randomblob(60000)))')", "db.close()"],
        &["db.execute('DELETE FROM t')", "db.close()"],
    ] {
        // SQLite moves no log into a main file that has no name, and so with that one there are two cases.
        for names in [&FILES[..], &FILES[1..]] {
            let home = Home::new();
            let Some(python) = writer(&home.db(), "wal", 50) else { return };
            delete(&home, names);
            let copy = copy_while(&home, python, lines);
            assert_eq!(content(&copy), (50, 50), "{names:?}: {lines:?}");
        }
    }
}

#[test]
fn a_restart_of_a_log_of_which_all_was_moved_changes_no_copy() {
    let home = Home::new();
    let Some(mut python) = writer(&home.db(), "wal", 50) else { return };
    python.sql("PRAGMA wal_checkpoint(RESTART)");
    delete(&home, &FILES);
    let insert =
        "for x in range(51, 200): db.execute('INSERT INTO t VALUES (?, hex(randomblob(3000)))', (x,))";
    let copy = copy_while(&home, python, &[insert]);
    assert_eq!(content(&copy), (50, 50));
}
