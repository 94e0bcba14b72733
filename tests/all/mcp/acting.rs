//! What changes something is there only if it is allowed, runs dry unless told otherwise, and changes what it named.

use rustix::process::{Pid, Signal, kill_process};

use super::*;
use crate::support::{copy_program, eventually};

#[test]
fn without_being_allowed_nothing_that_changes_something_is_there() {
    let library = Library::new();
    let mut client = library.serve(&["notes.db"]);
    for tool in ["checkpoint", "reap", "ingest"] {
        assert!(client.refusal(tool, json!({})).contains("there is no tool"), "{tool}");
    }
    let notes = library.root().join("notes");
    let notes = notes.to_str().expect("text");
    let mut client = library.serve(&["notes.db", "--allow", "Checkpoint,ingest", "--folder", notes]);
    assert!(client.refusal("reap", json!({})).contains("there is no tool"));
    let listed = client.call("tools/list", json!({}));
    for tool in listed["result"]["tools"].as_array().expect("tools") {
        let changes = ["checkpoint", "ingest"].contains(&tool["name"].as_str().expect("a name"));
        assert_eq!(tool["annotations"]["readOnlyHint"], !changes, "{tool}");
        assert_eq!(
            tool["inputSchema"]["properties"]["dry_run"]["default"],
            if changes { json!(true) } else { Value::Null }
        );
    }
    for (args, why) in [
        (&["notes.db", "--allow", "delete"][..], "possible values"),
        (&["notes.db", "--allow", "ingest"], "--folder"),
        (&["notes.db", "--folder", "notes"], "--allow"),
        (&["notes.db", "--allow", "reap", "--folder", "notes"], "--folder"),
        (&["notes.db", "--allow", "ingest", "--folder", "none"], "cannot serve"),
    ] {
        let output = library.command(WALTOP).arg("mcp").args(args).output().expect("it runs");
        let stderr = String::from_utf8(output.stderr).expect("text");
        assert!(output.status.code() == Some(2) && stderr.contains(why), "{args:?}: {stderr}");
    }
    let settings = library.root().join("readonly.toml");
    fs::write(&settings, "readonly = true\n").expect("written");
    let output = library
        .command(WALTOP)
        .args(["mcp", "notes.db", "--allow", "reap", "--config", "readonly.toml"])
        .output()
        .expect("it runs");
    assert!(String::from_utf8_lossy(&output.stderr).contains("read-only"), "{output:?}");
}

/// Whether `answer` keeps to the output schema of `tool`.
fn assert_in_schema(client: &mut Client, tool: &str, answer: &Value) {
    let listed = client.call("tools/list", json!({}));
    let tools = listed["result"]["tools"].as_array().expect("tools").clone();
    let found = tools.iter().find(|it| it["name"] == tool).expect("the tool");
    let output = jsonschema::validator_for(&found["outputSchema"]).expect("a schema");
    let errors: Vec<String> = output.iter_errors(answer).map(|it| it.to_string()).collect();
    assert_eq!(errors, Vec::<String>::new(), "{tool}");
}

#[test]
fn a_checkpoint_is_named_before_it_runs() {
    let library = Library::new();
    let mut client = library.serve(&["notes.db", "--allow", "checkpoint"]);
    let (mut writer, mut reader) = (Actor::open(&library.db()), Actor::open(&library.db()));
    writer.sql("PRAGMA wal_autocheckpoint = 0").sql("CREATE TABLE t (x)");
    reader.sql("BEGIN").sql("SELECT * FROM t");
    writer.sql("INSERT INTO t VALUES (1)");
    let log = library.root().join("notes.db-wal");
    let before = fs::read(&log).expect("a log");
    for arguments in [json!({}), json!({ "dry_run": true, "mode": "truncate" })] {
        let dry = client.answer("checkpoint", arguments);
        assert_in_schema(&mut client, "checkpoint", &dry);
        let report = &dry["databases"][0];
        assert_eq!((&report["dry_run"], &report["frames_moved"]), (&true.into(), &0.into()), "{report}");
        assert!(report["frames_in_log"].as_u64().is_some_and(|frames| frames > 1), "{report}");
        assert_eq!(report["blocked_by"][0]["pid"], reader.pid(), "{report}");
    }
    reader.sql("COMMIT");
    assert_eq!(fs::read(&log).expect("a log"), before);
    let done = client.answer("checkpoint", json!({ "dry_run": false, "mode": "truncate" }));
    assert_in_schema(&mut client, "checkpoint", &done);
    assert_eq!(done["databases"][0]["complete"], true, "{done}");
    assert_eq!(fs::metadata(&log).expect("a log").len(), 0);
}

