//! `waltop watch`: real processes that keep a real database in step with a folder.

mod checkpoints;
mod endings;
mod refusals;
mod shown;

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, SystemTime},
};

use rusqlite::{Connection, OpenFlags};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;
use waltop::{act::signal::SignalTarget, ingest::RunSummary, snapshot::IngestWatcher};

use crate::{
    stage::{Stage, contended, look},
    support::{Actor, WALTOP, eventually, set_apart},
};

/// A folder of documents with the database in it, and a state directory of its own.
struct Scene {
    dir: TempDir,
}

impl Scene {
    /// With the documents `one.md` and `two.md`.
    fn new() -> Self {
        let scene = Self { dir: TempDir::new().expect("a folder") };
        for name in ["one.md", "two.md"] {
            scene.write(name, "# Something\n");
        }
        scene
    }

    fn notes(&self) -> PathBuf {
        self.dir.path().join("notes")
    }

    fn db(&self) -> PathBuf {
        self.notes().join("notes.db")
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.notes().join(name);
        fs::create_dir_all(path.parent().expect("it has a parent")).expect("a folder");
        fs::write(path, text).expect("a file");
    }

    fn waltop(&self, command: &str, options: &[&str]) -> Command {
        let mut waltop = Command::new(WALTOP);
        waltop.args([command, "--root", "notes", "--db"]).arg(self.db()).args(options).arg(self.notes());
        set_apart(waltop, self.dir.path())
    }

    /// A watch whose first run has ended.
    fn watch(&self, options: &[&str]) -> Watch {
        let watch = Watch::start(self.waltop("watch", options));
        watch.ran(1);
        watch
    }

    fn output(&self, command: &str, options: &[&str]) -> Output {
        self.waltop(command, options).output().expect("waltop runs")
    }

    /// What the database has, by name and text; `None` where it cannot be asked now.
    fn rows(&self) -> Option<BTreeSet<(String, String)>> {
        let connection = Connection::open_with_flags(self.db(), OpenFlags::SQLITE_OPEN_READ_WRITE).ok()?;
        let mut select = connection.prepare("SELECT path, body FROM nodes").ok()?;
        let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).ok()?;
        rows.collect::<Result<_, _>>().ok()
    }

    fn has(&self, name: &str, text: &str) -> bool {
        let path = format!("notes/{name}");
        self.rows().is_some_and(|rows| rows.iter().any(|(known, body)| *known == path && body.contains(text)))
    }

    fn takes_in(&self, name: &str, text: &str) {
        eventually(&format!("{name} is ingested"), || self.has(name, text).then_some(()));
    }

    fn takes_out(&self, name: &str) {
        let path = format!("notes/{name}");
        let is_out = || self.rows().is_some_and(|rows| rows.iter().all(|(known, _)| *known != path));
        eventually(&format!("{name} is taken out"), || is_out().then_some(()));
    }

    /// Names in the runs folder with this extension.
    fn state(&self, extension: &str) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.dir.path().join("state/waltop/runs")).expect("the folder");
        let paths = entries.map(|entry| entry.expect("an entry").path());
        paths.filter(|path| path.extension().is_some_and(|it| it == extension)).collect()
    }
}

/// A watch, and what it has said so far.
struct Watch {
    child: Child,
    out: Lines,
    err: Lines,
}

type Lines = Arc<Mutex<Vec<String>>>;

impl Watch {
    fn start(mut command: Command) -> Self {
        let mut child = command.spawn().expect("waltop starts");
        let out = gather(child.stdout.take().expect("stdout is piped"));
        let err = gather(child.stderr.take().expect("stderr is piped"));
        Self { child, out, err }
    }

    fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("a PID fits")
    }

    /// Waits until `runs` runs were told.
    fn ran(&self, runs: usize) {
        eventually(&format!("{runs} runs; it said {:?}", lines(&self.err)), || {
            (lines(&self.out).len() >= runs).then_some(())
        });
    }

    fn says(&self, what: &str) {
        eventually(what, || lines(&self.err).iter().any(|line| line.contains(what)).then_some(()));
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it lives");
    }

    fn ends(mut self) -> ExitStatus {
        eventually("the watch ends", || self.child.try_wait().expect("it is ours"))
    }

    /// The files that it has open.
    fn open(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(format!("/proc/{}/fd", self.pid())).expect("it lives");
        entries.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok()).collect()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // Already gone is as good as killed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn gather(from: impl Read + Send + 'static) -> Lines {
    let lines = Lines::default();
    let sink = Arc::clone(&lines);
    thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            sink.lock().expect("nobody panicked").push(line);
        }
    });
    lines
}

