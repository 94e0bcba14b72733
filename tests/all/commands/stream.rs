//! The lines for a console on another machine: what comes first, what each sample has, and what ends them.

use std::{
    io::{BufRead, BufReader},
    process::{Child, ChildStdout},
};

use jiff::Timestamp;
use rustix::process::{Pid, Signal, kill_process};

use super::{long_run::LongRun, *};
use crate::support::eventually;

/// A running stream of `notes.db`.
struct Stream {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Stream {
    fn start(home: &Home) -> Self {
        let mut command = home.command(Path::new(WALTOP));
        command.args(["stream", "notes.db", "--json", "--every", "100ms", "--trace", "off"]);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let lines = BufReader::new(child.stdout.take().expect("a pipe"));
        Self { child, lines }
    }

    fn line(&mut self) -> Value {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("a line");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
    }

    fn line_of(&mut self, event: &str) -> Value {
        loop {
            let line = self.line();
            if line["event"] == event {
                return line;
            }
        }
    }

    /// Waits for its end; stdin stays open.
    fn end(mut self) -> Option<i32> {
        let _stdin = self.child.stdin.take();
        self.child.wait().expect("it ends").code()
    }
}

#[test]
fn the_first_line_names_the_versions_and_each_sample_is_a_line() {
    let home = Home::with_wal();
    let mut holder = home.actor();
    holder.sql("BEGIN IMMEDIATE");
    let mut stream = Stream::start(&home);
    let header = stream.line();
    assert_eq!((&header["event"], &header["waltop"]), (&"header".into(), &env!("CARGO_PKG_VERSION").into()));
    assert_eq!(header["format"]["major"], 1);
    assert_eq!(header["databases"][0], home.db().to_str().expect("text"));
    for _ in 0..2 {
        let line = stream.line_of("snapshot");
        let database = &line["snapshot"]["databases"][0];
        assert_eq!(database["locks"]["writer"]["pid"], holder.pid());
    }
    holder.sql("COMMIT");
    let ended = stream.line_of("hold-ended");
    assert_eq!((&ended["lock"], &ended["who"]["pid"]), (&"write".into(), &holder.pid().into()));
    drop(stream.child.stdin.take());
    assert_eq!(stream.end(), Some(0), "its reader has closed stdin");
}

#[test]
fn a_closed_output_and_signals_end_it() {
    let home = Home::with_wal();
    let mut stream = Stream::start(&home);
    stream.line_of("snapshot");
    let Stream { mut child, lines } = stream;
    drop(lines);
    let _stdin = child.stdin.take();
    assert_eq!(child.wait().expect("it ends").code(), Some(0), "nobody reads any more");
    for (signal, code) in [(Signal::TERM, 0), (Signal::INT, 130), (Signal::HUP, 129)] {
        let mut stream = Stream::start(&home);
        stream.line_of("snapshot");
        let pid = Pid::from_raw(stream.child.id().cast_signed()).expect("a PID");
        kill_process(pid, signal).expect("it is there");
        assert_eq!(stream.end(), Some(code));
    }
}

#[test]
fn what_cannot_be_sampled_is_refused() {
    let home = Home::with_wal();
    for (args, why) in [
        (&["stream", "notes.db"][..], "--json"),
        (&["stream", "none.db", "--json"], "no such file"),
        (&["stream", "notes.db", "--json", "--every", "6s"], "--every is longer than"),
    ] {
        assert!(home.run(args).refusal().contains(why));
    }
}

#[test]
fn the_option_for_another_host_belongs_to_the_console() {
    let home = Home::new();
    for args in [
        &["replay", "--host", "web1"][..],
        &["status", "--host=web1", "notes.db"],
        &["--host", "web1", "replay"],
    ] {
        let said = home.run(args);
        let command = args.iter().find(|it| ["replay", "status"].contains(it)).expect("a command");
        assert!(said.refusal().contains(&format!("ssh HOST waltop {command}")), "{args:?}: {said:?}");
    }
    assert!(home.run(&["--ssh", "ssh", "notes.db"]).refusal().contains("--host"));
    assert!(home.run(&["--host", "-x"]).refusal().contains("-x"));
}

#[test]
fn what_was_recorded_is_written_without_secrets_and_ends() {
    let home = Home::with_wal();
    let mut command = home.command(Path::new(WALTOP));
    command.args(["record", "notes.db", "--every", "100ms", "--trace", "off", "--min-free", "1B"]);
    let mut recorder = LongRun::start(command);
    recorder.notice_with("records 1 database");
    let before = Timestamp::now().to_string();
    let mut holder = Actor::open_as(&home.db(), "password=hunter2");
    let streamed = |since: &str, until: &str| {
        let args = ["stream", "notes.db", "--json", "--since", since, "--until", until];
        let output = home.command(Path::new(WALTOP)).args(args).output().expect("it runs");
        (output.status.code(), String::from_utf8(output.stdout).expect("text"))
    };
    let lines = eventually("a hold and some samples are recorded", || {
        holder.sql("BEGIN IMMEDIATE").sql("COMMIT");
        let (_, out) = streamed(&before, "now");
        assert!(!out.contains("hunter2"), "{out}");
        let lines: Vec<Value> = out.lines().map(|it| serde_json::from_str(it).expect("JSON")).collect();
        let count = |event: &str| lines.iter().filter(|line| line["event"] == event).count();
        (count("hold-ended") > 0 && count("snapshot") > 2).then_some(lines)
    });
    assert_eq!(lines[0]["event"], "header");
    let snapshots: Vec<&Value> = lines.iter().filter(|line| line["event"] == "snapshot").collect();
    let repeated = &snapshots[2]["snapshot"]["databases"][0];
    assert!(repeated["files"]["wal"]["bytes"].is_u64() && repeated["processes"].is_null(), "{repeated}");
    assert!(lines.iter().all(|line| line["event"] != "process-seen"), "it has a command line");
    let on_disk = fs::read_to_string(home.root().join("state/waltop/recordings/open.jsonl"));
    assert!(on_disk.expect("the open minute").contains("hunter2"), "the recording itself has it");
    assert_eq!(streamed("2 days ago", "1 day ago"), (Some(1), String::new()), "nothing was recorded then");
    assert_eq!(streamed("now", "1 day ago"), (Some(2), String::new()));
    assert!(home.run(&["stream", "notes.db", "--json", "--since", "1h"]).refusal().contains("--until"));
}
