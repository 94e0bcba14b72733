use super::*;

const PROCESS: ProcessId = ProcessId { pid: 7, start_ticks: 1 };

fn samples(count: u32, apart_ms: u64, sight: SleepSight, per_second: Option<f64>) -> WaiterSamples {
    let start = Instant::now();
    let mut samples = WaiterSamples::new(start);
    for number in 0..count {
        let after = Duration::from_millis(apart_ms) * number;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small and positive")]
        let scheduled = per_second.map(|rate| 1_000 + (rate * after.as_secs_f64()).round() as u64);
        samples.add(SleepSample { at: start + after, sight, scheduled });
    }
    samples
}

fn go_on(samples: &mut WaiterSamples, count: u32, sight: SleepSight) {
    let last = samples.recent.back().expect("a sample").at;
    for number in 1..=count {
        let at = last + Duration::from_millis(50) * number;
        samples.add(SleepSample { at, sight, scheduled: None });
    }
}

fn evidence(samples: &WaiterSamples) -> Option<WaiterEvidence> {
    samples.verdict(7, Some(1)).map(|waiter| waiter.evidence)
}

#[test]
fn the_sleep_of_the_handler_needs_few_samples_and_most_of_them() {
    let handler = SleepSight::Handler(100);
    assert_eq!(
        evidence(&samples(5, 50, handler, None)),
        Some(WaiterEvidence::HandlerSleep { sleep_ms: 100 })
    );
    assert_eq!(evidence(&samples(4, 100, handler, None)), None, "too few");
    assert_eq!(evidence(&samples(6, 30, handler, None)), None, "too short");
    let mut mixed = samples(7, 50, handler, None);
    go_on(&mut mixed, 1, SleepSight::None);
    assert!(evidence(&mixed).is_some(), "seven of eight");
    go_on(&mut mixed, 1, SleepSight::None);
    assert_eq!(evidence(&mixed), None, "seven of nine");
}

#[test]
fn on_a_busy_machine_samples_are_rare_and_who_has_woken_up_waits_for_a_processor() {
    let handler = SleepSight::Handler(100);
    assert!(evidence(&samples(5, 700, handler, None)).is_some(), "they take longer than the window");
    let mut starved = samples(5, 100, handler, None);
    go_on(&mut starved, 3, SleepSight::Ready);
    assert!(evidence(&starved).is_some(), "five of eight, and three are ready");
    go_on(&mut starved, 3, SleepSight::Ready);
    assert_eq!(evidence(&starved), None, "it computes rather");
    assert_eq!(evidence(&samples(9, 50, SleepSight::Ready, None)), None);
}

#[test]
fn who_begins_to_wait_in_the_middle_of_a_hold_is_found_and_left_when_it_gives_up() {
    let mut samples = samples(80, 50, SleepSight::None, None);
    go_on(&mut samples, 21, SleepSight::Handler(100));
    let found = samples.verdict(7, Some(1)).expect("for a second now");
    assert!(found.samples >= 20 && found.span_ms <= 1_500.0, "{found:?}");
    go_on(&mut samples, 60, SleepSight::Handler(50));
    let longer = samples.verdict(7, Some(1)).expect("it goes on");
    assert!((longer.span_ms - found.span_ms - 3_000.0).abs() < 1.0, "{longer:?}");
    assert_eq!((longer.samples - found.samples, longer.asleep - found.asleep), (60, 60));
    go_on(&mut samples, 6, SleepSight::None);
    assert_eq!(samples.verdict(7, Some(1)), None, "it has given up");
}

#[test]
fn a_hidden_sleep_needs_the_rhythm_of_the_handler() {
    let rate = |per_second| evidence(&samples(11, 200, SleepSight::Hidden, per_second));
    assert!(matches!(rate(Some(9.5)), Some(WaiterEvidence::WakeRhythm { .. })));
    for other in [Some(0.0), Some(1.0), Some(20.0), None] {
        assert_eq!(rate(other), None, "{other:?}");
    }
    assert_eq!(evidence(&samples(9, 200, SleepSight::Hidden, Some(9.5))), None, "too few");
}

