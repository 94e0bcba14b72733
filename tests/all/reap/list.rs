//! The list of stale processes, the grace and the question after it, on fixtures.

mod changed;

use super::{USUAL, stale};
use insta::assert_snapshot;
use waltop::{
    act::{
        ConfirmedAction, Effect, EffectReport, StopResult,
        reap::{StopAftermath, StopOutcome, StopRequest},
        signal::{ExpectedProgram, SignalRefusal, SignalTarget, StopSignal},
    },
    console::{
        app::{Message, Notice, Overlay, StopReport, StopTally},
        dialogs::{DialogKind, StopMark, StoppedProcess},
    },
    keymap::KEYMAP,
    sampler::Sample,
    snapshot::{ProgramSample, StaleProtection, StaleVerdict},
};

use crate::stage::{Stage, contended, look, process};

const SMALL: (u16, u16) = (80, 24);

/// The usual situation with two stale processes, and one that a rule protects.
fn with_stale() -> Sample {
    judged(look(vec![contended()]), |pid| match pid {
        71166 | 71168 => Some(stale(None)),
        71300 => Some(stale(Some("report"))),
        _ => None,
    })
}

fn judged(mut look: Sample, verdict: impl Fn(i32) -> Option<StaleVerdict>) -> Sample {
    for process in look.snapshot.databases.iter_mut().flat_map(|it| &mut it.processes) {
        process.stale = verdict(process.pid);
    }
    look
}

fn acts(effects: &[Effect]) -> Vec<&ConfirmedAction> {
    effects
        .iter()
        .filter_map(|effect| if let Effect::Act(it) = effect { Some(it.act()) } else { None })
        .collect()
}

fn pins(effects: &[Effect]) -> Vec<SignalTarget> {
    let pins = effects.iter().filter_map(|it| if let Effect::Pin(meant) = it { Some(meant) } else { None });
    pins.flatten().map(|meant| meant.target).collect()
}

fn fixture(pid: i32) -> SignalTarget {
    SignalTarget { pid, start_ticks: u64::try_from(pid).expect("positive") }
}

fn pinned(stage: &mut Stage, targets: &[SignalTarget]) {
    let all = targets.iter().map(|&target| (target, Ok(()))).collect();
    stage.update(Message::Report(EffectReport::Pinned(all)));
}

fn ended(stage: &mut Stage, target: SignalTarget, signal: StopSignal, end: StopOutcome) -> Vec<Effect> {
    let at = "2026-01-15T14:03:27Z".parse().expect("a time");
    stage.update(Message::Report(EffectReport::Ended(StopResult { target, signal, end, restart: None, at })))
}

fn amalfa(pid: i32) -> StoppedProcess {
    StoppedProcess { target: fixture(pid), label: "amalfa".to_owned() }
}

/// The marks of the rows in the open list.
fn marks(stage: &Stage) -> Vec<StopMark> {
    let Some(DialogKind::Reap(list)) = stage.app.dialog() else { panic!("no list is open") };
    list.rows.iter().map(|row| row.mark.clone()).collect()
}

fn notes(effects: &[Effect]) -> Vec<&str> {
    effects
        .iter()
        .filter_map(|it| if let Effect::Note(_, text) = it { Some(text.as_str()) } else { None })
        .collect()
}

#[test]
fn the_list_shows_each_with_its_causes_and_greys_what_is_protected() {
    let mut stage = Stage::new(with_stale(), USUAL);
    let meant = pins(&stage.keys("X"));
    assert_eq!(meant, [fixture(71166), fixture(71168)], "what is protected is not even held");
    pinned(&mut stage, &meant);
    assert_snapshot!(stage.screen());
    stage.keys("G ");
    assert_snapshot!("the_protected_row_stays_unticked", stage.screen());
    let targets = vec![fixture(71166), fixture(71168)];
    assert_eq!(acts(&stage.keys("y")), [&ConfirmedAction::Signal { targets, signal: StopSignal::Term }]);
}

