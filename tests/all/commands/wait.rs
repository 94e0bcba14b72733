//! Waiting for a free lock or a moved log: the states, who is in the way, and that nothing is touched.

use rustix::process::{Pid, Signal, kill_process};

use super::*;
use crate::{
    namespace::{ALONE, may_be_alone},
    support::eventually,
};

/// The time is over at once, and only a free lock is looked at twice.
const NOW: &str = "1ms";

fn now(home: &Home, until: &str) -> (Option<i32>, Value) {
    let said = home.run(&["wait", "notes.db", "--until", until, "--timeout", NOW, "--json"]);
    (said.code, said.json())
}

fn pids(report: &Value) -> Vec<Option<i64>> {
    report["blocked_by"].as_array().expect("a list").iter().map(|it| it["pid"].as_i64()).collect()
}

/// A wait in the background, which has taken over its signals.
fn waiting(home: &Home, until: &str) -> std::process::Child {
    let child = home
        .command(Path::new(WALTOP))
        .args(["wait", "notes.db", "--until", until, "--timeout", "10m", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let status = format!("/proc/{}/status", child.id());
    eventually("it handles INT", || {
        let text = fs::read_to_string(&status).ok()?;
        let caught = text.lines().find_map(|line| line.strip_prefix("SigCgt:"))?;
        let caught = u64::from_str_radix(caught.trim(), 16).expect("a mask");
        (caught & (1 << (Signal::INT.as_raw() - 1)) != 0).then_some(())
    });
    child
}

#[test]
fn a_lock_that_no_process_holds_is_free_whatever_is_read() {
    for home in [Home::with_wal(), Home::with_rollback()] {
        let (mut idle, mut reader) = (home.actor(), home.actor());
        idle.sql("SELECT * FROM t");
        reader.sql("BEGIN").sql("SELECT * FROM t");
        let before = Home::listing(&home.folder());
        let (code, report) = now(&home, "free");
        assert_eq!((code, &report["outcome"]), (Some(0), &"reached".into()), "{report}");
        assert!(report["waited_ms"].as_f64() >= Some(250.0), "two samples: {report}");
        assert_eq!((&report["frames_waiting"], pids(&report)), (&Value::Null, Vec::new()));
        let said = home.run(&["wait", "notes.db", "--until", "FREE"]);
        assert_eq!((said.code, said.err.as_str(), said.out.lines().count()), (Some(0), "", 1), "{said:?}");
        assert!(said.out.starts_with(&format!("{}: free after ", home.db().display())), "{said:?}");
        assert_eq!(Home::listing(&home.folder()), before);
    }
}

#[test]
fn the_holder_of_the_lock_is_named_when_the_time_is_over() {
    for home in [Home::with_wal(), Home::with_rollback()] {
        let mut holder = home.actor();
        holder.sql("BEGIN IMMEDIATE");
        let (code, report) = now(&home, "free");
        assert_eq!((code, &report["outcome"]), (Some(1), &"timeout".into()), "{report}");
        assert_eq!(pids(&report), [Some(holder.pid().into())], "{report}");
        let said = home.run(&["wait", "notes.db", "--until", "free", "--timeout", NOW]);
        assert_eq!((said.code, said.err.as_str(), said.out.lines().count()), (Some(1), "", 1), "{said:?}");
        let named = format!(": {} (waltop) holds the write lock", holder.pid());
        assert!(said.out.contains(": not free after ") && said.out.contains(&named), "{said:?}");
    }
}

#[test]
fn it_ends_once_the_lock_is_released() {
    let home = Home::with_wal();
    let mut holder = home.actor();
    holder.sql("BEGIN IMMEDIATE");
    let waiting = waiting(&home, "free");
    holder.sql("COMMIT");
    let output = waiting.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

#[test]
fn a_reader_that_pins_the_log_is_named_until_all_of_it_is_moved() {
    let home = Home::with_wal();
    let (mut writer, mut reader) = (home.actor(), home.actor());
    writer.sql("PRAGMA wal_autocheckpoint = 0").sql("INSERT INTO t VALUES (2)");
    reader.sql("BEGIN").sql("SELECT * FROM t");
    writer.sql("INSERT INTO t VALUES (3)").sql("INSERT INTO t VALUES (4)").sql("PRAGMA wal_checkpoint");
    let (code, report) = now(&home, "checkpointed");
    assert_eq!((code, &report["frames_waiting"]), (Some(1), &2.into()), "{report}");
    assert_eq!(pids(&report), [Some(reader.pid().into())], "{report}");

    let waiting = waiting(&home, "checkpointed");
    reader.sql("COMMIT");
    let (code, report) = now(&home, "checkpointed");
    assert_eq!((code, &report["frames_waiting"], pids(&report)), (Some(1), &2.into(), Vec::new()));
    writer.sql("PRAGMA wal_checkpoint");
    let output = waiting.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let (code, report) = now(&home, "checkpointed");
    assert_eq!((code, &report["frames_waiting"]), (Some(0), &0.into()), "{report}");
}

#[test]
fn what_a_crash_left_waits_and_no_log_is_a_moved_one() {
    let home = Home::with_wal();
    assert!(!home.at("notes.db-wal").exists());
    assert_eq!(now(&home, "checkpointed").0, Some(0));
    assert_eq!(now(&Home::with_rollback(), "checkpointed").0, Some(0));
    let mut writer = home.actor();
    writer.sql("INSERT INTO t VALUES (2)");
    writer.kill();
    let (code, report) = now(&home, "checkpointed");
    assert_eq!(
        (code, &report["frames_waiting"], pids(&report)),
        (Some(1), &1.into(), Vec::new()),
        "{report}"
    );
    assert_eq!(now(&home, "free").0, Some(0));
}

#[test]
fn beside_a_process_with_the_index_in_its_memory_it_is_not_known_what_is_moved() {
    let home = Home::with_wal();
    let mut holder = home.actor();
    holder.sql("PRAGMA locking_mode = exclusive").sql("INSERT INTO t VALUES (2)");
    let (code, report) = now(&home, "free");
    assert_eq!((code, pids(&report)), (Some(1), vec![Some(holder.pid().into())]), "{report}");
    let (code, report) = now(&home, "checkpointed");
    assert_eq!((code, &report["outcome"]), (Some(2), &"unknown".into()), "{report}");
    assert_eq!(report["unseen"].as_array().map(Vec::len), Some(1), "{report}");
}

#[test]
fn a_signal_ends_it_without_a_result() {
    let home = Home::with_wal();
    let mut holder = home.actor();
    holder.sql("BEGIN IMMEDIATE");
    let waiting = waiting(&home, "free");
    let pid = i32::try_from(waiting.id()).expect("a PID fits");
    kill_process(Pid::from_raw(pid).expect("a PID"), Signal::INT).expect("it lives");
    let output = waiting.wait_with_output().expect("it ends");
    assert_eq!((output.status.code(), output.stdout.len()), (Some(130), 0), "{output:?}");
    let told = format!("waltop: stopped before {} was seen to be free\n", home.db().display());
    assert_eq!(String::from_utf8_lossy(&output.stderr), told);
}

#[test]
fn a_database_that_goes_away_meanwhile_is_an_error() {
    let home = Home::with_rollback();
    let mut holder = home.actor();
    holder.sql("BEGIN IMMEDIATE");
    let waiting = waiting(&home, "free");
    fs::remove_file(home.db()).expect("removed");
    let output = waiting.wait_with_output().expect("it ends");
    assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("no such file"), "{output:?}");
}

#[test]
fn a_holder_outside_of_the_pid_namespace_is_in_the_way() {
    if !may_be_alone() {
        return;
    }
    let home = Home::with_wal();
    let mut holder = home.actor();
    let alone = || {
        let output = home
            .command(Path::new(ALONE[0]))
            .args(&ALONE[1..])
            .args([WALTOP, "wait", "notes.db", "--until", "free", "--timeout", NOW, "--json"])
            .output()
            .expect("it starts");
        (output.status.code(), serde_json::from_slice::<Value>(&output.stdout).expect("JSON"))
    };
    holder.sql("BEGIN IMMEDIATE");
    let (code, report) = alone();
    assert_eq!((code, pids(&report)), (Some(1), vec![None]), "{report}");
    holder.sql("COMMIT");
    assert_eq!(alone().0, Some(0));
}
