//! The links of `/proc/PID`: its program, its working directory and its mount namespace.

use std::{
    collections::BTreeMap,
    fs::{self, Metadata},
    io,
    path::{Path, PathBuf},
};

use rustix::fs::readlinkat;

use super::{ProcessFolder, pids};
use crate::{bounded, snapshot::Unseen};

/// The maximum size of a list of control groups: a dozen hierarchies, each with a path.
const GROUPS: usize = 64 << 10;

impl ProcessFolder {
    /// The executable, as the kernel names it.
    ///
    /// # Errors
    ///
    /// If the process has exited or hides it.
    pub fn executable_name(&self) -> io::Result<PathBuf> {
        fs::read_link(self.0.join("exe"))
    }

    /// The metadata of the executable, even if its file was renamed or deleted.
    ///
    /// # Errors
    ///
    /// If the process has exited or hides it.
    pub fn executable(&self) -> io::Result<Metadata> {
        self.0.join("exe").metadata()
    }

    /// # Errors
    ///
    /// If the process has exited or hides it.
    pub fn working_directory(&self) -> io::Result<PathBuf> {
        fs::read_link(self.0.join("cwd"))
    }

    /// Its root, as the kernel names it in the namespace of the process.
    ///
    /// # Errors
    ///
    /// If the process has exited or hides it.
    pub fn root_name(&self) -> io::Result<PathBuf> {
        fs::read_link(self.0.join("root"))
    }

    /// The name of its mount namespace.
    ///
    /// # Errors
    ///
    /// If the process has exited or hides it.
    pub fn mount_namespace(&self) -> io::Result<PathBuf> {
        fs::read_link(self.0.join("ns/mnt"))
    }

    /// The absolute `path` as the process sees it, valid in any namespace of the process.
    pub fn seen_from_inside(&self, path: &Path) -> PathBuf {
        self.0.join("root").join(path.strip_prefix("/").unwrap_or(path))
    }

    /// Its control groups, one line per hierarchy (`cgroups(7)`).
    pub fn control_groups(&self) -> Option<String> {
        bounded::read_text(&self.0.join("cgroup"), GROUPS).ok()
    }
}

/// Inode of the PID namespace of this process; `None` if it is unknown.
pub fn pid_namespace(proc: &Path) -> Option<u64> {
    let name = fs::read_link(ProcessFolder::own(proc).0.join("ns/pid")).ok()?;
    name.to_str()?.strip_prefix("pid:[")?.strip_suffix(']')?.parse().ok()
}

/// Whether this process is in another PID namespace than the kernel's first (`PROC_PID_INIT_INO` of the kernel).
pub fn is_in_pid_namespace(proc: &Path) -> bool {
    let namespace = fs::read_link(ProcessFolder::own(proc).0.join("ns/pid"));
    namespace.is_ok_and(|name| name.as_os_str() != "pid:[4026531836]")
}

/// Whether this process is in another user namespace than the kernel's first (`PROC_USER_INIT_INO` of the kernel).
pub fn is_in_user_namespace(proc: &Path) -> bool {
    let namespace = fs::read_link(ProcessFolder::own(proc).0.join("ns/user"));
    namespace.is_ok_and(|name| name.as_os_str() != "user:[4026531837]")
}

/// Whether this process has other mounts than the first process; `None` if that one hides its own.
pub fn has_own_mounts(proc: &Path) -> Option<bool> {
    let first = ProcessFolder::of(proc, 1).mount_namespace().ok()?;
    Some(ProcessFolder::own(proc).mount_namespace().ok()? != first)
}

/// The processes that the `/proc` at `proc` does not list (`pid_namespaces(7)`, `hidepid` in `proc(5)`); `None` if it
/// lists all.
pub fn hidden_processes(proc: &Path) -> Option<Unseen> {
    if is_in_pid_namespace(proc) {
        let what = "processes outside of this PID namespace".to_owned();
        return Some(Unseen { what, why: "/proc lists only those inside".to_owned() });
    }
    let has_first = ProcessFolder::of(proc, 1).0.try_exists().unwrap_or_default();
    (!has_first).then(|| Unseen {
        what: "processes of other users".to_owned(),
        why: "/proc is mounted with hidepid".to_owned(),
    })
}

/// A path to the executable of this process, even if its file was renamed or deleted.
pub fn own_program() -> PathBuf {
    PathBuf::from("/proc/self/exe")
}

