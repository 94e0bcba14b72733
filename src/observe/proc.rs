//! `/proc/PID`: this module is the only reader of it.
//!
//! Every read has a limit (`bounded`), because a process controls the length of its command line, its descriptors and
//! its mappings. Between any two reads a process may exit, execute another program or close its files. Each read is
//! independent, and [`program`] repeats those that must agree. The root of `/proc` is a parameter everywhere: it may be
//! that of a container, or a folder that a test created.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::bounded;

mod command;
mod descriptors;
#[cfg(test)]
pub mod fake;
mod fdinfo;
mod freezer;
mod groups;
mod inside_path;
mod limits;
mod links;
mod maps;
mod memory;
pub mod mounts;
mod pressure;
#[cfg(target_os = "linux")]
pub mod program;
mod sight;
mod sockets;
mod stat;
mod status;
mod temporary;
mod threads;
mod wait;
mod written;

pub use command::{command, directory, process_name};
pub use descriptors::{Descriptor, MOST_DESCRIPTORS, lock_infos, reopen};
pub use fdinfo::DescriptorInfo;
pub use freezer::FREEZER_TRAPS;
pub use groups::{ProcessGroups, container};
pub use inside_path::{InsideFile, InsidePath};
pub use links::{
    has_own_mounts, hidden_processes, is_in_pid_namespace, is_in_user_namespace, mount_namespaces,
    own_program, pid_namespace,
};
pub use maps::{LibraryFile, MappedLibrary, maps};
pub use pressure::io_pressure;
pub use sight::sight;
pub use sockets::TcpSocket;
pub use stat::{
    ProcessStat, are_related, owner_of_lock, process_ancestors, process_start, sampling_process, stat,
    ticks_below,
};
pub use status::{capabilities, ignores_signal, inner_pid, is_own_proc, is_process, process_owner};
pub use threads::times_scheduled;
pub use wait::{PolledDescriptor, SyscallState, ThreadState, children, named};

/// The maximum size of a file with a few figures.
const FIGURES: usize = 4 << 10;
/// The maximum size of `/proc/stat`, which has a line for each processor and a figure for each interrupt.
const STAT: usize = 4 << 20;

/// The folder of one process in a `/proc`, or of one of its threads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessFolder(PathBuf);

impl ProcessFolder {
    /// The folder of the process `pid` in the `/proc` at `proc`.
    pub fn of(proc: &Path, pid: i32) -> Self {
        Self(proc.join(pid.to_string()))
    }

    /// The folder of this process.
    pub fn own(proc: &Path) -> Self {
        Self(proc.join("self"))
    }
}

/// The processes in the `/proc` at `proc`.
///
/// # Errors
///
/// If they cannot be listed.
pub fn pids(proc: &Path) -> io::Result<impl Iterator<Item = i32> + use<>> {
    let entries = fs::read_dir(proc)?.flatten();
    Ok(entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()))
}

/// Identifies the running boot of the system; empty if nothing does.
pub fn boot_id(proc: &Path) -> String {
    bounded::read_text(&proc.join("sys/kernel/random/boot_id"), FIGURES).unwrap_or_default().trim().to_owned()
}

/// The second of the boot, `btime` in `/proc/stat`: the kernel counts start times in ticks from it.
pub fn boot_second(proc: &Path) -> Option<i64> {
    let text = bounded::read_text(&proc.join("stat"), STAT).ok()?;
    text.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

/// The PID, of a process or a thread, that was assigned last (`proc_loadavg(5)`).
pub fn newest_pid(proc: &Path) -> Option<i32> {
    let text = bounded::read_record(&proc.join("loadavg"), FIGURES).ok()?;
    text.split_whitespace().nth(4)?.parse().ok()
}

/// The clock ticks of `stat` per second.
pub fn ticks_per_second() -> u64 {
    rustix::param::clock_ticks_per_second().max(1)
}

#[cfg(test)]
mod tests {
    use super::{fake::FakeProc, *};

    #[test]
    fn the_boot_and_the_newest_pid_are_read_from_their_files() {
        let proc = FakeProc::new();
        assert_eq!((boot_second(proc.path()), newest_pid(proc.path())), (Some(1_700_000_000), None));
        assert_eq!(boot_id(proc.path()), "");
        proc.write("loadavg", "0.10 0.20 0.30 1/200 4711\n").write("sys/kernel/random/boot_id", "this-one\n");
        assert_eq!(newest_pid(proc.path()), Some(4711));
        assert_eq!(boot_id(proc.path()), "this-one");
        proc.write("stat", "cpu 0\n");
        assert_eq!(boot_second(proc.path()), None);
    }

    #[test]
    fn only_folders_that_are_named_by_a_number_are_processes() {
        let proc = FakeProc::new();
        proc.process(70).process(7).write("self/stat", "").write("1x/stat", "");
        let mut found: Vec<i32> = pids(proc.path()).expect("listed").collect();
        found.sort_unstable();
        assert_eq!(found, [7, 70]);
        assert!(pids(&proc.path().join("none")).is_err());
    }
}
