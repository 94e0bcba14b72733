//! The time that a command reads from a recording: `--since` and `--until`.

use anyhow::bail;
use jiff::{SignedDuration, Timestamp, Zoned};

use crate::{config::duration_of, recording::time_of};

/// A time of a recording.
#[derive(Debug, clap::Args)]
pub struct RecordedTimeArgs {
    /// From when: a duration before now as in 24h, or a time as in 03:12:07 or "2026-11-30 03:12:07".
    #[arg(long, value_name = "TIME", default_value = "24h")]
    since: String,
    /// Up to when, in the same forms.
    #[arg(long, value_name = "TIME", default_value = "now")]
    until: String,
}

impl RecordedTimeArgs {
    pub fn new(since: String, until: String) -> Self {
        Self { since, until }
    }

    /// The beginning and the end.
    pub fn span(&self, now: &Zoned) -> anyhow::Result<(Timestamp, Timestamp)> {
        let (from, to) = (moment(&self.since, now)?, moment(&self.until, now)?);
        if from >= to {
            bail!("--since {} is not before --until {}: give an earlier time", self.since, self.until);
        }
        Ok((from, to))
    }
}

fn moment(text: &str, now: &Zoned) -> anyhow::Result<Timestamp> {
    match duration_of(text) {
        Ok(ago) => Ok(now.timestamp().checked_sub(SignedDuration::try_from(ago)?)?),
        Err(_) => Ok(time_of(text, now)?),
    }
}
