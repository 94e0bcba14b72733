//! A replay of a recording of five minutes, with a gap between the second minute and the fourth.

use std::time::Instant;

use jiff::SignedDuration;
use tempfile::TempDir;

use super::*;
use crate::{
    diagnose::fixture::{self, WRITER},
    history::{SampledLock, TimeBase},
    recording::{
        FormatVersion, GapReason, RecordedProcess, RecorderHost, RecordingEvent, RecordingHeader,
        RecordingWriter, ReplayRemark, RetentionLimits, Stamp,
    },
    snapshot::{DatabaseLocks, Finding, FindingKind, Remedy, Severity, Snapshot},
};

const LIMITS: RetentionLimits =
    RetentionLimits { keep: Duration::from_hours(24), max_size: 1 << 30, min_free: 0 };
/// The seconds in which nothing was recorded.
const GAP: std::ops::Range<u32> = 120..180;

fn at(second: f64) -> Timestamp {
    let start: Timestamp = "2026-11-30T03:10:00Z".parse().expect("a time");
    start + SignedDuration::from_secs_f64(second)
}

fn header() -> RecordingHeader {
    RecordingHeader {
        format: FormatVersion::CURRENT,
        waltop: "0.1.0".to_owned(),
        host: "example".to_owned(),
        boot_id: "boot".to_owned(),
        pid_namespace: None,
        every_ms: 1000,
        lock_interval_ms: Some(4.0),
        databases: vec!["/srv/notes.db".to_owned()],
    }
}

fn finding() -> Finding {
    Finding {
        kind: FindingKind::LongWriteLock,
        severity: Severity::Warning,
        label: None,
        pid: Some(WRITER),
        message: String::new(),
        evidence: serde_json::Map::new(),
        remedy: Remedy { action: None, command: None },
    }
}

/// A snapshot each 5 s; each 10 s a hold of 2 s; a warning from 70 s on; a pin from 200 s on.
pub fn recorded() -> (TempDir, Recording) {
    recorded_for(0..300, |second| second % 10 == 0)
}

fn recorded_for(seconds: std::ops::Range<u32>, is_held: impl Fn(u32) -> bool) -> (TempDir, Recording) {
    let has_gap = seconds.end == 300;
    let dir = TempDir::new().expect("a folder");
    let (mut writer, _) = RecordingWriter::start(dir.path(), LIMITS).expect("a folder");
    let who = RecordedProcess { pid: Some(WRITER), start: Some(7), name: "bun".to_owned() };
    for second in seconds.step_by(5).filter(|second| !has_gap || !GAP.contains(second)) {
        let stamp = Stamp { at: at(second.into()), boot_ms: f64::from(second) * 1e3 };
        let write = |writer: &mut RecordingWriter, db, event| {
            writer.write(stamp, false, db, event).expect("written");
        };
        let is_first = writer.is_at_beginning();
        if is_first {
            write(&mut writer, None, RecordingEvent::Header(header()));
        }
        if has_gap && second == GAP.end {
            let (from, to) = (at(115.0), at(GAP.end.into()));
            write(&mut writer, None, RecordingEvent::Gap { from, to, reason: GapReason::Killed });
        }
        if second == 70 {
            write(&mut writer, Some(0), RecordingEvent::FindingOn { finding: Box::new(finding()) });
        }
        if is_held(second) && second > 0 && second != GAP.end {
            let event = RecordingEvent::HoldEnded {
                lock: SampledLock::Write,
                who: who.clone(),
                began: at(f64::from(second) - 2.0),
                held_ms: 2000.0,
            };
            write(&mut writer, Some(0), event);
        }
        let mut database = fixture::live();
        database.locks = DatabaseLocks::default();
        if let Some(log) = &mut database.files.wal {
            log.bytes = u64::from(second) * 1000;
        }
        let snapshot = Snapshot { taken_at: stamp.at, ..fixture::snapshot(vec![database]) };
        write(&mut writer, None, RecordingEvent::Snapshot { snapshot: Box::new(snapshot) });
        writer.end_of_tick(stamp).expect("closed");
    }
    let recording = Recording::open(dir.path()).expect("a recording");
    (dir, recording)
}

