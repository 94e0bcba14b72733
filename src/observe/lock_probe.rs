//! `F_GETLK`: asks the kernel for one holder of a byte range, and takes no lock.
//!
//! It sees holders that `/proc/locks` omits (another PID namespace: PID 0; an open-file-description lock: PID -1), and
//! it is cheap enough for hundreds of calls per second.

use std::{fs::File, io, mem::ManuallyDrop, ops::RangeInclusive, path::Path};

use rustix::process::{Flock, FlockType};

use crate::file_format::INDEX_BYTE;
use crate::observe::{
    files::{self, FileSighting},
    lock_table::LockRow,
};

/// The kinds of holders that an answer may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbeScope {
    /// Those that exclude others. A reader's short probe of an exclusive byte is none.
    Writers,
    Anybody,
}

/// A conflicting lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockObstacle {
    /// `None`: the process is not visible from this namespace.
    pub pid: Option<i32>,
    pub is_write: bool,
    pub bytes: RangeInclusive<u64>,
}

/// One lock on `bytes` of `file`, if there is any. Never one of this process.
///
/// # Errors
///
/// If the kernel does not answer.
pub fn ask(file: &File, who: ProbeScope, bytes: RangeInclusive<u64>) -> io::Result<Option<LockObstacle>> {
    let kind = match who {
        ProbeScope::Writers => FlockType::ReadLock,
        ProbeScope::Anybody => FlockType::WriteLock,
    };
    let query = Flock { start: *bytes.start(), length: bytes.end() - bytes.start() + 1, ..Flock::from(kind) };
    let answer = rustix::process::fcntl_getlk(file, &query)?;
    Ok(answer.map(|lock| LockObstacle {
        pid: lock.pid.map(|pid| pid.as_raw_nonzero().get()).filter(|&pid| pid > 0),
        is_write: lock.typ == FlockType::WriteLock,
        // A length of 0 means to the end.
        bytes: lock.start..=if lock.length == 0 { u64::MAX } else { lock.start + lock.length - 1 },
    }))
}

/// Whether another process holds byte 128 of the `-shm` at `index`, as every process with the index open does. The
/// descriptor stays open until this process exits: closing it would drop the locks of a connection that this process
/// may have. It is therefore only for workers, which exit soon.
///
/// # Errors
///
/// If the file cannot be opened, or the kernel does not answer.
pub fn is_index_held(index: &Path) -> io::Result<bool> {
    let file = ManuallyDrop::new(files::open(index)?);
    Ok(ask(&file, ProbeScope::Anybody, INDEX_BYTE..=INDEX_BYTE)?.is_some())
}

/// How complete the lock table is for a file, compared with the kernel's answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockTableView {
    /// There are no locks to show.
    Empty,
    /// Every holder visible from this namespace has a row.
    Complete,
    /// The kernel names a visible process, and the file has no row at all: the table lists this file under another
    /// device, or the lock was taken after the table was read.
    Lacks,
}

/// Adds to `rows` the holders of `places` in `file` without a row there, and reports whether rows are missing that
/// should be there.
///
/// # Errors
///
/// If the kernel does not answer.
pub fn complete(
    rows: &mut Vec<LockRow>,
    file: &File,
    sight: &FileSighting,
    places: &[(ProbeScope, RangeInclusive<u64>)],
) -> io::Result<LockTableView> {
    // An existing row proves that the table lists this file: a missing one was taken later.
    let is_proved = !rows.is_empty();
    let mut table = if is_proved { LockTableView::Complete } else { LockTableView::Empty };
    for (who, bytes) in places {
        let is_known =
            rows.iter().any(|row| row.overlaps(bytes) && (row.is_write || *who == ProbeScope::Anybody));
        if is_known {
            continue;
        }
        if let Some(obstacle) = ask(file, *who, bytes.clone())? {
            if obstacle.pid.is_some() && !is_proved {
                table = LockTableView::Lacks;
            }
            rows.push(LockRow {
                pid: obstacle.pid,
                is_ofd: false,
                is_write: obstacle.is_write,
                device: sight.lock_device,
                inode: sight.id.inode,
                bytes: obstacle.bytes,
            });
        }
    }
    Ok(table)
}

#[cfg(all(test, target_os = "linux"))]
pub(super) mod tests {
    use std::{
        io::Read,
        process::{Command, Stdio},
    };

    use nix::{
        fcntl::{FcntlArg, fcntl},
        libc,
    };

    use super::*;
    use crate::observe::proc::mounts::MountTable;

    /// Locks the first byte, says so, and waits.
    const HOLDER: &str = "import fcntl, sys; file = open(sys.argv[1], 'r+b'); \
                          fcntl.lockf(file, fcntl.LOCK_EX, 1, 0); sys.stdout.write('!'); sys.stdout.flush(); \
                          sys.stdin.read()";

    /// Opens the file at `path` and locks `bytes` of it for writing until the descriptor is closed: an
    /// open-file-description lock, which for the kernel is not one of this process.
    pub fn lock(path: &Path, bytes: &RangeInclusive<u64>) -> File {
        let file = File::options().read(true).write(true).open(path).expect("it is there");
        let place = |byte: u64| libc::off_t::try_from(byte).expect("an offset");
        let lock = libc::flock {
            l_type: i16::try_from(libc::F_WRLCK).expect("short"),
            l_whence: i16::try_from(libc::SEEK_SET).expect("short"),
            l_start: place(*bytes.start()),
            l_len: place(bytes.end() - bytes.start() + 1),
            l_pid: 0,
        };
        fcntl(&file, FcntlArg::F_OFD_SETLK(&lock)).expect("it is free");
        file
    }

