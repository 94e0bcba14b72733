use std::time::Duration;

use serde::{Deserialize, Deserializer, de};

use super::scalar::{ByteSize, Count, OneOrMany, Scalar, Share, scalar};

/// When a figure becomes a finding: `(warning, error)` if there are two levels.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a table, written [thresholds]")]
pub struct Thresholds {
    /// How long a reader may pin the log.
    #[serde(deserialize_with = "duration_steps::<_, 10>")]
    pub pinned_wal: (Duration, Duration),
    /// How long a reader may keep an old state of the database, however few frames it pins; the second step is that of
    /// one that waits for something else meanwhile and blocks the log.
    #[serde(deserialize_with = "duration_steps::<_, 3>")]
    pub old_snapshot: (Duration, Duration),
    /// How long the write lock may be held, as a share of the profile's `busy_timeout`.
    #[serde(deserialize_with = "share_steps")]
    pub long_write_lock: (f64, f64),
    /// How much of the time the write lock may be held by many holds, as a share.
    #[serde(deserialize_with = "close_share_steps")]
    pub busy_lock: (f64, f64),
    /// How long a checkpoint without the write lock may take; the first step is info, and the second a warning.
    #[serde(deserialize_with = "duration_steps::<_, 6>")]
    pub long_checkpoint: (Duration, Duration),
    /// For how long a deep log that grows may go without a restart.
    #[serde(deserialize_with = "scalar")]
    pub wal_starved: Duration,
    /// From how many times the autocheckpoint limit of frames on a log is deep.
    #[serde(deserialize_with = "count")]
    pub deep_wal: u32,
    /// From how many threads on a process waits for a lock that it holds itself.
    #[serde(deserialize_with = "count")]
    pub contended_pool: u32,
    /// From how many commits per second on they are many.
    #[serde(deserialize_with = "count")]
    pub commit_storm: u32,
    /// Up to how many pages a commit is small.
    #[serde(deserialize_with = "count")]
    pub small_commit: u32,
    /// How long processes have waited for each other.
    #[serde(deserialize_with = "scalar")]
    pub lock_cycle: Duration,
    /// From which share of the last 10 s on tasks waited for a disk so often that it is slow.
    #[serde(deserialize_with = "share")]
    pub disk_pressure: f64,
    /// From which share of the time on a lock that no process held is free.
    #[serde(deserialize_with = "share")]
    pub free_lock: f64,
    /// For how long it must be sampled to say so.
    #[serde(deserialize_with = "scalar")]
    pub free_lock_window: Duration,
    /// How large the log may be, in bytes.
    #[serde(deserialize_with = "byte_size")]
    pub large_wal: u64,
    /// How long a batch of an ingestion may hold the write lock.
    #[serde(deserialize_with = "duration_steps::<_, 2>")]
    pub slow_batch: (Duration, Duration),
    /// How long an ingestion may go without a commit.
    #[serde(deserialize_with = "scalar")]
    pub stalled_ingestion: Duration,
    /// How many descriptors on the main file one process may have.
    #[serde(deserialize_with = "count")]
    pub many_handles: u32,
    /// From which share of its descriptors on a process has too few left.
    #[serde(deserialize_with = "share")]
    pub process_limit: f64,
    /// How many bytes have to be free in the temporary folder of a process.
    #[serde(deserialize_with = "byte_size")]
    pub temporary_room: u64,
    /// From how far apart in their starts on two runs of a command are separate, and how long the transaction of the earlier
    /// one has lasted if they overlap.
    #[serde(deserialize_with = "scalar")]
    pub separate_runs: Duration,
    /// From how many starts of one command by one parent in 30 s on it is a restart loop.
    #[serde(deserialize_with = "count")]
    pub restarts: u32,
    /// How many times the size of a database a copy page by page may have read.
    #[serde(deserialize_with = "count")]
    pub copy_rounds: u32,
    /// How long an orphan may be idle.
    #[serde(deserialize_with = "scalar")]
    pub idle: Duration,
    /// The shortest significant idle time, whatever the other thresholds say: as long as `waltop reap` watches by
    /// default. A daemon that polls every few seconds is not idle.
    #[serde(deserialize_with = "scalar")]
    pub least_idle: Duration,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            pinned_wal: (Duration::from_mins(1), Duration::from_mins(10)),
            old_snapshot: (Duration::from_mins(1), Duration::from_mins(3)),
            long_write_lock: (0.5, 1.0),
            busy_lock: (0.8, 0.95),
            long_checkpoint: (Duration::from_secs(5), Duration::from_secs(30)),
            wal_starved: Duration::from_secs(30),
            deep_wal: 4,
            contended_pool: 1,
            commit_storm: 50,
            small_commit: 2,
            lock_cycle: Duration::from_millis(200),
            disk_pressure: 0.1,
            free_lock: 0.95,
            free_lock_window: Duration::from_secs(10),
            large_wal: 64 << 20,
            slow_batch: (Duration::from_secs(1), Duration::from_secs(2)),
            stalled_ingestion: Duration::from_secs(30),
            many_handles: 8,
            process_limit: 0.95,
            temporary_room: 1 << 20,
            separate_runs: Duration::from_secs(1),
            restarts: 3,
            copy_rounds: 3,
            idle: Duration::from_mins(30),
            least_idle: Duration::from_secs(30),
        }
    }
}

