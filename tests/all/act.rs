//! Real signals to real processes: they reach the one that was meant, or nobody.

use std::{
    env, fs,
    io::{BufRead, BufReader},
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use rustix::process::{Pid, getpid, getppid, kill_process};
use tempfile::TempDir;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use waltop::{
    act::{
        Act, Ended, Report,
        executor::Executor,
        reap::{End, Meant},
        signal::{ExpectedProgram, Pinned, Refusal, Signal, Target, protection, start_ticks},
        switch::{Safe, Switch},
    },
    config::{Config, Permit, Places, ReadOnly},
    diagnose::{checkpoint::Mode, health::Depth},
    snapshot::Protection,
};

use crate::support::{ANOTHER, Actor, WALTOP, copy_program, eventually, run_test_as_another};

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

fn permit() -> Permit {
    Config::new(Places::under("/nowhere".as_ref())).permit().expect("it is not read-only")
}

fn pin(target: Target) -> Result<Pinned, Refusal> {
    Pinned::open(target, ExpectedProgram::AsPinned, Path::new(PROC))
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
        assert_eq!(held.send(permit(), signal), Err(Refusal::Gone { pid }), "{signal}");
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
        held.send(permit(), signal).expect("it may be signalled");
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
        held.send(permit(), signal).expect("it may be signalled");
        assert!(held.wait(PATIENCE), "{signal}");
    }
    let scene = Scene::new();
    let mut actor = scene.actor();
    stop(&actor);
    pin(target(actor.pid())).expect("it lives").send(permit(), Signal::Cont).expect("it may be signalled");
    actor.sql("SELECT 1");
}

/// Names the process for the part of the next test that runs as another user.
const OF_ANOTHER: &str = "WALTOP_TEST_OF_ANOTHER_USER";

/// Only root can be somebody else, so elsewhere there is nothing to do here.
#[test]
fn another_users_process_is_out_of_reach() {
    if let Ok(pid) = env::var(OF_ANOTHER) {
        let pid = pid.parse().expect("a PID");
        // CONT alone would go to anybody in the same session.
        assert_eq!(refusal(target(pid)), Refusal::Foreign { pid });
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

/// Root may do anything, and still it is another user's.
#[test]
fn another_users_process_is_refused_to_root_as_well() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("not tested: only root has leave to signal others");
        return;
    }
    let scene = Scene::new();
    let program = scene.folder.path().join("waltop");
    copy_program(Path::new(WALTOP), &program);
    fs::set_permissions(scene.folder.path(), fs::Permissions::from_mode(0o777)).expect("a mode");
    let mut child = Command::new(program)
        .arg("actor")
        .arg(scene.db())
        .uid(ANOTHER)
        .gid(ANOTHER)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let pid = i32::try_from(child.id()).expect("a PID fits");
    let mut answers = BufReader::new(child.stdout.take().expect("piped"));
    answers.read_line(&mut String::new()).expect("it answers");
    assert_eq!(refusal(target(pid)), Refusal::Foreign { pid });
    assert!(child.try_wait().expect("it can be asked for").is_none(), "it lives");
    drop(child.stdin.take());
    assert!(child.wait().expect("it ends").success());
}

#[test]
fn one_that_is_protected_is_refused_with_the_reason() {
    let scene = Scene::new();
    let mut actor = scene.actor();
    let protected = Some(Protection::Rule("db".to_owned()));
    let meant = Meant { protected, ..Meant::ingestion(target(actor.pid())) };
    let refused = meant.pin(Path::new(PROC)).expect_err("it is protected");
    let expected =
        format!("{} is protected: the rule db protects it; it is never stopped from here", actor.pid());
    assert_eq!(refused.to_string(), expected);
    in_tokio(async {
        let (mut executor, mut inbox) = executor();
        executor.pin(std::slice::from_ref(&meant));
        assert_eq!(pinned(&mut inbox).await, Err(refused));
        executor.act(armed(&[meant.target], Signal::Kill));
        assert_eq!(ended(&mut inbox).await.end, End::Refused(Refusal::Unpinned { pid: actor.pid() }));
    });
    actor.sql("SELECT 1");
}

/// An executor, and what it reports.
fn executor() -> (Executor, UnboundedReceiver<Report>) {
    let (outbox, inbox) = unbounded_channel();
    // Nothing is kept there: a signal leaves no trace.
    (Executor::new(outbox, &Places::under("/nowhere".as_ref())), inbox)
}

fn in_tokio<T>(future: impl Future<Output = T>) -> T {
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build();
    tokio.expect("a runtime").block_on(future)
}

fn armed(targets: &[Target], signal: Signal) -> waltop::act::switch::Confirmed {
    let act = Act::Signal { targets: targets.to_vec(), signal };
    Switch::Armed(permit()).confirm(act).expect("it is armed")
}

fn meant(target: Target) -> [Meant; 1] {
    [Meant::ingestion(target)]
}

