//! Whether no process has the database open: who has, what was left, and what cannot be seen.

mod actions;

use super::*;
use crate::{
    namespace::{ALONE, may_be_alone},
    python::Python,
};

const PURPOSES: [&str; 4] = ["copy", "vacuum", "convert", "restore"];

fn safe(home: &Home, purpose: &str) -> (Option<i32>, Value) {
    let said = home.run(&["safe", "notes.db", "--for", purpose, "--json"]);
    (said.code, said.json())
}

fn pids(report: &Value) -> Vec<Option<i64>> {
    report["processes"].as_array().expect("a list").iter().map(|it| it["pid"].as_i64()).collect()
}

/// That no process is reported: safe where all of them can be seen, as by root outside of a container, else unknown.
fn assert_unused(code: Option<i32>, report: &Value) {
    assert_eq!(pids(report), [], "{report}");
    let sees_all = report["unseen"].as_array().expect("a list").is_empty();
    let is_outside =
        fs::read_link("/proc/self/ns/pid").is_ok_and(|name| name.as_os_str() == "pid:[4026531836]");
    assert!(sees_all || !(is_root() && is_outside), "{report}");
    let (exit, verdict) = if sees_all { (0, "safe") } else { (2, "unknown") };
    assert_eq!((code, &report["verdict"]), (Some(exit), &verdict.into()), "{report}");
}

#[test]
fn a_database_that_no_process_has_open_is_safe_for_everything() {
    for home in [Home::with_wal(), Home::with_rollback()] {
        let before = Home::listing(&home.folder());
        for purpose in PURPOSES {
            let (code, report) = safe(&home, purpose);
            assert_unused(code, &report);
            assert_eq!((&report["for"], &report["left"]), (&purpose.into(), &Value::Array(Vec::new())));
        }
        assert_eq!(Home::listing(&home.folder()), before);
    }
}

#[test]
fn an_idle_connection_is_named_with_its_parent_and_forgotten_once_it_is_closed() {
    for home in [Home::with_wal(), Home::with_rollback()] {
        let mut idle = home.actor();
        // With a rollback journal an idle connection holds no lock.
        idle.sql("SELECT * FROM t");
        for purpose in PURPOSES {
            let (code, report) = safe(&home, purpose);
            assert_eq!((code, &report["verdict"]), (Some(1), &"in-use".into()), "{report}");
            assert_eq!(pids(&report), [Some(idle.pid().into())], "{report}");
            let process = &report["processes"][0];
            assert_eq!((&process["label"], &process["has_left"]), (&"waltop".into(), &false.into()));
            assert_eq!(process["parent"], std::process::id(), "{report}");
            assert_eq!(process["only_reads_files"], false, "{report}");
        }
        let said = home.run(&["safe", "notes.db", "--for", "vacuum"]);
        assert_eq!((said.code, said.err.as_str()), (Some(1), ""), "{said:?}");
        let first = format!("{}: not safe to vacuum: 1 process has it open\n", home.db().display());
        assert!(said.out.starts_with(&first), "{said:?}");
        assert!(said.out.contains(&format!("\n  {} (waltop), ", idle.pid())), "{said:?}");
        idle.close();
        let (code, report) = safe(&home, "vacuum");
        assert_unused(code, &report);
    }
}

#[test]
fn a_program_that_reads_the_files_is_named_as_one() {
    let home = Home::with_rollback();
    let file = fs::File::open(home.db()).expect("readable");
    let mut reader = Command::new("sleep").arg("600").stdin(file).spawn().expect("sleep starts");
    let (code, report) = safe(&home, "convert");
    reader.kill().and_then(|()| reader.wait()).expect("it ends");
    assert_eq!((code, pids(&report)), (Some(1), vec![Some(reader.id().into())]), "{report}");
    let (code, report) = safe(&home, "convert");
    assert_unused(code, &report);
}

#[test]
fn the_log_that_a_crash_left_is_named_with_what_it_means() {
    let home = Home::with_wal();
    let mut writer = home.actor();
    writer.sql("INSERT INTO t VALUES (2)");
    let (code, report) = safe(&home, "copy");
    assert_eq!((code, &report["left"]), (Some(1), &Value::Array(Vec::new())), "it is in use: {report}");
    writer.kill();
    let mut advice = Vec::new();
    for purpose in PURPOSES {
        let (code, report) = safe(&home, purpose);
        assert_unused(code, &report);
        let left = &report["left"][0];
        assert_eq!((&left["kind"], &left["frames"]), (&"log".into(), &1.into()), "{report}");
        assert_eq!(left["path"], home.at("notes.db-wal").to_str().expect("text"));
        advice.push(left["advice"].as_str().expect("text").to_owned());
    }
    advice.dedup();
    assert_eq!(advice.len(), 3, "for vacuum and convert it is the same: {advice:?}");
}

