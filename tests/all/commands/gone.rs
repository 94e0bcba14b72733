//! A database whose files were deleted while a process has them open: which process holds the only copy, from the
//! command line, beside a path where there never was anything.

use super::*;

const FILES: [&str; 3] = ["notes.db", "notes.db-wal", "notes.db-shm"];

/// A home, and a process that has committed to the database before `names` were deleted.
fn deleted(home: &Home, names: &[&str]) -> Actor {
    let mut holder = home.actor();
    holder.sql("INSERT INTO t VALUES (2)");
    for name in names {
        fs::remove_file(home.at(name)).expect("removed");
    }
    holder
}

/// What `check` finds against `pid`: the finding and the exit code.
fn found(home: &Home, pid: i32) -> (Value, Option<i32>) {
    let said = home.run(&["check", "notes.db", "--json"]);
    let report = said.json();
    let findings = report["databases"][0]["findings"].as_array().expect("findings").clone();
    let split = findings.into_iter().find(|it| it["name"] == "split-wal" && it["pid"] == pid);
    (split.unwrap_or_else(|| panic!("no split-wal of {pid}: {said:?}")), said.code)
}

#[test]
fn the_process_that_holds_the_only_copy_is_named_whatever_was_deleted() {
    for (names, only) in [(&FILES[..], &FILES[..2]), (&FILES[..1], &FILES[..1]), (&FILES[1..], &FILES[1..2])]
    {
        let home = Home::with_wal();
        let mut holder = deleted(&home, names);
        let before = Home::listing(&home.folder());
        let pid = holder.pid();
        let (finding, code) = found(&home, pid);
        let at = |name: &&str| home.at(name).display().to_string();
        let only: Vec<String> = only.iter().map(at).collect();
        assert_eq!((code, &finding["severity"]), (Some(1), &"error".into()), "{finding}");
        assert_eq!(finding["evidence"]["deleted"], serde_json::json!(only), "{names:?}");
        let rescue = format!("waltop rescue {} --pid {pid} --to rescued-{pid}.db", home.db().display());
        assert_eq!(finding["remedy"]["command"], rescue, "{names:?}");
        let status = home.run(&["status", "notes.db"]);
        assert_eq!((status.code, status.err.as_str()), (Some(0), ""), "{status:?}");
        assert!(has_line(&status.out, "error", &pid.to_string()), "{status:?}");
        assert!(!status.out.contains("no such file"), "{status:?}");
        let status = home.json(&["status", "notes.db", "--json"]);
        assert!(status["databases"][0]["unfit"].is_null(), "{status}");
        assert_eq!(Home::listing(&home.folder()), before);
        holder.sql("INSERT INTO t VALUES (3)");
    }
}

#[test]
fn a_database_with_a_rollback_journal_is_rescued_from_a_frozen_process() {
    let home = Home::with_rollback();
    let holder = deleted(&home, &FILES[..1]);
    let (finding, code) = found(&home, holder.pid());
    assert_eq!(code, Some(1));
    let command = finding["remedy"]["command"].as_str().expect("a command");
    assert!(command.starts_with("waltop rescue ") && command.ends_with(" --freeze"), "{command}");
}

#[test]
fn of_several_databases_one_that_is_held_is_looked_at() {
    let home = Home::with_wal();
    let holder = deleted(&home, &FILES);
    let mut other = Actor::open(&home.at("other.db"));
    other.sql("CREATE TABLE t(x)");
    let said = home.run(&["status", "other.db", "notes.db"]);
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{said:?}");
    assert!(has_line(&said.out, "error", &holder.pid().to_string()), "{said:?}");
    let said = home.run(&["check", "notes.db", "missing.db"]);
    assert_eq!(said.code, Some(2), "{said:?}");
    assert!(said.err.contains("1 of 2 databases could not be sampled: no such file: "), "{said:?}");
    assert!(said.out.contains("split-wal: "), "{said:?}");
}

#[test]
fn a_waltop_that_copies_it_is_no_holder() {
    let home = Home::with_wal();
    let holder = deleted(&home, &[]);
    let Some(mut copier) = crate::python::Python::open(&home.at("other.db")) else { return };
    // As waltop opens a file: it never waits.
    copier.run("import os; flags = os.O_RDONLY | os.O_NONBLOCK");
    copier.run(&format!("held = [os.open({:?} + it, flags) for it in ('', '-wal', '-shm')]", home.db()));
    for name in FILES {
        fs::remove_file(home.at(name)).expect("removed");
    }
    found(&home, holder.pid());
    let report = home.run(&["check", "notes.db", "--json"]).json();
    assert!(!report.to_string().contains(&copier.pid().to_string()), "{report}");
}

#[test]
fn where_no_process_has_it_there_is_no_such_file() {
    let home = Home::with_wal();
    // A file of that name in another folder, deleted under its process, is another database.
    fs::create_dir(home.at("elsewhere")).expect("a folder");
    let mut elsewhere = Actor::open(&home.at("elsewhere/notes.db"));
    elsewhere.sql("PRAGMA journal_mode = wal").sql("CREATE TABLE t(x)");
    fs::remove_file(home.at("elsewhere/notes.db")).expect("removed");
    deleted(&home, &FILES).close();
    for command in ["status", "check"] {
        let said = home.run(&[command, "notes.db"]);
        assert!(said.refusal().starts_with("no such file: notes.db;"), "{said:?}");
    }
    elsewhere.sql("INSERT INTO t VALUES (1)");
}

#[test]
fn where_descriptors_cannot_be_read_that_is_said() {
    if !is_root() {
        return eprintln!("not tested: only root can run the program as another user");
    }
    let home = Home::with_wal();
    let holder = deleted(&home, &FILES);
    home.let_another_in();
    let said = home.run_as(User::Another, &["check", "notes.db"]);
    let line = said.refusal();
    assert!(
        line.starts_with("no such file: notes.db;") && line.contains("; not seen: open files of "),
        "{line}"
    );
    holder.close();
}
