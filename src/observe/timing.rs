//! For how long each lock of a sample has been held: since it was first seen, or more exactly from the sampler.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::{
    history::{LockHistory, LockOwner, ReaderTally, SampledLock},
    observe::watched::DatabaseView,
    snapshot::{DatabaseLocks, JournalMode, LockHolder, LogReader, Process},
    state::first_seen::{FirstSeen, HeldKey, SampledSince, SinceEvidence, TimedLock},
};

/// When a sample was taken, on both clocks.
#[derive(Debug, Clone, Copy)]
pub struct SampleTime {
    pub timestamp: Timestamp,
    /// On the monotonic clock.
    pub instant: Instant,
}

/// The sources of the times of a sample's locks.
pub struct LockTimes<'a> {
    /// The processes in the sample.
    pub processes: &'a [Process],
    /// The history recorded by the sampler.
    pub history: &'a LockHistory,
    /// How often a process was scheduled on a processor.
    pub runs: &'a dyn Fn(i32) -> Option<u64>,
    /// When the sample was taken.
    pub now: SampleTime,
}

/// Fills in how long every lock in `locks` has been held.
pub fn fill_in(
    locks: &mut DatabaseLocks,
    view: &DatabaseView,
    known: &LockTimes<'_>,
    first_seen: &mut FirstSeen,
) {
    let Some(database) = view.name() else { return };
    let state = state(view);
    let mut held =
        |pid: Option<i32>, lock: TimedLock, slot: Option<u8>, mark: Option<u64>, evidence: SinceEvidence| {
            let process = known.processes.iter().find(|process| Some(process.pid) == pid);
            let start_ticks = process.and_then(|process| process.start_ticks);
            let key = HeldKey { database: database.clone(), pid, start_ticks, lock, slot, mark };
            let evidence = SinceEvidence { runs: pid.and_then(known.runs), ..evidence };
            let since = first_seen.since(key, known.now.timestamp, evidence);
            known.now.timestamp.duration_since(since).as_millis_f64()
        };
    // locking_mode=EXCLUSIVE keeps its lock across commits; a rollback commit does not.
    let is_kept = view.mode() == JournalMode::Wal;
    if let Some(holder) = &mut locks.exclusive {
        let mark = if is_kept { None } else { state };
        let evidence = SinceEvidence { is_irretrievable: is_kept, ..SinceEvidence::default() };
        holder.held_ms = Some(held(holder.pid, TimedLock::Exclusive, None, mark, evidence));
    }
    let is_writer_exclusive =
        locks.exclusive.as_ref().is_some_and(|e| locks.writer.as_ref().is_some_and(|w| w.pid == e.pid));
    // A rollback writer had the write lock before it took the whole file.
    if is_writer_exclusive && is_kept {
        locks.writer.clone_from(&locks.exclusive);
    } else if let Some(holder) = &mut locks.writer {
        let evidence =
            SinceEvidence { sampled: sampled(known, SampledLock::Write, holder), ..SinceEvidence::default() };
        holder.held_ms = Some(held(holder.pid, TimedLock::Write, None, state, evidence));
    }
    for (holder, kind, lock) in [
        (&mut locks.checkpointer, TimedLock::Checkpoint, SampledLock::Checkpoint),
        (&mut locks.recoverer, TimedLock::Recover, SampledLock::Recover),
    ] {
        if let Some(holder) = holder {
            let evidence =
                SinceEvidence { sampled: sampled(known, lock, holder), ..SinceEvidence::default() };
            // The commits of others go on beside it.
            holder.held_ms = Some(held(holder.pid, kind, None, None, evidence));
        }
    }
    // A reader that leaves a slot whose mark is behind the newest frame gets a newer mark the next time, unless there
    // is no free slot for it; it gets slot 0 only when nothing waits to be moved.
    let has_free_slot = (1..=4).any(|slot| locks.readers.iter().all(|reader| reader.slot != Some(slot)));
    for reader in &mut locks.readers {
        let is_irretrievable = match (reader.slot, reader.frame, &view.wal) {
            (Some(0), _, Some(wal)) => wal.pending.is_some_and(|pending| pending > 0),
            (Some(_), Some(frame), Some(wal)) => {
                has_free_slot && wal.frames.is_some_and(|newest| frame < newest)
            }
            _ => false,
        };
        let mark = if reader.slot.is_some() { reader.frame.map(u64::from) } else { state };
        let evidence = SinceEvidence { is_irretrievable, ..SinceEvidence::default() };
        reader.held_ms = Some(held(reader.pid, TimedLock::Read, reader.slot, mark, evidence));
    }
}

