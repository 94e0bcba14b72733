//! Writing and reading a recording together.

use std::{fs, path::Path};

use jiff::{SignedDuration, Timestamp};
use tempfile::TempDir;

use super::{
    line::{FormatVersion, RecordedProcess, RecordingEvent, RecordingHeader, Stamp},
    writer::RecordingWriter,
    *,
};
use crate::{diagnose::fixture, history::SampledLock};

mod summary;

const LIMITS: RetentionLimits =
    RetentionLimits { keep: std::time::Duration::from_hours(24), max_size: 1 << 30, min_free: 0 };

pub fn start() -> Timestamp {
    "2026-11-30T23:58:00Z".parse().expect("a time")
}

fn stamp(second: f64) -> Stamp {
    let at = start() + SignedDuration::from_secs_f64(second);
    Stamp { at, boot_ms: second * 1e3 }
}

fn header() -> RecordingHeader {
    RecordingHeader {
        format: FormatVersion::CURRENT,
        waltop: "0.1.0".to_owned(),
        host: "host".to_owned(),
        boot_id: "boot".to_owned(),
        pid_namespace: Some(1),
        every_ms: 1000,
        lock_interval_ms: Some(4.0),
        databases: vec!["/x.db".to_owned()],
    }
}

fn held(second: f64) -> RecordingEvent {
    let who = RecordedProcess { pid: Some(7), start: Some(70), name: "holder".to_owned() };
    let began = stamp(second - 0.5).at;
    RecordingEvent::HoldEnded { lock: SampledLock::Write, who, began, held_ms: 500.0 }
}

/// Writes a hold a second for `seconds`, each minute a frame.
fn record(writer: &mut RecordingWriter, seconds: std::ops::Range<u32>) {
    for second in seconds {
        let now = stamp(second.into());
        if writer.is_at_beginning() {
            writer.write(now, true, None, RecordingEvent::Header(header())).expect("written");
        }
        writer.write(now, false, Some(0), held(second.into())).expect("written");
        writer.end_of_tick(now).expect("closed");
    }
}

/// The seconds of the holds in a recording, in the order in which they are read.
fn seconds(recording: &Recording, from: Timestamp, to: Timestamp) -> Vec<i64> {
    let mut seconds = Vec::new();
    recording
        .for_each(from, to, |frame| {
            let holds = frame.lines().filter(|it| matches!(it.event, RecordingEvent::HoldEnded { .. }));
            seconds.extend(holds.map(|line| line.stamp.at.duration_since(start()).as_secs()));
            Ok::<_, RecordingError>(())
        })
        .expect("readable");
    seconds
}

fn all(folder: &Path) -> Vec<i64> {
    let recording = Recording::open(folder).expect("a recording");
    seconds(&recording, Timestamp::MIN, Timestamp::MAX)
}

#[test]
fn minutes_become_frames_of_their_day_and_only_the_asked_ones_are_read() {
    let dir = TempDir::new().expect("a folder");
    let (mut writer, last) = RecordingWriter::start(dir.path(), LIMITS).expect("a folder");
    assert_eq!(last, None);
    record(&mut writer, 0..200);
    let names = segment::segments(dir.path()).expect("listed");
    let names: Vec<_> = names.iter().map(ToString::to_string).collect();
    assert_eq!(names, ["2026-11-30.jsonl.zst", "2026-12-01.jsonl.zst"]);
    assert_eq!(all(dir.path()), (0..200).collect::<Vec<_>>());
    let recording = Recording::open(dir.path()).expect("a recording");
    let asked = seconds(&recording, stamp(70.0).at, stamp(71.0).at);
    assert!(asked.contains(&70) && asked.len() <= 61, "one frame: {asked:?}");
    assert!(seconds(&recording, stamp(500.0).at, stamp(600.0).at).is_empty());
    let span = recording.span().expect("readable");
    assert_eq!(span, Some((stamp(0.0).at, stamp(199.0).at)));
    let segment = fs::read(dir.path().join(&names[0])).expect("there");
    let text = zstd::stream::decode_all(segment.as_slice()).expect("zstd reads it as one stream");
    assert!(text.starts_with(b"{\"seq\":1,") && text.ends_with(b"\n"));
}

