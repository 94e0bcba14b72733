//! Several databases in one console: the overview, and going from one to another.

use std::fs;

use insta::assert_snapshot;
use serde_json::json;
use waltop::{
    act::{ConfirmedAction, Effect},
    console::app::{Notice, RowCover},
    snapshot::Database,
};

use crate::{
    stage::{Stage, contended, look, missing, rollback},
    support::{Actor, eventually},
    terminal::{Terminal, home},
};

const USUAL: (u16, u16) = (120, 40);
const SMALL: (u16, u16) = (80, 24);
const LARGE: (u16, u16) = (200, 60);

fn at(path: &str, mut database: Database) -> Database {
    database.path = path.into();
    database
}

fn quiet(path: &str) -> Database {
    let mut database = at(path, contended());
    database.locks = waltop::snapshot::DatabaseLocks::default();
    database.processes.clear();
    database.ingestions.clear();
    database.files.wal = None;
    database.files.shm = None;
    database.wal = None;
    database
}

fn unreadable(path: &str) -> Database {
    let mut database = quiet(path);
    database.header = None;
    database.unfit = Some(format!("no permission to read {path}; run as a user who may read it"));
    database
}

/// One of each kind; two of them have the same file name.
fn many() -> Vec<Database> {
    vec![
        quiet("/home/me/archive/notes.db"),
        at("/home/me/work/notes.db", contended()),
        at("/home/me/queue/huey.db", rollback()),
        at("/home/me/later.db", missing()),
        unreadable("/root/secret.db"),
    ]
}

#[test]
fn every_database_has_a_line_at_every_size() {
    let sizes =
        [("60x16", (60, 16)), ("80x24", SMALL), ("100x30", (100, 30)), ("120x40", USUAL), ("200x60", LARGE)];
    for (name, size) in sizes {
        let mut look = look(many());
        look.snapshot.databases[0].schedule = Some(
            serde_json::from_value(json!({
                "mode": "passive", "every_ms": 900_000, "due_at": "2026-01-15T14:15:30Z", "held_back": null,
                "last": {"at": "2026-01-15T14:00:22Z", "mode": "passive", "instead": null, "complete": true,
                         "frames_in_log": 812, "frames_moved": 812, "why": null}
            }))
            .expect("the fixture keeps to the contract"),
        );
        let mut stage = Stage::new(look, size);
        stage.keys("j");
        assert_snapshot!(format!("overview_{name}"), stage.screen());
    }
}

#[test]
fn it_opens_by_itself_where_there_are_many() {
    let several = Stage::new(look(many()), USUAL);
    assert!(several.app.overview().is_some() && several.screen().contains("5 databases"));
    let few = Stage::new(look(many().split_off(2)), USUAL);
    assert!(
        few.app.overview().is_none() && few.screen().contains("database 1 of 3 ([ ] switch)"),
        "{}",
        few.screen()
    );
    let mut one = Stage::new(look(vec![contended()]), USUAL);
    one.keys("o");
    assert_eq!(one.app.notice(), Some(&Notice::OnlyDatabase));
}

#[test]
fn enter_goes_to_the_selected_one_and_escape_back() {
    let mut stage = Stage::new(look(many()), USUAL);
    for (keys, at, is_overview) in
        [("jj<Enter>", 2, false), ("oG", 4, true), ("<Esc>", 2, false), ("0[", 1, true), ("0", 1, false)]
    {
        stage.keys(keys);
        assert_eq!((stage.app.current(), stage.app.overview().is_some()), (at, is_overview), "{keys}");
        let screen = stage.screen();
        assert!(screen.contains(&format!("{} of 5", at + 1)), "{keys}: {screen}");
        assert_eq!(screen.contains("2 Locks and processes"), !is_overview, "{keys}: {screen}");
    }
    stage.keys("o3");
    assert!(stage.screen().contains("3 Files") && stage.app.overview().is_none());
}

#[test]
fn actions_are_about_the_selected_line_and_about_no_hidden_row() {
    let mut stage = Stage::new(look(many()), USUAL);
    // Nothing is wrong with the first one; the worst finding of the second is about a process.
    assert!(stage.keys("x").iter().all(|effect| matches!(effect, Effect::Note(..))));
    assert!(matches!(stage.app.notice(), Some(Notice::NothingFound { .. })));
    let pinned = stage.keys("jx").into_iter().find_map(|effect| match effect {
        Effect::Pin(meant) => meant.first().map(|it| it.target),
        _ => None,
    });
    let pinned = pinned.expect("the process of the worst finding");
    assert_eq!(pinned.pid, 71300);
    stage.pinned(pinned);
    assert!(stage.screen().contains("Continue 71300"), "{}", stage.screen());
    stage.keys("<Esc>s");
    let notice = stage.app.notice();
    assert!(matches!(notice, Some(Notice::RowsHidden { by: RowCover::Overview, .. })), "{notice:?}");
    let copied = stage.keys("y");
    let is_line = |it: &Effect| matches!(it, Effect::Copy(text) if text.starts_with("/home/me/work/notes.db: stopped-holder"));
    assert!(copied.iter().any(is_line), "{copied:?}");
    let effects = stage.keys("cy");
    let act =
        effects.iter().find_map(|effect| if let Effect::Act(it) = effect { Some(it.act()) } else { None });
    let Some(ConfirmedAction::Checkpoint { database, .. }) = act else { panic!("{effects:?}") };
    assert_eq!(database.to_str(), Some("/home/me/work/notes.db"));
}

