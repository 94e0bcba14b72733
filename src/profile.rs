//! Profiles: what each pragma ought to be, as data.

use serde::Deserialize;

use crate::snapshot::Severity;

const HARDENED: &str = include_str!("../assets/profiles/hardened.toml");

/// What a database's clients and file are held to.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Its name.
    pub name: String,
    /// What it is for, in a sentence.
    pub about: String,
    /// The pragmas that it cares about.
    #[serde(rename = "pragma")]
    pub pragmas: Vec<Expectation>,
}

/// One pragma's expected value.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expectation {
    /// The pragma.
    pub name: String,
    /// The value, as `PRAGMA name` would be told it.
    pub expected: String,
    /// Who keeps the value.
    pub kept_by: Keeper,
    /// How bad it is not to comply.
    pub severity: Severity,
    /// Why the profile asks for it.
    pub why: String,
}

/// Who keeps a pragma's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Keeper {
    /// The database file: every client gets it.
    File,
    /// Each connection for itself.
    Connection,
}

impl Profile {
    /// The default profile.
    ///
    /// # Panics
    ///
    /// Never: the data is part of the program, and a test parses it.
    #[must_use]
    pub fn hardened() -> Self {
        toml::from_str(HARDENED).expect("assets/profiles/hardened.toml is held to its form by a test")
    }

    /// What the profile asks of `pragma`.
    #[must_use]
    pub fn expectation(&self, pragma: &str) -> Option<&Expectation> {
        self.pragmas.iter().find(|expectation| expectation.name == pragma)
    }

    /// The `busy_timeout` that the profile asks for, in ms: the budget for a lock hold.
    #[must_use]
    pub fn busy_timeout_ms(&self) -> Option<u32> {
        self.expectation("busy_timeout").and_then(|expectation| expectation.expected.parse().ok())
    }

    /// The `wal_autocheckpoint` that the profile asks for, in frames; `SQLite`'s own default where it does not care.
    #[must_use]
    pub fn autocheckpoint_frames(&self) -> u32 {
        self.expectation("wal_autocheckpoint")
            .and_then(|expectation| expectation.expected.parse().ok())
            .unwrap_or(1000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_profile_is_well_formed() {
        let profile = Profile::hardened();
        assert_eq!(profile.name, "hardened");
        assert_eq!(profile.busy_timeout_ms(), Some(5000));
        assert_eq!(profile.autocheckpoint_frames(), 1000);
        assert!(profile.expectation("journal_mode").is_some_and(|it| it.kept_by == Keeper::File));
    }
}
