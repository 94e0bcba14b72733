//! Profiles: the expected value of each pragma, as data.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Deserialize;

use super::{
    foreign,
    scalar::scalar,
    settings_file::{SettingsError, SettingsFile},
};
use crate::{
    snapshot::{CheckpointMode, Severity},
    text,
};

mod file;

/// The built-in profiles, the default one first.
const BUILT_IN: [(&str, &str); 6] = [
    ("hardened", include_str!("../../assets/profiles/hardened.toml")),
    ("throughput", include_str!("../../assets/profiles/throughput.toml")),
    ("queue", include_str!("../../assets/profiles/queue.toml")),
    ("patient", include_str!("../../assets/profiles/patient.toml")),
    ("responsive", include_str!("../../assets/profiles/responsive.toml")),
    (foreign::PROFILE, include_str!("../../assets/profiles/foreign.toml")),
];

/// The names of the built-in profiles.
pub fn built_in_names() -> [&'static str; BUILT_IN.len()] {
    BUILT_IN.map(|(name, _)| name)
}

/// What a database's clients and file are checked against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    pub name: String,
    /// Its purpose, in a sentence.
    pub about: String,
    /// The pragmas that it checks.
    pub pragmas: Vec<Expectation>,
    /// Whether the file belongs to a program that owns its format, so that no change of it is proposed.
    pub is_foreign: bool,
    /// How often to checkpoint the log, if commits alone do not do it.
    pub checkpoint: Option<Schedule>,
    /// Severity of a SQLite library that has the WAL-reset bug by its version number.
    pub wal_reset_bug: Severity,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expectation {
    pub name: String,
    /// The value, as in `PRAGMA name = value`.
    pub expected: String,
    pub kept_by: Keeper,
    /// Severity of a deviation.
    pub severity: Severity,
    /// Why the profile requires it.
    pub why: String,
}

/// Where a pragma's value is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Keeper {
    /// In the database file: it applies to every client.
    File,
    Connection,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table with mode and every")]
pub struct Schedule {
    pub mode: CheckpointMode,
    #[serde(deserialize_with = "scalar")]
    pub every: Duration,
}

/// Why there is no such profile.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// No profile has this name.
    #[error("there is no profile {name}; the nearest is {nearest}, and your own lie in {}", folder.display())]
    Unknown {
        name: String,
        /// The most similar name.
        nearest: String,
        /// Folder of the user's own profiles.
        folder: PathBuf,
    },
    /// The user's profile has the name of a built-in one.
    #[error("{} has the name of a profile that waltop brings with it; rename it", path.display())]
    Taken { path: PathBuf },
    /// Its file is invalid.
    #[error(transparent)]
    File(#[from] SettingsError),
}

impl Profile {
    /// The default profile.
    ///
    /// # Panics
    ///
    /// Never: the data is part of the program, and a test reads it.
    pub fn hardened() -> Self {
        let (name, text) = BUILT_IN[0];
        file::built_in(name, text).expect("assets/profiles/hardened.toml has its form checked by a test")
    }

    /// The profile of files whose program owns their format.
    ///
    /// # Panics
    ///
    /// Never, as [`Profile::hardened`].
    pub fn foreign() -> Self {
        let text = BUILT_IN.iter().find(|(name, _)| *name == foreign::PROFILE).map_or("", |(_, text)| text);
        file::built_in(foreign::PROFILE, text)
            .expect("assets/profiles/foreign.toml has its form checked by a test")
    }

    /// The profile of that name: a built-in one, or the user's own from `folder`.
    ///
    /// # Errors
    ///
    /// There is none, or its file is invalid.
    pub fn named(name: &str, folder: &Path) -> Result<Self, ProfileError> {
        let own = folder.join(format!("{name}.toml"));
        // A name that is a path would lead out of the folder.
        let is_name = !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\', '\0']);
        if let Some((_, text)) = BUILT_IN.iter().find(|(built_in, _)| *built_in == name) {
            return if own.exists() {
                Err(ProfileError::Taken { path: own })
            } else {
                Ok(file::built_in(name, text)?)
            };
        }
        if is_name {
            match SettingsFile::read(&own) {
                Err(SettingsError::Missing { .. }) => {}
                file => return Ok(file::read(&file?, name)?),
            }
        }
        Err(unknown(name, folder))
    }

    pub fn expectation(&self, pragma: &str) -> Option<&Expectation> {
        self.pragmas.iter().find(|expectation| expectation.name == pragma)
    }

    /// The profile's `busy_timeout` in ms: the budget for a lock hold.
    pub fn busy_timeout_ms(&self) -> Option<u32> {
        self.expectation("busy_timeout").and_then(|expectation| expectation.expected.parse().ok())
    }

