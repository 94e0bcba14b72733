//! A reader's locks, on a descriptor that is open for reading.
//!
//! They are open-file-description locks (`fcntl_locking(2)`): closing that descriptor releases them, and no other close
//! in this process does. They conflict with SQLite's POSIX locks as usual.

use std::{
    fs::File,
    io,
    ops::RangeInclusive,
    thread,
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    fcntl::{FcntlArg, fcntl},
    libc,
};

use super::{IsStopped, RescueError};
use crate::file_format::{PENDING_BYTE, SHARED_BYTES};
use crate::observe::lock_probe::{self, ProbeScope};

const PAUSE: Duration = Duration::from_millis(2);

/// Takes or releases the lock; `false` if another process holds a conflicting one.
///
/// # Errors
///
/// The kernel fails.
fn set(file: &File, kind: i32, bytes: &RangeInclusive<u64>) -> io::Result<bool> {
    let place = |byte: u64| libc::off_t::try_from(byte).unwrap_or(libc::off_t::MAX);
    let lock = libc::flock {
        l_type: i16::try_from(kind).unwrap_or_default(),
        l_whence: i16::try_from(libc::SEEK_SET).unwrap_or_default(),
        l_start: place(*bytes.start()),
        l_len: place(bytes.end() - bytes.start() + 1),
        // Has to be 0 for a lock of this kind.
        l_pid: 0,
    };
    match fcntl(file, FcntlArg::F_OFD_SETLK(&lock)) {
        Ok(_) => Ok(true),
        Err(Errno::EAGAIN | Errno::EACCES) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Takes a read lock on `bytes` of `file`, and tries for `patience`. Closing the descriptor releases it.
///
/// # Errors
///
/// Another process holds it for writing all that time, or the user stops it.
pub fn wait_for(
    file: &File,
    bytes: &RangeInclusive<u64>,
    what: &'static str,
    patience: Duration,
    is_stopped: IsStopped<'_>,
) -> Result<(), RescueError> {
    let begun = Instant::now();
    while !set(file, libc::F_RDLCK, bytes).map_err(RescueError::io(format!("lock {what}")))? {
        if is_stopped() {
            return Err(RescueError::Stopped);
        }
        if begun.elapsed() >= patience {
            let holder = lock_probe::ask(file, ProbeScope::Writers, bytes.clone()).ok().flatten();
            let holder = holder.and_then(|obstacle| obstacle.pid);
            return Err(RescueError::Locked { what, patience_s: patience.as_secs(), holder });
        }
        thread::sleep(PAUSE);
    }
    Ok(())
}

/// Takes the locks of a reader of a database with a rollback journal: first the byte that a writer locks to keep new
/// readers out, then the readers' own; then releases the first one (`unixLock` of `os_unix.c`).
///
/// # Errors
///
/// As [`wait_for`].
pub fn share(file: &File, patience: Duration, is_stopped: IsStopped<'_>) -> Result<(), RescueError> {
    let what = "the main file";
    wait_for(file, &(PENDING_BYTE..=PENDING_BYTE), what, patience, is_stopped)?;
    let shared = wait_for(file, &SHARED_BYTES, what, patience, is_stopped);
    set(file, libc::F_UNLCK, &(PENDING_BYTE..=PENDING_BYTE))
        .map_err(RescueError::io("unlock the main file"))?;
    shared
}

/// Whether a process holds one of `bytes` for writing.
pub fn is_written(file: &File, bytes: RangeInclusive<u64>) -> io::Result<bool> {
    lock_probe::ask(file, ProbeScope::Writers, bytes).map(|obstacle| obstacle.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file_format::READ0_BYTE;

    const BYTES: RangeInclusive<u64> = READ0_BYTE..=READ0_BYTE;

    #[test]
    fn a_lock_ends_with_its_descriptor_and_with_no_other() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let path = folder.path().join("file");
        std::fs::write(&path, "text").expect("written");
        let open = || File::options().read(true).write(true).open(&path).expect("there");
        let (holder, other) = (File::open(&path).expect("there"), open());
        let never = || false;
        wait_for(&holder, &BYTES, "it", Duration::ZERO, &never).expect("free");
        drop(open());
        assert!(!set(&other, libc::F_WRLCK, &BYTES).expect("an answer"), "another close drops nothing");
        drop(holder);
        assert!(set(&other, libc::F_WRLCK, &BYTES).expect("an answer"));
        let reader = File::open(&path).expect("there");
        let refused = wait_for(&reader, &BYTES, "it", Duration::ZERO, &never);
        assert!(matches!(refused, Err(RescueError::Locked { what: "it", .. })), "{refused:?}");
        assert!(matches!(
            wait_for(&reader, &BYTES, "it", Duration::from_mins(1), &|| true),
            Err(RescueError::Stopped)
        ));
    }
}
