//! The three files of a database: their `stat`, and the device number under which locks are listed.

use std::{
    ffi::OsString,
    fs::{File, Metadata, OpenOptions},
    io,
    os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::SystemTime,
};

use jiff::Timestamp;
use rustix::fs::OFlags;

use crate::{
    observe::proc::mounts::{DeviceNumber, MountTable},
    paths::FileId,
    snapshot::FileFacts,
};

impl FileId {
    /// The device number in its two parts.
    #[cfg(target_os = "linux")]
    pub fn numbers(self) -> DeviceNumber {
        (rustix::fs::major(self.device), rustix::fs::minor(self.device))
    }

    /// The whole device number: there is no lock table to compare it with.
    #[cfg(not(target_os = "linux"))]
    pub fn numbers(self) -> DeviceNumber {
        (0, u32::try_from(self.device).unwrap_or(u32::MAX))
    }
}

/// Identifies a file, whatever its names. The kernel reuses device and inode numbers after a deletion, so the birth
/// time is included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BirthId {
    id: FileId,
    at: SystemTime,
}

impl BirthId {
    /// The identity of the file of `metadata`; `None` if its file system keeps no birth time.
    pub fn of(metadata: &Metadata) -> Option<Self> {
        Some(Self { id: FileId::of(metadata), at: metadata.created().ok()? })
    }
}

/// The file at a path.
#[derive(Debug, Clone)]
pub struct FileSighting {
    /// Its identity, to compare with descriptors of processes.
    pub id: FileId,
    /// Its identity, to remember after the file is gone.
    pub birth: Option<BirthId>,
    /// The device under which the kernel lists its locks.
    pub lock_device: DeviceNumber,
    /// The figures for the snapshot.
    pub facts: FileFacts,
}

impl FileSighting {
    /// Whether `device` and `inode`, as the kernel prints them in `/proc/locks` and `maps`, mean this file.
    ///
    /// Both device numbers count: if `stat` reports another one, the file system (overlay, btrfs) generated it, so it
    /// belongs to nothing else.
    pub fn is(&self, device: DeviceNumber, inode: u64) -> bool {
        inode == self.id.inode && (device == self.lock_device || device == self.id.numbers())
    }

    /// Whether the lock table could mean another file with the same numbers, as with two btrfs subvolumes.
    pub fn is_ambiguous(&self) -> bool {
        self.lock_device != self.id.numbers()
    }
}

/// Reads the file at `path`, which is at `mounted` in the tree of `mounts`; `None` if there is none.
///
/// # Errors
///
/// If the operating system denies access.
pub fn read_files(path: &Path, mounted: &Path, mounts: &MountTable) -> io::Result<Option<FileSighting>> {
    let metadata = match path.metadata() {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let id = FileId::of(&metadata);
    let lock_device = mounts.device_of(mounted).unwrap_or_else(|| id.numbers());
    let facts = FileFacts {
        bytes: metadata.len(),
        device: format!("{:02x}:{:02x}", lock_device.0, lock_device.1),
        inode: id.inode,
        uid: metadata.uid(),
        gid: Some(metadata.gid()),
        mode: metadata.mode() & 0o7777,
        modified_at: metadata.modified().ok().and_then(|at| Timestamp::try_from(at).ok()),
    };
    Ok(Some(FileSighting { id, birth: BirthId::of(&metadata), lock_device, facts }))
}

/// `path` with `suffix` appended to its name, as SQLite names `-wal` and `-shm`.
pub fn sidecar(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}

/// A main file, its `-wal` and its `-shm`.
pub fn with_sidecars(main: &Path) -> [PathBuf; 3] {
    [main.to_owned(), sidecar(main, "-wal"), sidecar(main, "-shm")]
}

/// Opens a file for a short read. It never blocks, whatever is at the path.
///
/// # Errors
///
/// If the file cannot be opened or is not a regular file.
pub fn open(path: &Path) -> io::Result<File> {
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"))
    }
}

/// Reads at `offset` until `buffer` is full or the file ends; returns the number of bytes.
///
/// # Errors
///
/// If the operating system fails to read.
pub fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    #[test]
    fn the_size_the_owner_and_the_mode_of_a_file_are_those_that_ls_shows() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let path = folder.path().join("a.db");
        let mounts = MountTable::read("/proc".as_ref());
        assert!(read_files(&path, &path, &mounts).expect("no error").is_none(), "there is no file");
        fs::write(&path, "12345").expect("written");
        let own = folder.path().metadata().expect("it is there").uid();
        for mode in [0o640, 0o444, 0o4755] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("changed");
            let facts = read_files(&path, &path, &mounts).expect("no error").expect("a file").facts;
            assert_eq!((facts.bytes, facts.uid, facts.mode), (5, own, mode), "{mode:o}");
        }
    }

    #[test]
    fn a_row_of_the_kernel_means_a_file_if_the_inode_and_one_of_its_devices_agree() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let seen = read_files(file.path(), file.path(), &MountTable::read("/proc".as_ref()));
        let seen = seen.expect("no error").expect("a file");
        let (inode, device) = (seen.id.inode, seen.id.numbers());
        // As on btrfs, whose `stat` reports a device number that the kernel prints nowhere else.
        let seen = FileSighting { lock_device: (device.0, device.1 + 1), ..seen };
        assert!(seen.is_ambiguous());
        assert!(seen.is(device, inode) && seen.is(seen.lock_device, inode));
        assert!(!seen.is((device.0, device.1 + 2), inode) && !seen.is(device, inode + 1));
    }

    #[test]
    fn what_cannot_be_read_is_an_error_and_not_the_end_of_the_file() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let path = folder.path().join("a.db");
        fs::write(&path, "12345").expect("written");
        let read = |path: &Path, offset| {
            let mut buffer = [0; 4];
            let file = File::open(path).expect("it is there");
            read_at(&file, &mut buffer, offset).map_err(|error| error.kind())
        };
        assert_eq!([read(&path, 0), read(&path, 3), read(&path, 9)], [Ok(4), Ok(2), Ok(0)]);
        assert_eq!(read(folder.path(), 0), Err(io::ErrorKind::IsADirectory));
    }
}
