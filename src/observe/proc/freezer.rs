//! Whether a process is frozen with its control group, as `docker pause` and `systemctl freeze` do it (`cgroups(7)`; the
//! kernel's `cgroup-v2.rst`, `cgroup.freeze`, and `cgroup-v1/freezer-subsystem.rst`).

use std::path::Path;

use super::{FIGURES, ProcessFolder, mounts::MountTable};
use crate::{bounded, snapshot::ProcessState};

/// The kernel functions in which a process frozen by version 2 sleeps.
pub const FREEZER_TRAPS: [&str; 2] = ["do_freezer_trap", "get_signal"];

impl ProcessFolder {
    /// Whether it is frozen, by its `state` so far and the `mounts` of this process. Where its groups are not visible it
    /// counts as not frozen.
    pub fn is_frozen(&self, state: ProcessState, mounts: impl FnOnce() -> MountTable) -> bool {
        self.may_be_frozen(state)
            && self.control_groups().is_some_and(|groups| is_any_frozen(&groups, &mounts()))
    }

    // Version 1 shows a frozen process in a disk sleep, version 2 in a sleep.
    fn may_be_frozen(&self, state: ProcessState) -> bool {
        match state {
            ProcessState::DiskSleep => true,
            ProcessState::Sleeping => self.wchan().is_none_or(|name| FREEZER_TRAPS.contains(&name.as_str())),
            _ => false,
        }
    }
}

fn is_any_frozen(groups: &str, mounts: &MountTable) -> bool {
    groups.lines().any(|line| {
        let mut fields = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) = (fields.next(), fields.next(), fields.next()) else {
            return false;
        };
        let path = path.trim_start_matches('/');
        if controllers.is_empty() {
            mounts.all_of("cgroup2").any(|root| says(&root.join(path).join("cgroup.events"), "frozen 1"))
        } else {
            controllers.split(',').any(|it| it == "freezer")
                && mounts.all_of("cgroup").any(|root| says(&root.join(path).join("freezer.state"), "FROZEN"))
        }
    })
}

fn says(file: &Path, line: &str) -> bool {
    bounded::read_text(file, FIGURES).is_ok_and(|text| text.lines().any(|it| it == line))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::snapshot::ProcessState::{DiskSleep, Running, Sleeping};

    /// A process 70 in the state `state`, and the file `said` of its control group with `content`.
    fn is_frozen(state: ProcessState, wchan: &str, groups: &str, (said, content): (&str, &str)) -> bool {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path();
        let write = |name: &str, text: &str| {
            fs::create_dir_all(root.join(name).parent().expect("a folder")).expect("a folder");
            fs::write(root.join(name), text).expect("written");
        };
        write("proc/70/wchan", wchan);
        write("proc/70/cgroup", groups);
        let at = |kind: &str| format!("30 29 0:26 / {}/{kind} rw - {kind} {kind} rw\n", root.display());
        write("proc/self/mountinfo", &(at("cgroup") + &at("cgroup2")));
        write(said, content);
        let proc = root.join("proc");
        ProcessFolder::of(&proc, 70).is_frozen(state, || MountTable::read(&proc))
    }

    #[test]
    fn a_process_in_a_frozen_group_is_frozen_in_both_versions() {
        let two = ("cgroup2/box/cgroup.events", "populated 1\nfrozen 1\n");
        assert!(is_frozen(Sleeping, "get_signal", "0::/box\n", two));
        assert!(is_frozen(Sleeping, "0", "0::/box\n", two), "its wait is hidden");
        let one = ("cgroup/box/freezer.state", "FROZEN\n");
        assert!(is_frozen(DiskSleep, "hrtimer_nanosleep", "7:cpu:/\n5:freezer:/box\n0::/\n", one));
    }

    #[test]
    fn a_process_that_runs_or_waits_in_a_group_that_is_not_frozen_is_not() {
        let frozen = ("cgroup2/box/cgroup.events", "populated 1\nfrozen 1\n");
        assert!(!is_frozen(Sleeping, "hrtimer_nanosleep", "0::/box\n", frozen), "it sleeps by itself");
        assert!(!is_frozen(Running, "0", "0::/box\n", frozen));
        assert!(!is_frozen(Sleeping, "get_signal", "0::/other\n", frozen));
        let thawed = ("cgroup2/box/cgroup.events", "populated 1\nfrozen 0\n");
        assert!(!is_frozen(Sleeping, "get_signal", "0::/box\n", thawed));
        let freezing = ("cgroup/box/freezer.state", "FREEZING\n");
        assert!(!is_frozen(DiskSleep, "io_schedule", "5:freezer:/box\n", freezing));
        assert!(!is_frozen(DiskSleep, "io_schedule", "", freezing));
    }
}
