//! Several databases at once: each is done, or told why not, by itself.

use super::*;

/// A database that is missing, one that is text, and a fit one behind each of them.
fn mixed() -> Home {
    let home = Home::with_wal();
    Actor::open(&home.at("queue.db")).sql("PRAGMA journal_mode = wal").sql("CREATE TABLE t(x)");
    fs::write(home.at("text.db"), "# Notes\n").expect("written");
    home
}

const NAMES: [&str; 4] = ["missing.db", "notes.db", "text.db", "queue.db"];

const COMMANDS: [&[&str]; 7] = [
    &["health"],
    &["stats"],
    &["checkpoint"],
    &["optimize", "--dry-run"],
    &["optimize", "--yes"],
    &["fix", "--dry-run"],
    &["fix", "--yes"],
];

/// The two that fail have a line each on stderr, and nothing else is there.
fn assert_told(said: &Said, names: [&str; 2]) {
    assert_eq!(said.code, Some(2), "{said:?}");
    let lines: Vec<&str> = said.err.lines().collect();
    assert_eq!(lines.len(), 2, "{said:?}");
    assert!(lines[0].starts_with(&format!("waltop: {}: no such file: ", names[0])), "{said:?}");
    assert!(lines[1].starts_with(&format!("waltop: {}: ", names[1])), "{said:?}");
    assert!(lines[1].contains("not a SQLite database"), "{said:?}");
}

#[test]
fn one_that_fails_keeps_nothing_of_the_others_back() {
    let home = mixed();
    for command in COMMANDS {
        let said = home.run(&[command, &NAMES].concat());
        assert_told(&said, ["missing.db", "text.db"]);
        let told: Vec<&str> = said.out.lines().collect();
        assert_eq!(told.len(), 2, "{said:?}");
        assert!(told[0].starts_with(&format!("{}: ", home.db().display())), "{said:?}");
        assert!(told[1].starts_with(&format!("{}: ", home.at("queue.db").display())), "{said:?}");

        let said = home.run(&[command, &["--json"], &NAMES].concat());
        assert_told(&said, ["missing.db", "text.db"]);
        let paths: Vec<Value> = serde_json::from_str::<Value>(&said.out).expect("JSON")["databases"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|it| it["path"].clone())
            .collect();
        assert_eq!(
            paths,
            [home.db(), home.at("queue.db")].map(|it| Value::from(it.to_str().expect("text"))),
            "{said:?}"
        );
    }
}

#[test]
fn those_of_the_settings_are_reported_with_the_file_that_lists_them() {
    let home = mixed();
    home.set("databases = ['../../work/missing.db', '../../work/notes.db', '../../work/text.db']");
    let absolute = ["missing.db", "text.db"].map(|name| home.at(name).display().to_string());
    for command in COMMANDS {
        let said = home.run(command);
        assert_told(&said, [&absolute[0], &absolute[1]]);
        let listed = format!("it is listed in {}", home.settings().display());
        assert!(said.err.lines().all(|line| line.ends_with(&listed)), "{said:?}");
        assert!(said.out.starts_with(&format!("{}: ", home.db().display())), "{said:?}");
        assert_eq!(said.out.lines().count(), 1, "{said:?}");
    }
}

#[test]
fn where_all_fail_each_has_its_line_and_there_is_no_json() {
    let home = mixed();
    let said = home.run(&["stats", "--json", "missing.db", "text.db"]);
    assert_told(&said, ["missing.db", "text.db"]);
    assert_eq!(said.out, "");
}

#[test]
fn a_single_one_is_refused_in_one_line() {
    let home = mixed();
    for command in COMMANDS {
        let said = home.run(&[command, &["missing.db"]].concat());
        assert!(said.refusal().starts_with("no such file: missing.db;"), "{said:?}");
    }
}

#[test]
fn what_acts_does_so_with_the_others() {
    let home = Home::with_rollback();
    let said = home.run(&["fix", "--yes", "missing.db", "notes.db"]);
    assert_eq!(said.code, Some(2), "{said:?}");
    assert!(said.err.starts_with("waltop: missing.db: no such file: "), "{said:?}");
    let done = format!("{}: done: PRAGMA journal_mode = wal", home.db().display());
    assert!(said.out.starts_with(&done), "{said:?}");
    let bytes = fs::read(home.db()).expect("readable");
    assert_eq!(bytes[18..20], [2, 2], "it is in WAL mode");
}
