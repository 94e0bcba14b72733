//! Copies a database from the process that has it open.

use std::{
    fs::File,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use super::{
    CopiedBytes, HeldFiles, IsStopped, RescueError, choose, copy,
    freeze::FrozenProcess,
    held, journal, lock, sets,
    target::{CopyTarget, has_room},
};
use crate::{
    file_format::{MAIN_LOCKS, READ0_BYTE, SHARED_BYTES},
    observe::{
        self, header,
        wal::{self, LogHeader},
        wal_index::{self, WalIndex},
    },
    snapshot::JournalMode,
};

/// How long to wait for a checkpoint that copies pages.
const CHECKPOINT_PATIENCE: Duration = Duration::from_secs(10);
/// How long to wait for a process that holds the whole main file: for one commit, or permanently.
const SHARE_PATIENCE: Duration = Duration::from_secs(2);
/// How often a copy is started again because the log restarted during it.
const TRIES: u32 = 3;
/// How long to wait for a moment between two writes of a process that keeps no journal file.
const IDLE_PATIENCE: Duration = Duration::from_secs(10);
const IDLE_PAUSE: Duration = Duration::from_millis(50);

/// What to copy.
#[derive(Debug, Clone)]
pub struct RescueRequest<'a> {
    /// The `/proc` with the process.
    pub proc: &'a Path,
    pub pid: i32,
    /// When it started, in clock ticks since boot.
    pub start_ticks: u64,
    /// The path of the database, without links in it.
    pub path: &'a Path,
    /// An inode of the wanted set of descriptors, if there are several.
    pub inode: Option<u64>,
    /// Whether the process may be stopped meanwhile.
    pub may_freeze: bool,
}

/// When `pid` started; PID and start identify the process to copy from.
///
/// # Errors
///
/// There is no such process.
pub fn start_of(proc: &Path, pid: i32) -> Result<u64, RescueError> {
    observe::process_start(proc, pid).ok_or(RescueError::NoProcess { pid })
}

/// Copies the database of `request` to `to` and the files beside it, which SQLite applies when the copy is opened.
///
/// If there is an index, a reader's locks keep the main file unchanged while other processes commit. Without one, and
/// only if `request` allows it, the process is stopped.
///
/// # Errors
///
/// There is nothing to copy or no place for it, a lock is unavailable, or the user stops it. All parts of the copy are
/// removed then.
pub fn from_process(
    request: &RescueRequest<'_>,
    to: &Path,
    is_stopped: IsStopped<'_>,
) -> Result<(PathBuf, CopiedBytes), RescueError> {
    let mut target = CopyTarget::new(to)?;
    if target.main() == request.path {
        return Err(RescueError::SamePath { pid: request.pid, path: to.to_owned() });
    }
    let found = sets(request.proc, request.pid, request.path)?;
    let set = choose(&found, request.pid, request.path, request.inode)?;
    let copied = if request.may_freeze {
        frozen(request, &set, &mut target, is_stopped)?
    } else {
        under_lock(request, &set, &mut target, is_stopped)?
    };
    if observe::process_start(request.proc, request.pid).is_some_and(|it| it != request.start_ticks) {
        return Err(RescueError::NoProcess { pid: request.pid });
    }
    Ok((target.keep(), copied))
}

fn under_lock(
    request: &RescueRequest<'_>,
    set: &HeldFiles,
    target: &mut CopyTarget,
    is_stopped: IsStopped<'_>,
) -> Result<CopiedBytes, RescueError> {
    let pid = request.pid;
    let (Some(index), Some(log)) = (&set.index, &set.log) else {
        return Err(RescueError::NeedsFreeze { pid, why: "there is no -shm" });
    };
    let open = |file| held::open(request.proc, pid, file);
    let (main, log, index) = (open(&set.main)?, open(log)?, open(index)?);
    live(&LiveFiles { main: &main, log: &log, index: &index }, target, is_stopped).map_err(
        |error| match error {
            RescueError::Locked { holder: Some(holder), what: "the main file", .. } if holder == pid => {
                RescueError::NeedsFreeze {
                    pid,
                    why: "it holds the whole file, as locking_mode=EXCLUSIVE does",
                }
            }
            other => other,
        },
    )
}

