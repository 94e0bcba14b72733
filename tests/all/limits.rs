//! Limits on processes, memory and file sizes: fewer threads, or one line and exit code 2; and a signal ends it always.

use std::{
    fs,
    os::unix::{fs::chown, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Output},
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::{
    namespace::may_change_namespaces,
    support::{Actor, WALTOP, copy_program, eventually, set_apart},
};

/// A user of whom no other test runs a process: the limit counts all processes of a user.
const LONELY: u32 = 61_234;

/// Documents in a folder that belongs to [`LONELY`], with the program where that user can run it.
struct Scene {
    dir: TempDir,
}

const FILES: usize = 60;

impl Scene {
    fn new(owner: u32) -> Self {
        let dir = TempDir::new().expect("a folder");
        let notes = dir.path().join("notes");
        fs::create_dir(&notes).expect("a folder");
        for number in 0..FILES {
            fs::write(notes.join(format!("{number}.md")), format!("# Note {number}\n")).expect("a note");
        }
        copy_program(WALTOP.as_ref(), &dir.path().join("waltop"));
        if owner != 0 {
            chown(dir.path(), Some(owner), Some(owner)).expect("given away");
        }
        Self { dir }
    }

    /// `waltop ingest` under a limit, as `prlimit` has it.
    fn ingest(&self, limit: &str, owner: u32) -> Command {
        let mut command = set_apart(Command::new("prlimit"), self.dir.path());
        command.arg(limit).arg(self.dir.path().join("waltop")).args(["ingest", "notes", "--db", "notes.db"]);
        command.current_dir(self.dir.path());
        if owner != 0 {
            command.uid(owner).gid(owner);
        }
        command
    }

    fn db(&self) -> PathBuf {
        self.dir.path().join("notes.db")
    }
}

fn ended(mut child: Child, what: &str) -> Output {
    let pid = Pid::from_raw(child.id().cast_signed()).expect("a PID");
    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        eventually(what, || child.try_wait().expect("it can be waited for"));
    }));
    if ended.is_err() {
        // It is our own child, and not collected yet.
        let _ = kill_process(pid, Signal::KILL);
        panic!("it hangs: {what}");
    }
    child.wait_with_output().expect("its output")
}

fn documents(db: &Path) -> usize {
    let connection = rusqlite::Connection::open(db).expect("it opens");
    let count: i64 =
        connection.query_row("SELECT count(*) FROM nodes", [], |row| row.get(0)).expect("a count");
    usize::try_from(count).expect("a count")
}

#[test]
fn with_few_threads_or_none_all_is_ingested() {
    if !may_change_namespaces() {
        return;
    }
    for processes in 1..=7 {
        let scene = Scene::new(LONELY);
        let limit = format!("--nproc={processes}");
        let child = scene.ingest(&limit, LONELY).spawn().expect("prlimit starts");
        let output = ended(child, &limit);
        assert_eq!(output.status.code(), Some(0), "{limit}: {output:?}");
        assert_eq!(documents(&scene.db()), FILES, "{limit}");
    }
}

#[test]
fn a_signal_ends_a_run_without_threads() {
    if !may_change_namespaces() {
        return;
    }
    for processes in 1..=3 {
        let scene = Scene::new(LONELY);
        let mut writer = Actor::open(&scene.db());
        writer.sql("PRAGMA journal_mode = WAL").sql("CREATE TABLE t (x)").sql("BEGIN IMMEDIATE");
        for name in ["notes.db", "notes.db-wal", "notes.db-shm"] {
            chown(scene.dir.path().join(name), Some(LONELY), Some(LONELY)).expect("given away");
        }
        let limit = format!("--nproc={processes}");
        let child = scene.ingest(&limit, LONELY).spawn().expect("prlimit starts");
        let runs = scene.dir.path().join("state/waltop/runs");
        eventually("it has begun", || fs::read_dir(&runs).ok()?.flatten().find(|it| is_journal(&it.path())));
        let pid = Pid::from_raw(child.id().cast_signed()).expect("a PID");
        kill_process(pid, Signal::TERM).expect("it lives");
        let output = ended(child, "after TERM");
        assert_eq!(output.status.code(), Some(130), "{limit}: {output:?}");
    }
}

fn is_journal(path: &Path) -> bool {
    path.extension().is_some_and(|it| it == "jsonl")
}

#[test]
fn with_little_memory_it_ends_without_a_panic() {
    // From what the program itself takes to what a run takes.
    let program = fs::metadata(WALTOP).expect("the program").len();
    for mebibytes in (4..=64).step_by(4) {
        let scene = Scene::new(0);
        let limit = format!("--as={}", program + (mebibytes << 20));
        let child = scene.ingest(&limit, 0).spawn().expect("prlimit starts");
        let output = ended(child, &limit);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() != Some(101) && !said.contains("panicked"), "{limit}: {output:?}");
    }
}

#[test]
fn a_limit_on_file_sizes_is_one_line() {
    let scene = Scene::new(0);
    let output = scene.ingest("--fsize=8192", 0).output().expect("prlimit starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let complaints: Vec<&str> = said.lines().filter(|line| line.starts_with("waltop: ")).collect();
    assert_eq!((complaints.len(), said.contains("panicked")), (1, false), "{said}");
    // And where stdout is the file that may not grow.
    let out = fs::File::create(scene.dir.path().join("out")).expect("a file");
    let mut command = set_apart(Command::new("prlimit"), scene.dir.path());
    let output =
        command.args(["--fsize=100", WALTOP, "explain"]).stdout(out).output().expect("prlimit starts");
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stderr).lines().count(), 1, "{output:?}");
    // The healthy twin has no limit.
    let output = scene.ingest("--fsize=unlimited", 0).output().expect("prlimit starts");
    assert_eq!((output.status.code(), documents(&scene.db())), (Some(0), FILES), "{output:?}");
}
