//! Stopping by key, from the list to what the lock table shows after it: the state of a console, the real executor,
//! and real processes.

mod console;
mod list;

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use regex::Regex;
use rustix::process::{Pid, kill_process};
use waltop::{
    config::{Config, DaemonRule},
    console::app::Message,
    snapshot::{Process, StaleCause, StaleProtection, StaleVerdict},
    state::places::Places,
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

#[test]
fn those_that_are_ticked_end_and_nobody_else_and_what_they_left_is_told() {
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
        console.ask("X", "Reap what is stale").await;
        assert!(console.stage.screen().contains("7 of 7 ticked"), "{}", console.stage.screen());
        console.keys(" j y").await;
        console.look_until("5 of 5 gone: all locks released; the WAL can be moved again").await;
        assert!(console.tells("TERM goes to 5 processes"), "{:?}", console.log);
        let ended = console.log.iter().filter(|(_, line)| line.contains("has ended after TERM")).count();
        assert_eq!(ended, 5, "a line each: {:?}", console.log);
    });
    let alive: Vec<i32> = pids.into_iter().filter(|&pid| !has_ended(pid)).collect();
    assert_eq!(alive.len(), 2, "those that were unticked");
    writer.sql("INSERT INTO t VALUES (3)");
}

#[test]
fn who_still_pins_the_log_is_told() {
    let scene = Scene::new();
    let old = scene.holder();
    let mut reader = scene.holder();
    reader.sql("BEGIN").sql("SELECT * FROM t");
    let mut writer = scene.holder();
    writer.sql("INSERT INTO t VALUES (2)");
    let pid = old.pid();
    in_tokio(async {
        let mut console = Console::open(&scene, nobody);
        console.ask(&format!("/{pid}<Enter>x"), &format!("Stop {pid}")).await;
        console.keys("y").await;
        console.hear("has ended after TERM").await;
        let held = format!(
            "all locks released; the WAL is still held: {} (waltop) reads the main file alone",
            reader.pid()
        );
        console.look_until(&held).await;
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
        console.ask("x", &format!("Stop {pid}")).await;
        assert!(console.stage.screen().contains("write transaction rolls back"));
        console.keys("y").await;
        assert!(console.stage.screen().contains("5 s left"), "{}", console.stage.screen());
        console.stage.update(Message::Tick(Timestamp::now() + Duration::from_secs(2)));
        assert!(!console.stage.screen().contains("5 s left"), "{}", console.stage.screen());
        console.hear("KILL what did not go?").await;
        stubborn.sql("SELECT 1");
        console.keys("y").await;
        console.hear("has ended after KILL").await;
        console.look_until("has ended after KILL: all locks released").await;
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
        console.ask("x", &format!("Stop {pid}")).await;
        console.keys("y").await;
        console.hear("KILL what did not go?").await;
        console.keys("y").await;
        console.hear("runs another program than when it was listed").await;
    });
    assert!(!has_ended(pid));
    eventually("it runs on", || (state(pid) == Some('S')).then_some(()));
}

#[test]
fn one_that_ended_while_the_dialog_was_open_is_told_and_nothing_is_signalled() {
    let scene = Scene::new();
    let actor = scene.holder();
    let mut other = scene.holder();
    let pid = actor.pid();
    in_tokio(async {
        let mut console = Console::open(&scene, nobody);
        console.ask(&format!("/{pid}<Enter>x"), &format!("Stop {pid}")).await;
        actor.close();
        let look = seen(&mut console.watch, &nobody);
        let effects = console.stage.update(Message::Look(Arc::new(look)));
        console.carry_out(effects).await;
        assert!(console.stage.screen().contains(&format!("Stop {pid}")), "the dialog still means that one");
        console.keys("y").await;
        console.hear("is already gone; nothing was signalled").await;
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
        console.ask(&format!("/{pid}<Enter>x"), &format!("Stop {pid}")).await;
        console.keys("<Tab><Down><Up>").await;
        let mut look = seen(&mut console.watch, &nobody);
        look.snapshot.databases[0].processes.retain(|process| process.pid != pid);
        console.stage.update(Message::Look(Arc::new(look)));
        console.keys("y").await;
        console.hear("has ended after TERM").await;
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
        console.ask(&format!("/{pid}<Enter>x"), &format!("Stop {pid}")).await;
        let screen = console.stage.screen();
        assert!(screen.contains("[CONT] TERM") && screen.contains("CONT lets it continue"), "{screen}");
        console.keys("y").await;
        console.hear("was sent CONT").await;
        console.look_until("runs again after CONT").await;
    });
    assert_eq!(writer.answer(), "ok");
    for actor in &mut waiting {
        assert_eq!(actor.answer(), "ok");
    }
}

