//! A `/proc` made of plain files, for what no test can make the kernel do.

use std::{
    fs,
    os::unix::fs::{MetadataExt, symlink},
    path::{Path, PathBuf},
};

use tempfile::TempDir;

/// A folder that looks like `/proc`. It goes away with its value.
pub struct FakeProc {
    folder: TempDir,
    rows: usize,
}

impl FakeProc {
    /// Without processes and locks.
    pub fn new() -> Self {
        let fake = Self { folder: TempDir::new().expect("a folder"), rows: 0 };
        fake.write("locks", "").write("stat", "cpu 0\nbtime 1700000000\n");
        fake.write("sys/kernel/random/boot_id", "11111111-2222-3333-4444-555555555555\n");
        fake
    }

    /// Its root.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes the file at `path` under the root.
    pub fn write(&self, path: &str, text: &str) -> &Self {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, text).expect("written");
        self
    }

    /// Adds a row to the lock table: `row` is what stands between the number and the device.
    pub fn lock(&mut self, row: &str, file: &Path, bytes: &str) -> &mut Self {
        let place = lock_place(file);
        self.lock_line(&format!("{row} {place} {bytes}"))
    }

    /// Adds a line to the lock table, after its number.
    pub fn lock_line(&mut self, line: &str) -> &mut Self {
        self.rows += 1;
        let path = self.path().join("locks");
        let table = fs::read_to_string(&path).expect("readable");
        fs::write(path, format!("{table}{}: {line}\n", self.rows)).expect("written");
        self
    }

    /// Empties the lock table.
    pub fn unlock_all(&mut self) -> &mut Self {
        self.write("locks", "");
        self
    }

    /// Adds a process that has nothing open.
    pub fn process(&self, pid: i32, name: &str) -> &Self {
        let rest = "1 1 1 0 -1 4194304 10 0 0 0 5 5 0 0 20 0 1 0 4200 1000000 250 18446744073709551615 \
                    1 1 0 0 0 0 0 0 0 0 0 0 17 0 0 0 0 0 0 0 0 0 0 0 0 0 0";
        self.write(&format!("{pid}/stat"), &format!("{pid} ({name}) S {rest}\n"))
            .write(&format!("{pid}/cmdline"), &format!("/usr/bin/{name}\0--flag\0"))
            .write(&format!("{pid}/status"), &format!("Name:\t{name}\nTgid:\t{pid}\n"))
            .write(&format!("{pid}/maps"), "");
        fs::create_dir_all(self.path().join(format!("{pid}/fd"))).expect("made");
        self
    }

    /// Gives `pid` the descriptor `number` on `file`; `info` is what `fdinfo` says.
    pub fn descriptor(&self, pid: i32, number: u32, file: &Path, info: &str) -> &Self {
        symlink(file, self.path().join(format!("{pid}/fd/{number}"))).expect("linked");
        self.write(&format!("{pid}/fdinfo/{number}"), info)
    }

    /// Takes `pid` away.
    pub fn end(&self, pid: i32) -> &Self {
        fs::remove_dir_all(self.path().join(pid.to_string())).expect("removed");
        self
    }
}

/// `major:minor:inode` of `file`, as the lock table writes it.
pub fn lock_place(file: &Path) -> String {
    let metadata = file.metadata().expect("there");
    format!("{}:{}", device(metadata.dev()), metadata.ino())
}

/// A device number as the kernel prints it.
fn device(number: u64) -> String {
    let (major, minor) = (rustix::fs::major(number), rustix::fs::minor(number));
    format!("{major:02x}:{minor:02x}")
}

/// `path` with `suffix` behind its name.
pub fn sidecar(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
