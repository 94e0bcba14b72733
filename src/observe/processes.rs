//! Which processes have which of the three files open, from `/proc/PID/fd`, `fdinfo` and `maps`.
//!
//! Reading every descriptor of every process each second would cost more than it shows: a connection that was ever used
//! in WAL mode appears in the lock table at once. Each sample therefore reads the holders of locks, the known processes
//! and the new ones. All processes are read first, and then at intervals.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    io,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rustix::thread::{self, CapabilitySet};

use crate::{
    observe::{
        files::BirthId,
        lock_table::LockRow,
        opener::{DatabaseOpener, OpenerTarget, TemporaryFile},
        proc::{self, MOST_DESCRIPTORS, ProcessFolder},
    },
    paths::FileId,
    snapshot::{HandleCounts, Unseen},
};

mod describe;
mod executable;
mod open_descriptor;
mod origin;

pub use crate::observe::proc::boot_id as boot;
pub use describe::ProcessDescriber;
use open_descriptor::{OpenDescriptor, OpenedNames, shares_mounts};

/// Time between two scans of all processes.
const WHOLESALE: Duration = Duration::from_secs(10);
/// The same after a new lock that none of the known processes is known to have taken.
const UNATTRIBUTED: Duration = Duration::from_secs(2);

/// So many PIDs are asked for one by one: each costs as much as some of a listing.
const FEW_PIDS: i32 = 100;
/// So many of those that were assigned before are asked for again.
const LATE_PIDS: i32 = 8;

/// Finds openers across samples.
#[derive(Debug)]
pub struct OpenerFinder {
    proc: PathBuf,
    own: i32,
    seen: HashSet<i32>,
    // The PID that was assigned last when `seen` was listed.
    newest: Option<i32>,
    openers: BTreeSet<i32>,
    denied: BTreeSet<i32>,
    // Processes with more descriptors than are read.
    crowded: BTreeSet<i32>,
    // Kernel threads and zombies.
    without_files: HashSet<i32>,
    wholesale: Option<(Instant, Vec<Option<FileId>>)>,
    // Open-file-description locks without a known process: after the last scan of all processes, and now.
    unattributed: [Vec<LockRow>; 2],
    trouble: Option<Unseen>,
    // Whether this process has CAP_SYS_PTRACE. What a security module hides even so is left out.
    may_follow: bool,
}

impl OpenerFinder {
    /// Finds openers in the `/proc` at `proc`.
    pub fn new(proc: &Path) -> Self {
        Self {
            proc: proc.to_owned(),
            own: i32::try_from(std::process::id()).unwrap_or(0),
            seen: HashSet::new(),
            newest: None,
            openers: BTreeSet::new(),
            denied: BTreeSet::new(),
            crowded: BTreeSet::new(),
            without_files: HashSet::new(),
            wholesale: None,
            unattributed: [const { Vec::new() }; 2],
            trouble: None,
            may_follow: thread::capabilities(None)
                .is_ok_and(|sets| sets.effective.contains(CapabilitySet::SYS_PTRACE)),
        }
    }

