//! A terminal that goes away under waltop: 129, as a shell has it for HUP, and never a panic.

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
    process::Command,
};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::{
    support::{Actor, WALTOP, eventually, set_apart},
    terminal::home,
};

/// A terminal that can be closed: nothing but this value has its other end.
struct Line {
    master: Box<dyn MasterPty + Send>,
    output: Box<dyn Read + Send>,
    child: Box<dyn Child + Send + Sync>,
    seen: String,
}

impl Line {
    fn open(home: &Path, program: &str, args: &[&str]) -> Self {
        let size = PtySize { rows: 40, cols: 120, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).expect("a pseudo-terminal");
        let mut command = CommandBuilder::new(program);
        command.args(args);
        command.cwd(home);
        for (name, folder) in [("STATE", "state"), ("DATA", "data"), ("CONFIG", "config")] {
            command.env(format!("XDG_{name}_HOME"), home.join(folder));
        }
        command.env("TERM", "xterm-256color");
        let child = pair.slave.spawn_command(command).expect("the program starts");
        let output = pair.master.try_clone_reader().expect("its output");
        Self { master: pair.master, output, child, seen: String::new() }
    }

    /// Reads what is written until `text` was.
    fn shows(&mut self, text: &str) {
        let mut buffer = [0; 4096];
        while !self.seen.contains(text) {
            let count = self.output.read(&mut buffer).expect("it goes on");
            assert!(count > 0, "it ended: {}", self.seen);
            self.seen.push_str(&String::from_utf8_lossy(&buffer[..count]));
        }
    }

    /// Hangs up; the exit code.
    fn hang_up(self) -> u32 {
        let Self { master, output, mut child, .. } = self;
        drop((master, output));
        eventually("the program ends", || child.try_wait().expect("it can be waited for")).exit_code()
    }
}

/// Documents, and a database of which another process has the write lock: an ingestion waits for it.
fn scene() -> (TempDir, PathBuf, Actor) {
    let home = home();
    let notes = home.path().join("notes");
    fs::create_dir(&notes).expect("a folder");
    for number in 0..30 {
        fs::write(notes.join(format!("{number}.md")), format!("# Note {number}\n")).expect("a note");
    }
    let path = home.path().join("notes.db");
    let mut writer = Actor::open(&path);
    writer.sql("PRAGMA journal_mode = WAL").sql("CREATE TABLE t (x)");
    (home, path, writer)
}

#[test]
fn a_hangup_ends_an_ingestion_that_is_shown() {
    let (home, _, mut writer) = scene();
    writer.sql("BEGIN IMMEDIATE");
    let mut line = Line::open(home.path(), WALTOP, &["ingest", "notes", "--db", "notes.db"]);
    let run = home.path().join("state/waltop/runs");
    eventually("it has begun", || runs(&run).into_iter().next());
    assert!(line.child.try_wait().expect("it can be waited for").is_none(), "it waits for the lock");
    assert_eq!(line.hang_up(), 129);
    let journal = fs::read_to_string(&runs(&run)[0]).expect("the journal");
    assert!(journal.contains(r#""outcome":"stopped""#), "{journal}");
}

#[test]
fn a_hangup_ends_a_console_that_shows_an_ingestion() {
    let (home, path, mut writer) = scene();
    writer.sql("BEGIN IMMEDIATE");
    let mut run = set_apart(Command::new(WALTOP), home.path());
    let mut run =
        run.current_dir(home.path()).args(["ingest", "notes", "--db"]).arg(&path).spawn().expect("a run");
    let mut line = Line::open(home.path(), WALTOP, &[path.to_str().expect("text")]);
    line.shows("1 running");
    assert_eq!(line.hang_up(), 129);
    writer.sql("COMMIT");
    assert_eq!(run.wait().expect("it ends").code(), Some(0), "the run goes on");
}

#[test]
fn a_hangup_that_is_ignored_ends_nothing() {
    let (home, _, mut writer) = scene();
    writer.sql("BEGIN IMMEDIATE");
    let script = format!("trap '' HUP; exec {WALTOP} ingest notes --db notes.db");
    let line = Line::open(home.path(), "sh", &["-c", &script]);
    let folder = home.path().join("state/waltop/runs");
    eventually("it has begun", || runs(&folder).into_iter().next());
    let Line { master, output, mut child, .. } = line;
    drop((master, output));
    writer.sql("COMMIT");
    let end = eventually("it ends", || child.try_wait().expect("it can be waited for"));
    let journal = fs::read_to_string(&runs(&folder)[0]).expect("the journal");
    assert!(journal.contains(r#""outcome":"completed""#), "{journal}");
    // What it says at the end has nowhere to go, which is its own exit code, and no panic.
    assert_ne!(end.exit_code(), 101);
}

#[test]
fn a_hangup_ends_an_ingestion_without_a_terminal() {
    let (home, _, mut writer) = scene();
    writer.sql("BEGIN IMMEDIATE");
    let mut run = set_apart(Command::new(WALTOP), home.path());
    let run =
        run.current_dir(home.path()).args(["ingest", "notes", "--db", "notes.db"]).spawn().expect("a run");
    let folder = home.path().join("state/waltop/runs");
    eventually("it has begun", || runs(&folder).into_iter().next());
    let pid = Pid::from_raw(run.id().cast_signed()).expect("a PID");
    kill_process(pid, Signal::HUP).expect("it lives");
    let output = run.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(129), "{output:?}");
}

fn runs(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|it| it.path());
    entries.filter(|path| path.extension().is_some_and(|it| it == "jsonl")).collect()
}
