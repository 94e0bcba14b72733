//! Which process has the write lock, for a process that is connected itself: only from `stat` and the kernel's lock
//! table.
//!
//! It never opens the main file or `-shm`: closing them would drop this process's own locks.

use std::{fmt, fs, os::unix::fs::MetadataExt, path::Path, sync::OnceLock};

use crate::file_format::{PENDING_BYTE, READ_BYTES, RECOVER_BYTE, RESERVED_BYTE, SHARED_BYTES, WRITE_BYTE};
use crate::observe::{
    lock_table::{self, LockRow},
    process_command, process_name, sidecar,
};
use crate::snapshot::LabelRules;

/// The bytes of the main file whose locks keep writers out with a rollback journal, and while the journal mode is
/// switched: PENDING, RESERVED, and the first of those that every reader locks.
const ROLLBACK_BYTES: [u64; 3] = [PENDING_BYTE, RESERVED_BYTE, *SHARED_BYTES.start()];

/// The names that the user gives to processes. A process has one settings file.
static RULES: OnceLock<LabelRules> = OnceLock::new();

/// Calls the processes by `rules` from now on, as every other surface does. Only the first call has an effect.
pub fn call_by(rules: LabelRules) {
    let _ = RULES.set(rules);
}

/// The process that keeps this one from writing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockingProcess {
    /// Its PID; `None` if the kernel does not say (another PID namespace, an open-file-description lock).
    pub pid: Option<i32>,
    /// Its name in the kernel; `None` if it cannot be read.
    pub name: Option<String>,
    /// The name of its daemon rule, else its script, else its program; `None` if it cannot be read.
    pub label: Option<String>,
}

impl BlockingProcess {
    fn of(proc: &Path, pid: Option<i32>) -> Self {
        let name = pid.and_then(|pid| process_name(proc, pid));
        let label = name.as_deref().zip(pid).map(|(name, pid)| {
            let rules = RULES.get().cloned().unwrap_or_default();
            rules.label(name, &process_command(proc, pid).unwrap_or_default())
        });
        Self { pid, name, label }
    }
}

impl fmt::Display for BlockingProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.pid, &self.label) {
            (Some(pid), Some(label)) => write!(f, "{pid} ({label})"),
            (Some(pid), None) => write!(f, "process {pid}"),
            (None, _) => write!(f, "a process not visible here"),
        }
    }
}

/// The other process that has the write lock of `database`, a path without symbolic links, as `proc` shows it now;
/// `None` if there is none, or it is unknown.
pub fn write_lock_holder(database: &Path, proc: &Path) -> Option<BlockingProcess> {
    let rows = rows(proc, &[&sidecar(database, "-shm"), database])?;
    let of_index = holder_among(&rows, &sidecar(database, "-shm"), &[WRITE_BYTE]);
    let row = of_index.or_else(|| holder_among(&rows, database, &ROLLBACK_BYTES))?;
    Some(BlockingProcess::of(proc, row.pid))
}

/// The other process that recovers the index of `database`, as `proc` shows it now. Until it ends, a connection cannot
/// read; SQLite waits for ten seconds and then reports a fault of the locking protocol.
pub fn recoverer(database: &Path, proc: &Path) -> Option<BlockingProcess> {
    let index = sidecar(database, "-shm");
    let rows = rows(proc, &[&index])?;
    Some(BlockingProcess::of(proc, holder_among(&rows, &index, &[RECOVER_BYTE])?.pid))
}

/// The other process that has the whole of `database` locked, so that nobody else can read it, as `proc` shows it now.
pub fn whole_file_holder(database: &Path, proc: &Path) -> Option<BlockingProcess> {
    let rows = rows(proc, &[database])?;
    let row = others(&rows, database)?.find(|row| row.is_write && row.covers_all(&SHARED_BYTES))?;
    Some(BlockingProcess::of(proc, row.pid))
}

