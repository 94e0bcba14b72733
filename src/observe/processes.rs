//! Which processes have which of the three files open, from `/proc/PID/fd`, `fdinfo` and `maps`.
//!
//! Looking at every descriptor of every process each second would cost more than it tells: a connection
//! that was ever used in WAL mode shows in the lock table at once. So each look is at the holders of locks, the
//! processes already known and the new ones; all are looked at first, and then now and again.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    ffi::OsStr,
    fs, io,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use procfs::process::{Process as Entry, Stat};

use crate::{
    bounded,
    history::LockOwner,
    observe::{
        files::{BirthId, FileId, FileSighting},
        lock_table::LockRow,
        opener::{DatabaseOpener, OpenerTarget, TemporaryFile},
        process_stat,
    },
    snapshot::{HandleCounts, Unseen},
};

mod describe;
mod fdinfo;
mod maps;
mod origin;

pub use describe::ProcessDescriber;
use fdinfo::DescriptorInfo;
pub use maps::maps;

/// Time between two looks at every process.
const WHOLESALE: Duration = Duration::from_secs(10);
/// The same when a lock has turned up of which none of the processes known can say that it took it.
const UNATTRIBUTED: Duration = Duration::from_secs(2);
/// Bytes of a file with some figures.
const FIGURES: usize = 4 << 10;
/// Threads of one process that are read in one look.
const MOST_THREADS: usize = 4096;
/// Descriptors of one process that are asked for locks in one look.
const MOST_ASKED: usize = 64;
/// Descriptors of one process that are read in one look: a process may have a million.
const MOST_DESCRIPTORS: usize = 1 << 16;
// `PF_KTHREAD` of the kernel: a thread of its own, which has no descriptors to hide.
const KERNEL_THREAD: u32 = 0x0020_0000;