    #[test]
    fn an_index_is_held_by_others_and_never_by_this_process() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let path = folder.path().join("x.db-shm");
        std::fs::write(&path, [0; 200]).expect("written");
        let holder = "import fcntl, sys; file = open(sys.argv[1], 'r+b'); \
                      fcntl.lockf(file, fcntl.LOCK_SH, 1, 128); print('!', end='', flush=True); sys.stdin.read()";
        let mut python = Command::new("python3");
        let python = python.args(["-c", holder]).arg(&path).stdin(Stdio::piped()).stdout(Stdio::piped());
        assert!(!is_index_held(&path).expect("an answer"));
        let Ok(mut holder) = python.spawn() else {
            eprintln!("not tested: there is no python3");
            return;
        };
        holder.stdout.take().expect("a pipe").read_exact(&mut [0]).expect("it has the lock");
        assert!(is_index_held(&path).expect("an answer"));
        drop(holder.stdin.take());
        holder.wait().expect("it ends");
        assert!(!is_index_held(&path).expect("an answer"));
    }

    #[test]
    fn a_row_that_was_found_proves_that_the_table_has_the_file() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let path = folder.path().join("locked");
        std::fs::write(&path, "12345678").expect("written");
        let mut python = Command::new("python3");
        let python = python.args(["-c", HOLDER]).arg(&path).stdin(Stdio::piped()).stdout(Stdio::piped());
        let Ok(mut holder) = python.spawn() else {
            eprintln!("not tested: there is no python3");
            return;
        };
        let mut word = [0];
        holder.stdout.take().expect("a pipe").read_exact(&mut word).expect("it has the lock");
        let file = files::open(&path).expect("it is there");
        let sight = files::read_files(&path, &path, &MountTable::read("/proc".as_ref()))
            .expect("it can be seen")
            .expect("there");
        let places = [(ProbeScope::Writers, 0..=0)];
        let mut rows = Vec::new();
        assert_eq!(complete(&mut rows, &file, &sight, &places).expect("an answer"), LockTableView::Lacks);
        assert_eq!(rows.len(), 1);
        let elsewhere = LockRow { bytes: 4..=4, ..rows.remove(0) };
        let mut rows = vec![elsewhere];
        assert_eq!(complete(&mut rows, &file, &sight, &places).expect("an answer"), LockTableView::Complete);
        assert_eq!(rows.len(), 2, "the lock is told all the same");
        drop(holder.stdin.take());
        holder.wait().expect("it ends");
    }

    #[test]
    fn only_a_lock_on_the_bytes_of_the_question_is_an_obstacle() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let asked = files::open(file.path()).expect("it is there");
        let found = |bytes| ask(&asked, ProbeScope::Anybody, bytes).expect("an answer");
        let hold = lock(file.path(), &(130..=131));
        assert_eq!([120..=129, 132..=140].map(found), [None, None]);
        for bytes in [130..=130, 131..=131, 120..=130, 131..=140] {
            let obstacle = found(bytes.clone()).expect("an obstacle");
            assert_eq!(
                (obstacle.bytes, obstacle.is_write, obstacle.pid),
                (130..=131, true, None),
                "{bytes:?}"
            );
        }
        drop(hold);
        let _rest = lock(file.path(), &(130..=i64::MAX.unsigned_abs()));
        assert_eq!(found(500..=500).map(|it| it.bytes), Some(130..=u64::MAX), "up to the end");
    }

    #[test]
    fn a_holder_is_added_unless_a_row_shows_one_of_its_kind() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let sight = files::read_files(file.path(), file.path(), &MountTable::read("/proc".as_ref()))
            .expect("it can be seen")
            .expect("there");
        let asked = files::open(file.path()).expect("it is there");
        let row = |is_write, bytes| LockRow {
            pid: Some(70),
            is_ofd: false,
            is_write,
            device: sight.lock_device,
            inode: sight.id.inode,
            bytes,
        };
        let _hold = lock(file.path(), &(120..=120));
        let added = |rows: &[LockRow], who| {
            let mut all = rows.to_vec();
            let table = complete(&mut all, &asked, &sight, &[(who, 120..=120)]).expect("an answer");
            (all.len() - rows.len(), table)
        };
        let (empty, complete) = (LockTableView::Empty, LockTableView::Complete);
        for who in [ProbeScope::Writers, ProbeScope::Anybody] {
            assert_eq!(added(&[], who), (1, empty), "no process is named, so that the table lacks none");
            assert_eq!(added(&[row(true, 120..=120)], who), (0, complete));
            assert_eq!(added(&[row(true, 121..=121)], who), (1, complete));
        }
        assert_eq!(added(&[row(false, 120..=120)], ProbeScope::Anybody), (0, complete));
        assert_eq!(added(&[row(false, 120..=120)], ProbeScope::Writers), (1, complete), "it hides a writer");
    }
}
