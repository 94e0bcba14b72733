//! How many files go into a transaction, and how long the run leaves the lock to others after it: pure, without a
//! clock.

use std::{fmt, num::NonZeroUsize, str::FromStr, time::Duration};

use crate::snapshot::LockSharing;

/// Default for the longest hold of the write lock by a batch of `auto`; a few batches exceed it. A writer that waits
/// for the lock polls: the shorter the hold, the sooner its poll succeeds.
pub const HOLD: Duration = Duration::from_millis(25);

/// Target, as a share of it: some batches take a little longer than the ones before.
const AIM: f64 = 0.75;

/// The shortest gap between two batches while other processes use the database: their polls are up to 25 ms apart in
/// the first 100 ms.
pub const SHORTEST_GAP: Duration = Duration::from_millis(20);

const LARGEST: usize = 512;
const FIRST: usize = 16;

/// Assumed time after the last document, per second spent before it, until a batch was measured.
const FIRST_ENDING: f64 = 0.5;

/// Upper bound for a measured value.
const MOST_ENDING: f64 = 3.0;

/// Shorter batches are not used as a measurement.
const SHORT: Duration = Duration::from_millis(2);

/// How a run sizes its batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BatchSetting {
    /// By the cost of the last batches: as many files as fit into the time that a batch may hold the lock.
    #[default]
    Auto,
    Files(NonZeroUsize),
}

impl FromStr for BatchSetting {
    type Err = BatchSizeError;

    fn from_str(text: &str) -> Result<Self, BatchSizeError> {
        if text == "auto" {
            return Ok(Self::Auto);
        }
        let files: usize = text.parse().map_err(|_| BatchSizeError::NotANumber(text.to_owned()))?;
        NonZeroUsize::new(files).map(Self::Files).ok_or(BatchSizeError::Zero)
    }
}

impl fmt::Display for BatchSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Files(files) => write!(f, "{files}"),
        }
    }
}

/// Why a text is not a batch size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BatchSizeError {
    /// A batch of 0 files would never write anything.
    #[error("a batch has at least 1 file: give --batch auto or a number from 1")]
    Zero,
    /// Neither `auto` nor a number.
    #[error("`{0}` is no batch size: give --batch auto or a number from 1")]
    NotANumber(String),
}

/// Limits of one batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchLimit {
    pub files: usize,
    /// No further file after this much time under the lock, so that enough is left for the commit; `None`: no limit.
    pub hold: Option<Duration>,
}

/// Decides the size of the next batch from the cost of the ones before.
#[derive(Debug, Clone)]
pub struct BatchSizer {
    batch: BatchSetting,
    aim: Duration,
    files: usize,
    per_file: Option<Duration>,
    /// Time after the last document, per second spent before it.
    ending: f64,
}

impl BatchSizer {
    /// A sizer without measurements. Its batches hold the lock for at most `hold`; a few take longer.
    pub fn new(batch: BatchSetting, hold: Duration) -> Self {
        let files = match batch {
            BatchSetting::Auto => FIRST,
            BatchSetting::Files(files) => files.get(),
        };
        Self { batch, aim: hold.mul_f64(AIM), files, per_file: None, ending: FIRST_ENDING }
    }

    /// How long a transaction should hold the lock.
    pub fn aim(&self) -> Duration {
        self.aim
    }

    /// Limits of the next batch.
    pub fn next(&self) -> BatchLimit {
        let hold = match self.batch {
            BatchSetting::Auto => Some(self.aim.div_f64(1.0 + self.ending)),
            BatchSetting::Files(_) => None,
        };
        BatchLimit { files: self.files, hold }
    }

    /// Records a batch of `files` that held the lock for `hold`, of which `rows` passed until the last document was in.
    ///
    /// The estimate of a file's cost moves half-way to the new value, so one unusual batch neither stalls nor inflates
    /// the next one. The batch size at most doubles, and shrinks at once. A longer ending counts at once and decays
    /// slowly.
    pub fn committed(&mut self, files: usize, hold: Duration, rows: Duration) {
        if self.batch != BatchSetting::Auto || files == 0 {
            return;
        }
        if rows >= SHORT {
            let ending = hold.saturating_sub(rows).div_duration_f64(rows);
            self.ending = ending.max((self.ending * 3.0 + ending) / 4.0).min(MOST_ENDING);
        }
        let files_u32 = u32::try_from(files).unwrap_or(u32::MAX);
        let cost = hold / files_u32;
        let per_file = self.per_file.map_or(cost, |before| (before + cost) / 2).max(Duration::from_nanos(1));
        self.per_file = Some(per_file);
        let affordable = usize::try_from(self.aim.as_nanos() / per_file.as_nanos()).unwrap_or(LARGEST);
        self.files = affordable.clamp(1, LARGEST).min(self.files.saturating_mul(2));
    }
}

