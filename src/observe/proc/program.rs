//! The program of a process: its executable, its start and its descriptors, from one consistent reading.
//!
//! A PID, its start time and a pidfd all survive execve(2): only the executable and the descriptors show that another
//! program runs.

use std::{collections::BTreeMap, fs, io, os::unix::ffi::OsStrExt, path::Path, time::Instant};

use rustix::io::Errno;

use super::{Descriptor, MOST_DESCRIPTORS, ProcessFolder, process_start};
use crate::paths::FileId;

/// How often a reading is repeated after an execve(2) interrupts it. A single execve needs two.
const READINGS: usize = 4;

/// One consistent reading: start and executable were the same before and after the descriptors were read, and the
/// descriptor found was still open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgramReading {
    /// Start in clock ticks since boot.
    pub start_ticks: u64,
    /// The executable, by device and inode.
    pub executable: FileId,
    /// Whether it has a descriptor on one of the requested files.
    pub has_file: bool,
    /// Just before the last reading of the executable and that descriptor: later changes are not in the reading.
    pub read_at: Instant,
}

/// Why there is no reading.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    #[error("the process has ended")]
    Gone,
    /// `/proc` does not show it.
    #[error("cannot read its {what}: {source}")]
    Unreadable {
        /// What was to be read.
        what: &'static str,
        /// The error of the operating system.
        source: io::Error,
    },
    /// No two readings of its executable agree.
    #[error("its executable changes while it is read")]
    Changing,
}

/// Reads the program in `pid` from the `/proc` at `proc`, and whether it has one of `files` open.
///
/// # Errors
///
/// If the process has exited, hides what is to be read, or keeps executing other programs.
pub fn read(proc: &Path, pid: i32, files: &[FileId]) -> Result<ProgramReading, ProgramError> {
    read_with(proc, pid, files, |folder| open_file(folder, files))
}

fn read_with(
    proc: &Path,
    pid: i32,
    files: &[FileId],
    mut open_file: impl FnMut(&ProcessFolder) -> Result<Option<Descriptor>, ProgramError>,
) -> Result<ProgramReading, ProgramError> {
    let mut last = ProgramError::Changing;
    for _ in 0..READINGS {
        match read_once(proc, pid, files, &mut open_file) {
            Ok(Some(reading)) => return Ok(reading),
            Ok(None) => last = ProgramError::Changing,
            // An execve(2) by a thread makes it the first one, and the folder of that thread disappears.
            Err(ProgramError::Gone) => last = ProgramError::Gone,
            Err(error) => return Err(error),
        }
    }
    Err(last)
}

// `None` if it changed in between.
fn read_once(
    proc: &Path,
    pid: i32,
    files: &[FileId],
    open_file: &mut impl FnMut(&ProcessFolder) -> Result<Option<Descriptor>, ProgramError>,
) -> Result<Option<ProgramReading>, ProgramError> {
    let start = || process_start(proc, pid).ok_or(ProgramError::Gone);
    let folder = folder(proc, pid);
    let before = (start()?, executable_in(&folder)?);
    let open = open_file(&folder)?;
    let start_ticks = start()?;
    // What an execve(2) changes is read last, in as few system calls as possible.
    let read_at = Instant::now();
    let executable = executable_in(&folder)?;
    let is_as_before = open.as_ref().is_none_or(|descriptor| is_one_of(descriptor, files));
    let is_consistent = before == (start_ticks, executable) && is_as_before;
    let has_file = open.is_some();
    Ok(is_consistent.then_some(ProgramReading { start_ticks, executable, has_file, read_at }))
}

/// The executable of `pid`, even if its file was renamed or deleted.
///
/// # Errors
///
/// If the process has exited or hides it.
pub fn executable(proc: &Path, pid: i32) -> Result<FileId, ProgramError> {
    executable_in(&folder(proc, pid))
}

// The folder that shows the program of `pid`: if its first thread has exited, the folder of another thread.
fn folder(proc: &Path, pid: i32) -> ProcessFolder {
    let own = ProcessFolder::of(proc, pid);
    let living = || ProcessFolder::living_thread(proc, pid);
    if own.executable().is_ok() { own } else { living().unwrap_or(own) }
}

