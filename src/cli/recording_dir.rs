//! Which recording a command reads: `--dir`, the paths of databases in it, and whether it may show secrets.

use std::path::{Path, PathBuf};

use super::databases;
use crate::{
    config::Config,
    observe, paths,
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

/// `named` as `recording` names databases. They need not exist any more; a container need not run, nor the process
/// through which its files were reached.
///
/// # Errors
///
/// An argument names no database, or a container that neither runs nor may have been recorded.
pub fn recorded_paths(named: &[PathBuf], recording: Option<&Recording>) -> anyhow::Result<Vec<PathBuf>> {
    named.iter().map(|path| recorded_path(path, recording)).collect()
}

fn recorded_path(named: &Path, recording: Option<&Recording>) -> anyhow::Result<PathBuf> {
    if let Some(path) = observe::path_of_process(named, Path::new(observe::PROC)) {
        return Ok(paths::canonical_or_future(&path).unwrap_or(path));
    }
    let has =
        |path: &Path| recording.is_some_and(|it| it.databases().iter().any(|known| Path::new(known) == path));
    // Recorded by the name of the container, unless it was by the process.
    let may_be_by_name = recording.is_some() && observe::is_container_path(named);
    if may_be_by_name && has(named) {
        return Ok(named.to_owned());
    }
    match databases::named_path(named).map(|path| paths::canonical_or_future(&path).unwrap_or(path)) {
        Ok(path) if !may_be_by_name || has(&path) => Ok(path),
        Err(error) if !may_be_by_name => Err(error),
        Ok(_) | Err(_) => Ok(named.to_owned()),
    }
}
