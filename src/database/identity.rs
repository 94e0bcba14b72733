//! As root, waltop connects as the owner of the database, so that the files it creates or takes over belong to the
//! owner.

use std::{io, marker::PhantomData, os::unix::fs::MetadataExt, path::Path};

use rustix::process::{Gid, Uid, geteuid, getgid, getgroups};
#[cfg(target_os = "linux")]
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};

/// Makes this thread, and those that it starts, the owner of a database until the value is dropped. If the process is
/// not root's, nothing changes.
///
/// On Linux a user and its groups belong to a thread (`setresuid(2)`, "C library/kernel differences"). Only the thread
/// with the connection changes, so other threads can read what root may read.
#[derive(Debug)]
pub struct AsOwner {
    before: Option<(Gid, Vec<Gid>)>,
    // It has to be dropped in the thread that created it.
    _of_this_thread: PhantomData<*const ()>,
}

impl AsOwner {
    /// Becomes the owner of `main`, if this process is root's, the owner is another user and `main` exists.
    ///
    /// # Errors
    ///
    /// The kernel refuses; this thread is then unchanged.
    pub fn of(main: &Path) -> io::Result<Self> {
        let unchanged = Self { before: None, _of_this_thread: PhantomData };
        let Ok(file) = main.metadata() else { return Ok(unchanged) };
        if !geteuid().is_root() || file.uid() == 0 {
            return Ok(unchanged);
        }
        let before = (getgid(), getgroups()?);
        let as_owner = Self { before: Some(before), _of_this_thread: PhantomData };
        let (uid, gid) = (Uid::from_raw(file.uid()), Gid::from_raw(file.gid()));
        become_user(uid, gid, &[])?;
        Ok(as_owner)
    }
}

impl Drop for AsOwner {
    fn drop(&mut self) {
        if let Some((gid, groups)) = &self.before {
            restore_identity(*gid, groups);
        }
    }
}

/// Makes this thread root's again, if a thread of [`AsOwner`] has started it; its saved user id allows that. For a
/// thread that reads files and has no connection.
pub fn read_as_root() {
    #[cfg(target_os = "linux")]
    let _ = set_thread_res_uid(None, Uid::ROOT, None);
}

/// Runs `read` as root, and changes this thread back afterwards: for the thread with the connection.
pub fn as_root<T>(read: impl FnOnce() -> T) -> T {
    #[cfg(target_os = "linux")]
    let before = geteuid();
    read_as_root();
    let value = read();
    #[cfg(target_os = "linux")]
    if before != geteuid() {
        // A process may always change to one of its own ids.
        let _ = set_thread_res_uid(None, before, None);
    }
    value
}

// The real ids too, because SQLite calls `access(2)`, which uses them. The saved ones stay root's.
#[cfg(target_os = "linux")]
fn become_user(uid: Uid, gid: Gid, groups: &[Gid]) -> io::Result<()> {
    set_thread_groups(groups)?;
    set_thread_res_gid(gid, gid, None)?;
    Ok(set_thread_res_uid(uid, uid, None)?)
}

#[cfg(target_os = "linux")]
fn restore_identity(gid: Gid, groups: &[Gid]) {
    // Each call is allowed once the user is root, which the saved user id permits.
    let _ = set_thread_res_uid(Uid::ROOT, Uid::ROOT, None);
    let _ = set_thread_res_gid(gid, gid, None);
    let _ = set_thread_groups(groups);
}

#[cfg(not(target_os = "linux"))]
fn become_user(_uid: Uid, _gid: Gid, _groups: &[Gid]) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(not(target_os = "linux"))]
fn restore_identity(_gid: Gid, _groups: &[Gid]) {}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::chown;

    use super::*;

    #[test]
    fn root_makes_files_as_the_owner_and_is_root_again_afterwards() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let main = folder.path().join("notes.db");
        std::fs::write(&main, "").expect("written");
        if !geteuid().is_root() {
            let _unchanged = AsOwner::of(&main).expect("nothing changes");
            return;
        }
        for path in [folder.path(), &main] {
            chown(path, Some(65_534), Some(65_533)).expect("given away");
        }
        {
            let _as_owner = AsOwner::of(&main).expect("root may");
            assert_eq!((geteuid().as_raw(), getgid().as_raw()), (65_534, 65_533));
            std::fs::write(folder.path().join("made"), "").expect("written");
            let reader = std::thread::spawn(|| {
                read_as_root();
                geteuid().is_root()
            });
            assert!(reader.join().expect("it ends"));
            assert!(as_root(|| geteuid().is_root()) && geteuid().as_raw() == 65_534);
        }
        assert!(geteuid().is_root());
        let made = folder.path().join("made").metadata().expect("there");
        assert_eq!((made.uid(), made.gid()), (65_534, 65_533));
    }
}