#[test]
fn a_program_that_sleeps_on_while_the_lock_is_free_is_cleared() {
    let suspect = || {
        let handler = samples(9, 50, SleepSight::Handler(100), None);
        WaiterWatch { suspects: HashMap::from([((0, PROCESS), handler)]), ..WaiterWatch::default() }
    };
    let mut sleeps_on = suspect();
    for _ in 0..FREE_SAMPLES {
        assert!(!sleeps_on.cleared.contains(&PROCESS));
        sleeps_on.clear_others(0, |_| Some(SleepSight::Handler(100)));
    }
    assert!(sleeps_on.cleared.contains(&PROCESS) && sleeps_on.suspects.is_empty());
    let mut waited = suspect();
    waited.clear_others(0, |_| Some(SleepSight::None));
    assert!(waited.cleared.is_empty() && waited.suspects.is_empty(), "it got the lock");
}

#[test]
fn a_sleep_that_began_before_the_release_says_nothing() {
    let proc = crate::observe::proc::fake::FakeProc::new();
    let handler = samples(9, 50, SleepSight::Handler(100), None);
    let mut watch =
        WaiterWatch { suspects: HashMap::from([((0, PROCESS), handler)]), ..WaiterWatch::default() };
    let released = Instant::now();
    let mut free = |since, ms| {
        let lock = WriteLockState::Free { since };
        watch.sample(proc.path(), (0, lock), std::iter::empty(), released + Duration::from_millis(ms));
        watch.suspects.len()
    };
    for ms in [0, 50, 100, 149] {
        assert_eq!(free(Some(released), ms), 1, "{ms}: it may still be in the same sleep");
    }
    assert_eq!(free(None, 500), 1, "the end of the hold is not known");
    assert_eq!(free(Some(released), 150), 0, "it is gone");
}

#[test]
fn who_sleeps_as_the_handler_does_while_another_holds_the_lock_for_long_may_wait() {
    let proc = crate::observe::proc::fake::FakeProc::new();
    // The request for 100 ms lies at address 8 of its memory.
    let asked = [8_u64, 0, 100_000_000].map(u64::to_ne_bytes).concat();
    for pid in [70, 71, 72] {
        let stat = format!("{pid} (bun) S 1 {}1 0 4200 9 9\n", "0 ".repeat(15));
        proc.process(pid)
            .write(&format!("{pid}/stat"), &stat)
            .write(&format!("{pid}/task/{pid}/stat"), &stat);
        std::fs::write(proc.path().join(format!("{pid}/mem")), &asked).expect("written");
    }
    let sleeping = "230 0x0 0x0 0x8 0x8 0x0 0x0 0x7ffd 0x7f01";
    for pid in [70, 72] {
        proc.write(&format!("{pid}/task/{pid}/syscall"), sleeping);
    }
    let process = |pid| ProcessId { pid, start_ticks: 4200 };
    let reused = ProcessId { pid: 70, start_ticks: 1 };
    let start = Instant::now();
    let at = |ms: u64| start + Duration::from_millis(ms);
    let mut watch = WaiterWatch::default();
    let mut found = |hold_ms: u64, holder: i32, ms: u64| {
        let lock = WriteLockState::Held { since: at(hold_ms), pid: Some(holder) };
        let openers = [process(70), process(71), reused].into_iter();
        let found = watch.sample(proc.path(), (0, lock), openers, at(ms));
        found.into_iter().map(|it| (it.pid, it.holder, it.samples)).collect::<Vec<_>>()
    };
    for ms in [100, 150, 200, 250] {
        assert_eq!(found(0, 71, ms), [], "too few samples");
    }
    assert_eq!(found(0, 71, 300), [(70, Some(71), 5)]);
    assert_eq!(found(0, 70, 350), [], "it is the holder");
    assert_eq!(found(0, 71, 400), [(70, Some(71), 6)]);
    assert_eq!(found(10, 71, 450), [], "another hold");
    for ms in [500, 550, 600, 650] {
        let began_earlier = 650 - ms;
        found(began_earlier.min(10), 71, ms);
    }
    assert_eq!(found(0, 71, 700), [(70, Some(71), 6)], "the same hold, of which the beginning was not known");
    assert_eq!(found(400, 71, 499), [], "this hold is short");
    assert_eq!(found(400, 71, 500), [], "and another one");
}
