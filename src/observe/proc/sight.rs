//! How much of the processes a `/proc` shows: which hide their name or their descriptors, and what inotify has in use.

use std::{
    fs::File,
    io::{self, Read},
    os::unix::ffi::OsStrExt,
    path::Path,
    time::{Duration, Instant},
};

use rustix::process::geteuid;

use super::{Descriptor, FIGURES, ProcessFolder, pids};
use crate::{
    bounded::{self, ReadLimits},
    snapshot::{InotifyUse, ProcessSight, SystemCallAccess},
};

/// How long all processes are read for at most.
const WITHIN: Duration = Duration::from_secs(2);
/// How many descriptors of one process are read.
const MOST_DESCRIPTORS: usize = 1 << 14;
/// How many processes of this user are asked for their system call.
const MOST_ASKED: usize = 32;
/// The maximum size of the `fdinfo` of an inotify instance: two million watches, each a line of some 120 bytes.
const WATCHES: u64 = 256 << 20;

/// What the processes in the `/proc` at `proc` show, and what those of this user have of inotify; `None` if they cannot
/// be listed.
pub fn sight(proc: &Path) -> Option<(ProcessSight, InotifyUse)> {
    let (own, this) = (geteuid().as_raw(), i32::try_from(std::process::id()).ok());
    let mut sight = ProcessSight { is_whole: true, ..ProcessSight::default() };
    let mut inotify = limits(proc);
    let mut asked = 0;
    let until = Instant::now() + WITHIN;
    for pid in pids(proc).ok()? {
        if Instant::now() > until {
            (sight.is_whole, inotify.is_cut) = (false, true);
            break;
        }
        let process = ProcessFolder::of(proc, pid);
        sight.has_first |= pid == 1;
        match process.stat() {
            Some(stat) if stat.is_kernel_thread => continue,
            Some(_) => {}
            None if process.is_gone() => continue,
            None => sight.nameless += 1,
        }
        sight.listed += 1;
        let Some(descriptors) = process.shown_descriptors() else {
            sight.closed += 1;
            continue;
        };
        if super::process_owner(proc, pid) != Some(own) {
            continue;
        }
        for descriptor in &descriptors {
            add_instance(&mut inotify, &process, descriptor, until);
        }
        // A single process may hide its own from all others.
        let is_tried = asked < MOST_ASKED && sight.system_calls != SystemCallAccess::Readable;
        if Some(pid) != this && is_tried {
            asked += 1;
            sight.system_calls = process.system_calls().or(sight.system_calls);
        }
    }
    Some((sight, inotify))
}

fn is_denied(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied
}

impl ProcessFolder {
    fn is_gone(&self) -> bool {
        !self.0.exists()
    }

    /// Its descriptors, none if it has exited; `None` if it hides them. With `CAP_DAC_READ_SEARCH` alone their numbers
    /// can be listed, and not what they are.
    fn shown_descriptors(&self) -> Option<Vec<Descriptor>> {
        let listed = match self.descriptors() {
            Err(error) if is_denied(&error) => return None,
            listed => listed.ok(),
        };
        let descriptors: Vec<Descriptor> =
            listed.into_iter().flatten().flatten().take(MOST_DESCRIPTORS).collect();
        let is_hidden =
            descriptors.first().is_some_and(|it| it.target().is_err_and(|error| is_denied(&error)));
        (!is_hidden).then_some(descriptors)
    }

    fn system_calls(&self) -> SystemCallAccess {
        match self.syscall_text() {
            Ok(_) => SystemCallAccess::Readable,
            Err(error) if is_denied(&error) => SystemCallAccess::Denied,
            Err(_) => SystemCallAccess::Unknown,
        }
    }
}

fn limits(proc: &Path) -> InotifyUse {
    let figure = |name: &str| {
        let file = proc.join("sys/fs/inotify").join(name);
        bounded::read_text(&file, FIGURES).ok()?.trim().parse().ok()
    };
    InotifyUse {
        max_instances: figure("max_user_instances"),
        max_watches: figure("max_user_watches"),
        ..InotifyUse::default()
    }
}

