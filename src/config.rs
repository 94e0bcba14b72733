//! Settings: directories, databases, profiles, thresholds, daemon rules, keys and permits, in one checked value.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Deserialize;

use self::{
    profile::{Profile, ProfileError},
    scalar::BaseFolders,
    settings_file::{SettingsError, SettingsFile},
};
use crate::{
    keymap::Keymap,
    state::places::{NoHome, Places},
};

mod daemon;
mod permit;
pub mod profile;
mod scalar;
mod settings;
mod settings_file;
mod thresholds;

pub use daemon::DaemonRule;
pub use permit::{Permit, ReadOnly};
pub use scalar::{DurationError, SizeError, duration_of, size_of};
pub use thresholds::Thresholds;

/// Everything that can be set, checked once at the start and handed down.
#[derive(Debug, Clone)]
pub struct Config {
    pub places: Places,
    /// The databases that are meant where none is named, as [`crate::paths::settled`] gives them.
    pub databases: Vec<PathBuf>,
    /// What databases are held to that have no profile of their own.
    pub profile: Profile,
    /// What stands under `[[database]]`, with its profile where it has one of its own.
    pub own_profiles: Vec<(PathBuf, Option<Profile>)>,
    /// What is known of the processes that belong to the databases.
    pub daemons: Vec<DaemonRule>,
    /// When a figure becomes a finding.
    pub thresholds: Thresholds,
    pub refresh: Duration,
    /// Whether the console samples the locks between its looks.
    pub sampling: bool,
    /// Whether every action on the world is refused.
    pub readonly: bool,
    /// Where the console writes its log, too. `console/log_file` checks it before it opens it.
    pub log_file: Option<PathBuf>,
    /// The colours of the console.
    pub theme: Palette,
    /// Which key of the console does what.
    pub keymap: Keymap,
}

/// The colours of the console.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Palette {
    /// For a terminal with a dark background.
    #[default]
    Dark,
    /// For one with a light background.
    Light,
    /// Told apart by people who cannot tell red from green.
    ColourBlind,
    /// None at all.
    None,
}

/// Why there is no usable configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The operating system names no home directory.
    #[error(transparent)]
    NoHome(#[from] NoHome),
    /// The file of settings is not in order.
    #[error(transparent)]
    File(#[from] SettingsError),
    /// The user's own profile stands in the way of the default one.
    #[error(transparent)]
    Profile(#[from] ProfileError),
}

impl Config {
    /// The configuration of this user: what stands in `file`, which must be there, or else in the user's own file, which
    /// may be missing.
    ///
    /// # Errors
    ///
    /// Where the operating system names no home directory, or the file is not in order.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        let mut places = Places::of_user()?;
        if let Some(file) = file {
            places.config = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
        }
        let mut config = Self::new(places);
        // A file of that name, which would say nothing, is told at once.
        config.profile = Profile::named(&config.profile.name, &config.places.profiles())?;
        let settings = match SettingsFile::read(&config.places.config) {
            Err(SettingsError::Missing { .. }) if file.is_none() => return Ok(config),
            settings => settings?,
        };
        let base = BaseFolders::of(&config.places.config);
        settings::apply(&settings, &mut config, &base)?;
        Ok(config)
    }

    /// What holds where nothing is set.
    pub fn new(places: Places) -> Self {
        Self {
            places,
            databases: Vec::new(),
            profile: Profile::hardened(),
            own_profiles: Vec::new(),
            daemons: Vec::new(),
            thresholds: Thresholds::default(),
            refresh: Duration::from_secs(1),
            sampling: true,
            readonly: false,
            log_file: None,
            theme: Palette::default(),
            keymap: Keymap::default(),
        }
    }

    /// What the database at `path` is held to. The path is as [`crate::paths::settled`] gives it.
    pub fn profile_of(&self, path: &Path) -> &Profile {
        let own = self.own_profiles.iter().find(|(own, _)| own == path);
        own.and_then(|(_, profile)| profile.as_ref()).unwrap_or(&self.profile)
    }

    /// Holds every database to `profile`, whatever stands in the file.
    pub fn hold_all_to(&mut self, profile: Profile) {
        self.profile = profile;
        self.own_profiles.clear();
    }
}
