//! Growth rates of the log's size and of the checkpointed frames.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use super::push_bounded;

/// The newest values of a growing figure.
#[derive(Debug, Default)]
pub struct GrowthRate {
    values: VecDeque<(Instant, u64)>,
}

impl GrowthRate {
    /// How many values are kept.
    pub const VALUES: usize = 8;

    /// Records its value at `at`.
    pub fn is(&mut self, at: Instant, value: u64) {
        push_bounded(&mut self.values, Self::VALUES, (at, value));
    }

    /// Starts over, because the figure now belongs to something else.
    pub fn reset(&mut self) {
        self.values.clear();
    }

    /// Growth per second; `None` until there are two values, and while one of them is below the previous one.
    #[expect(clippy::cast_precision_loss, reason = "a rate for people; 52 bits are plenty")]
    pub fn a_second(&self) -> Option<f64> {
        let (first, last) = (self.values.front()?, self.values.back()?);
        let seconds = last.0.saturating_duration_since(first.0).as_secs_f64();
        let grows = self.values.iter().zip(self.values.iter().skip(1)).all(|(a, b)| a.1 <= b.1);
        (grows && seconds > 0.0).then(|| (last.1 - first.1) as f64 / seconds)
    }

    /// Records its value at `at`, unless the previous value is younger than `pause`.
    pub fn is_at_most_every(&mut self, pause: Duration, at: Instant, value: u64) {
        if self.values.back().is_none_or(|last| at.saturating_duration_since(last.0) >= pause) {
            self.is(at, value);
        }
    }

    /// Growth per second, if the values span at least `span`: two samples a moment apart can enclose one large commit,
    /// which does not predict the next minute.
    pub fn a_second_over(&self, span: Duration) -> Option<f64> {
        let (first, last) = (self.values.front()?, self.values.back()?);
        self.a_second().filter(|_| last.0.saturating_duration_since(first.0) >= span)
    }
}

/// Checkpointed frames, across restarts of the log.
#[derive(Debug, Default)]
pub struct MovedFrames {
    log: Option<LogPosition>,
    total: u64,
    rate: GrowthRate,
}

#[derive(Debug, Clone, Copy)]
struct LogPosition {
    sequence: u32,
    frames: u32,
    backfilled: u32,
}

impl MovedFrames {
    /// Records that at `at` the log, after `sequence` restarts, has `frames` frames, and `backfilled` of them are
    /// checkpointed.
    ///
    /// A log restarts only when all of it is checkpointed, so the pending frames of the previous one count too. If it
    /// restarted more than once since the last sample, the frames in between are unknown.
    pub fn is(&mut self, at: Instant, sequence: u32, frames: u32, backfilled: u32) {
        let now = LogPosition { sequence, frames, backfilled };
        let moved = match self.log.replace(now) {
            Some(last) if last.sequence == sequence => backfilled.checked_sub(last.backfilled),
            Some(last) if last.sequence.wrapping_add(1) == sequence => {
                Some(last.frames.saturating_sub(last.backfilled).saturating_add(backfilled))
            }
            _ => None,
        };
        match moved {
            Some(moved) => self.total += u64::from(moved),
            None => self.rate.reset(),
        }
        self.rate.is(at, self.total);
    }

    /// Records that the log is unknown.
    pub fn is_unknown(&mut self) {
        *self = Self::default();
    }

    /// Frames checkpointed per second; `None` if unknown.
    pub fn a_second(&self) -> Option<f64> {
        self.rate.a_second()
    }
}

#[cfg(test)]
impl GrowthRate {
    /// Its heap bytes.
    pub(super) fn size(&self) -> usize {
        self.values.capacity() * size_of::<(Instant, u64)>()
    }
}

#[cfg(test)]
impl MovedFrames {
    /// Its heap bytes.
    pub(super) fn size(&self) -> usize {
        self.rate.size()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn frames_moved_are_counted_over_a_restart_but_not_over_two() {
        let (mut moved, start) = (MovedFrames::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        moved.is(at(0), 7, 100, 40);
        assert_eq!(moved.a_second(), None);
        moved.is(at(1), 7, 200, 60);
        assert_eq!(moved.a_second(), Some(20.0));
        moved.is(at(2), 8, 10, 10);
        assert_eq!(moved.a_second(), Some(85.0), "20, then the 140 that waited and 10 of the new log");
        moved.is(at(3), 10, 10, 10);
        assert_eq!(moved.a_second(), None);
        moved.is(at(4), 10, 20, 15);
        assert_eq!(moved.a_second(), Some(5.0));
        moved.is(at(5), 10, 20, 3);
        assert_eq!(moved.a_second(), None, "it ran backwards");
        moved.is_unknown();
        assert_eq!(moved.a_second(), None);
    }
}
