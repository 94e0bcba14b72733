//! `F_GETLK`: asks the kernel for one holder of a byte range, and takes nothing.
//!
//! It sees holders that `/proc/locks` leaves out (another PID namespace: PID 0; an open-file-description
//! lock: PID -1), and it is cheap enough to ask hundreds of times a second.

use std::{fs::File, io, ops::RangeInclusive};

use rustix::process::{Flock, FlockType};

use crate::observe::{files::Sight, lock_table::Row};

/// Which holders an answer may be about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// Those who exclude others. A reader's momentary probe of an exclusive byte is none.
    Writers,
    /// Anybody.
    Anybody,
}

/// A lock that is in the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Obstacle {
    /// `None`: a process that cannot be seen from here.
    pub pid: Option<i32>,
    /// Whether it excludes others.
    pub is_write: bool,
    /// Where it lies.
    pub bytes: RangeInclusive<u64>,
}

/// One lock on `bytes` of `file`, if there is any. Never one of this process.
///
/// # Errors
///
/// Where the kernel does not answer.
pub fn ask(file: &File, who: Ask, bytes: RangeInclusive<u64>) -> io::Result<Option<Obstacle>> {
    let kind = match who {
        Ask::Writers => FlockType::ReadLock,
        Ask::Anybody => FlockType::WriteLock,
    };
    let query = Flock { start: *bytes.start(), length: bytes.end() - bytes.start() + 1, ..Flock::from(kind) };
    let answer = rustix::process::fcntl_getlk(file, &query)?;
    Ok(answer.map(|lock| Obstacle {
        pid: lock.pid.map(|pid| pid.as_raw_nonzero().get()).filter(|&pid| pid > 0),
        is_write: lock.typ == FlockType::WriteLock,
        // A length of 0 means to the end.
        bytes: lock.start..=if lock.length == 0 { u64::MAX } else { lock.start + lock.length - 1 },
    }))
}

/// What the lock table shows of a file's locks, measured by what the kernel answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    /// There is nothing to show.
    Empty,
    /// Whoever can be seen from here has a row.
    Complete,
    /// The kernel names a process that can be seen from here and has no row: the table has this file under another
    /// device, or the lock was taken since it was read.
    Lacks,
}

/// Adds to `rows` what holds one of `places` in `file` without having a row there, and says whether such are lacking
/// that ought to be there.
///
/// # Errors
///
/// Where the kernel does not answer.
pub fn complete(
    rows: &mut Vec<Row>,
    file: &File,
    sight: &Sight,
    places: &[(Ask, RangeInclusive<u64>)],
) -> io::Result<Table> {
    let mut table = if rows.is_empty() { Table::Empty } else { Table::Complete };
    for (who, bytes) in places {
        let is_known = rows.iter().any(|row| row.overlaps(bytes) && (row.is_write || *who == Ask::Anybody));
        if is_known {
            continue;
        }
        if let Some(obstacle) = ask(file, *who, bytes.clone())? {
            if obstacle.pid.is_some() {
                table = Table::Lacks;
            }
            rows.push(Row {
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
