//! The sentences of `waltop report`.

use std::fmt;

use jiff::{Timestamp, tz::TimeZone};

use super::{
    summary::{
        DatabaseSummary, FindingSummary, LogSummary, PastGap, ProcessSummary, RecordingSummary, WaitSummary,
    },
    who::PastHold,
};
use crate::units;

/// The date and time of day in the local zone.
pub fn local_time(at: Timestamp) -> String {
    at.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

impl fmt::Display for RecordingSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let watched = units::duration(self.watched_ms());
        writeln!(f, "From {} to {}; watched for {watched}", local_time(self.from), local_time(self.to))?;
        for database in &self.databases {
            database.write(f, self.watched_ms())?;
        }
        if !self.gaps.is_empty() {
            writeln!(f, "\nNot watched")?;
        }
        self.gaps.iter().try_for_each(|gap| writeln!(f, "  {gap}"))
    }
}

impl DatabaseSummary {
    fn write(&self, f: &mut fmt::Formatter<'_>, watched_ms: f64) -> fmt::Result {
        writeln!(f, "\n{}", self.path)?;
        let share = if watched_ms > 0.0 { 100.0 * self.held_ms / watched_ms } else { 0.0 };
        let (times, time) = (units::plural(self.holds, "time"), units::duration(self.held_ms));
        writeln!(f, "  write lock: held {times}, {time} in all, {share:.1} % of the time")?;
        section(f, "by process", &self.by_process)?;
        section(f, "longest holds", &self.longest)?;
        section(f, "waits", &self.waits)?;
        if self.checkpoints > 0 {
            let longest = units::duration(self.longest_checkpoint_ms);
            writeln!(f, "  {}, the longest {longest}", units::plural(self.checkpoints, "checkpoint"))?;
        }
        writeln!(f, "  {}", self.log)?;
        section(f, "findings", &self.findings)?;
        let ingestion = &self.ingestion;
        if ingestion.batches > 0 {
            let batches = units::plural(ingestion.batches, "batch");
            let files = units::plural(ingestion.files, "file");
            let longest = units::duration(ingestion.longest_hold_ms);
            writeln!(f, "  ingestion: {batches} with {files}, the longest hold {longest}")?;
        }
        Ok(())
    }
}

fn section<T: fmt::Display>(f: &mut fmt::Formatter<'_>, title: &str, rows: &[T]) -> fmt::Result {
    if !rows.is_empty() {
        writeln!(f, "  {title}")?;
    }
    rows.iter().try_for_each(|row| writeln!(f, "    {row}"))
}

impl fmt::Display for ProcessSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (holds, held) = (units::plural(self.holds, "hold"), units::duration(self.held_ms));
        let longest = units::duration(self.longest_ms);
        write!(f, "{}: {holds}, {held} in all, the longest {longest}", self.name)?;
        if self.processes > 1 {
            write!(f, ", by {} processes", units::count(self.processes))?;
        }
        Ok(())
    }
}

impl fmt::Display for WaitSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (waits, waited) = (units::plural(self.waits, "wait"), units::duration(self.waited_ms));
        let longest = units::duration(self.longest_ms);
        write!(f, "{} for {}", self.victim, self.holder.as_deref().unwrap_or("an unknown holder"))?;
        write!(f, ": {waits}, {waited} in all, the longest {longest}")?;
        if self.gave_up > 0 {
            write!(f, "; {} without the lock", units::count(self.gave_up))?;
        }
        Ok(())
    }
}

impl fmt::Display for LogSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Some(first), Some(last), Some(largest), Some(at)) =
            (self.first_bytes, self.last_bytes, self.largest_bytes, self.largest_at)
        else {
            return f.write_str("log: unknown");
        };
        let (first, last, largest) = (units::bytes(first), units::bytes(last), units::bytes(largest));
        write!(f, "log: {first} at first, {last} at last, at most {largest} at {}", local_time(at))
    }
}

impl fmt::Display for FindingSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = units::duration(self.total_ms);
        let times = units::plural(self.times, "time");
        write!(f, "{} {}: {times}, {total} in all: {}", self.severity, self.kind, self.message)
    }
}

impl fmt::Display for PastGap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}: {}", local_time(self.from), local_time(self.to), self.reason)
    }
}

impl PastHold {
    /// Its process and length, for a table.
    pub fn row(&self) -> [String; 3] {
        [local_time(self.began), self.process.to_string(), units::duration(self.held_ms)]
    }
}
