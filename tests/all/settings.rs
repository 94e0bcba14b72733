//! The console under settings of the user's own: keys and colours.

use std::{fs, path::Path};

use vt100::Color;
use waltop::{
    act::{Effect, gate::NotArmed},
    console::app::Notice,
    keymap::{self, Keymap, NamedKey},
};

use crate::{
    stage::{Stage, contended, look, missing},
    support::{Actor, eventually},
    terminal::{Terminal, database, home},
};

const USUAL: (u16, u16) = (120, 40);

fn remapped(changes: &[(&str, &[&str])]) -> Keymap {
    let mut keymap = Keymap::default();
    for (name, keys) in changes {
        let keys = keys.iter().map(|key| NamedKey::written(key).expect("a key")).collect();
        keymap.assign(keymap::named(name).expect("an action"), keys).expect("it may have them");
    }
    keymap
}

fn settle(home: &Path, text: &str) {
    fs::create_dir_all(home.join("config/waltop")).expect("a folder");
    fs::write(home.join("config/waltop/config.toml"), text).expect("written");
}

#[test]
fn a_new_key_acts_and_is_shown_wherever_the_old_one_was() {
    let keymap = remapped(&[
        ("stop", &["K", "F8"]),
        ("ingest", &["N"]),
        ("show-findings", &["W"]),
        ("show-log", &["L"]),
        ("arm", &["Z"]),
        ("help", &["F1"]),
    ]);
    let mut stage = Stage::with_keys(look(vec![contended()]), USUAL, keymap.clone());
    let screen = stage.screen();
    for shown in ["K stop process", "N ingest", "F1 help", "W Findings", "L Log", "K continue"] {
        assert!(screen.contains(shown), "{shown}\n{screen}");
    }
    for gone in ["x stop process", "i ingest", "? help", "1 Findings", "6 Log", "x continue"] {
        assert!(!screen.contains(gone), "{gone}\n{screen}");
    }
    assert_eq!(stage.keys("x1?").len(), 0, "the old keys do nothing");
    let after = stage.screen();
    let notice = stage.app.notice().expect("a notice");
    assert_eq!(*notice, Notice::UnknownKey { key: "?".to_owned(), help: "F1".to_owned() });
    assert!(after.contains(&notice.to_string()), "{after}");
    let changed = after.lines().zip(screen.lines()).filter(|(after, before)| after != before).count();
    assert_eq!(changed, 1, "only the notice is new:\n{after}");
    assert!(stage.keys("K").iter().any(|effect| matches!(effect, Effect::Pin(_))));
    let mut stage = Stage::with_keys(look(vec![contended()]), USUAL, keymap.clone());
    stage.keys("Zc");
    let disarmed = Notice::NotArmed { why: NotArmed::Disarmed, key: "Z".to_owned() };
    assert_eq!(stage.app.notice(), Some(&disarmed));
    let empty = Stage::with_keys(look(vec![missing()]), USUAL, keymap);
    assert!(empty.screen().contains("N starts an ingestion"), "{}", empty.screen());
}

#[test]
fn settings_that_are_changed_while_it_is_open_are_noticed() {
    let home = home();
    settle(home.path(), "refresh = '1s'\n");
    let (path, _writer) = database(home.path());
    let mut terminal = Terminal::open(home.path(), &[&path], USUAL);
    terminal.shows("notes.db");
    settle(home.path(), "refresh = '2s'\n");
    terminal.shows("the settings were changed");
    terminal.keys("q");
    assert_eq!(terminal.end(), 0);
}

#[test]
fn a_key_of_the_settings_stops_a_process_and_another_one_quits() {
    let home = home();
    let (path, _writer) = database(home.path());
    settle(home.path(), "[keys]\nstop = ['K', 'F8']\nquit = 'Q'\nhelp = 'Ctrl-G'\n");
    let mut reader = Actor::open(Path::new(&path));
    reader.sql("BEGIN").sql("SELECT * FROM t");
    let mut terminal = Terminal::open(home.path(), &[&path], USUAL);
    terminal.shows("read@");
    terminal.keys(&format!("/{}\r", reader.pid()));
    terminal.shows("K stop process");
    terminal.shows("Q quit");
    terminal.keys("\u{7}");
    terminal.shows("Keys that act here and now");
    terminal.shows("K F8");
    terminal.keys("G");
    terminal.shows("Q Ctrl-C");
    terminal.keys("\u{1b}");
    terminal.shows_no_more("Keys that act here and now");
    terminal.keys("xqK");
    terminal.shows(&format!("Stop {}", reader.pid()));
    terminal.keys("y");
    terminal.shows("has ended after TERM");
    terminal.keys("Q");
    assert_eq!(terminal.end(), 0);
    terminal.assert_restored();
}

#[test]
fn the_theme_colours_the_screen_and_no_color_wins() {
    let home = home();
    let (path, _writer) = database(home.path());
    let is_of_light = |colour: &Color| matches!(colour, Color::Idx(16..));
    for (theme, environment, is_as_asked) in [
        (
            "dark",
            &[][..],
            (&|it: &[Color]| !it.is_empty() && !it.iter().any(is_of_light)) as &dyn Fn(&[Color]) -> bool,
        ),
        ("light", &[], &|it| it.iter().any(is_of_light)),
        ("colour-blind", &[], &|it| it.iter().any(is_of_light)),
        ("none", &[], &|it| it.is_empty()),
        ("light", &[("NO_COLOR", "1")], &|it| it.is_empty()),
        ("light", &[("TERM", "dumb")], &|it| it.is_empty()),
    ] {
        settle(home.path(), &format!("theme = '{theme}'\n"));
        let mut terminal = Terminal::open_with(home.path(), &[&path], USUAL, environment);
        terminal.shows("our client");
        eventually(theme, || is_as_asked(&terminal.colours()).then_some(()));
        terminal.keys("q");
        assert_eq!(terminal.end(), 0);
    }
}

#[test]
fn without_a_name_the_console_opens_on_the_databases_of_the_settings() {
    let home = home();
    let (path, _writer) = database(home.path());
    settle(
        home.path(),
        &format!(
            "readonly = true\ndatabases = ['{path}', 'later.db']\n[[database]]\npath = '{path}'\nprofile = 'queue'\n"
        ),
    );
    let mut terminal = Terminal::open(home.path(), &[], USUAL);
    terminal.shows("notes.db");
    terminal.shows("1 of 2");
    terminal.shows("Pragmas: queue");
    terminal.shows("READ-ONLY");
    terminal.keys("c");
    terminal.shows("nothing was changed");
    terminal.keys("]");
    terminal.shows("later.db");
    terminal.shows("does not exist yet");
    terminal.keys("q");
    assert_eq!(terminal.end(), 0);
}
