//! The console on a recording: its keys move in time, nothing acts, and a time that was not watched shows nothing.

use insta::assert_snapshot;
use jiff::{SignedDuration, Timestamp};
use waltop::{
    act::{Effect, gate::NotArmed},
    config::ReadOnly,
    console::app::{Notice, RecordingNotice},
    recording::{GapReason, PlayedMoment, RecordedNote, UnwatchedTime},
    replay::ReplayCommand,
    sampler::Sample,
    snapshot::Severity,
};

use crate::stage::{Stage, contended, look, now};

const USUAL: (u16, u16) = (120, 40);

fn moment(at: Timestamp) -> PlayedMoment {
    let hours = |hours| SignedDuration::from_hours(hours);
    let note = |minutes, severity, text: &str| RecordedNote {
        at: at - SignedDuration::from_mins(minutes),
        severity,
        text: text.to_owned(),
    };
    PlayedMoment {
        at,
        recorded: (at - hours(20), at + hours(2)),
        unwatched: None,
        is_playing: false,
        follows: true,
        remark: None,
        speed: 1.0,
        notes: [
            note(9, Severity::Info, "71168 (amalfa) has it open"),
            note(2, Severity::Warning, "long-write-lock 71201 (amalfa) began"),
        ]
        .into(),
    }
}

fn replayed(change: impl FnOnce(&mut PlayedMoment)) -> Sample {
    let mut moment = moment(now());
    change(&mut moment);
    Sample { replay: Some(moment), ..look(vec![contended()]) }
}

fn stage(size: (u16, u16)) -> Stage {
    Stage::of_replay(replayed(|_| ()), size)
}

fn commands(effects: &[Effect]) -> Vec<ReplayCommand> {
    let command = |effect: &Effect| if let Effect::Replay(command) = effect { Some(*command) } else { None };
    effects.iter().filter_map(command).collect()
}

#[test]
fn a_moment_looks_as_the_console_did_then() {
    assert_snapshot!("replay", stage(USUAL).screen());
    assert_snapshot!("replay_small", stage((80, 24)).screen());
}

#[test]
fn the_keys_of_a_replay_move_in_time() {
    let mut stage = stage(USUAL);
    for (key, expected) in [
        ("<Left>", ReplayCommand::Step { is_later: false }),
        ("<Right>", ReplayCommand::Step { is_later: true }),
        ("[", ReplayCommand::Finding { is_later: false }),
        ("]", ReplayCommand::Finding { is_later: true }),
        ("<Space>", ReplayCommand::Play),
        ("p", ReplayCommand::Play),
        ("+", ReplayCommand::Speed { is_faster: true }),
    ] {
        assert_eq!(commands(&stage.keys(key)), [expected], "{key}");
    }
}

#[test]
fn nothing_acts_in_a_replay_and_nothing_asks_the_present() {
    let mut stage = stage(USUAL);
    for key in ["i", "c", "x", "X", "f", "H", "S", "r", "a", "P"] {
        let effects = stage.keys(key);
        assert!(effects.iter().all(|effect| matches!(effect, Effect::Note(..))), "{key}: {effects:?}");
        assert!(stage.app.dialog().is_none() && stage.app.overlay().is_none(), "{key}");
        let refused = Notice::NotArmed { why: NotArmed::ReadOnly(ReadOnly::Replay), key: "a".to_owned() };
        assert_eq!(stage.app.notice(), Some(&refused), "{key}");
    }
    let effects = stage.look(replayed(|moment| moment.at += SignedDuration::from_secs(1)));
    assert!(effects.iter().all(|effect| matches!(effect, Effect::Timeline { .. })), "{effects:?}");
}

#[test]
fn a_time_that_was_not_watched_shows_no_process_and_no_lock() {
    let mut stage = stage(USUAL);
    stage.keys("2<Enter>");
    assert!(stage.app.overlay().is_some());
    stage.look(replayed(|moment| {
        let (from, to) = (moment.at - SignedDuration::from_hours(1), moment.at);
        moment.at -= SignedDuration::from_mins(10);
        let reason = Some(GapReason::Suspended);
        moment.unwatched = Some(UnwatchedTime { from: Some(from), to: Some(to), reason });
    }));
    assert!(stage.app.overlay().is_none(), "the details of then would say that something is known");
    let screen = stage.screen();
    assert!(screen.contains("Not watched") && !screen.contains("71201"), "{screen}");
    for keys in ["o", "<Esc><Enter>", "y", "Y", "e"] {
        let effects = stage.keys(keys);
        assert!(effects.iter().all(|effect| matches!(effect, Effect::Note(..))), "{keys}: {effects:?}");
        assert!(!stage.screen().contains("71201"), "{keys}: {}", stage.screen());
    }
    assert!(stage.app.title().ends_with(": not watched"), "{}", stage.app.title());
}

#[test]
fn a_time_is_typed_and_a_wrong_one_keeps_the_prompt() {
    let mut stage = stage(USUAL);
    assert!(stage.keys("t12:34x<Enter>").iter().all(|effect| matches!(effect, Effect::Note(..))));
    assert!(matches!(stage.app.notice(), Some(Notice::Recording(RecordingNotice::NoTime(_)))));
    assert!(stage.screen().contains("go to: 12:34x"), "{}", stage.screen());
    stage.keys("<Esc>t30 days ago<Enter>");
    assert!(matches!(stage.app.notice(), Some(Notice::Recording(RecordingNotice::NotRecorded { .. }))));
    let effects = stage.keys("<Esc>t1 hour ago<Enter>");
    // Seen from the end of the recording.
    assert_eq!(commands(&effects), [ReplayCommand::GoTo(now() + SignedDuration::from_hours(1))]);
    assert!(!stage.screen().contains("go to: "), "{}", stage.screen());
}

#[test]
fn a_jump_forgets_what_the_samples_before_have_shown() {
    let mut stage = stage(USUAL);
    let mut sample = replayed(|moment| {
        moment.at += SignedDuration::from_hours(1);
        moment.follows = false;
    });
    sample.snapshot.databases[0].findings.clear();
    stage.look(sample);
    assert!(stage.app.finding_rows().is_empty(), "they have not ended: they had not begun");
}
