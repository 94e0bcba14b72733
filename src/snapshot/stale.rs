//! The verdict on a process that should no longer run.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{LockHold, LostInput, StaleProtection};
use crate::units;

/// The verdict on a process that nothing seems to need.
#[derive(Debug, Clone, Default, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct StaleVerdict {
    /// At least one cause holds, and nothing protects it.
    pub is_stale: bool,
    pub causes: Vec<StaleCause>,
    /// Why it is not stale in spite of a cause.
    pub protected: Option<StaleProtection>,
    /// It is older than its rule allows, and not stale, because it was not seen idle.
    #[serde(default)]
    pub past_max_age: Option<PastMaxAge>,
}

/// A process that is older than the `max_age` of its rule, and was not seen idle. Its text is one sentence.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct PastMaxAge {
    pub rule: String,
    pub age_ms: f64,
    pub limit_ms: f64,
    pub not_idle: NotIdle,
}

/// Why a process is not known to be idle.
#[derive(Debug, Clone, Copy, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
pub enum NotIdle {
    /// It is stopped: it has to be resumed first.
    Stopped,
    /// It holds a lock of a transaction.
    Lock { lock: LockHold },
    /// The samples cover less time than the shortest idle time that counts.
    BriefWatch { watched_ms: f64, least_ms: f64 },
    /// It used CPU time or a lock, or it waits for one or for its children, or it was stopped not long ago.
    Work { idle_ms: f64 },
    /// Its CPU time is not known.
    Unknown,
}

/// Why a process should no longer run, with the evidence. Its text is one sentence.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(tag = "cause", rename_all = "kebab-case")]
pub enum StaleCause {
    /// It has files of the database open that were deleted or replaced.
    SplitWal { files: Vec<String> },
    /// Its program was deleted or replaced after it started.
    Executable {
        path: String,
        /// Whether another program is at that path now.
        is_replaced: bool,
    },
    /// A newer process matches the same singleton rule.
    Duplicate {
        rule: String,
        newer: i32,
        newer_name: String,
        #[serde(default)]
        newer_label: String,
    },
    /// It is older than its rule allows, and idle.
    MaxAge { rule: String, age_ms: f64, limit_ms: f64, idle_ms: f64 },
    /// Its parent has exited, nothing manages it, and it is idle.
    Orphan {
        /// Its parent now.
        adopted_by: Option<i32>,
        /// What became of its standard input.
        #[serde(default)]
        lost_input: Option<LostInput>,
        idle_ms: f64,
    },
    /// It keeps frames of the log from being checkpointed, and uses no CPU time.
    PinnedWal {
        /// The file name of the database.
        database: String,
        frames: u32,
        held_ms: f64,
        idle_ms: f64,
    },
}

impl StaleCause {
    /// Its name, as in JSON.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::SplitWal { .. } => "split-wal",
            Self::Executable { .. } => "executable",
            Self::Duplicate { .. } => "duplicate",
            Self::MaxAge { .. } => "max-age",
            Self::Orphan { .. } => "orphan",
            Self::PinnedWal { .. } => "pinned-wal",
        }
    }

    /// For how long the process was seen idle, in ms; `None` if the cause does not rest on idleness.
    pub const fn idle_ms(&self) -> Option<f64> {
        match self {
            Self::MaxAge { idle_ms, .. } | Self::Orphan { idle_ms, .. } | Self::PinnedWal { idle_ms, .. } => {
                Some(*idle_ms)
            }
            Self::SplitWal { .. } | Self::Executable { .. } | Self::Duplicate { .. } => None,
        }
    }
}

impl fmt::Display for StaleCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = |ms: &f64| units::duration(*ms);
        match self {
            Self::SplitWal { files } => {
                write!(f, "it has {} open, which was deleted or replaced", files.join(", "))
            }
            Self::Executable { path, is_replaced: false } => {
                write!(f, "its program {path} was deleted after it started")
            }
            Self::Executable { path, is_replaced: true } => write!(
                f,
                "its program {path} was replaced after it started, as an upgrade does: it runs the old one"
            ),
            Self::Duplicate { rule, newer, newer_label, .. } => write!(
                f,
                "{newer} ({newer_label}) is newer, and there should be only one {rule} (a singleton rule)"
            ),
            Self::MaxAge { rule, age_ms, limit_ms, idle_ms } => write!(
                f,
                "it is {} old, past the {} of the rule {rule}, and idle: no tick of CPU time and no lock of a \
                 transaction was seen in {}",
                time(age_ms),
                time(limit_ms),
                time(idle_ms)
            ),
            Self::Orphan { adopted_by, lost_input, idle_ms } => {
                let heir = adopted_by.map(|parent| format!(" ({parent} took it in)")).unwrap_or_default();
                let manager = lost_input
                    .map_or("service manager".to_owned(), |lost| format!("known service manager, {lost}"));
                write!(
                    f,
                    "its parent has died{heir}, it has no terminal and no {manager}, and it is idle: no tick of CPU \
                     time and no lock of a transaction was seen in {}",
                    time(idle_ms)
                )
            }
            Self::PinnedWal { database, frames, held_ms, idle_ms } => write!(
                f,
                "it has pinned {} of {database} for {}, and no tick of CPU time was seen in {}",
                units::plural(u64::from(*frames), "frame"),
                time(held_ms),
                time(idle_ms)
            ),
        }
    }
}

impl fmt::Display for PastMaxAge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rule, age_ms, limit_ms, not_idle } = self;
        let (age, limit) = (units::duration(*age_ms), units::duration(*limit_ms));
        write!(f, "it is {age} old, past the {limit} of the rule {rule}, but not stale: {not_idle}")
    }
}

impl fmt::Display for NotIdle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopped => f.write_str("it is stopped, so its idle time is not known"),
            Self::Lock { lock } => write!(f, "it holds the lock {lock}, as a transaction at work does"),
            Self::BriefWatch { watched_ms, least_ms } => write!(
                f,
                "whether it is idle is not known yet: it was watched for {}, and that takes {}",
                units::duration(*watched_ms),
                units::duration(*least_ms)
            ),
            Self::Work { idle_ms } => {
                write!(f, "it has been idle for {} only", units::duration(*idle_ms))
            }
            Self::Unknown => f.write_str("its CPU time is not known"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_has_its_name_in_json() {
        let path = "/usr/bin/bun".to_owned();
        let (age_ms, limit_ms, idle_ms) = (172_800_000.0, 86_400_000.0, 5000.0);
        for cause in [
            StaleCause::SplitWal { files: vec!["/srv/a.db-wal".to_owned(), "/srv/a.db-shm".to_owned()] },
            StaleCause::Executable { path, is_replaced: false },
            StaleCause::Duplicate {
                rule: "watcher".to_owned(),
                newer: 7,
                newer_name: "bun".to_owned(),
                newer_label: "watch.ts".to_owned(),
            },
            StaleCause::MaxAge { rule: "watcher".to_owned(), age_ms, limit_ms, idle_ms },
            StaleCause::Orphan { adopted_by: Some(1), lost_input: None, idle_ms },
            StaleCause::PinnedWal {
                database: "a.db".to_owned(),
                frames: 18_219,
                held_ms: 600_000.0,
                idle_ms,
            },
        ] {
            let json = serde_json::to_value(&cause).expect("JSON");
            assert_eq!(json["cause"], cause.name());
            assert_eq!(serde_json::from_value::<StaleCause>(json).expect("a cause"), cause);
        }
    }
}
