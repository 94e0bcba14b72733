//! The panel of pragmas by itself, and what stands behind one of its rows.

use insta::assert_snapshot;
use waltop::console::app::PragmaLine;

use crate::stage::{Stage, contended, look};

#[test]
fn the_pragmas_alone_say_what_is_expected_and_whose_each_value_is() {
    let mut database = contended();
    database.processes[0].temp_files = Some(1);
    database.processes[2].temp_files = None;
    let mut stage = Stage::new(look(vec![database]), (120, 40));
    stage.keys("4");
    assert_snapshot!(stage.screen());
    let is_of = |line: &PragmaLine<'_>| line.rows.iter().any(|row| row.pid == Some(71300));
    let at = stage.app.pragma_lines().iter().position(is_of).expect("a line");
    stage.keys(&"j".repeat(at));
    stage.keys("<Enter>");
    assert_snapshot!(stage.screen());
    // A value may go away meanwhile; the others stay.
    assert!(stage.screen().contains("process 71300's"), "{}", stage.screen());
    stage.look(look(vec![contended()]));
    let screen = stage.screen();
    assert!(!screen.contains("process 71300's") && screen.contains("busy_timeout"), "{screen}");
}
