//! Processes that may be waiting, without the kernel's trace: real ones that wait, and healthy ones that sleep.

use std::{path::Path, process::Command};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{python::Python, support};

/// A database `a.db` in WAL mode and a process that has it open; `None` where there is no Python.
fn scene() -> Option<(TempDir, Python)> {
    let folder = TempDir::new().expect("a folder");
    let mut python = Python::open(&folder.path().join("a.db"))?;
    python.sql("PRAGMA journal_mode = WAL").sql("CREATE TABLE t (x)");
    Some((folder, python))
}

fn waiters(database: &Path) -> Vec<Value> {
    let mut command = Command::new(support::WALTOP);
    command.arg("status").arg(database).args(["--for", "2s", "--json"]);
    let home = database.parent().expect("a folder");
    let output = support::set_apart(command, home).output().expect("waltop runs");
    let snapshot: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    snapshot["databases"][0]["locks"]["possible_waiters"].as_array().expect("a list").clone()
}

#[test]
fn a_writer_in_the_sleep_of_its_busy_handler_may_be_waiting() {
    let Some((folder, mut holder)) = scene() else { return };
    let database = folder.path().join("a.db");
    let mut waiter = Python::open(&database).expect("Python");
    let mut sleeper = Python::open(&database).expect("Python");
    let idle = Python::open(&database).expect("Python");
    for other in [&mut waiter, &mut sleeper] {
        other.sql("PRAGMA busy_timeout = 600000").sql("SELECT count(*) FROM t");
    }
    holder.sql("BEGIN IMMEDIATE");
    waiter.start("db.execute('BEGIN IMMEDIATE')");
    sleeper.start("import time; time.sleep(600)");
    let found = support::eventually("the waiter is found", || {
        let found = waiters(&database);
        (!found.is_empty()).then_some(found)
    });
    let outline: Vec<_> = found.iter().map(|it| (it["pid"].clone(), it["holder"].clone())).collect();
    assert_eq!(outline, [(json!(waiter.pid()), json!(holder.pid()))], "{} is idle", idle.pid());
    // Another user's calls are hidden, and so may be those of this one (Yama).
    let kind = found[0]["evidence"]["kind"].as_str().expect("a kind");
    assert!(["handler-sleep", "wake-rhythm"].contains(&kind), "{found:?}");
    assert!(found[0]["asleep"].as_u64() <= found[0]["samples"].as_u64());
}

/// They sleep 100 ms at a time, as SQLite does, but by another call.
#[test]
fn healthy_processes_that_sleep_are_not_suspected() {
    let Some((folder, mut holder)) = scene() else { return };
    let database = folder.path().join("a.db");
    let mut sleepers = [(); 3].map(|()| Python::open(&database).expect("Python"));
    for sleeper in &mut sleepers {
        sleeper.sql("SELECT count(*) FROM t");
    }
    let [long, polls, waits_for_thread] = &mut sleepers;
    long.start("import time; time.sleep(600)");
    polls.start("import select; exec('while True: select.select([], [], [], 0.1)')");
    waits_for_thread.start("import threading; threading.Event().wait()");
    holder.sql("BEGIN IMMEDIATE");
    assert_eq!(waiters(&database), Vec::<Value>::new());
    holder.sql("COMMIT");
    assert_eq!(waiters(&database), Vec::<Value>::new(), "nobody holds the lock");
}

/// The same sleep while no process holds the lock is no wait for it.
#[test]
fn a_sleep_like_that_of_sqlite_is_nothing_while_the_lock_is_free() {
    let Some((folder, mut python)) = scene() else { return };
    let database = folder.path().join("a.db");
    python.start("import ctypes; c = ctypes.CDLL(None); exec('while True: c.usleep(100000)')");
    assert_eq!(waiters(&database), Vec::<Value>::new());
}