#[test]
fn an_ingestion_reads_the_folders_of_the_command_line_only() {
    let library = Library::new();
    let notes = library.root().join("notes");
    let notes = notes.to_str().expect("text");
    fs::write(library.root().join("notes/new.md"), "# Giraffe\n").expect("written");
    let mut client = library.serve(&["notes.db", "--allow", "ingest", "--folder", notes]);
    let dry = client.answer("ingest", json!({}));
    assert_in_schema(&mut client, "ingest", &dry);
    assert_eq!((&dry["dry_run"], &dry["folders"][0]["files"]), (&true.into(), &3.into()), "{dry}");
    assert_eq!(client.answer("search", json!({ "query": "giraffe" }))["hits"], json!([]));
    for folder in ["/etc", "/", "..", library.root().to_str().expect("text")] {
        let refusal = client.refusal("ingest", json!({ "folder": folder, "dry_run": false }));
        assert!(refusal.contains(notes), "{folder}: {refusal}");
    }
    let done = client.answer("ingest", json!({ "folder": "notes", "dry_run": false }));
    assert_in_schema(&mut client, "ingest", &done);
    assert_eq!((&done["outcome"], &done["ingested"]), (&"completed".into(), &1.into()), "{done}");
    assert_eq!(
        client.answer("search", json!({ "query": "giraffe" }))["hits"].as_array().map(Vec::len),
        Some(1)
    );
}

#[test]
fn an_ingestion_beyond_its_time_stops_in_good_order_and_says_how_far_it_came() {
    let library = Library::new();
    let notes = library.root().join("notes");
    let notes = notes.to_str().expect("text");
    fs::write(library.root().join("notes/new.md"), "# Giraffe\n").expect("written");
    let mut client = library.serve(&["notes.db", "--allow", "ingest", "--folder", notes]);
    // It waits for the lock when its time is over.
    let mut writer = Actor::open(&library.db());
    writer.sql("BEGIN IMMEDIATE");
    let stopped = client.answer("ingest", json!({ "dry_run": false, "timeout_seconds": 1 }));
    assert_eq!((&stopped["outcome"], &stopped["ingested"]), (&"stopped".into(), &0.into()), "{stopped}");
    // The end of the server ends it, too.
    client.send_call("ingest", json!({ "dry_run": false }));
    let worker = eventually("an ingestion", || client.worker_pids().first().cloned());
    let server = Pid::from_raw(client.pid().cast_signed()).expect("a PID");
    kill_process(server, Signal::HUP).expect("it is there");
    assert_eq!(client.exit_code(), Some(129));
    // One that has ended has none, whether or not it was waited for.
    let command_line = format!("/proc/{worker}/cmdline");
    eventually("its end", || fs::read(&command_line).unwrap_or_default().is_empty().then_some(()));
    writer.sql("COMMIT");
}

#[test]
fn a_stop_names_a_process_of_the_list_with_its_start() {
    let library = Library::new();
    let mut client = library.serve(&["notes.db", "--allow", "reap"]);
    // A program that was replaced while it ran.
    let program = library.root().join("daemon");
    copy_program(WALTOP.as_ref(), &program);
    let mut old = Actor::open_by(&program, &library.db(), "daemon");
    old.sql("SELECT count(*) FROM nodes");
    copy_program(WALTOP.as_ref(), &library.root().join("new"));
    fs::rename(library.root().join("new"), &program).expect("replaced");
    let mut healthy = Actor::open(&library.db());
    healthy.sql("SELECT count(*) FROM nodes");
    let pid = old.pid();
    let listed = client.answer("reap", json!({ "watch_seconds": 1 }));
    assert_in_schema(&mut client, "reap", &listed);
    let candidates = listed["databases"][0]["candidates"].as_array().expect("a list");
    let [candidate] = candidates.as_slice() else { panic!("{listed}") };
    assert_eq!(
        (&candidate["pid"], &candidate["outcome"]),
        (&pid.into(), &"would-stop".into()),
        "{candidate}"
    );
    old.sql("SELECT 1");
    let start = candidate["start_ticks"].as_u64().expect("its start");
    let stop = |pid: i32, start: u64| json!({ "watch_seconds": 1, "dry_run": false, "pid": pid, "start_ticks": start });
    for (arguments, words) in [
        (json!({ "dry_run": false }), "take both from a dry run"),
        (json!({ "dry_run": false, "pid": pid }), "take both from a dry run"),
        (json!({ "pid": pid, "start_ticks": start }), "a dry run lists all"),
        (stop(pid, start + 1), "is another process now"),
        (stop(healthy.pid(), start), "is another process now"),
        (json!({ "watch_seconds": 61 }), "give 1 to 60"),
    ] {
        let refusal = client.refusal("reap", arguments.clone());
        assert!(refusal.contains(words), "{arguments}: {refusal}");
    }
    old.sql("SELECT 1");
    let done = client.answer("reap", stop(pid, start));
    assert_in_schema(&mut client, "reap", &done);
    assert_eq!(done["databases"][0]["candidates"][0]["outcome"], "gone", "{done}");
    healthy.sql("SELECT 1");
}