fn executable_in(folder: &ProcessFolder) -> Result<FileId, ProgramError> {
    let metadata = folder.executable().map_err(|error| wrap("executable", error))?;
    Ok(FileId::of(&metadata))
}

// The first descriptor on one of `files`.
fn open_file(folder: &ProcessFolder, files: &[FileId]) -> Result<Option<Descriptor>, ProgramError> {
    if files.is_empty() {
        return Ok(None);
    }
    let descriptors = folder.descriptors().map_err(|error| wrap("descriptors", error))?;
    for (number, descriptor) in descriptors.enumerate() {
        if number == MOST_DESCRIPTORS {
            let source = io::Error::other(format!("there are more than {MOST_DESCRIPTORS}"));
            return Err(ProgramError::Unreadable { what: "descriptors", source });
        }
        let descriptor = descriptor.map_err(|error| wrap("descriptors", error))?;
        // Pipes and sockets have no path. A descriptor may be closed at any time.
        let has_path = descriptor.target().is_ok_and(|path| path.as_os_str().as_bytes().starts_with(b"/"));
        if has_path && is_one_of(&descriptor, files) {
            return Ok(Some(descriptor));
        }
    }
    Ok(None)
}

fn is_one_of(descriptor: &Descriptor, files: &[FileId]) -> bool {
    descriptor.metadata().is_ok_and(|metadata| files.contains(&FileId::of(&metadata)))
}

fn wrap(what: &'static str, source: io::Error) -> ProgramError {
    let is_gone =
        source.kind() == io::ErrorKind::NotFound || Errno::from_io_error(&source) == Some(Errno::SRCH);
    if is_gone { ProgramError::Gone } else { ProgramError::Unreadable { what, source } }
}

/// The scheduler state of each thread of `pid`, as `proc_pid_stat(5)` writes it; `?` if it cannot be read.
///
/// # Errors
///
/// If the process has exited, or its threads cannot be listed.
pub fn thread_states(proc: &Path, pid: i32) -> Result<BTreeMap<i32, char>, ProgramError> {
    let folder = ProcessFolder::of(proc, pid).0.join("task");
    let mut states = BTreeMap::new();
    for task in fs::read_dir(folder).map_err(|error| wrap("threads", error))? {
        let task = task.map_err(|error| wrap("threads", error))?;
        let Some(tid) = task.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        match ProcessFolder(task.path()).stat() {
            Some(stat) => {
                states.insert(tid, stat.state);
            }
            // That thread has exited.
            None if !task.path().exists() => {}
            None => {
                states.insert(tid, '?');
            }
        }
    }
    Ok(states)
}

/// The first of `states` that may still run: neither stopped (T) nor ended (Z, X). A traced thread (t) resumes when its
/// tracer allows it.
pub fn running_thread(states: &BTreeMap<i32, char>) -> Option<(i32, char)> {
    let may_run = |state: char| !matches!(state, 'T' | 'Z' | 'X' | 'x');
    states.iter().map(|(&tid, &state)| (tid, state)).find(|&(_, state)| may_run(state))
}

#[cfg(test)]
mod tests {
    use std::{os::unix::fs::symlink, path::PathBuf};

    use tempfile::TempDir;

    use super::*;

    const PID: i32 = 7;

    /// A `/proc` with one process, two programs and one database.
    struct FakeProc {
        folder: TempDir,
    }

    impl FakeProc {
        fn new() -> Self {
            let fake = Self { folder: TempDir::new().expect("a folder") };
            for file in ["old", "new", "notes.db"] {
                fs::write(fake.at(file), file).expect("a file");
            }
            fs::create_dir_all(fake.at("7/fd")).expect("a folder");
            fake.start(4200);
            fake.runs("old");
            fake
        }

        fn at(&self, path: &str) -> PathBuf {
            self.folder.path().join(path)
        }

        fn start(&self, ticks: u64) {
            let zeros = "0 ".repeat(17);
            fs::write(self.at("7/stat"), format!("7 (a) S 1 {zeros}{ticks} 9 9\n")).expect("a file");
        }