    /// The same, unless the profile asks for none: then no hold is too long for its clients.
    pub fn wait_budget_ms(&self) -> Option<u32> {
        self.busy_timeout_ms().filter(|&budget| budget > 0)
    }

    /// The profile's `wal_autocheckpoint`, in frames; SQLite's own default if it has none.
    pub fn autocheckpoint_frames(&self) -> u32 {
        self.expectation("wal_autocheckpoint")
            .and_then(|expectation| expectation.expected.parse().ok())
            .unwrap_or(1000)
    }
}

fn unknown(name: &str, folder: &Path) -> ProfileError {
    let entries = folder.read_dir().into_iter().flatten().flatten();
    let own = entries.filter_map(|entry| {
        let path = entry.path();
        let is_profile = path.extension().is_some_and(|extension| extension == "toml");
        path.file_stem().filter(|_| is_profile).map(|stem| stem.to_string_lossy().into_owned())
    });
    let mut names: Vec<String> = BUILT_IN.iter().map(|(name, _)| (*name).to_owned()).chain(own).collect();
    names.sort();
    let nearest = text::nearest(name, names.iter().map(String::as_str)).unwrap_or_default().to_owned();
    ProfileError::Unknown { name: name.to_owned(), nearest, folder: folder.to_owned() }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;

    #[test]
    fn the_default_profile_is_well_formed() {
        let profile = Profile::hardened();
        assert_eq!(profile.name, "hardened");
        assert_eq!(profile.busy_timeout_ms(), Some(5000));
        assert_eq!(profile.autocheckpoint_frames(), 1000);
        assert!(profile.expectation("journal_mode").is_some_and(|it| it.kept_by == Keeper::File));
    }

    #[test]
    fn every_profile_that_comes_along_asks_for_what_its_reports_say() {
        let dir = TempDir::new().expect("a folder");
        let asked = |name: &str| {
            let profile = Profile::named(name, dir.path()).expect("it is in order");
            assert!(
                !profile.about.is_empty() && profile.pragmas.iter().all(|it| !it.why.is_empty()),
                "{name}"
            );
            let value =
                |pragma| profile.expectation(pragma).map_or("–", |it| it.expected.as_str()).to_owned();
            let pragmas = [
                "busy_timeout",
                "synchronous",
                "mmap_size",
                "cache_size",
                "temp_store",
                "foreign_keys",
                "wal_autocheckpoint",
                "journal_mode",
            ];
            let schedule =
                profile.checkpoint.map_or("–".to_owned(), |it| format!("{} {:?}", it.mode, it.every));
            [pragmas.map(value).join(" "), schedule].join(" ")
        };
        for (name, values) in [
            ("hardened", "5000 NORMAL 0 – MEMORY ON 1000 wal –"),
            ("throughput", "30000 NORMAL 268435456 -64000 MEMORY – 1000 wal PASSIVE 900s"),
            ("queue", "30000 NORMAL – -32000 MEMORY – 1000 wal PASSIVE 900s"),
            ("patient", "30000 NORMAL – – – ON 1000 wal –"),
            ("responsive", "10000 NORMAL 268435456 -64000 – ON 1000 wal –"),
            ("foreign", "5000 – – – – – – – –"),
        ] {
            assert_eq!(asked(name), values, "{name}");
        }
    }

    #[test]
    fn a_profile_of_ones_own_lies_beside_the_config_file() {
        let dir = TempDir::new().expect("a folder");
        let write = |name: &str, text: &str| {
            fs::write(dir.path().join(name), text).expect("written");
        };
        write("mine.toml", BUILT_IN[2].1.replace("name = \"queue\"\n", "").as_str());
        let named = |name: &str| Profile::named(name, dir.path()).map_err(|error| error.to_string());
        assert_eq!(
            named("mine").map(|it| (it.name.clone(), it.busy_timeout_ms())),
            Ok(("mine".into(), Some(30_000)))
        );
        let said = named("mime").expect_err("there is none");
        assert!(
            said.starts_with("there is no profile mime; the nearest is mine, and your own lie in /"),
            "{said}"
        );
        for escape in ["../mine", "", ".", "/etc/passwd", "mine.toml"] {
            assert!(named(escape).is_err_and(|said| said.starts_with("there is no profile")), "{escape}");
        }
        write("bad.toml", "colour = 1\n");
        assert!(named("bad").is_err_and(|said| said.contains("bad.toml, line 1: unknown key `colour`")));
        write("queue.toml", "");
        assert!(named("queue").is_err_and(|said| said.contains("queue.toml has the name of a profile")));
    }
}
