//! Waits for a lock of another process: with growing pauses, for a limited time, and not after a request to stop.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    ops::ControlFlow,
    thread,
    time::{Duration, Instant},
};

use rusqlite::ErrorCode;

/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// Whether SQLite gave up because of another process's lock: one that is held (`BUSY`), a recovery (`BUSY_RECOVERY`),
/// or a snapshot that is older than the last commit (`BUSY_SNAPSHOT`).
pub fn is_busy(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
}

/// An error that may only mean that another process has the lock.
pub trait MayBeBusy {
    fn is_busy(&self) -> bool;
}

impl MayBeBusy for rusqlite::Error {
    fn is_busy(&self) -> bool {
        is_busy(self)
    }
}

/// Why no attempt succeeded.
#[derive(Debug)]
pub enum RetryFailure<E = rusqlite::Error> {
    /// Another process had the lock each time, for this long.
    Busy(Duration),
    /// The caller asked to stop.
    Stopped,
    Other(E),
}

/// The result of `attempt`, with retries for `budget` while another process has the lock; and how often it was refused.
/// After each refusal `refused` decides whether to continue.
///
/// `attempt` is a whole transaction or the start of one, never a statement inside one: if that is refused, its snapshot
/// is older than another process's commit, and no retry of the statement alone can succeed.
///
/// Pauses grow, with jitter, so that waiting processes do not fall into step with each other or with the holder.
///
/// # Errors
///
/// The time is over, the caller asked to stop, or the attempt failed for another reason.
pub fn patiently<T, E: MayBeBusy>(
    budget: Duration,
    mut refused: impl FnMut() -> ControlFlow<()>,
    mut attempt: impl FnMut() -> Result<T, E>,
) -> Result<(T, u64), RetryFailure<E>> {
    let begun = Instant::now();
    let mut pause = Duration::from_millis(1);
    let mut retries = 0;
    loop {
        match attempt() {
            Ok(value) => return Ok((value, retries)),
            Err(error) if error.is_busy() => {}
            Err(error) => return Err(RetryFailure::Other(error)),
        }
        if refused().is_break() {
            return Err(RetryFailure::Stopped);
        }
        let waited = begun.elapsed();
        if waited >= budget {
            return Err(RetryFailure::Busy(waited));
        }
        retries += 1;
        thread::sleep(jittered(pause).min(budget.saturating_sub(waited)));
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Between 0.5 and 1.5 times `pause`: processes that were refused together do not retry together.
pub fn jittered(pause: Duration) -> Duration {
    // A hasher's keys are random, which is all that this needs.
    let random = RandomState::new().build_hasher().finish() % 1024;
    pause / 2 + pause * u32::try_from(random).unwrap_or_default() / 1024
}

#[cfg(test)]
mod tests {
    use rusqlite::ffi;

    use super::*;

    fn code(extended: i32) -> rusqlite::Error {
        rusqlite::Error::SqliteFailure(ffi::Error::new(extended), None)
    }

    #[test]
    fn every_kind_of_busy_is_tried_again_and_nothing_else() {
        for extended in [ffi::SQLITE_BUSY, ffi::SQLITE_BUSY_RECOVERY, ffi::SQLITE_BUSY_SNAPSHOT] {
            let mut left = 3;
            let tried = patiently(
                Duration::from_mins(1),
                || ControlFlow::Continue(()),
                || {
                    left -= 1;
                    if left > 0 { Err(code(extended)) } else { Ok(7) }
                },
            );
            assert_eq!(tried.ok(), Some((7, 2)), "{extended}");
        }
        for extended in [ffi::SQLITE_LOCKED, ffi::SQLITE_PROTOCOL, ffi::SQLITE_FULL] {
            let failed = patiently(
                Duration::from_mins(1),
                || ControlFlow::Continue(()),
                || Err::<(), _>(code(extended)),
            );
            assert!(matches!(failed, Err(RetryFailure::Other(_))), "{extended}");
        }
    }

    #[test]
    fn it_ends_with_the_budget_or_when_no_process_wants_it() {
        let busy = || Err::<(), _>(code(ffi::SQLITE_BUSY));
        let mut refusals = 0;
        let over = patiently(
            Duration::from_millis(5),
            || {
                refusals += 1;
                ControlFlow::Continue(())
            },
            busy,
        );
        assert!(matches!(over, Err(RetryFailure::Busy(waited)) if waited >= Duration::from_millis(5)));
        assert!(refusals >= 2, "{refusals}");
        let stopped = patiently(Duration::from_mins(1), || ControlFlow::Break(()), busy);
        assert!(matches!(stopped, Err(RetryFailure::Stopped)));
    }

    #[test]
    fn pauses_are_spread_around_what_was_meant() {
        let pause = Duration::from_millis(8);
        let pauses: Vec<Duration> = (0..200).map(|_| jittered(pause)).collect();
        assert!(pauses.iter().all(|it| (pause / 2..=pause * 3 / 2).contains(it)));
        assert!(pauses.iter().any(|it| *it < pause) && pauses.iter().any(|it| *it > pause));
    }
}
