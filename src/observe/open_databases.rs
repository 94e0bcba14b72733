//! The SQLite databases that any process on this machine has open, from `/proc/PID/fd`.
//!
//! A database is known by the header of the file behind a descriptor, or by a log, an index or a journal open beside
//! it. Only regular files are read: a read of a file that the kernel generates could take something from its reader.
//! All limits are counted, and what one of them left out is reported.

use std::{
    collections::{BTreeMap, HashMap},
    ffi::OsString,
    io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, Sender};

use crate::{
    observe::proc::{self, ProcessGroups},
    paths::FileId,
    snapshot::{GroupKind, ProcessGroup, Unseen},
    text, threads,
    units::{count, plural},
};

mod place;
mod process_files;

use place::DatabasePlace;
use process_files::ProcessFiles;

/// How many processes are read.
const MOST_PROCESSES: usize = 1 << 15;
/// How many files are read to find out whether they are databases.
const MOST_FILES: usize = 20_000;
/// How many databases are sampled.
const MOST_DATABASES: usize = 256;
/// How many names of one database are tried.
const MOST_NAMES: usize = 8;
/// How long the descriptors are read. A file on a server that does not answer takes for ever.
const PATIENCE: Duration = Duration::from_secs(5);

/// The open databases of this machine.
#[derive(Debug, Default)]
pub struct OpenDatabases {
    /// By group and path.
    pub databases: Vec<OpenDatabase>,
    /// What could not be seen, or was left out.
    pub unseen: Vec<Unseen>,
    /// The processes whose descriptors could not be read; a sample reports them, too.
    pub denied: Option<Unseen>,
}

/// A database that a process has open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenDatabase {
    /// A path by which it can be sampled.
    pub path: PathBuf,
    /// Its path as the process knows it.
    pub inner: PathBuf,
    /// The process by whose descriptor it was found.
    pub pid: i32,
    pub group: ProcessGroup,
    /// What names it on the command line: the path, or the process and the path in its files.
    pub argument: PathBuf,
}

impl OpenDatabases {
    /// Those that the `/proc` at `proc` shows, except those that only this process has open. Only for a process without
    /// a SQLite connection: it opens and closes the files.
    ///
    /// # Errors
    ///
    /// The processes cannot be listed, or the system refuses a thread.
    pub fn find(proc: &Path) -> io::Result<Self> {
        let mut pids: Vec<i32> = proc::pids(proc)?.collect();
        let own = i32::try_from(std::process::id()).unwrap_or(0);
        pids.retain(|&pid| pid != own);
        pids.sort_unstable();
        let mut found = Self::default();
        if pids.len() > MOST_PROCESSES {
            let left_out = plural((pids.len() - MOST_PROCESSES) as u64, "process");
            found.leave_out(
                format!("open files of {left_out}"),
                format!("only {} processes are read", count(MOST_PROCESSES as u64)),
            );
            pids.truncate(MOST_PROCESSES);
        }
        let (outbox, inbox) = crossbeam_channel::unbounded();
        let deadline = Instant::now() + PATIENCE;
        let all = pids.len();
        let root = proc.to_owned();
        threads::start_watched("waltop-discover", move || read_all(&root, &pids, deadline, &outbox))?;
        let sightings = found.collect(&inbox, all, deadline);
        found.place(proc, sightings);
        found.unseen.extend(proc::hidden_processes(proc));
        Ok(found)
    }

    fn leave_out(&mut self, what: String, why: String) {
        self.unseen.push(Unseen { what, why });
    }

