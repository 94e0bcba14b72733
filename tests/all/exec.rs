//! A process that executes another program keeps its PID, its start and its pidfd. It gets no signal for what it was.

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::process::{Pid, kill_process};
use tempfile::TempDir;
use waltop::{
    act::{
        reap::StopRequest,
        signal::{AfterCheck, PinnedProcess, SignalRefusal, StopSignal, UnprovenProgram},
    },
    config::{Config, Permit},
    observe::Observer,
    snapshot::{FileId, Process, ProgramSample},
    state::places::Places,
};

use crate::{
    fake_proc::FakeProc,
    python::Python,
    support::{Actor, PATIENCE, eventually, run_test_as_another},
};

const PROC: &str = "/proc";
/// What a process executes on TERM and USR1 that has nothing to do with the database.
const SLEEP: &str = "os.execvp('sleep', ['sleep', '600'])";
/// The same program, without the database.
const ITSELF: &str = "os.execv(sys.executable, [sys.executable, '-c', 'import time; time.sleep(600)'])";

struct Scene {
    folder: TempDir,
}

impl Scene {
    fn new() -> Self {
        let scene = Self { folder: TempDir::new().expect("a folder") };
        let mut maker = Actor::open(&scene.db());
        maker.sql("PRAGMA journal_mode = wal").sql("CREATE TABLE t(x)").sql("INSERT INTO t VALUES (1)");
        maker.close();
        scene
    }

    fn db(&self) -> PathBuf {
        self.folder.path().canonicalize().expect("there").join("notes.db")
    }

    fn holder(&self) -> Actor {
        let mut actor = Actor::open(&self.db());
        actor.sql("SELECT * FROM t");
        actor
    }

    /// A process with a connection that runs `exec`, a line of Python, on TERM and on USR1.
    fn executes(&self, exec: &str) -> Option<Python> {
        let mut python = Python::open(&self.db())?;
        python.sql("SELECT * FROM t");
        python.run("import os, signal, sys");
        for signal in ["SIGTERM", "SIGUSR1"] {
            python.run(&format!("signal.signal(signal.{signal}, lambda *_: {exec})"));
        }
        Some(python)
    }

    /// `pid` as a sample lists it.
    fn sampled(&self, pid: i32) -> Process {
        let places = Places::under(self.folder.path());
        let snapshot = Observer::new(&places, vec![self.db()]).sample();
        snapshot.databases[0].process(pid).expect("it is listed").clone()
    }

    fn listed(&self, pid: i32) -> PinnedProcess {
        StopRequest::new(&self.sampled(pid)).and_then(|it| it.pin(Path::new(PROC))).expect("it lives")
    }
}

fn permit() -> Permit {
    Config::new(Places::under("/nowhere".as_ref())).permit().expect("it is not read-only")
}

fn state(pid: i32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ").and_then(|(_, fields)| fields.chars().next())
}

fn signal(pid: i32, signal: rustix::process::Signal) {
    kill_process(Pid::from_raw(pid).expect("a PID"), signal).expect("it lives");
}

fn stop(pid: i32) {
    signal(pid, rustix::process::Signal::STOP);
    eventually("it is stopped", || (state(pid) == Some('T')).then_some(()));
}

fn runs(pid: i32, argument: &str) {
    eventually("it runs the other program", || {
        let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&command).contains(argument).then_some(())
    });
}

/// Whether it runs on: it neither has ended nor is stopped.
fn runs_on(pid: i32) -> bool {
    matches!(state(pid), Some('S' | 'R' | 'D'))
}

fn unproven(pid: i32, signal: StopSignal, fact: UnprovenProgram, after: AfterCheck) -> SignalRefusal {
    SignalRefusal::Unproven { pid, signal, fact, after }
}

#[test]
fn a_sample_has_the_program_and_the_files_that_it_has_open() {
    let scene = Scene::new();
    let holder = scene.holder();
    let old = files(&scene);
    for name in ["notes.db", "notes.db-wal", "notes.db-shm"] {
        fs::remove_file(scene.db().with_file_name(name)).expect("removed");
    }
    let mut other = Actor::open(&scene.db());
    other.sql("PRAGMA journal_mode = wal").sql("CREATE TABLE t(x)");
    for (pid, expected) in [(holder.pid(), old), (other.pid(), files(&scene))] {
        let ProgramSample { executable, files } = scene.sampled(pid).program;
        assert_eq!(executable, Some(id(Path::new(&format!("/proc/{pid}/exe")))));
        let files: HashSet<FileId> = files.expect("readable").into_iter().collect();
        assert_eq!(files, expected, "deleted files count as well");
    }
}

