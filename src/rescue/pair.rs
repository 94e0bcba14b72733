//! Copies a database both with its log and without it, if the log may not belong to it.

use std::{
    fs::{self, DirBuilder, File, Metadata},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    CopiedBytes, IsStopped, RescueError, copy, held, journal, lock,
    process::{LiveFiles, committed, is_wal, live},
    target::{CopyTarget, has_room},
};
use crate::{
    file_format::{INDEX_BYTE, MAIN_LOCKS},
    observe::{
        files,
        lock_probe::{self, ProbeScope},
        sidecar,
    },
    paths::FileId,
};

const SHARE_PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub struct CopyPair {
    /// The main file, and beside it the log or journal that SQLite applies when the copy is opened.
    pub with_log: PathBuf,
    pub without_log: PathBuf,
    pub copied: CopiedBytes,
}

/// Copies the database whose main file is at `main`, without links in its path, to `with-log.db` and `without-log.db`
/// in `folder`, which is created or empty.
///
/// # Errors
///
/// The folder is not empty, a process uses the database in a way that no lock protects a copy from, there is no disk
/// space, or the user stops it. All parts of the copies are removed then.
pub fn with_and_without_log(
    proc: &Path,
    main: &Path,
    folder: &Path,
    is_stopped: IsStopped<'_>,
) -> Result<CopyPair, RescueError> {
    let is_new = make(folder)?;
    let made = copies(proc, main, folder, is_stopped);
    if made.is_err() && is_new {
        // It is empty again.
        let _ = fs::remove_dir(folder);
    }
    made
}

fn make(folder: &Path) -> Result<bool, RescueError> {
    match DirBuilder::new().mode(0o700).create(folder) {
        Ok(()) => Ok(true),
        Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => {
            // Not through a link, whose target may change.
            let is_folder = folder.symlink_metadata().is_ok_and(|it| it.is_dir());
            let is_empty =
                is_folder && fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none());
            if is_empty { Ok(false) } else { Err(RescueError::NotEmpty { path: folder.to_owned() }) }
        }
        Err(cause) => Err(RescueError::Io { what: format!("make the folder {}", folder.display()), cause }),
    }
}

fn copies(
    proc: &Path,
    main: &Path,
    folder: &Path,
    is_stopped: IsStopped<'_>,
) -> Result<CopyPair, RescueError> {
    let original = OriginalFiles::open(main)?;
    let room = copy::length(&original.main, "the main file")?;
    let log = original.log.as_ref().map_or(Ok(0), |log| copy::length(log, "the log"))?;
    has_room(folder, 2 * room + 2 * log)?;
    let mut with_log = CopyTarget::new(&folder.join("with-log.db"))?;
    let mut without_log = CopyTarget::new(&folder.join("without-log.db"))?;
    let copied = if original.has_index_user()? {
        let (Some(log), Some(index)) = (&original.log, &original.index) else {
            return Err(RescueError::Changed { what: "there is no -wal beside the -shm".to_owned() });
        };
        live(&LiveFiles { main: &original.main, log, index }, &mut with_log, is_stopped)?
    } else {
        original.at_rest(proc, main, &mut with_log, is_stopped)?
    };
    // The copy has no connection yet.
    let first = files::open(with_log.main()).map_err(RescueError::io("read the copy"))?;
    let second = without_log.create("")?;
    copy::bytes(&first, &second, copied.main_bytes, "the main file", is_stopped)?;
    second.sync_all().map_err(RescueError::io("write the copy"))?;
    Ok(CopyPair { with_log: with_log.keep(), without_log: without_log.keep(), copied })
}

/// The files, open for reading.
struct OriginalFiles {
    main: File,
    log: Option<File>,
    index: Option<File>,
    journal: Option<File>,
}

impl OriginalFiles {
    fn open(main: &Path) -> Result<Self, RescueError> {
        let open = |suffix: &str| {
            let path = sidecar(main, suffix);
            match files::open(&path) {
                Ok(file) => Ok(Some(file)),
                Err(error) if error.kind() == io::ErrorKind::NotFound && !suffix.is_empty() => Ok(None),
                Err(cause) => Err(RescueError::Io { what: format!("read {}", path.display()), cause }),
            }
        };
        let missing = || RescueError::io(format!("read {}", main.display()))(io::ErrorKind::NotFound.into());
        Ok(Self {
            main: open("")?.ok_or_else(missing)?,
            log: open("-wal")?,
            index: open("-shm")?,
            journal: open("-journal")?,
        })
    }