#[test]
fn a_slash_filters_the_databases_and_escape_returns_to_the_overview() {
    let mut stage = Stage::new(look(many()), USUAL);
    stage.keys("/huey");
    assert!(stage.screen().contains("filter databases: huey"), "{}", stage.screen());
    assert_eq!((stage.app.visible_databases(), stage.app.current()), (vec![2], 2));
    stage.keys("<Enter><Enter>");
    assert!(stage.screen().contains("2 Locks and processes"), "{}", stage.screen());
    stage.keys("<Esc>");
    assert!(stage.screen().contains("1 of 5 databases"), "{}", stage.screen());
    stage.keys("<Esc>");
    assert_eq!(stage.app.visible_databases().len(), 5, "the filter is cleared first");
    stage.keys("/no such file");
    assert!(stage.screen().contains("No database matches the filter"), "{}", stage.screen());
    stage.keys("<Esc><Esc>");
    assert!(stage.app.overview().is_some(), "it is the top: {}", stage.screen());
    stage.keys("o");
    assert!(stage.screen().contains("2 Locks and processes"), "{}", stage.screen());
}

#[test]
fn escape_undoes_the_key_of_the_overview_and_does_not_go_back_and_forth() {
    let mut stage = Stage::new(look(vec![contended(), rollback()]), USUAL);
    let is_overview = |stage: &Stage| stage.app.overview().is_some();
    stage.keys("oj<Esc>");
    assert!(!is_overview(&stage) && stage.app.current() == 0, "{}", stage.screen());
    stage.keys("oj<Enter>");
    assert!(!is_overview(&stage) && stage.app.current() == 1, "{}", stage.screen());
    for _ in 0..3 {
        stage.keys("<Esc>");
        assert!(is_overview(&stage), "{}", stage.screen());
    }
}

#[test]
fn the_header_says_where_something_worse_is() {
    let mut stage = Stage::new(look(many()), USUAL);
    stage.keys("<Enter>");
    let header = |stage: &Stage| stage.screen().lines().next().expect("a row").to_owned();
    assert!(header(&stage).contains(" in work/notes.db"), "{}", header(&stage));
    stage.keys("]");
    assert!(!header(&stage).contains(" in "), "{}", header(&stage));
}

#[test]
fn selection_and_filter_are_those_of_the_database() {
    let two = || look(vec![at("/a/notes.db", contended()), at("/b/notes.db", contended())]);
    let mut stage = Stage::new(two(), USUAL);
    stage.keys("/python<Enter>");
    let pid = |stage: &Stage| stage.app.selected_process().map(|process| process.pid);
    assert_eq!(pid(&stage), Some(71300));
    stage.keys("]");
    assert_eq!(stage.app.visible_processes().len(), 4, "the filter belongs to the other one");
    stage.keys("G");
    let here = pid(&stage);
    stage.keys("[");
    assert_eq!((pid(&stage), stage.app.visible_processes().len()), (Some(71300), 1));
    stage.keys("]");
    assert_eq!(pid(&stage), here);
}

#[test]
fn one_that_is_missing_or_unreadable_keeps_none_of_the_others_back() {
    let home = home();
    let path = home.path().join("notes.db");
    let mut writer = Actor::open(&path);
    writer.sql("PRAGMA journal_mode = WAL").sql("CREATE TABLE t (x)").sql("BEGIN IMMEDIATE");
    fs::write(home.path().join("text.db"), "# Notes\n").expect("written");
    let settings = home.path().join("config/waltop");
    fs::create_dir_all(&settings).expect("a folder");
    let listed =
        ["later.db", "text.db", "notes.db"].map(|name| format!("'{}'", home.path().join(name).display()));
    fs::write(settings.join("config.toml"), format!("databases = [{}]\n", listed.join(", ")))
        .expect("written");
    let mut terminal = Terminal::open(home.path(), &[], USUAL);
    terminal.shows("1 of 3");
    terminal.keys("o");
    terminal.shows("3 databases");
    terminal.shows("does not exist yet");
    terminal.shows("not a SQLite database");
    terminal.shows(&writer.pid().to_string());
    terminal.keys("G\r");
    terminal.shows("notes.db  database 3 of 3");
    terminal.shows("2 Locks and processes: 1 open");
    terminal.shows("WRITE");
    terminal.keys("q");
    assert_eq!(terminal.end(), 0);
}

