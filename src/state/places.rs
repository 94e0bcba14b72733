//! Where waltop keeps its own files.

use std::path::{Path, PathBuf};

use directories::ProjectDirs;

/// Folders and files of the user's, and the root of `/proc`.
#[derive(Debug, Clone)]
pub struct Places {
    /// The file of settings; profiles of the user's own lie beside it.
    pub config: PathBuf,
    /// Where the kernel shows processes and locks; tests give a folder of their own.
    pub proc: PathBuf,
    pub runs: PathBuf,
    /// Since when each lock has been seen held, so that the next look goes on counting.
    pub first_seen: PathBuf,
    /// The database that is meant where none is named.
    pub default_database: PathBuf,
}

impl Places {
    /// Places of their own under `folder`, beside the real `/proc`: for a sandbox or a test.
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
    pub fn of_user() -> Result<Self, NoHome> {
        let dirs = ProjectDirs::from("", "", "waltop").ok_or(NoHome)?;
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
    pub fn profiles(&self) -> PathBuf {
        self.config.with_file_name("profiles")
    }
}

/// The operating system names no home directory.
#[derive(Debug, thiserror::Error)]
#[error("no folder for journals: there is no home directory; set HOME")]
pub struct NoHome;
