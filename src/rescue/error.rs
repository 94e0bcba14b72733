use std::{io, path::PathBuf};

use crate::units;

/// Why nothing was copied, or not everything.
#[derive(Debug, thiserror::Error)]
pub enum RescueError {
    /// The named process does not exist.
    #[error("there is no process {pid}; name one that waltop status shows")]
    NoProcess { pid: i32 },
    /// This user may not read its descriptors.
    #[error(
        "no permission to read the descriptors of {pid}, which belongs to user {owner}; run as that user or as root"
    )]
    Hidden {
        pid: i32,
        /// User id of its owner.
        owner: String,
    },
    /// It has no file of the database open.
    #[error("{pid} has no file open that was {}; name the path as the process knew it", path.display())]
    NotOpen { pid: i32, path: PathBuf },
    /// None of its open files was deleted.
    #[error(
        "nothing that {pid} has open of {} was deleted; copy it with: waltop safe DB --for copy --to copy.db",
        path.display()
    )]
    NothingDeleted { pid: i32, path: PathBuf },
    /// There are several candidates.
    #[error("{pid} has several databases open that were {}; choose one with --inode: {list}", path.display())]
    Several {
        pid: i32,
        path: PathBuf,
        /// Each set of descriptors with its inodes.
        list: String,
    },
    /// The given inode belongs to none of them, or to several.
    #[error("no set of descriptors of {pid} is chosen by --inode {inode}; there are: {list}")]
    NoSuchInode {
        pid: i32,
        inode: u64,
        /// Each set of descriptors with its inodes.
        list: String,
    },
    /// No lock would keep the writer out.
    #[error("{why}: no lock stops {pid} from writing during the copy; give --freeze to stop it meanwhile")]
    NeedsFreeze { pid: i32, why: &'static str },
    /// Another process has the files open as well, and would write while one is stopped.
    #[error("{} also has the file open and would keep writing; stop it first", processes(pids))]
    Shared { pids: Vec<i32> },
    /// It is in a write that a copy could not roll back.
    #[error("{pid} writes without a journal file, at each of several moments; try again when it is idle")]
    AlwaysWrites { pid: i32 },
    /// It could not be stopped.
    #[error("cannot freeze {pid}: {why}")]
    NotFrozen { pid: i32, why: String },
    /// A lock was not available.
    #[error("could not get a read lock on {what} within {} s: {} holds it", patience_s, holder.map_or_else(|| "a process not visible from here".to_owned(), |pid| pid.to_string()))]
    Locked {
        what: &'static str,
        /// How long waltop tried.
        patience_s: u64,
        /// The process that has it; `None` if it is not visible.
        holder: Option<i32>,
    },
    /// A process has the database open in a way that a reader's lock does not protect a copy from.
    #[error(
        "{} has {} open without a lock on its -shm; stop it first, or copy with --pid and --freeze",
        processes(pids), path.display()
    )]
    InUse { pids: Vec<i32>, path: PathBuf },
    /// The files changed during the copy.
    #[error("the files changed while they were copied: {what}; try again")]
    Changed { what: String },
    /// The log has other frames than the index says.
    #[error("the index records {} in the log, but {} have valid checksums; --freeze copies the files as they are", units::plural((*expected).into(), "frame"), units::count((*found).into()))]
    Short { expected: u32, found: u32 },
    /// The path for the copy exists.
    #[error("{} exists; name a path where nothing is", path.display())]
    Exists { path: PathBuf },
    /// It is the path of the original, where its process still deletes files by name.
    #[error("{} is the path that {pid} still uses; name another for the copy", path.display())]
    SamePath { pid: i32, path: PathBuf },
    /// The folder for the copies is not empty.
    #[error("{} is not an empty folder; name one that is empty or does not exist", path.display())]
    NotEmpty { path: PathBuf },
    /// There is not enough disk space.
    #[error("the copy takes up to {}, and {} has {} free; name a path on another disk", units::bytes(*needed), path.display(), units::bytes(*free))]
    Space {
        /// The folder of the copy.
        path: PathBuf,
        /// The most bytes that are needed.
        needed: u64,
        free: u64,
    },
    #[error("stopped; the copy was removed")]
    Stopped,
    #[error("cannot {what}: {cause}")]
    Io {
        /// The operation, and its file.
        what: String,
        cause: io::Error,
    },
}

impl RescueError {
    /// An error of the operating system during `what`.
    pub fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |cause| Self::Io { what, cause }
    }
}

fn processes(pids: &[i32]) -> String {
    match pids {
        [] => "a process not visible from here".to_owned(),
        pids => pids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    }
}