/// Lengthens the open holds of `history` to what `locks` know: from earlier samples, also of other runs of waltop.
pub fn lengthen_holds(history: &mut LockHistory, locks: &DatabaseLocks, now: Instant) {
    for (lock, holder) in [
        (SampledLock::Write, &locks.writer),
        (SampledLock::Checkpoint, &locks.checkpointer),
        (SampledLock::Recover, &locks.recoverer),
    ] {
        let Some((pid, held_ms)) = holder.as_ref().and_then(|it| Some((it.pid, it.held_ms?))) else {
            continue;
        };
        let began = Duration::try_from_secs_f64(held_ms / 1e3).ok().and_then(|held| now.checked_sub(held));
        if let Some(began) = began {
            history.began_earlier(lock, pid, began);
        }
    }
}

/// Records in `history` who reads the log, and who keeps frames in it.
pub fn note_readers(
    history: &mut LockHistory,
    locks: &DatabaseLocks,
    view: &DatabaseView,
    processes: &[Process],
    now: Instant,
) {
    history.pins_are(now, pins(locks, view, processes));
    if view.index.is_some() {
        let mut tally = ReaderTally::default();
        // A writer has a read lock, too.
        let writer = locks.writer.as_ref().map(|writer| writer.pid);
        let reads =
            |reader: &&LogReader| reader.slot.is_some_and(|slot| slot > 0) && Some(reader.pid) != writer;
        let readers = locks.readers.iter().filter(reads);
        tally.add(now, readers.map(|reader| reader.pid));
        history.log_read(now, &tally);
    }
}

// The processes that keep frames in the log.
fn pins(locks: &DatabaseLocks, view: &DatabaseView, processes: &[Process]) -> Vec<LockOwner> {
    let owner = |reader: &LogReader| {
        let process = processes.iter().find(|process| Some(process.pid) == reader.pid);
        LockOwner {
            pid: reader.pid,
            start_ticks: process.and_then(|it| it.start_ticks),
            name: process.map(|it| it.label.clone()).unwrap_or_default(),
            ..LockOwner::default()
        }
    };
    locks.pinning_readers(view.wal.as_ref()).map(owner).collect()
}

// A value that changes with every commit: the commit counter, or else the time of the last write.
fn state(view: &DatabaseView) -> Option<u64> {
    let written = |which: usize| {
        let at = view.sights[which].as_ref()?.facts.modified_at?;
        u64::try_from(at.as_nanosecond()).ok()
    };
    let commits = view.index.as_ref().map(|index| u64::from(index.commits));
    commits.or_else(|| if view.mode() == JournalMode::Wal { written(1) } else { written(0) })
}

// Since when the sampler sees `holder` hold the lock; `None` if it does not.
fn sampled(known: &LockTimes<'_>, lock: SampledLock, holder: &LockHolder) -> Option<SampledSince> {
    let (start, who) = known.history.current(lock)?;
    if who.pid != holder.pid {
        return None;
    }
    let since = known.now.timestamp.checked_sub(known.now.instant.saturating_duration_since(start)).ok()?;
    Some(SampledSince { since, is_whole: !known.history.is_from_the_beginning(start) })
}

