//! What `waltop safe` does beside the answer: a copy, and a command that runs while nobody has the database open.

use std::process::Child;

use rusqlite::Connection;

use super::*;
use crate::support::eventually;

fn text_of(path: &Path, sql: &str) -> String {
    let connection = Connection::open(path).expect("it opens");
    connection.query_row(sql, [], |row| row.get(0)).expect("an answer")
}

fn rows(path: &Path) -> String {
    text_of(path, "SELECT group_concat(x) FROM t")
}

#[test]
fn a_copy_has_what_was_committed_and_leaves_the_database_as_it_is() {
    for (home, has_log) in [(Home::with_wal(), true), (Home::with_rollback(), false)] {
        let mut writer = home.actor();
        writer.sql("INSERT INTO t VALUES (2)").sql("BEGIN");
        // With a rollback journal a copy waits for no writer: it is refused.
        writer.sql(if has_log { "INSERT INTO t VALUES (3)" } else { "SELECT * FROM t" });
        let before = Home::listing(&home.folder());
        let said = home.run(&["safe", "notes.db", "--for", "copy", "--to", "copy.db", "--json"]);
        let report = said.json();
        assert_eq!((said.code, pids(&report)), (Some(0), vec![Some(writer.pid().into())]), "{report}");
        let copied = &report["copied"];
        assert_eq!(copied["to"], home.at("copy.db").to_str().expect("text"));
        let bytes = fs::metadata(home.at("copy.db")).expect("it is there").len();
        assert_eq!(copied["bytes"], bytes, "{report}");
        let after = Home::listing(&home.folder());
        let (new, kept): (Vec<_>, Vec<_>) = after.into_iter().partition(|line| line.contains("/copy.db"));
        assert_eq!((kept, new.len()), (before, 1), "one new file, and no other has changed");
        writer.sql("COMMIT");
        assert_eq!(rows(&home.at("copy.db")), "1,2");
        let again = home.run(&["safe", "notes.db", "--for", "copy", "--to", "copy.db"]);
        assert!(again.refusal().contains("copy.db exists"), "{again:?}");
        writer.close();
        let unused = home.run(&["safe", "notes.db", "--for", "copy", "--to", "second.db"]);
        let expected = if has_log { "1,2,3" } else { "1,2" };
        assert_eq!((unused.code, rows(&home.at("second.db")).as_str()), (Some(0), expected), "{unused:?}");
        assert!(!home.at("second.db.partial").exists());
    }
}

#[test]
fn a_commit_every_few_milliseconds_does_not_restart_a_copy() {
    let home = Home::with_wal();
    let Some(mut writer) = Python::open(&home.db()) else { return };
    writer.run("db.executemany('INSERT INTO t VALUES (randomblob(3000))', [()] * 4000); db.commit()");
    writer.run("import time");
    writer.start("while True: db.execute('INSERT INTO t VALUES (1)'); db.commit(); time.sleep(.002)");
    let said = home.run(&["safe", "notes.db", "--for", "copy", "--to", "copy.db", "--json"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    writer.kill();
    assert_eq!(text_of(&home.at("copy.db"), "PRAGMA integrity_check"), "ok");
}

#[test]
fn no_copy_is_made_where_a_connection_could_lose_data_nor_over_a_file() {
    let home = Home::with_rollback();
    let mut user = home.actor();
    user.sql("SELECT * FROM t");
    let moved = home.at("moved.db");
    fs::rename(home.db(), &moved).expect("moved");
    fs::copy(&moved, home.db()).expect("another generation");
    fs::write(home.at("notes.db-journal"), [7; 600]).expect("a journal of unknown origin");
    let said = home.run(&["safe", "notes.db", "--for", "copy", "--to", "copy.db"]);
    assert!(said.code == Some(2) && !said.err.is_empty(), "{said:?}");
    assert!(!home.at("copy.db").exists() && !home.at("copy.db.partial").exists());
    for (args, why) in [
        (&["--for", "vacuum", "--to", "copy.db"][..], "--to makes a copy"),
        (&["--for", "copy", "--", "true"], "a command is run for vacuum and convert only"),
    ] {
        let said = home.run(&[&["safe", "moved.db"], args].concat());
        assert!(said.refusal().contains(why), "{said:?}");
    }
}

/// Whether this user sees every process, so that a command is run at all.
fn sees_all(home: &Home) -> bool {
    safe(home, "vacuum").0 == Some(0)
}

#[test]
fn a_command_is_run_only_where_nobody_has_the_database_open() {
    let home = Home::with_wal();
    let touch = |name: &str| {
        home.run(&[
            "safe",
            "notes.db",
            "--for",
            "vacuum",
            "--json",
            "--",
            "sh",
            "-c",
            &format!("touch {name}; exit 7"),
        ])
    };
    let mut user = home.actor();
    user.sql("SELECT * FROM t");
    let said = touch("in-use");
    assert_eq!((said.code, said.err.as_str()), (Some(1), "waltop: the command was not run\n"), "{said:?}");
    assert!(!home.at("in-use").exists() && said.out.contains("\"ran\": null"), "{said:?}");
    user.close();
    let (is_run, said) = (sees_all(&home), touch("unused"));
    assert_eq!(
        (home.at("unused").exists(), said.code),
        (is_run, Some(if is_run { 7 } else { 2 })),
        "{said:?}"
    );
    if is_run {
        let ran = &said.json()["ran"];
        assert_eq!((&ran["exit_code"], &ran["came"]), (&7.into(), &Value::Array(Vec::new())), "{ran}");
        let missing = home.run(&["safe", "notes.db", "--for", "vacuum", "--", "/no/such/program"]);
        assert!(missing.refusal().contains("cannot run /no/such/program"), "{missing:?}");
    }
}

#[test]
fn who_opens_the_database_while_the_command_runs_is_named_and_the_command_itself_is_not() {
    let home = Home::with_wal();
    if !sees_all(&home) {
        return;
    }
    // The command has the database open itself, by a child of its own.
    let script = "exec 9<notes.db; touch started; while [ ! -e go ]; do sleep 0.02; done";
    let begin = || -> Child {
        let args = ["safe", "notes.db", "--for", "convert", "--json", "--", "sh", "-c", script];
        let mut command = home.command(Path::new(WALTOP));
        command.args(args).stdout(Stdio::piped()).spawn().expect("it starts")
    };
    for has_stranger in [false, true] {
        let running = begin();
        eventually("the command starts", || home.at("started").exists().then_some(()));
        let mut stranger = has_stranger.then(|| home.actor());
        let pid = stranger.as_mut().map(|it| i64::from(it.sql("SELECT * FROM t").pid()));
        fs::write(home.at("go"), "").expect("written");
        let output = running.wait_with_output().expect("it ends");
        let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let came: Vec<_> =
            report["ran"]["came"].as_array().expect("a list").iter().map(|it| it["pid"].as_i64()).collect();
        let expected = (Some(i32::from(has_stranger)), pid.map(Some).into_iter().collect::<Vec<_>>());
        assert_eq!((output.status.code(), came), expected, "{report}");
        for name in ["started", "go"] {
            fs::remove_file(home.at(name)).expect("removed");
        }
    }
}
