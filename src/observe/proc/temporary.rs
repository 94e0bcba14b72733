//! The folder in which SQLite in a process creates its temporary files, from `/proc/PID/environ` (`proc_pid_environ(5)`).

use std::{
    ffi::OsStr,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use rustix::fs::statvfs;

use super::{ProcessFolder, mounts::MountTable};
use crate::{
    bounded,
    file_format::{TEMPORARY_FOLDERS, TEMPORARY_VARIABLES},
    snapshot::TemporaryFolder,
};

/// The maximum size of an environment. The kernel allows a larger one; what is in the rest is not known then.
const ENVIRONMENT: usize = 256 << 10;

impl ProcessFolder {
    /// The first of SQLite's temporary folders that exists, by the environment that the process was started with, and the
    /// room in it; `None` if this user may not read that, or if one of them is on another machine.
    pub fn temporary_folder(&self) -> Option<TemporaryFolder> {
        let environment = bounded::read(&self.0.join("environ"), ENVIRONMENT).ok().filter(|it| !it.is_cut)?;
        let value = |name: &str| {
            let mut entries = environment.bytes.split(|&byte| byte == 0);
            let value = entries.find_map(|entry| entry.strip_prefix(name.as_bytes())?.strip_prefix(b"="));
            value.map(|value| PathBuf::from(OsStr::from_bytes(value)))
        };
        let named: Vec<PathBuf> = TEMPORARY_VARIABLES.into_iter().filter_map(value).collect();
        // Another machine may not answer, and this is part of a sample.
        let mounts = (!named.is_empty()).then(|| MountTable::of_process(self));
        if let Some(mounts) = mounts
            && named.iter().any(|path| path.is_absolute() && !mounts.is_local(path))
        {
            return None;
        }
        let named = named.into_iter();
        let mut all = named.chain(TEMPORARY_FOLDERS.into_iter().map(PathBuf::from));
        let (path, filesystem) = all.find_map(|path| {
            let seen = self.seen(&path);
            // What is not there is not used.
            let filesystem = seen.is_dir().then(|| statvfs(&seen).ok()).flatten()?;
            Some((path, filesystem))
        })?;
        // Some file systems of user space do not say how large they are.
        (filesystem.f_blocks > 0).then(|| TemporaryFolder {
            path,
            bytes: filesystem.f_blocks.saturating_mul(filesystem.f_frsize),
            free_bytes: filesystem.f_bavail.saturating_mul(filesystem.f_frsize),
        })
    }

    fn seen(&self, path: &Path) -> PathBuf {
        if path.is_absolute() { self.seen_from_inside(path) } else { self.0.join("cwd").join(path) }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::fake::FakeProc, *};

    #[test]
    fn the_first_folder_that_exists_is_the_one() {
        let proc = FakeProc::new();
        let mounts = "1 0 254:0 / / rw - ext4 /dev/vda rw\n2 1 0:40 / /srv/far rw - nfs4 host:/ rw\n";
        proc.process(70).write("70/mountinfo", mounts);
        let folder = |environment: &str| {
            proc.write("70/environ", environment);
            ProcessFolder::of(proc.path(), 70).temporary_folder().map(|it| it.path)
        };
        assert_eq!(folder("A=1\0"), None, "it has no folder at all");
        for name in ["root/tmp", "root/srv/one", "root/srv/two", "cwd/here"] {
            proc.write(&format!("70/{name}/file"), "");
        }
        let expected = |path: &str| Some(PathBuf::from(path));
        assert_eq!(folder("A=1\0TMP=/srv/one\0"), expected("/tmp"));
        assert_eq!(folder("TMPDIR=/srv/one\0"), expected("/srv/one"));
        assert_eq!(folder("TMPDIR=/srv/one\0SQLITE_TMPDIR=/srv/two\0"), expected("/srv/two"));
        assert_eq!(folder("TMPDIR=/srv/one\0SQLITE_TMPDIR=/srv/none\0"), expected("/srv/one"));
        assert_eq!(folder("TMPDIR=here\0"), expected("here"));
        assert_eq!(folder("TMPDIR=/srv/far/tmp\0"), None, "another machine would be asked");
        assert_eq!(folder(&"x".repeat(ENVIRONMENT + 1)), None, "the rest is not read");
    }
}
