//! Stopping by key, from the list to what the lock table shows after it: the state of a console, the real executor,
//! and real processes.

mod console;
mod list;
mod protected;

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use rustix::process::{Pid, kill_process};
use waltop::{
    act::{
        reap::StopAftermath,
        signal::{SignalRefusal, StopSignal, UnprovenProgram},
    },
    console::{
        app::{Message, Notice, StopReport, StopTally},
        dialogs::{DialogKind, ReapList, StopMark},
    },
    snapshot::{Process, StaleCause, StaleProtection, StaleVerdict},
};

use crate::{
    python::Python,
    support::{Actor, eventually},
};
use console::{Console, Scene, seen};

const USUAL: (u16, u16) = (120, 40);

/// Past its age, and where `rule` is given protected by it.
fn stale(rule: Option<&str>) -> StaleVerdict {
    StaleVerdict {
        is_stale: rule.is_none(),
        causes: vec![StaleCause::MaxAge {
            rule: "watcher".to_owned(),
            age_ms: 331_200_000.0,
            limit_ms: 86_400_000.0,
            idle_ms: 5000.0,
        }],
        protected: rule.map(|rule| StaleProtection::Rule { rule: rule.to_owned() }),
        past_max_age: None,
    }
}

fn in_tokio<T>(future: impl Future<Output = T>) -> T {
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build();
    tokio.expect("a runtime").block_on(future)
}

fn nobody(_: &Process) -> Option<StaleVerdict> {
    None
}

fn state(pid: i32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ").and_then(|(_, fields)| fields.chars().next())
}

fn has_ended(pid: i32) -> bool {
    state(pid).is_none_or(|state| state == 'Z')
}

fn is_reap(kind: &DialogKind) -> bool {
    matches!(kind, DialogKind::Reap(_))
}

fn is_kill(kind: &DialogKind) -> bool {
    matches!(kind, DialogKind::Kill(_))
}

fn reap_list(console: &Console) -> &ReapList {
    let Some(DialogKind::Reap(list)) = console.stage.app.dialog() else { panic!("no list is open") };
    list
}

/// The processes that are ticked, and those that can be.
fn ticked(console: &Console) -> (usize, usize) {
    let marks = || reap_list(console).rows.iter().map(|row| &row.mark);
    let ticked = marks().filter(|mark| matches!(mark, StopMark::Ticked(_))).count();
    (ticked, marks().filter(|mark| !matches!(mark, StopMark::Refused(_))).count())
}

fn is_gone(notice: &Notice, pid: i32, by: StopSignal) -> bool {
    matches!(notice, Notice::Stop(StopReport::Gone { stopped, signal })
        if stopped.target.pid == pid && *signal == by)
}

fn aftermath(notice: &Notice) -> Option<(&StopTally, &StopAftermath)> {
    match notice {
        Notice::Stop(StopReport::Aftermath { pending, aftermath }) => Some((pending, aftermath)),
        _ => None,
    }
}

/// Whether all locks are released and the log can be moved, after so many have ended and so many have not.
fn is_aftermath(notice: &Notice, gone: usize, stays: usize) -> bool {
    aftermath(notice).is_some_and(|(pending, aftermath)| {
        (pending.gone.len(), pending.stays.len()) == (gone, stays)
            && aftermath.still_held.is_empty()
            && aftermath.hazard.is_none()
            && aftermath.in_the_way.as_ref().is_some_and(Vec::is_empty)
    })
}

#[test]
fn those_that_are_ticked_end_and_no_other_and_what_they_left_is_reported() {
    let scene = Scene::new();
    let old: Vec<Actor> = (0..6).map(|_| scene.holder()).collect();
    let mut reader = scene.holder();
    reader.sql("BEGIN").sql("SELECT * FROM t");
    let mut writer = scene.holder();
    writer.sql("INSERT INTO t VALUES (2)");
    let pids: Vec<i32> = old.iter().map(Actor::pid).chain([reader.pid()]).collect();
    let reap = pids.clone();
    in_tokio(async {
        let is_stale = move |process: &Process| reap.contains(&process.pid).then(|| stale(None));
        let mut console = Console::open(&scene, is_stale);
        console.ask("X", is_reap).await;
        assert_eq!(ticked(&console), (7, 7));
        console.keys(" j y").await;
        console.look_until(|notice| is_aftermath(notice, 5, 0)).await;
        assert!(console.notices.iter().any(|it| matches!(it, Notice::Begins(_))), "{:?}", console.notices);
        let ended =
            |pid: &i32| console.log.iter().filter(|(_, line)| line.starts_with(&format!("{pid} ("))).count();
        let reported: Vec<usize> = pids.iter().map(ended).collect();
        assert_eq!(reported, [0, 0, 1, 1, 1, 1, 1], "a line each: {:?}", console.log);
    });
    let alive: Vec<i32> = pids.into_iter().filter(|&pid| !has_ended(pid)).collect();
    assert_eq!(alive.len(), 2, "those that were unticked");
    writer.sql("INSERT INTO t VALUES (3)");
}

#[test]
fn who_still_pins_the_log_is_reported() {
    let scene = Scene::new();
    let old = scene.holder();
    let mut reader = scene.holder();
    reader.sql("BEGIN").sql("SELECT * FROM t");
    let mut writer = scene.holder();
    writer.sql("INSERT INTO t VALUES (2)");
    let pid = old.pid();
    in_tokio(async {
        let mut console = Console::open(&scene, nobody);
        console.ask_stop(&format!("/{pid}<Enter>x"), pid).await;
        console.keys("y").await;
        console.wait_for(|notice| is_gone(notice, pid, StopSignal::Term)).await;
        console
            .look_until(|notice| {
                aftermath(notice).is_some_and(|(pending, aftermath)| {
                    let blockers = aftermath.in_the_way.iter().flatten().map(|it| it.pid);
                    pending.gone.len() == 1
                        && aftermath.still_held.is_empty()
                        && blockers.eq([Some(reader.pid())])
                })
            })
            .await;
    });
    reader.sql("COMMIT");
}

