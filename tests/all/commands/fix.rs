//! What the file keeps is put right when somebody says yes, and only then.

use super::*;
use crate::terminal::Terminal;

const TO_WAL: &str = "PRAGMA journal_mode = wal";

// Bytes 18 and 19 of the header: 2 is WAL.
fn is_wal(home: &Home) -> bool {
    fs::read(home.db()).expect("readable")[18..20] == [2, 2]
}

#[test]
fn a_dry_run_shows_the_sql_and_runs_none_of_it() {
    let home = Home::with_rollback();
    let before = Home::listing(&home.root());
    for args in [&["fix", "--dry-run", "notes.db"][..], &["fix", "--dry-run", "--yes", "notes.db"]] {
        let said = home.run(args);
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{said:?}");
        assert_eq!(said.out, format!("{}: would run: {TO_WAL}\n", home.db().display()));
        assert_eq!(Home::listing(&home.root()), before);
    }
    let report = &home.json(&["fix", "--dry-run", "--json", "notes.db"])["databases"][0];
    assert_eq!((&report["sql"][0], &report["applied"]), (&TO_WAL.into(), &false.into()));
    assert_eq!(Home::listing(&home.root()), before);
}

#[test]
fn a_dry_run_says_who_would_be_in_the_way() {
    let home = Home::with_rollback();
    let (mut reader, mut idle) = (home.actor(), home.actor());
    reader.sql("BEGIN").sql("SELECT * FROM t");
    idle.sql("SELECT * FROM t");
    let said = home.run(&["fix", "--dry-run", "notes.db"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let expected = format!("{TO_WAL}; in the way: {} (waltop) reads\n", reader.pid());
    assert!(said.out.ends_with(&expected), "{said:?}");
    let mut users = [reader.pid(), idle.pid()];
    users.sort_unstable();
    let users = format!(": open in {} (waltop), {} (waltop): would run: ", users[0], users[1]);
    assert!(said.out.contains(&users), "those who have it open come first: {said:?}");
    let report = &home.json(&["fix", "--dry-run", "--json", "notes.db"])["databases"][0];
    assert_eq!(report["in_the_way"][0]["pid"], reader.pid(), "{report}");
}

#[test]
fn without_a_terminal_it_asks_for_yes() {
    let home = Home::with_rollback();
    let before = Home::listing(&home.root());
    for args in [&["fix", "notes.db"][..], &["fix", "--json", "notes.db"]] {
        let said = home.run(args);
        assert!(said.refusal().contains("give --yes, or --dry-run"), "{said:?}");
        assert_eq!(Home::listing(&home.root()), before);
    }
}

#[test]
fn with_yes_it_is_done_and_done_once() {
    let home = Home::with_rollback();
    let said = home.run(&["fix", "--yes", "notes.db"]);
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{said:?}");
    assert_eq!(said.out, format!("{}: done: {TO_WAL}\n", home.db().display()));
    assert!(is_wal(&home));
    assert_eq!(Home::listing(&home.folder()).len(), 1, "no sidecars are left");
    let before = Home::listing(&home.root());
    let said = home.run(&["fix", "--yes", "notes.db"]);
    assert_eq!((said.code, said.out), (Some(0), format!("{}: nothing to fix\n", home.db().display())));
    let report = &home.json(&["fix", "--json", "notes.db"])["databases"][0];
    assert_eq!((&report["sql"], &report["applied"]), (&Value::Array(Vec::new()), &false.into()));
    assert_eq!(Home::listing(&home.root()), before);
    let mut actor = home.actor();
    actor.sql("SELECT * FROM t");
}

#[test]
fn the_process_that_holds_the_file_is_named() {
    let home = Home::with_rollback();
    let mut holder = home.actor();
    for begin in ["BEGIN", "BEGIN IMMEDIATE"] {
        holder.sql(begin).sql("SELECT * FROM t");
        let said = home.run(&["fix", "--yes", "notes.db"]);
        let line = said.refusal();
        assert!(line.contains("is in use; stop ") && line.contains(&holder.pid().to_string()), "{line}");
        assert!(!is_wal(&home));
        holder.sql("COMMIT");
    }
    assert_eq!(home.run(&["fix", "--yes", "notes.db"]).code, Some(0), "an idle one is not in the way");
    holder.sql("INSERT INTO t VALUES (2)");
    assert!(is_wal(&home));
}

#[test]
fn on_a_terminal_it_asks_first() {
    let home = Home::with_rollback();
    let path = home.db().display().to_string();
    let ask = |answer: &str| {
        let mut terminal = Terminal::open(&home.root(), &["fix", &path], (120, 20));
        terminal.shows(TO_WAL);
        terminal.shows("[y/N]");
        terminal.keys(answer);
        terminal.end()
    };
    for no in ["\r", "n\r", "yes, but\r"] {
        assert_eq!(ask(no), 1, "{no:?}");
        assert!(!is_wal(&home));
    }
    assert_eq!(ask("y\r"), 0);
    assert!(is_wal(&home));
}

#[test]
fn what_has_come_up_while_it_asked_counts() {
    let home = Home::with_rollback();
    let path = home.db().display().to_string();
    let mut terminal = Terminal::open(&home.root(), &["fix", &path], (120, 20));
    terminal.shows("[y/N]");
    let mut holder = home.actor();
    holder.sql("PRAGMA journal_mode = wal").sql("INSERT INTO t VALUES (2)");
    fs::remove_file(home.at("notes.db-wal")).expect("removed");
    terminal.keys("y\r");
    terminal.shows(&format!("{} (waltop)", holder.pid()));
    assert_eq!(terminal.end(), 2);
}

#[test]
fn what_was_done_before_a_failure_is_reported() {
    let (home, other) = (Home::with_rollback(), Home::with_rollback());
    let mut holder = other.actor();
    holder.sql("BEGIN IMMEDIATE");
    let (first, second) = (home.db(), other.db());
    let args = ["fix".as_ref(), "--yes".as_ref(), first.as_os_str(), second.as_os_str()];
    let said = home.run(&args);
    assert_eq!(said.code, Some(2), "{said:?}");
    assert_eq!(said.out, format!("{}: done: {TO_WAL}\n", first.display()));
    assert!(said.err.contains(&holder.pid().to_string()), "{said:?}");
    assert!(is_wal(&home) && !is_wal(&other));
}

#[test]
fn a_name_that_is_no_text_is_reported_as_well_as_can_be() {
    let home = Home::with_rollback();
    let name = raw(b"no\xfftext.db");
    fs::rename(home.db(), home.folder().join(name)).expect("renamed");
    let json = |command: &[&str]| {
        let mut args: Vec<&OsStr> = command.iter().map(OsStr::new).collect();
        args.push(name);
        let report = home.json(&args);
        assert!(
            report["databases"][0]["path"].as_str().is_some_and(|it| it.ends_with("no\u{fffd}text.db")),
            "{report}"
        );
        report["databases"][0].clone()
    };
    assert_eq!(json(&["fix", "--json", "--dry-run"])["applied"], false);
    assert_eq!(json(&["fix", "--json", "--yes"])["applied"], true);
    assert_eq!(json(&["checkpoint", "--json"])["complete"], true);
}

#[test]
fn what_a_profile_wants_the_file_to_keep_is_set_and_the_hosts_own_numbers_are_not() {
    let home = Home::with_wal();
    let profiles = home.root().join("config/waltop/profiles");
    fs::create_dir_all(&profiles).expect("a folder");
    let pragma = |name: &str, expected: &str| {
        format!(
            "[[pragma]]\nname = \"{name}\"\nexpected = \"{expected}\"\nkept_by = \"file\"\nseverity = \"warning\"\n"
        )
    };
    let text = [pragma("auto_vacuum", "full"), pragma("application_id", "7")].concat();
    fs::write(profiles.join("mine.toml"), text).expect("written");
    let fix = |more: &[&str]| home.run(&[&["fix", "--profile", "mine", "--yes", "notes.db"], more].concat());
    let said = fix(&[]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.out.contains("nothing to fix; auto_vacuum stays as it is, not full"), "{said:?}");
    assert!(said.out.contains("application_id stays 0, not 7: it belongs to the program"), "{said:?}");
    let mut user = home.actor();
    user.sql("SELECT * FROM t");
    let said = fix(&["--vacuum"]);
    assert!(said.refusal().contains(&format!("no VACUUM: {} (waltop)", user.pid())), "{said:?}");
    user.close();
    let said = fix(&["--vacuum"]);
    assert!(
        said.out.contains(": done: PRAGMA auto_vacuum = full; VACUUM; application_id stays 0"),
        "{said:?}"
    );
    let header = fs::read(home.db()).expect("readable");
    // The largest root page, which only a file with auto_vacuum has; and the application_id.
    assert!(header[52..56] != [0; 4] && header[68..72] == [0; 4], "{:?}", &header[..100]);
}

#[test]
fn what_was_done_before_a_step_failed_is_reported() {
    let home = Home::with_rollback();
    let Some(mut host) = crate::python::Python::open(&home.db()) else { return };
    // An index in an order that only its host knows cannot be copied by anybody else.
    host.run("db.create_collation('theirs', lambda a, b: (a > b) - (a < b))");
    host.sql("CREATE INDEX by_theirs ON t (x COLLATE theirs)");
    drop(host);
    let profiles = home.root().join("config/waltop/profiles");
    fs::create_dir_all(&profiles).expect("a folder");
    let text = "[[pragma]]\nname = \"auto_vacuum\"\nexpected = \"full\"\nkept_by = \"file\"\nseverity = \"warning\"\n";
    fs::write(profiles.join("mine.toml"), text).expect("written");
    let said = home.run(&["fix", "--profile", "mine", "--vacuum", "--yes", "notes.db"]);
    let line = said.refusal();
    let done = format!("{TO_WAL}; PRAGMA auto_vacuum = full is done, the remaining changes are not: ");
    assert!(line.contains(&done) && line.contains("no such collation sequence"), "{line}");
    assert!(is_wal(&home));
}

#[test]
fn of_a_file_whose_program_owns_its_format_nothing_is_changed() {
    let home = Home::with_rollback();
    fs::create_dir(home.at(".svn")).expect("a folder");
    fs::copy(home.db(), home.at(".svn/wc.db")).expect("copied");
    let findings = |name: &str| {
        let mut users = [(); 2].map(|()| Actor::open(&home.at(name)));
        for user in &mut users {
            user.sql("SELECT * FROM t");
        }
        let found = home.json(&["check", name, "--json"])["databases"][0]["findings"].clone();
        let outline =
            |it: &Value| (it["name"].clone(), it["severity"].clone(), it["remedy"]["command"].clone());
        found.as_array().expect("findings").iter().map(outline).collect::<Vec<_>>()
    };
    let path = home.db().display().to_string();
    let of_twin = findings("notes.db");
    assert!(of_twin.contains(&(
        "rollback-journal".into(),
        "warning".into(),
        format!("waltop fix {path}").into()
    )));
    assert_eq!(findings(".svn/wc.db"), [("rollback-journal".into(), "info".into(), Value::Null)]);
    let said = home.run(&["fix", ".svn/wc.db", "--yes"]);
    let kept = "nothing to fix; journal_mode stays rollback: it belongs to the program whose file it is";
    assert!(said.code == Some(0) && said.out.contains(kept), "{said:?}");
    let asked = home.run(&["fix", ".svn/wc.db", "--dry-run", "--profile", "hardened"]);
    assert!(asked.out.contains("would run: PRAGMA journal_mode = wal"), "{asked:?}");
}
