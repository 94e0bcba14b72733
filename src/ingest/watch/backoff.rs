//! When to retry after a failure. Pure: the caller passes the times.

use std::time::{Duration, Instant};

/// The wait after the first failure.
const FIRST: Duration = Duration::from_secs(1);

/// The longest wait, after any number of failures.
const LONGEST: Duration = Duration::from_mins(1);

/// Waits that double with each consecutive failure.
#[derive(Debug, Default)]
pub struct RetryBackoff {
    pause: Option<Duration>,
    until: Option<Instant>,
}

impl RetryBackoff {
    pub fn failed(&mut self, now: Instant) {
        let pause = self.pause.map_or(FIRST, |pause| (pause * 2).min(LONGEST));
        self.pause = Some(pause);
        self.until = Some(now + pause);
    }

    /// Records a success: there is nothing to wait for.
    pub fn went_well(&mut self) {
        *self = Self::default();
    }

    /// When to retry; `None` if nothing failed.
    pub fn until(&self) -> Option<Instant> {
        self.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_minute_and_restart_when_it_went_well() {
        let (mut backoff, now) = (RetryBackoff::default(), Instant::now());
        assert_eq!(backoff.until(), None);
        let mut waits = Vec::new();
        for _ in 0..9 {
            backoff.failed(now);
            waits.push((backoff.until().expect("it failed") - now).as_secs());
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        backoff.went_well();
        assert_eq!(backoff.until(), None);
        backoff.failed(now);
        assert_eq!(backoff.until(), Some(now + FIRST));
    }
}