#[test]
fn space_unticks_a_row_and_ticks_it_again() {
    let open = || {
        let mut stage = Stage::new(with_stale(), SMALL);
        let meant = pins(&stage.keys("X"));
        pinned(&mut stage, &meant);
        stage
    };
    let term = |targets| ConfirmedAction::Signal { targets, signal: StopSignal::Term };
    assert_eq!(acts(&open().keys(" y")), [&term(vec![fixture(71168)])]);
    assert_eq!(acts(&open().keys("<Down> y")), [&term(vec![fixture(71166)])]);
    assert_eq!(acts(&open().keys("j k  y")), [&term(vec![fixture(71166)])]);
    let mut stage = open();
    assert!(acts(&stage.keys(" j y")).is_empty(), "there is nothing to stop");
    let Some(Overlay::Dialog(dialog)) = stage.app.overlay() else { panic!("it stays open") };
    assert!(dialog.complaint.as_ref().is_some_and(|it| stage.screen().contains(it)), "{dialog:?}");
    assert_eq!(acts(&stage.keys(" y")), [&term(vec![fixture(71168)])]);
}

#[test]
fn no_escape_and_enter_leave_all_of_them_alone() {
    for keys in ["n", "<Esc>", "<Enter>"] {
        let mut stage = Stage::new(with_stale(), USUAL);
        let meant = pins(&stage.keys("X"));
        pinned(&mut stage, &meant);
        let effects = stage.keys(keys);
        assert!(acts(&effects).is_empty(), "{keys}");
        assert!(effects.iter().any(|effect| matches!(effect, Effect::Unpin)), "{keys}");
        assert!(stage.app.dialog().is_none(), "{keys}");
    }
}

#[test]
fn what_cannot_be_pinned_is_listed_with_the_reason() {
    let mut stage = Stage::new(with_stale(), USUAL);
    let meant = pins(&stage.keys("X"));
    let gone = SignalRefusal::Gone { pid: 71166 };
    let answers = vec![(meant[0], Err(gone.clone())), (meant[1], Ok(()))];
    stage.update(Message::Report(EffectReport::Pinned(answers)));
    assert_eq!(marks(&stage)[..2], [StopMark::Refused(gone.clone()), StopMark::Ticked(meant[1])]);
    assert!(stage.screen().contains(&gone.to_string()), "{}", stage.screen());
    assert_eq!(
        acts(&stage.keys(" y")),
        [&ConfirmedAction::Signal { targets: vec![fixture(71168)], signal: StopSignal::Term }]
    );
}

#[test]
fn a_long_list_scrolls_with_its_cursor() {
    let mut database = contended();
    database.processes = (0..50)
        .map(|at| {
            let row = process(5000 + at, "bun", &["bun", "watch"], "2026-01-11T18:00:00Z");
            serde_json::from_value(row).expect("the fixture keeps to the contract")
        })
        .collect();
    let mut stage = Stage::new(judged(look(vec![database]), |_| Some(stale(None))), SMALL);
    let meant = pins(&stage.keys("X"));
    assert_eq!(meant.len(), 50);
    pinned(&mut stage, &meant);
    assert!(stage.screen().contains("[x]    5000") && !stage.screen().contains("5049"));
    stage.keys("G ");
    assert!(stage.screen().contains("[ ]    5049"), "{}", stage.screen());
    assert!(stage.screen().contains("[ n No ]"), "the buttons stay in sight: {}", stage.screen());
    stage.keys("<PgUp> ");
    assert!(stage.screen().contains("[ ]    5039"), "{}", stage.screen());
    let effects = stage.keys("y");
    let [ConfirmedAction::Signal { targets, .. }] = acts(&effects)[..] else { panic!("{effects:?}") };
    assert_eq!(targets.len(), 48);
    assert!(!targets.contains(&fixture(5049)) && !targets.contains(&fixture(5039)));
}

#[test]
fn without_anything_stale_there_is_no_list() {
    let mut stage = Stage::new(look(vec![contended()]), USUAL);
    assert!(pins(&stage.keys("X")).is_empty());
    assert_eq!(stage.app.notice(), Some(&Notice::NothingStale));
}

