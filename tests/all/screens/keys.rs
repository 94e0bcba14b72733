//! What the keys ask for, and what they never do.

use super::*;

#[test]
fn a_selected_process_stays_selected_when_rows_move() {
    let mut stage = Stage::new(look(vec![contended()]), USUAL);
    stage.keys("j");
    let selected = stage.app.selected_process().map(|process| process.pid);
    let mut moved = contended();
    moved.processes.insert(0, from(process(5, "new", &["new"], "2026-01-15T14:03:00Z")));
    moved.processes[0].holds = vec![waltop::snapshot::LockHold::Write];
    stage.look(look(vec![moved]));
    assert_eq!(stage.app.selected_process().map(|process| process.pid), selected);
}

#[test]
fn a_row_that_the_filter_hides_cannot_be_hit() {
    let mut stage = Stage::new(look(vec![contended()]), USUAL);
    stage.keys("g");
    assert_eq!(stage.app.selected_process().map(|process| process.pid), Some(71166));
    assert_eq!(pins(&stage.keys("/watch<Enter>x")), [SignalTarget { pid: 71168, start_ticks: 71168 }]);
    assert_eq!(pins(&stage.keys("/<C-u>no such thing<Enter>x")), []);
}

#[test]
fn the_dialog_means_its_own_process_whatever_moves_behind_it() {
    let mut stage = Stage::new(look(vec![contended()]), USUAL);
    let pinned = pins(&stage.keys("gx"))[0];
    stage.pinned(pinned);
    stage.keys("<Tab><Down>");
    let mut without = contended();
    without.processes.retain(|process| process.pid != pinned.pid);
    stage.look(look(vec![without]));
    assert_eq!(
        acts(&stage.keys("y")),
        [&ConfirmedAction::Signal { targets: vec![pinned], signal: StopSignal::Term }]
    );
}

#[test]
fn no_escape_and_enter_leave_a_process_alone() {
    for keys in ["n", "<Esc>", "<Enter>"] {
        let mut stage = Stage::new(look(vec![contended()]), USUAL);
        let pinned = pins(&stage.keys("x"))[0];
        stage.pinned(pinned);
        let effects = stage.keys(keys);
        assert!(acts(&effects).is_empty(), "{keys}");
        assert!(effects.iter().any(|effect| matches!(effect, Effect::Unpin)), "{keys}");
        assert!(stage.app.dialog().is_none(), "{keys}");
    }
}

#[test]
fn read_only_and_disarmed_no_key_changes_anything() {
    let everything = "xyc<Enter>i<Enter>fy<Esc>";
    let mut stage = Stage::readonly(look(vec![rollback()]), USUAL);
    let effects = stage.keys(&format!("a{everything}"));
    assert!(acts(&effects).is_empty() && pins(&effects).is_empty());
    assert!(stage.screen().contains("READ-ONLY"));
    let mut stage = Stage::new(look(vec![rollback()]), USUAL);
    let effects = stage.keys(&format!("a{everything}"));
    assert!(acts(&effects).is_empty() && pins(&effects).is_empty());
    assert!(stage.screen().contains("DISARMED"));
    assert_eq!(pins(&stage.keys("ax")).len(), 1);
}

#[test]
fn escape_never_quits_and_q_does() {
    let mut stage = Stage::new(look(vec![contended()]), USUAL);
    let effects = stage.keys("?<Esc>/abc<Esc>3<Esc><Esc><Esc>");
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Quit(_))));
    assert!(matches!(stage.keys("q")[..], [Effect::Quit(0)]));
    assert!(matches!(stage.keys("<C-c>")[..], [Effect::Quit(130)]));
}

#[test]
fn a_pause_holds_the_screen_and_the_next_sample_waits() {
    let mut stage = Stage::new(look(vec![contended()]), USUAL);
    stage.keys("p");
    let mut later = contended();
    later.processes.clear();
    stage.look(look(vec![later]));
    assert!(stage.screen().contains("PAUSED") && stage.screen().contains("71201"));
    stage.keys("p");
    assert!(stage.app.visible_processes().is_empty() && !stage.app.is_paused());
}

