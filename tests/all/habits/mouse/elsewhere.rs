//! The mouse in the timeline, the lists over the panels and a real terminal.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crossterm::event::MouseEventKind;
use waltop::{
    act::{
        Effect, EffectReport,
        document_search::{FoundDocuments, FoundText, FoundTexts},
    },
    console::{
        app::{Message, Notice, Overlay, TimelineView},
        screen_map::{RowList, ScreenTarget},
    },
    history::{LockHistory, LockOwner, SampledLock, Timeline},
    ingest::query::{SearchMode, WordMatch},
    keymap::{Action, Panel},
};

use super::{super::USUAL, row};
use crate::{
    habits::stage,
    stage::{Stage, contended, look, rollback},
    terminal::{Terminal, database, home},
};

/// A stage whose timeline has a hold of two seconds in six.
fn sampled() -> Stage {
    let (mut history, start) = (LockHistory::default(), Instant::now());
    let at = |ms: u64| start + Duration::from_millis(ms);
    history.sampling_began(start);
    let who = || LockOwner {
        pid: Some(71_201),
        start_ticks: Some(71_201),
        name: "amalfa".to_owned(),
        ..LockOwner::default()
    };
    for round in 0..20 {
        history.open(SampledLock::Write, at(round * 6000 + 1000), Arc::new(who()));
        history.close(SampledLock::Write, at(round * 6000 + 3000));
    }
    let mut stage = stage();
    stage.history = Some((history, at(120_000)));
    stage
}

#[test]
fn a_click_in_the_timeline_moves_the_cursor_there_and_the_wheel_zooms() {
    let mut stage = sampled();
    stage.keys("b");
    let cursor = |stage: &Stage| stage.app.timeline().map(|past| past.cursor);
    for step in [0, 17, Timeline::STEPS - 1] {
        stage.click(ScreenTarget::Moment(step));
        assert_eq!(cursor(&stage), Some(step));
    }
    let span = |stage: &Stage| stage.app.timeline().map(TimelineView::span);
    let (place, before) = (stage.place(ScreenTarget::Moment(30)).expect("it is drawn"), span(&stage));
    stage.mouse(MouseEventKind::ScrollUp, place);
    assert!(span(&stage) < before);
    stage.mouse(MouseEventKind::ScrollDown, place);
    assert_eq!(span(&stage), before);
    let hold = ScreenTarget::Row(RowList::Holds, 9);
    let selected = |stage: &Stage| stage.app.timeline().and_then(TimelineView::selected_hold);
    stage.click(hold);
    assert_eq!(selected(&stage), Some(9), "{}", stage.screen());
    stage.click(hold);
    assert!(matches!(stage.app.overlay(), Some(Overlay::Details(_))), "{}", stage.screen());
}

#[test]
fn a_document_is_selected_and_then_opened() {
    let mut stage = stage();
    stage.keys("Szebra<Enter>");
    let hit = |number: usize| FoundText {
        path: format!("/home/me/notes/{number}.md"),
        title: format!("Note {number}"),
        snippet: "a «zebra»".to_owned(),
    };
    let found = Ok(FoundTexts {
        hits: (1..=9).map(hit).collect(),
        matched: Some(WordMatch::All),
        by: SearchMode::Words,
        words_alone: None,
    });
    let found = FoundDocuments { database: "/home/me/notes.db".into(), query: "zebra".to_owned(), found };
    stage.update(Message::Report(EffectReport::DocumentsFound(found)));
    let fifth = ScreenTarget::Row(RowList::Documents, 4);
    assert!(stage.click(fifth).is_empty());
    assert!(stage.screen().contains("▸Note 5"), "{}", stage.screen());
    let place = stage.place(fifth).expect("it is drawn");
    stage.mouse(MouseEventKind::ScrollDown, place);
    assert!(stage.screen().contains("▸Note 6"), "{}", stage.screen());
    stage.click(fifth);
    let effects = stage.click(fifth);
    let is_read = matches!(&effects[..], [Effect::ReadDocument(path)] if path == "/home/me/notes/5.md");
    assert!(is_read, "{effects:?}");
}

