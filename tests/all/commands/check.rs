//! What is wrong, by exit code: each situation beside a healthy twin of the same set-up.

use rustix::process::{Pid, Signal, kill_process};

use super::*;

/// More frames than the profile lets wait, in one commit.
const LARGE: &str = "INSERT INTO t VALUES (zeroblob(6000000))";

/// A reader, and a writer that moves nothing by itself and whose last commit comes at the time given.
fn reader_and_writer(home: &Home, commit: When) -> (Actor, Actor) {
    let (mut reader, mut writer) = (home.actor(), home.actor());
    writer.sql("PRAGMA wal_autocheckpoint = 0").sql("INSERT INTO t VALUES (2)");
    if commit == When::BeforeReading {
        writer.sql(LARGE);
    }
    reader.sql("BEGIN").sql("SELECT * FROM t");
    if commit == When::WhileReading {
        writer.sql(LARGE);
    }
    (reader, writer)
}

/// Whether the reader is in the way of the last commit.
#[derive(Clone, Copy, PartialEq, Eq)]
enum When {
    BeforeReading,
    WhileReading,
}

/// Lets everything that a look has seen held be seen two minutes earlier.
fn two_minutes_pass(home: &Home) {
    let path = home.root().join("state/waltop/first-seen.json");
    let mut kept: Value = serde_json::from_slice(&fs::read(&path).expect("kept")).expect("JSON");
    for seen in kept["seen"].as_array_mut().expect("a list") {
        let at: jiff::Timestamp = seen["at"].as_str().expect("text").parse().expect("a time");
        seen["at"] = (at - jiff::SignedDuration::from_mins(2)).to_string().into();
    }
    fs::write(&path, kept.to_string()).expect("written");
}

/// Name and PID of what was found in the only database.
fn found(report: &Value) -> Vec<(&str, Option<i64>)> {
    assert_eq!(report["databases"].as_array().map(Vec::len), Some(1), "{report}");
    let findings = report["databases"][0]["findings"].as_array().expect("findings");
    findings.iter().map(|it| (it["name"].as_str().expect("a name"), it["pid"].as_i64())).collect()
}

#[test]
fn a_pinned_log_fails_by_name_and_pid_and_its_healthy_twin_does_not() {
    let (home, twin) = (Home::with_wal(), Home::with_wal());
    let (reader, _writer) = reader_and_writer(&home, When::WhileReading);
    let (_other_reader, _other_writer) = reader_and_writer(&twin, When::BeforeReading);
    for home in [&home, &twin] {
        let said = home.run(&["check", "notes.db"]);
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "it has not lasted long: {said:?}");
        two_minutes_pass(home);
    }
    let said = home.run(&["check", "notes.db"]);
    assert_eq!((said.code, said.err.as_str()), (Some(1), ""), "{said:?}");
    let mut lines = said.out.lines();
    let head = format!("{}: 1 warning", home.db().display());
    assert!(lines.next().is_some_and(|line| line.starts_with(&head)), "{said:?}");
    let line = lines.next().expect("a line").trim_start();
    assert!(line.starts_with(&format!("warning  pinned-wal: {} (", reader.pid())), "{said:?}");
    let remedy = format!("remedy: kill -TERM {} (in the console: x)", reader.pid());
    assert_eq!(lines.next().map(str::trim_start), Some(&*remedy));
    let report = home.run(&["check", "notes.db", "--json"]);
    assert_eq!(report.code, Some(1));
    assert!(found(&report.json()).contains(&("pinned-wal", Some(reader.pid().into()))), "{report:?}");

    let said = twin.run(&["check", "notes.db"]);
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{said:?}");
    assert!(said.out.starts_with(&format!("{}: nothing wrong", twin.db().display())), "{said:?}");
}

#[test]
fn a_warning_counts_unless_only_errors_do() {
    let home = Home::with_rollback();
    let (mut one, mut other) = (home.actor(), home.actor());
    one.sql("SELECT * FROM t");
    other.sql("SELECT * FROM t");
    let strict = home.run(&["check", "notes.db"]);
    assert_eq!(strict.code, Some(1), "{strict:?}");
    assert!(strict.out.contains("\n  warning  rollback-journal: notes.db uses"), "{strict:?}");
    let lenient = home.run(&["check", "notes.db", "--fail-on", "error"]);
    assert_eq!((lenient.code, lenient.err.as_str()), (Some(0), ""), "{lenient:?}");
    assert!(lenient.out.starts_with(&format!("{}: no error", home.db().display())), "{lenient:?}");
    assert!(lenient.out.contains("\n  warning  rollback-journal: "), "it is shown: {lenient:?}");
    for (level, verdict, exit) in [("warning", "findings", 1), ("error", "fine", 0)] {
        let said = home.run(&["check", "notes.db", "--fail-on", level, "--json"]);
        let report = said.json();
        assert_eq!(said.code, Some(exit), "{said:?}");
        assert_eq!((&report["fail_on"], &report["verdict"]), (&level.into(), &verdict.into()));
        assert_eq!(report["exit"], exit);
        assert!(found(&report).contains(&("rollback-journal", None)), "{report}");
    }
}

