//! What the screen shows of refused writers and possible waiters, and how lock times are measured.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use insta::assert_snapshot;
use waltop::{
    act::{Effect, EffectReport, signal::SignalTarget},
    config::TraceMode,
    console::app::Message,
    history::{LockHistory, LockOwner, SampledLock},
    observe::Observer,
    sampler::Sample,
    snapshot::{
        Activity, ActivityClass, Database, HolderActivity, PossibleWaiter, ProcessId, RefusalReason,
        RefusedWriter, SamplingFacts, TraceFacts, WaiterEvidence, WriterRefusals,
    },
    state::places::Places,
};

use crate::stage::{Stage, contended, look};

const USUAL: (u16, u16) = (120, 40);
const SMALL: (u16, u16) = (80, 24);

fn sampled(databases: Vec<Database>) -> Sample {
    let mut look = look(databases);
    look.snapshot.sampling = Some(SamplingFacts {
        samples: 9,
        interval_ms: Some(3.5),
        cpu_percent: Some(1.0),
        process_cpu_percent: Some(2.0),
    });
    look
}

fn traced(databases: Vec<Database>) -> Sample {
    let mut look = sampled(databases);
    look.snapshot.trace = Some(TraceFacts::default());
    look
}

fn first_line(look: Sample, size: (u16, u16)) -> String {
    let screen = Stage::new(look, size).screen();
    screen.lines().next().expect("a line").to_owned()
}

#[test]
fn the_first_line_says_how_lock_times_are_measured() {
    let one = || vec![contended()];
    assert!(first_line(traced(one()), (200, 60)).contains("  trace: exact  "));
    assert!(first_line(sampled(one()), (200, 60)).contains("  sampling: at least  "));
    let line = first_line(sampled(one()), SMALL);
    assert!(line.contains("amalfa 71201 ≥840 ms") && !line.contains("at least"), "no room for words: {line}");
    assert!(first_line(traced(one()), SMALL).contains("amalfa 71201 840 ms"));
    let unmeasured = first_line(look(one()), USUAL);
    assert!(["at least", "exact", "≥"].iter().all(|word| !unmeasured.contains(word)), "{unmeasured}");
}

#[test]
fn a_trace_that_cannot_be_had_says_why() {
    let folder = tempfile::TempDir::new().expect("a folder");
    // A /proc without mounts, and so without a tracefs.
    let places = Places { proc: folder.path().to_owned(), ..Places::under(folder.path()) };
    let mut observer = Observer::new(&places, Vec::new());
    assert_eq!(observer.trace_locks(TraceMode::Off), None, "it was not asked for");
    let why = observer.trace_locks(TraceMode::Auto).expect("a reason");
    let fix = if rustix::process::geteuid().is_root() { "mount -t tracefs" } else { "needs root" };
    assert!(why.contains(fix), "{why}");
}

fn refused(pid: i32, reason: RefusalReason, gave_up: u32, waiting_ms: Option<f64>) -> RefusedWriter {
    let holder = (reason != RefusalReason::OldSnapshot).then_some(71_201);
    let longest_ms = if reason == RefusalReason::Waited { 310.0 } else { 0.0 };
    let tries = if reason == RefusalReason::Waited { 13 } else { 1 };
    let (thread, waits, total_ms) = (pid, 1, longest_ms);
    RefusedWriter { pid, thread, holder, reason, waits, tries, gave_up, longest_ms, total_ms, waiting_ms }
}

fn with_victims() -> Database {
    let mut database = contended();
    let victims = vec![
        refused(71_168, RefusalReason::Waited, 0, Some(310.0)),
        refused(71_300, RefusalReason::NoTimeout, 1, None),
        refused(71_300, RefusalReason::OldSnapshot, 1, None),
    ];
    database.locks.refusals = Some(WriterRefusals { window_ms: 60_000.0, victims });
    database
}

