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
        ConfirmedAction, EffectReport, StopResult,
        executor::EffectExecutor,
        gate::{ActionGate, NotArmed},
        reap::{StopOutcome, StopRequest},
        signal::{
            ExpectedProgram, PinnedProcess, SignalRefusal, SignalTarget, StopSignal, protection, start_ticks,
        },
    },
    config::{Config, Permit, ReadOnly},
    diagnose::health::HealthDepth,
    snapshot::{CheckpointMode, StaleProtection},
    state::places::Places,
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

fn target(pid: i32) -> SignalTarget {
    SignalTarget { pid, start_ticks: start_ticks(pid, Path::new(PROC)).expect("it lives") }
}

fn permit() -> Permit {
    Config::new(Places::under("/nowhere".as_ref())).permit().expect("it is not read-only")
}

fn pin(target: SignalTarget) -> Result<PinnedProcess, SignalRefusal> {
    PinnedProcess::open(target, ExpectedProgram::AsPinned, Path::new(PROC))
}

fn refusal(target: SignalTarget) -> SignalRefusal {
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
    assert_eq!(refusal(meant), SignalRefusal::Gone { pid });
    for signal in StopSignal::ALL {
        assert_eq!(held.send(permit(), signal), Err(SignalRefusal::Gone { pid }), "{signal}");
    }
    assert!(held.wait(PATIENCE), "it has ended");
}

#[test]
fn another_start_is_another_process() {
    let scene = Scene::new();
    let mut actor = scene.actor();
    let now = target(actor.pid());
    for start_ticks in [now.start_ticks - 1, now.start_ticks + 1, 0] {
        let meant = SignalTarget { start_ticks, ..now };
        assert_eq!(refusal(meant), SignalRefusal::Reused { pid: actor.pid() });
    }
    actor.sql("SELECT 1");
}

