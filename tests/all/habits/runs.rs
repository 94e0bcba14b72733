//! The key of the ingestions around the moments when one begins or ends: it never changes its meaning in a race.

use std::path::PathBuf;

use jiff::{SignedDuration, Timestamp};
use waltop::{
    act::{
        ConfirmedAction, Effect, EffectReport, StopResult,
        reap::StopOutcome,
        signal::{SignalTarget, StopSignal},
    },
    console::{
        app::{Message, Notice},
        dialogs::DialogKind,
    },
    snapshot::{Database, IngestionState},
};

use super::{USUAL, acts, is_ingest_open, pins, without_run};
use crate::stage::{Stage, contended, look};

/// The process of the run of the fixture.
const RUN: SignalTarget = SignalTarget { pid: 71201, start_ticks: 1 };

/// The same database with an ingestion that runs, or has just ended.
fn with_run(state: IngestionState) -> Database {
    let mut database = contended();
    let run = database.ingestions.first_mut().expect("the fixture has one");
    run.state = state;
    run.start_ticks = Some(RUN.start_ticks);
    database
}

fn running() -> Stage {
    Stage::new(look(vec![with_run(IngestionState::Running)]), USUAL)
}

/// The dialog that stops the run.
fn asked() -> Stage {
    let mut stage = running();
    assert_eq!(pins(&stage.keys("i")), [RUN.pid]);
    stage.pinned(RUN);
    assert!(is_stop_open(&stage), "{}", stage.screen());
    stage
}

fn is_stop_open(stage: &Stage) -> bool {
    matches!(stage.app.dialog(), Some(DialogKind::StopIngestion(_)))
}

/// The clock of the console, this long after its samples.
fn later(milliseconds: i64) -> Message {
    let sampled: Timestamp = "2026-01-15T14:03:22Z".parse().expect("a time");
    Message::Tick(sampled + SignedDuration::from_millis(milliseconds))
}

fn database_of(effects: &[Effect]) -> PathBuf {
    let acts = effects.iter().find_map(|effect| match effect {
        Effect::Act(confirmed) => Some(confirmed.act().clone()),
        _ => None,
    });
    let Some(ConfirmedAction::Ingest { database, .. }) = acts else { panic!("{effects:?}") };
    database
}

#[test]
fn the_key_that_was_meant_to_stop_a_run_starts_none_when_the_run_has_just_ended() {
    for is_drawn in [false, true] {
        let mut stage = running();
        stage.look(look(vec![with_run(IngestionState::Completed)]));
        if is_drawn {
            stage.frame();
        }
        assert!(!acts(&stage.keys("iy")));
        assert!(!is_ingest_open(&stage), "{}", stage.screen());
        stage.keys("i");
        assert!(is_ingest_open(&stage), "{}", stage.screen());
    }
}

#[test]
fn once_the_end_was_on_the_screen_the_key_starts_a_run_at_once() {
    let mut stage = running();
    stage.look(look(vec![with_run(IngestionState::Completed)]));
    stage.update(later(3_000));
    stage.keys("i");
    assert!(!is_ingest_open(&stage), "no frame has shown the end");
    let mut stage = running();
    stage.look(look(vec![with_run(IngestionState::Completed)]));
    stage.frame();
    stage.update(later(500));
    stage.keys("i");
    assert!(is_ingest_open(&stage), "{}", stage.screen());
}

#[test]
fn after_the_user_stopped_the_run_the_key_resumes_it_at_once() {
    let mut stage = asked();
    assert!(acts(&stage.keys("y")));
    let at = "2026-01-15T14:03:27Z".parse().expect("a time");
    let end = StopOutcome::Gone;
    let result = StopResult { target: RUN, signal: StopSignal::Term, end, restart: None, at };
    stage.update(Message::Report(EffectReport::Ended(result)));
    stage.look(look(vec![with_run(IngestionState::Stopped)]));
    stage.keys("i");
    assert!(is_ingest_open(&stage), "{}", stage.screen());
}

#[test]
fn the_dialog_closes_when_its_run_ends_and_says_what_the_run_did() {
    let mut stage = asked();
    let effects = stage.look(look(vec![with_run(IngestionState::Completed)]));
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Unpin)), "{effects:?}");
    assert!(stage.app.dialog().is_none(), "{}", stage.screen());
    let Some(Notice::IngestionEnded { figures }) = stage.app.notice() else { panic!("{}", stage.screen()) };
    assert!(figures.contains("312 of 556"), "{figures}");
    assert!(!acts(&stage.keys("y")), "{}", stage.screen());
    let mut stage = asked();
    stage.look(look(vec![with_run(IngestionState::Running)]));
    assert!(is_stop_open(&stage), "it still runs: {}", stage.screen());
}

#[test]
fn a_run_that_was_started_and_is_not_in_a_sample_yet_is_not_started_again() {
    let mut stage = without_run();
    let database = database_of(&stage.keys("i<Enter>"));
    for pid in [None, RUN.pid.try_into().ok()] {
        if let Some(pid) = pid {
            let database = database.clone();
            let effects = stage.update(Message::Report(EffectReport::IngestStarted { database, pid }));
            assert!(effects.iter().any(|effect| matches!(effect, Effect::Refresh)), "{effects:?}");
        }
        assert!(!acts(&stage.keys("iy")));
        assert!(!is_ingest_open(&stage), "{}", stage.screen());
        stage.keys("i");
        assert!(matches!(stage.app.notice(), Some(Notice::IngestionStarts { .. })), "{}", stage.screen());
    }
    stage.look(look(vec![with_run(IngestionState::Running)]));
    assert_eq!(pins(&stage.keys("i")), [RUN.pid]);
}

#[test]
fn a_run_that_was_refused_can_be_started_again() {
    let mut stage = without_run();
    let database = database_of(&stage.keys("i<Enter>"));
    stage.update(Message::Report(EffectReport::IngestGone { database }));
    stage.keys("i");
    assert!(is_ingest_open(&stage), "{}", stage.screen());
}

#[test]
fn a_run_that_begins_while_the_dialog_is_open_is_reported_and_no_other_is_started() {
    let mut stage = without_run();
    stage.keys("i");
    stage.look(look(vec![with_run(IngestionState::Running)]));
    assert!(stage.screen().contains("has begun meanwhile (process 71201)"), "{}", stage.screen());
    assert!(!acts(&stage.keys("/home<Enter>")));
    assert!(is_ingest_open(&stage) && stage.screen().contains("/home"), "{}", stage.screen());
    stage.look(look(vec![with_run(IngestionState::Completed)]));
    assert!(acts(&stage.keys("<Enter>")), "{}", stage.screen());
}

#[test]
fn a_run_that_was_there_before_the_dialog_does_not_refuse_it() {
    let mut database = with_run(IngestionState::Running);
    let mut past = database.ingestions[0].clone();
    (past.run, past.pid, past.state) =
        ("20260114T090000Z-69999".to_owned(), 69_999, IngestionState::Completed);
    database.ingestions.push(past);
    let mut stage = Stage::new(look(vec![database]), USUAL);
    stage.keys("5ji");
    assert!(is_ingest_open(&stage), "{}", stage.screen());
    assert!(acts(&stage.keys("<Enter>")), "{}", stage.screen());
}
