//! Which container, unit or session a process belongs to: from its control groups (`cgroups(7)`), its root and its PID
//! namespace. No engine is asked.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use crate::{
    observe::proc::{ProcessFolder, inner_pid},
    paths::FileId,
    snapshot::{GroupKind, ProcessGroup},
    text,
};

/// The start of `/etc/hostname` that is read: a host name has at most 64 characters.
const HOST_NAME: usize = 65;
/// How many characters the id of a container has, where nothing but its length tells it from another name.
const ID: usize = 64;
/// The prefixes of the scopes that engines create (`cri-containerd-ID.scope`).
const SCOPES: &[(&str, GroupKind)] = &[
    ("docker-", GroupKind::Docker),
    ("libpod-", GroupKind::Podman),
    ("crio-", GroupKind::Crio),
    ("cri-containerd-", GroupKind::Containerd),
    ("nerdctl-", GroupKind::Containerd),
    ("machine-", GroupKind::Machine),
];
/// The folders in which engines create one for each container (`/docker/ID`).
const FOLDERS: &[(&str, GroupKind)] = &[
    ("docker", GroupKind::Docker),
    ("libpod_parent", GroupKind::Podman),
    ("lxc", GroupKind::Lxc),
    ("lxc.payload", GroupKind::Lxc),
    ("garden", GroupKind::Container),
    ("ecs", GroupKind::Container),
];

/// The groups of processes, each process read once.
#[derive(Debug)]
pub struct ProcessGroups {
    proc: PathBuf,
    root: Option<FileId>,
    namespace: Option<String>,
    host: String,
    known: HashMap<i32, ProcessGroup>,
}

impl ProcessGroups {
    /// The groups of the processes in the `/proc` at `proc`.
    pub fn new(proc: &Path) -> Self {
        Self {
            proc: proc.to_owned(),
            root: root_of(&ProcessFolder::own(proc)),
            namespace: namespace(&ProcessFolder::own(proc)),
            host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            known: HashMap::new(),
        }
    }

    /// The group of the process `pid`.
    pub fn of(&mut self, pid: i32) -> ProcessGroup {
        if let Some(known) = self.known.get(&pid) {
            return known.clone();
        }
        let group = self.read(pid);
        self.known.insert(pid, group.clone());
        group
    }

    fn read(&self, pid: i32) -> ProcessGroup {
        let process = ProcessFolder::of(&self.proc, pid);
        let groups = process.control_groups().unwrap_or_default();
        let root = root_of(&process);
        let has_own_root = root.is_some() && root != self.root;
        let name = has_own_root.then(|| self.host_name(&process)).flatten();
        if let Some((kind, id)) = container(&groups) {
            return ProcessGroup { kind, id: Some(id), name };
        }
        let id = namespace(&process);
        // With a root of its own in the mounts of this machine it is a chroot.
        if has_own_root && id != self.namespace || inner_pid(&self.proc, pid).is_some() {
            return ProcessGroup { kind: GroupKind::Namespace, id, name };
        }
        unit(&groups)
    }

    // The name that the container gives itself. A name that no host can have is none.
    fn host_name(&self, process: &ProcessFolder) -> Option<String> {
        let start = process.file_inside(Path::new("/etc/hostname")).ok()?.start(HOST_NAME).ok()?;
        let name = start.lines().next()?.trim();
        let is_fit = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        (!name.is_empty() && name.len() < HOST_NAME && name.chars().all(is_fit) && name != self.host)
            .then(|| name.to_owned())
    }
}

fn root_of(process: &ProcessFolder) -> Option<FileId> {
    FileId::at(&process.seen_from_inside(Path::new("/")))
}

// The number of its mount namespace, of `mnt:[NUMBER]`.
fn namespace(process: &ProcessFolder) -> Option<String> {
    let name = process.mount_namespace().ok()?;
    Some(name.to_str()?.strip_prefix("mnt:[")?.strip_suffix(']')?.to_owned())
}

// The paths of the hierarchies.
fn hierarchies(groups: &str) -> impl Iterator<Item = &str> {
    groups.lines().filter_map(|line| line.splitn(3, ':').nth(2))
}

