//! What a holder of the write lock does, as waltop says it of real processes in known waits.

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use serde_json::Value;
use tempfile::TempDir;

use crate::{python::Python, support};

/// A Python process that holds the write lock and then does `what` for good.
struct Holder {
    python: Python,
    folder: TempDir,
}

impl Holder {
    /// `None` where there is no Python.
    fn doing(what: &str) -> Option<Self> {
        let folder = TempDir::new().expect("a folder");
        let database = folder.path().join("a.db");
        let mut python = Python::open(&database)?;
        python.sql("PRAGMA journal_mode = WAL").sql("CREATE TABLE t (x)").sql("BEGIN IMMEDIATE");
        python.start(what);
        Some(Self { python, folder })
    }

    fn database(&self) -> PathBuf {
        self.folder.path().join("a.db")
    }

    /// Its activity, once there are enough samples that name one; a busy machine delays them.
    fn activity(&self) -> Value {
        let begin = Instant::now();
        loop {
            let activity = activity_of(&self.database(), self.python.pid());
            if activity["verdict"] == "named" {
                return activity["counts"][0].clone();
            }
            assert!(begin.elapsed() < support::PATIENCE, "{activity}");
        }
    }
}

fn activity_of(database: &Path, pid: i32) -> Value {
    let mut command = Command::new(support::WALTOP);
    command.arg("status").arg(database).args(["--for", "2s", "--json"]);
    let home = database.parent().expect("a folder");
    let output = support::set_apart(command, home).output().expect("waltop runs");
    let snapshot: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let processes = snapshot["databases"][0]["processes"].as_array().expect("processes");
    let holder = processes.iter().find(|process| process["pid"] == pid).expect("the holder");
    holder["activity"].clone()
}

#[test]
fn a_sleep_of_its_own() {
    let Some(holder) = Holder::doing("import time; time.sleep(600)") else { return };
    assert_eq!(holder.activity()["class"], "asleep");
}

#[test]
fn a_computation() {
    let Some(holder) = Holder::doing("while True: pass") else { return };
    assert_eq!(holder.activity()["class"], "computing");
}

#[test]
fn a_read_from_a_connection_names_the_other_end() {
    for timeout in ["", "s.settimeout(600); "] {
        let server = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = server.local_addr().expect("an address");
        let call = format!(
            "import socket; s = socket.create_connection(('127.0.0.1', {})); {timeout}s.recv(1)",
            address.port()
        );
        let Some(holder) = Holder::doing(&call) else { return };
        let _connection = server.accept().expect("a connection");
        let activity = holder.activity();
        assert_eq!(activity["class"], "reading", "{timeout}");
        assert_eq!(activity["from"]["remote"], address.to_string());
        assert_eq!(activity["from"]["peer"]["pid"], std::process::id());
    }
}

#[test]
fn an_event_loop_lists_its_connections() {
    let server = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = server.local_addr().expect("an address");
    let program = format!(
        "import asyncio\nasync def main():\n r, w = await asyncio.open_connection('127.0.0.1', {})\n await r.read(1)\nasyncio.run(main())",
        address.port()
    );
    let Some(holder) = Holder::doing(&format!("exec({program:?})")) else { return };
    let _connection = server.accept().expect("a connection");
    let activity = holder.activity();
    assert_eq!(activity["class"], "event-loop");
    let sources = activity["sources"].as_array().expect("sources");
    assert_eq!(sources.len(), 1, "its own wake-up is left out: {sources:?}");
    assert_eq!(sources[0]["remote"], address.to_string());
}

#[test]
fn a_read_from_a_pipe_names_who_can_write_to_it() {
    let Some(holder) = Holder::doing("import sys; sys.stdin.read(1)") else { return };
    let activity = holder.activity();
    assert_eq!(activity["class"], "reading");
    assert_eq!(activity["from"]["type"], "pipe");
    let peers = activity["from"]["peers"].as_array().expect("processes");
    assert!(peers.iter().any(|peer| peer["pid"] == std::process::id()), "{peers:?}");
}

#[test]
fn a_wait_for_a_lock_of_its_own() {
    let what = "import threading; l = threading.Lock(); l.acquire(); l.acquire()";
    let Some(holder) = Holder::doing(what) else { return };
    assert_eq!(holder.activity()["class"], "thread");
}

#[test]
fn a_wait_for_a_child_names_it() {
    // The child ends with the pipe to its parent.
    let what = "import subprocess; subprocess.call(['cat'], stdin=subprocess.PIPE)";
    let Some(holder) = Holder::doing(what) else { return };
    let activity = holder.activity();
    assert_eq!(activity["class"], "child");
    assert_eq!(activity["children"][0]["name"], "cat");
}

#[test]
fn a_wait_for_another_database_names_it() {
    let folder = TempDir::new().expect("a folder");
    let other = folder.path().join("other.db");
    let Some(mut owner) = Python::open(&other) else { return };
    owner.sql("PRAGMA journal_mode = WAL").sql("CREATE TABLE t (x)").sql("BEGIN IMMEDIATE");
    let what = format!(
        "import sqlite3; o = sqlite3.connect({:?}, timeout=600, isolation_level=None); o.execute('BEGIN IMMEDIATE')",
        other.to_str().expect("text")
    );
    let Some(holder) = Holder::doing(&what) else { return };
    let activity = holder.activity();
    assert_eq!(activity["class"], "busy-wait");
    assert_eq!(activity["databases"], serde_json::json!([other]));
}

#[test]
fn threads_that_do_different_things_are_not_told_apart() {
    let what = "import sys, threading, time; \
                threading.Thread(target=lambda: time.sleep(600), daemon=True).start(); sys.stdin.read(1)";
    let Some(holder) = Holder::doing(what) else { return };
    assert_eq!(holder.activity()["class"], "several-threads");
}

/// Holds nothing, and does the same as a holder: it is not sampled.
#[test]
fn a_process_without_a_lock_has_no_activity() {
    let folder = TempDir::new().expect("a folder");
    let database = folder.path().join("a.db");
    let Some(mut python) = Python::open(&database) else { return };
    python.sql("PRAGMA journal_mode = WAL").sql("CREATE TABLE t (x)");
    python.start("import time; time.sleep(600)");
    assert_eq!(activity_of(&database, python.pid()), Value::Null);
}
