//! The copy that `waltop safe --for copy --to FILE` makes.

use std::{path::Path, time::Instant};

use super::super::databases::refuse_hazard;
use crate::{
    config::Config,
    database::{self, copy::CopyError},
    diagnose::safe::SafeCopy,
    ingest::stop_on_signals,
    observe,
    rescue::{CopyTarget, has_room},
    snapshot::Database,
    units,
};

/// Copies the database at `path`, which `seen` shows just before, to the new file `to`.
///
/// # Errors
///
/// A connection could lose commits, there is a file or too little room, SQLite fails, or the user stops it. Then there
/// is no copy.
pub fn copy(path: &Path, to: &Path, seen: &Database, config: &Config) -> anyhow::Result<SafeCopy> {
    let path = observe::inspect(path)?;
    refuse_hazard(seen, "no copy was made")?;
    let began = Instant::now();
    let mut target = CopyTarget::new(to)?;
    let sizes = [&seen.files.db, &seen.files.wal].map(|file| file.as_ref().map_or(0, |it| it.bytes));
    has_room(target.folder(), sizes.iter().sum())?;
    let stop = stop_on_signals()?;
    let (partial, file) = target.begin()?;
    let profile = config.profile_of(&path);
    let copied = database::copy::copy(&path, &partial, profile, seen.presence(), || stop.is_raised())?;
    if stop.is_raised() {
        return Err(CopyError::Stopped.into());
    }
    let to = target.complete(&file)?;
    let took_ms = units::milliseconds(began.elapsed());
    Ok(SafeCopy { to, pages: copied.pages, bytes: copied.bytes(), took_ms })
}