/// The kind and the id of the innermost container in any hierarchy of `groups`: one may run in another.
pub fn container(groups: &str) -> Option<(GroupKind, String)> {
    hierarchies(groups).find_map(|path| {
        let parts: Vec<&str> = path.split('/').collect();
        let is_pod = parts.iter().any(|part| part.starts_with("kubepods"));
        let mut indexes = (0..parts.len()).rev();
        let (kind, id) =
            indexes.find_map(|at| part_of_engine(parts[at], at.checked_sub(1).map(|at| parts[at])))?;
        let kind = if is_pod { GroupKind::Kubernetes } else { kind };
        Some((kind, text::clean(id)))
    })
}

// The container that the control group `part` below `parent` belongs to. Helpers of an engine are no containers.
fn part_of_engine<'a>(part: &'a str, parent: Option<&str>) -> Option<(GroupKind, &'a str)> {
    if let Some((_, id)) = part.split_once(":cri-containerd:") {
        return Some((GroupKind::Containerd, id));
    }
    if let Some(name) = part.strip_prefix("lxc.payload.") {
        return Some((GroupKind::Lxc, name));
    }
    if let Some(name) = part.strip_prefix("systemd-nspawn@").and_then(|it| it.strip_suffix(".service")) {
        return Some((GroupKind::Machine, name));
    }
    let scope = part.strip_suffix(".scope").unwrap_or(part);
    for (prefix, kind) in SCOPES {
        match scope.strip_prefix(prefix) {
            Some(id) if *kind == GroupKind::Machine && scope != part => return Some((*kind, id)),
            Some(id) if is_id(id) => return Some((*kind, id)),
            _ => {}
        }
    }
    let folder = FOLDERS.iter().find(|(name, _)| Some(*name) == parent);
    match folder {
        Some((_, GroupKind::Docker | GroupKind::Podman)) if !is_id(part) => None,
        Some((_, kind)) if !part.is_empty() => Some((*kind, part)),
        _ if part.len() == ID && is_id(part) => Some((GroupKind::Container, part)),
        _ => None,
    }
}