#[cfg(target_os = "linux")]
#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{diagnose::fixture, history::LockOwner, observe::tests::Scene};

    #[test]
    fn a_lock_is_held_since_it_was_sampled_and_only_by_its_holder() {
        let view = Scene::new().view();
        let folder = tempfile::TempDir::new().expect("a folder");
        let start = Instant::now();
        let now = SampleTime { timestamp: Timestamp::now(), instant: start + Duration::from_secs(5) };
        let mut history = LockHistory::default();
        history.sampling_began(start);
        for (lock, pid, second) in
            [(SampledLock::Write, 70, 1), (SampledLock::Checkpoint, 71, 2), (SampledLock::Recover, 72, 3)]
        {
            let owner = LockOwner {
                pid: Some(pid),
                start_ticks: Some(1000),
                name: "bun".to_owned(),
                ..LockOwner::default()
            };
            history.open(lock, start + Duration::from_secs(second), Arc::new(owner));
        }
        let known = LockTimes { processes: &[], history: &history, runs: &|_| None, now };
        let held = |[writer, checkpointer, recoverer]: [i32; 3]| {
            let holder = |pid| Some(LockHolder { pid: Some(pid), label: None, held_ms: None });
            let mut locks = DatabaseLocks {
                writer: holder(writer),
                checkpointer: holder(checkpointer),
                recoverer: holder(recoverer),
                ..DatabaseLocks::default()
            };
            let mut first_seen = FirstSeen::load(&folder.path().join("first-seen.json"), "boot".to_owned());
            fill_in(&mut locks, &view, &known, &mut first_seen);
            [locks.writer, locks.checkpointer, locks.recoverer].map(|it| it.and_then(|it| it.held_ms))
        };
        assert_eq!(held([70, 71, 72]), [Some(4000.0), Some(3000.0), Some(2000.0)]);
        assert_eq!(held([71, 72, 70]), [Some(0.0); 3], "another has taken it since");
    }

    // A reader of slot `slot` that sees the log up to `frame`.
    fn reader(pid: i32, slot: u8, frame: Option<u32>) -> LogReader {
        LogReader { pid: Some(pid), label: None, slot: Some(slot), frame, held_ms: None }
    }

    // Frames 3 to 6 are not moved yet.
    fn view() -> DatabaseView {
        let mut view = Scene::new().view();
        view.wal = Some(fixture::wal(6, 2));
        view
    }

    #[test]
    fn a_reader_that_could_not_have_returned_to_its_slot_has_never_left_it() {
        let (view, folder) = (view(), tempfile::TempDir::new().expect("a folder"));
        let (history, start) = (LockHistory::default(), Timestamp::now());
        for (at, (slot, frame, others, expected)) in [
            (1, Some(5), &[][..], 5000.0),
            (1, Some(5), &[2, 3], 5000.0),
            (0, Some(0), &[], 5000.0),
            (1, Some(6), &[], 0.0),
            (1, None, &[], 0.0),
            (1, Some(5), &[2, 3, 4], 0.0),
        ]
        .into_iter()
        .enumerate()
        {
            let mut first_seen = FirstSeen::load(&folder.path().join(at.to_string()), "boot".to_owned());
            let mut held = |second: u8| {
                let timestamp = start + Duration::from_secs(second.into());
                let now = SampleTime { timestamp, instant: Instant::now() };
                // It ran between the samples.
                let runs = |_| Some(second.into());
                let known = LockTimes { processes: &[], history: &history, runs: &runs, now };
                let mut readers = vec![reader(70, slot, frame)];
                readers.extend(others.iter().map(|&other| reader(71, other, Some(6))));
                let mut locks = DatabaseLocks { readers, ..DatabaseLocks::default() };
                fill_in(&mut locks, &view, &known, &mut first_seen);
                locks.readers[0].held_ms
            };
            assert_eq!([held(0), held(5)], [Some(0.0), Some(expected)], "{slot}, {frame:?}, {others:?}");
        }
    }

    #[test]
    fn only_a_reader_behind_the_newest_frame_keeps_frames_in_the_log() {
        let readers = vec![reader(70, 1, Some(5)), reader(71, 2, Some(6)), reader(72, 3, None)];
        let locks = DatabaseLocks { readers, ..DatabaseLocks::default() };
        let pins =
            |view: &DatabaseView| pins(&locks, view, &[]).into_iter().map(|it| it.pid).collect::<Vec<_>>();
        assert_eq!(pins(&view()), [Some(70)]);
        assert_eq!(pins(&Scene::new().view()), [], "the newest frame is unknown");
    }

    #[test]
    fn a_lock_that_is_held_for_good_is_timed_across_commits_and_another_one_is_not() {
        let mut view = Scene::new().view();
        let folder = tempfile::TempDir::new().expect("a folder");
        let mut first_seen = FirstSeen::load(&folder.path().join("first-seen.json"), "boot".to_owned());
        let (history, start) = (LockHistory::default(), Timestamp::now());
        let mut held = |second: u8| {
            if let Some(log) = &mut view.sights[1] {
                log.facts.modified_at = Some(start + Duration::from_secs(second.into()));
            }
            let timestamp = start + Duration::from_secs(second.into());
            let now = SampleTime { timestamp, instant: Instant::now() };
            // They ran between the samples.
            let runs = |_| Some(second.into());
            let known = LockTimes { processes: &[], history: &history, runs: &runs, now };
            let holder = |pid| Some(LockHolder { pid: Some(pid), label: None, held_ms: None });
            let mut locks = DatabaseLocks {
                exclusive: holder(70),
                writer: holder(70),
                checkpointer: holder(71),
                ..DatabaseLocks::default()
            };
            fill_in(&mut locks, &view, &known, &mut first_seen);
            [locks.exclusive, locks.writer, locks.checkpointer].map(|it| it.and_then(|it| it.held_ms))
        };
        assert_eq!(held(0), [Some(0.0); 3]);
        assert_eq!(held(5), [Some(5000.0), Some(5000.0), Some(0.0)], "the log was written to since");
    }

    #[test]
    fn the_state_of_a_database_changes_with_each_commit() {
        let mut view = Scene::new().view();
        let at = |second| Timestamp::from_second(second).expect("a time");
        for (which, second) in [(0, 5), (1, 7)] {
            view.sights[which].as_mut().expect("it is there").facts.modified_at = Some(at(second));
        }
        assert_eq!(state(&view), Some(7_000_000_000), "the log");
        view.sights[2] = None;
        assert_eq!(state(&view), Some(5_000_000_000), "the main file in rollback mode");
        view.sights[0] = None;
        assert_eq!(state(&view), None);
    }

    #[test]
    fn who_pins_the_log_is_named_as_in_its_row() {
        let locks = DatabaseLocks { readers: vec![reader(70, 1, Some(5))], ..DatabaseLocks::default() };
        let rows = [fixture::process(71, "tar"), fixture::process(70, "bun")];
        let expected = LockOwner {
            pid: Some(70),
            start_ticks: Some(1000),
            name: rows[1].name.clone(),
            ..LockOwner::default()
        };
        assert_eq!(pins(&locks, &view(), &rows), [expected]);
    }

    #[test]
    fn a_writer_that_was_not_scheduled_between_two_samples_has_held_its_lock() {
        let view = Scene::new().view();
        let folder = tempfile::TempDir::new().expect("a folder");
        let (history, start) = (LockHistory::default(), Timestamp::now());
        let held = |name: &str, runs: [u64; 2]| {
            let mut first_seen = FirstSeen::load(&folder.path().join(name), "boot".to_owned());
            let held = [0, 5].into_iter().zip(runs).map(|(second, times)| {
                let timestamp = start + Duration::from_secs(second);
                let now = SampleTime { timestamp, instant: Instant::now() };
                let runs = |pid| (pid == 70).then_some(times);
                let known = LockTimes { processes: &[], history: &history, runs: &runs, now };
                let writer = Some(LockHolder { pid: Some(70), label: None, held_ms: None });
                let mut locks = DatabaseLocks { writer, ..DatabaseLocks::default() };
                fill_in(&mut locks, &view, &known, &mut first_seen);
                locks.writer.and_then(|it| it.held_ms)
            });
            held.collect::<Vec<_>>()
        };
        assert_eq!(held("still", [9, 9]), [Some(0.0), Some(5000.0)]);
        assert_eq!(held("ran", [9, 10]), [Some(0.0), Some(0.0)], "it may have released it in between");
    }

    #[test]
    fn a_writer_beside_the_holder_of_the_whole_file_has_its_own_time() {
        let view = Scene::new().view();
        let folder = tempfile::TempDir::new().expect("a folder");
        let mut first_seen = FirstSeen::load(&folder.path().join("first-seen.json"), "boot".to_owned());
        let (history, start) = (LockHistory::default(), Timestamp::now());
        let mut writer = |second: u64, pid: i32| {
            let timestamp = start + Duration::from_secs(second);
            let now = SampleTime { timestamp, instant: Instant::now() };
            let known = LockTimes { processes: &[], history: &history, runs: &|_| None, now };
            let holder = |pid| Some(LockHolder { pid: Some(pid), label: None, held_ms: None });
            let mut locks =
                DatabaseLocks { exclusive: holder(70), writer: holder(pid), ..DatabaseLocks::default() };
            fill_in(&mut locks, &view, &known, &mut first_seen);
            locks.writer.map(|it| (it.pid, it.held_ms))
        };
        assert_eq!(writer(0, 70), Some((Some(70), Some(0.0))));
        assert_eq!(writer(5, 70), Some((Some(70), Some(5000.0))), "it is the holder");
        assert_eq!(writer(6, 71), Some((Some(71), Some(0.0))), "another process");
    }
}
