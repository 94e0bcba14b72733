//! Space tags several processes, and `x` stops them together: each named, none that is hidden or protected.

use waltop::{
    act::{
        ConfirmedAction, Effect, EffectReport,
        signal::{SignalRefusal, StopSignal},
    },
    console::app::{Message, Notice},
    snapshot::{Database, StaleProtection, StaleVerdict},
};

use super::{USUAL, acts, pins, stage, target};
use crate::stage::{Stage, contended, look};

fn answer_pins(stage: &mut Stage, pids: &[i32]) {
    let answers = pids.iter().map(|&pid| (target(pid), Ok(()))).collect();
    stage.update(Message::Report(EffectReport::Pinned(answers)));
}

fn signalled(effects: &[Effect]) -> Option<(Vec<i32>, StopSignal)> {
    effects.iter().find_map(|effect| match effect {
        Effect::Act(confirmed) => match confirmed.act() {
            ConfirmedAction::Signal { targets, signal } => {
                Some((targets.iter().map(|it| it.pid).collect(), *signal))
            }
            _ => None,
        },
        _ => None,
    })
}

fn pids(stage: &Stage) -> Vec<i32> {
    stage.app.visible_processes().iter().map(|it| it.pid).collect()
}

#[test]
fn space_tags_rows_and_x_names_all_of_them() {
    let mut stage = stage();
    let rows = pids(&stage);
    stage.keys("2g  ");
    assert!(stage.screen().contains("2 tagged"), "{}", stage.screen());
    assert!(stage.screen().contains(&format!("•  {}", rows[0])), "{}", stage.screen());
    assert_eq!(pins(&stage.keys("x")), rows[..2]);
    answer_pins(&mut stage, &rows[..2]);
    let screen = stage.screen();
    assert!(screen.contains("Stop 2 tagged processes") && screen.contains("2 of 2 ticked"), "{screen}");
    for pid in &rows[..2] {
        assert!(screen.contains(&format!("[x]   {pid}")), "{pid}:\n{screen}");
    }
    assert_eq!(signalled(&stage.keys("y")), Some((rows[..2].to_vec(), StopSignal::Term)));
    assert!(stage.screen().contains("TERM was sent to 2 processes"), "{}", stage.screen());
}

#[test]
fn letters_choose_the_signal_and_a_row_can_be_left_out() {
    let mut stage = stage();
    let rows = pids(&stage);
    stage.keys("2g  x");
    answer_pins(&mut stage, &rows[..2]);
    stage.keys("i");
    assert!(stage.screen().contains("[INT]"), "{}", stage.screen());
    assert_eq!(signalled(&stage.keys("<Down> Ky")), Some((vec![rows[0]], StopSignal::Kill)));
}

#[test]
fn a_single_stop_has_the_same_letters() {
    let mut stage = stage();
    let pinned = pins(&stage.keys("2gx"))[0];
    stage.pinned(target(pinned));
    for (letter, signal) in [("i", "[INT]"), ("k", "[KILL]"), ("c", "[CONT]"), ("t", "[TERM]")] {
        stage.keys(letter);
        assert!(stage.screen().contains(signal), "{letter}:\n{}", stage.screen());
    }
}

#[test]
fn a_protected_one_is_named_with_the_reason_and_gets_no_signal() {
    let mut database = contended();
    let protected = Some(StaleProtection::OnlyCopy { files: vec!["/home/me/notes.db".to_owned()] });
    let mut stage = Stage::new(look(vec![database.clone()]), USUAL);
    let rows = pids(&stage);
    protect(&mut database, rows[0], protected);
    let mut sample = look(vec![contended()]);
    sample.snapshot.databases[0].processes = database.processes;
    stage.look(sample);
    stage.keys("2g  ");
    assert_eq!(pins(&stage.keys("x")), [rows[1]]);
    answer_pins(&mut stage, &rows[1..2]);
    let screen = stage.screen();
    assert!(screen.contains("left alone:") && screen.contains("1 of 1 ticked"), "{screen}");
    assert_eq!(signalled(&stage.keys("y")), Some((vec![rows[1]], StopSignal::Term)));
}

fn protect(database: &mut Database, pid: i32, protected: Option<StaleProtection>) {
    let process = database.processes.iter_mut().find(|it| it.pid == pid).expect("it is listed");
    process.stale =
        Some(StaleVerdict { is_stale: false, causes: Vec::new(), protected, ..StaleVerdict::default() });
}