#[test]
fn the_locks_panel_names_the_refused_writers() {
    let mut stage = Stage::new(traced(vec![with_victims()]), USUAL);
    let screen = stage.screen();
    let line = screen.lines().find(|line| line.contains("refused  ")).expect("a row of the panel");
    assert!(line.contains("71168") && line.contains("(and 2 more)"), "{line}");
    stage.keys("2");
    assert_snapshot!(stage.screen());
}

#[test]
fn the_details_say_who_refused_a_process_and_whom_it_blocked() {
    let details = |pid: i32| {
        let mut stage = Stage::new(traced(vec![with_victims()]), (120, 60));
        stage.keys(&format!("/{pid}<Enter><Enter>"));
        stage.screen()
    };
    let victim = details(71_300);
    for words in ["was refused", "by 71201", "busy_timeout and tried once", "another commit"] {
        assert!(victim.contains(words), "{words}:\n{victim}");
    }
    assert!(!victim.contains("│ blocked  "), "{victim}");
    let holder = details(71_201);
    for words in ["│ blocked  ", "71168", "waits for 310 ms so far", "71300"] {
        assert!(holder.contains(words), "{words}:\n{holder}");
    }
    assert!(!holder.contains("was refused"), "{holder}");
}

fn who(pid: i32, name: &str) -> Arc<LockOwner> {
    Arc::new(LockOwner {
        pid: Some(pid),
        start_ticks: u64::try_from(pid).ok(),
        name: name.to_owned(),
        ..LockOwner::default()
    })
}

// A hold of 20 s; a writer that waits for it and gets it, one that gives up, one without a timeout, and one that waits
// at the end.
fn waits() -> (LockHistory, Instant) {
    let (mut history, start) = (LockHistory::default(), Instant::now());
    let at = |ms: u64| start + Duration::from_millis(ms);
    history.sampling_began(start);
    history.open(SampledLock::Write, at(20_000), who(71_201, "holder"));
    history.close(SampledLock::Write, at(40_000));
    history.waited(at(40_000), Duration::from_secs(3), who(71_168, "patient"));
    history.open(SampledLock::Write, at(40_000), who(71_168, "patient"));
    history.close(SampledLock::Write, at(42_000));
    history.waited_in_vain(at(35_000), Duration::from_secs(5), who(71_300, "gave up"));
    history.waited_in_vain(at(25_000), Duration::ZERO, who(71_301, "once"));
    history.open(SampledLock::Write, at(55_000), who(71_201, "holder"));
    history.waiting_are(vec![(at(56_000), who(71_302, "waits"))]);
    (history, at(60_000))
}

#[test]
fn waits_are_drawn_in_the_lane_of_the_victim() {
    let mut stage = Stage::new(traced(vec![contended()]), SMALL);
    stage.history = Some(waits());
    stage.keys("b");
    assert_snapshot!(stage.screen());
    // The step in which one of them gave up.
    stage.keys(&"<Left>".repeat(25));
    let screen = stage.screen();
    assert!(screen.contains("71300 (gave up) waited for it and did not get it"), "{screen}");
    assert_snapshot!("waits_in_ascii", stage.ascii_screen());
}

// A hold of ten seconds that computes, sleeps and reads.
fn activities() -> (LockHistory, Instant) {
    let (mut history, start) = (LockHistory::default(), Instant::now());
    let at = |ms: u64| start + Duration::from_millis(ms);
    history.sampling_began(start);
    history.open(SampledLock::Write, at(10_000), who(71_168, "short"));
    history.close(SampledLock::Write, at(11_000));
    history.open(SampledLock::Write, at(40_000), who(71_201, "holder"));
    let process = ProcessId { pid: 71_201, start_ticks: 71_201 };
    for ms in (40_000..50_000).step_by(200) {
        let class = match ms {
            ..43_000 => ActivityClass::Computing,
            43_000..46_000 => ActivityClass::Asleep,
            _ => ActivityClass::Reading,
        };
        history.doing(at(ms), process, class);
    }
    history.close(SampledLock::Write, at(50_000));
    (history, at(60_000))
}

