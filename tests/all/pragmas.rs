//! The panel of pragmas by itself, and what stands behind one of its rows.

use insta::assert_snapshot;

use crate::stage::{Stage, contended, look};

#[test]
fn the_pragmas_alone_say_what_is_expected_and_whose_each_value_is() {
    let mut database = contended();
    database.processes[0].temp_files = Some(1);
    database.processes[2].temp_files = None;
    let mut stage = Stage::new(look(vec![database]), (120, 40));
    stage.keys("4");
    assert_snapshot!(stage.screen());
    let at = stage.app.visible_pragmas().iter().position(|row| row.pid == Some(71300)).expect("a row");
    stage.keys(&"j".repeat(at));
    stage.keys("<Enter>");
    assert_snapshot!(stage.screen());
    // The row that it is about may go away meanwhile; the others stay.
    stage.look(look(vec![contended()]));
    let screen = stage.screen();
    assert!(screen.contains("This value is no longer there.") && screen.contains("busy_timeout"), "{screen}");
}