#[test]
fn a_power_cut_at_any_byte_of_the_last_4_kib_costs_only_the_lines_behind_it() {
    let dir = TempDir::new().expect("a folder");
    let (mut writer, _) = RecordingWriter::start(dir.path(), LIMITS).expect("a folder");
    record(&mut writer, 0..90);
    drop(writer);
    let open = dir.path().join(open_minute::FILE);
    let whole = fs::read(&open).expect("there");
    let lines_before = all(dir.path()).len();
    for cut in (whole.len().saturating_sub(4096)..whole.len()).rev() {
        fs::write(&open, &whole[..cut]).expect("written");
        let lost = whole[cut..].split(|byte| *byte == b'\n').count() - 1;
        let kept = open_minute::lines(dir.path()).expect("readable");
        let end = whole[..cut].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        assert_eq!(kept, whole[..end], "cut at {cut}");
        if cut % 128 == 0 {
            let read = all(dir.path());
            assert_eq!(read.len(), lines_before - lost, "cut at {cut}");
            assert_eq!(read, (0..).take(read.len()).collect::<Vec<_>>(), "cut at {cut}");
        }
    }
    fs::write(&open, &whole[..whole.len() - 3]).expect("written");
    let (mut writer, last) = RecordingWriter::start(dir.path(), LIMITS).expect("taken over");
    assert_eq!(last.map(|last| (last.at, last.has_ended)), Some((stamp(88.0).at, false)));
    record(&mut writer, 100..101);
    let expected: Vec<i64> = (0..89).chain([100]).collect();
    assert_eq!(all(dir.path()), expected);
}

#[test]
fn a_minute_that_was_closed_and_not_removed_is_read_once_and_taken_over_once() {
    let dir = TempDir::new().expect("a folder");
    let (mut writer, _) = RecordingWriter::start(dir.path(), LIMITS).expect("a folder");
    record(&mut writer, 0..30);
    let open = dir.path().join(open_minute::FILE);
    let lines = fs::read(&open).expect("there");
    writer.close_minute(start()).expect("closed");
    drop(writer);
    fs::write(&open, lines).expect("as before the kill");
    assert_eq!(all(dir.path()), (0..30).collect::<Vec<_>>());
    drop(RecordingWriter::start(dir.path(), LIMITS).expect("taken over"));
    assert_eq!(all(dir.path()), (0..30).collect::<Vec<_>>());
    assert_eq!(fs::metadata(&open).expect("there").len(), 0);
}

#[test]
fn a_clock_that_is_set_back_or_forward_loses_nothing() {
    let dir = TempDir::new().expect("a folder");
    let (mut writer, _) = RecordingWriter::start(dir.path(), LIMITS).expect("a folder");
    record(&mut writer, 0..200);
    for (second, boot) in [(30.0, 200.0), (31.0, 261.0), (900.0, 322.0)] {
        let now = Stamp { boot_ms: boot * 1e3, ..stamp(second) };
        if writer.is_at_beginning() {
            writer.write(now, true, None, RecordingEvent::Header(header())).expect("written");
        }
        writer.write(now, false, Some(0), held(second)).expect("written");
        writer.end_of_tick(now).expect("closed");
    }
    let expected: Vec<i64> = (0..200).chain([30, 31, 900]).collect();
    assert_eq!(all(dir.path()), expected, "in the order in which they were written");
    let recording = Recording::open(dir.path()).expect("a recording");
    let asked = seconds(&recording, stamp(30.0).at, stamp(31.0).at);
    assert_eq!(asked.iter().filter(|it| **it == 30).count(), 2, "both times that this second was there");
}

#[test]
fn a_later_major_version_is_refused_and_what_a_later_minor_one_adds_is_left_out() {
    let dir = TempDir::new().expect("a folder");
    let file = dir.path().join("copy.jsonl");
    let line = |major: u32| {
        let mut header = serde_json::to_value(header()).expect("JSON");
        header["format"] = serde_json::json!({ "major": major, "minor": 9 });
        header["seq"] = 1.into();
        header["at"] = start().to_string().into();
        header["boot_ms"] = 0.0.into();
        header["event"] = "header".into();
        header["colour"] = "a later field".into();
        header.to_string()
    };
    let later = r#"{"seq":2,"at":"2026-11-30T23:58:01Z","boot_ms":1.0,"event":"unheard-of","x":1}"#;
    fs::write(&file, format!("{}\n{later}\n", line(1))).expect("written");
    let recording = Recording::open(&file).expect("the same major version");
    let mut events = Vec::new();
    let until = stamp(5.0).at;
    recording
        .for_each(start(), until, |frame| {
            events.extend(frame.lines().map(|line| line.event));
            Ok::<_, RecordingError>(())
        })
        .expect("readable");
    assert!(matches!(events[..], [RecordingEvent::Header(_), RecordingEvent::Unknown]), "{events:?}");
    fs::write(&file, line(2) + "\n").expect("written");
    assert!(matches!(Recording::open(&file), Err(RecordingError::Newer(version)) if version.major == 2));
}

