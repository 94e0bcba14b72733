//! Clicks, the wheel, and the key that frees the mouse. A click means the frame in which it was made.

use crossterm::event::{KeyCode, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use waltop::{
    act::Effect,
    console::{
        app::{Message, Notice, Overlay},
        dialogs::{DialogKind, StopMark},
        screen_map::{DialogButton, RowList, ScreenTarget},
    },
    keymap::{Action, Panel},
    snapshot::IngestionState,
};

use super::{USUAL, acts, is_stop_open, pins, stage, target};
use crate::stage::{Stage, contended, look};

mod elsewhere;

const YES: ScreenTarget = ScreenTarget::Button(DialogButton::Yes);
const NO: ScreenTarget = ScreenTarget::Button(DialogButton::No);
const PRESS: MouseEventKind = MouseEventKind::Down(MouseButton::Left);
const RELEASE: MouseEventKind = MouseEventKind::Up(MouseButton::Left);

fn row(panel: Panel, row: usize) -> ScreenTarget {
    ScreenTarget::Row(RowList::Panel(panel), row)
}

/// What stands in the row of the screen that shows `target`.
fn line(stage: &Stage, target: ScreenTarget) -> String {
    let screen = stage.screen();
    let (_, y) = stage.place(target).unwrap_or_else(|| panic!("{target:?} is not on\n{screen}"));
    screen.lines().nth(y.into()).unwrap_or_default().to_owned()
}

fn selected(stage: &Stage) -> Option<i32> {
    stage.app.selected_process().map(|process| process.pid)
}

fn signals(effects: &[Effect]) -> usize {
    effects.iter().filter(|effect| matches!(effect, Effect::Act(_))).count()
}

/// A stop dialog, drawn, about the process of the worst finding.
fn stopping() -> Stage {
    let mut stage = stage();
    let pinned = pins(&stage.keys("x"));
    stage.pinned(target(pinned[0]));
    stage.frame();
    assert!(is_stop_open(&stage));
    stage
}

#[test]
fn a_click_selects_the_row_that_was_drawn_there_and_a_second_one_opens_it() {
    let mut stage = stage();
    let pids: Vec<i32> = stage.app.visible_processes().iter().map(|process| process.pid).collect();
    for (at, pid) in pids.iter().enumerate() {
        stage.frame();
        assert!(line(&stage, row(Panel::Processes, at)).contains(&pid.to_string()));
        stage.click(row(Panel::Processes, at));
        assert_eq!(selected(&stage), Some(*pid));
        assert!(stage.app.overlay().is_none(), "once only selects");
    }
    let last = pids.len() - 1;
    stage.click(row(Panel::Processes, last));
    assert!(stage.screen().contains(&format!(" process           {}", pids[last])), "{}", stage.screen());
    stage.keys("<Esc>");
    stage.click(row(Panel::Processes, last));
    assert!(stage.app.overlay().is_none(), "a key came between the two clicks");
    stage.click(row(Panel::Findings, 1));
    stage.click(row(Panel::Processes, last));
    assert!(stage.app.overlay().is_none(), "another row was clicked between them");
}

#[test]
fn a_click_gives_its_panel_the_focus_with_or_without_a_row() {
    let mut stage = Stage::new(look(vec![contended()]), (200, 60));
    for panel in [Panel::Findings, Panel::Pragmas, Panel::Ingestion, Panel::Processes] {
        stage.click(row(panel, 0));
        stage.keys("<Enter>");
        assert!(matches!(stage.app.overlay(), Some(Overlay::Details(_))), "{panel:?}");
        stage.keys("<Esc>");
    }
    stage.click(ScreenTarget::List(RowList::Panel(Panel::Log)));
    stage.keys("/");
    assert!(stage.screen().contains("filter log:"), "{}", stage.screen());
}

#[test]
fn a_key_of_the_last_line_acts_as_the_key() {
    let (mut clicked, mut typed) = (stage(), stage());
    assert_eq!(pins(&clicked.click(ScreenTarget::Key(Action::Stop))), pins(&typed.keys("x")));
    clicked.click(ScreenTarget::Key(Action::Timeline));
    assert!(clicked.app.timeline().is_some());
    clicked.click(ScreenTarget::Key(Action::Help));
    assert!(matches!(clicked.app.overlay(), Some(Overlay::Help)));
    assert!(clicked.click(ScreenTarget::Key(Action::Back)).is_empty(), "it closes the help, as Esc does");
    assert!(clicked.app.overlay().is_none());
}

#[test]
fn a_key_of_the_last_line_needs_the_whole_click_and_has_the_guards_of_the_key() {
    let mut stage = stage();
    stage.frame();
    let (stop, quit) = [Action::Stop, Action::Quit].map(|it| stage.place(ScreenTarget::Key(it))).into();
    let (stop, quit) = (stop.expect("drawn"), quit.expect("drawn"));
    stage.mouse(PRESS, stop);
    assert!(stage.mouse(RELEASE, quit).is_empty());
    assert!(stage.mouse(RELEASE, stop).is_empty());
    let mut stage = Stage::readonly(look(vec![contended()]), USUAL);
    stage.frame();
    assert_eq!(stage.place(ScreenTarget::Key(Action::Stop)), None);
    assert!(!acts(&stage.click_at(stop)));
    stage.keys("S");
    assert_eq!(stage.place(ScreenTarget::Key(Action::Quit)), None, "letters are text here");
}

#[test]
fn the_buttons_of_a_dialog_answer_it() {
    let mut stage = stopping();
    assert_eq!(signals(&stage.click(NO)), 0);
    assert!(stage.app.dialog().is_none());
    let mut stage = stopping();
    assert_eq!(signals(&stage.click(YES)), 1);
    assert!(!is_stop_open(&stage));
}

#[test]
fn a_click_beside_a_dialog_or_a_drag_off_its_button_does_nothing() {
    let mut stage = stopping();
    let (screen, yes) = (stage.screen(), stage.place(YES).expect("it is drawn"));
    for y in (0..USUAL.1).step_by(3).filter(|&y| y != yes.1) {
        for x in (0..USUAL.0).step_by(9) {
            assert!(stage.click_at((x, y)).is_empty(), "{x} {y}");
        }
    }
    assert_eq!(stage.screen(), screen);
    assert!(stage.mouse(PRESS, yes).is_empty());
    assert!(stage.mouse(RELEASE, (yes.0, yes.1 - 3)).is_empty());
    assert!(stage.mouse(RELEASE, yes).is_empty(), "it was released elsewhere");
    assert_eq!(signals(&stage.keys("<Enter>")), 0, "the focus stays on No");
}

#[test]
fn the_rows_of_a_list_to_stop_are_ticked_in_their_boxes() {
    let mut stage = stage();
    stage.keys("2g<Space><Space>");
    let pinned = pins(&stage.keys("x"));
    let answers = pinned.iter().map(|&pid| (target(pid), Ok(()))).collect();
    stage.update(Message::Report(waltop::act::EffectReport::Pinned(answers)));
    let marks = |stage: &Stage| match stage.app.dialog() {
        Some(DialogKind::Tagged(dialog)) => {
            let is_ticked = |mark: &StopMark| matches!(mark, StopMark::Ticked(_));
            (dialog.list.cursor, dialog.list.rows.iter().map(|row| is_ticked(&row.mark)).collect::<Vec<_>>())
        }
        other => panic!("{other:?} is open"),
    };
    stage.frame();
    assert!(line(&stage, ScreenTarget::Tick(1)).contains(&format!("[x]   {}", pinned[1])));
    assert!(stage.click(ScreenTarget::Row(RowList::Dialog, 1)).is_empty());
    assert_eq!(marks(&stage), (1, vec![true, true]));
    stage.click(ScreenTarget::Tick(0));
    assert_eq!(marks(&stage), (0, vec![false, true]));
    stage.mouse(MouseEventKind::ScrollDown, stage.place(ScreenTarget::Tick(0)).expect("it is drawn"));
    assert_eq!(marks(&stage).0, 1);
}

#[test]
fn a_heading_sorts_and_inverts_and_one_without_an_order_does_nothing() {
    let mut stage = stage();
    let order =
        |stage: &Stage| -> Vec<i32> { stage.app.visible_processes().iter().map(|it| it.pid).collect() };
    let [pid, name, lock] = [0, 1, 2].map(ScreenTarget::Heading);
    stage.click(pid);
    assert!(order(&stage).is_sorted(), "{:?}", order(&stage));
    assert!(stage.screen().contains("PID▾"), "{}", stage.screen());
    stage.click(pid);
    let falling = order(&stage);
    assert!(falling.is_sorted_by(|a, b| a > b), "{falling:?}");
    assert!(stage.screen().contains("PID▴"), "{}", stage.screen());
    stage.click(name);
    assert_eq!(order(&stage), falling, "names have no order");
    stage.click(lock);
    assert_eq!(order(&stage)[0], 71_201, "the writer is first: another column is not inverted");
    stage.click(lock);
    assert_eq!(order(&stage).last(), Some(&71_201));
}

#[test]
fn the_wheel_moves_in_the_panel_or_text_under_the_pointer() {
    let mut stage = stage();
    stage.keys("2g2<Tab>");
    let processes = stage.place(row(Panel::Processes, 0)).expect("it is drawn");
    let finding = stage.app.selected_row(Panel::Findings);
    let last = stage.app.table_rows().len() - 1;
    for _ in 0..last + 2 {
        stage.mouse(MouseEventKind::ScrollDown, processes);
    }
    let rows = [Panel::Processes, Panel::Findings].map(|panel| stage.app.selected_row(panel));
    assert_eq!(rows, [last, finding]);
    for _ in 0..last + 2 {
        stage.mouse(MouseEventKind::ScrollUp, processes);
    }
    assert_eq!(stage.app.selected_row(Panel::Processes), 0);
    stage.keys("?");
    let help = stage.screen();
    stage.mouse(MouseEventKind::ScrollDown, processes);
    assert_ne!(stage.screen(), help);
    stage.mouse(MouseEventKind::ScrollUp, processes);
    assert_eq!(stage.screen(), help);
    stage.click_at(processes);
    assert_eq!(stage.screen(), help, "what lies under a text cannot be hit");
}

/// A click in this cell, with no frame before or after it.
fn blind_click(stage: &mut Stage, (column, row): (u16, u16)) -> Vec<Effect> {
    let mut effects = Vec::new();
    for kind in [PRESS, RELEASE] {
        let event = MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE };
        effects.extend(stage.update(Message::Mouse(event)));
    }
    effects
}