#[test]
fn a_strip_under_the_lane_shows_what_the_holder_did() {
    let mut stage = Stage::new(sampled(vec![contended()]), USUAL);
    stage.history = Some(activities());
    stage.keys("b");
    assert_snapshot!(stage.screen());
    let screen = stage.screen();
    let strips: Vec<&str> = screen.lines().filter(|line| line.contains(" doing ")).collect();
    assert_eq!(strips.len(), 1, "the other holder was not sampled: {strips:?}");
    let ascii = stage.ascii_screen();
    assert!(ascii.contains("c computing  s own sleep  r reading"), "{ascii}");
}

#[test]
fn a_possible_waiter_is_shown_as_a_possibility_with_its_evidence() {
    let mut database = contended();
    database.locks.possible_waiters = vec![PossibleWaiter {
        pid: 71_168,
        holder: Some(71_201),
        samples: 10,
        asleep: 9,
        span_ms: 700.0,
        evidence: WaiterEvidence::HandlerSleep { sleep_ms: 100 },
    }];
    let stage = Stage::new(sampled(vec![database.clone()]), USUAL);
    let line = stage.screen().lines().find(|line| line.contains("may wait")).map(str::to_owned);
    assert!(line.as_ref().is_some_and(|line| line.contains("71168 (amalfa): in sleeps")), "{line:?}");
    let details = |pid: i32| {
        let mut stage = Stage::new(sampled(vec![database.clone()]), (200, 60));
        stage.keys(&format!("/{pid}<Enter><Enter>"));
        stage.screen()
    };
    let (victim, holder) = (details(71_168), details(71_201));
    assert!(victim.contains("may be waiting    for 71201 (amalfa): in sleeps of up to 100 ms"), "{victim}");
    assert!(holder.contains("may block         71168 (amalfa): in sleeps of up to 100 ms"), "{holder}");
    assert!(!victim.contains("may block") && !holder.contains("may be waiting"));
}

fn asks_for_a_stack(effects: &[Effect]) -> Option<SignalTarget> {
    effects.iter().find_map(|effect| match effect {
        Effect::PythonStack { target, .. } => Some(*target),
        _ => None,
    })
}

#[test]
fn the_details_of_a_python_process_show_its_stack_when_asked() {
    let mut database = contended();
    let computing = std::iter::repeat_n(&Activity::Computing, 20);
    let python = database.processes.iter_mut().find(|process| process.pid == 71_300).expect("it is there");
    python.activity = HolderActivity::of(computing, 5_000.0);
    let mut stage = Stage::new(sampled(vec![database]), (120, 60));
    stage.keys("/71300<Enter>");
    assert_eq!(asks_for_a_stack(&stage.keys("P")), None, "no details are open");
    stage.keys("<Enter>");
    assert!(stage.screen().contains("Python stack      P shows it (py-spy)"), "{}", stage.screen());
    let target = asks_for_a_stack(&stage.keys("P")).expect("it is asked for");
    assert_eq!(target, SignalTarget { pid: 71_300, start_ticks: 71_300 });
    assert!(stage.screen().contains("py-spy reads it"), "{}", stage.screen());
    let lines =
        Ok(vec!["Thread 71300 (active): \"MainThread\"".to_owned(), "    crunch (report.py:12)".to_owned()]);
    stage.update(Message::Report(EffectReport::PythonStack { target, lines }));
    for words in ["as of 14:03:22; P reads it again", "crunch (report.py:12)"] {
        assert!(stage.screen().contains(words), "{}", stage.screen());
    }
    let lines = Err("Error: Permission denied".to_owned());
    stage.update(Message::Report(EffectReport::PythonStack { target, lines }));
    assert!(stage.screen().contains("unknown: Error: Permission denied"), "{}", stage.screen());
}

#[test]
fn no_stack_is_offered_for_another_program() {
    let mut stage = Stage::new(sampled(vec![contended()]), (120, 60));
    stage.keys("/71201<Enter><Enter>");
    assert_eq!(asks_for_a_stack(&stage.keys("P")), None);
    assert!(!stage.screen().contains("Python stack"), "{}", stage.screen());
}