/// Another process that reads an older snapshot of `database`, so that its log cannot restart, as `proc` shows it now;
/// `None` if there is none, or it is unknown.
pub fn reader(database: &Path, proc: &Path) -> Option<BlockingProcess> {
    let index = sidecar(database, "-shm");
    let rows = rows(proc, &[&index])?;
    let reads = |byte| others(&rows, &index)?.find(|row| !row.is_write && row.covers(byte));
    let row = READ_BYTES.into_iter().find_map(reads)?;
    Some(BlockingProcess::of(proc, row.pid))
}

/// The other processes that read `database`, one with a rollback journal, as `proc` shows it now: while one of them
/// reads, no writer can commit. With an index beside it every idle client has that lock, and the result is empty.
pub fn readers_in_the_way(database: &Path, proc: &Path) -> Vec<BlockingProcess> {
    if sidecar(database, "-shm").exists() {
        return Vec::new();
    }
    let Some(rows) = rows(proc, &[database]) else { return Vec::new() };
    let mut pids: Vec<Option<i32>> = others(&rows, database)
        .into_iter()
        .flatten()
        .filter(|row| !row.is_write && row.covers(ROLLBACK_BYTES[2]))
        .map(|row| row.pid)
        .collect();
    pids.sort_unstable();
    pids.dedup();
    pids.into_iter().map(|pid| BlockingProcess::of(proc, pid)).collect()
}

/// The rows on `files`, as far as the table can be read: a row proves a holder; a missing row proves nothing.
fn rows(proc: &Path, files: &[&Path]) -> Option<Vec<LockRow>> {
    let inodes: Vec<u64> = files.iter().filter_map(|file| Some(fs::metadata(file).ok()?.ino())).collect();
    Some(lock_table::read(proc, &inodes).ok()?.rows)
}

/// The row of another process with an exclusive lock on one of `bytes` of `file`; earlier bytes come first.
fn holder_among<'a>(rows: &'a [LockRow], file: &Path, bytes: &[u64]) -> Option<&'a LockRow> {
    bytes.iter().find_map(|&byte| others(rows, file)?.find(|row| row.is_write && row.covers(byte)))
}

