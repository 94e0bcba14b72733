//! The two formats of a trace, read back.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;

use super::{super::tests, *};
use crate::{diagnose::fixture, recording::line::RecordingEvent};

mod decoded;

/// What a trace says, whatever its format.
#[derive(Debug, Default, PartialEq, Eq)]
struct ReadTrace {
    slices: Vec<ReadSlice>,
    /// Name, time and value.
    counters: BTreeSet<(String, i64, u64)>,
    /// Name, time and message.
    instants: BTreeSet<(String, i64, String)>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct ReadSlice {
    process: String,
    track: String,
    /// Of the slices with this name of track, which of its tracks.
    number: usize,
    name: String,
    began: i64,
    ended: i64,
    exact: bool,
}

/// A recording with holds, waits, a pin, findings and sizes of the log.
fn recording() -> (tempfile::TempDir, Recording) {
    let mut pinned = fixture::pinned();
    pinned.path = "/x.db".into();
    let finding = fixture::findings_of(&pinned).into_iter().next().expect("it keeps frames");
    let (from, to) = (second(5), second(7));
    let gap = RecordingEvent::Gap { from, to, reason: crate::recording::GapReason::Suspended };
    tests::recorded(vec![
        (1.0, RecordingEvent::Snapshot { snapshot: Box::new(fixture::snapshot(vec![pinned])) }),
        tests::hold(1, "indexer", 1.0, 2.0),
        tests::hold(2, "importer", 2.0, 2.5),
        tests::wait(3, "web", 2.0, 3.0, false),
        tests::wait(3, "web", 2.5, 3.5, true),
        (4.0, RecordingEvent::FindingOn { finding: Box::new(finding) }),
        (7.0, gap),
        (9.0, RecordingEvent::Ended),
    ])
}

fn second(second: i64) -> Timestamp {
    tests::start() + SignedDuration::from_secs(second)
}

fn exported(recording: &Recording, format: PerfettoFormat) -> (Vec<u8>, u64) {
    let (from, to) = (second(0), second(20));
    let (export, mut bytes) = (PerfettoExport { from, to, redaction: Redaction::On, format }, Vec::new());
    let events = export.write(recording, &mut bytes).expect("exported");
    (bytes, events)
}

fn json_trace(bytes: &[u8]) -> (ReadTrace, u64) {
    let parsed: Value = serde_json::from_slice(bytes).expect("JSON");
    let events = parsed["traceEvents"].as_array().expect("a list");
    let number = |event: &Value, key: &str| event[key].as_i64().expect("a number");
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let (mut read, mut names, mut numbers) = (ReadTrace::default(), BTreeMap::new(), TrackCounts::default());
    for event in events {
        match event["ph"].as_str().expect("a phase") {
            "M" if event["name"] == "process_name" => {
                names.insert((number(event, "pid"), 0), text(&event["args"]["name"]));
            }
            "M" => {
                names.insert((number(event, "pid"), number(event, "tid")), text(&event["args"]["name"]));
            }
            "X" => {
                let (pid, tid, began) = (number(event, "pid"), number(event, "tid"), number(event, "ts"));
                let (process, track) = (names[&(pid, 0)].clone(), names[&(pid, tid)].clone());
                read.slices.push(ReadSlice {
                    number: numbers.of(&process, &track, tid),
                    process,
                    track,
                    name: text(&event["name"]),
                    began,
                    ended: began + number(event, "dur"),
                    exact: event["args"]["exact"].as_bool().expect("a flag"),
                });
            }
            "i" => {
                let message = text(&event["args"]["message"]);
                read.instants.insert((text(&event["name"]), number(event, "ts"), message));
            }
            "C" => {
                let values = event["args"].as_object().expect("values").values();
                let value = values.into_iter().next().and_then(Value::as_u64).expect("a value");
                read.counters.insert((text(&event["name"]), number(event, "ts"), value));
            }
            other => panic!("{other}"),
        }
    }
    (read, events.len() as u64)
}

/// Counts the tracks of one name.
#[derive(Default)]
struct TrackCounts(BTreeMap<(String, String), Vec<i64>>);

impl TrackCounts {
    fn of(&mut self, process: &str, track: &str, id: i64) -> usize {
        let known = self.0.entry((process.to_owned(), track.to_owned())).or_default();
        known.iter().position(|it| *it == id).unwrap_or_else(|| {
            known.push(id);
            known.len() - 1
        })
    }
}

#[test]
fn both_formats_have_the_same_slices_counters_and_instants_and_no_overlaps_on_a_track() {
    let (_dir, recording) = recording();
    let (json, events) = exported(&recording, PerfettoFormat::Json);
    let (read, count) = json_trace(&json);
    assert_eq!(count, events);
    let (protobuf, protobuf_events) = exported(&recording, PerfettoFormat::Protobuf);
    assert_eq!(decoded::trace(&protobuf), read);
    assert_eq!(protobuf_events, events);

    let names: Vec<_> = read.slices.iter().map(|slice| slice.name.as_str()).collect();
    for name in ["write", "waits", "waits, did not get it", "keeps frames"] {
        assert!(names.contains(&name), "{name}: {names:?}");
    }
    assert!(read.slices.iter().any(|slice| slice.track.ends_with(": gaps")), "{names:?}");
    assert!(!read.counters.is_empty() && !read.instants.is_empty(), "{read:?}");
    let waits: BTreeSet<_> =
        read.slices.iter().filter(|slice| slice.track == "x.db: waits").map(|it| it.number).collect();
    assert_eq!(waits.len(), 2, "two waits at a time");
    let mut ends = BTreeMap::new();
    for slice in &read.slices {
        let end = ends.insert((&slice.process, &slice.track, slice.number), slice.ended);
        assert!(end.is_none_or(|end| end <= slice.began) && slice.began < slice.ended, "{slice:?}");
    }
}

/// A trace of the time from one second to another.
fn exported_between(recording: &Recording, from: i64, to: i64) -> ReadTrace {
    let (redaction, format, mut bytes) = (Redaction::On, PerfettoFormat::Json, Vec::new());
    let export = PerfettoExport { from: second(from), to: second(to), redaction, format };
    export.write(recording, &mut bytes).expect("exported");
    json_trace(&bytes).0
}

fn sample(paths: &[&str]) -> RecordingEvent {
    let database = |path: &&str| {
        let mut database = fixture::pinned();
        database.path = path.into();
        database
    };
    let snapshot = fixture::snapshot(paths.iter().map(database).collect());
    RecordingEvent::Snapshot { snapshot: Box::new(snapshot) }
}

#[test]
fn counters_have_no_values_outside_of_the_exported_time() {
    let seconds = [1, 5, 9];
    let (_dir, recording) =
        tests::recorded(seconds.map(|at| (f64::from(at), sample(&["/x.db"]))).into_iter().collect());
    let times = |from, to| {
        let counters = exported_between(&recording, from, to).counters;
        counters.into_iter().map(|(_, at, _)| at).collect::<BTreeSet<_>>()
    };
    assert_eq!(times(0, 20), seconds.map(|at| second(at.into()).as_microsecond()).into());
    assert_eq!(times(4, 6), [second(5).as_microsecond()].into());
}

#[test]
fn two_databases_with_one_file_name_have_counters_and_tracks_of_their_own() {
    let names = |paths: &[&str]| {
        let (_dir, recording) = tests::recorded(vec![(1.0, sample(paths)), (9.0, RecordingEvent::Ended)]);
        let read = exported_between(&recording, 0, 20);
        let of =
            |name: &str| name.rsplit_once(": ").map_or(String::new(), |(database, _)| database.to_owned());
        let counters = read.counters.iter().map(|(name, ..)| of(name)).collect::<BTreeSet<_>>();
        let tracks = read.slices.iter().map(|slice| of(&slice.track)).collect::<BTreeSet<_>>();
        assert_eq!(counters, tracks);
        counters.into_iter().collect::<Vec<_>>()
    };
    let [first, second] =
        [names(&["/a/notes.db"]), names(&["/a/notes.db", "/b/notes.db"])].map(|it| it.join(" "));
    assert_eq!((first.as_str(), second.as_str()), ("notes.db", "b/notes.db notes.db"));
}

#[test]
fn the_ending_of_the_file_names_the_format() {
    for (file, format) in [
        ("trace.json", PerfettoFormat::Json),
        ("trace", PerfettoFormat::Json),
        ("a/trace.pftrace", PerfettoFormat::Protobuf),
        ("trace.perfetto-trace", PerfettoFormat::Protobuf),
    ] {
        assert_eq!(PerfettoFormat::of_file(Path::new(file)), format, "{file}");
    }
}