fn duration_steps<'de, D: Deserializer<'de>, const FACTOR: u32>(
    deserializer: D,
) -> Result<(Duration, Duration), D::Error> {
    steps(deserializer, |warning| warning * FACTOR)
}

fn share_steps<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(f64, f64), D::Error> {
    let (warning, error) = steps(deserializer, |warning: Share| Share(warning.0 * 2.0))?;
    Ok((warning.0, error.0))
}

// Of shares of the time, which are at most 1: what is left above the error is a quarter of that above the warning.
fn close_share_steps<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(f64, f64), D::Error> {
    let (warning, error) = steps(deserializer, |warning: Share| Share(1.0 - (1.0 - warning.0) / 4.0))?;
    Ok((warning.0, error.0))
}

/// `[warning, error]`; or only the warning, with the error at the default ratio to it.
fn steps<'de, D: Deserializer<'de>, T: Scalar + Copy + PartialOrd>(
    deserializer: D,
    error_of: impl Fn(T) -> T,
) -> Result<(T, T), D::Error> {
    let (warning, error) = match OneOrMany::deserialize(deserializer)? {
        OneOrMany::One(warning) => return Ok((warning, error_of(warning))),
        OneOrMany::Many(list) => match *list {
            [warning, error] => (warning, error),
            _ => return Err(de::Error::custom("expected one value, or two: [warning, error]")),
        },
    };
    if warning > error {
        let what = "the warning is above the error; write [warning, error], the smaller one first";
        return Err(de::Error::custom(what));
    }
    Ok((warning, error))
}

fn share<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    scalar(deserializer).map(|Share(share)| share)
}

fn byte_size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    scalar(deserializer).map(|ByteSize(bytes)| bytes)
}

fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    scalar(deserializer).map(|Count(count)| count)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::settings_file::SettingsFile;

    fn of(text: &str) -> Result<Thresholds, String> {
        SettingsFile::new(Path::new("c.toml"), text).parse().map_err(|error| error.to_string())
    }

    #[test]
    fn one_value_keeps_the_distance_between_the_steps() {
        let it = of("pinned_wal = \"2m\"\nlong_write_lock = 0.2\nslow_batch = \"3s\"").expect("in order");
        assert_eq!(it.pinned_wal, (Duration::from_mins(2), Duration::from_mins(20)));
        assert_eq!(it.long_write_lock, (0.2, 0.4));
        assert_eq!(of("busy_lock = 0.6").expect("in order").busy_lock, (0.6, 0.9));
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
            ("\npined_wal = \"1m\"", "c.toml, line 2: unknown key `pined_wal`; did you mean `pinned_wal`?"),
            ("pinned_wal = [\"2m\", \"1m\"]", "c.toml, line 1: `pinned_wal`: the warning is above the error"),
            ("pinned_wal = [\"2m\"]", "c.toml, line 1: `pinned_wal`: expected one value, or two"),
            (
                "pinned_wal = [\n\"2m\",\n7]",
                "c.toml, line 3: `pinned_wal`: invalid value: integer `7`, expected a duration",
            ),
            (
                "long_write_lock = -1",
                "c.toml, line 1: `long_write_lock`: invalid value: integer `-1`, expected a number above 0",
            ),
            ("large_wal = [1, 2]", "c.toml, line 1: `large_wal`: invalid type: sequence, expected a size"),
            (
                "slow_batch = 5",
                "c.toml, line 1: `slow_batch`: invalid value: integer `5`, expected a duration",
            ),
            (
                "stalled_ingestion = \"0s\"",
                "c.toml, line 1: `stalled_ingestion`: invalid value: string \"0s\", expected a duration above zero",
            ),
            (
                "many_handles = 1.5",
                "c.toml, line 1: `many_handles`: invalid value: floating point `1.5`, expected a whole number",
            ),
            (
                "many_handles = 0",
                "c.toml, line 1: `many_handles`: invalid value: integer `0`, expected a whole number from 1",
            ),
            ("many_handles = 4294967296", "c.toml, line 1: `many_handles`: invalid value"),
            ("idle = true", "c.toml, line 1: `idle`: invalid value: boolean `true`, expected a duration"),
            (
                "least_idle = 5",
                "c.toml, line 1: `least_idle`: invalid value: integer `5`, expected a duration",
            ),
        ] {
            assert!(of(text).is_err_and(|it| it.starts_with(said)), "{said}");
        }
    }
}