    /// The openers of each target by PID, without this process and other observers.
    pub fn find(&mut self, targets: &[OpenerTarget], now: Instant) -> Vec<BTreeMap<i32, DatabaseOpener>> {
        let mains: Vec<_> = targets.iter().map(|target| target.sights[0].map(|sight| sight.id)).collect();
        let [given_up, open] = &self.unattributed;
        let rest = if open.iter().all(|row| given_up.contains(row)) { WHOLESALE } else { UNATTRIBUTED };
        let is_due = self
            .wholesale
            .as_ref()
            .is_none_or(|(at, files)| now.duration_since(*at) >= rest || *files != mains);
        if is_due {
            self.wholesale = Some((now, mains));
        }
        let before = std::mem::take(&mut self.seen);
        let listed = self.pids(is_due, &before);
        let pids = listed.as_ref().unwrap_or(&before);
        let mut found = vec![BTreeMap::new(); targets.len()];
        let own = self.own;
        for &pid in pids.iter().filter(|&&pid| pid != own) {
            let is_holder = targets.iter().any(|target| target.holders.contains(&pid));
            let is_known = is_holder || self.openers.contains(&pid);
            if !(is_due || is_known || !before.contains(&pid)) {
                continue;
            }
            match self.openers_in(pid, targets, is_known) {
                Ok(openers) => {
                    self.denied.remove(&pid);
                    for ((found, opener), target) in found.iter_mut().zip(openers).zip(targets) {
                        // A lock holder without a descriptor: it has closed it, or the row is about another file.
                        let handles = (!self.crowded.contains(&pid)).then(HandleCounts::default);
                        let none = || DatabaseOpener { handles, ..DatabaseOpener::default() };
                        let opener = opener.or_else(|| target.holders.contains(&pid).then(none));
                        found.extend(opener.map(|opener| (pid, opener)));
                    }
                }
                Err(error) => self.refused(pid, &error),
            }
        }
        for (found, target) in found.iter_mut().zip(targets) {
            for &pid in target.holders.iter().filter(|&&pid| pid != self.own) {
                // It holds locks, but its descriptors are not readable.
                found.entry(pid).or_insert_with(DatabaseOpener::default);
            }
            found.retain(|pid, opener| target.holders.contains(pid) || !opener.is_observer());
        }
        self.note_unattributed(targets, &found, is_due);
        self.openers = found.iter().flat_map(|found| found.keys().copied()).collect();
        self.denied.retain(|pid| pids.contains(pid));
        self.crowded.retain(|pid| pids.contains(pid));
        self.without_files.retain(|pid| pids.contains(pid));
        self.seen = listed.unwrap_or(before);
        found
    }

    /// Processes whose open files could not be read, or not all of them; `None` if processes could not be listed.
    pub fn unseen_count(&self) -> Option<usize> {
        self.trouble.is_none().then(|| self.denied.union(&self.crowded).count())
    }

    /// What could not be sampled.
    pub fn unseen(&self) -> impl Iterator<Item = Unseen> {
        let processes = |pids: &BTreeSet<i32>| {
            (!pids.is_empty())
                .then(|| format!("open files of {}", crate::units::plural(pids.len() as u64, "process")))
        };
        let denied = processes(&self.denied)
            .map(|what| Unseen { what: what + " of other users", why: "permission denied".to_owned() });
        let crowded = processes(&self.crowded).map(|what| {
            let most = crate::units::count(MOST_DESCRIPTORS as u64);
            Unseen { what, why: format!("only {most} of each process are read") }
        });
        self.trouble.clone().into_iter().chain(denied).chain(crowded)
    }

    fn note_unattributed(
        &mut self,
        targets: &[OpenerTarget],
        found: &[BTreeMap<i32, DatabaseOpener>],
        was_wholesale: bool,
    ) {
        let open = targets.iter().zip(found).flat_map(|(target, found)| {
            let is_open = |row: &&LockRow| !found.values().any(|opener| opener.took(row));
            target.ofd_rows.iter().copied().filter(is_open).cloned()
        });
        let [given_up, still_open] = &mut self.unattributed;
        *still_open = open.collect();
        if was_wholesale {
            given_up.clone_from(still_open);
        }
    }

    // All processes; `None` if no PID was assigned since `before` were listed. Listing them is most of the cost of a
    // sample: where few PIDs were assigned since, only those are asked for, and the ended ones stay until the next scan.
    fn pids(&mut self, is_due: bool, before: &HashSet<i32>) -> Option<HashSet<i32>> {
        let newest = proc::newest_pid(&self.proc);
        let earlier = std::mem::replace(&mut self.newest, newest);
        if !is_due
            && let (Some(earlier), Some(newest)) = (earlier, newest)
            && (earlier..=earlier.saturating_add(FEW_PIDS)).contains(&newest)
        {
            // A process gets its PID some time before it is listed.
            let assigned = earlier - LATE_PIDS + 1..=newest;
            let is_new = |pid: &i32| !before.contains(pid) && proc::is_process(&self.proc, *pid);
            return (newest > earlier)
                .then(|| before.iter().copied().chain(assigned.filter(is_new)).collect());
        }
        Some(match proc::pids(&self.proc) {
            Ok(pids) => {
                self.trouble = None;
                pids.collect()
            }
            Err(error) => {
                let what = "processes that have the database open".to_owned();
                self.trouble = Some(Unseen { what, why: error.to_string() });
                HashSet::new()
            }
        })
    }

