//! The sentences of `waltop who`.

use std::fmt;

use jiff::{Timestamp, tz::TimeZone};

use super::{
    line::{GapReason, RecordedProcess},
    summary_text::local_time,
    who::{PastHold, PastWait, UnwatchedTime, WhoDatabase, WhoReport},
};
use crate::{history::SampledLock, units};

/// A time of day in the local zone, with milliseconds.
pub fn clock_time(at: Timestamp) -> String {
    at.to_zoned(TimeZone::system()).strftime("%H:%M:%S%.3f").to_string()
}

impl fmt::Display for RecordedProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.pid, self.name.as_str()) {
            (None, "") => f.write_str("a process that is not visible"),
            (None, name) => f.write_str(name),
            (Some(pid), "") => write!(f, "PID {pid}"),
            (Some(pid), name) => write!(f, "PID {pid} ({name})"),
        }
    }
}

impl fmt::Display for WhoReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, database) in self.databases.iter().enumerate() {
            if number > 0 {
                writeln!(f)?;
            }
            let at = self.at.to_zoned(TimeZone::system());
            writeln!(f, "{} at {}", database.path, at.strftime("%Y-%m-%d %H:%M:%S %Z"))?;
            match &database.unwatched {
                Some(time) => writeln!(f, "  {time}")?,
                None => database.write_answer(f, self.around_ms)?,
            }
        }
        Ok(())
    }
}

impl WhoDatabase {
    fn write_answer(&self, f: &mut fmt::Formatter<'_>, around_ms: f64) -> fmt::Result {
        for hold in &self.holds {
            writeln!(f, "  {hold}")?;
        }
        if !self.holds.iter().any(|hold| hold.lock == SampledLock::Write) {
            self.write_free(f, around_ms)?;
        }
        for wait in &self.waits {
            writeln!(f, "  {wait}")?;
        }
        for wait in self.refused.iter().filter(|wait| !self.waits.contains(wait)) {
            writeln!(f, "  {wait}")?;
        }
        for pin in &self.pins {
            let length = units::duration(pin.pinned_ms);
            writeln!(f, "  {} had kept frames in the log for at least {length}", pin.process)?;
        }
        for reader in &self.readers {
            writeln!(f, "  {reader} was reading; with a rollback journal a commit waits until it has ended")?;
        }
        for finding in &self.findings {
            writeln!(f, "  {} {}: {}", finding.severity, finding.kind, finding.message)?;
        }
        if let Some(bytes) = self.wal_bytes {
            let pending = self.pending_frames.map_or_else(String::new, |frames| {
                format!(", {} not checkpointed", units::plural(frames.into(), "frame"))
            });
            writeln!(f, "  the log had {}{pending}", units::bytes(bytes))?;
        }
        Ok(())
    }

    fn write_free(&self, f: &mut fmt::Formatter<'_>, around_ms: f64) -> fmt::Result {
        writeln!(f, "  no process was seen to hold the write lock at that moment")?;
        match &self.hold_before {
            Some(hold) => writeln!(f, "  the last one before: {hold}")?,
            None => writeln!(f, "  none held it in the {} before", units::duration(around_ms))?,
        }
        if let Some(hold) = &self.hold_after {
            writeln!(f, "  the first one after: {hold}")?;
        }
        let longest = self.longest_hold.as_ref();
        let is_new = |hold: &&PastHold| {
            Some(*hold) != self.hold_before.as_ref() && Some(*hold) != self.hold_after.as_ref()
        };
        longest.filter(is_new).map_or(Ok(()), |hold| writeln!(f, "  the longest one around: {hold}"))
    }
}

impl fmt::Display for PastHold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lock = match self.lock {
            SampledLock::Write => "write lock",
            SampledLock::Checkpoint => "checkpoint lock",
            SampledLock::Recover => "recovery lock",
        };
        let length = units::duration(self.held_ms);
        let at_least = if self.exact { "" } else { "at least " };
        write!(
            f,
            "{} held the {lock} for {at_least}{length}, from {}",
            self.process,
            clock_time(self.began)
        )?;
        match self.ended {
            Some(ended) => write!(f, " to {}", clock_time(ended))?,
            None => f.write_str(" on; its end was not recorded")?,
        }
        self.activity.as_ref().map_or(Ok(()), |activity| write!(f, "; meanwhile: {activity}"))
    }
}

impl fmt::Display for PastWait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (length, began) = (units::duration(self.waited_ms), clock_time(self.began));
        let waited =
            if self.possible { "may have waited for the write lock" } else { "waited for the write lock" };
        write!(f, "{} {waited} for {length}, from {began}", self.process)?;
        match self.got {
            Some(true) => f.write_str(", and got it"),
            Some(false) => f.write_str(", and did not get it"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for UnwatchedTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not watched then")?;
        match (self.from, self.to) {
            (Some(from), Some(to)) => write!(f, ", from {} to {}", local_time(from), local_time(to))?,
            (Some(from), None) => write!(f, ": the recording ends at {}", local_time(from))?,
            (None, Some(to)) => write!(f, ": the recording begins at {}", local_time(to))?,
            (None, None) => {}
        }
        self.reason.map_or(Ok(()), |reason| write!(f, ": {reason}"))
    }
}

impl fmt::Display for GapReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotRunning => "no recorder was running",
            Self::Killed => "the recorder was killed, or the machine lost power",
            Self::Suspended => "the machine slept",
            Self::NotScheduled => "the recorder got no processor",
            Self::DiskFull => "nothing could be written to the disk",
            Self::TraceOverrun => "the kernel's trace lost requests",
            Self::TooManyEvents => "there were too many events",
            Self::Link => "the connection to the host was lost or too slow",
            Self::Unknown => "for a reason that this version does not know",
        })
    }
}