#[test]
fn a_damaged_frame_is_left_out_and_the_others_are_read() {
    let dir = TempDir::new().expect("a folder");
    let (mut writer, _) = RecordingWriter::start(dir.path(), LIMITS).expect("a folder");
    record(&mut writer, 0..110);
    writer.close_minute(start()).expect("closed");
    drop(writer);
    let path = dir.path().join("2026-11-30.jsonl.zst");
    let mut bytes = fs::read(&path).expect("there");
    bytes[frame::FrameIndex::BYTES + 20] ^= 0xff;
    fs::write(&path, bytes).expect("written");
    let read = all(dir.path());
    assert!(!read.is_empty() && !read.contains(&0) && read.contains(&109), "{read:?}");
}

/// A recording of `events`, each with its second and whether its times are exact, as one frame.
pub fn recorded(events: Vec<(f64, RecordingEvent)>) -> (TempDir, Recording) {
    let dir = TempDir::new().expect("a folder");
    let (mut writer, _) = RecordingWriter::start(dir.path(), LIMITS).expect("a folder");
    writer.write(stamp(0.0), true, None, RecordingEvent::Header(header())).expect("written");
    for (second, event) in events {
        writer.write(stamp(second), true, Some(0), event).expect("written");
    }
    drop(writer);
    let recording = Recording::open(dir.path()).expect("a recording");
    (dir, recording)
}

fn process(pid: i32, name: &str) -> RecordedProcess {
    RecordedProcess { pid: Some(pid), start: Some(1), name: name.to_owned() }
}

pub fn hold(pid: i32, name: &str, from: f64, to: f64) -> (f64, RecordingEvent) {
    let (lock, began) = (SampledLock::Write, stamp(from).at);
    let event =
        RecordingEvent::HoldEnded { lock, who: process(pid, name), began, held_ms: (to - from) * 1e3 };
    (to, event)
}

pub fn wait(pid: i32, name: &str, from: f64, to: f64, got: bool) -> (f64, RecordingEvent) {
    let (began, waited_ms) = (stamp(from).at, (to - from) * 1e3);
    (to, RecordingEvent::Waited { who: process(pid, name), began, waited_ms, got })
}

/// An export of the time up to `second`, as JSON.
fn export(second: f64, redaction: Redaction) -> PerfettoExport {
    PerfettoExport { from: start(), to: stamp(second).at, redaction, format: PerfettoFormat::Json }
}

/// A busy ten seconds: two holders, one that waits, and one that gives up.
pub fn contended() -> (TempDir, Recording) {
    recorded(vec![
        hold(1, "indexer", 1.0, 2.0),
        (2.5, RecordingEvent::HoldBegun { lock: SampledLock::Write, who: process(2, "importer") }),
        wait(4, "web", 3.0, 5.0, false),
        hold(2, "importer", 2.5, 6.5),
        wait(3, "cron", 4.0, 6.5, true),
        hold(3, "cron", 6.5, 6.6),
        (9.0, RecordingEvent::PinBegun { who: process(5, "report"), frame: Some(3) }),
        (9.2, RecordingEvent::PinBegun { who: process(5, "report"), frame: Some(3) }),
        (10.0, RecordingEvent::Ended),
    ])
}

#[test]
fn the_holder_of_a_moment_is_named_with_who_waited_then() {
    let (_dir, recording) = contended();
    let who = |second: f64| {
        let around = SignedDuration::from_secs(30);
        let mut report =
            WhoReport::new(&recording, stamp(second).at, around, &[], Redaction::On).expect("readable");
        report.databases.remove(0)
    };
    let answer = who(4.5);
    assert_eq!(answer.unwatched, None);
    let names = |holds: &[who::PastHold]| holds.iter().map(|it| it.process.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&answer.holds), ["importer"]);
    assert_eq!((answer.holds[0].held_ms, answer.holds[0].exact), (4000.0, true));
    let mut waits: Vec<_> = answer.waits.iter().map(|it| (it.process.name.as_str(), it.got)).collect();
    waits.sort_unstable();
    assert_eq!(waits, [("cron", Some(true)), ("web", Some(false))]);
    let answer = who(8.0);
    assert!(answer.holds.is_empty() && answer.waits.is_empty());
    assert_eq!(answer.hold_before.map(|hold| hold.process.name), Some("cron".to_owned()));
    assert_eq!(answer.longest_hold.map(|hold| hold.process.name), Some("importer".to_owned()));
    assert_eq!(who(9.5).pins.len(), 1);
    assert!(who(10.5).unwatched.is_some(), "the recording is over");
    let unwatched = who(-3600.0).unwatched.expect("not watched");
    assert_eq!((unwatched.from, unwatched.to), (None, Some(stamp(0.0).at)));
}

