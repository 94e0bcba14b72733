//! The cost of sampling locks: the CPU time that the kernel accounts to the thread and to the process.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use rustix::time::ClockId;

use crate::{clock, snapshot::SamplingFacts};

/// The minimum period of a figure: shorter periods would give noise.
const PERIOD: Duration = Duration::from_millis(900);
/// The same until there is a first figure.
const FIRST: Duration = Duration::from_millis(100);

/// The CPU time is read after every so many samples: that is a twentieth of the cost of one.
const READ_EVERY: u64 = 8;

/// The counters that a sampling thread publishes.
#[derive(Debug, Default)]
pub struct SamplingTally {
    samples: AtomicU64,
    cpu_nanoseconds: AtomicU64,
}

impl SamplingTally {
    /// Counts one sample by the calling thread.
    pub fn sampled(&self) {
        let before = self.samples.fetch_add(1, Ordering::Relaxed);
        if before.is_multiple_of(READ_EVERY) {
            self.cpu_nanoseconds.store(nanoseconds(ClockId::ThreadCPUTime), Ordering::Relaxed);
        }
    }

    fn read(&self, at: Instant) -> TallyReading {
        TallyReading {
            at,
            samples: self.samples.load(Ordering::Relaxed),
            thread: self.cpu_nanoseconds.load(Ordering::Relaxed),
            process: nanoseconds(ClockId::ProcessCPUTime),
        }
    }
}

/// Computes figures from a [`SamplingTally`] at two times.
#[derive(Debug)]
pub struct CostMeter {
    since: TallyReading,
    latest: Option<SamplingFacts>,
}

#[derive(Debug, Clone, Copy)]
struct TallyReading {
    at: Instant,
    samples: u64,
    thread: u64,
    process: u64,
}

impl CostMeter {
    /// A meter whose first period starts with `tally` at `now`.
    pub fn start(tally: &SamplingTally, now: Instant) -> Self {
        Self { since: tally.read(now), latest: None }
    }

    /// The figures at `now`.
    pub fn read(&mut self, tally: &SamplingTally, now: Instant) -> SamplingFacts {
        self.figures(tally.read(now))
    }

    fn figures(&mut self, now: TallyReading) -> SamplingFacts {
        let elapsed = now.at.saturating_duration_since(self.since.at);
        if elapsed < if self.latest.is_some() { PERIOD } else { FIRST } {
            let nothing =
                SamplingFacts { samples: 0, interval_ms: None, cpu_percent: None, process_cpu_percent: None };
            return SamplingFacts { samples: now.samples, ..self.latest.unwrap_or(nothing) };
        }
        let samples = now.samples.saturating_sub(self.since.samples);
        let percent = |now: u64, before: u64| {
            let used = Duration::from_nanos(now.saturating_sub(before));
            Some(used.as_secs_f64() / elapsed.as_secs_f64() * 100.0)
        };
        let figures = SamplingFacts {
            samples: now.samples,
            #[expect(clippy::cast_precision_loss, reason = "samples of about a second")]
            interval_ms: (samples > 0).then(|| elapsed.as_secs_f64() * 1000.0 / samples as f64),
            cpu_percent: percent(now.thread, self.since.thread),
            process_cpu_percent: percent(now.process, self.since.process),
        };
        self.since = now;
        self.latest = Some(figures);
        figures
    }
}

fn nanoseconds(clock: ClockId) -> u64 {
    u64::try_from(clock::read(clock).as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use rustix::time::clock_gettime;

    use super::*;

    fn reading(start: Instant, ms: u64, samples: u64, thread_ms: u64, process_ms: u64) -> TallyReading {
        let at = start + Duration::from_millis(ms);
        TallyReading { at, samples, thread: thread_ms * 1_000_000, process: process_ms * 1_000_000 }
    }

    #[test]
    fn figures_are_of_the_last_period_and_unknown_before_it() {
        let start = Instant::now();
        let mut meter = CostMeter { since: reading(start, 0, 0, 0, 500), latest: None };
        let early = meter.figures(reading(start, 5, 4, 0, 500));
        assert_eq!((early.samples, early.interval_ms, early.cpu_percent), (4, None, None));
        let first = meter.figures(reading(start, 1000, 500, 20, 550));
        assert_eq!((first.samples, first.interval_ms), (500, Some(2.0)));
        assert_eq!((first.cpu_percent, first.process_cpu_percent), (Some(2.0), Some(5.0)));
        let soon = meter.figures(reading(start, 1100, 600, 90, 900));
        assert_eq!(soon, SamplingFacts { samples: 600, ..first });
        let later = meter.figures(reading(start, 2000, 550, 30, 560));
        assert_eq!((later.interval_ms, later.cpu_percent), (Some(20.0), Some(1.0)));
    }

    #[test]
    fn a_thread_accounts_for_its_own_time() {
        let tally = SamplingTally::default();
        let before = tally.read(Instant::now());
        let began = nanoseconds(ClockId::ThreadCPUTime);
        while nanoseconds(ClockId::ThreadCPUTime) < began + 1_000_000 {}
        tally.sampled();
        let after = tally.read(Instant::now());
        assert_eq!(after.samples, 1);
        assert!(after.thread >= 1_000_000 && after.process > before.process);
    }

    #[test]
    fn a_clock_is_read_in_nanoseconds() {
        let clock = ClockId::Monotonic;
        let whole = |seconds: i64| u64::try_from(seconds).expect("it does not run backwards") * 1_000_000_000;
        let before = clock_gettime(clock);
        let read = nanoseconds(clock);
        let after = clock_gettime(clock);
        assert!(read >= whole(before.tv_sec) + before.tv_nsec.unsigned_abs(), "{before:?} {read}");
        assert!(read <= whole(after.tv_sec) + after.tv_nsec.unsigned_abs(), "{after:?} {read}");
    }
}
