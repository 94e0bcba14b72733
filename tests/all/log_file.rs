//! The log file of the console, with the program in a real terminal.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use crate::{
    support::Actor,
    terminal::{Terminal, database, home},
};

const USUAL: (u16, u16) = (120, 40);

/// A database with a writer, and settings with that `log_file`.
fn prepare(home: &Path, log_file: &str) -> (String, Actor) {
    fs::create_dir_all(home.join("config/waltop")).expect("a folder");
    let settings = format!("log_file = '{log_file}'\n");
    fs::write(home.join("config/waltop/config.toml"), settings).expect("written");
    database(home)
}

#[test]
fn the_lines_of_the_log_panel_are_appended_to_a_file_that_only_its_user_reads() {
    let home = home();
    let (path, _writer) = prepare(home.path(), "~/console.log");
    let log = home.path().join("console.log");
    let user = home.path().display().to_string();
    for session in 1..=2 {
        let mut terminal = Terminal::open_with(home.path(), &[&path], USUAL, &[("HOME", &user)]);
        terminal.shows("our client");
        terminal.keys("c");
        terminal.shows("Checkpoint");
        terminal.keys("y");
        terminal.keys("6");
        terminal.shows("PASSIVE checkpoint complete");
        terminal.keys("qq");
        assert_eq!(terminal.end(), 0);
        let text = fs::read_to_string(&log).expect("the log");
        let lines: Vec<&str> = text.lines().collect();
        for line in &lines {
            let (time, rest) = line.split_once(' ').expect("a time");
            assert!(time.parse::<jiff::Timestamp>().is_ok() && rest.starts_with("INFO  "), "{line}");
        }
        let watching = format!(" INFO  watching {path}");
        assert_eq!(lines.iter().filter(|line| line.ends_with(&watching)).count(), session, "{text}");
        let checkpoints = lines.iter().filter(|line| line.contains("PASSIVE checkpoint complete"));
        assert_eq!(checkpoints.count(), session, "{text}");
    }
    let mode = fs::metadata(&log).expect("the log").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_log_file_that_would_harm_a_database_ends_the_console_before_it_opens() {
    let home = home();
    for (name, said) in [
        ("notes.db", "belongs to the database"),
        ("notes.db-wal", "ends in -wal"),
        ("copy.db", "is a SQLite database"),
    ] {
        let (path, mut writer) = prepare(home.path(), &home.path().join(name).display().to_string());
        let copy = home.path().join("copy.db");
        fs::write(&copy, b"SQLite format 3\0").expect("written");
        let file = home.path().join(name);
        let before = fs::read(&file).expect("the file");
        let mut terminal = Terminal::open(home.path(), &[&path], (250, 40));
        terminal.shows("waltop: `log_file`: ");
        terminal.shows(said);
        assert_eq!(terminal.end(), 2);
        assert_eq!(fs::read(&file).expect("the file"), before);
        writer.sql("DROP TABLE t");
    }
}
