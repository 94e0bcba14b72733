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
    // A length of 0 means to the end.
    let length = if *bytes.end() == u64::MAX { 0 } else { bytes.end() - bytes.start() + 1 };
    let query = Flock { start: *bytes.start(), length, ..Flock::from(kind) };
    let answer = rustix::process::fcntl_getlk(file, &query)?;
    Ok(answer.map(|lock| Obstacle {
        pid: lock.pid.map(|pid| pid.as_raw_nonzero().get()).filter(|&pid| pid > 0),
        is_write: lock.typ == FlockType::WriteLock,
        bytes: lock.start..=if lock.length == 0 { u64::MAX } else { lock.start + lock.length - 1 },
    }))
}

/// Adds to `rows` what holds one of `places` in `file` without having a row there. Where a row may be about another
/// file, every place is asked for: such a row must hide nobody.
///
/// # Errors
///
/// Where the kernel does not answer.
pub fn complete(
    rows: &mut Vec<Row>,
    file: &File,
    sight: &Sight,
    places: &[(Ask, RangeInclusive<u64>)],
) -> io::Result<()> {
    for (who, bytes) in places {
        let has_row = rows.iter().any(|row| row.overlaps(bytes) && (row.is_write || *who == Ask::Anybody));
        if has_row && !sight.is_ambiguous() {
            continue;
        }
        let Some(obstacle) = ask(file, *who, bytes.clone())? else { continue };
        let is_it = |row: &Row| {
            row.pid == obstacle.pid && row.is_write == obstacle.is_write && row.overlaps(&obstacle.bytes)
        };
        if !rows.iter().any(is_it) {
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
    Ok(())
}

/// Those of `rows` in whose place nobody holds a lock on `file`: they are about another file.
///
/// # Errors
///
/// Where the kernel does not answer.
pub fn refuted(rows: &[Row], file: &File) -> io::Result<Vec<Row>> {
    let mut refuted = Vec::new();
    for row in rows {
        let who = if row.is_write { Ask::Writers } else { Ask::Anybody };
        if ask(file, who, row.bytes.clone())?.is_none() {
            refuted.push(row.clone());
        }
    }
    Ok(refuted)
}
