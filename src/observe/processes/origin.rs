//! The origin of a process: read once for each process; what may change is read again at intervals.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use super::executable;
use crate::{
    observe::proc::{self, ProcessFolder, ProcessStat},
    snapshot::{LostInput, ProcessGroup, ProcessManager, ProcessOrigin},
};

/// Time between two readings of what may change: a program that is replaced, a folder that is left.
const RECHECK: Duration = Duration::from_secs(10);
/// Programs that keep others running: they manage all their children, including adopted ones.
const SUPERVISORS: &[&str] = &[
    "supervisord",
    "runsv",
    "s6-supervise",
    "s6-svscan",
    "supervise",
    "circusd",
    "monit",
    "containerd-shim",
    "conmon",
    "pm2",
    "PM2",
    "daemontools",
    "nomad",
    "god",
    "foreman",
    "overmind",
    "process-compose",
];
/// The prefixes of the folders that container engines create in the tree of control groups.
const CONTAINERS: &[&str] =
    &["docker", "libpod", "crio", "cri-containerd", "kubepods", "lxc", "machine-", "garden", "ecs"];

/// The known facts about one process.
#[derive(Debug)]
pub struct KnownOrigin {
    origin: ProcessOrigin,
    parent: i32,
    checked: Instant,
}

impl KnownOrigin {
    /// Reads the facts about the process of `stat`, in the `/proc` at `proc`.
    pub fn of(proc: &Path, stat: &ProcessStat, now: Instant) -> Self {
        let folder = folder(proc, stat);
        let parent = proc::stat(proc, stat.parent);
        let manager = folder.control_groups().and_then(|groups| {
            let first = proc::stat(proc, 1).map(|it| it.name);
            manager(&groups, parent.as_ref().map(|it| it.name.as_str()), first.as_deref())
        });
        let has_lost_parent =
            parent.as_ref().and_then(|parent| has_lost_parent(stat, parent, manager.as_ref()));
        let origin = ProcessOrigin {
            executable: executable::of(proc, &folder),
            directory: directory(&folder),
            has_terminal: Some(stat.has_terminal),
            manager,
            parent_command: proc::command(proc, stat.parent),
            has_lost_parent,
            lost_input: (has_lost_parent == Some(true)).then(|| lost_input(&folder)).flatten(),
            leads_session: (stat.session != 0).then_some(stat.session == stat.pid),
        };
        Self { origin, parent: stat.parent, checked: now }
    }

    /// The facts as of `now`.
    pub fn at(&mut self, proc: &Path, stat: &ProcessStat, now: Instant) -> ProcessOrigin {
        if now.saturating_duration_since(self.checked) >= RECHECK {
            let folder = folder(proc, stat);
            self.origin.executable = executable::of(proc, &folder);
            self.origin.directory = directory(&folder);
            if self.origin.has_lost_parent == Some(true) {
                self.origin.lost_input = lost_input(&folder);
            }
            self.checked = now;
        }
        if self.parent != stat.parent {
            *self = Self::of(proc, stat, now);
            self.origin.has_lost_parent = Some(true);
            self.origin.lost_input = lost_input(&folder(proc, stat));
            // Its parent exited while waltop watched it: the process that adopted it did not start it.
            self.origin.manager.get_or_insert(ProcessManager::Nobody);
        }
        self.origin.has_terminal = Some(stat.has_terminal);
        self.origin.clone()
    }
}

// The folder that shows its program and its working directory.
fn folder(proc: &Path, stat: &ProcessStat) -> ProcessFolder {
    let thread = stat.is_headless.then(|| ProcessFolder::living_thread(proc, stat.pid)).flatten();
    thread.unwrap_or_else(|| ProcessFolder::of(proc, stat.pid))
}

fn directory(process: &ProcessFolder) -> Option<String> {
    Some(process.working_directory().ok()?.to_string_lossy().into_owned())
}

