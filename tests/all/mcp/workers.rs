//! A server holds nothing open: its workers do, four at most, and not for long.

use std::{
    os::unix::fs::MetadataExt,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use super::*;
use crate::support::eventually;

/// The descriptors of the server that lead to a database.
fn of_database(client: &Client) -> Vec<PathBuf> {
    let is_its = |path: &PathBuf| path.to_string_lossy().contains("notes.db");
    client.descriptors().into_iter().filter(is_its).collect()
}

#[test]
fn four_workers_run_at_once_and_the_others_wait() {
    let library = Library::new();
    let mut writer = Actor::open(&library.db());
    writer.sql("BEGIN IMMEDIATE");
    let mut client = library.serve(&["notes.db"]);
    let calls: Vec<u64> =
        (0..6).map(|_| client.send_call("wait_until_free", json!({ "timeout_seconds": 60 }))).collect();
    // Its answer says that the calls before it have been read.
    client.call("ping", json!({}));
    eventually("four workers", || (client.workers().len() == 4).then_some(()));
    // Too many wait.
    for _ in 0..30 {
        client.send_call("stats", json!({}));
    }
    for _ in 0..20 {
        client.send_call("stats", json!({}));
    }
    for _ in 0..20 {
        let refused = client.next();
        let sentence = refused["result"]["content"][0]["text"].as_str().unwrap_or_default();
        assert!(refused["result"]["isError"] == true && sentence.contains("call again"), "{refused}");
    }
    assert_eq!(client.workers().len(), 4, "{:?}", client.workers());
    assert_eq!(of_database(&client), Vec::<PathBuf>::new());
    writer.sql("COMMIT");
    let mut waits = 0;
    for _ in 0..36 {
        let answer = client.next();
        assert_eq!(answer["result"]["isError"], false, "{answer}");
        waits += usize::from(calls.contains(&answer["id"].as_u64().expect("an id")));
        assert!(client.workers().len() <= 4);
    }
    assert_eq!(waits, calls.len());
    eventually("no worker", || client.workers().is_empty().then_some(()));
}

#[test]
fn a_cancelled_call_ends_its_worker() {
    let library = Library::new();
    let mut writer = Actor::open(&library.db());
    writer.sql("BEGIN IMMEDIATE");
    let mut client = library.serve(&["notes.db"]);
    let id = client.send_call("wait_until_free", json!({ "timeout_seconds": 60 }));
    eventually("a worker", || client.workers().first().cloned());
    let cancelled =
        json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": id } });
    client.send_line(&cancelled.to_string());
    eventually("no worker", || client.workers().is_empty().then_some(()));
}

#[test]
fn beside_a_writer_every_call_is_answered_and_no_statement_is_refused() {
    let library = Library::new();
    let mut client = library.serve(&["notes.db"]);
    let (db, is_over) = (library.db(), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut writer = Actor::open(&db);
            writer.sql("PRAGMA busy_timeout = 0").sql("CREATE TABLE t (x)");
            while !is_over.load(Ordering::Relaxed) {
                // It fails at once if another process holds the lock.
                writer.sql("BEGIN IMMEDIATE").sql("INSERT INTO t VALUES (1)").sql("COMMIT");
            }
            writer.close();
        });
        for _ in 0..5 {
            for (tool, arguments) in [
                ("search", json!({ "query": "stripes" })),
                ("read", json!({ "document": library.name_of("Horse.md") })),
                ("stats", json!({})),
                ("check", json!({})),
                ("status", json!({})),
            ] {
                client.answer(tool, arguments);
                assert_eq!(of_database(&client), Vec::<PathBuf>::new(), "after {tool}");
            }
        }
        is_over.store(true, Ordering::Relaxed);
    });
}

#[test]
fn tools_that_observe_open_no_connection_and_the_server_is_no_user_of_the_database() {
    let library = Library::new();
    let mut client = library.serve(&["notes.db"]);
    let stamp = |name: &str| fs::metadata(library.root().join(name)).map(|it| it.ctime_nsec()).ok();
    let before = (stamp("notes.db"), stamp("notes.db-wal"), stamp("notes.db-shm"));
    for tool in ["status", "who_holds", "check", "wait_until_free", "safe_to_copy", "runs", "explain"] {
        client.answer(tool, json!({}));
    }
    // A connection would make and remove both.
    assert_eq!((stamp("notes.db"), stamp("notes.db-wal"), stamp("notes.db-shm")), before);
    let status: Value = serde_json::from_str(&library.run(&["status", "notes.db", "--json"])).expect("JSON");
    assert_eq!(status["databases"][0]["processes"], json!([]));
    assert_eq!(status["databases"][0]["findings"], json!([]));
}
