//! The ingestion panel: what its keys do to a watch.

use waltop::{
    act::{ConfirmedAction, Effect, EffectReport, preview::FolderPreview, signal::StopSignal},
    console::{
        app::{Message, Notice},
        dialogs::DialogKind,
    },
    ingest::discover::DocumentCount,
    snapshot::{Database, IngestWatcher, IngestionState},
};

use super::{USUAL, acts, pins, target};
use crate::stage::{Stage, contended, look};

const WATCH: i32 = 71_555;

/// A database with a watch, and a run that has ended.
fn watched() -> Database {
    let mut database = contended();
    let since = "2026-01-15T13:00:00Z".parse().expect("a time");
    let start_ticks = u64::try_from(WATCH).ok();
    let folders = vec!["/home/me/notes".to_owned()];
    database.watchers = vec![IngestWatcher { pid: WATCH, start_ticks, folders, since }];
    database.ingestions[0].state = IngestionState::Completed;
    database
}

fn asked() -> Stage {
    let mut stage = Stage::new(look(vec![watched()]), USUAL);
    assert_eq!(pins(&stage.keys("5gx")), [WATCH]);
    stage.pinned(target(WATCH));
    stage
}

fn key_bar(stage: &Stage) -> String {
    stage.screen().lines().last().unwrap_or_default().to_owned()
}

#[test]
fn x_stops_the_selected_watch_and_the_key_bar_says_so() {
    for size in [(60, 16), (80, 24), USUAL, (200, 60)] {
        let mut stage = Stage::new(look(vec![watched()]), size);
        stage.keys("5");
        assert!(!key_bar(&stage).contains("stop watch"), "the run is selected: {}", stage.screen());
        stage.keys("g");
        assert!(key_bar(&stage).contains("x stop watch"), "{}", stage.screen());
    }
    let mut stage = asked();
    assert!(stage.screen().contains("Stop the watch, process 71555"), "{}", stage.screen());
    let effects = stage.keys("y");
    let sent =
        effects.iter().find_map(|it| if let Effect::Act(act) = it { Some(act.act().clone()) } else { None });
    let (targets, signal) = (vec![target(WATCH)], StopSignal::Term);
    assert_eq!(sent, Some(ConfirmedAction::Signal { targets, signal }));
}

#[test]
fn a_letter_chooses_the_signal_for_a_watch_and_confirms_none() {
    let mut stage = asked();
    assert!(!acts(&stage.keys("k")));
    let Some(DialogKind::StopWatch(dialog)) = stage.app.dialog() else { panic!("{}", stage.screen()) };
    assert_eq!(dialog.signal, StopSignal::Kill);
    assert!(!acts(&stage.keys("<Enter>")) && stage.app.dialog().is_none(), "No has the focus");
}

#[test]
fn x_on_a_run_that_has_ended_stops_nothing() {
    let mut stage = Stage::new(look(vec![watched()]), USUAL);
    assert!(!acts(&stage.keys("5x")));
    let notice = stage.app.notice();
    assert!(matches!(notice, Some(Notice::WatchElsewhere { pid: WATCH, panel: None, .. })), "{notice:?}");
}

#[test]
fn x_on_a_run_that_a_watch_made_stops_the_watch() {
    let mut database = watched();
    let run = &mut database.ingestions[0];
    (run.pid, run.start_ticks) = (WATCH, u64::try_from(WATCH).ok());
    let mut stage = Stage::new(look(vec![database]), USUAL);
    assert_eq!(pins(&stage.keys("5x")), [WATCH]);
}

#[test]
fn x_on_a_running_run_stops_its_process() {
    let mut database = watched();
    database.ingestions[0].state = IngestionState::Running;
    let pid = database.ingestions[0].pid;
    let mut stage = Stage::new(look(vec![database]), USUAL);
    assert_eq!(pins(&stage.keys("5x")), [pid]);
}

#[test]
fn a_watch_that_ends_while_its_dialog_is_open_is_not_stopped() {
    let mut stage = asked();
    let mut database = watched();
    database.watchers.clear();
    stage.look(look(vec![database]));
    assert_eq!(stage.app.notice(), Some(&Notice::WatchEnded));
    assert!(stage.app.dialog().is_none(), "{}", stage.screen());
    assert!(!acts(&stage.keys("y")));
}

#[test]
fn enter_on_a_watch_shows_its_newest_run_and_its_pid_can_be_copied() {
    let mut database = watched();
    let run = &mut database.ingestions[0];
    (run.pid, run.start_ticks) = (WATCH, u64::try_from(WATCH).ok());
    let mut stage = Stage::new(look(vec![database]), USUAL);
    let effects = stage.keys("5gY");
    assert!(
        effects.iter().any(|it| matches!(it, Effect::Copy(pid) if *pid == WATCH.to_string())),
        "{effects:?}"
    );
    stage.keys("<Enter>");
    assert!(stage.app.overlay().is_some(), "{}", stage.screen());
}

#[test]
fn the_dialog_that_starts_an_ingestion_names_the_watch_of_the_folder() {
    for (folder, is_watched) in
        [("/home/me/notes", true), ("/home/me/notes/a", true), ("/home/me/notes2", false)]
    {
        let mut stage = Stage::new(look(vec![watched()]), USUAL);
        stage.keys("i");
        let typed = "/home/me/notes".to_owned();
        let documents = Ok(DocumentCount { files: 1, bytes: 1, is_complete: true });
        let preview = FolderPreview { typed, folder: folder.into(), documents, names: Vec::new() };
        stage.update(Message::Report(EffectReport::Preview(preview)));
        assert_eq!(stage.screen().contains("Process 71555 watches this folder"), is_watched, "{folder}");
    }
}

#[test]
fn x_in_another_panel_says_where_a_watch_is_stopped() {
    for (keys, is_there) in [("3x", true), ("3x", false)] {
        let mut database = watched();
        if !is_there {
            database.watchers.clear();
        }
        let mut stage = Stage::new(look(vec![database]), USUAL);
        assert!(!acts(&stage.keys(keys)), "{}", stage.screen());
        let is_named = matches!(stage.app.notice(), Some(Notice::WatchElsewhere { pid: WATCH, .. }));
        assert_eq!(is_named, is_there, "{}", stage.screen());
    }
}
