//! Where waltop keeps its own files.

use std::path::{Path, PathBuf};

use directories::ProjectDirs;

/// Folders and files of the user, and the root of `/proc`.
#[derive(Debug, Clone)]
pub struct Places {
    /// The settings file; the user's own profiles are beside it.
    pub config: PathBuf,
    /// Where the kernel shows processes and locks; tests use a folder of their own.
    pub proc: PathBuf,
    pub runs: PathBuf,
    /// Since when each lock has been seen held, so that the next sample continues the count.
    pub first_seen: PathBuf,
    /// The database that is used if none is named.
    pub default_database: PathBuf,
}

impl Places {
    /// Places under `folder`, beside the real `/proc`: for a sandbox or a test.
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
    /// The operating system names no home directory.
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

    /// The folder of waltop's own files, and of what the user exports.
    pub fn state(&self) -> &Path {
        self.first_seen.parent().unwrap_or(&self.first_seen)
    }

    /// The folder of recordings, unless another one is named.
    pub fn recordings(&self) -> PathBuf {
        self.state().join("recordings")
    }

    /// Folder of the user's own profiles.
    pub fn profiles(&self) -> PathBuf {
        self.config.with_file_name("profiles")
    }
}

#[derive(Debug, thiserror::Error)]
#[error("no folder for journals: there is no home directory; set HOME")]
pub struct NoHome;