/// One process for each visible mount namespace: the one with the lowest PID.
pub fn mount_namespaces(proc: &Path) -> Vec<i32> {
    let mut namespaces: BTreeMap<Vec<u8>, i32> = BTreeMap::new();
    let Ok(folder) = fs::File::open(proc) else { return Vec::new() };
    for pid in pids(proc).into_iter().flatten() {
        // Relative to the open folder: this runs for every process, and resolving the full path is half of the cost.
        if let Ok(name) = readlinkat(&folder, format!("{pid}/ns/mnt"), Vec::new()) {
            let lowest = namespaces.entry(name.into_bytes()).or_insert(pid);
            *lowest = pid.min(*lowest);
        }
    }
    namespaces.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_another_process_leads_through_its_root() {
        let process = ProcessFolder::of("/proc".as_ref(), 70);
        for (path, expected) in [("/", "/proc/70/root"), ("/srv/a.db", "/proc/70/root/srv/a.db")] {
            assert_eq!(process.seen_from_inside(path.as_ref()), Path::new(expected));
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_own_program_is_the_one_that_runs() {
        let running = std::env::current_exe().expect("it has a path");
        assert_eq!(crate::paths::FileId::at(&own_program()), crate::paths::FileId::at(&running));
    }

    #[test]
    fn a_namespace_other_than_the_kernels_first_is_another() {
        let proc = crate::observe::proc::fake::FakeProc::new();
        assert!(!is_in_pid_namespace(proc.path()), "it is not known");
        let link = proc.path().join("self/ns/pid");
        fs::create_dir_all(link.parent().expect("a folder")).expect("made");
        for (name, expected) in [("pid:[4026531836]", false), ("pid:[4026532000]", true)] {
            let _ = fs::remove_file(&link);
            std::os::unix::fs::symlink(name, &link).expect("linked");
            assert_eq!(is_in_pid_namespace(proc.path()), expected, "{name}");
        }
    }

    #[test]
    fn users_and_mounts_of_this_process_are_compared_with_the_first() {
        let proc = crate::observe::proc::fake::FakeProc::new();
        assert_eq!((is_in_user_namespace(proc.path()), has_own_mounts(proc.path())), (false, None));
        proc.mount_namespace("self", "mnt:[2]").mount_namespace("1", "mnt:[1]");
        assert_eq!(has_own_mounts(proc.path()), Some(true));
        let link = proc.path().join("self/ns/user");
        for (name, expected) in [("user:[4026531837]", false), ("user:[4026532000]", true)] {
            let _ = fs::remove_file(&link);
            std::os::unix::fs::symlink(name, &link).expect("linked");
            assert_eq!(is_in_user_namespace(proc.path()), expected, "{name}");
        }
        proc.mount_namespace("3", "mnt:[2]");
        fs::remove_file(proc.path().join("1/ns/mnt")).expect("removed");
        proc.mount_namespace("1", "mnt:[2]");
        assert_eq!(has_own_mounts(proc.path()), Some(false));
    }

    #[test]
    fn a_proc_without_the_first_process_or_of_another_namespace_hides_processes() {
        let proc = crate::observe::proc::fake::FakeProc::new();
        let hides = || hidden_processes(proc.path()).map(|it| it.what);
        assert_eq!(hides().as_deref(), Some("processes of other users"));
        proc.write("1/stat", "");
        assert_eq!(hides(), None);
        fs::create_dir_all(proc.path().join("self/ns")).expect("made");
        std::os::unix::fs::symlink("pid:[4026532000]", proc.path().join("self/ns/pid")).expect("linked");
        assert_eq!(hides().as_deref(), Some("processes outside of this PID namespace"));
    }

    #[test]
    fn each_mount_namespace_is_seen_through_its_process_with_the_lowest_number() {
        let proc = crate::observe::proc::fake::FakeProc::new();
        for (pid, name) in [("72", "mnt:[1]"), ("70", "mnt:[1]"), ("71", "mnt:[2]")] {
            proc.mount_namespace(pid, name);
        }
        proc.process(60);
        let mut found = mount_namespaces(proc.path());
        found.sort_unstable();
        assert_eq!(found, [70, 71]);
        assert!(mount_namespaces(&proc.path().join("none")).is_empty());
    }
}
