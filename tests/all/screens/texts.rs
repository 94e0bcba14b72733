//! Texts that scroll, and what they leave out.

use crossterm::event::MouseEventKind;
use waltop::{
    console::screen_map::{RowList, ScreenTarget},
    keymap::Panel,
};

use super::*;

#[test]
fn the_log_scrolls_by_key_and_wheel_and_what_is_read_stays_in_place() {
    let line = |number: u32| {
        let at = "2026-01-15T14:03:20Z".parse().expect("a time");
        Message::Logged(vec![LogLine { at, level: Level::Info, text: format!("line <{number}>") }])
    };
    let mut stage = Stage::new(look(vec![contended()]), USUAL);
    for number in 1..=100 {
        stage.update(line(number));
    }
    let shows = |stage: &Stage, number: u32| stage.screen().contains(&format!("line <{number}>"));
    // Findings that began are logged first.
    stage.keys("6kkk");
    assert!(shows(&stage, 97) && !shows(&stage, 98), "{}", stage.screen());
    assert!(stage.screen().contains("3 newer below, G shows them"), "{}", stage.screen());
    stage.update(line(101));
    assert!(shows(&stage, 97) && !shows(&stage, 98), "{}", stage.screen());
    stage.keys("g");
    assert!(shows(&stage, 1) && shows(&stage, 20), "the oldest lines fill the panel: {}", stage.screen());
    let newest = (1..=101).filter(|&number| shows(&stage, number)).max();
    stage.keys("j");
    let moved = (1..=101).filter(|&number| shows(&stage, number)).max();
    assert_eq!(moved, newest.map(|number| number + 1), "{}", stage.screen());
    stage.keys("G6");
    assert!(shows(&stage, 101), "{}", stage.screen());
    let log = ScreenTarget::List(RowList::Panel(Panel::Log));
    let place = stage.place(log).expect("the panel is drawn");
    stage.mouse(MouseEventKind::ScrollUp, place);
    assert!(!shows(&stage, 101) && shows(&stage, 100), "{}", stage.screen());
    stage.mouse(MouseEventKind::ScrollDown, place);
    assert!(shows(&stage, 101), "{}", stage.screen());
}

#[test]
fn idleness_is_said_only_once_it_says_something() {
    for (idle_ms, is_said) in [(None, false), (Some(0.0), false), (Some(90_000.0), true)] {
        let mut database = contended();
        for process in &mut database.processes {
            process.idleness.idle_ms = idle_ms;
        }
        let mut stage = Stage::new(look(vec![database]), (120, 60));
        stage.keys("2<Enter>");
        assert_eq!(stage.screen().contains("idle  "), is_said, "{idle_ms:?}: {}", stage.screen());
    }
}

#[test]
fn a_screen_without_the_panels_at_the_side_has_their_facts() {
    for (size, has_pragmas) in [((60, 16), false), ((80, 24), true), ((99, 40), true)] {
        let screen = Stage::new(look(vec![contended()]), size).screen();
        assert!(screen.contains("wal         78.2 MB, blocked by 71168; 18,219 of "), "{screen}");
        assert_eq!(screen.contains("pragmas     7 ok"), has_pragmas, "{screen}");
        assert!(size.0 < 80 || screen.contains("18,219 of 19,031 frames wait"), "{screen}");
    }
    for size in [(100, 30), USUAL] {
        let screen = Stage::new(look(vec![contended()]), size).screen();
        assert!(!screen.contains("wal         78") && screen.contains("blocked by 71168"), "{screen}");
        let row = screen.lines().find(|line| line.contains("db   ")).expect("the panel of the files");
        assert!(row.contains("1,446 pages") && !row.contains('…'), "{row}");
    }
    let mut left_over = contended();
    left_over.processes.clear();
    left_over.locks.readers.clear();
    left_over.locks.writer = None;
    let screen = Stage::new(look(vec![left_over]), SMALL).screen();
    assert!(screen.contains("wal         78.2 MB"), "{screen}");
}