/// The files of a database in WAL mode that processes use.
pub struct LiveFiles<'a> {
    pub main: &'a File,
    pub log: &'a File,
    pub index: &'a File,
}

/// Copies a database in WAL mode while other processes write to it. A lock on the main file keeps the last connection
/// from checkpointing the log when it closes (`sqlite3WalClose`), and READ0 blocks checkpoints. So the main file stays
/// unchanged, and so do the frames that are not in it.
///
/// # Errors
///
/// A lock is unavailable, there is no disk space, or the log and the index contradict each other.
pub fn live(
    files: &LiveFiles<'_>,
    target: &mut CopyTarget,
    is_stopped: IsStopped<'_>,
) -> Result<CopiedBytes, RescueError> {
    lock::wait_for(files.main, &SHARED_BYTES, "the main file", SHARE_PATIENCE, is_stopped)?;
    lock::wait_for(
        files.index,
        &(READ0_BYTE..=READ0_BYTE),
        "byte 123 of -shm",
        CHECKPOINT_PATIENCE,
        is_stopped,
    )?;
    let (main_copy, log_copy) = (target.create("")?, target.create("-wal")?);
    let mut last = RescueError::Changed { what: "the log was restarted".to_owned() };
    for _ in 0..TRIES {
        let before = index_of(files.index)?;
        let main_bytes = copy::length(files.main, "the main file")?;
        let log_bytes = log_bytes(&before);
        // In the end the log is checkpointed into the main file of the copy.
        has_room(target.folder(), main_bytes + 2 * log_bytes)?;
        copy::bytes(files.main, &main_copy, main_bytes, "the main file", is_stopped)?;
        match copy_log(files.log, &log_copy, &before, is_stopped) {
            Ok(()) => {}
            Err(RescueError::Stopped) => return Err(RescueError::Stopped),
            Err(error) => {
                last = error;
                continue;
            }
        }
        if is_same(&before, &index_of(files.index)?) {
            for copy in [main_copy, log_copy] {
                copy.sync_all().map_err(RescueError::io("write the copy"))?;
            }
            let moved = Some(before.backfilled);
            return Ok(CopiedBytes {
                main_bytes,
                frames: before.frames,
                frames_moved: moved,
                ..CopiedBytes::default()
            });
        }
        last = RescueError::Changed { what: "the log was restarted".to_owned() };
    }
    Err(last)
}

fn index_of(index: &File) -> Result<WalIndex, RescueError> {
    wal_index::read(index).map_err(RescueError::io("read -shm"))
}

// If all frames are in the main file, they need no copy; their log may be restarted at any time.
fn log_bytes(index: &WalIndex) -> u64 {
    if index.frames > index.backfilled { wal::bytes_of(index.frames, index.page_size) } else { 0 }
}

fn copy_log(log: &File, copy: &File, index: &WalIndex, is_stopped: IsStopped<'_>) -> Result<(), RescueError> {
    let bytes = log_bytes(index);
    copy::bytes(log, copy, bytes, "the log", is_stopped)?;
    if bytes == 0 {
        return Ok(());
    }
    let found = committed(copy)?;
    let is_of_index = LogHeader::read(copy)
        .map_err(RescueError::io("read the copy"))?
        .is_some_and(|header| header.salts() == index.salts && header.page_size == index.page_size);
    let found = if is_of_index { found } else { 0 };
    if found == index.frames { Ok(()) } else { Err(RescueError::Short { expected: index.frames, found }) }
}

/// The committed frames of a log, by its checksums.
///
/// # Errors
///
/// It cannot be read.
pub fn committed(log: &File) -> Result<u32, RescueError> {
    let failed = || RescueError::io("read the copy of the log");
    let Some(header) = LogHeader::read(log).map_err(failed())? else { return Ok(0) };
    let mut counter = wal::FrameCounter::default();
    loop {
        let committed = counter.count(log, header).map_err(failed())?;
        if committed.is_complete {
            return Ok(committed.frames);
        }
    }
}