/// The databases whose pragmas are asked for, by index.
fn asked(effects: Vec<Effect>) -> Vec<usize> {
    let index = |effect| if let Effect::AskPragmas { index, .. } = effect { Some(index) } else { None };
    effects.into_iter().filter_map(index).collect()
}

#[test]
fn databases_that_were_found_are_listed_with_their_containers_and_connected_to_once_they_are_opened() {
    let container = "web (docker 3f2a9c0b7d1e): /data/app.db";
    let one = || look(vec![at("/proc/71168/root/data/app.db", contended())]);
    for (name, size) in [("60x16", (60, 16)), ("80x24", SMALL), ("120x40", USUAL)] {
        assert_snapshot!(format!("discovered_{name}"), Stage::discovered(one(), size, &[container]).screen());
    }
    let two = || look(vec![one().snapshot.databases.remove(0), quiet("/srv/notes.db")]);
    let mut stage = Stage::discovered(two(), USUAL, &[container, "/srv/notes.db"]);
    assert!(asked(stage.look(two())).is_empty(), "none is open in the console");
    stage.keys("j<Enter>");
    assert!(stage.app.overview().is_none());
    assert_eq!(asked(stage.look(two())), [1]);
    stage.keys("<Esc>/docker<Enter>");
    assert!(stage.screen().contains("1 of 2 open databases"), "{}", stage.screen());
    assert!(asked(stage.look(two())).is_empty());
    let named = Stage::new(one(), USUAL);
    assert!(named.app.overview().is_none(), "a database that was named is shown itself");
}

#[test]
fn the_pragmas_of_the_database_on_the_screen_are_asked_for_first() {
    let all = || look((1..=4).map(|number| at(&format!("/home/me/{number}.db"), contended())).collect());
    let mut stage = Stage::new(all(), USUAL);
    stage.keys("<Enter>]]r");
    assert_eq!(asked(stage.look(all())), [2, 0, 1, 3]);
    assert!(asked(stage.look(all())).is_empty(), "nothing has changed since");
}

/// The children of `console` that ask for pragmas.
fn workers(console: i32) -> usize {
    let processes = fs::read_dir("/proc").expect("processes").flatten();
    let is_worker = |process: &fs::DirEntry| {
        let read = |file: &str| fs::read_to_string(process.path().join(file)).unwrap_or_default();
        // After the name, which ends with the last bracket: state and parent.
        let stat = read("stat");
        let parent = stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(1)?.parse().ok());
        parent == Some(console) && read("cmdline").split('\0').any(|word| word == "pragmas")
    };
    processes.filter(is_worker).count()
}

#[test]
fn no_more_than_two_databases_are_asked_for_their_pragmas_at_once() {
    let home = home();
    let paths: Vec<String> = (1..=8)
        .map(|number| {
            let path = home.path().join(format!("{number}.db"));
            let mut maker = Actor::open(&path);
            maker.sql("PRAGMA journal_mode = WAL").sql("CREATE TABLE t (x)");
            maker.close();
            path.display().to_string()
        })
        .collect();
    let args: Vec<&str> = paths.iter().map(String::as_str).collect();
    let mut terminal = Terminal::open(home.path(), &args, LARGE);
    // The one that is asked last is shown; the overview lies over it until Enter.
    terminal.shows("8 databases");
    terminal.keys("G\r");
    let mut most = 0;
    eventually("the last one has answered", || {
        most = most.max(workers(terminal.pid()));
        let screen = terminal.text();
        (screen.contains("8.db  database 8 of 8") && screen.contains("7 ok")).then_some(())
    });
    assert!((1..=2).contains(&most), "{most} at once");
    terminal.keys("q");
    assert_eq!(terminal.end(), 0);
}

#[test]
fn the_timeline_takes_the_place_of_the_overview_also_from_its_help() {
    for keys in ["b", "?b"] {
        let mut stage = Stage::new(look(many()), USUAL);
        stage.keys(keys);
        assert!(stage.screen().contains("Write lock"), "{keys}: {}", stage.screen());
        stage.keys("<Esc>");
        let screen = stage.screen();
        assert!(
            screen.contains("2 Locks and processes") && stage.app.overview().is_none(),
            "{keys}: {screen}"
        );
    }
}
