//! When each database had its last scheduled checkpoint, and which process has the turn for the next one: a small file
//! for each in the user's state directory, so that neither a restart nor a second waltop runs one too many.

use std::{
    ffi::OsStr,
    io,
    path::{Path, PathBuf},
};

use jiff::Timestamp;

use crate::{
    snapshot::LastCheckpoint,
    state::{
        folder::StateFolder,
        places::Places,
        run_lock::{ExclusiveJob, RunLock, RunLockRefusal},
    },
};

/// The most bytes of one entry, which contains little more than a time and an error.
const LARGEST: u64 = 64 << 10;

/// The files of this user.
#[derive(Debug, Clone)]
pub struct ScheduleLedger {
    folder: PathBuf,
}

/// The right to run the next checkpoint of one database. Dropping it releases the turn; the kernel releases it if the
/// process is killed.
#[derive(Debug)]
pub struct CheckpointTurn {
    folder: StateFolder,
    name: String,
    _lock: RunLock,
}

impl ScheduleLedger {
    pub fn new(places: &Places) -> Self {
        Self { folder: places.runs.with_file_name("checkpoints") }
    }

    /// The last scheduled checkpoint of `database`; `None` if there was none, or its record is invalid.
    pub fn last(&self, database: &Path) -> Option<LastCheckpoint> {
        let entry = StateFolder::open(&self.folder).and_then(|it| it.read(name(database).as_ref(), LARGEST));
        serde_json::from_slice(&entry.ok()?).ok()
    }

    /// The turn for the checkpoint after `seen`; `None` if another process has it, or has had it.
    ///
    /// # Errors
    ///
    /// The state directory is not writable.
    pub fn claim(&self, database: &Path, seen: Option<Timestamp>) -> io::Result<Option<CheckpointTurn>> {
        // A folder that is ingested has an absolute path, so no ingestion uses the same lock.
        let lock = match RunLock::acquire(
            ExclusiveJob::Run,
            &self.folder,
            database,
            Path::new("scheduled checkpoint"),
        ) {
            Ok(lock) => lock,
            Err(RunLockRefusal::Taken(_)) => return Ok(None),
            Err(RunLockRefusal::Io(error)) => return Err(error),
        };
        let is_next = self.last(database).map(|last| last.at) == seen;
        let folder = StateFolder::open(&self.folder)?;
        Ok(is_next.then(|| CheckpointTurn { folder, name: name(database), _lock: lock }))
    }
}

fn name(database: &Path) -> String {
    let name = blake3::hash(database.as_os_str().as_encoded_bytes()).to_hex();
    format!("{}.json", &name[..32])
}

impl CheckpointTurn {
    /// Records the result of the checkpoint so far.
    ///
    /// # Errors
    ///
    /// The state directory is not writable.
    pub fn note(&self, last: &LastCheckpoint) -> io::Result<()> {
        self.folder.replace(OsStr::new(&self.name), &serde_json::to_vec(last)?)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;
    use crate::snapshot::CheckpointMode;

    #[test]
    fn of_all_who_saw_the_same_one_has_the_turn() {
        let dir = TempDir::new().expect("a folder");
        let ledger = ScheduleLedger::new(&Places::under(dir.path()));
        let database = Path::new("/srv/notes.db");
        assert_eq!(ledger.last(database), None);
        let turn = ledger.claim(database, None).expect("writable").expect("it is free");
        assert!(ledger.claim(database, None).expect("writable").is_none(), "somebody has it");
        assert!(ledger.claim(Path::new("/srv/b.db"), None).expect("writable").is_some(), "another one");
        let at = Timestamp::from_second(1_700_000_000).expect("a time");
        let begun = LastCheckpoint::started(at, CheckpointMode::Passive, None);
        turn.note(&begun).expect("written");
        drop(turn);
        assert_eq!(ledger.last(database), Some(begun));
        assert!(ledger.claim(database, None).expect("writable").is_none(), "somebody has had it");
        assert!(ledger.claim(database, Some(at)).expect("writable").is_some(), "the next one");
        fs::write(ledger.folder.join(name(database)), "{").expect("written");
        assert_eq!(ledger.last(database), None);
    }

    #[test]
    fn where_nothing_can_be_kept_there_is_no_turn() {
        let dir = TempDir::new().expect("a folder");
        fs::write(dir.path().join("checkpoints"), "in the way").expect("written");
        let ledger = ScheduleLedger::new(&Places::under(dir.path()));
        assert!(ledger.claim(Path::new("/srv/notes.db"), None).is_err());
    }
}
