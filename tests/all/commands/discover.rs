//! The open databases of this machine, and those in containers.

use rustix::process::{Pid, Signal, kill_process};
use waltop::{
    act::signal::{ExpectedProgram, PinnedProcess, SignalTarget, StopSignal},
    config::Config,
    observe::Observer,
    sampler::Monitor,
    snapshot::PathReach,
    state::places::Places,
};

use super::*;
use crate::{
    namespace::{ALONE, Container, may_be_alone},
    support::eventually,
};

/// The row of the database whose field `field` is `value`.
fn row<'a>(report: &'a Value, field: &str, value: &str) -> Option<&'a Value> {
    report["databases"].as_array().expect("rows").iter().find(|row| row[field] == value)
}

fn pids(row: &Value) -> Vec<i64> {
    let processes = row["processes"].as_array().expect("processes");
    processes.iter().map(|process| process["pid"].as_i64().expect("a PID")).collect()
}

fn holds(row: &Value, pid: i32) -> Vec<&str> {
    let processes = row["processes"].as_array().expect("processes");
    let process = processes.iter().find(|process| process["pid"] == pid).expect("it is listed");
    process["holds"].as_array().expect("locks").iter().map(|it| it.as_str().expect("text")).collect()
}

#[test]
fn each_open_database_is_listed_with_its_processes_and_their_locks() {
    let (log, rollback) = (Home::with_wal(), Home::with_rollback());
    let (mut writer, mut idle) = (log.actor(), rollback.actor());
    writer.sql("INSERT INTO t VALUES (2)").sql("BEGIN IMMEDIATE");
    idle.sql("SELECT * FROM t");
    let report = log.json(&["discover", "--json"]);
    assert_eq!(report["exit"], 0);
    let found = row(&report, "path", &log.db().to_string_lossy()).expect("it is open");
    assert_eq!((&found["journal_mode"], &found["argument"]), (&"wal".into(), &found["path"]));
    assert_eq!(pids(found), [i64::from(writer.pid())]);
    assert!(holds(found, writer.pid()).contains(&"write"));
    assert_eq!(found["writer"]["pid"], writer.pid());
    let found = row(&report, "path", &rollback.db().to_string_lossy()).expect("it is open");
    assert_eq!((&found["journal_mode"], pids(found)), (&"rollback".into(), vec![i64::from(idle.pid())]));
    assert!(holds(found, idle.pid()).is_empty() && found["wal_bytes"].is_null());
    idle.close();
    let report = rollback.json(&["discover", "--json"]);
    assert!(row(&report, "path", &rollback.db().to_string_lossy()).is_none(), "it is closed");
    assert!(row(&report, "path", &log.db().to_string_lossy()).is_some());
}

#[test]
fn where_nothing_is_open_one_line_says_so() {
    if !may_be_alone() {
        return;
    }
    let home = Home::with_wal();
    let discover = |options: &[&str]| {
        let mut command = home.command(Path::new(ALONE[0]));
        let output = command.args(&ALONE[1..]).arg(WALTOP).arg("discover").args(options).output();
        let output = output.expect("it starts");
        (output.status.code(), String::from_utf8(output.stdout).expect("text"))
    };
    let (code, text) = discover(&[]);
    assert_eq!(code, Some(1), "{text}");
    // The other says what waltop cannot see from in there.
    assert_eq!(text.lines().filter(|line| !line.starts_with("not seen: ")).count(), 1, "{text}");
    let (code, text) = discover(&["--json"]);
    let report: Value = serde_json::from_str(&text).expect("JSON");
    assert_keeps_to_its_schema(&["discover", "--json"], &report);
    assert_eq!((code, report["databases"].as_array().map(Vec::len)), (Some(1), Some(0)));
}

/// Two containers with an actor each on `/data/app.db`: name, actor and PID.
fn two_containers(home: &Home, test: &str) -> Option<[(Container, String, Actor, i32); 2]> {
    let made = [1, 2].map(|number| {
        let name = format!("{test}-{}-{number}", std::process::id());
        let folder = home.at(&name);
        fs::create_dir(&folder).expect("a folder");
        let container = Container::new(&folder, &name)?;
        let (mut actor, pid) = container.actor("/data/app.db");
        actor.sql("PRAGMA journal_mode = wal").sql("CREATE TABLE t(x)").sql("BEGIN IMMEDIATE");
        Some((container, name, actor, pid))
    });
    let [one, two] = made;
    Some([one?, two?])
}

