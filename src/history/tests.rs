use std::collections::HashMap;

use super::*;

pub fn who(pid: i32) -> Arc<LockOwner> {
    Arc::new(LockOwner {
        pid: Some(pid),
        start_ticks: Some(7),
        name: format!("name{pid}"),
        program: "sh".into(),
    })
}

pub fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

// A history sampled from `start` on, with holds `(pid, from, to)` in ms after it.
pub fn history(start: Instant, holds: &[(i32, u64, u64)]) -> LockHistory {
    let mut history = LockHistory::default();
    history.sampling_began(start);
    for &(pid, from, to) in holds {
        history.open(SampledLock::Write, start + ms(from), who(pid));
        history.close(SampledLock::Write, start + ms(to));
    }
    history
}

fn full_activity(start: Instant) -> (LockHistory, Duration) {
    let (mut history, mut at) = (LockHistory::default(), Duration::ZERO);
    history.sampling_began(start);
    for number in 0..200 * 60 * 245_u32 {
        let name = format!("a name longer than any the kernel has {number}");
        let program = name.clone().into();
        let who =
            LockOwner { pid: Some(number.cast_signed()), start_ticks: Some(number.into()), name, program };
        history.open(SampledLock::Write, start + at, Arc::new(who));
        history.close(SampledLock::Write, start + at + Duration::from_micros(u64::from(number % 7) * 600));
        at += Duration::from_millis(5);
        if number % 100 == 0 {
            history.waited(start + at, ms(3), who_waits(number));
            history.wal_is(start + at, 1, number.into());
            history.moved().is(start + at, 1, number, number);
        }
    }
    (history, at)
}

fn who_waits(number: u32) -> Arc<LockOwner> {
    let (name, program) = ("waltop".to_owned(), "waltop".into());
    Arc::new(LockOwner { pid: Some(-1), start_ticks: Some(number.into()), name, program })
}

// The heap bytes of the containers, each holder counted once.
fn size(history: &LockHistory) -> usize {
    let (past, named) = history.past.size();
    let (waits, waited) = history.waits.size();
    let ring = history.holds.iter().map(|hold| &hold.who).chain(waited);
    let holders: HashMap<_, _> = ring.chain(named).map(|who| (Arc::as_ptr(who), who)).collect();
    let texts = |who: &LockOwner| who.name.capacity() + who.program.len();
    let taken = holders.values().map(|who| size_of::<LockOwner>() + 2 * size_of::<usize>() + texts(who));
    size_of::<LockHistory>()
        + history.holds.capacity() * size_of::<TimedHold>()
        + waits
        + past
        + taken.sum::<usize>()
        + history.log_past.size()
        + history.log_window.size()
        + history.activities.size()
        + history.growth.size()
        + history.steady_growth.size()
        + history.moved.size()
}

#[test]
fn four_hours_at_full_activity_stay_inside_the_bound_and_can_be_asked_for() {
    let start = Instant::now();
    let (history, at) = full_activity(start);
    assert_eq!(history.holds.len(), LockHistory::HOLDS);
    let taken = size(&history);
    assert!(taken <= LockHistory::BYTES, "{taken} of {}", LockHistory::BYTES);
    assert!(taken > LockHistory::BYTES / 2, "the bound says something: {taken} of {}", LockHistory::BYTES);
    const { assert!(LockHistory::BYTES < 17_000_000, "as the module says") };
    let hours = Duration::from_hours(4);
    let holds = history.write_holds(start + at, hours).expect("sampled");
    let off = holds.count.abs_diff(200 * 60 * 240);
    assert!(off < 3000, "{}", holds.count);
    assert_eq!((holds.max_ms, off < 3000), (3.6, true));
    assert!((holds.held_ratio - 0.36).abs() < 0.01, "{}", holds.held_ratio);
    let (p50, p99) = holds.p50_ms.zip(holds.p99_ms).expect("many have ended");
    assert!((p50 - 1.8).abs() < 0.36 && (p99 - 3.6).abs() < 0.72, "{holds:?}");
    let now = (start + at, jiff::Timestamp::UNIX_EPOCH);
    for end in [None, Some(start), Some(start + at.saturating_sub(hours))] {
        let timeline = history.timeline(TimeWindow { end, span: hours }, now).expect("sampled");
        assert!(timeline.end >= timeline.oldest);
        assert_eq!(timeline.lanes.len(), Timeline::LANES);
    }
    let timeline = history.timeline(TimeWindow { end: None, span: hours }, now).expect("sampled");
    assert_eq!(timeline.unknown_cells(), 0, "all four hours are there");
    let held: f32 = timeline.lanes.iter().flat_map(|lane| &lane.shares).sum();
    assert!((held / 600.0 - 0.36).abs() < 0.01, "{held}");
    let first_minute =
        TimeWindow { end: Some(start + at.saturating_sub(hours) + ms(60_000)), span: ms(60_000) };
    let timeline = history.timeline(first_minute, now).expect("sampled");
    assert!(timeline.figures.count > 11_900, "{}", timeline.figures.count);
    assert!(timeline.lanes[0].moments.iter().flatten().all(|moment| moment.began.is_none()));
}

#[test]
fn one_process_that_comes_back_takes_little() {
    let start = Instant::now();
    let mut history = LockHistory::default();
    for number in 0..200_000 {
        history.open(SampledLock::Write, start + ms(number * 100), who(1 + i32::from(number % 2 == 0)));
        history.close(SampledLock::Write, start + ms(number * 100 + 5));
    }
    assert!(size(&history) < 3_000_000, "{}", size(&history));
    let holds = history.write_holds(start + ms(20_000_000), Duration::from_hours(4)).expect("sampled");
    assert_eq!(holds.by_process.len(), 2);
    assert!(holds.by_process.iter().all(|part| part.count.abs_diff(72_000) < 20), "{holds:?}");
}
