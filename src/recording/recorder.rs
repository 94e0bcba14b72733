//! Writes down what a monitor samples: called after each sample, by whatever thread takes them.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use serde::Serialize;

use super::{
    changes::DatabaseChanges,
    line::{
        FormatVersion, GapReason, RecordedProcess, RecordingEvent, RecordingHeader, SnapshotEvent, Stamp,
    },
    retention::RetentionLimits,
    writer::{LastWritten, RecordingWriter, StartError},
};
use crate::{
    clock,
    history::{EventReader, HistoryEvent, LockHistory, LockOwner, SampledLock},
    snapshot::{Database, Snapshot},
    threads, units,
};

/// The longest time between two samples. With a longer one the time between them would not count as watched.
pub const LONGEST_INTERVAL: Duration = Duration::from_secs(5);
/// While nothing happens, a snapshot is written this often: a longer time without a line was not watched.
const QUIET: Duration = Duration::from_secs(5);
/// A sample that comes this much later than it should leaves a gap.
const LATE: Duration = Duration::from_secs(3);

/// What a recorder needs to know of its machine.
#[derive(Debug, Clone, Default)]
pub struct RecorderHost {
    pub boot_id: String,
    /// Inode of the PID namespace.
    pub pid_namespace: Option<u64>,
    /// Time between two samples.
    pub every: Duration,
}

/// A recorder, between two samples.
#[derive(Debug)]
pub struct Recorder {
    writer: RecordingWriter,
    host: RecorderHost,
    /// The longest interval that was set since the sample before.
    longest_interval: Duration,
    databases: Vec<RecordedDatabase>,
    /// Whether the kernel's trace shows each request.
    exact: bool,
    last_tick: Option<RecorderTick>,
    has_ended: bool,
    last_snapshot_ms: f64,
    /// What was not watched or not written since, if nothing could be written yet.
    gap: Option<(Timestamp, GapReason)>,
    /// Requests that the trace has lost.
    lost: u64,
    trouble: Option<String>,
}

/// Where a recorder writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecorderState {
    pub folder: PathBuf,
    /// Why nothing can be written now; `None` if all is written.
    pub trouble: Option<String>,
}

#[derive(Debug)]
struct RecordedDatabase {
    path: String,
    history: Arc<Mutex<LockHistory>>,
    changes: DatabaseChanges,
}

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
    fn now() -> Self {
        Self { at: Timestamp::now(), boot_ms: units::milliseconds(clock::since_boot()) }
    }
}

impl RecorderTick {
    fn now() -> Self {
        Self { stamp: Stamp::now(), instant: Instant::now(), slept: clock::slept().unwrap_or_default() }
    }

    /// The wall clock and the time since boot at `at`, as this tick has them.
    fn stamp_of(&self, at: Instant) -> Stamp {
        let ago = self.instant.saturating_duration_since(at);
        Stamp {
            at: self.stamp.at.checked_sub(ago).unwrap_or(self.stamp.at),
            boot_ms: self.stamp.boot_ms - units::milliseconds(ago),
        }
    }
}

impl Recorder {
    /// Begins to record into `folder`, which is created if it is missing.
    ///
    /// # Errors
    ///
    /// Another process records into it, or it cannot be written.
    pub fn start(folder: &Path, limits: RetentionLimits, host: RecorderHost) -> Result<Self, StartError> {
        let (writer, last) = RecordingWriter::start(folder, limits)?;
        let reason =
            |last: LastWritten| if last.has_ended { GapReason::NotRunning } else { GapReason::Killed };
        let gap = last.map(|last| (last.at, reason(last)));
        Ok(Self {
            writer,
            longest_interval: host.every,
            host,
            databases: Vec::new(),
            exact: false,
            last_tick: None,
            has_ended: false,
            last_snapshot_ms: 0.0,
            gap,
            lost: 0,
            trouble: None,
        })
    }

    /// Samples come this often from now on.
    pub fn set_interval(&mut self, every: Duration) {
        self.longest_interval = self.longest_interval.max(self.host.every).max(every);
        self.host.every = every;
    }

    /// Sets other limits.
    pub fn set_limits(&mut self, limits: RetentionLimits) {
        self.writer.set_limits(limits);
    }

    /// Where it writes, and whether it can.
    pub fn state(&self) -> RecorderState {
        RecorderState { folder: self.writer.folder().to_owned(), trouble: self.trouble.clone() }
    }

