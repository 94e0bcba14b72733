//! A `/proc` of plain files for tests, for what the kernel cannot be made to do.

use std::{
    fs,
    os::unix::fs::{MetadataExt, symlink},
    path::Path,
};

use tempfile::TempDir;

use crate::paths::FileId;

/// A folder that looks like `/proc`. It goes away with its value.
pub struct FakeProc(TempDir);

impl FakeProc {
    /// Without processes and locks.
    pub fn new() -> Self {
        let fake = Self(TempDir::new().expect("a folder"));
        fake.write("locks", "").write("stat", "cpu 0\nbtime 1700000000\n");
        fake
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes the file at `path` under the root.
    pub fn write(&self, path: &str, text: &str) -> &Self {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, text).expect("written");
        self
    }

    /// Writes what `stat` says of `pid`: `state`, the flags of the kernel, and how many threads there are.
    pub fn stat(&self, pid: i32, state: char, flags: u32, threads: u32) -> &Self {
        let text =
            format!("{pid} (bun) {state} 1 1 1 0 -1 {flags} {}{threads} 0 4200 9 9\n", "0 ".repeat(10));
        self.write(&format!("{pid}/stat"), &text)
    }

    /// Adds a process that sleeps and has nothing open.
    pub fn process(&self, pid: i32) -> &Self {
        fs::create_dir_all(self.path().join(format!("{pid}/fd"))).expect("made");
        self.stat(pid, 'S', 0, 1).write(&format!("{pid}/maps"), "");
        self.write(&format!("{pid}/status"), &format!("Tgid:\t{pid}\n"))
    }

    /// Gives `pid` the descriptor `number` on `file`; `info` is what `fdinfo` says.
    pub fn descriptor(&self, pid: i32, number: u32, file: &Path, info: &str) -> &Self {
        symlink(file, self.path().join(format!("{pid}/fd/{number}"))).expect("linked");
        self.write(&format!("{pid}/fdinfo/{number}"), info)
    }

    /// Puts `process`, a PID or `self`, into the mount namespace `name`.
    pub fn mount_namespace(&self, process: &str, name: &str) -> &Self {
        let folder = self.path().join(process).join("ns");
        fs::create_dir_all(&folder).expect("made");
        symlink(name, folder.join("mnt")).expect("linked");
        self
    }
}

/// A row of the lock table or of `fdinfo`: `pid` has locked `bytes` of `file`, for `kind` of access.
pub fn lock_row(kind: &str, pid: i32, file: &Path, bytes: &str) -> String {
    let (device, inode) = place(file);
    format!("1: POSIX  ADVISORY  {kind} {pid} {device}:{inode} {bytes}\n")
}

/// A row of `maps`: `file` is mapped at `address`.
pub fn map_row(address: u64, file: &Path) -> String {
    let (device, inode) = place(file);
    format!("{address:x}-{:x} rw-s 00000000 {device} {inode}   {}\n", address + 0x8000, file.display())
}

// The device and the inode of `file`, as the kernel prints them.
fn place(file: &Path) -> (String, u64) {
    let metadata = file.metadata().expect("there");
    let (major, minor) = FileId::of(&metadata).numbers();
    (format!("{major:02x}:{minor:02x}"), metadata.ino())
}
