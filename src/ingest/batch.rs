//! How many files go into a transaction: pure, without a clock.

use std::{fmt, num::NonZeroUsize, str::FromStr, time::Duration};

/// How long a batch of `auto` should hold the write lock. A writer that waits for it polls: the shorter the
/// hold, the sooner its poll succeeds. An odd batch takes a little longer: hardly any takes more than 25 ms.
pub const AIM: Duration = Duration::from_millis(20);

/// The shortest gap between two batches beside others: their polls are up to 25 ms apart in the first 100 ms.
pub const SHORTEST_GAP: Duration = Duration::from_millis(20);

const LARGEST: usize = 512;
const FIRST: usize = 16;

/// What is taken for the time after the last document, for each second until then, before there was a batch.
const FIRST_ENDING: f64 = 0.5;

/// The most of it that is believed.
const MOST_ENDING: f64 = 3.0;

/// Batches that took less say nothing about it.
const SHORT: Duration = Duration::from_millis(2);

/// How a run sizes its batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Batch {
    /// By what the last ones cost: as many files as [`AIM`] allows.
    #[default]
    Auto,
    /// Just that many files.
    Files(NonZeroUsize),
}

impl FromStr for Batch {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if text == "auto" {
            return Ok(Self::Auto);
        }
        let files: usize = text.parse().map_err(|_| Error::NotANumber(text.to_owned()))?;
        NonZeroUsize::new(files).map(Self::Files).ok_or(Error::Zero)
    }
}

impl fmt::Display for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Files(files) => write!(f, "{files}"),
        }
    }
}

/// Why a text names no batch size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Nothing would ever be written.
    #[error("a batch has at least 1 file: give --batch auto or a number from 1")]
    Zero,
    /// Neither `auto` nor a number.
    #[error("`{0}` is no batch size: give --batch auto or a number from 1")]
    NotANumber(String),
}

/// What a batch may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// At most so many files.
    pub files: usize,
    /// No further file once so much time has passed under the lock, so that enough is left to commit; `None`:
    /// however long it takes.
    pub hold: Option<Duration>,
}

/// Decides the size of the next batch from the cost of the ones before.
#[derive(Debug, Clone)]
pub struct Sizer {
    batch: Batch,
    files: usize,
    per_file: Option<Duration>,
    /// What came after the last document, for each second until then.
    ending: f64,
}

impl Sizer {
    /// A sizer that has seen no batch yet.
    #[must_use]
    pub fn new(batch: Batch) -> Self {
        let files = match batch {
            Batch::Auto => FIRST,
            Batch::Files(files) => files.get(),
        };
        Self { batch, files, per_file: None, ending: FIRST_ENDING }
    }

    /// What the next batch may take.
    #[must_use]
    pub fn next(&self) -> Limit {
        let hold = match self.batch {
            Batch::Auto => Some(AIM.div_f64(1.0 + self.ending)),
            Batch::Files(_) => None,
        };
        Limit { files: self.files, hold }
    }

    /// A batch of `files` was committed after holding the lock for `hold`, of which `rows` until the last was in.
    ///
    /// The estimate of a file's cost follows half-way, so one odd batch neither stalls nor bloats the next; the
    /// size at most doubles, and shrinks at once. What an ending takes is believed at once, and forgotten slowly.
    pub fn committed(&mut self, files: usize, hold: Duration, rows: Duration) {
        if self.batch != Batch::Auto || files == 0 {
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
        let affordable = usize::try_from(AIM.as_nanos() / per_file.as_nanos()).unwrap_or(LARGEST);
        self.files = affordable.clamp(1, LARGEST).min(self.files.saturating_mul(2));
    }
}

/// How long to leave the lock alone after a batch that held it for `hold`.
#[must_use]
pub fn gap(hold: Duration, alone: bool) -> Duration {
    if alone { Duration::ZERO } else { hold.max(SHORTEST_GAP) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settle(sizer: &mut Sizer, per_file: Duration, batches: usize) -> usize {
        for _ in 0..batches {
            let files = sizer.next().files;
            let rows = per_file * u32::try_from(files).expect("small");
            sizer.committed(files, rows, rows);
        }
        sizer.next().files
    }

    #[test]
    fn sizes_are_read_and_written() {
        assert_eq!("auto".parse(), Ok(Batch::Auto));
        assert_eq!("10".parse::<Batch>().expect("a size").to_string(), "10");
        assert_eq!("0".parse::<Batch>(), Err(Error::Zero));
        assert_eq!("-1".parse::<Batch>(), Err(Error::NotANumber("-1".into())));
        assert_eq!("ten".parse::<Batch>(), Err(Error::NotANumber("ten".into())));
    }

    #[test]
    fn a_given_number_means_just_that() {
        let mut sizer = Sizer::new("50".parse().expect("a size"));
        assert_eq!(settle(&mut sizer, Duration::from_secs(1), 5), 50);
        assert_eq!(sizer.next().hold, None);
    }

    #[test]
    fn auto_settles_at_the_aim() {
        assert_eq!(settle(&mut Sizer::new(Batch::Auto), Duration::from_millis(1), 20), 20);
        assert_eq!(settle(&mut Sizer::new(Batch::Auto), Duration::from_micros(250), 20), 80);
    }

    #[test]
    fn auto_stays_within_its_bounds() {
        assert_eq!(settle(&mut Sizer::new(Batch::Auto), Duration::from_mins(1), 20), 1);
        assert_eq!(settle(&mut Sizer::new(Batch::Auto), Duration::ZERO, 20), LARGEST);
    }

    #[test]
    fn auto_shrinks_at_once_and_at_most_doubles() {
        let mut sizer = Sizer::new(Batch::Auto);
        let large = settle(&mut sizer, Duration::from_micros(50), 20);
        sizer.committed(large, Duration::from_secs(5), Duration::from_secs(5));
        assert!(sizer.next().files < large / 4, "{:?}", sizer.next());
        let small = sizer.next().files;
        sizer.committed(small, Duration::ZERO, Duration::ZERO);
        assert!(sizer.next().files <= 2 * small);
    }

    #[test]
    fn time_is_left_for_what_comes_after_the_last_document() {
        let mut sizer = Sizer::new(Batch::Auto);
        let ms = Duration::from_millis;
        sizer.committed(10, ms(20), ms(5));
        assert_eq!(sizer.next().hold, Some(AIM / 4));
        for _ in 0..50 {
            sizer.committed(10, ms(5), ms(5));
        }
        assert!(sizer.next().hold.is_some_and(|most| most > AIM * 9 / 10));
    }

    #[test]
    fn an_empty_batch_teaches_nothing() {
        let mut sizer = Sizer::new(Batch::Auto);
        sizer.committed(0, Duration::from_secs(1), Duration::ZERO);
        assert_eq!(sizer.next().files, FIRST);
    }

    #[test]
    fn the_gap_is_as_long_as_the_hold_and_only_beside_others() {
        assert_eq!(gap(Duration::from_millis(70), true), Duration::ZERO);
        assert_eq!(gap(Duration::from_millis(70), false), Duration::from_millis(70));
        assert_eq!(gap(Duration::from_millis(1), false), SHORTEST_GAP);
    }
}