    // What the thread reads of `all` processes until `deadline`.
    fn collect(&mut self, inbox: &Receiver<ProcessFiles>, all: usize, deadline: Instant) -> Sightings {
        let (mut sightings, mut denied, mut crowded, mut read, mut left_out) =
            (Sightings::default(), 0_u64, 0_u64, 0, 0_u64);
        while let Ok(files) = inbox.recv_deadline(deadline) {
            read += 1;
            denied += u64::from(files.is_denied);
            crowded += u64::from(files.is_crowded);
            left_out += files.unread;
            sightings.add(files);
        }
        let open_files = |number: u64| format!("open files of {}", plural(number, "process"));
        if read < all {
            let seconds = PATIENCE.as_secs();
            self.leave_out(
                open_files((all - read) as u64),
                format!("reading them took more than {seconds} s"),
            );
        }
        if crowded > 0 {
            let most = count(proc::MOST_DESCRIPTORS as u64);
            self.leave_out(open_files(crowded), format!("only {most} of each process are read"));
        }
        if left_out > 0 {
            let most = count(MOST_FILES as u64);
            self.leave_out(plural(left_out, "open file"), format!("only {most} files are read"));
        }
        self.denied = (denied > 0).then(|| Unseen {
            what: open_files(denied) + " of other users",
            why: "permission denied".to_owned(),
        });
        sightings
    }

    fn place(&mut self, proc: &Path, sightings: Sightings) {
        let mut groups = ProcessGroups::new(proc);
        for (id, names) in sightings.names {
            let place = names.iter().find_map(|(text, pid)| DatabasePlace::of(proc, *pid, text, id));
            if let Some(DatabasePlace { path, inner, pid }) = place {
                let group = groups.of(pid);
                let argument = argument(&path, &inner, &group, pid);
                self.databases.push(OpenDatabase { path, inner, pid, group, argument });
                continue;
            }
            let (text, pid) = &names[0];
            let path = text::clean(&String::from_utf8_lossy(text));
            self.leave_out(
                format!("the database {path} that process {pid} has open"),
                "no path leads to it from here".to_owned(),
            );
        }
        self.databases.sort_by(|one, other| (&one.group, &one.inner).cmp(&(&other.group, &other.inner)));
        self.databases.dedup_by(|one, other| one.path == other.path);
        if self.databases.len() > MOST_DATABASES {
            let left_out = plural((self.databases.len() - MOST_DATABASES) as u64, "database");
            self.databases.truncate(MOST_DATABASES);
            self.leave_out(left_out, format!("only {MOST_DATABASES} are sampled"));
        }
    }
}

// What names the database on the command line: its path, unless it is in the files of the process.
fn argument(path: &Path, inner: &Path, group: &ProcessGroup, pid: i32) -> PathBuf {
    if path == inner {
        return path.to_owned();
    }
    let id = group.short_id().filter(|_| group.kind.is_container() && group.kind != GroupKind::Namespace);
    let mut argument = OsString::from(id.map_or_else(|| pid.to_string(), str::to_owned));
    argument.push(":");
    argument.push(inner);
    PathBuf::from(argument)
}

// The names of each database, as the kernel names the descriptors on it, each with the first process that has it open
// by that name.
#[derive(Debug, Default)]
struct Sightings {
    names: BTreeMap<FileId, Vec<(Vec<u8>, i32)>>,
}

impl Sightings {
    fn add(&mut self, files: ProcessFiles) {
        for (id, text) in files.databases {
            let names = self.names.entry(id).or_default();
            // The same name in another namespace may lead there when this one does not.
            let is_new = !names.iter().any(|(known, pid)| *known == text && *pid == files.pid);
            if is_new && names.len() < MOST_NAMES {
                names.push((text, files.pid));
            }
        }
    }
}

fn read_all(proc: &Path, pids: &[i32], deadline: Instant, outbox: &Sender<ProcessFiles>) {
    let mut judged = JudgedFiles::default();
    for &pid in pids {
        // The receiver is gone once it is late.
        if Instant::now() >= deadline || outbox.send(ProcessFiles::read(proc, pid, &mut judged)).is_err() {
            return;
        }
    }
}

/// The files that were read, by whether they are databases.
#[derive(Debug, Default)]
struct JudgedFiles(HashMap<FileId, bool>);

impl JudgedFiles {
    /// Whether the file `id` is a database; `judge` reads it. `None` if too many have been read.
    fn is_database(&mut self, id: FileId, judge: impl FnOnce() -> bool) -> Option<bool> {
        if let Some(&known) = self.0.get(&id) {
            return Some(known);
        }
        if self.0.len() >= MOST_FILES {
            return None;
        }
        let is_database = judge();
        self.0.insert(id, is_database);
        Some(is_database)
    }
}

#[cfg(target_os = "linux")]
#[cfg(test)]
mod tests;
