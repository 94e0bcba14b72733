//! The stop dialog: its facts are those of the newest sample, and of the very process that it asks about.

use waltop::snapshot::{Database, LockHold};

use super::{pins, stage, target};
use crate::stage::{Stage, contended, look};

const HOLDER: i32 = 71201;

/// The dialog that asks about the holder of the write lock.
fn asked() -> Stage {
    let mut stage = stage();
    assert_eq!(pins(&stage.keys("2/71201<Enter>x")), [HOLDER]);
    stage.pinned(target(HOLDER));
    assert!(stage.screen().contains("locks held: WRITE"), "{}", stage.screen());
    stage
}

fn released() -> Database {
    let mut database = contended();
    database.locks.writer = None;
    let holder = database.processes.iter_mut().find(|it| it.pid == HOLDER).expect("it is listed");
    holder.holds.retain(|hold| *hold != LockHold::Write);
    database
}

#[test]
fn the_locks_are_those_of_the_newest_sample() {
    let mut stage = asked();
    stage.look(look(vec![released()]));
    let screen = stage.screen();
    assert!(screen.contains("locks held: read@19031"), "{screen}");
    assert!(screen.contains("it has no open write transaction"), "{screen}");
}

#[test]
fn a_pause_keeps_no_old_lock_in_the_dialog() {
    let mut stage = stage();
    stage.keys("p2/71201<Enter>x");
    stage.pinned(target(HOLDER));
    stage.look(look(vec![released()]));
    assert!(stage.screen().contains("locks held: read@19031"), "{}", stage.screen());
}

#[test]
fn a_process_that_ended_or_whose_pid_another_has_is_gone() {
    let mut ended = contended();
    ended.processes.retain(|process| process.pid != HOLDER);
    let mut reused = contended();
    let other = reused.processes.iter_mut().find(|it| it.pid == HOLDER).expect("it is listed");
    other.start_ticks = Some(9_000_000);
    for database in [ended, reused] {
        let mut stage = asked();
        stage.look(look(vec![database]));
        let screen = stage.screen();
        assert!(screen.contains("is gone: it has ended or closed the database"), "{screen}");
        assert!(!screen.contains("locks held"), "{screen}");
    }
}

#[test]
fn the_title_follows_the_signal_and_the_other_process_has_its_label() {
    let mut stage = stage();
    let subject = stage.app.database().and_then(|it| it.process(super::worst(&stage))).expect("listed");
    let who = subject.who();
    let pinned = pins(&stage.keys("2gx"))[0];
    stage.pinned(target(pinned));
    assert!(super::warning(&stage).is_some_and(|it| it.ends_with(&who)), "{who}:\n{}", stage.screen());
    assert!(stage.screen().contains(" Stop 71166"), "{}", stage.screen());
    stage.keys("c");
    assert!(stage.screen().contains(" Continue 71166"), "{}", stage.screen());
}