#[test]
fn one_that_cannot_be_pinned_stays_in_the_list_with_the_reason() {
    let mut stage = stage();
    let rows = pids(&stage);
    stage.keys("2g  x");
    let gone = Err(SignalRefusal::Unpinned { pid: rows[0] });
    let answers = vec![(target(rows[0]), gone), (target(rows[1]), Ok(()))];
    stage.update(Message::Report(EffectReport::Pinned(answers)));
    assert!(stage.screen().contains("1 of 1 ticked"), "{}", stage.screen());
    assert_eq!(signalled(&stage.keys("y")), Some((vec![rows[1]], StopSignal::Term)));
}

#[test]
fn a_filter_that_hides_a_tagged_one_says_so_and_spares_it() {
    let mut stage = stage();
    stage.keys("2g    ");
    assert!(stage.screen().contains("4 tagged"), "{}", stage.screen());
    stage.keys("/71201<Enter>");
    assert!(stage.screen().contains("4 tagged (3 hidden by the filter)"), "{}", stage.screen());
    assert_eq!(pins(&stage.keys("x")), [71201]);
    answer_pins(&mut stage, &[71201]);
    let screen = stage.screen();
    assert!(screen.contains("The filter hides") && screen.contains("71168 (bun)"), "{screen}");
    stage.keys("<Esc>/<C-u>no such row<Enter>");
    assert!(!acts(&stage.keys("x")));
    assert!(stage.screen().contains("the filter hides what is tagged"), "{}", stage.screen());
}

#[test]
fn esc_untags_before_it_clears_the_filter() {
    let mut stage = stage();
    stage.keys("2/bun<Enter> ");
    stage.keys("<Esc>");
    assert_eq!(stage.app.tag_counts(), (0, 0));
    assert!(stage.screen().contains("filter bun"), "{}", stage.screen());
    stage.keys("<Esc>");
    assert!(!stage.screen().contains("filter bun"), "{}", stage.screen());
}

#[test]
fn a_tag_goes_with_its_process_and_not_to_the_next_with_the_same_pid() {
    let mut stage = stage();
    stage.keys("2g  ");
    let first = pids(&stage)[0];
    let mut database = contended();
    let reused = database.processes.iter_mut().find(|it| it.pid == first).expect("it is listed");
    reused.start_ticks = Some(9_000_000);
    stage.look(look(vec![database]));
    assert_eq!(stage.app.tag_counts(), (1, 0));
    stage.look(look(vec![contended()]));
    assert_eq!(stage.app.tag_counts(), (1, 0));
}

#[test]
fn in_other_panels_space_tags_nothing_and_x_means_their_own_row() {
    let mut stage = stage();
    stage.keys("3 ");
    assert_eq!(stage.app.notice(), Some(&Notice::NotTaggable { key: "2".to_owned() }));
    stage.keys("2g  ");
    let subject = super::worst(&stage);
    assert_eq!(pins(&stage.keys("1x")), [subject]);
}

#[test]
fn capital_y_copies_the_pid_only() {
    for (keys, pid) in [("2gY", 71166), ("1Y", 71300)] {
        let mut stage = stage();
        let effects = stage.keys(keys);
        let copied = effects.iter().find_map(|effect| match effect {
            Effect::Copy(text) => Some(text.clone()),
            _ => None,
        });
        assert_eq!(copied, Some(pid.to_string()), "{keys}");
        assert!(stage.screen().contains(&format!("copied: {pid}")), "{}", stage.screen());
    }
    let mut stage = stage();
    stage.keys("3Y");
    assert!(stage.screen().contains("no process is selected here"), "{}", stage.screen());
}

#[test]
fn k_moves_in_the_list_and_only_the_capital_chooses_kill() {
    let mut stage = stage();
    let rows = pids(&stage);
    stage.keys("2g  x");
    answer_pins(&mut stage, &rows[..2]);
    stage.keys("jk");
    assert!(
        stage.screen().contains("[TERM]") && stage.screen().contains("t c i K choose"),
        "{}",
        stage.screen()
    );
    assert_eq!(signalled(&stage.keys("j ky")), Some((vec![rows[0]], StopSignal::Term)));
}

#[test]
fn the_title_says_continue_for_cont() {
    let mut stage = stage();
    let rows = pids(&stage);
    stage.keys("2g  x");
    answer_pins(&mut stage, &rows[..2]);
    stage.keys("c");
    assert!(stage.screen().contains("Continue 2 tagged processes"), "{}", stage.screen());
}
