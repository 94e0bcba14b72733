//! Writers that were refused the write lock, as the kernel's trace shows each of their tries.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::units;

/// The refused writers of a window. Only the trace sees them: a waiting writer asks, sleeps and asks again.
#[derive(Debug, Clone, Default, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct WriterRefusals {
    /// Length of the window in ms.
    pub window_ms: f64,
    /// Those that wait now first, then the longest wait; each entry is for one victim, one holder and one reason.
    pub victims: Vec<RefusedWriter>,
}

/// The waits of one process for one holder.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct RefusedWriter {
    /// The process that was refused.
    pub pid: i32,
    /// The thread of the last refused try.
    pub thread: i32,
    /// The process that held the lock at its first try; `None` if that is unknown, or if there was none to blame.
    pub holder: Option<i32>,
    pub reason: RefusalReason,
    /// How often it began to wait.
    pub waits: u32,
    /// Refused tries, of all waits.
    pub tries: u32,
    /// Waits that ended without the lock.
    pub gave_up: u32,
    /// The longest wait in ms.
    pub longest_ms: f64,
    /// All waits in ms.
    pub total_ms: f64,
    /// How long it has waited up to now, in ms; `None` if it does not wait now.
    #[serde(default)]
    pub waiting_ms: Option<f64>,
}

/// How often it tried, for how long, and what came of it.
impl fmt::Display for RefusedWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tries = match self.tries {
            1 => "1 try".to_owned(),
            tries => format!("{} tries", units::count(tries.into())),
        };
        let longest = units::duration(self.longest_ms);
        match self.waits {
            0 | 1 if self.longest_ms == 0.0 => f.write_str(&tries)?,
            0 | 1 => write!(f, "{tries} in {longest}")?,
            waits if self.longest_ms == 0.0 => write!(f, "{} times, {tries}", units::count(waits.into()))?,
            waits => write!(f, "{} times, {tries}, up to {longest}", units::count(waits.into()))?,
        }
        match self.gave_up {
            0 if self.waiting_ms.is_none() => f.write_str(", got it"),
            0 => Ok(()),
            gave_up if gave_up == self.waits => write!(f, ", did not get it: {}", self.reason),
            gave_up => write!(f, ", {} without it: {}", units::count(gave_up.into()), self.reason),
        }?;
        self.waiting_ms.map_or(Ok(()), |ms| write!(f, ", waits for {} so far", units::duration(ms)))
    }
}

/// Why a writer did not get the lock at its first try.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RefusalReason {
    /// Another process held it, and it tried again.
    Waited,
    /// Another process held it, and it did not try again: it has no `busy_timeout`.
    NoTimeout,
    /// A read transaction became a write transaction while another process held the lock. No timeout applies.
    DeferredUpgrade,
    /// A read transaction became a write transaction after another process had committed (`SQLITE_BUSY_SNAPSHOT`).
    OldSnapshot,
}

impl fmt::Display for RefusalReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Waited => "it tried again until its timeout",
            Self::NoTimeout => "it has no busy_timeout and tried once",
            Self::DeferredUpgrade => "its read became a write, to which no timeout applies: BEGIN IMMEDIATE",
            Self::OldSnapshot => "its read became a write after another commit: BEGIN IMMEDIATE",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(waits: u32, tries: u32, gave_up: u32, longest_ms: f64, waiting_ms: Option<f64>) -> String {
        let reason = RefusalReason::NoTimeout;
        let (pid, thread, holder, total_ms) = (8, 8, None, longest_ms);
        RefusedWriter { pid, thread, holder, reason, waits, tries, gave_up, longest_ms, total_ms, waiting_ms }
            .to_string()
    }

    #[test]
    fn a_refused_writer_is_told_with_its_tries_its_time_and_what_came_of_it() {
        assert_eq!(shown(1, 13, 0, 310.0, None), "13 tries in 310 ms, got it");
        assert_eq!(shown(1, 1, 1, 0.0, None), "1 try, did not get it: it has no busy_timeout and tried once");
        assert_eq!(
            shown(3, 30, 1, 310.0, None),
            "3 times, 30 tries, up to 310 ms, 1 without it: it has no busy_timeout and tried once"
        );
        assert_eq!(shown(1, 9, 0, 150.0, Some(150.0)), "9 tries in 150 ms, waits for 150 ms so far");
    }
}
