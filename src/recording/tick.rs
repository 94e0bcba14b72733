//! What has happened between two samples, as lines: the histories of the databases, and the changes of their snapshots.

use std::{
    io,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use jiff::Timestamp;

use super::{
    changes::DatabaseChanges,
    line::{GapReason, RecordedProcess, RecordingEvent, Stamp},
};
use crate::{
    clock,
    history::{EventReader, HistoryEvent, LockHistory, LockOwner, SampledLock},
    snapshot::{Database, Snapshot},
    threads, units,
};

/// The time of a sample on all clocks.
#[derive(Debug, Clone, Copy)]
pub struct RecorderTick {
    pub stamp: Stamp,
    /// The clock of the histories.
    pub instant: Instant,
    /// How long the machine has slept since boot.
    pub slept: Duration,
}

impl Stamp {
    pub(super) fn now() -> Self {
        Self { at: Timestamp::now(), boot_ms: units::milliseconds(clock::since_boot()) }
    }
}

impl RecorderTick {
    pub fn now() -> Self {
        Self { stamp: Stamp::now(), instant: Instant::now(), slept: clock::slept().unwrap_or_default() }
    }

    /// The wall clock and the time since boot at `at`, as this tick has them.
    pub fn stamp_of(&self, at: Instant) -> Stamp {
        let ago = self.instant.saturating_duration_since(at);
        Stamp {
            at: self.stamp.at.checked_sub(ago).unwrap_or(self.stamp.at),
            boot_ms: self.stamp.boot_ms - units::milliseconds(ago),
        }
    }

    /// About when the sample before was taken, if one is taken `every` so often.
    pub fn sample_before(&self, every: Duration) -> Timestamp {
        self.stamp_of(self.instant.checked_sub(every).unwrap_or(self.instant)).at
    }
}

/// Takes a line about the database with an index, or about all of them.
pub type WriteLine<'a> = dyn FnMut(Stamp, Option<usize>, RecordingEvent) -> io::Result<()> + 'a;

/// The databases of a recording.
#[derive(Debug, Default)]
pub struct RecordedDatabases(Vec<RecordedDatabase>);

#[derive(Debug)]
struct RecordedDatabase {
    path: String,
    history: Arc<Mutex<LockHistory>>,
    changes: DatabaseChanges,
}

impl RecordedDatabases {
    /// Those of `snapshot` from now on. Returns whether they are others than before.
    pub fn set(&mut self, snapshot: &Snapshot, histories: &[Arc<Mutex<LockHistory>>]) -> bool {
        let path = |database: &Database| database.path.to_string_lossy().into_owned();
        let is_known = self.0.len() == snapshot.databases.len()
            && self.0.iter().zip(&snapshot.databases).all(|(known, it)| known.path == path(it));
        if is_known {
            return false;
        }
        self.drop_events();
        let both = snapshot.databases.iter().zip(histories);
        let recorded = both.map(|(database, history)| {
            threads::lock(history).keep_events(EventReader::Recorder);
            let (path, history) = (path(database), Arc::clone(history));
            RecordedDatabase { path, history, changes: DatabaseChanges::default() }
        });
        self.0 = recorded.collect();
        true
    }

    pub fn paths(&self) -> Vec<String> {
        self.0.iter().map(|database| database.path.clone()).collect()
    }

    /// Takes the events of the histories, which are lost.
    pub fn take_events(&self) {
        for database in &self.0 {
            threads::lock(&database.history).take_events(EventReader::Recorder);
        }
    }

    /// Lets the histories keep no events any more.
    pub fn drop_events(&self) {
        for database in &self.0 {
            threads::lock(&database.history).drop_events(EventReader::Recorder);
        }
    }

    /// Gives `write` what has happened between the sample before, which was `every` ago, and `snapshot`. Returns whether
    /// there was anything.
    ///
    /// # Errors
    ///
    /// Those of `write`.
    pub fn write_changes(
        &mut self,
        snapshot: &Snapshot,
        now: RecorderTick,
        every: Duration,
        write: &mut WriteLine<'_>,
    ) -> io::Result<bool> {
        let mut has_changed = false;
        for index in 0..self.0.len() {
            has_changed |= self.write_history(index, now, every, write)?;
            let events = self.0[index].changes.note(&snapshot.databases[index], now.stamp.at);
            has_changed |= !events.is_empty();
            for event in events {
                write(now.stamp, Some(index), event)?;
            }
        }
        Ok(has_changed)
    }

    // A hold that began and ended since the sample before has one line. Returns whether there was anything.
    fn write_history(
        &self,
        index: usize,
        now: RecorderTick,
        every: Duration,
        write: &mut WriteLine<'_>,
    ) -> io::Result<bool> {
        let (events, dropped) = threads::lock(&self.0[index].history).take_events(EventReader::Recorder);
        let has_changed = !events.is_empty();
        let mut open: [Option<(Instant, Arc<LockOwner>)>; 3] = [None, None, None];
        for event in events {
            match event {
                HistoryEvent::Began { lock, at, who } => open[lock as usize] = Some((at, who)),
                HistoryEvent::Ended { lock, began, at, who } => {
                    open[lock as usize] = None;
                    let (who, began_at) = (who.as_ref().into(), now.stamp_of(began).at);
                    let held_ms = units::milliseconds(at.saturating_duration_since(began));
                    let event = RecordingEvent::HoldEnded { lock, who, began: began_at, held_ms };
                    write(now.stamp_of(at), Some(index), event)?;
                }
                HistoryEvent::Waited { at, length, who, got } => {
                    let began = now.stamp_of(at.checked_sub(length).unwrap_or(at)).at;
                    let (who, waited_ms) = (who.as_ref().into(), units::milliseconds(length));
                    let event = RecordingEvent::Waited { who, began, waited_ms, got };
                    write(now.stamp_of(at), Some(index), event)?;
                }
                HistoryEvent::Did { at, who, class } => {
                    let event = RecordingEvent::Activity { who: who.as_ref().into(), class };
                    write(now.stamp_of(at), Some(index), event)?;
                }
            }
        }
        for (lock, holder) in SampledLock::ALL.into_iter().zip(open) {
            if let Some((at, who)) = holder {
                let who = RecordedProcess::from(who.as_ref());
                write(now.stamp_of(at), Some(index), RecordingEvent::HoldBegun { lock, who })?;
            }
        }
        if dropped > 0 {
            let from = now.sample_before(every);
            let (to, reason) = (now.stamp.at, GapReason::TooManyEvents);
            write(now.stamp, Some(index), RecordingEvent::Gap { from, to, reason })?;
        }
        Ok(has_changed)
    }
}