#[test]
fn databases_of_two_containers_have_their_processes_by_both_numbers() {
    let home = Home::new();
    let Some(containers) = two_containers(&home, "listed") else { return };
    let report = home.json(&["discover", "--json"]);
    for (container, name, _, pid) in &containers {
        let rows = report["databases"].as_array().expect("rows").iter();
        let found: Vec<_> = rows.filter(|row| row["group"]["name"] == **name).collect();
        assert_eq!(found.len(), 1, "{name}: {report}");
        let found = found[0];
        assert_eq!(found["inner_path"], "/data/app.db");
        assert_eq!(pids(found), [i64::from(*pid)]);
        assert!(holds(found, *pid).contains(&"write"), "{found}");
        let inner = found["processes"][0]["inner_pid"].as_i64().expect("a PID of its own");
        assert!(inner > 1 && inner != i64::from(*pid), "{inner}");
        let argument = found["argument"].as_str().expect("text");
        for argument in
            [argument, &format!("{name}:/data/app.db"), &format!("{}:/data/app.db", container.init)]
        {
            let status = home.json(&["status", "--json", argument]);
            let database = &status["databases"][0];
            assert_eq!(
                (pids(database), &database["reach"]["kind"]),
                (vec![i64::from(*pid)], &"through-process".into())
            );
            assert_eq!(database["processes"][0]["inner_pid"], inner);
        }
        let said = home.run(&["checkpoint", argument]);
        assert!(said.refusal().contains("run waltop there"), "{said:?}");
    }
    let said = home.run(&["status", &format!("{}:/data/none.db", containers[0].1)]);
    assert!(said.refusal().contains("waltop discover"), "{said:?}");
}

#[test]
fn a_signal_reaches_the_process_of_its_container_and_another_process_takes_its_place() {
    let home = Home::new();
    let Some([(container, name, mut first, pid), (other, _, mut stranger, _)]) =
        two_containers(&home, "ended")
    else {
        return;
    };
    first.sql("COMMIT");
    let (mut second, heir) = container.actor("/data/app.db");
    second.sql("SELECT * FROM t");
    let places = Places::under(&home.root());
    let report = home.json(&["status", "--json", &format!("{pid}:/data/app.db")]);
    let path = PathBuf::from(report["databases"][0]["path"].as_str().expect("text"));
    assert!(path.starts_with(format!("/proc/{pid}/root")), "{name}: {}", path.display());
    let config = Config::new(places.clone());
    let permit = config.permit().expect("it is not read-only");
    let mut monitor = Monitor::new(Observer::new(&places, vec![path]), config);
    let sample = monitor.sample();
    let process = sample.snapshot.databases[0].process(pid).expect("it is listed");
    let meant = SignalTarget { pid, start_ticks: process.start_ticks.expect("its start") };
    let wrong = SignalTarget { start_ticks: meant.start_ticks + 1, ..meant };
    let pin = |meant| PinnedProcess::open(meant, ExpectedProgram::AsPinned, Path::new("/proc"));
    assert!(pin(wrong).is_err(), "another start is another process");
    pin(meant).expect("it lives").send(permit, StopSignal::Kill).expect("sent");
    let reach = |monitor: &mut Monitor| monitor.sample().snapshot.databases[0].reach;
    eventually("another process takes its place", || {
        let now = reach(&mut monitor);
        matches!(now, PathReach::ThroughProcess { pid: now, has_ended: false, .. } if now != pid)
            .then_some(())
    });
    let database = monitor.sample().snapshot.databases[0].clone();
    assert_eq!(database.processes.iter().map(|it| it.pid).collect::<Vec<_>>(), [heir]);
    stranger.sql("COMMIT");
    // With the first process of its PID namespace the whole container ends.
    kill_process(Pid::from_raw(container.init).expect("a PID"), Signal::KILL).expect("sent");
    eventually("the container has ended", || {
        matches!(reach(&mut monitor), PathReach::ThroughProcess { has_ended: true, .. }).then_some(())
    });
    let sample = monitor.sample();
    assert!(sample.snapshot.databases[0].processes.is_empty() && !sample.snapshot.unseen.is_empty());
    drop(other);
}

#[test]
fn a_container_that_is_not_there_is_refused_by_name() {
    let home = Home::with_wal();
    for command in [&["status"][..], &["check"], &["checkpoint"], &["who", "--at", "12:00"]] {
        let args: Vec<&str> = command.iter().copied().chain(["nowhere-at-all:/data/app.db"]).collect();
        let said = home.run(&args);
        let line = said.refusal();
        assert!(line.contains("nowhere-at-all") && line.contains("waltop discover"), "{args:?}: {line}");
    }
    let own = format!("{}:{}", std::process::id(), home.db().display());
    let status = home.json(&["status", "--json", &own]);
    assert_eq!(status["databases"][0]["path"], *home.db().to_string_lossy(), "an ordinary path leads there");
    fs::create_dir(home.at("web:")).expect("a folder");
    fs::copy(home.db(), home.at("web:/app.db")).expect("copied");
    let status = home.json(&["status", "--json", "web:/app.db"]);
    assert_eq!(status["databases"][0]["path"], *home.at("web:/app.db").to_string_lossy(), "a file wins");
}