/// How long to leave the lock to others after a batch that held it for `hold`.
pub fn gap(hold: Duration, sharing: LockSharing) -> Duration {
    if sharing == LockSharing::Alone { Duration::ZERO } else { hold.max(SHORTEST_GAP) }
}

/// Who shares the lock after a transaction that was refused it `retries` times. If `is_open_elsewhere` is `None`, that
/// is unknown, and another process may have the database open.
pub fn sharing(retries: u64, is_open_elsewhere: Option<bool>) -> LockSharing {
    match (retries, is_open_elsewhere) {
        (1.., _) => LockSharing::Waited,
        (0, Some(true)) => LockSharing::OpenElsewhere,
        (0, Some(false)) => LockSharing::Alone,
        (0, None) => LockSharing::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn settle(sizer: &mut BatchSizer, per_file: Duration, batches: usize) -> usize {
        for _ in 0..batches {
            let files = sizer.next().files;
            let rows = per_file * u32::try_from(files).expect("small");
            sizer.committed(files, rows, rows);
        }
        sizer.next().files
    }

    #[test]
    fn sizes_are_read_and_written() {
        assert_eq!("auto".parse(), Ok(BatchSetting::Auto));
        assert_eq!("10".parse::<BatchSetting>().expect("a size").to_string(), "10");
        assert_eq!("0".parse::<BatchSetting>(), Err(BatchSizeError::Zero));
        assert_eq!("-1".parse::<BatchSetting>(), Err(BatchSizeError::NotANumber("-1".into())));
        assert_eq!("ten".parse::<BatchSetting>(), Err(BatchSizeError::NotANumber("ten".into())));
    }

    #[test]
    fn a_given_number_means_just_that() {
        let mut sizer = BatchSizer::new("50".parse().expect("a size"), HOLD);
        assert_eq!(settle(&mut sizer, Duration::from_secs(1), 5), 50);
        assert_eq!(sizer.next().hold, None);
    }

    #[test]
    fn auto_settles_at_the_aim() {
        for per_file in [Duration::from_millis(1), Duration::from_micros(250)] {
            let sizer = &mut BatchSizer::new(BatchSetting::Auto, HOLD);
            let affordable = sizer.aim().as_nanos() / per_file.as_nanos();
            assert_eq!(settle(sizer, per_file, 20) as u128, affordable, "{per_file:?}");
        }
        let aim = BatchSizer::new(BatchSetting::Auto, HOLD).aim();
        assert!(aim < HOLD && aim > HOLD / 2, "{aim:?}");
    }

    #[test]
    fn auto_stays_within_its_bounds() {
        assert_eq!(settle(&mut BatchSizer::new(BatchSetting::Auto, HOLD), Duration::from_mins(1), 20), 1);
        assert_eq!(settle(&mut BatchSizer::new(BatchSetting::Auto, HOLD), Duration::ZERO, 20), LARGEST);
    }

    #[test]
    fn auto_shrinks_at_once_and_at_most_doubles() {
        let mut sizer = BatchSizer::new(BatchSetting::Auto, HOLD);
        let large = settle(&mut sizer, Duration::from_micros(50), 20);
        sizer.committed(large, Duration::from_secs(5), Duration::from_secs(5));
        assert!(sizer.next().files < large / 4, "{:?}", sizer.next());
        let small = sizer.next().files;
        sizer.committed(small, Duration::ZERO, Duration::ZERO);
        assert!(sizer.next().files <= 2 * small);
    }

    #[test]
    fn time_is_left_for_what_comes_after_the_last_document() {
        let mut sizer = BatchSizer::new(BatchSetting::Auto, HOLD);
        let ms = Duration::from_millis;
        sizer.committed(10, ms(20), ms(5));
        assert_eq!(sizer.next().hold, Some(sizer.aim() / 4));
        for _ in 0..50 {
            sizer.committed(10, ms(5), ms(5));
        }
        assert!(sizer.next().hold.is_some_and(|most| most > sizer.aim() * 9 / 10));
    }

    #[test]
    fn an_empty_batch_teaches_nothing() {
        let mut sizer = BatchSizer::new(BatchSetting::Auto, HOLD);
        sizer.committed(0, Duration::from_secs(1), Duration::ZERO);
        assert_eq!(sizer.next().files, FIRST);
    }

    #[test]
    fn the_gap_is_as_long_as_the_hold_and_only_beside_others() {
        assert_eq!(gap(Duration::from_millis(70), LockSharing::Alone), Duration::ZERO);
        assert_eq!(gap(Duration::from_millis(70), LockSharing::Waited), Duration::from_millis(70));
        assert_eq!(gap(Duration::from_millis(1), LockSharing::OpenElsewhere), SHORTEST_GAP);
    }

    #[test]
    fn who_waited_or_cannot_see_does_not_take_himself_to_be_alone() {
        assert_eq!(sharing(0, Some(false)), LockSharing::Alone);
        assert_eq!(sharing(0, Some(true)), LockSharing::OpenElsewhere);
        assert_eq!(sharing(0, None), LockSharing::Unknown);
        assert_eq!(sharing(1, Some(false)), LockSharing::Waited);
    }

    /// Possible costs of batches: files, and µs until the last one was in and from there to the end.
    fn costs() -> impl Strategy<Value = Vec<(usize, u64, u64)>> {
        prop::collection::vec((0..2000_usize, 0..10_000_000_u64, 0..10_000_000_u64), 0..60)
    }

    fn after(costs: &[(usize, u64, u64)], hold: Duration) -> BatchSizer {
        let mut sizer = BatchSizer::new(BatchSetting::Auto, hold);
        for &(files, rows, rest) in costs {
            let rows = Duration::from_micros(rows);
            sizer.committed(files, rows + Duration::from_micros(rest), rows);
        }
        sizer
    }

    proptest! {
        #[test]
        fn whatever_it_saw_it_never_starves_nor_bloats(costs in costs(), hold_ms in 1..1000_u64) {
            let hold = Duration::from_millis(hold_ms);
            let sizer = after(&costs, hold);
            let next = sizer.next();
            prop_assert!((1..=LARGEST).contains(&next.files));
            let most = next.hold.expect("auto is bound in time");
            prop_assert!(most >= sizer.aim().div_f64(1.0 + MOST_ENDING) && most <= hold);
        }

        #[test]
        fn a_size_at_most_doubles(costs in costs(), files in 1..600_usize, rows in 0..1_000_000_u64) {
            let mut sizer = after(&costs, HOLD);
            let before = sizer.next().files;
            sizer.committed(files, Duration::from_micros(rows), Duration::from_micros(rows));
            prop_assert!(sizer.next().files <= 2 * before);
        }

        #[test]
        fn whatever_came_before_it_converges(costs in costs(), micros in 20..200_000_u64, share in 0.0..2.0_f64) {
            // The time after the last document is a share of the time before it.
            let mut sizer = after(&costs, HOLD);
            for _ in 0..60 {
                let BatchLimit { files, hold } = sizer.next();
                let per_file = Duration::from_micros(micros);
                // Like a transaction: no further file after the time is over.
                let fit = (0..files).take_while(|&so_far| {
                    let so_far = u32::try_from(so_far).expect("small");
                    so_far == 0 || hold.is_none_or(|most| per_file * so_far < most)
                });
                let files = fit.count();
                let rows = per_file * u32::try_from(files).expect("small");
                sizer.committed(files, rows.mul_f64(1.0 + share), rows);
            }
            let cost = Duration::from_micros(micros).mul_f64(1.0 + share);
            let ideal = sizer.aim().div_duration_f64(cost).clamp(1.0, 512.0);
            #[expect(clippy::cast_precision_loss, reason = "small")]
            let reached = sizer.next().files as f64;
            prop_assert!(reached >= (ideal * 0.5).floor().max(1.0) && reached <= ideal * 2.0, "{reached} of {ideal}");
        }

        #[test]
        fn beside_others_half_of_the_time_is_theirs(hold in 0..20_000_000_u64, retries in 0..5_u64) {
            let hold = Duration::from_micros(hold);
            for seen in [Some(true), None] {
                let gap = gap(hold, sharing(retries, seen));
                prop_assert!(gap >= hold && gap >= SHORTEST_GAP && gap <= hold.max(SHORTEST_GAP));
            }
        }
    }
}
