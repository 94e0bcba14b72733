//! What this machine, user and terminal let waltop see. It changes nothing, and opens no database.

use std::{
    io,
    path::{Path, PathBuf},
};

use rustix::{
    fs::{Access, AtFlags, CWD, StatVfsMountFlags, accessat, statvfs},
    process::geteuid,
};

use super::{
    proc::{self, mounts::MountTable},
    trace::EVENTS,
};
use crate::{
    bounded,
    snapshot::{
        DatabasePlace, MachineFacts, NamespaceFacts, SettingsState, StateAccess, TerminalFacts, TraceAccess,
    },
    state::{folder::StateFolder, places::Places},
};

/// The maximum size of a file with one setting.
const SETTING: usize = 4 << 10;
/// The maximum size of the list of file systems.
const FILE_SYSTEMS: usize = 64 << 10;

/// The facts of this machine; `databases` are paths of files. The settings and the terminal are not read.
pub fn machine(places: &Places, databases: Vec<PathBuf>) -> MachineFacts {
    let proc = places.proc.as_path();
    let mounts = MountTable::read(proc);
    let (processes, inotify) = proc::sight(proc).unzip();
    let place = |path: PathBuf| DatabasePlace { filesystem: mounts.filesystem(&path, &path), path };
    MachineFacts {
        uid: geteuid().as_raw(),
        capabilities: proc::capabilities(proc),
        proc: proc::mounts::proc_mount(proc),
        is_sysctl_read_only: is_read_only(&proc.join("sys")),
        processes,
        lock_table_error: bounded::read(&proc.join("locks"), 1).err().map(|error| error.to_string()),
        namespaces: namespaces(proc),
        yama: setting(&proc.join("sys/kernel/yama/ptrace_scope")),
        trace: trace(proc, &mounts),
        inotify: inotify.unwrap_or_default(),
        databases: databases.into_iter().map(place).collect(),
        settings: SettingsState::default(),
        state: state(places.state()),
        terminal: TerminalFacts::default(),
    }
}

fn setting(file: &Path) -> Option<u32> {
    bounded::read_text(file, SETTING).ok()?.trim().parse().ok()
}

fn namespaces(proc: &Path) -> NamespaceFacts {
    NamespaceFacts {
        has_own_pids: proc::is_in_pid_namespace(proc),
        has_own_users: proc::is_in_user_namespace(proc),
        has_own_mounts: proc::has_own_mounts(proc),
    }
}

/// As [`LockTracer`](super::trace::LockTracer) would find it, without making an instance.
fn trace(proc: &Path, mounts: &MountTable) -> TraceAccess {
    let Some(at) = mounts.mounted_at("tracefs") else {
        let known = bounded::read_text(&proc.join("filesystems"), FILE_SYSTEMS);
        let has_it =
            |list: &str| list.lines().any(|line| line.split_whitespace().next_back() == Some("tracefs"));
        // It is not there with subset=pid.
        return if known.map_or(true, |list| has_it(&list)) {
            TraceAccess::NotMounted
        } else {
            TraceAccess::Missing
        };
    };
    let is_read_only = is_read_only(&at);
    if is_read_only || may(&at.join("instances"), Access::WRITE_OK | Access::EXEC_OK).is_err() {
        return TraceAccess::Closed { at, is_read_only };
    }
    let has_events = EVENTS.iter().all(|event| at.join("events").join(event).is_dir());
    if has_events { TraceAccess::Usable { at } } else { TraceAccess::WithoutEvents { at } }
}

fn is_read_only(path: &Path) -> bool {
    statvfs(path).is_ok_and(|it| it.f_flag.contains(StatVfsMountFlags::RDONLY))
}

/// Whether the effective user may do that with the file at `path`.
fn may(path: &Path, access: Access) -> io::Result<()> {
    Ok(accessat(CWD, path, access, AtFlags::EACCESS)?)
}

/// Whether waltop's files can be written to `folder`, or `folder` can be made.
fn state(folder: &Path) -> StateAccess {
    let write = Access::WRITE_OK | Access::EXEC_OK;
    let there = folder.ancestors().find(|it| it.exists()).unwrap_or(Path::new("/"));
    let checked =
        if there == folder { StateFolder::open(folder).map(drop) } else { StateFolder::check_place(folder) };
    let named =
        |error: io::Error| format!("{} cannot be written: {}: {error}", folder.display(), there.display());
    let refused = match checked {
        // It names the folder.
        Err(error) => Some(error.to_string()),
        Ok(()) => may(there, write).err().map(named),
    };
    StateAccess { path: folder.to_owned(), refused }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{super::proc::fake::FakeProc, *};

    fn mounted(proc: &FakeProc, kind: &str, at: &Path) -> MountTable {
        proc.write("self/mountinfo", &format!("30 22 0:40 / {} rw - {kind} {kind} rw\n", at.display()));
        MountTable::read(proc.path())
    }

    #[test]
    fn a_trace_is_usable_with_its_folder_and_its_events_and_in_no_other_case() {
        let proc = FakeProc::new();
        let folder = tempfile::TempDir::new().expect("a folder");
        let at = folder.path().to_owned();
        assert_eq!(trace(proc.path(), &MountTable::default()), TraceAccess::NotMounted, "it is not known");
        proc.write("filesystems", "nodev\tsysfs\n");
        assert_eq!(trace(proc.path(), &MountTable::default()), TraceAccess::Missing);
        proc.write("filesystems", "nodev\tsysfs\nnodev\ttracefs\n\text4\n");
        assert_eq!(trace(proc.path(), &MountTable::default()), TraceAccess::NotMounted);
        let mounts = mounted(&proc, "tracefs", &at);
        let closed = TraceAccess::Closed { at: at.clone(), is_read_only: false };
        assert_eq!(trace(proc.path(), &mounts), closed, "there is no folder for instances");
        fs::create_dir(at.join("instances")).expect("a folder");
        assert_eq!(trace(proc.path(), &mounts), TraceAccess::WithoutEvents { at: at.clone() });
        for event in EVENTS {
            fs::create_dir_all(at.join("events").join(event)).expect("a folder");
        }
        assert_eq!(trace(proc.path(), &mounts), TraceAccess::Usable { at });
    }

    #[test]
    fn a_state_folder_is_there_or_can_be_made_and_nothing_is_made() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let missing = folder.path().join("a/b");
        assert_eq!(state(&missing).refused, None);
        assert!(!folder.path().join("a").exists());
        fs::write(folder.path().join("file"), "").expect("a file");
        assert!(state(&folder.path().join("file/below")).refused.is_some(), "a file is no folder");
        let mode = |mode| std::os::unix::fs::PermissionsExt::from_mode(mode);
        fs::set_permissions(folder.path(), mode(0o777)).expect("a mode");
        for open in [folder.path(), &missing] {
            assert!(state(open).refused.expect("others can write there").contains("mode 777"));
        }
    }
}