#[test]
fn a_hot_journal_is_named_and_not_touched() {
    let home = Home::with_rollback();
    let Some(mut writer) = Python::open(&home.db()) else { return };
    writer.sql("BEGIN");
    writer.run("db.executemany('INSERT INTO t VALUES (randomblob(500))', [()] * 4000)");
    writer.sql("COMMIT");
    writer.sql("PRAGMA cache_size = 5").sql("BEGIN").sql("UPDATE t SET x = randomblob(300)");
    writer.kill();
    let before = Home::listing(&home.folder());
    let (code, report) = safe(&home, "copy");
    assert_unused(code, &report);
    let copied = code;
    assert_eq!(report["left"][0]["kind"], "hot-journal", "{report}");
    // A connection would roll it back into a file that may have been restored since.
    let (code, report) = safe(&home, "vacuum");
    let expected = if copied == Some(0) { (Some(1), "left-files") } else { (copied, "unknown") };
    assert_eq!((code, report["verdict"].as_str()), (expected.0, Some(expected.1)), "{report}");
    assert_eq!(Home::listing(&home.folder()), before);
}

#[test]
fn a_restore_lists_the_files_that_belong_together() {
    let home = Home::with_wal();
    let mut user = home.actor();
    user.sql("INSERT INTO t VALUES (2)");
    let (_, report) = safe(&home, "restore");
    let names = ["notes.db", "notes.db-wal", "notes.db-shm"].map(|name| home.at(name));
    let names: Vec<&str> = names.iter().map(|path| path.to_str().expect("text")).collect();
    assert_eq!(report["files"], serde_json::json!(names), "{report}");
    let said = home.run(&["safe", "notes.db", "--for", "restore"]);
    let steps: Vec<&str> =
        said.out.lines().filter_map(|line| line.trim().split_once(". ")).map(|it| it.0).collect();
    assert_eq!(steps, ["1", "2", "3", "4"], "{said:?}");
    user.close();
    let (code, report) = safe(&home, "restore");
    assert_unused(code, &report);
    assert_eq!(report["files"], serde_json::json!(names[..1]), "{report}");
}

#[test]
fn who_has_a_deleted_database_open_is_named() {
    let home = Home::with_rollback();
    let mut user = home.actor();
    user.sql("SELECT * FROM t");
    fs::remove_file(home.db()).expect("removed");
    let (code, report) = safe(&home, "restore");
    assert_eq!((code, pids(&report)), (Some(1), vec![Some(user.pid().into())]), "{report}");
    assert_eq!(report["processes"][0]["deleted"].as_array().map(Vec::len), Some(1), "{report}");
    let said = home.run(&["safe", "notes.db", "--for", "restore"]);
    let (lost, stop) = (said.out.find("--pid"), said.out.find("stop them"));
    assert!(lost.is_some() && lost < stop, "the only copy of the data is saved before it ends: {said:?}");
    user.close();
    assert!(home.run(&["safe", "notes.db", "--for", "restore"]).refusal().contains("no such file"));
}

#[test]
fn in_a_pid_namespace_the_absence_of_processes_proves_nothing() {
    if !may_be_alone() {
        return;
    }
    let alone = |home: &Home| {
        let output = home
            .command(Path::new(ALONE[0]))
            .args(&ALONE[1..])
            .args([WALTOP, "safe", "notes.db", "--for", "vacuum", "--json"])
            .output()
            .expect("it starts");
        let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert!(report["unseen"].as_array().is_some_and(|it| !it.is_empty()), "{report}");
        (output.status.code(), pids(&report))
    };
    for (home, seen) in
        [(Home::with_wal(), (Some(1), vec![None])), (Home::with_rollback(), (Some(2), vec![]))]
    {
        let mut idle = home.actor();
        idle.sql("SELECT * FROM t");
        assert_eq!(alone(&home), seen, "with a log its lock is seen");
        idle.close();
        assert_eq!(alone(&home), (Some(2), vec![]));
    }
}

#[test]
fn a_user_who_cannot_see_other_users_processes_gets_no_answer() {
    let home = Home::with_rollback();
    let user = home.user_without_privileges();
    if user == User::Myself {
        // Which processes run beside this test is not known.
        return;
    }
    let said = home.run_as(user, &["safe", "notes.db", "--for", "vacuum", "--json"]);
    let report = said.json();
    assert_eq!((said.code, pids(&report)), (Some(2), vec![]), "{report}");
    let said = home.run_as(user, &["safe", "notes.db", "--for", "vacuum"]);
    assert!(said.out.contains("\n  not seen: ") && said.code == Some(2), "{said:?}");
}
