//! The committed recordings: one of each format, which every later version reads. `tests/all/recordings/README.md` says
//! how one is made.

use std::{
    collections::BTreeSet,
    env, fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::{
    diagnose::fixture,
    history::{LockHistory, LockOwner, SampledLock},
    snapshot::{
        ActivityClass, Database, IngestionState, PossibleWaiter, Process, ProcessId, Snapshot, WaiterEvidence,
    },
    threads,
};

const IMPORTER: i32 = fixture::WRITER;
const REPORT: i32 = fixture::READER;
const WEB: i32 = 71_400;
/// When the recorder got no processor for 14 s.
const LATE: u32 = 91;
const END: u32 = 125;

fn folder() -> PathBuf {
    let format = FormatVersion::CURRENT;
    let name = format!("{}.{}", format.major, format.minor);
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/all/recordings").join(name)
}

fn named(pid: i32, name: &str) -> Process {
    Process { label: name.to_owned(), ..fixture::process(pid, name) }
}

/// `/srv/app/app.db` after so many seconds: an import beside a web server until second 10, a report that keeps frames in
/// the log from 20 to 40, another log at 50, a process that comes at 60, and an ingestion from 65.
fn database(second: u32, base: Timestamp) -> Database {
    let mut database = if (20..40).contains(&second) { fixture::pinned() } else { fixture::quiet() };
    database.findings = fixture::findings_of(&database);
    database.path = "/srv/app/app.db".into();
    database.processes = vec![named(IMPORTER, "importer"), named(WEB, "web")];
    if second < 55 {
        database.processes.push(named(REPORT, "report"));
    }
    if second >= 60 {
        database.processes.push(named(fixture::INGESTER, "waltop"));
    }
    if (11..14).contains(&second) {
        let evidence = WaiterEvidence::HandlerSleep { sleep_ms: 100 };
        let holder = Some(IMPORTER);
        let waiter = PossibleWaiter { pid: WEB, holder, samples: 40, asleep: 38, span_ms: 900.0, evidence };
        database.locks.possible_waiters.push(waiter);
    }
    if let Some(log) = database.files.wal.as_mut().filter(|_| second >= 50) {
        log.inode += 100;
    }
    if second >= 65 {
        let batches = (65..second.min(80)).step_by(5).map(|at| {
            let at = base + SignedDuration::from_secs(at.into());
            crate::snapshot::IngestedBatch { at, ..fixture::batch(0, 10, 20.0) }
        });
        database.ingestions.push(crate::snapshot::Ingestion {
            state: if second < 80 { IngestionState::Running } else { IngestionState::Completed },
            recent_batches: batches.collect(),
            ..fixture::ingestion("example")
        });
    }
    database
}

/// What happens to the locks in the second before `second`.
fn note_locks(history: &mut LockHistory, second: u32, start: Instant) {
    let at = |seconds: f64| start + Duration::from_secs_f64(seconds);
    let owner = |pid, name: &str| {
        Arc::new(LockOwner {
            pid: Some(pid),
            start_ticks: Some(1000),
            name: name.to_owned(),
            ..LockOwner::default()
        })
    };
    match second {
        6 => history.open(SampledLock::Write, at(5.2), owner(IMPORTER, "importer")),
        8 => {
            let process = ProcessId { pid: IMPORTER, start_ticks: 1000 };
            history.doing(at(7.1), process, ActivityClass::Computing);
            history.waited_in_vain(at(7.9), Duration::from_secs(2), owner(WEB, "web"));
        }
        10 => history.close(SampledLock::Write, at(9.4)),
        16 => {
            history.open(SampledLock::Checkpoint, at(15.1), owner(WEB, "web"));
            history.close(SampledLock::Checkpoint, at(15.3));
        }
        _ => {}
    }
}

/// Records that into `folder` as a recorder does, with a clock that runs as fast as it can.
fn record(folder: &Path) {
    let base: Timestamp = "2026-11-30T03:12:00Z".parse().expect("a time");
    let host = RecorderHost {
        boot_id: "example".to_owned(),
        pid_namespace: Some(4_026_531_836),
        every: Duration::from_secs(1),
    };
    let limits = RetentionLimits { keep: Duration::from_hours(24 * 365_000), max_size: 1 << 30, min_free: 0 };
    let mut recorder = Recorder::start(folder, limits, host).expect("a folder");
    let (history, start) = (Arc::new(Mutex::new(LockHistory::default())), Instant::now());
    threads::lock(&history).sampling_began(start);
    let stamp = |second: u32| Stamp {
        at: base + SignedDuration::from_secs(second.into()),
        boot_ms: 1e6 + f64::from(second) * 1e3,
    };
    for second in (0..LATE).chain(LATE + 14..END) {
        note_locks(&mut threads::lock(&history), second, start);
        let snapshot = Snapshot {
            host: "example".to_owned(),
            taken_at: stamp(second).at,
            ..fixture::snapshot(vec![database(second, base)])
        };
        let now = RecorderTick {
            stamp: stamp(second),
            instant: start + Duration::from_secs(second.into()),
            slept: Duration::ZERO,
        };
        recorder.tick_at(now, &snapshot, std::slice::from_ref(&history));
        assert_eq!(recorder.state().trouble, None);
    }
    recorder.end_at(stamp(END));
    fs::remove_file(folder.join("recorder.lock")).expect("there");
}

fn kinds(folder: &Path) -> BTreeSet<String> {
    let recording = Recording::open(folder).expect("a recording");
    let mut kinds = BTreeSet::new();
    recording
        .for_each(Timestamp::MIN, Timestamp::MAX, |frame| {
            let tags = frame.lines().map(|line| serde_json::to_value(&line.event).expect("JSON"));
            kinds.extend(tags.filter_map(|it| it["event"].as_str().map(str::to_owned)));
            Ok::<_, RecordingError>(())
        })
        .expect("readable");
    kinds
}

/// A format with another kind of line needs a recording of its own.
#[test]
fn the_committed_recording_of_this_format_has_every_kind_of_line_that_the_recorder_writes() {
    let dir = tempfile::TempDir::new().expect("a folder");
    record(dir.path());
    if env::var_os("WALTOP_WRITE_RECORDING").is_some() && !folder().exists() {
        fs::create_dir_all(folder()).expect("a folder");
        for file in fs::read_dir(dir.path()).expect("listed").flatten() {
            fs::copy(file.path(), folder().join(file.file_name())).expect("copied");
        }
    }
    let committed = kinds(&folder());
    assert_eq!(committed, kinds(dir.path()), "a later recorder writes the same");
    let expected = [
        "activity",
        "batch",
        "ended",
        "file-replaced",
        "finding-off",
        "finding-on",
        "gap",
        "header",
        "hold-begun",
        "hold-ended",
        "may-wait-begun",
        "may-wait-ended",
        "pin-begun",
        "pin-ended",
        "process-gone",
        "process-seen",
        "snapshot",
        "waited",
    ];
    assert_eq!(committed.iter().map(String::as_str).collect::<Vec<_>>(), expected);
}
