//! Databases of containers that are gone, or were started again.

use jiff::Timestamp;
use waltop::{
    config::Config,
    observe::Observer,
    sampler::Monitor,
    snapshot::{Database, PathReach, ReachChange},
    state::places::Places,
};

use super::*;
use crate::{namespace::Container, support::eventually};

pub const DATABASE: &str = "/data/app.db";

/// A container called `name` whose actor holds the write lock of the database in it: container, actor and PID.
pub fn holding(home: &Home, folder: &str, name: &str) -> Option<(Container, Actor, i32)> {
    fs::create_dir(home.at(folder)).expect("a folder");
    let container = Container::new(&home.at(folder), name)?;
    let (mut actor, pid) = container.actor(DATABASE);
    actor.sql("PRAGMA journal_mode = wal").sql("CREATE TABLE t(x)").sql("BEGIN IMMEDIATE");
    Some((container, actor, pid))
}

pub fn name(test: &str) -> String {
    format!("{test}-{}", std::process::id())
}

fn monitor(home: &Home, argument: &str) -> Monitor {
    let places = Places::under(&home.root());
    let mut observer = Observer::new(&places, vec![argument.into()]);
    observer.watch_locks();
    Monitor::new(observer, Config::new(places))
}

fn sampled(monitor: &mut Monitor) -> Database {
    monitor.sample().snapshot.databases[0].clone()
}

fn gone_since(database: &Database) -> Option<Timestamp> {
    match database.reach {
        PathReach::ThroughProcess { has_ended: true, ended_at, .. } => ended_at,
        _ => None,
    }
}

#[test]
fn a_container_that_was_started_again_is_found_by_its_name_and_no_other_one() {
    let (home, name) = (Home::new(), name("again"));
    let Some((container, actor, pid)) = holding(&home, "first", &name) else { return };
    let argument = format!("{name}:{DATABASE}");
    let mut monitor = monitor(&home, &argument);
    let before = sampled(&mut monitor);
    assert_eq!((before.path.to_str(), pids_of(&before)), (Some(&*argument), vec![pid]));
    drop((container, actor));
    let (gone, since) = eventually("the container has ended", || {
        let database = sampled(&mut monitor);
        let since = gone_since(&database)?;
        Some((database, since))
    });
    assert_eq!(gone.reach.change_from(before.reach), Some(ReachChange::Gone { since }));
    let unseen = monitor.sample().snapshot.unseen.clone();
    assert!(unseen.iter().any(|it| it.what == argument), "{unseen:?}");
    let Some((other, _stranger, _)) = holding(&home, "other", &format!("{name}-2")) else { return };
    let Some((_container, _actor, heir)) = holding(&home, "second", &name) else { return };
    let back = eventually("it is found again", || {
        let database = sampled(&mut monitor);
        (gone_since(&database).is_none() && database.locks.writer.is_some()).then_some(database)
    });
    drop(other);
    assert_eq!((back.path.to_str(), pids_of(&back)), (Some(&*argument), vec![heir]));
    assert_eq!(back.locks.writer.as_ref().and_then(|it| it.pid), Some(heir));
    let change = back.reach.change_from(gone.reach);
    assert!(
        matches!(change, Some(ReachChange::Back { gone_since, .. }) if gone_since == since),
        "{change:?}"
    );
    eventually("its holds are sampled there", || {
        let holds = sampled(&mut monitor).locks.write_holds?;
        holds.by_process.iter().any(|it| it.pid == Some(heir)).then_some(())
    });
}

fn pids_of(database: &Database) -> Vec<i32> {
    database.processes.iter().map(|it| it.pid).collect()
}

#[test]
fn a_container_named_by_a_process_is_not_followed_and_says_so() {
    let (home, name) = (Home::new(), name("by-pid"));
    let Some((container, actor, pid)) = holding(&home, "first", &name) else { return };
    let path = format!("/proc/{pid}/root{DATABASE}");
    let mut monitor = monitor(&home, &path);
    assert_eq!(pids_of(&sampled(&mut monitor)), [pid]);
    drop((container, actor));
    eventually("the container has ended", || gone_since(&sampled(&mut monitor)));
    let unseen = monitor.sample().snapshot.unseen.clone();
    assert!(unseen.iter().any(|it| it.why.contains("no other one takes the place of a PID")), "{unseen:?}");
}