#[test]
fn rows_of_the_palette_and_of_the_overview_are_selected_and_then_opened() {
    let mut stage = Stage::new(look(vec![contended(), rollback()]), USUAL);
    stage.keys(":");
    let overview = stage.app.palette_rows().iter().position(|it| it.binding.action == Action::Overview);
    let target = ScreenTarget::Row(RowList::Palette, overview.expect("it is listed"));
    stage.click(target);
    assert!(stage.screen().contains("▸overview"), "{}", stage.screen());
    stage.click(target);
    assert!(stage.app.overview().is_some(), "{}", stage.screen());
    let second = ScreenTarget::Row(RowList::Databases, 1);
    stage.click(second);
    assert_eq!(stage.app.database().map(|it| it.path.clone()), Some("/home/me/queue/huey.db".into()));
    assert!(stage.app.overview().is_some());
    let first = stage.place(ScreenTarget::Row(RowList::Databases, 0)).expect("it is drawn");
    stage.mouse(MouseEventKind::ScrollUp, first);
    assert_eq!(stage.app.database().map(|it| it.path.clone()), Some("/home/me/notes.db".into()));
    stage.click(second);
    stage.click(second);
    assert!(stage.app.overview().is_none(), "a second click opens it");
}

#[test]
fn a_freed_mouse_belongs_to_the_terminal_until_the_key_takes_it_back() {
    let mut stage = stage();
    let effects = stage.keys("M");
    assert!(matches!(effects[0], Effect::Mouse(false)), "{effects:?}");
    assert_eq!(stage.app.notice(), Some(&Notice::MouseFreed { key: "M".to_owned() }));
    let screen = stage.screen();
    stage.click(row(Panel::Processes, 2));
    stage.click(ScreenTarget::Key(Action::Help));
    assert_eq!(stage.screen(), screen);
    let effects = stage.keys("M");
    assert!(matches!(effects[0], Effect::Mouse(true)), "{effects:?}");
    assert_eq!(stage.app.notice(), Some(&Notice::MouseTaken { key: "M".to_owned() }));
    stage.click(ScreenTarget::Key(Action::Help));
    assert!(matches!(stage.app.overlay(), Some(Overlay::Help)));
}

#[test]
fn the_terminal_reports_the_mouse_only_while_the_console_has_it() {
    let home = home();
    let (path, _writer) = database(home.path());
    let mut terminal = Terminal::open(home.path(), &[&path], USUAL);
    terminal.shows("our client");
    assert!(terminal.reports_mouse());
    let text = terminal.text();
    let (row, line) =
        text.lines().enumerate().find(|(_, line)| line.contains("? help")).expect("the last line");
    let column = line[..line.find("? help").unwrap_or_default()].chars().count();
    // SGR: the left button in a cell counted from 1; `m` releases it.
    let cell = format!("\u{1b}[<0;{};{}", column + 2, row + 1);
    terminal.keys(&format!("{cell}M{cell}m"));
    terminal.shows("Keys that act here and now");
    terminal.keys("qM");
    terminal.shows("the mouse is free");
    assert!(!terminal.reports_mouse());
    terminal.keys("M");
    terminal.shows("the mouse acts on the screen");
    assert!(terminal.reports_mouse());
    terminal.keys("q");
    assert_eq!(terminal.end(), 0);
    terminal.assert_restored();
}

#[test]
fn without_the_mouse_the_terminal_keeps_it() {
    for (args, settings) in [(&["--no-mouse"][..], ""), (&[], "mouse = false\n")] {
        let home = home();
        let (path, _writer) = database(home.path());
        std::fs::write(home.path().join("settings.toml"), settings).expect("written");
        let args = [args, &["--config", "settings.toml", &path]].concat();
        let mut terminal = Terminal::open(home.path(), &args, USUAL);
        terminal.shows("our client");
        assert!(!terminal.reports_mouse());
        terminal.keys("q");
        assert_eq!(terminal.end(), 0);
        terminal.assert_restored();
    }
}