async fn ended(inbox: &mut UnboundedReceiver<Report>) -> Ended {
    let answer = tokio::time::timeout(PATIENCE, inbox.recv()).await.expect("an answer in time");
    match answer.expect("an answer") {
        Report::Ended(ended) => ended,
        other => panic!("nothing has ended: {other:?}"),
    }
}

async fn pinned(inbox: &mut UnboundedReceiver<Report>) -> Result<Target, Refusal> {
    match inbox.recv().await.expect("an answer") {
        Report::Pinned(answers) => {
            let [(target, answer)] = &answers[..] else { panic!("one was meant: {answers:?}") };
            answer.clone().map(|()| *target)
        }
        other => panic!("nothing was pinned: {other:?}"),
    }
}

#[test]
fn a_read_only_configuration_gives_no_leave_and_a_console_without_one_confirms_nothing() {
    let readonly = Config { readonly: true, ..Config::new(Places::under("/nowhere".as_ref())) };
    assert_eq!(readonly.permit(), Err(ReadOnly));
    let meant = Target { pid: 4_000_000, start_ticks: 1 };
    let database = PathBuf::from("/nowhere/notes.db");
    let mut acts: Vec<Act> = Signal::ALL.map(|signal| Act::Signal { targets: vec![meant], signal }).into();
    acts.extend(Mode::ALL.map(|mode| Act::Checkpoint { database: database.clone(), mode }));
    acts.push(Act::Ingest { database: database.clone(), folder: "/".into(), batch: "auto".to_owned() });
    acts.push(Act::Fix { database: database.clone() });
    acts.extend(Depth::ALL.map(|depth| Act::Health { database: database.clone(), depth }));
    let mut switch = Switch::new(readonly.permit());
    for _ in 0..3 {
        for act in &acts {
            assert_eq!(switch.confirm(act.clone()), Err(Safe::ReadOnly(ReadOnly)), "{act:?}");
        }
        assert_eq!(switch.turn(), Err(ReadOnly), "it cannot be armed");
    }
    let mut switch = Switch::new(Ok(permit()));
    switch.turn().expect("it can be disarmed");
    for act in &acts {
        assert_eq!(switch.confirm(act.clone()), Err(Safe::Disarmed), "{act:?}");
    }
    switch.turn().expect("it can be armed");
    for act in &acts {
        assert_eq!(switch.confirm(act.clone()).map(|it| it.act().clone()), Ok(act.clone()));
    }
}

#[test]
fn only_pinned_processes_are_signalled() {
    let scene = Scene::new();
    let (mut one, mut two) = (scene.actor(), scene.actor());
    let (first, second) = (target(one.pid()), target(two.pid()));
    let unpinned = |target: Target| End::Refused(Refusal::Unpinned { pid: target.pid });
    in_tokio(async {
        let (mut executor, mut inbox) = executor();
        executor.act(armed(&[first], Signal::Term));
        assert_eq!(ended(&mut inbox).await.end, unpinned(first));
        executor.pin(&meant(first));
        assert_eq!(pinned(&mut inbox).await, Ok(first));
        executor.act(armed(&[second], Signal::Term));
        assert_eq!(ended(&mut inbox).await.end, unpinned(second));
        executor.pin(&meant(second));
        assert_eq!(pinned(&mut inbox).await, Ok(second));
        executor.act(armed(&[first], Signal::Term));
        assert_eq!(ended(&mut inbox).await.end, unpinned(first), "the one pinned before was let go");
        executor.pin(&meant(first));
        assert_eq!(pinned(&mut inbox).await, Ok(first));
        executor.unpin();
        executor.act(armed(&[first], Signal::Term));
        assert_eq!(ended(&mut inbox).await.end, unpinned(first));
        one.sql("SELECT 1");
        executor.pin(&meant(first));
        assert_eq!(pinned(&mut inbox).await, Ok(first));
        executor.act(armed(&[first, second], Signal::Term));
        let mut ends = [ended(&mut inbox).await, ended(&mut inbox).await];
        ends.sort_by_key(|it| it.target.pid != first.pid);
        assert_eq!(ends.map(|it| (it.target, it.end)), [(first, End::Gone), (second, unpinned(second))]);
        one.close();
        executor.act(armed(&[first], Signal::Kill));
        let gone = End::Refused(Refusal::Gone { pid: first.pid });
        assert_eq!(ended(&mut inbox).await.end, gone, "what was pinned stays that process after its end");
        executor.pin(&meant(first));
        assert_eq!(pinned(&mut inbox).await, Err(Refusal::Gone { pid: first.pid }));
        let other = Target { start_ticks: second.start_ticks + 1, ..second };
        executor.pin(&meant(other));
        assert_eq!(pinned(&mut inbox).await, Err(Refusal::Reused { pid: second.pid }));
    });
    two.sql("SELECT 1");
}