    /// Writes down `snapshot`, and what the histories of its databases have got since the sample before. What cannot be
    /// written becomes a gap.
    pub fn tick(&mut self, snapshot: &Snapshot, histories: &[Arc<Mutex<LockHistory>>]) {
        self.tick_at(RecorderTick::now(), snapshot, histories);
    }

    /// The same of a sample that was taken at `now`.
    pub fn tick_at(&mut self, now: RecorderTick, snapshot: &Snapshot, histories: &[Arc<Mutex<LockHistory>>]) {
        self.set_databases(snapshot, histories);
        self.note_lateness(now);
        let before = self.last_tick.replace(now).unwrap_or(now);
        let written = self.write(snapshot, now);
        self.trouble = written.as_ref().err().map(ToString::to_string);
        if written.is_err() {
            self.gap.get_or_insert((before.stamp.at, GapReason::DiskFull));
            for database in &self.databases {
                threads::lock(&database.history).take_events(EventReader::Recorder);
            }
        }
    }

    /// Ends it at `at`.
    pub fn end_at(mut self, at: Stamp) {
        self.end(at);
    }

    // Writes the last line: the next recorder then knows that this one ended by itself.
    fn end(&mut self, at: Stamp) {
        if std::mem::replace(&mut self.has_ended, true) {
            return;
        }
        for database in &self.databases {
            threads::lock(&database.history).drop_events(EventReader::Recorder);
        }
        // Without that line its end is taken for a kill, which is no loss.
        if self.writer.write(at, true, None, RecordingEvent::Ended).is_ok() {
            let _ = self.writer.sync();
        }
    }

    // A change of the databases begins a new minute, with a header of its own.
    fn set_databases(&mut self, snapshot: &Snapshot, histories: &[Arc<Mutex<LockHistory>>]) {
        let path = |database: &Database| database.path.to_string_lossy().into_owned();
        let is_known = self.databases.len() == snapshot.databases.len()
            && self.databases.iter().zip(&snapshot.databases).all(|(known, it)| known.path == path(it));
        self.exact = snapshot.trace.is_some();
        if is_known {
            return;
        }
        for database in &self.databases {
            threads::lock(&database.history).drop_events(EventReader::Recorder);
        }
        self.databases = snapshot
            .databases
            .iter()
            .zip(histories)
            .map(|(database, history)| {
                threads::lock(history).keep_events(EventReader::Recorder);
                RecordedDatabase {
                    path: path(database),
                    history: Arc::clone(history),
                    changes: DatabaseChanges::default(),
                }
            })
            .collect();
        if !self.writer.is_at_beginning() {
            // If it fails, the next tick tries again; the lines name their databases by the header before them.
            self.trouble = self.writer.close_minute(snapshot.taken_at).err().map(|it| it.to_string());
        }
    }

    fn note_lateness(&mut self, now: RecorderTick) {
        let Some(last) = self.last_tick else { return };
        let passed = Duration::from_secs_f64((now.stamp.boot_ms - last.stamp.boot_ms).max(0.0) / 1e3);
        let every = std::mem::replace(&mut self.longest_interval, self.host.every);
        if passed > every.max(self.host.every) + LATE {
            let slept = now.slept.saturating_sub(last.slept);
            let reason = if slept > LATE { GapReason::Suspended } else { GapReason::NotScheduled };
            self.gap.get_or_insert((last.stamp.at, reason));
        }
    }

    fn write(&mut self, snapshot: &Snapshot, now: RecorderTick) -> io::Result<()> {
        if !self.writer.has_room()? {
            self.writer.make_room(now.stamp.at)?;
            if !self.writer.has_room()? {
                return Err(io::ErrorKind::StorageFull.into());
            }
        }
        let is_first = self.writer.is_at_beginning();
        if is_first {
            self.line(now.stamp, None, RecordingEvent::Header(self.header(snapshot)))?;
        }
        let has_gaps = self.write_gaps(snapshot, now)?;
        // A reader ends at a gap what went on before it, and begins with what a sample shows.
        let is_whole = is_first || has_gaps;
        if is_whole {
            self.write_snapshot(snapshot, now)?;
        }
        let mut has_changed = false;
        for index in 0..self.databases.len() {
            has_changed |= self.write_history(index, now)?;
            let events = self.databases[index].changes.note(&snapshot.databases[index], now.stamp.at);
            has_changed |= !events.is_empty();
            for event in events {
                self.line(now.stamp, Some(index), event)?;
            }
        }
        let is_due = now.stamp.boot_ms - self.last_snapshot_ms >= units::milliseconds(QUIET);
        if !is_whole && (has_changed || is_due) {
            self.write_snapshot(snapshot, now)?;
        }
        self.writer.end_of_tick(now.stamp)
    }

