//! The links of `/proc/PID`: its program, its working directory and its mount namespace.

use std::{
    collections::BTreeMap,
    fs::{self, Metadata},
    io,
    path::{Path, PathBuf},
};

use rustix::fs::readlinkat;

use super::{ProcessFolder, pids};
use crate::bounded;

/// Bytes of a list of control groups: a dozen of hierarchies, each with a path.
const GROUPS: usize = 64 << 10;

impl ProcessFolder {
    /// The file that runs, as the kernel names it.
    ///
    /// # Errors
    ///
    /// Where the process has ended or hides it.
    pub fn executable_name(&self) -> io::Result<PathBuf> {
        fs::read_link(self.0.join("exe"))
    }

    /// Of the file that runs, whatever has become of its name.
    ///
    /// # Errors
    ///
    /// Where the process has ended or hides it.
    pub fn executable(&self) -> io::Result<Metadata> {
        self.0.join("exe").metadata()
    }

    /// # Errors
    ///
    /// Where the process has ended or hides it.
    pub fn working_directory(&self) -> io::Result<PathBuf> {
        fs::read_link(self.0.join("cwd"))
    }

    /// The name of its mount namespace.
    ///
    /// # Errors
    ///
    /// Where the process has ended or hides it.
    pub fn mount_namespace(&self) -> io::Result<PathBuf> {
        fs::read_link(self.0.join("ns/mnt"))
    }

    /// `path`, an absolute one, as the process sees it. It leads there in whatever namespaces the process is.
    pub fn seen_from_inside(&self, path: &Path) -> PathBuf {
        self.0.join("root").join(path.strip_prefix("/").unwrap_or(path))
    }

    /// The control groups that it is in, a line for each hierarchy (`cgroups(7)`).
    pub fn control_groups(&self) -> Option<String> {
        bounded::read_text(&self.0.join("cgroup"), GROUPS).ok()
    }
}

/// A path to the program that this process runs, whatever has become of its name.
pub fn own_program() -> PathBuf {
    PathBuf::from("/proc/self/exe")
}

/// A process for each mount namespace that can be seen: the one with the lowest PID.
pub fn mount_namespaces(proc: &Path) -> Vec<i32> {
    let mut namespaces: BTreeMap<Vec<u8>, i32> = BTreeMap::new();
    let Ok(folder) = fs::File::open(proc) else { return Vec::new() };
    for pid in pids(proc).into_iter().flatten() {
        // From the open folder: this is asked of every process, and the way to it is half of the cost.
        if let Ok(name) = readlinkat(&folder, format!("{pid}/ns/mnt"), Vec::new()) {
            let lowest = namespaces.entry(name.into_bytes()).or_insert(pid);
            *lowest = pid.min(*lowest);
        }
    }
    namespaces.into_values().collect()
}