#[test]
fn an_error_counts_always() {
    let home = Home::with_wal();
    let mut holder = home.actor();
    holder.sql("BEGIN IMMEDIATE");
    let pid = Pid::from_raw(holder.pid()).expect("a PID");
    kill_process(pid, Signal::STOP).expect("it lives");
    let stopped = || {
        let report = home.run(&["check", "notes.db", "--fail-on", "error", "--json"]);
        let is_found = found(&report.json()).contains(&("stopped-holder", Some(holder.pid().into())));
        assert_eq!(report.code, Some(i32::from(is_found)), "{report:?}");
        is_found.then_some(())
    };
    crate::support::eventually("it is seen stopped", stopped);
}

#[test]
fn several_databases_have_a_line_each() {
    let home = Home::with_wal();
    let mut maker = Actor::open(&home.at("queue.db"));
    maker.sql("CREATE TABLE t(x)");
    let mut other = Actor::open(&home.at("queue.db"));
    other.sql("SELECT * FROM t");
    maker.sql("SELECT * FROM t");
    let said = home.run(&["check", "notes.db", "queue.db", "--profile", "hardened"]);
    assert_eq!((said.code, said.err.as_str()), (Some(1), ""), "{said:?}");
    assert!(said.out.starts_with(&format!("{}: nothing wrong", home.db().display())), "{said:?}");
    let heading = format!("\n{}: 1 warning", home.at("queue.db").display());
    assert!(said.out.contains(&heading) && said.out.contains("\n  warning  rollback-journal: "), "{said:?}");
    let report = home.json(&["check", "queue.db", "notes.db", "--json"]);
    for (at, path) in [home.at("queue.db"), home.db()].iter().enumerate() {
        assert_eq!(report["databases"][at]["path"], path.to_str().expect("text"));
    }
}

#[test]
fn what_cannot_be_looked_at_is_no_pass() {
    let home = Home::with_wal();
    let said = home.run(&["check", "missing.db"]);
    assert!(said.refusal().starts_with("no such file: missing.db;"), "{said:?}");
    let said = home.run(&["check", "missing.db", "also-missing.db"]);
    assert!(said.refusal().starts_with("no such file: missing.db;"), "{said:?}");
}

#[test]
fn of_several_databases_one_that_is_missing_keeps_nothing_of_the_others_back() {
    let home = Home::with_rollback();
    let (mut one, mut other) = (home.actor(), home.actor());
    one.sql("SELECT * FROM t");
    other.sql("SELECT * FROM t");
    fs::write(home.at("text.db"), "# Notes\n").expect("written");
    let complaint = |said: &Said| {
        let line = format!(
            "waltop: 2 of 3 databases could not be sampled: no such file: {}; name a SQLite database that exists\n",
            home.at("missing.db").display()
        );
        assert_eq!((said.code, &said.err), (Some(2), &line), "{said:?}");
    };
    let names = ["missing.db", "notes.db", "text.db"];
    let said = home.run(&[&["check"][..], &names].concat());
    complaint(&said);
    let heading = format!("{}: not sampled: no such file: ", home.at("missing.db").display());
    assert!(said.out.starts_with(&heading), "{said:?}");
    assert!(said.out.contains("\n  warning  rollback-journal: "), "{said:?}");
    assert!(said.out.contains("text.db: not sampled: ") && said.out.contains("not a SQLite"), "{said:?}");

    for (level, verdict) in [("warning", "findings"), ("error", "unknown")] {
        let said = home.run(&[&["check", "--json", "--fail-on", level][..], &names].concat());
        complaint(&said);
        let report: Value = serde_json::from_str(&said.out).expect("JSON");
        assert_eq!((&report["verdict"], &report["exit"]), (&verdict.into(), &2.into()));
        let unfit = |at: usize| report["databases"][at]["unfit"].as_str();
        assert!(unfit(0).is_some() && unfit(1).is_none() && unfit(2).is_some(), "{report}");
    }
    for option in [&[][..], &["--json"]] {
        let said = home.run(&[&["status"][..], option, &names].concat());
        complaint(&said);
        assert!(said.out.contains(&one.pid().to_string()), "{said:?}");
    }
}

#[test]
fn a_hold_while_it_watches_is_found() {
    let home = Home::with_wal();
    let mut writer = home.actor();
    writer.sql("BEGIN IMMEDIATE");
    let said = home.run(&["check", "notes.db", "--for", "200ms"]);
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "too short to matter: {said:?}");
    two_minutes_pass(&home);
    let said = home.run(&["check", "notes.db", "--for", "200ms"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    let line = format!("\n  error    long-write-lock: {} (", writer.pid());
    assert!(said.out.contains(&line), "{said:?}");
    assert!(said.out.contains("\nlocks sampled for 200 ms, so "), "it says what it watched: {said:?}");
}

#[test]
fn a_check_of_the_same_prints_the_same_and_leaves_no_trace() {
    let home = Home::with_rollback();
    let (mut one, mut other) = (home.actor(), home.actor());
    one.sql("SELECT * FROM t");
    other.sql("SELECT * FROM t");
    let before = Home::listing(&home.folder());
    let first = home.run(&["check", "notes.db", "--json"]);
    let second = home.run(&["check", "notes.db", "--json"]);
    // Of other users' processes there may be more or fewer.
    assert_eq!(first.json()["databases"], second.json()["databases"]);
    assert_eq!(Home::listing(&home.folder()), before);
}