/// The rows of other processes on `file`.
fn others<'a>(rows: &'a [LockRow], file: &Path) -> Option<impl Iterator<Item = &'a LockRow> + use<'a>> {
    let inode = fs::metadata(file).ok()?.ino();
    let own = std::process::id().cast_signed();
    let of_file = move || rows.iter().filter(move |row| row.inode == inode);
    // `stat` may report another device than the table does, so a row of this process supplies it.
    let device = of_file().find(|row| row.pid == Some(own)).map(|row| row.device);
    Some(
        of_file().filter(move |row| row.pid != Some(own) && device.is_none_or(|device| device == row.device)),
    )
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    struct Scene {
        dir: TempDir,
    }

    impl Scene {
        fn new() -> Self {
            let dir = TempDir::new().expect("a folder");
            for name in ["x.db", "x.db-shm"] {
                fs::write(dir.path().join(name), "").expect("a file");
            }
            fs::create_dir(dir.path().join("20")).expect("a folder");
            fs::write(dir.path().join("20/comm"), "py\u{1b}thon3\n").expect("a file");
            fs::write(dir.path().join("20/cmdline"), "python3\0-u\0holder.py\0").expect("a file");
            Self { dir }
        }

        /// The holder in `row`, in which `DB` and `SHM` stand for the files.
        fn holder(&self, row: &str) -> Option<BlockingProcess> {
            let inode = |name: &str| fs::metadata(self.dir.path().join(name)).expect("a file").ino();
            let row = row.replace("SHM", &inode("x.db-shm").to_string());
            let row = row.replace("DB", &inode("x.db").to_string());
            fs::write(self.dir.path().join("locks"), row + "\n").expect("a table");
            write_lock_holder(&self.dir.path().join("x.db"), self.dir.path())
        }
    }

    #[test]
    fn the_holder_is_reported_by_pid_and_name() {
        let scene = Scene::new();
        let (name, label) = (Some("py\u{1b}thon3".to_owned()), Some("holder.py".to_owned()));
        let expected = Some(BlockingProcess { pid: Some(20), name, label });
        for row in [
            "1: POSIX  ADVISORY  WRITE 20 fe:00:SHM 120 120",
            "1: POSIX  ADVISORY  WRITE 20 fe:00:SHM 120 121",
            "1: POSIX  ADVISORY  WRITE 20 fe:00:DB 1073741825 1073741825",
            "1: POSIX  ADVISORY  WRITE 20 fe:00:DB 1073741824 1073742335",
        ] {
            assert_eq!(scene.holder(row), expected, "{row}");
        }
        let nameless = scene.holder("1: POSIX  ADVISORY  WRITE 21 fe:00:SHM 120 120").expect("a holder");
        assert_eq!(nameless.to_string(), "process 21");
        let unseen = scene.holder("1: OFDLCK ADVISORY  WRITE -1 fe:00:SHM 120 120").expect("a holder");
        assert_eq!((unseen.pid, unseen.to_string().as_str()), (None, "a process not visible here"));
    }

    #[test]
    fn a_reader_has_one_of_five_bytes() {
        let scene = Scene::new();
        let reader = |row: &str| {
            scene.holder(row);
            reader(&scene.dir.path().join("x.db"), scene.dir.path()).and_then(|it| it.pid)
        };
        let row = |row: &str| {
            let inode = fs::metadata(scene.dir.path().join("x.db-shm")).expect("a file").ino();
            row.replace("SHM", &inode.to_string())
        };
        for bytes in ["123 123", "124 124", "127 128"] {
            let row = row(&format!("1: POSIX  ADVISORY  READ 20 fe:00:SHM {bytes}"));
            assert_eq!(reader(&row), Some(20), "{bytes}");
        }
        let own = std::process::id();
        for other in [
            String::new(),
            "1: POSIX  ADVISORY  READ 20 fe:00:SHM 128 128".to_owned(),
            "1: POSIX  ADVISORY  WRITE 20 fe:00:SHM 123 123".to_owned(),
            format!("1: POSIX  ADVISORY  READ {own} fe:00:SHM 124 124"),
        ] {
            assert_eq!(reader(&row(&other)), None, "{other}");
        }
    }

    #[test]
    fn readers_are_in_the_way_where_there_is_no_index() {
        let scene = Scene::new();
        let database = scene.dir.path().join("x.db");
        let named = || {
            readers_in_the_way(&database, scene.dir.path()).iter().map(BlockingProcess::to_string).collect()
        };
        let own = std::process::id();
        let reads = |pid: &str| format!("1: POSIX  ADVISORY  READ {pid} fe:00:DB 1073741826 1073742335\n");
        scene.holder(&(reads("20") + &reads("19") + &reads("20") + &reads(&own.to_string())));
        let nobody: Vec<String> = named();
        assert!(nobody.is_empty(), "with an index every idle client has that lock");
        fs::remove_file(scene.dir.path().join("x.db-shm")).expect("removed");
        let both: Vec<String> = named();
        assert_eq!(both, ["process 19", "20 (holder.py)"]);
    }

    #[test]
    fn no_other_is_taken_for_it() {
        let scene = Scene::new();
        let own = std::process::id();
        for row in [
            String::new(),
            format!("1: POSIX  ADVISORY  WRITE {own} fe:00:SHM 120 120"),
            "1: POSIX  ADVISORY  READ 20 fe:00:SHM 120 120".to_owned(),
            "1: POSIX  ADVISORY  WRITE 20 fe:00:SHM 121 121".to_owned(),
            "1: -> POSIX  ADVISORY  WRITE 20 fe:00:SHM 120 120".to_owned(),
            "1: POSIX  ADVISORY  READ 20 fe:00:DB 1073741826 1073742335".to_owned(),
            format!(
                "1: POSIX  ADVISORY  READ {own} fe:01:SHM 128 128\n2: POSIX  ADVISORY  WRITE 20 fe:00:SHM 120 120"
            ),
        ] {
            assert_eq!(scene.holder(&row), None, "{row}");
        }
        assert_eq!(write_lock_holder(Path::new("/nowhere/x.db"), scene.dir.path()), None);
        assert_eq!(write_lock_holder(&scene.dir.path().join("x.db"), Path::new("/nowhere")), None);
    }
}
