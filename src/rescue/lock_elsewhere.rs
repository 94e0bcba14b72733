//! Without open-file-description locks waltop locks nothing, so it copies nothing that a process uses.

use std::{fs::File, io, ops::RangeInclusive, time::Duration};

use super::{IsStopped, RescueError};

fn unsupported() -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, "this system has no open-file-description locks")
}

pub fn wait_for(
    _file: &File,
    _bytes: &RangeInclusive<u64>,
    what: &'static str,
    _patience: Duration,
    _is_stopped: IsStopped<'_>,
) -> Result<(), RescueError> {
    Err(RescueError::Io { what: format!("lock {what}"), cause: unsupported() })
}

pub fn share(_file: &File, _patience: Duration, _is_stopped: IsStopped<'_>) -> Result<(), RescueError> {
    Err(RescueError::Io { what: "lock the main file".to_owned(), cause: unsupported() })
}

pub fn is_written(_file: &File, _bytes: RangeInclusive<u64>) -> io::Result<bool> {
    Err(unsupported())
}
