//! Whether a recorded process is still alive.

use std::path::Path;

use rustix::{
    io::Errno,
    process::{Pid, test_kill_process},
};

use super::{proc, processes};

/// Identifies the running boot of the system; `None` if nothing does.
pub fn boot(proc: &Path) -> Option<String> {
    Some(processes::boot(proc)).filter(|boot| !boot.is_empty())
}

/// Whether the process `pid` that started at `since`, in the boot `then`, is alive. `None` if that is unknown: outside
/// Linux there is no `/proc`, and with `hidepid` it hides the processes of other users. The kernel then reports only
/// that a process has this PID.
pub fn is_there(proc: &Path, pid: i32, since: Option<u64>, then: Option<&str>) -> Option<bool> {
    // On other systems the second of the boot identifies it, and setting the clock moves that second.
    let is_of_another_boot =
        cfg!(target_os = "linux") && then.is_some_and(|then| boot(proc).is_some_and(|boot| boot != then));
    if is_of_another_boot || pid < 1 {
        return Some(false);
    }
    if let Some(stat) = proc::stat(proc, pid) {
        return Some(stat.living_start().is_some_and(|now| since.is_none_or(|since| since == now)));
    }
    if proc != Path::new("/proc") {
        return if proc.is_dir() { Some(false) } else { None };
    }
    match Pid::from_raw(pid).map(test_kill_process) {
        Some(Err(Errno::SRCH)) => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use tempfile::TempDir;

    use super::*;
    use crate::observe::process_start;

    #[test]
    fn what_proc_shows_is_known() {
        let proc = Path::new("/proc");
        let own = std::process::id().cast_signed();
        let since = process_start(proc, own).expect("it lives");
        let now = boot(proc);
        assert_eq!(is_there(proc, own, Some(since), now.as_deref()), Some(true));
        assert_eq!(is_there(proc, own, None, None), Some(true));
        assert_eq!(is_there(proc, own, Some(since + 1), None), Some(false), "its PID is another's by now");
        assert_eq!(is_there(proc, own, Some(since), Some("another boot")), Some(false));
    }

    #[test]
    fn a_process_that_has_exited_is_gone() {
        let mut child = Command::new("true").spawn().expect("it starts");
        let pid = child.id().cast_signed();
        child.wait().expect("it ends");
        assert_eq!(is_there(Path::new("/proc"), pid, Some(1), None), Some(false));
        assert_eq!(is_there(Path::new("/proc"), 0, None, None), Some(false), "no process has this PID");
    }

    #[test]
    fn without_a_proc_nothing_is_known() {
        let dir = TempDir::new().expect("a folder");
        let own = std::process::id().cast_signed();
        assert_eq!(is_there(&dir.path().join("proc"), own, Some(1), None), None);
        assert_eq!(
            is_there(dir.path(), own, Some(1), None),
            Some(false),
            "it is there, and shows no such process"
        );
    }
}
