//! What the console shows of its hosts, without a link.

use jiff::Timestamp;
use waltop::{
    act::Effect,
    console::app::{Notice, RemoteNotice},
    hosts::{HostTime, LinkFailure, LinkState, LostLink, WatchedHost, WatchedHosts},
    sampler::Sample,
    snapshot::Database,
};

use super::USUAL;
use crate::stage::{Stage, contended, look, now};

fn host(name: &str, there: Timestamp) -> WatchedHost {
    let newest = Some(HostTime { there, here: now() });
    WatchedHost { name: name.into(), link: LinkState::Live, connection: 1, newest }
}

fn lost(host: WatchedHost) -> WatchedHost {
    let why = LinkFailure::Refused { host: host.name.to_string() };
    WatchedHost { link: LinkState::Lost(LostLink { since: now(), why, retry_at: None }), ..host }
}

fn named(path: &str) -> Database {
    Database { path: path.into(), ..contended() }
}

/// A sample with a database on each of `hosts`.
fn sample(hosts: Vec<WatchedHost>) -> Sample {
    let databases = hosts.iter().map(|host| named(&format!("{}:/srv/notes.db", host.name))).collect();
    let of_database = (0..hosts.len()).collect();
    Sample { hosts: Some(WatchedHosts { hosts: hosts.into(), of_database }), ..look(databases) }
}

#[test]
fn without_a_link_nothing_is_said_of_the_locks_and_nothing_is_done() {
    let live = Stage::of_hosts(sample(vec![host("web1", now())]), USUAL);
    assert!(live.screen().contains("web1 notes.db") && live.screen().contains("writer"), "{}", live.screen());
    let mut stage = Stage::of_hosts(sample(vec![lost(host("web1", now()))]), USUAL);
    let screen = stage.screen();
    assert!(screen.contains("link lost 14:03:22") && screen.contains("No link to web1"), "{screen}");
    assert!(!screen.contains("71201"), "the last sample is past: {screen}");
    for key in ["x", "X", "c", "H"] {
        let effects = stage.keys(key);
        assert!(
            !effects.iter().any(|it| matches!(it, Effect::Pin(_) | Effect::Act(_))),
            "{key}: {effects:?}"
        );
        let notice = Notice::Remote(RemoteNotice::NoLink { host: "web1".into() });
        assert_eq!(stage.app.notice(), Some(&notice), "{key}");
    }
}

#[test]
fn what_needs_the_files_of_the_host_is_done_there() {
    let mut stage = Stage::of_hosts(sample(vec![host("web1", now())]), USUAL);
    for key in ["f", "S", "R", "r", "+"] {
        let effects = stage.keys(key);
        assert!(effects.iter().all(|it| matches!(it, Effect::Note(..))), "{key}: {effects:?}");
        assert!(matches!(stage.app.notice(), Some(Notice::Remote(_))), "{key}");
    }
}

#[test]
fn the_time_on_the_screen_is_that_of_the_host() {
    let hour = std::time::Duration::from_hours(1);
    for (there, shown) in [(now() + hour, "15:03:22"), (now() - hour, "13:03:22")] {
        let stage = Stage::of_hosts(sample(vec![host("web1", there)]), USUAL);
        assert!(stage.screen().lines().next().is_some_and(|line| line.contains(shown)), "{}", stage.screen());
    }
}

#[test]
fn the_overview_has_a_column_of_hosts_and_the_worst_comes_first() {
    let hosts = vec![host("web1", now()), lost(host("database.example.org", now()))];
    let mut stage = Stage::of_hosts(sample(hosts), USUAL);
    stage.keys("o");
    let screen = stage.screen();
    let row = |name: &str| screen.lines().position(|line| line.contains(name) && line.contains("notes.db"));
    let [lost, live] = ["database.example.org  ", "web1                  "].map(row);
    assert!(lost.is_some() && lost < live, "{screen}");
    assert!(screen.contains("link lost 14:03:22"), "{screen}");
}

#[test]
fn a_new_connection_ends_no_finding_of_the_one_before() {
    let mut stage = Stage::of_hosts(sample(vec![host("web1", now())]), USUAL);
    assert!(!stage.app.finding_rows().is_empty());
    let calm = |connection| {
        let mut look = sample(vec![WatchedHost { connection, ..host("web1", now()) }]);
        look.snapshot.databases[0].findings.clear();
        look
    };
    stage.look(calm(2));
    assert!(stage.app.finding_rows().is_empty(), "what happened in between is not known");
    let mut stage = Stage::of_hosts(sample(vec![host("web1", now())]), USUAL);
    stage.look(calm(1));
    assert!(!stage.app.finding_rows().is_empty(), "in one connection it is known to have ended");
}
