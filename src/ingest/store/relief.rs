//! Checkpoints the log next to the writer, on a separate connection and thread.

use std::{
    fmt, mem,
    path::Path,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rusqlite::Connection;

use super::{DocumentStore, StoreError};
use crate::{
    config::profile::Profile,
    database::{
        busy::is_busy,
        factory,
        holder::{self, BlockingProcess},
    },
    file_format::FRAME_HEADER,
    threads, units,
};

/// Frames in the log that trigger a checkpoint between batches: SQLite's own default.
const CHECKPOINT_AT: i64 = 1000;

/// From this many frames the writer waits until all are checkpointed, so that the log restarts: a checkpoint next to a
/// writer never catches up.
const LONGEST_LOG: i64 = 4 * CHECKPOINT_AT;

/// From this many bytes in the log the run writes nothing more until the log can restart: with the largest batch it
/// stays within 64 MiB.
const FULL_LOG: u64 = 48 << 20;

/// Pause between two tries to restart a log that a reader pins.
const BETWEEN_TRIES: Duration = Duration::from_millis(50);

/// A log that has reached its maximum size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinnedLog {
    /// Its size in bytes.
    pub bytes: u64,
    /// The process that still reads from it, if the kernel names it.
    pub reader: Option<BlockingProcess>,
}

impl fmt::Display for PinnedLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = units::bytes(self.bytes);
        match &self.reader {
            Some(reader) => write!(f, "{reader} reads from the log, which has grown to {bytes}"),
            None => write!(f, "something keeps the log, which has grown to {bytes}, from restarting"),
        }
    }
}

/// Checkpoints the log. A passive checkpoint takes no write lock, so the writer continues.
#[derive(Debug)]
pub(super) struct LogMover {
    state: MoverState,
    profile: Profile,
}

#[derive(Debug, Default)]
enum MoverState {
    /// No checkpoint has run yet.
    #[default]
    None,
    Idle(Connection),
    Moving(JoinHandle<(Connection, rusqlite::Result<()>)>),
}

impl LogMover {
    /// A mover whose connection uses the settings of `profile`.
    pub(super) fn new(profile: Profile) -> Self {
        Self { state: MoverState::None, profile }
    }

    /// Starts to checkpoint the current frames.
    fn start(&mut self, path: &Path) -> Result<(), StoreError> {
        let connection = match mem::take(&mut self.state) {
            MoverState::None => factory::open(path, false, &self.profile)?,
            MoverState::Idle(connection) => connection,
            moving @ MoverState::Moving(_) => {
                self.state = moving;
                return Ok(());
            }
        };
        let moving = threads::start("checkpoint", move || {
            let moved = move_log(&connection);
            (connection, moved)
        });
        // If no thread is available, the run itself checkpoints a log that has reached its maximum size.
        if let Ok(moving) = moving {
            self.state = MoverState::Moving(moving);
        }
        Ok(())
    }

    /// Waits until the current checkpoint ends.
    fn wait(&mut self) -> rusqlite::Result<()> {
        match mem::take(&mut self.state) {
            MoverState::Moving(moving) => {
                // The connection was lost in a panic: the next checkpoint opens another one.
                let Ok((connection, moved)) = moving.join() else { return Ok(()) };
                self.state = MoverState::Idle(connection);
                moved
            }
            other => {
                self.state = other;
                Ok(())
            }
        }
    }

    fn is_moving(&self) -> bool {
        matches!(&self.state, MoverState::Moving(moving) if !moving.is_finished())
    }
}

impl Drop for LogMover {
    fn drop(&mut self) {
        // Its connection is closed before the writer's, whose close removes the sidecars.
        let _ = self.wait();
    }
}

