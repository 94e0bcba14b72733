//! Paths that lead through `/proc/PID/root` or `/proc/PID/cwd` into the files of another process.
//!
//! The kernel follows such a link into the mounts of that process and ignores its text. `canonicalize` and SQLite use
//! the text, and so end at the file of that name in this mount namespace. The directory is therefore opened once, and
//! every file is reached through the descriptor: it stays the same directory when the process exits and another gets
//! its PID.

use std::{
    fs, io,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::{Component, Path, PathBuf},
};

#[cfg(target_os = "linux")]
use rustix::fs::ResolveFlags;
use rustix::fs::{CWD, Mode, OFlags};

use super::{
    ProcessFolder,
    descriptors::{PATH_ONLY, own_descriptor},
    mounts::MountTable,
    process_start,
};
use crate::{paths, snapshot::PathReach};

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
    _directory: OwnedFd,
}

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
        Some(Self { owner: pid, start_ticks, namespace, inner, access, _directory: directory })
    }

    /// How the path currently leads there.
    pub fn reach(&self, proc: &Path) -> PathReach {
        let now = process_start(proc, self.owner);
        PathReach::ThroughProcess { pid: self.owner, has_ended: now.is_none() || now != self.start_ticks }
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

// The path below `root` with links resolved, as a process with that root sees it. Links never lead out of that root.
fn resolve(root: &OwnedFd, path: &Path) -> io::Result<PathBuf> {
    let file = open_in(root, path, PATH_ONLY)?;
    let link = |file: &OwnedFd| fs::read_link(own_descriptor(file.as_raw_fd()));
    let (full, base) = (link(&file)?, link(root)?);
    // The kernel names a file by its path from the root of its namespace, or from waltop's root if the namespace is
    // shared.
    let below = full.strip_prefix(&base).map_or(full.clone(), |rest| Path::new("/").join(rest));
    if full.as_os_str().as_bytes().ends_with(b" (deleted)") {
        return Err(io::ErrorKind::NotFound.into());
    }
    Ok(below)
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
