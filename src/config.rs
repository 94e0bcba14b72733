//! Where things are kept and how much is too much: directories, thresholds, flags, in one checked value.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use directories::ProjectDirs;

use crate::profile::Profile;

mod daemon;
pub mod document;
mod permit;
pub mod value;

pub use daemon::DaemonRule;
pub use permit::{Permit, ReadOnly};

/// Everything that can be set, checked once at the start and handed down.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where things are kept.
    pub places: Places,
    /// What databases are held to that have no profile of their own.
    pub profile: Profile,
    /// What is known of the processes that belong to the databases.
    pub daemons: Vec<DaemonRule>,
    /// When a figure becomes a finding.
    pub thresholds: Thresholds,
    /// Time between two looks.
    pub refresh: Duration,
    /// Whether the console samples the locks between its looks.
    pub sampling: bool,
    /// Whether every action on the world is refused.
    pub readonly: bool,
}

/// Folders and files of the user's, and the root of `/proc`.
#[derive(Debug, Clone)]
pub struct Places {
    /// The file of settings; profiles of the user's own lie beside it.
    pub config: PathBuf,
    /// Where the kernel shows processes and locks; tests give a folder of their own.
    pub proc: PathBuf,
    /// Journals of ingestions.
    pub runs: PathBuf,
    /// Since when each lock has been seen held, so that the next look goes on counting.
    pub first_seen: PathBuf,
    /// The database that is meant where none is named.
    pub default_database: PathBuf,
}

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
        }
    }
}

/// Why there is no usable configuration.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system names no home directory.
    #[error("cannot tell where to keep journals: there is no home directory; set HOME")]
    NoHome,
}

impl Config {
    /// The configuration of this user.
    ///
    /// # Errors
    ///
    /// Where the operating system names no home directory.
    pub fn load() -> Result<Self, Error> {
        Ok(Self::new(Places::of_user()?))
    }

    /// What holds where nothing is set.
    #[must_use]
    pub fn new(places: Places) -> Self {
        Self {
            places,
            profile: Profile::hardened(),
            daemons: Vec::new(),
            thresholds: Thresholds::default(),
            refresh: Duration::from_secs(1),
            sampling: true,
            readonly: false,
        }
    }
}

impl Places {
    /// Places of their own under `folder`, beside the real `/proc`: for a sandbox or a test.
    #[must_use]
    pub fn under(folder: &Path) -> Self {
        Self {
            config: folder.join("config.toml"),
            proc: PathBuf::from("/proc"),
            runs: folder.join("runs"),
            first_seen: folder.join("first-seen.json"),
            default_database: folder.join("default.db"),
        }
    }

    /// The places of this user, by the conventions of the platform.
    ///
    /// # Errors
    ///
    /// Where the operating system names no home directory.
    pub fn of_user() -> Result<Self, Error> {
        let dirs = ProjectDirs::from("", "", "waltop").ok_or(Error::NoHome)?;
        let state = dirs.state_dir().unwrap_or_else(|| dirs.data_local_dir());
        Ok(Self {
            config: dirs.config_dir().join("config.toml"),
            proc: PathBuf::from("/proc"),
            runs: state.join("runs"),
            first_seen: state.join("first-seen.json"),
            default_database: dirs.data_dir().join("waltop.db"),
        })
    }

    /// Where profiles of the user's own lie.
    #[must_use]
    pub fn profiles(&self) -> PathBuf {
        self.config.with_file_name("profiles")
    }
}
