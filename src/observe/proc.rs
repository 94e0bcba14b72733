//! `/proc/PID`: the only place that reads it.
//!
//! Every read has a limit (`bounded`), since a process decides how long its command line, its descriptors and its mappings
//! are. Between any two reads a process may end, execute another program or drop its files: each read answers for itself,
//! and [`program`] repeats those that must agree. The root of `/proc` is a parameter everywhere: it may be that of a
//! container, or a folder that a test made.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

mod command;
mod descriptors;
mod fdinfo;
mod inside_path;
mod links;
mod maps;
pub mod mounts;
#[cfg(target_os = "linux")]
pub mod program;
mod stat;
mod status;
mod system;
mod threads;

pub use command::{command, process_name};
pub use descriptors::{Descriptor, MOST_DESCRIPTORS, lock_infos, reopen};
pub use fdinfo::DescriptorInfo;
pub use inside_path::InsidePath;
pub use links::{mount_namespaces, own_program};
pub use maps::maps;
pub use stat::{
    ProcessStat, are_related, owner_of_lock, process_ancestors, process_start, stat, ticks_below,
};
pub use status::{ignores_signal, inner_pid, is_own_proc, process_owner};
pub use system::{boot_id, boot_second, newest_pid, ticks_per_second};
pub use threads::times_scheduled;

/// The folder of one process in a `/proc`, or of one of its threads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessFolder(PathBuf);

impl ProcessFolder {
    /// That of the process `pid` in the `/proc` at `proc`.
    pub fn of(proc: &Path, pid: i32) -> Self {
        Self(proc.join(pid.to_string()))
    }

    /// That of this process.
    pub fn own(proc: &Path) -> Self {
        Self(proc.join("self"))
    }
}

/// The processes in the `/proc` at `proc`.
///
/// # Errors
///
/// Where they cannot be listed.
pub fn pids(proc: &Path) -> io::Result<impl Iterator<Item = i32> + use<>> {
    let entries = fs::read_dir(proc)?.flatten();
    Ok(entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()))
}