fn is_id(text: &str) -> bool {
    text.len() >= 12 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

// The unit of the service manager, the session of the user, or the machine itself.
fn unit(groups: &str) -> ProcessGroup {
    for path in hierarchies(groups) {
        let parts = || path.rsplit('/');
        let service = parts().find(|part| part.ends_with(".service") && !part.starts_with("user@"));
        if let Some(service) = service {
            return ProcessGroup { kind: GroupKind::Service, id: Some(text::clean(service)), name: None };
        }
        let user = parts().find_map(|part| part.strip_prefix("user-")?.strip_suffix(".slice"));
        if let Some(user) = user {
            return ProcessGroup { kind: GroupKind::User, id: Some(text::clean(user)), name: None };
        }
    }
    ProcessGroup::HOST
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use proptest::prelude::*;

    use super::*;
    use crate::{fuzz::for_a_while, observe::proc::fake::FakeProc};

    const SOME_ID: &str = "3f2a9c0b7d1e3f2a9c0b7d1e3f2a9c0b7d1e3f2a9c0b7d1e3f2a9c0b7d1e9876";

    #[test]
    fn a_container_is_known_by_the_control_groups_that_its_engine_makes() {
        let id = SOME_ID;
        for (path, kind) in [
            (format!("0::/system.slice/docker-{id}.scope"), GroupKind::Docker),
            (format!("12:memory:/docker/{id}\n0::/"), GroupKind::Docker),
            (format!("0::/docker/{id}/docker/{id}"), GroupKind::Docker),
            (format!("0::/machine.slice/libpod-{id}.scope/container"), GroupKind::Podman),
            (
                format!("0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{id}.scope"),
                GroupKind::Podman,
            ),
            (format!("0::/libpod_parent/{id}"), GroupKind::Podman),
            (format!("9:name=systemd:/libpod_parent/libpod-{id}"), GroupKind::Podman),
            (
                format!(
                    "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1.slice/cri-containerd-{id}.scope"
                ),
                GroupKind::Kubernetes,
            ),
            (format!("4:cpu:/kubepods/besteffort/pod1-2/{id}"), GroupKind::Kubernetes),
            (
                format!("0::/system.slice/containerd.service/kubepods-pod1.slice:cri-containerd:{id}"),
                GroupKind::Kubernetes,
            ),
            (format!("0::/system.slice/containerd.service/x:cri-containerd:{id}"), GroupKind::Containerd),
            (format!("0::/system.slice/crio-{id}.scope"), GroupKind::Crio),
            (format!("0::/default/{id}"), GroupKind::Container),
        ] {
            assert_eq!(container(&path), Some((kind, id.to_owned())), "{path}");
        }
        for (path, kind, name) in [
            ("0::/lxc/mail", GroupKind::Lxc, "mail"),
            ("0::/lxc.payload.mail/init.scope", GroupKind::Lxc, "mail"),
            ("0::/machine.slice/machine-web\\x2d1.scope/payload", GroupKind::Machine, "web\\x2d1"),
            ("0::/machine.slice/systemd-nspawn@web.service/payload", GroupKind::Machine, "web"),
            ("0::/ecs/task/0123-456", GroupKind::Container, "task"),
        ] {
            assert_eq!(container(path), Some((kind, name.to_owned())), "{path}");
        }
    }

    #[test]
    fn what_runs_containers_is_in_none() {
        let conmon = format!("0::/machine.slice/libpod-conmon-{SOME_ID}.scope");
        for path in [
            conmon.as_str(),
            "0::/system.slice/docker.service",
            "0::/lxc.monitor.mail",
            "0::/docker",
            "0::/libpod_parent/conmon",
            "0::/",
            "",
        ] {
            assert_eq!(container(path), None, "{path}");
        }
    }

    #[test]
    fn a_process_outside_of_containers_belongs_to_its_unit_or_to_its_user() {
        for (path, kind, id) in [
            ("0::/system.slice/cron.service\n", GroupKind::Service, Some("cron.service")),
            (
                "0::/user.slice/user-1000.slice/user@1000.service/app.slice/notes.service\n",
                GroupKind::Service,
                Some("notes.service"),
            ),
            (
                "0::/user.slice/user-1000.slice/user@1000.service/app.slice/app-x.scope\n",
                GroupKind::User,
                Some("1000"),
            ),
            ("0::/user.slice/user-7.slice/session-3.scope\n", GroupKind::User, Some("7")),
            ("0::/init.scope\n", GroupKind::Host, None),
            ("0::/\n", GroupKind::Host, None),
        ] {
            assert_eq!((unit(path).kind, unit(path).id.as_deref()), (kind, id), "{path}");
        }
    }

    #[test]
    fn fuzz_groups() {
        for_a_while("groups", |runner| {
            let part = format!(
                "(/|\\.\\.|docker-?|libpod-|:cri-containerd:|lxc|{SOME_ID}|\\.scope|user-|\\.slice|:|.{{0,9}})"
            );
            let inputs = format!("([0-9]{{0,2}}:?:{part}{{0,6}}\n){{0,4}}");
            runner.run(&inputs.as_str(), |groups| {
                if let Some((kind, _)) = container(&groups) {
                    prop_assert!(kind.is_container());
                }
                prop_assert!(!unit(&groups).kind.is_container());
                Ok(())
            })
        });
    }

    #[test]
    fn a_root_of_its_own_has_the_name_in_its_files_and_no_link_leads_out_of_it() {
        let (proc, root) = (FakeProc::new(), tempfile::TempDir::new().expect("a folder"));
        proc.process(70).process(71).process(72).mount_namespace("70", "mnt:[4026532567]");
        symlink(root.path(), proc.path().join("72/root")).expect("linked");
        proc.write("self/status", "").write("70/cgroup", "0::/\n");
        symlink("/", proc.path().join("self/root")).expect("linked");
        symlink("/", proc.path().join("71/root")).expect("linked");
        symlink(root.path(), proc.path().join("70/root")).expect("linked");
        std::fs::create_dir(root.path().join("etc")).expect("a folder");
        let hostname = root.path().join("etc/hostname");
        let group = || ProcessGroups::new(proc.path()).of(70);
        let named = |name: Option<&str>| ProcessGroup {
            kind: GroupKind::Namespace,
            id: Some("4026532567".to_owned()),
            name: name.map(str::to_owned),
        };
        assert_eq!(group(), named(None));
        std::fs::write(&hostname, "web-1\n").expect("written");
        assert_eq!(group(), named(Some("web-1")));
        for bad in ["a\u{1b}[31m", "", &"x".repeat(65), "two words"] {
            std::fs::write(&hostname, bad).expect("written");
            assert_eq!(group(), named(None), "{bad:?}");
        }
        std::fs::remove_file(&hostname).expect("removed");
        symlink("/proc/self/comm", &hostname).expect("linked");
        assert_eq!(group(), named(None), "the target is not below its root");
        assert_eq!(ProcessGroups::new(proc.path()).of(71), ProcessGroup::HOST);
        assert_eq!(ProcessGroups::new(proc.path()).of(72), ProcessGroup::HOST, "a chroot");
    }
}
