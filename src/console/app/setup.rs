//! What a console receives at its start.

use std::path::PathBuf;

use jiff::tz::TimeZone;

use crate::{
    config::{Permit, ReadOnly, profile::Profile},
    keymap::Keymap,
};

/// What the console receives at its start and never changes.
#[derive(Debug, Clone)]
pub struct AppSetup {
    /// The permission to change anything; without it no action can be armed.
    pub permit: Result<Permit, ReadOnly>,
    /// The profile that each database is checked against, in the order of the sample.
    pub profiles: Vec<Profile>,
    pub keymap: Keymap,
    pub time_zone: TimeZone,
    /// The folder that the ingestion dialog proposes.
    pub folder: PathBuf,
    /// What a leading `~` of a folder expands to.
    pub home: Option<PathBuf>,
    /// What the title shows beside the database's name; the sandbox sets it.
    pub banner: Option<String>,
    /// Whether a new error rings the bell.
    pub bell: bool,
    /// The installed `py-spy`.
    pub py_spy: Option<PathBuf>,
    /// Whether the console has the mouse at its start.
    pub mouse: bool,
    /// Why the kernel's trace is off, although the user asked for it.
    pub untraced: Option<String>,
    pub kind: ConsoleKind,
    /// Where each database is; empty if the user named them.
    pub discovered: Vec<String>,
}

/// What a console shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConsoleKind {
    /// This machine, now.
    Present,
    /// A recording.
    Replay,
    /// Other hosts, now.
    Remote,
}