    fn refused(&mut self, pid: i32, error: &io::Error) {
        if error.kind() != io::ErrorKind::PermissionDenied || self.without_files.contains(&pid) {
            return;
        }
        if proc::stat(&self.proc, pid).is_some_and(|stat| stat.is_kernel_thread || stat.is_dead()) {
            self.without_files.insert(pid);
        } else {
            self.denied.insert(pid);
        }
    }

    // For each target what `pid` has open of it. With `thoroughly` every descriptor on a file is compared by inode, so
    // that hard links and other mount namespaces are not missed; else only those with a matching path.
    fn openers_in(
        &mut self,
        pid: i32,
        targets: &[OpenerTarget],
        thoroughly: bool,
    ) -> io::Result<Vec<Option<DatabaseOpener>>> {
        let folder = ProcessFolder::of(&self.proc, pid);
        let mut found = self.openers_below(pid, &folder, targets, thoroughly);
        // A process whose first thread has exited shows none there.
        if !matches!(found, Ok((_, 1..))) && !self.without_files.contains(&pid) {
            let thread = ProcessFolder::living_thread(&self.proc, pid);
            found = thread.map_or(found, |thread| self.openers_below(pid, &thread, targets, thoroughly));
        }
        let (openers, count) = found?;
        if count > MOST_DESCRIPTORS {
            self.crowded.insert(pid);
        } else {
            self.crowded.remove(&pid);
        }
        Ok(openers)
    }

    // Those that the process or thread of `folder` shows, and how many descriptors it has.
    fn openers_below(
        &self,
        pid: i32,
        folder: &ProcessFolder,
        targets: &[OpenerTarget],
        thoroughly: bool,
    ) -> io::Result<(Vec<Option<DatabaseOpener>>, usize)> {
        let mut openers: Vec<Option<DatabaseOpener>> = vec![None; targets.len()];
        let (mut temporary, mut count) = (TemporaryFile::NONE, 0);
        let mut names = OpenedNames::default();
        for descriptor in folder.descriptors()?.flatten() {
            count += 1;
            if count > MOST_DESCRIPTORS {
                break;
            }
            let text = match descriptor.target() {
                Ok(text) => text,
                // With CAP_DAC_READ_SEARCH alone they are listed, and lead nowhere.
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied && !self.may_follow => {
                    return Err(error);
                }
                // It may be closed at any time.
                Err(_) => continue,
            };
            let text = text.as_os_str().as_bytes();
            if !text.starts_with(b"/") {
                continue;
            }
            temporary.note(text, || descriptor.metadata().ok().map(|file| file.len()));
            let is_named = |target: &OpenerTarget| {
                target.paths[0].file_name().is_some_and(|name| contains(text, name.as_bytes()))
            };
            if !thoroughly && !targets.iter().any(is_named) {
                continue;
            }
            let Ok(metadata) = descriptor.metadata() else { continue };
            let descriptor = OpenDescriptor {
                pid,
                proc: &self.proc,
                process: folder,
                descriptor: &descriptor,
                text,
                id: FileId::of(&metadata),
                birth: BirthId::of(&metadata),
                last_bytes: if metadata.nlink() == 0 { metadata.len() } else { 0 },
            };
            names.note(&descriptor, targets);
            for (opener, target) in openers.iter_mut().zip(targets) {
                descriptor.note(opener, target);
            }
        }
        for (at, (opener, target)) in openers.iter_mut().zip(targets).enumerate() {
            let Some(opener) = opener else { continue };
            opener.temporary = temporary;
            names.judge(at, opener, target, || shares_mounts(&self.proc, folder, target));
        }
        Ok((openers, count))
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    !part.is_empty() && text.windows(part.len()).any(|window| window == part)
}

#[cfg(test)]
mod tests;