/// Writes a sample `boot_second` after boot, when the clock has `at`; its log has so many kB.
fn write(writer: &mut RecordingWriter, boot_second: u32, at: Timestamp) {
    write_with(writer, boot_second, at, (Vec::new(), Vec::new()));
}

/// The same with findings in it and, behind it, with events.
fn write_with(
    writer: &mut RecordingWriter,
    boot_second: u32,
    at: Timestamp,
    (findings, events): (Vec<Finding>, Vec<RecordingEvent>),
) {
    let stamp = Stamp { at, boot_ms: f64::from(boot_second) * 1e3 };
    if writer.is_at_beginning() {
        writer.write(stamp, false, None, RecordingEvent::Header(header())).expect("written");
    }
    let mut database = fixture::live();
    database.findings = findings;
    if let Some(log) = &mut database.files.wal {
        log.bytes = u64::from(boot_second) * 1000;
    }
    let snapshot = Snapshot { taken_at: at, ..fixture::snapshot(vec![database]) };
    let event = RecordingEvent::Snapshot { snapshot: Box::new(snapshot) };
    writer.write(stamp, false, None, event).expect("written");
    for event in events {
        writer.write(stamp, false, Some(0), event).expect("written");
    }
    writer.end_of_tick(stamp).expect("closed");
}

fn cursor(second: f64) -> (TempDir, RecordingCursor) {
    let (dir, recording) = recorded();
    let cursor = RecordingCursor::new(recording, Some(at(second))).expect("readable");
    (dir, cursor)
}

fn gap(cursor: &RecordingCursor) -> Option<GapReason> {
    cursor.unwatched().map(|time| time.reason.unwrap_or(GapReason::Unknown))
}

mod findings;
mod growth;
mod set_back;

#[test]
fn a_moment_shows_the_newest_sample_before_it() {
    let (_dir, mut cursor) = cursor(72.5);
    let place = cursor.place().expect("a sample");
    assert_eq!((place.at, cursor.at(), gap(&cursor)), (at(70.0), at(72.5), None));
    let bytes = cursor.snapshot(place).expect("whole").databases[0].files.wal.as_ref().map(|log| log.bytes);
    assert_eq!(bytes, Some(70_000));
    cursor.go_to(Timestamp::MAX);
    assert_eq!(cursor.at(), at(295.0), "the end");
    cursor.go_to(Timestamp::MIN);
    assert_eq!(cursor.at(), at(0.0), "the beginning");
}

#[test]
fn a_time_without_a_sample_is_not_watched_and_says_why() {
    let (_dir, mut cursor) = cursor(150.0);
    assert_eq!(gap(&cursor), Some(GapReason::Killed));
    for (second, is_watched) in [(115.0, true), (115.1, false), (179.9, false), (180.0, true), (184.0, true)]
    {
        cursor.go_to(at(second));
        assert_eq!(gap(&cursor).is_none(), is_watched, "{second}");
    }
}

#[test]
fn steps_go_from_sample_to_sample_and_stop_in_each_gap_once() {
    let (_dir, mut cursor) = cursor(105.0);
    let mut forward = Vec::new();
    for _ in 0..5 {
        assert!(cursor.step(true));
        forward.push((cursor.at(), gap(&cursor).is_some()));
    }
    let after = at(115.0) + SignedDuration::from_micros(1);
    let expected =
        [(at(110.0), false), (at(115.0), false), (after, true), (at(180.0), false), (at(185.0), false)];
    assert_eq!(forward, expected);
    let mut back = Vec::new();
    for _ in 0..4 {
        assert!(cursor.step(false));
        back.push((cursor.at(), gap(&cursor).is_some()));
    }
    assert_eq!(back, [expected[3], expected[2], expected[1], expected[0]]);
    cursor.go_to(at(295.0));
    assert!(!cursor.step(true), "the end");
    cursor.go_to(at(0.0));
    assert!(!cursor.step(false), "the beginning");
}