fn files(scene: &Scene) -> HashSet<FileId> {
    ["notes.db", "notes.db-wal", "notes.db-shm"].map(|name| id(&scene.db().with_file_name(name))).into()
}

fn id(path: &Path) -> FileId {
    FileId::of(&path.metadata().expect("there"))
}

#[test]
fn one_that_executes_another_program_on_term_is_not_killed_and_its_twin_is() {
    let scene = Scene::new();
    let Some(python) = scene.executes(SLEEP) else { return };
    let (pid, twin) = (python.pid(), scene.holder());
    let (held, plain) = (scene.listed(pid), scene.listed(twin.pid()));
    held.send(permit(), StopSignal::Term).expect("it runs what was listed");
    runs(pid, "600");
    let fact = UnprovenProgram::OtherExecutable;
    let refused = held.send(permit(), StopSignal::Kill).expect_err("it is another program");
    assert_eq!(refused, unproven(pid, StopSignal::Kill, fact.clone(), AfterCheck::Continued));
    let said = format!(
        "{pid} runs another program than when it was listed (its executable changed); KILL was not sent, and it was \
         continued after the check; take a new sample and choose again"
    );
    assert_eq!(refused.to_string(), said);
    for asked in [StopSignal::Term, StopSignal::Int] {
        let refused = unproven(pid, asked, fact.clone(), AfterCheck::Untouched);
        assert_eq!(held.send(permit(), asked), Err(refused));
    }
    eventually("it runs on", || runs_on(pid).then_some(()));
    held.send(permit(), StopSignal::Cont).expect("it changes nothing");
    plain.send(permit(), StopSignal::Kill).expect("it runs what was listed");
    assert!(plain.wait(PATIENCE), "the twin has ended");
    assert!(!held.wait(Duration::ZERO) && runs_on(pid));
}

#[test]
fn the_same_executable_without_the_database_is_another_program() {
    let scene = Scene::new();
    let Some(python) = scene.executes(ITSELF) else { return };
    let pid = python.pid();
    let held = scene.listed(pid);
    signal(pid, rustix::process::Signal::USR1);
    runs(pid, "time.sleep(600)");
    for (asked, after) in
        [(StopSignal::Term, AfterCheck::Untouched), (StopSignal::Kill, AfterCheck::Continued)]
    {
        let refused = held.send(permit(), asked).expect_err("it has no database open");
        assert_eq!(refused, unproven(pid, asked, UnprovenProgram::NoDescriptor, after));
    }
    eventually("it runs on", || runs_on(pid).then_some(()));
}

#[test]
fn another_executable_that_inherits_the_descriptor_is_another_program() {
    let scene = Scene::new();
    let Some(mut python) = scene.executes(SLEEP) else { return };
    let pid = python.pid();
    python.run("inherited = os.open(path, os.O_RDWR)");
    python.run("os.set_inheritable(inherited, True)");
    let held = scene.listed(pid);
    signal(pid, rustix::process::Signal::USR1);
    runs(pid, "600");
    let refused = held.send(permit(), StopSignal::Kill).expect_err("it is another program");
    assert_eq!(
        refused,
        unproven(pid, StopSignal::Kill, UnprovenProgram::OtherExecutable, AfterCheck::Continued)
    );
    eventually("it runs on", || runs_on(pid).then_some(()));
}

#[test]
fn one_that_executes_itself_and_opens_the_database_again_is_the_same_program() {
    let scene = Scene::new();
    let again = "os.execv(sys.executable, [sys.executable, '-c', 'import sqlite3, sys, time; \
                 db = sqlite3.connect(sys.argv[1]); db.execute(\"SELECT * FROM t\"); print(1); time.sleep(600)', path])";
    let Some(python) = scene.executes(again) else { return };
    let held = scene.listed(python.pid());
    signal(python.pid(), rustix::process::Signal::USR1);
    runs(python.pid(), "sqlite3.connect(sys.argv[1])");
    let descriptors = || fs::read_dir(format!("/proc/{}/fd", python.pid())).expect("it lives").flatten();
    let db = scene.db();
    eventually("it has the database open", || {
        descriptors().any(|it| fs::read_link(it.path()).is_ok_and(|file| file == db)).then_some(())
    });
    held.send(permit(), StopSignal::Kill).expect("it runs what was listed");
    assert!(held.wait(PATIENCE), "it has ended");
}