// The main file was not written to, and the index still describes the copied frames. A log whose frames were all in the
// main file may have restarted, because none of it was copied.
fn is_same(before: &WalIndex, after: &WalIndex) -> bool {
    if before.salts == after.salts {
        return before.backfilled == after.backfilled;
    }
    log_bytes(before) == 0 && after.backfilled == 0
}

fn frozen(
    request: &RescueRequest<'_>,
    set: &HeldFiles,
    target: &mut CopyTarget,
    is_stopped: IsStopped<'_>,
) -> Result<CopiedBytes, RescueError> {
    let begun = Instant::now();
    loop {
        let stopped = FrozenProcess::stop(request.proc, request.pid, request.start_ticks)?;
        // Its descriptors are final from now on: a journal lasts as long as its transaction.
        let found = sets(request.proc, request.pid, request.path)?;
        let inode = request.inode.unwrap_or_else(|| set.log.map_or(set.main.id.inode, |log| log.id.inode));
        let set = choose(&found, request.pid, request.path, Some(inode))?;
        let others = held::openers(request.proc, &[set.main.id]);
        let others: Vec<i32> = others.into_iter().filter(|&pid| pid != request.pid).collect();
        if !others.is_empty() {
            return Err(RescueError::Shared { pids: others });
        }
        let main = held::open(request.proc, request.pid, &set.main)?;
        let is_writing = lock::is_written(&main, MAIN_LOCKS).map_err(RescueError::io("ask for locks"))?;
        if !is_writing || set.log.is_some() || set.journal.is_some() {
            return as_it_is(request, &set, &main, target, is_stopped);
        }
        drop(stopped);
        if begun.elapsed() >= IDLE_PATIENCE {
            return Err(RescueError::AlwaysWrites { pid: request.pid });
        }
        if is_stopped() {
            return Err(RescueError::Stopped);
        }
        thread::sleep(IDLE_PAUSE);
    }
}

// SQLite recovers a log to its last commit, and rolls a journal back.
fn as_it_is(
    request: &RescueRequest<'_>,
    set: &HeldFiles,
    main: &File,
    target: &mut CopyTarget,
    is_stopped: IsStopped<'_>,
) -> Result<CopiedBytes, RescueError> {
    let open = |file| held::open(request.proc, request.pid, file);
    let log = set.log.as_ref().map(open).transpose()?;
    let journal = set.journal.as_ref().map(open).transpose()?;
    let main_bytes = copy::length(main, "the main file")?;
    let log_bytes = log.as_ref().map_or(Ok(0), |log| copy::length(log, "the log"))?;
    // Beside a log no journal counts.
    let journal_bytes = match &journal {
        Some(journal) if !is_wal(main) => journal::hot_bytes(journal)?,
        _ => 0,
    };
    has_room(target.folder(), main_bytes + 2 * log_bytes + journal_bytes)?;
    let main_copy = target.create("")?;
    copy::bytes(main, &main_copy, main_bytes, "the main file", is_stopped)?;
    let mut copied = CopiedBytes { main_bytes, journal_bytes, frozen: true, ..CopiedBytes::default() };
    let mut written = vec![main_copy];
    if let Some(log) = log.filter(|_| log_bytes > 0) {
        let copy = target.create("-wal")?;
        copy::bytes(&log, &copy, log_bytes, "the log", is_stopped)?;
        copied.frames = committed(&copy)?;
        written.push(copy);
    }
    if let Some(journal) = journal.filter(|_| journal_bytes > 0) {
        let copy = target.create("-journal")?;
        copy::bytes(&journal, &copy, journal_bytes, "the rollback journal", is_stopped)?;
        written.push(copy);
    }
    for copy in written {
        copy.sync_all().map_err(RescueError::io("write the copy"))?;
    }
    Ok(copied)
}

/// Whether the header of the main file says that it is in WAL mode.
pub fn is_wal(main: &File) -> bool {
    header::read(main).is_ok_and(|header| header.is_some_and(|it| it.journal_mode == JournalMode::Wal))
}
