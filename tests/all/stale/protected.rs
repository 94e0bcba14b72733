//! What has a cause against it and is left alone all the same, with real processes.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use clap::CommandFactory;
use waltop::{
    cli::Cli,
    diagnose::diagnose,
    snapshot::{Executable, ExecutableState, StaleProtection},
};

use super::*;
use crate::support::ANOTHER;

/// The list of waltop's commands in `diagnose` has every command of the command line.
#[test]
fn every_command_of_waltop_is_known_as_its_own() {
    // The actor plays another program, and `crash` opens no database.
    let is_own = |name: &str| !["actor", "crash"].contains(&name);
    for name in Cli::command().get_subcommands().map(clap::Command::get_name).filter(|it| is_own(it)) {
        let mut snapshot = crate::stage::look(vec![crate::stage::contended()]).snapshot;
        let process = &mut snapshot.databases[0].processes[0];
        process.command = ["waltop", name].map(str::to_owned).to_vec();
        let (path, state) = ("/usr/bin/waltop".to_owned(), Some(ExecutableState::Replaced));
        process.origin.executable = Some(Executable { path, state });
        diagnose(&mut snapshot, None, &Scene::new().config);
        let verdict = snapshot.databases[0].processes[0].stale.clone().expect("it has a cause");
        assert_eq!(verdict.protected, Some(StaleProtection::OwnKind { command: name.to_owned() }));
    }
}

/// Looks until there is `cause` against `pid`, which must be left alone; why it is.
fn protected(watch: &mut Monitor, pid: i32, cause: &str) -> StaleProtection {
    eventually(&format!("{cause} of {pid}"), || {
        let database = look(watch);
        let verdict = verdict(&database, pid);
        assert!(!verdict.is_stale, "{verdict:?}");
        assert!(told(&database, FindingKind::StaleDaemon, Some(pid)).is_none());
        verdict.causes.iter().any(|it| it.name() == cause).then_some(())?;
        Some(verdict.protected.expect("something protects it"))
    })
}

#[test]
fn a_replicator_may_pin_the_log() {
    let mut scene = Scene::new();
    scene.config.thresholds.pinned_wal = (LONG, Duration::from_millis(600));
    let [replicator, other] = ["litestream", "livestream"].map(|name| {
        let program = scene.folder.path().join(name);
        copy_program(Path::new(WALTOP), &program);
        let mut actor = Actor::open_by(&program, &scene.path(), "replicate");
        actor.sql("BEGIN").sql("SELECT * FROM t");
        actor
    });
    let mut writer = scene.actor();
    writer.sql("PRAGMA wal_autocheckpoint = 0").sql("INSERT INTO t VALUES (2)");
    let mut watch = scene.watch();
    let why = protected(&mut watch, replicator.pid(), "pinned-wal");
    assert_eq!(why, StaleProtection::Replicator { program: "litestream".to_owned() });
    stale(&mut watch, other.pid(), "pinned-wal");
}

#[test]
fn a_rule_protects() {
    let scene = Scene::ruled("dear", |rule| {
        rule.max_age = Some(Duration::from_millis(1));
        rule.protect = true;
    });
    let dear = scene.actor_as("dear");
    let why = protected(&mut scene.watch(), dear.pid(), "max-age");
    assert_eq!(why, StaleProtection::Rule { rule: "dear".to_owned() });
}

#[test]
fn root_is_offered_no_process_of_another_user() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("not tested: only root may run a process as somebody else");
        return;
    }
    let mut scene = Scene::new();
    let folder = scene.folder.path().to_owned();
    let program = folder.join("server");
    copy_program(Path::new(WALTOP), &program);
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).expect("a mode");
    fs::set_permissions(scene.path(), fs::Permissions::from_mode(0o666)).expect("a mode");
    let pattern = Regex::new("server actor").expect("a pattern");
    scene.config.daemons =
        vec![DaemonRule { pattern, max_age: Some(Duration::from_millis(1)), ..rule("server") }];
    let user = ANOTHER.to_string();
    let launcher = ["setpriv", "--reuid", &user, "--regid", &user, "--clear-groups", "sh", "-c"];
    // The program under test comes last, and may lie where that user may not go.
    let script = format!("shift 0; exec '{}' \"$@\"", program.display());
    let launcher: Vec<&str> = launcher.into_iter().chain([script.as_str()]).collect();
    let theirs = Actor::open_through(&launcher, &scene.path());
    let ours = Actor::open_by(&program, &scene.path(), "ours");
    let mut watch = scene.watch();
    let why = protected(&mut watch, theirs.pid(), "max-age");
    assert!(matches!(why, StaleProtection::AnotherUser { .. }), "{why}");
    stale(&mut watch, ours.pid(), "max-age");
}