fn add_instance(inotify: &mut InotifyUse, process: &ProcessFolder, descriptor: &Descriptor, until: Instant) {
    if descriptor.target().unwrap_or_default().as_os_str().as_bytes() != b"anon_inode:inotify" {
        return;
    }
    inotify.instances += 1;
    let limits = ReadLimits { bytes: WATCHES, time: until.saturating_duration_since(Instant::now()) };
    let info = File::open(process.0.join("fdinfo").join(descriptor.number()));
    match info.and_then(|source| watches(source, limits)) {
        Ok((count, is_cut)) => {
            inotify.watches += count;
            inotify.is_cut |= is_cut;
        }
        // One that was closed meanwhile has none.
        Err(error) => inotify.is_cut |= is_denied(&error),
    }
}

/// The watches in the `fdinfo` of an instance, and whether it has more.
fn watches(source: impl Read, limits: ReadLimits) -> io::Result<(u64, bool)> {
    let mut count = 0;
    let reading = bounded::each_line(source, limits, |line| {
        count += u64::from(line.starts_with(b"inotify "));
        true
    })?;
    Ok((count, reading.cut.is_some()))
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::{super::fake::FakeProc, *};

    #[test]
    fn processes_threads_of_the_kernel_and_the_use_of_inotify_are_distinguished() {
        let proc = FakeProc::new();
        let own = geteuid().as_raw();
        proc.process(1).process(70).stat(2, 'S', 0x0020_0000, 1);
        proc.write("70/status", &format!("Tgid:\t70\nUid:\t{own}\t{own}\t{own}\t{own}\n"));
        proc.write("70/syscall", "running\n").process(71);
        proc.write("71/status", &format!("Tgid:\t71\nUid:\t{own}\t{own}\t{own}\t{own}\n"));
        symlink("anon_inode:inotify", proc.path().join("70/fd/3")).expect("linked");
        symlink("anon_inode:[eventfd]", proc.path().join("70/fd/4")).expect("linked");
        proc.write("70/fdinfo/3", "pos:\t0\nflags:\t0\ninotify wd:1 ino:5\ninotify wd:2 ino:6\n");
        proc.write("sys/fs/inotify/max_user_instances", "128\n");
        let (sight_of, inotify) = sight(proc.path()).expect("listed");
        let wanted = ProcessSight {
            listed: 3,
            has_first: true,
            system_calls: SystemCallAccess::Readable,
            is_whole: true,
            ..ProcessSight::default()
        };
        assert_eq!(sight_of, wanted);
        let wanted = InotifyUse {
            max_instances: Some(128),
            max_watches: None,
            instances: 1,
            watches: 2,
            is_cut: false,
        };
        assert_eq!(inotify, wanted);
        assert_eq!(sight(&proc.path().join("none")), None);
    }

    #[test]
    fn watches_that_are_too_many_to_read_are_counted_as_far_as_they_were_read() {
        const LINES: usize = 20_000;
        let info = format!("pos:\t0\n{}", "inotify wd:1 ino:5 sdev:8 mask:fce\n".repeat(LINES));
        let counted = |bytes| {
            let limits = ReadLimits { bytes, time: Duration::from_hours(1) };
            watches(info.as_bytes(), limits).expect("readable")
        };
        assert_eq!(counted(WATCHES), (LINES as u64, false));
        let (count, is_cut) = counted(info.len() as u64 / 2);
        assert!(is_cut && (LINES as u64 / 2..LINES as u64).contains(&count), "{count}");
    }

    #[test]
    fn a_process_without_a_name_is_listed_and_one_that_has_gone_is_not() {
        let proc = FakeProc::new();
        fs::create_dir_all(proc.path().join("70/fd")).expect("made");
        fs::write(proc.path().join("71"), "").expect("no folder");
        let (sight, _) = sight(proc.path()).expect("listed");
        assert_eq!((sight.listed, sight.nameless, sight.has_first), (2, 2, false));
    }
}