#[test]
fn what_we_live_by_is_protected() {
    let is_protected = |pid: i32| {
        let meant = SignalTarget { pid, start_ticks: start_ticks(pid, Path::new(PROC)).unwrap_or_default() };
        matches!(refusal(meant), SignalRefusal::Protected { pid: refused, .. } if refused == pid)
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
    for signal in [StopSignal::Term, StopSignal::Int, StopSignal::Kill] {
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
    for signal in [StopSignal::Term, StopSignal::Int] {
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
    pin(target(actor.pid()))
        .expect("it lives")
        .send(permit(), StopSignal::Cont)
        .expect("it may be signalled");
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
        assert_eq!(refusal(target(pid)), SignalRefusal::Foreign { pid });
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
    assert_eq!(refusal(target(pid)), SignalRefusal::Foreign { pid });
    assert!(child.try_wait().expect("it can be asked for").is_none(), "it lives");
    drop(child.stdin.take());
    assert!(child.wait().expect("it ends").success());
}

#[test]
fn one_that_is_protected_is_refused_with_the_reason() {
    let scene = Scene::new();
    let mut actor = scene.actor();
    let protected = Some(StaleProtection::Rule { rule: "db".to_owned() });
    let meant = StopRequest { protected, ..StopRequest::ingestion(target(actor.pid())) };
    let refused = meant.pin(Path::new(PROC)).expect_err("it is protected");
    let expected =
        format!("{} is protected: the rule db protects it; it is never stopped from here", actor.pid());
    assert_eq!(refused.to_string(), expected);
    in_tokio(async {
        let (mut executor, mut inbox) = executor();
        executor.pin(std::slice::from_ref(&meant));
        assert_eq!(pinned(&mut inbox).await, Err(refused));
        executor.act(armed(&[meant.target], StopSignal::Kill));
        assert_eq!(
            ended(&mut inbox).await.end,
            StopOutcome::Refused(SignalRefusal::Unpinned { pid: actor.pid() })
        );
    });
    actor.sql("SELECT 1");
}

/// An executor, and what it reports.
fn executor() -> (EffectExecutor, UnboundedReceiver<EffectReport>) {
    let (outbox, inbox) = unbounded_channel();
    // Nothing is kept there: a signal leaves no trace.
    (EffectExecutor::new(outbox, &Places::under("/nowhere".as_ref())), inbox)
}

fn in_tokio<T>(future: impl Future<Output = T>) -> T {
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build();
    tokio.expect("a runtime").block_on(future)
}

fn armed(targets: &[SignalTarget], signal: StopSignal) -> waltop::act::gate::ConfirmedEffect {
    let act = ConfirmedAction::Signal { targets: targets.to_vec(), signal };
    ActionGate::Armed(permit()).confirm(act).expect("it is armed")
}

fn meant(target: SignalTarget) -> [StopRequest; 1] {
    [StopRequest::ingestion(target)]
}

async fn ended(inbox: &mut UnboundedReceiver<EffectReport>) -> StopResult {
    let answer = tokio::time::timeout(PATIENCE, inbox.recv()).await.expect("an answer in time");
    match answer.expect("an answer") {
        EffectReport::Ended(ended) => ended,
        other => panic!("nothing has ended: {other:?}"),
    }
}

async fn pinned(inbox: &mut UnboundedReceiver<EffectReport>) -> Result<SignalTarget, SignalRefusal> {
    match inbox.recv().await.expect("an answer") {
        EffectReport::Pinned(answers) => {
            let [(target, answer)] = &answers[..] else { panic!("one was meant: {answers:?}") };
            answer.clone().map(|()| *target)
        }
        other => panic!("nothing was pinned: {other:?}"),
    }
}

#[test]
fn a_read_only_configuration_gives_no_leave_and_a_console_without_one_confirms_nothing() {
    let readonly = Config { readonly: true, ..Config::new(Places::under("/nowhere".as_ref())) };
    assert_eq!(readonly.permit(), Err(ReadOnly::Settings));
    let meant = SignalTarget { pid: 4_000_000, start_ticks: 1 };
    let database = PathBuf::from("/nowhere/notes.db");
    let mut acts: Vec<ConfirmedAction> =
        StopSignal::ALL.map(|signal| ConfirmedAction::Signal { targets: vec![meant], signal }).into();
    acts.extend(
        CheckpointMode::ALL.map(|mode| ConfirmedAction::Checkpoint { database: database.clone(), mode }),
    );
    acts.push(ConfirmedAction::Ingest {
        database: database.clone(),
        folder: "/".into(),
        batch: "auto".to_owned(),
    });
    acts.push(ConfirmedAction::Fix { database: database.clone() });
    acts.extend(HealthDepth::ALL.map(|depth| ConfirmedAction::Health { database: database.clone(), depth }));
    let mut switch = ActionGate::new(readonly.permit());
    for _ in 0..3 {
        for act in &acts {
            assert_eq!(switch.confirm(act.clone()), Err(NotArmed::ReadOnly(ReadOnly::Settings)), "{act:?}");
        }
        assert_eq!(switch.take_turn(), Err(ReadOnly::Settings), "it cannot be armed");
    }
    let mut switch = ActionGate::new(Ok(permit()));
    switch.take_turn().expect("it can be disarmed");
    for act in &acts {
        assert_eq!(switch.confirm(act.clone()), Err(NotArmed::Disarmed), "{act:?}");
    }
    switch.take_turn().expect("it can be armed");
    for act in &acts {
        assert_eq!(switch.confirm(act.clone()).map(|it| it.act().clone()), Ok(act.clone()));
    }
}

#[test]
fn only_pinned_processes_are_signalled() {
    let scene = Scene::new();
    let (mut one, mut two) = (scene.actor(), scene.actor());
    let (first, second) = (target(one.pid()), target(two.pid()));
    let unpinned = |target: SignalTarget| StopOutcome::Refused(SignalRefusal::Unpinned { pid: target.pid });
    in_tokio(async {
        let (mut executor, mut inbox) = executor();
        executor.act(armed(&[first], StopSignal::Term));
        assert_eq!(ended(&mut inbox).await.end, unpinned(first));
        executor.pin(&meant(first));
        assert_eq!(pinned(&mut inbox).await, Ok(first));
        executor.act(armed(&[second], StopSignal::Term));
        assert_eq!(ended(&mut inbox).await.end, unpinned(second));
        executor.pin(&meant(second));
        assert_eq!(pinned(&mut inbox).await, Ok(second));
        executor.act(armed(&[first], StopSignal::Term));
        assert_eq!(ended(&mut inbox).await.end, unpinned(first), "the one pinned before was let go");
        executor.pin(&meant(first));
        assert_eq!(pinned(&mut inbox).await, Ok(first));
        executor.unpin();
        executor.act(armed(&[first], StopSignal::Term));
        assert_eq!(ended(&mut inbox).await.end, unpinned(first));
        one.sql("SELECT 1");
        executor.pin(&meant(first));
        assert_eq!(pinned(&mut inbox).await, Ok(first));
        executor.act(armed(&[first, second], StopSignal::Term));
        let mut ends = [ended(&mut inbox).await, ended(&mut inbox).await];
        ends.sort_by_key(|it| it.target.pid != first.pid);
        assert_eq!(
            ends.map(|it| (it.target, it.end)),
            [(first, StopOutcome::Gone), (second, unpinned(second))]
        );
        one.close();
        executor.act(armed(&[first], StopSignal::Kill));
        let gone = StopOutcome::Refused(SignalRefusal::Gone { pid: first.pid });
        assert_eq!(ended(&mut inbox).await.end, gone, "what was pinned stays that process after its end");
        executor.pin(&meant(first));
        assert_eq!(pinned(&mut inbox).await, Err(SignalRefusal::Gone { pid: first.pid }));
        let other = SignalTarget { start_ticks: second.start_ticks + 1, ..second };
        executor.pin(&meant(other));
        assert_eq!(pinned(&mut inbox).await, Err(SignalRefusal::Reused { pid: second.pid }));
    });
    two.sql("SELECT 1");
}