    // Returns whether there were any.
    fn write_gaps(&mut self, snapshot: &Snapshot, now: RecorderTick) -> io::Result<bool> {
        let mut has_gaps = self.gap.is_some();
        if let Some((from, reason)) = self.gap {
            self.line(now.stamp, None, RecordingEvent::Gap { from, to: now.stamp.at, reason })?;
            self.gap = None;
        }
        let lost = snapshot.trace.map_or(0, |trace| trace.overruns + trace.gaps + trace.unparsed);
        if lost > self.lost {
            let from = self.sample_before(now);
            let reason = GapReason::TraceOverrun;
            self.line(now.stamp, None, RecordingEvent::Gap { from, to: now.stamp.at, reason })?;
            has_gaps = true;
        }
        self.lost = lost;
        Ok(has_gaps)
    }

    fn write_snapshot(&mut self, snapshot: &Snapshot, now: RecorderTick) -> io::Result<()> {
        self.line(now.stamp, None, SnapshotEvent { snapshot })?;
        self.last_snapshot_ms = now.stamp.boot_ms;
        Ok(())
    }

    // A hold that began and ended since the sample before has one line. Returns whether there was anything.
    fn write_history(&mut self, index: usize, now: RecorderTick) -> io::Result<bool> {
        let (events, dropped) =
            threads::lock(&self.databases[index].history).take_events(EventReader::Recorder);
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
                    self.line(now.stamp_of(at), Some(index), event)?;
                }
                HistoryEvent::Waited { at, length, who, got } => {
                    let began = now.stamp_of(at.checked_sub(length).unwrap_or(at)).at;
                    let (who, waited_ms) = (who.as_ref().into(), units::milliseconds(length));
                    let event = RecordingEvent::Waited { who, began, waited_ms, got };
                    self.line(now.stamp_of(at), Some(index), event)?;
                }
                HistoryEvent::Did { at, who, class } => {
                    let event = RecordingEvent::Activity { who: who.as_ref().into(), class };
                    self.line(now.stamp_of(at), Some(index), event)?;
                }
            }
        }
        for (lock, holder) in SampledLock::ALL.into_iter().zip(open) {
            if let Some((at, who)) = holder {
                let who = RecordedProcess::from(who.as_ref());
                self.line(now.stamp_of(at), Some(index), RecordingEvent::HoldBegun { lock, who })?;
            }
        }
        if dropped > 0 {
            let from = self.sample_before(now);
            let (to, reason) = (now.stamp.at, GapReason::TooManyEvents);
            self.line(now.stamp, Some(index), RecordingEvent::Gap { from, to, reason })?;
        }
        Ok(has_changed)
    }

    fn line(&mut self, stamp: Stamp, db: Option<usize>, event: impl Serialize) -> io::Result<()> {
        self.writer.write(stamp, self.exact, db, event)
    }

    // About when the sample before was taken.
    fn sample_before(&self, now: RecorderTick) -> Timestamp {
        now.stamp_of(now.instant.checked_sub(self.host.every).unwrap_or(now.instant)).at
    }

    fn header(&self, snapshot: &Snapshot) -> RecordingHeader {
        let interval = snapshot.sampling.and_then(|sampling| sampling.interval_ms);
        RecordingHeader {
            format: FormatVersion::CURRENT,
            waltop: env!("CARGO_PKG_VERSION").to_owned(),
            host: snapshot.host.clone(),
            boot_id: self.host.boot_id.clone(),
            pid_namespace: self.host.pid_namespace,
            every_ms: u64::try_from(self.host.every.as_millis()).unwrap_or(u64::MAX),
            lock_interval_ms: interval.filter(|_| !self.exact),
            databases: self.databases.iter().map(|database| database.path.clone()).collect(),
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.end(Stamp::now());
    }
}