#[test]
fn every_database_has_its_turn() {
    let mut stage = Stage::new(look(vec![contended(), rollback()]), USUAL);
    let shown = |stage: &Stage| {
        let at = stage.app.current();
        assert!(stage.screen().contains(&format!("{} of 2", at + 1)), "{}", stage.screen());
        at
    };
    assert_eq!(shown(&stage), 0);
    for (key, at) in [("]", 1), ("]", 0), ("[", 1)] {
        stage.keys(key);
        assert_eq!(shown(&stage), at, "{key}");
    }
}

#[test]
fn a_process_that_is_not_on_the_screen_cannot_be_hit() {
    for panel in ["3", "4", "6"] {
        let mut stage = Stage::new(look(vec![contended()]), USUAL);
        assert_eq!(pins(&stage.keys(&format!("{panel}x"))), [], "{panel}");
        let notice = stage.app.notice();
        assert!(matches!(notice, Some(Notice::NoProcessToStop { .. })), "{notice:?}");
    }
}

#[test]
fn a_selected_process_that_goes_is_reported() {
    let mut stage = Stage::new(look(vec![contended()]), USUAL);
    stage.keys("g");
    let mut without = contended();
    without.processes.retain(|process| process.pid != 71166);
    stage.look(look(vec![without]));
    assert_eq!(stage.app.notice(), Some(&Notice::ProcessGone { who: "71166 (amalfa)".to_owned() }));
}

#[test]
fn pressing_x_twice_opens_one_dialog_that_acts() {
    let mut stage = Stage::new(look(vec![contended()]), USUAL);
    let pinned = pins(&stage.keys("gxx"));
    assert_eq!(pinned.len(), 1);
    stage.pinned(pinned[0]);
    assert_eq!(
        acts(&stage.keys("y")),
        [&ConfirmedAction::Signal { targets: vec![pinned[0]], signal: StopSignal::Term }]
    );
}

#[test]
fn what_is_copied_is_the_row_that_is_selected() {
    for keys in ["y", "jy", "1jy", "4y", "4jjy", "5y", "3y"] {
        let mut stage = Stage::new(look(vec![contended()]), USUAL);
        let effects = stage.keys(keys);
        let copied =
            effects.iter().find_map(|it| if let Effect::Copy(text) = it { Some(text) } else { None });
        let copied = copied.unwrap_or_else(|| panic!("{keys} copies something"));
        let first = copied.split([' ', ':']).next().unwrap_or_default();
        let selected = match &keys[..1] {
            "4" => stage.app.pragma_lines()[keys.len() - 2].name.to_owned(),
            "1" => "error".to_owned(),
            "5" => "20260115T140220Z-71201".to_owned(),
            "3" => "/home/me/notes.db".to_owned(),
            _ => stage.app.selected_process().expect("one is selected").pid.to_string(),
        };
        assert_eq!(first, selected, "{keys}");
    }
}

#[test]
fn the_key_bar_lists_the_keys_of_what_is_on_top() {
    let mut database = contended();
    database.ingestions.clear();
    for size in [SMALL, USUAL, (200, 60)] {
        let bar = |keys: &str| {
            let mut stage = Stage::new(look(vec![database.clone()]), size);
            stage.keys(keys);
            stage.screen().lines().last().expect("a line").to_owned()
        };
        assert!(bar("").contains("b lock timeline") && bar("").contains("q quit"), "{}", bar(""));
        for keys in ["<Enter>", "?", "b", "6", "4"] {
            let bar = bar(keys);
            assert!(bar.contains("Esc ") && !bar.contains("q quit"), "{keys}: {bar}");
        }
        for keys in ["<Enter>", "?"] {
            let bar = bar(keys);
            assert!(bar.contains("j down") && bar.contains("/ search"), "{keys}: {bar}");
            assert!(!bar.contains("lock timeline") && !bar.contains("ingest"), "{keys}: {bar}");
        }
        assert!(bar("<Enter>").contains("x stop process") && !bar("?").contains("x stop"));
        assert!(bar("b").contains("Left back") && bar("b").contains("Esc close"), "{}", bar("b"));
    }
}
