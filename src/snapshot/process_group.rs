//! What a process belongs to: a container, a unit of the service manager, or the session of a user.

use std::{fmt, path::Path};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a process belongs to, by its control groups and its namespaces.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema, Serialize, Deserialize)]
pub struct ProcessGroup {
    pub kind: GroupKind,
    /// The id of the container, as its engine knows it, the name of the unit, or the number of the user; for a process
    /// with a root of its own, the number of its mount namespace. `None` for the machine itself.
    pub id: Option<String>,
    /// The host name in the files of the container; `None` if it has none, or the one of this machine.
    pub name: Option<String>,
}

/// The kind of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GroupKind {
    Docker,
    Podman,
    Kubernetes,
    Containerd,
    Crio,
    Lxc,
    /// A machine of `systemd-nspawn`.
    Machine,
    /// A container of another engine.
    Container,
    /// No engine is known, and the process has a root or a PID namespace of its own.
    Namespace,
    /// A unit of the service manager.
    Service,
    /// A session of a user.
    User,
    /// The rest of the machine.
    Host,
}

/// How many characters of a container's id are shown, as its engines do.
const SHORT_ID: usize = 12;

impl GroupKind {
    /// Whether its processes have files and PIDs of their own.
    pub fn is_container(self) -> bool {
        !matches!(self, Self::Service | Self::User | Self::Host)
    }

    /// The word before its name.
    fn word(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Podman => "podman",
            Self::Kubernetes => "kubernetes",
            Self::Containerd => "containerd",
            Self::Crio => "cri-o",
            Self::Lxc => "lxc",
            Self::Machine => "machine",
            Self::Container => "container",
            Self::Namespace => "mount namespace",
            Self::Service => "service",
            Self::User => "user",
            Self::Host => "this machine",
        }
    }
}

impl ProcessGroup {
    /// The machine itself.
    pub const HOST: Self = Self { kind: GroupKind::Host, id: None, name: None };

    /// Its id as it is shown: the first characters of a long one.
    pub fn short_id(&self) -> Option<&str> {
        let id = self.id.as_deref()?;
        let is_hash = id.len() > 2 * SHORT_ID && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        Some(if is_hash { &id[..SHORT_ID] } else { id })
    }

    /// Where the file at `path` in it is, with the name first, for a list that may cut its lines.
    pub fn place(&self, path: &Path) -> String {
        let path = path.display();
        match (self.kind, &self.name) {
            (GroupKind::Host, _) => path.to_string(),
            (_, Some(name)) => format!("{name} ({}): {path}", Self { name: None, ..self.clone() }),
            (_, None) => format!("{self}: {path}"),
        }
    }

    /// Whether `word` selects this container: the beginning of its id, at least four characters, or a name.
    pub fn is_meant_by(&self, word: &str) -> bool {
        if !self.kind.is_container() {
            return false;
        }
        let by_id = self.id.as_deref().is_some_and(|id| {
            id == word || word.len() >= 4 && self.kind != GroupKind::Namespace && id.starts_with(word)
        });
        by_id || self.name.as_deref() == Some(word)
    }
}

impl fmt::Display for ProcessGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.word())?;
        for part in [self.short_id(), self.name.as_deref().filter(|name| self.short_id() != Some(name))] {
            part.map_or(Ok(()), |part| write!(f, " {part}"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(kind: GroupKind, id: &str, name: Option<&str>) -> ProcessGroup {
        ProcessGroup { kind, id: Some(id.to_owned()), name: name.map(str::to_owned) }
    }

    #[test]
    fn a_long_id_is_cut_as_engines_cut_it_and_a_name_is_not_repeated() {
        let id = "0123456789abcdef".repeat(4);
        assert_eq!(group(GroupKind::Docker, &id, Some("web")).to_string(), "docker 0123456789ab web");
        let by_default = group(GroupKind::Docker, &id, Some("0123456789ab"));
        assert_eq!(by_default.to_string(), "docker 0123456789ab");
        assert_eq!(group(GroupKind::Lxc, "mail", None).to_string(), "lxc mail");
        assert_eq!(ProcessGroup::HOST.to_string(), "this machine");
        let path = Path::new("/data/app.db");
        let web = group(GroupKind::Docker, &id, Some("web"));
        assert_eq!(web.place(path), "web (docker 0123456789ab): /data/app.db");
        assert_eq!(group(GroupKind::Lxc, "mail", None).place(path), "lxc mail: /data/app.db");
        assert_eq!(ProcessGroup::HOST.place(path), "/data/app.db");
    }

    #[test]
    fn a_container_is_meant_by_its_name_or_by_four_characters_of_its_id() {
        let web = group(GroupKind::Podman, &"0123456789abcdef".repeat(4), Some("web"));
        for (word, is_meant) in
            [("0123", true), ("012", false), ("1234", false), ("web", true), ("we", false)]
        {
            assert_eq!(web.is_meant_by(word), is_meant, "{word}");
        }
        let service = group(GroupKind::Service, "cron.service", None);
        assert!(!service.is_meant_by("cron.service"), "its files are those of the machine");
        let namespace = group(GroupKind::Namespace, "4026532567", None);
        assert!(namespace.is_meant_by("4026532567") && !namespace.is_meant_by("4026"), "all begin so");
    }
}