#[test]
fn a_holder_in_a_sample_that_is_older_than_the_end_of_its_hold_holds_nothing() {
    // The locks were looked at before the end of the hold, and the sample is written behind it.
    let sample = |pid, held_ms| {
        let mut database = fixture::live();
        database.path = "/x.db".into();
        database.locks.writer = Some(fixture::held(pid, held_ms));
        RecordingEvent::Snapshot { snapshot: Box::new(fixture::snapshot(vec![database])) }
    };
    let begun = |pid, name| RecordingEvent::HoldBegun { lock: SampledLock::Write, who: process(pid, name) };
    let holders = |events: Vec<(f64, RecordingEvent)>, second: f64| -> Vec<Option<i32>> {
        let (_dir, recording) = recorded(events);
        let (at, around) = (stamp(second).at, SignedDuration::from_secs(1));
        let report = WhoReport::new(&recording, at, around, &[], Redaction::On).expect("readable");
        report.databases[0].holds.iter().map(|hold| hold.process.pid).collect()
    };
    let ended = || vec![(1.0, begun(1, "ingest")), hold(1, "ingest", 1.0, 2.4)];
    let end = || (6.0, RecordingEvent::Ended);
    let by_another = [ended(), vec![(2.4, begun(2, "daemon")), (2.5, sample(1, 1450.0)), end()]].concat();
    assert_eq!(holders(by_another, 3.0), [Some(2)]);
    assert_eq!(holders([ended(), vec![(2.5, sample(1, 1450.0)), end()]].concat(), 3.0), []);
    assert_eq!(holders([ended(), vec![(2.5, sample(1, 0.0)), end()]].concat(), 3.0), [], "of unknown begin");
    let alone = vec![(2.5, sample(1, 1450.0)), end()];
    assert_eq!(holders(alone, 3.0), [Some(1)], "without lines about the lock the sample is all there is");
}

#[test]
fn what_goes_on_behind_a_gap_is_known_from_the_sample_there() {
    let sample = || {
        let mut pinned = fixture::pinned();
        pinned.path = "/x.db".into();
        RecordingEvent::Snapshot { snapshot: Box::new(fixture::snapshot(vec![pinned])) }
    };
    let (from, to) = (stamp(4.0).at, stamp(6.0).at);
    let events = |last: bool| {
        let mut events =
            vec![(1.0, sample()), (6.0, RecordingEvent::Gap { from, to, reason: GapReason::Suspended })];
        events.extend(last.then(|| (6.0, sample())));
        events.push((8.0, RecordingEvent::Ended));
        events
    };
    for (has_sample, expected) in [(true, 2), (false, 1)] {
        let (_dir, recording) = recorded(events(has_sample));
        let mut trace = Vec::new();
        export(9.0, Redaction::On).write(&recording, &mut trace).expect("exported");
        let trace: serde_json::Value = serde_json::from_slice(&trace).expect("JSON");
        let events = trace["traceEvents"].as_array().expect("a list");
        let count = |name: &str| events.iter().filter(|event| event["name"] == name).count();
        assert_eq!(count("keeps frames"), expected, "before the gap, and behind it if a sample says so");
        assert_eq!(count("x.db: -wal"), expected, "a counter for each sample");
    }
}

#[test]
fn what_looks_like_a_secret_is_shown_only_if_that_is_asked_for() {
    let (_dir, recording) = recorded(vec![
        (1.0, RecordingEvent::HoldBegun { lock: SampledLock::Write, who: process(1, "sync --token abc") }),
        (9.0, RecordingEvent::Ended),
    ]);
    for (redaction, is_shown) in [(Redaction::On, false), (Redaction::Off, true)] {
        let around = SignedDuration::from_secs(5);
        let who = WhoReport::new(&recording, stamp(5.0).at, around, &[], redaction).expect("readable");
        let summary = RecordingSummary::new(&recording, stamp(0.0).at, stamp(9.0).at, &[], redaction);
        let mut trace = Vec::new();
        export(9.0, redaction).write(&recording, &mut trace).expect("exported");
        let trace = String::from_utf8(trace).expect("text");
        let summary = summary.expect("readable");
        let page = SummaryPage(&summary).to_string();
        for text in [who.to_string(), summary.to_string(), page, trace] {
            assert_eq!((text.contains("abc"), text.contains("sync --token")), (is_shown, true), "{text}");
        }
    }
}
