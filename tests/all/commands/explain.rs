//! What a finding means: the list, a page, and a name that is not quite right.

use waltop::diagnose::RULES;

use super::*;
use crate::{support::eventually, terminal::Terminal};

#[test]
fn without_a_name_all_are_listed() {
    let home = Home::new();
    let said = home.run(&["explain"]);
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{said:?}");
    for rule in RULES.iter() {
        let line = format!("{} ({})", rule.kind(), rule.facts().severity);
        assert!(said.out.lines().any(|it| it == line), "{line}: {}", said.out);
    }
    assert!(said.out.lines().all(|line| line.chars().count() <= 78), "{}", said.out);
    assert_eq!(Home::listing(&home.root()).len(), 1, "nothing was made");
}

#[test]
fn with_a_name_its_page_is_printed_as_it_stands() {
    let home = Home::new();
    for rule in RULES.iter() {
        let said = home.run(&["explain", rule.kind().as_str()]);
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{said:?}");
        assert!(
            said.out.starts_with(&format!("# {} ({})\n\n", rule.kind(), rule.facts().severity)),
            "{said:?}"
        );
        assert!(said.out.contains("\n## What to do\n") && !said.out.contains('\x1b'), "{said:?}");
    }
}

#[test]
fn an_error_of_sqlite_is_explained_and_looked_for() {
    let home = Home::with_wal();
    let said = home.run(&["explain", "sqlite3.OperationalError:", "database", "is", "locked"]);
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{said:?}");
    assert!(said.out.starts_with("# SQLITE_BUSY (5): ") && !said.out.contains("## Now"), "{said:?}");
    home.set("[thresholds]\nlong_write_lock = 0.0001\n");
    let ask = || home.run(&["explain", "5", "--db", "notes.db"]).out;
    assert!(ask().contains("has none of these findings") && ask().contains("Sampled twice"), "{}", ask());
    let watched = home.run(&["explain", "5", "--db", "notes.db", "--for", "200ms"]).out;
    assert!(watched.contains("(Watched for 200 ms.)"), "{watched}");
    let mut writer = home.actor();
    writer.sql("BEGIN IMMEDIATE");
    eventually("the holder is named", || {
        ask().contains(&format!("long-write-lock: {} (waltop)", writer.pid())).then_some(())
    });
    // A configuration that cannot be read is in the way of a database only.
    home.set("refesh = 1\n");
    assert_eq!(home.run(&["explain", "517"]).code, Some(0));
    home.run(&["explain", "517", "--db", "notes.db"]).refusal();
}

#[test]
fn a_database_as_a_word_is_named_with_its_option() {
    let home = Home::with_wal();
    let said = home.run(&["explain", "pinned-wal", "notes.db"]);
    let meant = "name a database with --db: waltop explain pinned-wal --db notes.db";
    assert!(said.refusal().ends_with(meant), "{said:?}");
    // An error text may end with a path. It is explained all the same.
    let said = home.run(&["explain", "database", "is", "locked", "notes.db"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.err.contains("waltop explain 'database is locked' --db notes.db"), "{said:?}");
    let said = home.run(&["explain", "pinned-wal", "missing.db"]);
    assert!(!said.refusal().contains("--db"), "{said:?}");
}

#[test]
fn a_name_that_does_not_exist_gets_the_nearest() {
    let home = Home::new();
    for (wrong, right) in
        [("pinned", "pinned-wal"), ("lost_locks", "lost-locks"), ("\x1b[31mpinned-wal", "pinned-wal")]
    {
        let said = home.run(&["explain", wrong]);
        assert!(said.refusal().contains(&format!("the nearest is {right},")), "{said:?}");
    }
}

#[test]
fn on_a_terminal_headings_are_bold_and_unmarked() {
    let home = Home::new();
    let mut terminal = Terminal::open(&home.folder(), &["explain", "pinned-wal"], (80, 60));
    terminal.shows("Never delete");
    assert_eq!(terminal.end(), 0);
    let headings = [
        "pinned-wal (warning or error)",
        "What it means",
        "Why it hurts",
        "Check by hand",
        "What to do",
        "What not to do",
    ];
    assert_eq!(terminal.bold_rows(), headings);
    assert!(!terminal.text().contains("# "), "{}", terminal.text());
}
