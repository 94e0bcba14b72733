//! Waiting for the write lock: politely, not for ever, and not once the run is to end.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    path::Path,
    thread,
    time::{Duration, Instant},
};

use super::{super::stop::StopFlag, Error};
use crate::database::{busy::is_busy, holder::write_lock_holder, migrations};

/// The longest pause between two tries to get the write lock.
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// How long to try for a lock.
#[derive(Debug, Clone)]
pub struct Patience {
    /// Until then.
    pub budget: Duration,
    /// Or until this is raised.
    pub stop: StopFlag,
}

/// An error that may only mean that somebody else has the lock.
pub(super) trait MayBeBusy {
    fn is_busy(&self) -> bool;
}

impl MayBeBusy for rusqlite::Error {
    fn is_busy(&self) -> bool {
        is_busy(self)
    }
}

impl MayBeBusy for migrations::Error {
    fn is_busy(&self) -> bool {
        matches!(self, Self::Busy { .. })
    }
}

/// Why an attempt was given up.
pub(super) enum Failure<E = rusqlite::Error> {
    Busy(Duration),
    Stopped,
    Other(E),
}

impl<E> Failure<E> {
    /// The error of the store; `other` says what any other failure is.
    pub(super) fn or(self, path: &Path, other: impl FnOnce(E) -> Error) -> Error {
        match self {
            Self::Busy(waited) => Error::Busy {
                path: path.display().to_string(),
                seconds: (waited.as_secs_f64() * 10.0).round() / 10.0,
                // Not the one that can be set: this is about a lock that this very process was refused.
                holder: write_lock_holder(path, Path::new("/proc")),
            },
            Self::Stopped => Error::Stopped,
            Self::Other(error) => other(error),
        }
    }
}

impl Failure {
    pub(super) fn told(self, path: &Path, doing: &'static str) -> Error {
        self.or(path, |source| Error::of(doing, path, source))
    }
}

/// What `attempt` gives, tried again while somebody has the lock; with how often it was refused.
///
/// Pauses grow, with jitter: of several who wait, none is in step with another or with the holder.
pub(super) fn patiently<T, E: MayBeBusy>(
    patience: &Patience,
    mut attempt: impl FnMut() -> Result<T, E>,
) -> Result<(T, u64), Failure<E>> {
    let begun = Instant::now();
    let mut pause = Duration::from_millis(1);
    let mut retries = 0;
    loop {
        match attempt() {
            Ok(value) => return Ok((value, retries)),
            Err(error) if error.is_busy() => {}
            Err(error) => return Err(Failure::Other(error)),
        }
        let waited = begun.elapsed();
        if patience.stop.is_raised() {
            return Err(Failure::Stopped);
        }
        if waited >= patience.budget {
            return Err(Failure::Busy(patience.budget));
        }
        retries += 1;
        thread::sleep(jittered(pause).min(patience.budget.saturating_sub(waited)));
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Between half of `pause` and one and a half of it.
fn jittered(pause: Duration) -> Duration {
    // A hasher's keys are random, which is all that is asked of them here.
    let random = RandomState::new().build_hasher().finish() % 1024;
    pause / 2 + pause * u32::try_from(random).unwrap_or_default() / 1024
}