#[test]
fn one_that_does_not_go_is_asked_about_and_ends_by_kill_only() {
    let scene = Scene::new();
    let mut stubborn = scene.stubborn();
    let pid = stubborn.pid();
    stubborn.sql("BEGIN IMMEDIATE").sql("INSERT INTO t VALUES (2)");
    in_tokio(async {
        let mut console = Console::open(&scene, nobody);
        console.ask_stop("x", pid).await;
        assert!(console.stage.screen().contains("write transaction rolls back"));
        console.keys("y").await;
        assert!(console.stage.screen().contains("5 s left"), "{}", console.stage.screen());
        console.stage.update(Message::Tick(Timestamp::now() + Duration::from_secs(2)));
        assert!(!console.stage.screen().contains("5 s left"), "{}", console.stage.screen());
        console.wait_for_dialog(is_kill).await;
        stubborn.sql("SELECT 1");
        console.keys("y").await;
        console.wait_for(|notice| is_gone(notice, pid, StopSignal::Kill)).await;
        console.look_until(|notice| is_aftermath(notice, 1, 0)).await;
    });
    assert!(has_ended(pid));
    scene.actor().sql("INSERT INTO t VALUES (3)");
}

#[test]
fn one_that_executes_another_program_on_term_is_not_killed() {
    let scene = Scene::new();
    let Some(mut python) = Python::open(&scene.db()) else { return };
    python.sql("SELECT * FROM t").run("import os, signal");
    python.run("signal.signal(signal.SIGTERM, lambda *_: os.execvp('sleep', ['sleep', '600']))");
    let pid = python.pid();
    in_tokio(async {
        let mut console = Console::open(&scene, nobody);
        console.ask_stop("x", pid).await;
        console.keys("y").await;
        console.wait_for_dialog(is_kill).await;
        console.keys("y").await;
        console
            .wait_for(|notice| {
                let Notice::Stop(StopReport::Refused(SignalRefusal::Unproven { fact, .. })) = notice else {
                    return false;
                };
                *fact == UnprovenProgram::OtherExecutable
            })
            .await;
    });
    assert!(!has_ended(pid));
    eventually("it runs on", || (state(pid) == Some('S')).then_some(()));
}

#[test]
fn one_that_ended_while_the_dialog_was_open_is_reported_and_nothing_is_signalled() {
    let scene = Scene::new();
    let actor = scene.holder();
    let mut other = scene.holder();
    let pid = actor.pid();
    in_tokio(async {
        let mut console = Console::open(&scene, nobody);
        console.ask_stop(&format!("/{pid}<Enter>x"), pid).await;
        actor.close();
        let look = seen(&mut console.watch, &nobody);
        let effects = console.stage.update(Message::Look(Arc::new(look)));
        console.carry_out(effects).await;
        console.ask_stop("", pid).await;
        console.keys("y").await;
        let gone = Notice::Stop(StopReport::Refused(SignalRefusal::Gone { pid }));
        console.wait_for(|notice| *notice == gone).await;
    });
    other.sql("SELECT 1");
}

#[test]
fn the_process_of_the_dialog_is_meant_wherever_the_selection_goes() {
    let scene = Scene::new();
    let (one, mut two) = (scene.holder(), scene.holder());
    let pid = one.pid();
    in_tokio(async {
        let mut console = Console::open(&scene, nobody);
        console.ask_stop(&format!("/{pid}<Enter>x"), pid).await;
        console.keys("<Tab><Down><Up>").await;
        let mut look = seen(&mut console.watch, &nobody);
        look.snapshot.databases[0].processes.retain(|process| process.pid != pid);
        console.stage.update(Message::Look(Arc::new(look)));
        console.keys("y").await;
        console.wait_for(|notice| is_gone(notice, pid, StopSignal::Term)).await;
    });
    assert!(has_ended(pid));
    two.sql("SELECT 1");
}

#[test]
fn a_stopped_writer_is_let_go_on_first_and_those_who_wait_finish() {
    let scene = Scene::new();
    let mut writer = scene.holder();
    writer.sql("BEGIN IMMEDIATE").sql("INSERT INTO t VALUES (2)");
    let mut waiting: Vec<Actor> = (0..2).map(|_| scene.holder()).collect();
    let pid = writer.pid();
    // It commits as soon as it may.
    let raw = Pid::from_raw(pid).expect("a PID");
    kill_process(raw, rustix::process::Signal::STOP).expect("it lives");
    eventually("it is stopped", || (state(pid) == Some('T')).then_some(()));
    writer.order("COMMIT");
    for actor in &mut waiting {
        actor.sql("PRAGMA busy_timeout = 30000");
        actor.order("INSERT INTO t VALUES (3)");
    }
    in_tokio(async {
        let mut console = Console::open(&scene, nobody);
        console.ask_stop(&format!("/{pid}<Enter>x"), pid).await;
        let screen = console.stage.screen();
        assert!(screen.contains("[CONT] TERM"), "{screen}");
        console.keys("y").await;
        console.wait_for(|notice| matches!(notice, Notice::Stop(StopReport::Continued { .. }))).await;
        console.look_until(|notice| matches!(notice, Notice::Stop(StopReport::Runs { .. }))).await;
    });
    assert_eq!(writer.answer(), "ok");
    for actor in &mut waiting {
        assert_eq!(actor.answer(), "ok");
    }
}
