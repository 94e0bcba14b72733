//! A signal to one process by its PID and start: the right one ends, and no other one gets it.

use super::*;
use crate::terminal::Terminal;

fn start_of(home: &Home, pid: i32) -> u64 {
    let status = home.json(&["status", "notes.db", "--json"]);
    let processes = status["databases"][0]["processes"].as_array().expect("a list").clone();
    let process = processes.into_iter().find(|it| it["pid"] == pid).expect("it has it open");
    process["start_ticks"].as_u64().expect("a start")
}

#[test]
fn a_process_ends_and_the_one_beside_it_goes_on() {
    let home = Home::with_wal();
    let (mut meant, mut other) = (home.actor(), home.actor());
    meant.sql("SELECT * FROM t");
    other.sql("SELECT * FROM t");
    let (pid, start) = (meant.pid(), start_of(&home, meant.pid()).to_string());
    let args = ["stop", "notes.db", "--pid", &pid.to_string(), "--started", &start, "--yes", "--json"];
    let report = home.json(&args);
    assert_eq!((&report["outcome"], &report["signal"]), (&"gone".into(), &"TERM".into()));
    assert_eq!((&report["pid"], &report["started"].to_string()), (&pid.into(), &start));
    assert!(report["restart"]["words"][0].as_str().is_some_and(|it| it.ends_with("waltop")), "{report}");
    assert_eq!(other.try_sql("SELECT 1"), "ok");
}

#[test]
fn another_start_or_a_process_without_the_database_gets_no_signal() {
    let home = Home::with_wal();
    let mut holder = home.actor();
    holder.sql("SELECT * FROM t");
    let pid = holder.pid().to_string();
    let start = (start_of(&home, holder.pid()) + 1).to_string();
    let stranger = Actor::open(&home.at("other.db"));
    let strange = stranger.pid().to_string();
    for (args, why) in [
        (&["stop", "notes.db", "--pid", &pid, "--started", &start, "--yes"][..], "another process now"),
        (&["stop", "notes.db", "--pid", &strange, "--yes"], "does not have the database open"),
        (&["stop", "notes.db", "--pid", &pid], "give --yes"),
        (&["stop", "notes.db", "--pid", "nobody", "--yes"], "PID"),
    ] {
        let said = home.run(args);
        assert!(said.refusal().contains(why), "{args:?}: {said:?}");
    }
    home.set("readonly = true");
    assert!(home.run(&["stop", "notes.db", "--pid", &pid, "--yes"]).refusal().contains("read-only"));
    assert_eq!(holder.try_sql("SELECT 1"), "ok");
}

#[test]
fn it_asks_before_the_signal() {
    let home = Home::with_wal();
    let mut holder = home.actor();
    holder.sql("SELECT * FROM t");
    let (pid, db) = (holder.pid().to_string(), home.db());
    let args = ["stop", db.to_str().expect("a path"), "--pid", &pid];
    let mut terminal = Terminal::open(&home.root(), &args, (120, 40));
    terminal.shows("send TERM to");
    terminal.keys("n\n");
    assert_eq!(terminal.end(), 1);
    assert_eq!(holder.try_sql("SELECT 1"), "ok");
    let mut terminal = Terminal::open(&home.root(), &args, (120, 40));
    terminal.shows("send TERM to");
    terminal.keys("y\n");
    terminal.shows("has ended after TERM");
    assert_eq!(terminal.end(), 0);
}