#[test]
fn the_grace_is_counted_down_and_kill_is_asked_with_the_focus_on_no() {
    let mut stage = Stage::new(with_stale(), USUAL);
    let meant = pins(&stage.keys("X"));
    pinned(&mut stage, &meant);
    stage.keys("y");
    let Some(DialogKind::Waiting(waiting)) = stage.app.dialog() else { panic!("it waits for them") };
    assert_eq!((waiting.0.gone.len(), waiting.0.waiting.len()), (0, 2));
    assert!(stage.screen().contains("5 s left"), "{}", stage.screen());
    let later = "2026-01-15T14:03:25.5Z".parse().expect("a time");
    stage.update(Message::Tick(later));
    let first = ended(&mut stage, meant[0], StopSignal::Term, StopOutcome::Gone);
    let term = StopSignal::Term;
    assert_eq!(notes(&first), [StopReport::Gone { stopped: amalfa(71166), signal: term }.to_string()]);
    assert_snapshot!(stage.screen());
    assert!(acts(&stage.keys("y")).is_empty(), "there is nothing to say yes to yet");
    let second = ended(&mut stage, meant[1], StopSignal::Term, StopOutcome::Stays);
    assert_eq!(notes(&second), [StopReport::Stays { stopped: amalfa(71168), signal: term }.to_string()]);
    assert_snapshot!("kill_is_asked", stage.screen());
    let kill = ConfirmedAction::Signal { targets: vec![meant[1]], signal: StopSignal::Kill };
    assert_eq!(acts(&stage.keys("y")), [&kill]);
    ended(&mut stage, meant[1], StopSignal::Kill, StopOutcome::Gone);
    let mut after = contended();
    after.processes.retain(|it| it.pid != 71166 && it.pid != 71168);
    after.locks.readers.retain(|it| it.pid != Some(71168));
    let mut after = look(vec![after]);
    after.snapshot.taken_at = "2026-01-15T14:03:26Z".parse().expect("a time");
    let report = "2 of 2 gone: all locks released; the WAL can be moved again";
    assert!(!notes(&stage.look(after.clone())).contains(&report), "that look began before the end");
    after.snapshot.taken_at = "2026-01-15T14:03:28Z".parse().expect("a time");
    assert_eq!(notes(&stage.look(after)).len(), 1);
    let pending = StopTally {
        signal: StopSignal::Kill,
        gone: vec![amalfa(71166), amalfa(71168)],
        stays: Vec::new(),
        refused: 0,
    };
    let aftermath = StopAftermath {
        gone: 2,
        still_held: Vec::new(),
        in_the_way: Some(Vec::new()),
        was_in_the_way: true,
        hazard: None,
    };
    let report = StopReport::Aftermath { pending, aftermath };
    assert_eq!(stage.app.notice(), Some(&Notice::Stop(report)));
}

#[test]
fn one_that_stays_and_its_locks_are_reported_as_they_are() {
    let mut stage = Stage::new(look(vec![contended()]), USUAL);
    let writer = fixture(71201);
    stage.keys("/71201<Enter>");
    assert_eq!(pins(&stage.keys("x")), [writer]);
    stage.pinned(writer);
    stage.keys("y");
    ended(&mut stage, writer, StopSignal::Term, StopOutcome::Stays);
    stage.keys("n");
    let mut after = look(vec![contended()]);
    after.snapshot.taken_at = "2026-01-15T14:03:28Z".parse().expect("a time");
    stage.look(after);
    let Some(Notice::Stop(StopReport::Aftermath { pending, aftermath })) = stage.app.notice() else {
        panic!("{:?}", stage.app.notice())
    };
    assert_eq!((&pending.gone[..], &pending.stays[..]), (&[][..], &[amalfa(71201)][..]));
    assert_eq!(aftermath.still_held, [71201]);
}