// The kernel says whether a pipe or a socket has another end, in whatever namespace that is.
fn lost_input(process: &ProcessFolder) -> Option<LostInput> {
    let input = process.descriptor(0);
    let target = input.target().ok()?;
    let target = target.to_string_lossy();
    if target.starts_with("/dev/pts/") && target.ends_with(" (deleted)") {
        return Some(LostInput::Terminal);
    }
    #[cfg(target_os = "linux")]
    let socket = target.strip_prefix("socket:[").and_then(|it| it.strip_suffix(']'));
    #[cfg(target_os = "linux")]
    if let Some(inode) = socket.and_then(|it| it.parse().ok()) {
        return crate::observe::activity::unix_socket::is_left_alone(inode).then_some(LostInput::Socket);
    }
    input.is_pipe_without_writer().then_some(LostInput::Pipe)
}

// From the tree of control groups (`cgroups(7)`). systemd puts each unit into a folder of that name, of which the
// innermost counts; a scope was started by another program. `first` is the name of PID 1. Other inits name no units,
// and in a container the tree starts at the container itself: in both cases the manager is unknown, `None`.
fn manager(groups: &str, parent: Option<&str>, first: Option<&str>) -> Option<ProcessManager> {
    if let Some((kind, id)) = proc::container(groups) {
        let group = ProcessGroup { kind, id: Some(id), name: None };
        return Some(ProcessManager::Container(group.to_string()));
    }
    let paths = groups.lines().filter_map(|line| line.splitn(3, ':').nth(2));
    let parts: Vec<&str> = paths.flat_map(|path| path.split('/')).filter(|part| !part.is_empty()).collect();
    if let Some(part) = parts
        .iter()
        .find(|part| CONTAINERS.iter().any(|name| part.starts_with(name)) && !part.ends_with(".service"))
    {
        return Some(ProcessManager::Container((*part).to_owned()));
    }
    if let Some(part) = parts.iter().rev().find(|part| part.starts_with("openrc")) {
        return Some(ProcessManager::Service((*part).to_owned()));
    }
    // Each hierarchy has its own line; a unit in any of them counts.
    for path in groups.lines().filter_map(|line| line.splitn(3, ':').nth(2)) {
        let unit = path
            .rsplit('/')
            .find(|part| [".service", ".scope", ".slice"].iter().any(|kind| part.ends_with(kind)));
        // A desktop puts each program that it starts into a scope of this name.
        if let Some(unit) = unit.filter(|unit| unit.ends_with(".service") || unit.starts_with("app-")) {
            return Some(ProcessManager::Service(unit.to_owned()));
        }
    }
    // Some of them append their current activity to their name.
    let supervises = |parent: &&str| SUPERVISORS.contains(&parent.split(' ').next().unwrap_or_default());
    match parent.filter(supervises) {
        Some(parent) => Some(ProcessManager::Supervisor(parent.to_owned())),
        None => (first == Some("systemd") && is_placed(groups)).then_some(ProcessManager::Nobody),
    }
}

// Whether systemd's own hierarchy shows its place: not if it is the top of the visible tree.
fn is_placed(groups: &str) -> bool {
    groups.lines().any(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
        matches!(controllers, "" | "name=systemd") && path.split('/').any(|part| !matches!(part, "" | ".."))
    })
}

