//! Ctrl-Z, Ctrl-L and the export, in a real terminal.

use std::{fs, os::unix::fs::PermissionsExt};

use super::USUAL;
use crate::{
    namespace::{ALONE, may_be_alone},
    support::WALTOP,
    terminal::{Terminal, database, home},
};

#[test]
fn ctrl_z_gives_the_terminal_to_the_shell_and_fg_brings_the_screen_back() {
    let home = home();
    let (path, _writer) = database(home.path());
    let script = format!("{WALTOP} {path}; echo stopped with $?; read line; fg; echo ended with $?");
    let mut terminal = Terminal::shell(home.path(), &script, USUAL);
    terminal.shows("our client");
    terminal.keys("\u{1a}");
    // 128 and the number of SIGTSTP.
    terminal.shows("stopped with 148");
    terminal.assert_restored();
    terminal.keys("\r");
    terminal.shows("our client");
    terminal.keys("?");
    terminal.shows("Keys that act here and now");
    terminal.keys("q");
    terminal.shows_no_more("Keys that act here and now");
    terminal.keys("q");
    terminal.shows("ended with 0");
    assert_eq!(terminal.end(), 0);
    terminal.assert_restored();
}

#[test]
fn ctrl_z_without_a_shell_to_return_to_is_refused() {
    let home = home();
    let (path, _writer) = database(home.path());
    let mut terminal = Terminal::open(home.path(), &[&path], USUAL);
    terminal.shows("our client");
    terminal.keys("\u{1a}");
    terminal.shows("cannot suspend: no shell waits for this process");
    terminal.keys("q");
    assert_eq!(terminal.end(), 0);
}

#[test]
fn ctrl_z_is_refused_in_a_pid_namespace_where_group_and_session_of_the_parent_are_outside() {
    if !may_be_alone() {
        return;
    }
    // As the first process, in the group of the launcher; and as the leader of a session and group of its own.
    for start in ["exec", "setsid --ctty"] {
        let home = home();
        let (path, _writer) = database(home.path());
        let script = format!("{start} {WALTOP} {path}");
        let mut terminal = Terminal::launched(&ALONE, home.path(), &script, USUAL);
        terminal.shows("notes.db");
        terminal.keys("\u{1a}");
        terminal.shows("cannot suspend: no shell waits for this process");
        terminal.keys("q");
        assert_eq!(terminal.end(), 0);
    }
}

#[test]
fn ctrl_l_draws_over_what_another_program_wrote() {
    let home = home();
    let (path, _writer) = database(home.path());
    let mut terminal = Terminal::open(home.path(), &[&path], USUAL);
    terminal.shows("our client");
    terminal.scribble("\u{1b}[12;30Hscribbled");
    terminal.shows("scribbled");
    terminal.keys("\u{c}");
    terminal.shows_no_more("scribbled");
    terminal.shows("our client");
    terminal.keys("q");
    assert_eq!(terminal.end(), 0);
}

#[test]
fn an_export_lies_in_the_state_folder_and_the_screen_says_where() {
    let home = home();
    let (path, _writer) = database(home.path());
    let mut terminal = Terminal::open(home.path(), &[&path], (200, 40));
    terminal.shows("our client");
    terminal.keys("e");
    let folder = home.path().join("state/waltop");
    terminal.shows(&format!("written to {}/waltop-", folder.display()));
    let is_export = |name: &str| name.starts_with("waltop-");
    let entries = fs::read_dir(&folder).expect("the state folder").flatten();
    let exports: Vec<_> =
        entries.filter(|it| it.file_name().to_str().is_some_and(is_export)).map(|it| it.path()).collect();
    assert_eq!(exports.len(), 1, "{exports:?}");
    assert!(fs::read_to_string(&exports[0]).expect("it is text").contains("notes.db"));
    assert_eq!(fs::metadata(&exports[0]).expect("it is there").permissions().mode() & 0o777, 0o600);
    terminal.keys("q");
    assert_eq!(terminal.end(), 0);
}
