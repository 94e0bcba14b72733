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
    snapshot::LabelRules,
    state::places::{NoHome, Places},
};

mod daemon;
mod embed_endpoint;
mod foreign;
mod permit;
pub mod profile;
mod scalar;
mod settings;
pub(crate) mod settings_file;
mod thresholds;

pub use daemon::DaemonRule;
pub use embed_endpoint::{EMBED_MODEL, EmbedEndpoint, EndpointError};
pub use permit::{Permit, ReadOnly};
pub use scalar::{DurationError, SizeError, duration_of, size_of};
pub use thresholds::Thresholds;

/// All settings, checked once at startup and passed to the other modules.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a setting of its own")]
pub struct Config {
    pub places: Places,
    /// Whether the settings file was named on the command line: a command that is proposed has to name it as well.
    pub is_named: bool,
    /// The databases that are used if none is named, as [`crate::paths::canonical_or_future`] returns them.
    pub databases: Vec<PathBuf>,
    /// The profile of databases without their own.
    pub profile: Profile,
    /// The entries of `[[database]]`, with their profile if they have one.
    pub own_profiles: Vec<(PathBuf, Option<Profile>)>,
    /// The profile of files whose program owns their format, if they have none of their own; `None` if all databases are
    /// checked against one profile.
    pub foreign: Option<Profile>,
    /// Rules for the processes that belong to the databases.
    pub daemons: Vec<DaemonRule>,
    /// When a figure becomes a finding.
    pub thresholds: Thresholds,
    pub refresh: Duration,
    /// Whether the console samples the locks between snapshots.
    pub sampling: bool,
    /// Whether the console reads every lock request from the kernel's trace.
    pub trace: TraceMode,
    /// Whether the console records what happens while it is open.
    pub record: bool,
    /// Whether every action outside waltop is refused.
    pub readonly: bool,
    /// Where the console also writes its log. `console/log_file` checks the path before it opens it.
    pub log_file: Option<PathBuf>,
    pub theme: Palette,
    /// Whether a new error rings the bell of the console's terminal.
    pub bell: bool,
    /// Whether the console takes clicks and the wheel from its terminal.
    pub mouse: bool,
    /// Key bindings of the console.
    pub keymap: Keymap,
    pub search: SearchSettings,
}

/// How the query of a search gets its vector.
#[derive(Debug, Clone)]
pub struct SearchSettings {
    /// The embeddings API; `None`: a search is by words.
    pub embed: Option<EmbedEndpoint>,
    /// The model whose vectors are searched.
    pub embed_model: String,
}

/// The colours of the console.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Palette {
    /// For a terminal with a dark background.
    #[default]
    Dark,
    /// For a terminal with a light background.
    Light,
    /// Distinguishable without telling red from green.
    ColourBlind,
    /// No colours.
    None,
}

/// When lock requests are read from the kernel's trace.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum TraceMode {
    /// If the user is root and tracefs is mounted.
    #[default]
    Auto,
    /// Always; if the kernel refuses, the reason is shown.
    On,
    /// Never: the locks are sampled.
    Off,
}

impl TraceMode {
    /// Its word in the settings and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::On => "on",
            Self::Off => "off",
        }
    }
}

/// Why there is no usable configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The operating system names no home directory.
    #[error(transparent)]
    NoHome(#[from] NoHome),
    /// The settings file is invalid.
    #[error(transparent)]
    File(#[from] SettingsError),
    /// The user's profile conflicts with the default one.
    #[error(transparent)]
    Profile(#[from] ProfileError),
}

impl Config {
    /// The names that the user gives to processes.
    pub fn label_rules(&self) -> LabelRules {
        self.daemons.iter().map(|rule| (rule.pattern.clone(), rule.name.clone())).collect()
    }

    /// The configuration of this user: from `file`, which must exist, or else from the user's settings file, which may
    /// be missing.
    ///
    /// # Errors
    ///
    /// The operating system names no home directory, or the file is invalid.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        let mut places = Places::of_user()?;
        if let Some(file) = file {
            places.config = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
        }
        let mut config = Self { is_named: file.is_some(), ..Self::new(places) };
        // A user file of that name would have no effect, so it is reported at once.
        config.profile = Profile::named(&config.profile.name, &config.places.profiles())?;
        let settings = match SettingsFile::read(&config.places.config) {
            Err(SettingsError::Missing { .. }) if file.is_none() => return Ok(config),
            settings => settings?,
        };
        let base = BaseFolders::of(&config.places.config);
        settings::apply(&settings, &mut config, &base)?;
        Ok(config)
    }

    /// The defaults.
    pub fn new(places: Places) -> Self {
        Self {
            places,
            is_named: false,
            databases: Vec::new(),
            profile: Profile::hardened(),
            own_profiles: Vec::new(),
            foreign: Some(Profile::foreign()),
            daemons: Vec::new(),
            thresholds: Thresholds::default(),
            refresh: Duration::from_secs(1),
            sampling: true,
            trace: TraceMode::default(),
            record: false,
            readonly: false,
            log_file: None,
            theme: Palette::default(),
            bell: true,
            mouse: true,
            keymap: Keymap::default(),
            search: SearchSettings { embed: None, embed_model: EMBED_MODEL.to_owned() },
        }
    }

    /// The profile of the database at `path`. The path is as [`crate::paths::canonical_or_future`] returns it.
    pub fn profile_of(&self, path: &Path) -> &Profile {
        let own = self.own_profiles.iter().find(|(own, _)| own == path);
        let by_name = || self.foreign.as_ref().filter(|_| foreign::is_foreign(path));
        own.and_then(|(_, profile)| profile.as_ref()).or_else(by_name).unwrap_or(&self.profile)
    }

    /// Sets the profile of every database to `profile`, whatever the file says.
    pub fn hold_all_to(&mut self, profile: Profile) {
        self.profile = profile;
        self.own_profiles.clear();
        self.foreign = None;
    }
}
