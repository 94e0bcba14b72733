//! What the console says of a database that is not at its path, and how long a notice about anything stands.

use std::fs;

use jiff::{SignedDuration, Timestamp};
use waltop::{act::gate::NotArmed, console::app::Notice, sampler::Sample, snapshot::Database};

use crate::{
    stage::{Stage, contended, look, missing, rollback},
    support::Actor,
    terminal::{Terminal, home},
};

const USUAL: (u16, u16) = (120, 40);
const SMALL: (u16, u16) = (80, 24);

/// `databases` as of `seconds` after the clock of the stage began.
fn later(seconds: i64, databases: Vec<Database>) -> Sample {
    let mut look = look(databases);
    look.snapshot.taken_at += SignedDuration::from_secs(seconds);
    look
}

/// The notice, if it stands above the keys.
fn notice(stage: &Stage) -> Option<Notice> {
    let line = stage.screen().lines().rev().nth(1).expect("a line").to_owned();
    let notice = stage.app.notice()?;
    assert!(line.contains(&notice.to_string()), "{line}");
    Some(notice.clone())
}

#[test]
fn a_notice_goes_after_its_time_though_only_samples_give_the_time() {
    let mut stage = Stage::new(look(vec![rollback()]), USUAL);
    let key = || "a".to_owned();
    for (pressed, expected) in [
        ("a", Notice::Disarmed { key: key() }),
        ("c", Notice::NotArmed { why: NotArmed::Disarmed, key: key() }),
        ("a", Notice::Armed),
    ] {
        let began: Timestamp = stage.app.sample().expect("a look").snapshot.taken_at;
        let since = began.duration_since(look(vec![]).snapshot.taken_at).as_secs();
        stage.keys(pressed);
        assert_eq!(notice(&stage).as_ref(), Some(&expected));
        stage.look(later(since + 4, vec![rollback()]));
        assert_eq!(notice(&stage).as_ref(), Some(&expected));
        stage.look(later(since + 5, vec![rollback()]));
        assert_eq!(notice(&stage), None);
    }
}

#[test]
fn a_notice_goes_with_the_database_that_it_was_about() {
    for away in ["]", "[", "oj", "o<Enter>"] {
        let mut stage = Stage::new(look(vec![rollback(), contended()]), USUAL);
        stage.keys("c");
        assert_eq!(notice(&stage), Some(Notice::NotWal));
        stage.keys(away);
        assert_eq!(notice(&stage), None, "{away}");
    }
}

#[test]
fn what_needs_a_database_says_that_there_is_none() {
    for key in ["c", "f", "H"] {
        let mut stage = Stage::new(look(vec![missing()]), USUAL);
        stage.keys(key);
        assert_eq!(notice(&stage), Some(Notice::NoDatabase("/home/me/queue/huey.db".into())), "{key}");
    }
}

#[test]
fn one_that_was_there_is_never_said_not_to_exist_yet() {
    for keys in ["", "o", "b", "3", "7"] {
        let mut stage = Stage::new(look(vec![rollback(), contended()]), USUAL);
        stage.look(look(vec![missing(), contended()]));
        stage.keys(keys);
        let screen = stage.screen();
        assert!(screen.contains("gone") && screen.contains("moved or removed"), "{keys}: {screen}");
        for lie in ["exist yet", "Nothing is wrong", "There is no /home"] {
            assert!(!screen.contains(lie), "{keys}: {screen}");
        }
    }
}

#[test]
fn the_header_of_one_that_is_gone_has_no_half_of_a_figure() {
    let mut gone = contended();
    gone.files.db = None;
    gone.header = None;
    for width in 60..=140 {
        let stage = Stage::new(look(vec![gone.clone(), rollback()]), (width, SMALL.1));
        let header = stage.screen().lines().next().expect("a header").to_owned();
        let figure = header.split_once("WAL ").map(|(_, figure)| figure.trim_start());
        assert!(figure.is_none_or(|figure| figure.starts_with("78.2 MB ")), "{width}: {header}");
        assert!(figure.is_some() || width < 120, "{width}: {header}");
    }
}

#[test]
fn the_header_has_the_whole_pid_of_the_writer_or_none() {
    let writer = contended().locks.writer.and_then(|it| it.pid).expect("a writer").to_string();
    for width in 60..=140 {
        let stage = Stage::new(look(vec![contended(), rollback()]), (width, SMALL.1));
        let header = stage.screen().lines().next().expect("a header").to_owned();
        let is_cut = (1..writer.len()).any(|digits| header.contains(&format!("{}…", &writer[..digits])));
        assert!(!is_cut, "{width}: {header}");
        assert!(header.contains("writer"), "{width}: {header}");
    }
}

#[test]
fn the_writer_of_a_moved_database_stays_on_the_screen() {
    let home = home();
    let folder = home.path().canonicalize().expect("there");
    fs::create_dir(folder.join("q")).expect("a folder");
    let path = folder.join("q/q.db");
    let mut writer = Actor::open(&path);
    writer.sql("PRAGMA journal_mode = WAL").sql("CREATE TABLE t (x)").sql("BEGIN IMMEDIATE");
    if path.metadata().expect("there").created().is_err() {
        return eprintln!("skipped: the file system keeps no time of birth");
    }
    let mut terminal = Terminal::open(home.path(), &[&path.to_string_lossy()], (200, 60));
    terminal.shows(&format!("writer waltop {}", writer.pid()));
    fs::rename(folder.join("q"), folder.join("qq")).expect("moved");
    terminal.shows("split-wal");
    terminal.shows("is gone from its path");
    terminal.shows("2 Locks and processes: 1 open");
    terminal.shows("SPLIT");
    terminal.shows("/qq/q.db");
    assert!(!terminal.text().contains("exist yet") && !terminal.text().contains("has gone"));
    writer.sql("COMMIT");
    writer.close();
    terminal.shows("moved or removed");
    terminal.shows_no_more("SPLIT");
    assert!(!terminal.text().contains("exist yet"));
    terminal.keys("q");
    assert_eq!(terminal.end(), 0);
}
