//! `waltop stream --since TIME --until TIME`: what a recorder of this machine has recorded, for a console that had no link.

use std::{
    io,
    path::{Path, PathBuf},
};

use anyhow::bail;
use jiff::{Timestamp, Zoned};

use crate::{
    cli::{recorded_time::RecordedTimeArgs, recording_dir::recorded_paths},
    config::Config,
    recording::{ExcerptError, Recording, RecordingError, RecordingExcerpt},
};

/// Where the unit for the system records.
const OF_THE_SYSTEM: &str = "/var/lib/waltop/recordings";

/// The time of a recording, and where that is.
#[derive(Debug, clap::Args)]
pub struct RecordedArgs {
    /// Write what a recorder has recorded from this time on instead of samples, and end.
    #[arg(long, value_name = "TIME", requires = "until")]
    since: Option<String>,
    /// With --since: up to when.
    #[arg(long, value_name = "TIME", requires = "since")]
    until: Option<String>,
    /// With --since: the folder of the recordings, or a file of it [default: `recordings` in waltop's state folder, else
    /// /var/lib/waltop/recordings].
    #[arg(long, value_name = "DIR", requires = "since")]
    dir: Option<PathBuf>,
}

impl RecordedArgs {
    /// The time that is asked for; `None`: the present.
    pub fn time(&self) -> Option<RecordedTimeArgs> {
        let (since, until) = self.since.clone().zip(self.until.clone())?;
        Some(RecordedTimeArgs::new(since, until))
    }

    // The folders in which a recording may be.
    fn folders(&self, config: &Config) -> Vec<PathBuf> {
        match &self.dir {
            Some(dir) => vec![dir.clone()],
            None => vec![config.places.recordings(), OF_THE_SYSTEM.into()],
        }
    }

    /// Writes the lines of `time` about the databases `named`. Returns the exit code: 1 if there are none.
    ///
    /// # Errors
    ///
    /// The recording cannot be read, or stdout fails for another reason than a closed pipe.
    pub fn write(&self, time: &RecordedTimeArgs, named: &[PathBuf], config: &Config) -> anyhow::Result<u8> {
        let (from, to) = time.span(&Zoned::now())?;
        if named.is_empty() {
            bail!("--since is about databases: name them");
        }
        for folder in self.folders(config) {
            match lines_of((from, to), named, &folder) {
                Ok(0) => {}
                Ok(_) => return Ok(0),
                Err(error) if is_closed_pipe(&error) => return Ok(0),
                Err(error) if is_missing(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(1)
    }
}

fn lines_of((from, to): (Timestamp, Timestamp), named: &[PathBuf], folder: &Path) -> anyhow::Result<u64> {
    let recording = Recording::open(folder)?;
    let databases = recorded_paths(named, Some(&recording))?;
    let excerpt = RecordingExcerpt { from, to, databases: &databases };
    Ok(excerpt.write(&recording, &mut io::BufWriter::new(io::stdout().lock()))?)
}

// Whether its reader at the other end has gone.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<ExcerptError>();
    matches!(error, Some(ExcerptError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe)
}

// Whether there is no recording that this user may read.
fn is_missing(error: &anyhow::Error) -> bool {
    match error.downcast_ref::<RecordingError>() {
        Some(RecordingError::Empty(_)) => true,
        Some(RecordingError::Io { error, .. }) => error.kind() == io::ErrorKind::PermissionDenied,
        _ => false,
    }
}