#[test]
fn findings_are_found_in_both_directions_and_an_interrupted_search_finds_none() {
    let (_dir, mut cursor) = cursor(0.0);
    assert_eq!((cursor.go_to_finding(true, || false), cursor.at()), (false, at(0.0)));
    assert_eq!((cursor.go_to_finding(true, || true), cursor.at()), (true, at(70.0)));
    for is_later in [true, false] {
        assert_eq!((cursor.go_to_finding(is_later, || true), cursor.at()), (false, at(70.0)));
    }
    cursor.go_to(at(290.0));
    assert_eq!((cursor.go_to_finding(false, || true), cursor.at()), (true, at(70.0)));
}

#[test]
fn a_timeline_of_a_recording_has_its_holds_and_marks_what_was_not_watched() {
    let (_dir, cursor) = cursor(240.0);
    let timeline = past_of(&cursor, "/srv/notes.db", Duration::from_mins(3));
    assert_eq!(timeline.ends_at, at(240.0), "it ends at the moment");
    assert_eq!(timeline.lanes.iter().map(|lane| lane.who.pid).next(), Some(Some(WRITER)));
    // 70, 80, 90, 100, 110, then 190 to 240.
    assert_eq!((timeline.figures.count, timeline.holds.len()), (11, 11));
    let unwatched = timeline.unwatched.iter().filter(|is| **is).count();
    assert!((210..=220).contains(&unwatched), "65 of 180 s: {unwatched} of 600 cells");
    let held = timeline.figures.held_ratio;
    assert!((held - 22.0 / 115.0).abs() < 0.01, "{held}");
    assert_eq!(timeline.log[599], Some(235_000));
    let other = past_of(&cursor, "/srv/other.db", Duration::from_mins(3));
    assert_eq!((other.figures.count, other.lanes.len()), (0, 0));
}

#[test]
fn a_timeline_that_ends_in_a_gap_or_lies_in_it_is_not_free_there() {
    let (_dir, mut cursor) = cursor(145.0);
    let unwatched = |cursor: &RecordingCursor, seconds| {
        let timeline = past_of(cursor, "/srv/notes.db", Duration::from_secs(seconds));
        timeline.unwatched.iter().filter(|is| **is).count()
    };
    assert_eq!(unwatched(&cursor, 60), 300, "the gap begins at 115 s");
    assert_eq!(unwatched(&cursor, 20), 600, "all of it");
    cursor.go_to(at(110.0));
    assert_eq!(unwatched(&cursor, 60), 0);
}

#[test]
fn a_long_timeline_of_a_database_at_rest_was_watched_all_the_time() {
    let (_dir, recording) = recorded_for(0..1200, |_| false);
    let cursor = RecordingCursor::new(recording, Some(at(1190.0))).expect("readable");
    let timeline = past_of(&cursor, "/srv/notes.db", Duration::from_mins(15));
    assert_eq!((timeline.unwatched.len(), timeline.figures.count), (0, 0));
    // The present goes on after the recorder has ended.
    let base = TimeBase { instant: Instant::now(), at: cursor.span().0 };
    let window = TimeWindow { end: None, span: Duration::from_mins(10) };
    let part = past::PastPart { path: "/srv/notes.db", window, newest: at(1495.0), here: None };
    let timeline = past::timeline(&cursor, base, &part, || true).expect("asked");
    assert_eq!(timeline.ends_at, at(1495.0));
    let unwatched = timeline.unwatched.iter().filter(|is| **is).count();
    assert!((299..=301).contains(&unwatched), "the second half: {unwatched}");
}

#[test]
fn a_process_of_another_boot_is_none_that_runs_now() {
    let (_dir, cursor) = cursor(240.0);
    let base = TimeBase { instant: Instant::now(), at: cursor.span().0 };
    let window = TimeWindow { end: None, span: Duration::from_mins(1) };
    for (boot_id, start) in [("boot", Some(7)), ("another", None)] {
        let here = RecorderHost { boot_id: boot_id.to_owned(), ..RecorderHost::default() };
        let part = past::PastPart { path: "/srv/notes.db", window, newest: cursor.at(), here: Some(&here) };
        let timeline = past::timeline(&cursor, base, &part, || true).expect("asked");
        assert_eq!(timeline.holds[0].who.start_ticks, start, "{boot_id}");
    }
    let part = past::PastPart { path: "/srv/notes.db", window, newest: cursor.at(), here: None };
    assert!(past::timeline(&cursor, base, &part, || false).is_none(), "another request has come");
}

