use super::super::super::fixture::*;
use crate::snapshot::{Database, LogProgress, LogReading, Severity, Severity::*, WriteHolds};

fn progress(window_ms: f64) -> LogProgress {
    LogProgress {
        window_ms,
        restarts: 0,
        grown_bytes: 4_120_000,
        grown_frames: Some(1_000),
        moved_frames: Some(900),
        reading: LogReading { samples: 200, read: 199, longest_gap_ms: 12.0, pids: vec![READER, WRITER] },
    }
}

// 5,000 frames in less than the size of a large log, of which 4,800 are moved, between readers that are gone.
fn starved(window_ms: f64) -> Database {
    let mut database = quiet();
    database.wal = Some(wal(5_000, 4_800));
    database.wal.as_mut().expect("a log").progress = Some(progress(window_ms));
    database
}

fn changed(mut database: Database, change: impl FnOnce(&mut Database, &mut LogProgress)) -> Database {
    let mut progress = database.wal.as_mut().and_then(|wal| wal.progress.take()).expect("there is one");
    change(&mut database, &mut progress);
    database.wal.as_mut().expect("a log").progress = Some(progress);
    database
}

fn starvation(database: &Database) -> Option<(Severity, String, Option<i32>)> {
    let found = findings_of(database).into_iter().find(|it| it.kind == FindingKind::WalStarved)?;
    Some((found.severity, found.evidence["cause"].as_str().expect("a cause").to_owned(), found.pid))
}

fn severity(database: &Database) -> Option<Severity> {
    starvation(database).map(|it| it.0)
}

#[test]
fn readers_that_relieve_each_other_are_info_and_a_warning_after_thirty_seconds() {
    assert_eq!(starvation(&starved(29_999.0)), Some((Info, "readers".to_owned(), None)));
    assert_eq!(severity(&starved(30_000.0)), Some(Warning));
    let found = findings_of(&starved(30_000.0));
    assert_eq!(found[0].remedy.action, Some(RemedyAction::Checkpoint));
}

#[test]
fn a_log_that_restarts_or_does_not_grow_or_is_not_deep_is_not_starved() {
    let restarted = changed(starved(60_000.0), |_, it| (it.restarts, it.grown_frames) = (1, None));
    let still = changed(starved(60_000.0), |_, it| (it.grown_bytes, it.grown_frames) = (0, Some(0)));
    let shallow = changed(starved(60_000.0), |database, _| database.wal = Some(wal(4_000, 3_800)));
    let gaps = changed(starved(60_000.0), |_, it| it.reading.read = 179);
    let few = changed(starved(60_000.0), |_, it| (it.reading.samples, it.reading.read) = (9, 9));
    let unknown = changed(starved(60_000.0), |_, it| it.reading = LogReading::default());
    for database in [restarted, still, shallow, gaps, few, unknown] {
        assert_eq!(starvation(&database), None, "{:?}", database.wal);
    }
}

#[test]
fn readers_that_have_all_ended_are_blamed_no_longer() {
    let without = |pids: &[i32]| {
        changed(starved(60_000.0), |database, _| {
            database.processes.retain(|process| !pids.contains(&process.pid));
        })
    };
    assert_eq!(severity(&without(&[READER])), Some(Warning), "the other one is there");
    assert_eq!(severity(&without(&[READER, WRITER])), None);
    let alone = |is_there: bool| {
        changed(starved(60_000.0), |database, it| {
            it.reading.pids = vec![READER];
            database.processes.retain(|process| is_there || process.pid != READER);
        })
    };
    assert_eq!([true, false].map(|is_there| severity(&alone(is_there))), [Some(Warning), None]);
}

#[test]
fn the_only_writer_that_reads_an_old_state_pins_its_own_log() {
    let pins = |pid| {
        changed(starved(40_000.0), |database, _| {
            database.locks.readers = vec![reader(READER, 1, 812, 40_000.0)];
            database.wal = Some(wal(5_000, 812));
            let holds = vec![holds(pid, 500, 5.0, 2_000.0)];
            database.locks.write_holds = Some(WriteHolds {
                count: 500,
                p50_ms: Some(4.0),
                p99_ms: Some(5.0),
                max_ms: 5.0,
                held_ratio: 0.03,
                by_process: holds,
            });
        })
    };
    assert_eq!(starvation(&pins(READER)), Some((Warning, "self-pin".to_owned(), Some(READER))));
    assert_eq!(starvation(&pins(WRITER)), None, "another one writes");
    let shallow = |frames| {
        changed(pins(READER), |database, _| {
            database.wal = Some(wal(frames, 0));
            database.locks.readers = vec![reader(READER, 0, 0, 40_000.0)];
        })
    };
    assert_eq!([1_000, 1_001].map(|frames| severity(&shallow(frames))), [None, Some(Info)], "it is not deep");
    // From a minute on it is a pin like any other.
    let mut long = pins(READER);
    long.locks.readers[0].held_ms = Some(60_000.0);
    let kinds: Vec<_> = findings_of(&long).into_iter().map(|it| (it.kind, it.pid)).collect();
    assert_eq!(kinds, [(FindingKind::PinnedWal, Some(READER))]);
}

#[test]
fn a_log_that_nobody_checkpoints_is_named_so() {
    let unmoved = || {
        changed(starved(40_000.0), |database, it| {
            database.wal = Some(wal(5_000, 0));
            it.moved_frames = Some(0);
        })
    };
    assert_eq!(starvation(&unmoved()), Some((Warning, "no-checkpoint".to_owned(), None)));
    let few = changed(unmoved(), |database, _| database.wal = Some(wal(5_000, 1_000)));
    assert_ne!(starvation(&few).map(|it| it.1), Some("no-checkpoint".to_owned()), "few enough wait");
    let mut read = unmoved();
    read.locks.readers = vec![reader(READER, 1, 0, 5.0)];
    assert_ne!(starvation(&read).map(|it| it.1), Some("no-checkpoint".to_owned()), "a reader is in the way");
    let mut running = unmoved();
    running.locks.checkpointer = Some(held(WRITER, 5.0));
    assert_ne!(starvation(&running).map(|it| it.1), Some("no-checkpoint".to_owned()));
}

#[test]
fn an_open_transaction_is_info_however_long_it_takes() {
    let open = |held_ms| {
        let mut database = starved(60_000.0);
        database.locks.writer = Some(held(WRITER, held_ms));
        let wal = database.wal.as_mut().expect("a log");
        (wal.frames, wal.backfilled, wal.pending) = (Some(3), Some(3), Some(0));
        wal.uncommitted_frames = Some(9_000);
        database
    };
    let found = findings_of(&open(2_000.0));
    let found = found.iter().find(|it| it.kind == FindingKind::WalStarved).expect("found");
    assert_eq!((found.severity, found.pid), (Info, Some(WRITER)));
    assert_eq!((found.remedy.action, found.remedy.command.as_ref()), (None, None));
    let short = starvation(&open(999.0));
    assert_ne!(short.map(|it| it.1), Some("open-transaction".to_owned()), "it may have been rolled back");
}

#[test]
fn one_log_has_one_finding() {
    let large = |window_ms| {
        let mut database = starved(window_ms);
        database.files.wal.as_mut().expect("a log").bytes = 100 << 20;
        findings_of(&database).into_iter().map(|it| (it.kind, it.severity)).collect::<Vec<_>>()
    };
    assert_eq!(large(29_999.0), [(FindingKind::LargeWal, Warning)]);
    assert_eq!(large(30_000.0), [(FindingKind::WalStarved, Warning)]);
}
