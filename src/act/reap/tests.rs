use super::*;
use crate::diagnose::fixture::{READER, WRITER, live, pinned, quiet, rollback};

fn target(pid: i32) -> SignalTarget {
    SignalTarget { pid, start_ticks: 1000 }
}

// What is reported of `database` once `gone` have ended.
fn reported(database: &Database, gone: &[i32], stays: &[i32]) -> String {
    let targets = |pids: &[i32]| pids.iter().copied().map(target).collect::<Vec<_>>();
    let before = in_the_way(&pinned());
    StopAftermath::of(database, &targets(gone), &targets(stays), &before).to_string()
}

#[test]
fn the_report_after_a_stop_covers_the_locks_and_the_log() {
    assert_eq!(reported(&quiet(), &[READER], &[]), "all locks released; the WAL can be moved again");
    assert_eq!(reported(&quiet(), &[WRITER], &[]), "all locks released", "it was not in the way");
    assert_eq!(reported(&quiet(), &[WRITER], &[READER]), "all locks released", "the other stays");
    assert_eq!(reported(&rollback(), &[WRITER], &[]), "all locks released", "there is no WAL");
    assert_eq!(reported(&quiet(), &[], &[READER]), "nothing has changed");
}

#[test]
fn the_report_after_a_stop_names_the_processes_that_still_hold_something() {
    let held = "the WAL is still held: 71168 (python3) pins frame 812 (slot 1) for 3 d 20 h: 18,219 frames cannot be moved";
    assert_eq!(reported(&pinned(), &[WRITER], &[]), format!("all locks released; {held}"));
    let text = reported(&pinned(), &[WRITER], &[READER]);
    assert_eq!(text, format!("locks of {READER} are still there; {held}"));
    let mut database = pinned();
    database.locks.readers.push(database.locks.readers[0].clone());
    assert_eq!(reported(&database, &[WRITER], &[]), format!("all locks released; {held}, and 1 more"));
    // Another process has the PID by now.
    database.processes[1].start_ticks = Some(9000);
    assert!(reported(&database, &[], &[READER]).starts_with("the WAL is still held"));
}

#[test]
fn a_checkpoint_that_has_just_begun_or_was_kept_waiting_is_not_in_the_way() {
    let mut database = quiet();
    let checkpoint = |held_ms| Some(crate::diagnose::fixture::held(4_242, held_ms));
    database.locks.checkpointer = checkpoint(0.0);
    let is_good = |database: &Database, gone| {
        StopAftermath::of(database, &[target(gone)], &[], &in_the_way(&pinned())).is_good()
    };
    assert!(is_good(&database, WRITER));
    database.locks.checkpointer = checkpoint(9_000.0);
    assert!(is_good(&database, READER), "it waited for the one that is gone");
    assert!(!is_good(&database, WRITER), "it does not end");
}

#[test]
fn the_candidates_are_those_with_a_cause_that_is_overruled_at_most_by_a_protection() {
    let mut database = live();
    let pids = |database: &Database| candidates(database).map(|it| it.pid).collect::<Vec<_>>();
    let causes = vec![StaleCause::SplitWal { files: vec!["/srv/notes.db-wal".to_owned()] }];
    let verdict = StaleVerdict { is_stale: true, causes, ..StaleVerdict::default() };
    database.processes[0].stale = Some(verdict.clone());
    assert_eq!(pids(&database), [WRITER]);
    let protected = Some(StaleProtection::AnotherUser { user: "root".to_owned() });
    database.processes[1].stale = Some(StaleVerdict { is_stale: false, protected, ..verdict.clone() });
    assert_eq!(pids(&database), [WRITER, READER]);
    database.processes[0].stale = Some(StaleVerdict { is_stale: false, ..verdict });
    assert_eq!(pids(&database), [READER]);
}