/// Finds openers, look by look.
#[derive(Debug)]
pub struct OpenerFinder {
    proc: PathBuf,
    own: i32,
    seen: HashSet<i32>,
    // The PID that was given last when `seen` was listed.
    newest: Option<String>,
    openers: BTreeSet<i32>,
    denied: BTreeSet<i32>,
    // Processes with more descriptors than are read.
    crowded: BTreeSet<i32>,
    // Kernel threads and zombies.
    without_files: HashSet<i32>,
    wholesale: Option<(Instant, Vec<Option<FileId>>)>,
    // Open-file-description locks that nobody was seen to have taken, after a look at every process and now.
    unattributed: [Vec<LockRow>; 2],
    trouble: Option<Unseen>,
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
        }
    }

    /// The openers of each target by PID, this process and other observers aside.
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
        let listed = self.pids(is_due);
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
                        // A holder of locks without a descriptor: it has closed it, or the row is not about this file.
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
                // It holds locks, but does not let us see its descriptors.
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

    /// What could not be seen.
    pub fn unseen(&self) -> impl Iterator<Item = Unseen> {
        let processes = |pids: &BTreeSet<i32>| {
            let noun = if pids.len() == 1 { "process" } else { "processes" };
            (!pids.is_empty()).then(|| format!("open files of {} {noun}", pids.len()))
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

    // All of them; `None` where none has been given since they were listed: to list them costs more than most of a look.
    fn pids(&mut self, anew: bool) -> Option<HashSet<i32>> {
        let newest = newest_pid(&self.proc);
        if !anew && newest.is_some() && newest == self.newest {
            return None;
        }
        self.newest = newest;
        Some(match fs::read_dir(&self.proc) {
            Ok(entries) => {
                self.trouble = None;
                entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
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
        let stat = Entry::new_with_root(self.proc.join(pid.to_string())).and_then(|entry| entry.stat());
        let has_ended = |stat: &Stat| stat.state == 'Z' && stat.num_threads <= 1;
        if stat.is_ok_and(|stat| stat.flags & KERNEL_THREAD != 0 || has_ended(&stat)) {
            self.without_files.insert(pid);
        } else {
            self.denied.insert(pid);
        }
    }

    // For each target what `pid` has open of it. With `thoroughly` every descriptor on a file is compared by
    // inode, so that hard links and other mount namespaces are not missed; else only those whose path looks right.
    fn openers_in(
        &mut self,
        pid: i32,
        targets: &[OpenerTarget],
        thoroughly: bool,
    ) -> io::Result<Vec<Option<DatabaseOpener>>> {
        let folder = self.proc.join(pid.to_string());
        let mut found = self.openers_below(pid, &folder, targets, thoroughly);
        // A process whose first thread has ended shows none there.
        if !matches!(found, Ok((_, 1..))) && !self.without_files.contains(&pid) {
            let thread = process_stat::living_thread(&self.proc, pid);
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

    // Those that the process or thread with the folder `folder` shows, and how many descriptors it has.
    fn openers_below(
        &self,
        pid: i32,
        folder: &Path,
        targets: &[OpenerTarget],
        thoroughly: bool,
    ) -> io::Result<(Vec<Option<DatabaseOpener>>, usize)> {
        let mut openers: Vec<Option<DatabaseOpener>> = vec![None; targets.len()];
        let (mut temporary, mut count) = (TemporaryFile::NONE, 0);
        let mut names = OpenedNames::default();
        for descriptor in fs::read_dir(folder.join("fd"))?.flatten() {
            count += 1;
            if count > MOST_DESCRIPTORS {
                break;
            }
            let link = descriptor.path();
            // A descriptor may be closed at any time.
            let Ok(text) = fs::read_link(&link) else { continue };
            let text = text.as_os_str().as_bytes();
            if !text.starts_with(b"/") {
                continue;
            }
            temporary.note(text);
            let is_named = |target: &OpenerTarget| {
                target.paths[0].file_name().is_some_and(|name| contains(text, name.as_bytes()))
            };
            if !thoroughly && !targets.iter().any(is_named) {
                continue;
            }
            let Ok(metadata) = link.metadata() else { continue };
            let descriptor = OpenDescriptor {
                pid,
                process: folder,
                number: &descriptor.file_name(),
                link: &link,
                text,
                id: FileId::of(&metadata),
                birth: BirthId::of(&metadata),
                is_last_of_data: metadata.nlink() == 0 && metadata.len() > 0,
            };
            names.note(&descriptor, targets);
            for (opener, target) in openers.iter_mut().zip(targets) {
                self.note(opener, target, &descriptor);
            }
        }
        for (at, (opener, target)) in openers.iter_mut().zip(targets).enumerate() {
            let Some(opener) = opener else { continue };
            opener.temporary = temporary;
            names.judge(at, opener, target, || self.shares_mounts(folder, target));
        }
        Ok((openers, count))
    }

    fn note(&self, opener: &mut Option<DatabaseOpener>, target: &OpenerTarget, descriptor: &OpenDescriptor) {
        let is_at = |sight: Option<&FileSighting>| sight.is_some_and(|sight| sight.id == descriptor.id);
        if let Some(which) = target.sights.iter().position(|&sight| is_at(sight)) {
            // Nobody locks `-wal`, and beside the main file, which is opened first, it tells nothing.
            let is_beside = |handles: &HandleCounts| which == 1 && handles.db > 0;
            let is_known = opener.as_ref().and_then(|opener| opener.handles.as_ref()).is_some_and(is_beside);
            // Most are those of connections that may write. Of these `fdinfo` has nothing to tell but open-file-description
            // locks, of which the lock table knows whether there are any; it costs more than all the rest of a look.
            let is_plain =
                is_known || !target.is_cut && target.ofd_rows.is_empty() && descriptor.is_writable();
            let info = if is_plain { Some(DescriptorInfo::default()) } else { descriptor.info() };
            // It was closed while we looked.
            let Some(info) = info else { return };
            let opener = opener.get_or_insert_default();
            opener.note_file(descriptor.id);
            let handles = opener.handles.get_or_insert_default();
            let is_writable = descriptor.is_writable() || !(is_plain || info.is_read_only);
            opener.writable += u32::from(is_writable);
            opener.writable_log += u32::from(is_writable && which == 1);
            if which != 1 {
                opener.lockable.push((which, descriptor.number.to_string_lossy().into_owned()));
            }
            opener.glances += u32::from(which != 2 && info.is_glance);
            match which {
                0 => {
                    handles.db += 1;
                    opener.read_only_db += u32::from(info.is_read_only);
                }
                1 => handles.wal += 1,
                _ => {
                    handles.shm += 1;
                    opener.read_only_shm += u32::from(info.is_read_only);
                }
            }
            let is_needed = |row: &LockRow| row.is_ofd || target.is_cut;
            opener.taken_locks.extend(info.locks.into_iter().filter(is_needed));
        } else if let Some((which, place)) = self.outdated(target, descriptor) {
            let info = descriptor.info().unwrap_or_default();
            // A waltop that copies it.
            if info.is_glance {
                return;
            }
            let opener = opener.get_or_insert_default();
            opener.note_file(descriptor.id);
            opener.moved_to.extend(place.filter(|place| !opener.moved_to.contains(place)));
            opener.handles.get_or_insert_default();
            opener.writable_replaced += u32::from(which != 2 || !info.is_read_only);
            opener.writable += u32::from(!info.is_read_only);
            let name = target.paths[which].to_string_lossy().into_owned();
            if which != 2 && descriptor.is_last_of_data && !opener.deleted.contains(&name) {
                opener.deleted.push(name.clone());
            }
            if !opener.replaced.contains(&name) {
                opener.replaced.push(name);
            }
        }
    }

    // Which of the target's files the descriptor was, and where that lies now, if it does.
    fn outdated(
        &self,
        target: &OpenerTarget,
        descriptor: &OpenDescriptor,
    ) -> Option<(usize, Option<String>)> {
        if let Some(which) = self.replaced(target, descriptor) {
            return Some((which, None));
        }
        let which = target.moved(descriptor.pid, descriptor.birth?, descriptor.text)?;
        Some((which, Some(String::from_utf8_lossy(descriptor.text).into_owned())))
    }

    // Which of the target's files the descriptor was, before that was deleted or replaced. Only the path is left
    // to tell; so a process that has another file system at that path must not be taken for one of ours. And a
    // file may really have a name that ends with the kernel's word: it is there.
    fn replaced(&self, target: &OpenerTarget, descriptor: &OpenDescriptor) -> Option<usize> {
        let path = descriptor.text.strip_suffix(b" (deleted)")?;
        let which = target.paths.iter().position(|ours| ours.as_os_str().as_bytes() == path)?;
        let there = fs::metadata(OsStr::from_bytes(descriptor.text));
        if target.namespace.is_none() && there.is_ok_and(|there| FileId::of(&there) == descriptor.id) {
            return None;
        }
        let mut devices = target.sights.iter().flatten().map(|sight| sight.id.device).peekable();
        let is_on_ours = if devices.peek().is_some() {
            devices.any(|device| device == descriptor.id.device)
        } else {
            // With none of the files left, the folder that they lay in has the device.
            let folder = target.paths[which].parent().and_then(|folder| folder.metadata().ok());
            folder.is_some_and(|folder| folder.dev() == descriptor.id.device)
        };
        (is_on_ours || self.shares_mounts(descriptor.process, target)).then_some(which)
    }

    fn shares_mounts(&self, process: &Path, target: &OpenerTarget) -> bool {
        let namespace = |process: &Path| fs::read_link(process.join("ns/mnt"));
        let ours =
            target.namespace.map_or_else(|| namespace(&self.proc.join("self")), |it| Ok(it.to_owned()));
        match (namespace(process), ours) {
            (Ok(theirs), Ok(ours)) => theirs == ours,
            _ => true,
        }
    }
}

struct OpenDescriptor<'a> {
    pid: i32,
    process: &'a Path,
    number: &'a OsStr,
    link: &'a Path,
    text: &'a [u8],
    id: FileId,
    birth: Option<BirthId>,
    // No folder names the file any more, and it is not empty.
    is_last_of_data: bool,
}

/// The names that one process has the main files and sidecars open by.
#[derive(Default)]
struct OpenedNames {
    // The target, and the name without a mark of deletion.
    mains: HashSet<(usize, Vec<u8>)>,
    // The link's text, and whether it may be written to.
    sidecars: Vec<(Vec<u8>, FileId, bool)>,
}

impl OpenedNames {
    fn note(&mut self, descriptor: &OpenDescriptor, targets: &[OpenerTarget]) {
        let text = descriptor.text;
        let is_main = |target: &OpenerTarget| target.sights[0].is_some_and(|sight| sight.id == descriptor.id);
        self.mains.extend(
            (0..).zip(targets).filter(|(_, target)| is_main(target)).map(|(at, _)| (at, text.to_vec())),
        );
        if text.ends_with(b"-wal") || text.ends_with(b"-shm") {
            self.sidecars.push((text.to_vec(), descriptor.id, descriptor.is_writable()));
        }
    }

    // A log or an index beside a name of this main file that is not the one beside the path. What was deleted is a
    // replaced file. Where the process `shares_mounts` with waltop, one at that very path is the one beside it: it was made
    // after the sample had looked at the path, as the first connection after the last one closed makes it.
    fn judge(
        &self,
        at: usize,
        opener: &mut DatabaseOpener,
        target: &OpenerTarget,
        shares_mounts: impl Fn() -> bool,
    ) {
        for (text, id, is_writable) in &self.sidecars {
            let (name, suffix) = text.split_at(text.len() - 4);
            let which = if suffix == b"-wal" { 1 } else { 2 };
            let is_beside_main = self.mains.contains(&(at, name.to_vec()));
            let is_current = target.sights[which].is_some_and(|sight| sight.id == *id);
            let is_at_path = || text == target.paths[which].as_os_str().as_bytes() && shares_mounts();
            if is_beside_main && !is_current && !is_at_path() {
                opener.other_log.push(String::from_utf8_lossy(text).into_owned());
                opener.other_files.push(format!("{}:{}", id.device, id.inode));
                opener.writable += u32::from(*is_writable);
            }
        }
        for list in [&mut opener.other_log, &mut opener.other_files] {
            list.sort();
            list.dedup();
        }
    }
}

impl OpenDescriptor<'_> {
    // The kernel shows the access mode in the owner's bits of the link (`tid_fd_update_inode` in its `fs/proc/fd.c`), and
    // sets no others; where others are set, somebody else made the link, and `fdinfo` has to tell.
    fn is_writable(&self) -> bool {
        let mode = self.link.symlink_metadata().map_or(0, |link| link.mode());
        mode & 0o277 == 0o200
    }

    // `None` where the descriptor is no more.
    fn info(&self) -> Option<DescriptorInfo> {
        DescriptorInfo::read(&self.process.join("fdinfo").join(self.number))
    }
}

// The PID, of a process or a thread, that was given last (`proc_loadavg(5)`).
fn newest_pid(proc: &Path) -> Option<String> {
    let text = bounded::read_text(&proc.join("loadavg"), FIGURES).ok()?;
    Some(text.split_whitespace().nth(4)?.to_owned())
}

/// The process `pid` as the `/proc` at `proc` names it.
pub fn who(proc: &Path, pid: i32) -> LockOwner {
    let stat = process_stat::read(proc, pid);
    let start_ticks = stat.as_ref().and_then(|stat| stat.start_ticks);
    LockOwner { pid: Some(pid), start_ticks, name: stat.map(|stat| stat.name).unwrap_or_default() }
}

/// How often the threads of `pid` were given a processor, all together; `None` where the kernel does not say, or there are
/// too many of them to ask.
///
/// The third figure of `/proc/PID/task/TID/schedstat`, as of `Documentation/scheduler/sched-stats` of the kernel.
pub fn runs(proc: &Path, pid: i32) -> Option<u64> {
    let mut runs = 0;
    for (number, task) in fs::read_dir(proc.join(pid.to_string()).join("task")).ok()?.enumerate() {
        if number == MOST_THREADS {
            return None;
        }
        let figures = bounded::read_text(&task.ok()?.path().join("schedstat"), FIGURES).ok()?;
        runs += figures.split_whitespace().nth(2)?.parse::<u64>().ok()?;
    }
    // A process that exists has run: zeros are those of a kernel that does not count.
    (runs > 0).then_some(runs)
}

/// What names the running boot of the system; empty where nothing does.
pub fn boot(proc: &Path) -> String {
    bounded::read_text(&proc.join("sys/kernel/random/boot_id"), FIGURES).unwrap_or_default().trim().to_owned()
}

/// What `fdinfo` tells now of descriptors `numbers` of `pid`, those aside that are not open any more. The lock table is
/// printed page by page, so that a row can be missing there; here it cannot. One descriptor on a file has all of the POSIX
/// locks that its process holds on it, so that the first are enough.
pub fn descriptors<'a>(
    proc: &Path,
    pid: i32,
    numbers: impl Iterator<Item = &'a String>,
) -> Vec<DescriptorInfo> {
    let process = process_stat::living_thread(proc, pid).unwrap_or_else(|| proc.join(pid.to_string()));
    numbers
        .take(MOST_ASKED)
        .filter_map(|number| DescriptorInfo::read(&process.join("fdinfo").join(number)))
        .collect()
}

/// Whether one of `pid` and `other` started the other, or the same process started both.
pub fn are_related(proc: &Path, pid: i32, other: i32) -> bool {
    let (above, above_other) =
        (process_stat::process_ancestors(proc, pid), process_stat::process_ancestors(proc, other));
    let parent = above.first().filter(|&&parent| parent > 1);
    above.contains(&other) || above_other.contains(&pid) || parent.is_some() && parent == above_other.first()
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    !part.is_empty() && text.windows(part.len()).any(|window| window == part)
}