impl DocumentStore {
    /// Checkpoints the log if it has enough frames. Only the run itself sometimes waits for this: it takes no write
    /// lock, and a checkpoint of another process serves as well. If readers keep a log of maximum size from restarting,
    /// it calls `say` and waits for them.
    ///
    /// # Errors
    ///
    /// The main file cannot be written, readers take longer than the budget, or the run has to stop.
    pub fn checkpoint_log(&mut self, say: &mut dyn FnMut(&PinnedLog)) -> Result<(), StoreError> {
        if self.mover.is_moving() && self.log_length()?.0 < LONGEST_LOG {
            return Ok(());
        }
        let ended = self.mover.wait();
        self.unless_busy(ended)?;
        self.expect_in_place()?;
        let (frames, waiting) = self.log_length()?;
        if waiting < CHECKPOINT_AT && frames < LONGEST_LOG {
            return Ok(());
        }
        if waiting == 0 {
            return self.wait_for_readers(say);
        }
        if frames < LONGEST_LOG {
            return self.mover.start(&self.path);
        }
        let moved = move_log(&self.connection);
        self.unless_busy(moved)?;
        self.wait_for_readers(say)
    }

    /// Waits until a log of maximum size can restart.
    fn wait_for_readers(&self, say: &mut dyn FnMut(&PinnedLog)) -> Result<(), StoreError> {
        let asked = Instant::now();
        let mut is_told = false;
        loop {
            let bytes = self.log_length()?.0.unsigned_abs() * (self.page_size()? + FRAME_HEADER as u64);
            if bytes < FULL_LOG || self.restarts_log()? {
                return Ok(());
            }
            // Not the configurable `/proc`: this is about a connection of this very process. Read only for the report,
            // because the lock table may be long.
            let pinned = || PinnedLog { bytes, reader: holder::reader(&self.path, Path::new("/proc")) };
            if self.patience.stop.is_raised() {
                return Err(StoreError::Stopped);
            }
            if asked.elapsed() >= self.patience.budget {
                let seconds = (self.patience.budget.as_secs_f64() * 10.0).round() / 10.0;
                return Err(StoreError::Pinned {
                    path: self.path.display().to_string(),
                    pinned: pinned(),
                    seconds,
                });
            }
            if !is_told {
                say(&pinned());
                is_told = true;
            }
            thread::sleep(BETWEEN_TRIES);
            self.expect_in_place()?;
        }
    }

    /// Whether the next transaction restarts the log; tries without waiting.
    fn restarts_log(&self) -> Result<bool, StoreError> {
        let restarted = self.connection.prepare_cached("PRAGMA wal_checkpoint(restart)");
        let busy = restarted.and_then(|mut restart| restart.query_row([], |row| row.get::<_, bool>(0)));
        match busy {
            Err(error) if is_busy(&error) => Ok(false),
            other => other.map(|busy| !busy).map_err(|error| self.error("move the log into", error)),
        }
    }

    fn page_size(&self) -> Result<u64, StoreError> {
        let size = self.connection.pragma_query_value(None, "page_size", |row| row.get::<_, i64>(0));
        size.map(i64::unsigned_abs).map_err(|error| self.error("read", error))
    }

    /// Frames in the log, and how many of them are not checkpointed yet.
    fn log_length(&self) -> Result<(i64, i64), StoreError> {
        let ask = || {
            let mut noop = self.connection.prepare_cached("PRAGMA wal_checkpoint(noop)")?;
            noop.query_row([], |row| Ok((row.get(1)?, row.get::<_, i64>(1)? - row.get::<_, i64>(2)?)))
        };
        match ask() {
            Err(error) if is_busy(&error) => Ok((0, 0)),
            other => other.map_err(|error| self.error("move the log into", error)),
        }
    }

    fn unless_busy(&self, moved: rusqlite::Result<()>) -> Result<(), StoreError> {
        match moved {
            Err(error) if !is_busy(&error) => Err(self.error("move the log into", error)),
            _ => Ok(()),
        }
    }
}

fn move_log(connection: &Connection) -> rusqlite::Result<()> {
    connection.prepare_cached("PRAGMA wal_checkpoint(passive)")?.query_row([], |_| Ok(()))
}