#[test]
fn a_click_on_a_dialog_that_was_not_drawn_yet_is_refused() {
    let yes = stopping().place(YES).expect("it is drawn");
    let mut stage = stage();
    let pinned = pins(&stage.keys("x"));
    stage.pinned(target(pinned[0]));
    assert!(blind_click(&mut stage, yes).is_empty());
    assert!(is_stop_open(&stage));
}

#[test]
fn a_click_on_the_frame_of_the_dialog_before_is_refused() {
    let mut stage = stopping();
    let yes = stage.place(YES).expect("it is drawn");
    stage.update(Message::Key(KeyCode::Esc.into()));
    let pinned = pins(&stage.update(Message::Key(KeyCode::Char('x').into())));
    stage.pinned(target(pinned[0]));
    stage.report_frame();
    assert!(blind_click(&mut stage, yes).is_empty());
    assert!(is_stop_open(&stage));
    stage.frame();
    assert_eq!(signals(&blind_click(&mut stage, yes)), 0, "nothing was drawn between press and release");
    assert_eq!(signals(&stage.click(YES)), 1);
}

#[test]
fn a_button_that_appears_under_a_pressed_mouse_is_not_pressed() {
    let yes = stopping().place(YES).expect("it is drawn");
    let mut stage = stage();
    let pinned = pins(&stage.keys("x"));
    stage.mouse(PRESS, yes);
    stage.pinned(target(pinned[0]));
    stage.frame();
    assert_eq!(stage.place(YES), Some(yes));
    assert!(stage.mouse(RELEASE, yes).is_empty());
    assert!(is_stop_open(&stage));
}

