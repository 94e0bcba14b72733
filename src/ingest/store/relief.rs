//! Moving the log into the main file beside the writer, on a connection and a thread of its own.

use std::{
    mem,
    path::Path,
    thread::{self, JoinHandle},
};

use rusqlite::Connection;

use super::{Error, Store};
use crate::{
    database::{busy::is_busy, factory},
    profile::Profile,
};

/// Frames that may wait in the log before they are moved, between batches: `SQLite`'s own default.
const CHECKPOINT_AT: i64 = 1000;

/// Frames in the log from which the writer waits until all are moved, so that the log begins anew: what is moved
/// beside it never catches up.
const LONGEST_LOG: i64 = 4 * CHECKPOINT_AT;

/// Who moves the log. A passive checkpoint takes no write lock: the writer goes on.
#[derive(Debug)]
pub(super) struct Mover {
    state: State,
    profile: Profile,
}

#[derive(Debug, Default)]
enum State {
    /// Nothing was to be moved yet.
    #[default]
    None,
    /// Ready to move.
    Idle(Connection),
    /// At work.
    Moving(JoinHandle<(Connection, rusqlite::Result<()>)>),
}

impl Mover {
    /// One whose connection is set up as `profile` asks.
    pub(super) fn new(profile: Profile) -> Self {
        Self { state: State::None, profile }
    }

    /// Begins to move what is there now.
    fn start(&mut self, path: &Path) -> Result<(), Error> {
        let connection = match mem::take(&mut self.state) {
            State::None => factory::open(path, false, &self.profile)?,
            State::Idle(connection) => connection,
            moving @ State::Moving(_) => {
                self.state = moving;
                return Ok(());
            }
        };
        let moving = thread::spawn(move || {
            let moved = move_log(&connection);
            (connection, moved)
        });
        self.state = State::Moving(moving);
        Ok(())
    }

    /// Waits for the end of what it is at.
    fn wait(&mut self) -> rusqlite::Result<()> {
        match mem::take(&mut self.state) {
            State::Moving(moving) => {
                // A panic took the connection with it: the next one gets another.
                let Ok((connection, moved)) = moving.join() else { return Ok(()) };
                self.state = State::Idle(connection);
                moved
            }
            other => {
                self.state = other;
                Ok(())
            }
        }
    }

    fn is_moving(&self) -> bool {
        matches!(&self.state, State::Moving(moving) if !moving.is_finished())
    }
}

impl Drop for Mover {
    fn drop(&mut self) {
        // Its connection is closed before the writer's, which tidies up.
        let _ = self.wait();
    }
}

impl Store {
    /// Moves the log into the main file where enough of it waits. Nobody waits for this but now and then the run:
    /// it takes no write lock, and somebody else's checkpoint is as good as ours.
    ///
    /// # Errors
    ///
    /// Where the main file cannot be written.
    pub fn relieve(&mut self) -> Result<(), Error> {
        if self.mover.is_moving() && self.log_length()?.0 < LONGEST_LOG {
            return Ok(());
        }
        let ended = self.mover.wait();
        self.unless_busy(ended)?;
        self.expect_in_place()?;
        let (frames, waiting) = self.log_length()?;
        if waiting < CHECKPOINT_AT && frames < LONGEST_LOG || waiting == 0 {
            return Ok(());
        }
        if frames < LONGEST_LOG {
            return self.mover.start(&self.path);
        }
        let moved = move_log(&self.connection);
        self.unless_busy(moved)
    }

    /// Frames in the log, and those of them that wait to be moved.
    fn log_length(&self) -> Result<(i64, i64), Error> {
        let ask = || {
            let mut noop = self.connection.prepare_cached("PRAGMA wal_checkpoint(noop)")?;
            noop.query_row([], |row| Ok((row.get(1)?, row.get::<_, i64>(1)? - row.get::<_, i64>(2)?)))
        };
        match ask() {
            Err(error) if is_busy(&error) => Ok((0, 0)),
            other => other.map_err(|error| self.error("move the log into", error)),
        }
    }

    fn unless_busy(&self, moved: rusqlite::Result<()>) -> Result<(), Error> {
        match moved {
            Err(error) if !is_busy(&error) => Err(self.error("move the log into", error)),
            _ => Ok(()),
        }
    }
}

fn move_log(connection: &Connection) -> rusqlite::Result<()> {
    connection.prepare_cached("PRAGMA wal_checkpoint(passive)")?.query_row([], |_| Ok(()))
}
