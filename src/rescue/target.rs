//! The destination of a copy: new files that only this user can read.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use rustix::fs::OFlags;

use super::RescueError;
use crate::{file_format::SIDECARS, observe::sidecar, paths};

/// What follows the name of a copy that is not complete.
const PARTIAL: &str = ".partial";

/// The files of one copy. They are removed on drop, unless the copy is kept.
#[derive(Debug)]
pub struct CopyTarget {
    main: PathBuf,
    made: Vec<PathBuf>,
}

impl CopyTarget {
    /// A copy at `path`, where neither a file nor a sidecar exists yet.
    ///
    /// # Errors
    ///
    /// Something exists there, or its folder does not.
    pub fn new(path: &Path) -> Result<Self, RescueError> {
        let what = || format!("write to {}", path.display());
        // A symbolic link counts as existing too.
        if path.symlink_metadata().is_ok() {
            return Err(RescueError::Exists { path: path.to_owned() });
        }
        let main = paths::canonical_or_future(path).map_err(RescueError::io(what()))?;
        for taken in SIDECARS.iter().map(|suffix| sidecar(&main, suffix)) {
            if taken.symlink_metadata().is_ok() {
                return Err(RescueError::Exists { path: taken });
            }
        }
        if main.file_name().is_none() {
            return Err(RescueError::Exists { path: main });
        }
        Ok(Self { main, made: Vec::new() })
    }

    /// Path of the main file.
    pub fn main(&self) -> &Path {
        &self.main
    }

    /// Folder of the copy.
    pub fn folder(&self) -> &Path {
        self.main.parent().unwrap_or(&self.main)
    }

    /// Creates the file with `suffix` after the name of the main file.
    ///
    /// # Errors
    ///
    /// Something exists there, or it cannot be created.
    pub fn create(&mut self, suffix: &str) -> Result<File, RescueError> {
        let path = sidecar(&self.main, suffix);
        let made = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
            .open(&path);
        let file = made.map_err(|cause| match cause.kind() {
            io::ErrorKind::AlreadyExists => RescueError::Exists { path: path.clone() },
            _ => RescueError::Io { what: format!("make {}", path.display()), cause },
        })?;
        self.made.push(path);
        Ok(file)
    }

    /// Creates the file of a copy that has its own name only once it is complete: see [`CopyTarget::complete`].
    ///
    /// # Errors
    ///
    /// As [`CopyTarget::create`].
    pub fn begin(&mut self) -> Result<(PathBuf, File), RescueError> {
        let file = self.create(PARTIAL)?;
        Ok((sidecar(&self.main, PARTIAL), file))
    }

    /// Brings `file`, from [`CopyTarget::begin`], to the disk, gives it the name of the copy and keeps it.
    ///
    /// # Errors
    ///
    /// Something has appeared at that name, or the operating system fails.
    pub fn complete(self, file: &File) -> Result<PathBuf, RescueError> {
        let what = || format!("write to {}", self.main.display());
        file.sync_all().map_err(RescueError::io(what()))?;
        // A link is never made over a file; a file system without links gets a new name after a check.
        if let Err(cause) = fs::hard_link(sidecar(&self.main, PARTIAL), &self.main) {
            if cause.kind() == io::ErrorKind::AlreadyExists || self.main.symlink_metadata().is_ok() {
                return Err(RescueError::Exists { path: self.main.clone() });
            }
            fs::rename(sidecar(&self.main, PARTIAL), &self.main).map_err(RescueError::io(what()))?;
        }
        File::open(self.folder()).and_then(|folder| folder.sync_all()).map_err(RescueError::io(what()))?;
        // What is removed now is the other name alone.
        Ok(self.main.clone())
    }

    /// Keeps the copy.
    pub fn keep(mut self) -> PathBuf {
        self.made.clear();
        self.main.clone()
    }
}

impl Drop for CopyTarget {
    fn drop(&mut self) {
        for path in &self.made {
            // A partial copy must not look like a complete one. If it cannot be removed, there is nothing else to do.
            let _ = fs::remove_file(path);
        }
    }
}

/// Fails if less than `needed` bytes are free in `folder` for this user.
///
/// # Errors
///
/// There is too little space. A file system that does not report its free space passes.
pub fn has_room(folder: &Path, needed: u64) -> Result<(), RescueError> {
    let Ok(stat) = rustix::fs::statvfs(folder) else { return Ok(()) };
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    if free < needed { Err(RescueError::Space { path: folder.to_owned(), needed, free }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn only_a_free_name_is_a_place_and_a_link_is_none() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let path = folder.path().join("copy.db");
        for taken in ["", "-wal", "-shm", "-journal"] {
            let name = sidecar(&path, taken);
            fs::write(&name, "").expect("written");
            assert!(matches!(CopyTarget::new(&path), Err(RescueError::Exists { .. })), "{taken}");
            fs::remove_file(&name).expect("removed");
            symlink("nowhere", &name).expect("a link");
            assert!(matches!(CopyTarget::new(&path), Err(RescueError::Exists { .. })), "a link at {taken}");
            fs::remove_file(&name).expect("removed");
        }
        assert!(
            CopyTarget::new(&folder.path().join("missing/copy.db"))
                .is_ok_and(|mut it| it.create("").is_err())
        );
    }

    #[test]
    fn a_copy_has_its_name_once_it_is_complete_and_never_over_a_file() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let path = folder.path().canonicalize().expect("a path").join("copy.db");
        let names = || {
            let entries = fs::read_dir(folder.path()).expect("readable");
            let mut names: Vec<_> = entries.flatten().map(|entry| entry.file_name()).collect();
            names.sort();
            names
        };
        let mut target = CopyTarget::new(&path).expect("a free name");
        let (partial, file) = target.begin().expect("made");
        fs::write(&partial, "pages").expect("written");
        assert_eq!(names(), ["copy.db.partial"]);
        assert_eq!(target.complete(&file).expect("complete"), path);
        assert_eq!((names(), fs::read(&path).expect("there")), (vec!["copy.db".into()], b"pages".to_vec()));
        fs::remove_file(&path).expect("removed");
        let mut late = CopyTarget::new(&path).expect("a free name");
        let (_, file) = late.begin().expect("made");
        fs::write(&path, "another's").expect("written");
        assert!(matches!(late.complete(&file), Err(RescueError::Exists { .. })));
        assert_eq!(
            (names(), fs::read(&path).expect("there")),
            (vec!["copy.db".into()], b"another's".to_vec())
        );
    }

    #[test]
    fn what_was_made_is_private_and_goes_unless_it_is_kept() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let path = folder.path().join("copy.db");
        let mut target = CopyTarget::new(&path).expect("a free name");
        let file = target.create("").expect("made");
        assert_eq!(file.metadata().expect("there").permissions().mode() & 0o777, 0o600);
        assert!(matches!(target.create(""), Err(RescueError::Exists { .. })), "never over anything");
        drop(target);
        assert!(!path.exists());
        let mut target = CopyTarget::new(&path).expect("a free name");
        target.create("").expect("made");
        let kept = target.keep();
        assert!(kept.exists());
    }

    #[test]
    fn room_is_asked_for_before() {
        let folder = tempfile::TempDir::new().expect("a folder");
        assert!(has_room(folder.path(), 1).is_ok());
        assert!(matches!(has_room(folder.path(), u64::MAX), Err(RescueError::Space { .. })));
    }
}
