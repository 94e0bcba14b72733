//! A database with a log for each sentence of the rules about logs.

use super::scenes::changed;
use crate::{diagnose::fixture::*, snapshot::*};

pub fn pins() -> Vec<Database> {
    vec![
        changed(pinned(), |it| {
            it.locks.readers = vec![reader(WRITER, 1, 812, 70_000.0)];
            writes_alone(it);
        }),
        pinned(),
        changed(pinned(), |it| it.locks.readers = vec![reader(READER, 0, 0, 70_000.0)]),
        changed(pinned(), |it| {
            it.locks.readers[0].pid = None;
            it.header = None;
        }),
    ]
}

pub fn old_snapshots() -> Vec<Database> {
    let reading =
        |frame, held_ms| changed(pinned(), |it| it.locks.readers = vec![reader(READER, 1, frame, held_ms)]);
    let forgotten = changed(reading(18_900, 286_000.0), |it| {
        it.wal = Some(wal(19_031, 18_900));
        let samples = std::iter::repeat_n(&Activity::Asleep, 40);
        it.processes[1].activity = HolderActivity::of(samples, 8_000.0);
        it.processes[1].idleness.cpu_idle_ms = Some(60_000.0);
    });
    vec![reading(19_030, 70_000.0), reading(18_900, 70_000.0), forgotten]
}

/// A log of 5,000 frames that grows between two samples `window_ms` apart.
fn growing(window_ms: f64, backfilled: u32, change: impl FnOnce(&mut Database)) -> Database {
    changed(quiet(), |it| {
        let reading =
            LogReading { samples: 200, read: 199, longest_gap_ms: 12.0, pids: vec![READER, WRITER] };
        it.wal = Some(WalState {
            progress: Some(LogProgress {
                window_ms,
                restarts: 0,
                grown_bytes: 4_120_000,
                grown_frames: Some(1_000),
                moved_frames: Some(backfilled.min(900)),
                reading,
            }),
            ..wal(5_000, backfilled)
        });
        it.files.wal.as_mut().expect("a log").bytes = 20_600_032;
        it.files.db.as_mut().expect("a database").bytes = 100 << 20;
        change(it);
    })
}

fn reads(database: &mut Database, change: impl FnOnce(&mut LogReading)) {
    change(&mut database.wal.as_mut().and_then(|wal| wal.progress.as_mut()).expect("there is one").reading);
}

fn writes_alone(database: &mut Database) {
    let by_process = vec![holds(WRITER, 500, 5.0, 2_000.0)];
    let (count, p50_ms, p99_ms, max_ms, held_ratio) = (500, Some(4.0), Some(5.0), 5.0, 0.03);
    let holds = WriteHolds { count, p50_ms, p99_ms, max_ms, held_ratio, by_process };
    database.locks.write_holds = Some(holds);
}

fn opens_a_transaction(database: &mut Database) {
    database.locks.writer = Some(held(WRITER, 9_000.0));
    let log = database.wal.as_mut().expect("a log");
    (log.frames, log.backfilled, log.pending) = (Some(3), Some(3), Some(0));
    log.uncommitted_frames = Some(14_660);
}

pub fn starved() -> Vec<Database> {
    vec![
        growing(40_000.0, 4_900, |_| {}),
        growing(2_000.0, 4_900, |it| {
            reads(it, |reading| {
                (reading.read, reading.longest_gap_ms, reading.pids) = (200, 0.0, vec![READER]);
            });
        }),
        growing(40_000.0, 0, |_| {}),
        growing(40_000.0, 0, |it| {
            writes_alone(it);
            it.locks.readers = vec![reader(WRITER, 0, 0, 40_000.0)];
        }),
        growing(40_000.0, 3, opens_a_transaction),
    ]
}

pub fn large() -> Vec<Database> {
    const BYTES: u64 = 100 << 20;
    let read_for = |held_ms, slot, frame, backfilled| {
        changed(with_log(BYTES, 0, None, None), |it| {
            it.wal = Some(wal(19_031, backfilled));
            it.locks.readers = vec![reader(READER, slot, frame, held_ms)];
        })
    };
    let read = |slot, frame, backfilled| read_for(70_000.0, slot, frame, backfilled);
    vec![
        with_log(BYTES, 2_000, None, None),
        with_log(BYTES, 2_000, Some(1_200_000.0), None),
        changed(with_log(BYTES, 2_000, Some(1_200_000.0), None), |it| it.filesystem = None),
        with_log(BYTES, 1_000, None, None),
        with_log(BYTES, 0, None, None),
        with_log(BYTES, 0, Some(1_200_000.0), None),
        read(1, 812, 812),
        read(1, 19_031, 19_031),
        growing(2_000.0, 4_900, |it| it.files.wal.as_mut().expect("a log").bytes = BYTES),
        growing(2_000.0, 3, |it| {
            it.files.wal.as_mut().expect("a log").bytes = BYTES;
            opens_a_transaction(it);
        }),
        changed(with_log(BYTES, 0, None, None), |it| {
            let progress =
                LogProgress { window_ms: 2_000.0, grown_bytes: 4_120_000, ..LogProgress::default() };
            it.wal.as_mut().expect("a log").progress = Some(progress);
        }),
        read_for(5_000.0, 1, 812, 812),
        read_for(5_000.0, 1, 19_031, 19_031),
        changed(with_log(BYTES, 2_000, None, None), |it| it.locks.checkpointer = Some(held(READER, 3_000.0))),
        changed(with_log(BYTES, 2_000, None, Some(900_000)), |it| {
            it.files.db.as_mut().expect("a database").bytes = 4_096;
        }),
        changed(with_log(BYTES, 0, None, None), |it| it.wal = None),
    ]
}

pub fn with_log(bytes: u64, pending: u32, growth: Option<f64>, free: Option<u64>) -> Database {
    changed(live(), |it| {
        it.wal = Some(WalState { growth_bytes_per_second: growth, ..wal(pending, 0) });
        it.files.wal.as_mut().expect("a log").bytes = bytes;
        // The main file has all its pages, so that a checkpoint needs no room.
        it.files.db.as_mut().expect("a database").bytes = 1_446 * 4_096;
        let filesystem = it.filesystem.as_mut().expect("it is known");
        filesystem.free_bytes = free.or(filesystem.free_bytes);
        it.locks.readers.clear();
    })
}

pub fn low_disk() -> Vec<Database> {
    let low = |growth| with_log(1_000_000, 10, growth, Some(900_000));
    vec![
        low(None),
        low(Some(100_000.0)),
        changed(low(None), |it| it.files.db.as_mut().expect("a database").bytes = 4_096),
        changed(low(None), |it| it.locks.readers = vec![reader(READER, 0, 0, 5_000.0)]),
    ]
}

pub fn storms() -> Vec<Database> {
    let storm = |pages, change: fn(&mut Database)| {
        changed(quiet(), |it| {
            it.commits = Some(CommitRate {
                window_ms: 10_000.0,
                commits: 4_580,
                per_second: 458.0,
                restarts_per_second: Some(45.8),
                newest_frames: Some(CommittedFrames { frames: 64, commits: 60, pages }),
            });
            change(it);
        })
    };
    vec![
        storm(1, writes_alone),
        storm(1, |it| {
            writes_alone(it);
            it.processes[0].write_rate = Some(11_200_000.0);
        }),
        storm(64, |_| {}),
    ]
}
