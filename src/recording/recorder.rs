//! Writes down what a monitor samples: called after each sample, by whatever thread takes them.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use jiff::Timestamp;
use serde::Serialize;

use super::{
    line::{FormatVersion, GapReason, RecordingEvent, RecordingHeader, SnapshotEvent, Stamp},
    retention::RetentionLimits,
    tick::{RecordedDatabases, RecorderTick},
    writer::{LastWritten, RecordingWriter, StartError},
};
use crate::{history::LockHistory, snapshot::Snapshot, units};

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
    databases: RecordedDatabases,
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

impl RecorderHost {
    /// The header of lines about `databases`.
    pub fn header(&self, host: &str, databases: Vec<String>) -> RecordingHeader {
        RecordingHeader {
            format: FormatVersion::CURRENT,
            waltop: env!("CARGO_PKG_VERSION").to_owned(),
            host: host.to_owned(),
            boot_id: self.boot_id.clone(),
            pid_namespace: self.pid_namespace,
            every_ms: u64::try_from(self.every.as_millis()).unwrap_or(u64::MAX),
            lock_interval_ms: None,
            databases,
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
            databases: RecordedDatabases::default(),
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
            self.databases.take_events();
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
        self.databases.drop_events();
        // Without that line its end is taken for a kill, which is no loss.
        if self.writer.write(at, true, None, RecordingEvent::Ended).is_ok() {
            let _ = self.writer.sync();
        }
    }

    // A change of the databases begins a new minute, with a header of its own.
    fn set_databases(&mut self, snapshot: &Snapshot, histories: &[Arc<Mutex<LockHistory>>]) {
        self.exact = snapshot.trace.is_some();
        if self.databases.set(snapshot, histories) && !self.writer.is_at_beginning() {
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
            let mut header = self.host.header(&snapshot.host, self.databases.paths());
            let interval = snapshot.sampling.and_then(|sampling| sampling.interval_ms);
            header.lock_interval_ms = interval.filter(|_| !self.exact);
            self.line(now.stamp, None, RecordingEvent::Header(header))?;
        }
        let has_gaps = self.write_gaps(snapshot, now)?;
        // A reader ends at a gap what went on before it, and begins with what a sample shows.
        let is_whole = is_first || has_gaps;
        if is_whole {
            self.write_snapshot(snapshot, now)?;
        }
        let (exact, writer) = (self.exact, &mut self.writer);
        let mut write = |stamp, db, event| writer.write(stamp, exact, db, event);
        let has_changed = self.databases.write_changes(snapshot, now, self.host.every, &mut write)?;
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
            let from = now.sample_before(self.host.every);
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

    fn line(&mut self, stamp: Stamp, db: Option<usize>, event: impl Serialize) -> io::Result<()> {
        self.writer.write(stamp, self.exact, db, event)
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.end(Stamp::now());
    }
}
