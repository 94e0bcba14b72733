//! What ends a server, and what does not.

use std::io;

use rustix::process::{Pid, Signal, kill_process};

use super::*;

#[test]
fn the_end_of_its_input_ends_it_after_the_answers() {
    let library = Library::new();
    let mut client = library.serve(&["notes.db"]);
    let ids = [client.send_call("stats", json!({})), client.send_call("check", json!({}))];
    drop(client.requests.take());
    let mut answered = [client.next()["id"].as_u64(), client.next()["id"].as_u64()];
    answered.sort_unstable();
    assert_eq!(answered, ids.map(Some));
    assert_eq!(client.exit_code(), Some(0));
    // Before a session, too.
    let output = library.command(WALTOP).args(["mcp", "notes.db"]).output().expect("it runs");
    assert_eq!(
        (output.status.code(), output.stdout.len(), output.stderr.len()),
        (Some(0), 0, 0),
        "{output:?}"
    );
}

#[test]
fn signals_and_a_closed_output_end_it_with_its_workers() {
    let library = Library::new();
    let mut writer = Actor::open(&library.db());
    writer.sql("BEGIN IMMEDIATE");
    for (signal, code) in [(Signal::HUP, 129), (Signal::TERM, 0), (Signal::INT, 130)] {
        let mut client = library.serve(&["notes.db"]);
        client.send_call("wait_until_free", json!({ "timeout_seconds": 60 }));
        crate::support::eventually("a worker", || client.workers().first().cloned());
        let pid = Pid::from_raw(client.pid().cast_signed()).expect("a PID");
        kill_process(pid, signal).expect("it is there");
        assert_eq!(client.exit_code(), Some(code));
        // The worker has inherited stderr alone, and the write end of its own output was the server's.
        let mut rest = Vec::new();
        client.answers.read_to_end(&mut rest).expect("the end");
    }
    let mut client = library.serve(&["notes.db"]);
    client.answers = BufReader::new(Box::new(io::empty()));
    client.send("ping", json!({}));
    assert_eq!(client.exit_code(), Some(0), "no one reads");
}

/// A shell starts a server and waits for it; only the shell is ended, and this process keeps the pipe open.
#[test]
fn the_death_of_its_parent_ends_it_though_others_keep_its_pipe() {
    let library = Library::new();
    let mut shell = library.command("sh");
    // In the background a shell gives /dev/null as stdin, unless another descriptor is named.
    shell.args(["-c", "exec 3<&0; \"$0\" mcp notes.db <&3 & wait", WALTOP]).stderr(Stdio::inherit());
    let mut client = Client::start(shell);
    assert_eq!(client.answer("check", json!({}))["verdict"], "fine");
    client.child.kill().expect("the shell lives");
    let requests = client.requests.take();
    client.child.wait().expect("the shell ends");
    let mut rest = Vec::new();
    // The server has the only other end.
    client.answers.read_to_end(&mut rest).expect("the end of its output");
    assert_eq!(rest, b"");
    drop(requests);
}

#[test]
fn what_is_no_request_is_answered_and_the_session_goes_on() {
    let library = Library::new();
    let mut client = library.serve(&["notes.db"]);
    client.send_line(&"x".repeat((1 << 20) + 1));
    let answer = client.next();
    assert!(answer["error"]["message"].as_str().is_some_and(|it| it.contains("longer than")), "{answer}");
    client.send_line("nonsense");
    assert_eq!(client.next()["error"]["code"], -32700);
    client
        .send_line(&json!({ "jsonrpc": "2.0", "id": 70, "method": "tools/call", "params": [] }).to_string());
    let answer = client.next();
    assert!(answer["id"] == 70 && answer["error"].is_object(), "{answer}");
    client.send_line("");
    client.send_line(&json!({ "jsonrpc": "2.0", "method": "notifications/unknown" }).to_string());
    assert_eq!(client.call("ping", json!({}))["result"], json!({}));
    assert_eq!(client.answer("check", json!({}))["verdict"], "fine");
}

#[test]
fn what_cannot_be_served_is_refused_at_the_start() {
    let library = Library::new();
    for (args, why) in
        [(["mcp", "none.db"], "no such file"), (["mcp", "notes/zebra.md"], "not a SQLite database")]
    {
        let output = library.command(WALTOP).args(args).output().expect("it runs");
        let stderr = String::from_utf8(output.stderr).expect("text");
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(why), "{stderr}");
    }
}
