//! Paths that lead through `/proc/PID/root` or `/proc/PID/cwd` into the files of another process.
//!
//! The kernel follows such a link into the mounts of that process and ignores its text. `canonicalize` and SQLite use
//! the text, and so end at the file of that name in this mount namespace. The directory is therefore opened once, and
//! every file is reached through the descriptor: it stays the same directory when the process exits and another gets
//! its PID.

use std::{
    fs::{self, File},
    io,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::{Component, Path, PathBuf},
    time::{Duration, Instant},
};

#[cfg(target_os = "linux")]
use rustix::fs::ResolveFlags;
use rustix::fs::{CWD, Mode, OFlags};

use super::{
    ProcessFolder,
    descriptors::{PATH_ONLY, own_descriptor, reopen},
    mounts::MountTable,
    process_start, stat,
};
use crate::{
    bounded,
    paths::{self, FileId},
    snapshot::PathReach,
};

/// The maximum of nested symbolic links: the kernel follows fewer.
const MOST_LINKS: usize = 40;

/// A database in the files of another process.
#[derive(Debug)]
pub struct InsidePath {
    /// The process in whose files it is.
    pub owner: i32,
    start_ticks: Option<u64>,
    /// The mount namespace of that process, as the kernel names it.
    pub namespace: Option<PathBuf>,
    /// The path of the main file in that process.
    pub inner: PathBuf,
    /// The path of the main file through the descriptor of its directory.
    pub access: PathBuf,
    // Closed together with this value: `access` leads through it.
    directory: OwnedFd,
    // When another process with the same files was last searched.
    searched: Option<Instant>,
}

/// Time between two searches for another process with the same files.
const SEARCH: Duration = Duration::from_secs(2);

impl InsidePath {
    /// The target of `path`, if it leads through the `/proc` at `proc` into files that no other path reaches; `None` if
    /// an ordinary path reaches them, or nothing is there.
    pub fn of(path: &Path, proc: &Path) -> Option<Self> {
        if paths::is_reached_by_text(path) {
            return None;
        }
        let (pid, anchor, rest) = anchor(path, proc)?;
        let process = ProcessFolder::of(proc, pid);
        let root = open_directory(&process.seen_from_inside(Path::new("/"))).ok()?;
        // The path in that process: for its root all of the remaining path, else the target of its link comes first.
        let start =
            if anchor.ends_with("root") { PathBuf::from("/") } else { fs::read_link(&anchor).ok()? };
        let inner = resolve(&root, &start.join(rest)).ok()?;
        let (folder, name) = (inner.parent()?, inner.file_name()?);
        let directory = open_in(&root, folder, PATH_ONLY | OFlags::DIRECTORY).ok()?;
        let access = own_descriptor(directory.as_raw_fd()).join(name);
        let namespace = process.mount_namespace().ok();
        let start_ticks = process_start(proc, pid);
        Some(Self { owner: pid, start_ticks, namespace, inner, access, directory, searched: None })
    }

    /// How the path leads there at `now`. If the process known before has ended, another one with the same files takes
    /// its place.
    pub fn follow(&mut self, proc: &Path, now: Instant) -> PathReach {
        let is_due = self.searched.is_none_or(|at| now.duration_since(at) >= SEARCH);
        let reach = self.reach(proc);
        if !is_due || !matches!(reach, PathReach::ThroughProcess { has_ended: true, .. }) {
            return reach;
        }
        self.searched = Some(now);
        let pids = super::pids(proc).into_iter().flatten();
        if let Some(pid) = pids.filter(|&pid| self.is_seen_by(&ProcessFolder::of(proc, pid))).min() {
            (self.owner, self.start_ticks) = (pid, process_start(proc, pid));
        }
        self.reach(proc)
    }

    // Whether `process` is in the same mount namespace and has the same directory at the path. The kernel may give the
    // number of a namespace to another one.
    fn is_seen_by(&self, process: &ProcessFolder) -> bool {
        if self.namespace.is_none() || process.mount_namespace().ok() != self.namespace {
            return false;
        }
        let theirs = || {
            let root = open_directory(&process.seen_from_inside(Path::new("/")))?;
            open_in(&root, self.inner.parent().unwrap_or(Path::new("/")), PATH_ONLY | OFlags::DIRECTORY)
        };
        let same = |it: OwnedFd| is_same_file(&it, &self.directory);
        theirs().is_ok_and(same)
    }

    fn reach(&self, proc: &Path) -> PathReach {
        // A zombie has no files any more.
        let now = stat(proc, self.owner).and_then(|it| it.living_start());
        let has_ended = now.is_none() || now != self.start_ticks;
        PathReach::ThroughProcess { pid: self.owner, has_ended, ended_at: None }
    }

    /// The mounts of that process; none after it has exited.
    pub fn mounts(&self, proc: &Path) -> MountTable {
        MountTable::of_process(&ProcessFolder::of(proc, self.owner))
    }
}

// The process, the target of the link in the path, and the remaining path. Ordinary links before it are followed.
fn anchor(path: &Path, proc: &Path) -> Option<(i32, PathBuf, PathBuf)> {
    let mut left = std::path::absolute(path).ok()?;
    for _ in 0..MOST_LINKS {
        let mut walked = PathBuf::new();
        let mut components = left.components();
        let mut link = None;
        while let Some(component) = components.next() {
            if component == Component::ParentDir {
                walked.pop();
                continue;
            }
            walked.push(component);
            if let Some(pid) = magic(&walked, proc) {
                return Some((pid, walked, components.as_path().to_owned()));
            }
            if let Ok(target) = fs::read_link(&walked) {
                link = Some(walked.parent()?.join(target).join(components.as_path()));
                break;
            }
        }
        left = link?;
    }
    None
}