#[test]
fn playing_goes_no_farther_than_to_the_next_gap() {
    let (_dir, mut cursor) = cursor(60.0);
    cursor.advance_to(at(87.0));
    assert_eq!((cursor.at(), gap(&cursor)), (at(87.0), None));
    cursor.advance_to(at(290.0));
    assert_eq!(gap(&cursor), Some(GapReason::Killed));
    assert!(cursor.at() < at(116.0), "{}", cursor.at());
}

/// The window up to the moment.
fn past_of(cursor: &RecordingCursor, path: &str, span: Duration) -> crate::history::Timeline {
    let base = TimeBase { instant: Instant::now(), at: cursor.span().0 };
    let window = TimeWindow { end: None, span };
    let part = past::PastPart { path, window, newest: cursor.at(), here: None };
    past::timeline(cursor, base, &part, || true).expect("asked")
}

/// What the player shows once `is_it` says so.
fn shown(output: &mut ReplayOutput, is_it: impl Fn(&crate::recording::PlayedMoment) -> bool) -> Arc<Sample> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let wanted = output
        .samples
        .wait_for(|sample| sample.as_ref().and_then(|it| it.replay.as_ref()).is_some_and(&is_it));
    let found = runtime.block_on(async { tokio::time::timeout(Duration::from_mins(1), wanted).await });
    let sample = found.expect("in a minute").expect("it runs").clone();
    sample.expect("a sample")
}

#[test]
fn a_player_obeys_plays_skips_the_gap_and_stops_at_the_end() {
    let (_dir, recording) = recorded();
    let (replay, mut output) = Replay::start(recording, Some(at(60.0)), 64.0).expect("a player");
    let first = shown(&mut output, |moment| moment.at == at(60.0));
    let moment = first.replay.as_ref().expect("of a recording");
    assert_eq!((moment.recorded, moment.is_playing), ((at(0.0), at(295.0)), false));
    assert_eq!(first.trends[0].minute.lanes.iter().map(|lane| lane.pid).collect::<Vec<_>>(), [Some(WRITER)]);
    assert_eq!(first.trends[0].wal_bytes_per_second, Some(1000.0));
    replay.order(ReplayCommand::Finding { is_later: true });
    let found = shown(&mut output, |moment| moment.at == at(70.0));
    let notes = &found.replay.as_ref().expect("of a recording").notes;
    assert!(notes.iter().any(|note| note.severity == Severity::Warning && note.at == at(70.0)));
    replay.order(ReplayCommand::Finding { is_later: true });
    shown(&mut output, |moment| moment.remark == Some(ReplayRemark::NoOtherFinding));
    replay.order(ReplayCommand::Play);
    shown(&mut output, |moment| moment.unwatched.is_none() && moment.at >= at(180.0));
    shown(&mut output, |moment| moment.at == at(295.0) && !moment.is_playing);
    replay.order(ReplayCommand::Speed { is_faster: false });
    shown(&mut output, |moment| (moment.speed - 32.0).abs() < 1e-9);
    let window = TimeWindow { end: None, span: Duration::from_mins(1) };
    replay.order(ReplayCommand::Timeline { index: 0, window });
    let answer = output.timelines.blocking_recv().expect("an answer");
    assert_eq!((answer.index, answer.window), (0, window));
    assert_eq!(answer.timeline.map(|it| it.ends_at), Some(at(295.0)));
    replay.order(ReplayCommand::Timeline { index: 7, window });
    assert!(output.timelines.blocking_recv().is_some_and(|it| it.index == 7 && it.timeline.is_none()));
    drop(replay);
    assert!(output.samples.has_changed().is_err(), "the thread has ended");
}
