//! Processes that have changed since their dialog opened, or in another database.

use super::*;

#[test]
fn what_is_stale_no_longer_when_it_is_confirmed_gets_nothing() {
    let recovered = |pid: i32| match pid {
        71168 => Some(stale(None)),
        71166 => Some(StaleVerdict {
            is_stale: false,
            causes: Vec::new(),
            protected: None,
            ..StaleVerdict::default()
        }),
        _ => None,
    };
    for is_paused in [false, true] {
        let mut stage = Stage::new(with_stale(), USUAL);
        let meant = pins(&stage.keys(if is_paused { "pX" } else { "X" }));
        assert_eq!(meant, [fixture(71166), fixture(71168)]);
        pinned(&mut stage, &meant);
        stage.look(judged(look(vec![contended()]), recovered));
        let effects = stage.keys("y");
        let targets = vec![fixture(71168)];
        assert_eq!(acts(&effects), [&ConfirmedAction::Signal { targets, signal: StopSignal::Term }]);
        assert_eq!(notes(&effects)[0], SignalRefusal::NotStale { pid: 71166 }.to_string());
        let mut stage = Stage::new(with_stale(), USUAL);
        let meant = pins(&stage.keys("X"));
        pinned(&mut stage, &meant);
        stage.look(look(vec![contended()]));
        let effects = stage.keys("y");
        assert!(acts(&effects).is_empty(), "{effects:?}");
        assert!(effects.iter().any(|effect| matches!(effect, Effect::Unpin)));
    }
}

#[test]
fn one_that_has_closed_the_database_since_or_lost_its_log_gets_no_term() {
    let mut stage = Stage::new(with_stale(), USUAL);
    let meant = pins(&stage.keys("X"));
    pinned(&mut stage, &meant);
    let mut later = with_stale();
    later.snapshot.databases[0].processes.retain(|process| process.pid != 71166);
    stage.look(later);
    let targets = vec![fixture(71168)];
    assert_eq!(acts(&stage.keys("y")), [&ConfirmedAction::Signal { targets, signal: StopSignal::Term }]);
    let split = || {
        let mut database = contended();
        let process = database.processes.iter_mut().find(|process| process.pid == 71168);
        process.expect("it is there").replaced = vec!["/home/me/notes.db-wal".to_owned()];
        look(vec![database])
    };
    let mut stage = Stage::new(look(vec![contended()]), USUAL);
    stage.keys("/71168<Enter>x");
    stage.pinned(fixture(71168));
    stage.look(split());
    let effects = stage.keys("y");
    assert!(acts(&effects).is_empty(), "{effects:?}");
    assert_eq!(stage.app.notice(), Some(&Notice::Refused(SignalRefusal::Split { pid: 71168 })));
    let mut stage = Stage::new(split(), USUAL);
    stage.keys("/71168<Enter>x");
    stage.pinned(fixture(71168));
    assert_eq!(acts(&stage.keys("y")).len(), 1, "KILL is offered first, and TERM with a warning");
}

#[test]
fn a_process_whose_log_was_deleted_elsewhere_is_not_asked_to_end_on_account_of_this_database() {
    let mut elsewhere = contended();
    elsewhere.path = "/home/me/other.db".into();
    let of_one = |database: &mut waltop::snapshot::Database| {
        database.processes.retain(|process| process.pid == 71166);
    };
    of_one(&mut elsewhere);
    elsewhere.processes[0].replaced = vec!["/home/me/other.db-wal".to_owned()];
    let both = judged(look(vec![contended(), elsewhere]), |pid| (pid == 71166).then(|| stale(None)));
    let mut stage = Stage::new(both, USUAL);
    assert!(pins(&stage.keys("X")).is_empty());
    pinned(&mut stage, &[]);
    assert_eq!(marks(&stage), [StopMark::Refused(SignalRefusal::Split { pid: 71166 })]);
}