// `/proc/PID/root` and `/proc/PID/cwd`, also those of a thread.
fn magic(path: &Path, proc: &Path) -> Option<i32> {
    let inside = path.strip_prefix(proc).ok()?;
    let parts: Vec<&str> = inside.iter().filter_map(|part| part.to_str()).collect();
    match parts[..] {
        [pid, "root" | "cwd"] | [pid, "task", _, "root" | "cwd"] => pid.parse().ok(),
        _ => None,
    }
}

/// A regular file in the files of another process, which stays the same whatever happens to its path.
#[derive(Debug)]
pub struct InsideFile {
    /// Its path in that process, with links resolved.
    pub inner: PathBuf,
    pub id: FileId,
    pin: File,
}

impl InsideFile {
    /// The start of its content as text, at most `limit` bytes of it.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    pub fn start(&self, limit: usize) -> io::Result<String> {
        let read = bounded::read_from(reopen(&self.pin)?, limit)?;
        Ok(String::from_utf8_lossy(&read.bytes).into_owned())
    }

    /// Opens it for reading.
    ///
    /// # Errors
    ///
    /// It cannot be opened.
    pub fn open(&self) -> io::Result<File> {
        reopen(&self.pin)
    }
}

impl ProcessFolder {
    /// The regular file at the absolute `path` in the files of the process. Links lead where they lead for it, and never
    /// out of its root.
    ///
    /// # Errors
    ///
    /// There is none, or the process has exited or hides its files.
    pub fn file_inside(&self, path: &Path) -> io::Result<InsideFile> {
        let root = open_directory(&self.seen_from_inside(Path::new("/")))?;
        let file = open_in(&root, path, PATH_ONLY)?;
        let inner = name_below(&root, &file)?;
        let pin = File::from(file);
        let metadata = pin.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        Ok(InsideFile { inner, id: FileId::of(&metadata), pin })
    }
}

// The path below `root` with links resolved, as a process with that root sees it. Links never lead out of that root.
fn resolve(root: &OwnedFd, path: &Path) -> io::Result<PathBuf> {
    name_below(root, &open_in(root, path, PATH_ONLY)?)
}

// The path of `file` as a process with that root sees it.
fn name_below(root: &OwnedFd, file: &OwnedFd) -> io::Result<PathBuf> {
    let link = |file: &OwnedFd| fs::read_link(own_descriptor(file.as_raw_fd()));
    let (full, base) = (link(file)?, link(root)?);
    // The kernel names a file by its path from the root of its namespace, or from waltop's root if the namespace is
    // shared.
    let below = full.strip_prefix(&base).map_or(full.clone(), |rest| Path::new("/").join(rest));
    if full.as_os_str().as_bytes().ends_with(b" (deleted)") {
        return Err(io::ErrorKind::NotFound.into());
    }
    Ok(below)
}

fn is_same_file(one: &OwnedFd, other: &OwnedFd) -> bool {
    let id = |file: &OwnedFd| rustix::fs::fstat(file).map(|it| (it.st_dev, it.st_ino));
    matches!((id(one), id(other)), (Ok(one), Ok(other)) if one == other)
}

fn open_directory(path: &Path) -> io::Result<OwnedFd> {
    let flags = PATH_ONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(CWD, path, flags, Mode::empty())?)
}

#[cfg(target_os = "linux")]
fn open_in(root: &OwnedFd, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
    let flags = flags | OFlags::CLOEXEC;
    Ok(rustix::fs::openat2(root, path, flags, Mode::empty(), ResolveFlags::IN_ROOT)?)
}

#[cfg(not(target_os = "linux"))]
fn open_in(_root: &OwnedFd, _path: &Path, _flags: OFlags) -> io::Result<OwnedFd> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn the_process_is_found_behind_ordinary_links() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let link = folder.path().join("link");
        symlink("/proc/1/root/srv", &link).expect("a link");
        let found = anchor(&link.join("app.db"), Path::new("/proc"));
        assert_eq!(found, Some((1, "/proc/1/root".into(), "srv/app.db".into())));
        let found = anchor(Path::new("/proc/7/task/8/cwd/../a.db"), Path::new("/proc"));
        assert_eq!(found, Some((7, "/proc/7/task/8/cwd".into(), "../a.db".into())));
        for plain in ["/srv/app.db", "/proc/locks", "/proc/1/fd/3", "/proc/one/root/a"] {
            assert_eq!(anchor(Path::new(plain), Path::new("/proc")), None, "{plain}");
        }
        symlink("circle", folder.path().join("circle")).expect("a link");
        assert_eq!(anchor(&folder.path().join("circle"), Path::new("/proc")), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_link_leads_to_a_file_below_the_root_of_its_process_and_never_out_of_it() {
        let folder = tempfile::TempDir::new().expect("a folder");
        fs::create_dir(folder.path().join("srv")).expect("a folder");
        let file = folder.path().join("srv/app.db");
        fs::write(&file, "x").expect("written");
        for (target, link) in [("/srv", "whole"), ("../../srv", "above"), ("/", "root")] {
            symlink(target, folder.path().join(link)).expect("a link");
        }
        let root = open_directory(folder.path()).expect("it opens");
        for path in ["/srv/app.db", "/whole/app.db", "/above/app.db", "/root/../srv/app.db"] {
            let resolved = resolve(&root, Path::new(path)).expect("it is there");
            assert_eq!(resolved, Path::new("/srv/app.db"), "{path}");
        }
        assert!(resolve(&root, &file).is_err(), "outside, the file has that path; inside, there is none");
    }
}
