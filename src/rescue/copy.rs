//! Copies one file, piece by piece.

use std::{fs::File, io, os::unix::fs::FileExt};

use super::{IsStopped, RescueError};
use crate::observe::files;

const PIECE: usize = 1 << 20;

/// Copies the first `length` bytes of `from` to `to`, which is empty. Pieces of zeros take no space.
///
/// # Errors
///
/// `from` is shorter, the user stops it, or the operating system fails.
pub fn bytes(
    from: &File,
    to: &File,
    length: u64,
    what: &str,
    is_stopped: IsStopped<'_>,
) -> Result<(), RescueError> {
    let read = || format!("read {what}");
    let write = || format!("write the copy of {what}");
    to.set_len(0).map_err(RescueError::io(write()))?;
    let mut piece = vec![0; PIECE];
    let mut at = 0;
    while at < length {
        if is_stopped() {
            return Err(RescueError::Stopped);
        }
        let wanted = usize::try_from(length - at).map_or(PIECE, |left| left.min(PIECE));
        let count = files::read_at(from, &mut piece[..wanted], at).map_err(RescueError::io(read()))?;
        if count == 0 {
            return Err(RescueError::Changed { what: format!("{what} became shorter") });
        }
        if piece[..count].iter().any(|&byte| byte != 0) {
            to.write_all_at(&piece[..count], at).map_err(RescueError::io(write()))?;
        }
        at += count as u64;
    }
    to.set_len(length).map_err(RescueError::io(write()))
}

/// The current length of `file` in bytes.
///
/// # Errors
///
/// The operating system fails.
pub fn length(file: &File, what: &str) -> Result<u64, RescueError> {
    let metadata: io::Result<_> = file.metadata();
    Ok(metadata.map_err(RescueError::io(format!("examine {what}")))?.len())
}

#[cfg(test)]
mod tests {
    use std::{io::Write, os::unix::fs::MetadataExt};

    use super::*;

    #[test]
    fn all_of_it_is_copied_and_holes_stay_holes() {
        let (mut from, to) = (tempfile::tempfile().expect("a file"), tempfile::tempfile().expect("a file"));
        from.write_all(b"begin").expect("written");
        let length = 64 * PIECE as u64 + 7;
        from.write_all_at(b"end", length - 3).expect("written");
        bytes(&from, &to, length, "it", &|| false).expect("copied");
        let mut end = [0; 3];
        to.read_exact_at(&mut end, length - 3).expect("there");
        assert_eq!((&end, to.metadata().expect("there").len()), (b"end", length));
        assert!(to.metadata().expect("there").blocks() * 512 < length / 2);
        assert!(matches!(bytes(&from, &to, length + 1, "it", &|| false), Err(RescueError::Changed { .. })));
        assert!(matches!(bytes(&from, &to, length, "it", &|| true), Err(RescueError::Stopped)));
    }
}
