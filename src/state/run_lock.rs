//! At most one run, and one watch, per folder and database.

use std::{
    fs::{self, File},
    io::{self, Read, Seek, Write},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use rustix::fs::{FlockOperation, flock};

use crate::{
    paths::FileId,
    state::{
        folder::{self, StateFolder},
        journal,
    },
};

/// The kernel's lock on a small file in the runs folder; the kernel releases it even if the process is killed. The file
/// starts with the PID of its holder. A run that ends well removes it: an existing file without a lock is from a run
/// that did not.
#[derive(Debug)]
pub struct RunLock {
    path: PathBuf,
    // Closing it releases the lock.
    file: File,
    left_by: Vec<i32>,
    end: LockedOutcome,
}

/// How the locked job ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LockedOutcome {
    Good,
    Bad,
}

/// The PIDs that a lock's file keeps: that many consecutive runs did not end.
const KEPT: usize = 16;

/// The most bytes of a lock's file that are read.
const LARGEST: u64 = 1 << 10;

/// A job that runs at most once at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExclusiveJob {
    Run,
    /// A watch, also between its runs.
    Watch,
}

impl ExclusiveJob {
    fn extension(self) -> &'static str {
        match self {
            Self::Run => "lock",
            Self::Watch => journal::WATCH_EXTENSION,
        }
    }
}

/// Why the lock is unavailable.
#[derive(Debug)]
pub enum RunLockRefusal {
    /// Another run has it; `None` if its PID is not in the file.
    Taken(Option<i32>),
    /// The file cannot be created.
    Io(io::Error),
}

impl From<io::Error> for RunLockRefusal {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl RunLock {
    /// Locks `only` for `folder` and `database`, both absolute and without symbolic links, with the file in `runs`.
    ///
    /// # Errors
    ///
    /// Another run has it, or the file cannot be created.
    pub fn acquire(
        only: ExclusiveJob,
        runs: &Path,
        database: &Path,
        folder: &Path,
    ) -> Result<Self, RunLockRefusal> {
        let runs = StateFolder::make(runs)?;
        let mut hasher = blake3::Hasher::new();
        for path in [database, folder] {
            hasher.update(path.as_os_str().as_encoded_bytes());
            hasher.update(&[0]);
        }
        let path = runs.path().join(format!("{}.{}", &hasher.finalize().to_hex()[..32], only.extension()));
        loop {
            let mut options = folder::options();
            let mut file = options.read(true).write(true).create(true).truncate(false).open(&path)?;
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {}
                Err(rustix::io::Errno::WOULDBLOCK) => return Err(RunLockRefusal::Taken(holder(&mut file)?)),
                Err(error) => return Err(RunLockRefusal::Io(error.into())),
            }
            // The previous run deletes the file when it ends: a lock on a deleted file keeps no process out.
            let still_there = fs::symlink_metadata(&path).is_ok_and(|there| same_file(&file, &there));
            if still_there {
                let left_by = if only == ExclusiveJob::Run { pids(&mut file)? } else { Vec::new() };
                let lines: String = left_by
                    .iter()
                    .take(KEPT - 1)
                    .fold(format!("{}\n", std::process::id()), |lines, pid| lines + &format!("{pid}\n"));
                // The old content is removed only after the new content is written.
                file.rewind()?;
                file.write_all(lines.as_bytes())?;
                file.set_len(lines.len() as u64)?;
                return Ok(Self { path, file, left_by, end: LockedOutcome::Good });
            }
        }
    }

    /// The processes of earlier runs that did not end well, the latest first; a run that ends well clears them.
    pub fn left_by(&self) -> &[i32] {
        &self.left_by
    }

    /// Leaves the file there, for the next run, until [`RunLock::ended_well`] is called.
    pub fn ended_badly(&mut self) {
        self.end = LockedOutcome::Bad;
    }

    /// Deletes the file together with the lock, which is the default.
    pub fn ended_well(&mut self) {
        self.end = LockedOutcome::Good;
    }