#[test]
fn one_that_closed_the_database_gets_nothing() {
    let scene = Scene::new();
    let Some(mut python) = scene.executes(SLEEP) else { return };
    let held = scene.listed(python.pid());
    python.run("db.close()");
    for (asked, after) in [
        (StopSignal::Term, AfterCheck::Untouched),
        (StopSignal::Int, AfterCheck::Untouched),
        (StopSignal::Kill, AfterCheck::Continued),
    ] {
        let refused = unproven(python.pid(), asked, UnprovenProgram::NoDescriptor, after);
        assert_eq!(held.send(permit(), asked), Err(refused));
    }
    // It is not stopped, and none of the three has reached it.
    python.run("import sqlite3; db = sqlite3.connect(path)");
    held.send(permit(), StopSignal::Kill).expect("it has the database open again");
    assert!(held.wait(PATIENCE), "it has ended");
}

#[test]
fn one_that_was_stopped_before_stays_stopped_where_it_is_refused() {
    let scene = Scene::new();
    let Some(python) = scene.executes(SLEEP) else { return };
    let (pid, twin) = (python.pid(), scene.holder());
    let (held, plain) = (scene.listed(pid), scene.listed(twin.pid()));
    signal(pid, rustix::process::Signal::USR1);
    runs(pid, "600");
    for pid in [pid, twin.pid()] {
        stop(pid);
    }
    let refused = held.send(permit(), StopSignal::Kill).expect_err("it is another program");
    assert_eq!(
        refused,
        unproven(pid, StopSignal::Kill, UnprovenProgram::OtherExecutable, AfterCheck::StillStopped)
    );
    assert_eq!(state(pid), Some('T'));
    plain.send(permit(), StopSignal::Kill).expect("it runs what was listed");
    assert!(plain.wait(PATIENCE), "KILL ends a stopped process");
}

#[test]
fn all_threads_of_a_busy_process_are_stopped_before_kill() {
    let scene = Scene::new();
    let Some(mut python) = Python::open(&scene.db()) else { return };
    python.sql("SELECT * FROM t").run("import threading, time");
    python.run("spin = lambda: [time.monotonic() for _ in iter(int, 1)]");
    python.run("for _ in range(4): threading.Thread(target=spin, daemon=True).start()");
    let held = scene.listed(python.pid());
    held.send(permit(), StopSignal::Kill).expect("it runs what was listed");
    assert!(held.wait(PATIENCE), "it has ended");
}

/// The kernel then shows its program and descriptors in the folders of its other threads alone.
#[test]
fn one_whose_first_thread_has_ended_is_read_through_another() {
    let scene = Scene::new();
    // SYS_exit ends the calling thread alone.
    let exit = "ctypes.CDLL(None).syscall({'x86_64': 60, 'aarch64': 93}[os.uname().machine], 0)";
    let Some(mut python) = scene.executes(exit) else { return };
    python.run("import ctypes, threading, time");
    python.run("threading.Thread(target=time.sleep, args=(600,)).start()");
    let pid = python.pid();
    signal(pid, rustix::process::Signal::USR1);
    eventually("its first thread has ended", || (state(pid) == Some('Z')).then_some(()));
    let held = scene.listed(pid);
    held.send(permit(), StopSignal::Kill).expect("it runs what was listed");
    assert!(held.wait(PATIENCE), "it has ended");
}

/// Copies of what the kernel says of `pid`, to which a thread is added that STOP does not reach.
fn with_a_thread(pid: i32, state: char) -> FakeProc {
    let proc = FakeProc::new();
    let copy = |path: String| {
        proc.write(&path, &fs::read_to_string(Path::new(PROC).join(&path)).expect("readable"));
    };
    copy("self/status".to_owned());
    copy(format!("{}/stat", std::process::id()));
    copy(format!("{pid}/stat"));
    copy(format!("{pid}/status"));
    let zeros = "0 ".repeat(17);
    proc.write(&format!("{pid}/task/1/stat"), &format!("1 (worker) {state} 1 {zeros}4200 9 9\n"));
    proc
}