        fn runs(&self, program: &str) {
            let _ = fs::remove_file(self.at("7/exe"));
            symlink(self.at(program), self.at("7/exe")).expect("a link");
        }

        fn opens(&self, number: u32, file: &str) {
            symlink(self.at(file), self.at(&format!("7/fd/{number}"))).expect("a link");
        }

        fn thread(&self, tid: i32, name_and_state: &str) {
            let folder = self.at(&format!("7/task/{tid}"));
            fs::create_dir_all(&folder).expect("a folder");
            let stat = format!("{tid} {name_and_state} 1 {}4200 9 9\n", "0 ".repeat(17));
            fs::write(folder.join("stat"), stat).expect("a file");
        }

        fn id(&self, file: &str) -> FileId {
            FileId::of(&self.at(file).metadata().expect("there"))
        }

        fn read(&self) -> Result<ProgramReading, ProgramError> {
            read(self.folder.path(), PID, &[self.id("notes.db")])
        }
    }

    #[test]
    fn a_reading_has_the_program_and_whether_it_has_the_database_open() {
        let proc = FakeProc::new();
        proc.opens(0, "new");
        let reading = proc.read().expect("readable");
        let expected = (4200, proc.id("old"), false);
        assert_eq!((reading.start_ticks, reading.executable, reading.has_file), expected);
        proc.opens(1, "notes.db");
        assert!(proc.read().expect("readable").has_file);
    }

    #[test]
    fn an_exec_between_the_descriptors_and_the_end_is_read_again() {
        let proc = FakeProc::new();
        proc.opens(1, "notes.db");
        let found = proc.at("7/fd/1");
        // The first program has the database open. The second one does not.
        let execs: [&dyn Fn(); 2] = [&|| proc.runs("new"), &|| fs::remove_file(&found).expect("removed")];
        for exec in execs {
            let mut readings = 0;
            let reading = read_with(proc.folder.path(), PID, &[proc.id("notes.db")], |_| {
                readings += 1;
                let open = (readings == 1).then(|| Descriptor::at(&found));
                if readings == 1 {
                    exec();
                }
                Ok(open)
            });
            let reading = reading.expect("the second reading agrees with itself");
            assert_eq!((reading.executable, reading.has_file, readings), (proc.id("new"), false, 2));
        }
    }

    #[test]
    fn a_program_that_never_stays_the_same_gives_no_reading() {
        let proc = FakeProc::new();
        let mut readings = 0;
        let reading = read_with(proc.folder.path(), PID, &[], |_| {
            readings += 1;
            proc.start(readings);
            Ok(None)
        });
        assert!(matches!(reading, Err(ProgramError::Changing)), "{reading:?}");
        assert_eq!(readings, u64::try_from(READINGS).expect("a few"));
    }

    #[test]
    fn one_that_ended_and_one_that_hides_itself_are_distinguished() {
        let proc = FakeProc::new();
        fs::remove_file(proc.at("7/exe")).expect("removed");
        assert!(matches!(proc.read(), Err(ProgramError::Gone)));
        // Not a folder: what a test gets in place of a refusal, since root is refused nothing.
        fs::remove_dir(proc.at("7/fd")).expect("removed");
        fs::write(proc.at("7/fd"), "").expect("a file");
        proc.runs("old");
        assert!(matches!(proc.read(), Err(ProgramError::Unreadable { what: "descriptors", .. })));
    }

    #[test]
    fn every_thread_counts_and_a_name_may_look_like_a_state() {
        let proc = FakeProc::new();
        proc.thread(7, "(a) T");
        proc.thread(8, "(b) R) T");
        proc.thread(9, "(c) Z");
        let states = thread_states(proc.folder.path(), PID).expect("readable");
        assert_eq!(states, BTreeMap::from([(7, 'T'), (8, 'T'), (9, 'Z')]));
        assert_eq!(running_thread(&states), None);
        for (thread, state) in [("(d) D", 'D'), ("(d) t", 't'), ("rubbish", '?')] {
            proc.thread(10, thread);
            let states = thread_states(proc.folder.path(), PID).expect("readable");
            assert_eq!(running_thread(&states), Some((10, state)), "{thread}");
        }
    }
}
