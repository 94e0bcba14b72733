//! When a figure becomes a finding.

use std::time::Duration;

use crate::document::{Error, Item, Table, value};

/// When a figure becomes a finding: `(warning, error)` where there are two steps.
#[derive(Debug, Clone, Copy)]
pub struct Thresholds {
    /// How long a reader may pin the log.
    pub pinned_wal: (Duration, Duration),
    /// How long the write lock may be held, as a share of the profile's `busy_timeout`.
    pub long_write_lock: (f64, f64),
    /// How large the log may be, in bytes.
    pub large_wal: u64,
    /// How long a batch of an ingestion may hold the write lock.
    pub slow_batch: (Duration, Duration),
    /// How long an ingestion may go without a commit.
    pub stalled_ingestion: Duration,
    /// How many descriptors on the main file one process may have.
    pub many_handles: u32,
    /// How long an orphan may be idle.
    pub idle: Duration,
    /// The shortest idleness that means anything, whatever the others say: as long as `waltop reap` watches by default.
    /// A daemon that looks round every few seconds is at work.
    pub least_idle: Duration,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            pinned_wal: (Duration::from_mins(1), Duration::from_mins(10)),
            long_write_lock: (0.5, 1.0),
            large_wal: 64 << 20,
            slow_batch: (Duration::from_secs(1), Duration::from_secs(2)),
            stalled_ingestion: Duration::from_secs(30),
            many_handles: 8,
            idle: Duration::from_mins(30),
            least_idle: Duration::from_secs(5),
        }
    }
}

impl Thresholds {
    /// The thresholds of `[thresholds]`, and the defaults for what does not stand there.
    pub(super) fn read(table: &Table<'_>) -> Result<Self, Error> {
        let mut it = Self::default();
        table.only(&[
            "pinned_wal",
            "long_write_lock",
            "large_wal",
            "slow_batch",
            "stalled_ingestion",
            "many_handles",
            "idle",
            "least_idle",
        ])?;
        for (key, item) in table.items() {
            match key {
                "pinned_wal" => it.pinned_wal = steps(&item, value::duration, |warning| warning * 10)?,
                "long_write_lock" => {
                    it.long_write_lock = steps(&item, value::share, |warning| warning * 2.0)?;
                }
                "large_wal" => it.large_wal = value::bytes(&item)?,
                "slow_batch" => it.slow_batch = steps(&item, value::duration, |warning| warning * 2)?,
                "stalled_ingestion" => it.stalled_ingestion = value::duration(&item)?,
                "many_handles" => it.many_handles = value::count(&item)?,
                "idle" => it.idle = value::duration(&item)?,
                _ => it.least_idle = value::duration(&item)?,
            }
        }
        Ok(it)
    }
}

/// `[warning, error]`; or one value, the warning, with the error as far above it as it is by default.
fn steps<T: Copy + PartialOrd>(
    item: &Item<'_>,
    read: impl Fn(&Item<'_>) -> Result<T, Error>,
    error: impl Fn(T) -> T,
) -> Result<(T, T), Error> {
    let Some(list) = item.is_list() else {
        let warning = read(item)?;
        return Ok((warning, error(warning)));
    };
    let [warning, error] = list.as_slice() else {
        return Err(item.wrong("takes one value, or two: [warning, error]"));
    };
    let (warning, error) = (read(warning)?, read(error)?);
    if warning > error {
        return Err(
            item.wrong("has its warning above its error; write [warning, error], the smaller one first")
        );
    }
    Ok((warning, error))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::document::Document;

    fn of(text: &str) -> Result<Thresholds, String> {
        Document::new(Path::new("c.toml"), text).with(Thresholds::read).map_err(|error| error.to_string())
    }

    #[test]
    fn one_value_keeps_the_distance_between_the_steps() {
        let it = of("pinned_wal = \"2m\"\nlong_write_lock = 0.2\nslow_batch = \"3s\"").expect("in order");
        assert_eq!(it.pinned_wal, (Duration::from_mins(2), Duration::from_mins(20)));
        assert_eq!(it.long_write_lock, (0.2, 0.4));
        assert_eq!(it.slow_batch, (Duration::from_secs(3), Duration::from_secs(6)));
        assert_eq!((it.large_wal, it.many_handles), (64 << 20, 8), "the rest is as it was");
    }

    #[test]
    fn two_values_are_the_two_steps() {
        let it = of("pinned_wal = [\"1s\", \"1s\"]\nlong_write_lock = [1, 2.5]").expect("in order");
        assert_eq!(it.pinned_wal, (Duration::from_secs(1), Duration::from_secs(1)));
        assert_eq!(it.long_write_lock, (1.0, 2.5));
    }

    #[test]
    fn every_mistake_names_its_line_and_key() {
        for (text, said) in [
            ("\npined_wal = \"1m\"", "c.toml, line 2: there is no key pined_wal; the nearest is pinned_wal"),
            ("pinned_wal = [\"2m\", \"1m\"]", "c.toml, line 1: pinned_wal has its warning above its error"),
            ("pinned_wal = [\"2m\"]", "c.toml, line 1: pinned_wal takes one value, or two"),
            ("pinned_wal = [\n\"2m\",\n7]", "c.toml, line 3: pinned_wal takes a duration"),
            ("long_write_lock = -1", "c.toml, line 1: long_write_lock takes a number above 0"),
            ("large_wal = [1, 2]", "c.toml, line 1: large_wal takes a size"),
            ("slow_batch = 5", "c.toml, line 1: slow_batch takes a duration"),
            (
                "stalled_ingestion = \"0s\"",
                "c.toml, line 1: stalled_ingestion takes a duration above nothing",
            ),
            ("many_handles = 1.5", "c.toml, line 1: many_handles takes a whole number"),
            ("idle = true", "c.toml, line 1: idle takes a duration"),
            ("least_idle = 5", "c.toml, line 1: least_idle takes a duration"),
        ] {
            assert!(of(text).is_err_and(|it| it.starts_with(said)), "{said}");
        }
    }
}
