//! Replays: a recording, played into the console. A named thread reads the recording and publishes samples as a sampler
//! does; the newest wins. Findings are shown as they were recorded and are not judged again.

mod cursor;
mod frame;
mod line_past;
mod past;
mod player;
mod recorded_findings;
mod recorded_past;

use std::{sync::Arc, time::Duration};

use crossbeam_channel::{Receiver, Sender};
use jiff::Timestamp;
use tokio::sync::{mpsc, watch};

use crate::{
    history::{TimeWindow, Timeline},
    recording::{Recording, RecordingError},
    sampler::Sample,
    threads,
};

use cursor::RecordingCursor;
pub use line_past::{LinePast, MissedTime, RecordedTime, RecordedTimeReader};
use player::Player;
pub use recorded_findings::{RecordedFinding, recorded_findings};
pub use recorded_past::RecordedPast;

/// A command to a running player.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ReplayCommand {
    /// To the next sample, or to the one before.
    Step {
        is_later: bool,
    },
    /// To the beginning of the next finding that is no information, or of the one before.
    Finding {
        is_later: bool,
    },
    GoTo(Timestamp),
    /// Plays from here on, or stops that.
    Play,
    /// Doubles or halves the speed.
    Speed {
        is_faster: bool,
    },
    /// Sends the part `window` of the past of the database with this index.
    Timeline {
        index: usize,
        window: TimeWindow,
    },
}

/// A part of the past that was asked for.
#[derive(Debug, Clone)]
pub struct ReplayedTimeline {
    /// The database.
    pub index: usize,
    /// As it was asked for.
    pub window: TimeWindow,
    /// `None` if the recording does not have the database.
    pub timeline: Option<Arc<Timeline>>,
}

/// A running player. It ends when this is dropped.
#[derive(Debug)]
pub struct Replay {
    commands: Option<Sender<ReplayCommand>>,
    // Closes with the thread.
    done: Receiver<()>,
}

/// What a player sends.
#[derive(Debug)]
pub struct ReplayOutput {
    /// The newest sample.
    pub samples: watch::Receiver<Option<Arc<Sample>>>,
    pub timelines: mpsc::UnboundedReceiver<ReplayedTimeline>,
}

/// Why a replay cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    #[error(transparent)]
    Recording(#[from] RecordingError),
    #[error("cannot start a thread: {0}")]
    Thread(#[from] std::io::Error),
}

/// How long an end waits for the player.
const PATIENCE: Duration = Duration::from_millis(500);

impl Replay {
    /// The speeds of a replay, in recorded seconds in a second.
    pub const SPEEDS: std::ops::RangeInclusive<f64> = 0.25..=256.0;

    /// Shows `recording` at `at`, or at its newest moment.
    ///
    /// # Errors
    ///
    /// It cannot be read, or the operating system refuses a thread.
    pub fn start(
        recording: Recording,
        at: Option<Timestamp>,
        speed: f64,
    ) -> Result<(Self, ReplayOutput), ReplayError> {
        Self::start_by(recording, at, speed, Timestamp::now)
    }

    // The same by another clock.
    fn start_by(
        recording: Recording,
        at: Option<Timestamp>,
        speed: f64,
        now: fn() -> Timestamp,
    ) -> Result<(Self, ReplayOutput), ReplayError> {
        let (commands, inbox) = crossbeam_channel::unbounded();
        let (publish, samples) = watch::channel(None);
        let (outbox, timelines) = mpsc::unbounded_channel();
        let cursor = RecordingCursor::new(recording, at)?;
        let player = Player::new(cursor, speed, now, publish, outbox);
        let done = threads::start_watched("waltop-player", move || player.run(&inbox))?;
        Ok((Self { commands: Some(commands), done }, ReplayOutput { samples, timelines }))
    }

    /// Sends a command to the player. One that has ended ignores it.
    pub fn order(&self, command: ReplayCommand) {
        if let Some(commands) = &self.commands {
            let _ = commands.send(command);
        }
    }
}

impl Drop for Replay {
    fn drop(&mut self) {
        self.commands = None;
        let _ = self.done.recv_timeout(PATIENCE);
    }
}

#[cfg(test)]
mod tests;
