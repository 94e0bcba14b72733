use super::{super::tests::*, *};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_000_000 + seconds).expect("a time")
}

fn shown(history: &LockHistory, start: Instant, window: TimeWindow, now: u64) -> Timeline {
    let seconds = i64::try_from(now / 1000).expect("it fits");
    history.timeline(window, (start + ms(now), at(seconds))).expect("it was sampled")
}

const LAST_MINUTE: TimeWindow = TimeWindow { end: None, span: Duration::from_mins(1) };

#[test]
fn nothing_sampled_is_no_timeline() {
    assert_eq!(LockHistory::default().timeline(LAST_MINUTE, (Instant::now(), at(0))), None);
}

#[test]
fn a_cursor_finds_the_hold_and_when_it_began() {
    let start = Instant::now();
    let history = history(start, &[(1, 30_000, 32_500), (2, 40_100, 40_105), (1, 40_200, 40_300)]);
    let timeline = shown(&history, start, LAST_MINUTE, 60_000);
    assert_eq!(timeline.lanes.iter().map(|lane| lane.who.pid).collect::<Vec<_>>(), [Some(1), Some(2)]);
    let first = &timeline.lanes[0];
    let moment = first.moments[31].expect("it was held in that second");
    assert_eq!((moment.count, moment.longest_ms, moment.goes_on), (1, 2500.0, false));
    assert_eq!(moment.began, Some(at(30)));
    assert_eq!(first.moments[33], None, "free");
    assert_eq!(first.shares[300..326], [[1.0; 25].as_slice(), &[0.0]].concat());
    let brief = timeline.lanes[1].moments[40].expect("a brief hold is found too");
    assert_eq!((brief.longest_ms, brief.count), (5.0, 1));
    assert!((timeline.lanes[1].shares[401] - 0.05).abs() < 1e-6);
    assert_eq!(timeline.figures.count, 3);
    assert_eq!(timeline.unknown_cells(), 0);
}

#[test]
fn short_holds_are_not_listed_beside_a_long_one() {
    let start = Instant::now();
    let listed = |holds: &[(i32, u64, u64)]| {
        let timeline = shown(&history(start, holds), start, LAST_MINUTE, 60_000);
        timeline.holds.iter().map(|hold| hold.length_ms).collect::<Vec<_>>()
    };
    let short = [(1, 1000, 1004), (1, 2000, 2005), (2, 3000, 3100)];
    assert_eq!(listed(&short[..2]), [4.0, 5.0], "all are short");
    assert_eq!(listed(&[&short[..], &[(3, 10_000, 18_000)]].concat()), [100.0, 8000.0]);
    assert_eq!(listed(&[(1, 1000, 1004), (2, 3000, 3060)]), [60.0], "a tenth of the longest");
}

#[test]
fn the_open_hold_goes_on_at_the_right_edge() {
    let start = Instant::now();
    let mut history = history(start, &[]);
    history.open(super::super::SampledLock::Write, start + ms(58_000), who(7));
    let timeline = shown(&history, start, LAST_MINUTE, 60_000);
    let moment = timeline.lanes[0].moments[59].expect("it is held");
    assert_eq!((moment.longest_ms, moment.goes_on, moment.began), (2000.0, true, Some(at(58))));
}

#[test]
fn a_window_in_the_past_stays_where_it_is() {
    let start = Instant::now();
    let history = history(start, &[(1, 5000, 6000), (2, 100_000, 101_000)]);
    let window = TimeWindow { end: Some(start + ms(10_000)), span: Duration::from_secs(10) };
    for now in [120_000, 500_000] {
        let timeline = shown(&history, start, window, now);
        assert_eq!(timeline.lanes.len(), 1);
        assert_eq!(timeline.lanes[0].shares[300..360], [1.0; 60]);
        assert_eq!(timeline.ends_at, at(10));
        assert_eq!((timeline.oldest, timeline.newest), (start, start + ms(now)));
    }
}

#[test]
fn before_the_beginning_nothing_is_known() {
    let start = Instant::now();
    let timeline = shown(&history(start, &[]), start, LAST_MINUTE, 15_000);
    assert_eq!(timeline.unknown_cells(), 450);
    assert!(timeline.lanes.is_empty());
}

#[test]
fn too_many_processes_share_the_last_lane() {
    let start = Instant::now();
    let holds: Vec<_> =
        (1..=40_u32).map(|n| (n.cast_signed(), u64::from(n) * 1000, u64::from(n) * 1001 + 100)).collect();
    let timeline = shown(&history(start, &holds), start, LAST_MINUTE, 60_000);
    assert_eq!(timeline.lanes.len(), Timeline::LANES);
    let others = timeline.lanes.last().expect("a lane");
    assert_eq!((others.who.pid, others.who.name.as_str()), (None, LockOwner::OTHERS));
    let count = others.moments.iter().flatten().map(|moment| moment.count).sum::<u64>();
    assert_eq!(count, 40 - 23);
}

#[test]
fn what_an_ingestion_waited_stands_in_its_lane() {
    let start = Instant::now();
    let mut history = history(start, &[(1, 30_000, 32_000)]);
    history.waited(start + ms(32_000), ms(1500), who(9));
    history.waited(start + ms(33_000), ms(500), who(9));
    let timeline = shown(&history, start, LAST_MINUTE, 60_000);
    assert_eq!(timeline.lanes[1].who.pid, Some(9));
    assert!(timeline.lanes[1].waited[305..320].iter().all(|&waited| waited));
    assert!(!timeline.lanes[1].waited[304]);
    let waits = timeline.waits.expect("two");
    assert_eq!((waits.count, waits.spread.max), (2, 1500.0));
}
