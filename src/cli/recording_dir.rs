//! Which recording a command reads: `--dir`, the paths of databases in it, and whether it may show secrets.

use std::path::PathBuf;

use super::databases;
use crate::{
    config::Config,
    paths,
    recording::{Recording, RecordingError, Redaction},
};

/// Where a recording is.
#[derive(Debug, clap::Args)]
pub struct RecordingDir {
    /// The folder of the recordings, or a file of it [default: `recordings` in waltop's state folder].
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

impl RecordingDir {
    /// The recording there.
    pub fn open(&self, config: &Config) -> Result<Recording, RecordingError> {
        match &self.dir {
            Some(dir) => Recording::open(dir),
            None => Recording::open(&config.places.recordings()),
        }
    }
}

/// Whether secrets are shown.
#[derive(Debug, clap::Args)]
pub struct RedactionArgs {
    /// Also show what looks like a password, a token or a key in names and messages.
    #[arg(long)]
    unredacted: bool,
}

impl RedactionArgs {
    pub fn redaction(&self) -> Redaction {
        if self.unredacted { Redaction::Off } else { Redaction::On }
    }
}

/// `named` as a recording names databases. They need not exist any more.
pub fn recorded_paths(named: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let absolute = |path: &PathBuf| {
        let path = databases::named_path(path)?;
        Ok(paths::canonical_or_future(&path).unwrap_or(path))
    };
    named.iter().map(absolute).collect()
}