fn lines(of: &Lines) -> Vec<String> {
    of.lock().expect("nobody panicked").clone()
}

fn touch(path: &Path, at: SystemTime) {
    File::options().append(true).open(path).expect("the file").set_modified(at).expect("a time");
}

#[test]
fn what_happens_in_the_folder_is_in_the_database() {
    let scene = Scene::new();
    let watch = scene.watch(&[]);
    assert!(scene.has("one.md", "Something") && scene.has("two.md", "Something"));

    scene.write("one.md", "changed in place");
    scene.takes_in("one.md", "changed in place");
    // As editors do it.
    scene.write(".one.md.tmp", "renamed over it");
    fs::rename(scene.notes().join(".one.md.tmp"), scene.notes().join("one.md")).expect("a rename");
    scene.takes_in("one.md", "renamed over it");
    scene.write("new/deep/three.md", "in a new folder");
    scene.takes_in("new/deep/three.md", "in a new folder");
    scene.write("new/deep/three.md", "changed there");
    scene.takes_in("new/deep/three.md", "changed there");
    fs::rename(scene.notes().join("new"), scene.notes().join("old")).expect("a rename");
    scene.takes_in("old/deep/three.md", "changed there");
    scene.takes_out("new/deep/three.md");
    scene.write("old/deep/three.md", "changed once more");
    scene.takes_in("old/deep/three.md", "changed once more");
    fs::remove_dir_all(scene.notes().join("old")).expect("it was there");
    scene.takes_out("old/deep/three.md");

    scene.write(".gitignore", "two.md\n");
    scene.takes_out("two.md");
    fs::remove_file(scene.notes().join(".gitignore")).expect("it was there");
    scene.takes_in("two.md", "Something");
    let said = lines(&watch.err);
    assert!(said[0].contains(&format!("process {} watches", watch.pid())), "{said:?}");
    assert!(!said.iter().any(|line| line.contains("failed:") || line.contains("is gone")), "{said:?}");
}

#[test]
fn ten_thousand_touches_leave_no_journal() {
    let scene = Scene::new();
    let watch = scene.watch(&[]);
    let journals = scene.state("jsonl").len();
    for number in 0..5_000 {
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(number);
        touch(&scene.notes().join("one.md"), at);
        touch(&scene.notes().join("two.md"), at);
    }
    scene.write("end.md", "after the burst");
    scene.takes_in("end.md", "after the burst");
    watch.ran(2);
    assert_eq!((journals, scene.state("jsonl").len(), lines(&watch.out).len()), (1, 2, 2));
}

#[test]
fn a_first_run_that_changes_nothing_leaves_no_journal_either() {
    let scene = Scene::new();
    assert!(scene.output("ingest", &[]).status.success());
    drop(scene.watch(&[]));
    assert_eq!(scene.state("jsonl").len(), 1, "that of the ingestion");
    scene.write("one.md", "changed while nobody watched");
    drop(scene.watch(&[]));
    assert_eq!(scene.state("jsonl").len(), 2);
    fs::write(scene.notes().join("bad.md"), b"\xff").expect("a file");
    drop(scene.watch(&[]));
    assert_eq!(scene.state("jsonl").len(), 3, "what failed is told");
    drop(scene.watch(&[]));
    assert_eq!(scene.state("jsonl").len(), 3, "once");
    fs::remove_file(scene.notes().join("bad.md")).expect("removed");
    drop(scene.watch(&[]));
    assert_eq!(scene.state("jsonl").len(), 4, "that it fails no more is told too");
}

#[test]
fn a_burst_of_new_documents_is_a_run_or_a_few() {
    let scene = Scene::new();
    let watch = scene.watch(&[]);
    for number in 0..2_500 {
        scene.write(&format!("{:02}/doc-{number}.md", number % 20), "text");
    }
    eventually("all are in", || scene.rows().is_some_and(|rows| rows.len() == 2_502).then_some(()));
    let runs = lines(&watch.out).len();
    assert!(runs < 100, "{runs} runs for 10,000 events");
}

