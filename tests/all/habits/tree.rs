//! The process table as a tree: who started whom, with selection and filter as they are in the list.

use waltop::snapshot::Database;

use super::{USUAL, pins};
use crate::stage::{Stage, contended, look};

/// The same processes, where the watcher has started the writer, and a shell the watcher.
fn family() -> Database {
    let mut database = contended();
    for process in &mut database.processes {
        match process.pid {
            71201 => process.parent = Some(71168),
            71168 => {
                process.parent = Some(70_000);
                process.origin.parent_command = Some(vec!["/bin/zsh".to_owned()]);
            }
            71300 => process.origin.has_lost_parent = Some(true),
            _ => {}
        }
    }
    database
}

fn pids(stage: &Stage) -> Vec<i32> {
    stage.app.visible_processes().iter().map(|it| it.pid).collect()
}

#[test]
fn t_and_f5_indent_children_and_name_parents_that_are_not_listed() {
    for key in ["t", "<F5>"] {
        let mut stage = Stage::new(look(vec![family()]), USUAL);
        let before = pids(&stage);
        stage.keys(&format!("2{key}"));
        let screen = stage.screen();
        for part in ["└─ amalfa", "zsh 70000 ─ amalfa", "parent exited ─ report.py"] {
            assert!(screen.contains(part), "{part}:\n{screen}");
        }
        let after = pids(&stage);
        let at = |pid: i32| after.iter().position(|it| *it == pid).expect("it is listed");
        assert_eq!(at(71201), at(71168) + 1);
        stage.keys(key);
        assert_eq!(pids(&stage), before);
        assert!(!stage.screen().contains("└─"), "{}", stage.screen());
    }
}

#[test]
fn selection_sort_and_filter_stay() {
    let mut stage = Stage::new(look(vec![family()]), USUAL);
    let selected = pins(&stage.keys("2Gx"))[0];
    stage.keys("t");
    assert_eq!(stage.app.selected_process().map(|it| it.pid), Some(selected));
    // Without its parent in the list, the child says who that is.
    stage.keys("/init<Enter>");
    assert_eq!(pids(&stage), [71201]);
    assert!(!stage.screen().contains("└─"), "{}", stage.screen());
    stage.keys("<Esc>I");
    assert_eq!(
        pids(&stage).iter().position(|it| *it == 71201),
        pids(&stage).iter().position(|it| *it == 71168).map(|at| at + 1)
    );
}

#[test]
fn where_the_processes_are_not_on_the_screen_it_says_so() {
    let mut stage = Stage::new(look(vec![family()]), USUAL);
    stage.keys("3t");
    assert!(stage.screen().contains("the processes are not on the screen"), "{}", stage.screen());
}

#[test]
fn the_tree_leaves_room_for_the_last_minute() {
    for size in [(100, 30), USUAL] {
        let mut stage = Stage::new(look(vec![family()]), size);
        stage.keys("t<Tab>");
        let screen = stage.screen();
        assert!(screen.contains("exited ─ report.py") && screen.contains("LAST MINU"), "{screen}");
        let row = screen.lines().find(|line| line.contains("exited ─ report.py")).expect("a row");
        assert!(row.contains("STOPPED"), "{row}");
    }
}