#[test]
fn a_process_that_holds_the_only_copy_of_deleted_data_is_spared() {
    let mut database = live();
    database.processes[0].deleted = vec!["/srv/notes.db-wal".to_owned()];
    let spared = |target| only_copy(target, std::slice::from_ref(&database));
    let files = vec!["/srv/notes.db-wal".to_owned()];
    assert_eq!(spared(target(WRITER)), Some(StaleProtection::OnlyCopy { files }));
    assert_eq!(spared(target(READER)), None, "it has nothing deleted");
    assert_eq!(spared(SignalTarget { pid: WRITER, start_ticks: 1 }), None, "another process had its PID");
}

#[test]
fn a_stop_is_good_only_if_all_is_released_and_nothing_keeps_the_log() {
    let good = |database: &Database, gone: &[i32]| {
        let gone: Vec<SignalTarget> = gone.iter().copied().map(target).collect();
        StopAftermath::of(database, &gone, &[], &[]).is_good()
    };
    assert!(good(&quiet(), &[READER]) && good(&rollback(), &[WRITER]));
    assert!(!good(&pinned(), &[READER]), "its lock is still there");
    assert!(!good(&pinned(), &[WRITER]), "another keeps the log");
}

#[test]
fn each_process_is_reported_once_with_what_became_of_it() {
    let mut child = std::process::Command::new("sleep").arg("600").spawn().expect("it starts");
    let (pid, proc) = (child.id().cast_signed(), Path::new("/proc"));
    let start_ticks = crate::observe::process_start(proc, pid).expect("it runs");
    let target = SignalTarget { pid, start_ticks };
    let pinned = PinnedProcess::open(target, ExpectedProgram::AsPinned, proc).expect("it is pinned");
    let pinned = [Arc::new(pinned)];
    let permit =
        crate::config::Config::new(crate::state::places::Places::under("/nowhere".as_ref())).permit();
    let permit = permit.expect("it is not read-only");
    let reported = |signal, grace| {
        let mut reports = Vec::new();
        stop(permit, &pinned, signal, grace, |target, outcome, restart| {
            reports.push((target, outcome, restart.is_some()));
        });
        reports
    };
    assert_eq!(reported(StopSignal::Cont, Duration::ZERO), [(target, StopOutcome::GoesOn, false)]);
    assert_eq!(reported(StopSignal::Term, Duration::from_mins(1)), [(target, StopOutcome::Gone, true)]);
    child.wait().expect("it has ended");
    let [(_, gone, _)] = &reported(StopSignal::Term, Duration::ZERO)[..] else { panic!("once") };
    assert!(matches!(gone, StopOutcome::Refused(SignalRefusal::Gone { .. })), "{gone:?}");
}

#[test]
fn every_signal_but_cont_is_to_end_a_process() {
    assert_eq!(StopSignal::ALL.map(StopSignal::ends), [true, false, true, true]);
}

#[test]
fn a_process_is_asked_again_only_while_it_is_stale_and_its_exit_does_no_damage() {
    let mut database = live();
    let again = |database: &Database, target| StopRequest::again(target, std::slice::from_ref(database));
    let not_stale = |target: SignalTarget| Err(SignalRefusal::NotStale { pid: target.pid });
    assert_eq!(again(&database, target(WRITER)), not_stale(target(WRITER)));
    let causes = vec![StaleCause::SplitWal { files: vec!["/srv/notes.db-wal".to_owned()] }];
    database.processes[0].stale = Some(StaleVerdict { is_stale: true, causes, ..StaleVerdict::default() });
    assert_eq!(again(&database, target(WRITER)), Ok(()));
    assert_eq!(again(&database, target(READER)), not_stale(target(READER)), "another one is");
    let before = SignalTarget { pid: WRITER, start_ticks: 1 };
    assert_eq!(again(&database, before), not_stale(before), "another process had its PID");
    database.processes[0].replaced = vec!["/srv/notes.db-wal".to_owned()];
    assert!(is_split(std::slice::from_ref(&database), &database.processes[0]));
    assert!(!is_split(std::slice::from_ref(&database), &database.processes[1]));
    assert_eq!(again(&database, target(WRITER)), Err(SignalRefusal::Split { pid: WRITER }));
    database.processes[0].deleted = database.processes[0].replaced.clone();
    assert!(matches!(again(&database, target(WRITER)), Err(SignalRefusal::Spared { pid: WRITER, .. })));
}