#[test]
fn enter_before_kill_is_no_and_a_grace_that_was_left_asks_nothing() {
    for keys in ["<Enter>", "n", "<Esc>"] {
        let mut stage = Stage::new(look(vec![contended()]), USUAL);
        let meant = pins(&stage.keys("gx"));
        stage.pinned(meant[0]);
        stage.keys("y");
        ended(&mut stage, meant[0], StopSignal::Term, StopOutcome::Stays);
        assert!(matches!(stage.app.dialog(), Some(DialogKind::Kill(_))), "{}", stage.screen());
        assert!(acts(&stage.keys(keys)).is_empty(), "{keys}");
        assert!(stage.app.dialog().is_none());
        let mut stage = Stage::new(look(vec![contended()]), USUAL);
        stage.keys("gx");
        stage.pinned(meant[0]);
        stage.keys("y");
        stage.keys(keys);
        ended(&mut stage, meant[0], StopSignal::Term, StopOutcome::Stays);
        assert!(stage.app.dialog().is_none(), "{}", stage.screen());
        let report = StopReport::Stays { stopped: amalfa(meant[0].pid), signal: StopSignal::Term };
        assert_eq!(stage.app.notice(), Some(&Notice::Stop(report)));
    }
}

#[test]
fn an_ingestion_of_ours_is_stopped_by_x_unless_more_than_its_kind_protects_it() {
    let rule = StaleProtection::Rule { rule: "importer".to_owned() };
    for (protection, kept) in
        [(StaleProtection::OwnKind { command: "ingest".to_owned() }, None), (rule.clone(), Some(rule))]
    {
        let judge = |pid| {
            let protected = Some(protection.clone());
            (pid == 71201).then_some(StaleVerdict {
                is_stale: false,
                causes: Vec::new(),
                protected,
                ..StaleVerdict::default()
            })
        };
        let mut stage = Stage::new(judged(look(vec![contended()]), judge), USUAL);
        let effects = stage.keys("/71201<Enter>x");
        let meant =
            effects.iter().find_map(|it| if let Effect::Pin(meant) = it { Some(meant) } else { None });
        let program = ExpectedProgram::Listed(ProgramSample::default());
        let expected = StopRequest { target: fixture(71201), program, protected: kept };
        assert_eq!(meant, Some(&vec![expected]), "{effects:?}");
    }
}

#[test]
fn a_traced_process_is_its_debuggers() {
    let mut database = contended();
    for process in &mut database.processes {
        process.state = waltop::snapshot::ProcessState::Traced;
    }
    let mut stage = Stage::new(look(vec![database]), USUAL);
    let meant = pins(&stage.keys("x"));
    stage.pinned(meant[0]);
    let Some(DialogKind::Stop(dialog)) = stage.app.dialog() else { panic!("it opens") };
    assert_eq!(
        (dialog.signal, &dialog.signals[..2]),
        (StopSignal::Term, &[StopSignal::Term, StopSignal::Cont][..])
    );
}

#[test]
fn no_key_at_all_changes_anything_read_only_or_disarmed() {
    let bindings = || KEYMAP.iter().flat_map(|binding| binding.keys);
    for panel in ["", "5", "7j"] {
        for key in bindings() {
            let pressed = if key.len() > 1 { format!("<{key}>") } else { (*key).to_owned() };
            let keys = format!("{panel}{pressed}y<Enter><Tab>y");
            let mut stage = Stage::readonly(with_stale(), SMALL);
            let effects = stage.keys(&keys);
            assert!(acts(&effects).is_empty() && pins(&effects).is_empty(), "read-only {keys}: {effects:?}");
            if *key == "a" {
                continue;
            }
            let mut stage = Stage::new(with_stale(), USUAL);
            stage.keys("a");
            let effects = stage.keys(&keys);
            assert!(acts(&effects).is_empty() && pins(&effects).is_empty(), "disarmed {keys}: {effects:?}");
        }
    }
}

#[test]
fn disarmed_while_it_waits_nothing_is_killed() {
    let mut stage = Stage::new(look(vec![contended()]), USUAL);
    let meant = pins(&stage.keys("x"));
    stage.pinned(meant[0]);
    stage.keys("y<Esc>a");
    ended(&mut stage, meant[0], StopSignal::Term, StopOutcome::Stays);
    assert!(acts(&stage.keys("y<Enter>y")).is_empty());
    assert!(pins(&stage.keys("xX")).is_empty());
}
