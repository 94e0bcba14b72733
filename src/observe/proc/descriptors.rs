//! `/proc/PID/fd`: the descriptors of a process, each a link that also leads to its file.

use std::{
    cell::RefCell,
    ffi::{OsStr, OsString},
    fs::{File, Metadata},
    io, iter,
    os::{
        fd::{AsRawFd, BorrowedFd, RawFd},
        unix::ffi::{OsStrExt, OsStringExt},
    },
    path::{Path, PathBuf},
    rc::Rc,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{self, AtFlags, CWD, Dir, Mode, OFlags},
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
#[derive(Debug, Clone)]
pub struct Descriptor {
    folder: Rc<DescriptorFolder>,
    number: OsString,
}

/// The folder with the links of a process.
#[derive(Debug)]
struct DescriptorFolder {
    path: PathBuf,
    /// Where all links are read: to resolve the whole path of each is half of the cost of reading it.
    listing: Option<RefCell<Dir>>,
}

impl ProcessFolder {
    /// Its descriptors, in no order and without a limit.
    ///
    /// # Errors
    ///
    /// If the process has exited or hides them.
    pub fn descriptors(&self) -> io::Result<impl Iterator<Item = io::Result<Descriptor>> + use<>> {
        let path = self.0.join("fd");
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let listing = Dir::new(fs::open(&path, flags, Mode::empty())?)?;
        let folder = Rc::new(DescriptorFolder { path, listing: Some(RefCell::new(listing)) });
        let next = move || {
            loop {
                let entry = folder.listing.as_ref()?.borrow_mut().read()?;
                let number = match entry {
                    Ok(entry) => entry.file_name().to_bytes().to_vec(),
                    Err(error) => return Some(Err(error.into())),
                };
                // The folder lists itself and its parent, too.
                if !number.starts_with(b".") {
                    let number = OsString::from_vec(number);
                    return Some(Ok(Descriptor { folder: Rc::clone(&folder), number }));
                }
            }
        };
        Ok(iter::from_fn(next))
    }

    /// The descriptor with that number.
    pub fn descriptor(&self, number: i32) -> Descriptor {
        let folder = Rc::new(DescriptorFolder { path: self.0.join("fd"), listing: None });
        Descriptor { folder, number: number.to_string().into() }
    }
}

impl Descriptor {
    #[cfg(test)]
    pub(super) fn at(link: &Path) -> Self {
        let path = link.parent().expect("a folder").to_owned();
        let number = link.file_name().expect("a name").to_owned();
        Self { folder: Rc::new(DescriptorFolder { path, listing: None }), number }
    }

    pub fn number(&self) -> &OsStr {
        &self.number
    }

    fn path(&self) -> PathBuf {
        self.folder.path.join(&self.number)
    }

    // What `call` returns for the link, by a folder and the path below it.
    fn at_link<T>(&self, call: impl FnOnce(BorrowedFd<'_>, &Path) -> rustix::io::Result<T>) -> io::Result<T> {
        Ok(match &self.folder.listing {
            Some(listing) => call(listing.borrow().fd()?, self.number.as_ref())?,
            None => call(CWD, &self.path())?,
        })
    }

    /// The target as the kernel names it: a path from `/`, or text for an object without a path, such as a pipe.
    ///
    /// # Errors
    ///
    /// If it is closed.
    pub fn target(&self) -> io::Result<PathBuf> {
        let target = self.at_link(|folder, link| fs::readlinkat(folder, link, Vec::new()))?;
        Ok(OsString::from_vec(target.into_bytes()).into())
    }

    /// The metadata of its file, whatever is at the path.
    ///
    /// # Errors
    ///
    /// If it is closed, or the file cannot be reached.
    pub fn metadata(&self) -> io::Result<Metadata> {
        self.path().metadata()
    }

    /// Whether it is certainly open for writing, so that [`info`](Self::info) adds nothing.
    ///
    /// The kernel shows the access mode in the owner's bits of the link (`tid_fd_update_inode` in its `fs/proc/fd.c`),
    /// and sets no others. If others are set, the kernel did not create the link, and `fdinfo` decides.
    pub fn is_writable(&self) -> bool {
        let link = self.at_link(|folder, link| fs::statat(folder, link, AtFlags::SYMLINK_NOFOLLOW));
        let mode = link.map_or(0, |link| link.st_mode);
        mode & 0o277 == 0o200
    }

    /// How it was opened, and its locks; `None` if it is closed.
    pub fn info(&self) -> Option<DescriptorInfo> {
        let process = self.folder.path.parent()?;
        DescriptorInfo::read(&process.join("fdinfo").join(&self.number))
    }

    /// Whether it is a pipe that no process has open for writing. Nothing is read from it.
    pub fn is_pipe_without_writer(&self) -> bool {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
        if !self.target().is_ok_and(|target| target.as_os_str().as_bytes().starts_with(b"pipe:[")) {
            return false;
        }
        let Ok(pipe) = fs::open(self.path(), flags, Mode::empty()) else { return false };
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
        Ok(File::from(fs::open(self.path(), PATH_ONLY | OFlags::CLOEXEC, Mode::empty())?))
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
    use std::{collections::BTreeMap, fs::OpenOptions, os::unix::fs::MetadataExt};

    use super::*;
    use crate::observe::proc::fake::FakeProc;

    #[test]
    fn the_descriptors_of_a_process_are_those_that_their_numbers_name() {
        let proc = FakeProc::new();
        proc.process(70);
        for number in 0..100 {
            proc.descriptor(70, number, format!("/srv/{number}").as_ref(), "");
        }
        let process = ProcessFolder::of(proc.path(), 70);
        let target = |it: &Descriptor| it.target().expect("a link").display().to_string();
        let listed: BTreeMap<String, String> = process
            .descriptors()
            .expect("listed")
            .map(|it| it.expect("listed"))
            .map(|it| (it.number().to_string_lossy().into_owned(), target(&it)))
            .collect();
        let named =
            (0..100).map(|number| (number.to_string(), target(&process.descriptor(number)))).collect();
        assert_eq!(listed, named);
        let gone = ProcessFolder::of(proc.path(), 71).descriptors().map(|_| ()).expect_err("it is gone");
        assert_eq!(gone.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_listed_descriptor_is_the_file_that_is_open() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let own = ProcessFolder::own("/proc".as_ref());
        let number = file.as_file().as_raw_fd().to_string();
        let mut descriptors = own.descriptors().expect("listed").flatten();
        let listed = descriptors.find(|it| it.number() == number.as_str()).expect("it is open");
        let inode = file.as_file().metadata().expect("it is open").ino();
        assert_eq!(listed.target().expect("a link"), file.path());
        assert_eq!(listed.metadata().expect("it is open").ino(), inode);
        assert!(listed.is_writable() && listed.info().is_some_and(|info| !info.is_read_only));
    }

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
        assert!(!Descriptor::at(&link).is_writable());
    }
}