#[test]
fn where_a_thread_does_not_stop_kill_is_not_sent() {
    let scene = Scene::new();
    for thread in ['D', 't', 'R'] {
        let mut holder = scene.holder();
        let pid = holder.pid();
        let meant = StopRequest::new(&scene.sampled(pid)).expect("its start is known");
        let proc = with_a_thread(pid, thread);
        let held = meant.pin(proc.path()).expect("it lives");
        let refused = held.send(permit(), StopSignal::Kill).expect_err("a thread may run");
        let fact = UnprovenProgram::NotStopped { tid: 1, state: thread };
        assert_eq!(refused, unproven(pid, StopSignal::Kill, fact, AfterCheck::Continued));
        let said = format!("did not stop within 200 ms (thread 1 is in state {thread}); KILL was not sent");
        assert!(refused.to_string().contains(&said), "{refused}");
        // It goes on.
        holder.sql("SELECT * FROM t");
    }
}

#[test]
fn what_a_sample_could_not_read_is_named() {
    let scene = Scene::new();
    let mut holder = scene.holder();
    let mut process = scene.sampled(holder.pid());
    let listed = process.program.clone();
    for (program, what) in [
        (ProgramSample { executable: None, ..listed.clone() }, "executable"),
        (ProgramSample { files: None, ..listed.clone() }, "descriptors"),
        (ProgramSample::default(), "executable"),
    ] {
        process.program = program;
        let held = StopRequest::new(&process).and_then(|it| it.pin(Path::new(PROC))).expect("it lives");
        for (asked, after) in
            [(StopSignal::Term, AfterCheck::Untouched), (StopSignal::Kill, AfterCheck::Continued)]
        {
            let refused = unproven(process.pid, asked, UnprovenProgram::Unlisted(what), after);
            assert_eq!(held.send(permit(), asked), Err(refused));
        }
        held.send(permit(), StopSignal::Cont).expect("nothing has to be known for it");
    }
    // None of them had been open: as where it closed what it had.
    process.program = ProgramSample { files: Some(Vec::new()), ..listed };
    let held = StopRequest::new(&process).and_then(|it| it.pin(Path::new(PROC))).expect("it lives");
    let refused =
        unproven(process.pid, StopSignal::Kill, UnprovenProgram::NoDescriptor, AfterCheck::Continued);
    assert_eq!(held.send(permit(), StopSignal::Kill), Err(refused));
    holder.sql("SELECT * FROM t");
}

/// Names the folder for the part of the next test that runs as another user.
const HIDES: &str = "WALTOP_TEST_OF_ONE_THAT_HIDES";

/// A process that forbids core dumps shows its executable and descriptors to root alone.
#[test]
fn one_that_hides_its_program_from_its_own_user_is_refused_with_the_fact() {
    let Ok(folder) = std::env::var(HIDES) else {
        if rustix::process::geteuid().is_root() {
            let folder = TempDir::new().expect("a folder");
            let inner = folder.path().join("inner");
            fs::create_dir(&inner).expect("a folder");
            for path in [folder.path(), &inner] {
                let mode = std::os::unix::fs::PermissionsExt::from_mode(0o777);
                fs::set_permissions(path, mode).expect("a mode");
            }
            let name = "exec::one_that_hides_its_program_from_its_own_user_is_refused_with_the_fact";
            run_test_as_another(folder.path(), name, HIDES, inner.as_os_str());
        } else {
            eprintln!("not tested: only root can become another user");
        }
        return;
    };
    let db = Path::new(&folder).join("notes.db");
    let Some(mut python) = Python::open(&db) else { return };
    python.sql("CREATE TABLE t(x)");
    let pid = python.pid();
    let places = Places::under(Path::new(&folder));
    let snapshot = Observer::new(&places, vec![db]).sample();
    let process = snapshot.databases[0].process(pid).expect("it is listed");
    let held = StopRequest::new(process).and_then(|it| it.pin(Path::new(PROC))).expect("it lives");
    // PR_SET_DUMPABLE of prctl(2).
    python.run("import ctypes; ctypes.CDLL(None).prctl(4, 0)");
    let refused = held.send(permit(), StopSignal::Kill).expect_err("it hides what it runs");
    let is_named = matches!(
        &refused,
        SignalRefusal::Unproven {
            fact: UnprovenProgram::Unreadable { what: "executable", .. },
            after: AfterCheck::Continued,
            ..
        }
    );
    assert!(is_named, "{refused}");
    python.sql("INSERT INTO t VALUES (1)");
}