    // Whether a process holds the byte of the index that each process with the index open holds.
    fn has_index_user(&self) -> Result<bool, RescueError> {
        let Some(index) = &self.index else { return Ok(false) };
        let holder = lock_probe::ask(index, ProbeScope::Anybody, INDEX_BYTE..=INDEX_BYTE);
        Ok(holder.map_err(RescueError::io("ask for locks on -shm"))?.is_some())
    }

    fn files(&self) -> Result<Vec<Metadata>, RescueError> {
        let all = [Some(&self.main), self.log.as_ref(), self.index.as_ref(), self.journal.as_ref()];
        let all = all.into_iter().flatten().map(File::metadata);
        all.collect::<io::Result<_>>().map_err(RescueError::io("examine the files"))
    }

    // Copies files whose log no process uses. The lock keeps a process with a rollback journal from writing to the main
    // file, and the last connection of one with a log from checkpointing it.
    fn at_rest(
        &self,
        proc: &Path,
        main: &Path,
        target: &mut CopyTarget,
        is_stopped: IsStopped<'_>,
    ) -> Result<CopiedBytes, RescueError> {
        // Check before locking, because the own lock would be in the result.
        if is_wal(&self.main) || self.log.is_some() {
            let ids: Vec<FileId> = self.files()?.iter().map(FileId::of).collect();
            let pids = held::openers(proc, &ids);
            if !pids.is_empty() || self.is_locked()? {
                return Err(RescueError::InUse { pids, path: main.to_owned() });
            }
        }
        lock::share(&self.main, SHARE_PATIENCE, is_stopped)?;
        let before = self.files()?;
        // While a process is in a transaction, its journal rolls back what is not in the main file yet.
        let is_writing =
            lock::is_written(&self.main, MAIN_LOCKS).map_err(RescueError::io("ask for locks"))?;
        let hot = match &self.journal {
            Some(journal) if !is_writing => journal::hot_bytes(journal)?,
            _ => 0,
        };
        let copied = self.copy(target, hot, is_stopped)?;
        if self.has_index_user()? || !is_unchanged(&before, &self.files()?) || !self.is_at(main)? {
            return Err(RescueError::Changed { what: "a process opened the database".to_owned() });
        }
        Ok(copied)
    }

    fn is_locked(&self) -> Result<bool, RescueError> {
        let holder = lock_probe::ask(&self.main, ProbeScope::Anybody, MAIN_LOCKS);
        Ok(holder.map_err(RescueError::io("ask for locks on the main file"))?.is_some())
    }

    fn copy(
        &self,
        target: &mut CopyTarget,
        hot: u64,
        is_stopped: IsStopped<'_>,
    ) -> Result<CopiedBytes, RescueError> {
        let main_bytes = copy::length(&self.main, "the main file")?;
        let main_copy = target.create("")?;
        copy::bytes(&self.main, &main_copy, main_bytes, "the main file", is_stopped)?;
        let mut copied = CopiedBytes { main_bytes, journal_bytes: hot, ..CopiedBytes::default() };
        let mut written = vec![main_copy];
        let log_bytes = self.log.as_ref().map_or(Ok(0), |log| copy::length(log, "the log"))?;
        if let Some(log) = self.log.as_ref().filter(|_| log_bytes > 0) {
            let copy = target.create("-wal")?;
            copy::bytes(log, &copy, log_bytes, "the log", is_stopped)?;
            copied.frames = committed(&copy)?;
            written.push(copy);
        }
        if let Some(journal) = self.journal.as_ref().filter(|_| hot > 0) {
            let copy = target.create("-journal")?;
            copy::bytes(journal, &copy, hot, "the rollback journal", is_stopped)?;
            written.push(copy);
        }
        for copy in written {
            copy.sync_all().map_err(RescueError::io("write the copy"))?;
        }
        Ok(copied)
    }

    // Whether the files that were copied are still those at the path.
    fn is_at(&self, main: &Path) -> Result<bool, RescueError> {
        let files = [
            ("", Some(&self.main)),
            ("-wal", self.log.as_ref()),
            ("-shm", self.index.as_ref()),
            ("-journal", self.journal.as_ref()),
        ];
        for (suffix, file) in files {
            let ours = file.map(File::metadata).transpose().map_err(RescueError::io("examine the files"))?;
            if FileId::at(&sidecar(main, suffix)) != ours.as_ref().map(FileId::of) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn is_unchanged(before: &[Metadata], after: &[Metadata]) -> bool {
    let seen = |it: &Metadata| (it.len(), it.mtime(), it.mtime_nsec());
    before.iter().map(seen).eq(after.iter().map(seen))
}
