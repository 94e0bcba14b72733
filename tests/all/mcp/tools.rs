//! Every tool answers in its schema, and says what to do where it cannot.

use std::path::Path;

use super::*;

/// Every tool with arguments for a library, in the order of the list.
fn calls(library: &Library) -> Vec<(&'static str, Value)> {
    vec![
        ("status", json!({})),
        ("who_holds", json!({ "seconds": 1 })),
        ("who_at", json!({ "at": "now" })),
        ("check", json!({})),
        ("explain", json!({ "subject": "database is locked" })),
        ("wait_until_free", json!({ "timeout_seconds": 5 })),
        ("safe_to_copy", json!({})),
        ("search", json!({ "query": "stripes" })),
        ("read", json!({ "document": library.name_of("zebra.md") })),
        ("links", json!({ "list": "orphans" })),
        ("runs", json!({})),
        ("stats", json!({})),
    ]
}

/// The tools of the table in the document.
fn described() -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/mcp.md");
    let text = fs::read_to_string(path).expect("text");
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    rows.map(|(name, _)| name.to_owned()).collect()
}

#[test]
fn every_tool_only_reads_and_answers_in_its_schema() {
    let library = Library::new();
    // What `who_at` reads.
    let mut recorder = library.command(WALTOP);
    let mut recorder = recorder.args(["record", "notes.db"]).spawn().expect("it starts");
    let recordings = library.root().join("state/waltop/recordings");
    let mut client = library.serve(&["notes.db"]);
    crate::support::eventually("a recorded moment", || {
        recordings
            .exists()
            .then(|| client.tool("who_at", json!({ "at": "now" })))
            .filter(|it| it["isError"] == false)
    });
    recorder.kill().expect("it lives");
    recorder.wait().expect("it ends");
    let listed = client.call("tools/list", json!({}));
    let tools = listed["result"]["tools"].as_array().expect("tools").clone();
    let names: Vec<&str> = tools.iter().filter_map(|tool| tool["name"].as_str()).collect();
    assert_eq!(names, calls(&library).iter().map(|(name, _)| *name).collect::<Vec<_>>());
    assert_eq!(names, described()[..names.len()]);
    assert_eq!(described()[names.len()..], ["checkpoint", "reap", "ingest"]);
    for (tool, (name, arguments)) in tools.iter().zip(calls(&library)) {
        let hints = &tool["annotations"];
        assert_eq!(
            (&hints["readOnlyHint"], &hints["idempotentHint"]),
            (&true.into(), &true.into()),
            "{name}"
        );
        let input = jsonschema::validator_for(&tool["inputSchema"]).expect("a schema");
        assert!(input.is_valid(&arguments), "{name}: {arguments}");
        let result = client.tool(name, arguments);
        let answer = &result["structuredContent"];
        assert_eq!(result["isError"], false, "{name}: {result}");
        let output = jsonschema::validator_for(&tool["outputSchema"]).expect("a schema");
        let errors: Vec<String> = output.iter_errors(answer).map(|it| it.to_string()).collect();
        assert_eq!(errors, Vec::<String>::new(), "{name}");
        let text = result["content"][0]["text"].as_str().expect("text");
        assert_eq!(&serde_json::from_str::<Value>(text).expect("JSON"), answer, "{name}");
        // What comes from others is marked.
        assert_eq!(answer["untrusted"].is_string(), name != "explain", "{name}");
    }
}

#[test]
fn the_holder_of_the_write_lock_is_named_and_a_free_lock_is_not_waited_for() {
    let library = Library::new();
    let mut client = library.serve(&["notes.db"]);
    let mut writer = Actor::open(&library.db());
    writer.sql("BEGIN IMMEDIATE");
    let held = client.answer("who_holds", json!({}));
    assert_eq!(held["databases"][0]["locks"]["writer"]["pid"], writer.pid(), "{held}");
    assert_eq!(held["databases"][0]["processes"][0]["pid"], writer.pid());
    let waited = client.answer("wait_until_free", json!({ "timeout_seconds": 1 }));
    assert_ne!(waited["outcome"], "reached");
    assert_ne!(client.answer("safe_to_copy", json!({}))["verdict"], "safe");
    writer.sql("COMMIT");
    writer.close();
    let held = client.answer("who_holds", json!({}));
    assert!(held["databases"][0]["locks"]["writer"].is_null(), "{held}");
    assert_eq!(held["databases"][0]["processes"], json!([]));
}

#[test]
fn a_call_that_cannot_be_answered_says_what_to_do() {
    let library = Library::new();
    fs::write(library.root().join("other.db"), fs::read(library.db()).expect("a database")).expect("written");
    let db = library.db();
    let db = db.to_str().expect("text");
    let mut client = library.serve(&["notes.db"]);
    for (tool, arguments, words) in [
        ("stat", json!({}), "did you mean stats?"),
        ("delete", json!({}), "there are: status, who_holds"),
        ("status", json!({ "database": "other.db" }), db),
        ("status", json!({ "database": "/etc/passwd" }), db),
        ("status", json!({ "database": 7 }), "give the path"),
        ("status", json!({ "seconds": 31 }), "give 0 to 30"),
        ("status", json!({ "second": 1 }), "expected `seconds`"),
        ("wait_until_free", json!({ "timeout_seconds": 3600 }), "give 1 to 60"),
        ("search", json!({}), "missing field `query`"),
        ("search", json!({ "query": "x", "limit": 0 }), "give 1 to 100"),
        ("search", json!({ "query": "?!" }), "at least one letter"),
        ("explain", json!({ "subject": "pined-wal" }), "pinned-wal"),
        ("explain", json!({ "subject": "--help" }), "--help"),
        ("who_at", json!({ "at": "now" }), "waltop record makes one"),
        ("runs", json!({ "run": "none" }), "no run none"),
    ] {
        let refusal = client.refusal(tool, arguments.clone());
        assert!(refusal.contains(words), "{tool} {arguments}: {refusal}");
        assert!(!refusal.contains('\n'), "{refusal:?}");
    }
    assert_eq!(client.call("tools/nonsense", json!({}))["error"]["code"], -32601);
}

#[test]
fn of_several_databases_one_is_named_and_no_other_is_served() {
    let library = Library::new();
    let other = library.root().join("other.db");
    Actor::open(&other).sql("CREATE TABLE t (x)");
    let mut client = library.serve(&["notes.db", "other.db"]);
    assert!(client.refusal("check", json!({})).contains("which database?"));
    for name in ["other.db", other.to_str().expect("text")] {
        let checked = client.answer("check", json!({ "database": name }));
        assert_eq!(checked["databases"].as_array().map(Vec::len), Some(1));
        assert_eq!(checked["databases"][0]["path"], other.to_str().expect("text"));
    }
    assert!(client.refusal("search", json!({ "database": "other.db", "query": "x" })).contains("ingest"));
    let listed = client.call("tools/list", json!({}));
    assert_eq!(listed["result"]["tools"][0]["inputSchema"]["required"], json!(["database"]));
}

#[test]
fn a_secret_of_a_command_line_is_replaced() {
    let library = Library::new();
    let mut client = library.serve(&["notes.db"]);
    let _holder = Actor::open_as(&library.db(), "sync --token=swordfish");
    let status = client.answer("status", json!({})).to_string();
    assert!(status.contains("sync --token") && !status.contains("swordfish"), "{status}");
}
