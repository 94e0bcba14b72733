//! `/proc/PID/fd`: the descriptors of a process, each a link that also leads to its file.

use std::{
    ffi::OsStr,
    fs::{self, File, Metadata},
    io,
    os::{
        fd::{AsRawFd, RawFd},
        unix::{ffi::OsStrExt, fs::MetadataExt},
    },
    path::{Path, PathBuf},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{Mode, OFlags},
};

use super::{DescriptorInfo, ProcessFolder};
use crate::observe::files;

/// How many descriptors of one process one sample reads: a process may have a million.
pub const MOST_DESCRIPTORS: usize = 1 << 16;
/// How many descriptors of one process one sample reads locks from.
const MOST_ASKED: usize = 64;

/// Flags for a descriptor that only names a file.
#[cfg(target_os = "linux")]
pub(super) const PATH_ONLY: OFlags = OFlags::PATH;
/// Flags for a descriptor that only names a file. It is never opened here, because there is no such `/proc`.
#[cfg(not(target_os = "linux"))]
pub(super) const PATH_ONLY: OFlags = OFlags::RDONLY;

/// A descriptor of a process, which may close it at any time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Descriptor(PathBuf);

impl ProcessFolder {
    /// Its descriptors, in no order and without a limit.
    ///
    /// # Errors
    ///
    /// If the process has exited or hides them.
    pub fn descriptors(&self) -> io::Result<impl Iterator<Item = io::Result<Descriptor>> + use<>> {
        let entries = fs::read_dir(self.0.join("fd"))?;
        Ok(entries.map(|entry| Ok(Descriptor(entry?.path()))))
    }

    /// The descriptor with that number.
    pub fn descriptor(&self, number: i32) -> Descriptor {
        Descriptor(self.0.join("fd").join(number.to_string()))
    }
}

impl Descriptor {
    #[cfg(test)]
    pub(super) fn at(link: PathBuf) -> Self {
        Self(link)
    }

    pub fn number(&self) -> &OsStr {
        self.0.file_name().unwrap_or_default()
    }

    /// The target as the kernel names it: a path from `/`, or text for an object without a path, such as a pipe.
    ///
    /// # Errors
    ///
    /// If it is closed.
    pub fn target(&self) -> io::Result<PathBuf> {
        fs::read_link(&self.0)
    }

    /// The metadata of its file, whatever is at the path.
    ///
    /// # Errors
    ///
    /// If it is closed, or the file cannot be reached.
    pub fn metadata(&self) -> io::Result<Metadata> {
        self.0.metadata()
    }

    /// Whether it is certainly open for writing, so that [`info`](Self::info) adds nothing.
    ///
    /// The kernel shows the access mode in the owner's bits of the link (`tid_fd_update_inode` in its `fs/proc/fd.c`),
    /// and sets no others. If others are set, the kernel did not create the link, and `fdinfo` decides.
    pub fn is_writable(&self) -> bool {
        let mode = self.0.symlink_metadata().map_or(0, |link| link.mode());
        mode & 0o277 == 0o200
    }

    /// How it was opened, and its locks; `None` if it is closed.
    pub fn info(&self) -> Option<DescriptorInfo> {
        let process = self.0.parent()?.parent()?;
        DescriptorInfo::read(&process.join("fdinfo").join(self.number()))
    }

    /// Whether it is a pipe that no process has open for writing. Nothing is read from it.
    pub fn is_pipe_without_writer(&self) -> bool {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
        if !self.target().is_ok_and(|target| target.as_os_str().as_bytes().starts_with(b"pipe:[")) {
            return false;
        }
        let Ok(pipe) = rustix::fs::open(&self.0, flags, Mode::empty()) else { return false };
        let mut asked = [PollFd::new(&pipe, PollFlags::IN)];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut asked, Some(&now)).is_ok() && asked[0].revents().contains(PollFlags::HUP)
    }

    /// Keeps a reference to its file without access rights.
    ///
    /// # Errors
    ///
    /// If it is closed, or the file cannot be reached.
    pub fn pin(&self) -> io::Result<File> {
        Ok(File::from(rustix::fs::open(&self.0, PATH_ONLY | OFlags::CLOEXEC, Mode::empty())?))
    }
}

/// Opens the file of `pin` for reading.
///
/// # Errors
///
/// If it cannot be opened or is not a regular file.
pub fn reopen(pin: &File) -> io::Result<File> {
    files::open(&own_descriptor(pin.as_raw_fd()))
}

/// A path to the file of a descriptor of this process.
pub(super) fn own_descriptor(number: RawFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{number}"))
}

/// The current `fdinfo` of descriptors `numbers` of `pid`, without those that are closed by now. The lock table is
/// printed page by page, so a row can be missing there; here it cannot. Any descriptor on a file lists all POSIX locks
/// that its process holds on it, so the first few are sufficient.
pub fn lock_infos<'a>(
    proc: &Path,
    pid: i32,
    numbers: impl Iterator<Item = &'a String>,
) -> Vec<DescriptorInfo> {
    let process = ProcessFolder::with_files(proc, pid).0;
    numbers
        .take(MOST_ASKED)
        .filter_map(|number| DescriptorInfo::read(&process.join("fdinfo").join(number)))
        .collect()
}

#[cfg(target_os = "linux")]
#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;

    use super::*;

    #[test]
    fn the_kernel_shows_which_descriptors_may_write() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let own = ProcessFolder::own("/proc".as_ref());
        for (read, write) in [(true, false), (false, true), (true, true)] {
            let open = OpenOptions::new().read(read).write(write).open(file.path()).expect("it opens");
            let descriptor = own.descriptor(open.as_raw_fd());
            assert_eq!(descriptor.is_writable(), write, "read {read}");
            assert_eq!(descriptor.info().map(|info| info.is_read_only), Some(!write), "read {read}");
        }
    }

    #[test]
    fn a_link_that_the_kernel_has_not_made_does_not_show_whether_its_file_may_be_written_to() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let link = folder.path().join("3");
        std::os::unix::fs::symlink("/srv/a.db", &link).expect("a link");
        assert!(!Descriptor::at(link).is_writable());
    }
}