    /// Writes `line` after the PID, for readers of the file.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    pub fn write_line(&mut self, line: &str) -> io::Result<()> {
        writeln!(self.file, "{line}")
    }
}

impl Drop for RunLock {
    fn drop(&mut self) {
        if self.end == LockedOutcome::Bad || thread::panicking() {
            return;
        }
        // The next run takes over a file that stays.
        let _ = fs::remove_file(&self.path);
    }
}

fn same_file(file: &File, there: &fs::Metadata) -> bool {
    file.metadata().is_ok_and(|here| FileId::of(&here) == FileId::of(there))
}

/// The PIDs in a lock file, one per line.
fn pids(file: &mut File) -> io::Result<Vec<i32>> {
    let mut text = Vec::new();
    file.take(LARGEST).read_to_end(&mut text)?;
    Ok(String::from_utf8_lossy(&text).lines().filter_map(|line| line.parse().ok()).collect())
}

/// The PID in the lock file. Its holder writes it just after it got the lock, so it may be missing for a moment.
fn holder(file: &mut File) -> io::Result<Option<i32>> {
    for _ in 0..20 {
        let mut text = Vec::new();
        file.rewind()?;
        file.take(LARGEST).read_to_end(&mut text)?;
        let first =
            text.split_inclusive(|&byte| byte == b'\n').next().and_then(|line| line.strip_suffix(b"\n"));
        if let Some(pid) = first.and_then(|line| str::from_utf8(line).ok()?.parse().ok()) {
            return Ok(Some(pid));
        }
        thread::sleep(Duration::from_millis(5));
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use tempfile::TempDir;

    use super::*;

    #[test]
    fn the_second_is_refused_with_the_pid_of_the_first_until_that_is_gone() {
        let dir = TempDir::new().expect("a folder");
        let runs = dir.path().join("state/runs");
        let take =
            |folder: &str| RunLock::acquire(ExclusiveJob::Run, &runs, Path::new("/x.db"), Path::new(folder));
        let first = take("/a").expect("it is free");
        let own = i32::try_from(std::process::id()).expect("a PID fits");
        assert!(matches!(take("/a"), Err(RunLockRefusal::Taken(Some(pid))) if pid == own));
        drop(take("/b").expect("another folder is free"));
        let mut watch = RunLock::acquire(ExclusiveJob::Watch, &runs, Path::new("/x.db"), Path::new("/a"))
            .expect("it is free");
        watch.write_line("{}").expect("a line");
        let again = RunLock::acquire(ExclusiveJob::Watch, &runs, Path::new("/x.db"), Path::new("/a"));
        assert!(matches!(again, Err(RunLockRefusal::Taken(Some(pid))) if pid == own));
        drop(watch);
        drop(first);
        drop(take("/a").expect("it is free again"));
        assert_eq!(fs::read_dir(&runs).expect("the folder").count(), 0);
        assert_eq!(fs::metadata(&runs).expect("the folder").permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_file_that_a_killed_run_left_is_taken_over() {
        let dir = TempDir::new().expect("a folder");
        let take = || RunLock::acquire(ExclusiveJob::Run, dir.path(), Path::new("/x.db"), Path::new("/a"));
        let lock = take().expect("it is free");
        let path = lock.path.clone();
        drop(lock);
        fs::write(&path, "999999999\n").expect("a file");
        let mut lock = take().expect("nobody has it");
        let own = std::process::id();
        assert_eq!(fs::read_to_string(&path).expect("the file"), format!("{own}\n999999999\n"));
        assert_eq!(lock.left_by(), [999_999_999]);
        lock.ended_badly();
        drop(lock);
        let lock = take().expect("nobody has it");
        assert_eq!(lock.left_by(), [own.cast_signed(), 999_999_999]);
        drop(lock);
        assert!(take().expect("nobody has it").left_by().is_empty(), "that one came to a good end");
        fs::write(&path, "1\n".repeat(500)).expect("a file");
        drop(take().map(|mut lock| lock.ended_badly()));
        assert_eq!(fs::read_to_string(&path).expect("the file").lines().count(), KEPT);
    }
}
