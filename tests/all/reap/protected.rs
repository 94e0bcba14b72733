//! Processes that must get no signal, or only another one: protected by a rule, or holders of deleted files.

use std::time::Duration;

use regex::Regex;
use waltop::{
    act::signal::{SignalRefusal, StopSignal},
    config::{Config, DaemonRule},
    console::{
        app::{Notice, StopReport},
        dialogs::StopMark,
    },
    snapshot::{Process, StaleCause, StaleProtection, StaleVerdict},
    state::places::Places,
};

use super::{
    console::{Console, Scene},
    has_ended, in_tokio, is_aftermath, is_gone, is_reap, reap_list, stale, ticked,
};
use crate::support::Actor;

/// What protects the process that got no signal.
fn spared(notice: &Notice) -> Option<&StaleProtection> {
    match notice {
        Notice::Refused(SignalRefusal::Spared { why, .. })
        | Notice::Stop(StopReport::Refused(SignalRefusal::Spared { why, .. })) => Some(why),
        _ => None,
    }
}

#[test]
fn one_that_a_rule_protects_is_refused_by_x_with_the_reason() {
    let scene = Scene::new();
    let mut actor = scene.holder();
    in_tokio(async {
        let mut console = Console::open(&scene, |_| Some(stale(Some("server"))));
        console.keys("x").await;
        let server = StaleProtection::Rule { rule: "server".to_owned() };
        console.wait_for(|notice| spared(notice) == Some(&server)).await;
        assert!(console.stage.app.dialog().is_none());
        console.ask("X", is_reap).await;
        assert_eq!(ticked(&console), (0, 0));
        console.keys(" y").await;
        assert!(console.stage.app.dialog().is_some_and(is_reap), "nothing is ticked");
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
        console.ask("X", is_reap).await;
        assert_eq!(ticked(&console), (1, 1));
        let list = reap_list(&console);
        let by_rule = |protection: &StaleProtection| matches!(protection, StaleProtection::Rule { rule } if rule == "spared");
        let left_alone = list.rows.iter().find(|row| row.process.pid == spared.pid()).map(|row| &row.mark);
        assert!(
            matches!(left_alone, Some(StopMark::Refused(SignalRefusal::Spared { why, .. })) if by_rule(why)),
            "{left_alone:?}"
        );
        let listed = list.rows.iter().find(|row| row.process.pid == old.pid()).expect("it is listed");
        let causes = &listed.process.stale.as_ref().expect("a verdict").causes;
        assert!(
            matches!(&causes[..], [StaleCause::MaxAge { rule, limit_ms, .. }] if rule == "old" && *limit_ms == 0.0),
            "{causes:?}"
        );
        console.keys("y").await;
        console.look_until(|notice| is_aftermath(notice, 1, 0)).await;
        let ended = |it: &Notice| is_gone(it, old.pid(), StopSignal::Term);
        assert!(console.notices.iter().any(ended), "{:?}", console.notices);
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
        console.wait_for(|it| matches!(spared(it), Some(StaleProtection::OnlyCopy { .. }))).await;
        assert!(console.stage.app.dialog().is_none(), "{}", console.stage.screen());
        let is_split = |process: &Process| !waltop::act::reap::causes(process).is_empty();
        while !console.stage.app.database().is_some_and(|it| it.processes.iter().any(is_split)) {
            console.look().await;
        }
        console.ask("X", is_reap).await;
        assert_eq!(ticked(&console), (0, 0));
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
        console.ask_stop("x", pid).await;
        std::fs::remove_file(scene.db()).expect("removed");
        console.look().await;
        console.keys("y").await;
        console.wait_for(|it| matches!(spared(it), Some(StaleProtection::OnlyCopy { .. }))).await;
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
        console.ask("X", is_reap).await;
        assert_eq!(ticked(&console), (0, 0));
        let marks: Vec<&StopMark> = reap_list(&console).rows.iter().map(|row| &row.mark).collect();
        assert!(matches!(marks[..], [StopMark::Refused(SignalRefusal::Split { .. })]), "{marks:?}");
        console.keys(" yn").await;
        console.ask_stop(&format!("/{pid}<Enter>x"), pid).await;
        let screen = console.stage.screen();
        assert!(screen.contains("[KILL] TERM"), "{screen}");
        console.keys("y").await;
        console.look_until(|notice| is_gone(notice, pid, StopSignal::Kill)).await;
    });
    assert!(has_ended(pid));
    other.sql("INSERT INTO t VALUES (3)");
}