// A child starts in the session of its parent, and leaves it only to lead a new session. A process whose session is
// neither was therefore started by another process, which is gone. This is no proof if a parent may itself have left
// the common session; systemd does not, and its own children are services.
fn has_lost_parent(
    stat: &ProcessStat,
    parent: &ProcessStat,
    manager: Option<&ProcessManager>,
) -> Option<bool> {
    let theirs = parent.session;
    if stat.session == 0 {
        return None;
    }
    let is_init = stat.parent == 1 || parent.name == "systemd";
    if stat.session == theirs {
        return if is_init { None } else { Some(false) };
    }
    if stat.session == stat.pid {
        return (parent.name == "systemd" && manager == Some(&ProcessManager::Nobody)).then_some(true);
    }
    (is_init || theirs != stat.parent).then_some(true)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;
    use tempfile::TempDir;

    use super::*;
    use crate::fuzz::for_a_while;

    // What `line` says, as the `/proc` at `proc` has it of `pid`.
    fn stat_at(proc: &Path, pid: i32, line: &str) -> ProcessStat {
        let folder = proc.join(pid.to_string());
        fs::create_dir_all(&folder).expect("a folder");
        fs::write(folder.join("stat"), line).expect("a file");
        proc::stat(proc, pid).expect("a line of /proc/PID/stat")
    }

    fn service(name: &str) -> ProcessManager {
        ProcessManager::Service(name.to_owned())
    }

    #[test]
    fn fuzz_control_groups() {
        for_a_while("cgroup", |runner| {
            let part = "(/|\\.\\.|docker-|openrc|system\\.slice|user@1000\\.service|app-x\\.scope|:|.{0,9})";
            let inputs = format!("([0-9]{{0,2}}:?(name=systemd)?:?{part}{{0,6}}\n){{0,4}}");
            runner.run(&inputs.as_str(), |groups| {
                for parent in [None, Some("runsv x"), Some("bash")] {
                    match manager(&groups, parent, Some("systemd")) {
                        Some(ProcessManager::Service(name)) => {
                            prop_assert!(groups.contains(&name) && !name.contains('/'));
                        }
                        Some(ProcessManager::Supervisor(name)) => {
                            prop_assert_eq!(Some(name.as_str()), parent);
                        }
                        Some(ProcessManager::Nobody) => prop_assert!(is_placed(&groups)),
                        Some(ProcessManager::Container(_)) | None => {}
                    }
                }
                Ok(())
            })
        });
    }

    #[test]
    fn the_innermost_unit_says_who_runs_a_process() {
        let systemd = Some("systemd");
        for (groups, expected) in [
            ("0::/system.slice/cron.service\n", service("cron.service")),
            ("0::/system.slice/foo.service/workers/1\n", service("foo.service")),
            (
                "0::/user.slice/user-1000.slice/user@1000.service/app.slice/notes.service\n",
                service("notes.service"),
            ),
            ("1:name=systemd:/system.slice/foo.service\n0::/\n", service("foo.service")),
            ("0::/openrc.sshd\n", service("openrc.sshd")),
            (
                "0::/user.slice/user-1000.slice/user@1000.service/app.slice/app-gnome-org.db-7.scope\n",
                service("app-gnome-org.db-7.scope"),
            ),
            ("0::/user.slice/user-1000.slice/session-3.scope\n", ProcessManager::Nobody),
            (
                "0::/user.slice/user-1000.slice/user@1000.service/app.slice/vte-spawn-1.scope\n",
                ProcessManager::Nobody,
            ),
            (
                "0::/system.slice/docker-0123456789abcdef.scope\n",
                ProcessManager::Container("docker 0123456789abcdef".to_owned()),
            ),
            ("4:memory:/docker/0123\n0::/\n", ProcessManager::Container("docker".to_owned())),
            ("0::/kubepods.slice/pod1.slice/x\n", ProcessManager::Container("kubepods.slice".to_owned())),
            ("0::/system.slice/docker.service\n", service("docker.service")),
        ] {
            assert_eq!(manager(groups, systemd, systemd), Some(expected), "{groups}");
        }
        let supervised = |parent| manager("0::/user.slice\n", Some(parent), systemd);
        for parent in ["runsv", "PM2 v5.3.0: God"] {
            assert_eq!(supervised(parent), Some(ProcessManager::Supervisor(parent.to_owned())));
        }
        assert_eq!(supervised("godot"), Some(ProcessManager::Nobody));
    }

    #[test]
    fn where_no_units_can_be_seen_it_is_not_known_who_runs_a_process() {
        let session = "0::/user.slice/user-1000.slice/session-3.scope\n";
        assert_eq!(manager(session, Some("bash"), Some("systemd")), Some(ProcessManager::Nobody));
        for first in [Some("init"), Some("tini"), None] {
            assert_eq!(manager(session, Some("init"), first), None, "{first:?} names no units");
        }
        let tops = ["0::/\n", "0::/..\n", "9:name=systemd:/\n8:pids:/\n4:memory:/x/y\n0::/\n", ""];
        for groups in tops {
            assert_eq!(manager(groups, Some("systemd"), Some("systemd")), None, "{groups}: a container");
        }
    }

    #[test]
    fn who_was_seen_to_lose_its_parent_has_none_where_no_units_can_be_seen() {
        let proc = TempDir::new().expect("a folder");
        let stat_of = |pid: i32, name: &str, parent: i32, session: i32| {
            format!("{pid} ({name}) S {parent} {pid} {session} {}\n", "0 ".repeat(45))
        };
        for (pid, line) in [(1, stat_of(1, "init", 0, 1)), (60, stat_of(60, "sh", 1, 50))] {
            fs::create_dir(proc.path().join(pid.to_string())).expect("a folder");
            fs::write(proc.path().join(format!("{pid}/stat")), line).expect("a file");
        }
        fs::create_dir(proc.path().join("70")).expect("a folder");
        fs::write(proc.path().join("70/cgroup"), "0::/\n").expect("a file");
        let stat = |parent| stat_at(proc.path(), 70, &stat_of(70, "bun", parent, 50));
        let now = Instant::now();
        let adopted = KnownOrigin::of(proc.path(), &stat(1), now).at(proc.path(), &stat(1), now);
        assert_eq!((adopted.has_lost_parent, adopted.manager), (Some(true), None), "a daemon of SysV's");
        assert_eq!(adopted.leads_session, Some(false));
        let leader = stat_at(proc.path(), 70, &stat_of(70, "bun", 1, 70));
        assert_eq!(
            KnownOrigin::of(proc.path(), &leader, now).at(proc.path(), &leader, now).leads_session,
            Some(true)
        );
        let mut known = KnownOrigin::of(proc.path(), &stat(60), now);
        let seen = known.at(proc.path(), &stat(60), now);
        assert_eq!((seen.has_lost_parent, seen.manager), (Some(false), None));
        let seen = known.at(proc.path(), &stat(1), now);
        assert_eq!((seen.has_lost_parent, seen.manager), (Some(true), Some(ProcessManager::Nobody)));
    }

    // A process 70 of the session `own`, child of `ppid`, which is named `parent` and belongs to the session `theirs`.
    fn lost(own: i32, ppid: i32, parent: &str, theirs: i32, manager: &ProcessManager) -> Option<bool> {
        let zeros = "0 ".repeat(45);
        let line = format!("70 (bun) S {ppid} 70 {own} {zeros}\n");
        let proc = TempDir::new().expect("a folder");
        let stat = stat_at(proc.path(), 70, &line);
        let parent = ProcessStat { name: parent.to_owned(), parent: 1, session: theirs, ..stat.clone() };
        has_lost_parent(&stat, &parent, Some(manager))
    }

    #[test]
    fn a_session_that_is_not_the_parents_proves_that_the_parent_died() {
        let nobody = &ProcessManager::Nobody;
        assert_eq!(lost(50, 1, "init", 1, nobody), Some(true), "a daemon that forked twice");
        assert_eq!(lost(50, 1, "tini", 0, nobody), Some(true), "in a container");
        assert_eq!(lost(50, 60, "subreaper", 40, nobody), Some(true));
        assert_eq!(lost(50, 60, "bash", 50, nobody), Some(false));
    }

    #[test]
    fn what_proves_nothing_makes_no_orphan() {
        let nobody = &ProcessManager::Nobody;
        assert_eq!(lost(70, 1, "init", 1, nobody), None, "init may have started it in a session of its own");
        assert_eq!(lost(1, 1, "node", 1, nobody), None, "the only program of a container may have");
        assert_eq!(
            lost(50, 60, "daemon", 60, nobody),
            None,
            "the parent may have left the session after the fork"
        );
        assert_eq!(lost(0, 1, "init", 1, nobody), None, "its session is not visible");
        assert_eq!(lost(70, 1, "systemd", 1, &service("foo.service")), None);
    }

    #[test]
    fn what_systemd_did_not_start_as_a_unit_it_took_in() {
        assert_eq!(lost(70, 1, "systemd", 1, &ProcessManager::Nobody), Some(true));
        assert_eq!(lost(70, 900, "systemd", 900, &ProcessManager::Nobody), Some(true), "the user's own");
    }
}