#[test]
fn one_that_a_rule_protects_is_refused_by_x_with_the_reason() {
    let scene = Scene::new();
    let mut actor = scene.holder();
    in_tokio(async {
        let mut console = Console::open(&scene, |_| Some(stale(Some("server"))));
        console.keys("x").await;
        console.hear("is protected: the rule server protects it").await;
        assert!(!console.stage.screen().contains("Stop "));
        console.ask("X", "Reap what is stale").await;
        assert!(console.stage.screen().contains("0 of 0 ticked"), "{}", console.stage.screen());
        console.keys(" y").await;
        assert!(console.stage.screen().contains("nothing is ticked"));
    });
    actor.sql("SELECT 1");
}

/// As the looks themselves judge it.
fn as_judged(process: &Process) -> Option<StaleVerdict> {
    process.stale.clone()
}

#[test]
fn what_a_rule_and_idleness_condemn_is_listed_and_ends() {
    let scene = Scene::new();
    let named = |role| {
        let mut actor = Actor::open_as(&scene.db(), role);
        actor.sql("SELECT * FROM t");
        actor
    };
    let (old, spared, mut other) = (named("old"), named("spared"), named("other"));
    let rule = |role: &str| DaemonRule {
        name: role.to_owned(),
        pattern: Regex::new(&format!("actor .*--role {role}$")).expect("a pattern"),
        singleton: false,
        max_age: Some(Duration::ZERO),
        pidfile: None,
        protect: role == "spared",
    };
    let mut config = Config::new(Places::under(scene.state.path()));
    config.daemons = vec![rule("old"), rule("spared")];
    config.thresholds.least_idle = Duration::from_millis(500);
    in_tokio(async {
        let mut console = Console::with(&scene, config, as_judged);
        console.look_until_stale().await;
        console.ask("X", "Reap what is stale").await;
        let screen = console.stage.screen();
        assert!(
            screen.contains("1 of 1 ticked") && screen.contains("left alone: the rule spared"),
            "{screen}"
        );
        assert!(screen.contains("past the 0 ms of the rule old, and idle"), "{screen}");
        console.keys("y").await;
        console.look_until("all locks released; the WAL can be moved again").await;
        assert!(console.tells(&format!("{} (old) has ended after TERM", old.pid())), "{:?}", console.log);
    });
    assert!(has_ended(old.pid()) && !has_ended(spared.pid()));
    other.sql("INSERT INTO t VALUES (2)");
}

#[test]
fn the_only_holder_of_deleted_data_gets_no_signal() {
    let scene = Scene::new();
    let mut holder = scene.holder();
    holder.sql("INSERT INTO t VALUES (2)");
    let path = scene.db().display().to_string();
    for suffix in ["", "-wal", "-shm"] {
        std::fs::remove_file(format!("{path}{suffix}")).expect("removed");
    }
    in_tokio(async {
        let mut console = Console::open(&scene, as_judged);
        console.look().await;
        console.keys("x").await;
        console.hear("is protected: it holds the only copy of ").await;
        assert!(!console.stage.screen().contains("Stop "), "{}", console.stage.screen());
        let is_split = |process: &Process| !waltop::act::reap::causes(process).is_empty();
        while !console.stage.app.database().is_some_and(|it| it.processes.iter().any(is_split)) {
            console.look().await;
        }
        console.ask("X", "Reap what is stale").await;
        assert!(console.stage.screen().contains("0 of 0 ticked"), "{}", console.stage.screen());
    });
    holder.sql("INSERT INTO t VALUES (3)");
}

#[test]
fn one_that_became_the_only_holder_while_the_dialog_was_open_gets_no_signal() {
    let scene = Scene::new();
    let mut holder = scene.holder();
    let pid = holder.pid();
    in_tokio(async {
        let mut console = Console::open(&scene, as_judged);
        console.ask("x", &format!("Stop {pid}")).await;
        std::fs::remove_file(scene.db()).expect("removed");
        console.look().await;
        console.keys("y").await;
        console.hear("is protected: it holds the only copy of ").await;
    });
    holder.sql("INSERT INTO t VALUES (3)");
}

#[test]
fn one_whose_empty_log_was_deleted_is_never_asked_to_end_but_killed() {
    let scene = Scene::new();
    let split = scene.holder();
    let path = scene.db().display().to_string();
    for suffix in ["-wal", "-shm"] {
        std::fs::remove_file(format!("{path}{suffix}")).expect("removed");
    }
    let mut other = scene.actor();
    other.sql("INSERT INTO t VALUES (2)");
    let pid = split.pid();
    in_tokio(async {
        let mut console = Console::open(&scene, as_judged);
        console.look_until_stale().await;
        console.ask("X", "Reap what is stale").await;
        let screen = console.stage.screen();
        assert!(screen.contains("0 of 0 ticked") && screen.contains("has a deleted log open"), "{screen}");
        console.keys(" yn").await;
        console.ask(&format!("/{pid}<Enter>x"), &format!("Stop {pid}")).await;
        let screen = console.stage.screen();
        assert!(screen.contains("[KILL] TERM") && screen.contains("copy the files first"), "{screen}");
        console.keys("y").await;
        console.look_until("has ended after KILL").await;
    });
    assert!(has_ended(pid));
    other.sql("INSERT INTO t VALUES (3)");
}
