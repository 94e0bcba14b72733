//! A path to a database that was found by a descriptor.

use std::{
    ffi::OsStr,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use crate::{
    observe::proc::{InsideFile, ProcessFolder},
    paths::FileId,
};

/// How to reach a database.
#[derive(Debug)]
pub struct DatabasePlace {
    pub path: PathBuf,
    /// Its path as the process knows it.
    pub inner: PathBuf,
    /// The process that has it open by that name.
    pub pid: i32,
}

impl DatabasePlace {
    /// The place of the file `id` that `pid` has open as `text`: as it is, or in the files of that process. A deleted
    /// file has the path that it had. `None` if no path leads to it.
    pub fn of(proc: &Path, pid: i32, text: &[u8], id: FileId) -> Option<Self> {
        let path = |text: &[u8]| PathBuf::from(OsStr::from_bytes(text));
        let named = path(text);
        if FileId::at(&named) == Some(id) {
            return Some(Self { path: named.clone(), inner: named, pid });
        }
        let process = ProcessFolder::of(proc, pid);
        if let Some(inner) = inside(&process, &named, id) {
            return Some(Self { path: process.seen_from_inside(&inner), inner, pid });
        }
        let former = path(text.strip_suffix(b" (deleted)")?);
        let shares = process.mount_namespace().ok() == ProcessFolder::own(proc).mount_namespace().ok();
        shares.then(|| Self { path: former.clone(), inner: former, pid })
    }
}

// The path of the file `id` in the files of `process`, whose descriptor on it is named `named`.
fn inside(process: &ProcessFolder, named: &Path, id: FileId) -> Option<PathBuf> {
    files_inside(process, named).find(|file| file.id == id).map(|file| file.inner)
}

/// The files of `process` that the name of a descriptor may mean. The kernel names a file by its path from the root of
/// the namespace, above which the root of the process may lie.
pub fn files_inside(process: &ProcessFolder, named: &Path) -> impl Iterator<Item = InsideFile> {
    let below =
        process.root_name().ok().and_then(|root| Some(Path::new("/").join(named.strip_prefix(root).ok()?)));
    let paths = [Some(named.to_owned()), below];
    paths.into_iter().flatten().filter_map(|path| process.file_inside(&path).ok())
}
