//! Real signals to real processes: they reach the one that was meant, or nobody.

use std::{
    env, fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use log::Level;
use rustix::process::{Pid, getpid, getppid, kill_process};
use tempfile::TempDir;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use waltop::{
    act::{
        Act, Outcome, Report,
        executor::Executor,
        signal::{Pinned, Refusal, Signal, Target, protection, start_ticks},
    },
    diagnose::checkpoint::Mode,
};

use crate::support::{Actor, eventually, run_test_as_another};

const PROC: &str = "/proc";
/// Longer than any signal takes.
const PATIENCE: Duration = Duration::from_secs(30);

struct Scene {
    folder: TempDir,
}

impl Scene {
    fn new() -> Self {
        Self { folder: TempDir::new().expect("a folder") }
    }

    fn db(&self) -> PathBuf {
        self.folder.path().join("notes.db")
    }

    fn actor(&self) -> Actor {
        Actor::open(&self.db())
    }
}

fn target(pid: i32) -> Target {
    Target { pid, start_ticks: start_ticks(pid, Path::new(PROC)).expect("it lives") }
}

fn pin(target: Target) -> Result<Pinned, Refusal> {
    Pinned::open(target, Path::new(PROC))
}

fn refusal(target: Target) -> Refusal {
    pin(target).expect_err("it is refused")
}

fn state(pid: i32) -> char {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("it lives");
    stat.rsplit_once(") ").and_then(|(_, fields)| fields.chars().next()).expect("a state")
}

fn stop(actor: &Actor) {
    let pid = Pid::from_raw(actor.pid()).expect("a PID");
    kill_process(pid, rustix::process::Signal::STOP).expect("it lives");
    eventually("it is stopped", || (state(actor.pid()) == 'T').then_some(()));
}

#[test]
fn one_that_has_ended_gets_nothing() {
    let scene = Scene::new();
    let actor = scene.actor();
    let (pid, meant) = (actor.pid(), target(actor.pid()));
    let held = pin(meant).expect("it lives");
    actor.close();
    assert_eq!(refusal(meant), Refusal::Gone { pid });
    for signal in Signal::ALL {
        assert_eq!(held.send(signal), Err(Refusal::Gone { pid }), "{signal}");
    }
    assert!(held.wait(PATIENCE), "it has ended");
}

#[test]
fn another_start_is_another_process() {
    let scene = Scene::new();
    let mut actor = scene.actor();
    let now = target(actor.pid());
    for start_ticks in [now.start_ticks - 1, now.start_ticks + 1, 0] {
        let meant = Target { start_ticks, ..now };
        assert_eq!(refusal(meant), Refusal::Reused { pid: actor.pid() });
    }
    actor.sql("SELECT 1");
}

#[test]
fn what_we_live_by_is_protected() {
    let is_protected = |pid: i32| {
        let meant = Target { pid, start_ticks: start_ticks(pid, Path::new(PROC)).unwrap_or_default() };
        matches!(refusal(meant), Refusal::Protected { pid: refused, .. } if refused == pid)
    };
    let own = getpid().as_raw_nonzero().get();
    assert!(is_protected(own), "itself");
    assert!(is_protected(1), "the first process");
    assert!(is_protected(0) && is_protected(-1) && is_protected(-own), "groups");
    if let Some(parent) = getppid() {
        assert!(is_protected(parent.as_raw_nonzero().get()), "an ancestor");
    }
    let scene = Scene::new();
    assert_eq!(protection(scene.actor().pid(), Path::new(PROC)), None);
}

#[test]
fn term_ends_it() {
    for signal in [Signal::Term, Signal::Int, Signal::Kill] {
        let scene = Scene::new();
        let actor = scene.actor();
        let held = pin(target(actor.pid())).expect("it lives");
        assert!(!held.wait(Duration::ZERO), "it lives");
        held.send(signal).expect("it may be signalled");
        assert!(held.wait(PATIENCE), "{signal}");
    }
}

#[test]
fn one_that_is_stopped_is_let_go_on_so_that_it_can_end() {
    for signal in [Signal::Term, Signal::Int] {
        let scene = Scene::new();
        let actor = scene.actor();
        stop(&actor);
        let held = pin(target(actor.pid())).expect("it lives");
        held.send(signal).expect("it may be signalled");
        assert!(held.wait(PATIENCE), "{signal}");
    }
    let scene = Scene::new();
    let mut actor = scene.actor();
    stop(&actor);
    pin(target(actor.pid())).expect("it lives").send(Signal::Cont).expect("it may be signalled");
    actor.sql("SELECT 1");
}

/// Names the process for the part of the next test that runs as another user.
const OF_ANOTHER: &str = "WALTOP_TEST_OF_ANOTHER_USER";

/// Only root can be somebody else, so elsewhere there is nothing to do here.
#[test]
fn another_users_process_is_out_of_reach() {
    if let Ok(pid) = env::var(OF_ANOTHER) {
        let pid = pid.parse().expect("a PID");
        let held = pin(target(pid)).expect("to hold it needs no permission");
        // CONT alone goes to anybody in the same session.
        for signal in [Signal::Term, Signal::Int, Signal::Kill] {
            let refused = held.send(signal).expect_err("it is another user's");
            assert!(matches!(refused, Refusal::Forbidden { pid: meant, .. } if meant == pid), "{refused}");
            assert!(refused.to_string().starts_with(&format!("cannot signal {pid}: ")), "{refused}");
        }
        return;
    }
    if !rustix::process::geteuid().is_root() {
        eprintln!("not tested: only root can be another user");
        return;
    }
    let scene = Scene::new();
    let mut actor = scene.actor();
    fs::set_permissions(scene.folder.path(), fs::Permissions::from_mode(0o755)).expect("a mode");
    // The actor is its sibling, so nothing but the user protects it.
    let name = "act::another_users_process_is_out_of_reach";
    run_test_as_another(scene.folder.path(), name, OF_ANOTHER, actor.pid().to_string());
    actor.sql("SELECT 1");
}

/// An executor, and what it reports.
fn executor(readonly: bool) -> (Executor, UnboundedReceiver<Report>) {
    let (outbox, inbox) = unbounded_channel();
    (Executor::new(outbox, PROC.into(), readonly), inbox)
}

fn in_tokio<T>(future: impl Future<Output = T>) -> T {
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build();
    tokio.expect("a runtime").block_on(future)
}

async fn outcome(inbox: &mut UnboundedReceiver<Report>) -> Outcome {
    let answer = tokio::time::timeout(PATIENCE, inbox.recv()).await.expect("an answer in time");
    match answer.expect("an answer") {
        Report::Outcome(outcome) => outcome,
        other => panic!("no outcome: {other:?}"),
    }
}

async fn pinned(inbox: &mut UnboundedReceiver<Report>) -> Result<Target, String> {
    match inbox.recv().await.expect("an answer") {
        Report::Pinned(answer) => answer,
        other => panic!("nothing was pinned: {other:?}"),
    }
}

#[test]
fn with_readonly_every_act_is_refused() {
    let scene = Scene::new();
    let mut actor = scene.actor();
    actor.sql("CREATE TABLE t(x)");
    let notes = scene.folder.path().join("notes");
    fs::create_dir(&notes).expect("a folder");
    fs::write(notes.join("a.md"), "# A lock\n").expect("written");
    let before = fs::read(scene.db()).expect("readable");
    let meant = target(actor.pid());
    let database = scene.db();
    let mut acts: Vec<Act> = Signal::ALL.map(|signal| Act::Signal { target: meant, signal }).into();
    acts.extend(Mode::ALL.map(|mode| Act::Checkpoint { database: database.clone(), mode }));
    acts.push(Act::Ingest { database: database.clone(), folder: notes, batch: "auto".to_owned() });
    acts.push(Act::Fix { database });
    in_tokio(async {
        let (mut executor, mut inbox) = executor(true);
        executor.pin(meant);
        assert_eq!(pinned(&mut inbox).await, Ok(meant));
        for act in acts {
            executor.act(act.clone());
            let outcome = outcome(&mut inbox).await;
            assert_eq!(outcome.level, Level::Error, "{act:?}");
            assert!(outcome.text.contains("--readonly"), "{act:?}: {outcome:?}");
        }
        assert!(inbox.try_recv().is_err(), "nothing goes on behind it");
    });
    assert_eq!(fs::read(scene.db()).expect("readable"), before);
    actor.sql("SELECT 1");
}

#[test]
fn only_the_pinned_process_is_signalled() {
    let scene = Scene::new();
    let (mut one, mut two) = (scene.actor(), scene.actor());
    let (first, second) = (target(one.pid()), target(two.pid()));
    in_tokio(async {
        let (mut executor, mut inbox) = executor(false);
        let term = |target| Act::Signal { target, signal: Signal::Term };
        executor.act(term(first));
        assert!(outcome(&mut inbox).await.text.contains("not the process that was pinned"));
        executor.pin(first);
        assert_eq!(pinned(&mut inbox).await, Ok(first));
        executor.act(term(second));
        assert!(outcome(&mut inbox).await.text.contains("not the process that was pinned"));
        executor.pin(first);
        assert_eq!(pinned(&mut inbox).await, Ok(first));
        executor.unpin();
        executor.act(term(first));
        assert!(outcome(&mut inbox).await.text.contains("not the process that was pinned"));
        one.sql("SELECT 1");
        executor.pin(first);
        assert_eq!(pinned(&mut inbox).await, Ok(first));
        executor.act(term(first));
        let ended = outcome(&mut inbox).await;
        assert_eq!((ended.level, ended.text), (Level::Info, format!("{} has ended after TERM", first.pid)));
        one.close();
        executor.pin(first);
        assert_eq!(pinned(&mut inbox).await, Err(Refusal::Gone { pid: first.pid }.to_string()));
        let other = Target { start_ticks: second.start_ticks + 1, ..second };
        executor.pin(other);
        assert_eq!(pinned(&mut inbox).await, Err(Refusal::Reused { pid: second.pid }.to_string()));
    });
    two.sql("SELECT 1");
}