#[test]
fn a_sample_between_press_and_release_that_leaves_the_dialog_is_no_hindrance() {
    let mut stage = stopping();
    let yes = stage.place(YES).expect("it is drawn");
    stage.mouse(PRESS, yes);
    stage.look(look(vec![contended()]));
    stage.frame();
    assert_eq!(signals(&stage.mouse(RELEASE, yes)), 1);
}

#[test]
fn a_click_on_yes_has_the_guards_of_the_key() {
    let mut stage = stage();
    let running = stage.app.running_ingestion().map(|run| run.pid).expect("one runs");
    assert_eq!(pins(&stage.keys("5i")), [running]);
    stage.pinned(target(running));
    let mut ended = contended();
    ended.ingestions[0].state = IngestionState::Completed;
    stage.frame();
    let yes = stage.place(YES).expect("it is drawn");
    stage.look(look(vec![ended]));
    assert!(matches!(stage.app.notice(), Some(Notice::IngestionEnded { .. })));
    assert_eq!(signals(&stage.click_at(yes)), 0);
}

#[test]
fn a_release_on_a_frame_that_is_no_longer_true_ends_the_click() {
    let mut stage = stopping();
    let yes = stage.place(YES).expect("it is drawn");
    stage.mouse(PRESS, yes);
    stage.look(look(vec![contended()]));
    assert!(stage.mouse(RELEASE, yes).is_empty(), "nobody saw this state");
    assert!(stage.mouse(RELEASE, yes).is_empty(), "the click is over");
    assert!(is_stop_open(&stage));
}

#[test]
fn a_row_of_a_frame_before_the_last_sample_is_not_selected() {
    let mut stage = stage();
    stage.keys("2g");
    let place = stage.place(row(Panel::Processes, 2)).expect("it is drawn");
    stage.look(look(vec![contended()]));
    stage.mouse(PRESS, place);
    assert_eq!(stage.app.selected_row(Panel::Processes), 0);
    stage.mouse(PRESS, place);
    assert_eq!(stage.app.selected_row(Panel::Processes), 2, "now it is drawn");
}