#[test]
fn a_folder_may_go_and_come_back() {
    let scene = Scene::new();
    let mut watch = scene.watch(&[]);
    let elsewhere = scene.dir.path().join("elsewhere");
    fs::rename(scene.notes(), &elsewhere).expect("a rename");
    watch.says("is gone: waiting for it");
    assert!(watch.child.try_wait().expect("it is ours").is_none(), "it lives on");
    fs::write(elsewhere.join("one.md"), "changed elsewhere").expect("a file");
    fs::rename(&elsewhere, scene.notes()).expect("a rename");
    watch.says("is back");
    scene.takes_in("one.md", "changed elsewhere");
    scene.write("two.md", "and heard again");
    scene.takes_in("two.md", "and heard again");
    let said = lines(&watch.err);
    for once in ["is gone: waiting", "is back"] {
        assert_eq!(said.iter().filter(|line| line.contains(once)).count(), 1, "{said:?}");
    }
}

#[test]
fn a_lock_that_stays_is_said_once_and_waited_out() {
    let scene = Scene::new();
    let mut watch = scene.watch(&["--budget", "100ms"]);
    let mut other = Actor::open(&scene.db());
    other.sql("BEGIN IMMEDIATE");
    scene.write("one.md", "written under a lock");
    watch.says("trying again later");
    assert!(watch.child.try_wait().expect("it is ours").is_none(), "it lives on");
    other.sql("COMMIT");
    scene.takes_in("one.md", "written under a lock");
    watch.says("is up to date with its folders");
    let said = lines(&watch.err);
    assert_eq!(said.iter().filter(|line| line.contains("stayed locked")).count(), 1, "{said:?}");
    assert!(said.iter().all(|line| !line.contains("run this again")), "a watch does that: {said:?}");
}

#[test]
fn a_database_that_was_deleted_is_created_again_and_that_is_said() {
    let scene = Scene::new();
    let watch = scene.watch(&[]);
    fs::remove_file(scene.db()).expect("it is there, and nobody has it open");
    scene.write("one.md", "changed since");
    scene.takes_in("one.md", "changed since");
    watch.ran(2);
    assert!(scene.has("two.md", "Something"));
    let gone = format!("{} was missing: created again from the folders", scene.db().display());
    watch.says(&gone);
    scene.write("two.md", "changed too");
    watch.ran(3);
    assert_eq!(lines(&watch.err).iter().filter(|line| line.contains(&gone)).count(), 1);
}

#[test]
fn a_watch_begins_though_the_database_is_locked() {
    let scene = Scene::new();
    assert!(scene.output("ingest", &[]).status.success());
    let mut other = Actor::open(&scene.db());
    other.sql("BEGIN IMMEDIATE");
    scene.write("one.md", "written under a lock");
    let watch = Watch::start(scene.waltop("watch", &["--budget", "100ms"]));
    watch.says("trying again later");
    other.sql("COMMIT");
    scene.takes_in("one.md", "written under a lock");
    watch.ran(1);
}

#[test]
fn the_database_is_not_open_between_runs() {
    let scene = Scene::new();
    let watch = scene.watch(&[]);
    for run in 2..6 {
        scene.write("one.md", &format!("change {run}"));
        watch.ran(run);
        let open = watch.open();
        assert!(!open.is_empty());
        let of_db = open.iter().filter(|path| path.to_string_lossy().contains("notes.db"));
        assert_eq!(of_db.count(), 0, "{open:?}");
    }
    let names = fs::read_dir(scene.notes()).expect("the folder").map(|it| it.expect("an entry").file_name());
    let names: BTreeSet<_> = names.map(|name| name.to_string_lossy().into_owned()).collect();
    assert_eq!(names, ["notes.db", "one.md", "two.md"].map(str::to_owned).into(), "no log is left either");
}

#[test]
fn a_folder_without_documents_is_waited_for() {
    let scene = Scene::new();
    for name in ["one.md", "two.md"] {
        fs::remove_file(scene.notes().join(name)).expect("it was there");
    }
    let watch = Watch::start(scene.waltop("watch", &[]));
    watch.says("waiting: no documents in");
    assert!(!scene.db().exists(), "nothing is made for nothing");
    scene.write("sub/one.md", "the first");
    scene.takes_in("sub/one.md", "the first");
    watch.ran(1);
}

#[test]
fn a_file_that_fails_is_reported_once() {
    let scene = Scene::new();
    scene.write("two.md", "");
    fs::write(scene.notes().join("bad.md"), [0xff, 0xfe, 0x00, 0xff]).expect("a file");
    let watch = scene.watch(&[]);
    for run in 2..4 {
        scene.write("one.md", &format!("change {run}"));
        scene.takes_in("one.md", &format!("change {run}"));
        watch.ran(run);
    }
    let said = lines(&watch.err);
    assert_eq!(said.iter().filter(|line| line.contains("bad.md")).count(), 1, "{said:?}");
}
