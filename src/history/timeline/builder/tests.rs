//! Spans of a recording as a timeline.

use std::time::Duration;

use super::*;

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(1_700_000_000_000 + ms).expect("a time")
}

fn builder(seconds: u64) -> TimelineBuilder {
    let base = TimeBase { instant: Instant::now(), at: at(0) };
    let window = TimeWindow { end: Some(base.instant_of(at(600_000))), span: Duration::from_secs(seconds) };
    TimelineBuilder::new(base, (at(0), at(3_600_000)), window)
}

fn who(pid: i32) -> Arc<LockOwner> {
    Arc::new(LockOwner {
        pid: Some(pid),
        start_ticks: Some(7),
        name: format!("name{pid}"),
        ..LockOwner::default()
    })
}

const HOLD: LaneSpan = LaneSpan::Hold { goes_on: false };

#[test]
fn a_hold_of_a_recording_fills_its_cells_and_counts_with_its_whole_length() {
    let mut builder = builder(60);
    assert_eq!(builder.span(), (at(540_000), at(600_000)));
    builder.add(HOLD, &who(1), at(530_000), at(546_000));
    builder.add(HOLD, &who(2), at(590_000), at(591_000));
    builder.add(HOLD, &who(3), at(100_000), at(101_000));
    builder.add(LaneSpan::Wait { got: false }, &who(3), at(541_000), at(546_000));
    builder.add(LaneSpan::Pin, &who(4), at(0), at(700_000));
    let timeline = builder.finish();
    let pids: Vec<_> = timeline.lanes.iter().map(|lane| lane.who.pid).collect();
    assert_eq!(pids, [Some(1), Some(2), Some(3), Some(4)]);
    assert!(timeline.lanes[0].shares[..60].iter().all(|share| *share > 0.99));
    assert!(timeline.lanes[0].shares[60] < 0.01);
    let figures = timeline.figures;
    assert_eq!((figures.count, figures.max_ms), (2, 16_000.0));
    assert_eq!((figures.p50_ms, figures.p99_ms), (Some(1000.0), Some(16_000.0)));
    assert!((figures.held_ratio - 7.0 / 60.0).abs() < 1e-9);
    let marked = |marks: &[bool]| (marks.iter().position(|it| *it), marks.iter().rposition(|it| *it));
    assert_eq!(marked(&timeline.lanes[2].refused), (Some(59), Some(59)));
    assert_eq!(marked(&timeline.lanes[2].waited), (Some(10), Some(59)));
    assert_eq!(marked(&timeline.lanes[3].pinned), (Some(0), Some(599)));
    assert_eq!(timeline.waits.map(|waits| waits.count), Some(1));
    assert_eq!(timeline.holds.iter().map(|hold| hold.who.pid).collect::<Vec<_>>(), [Some(1), Some(2)]);
    assert_eq!((timeline.holds[0].began, timeline.ends_at), (at(530_000), at(600_000)));
}

#[test]
fn a_time_that_was_not_watched_is_neither_free_nor_part_of_the_share() {
    let mut builder = builder(60);
    builder.add(HOLD, &who(1), at(540_000), at(555_000));
    builder.unwatched(at(570_000), at(900_000));
    builder.log_had(at(541_000), 100);
    builder.log_had(at(569_000), 900);
    let timeline = builder.finish();
    assert!((timeline.figures.held_ratio - 0.5).abs() < 1e-9, "15 s of the 30 s watched");
    assert!(!timeline.unwatched[299] && timeline.unwatched[300..].iter().all(|is| *is));
    assert_eq!((timeline.log[9], timeline.log[10], timeline.log[289]), (None, Some(100), Some(100)));
    assert_eq!((timeline.log[290], timeline.log[300]), (Some(900), None));
}

#[test]
fn many_processes_share_the_last_lane_and_no_time_is_lost() {
    let mut builder = builder(60);
    for pid in 1..=1000 {
        let start = 540_000 + i64::from(pid) * 50;
        builder.add(HOLD, &who(pid), at(start), at(start + 30 + i64::from(pid % 7)));
    }
    let timeline = builder.finish();
    assert_eq!(timeline.lanes.len(), Timeline::LANES);
    assert_eq!(timeline.lanes[Timeline::LANES - 1].who.name, LockOwner::OTHERS);
    let counted = timeline.lanes.iter().flat_map(|lane| &lane.moments).flatten();
    assert!(counted.map(|step| step.count).sum::<u64>() >= 1000);
    assert_eq!((timeline.figures.count, timeline.holds.len()), (1000, Timeline::HOLDS));
    let shares = timeline.lanes.iter().flat_map(|lane| &lane.shares).sum::<f32>();
    assert!((f64::from(shares) / 600.0 - timeline.figures.held_ratio).abs() < 0.01, "{shares}");
}

#[test]
fn lengths_of_more_holds_than_are_kept_are_right_within_a_fifth() {
    let mut builder = builder(60);
    for n in 0..200_000_i64 {
        let start = Timestamp::from_microsecond(at(540_000).as_microsecond() + n).expect("a time");
        let end = Timestamp::from_microsecond(start.as_microsecond() + 1000 + n).expect("a time");
        builder.add(HOLD, &who(1), start, end);
    }
    assert!(builder.lengths.counts.len() <= LENGTHS);
    let p50 = builder.finish().figures.p50_ms.expect("holds");
    assert!((p50 - 101.0).abs() < 21.0, "{p50}");
}
