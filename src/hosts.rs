//! The hosts that a console watches over ssh, as plain data: how each link is, and what time it is there.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use jiff::{SignedDuration, Timestamp};

mod failure;
mod missed;

pub use failure::LinkFailure;
pub use missed::{FoundTime, MissedTimeReport};

/// The hosts behind a sample.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchedHosts {
    pub hosts: Arc<[WatchedHost]>,
    /// The host of each database of the snapshot, as an index.
    pub of_database: Arc<[usize]>,
}

/// One host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchedHost {
    /// As the user named it, for ssh.
    pub name: Arc<str>,
    pub link: LinkState,
    /// Counts its connections: what one has shown does not go on in the next.
    pub connection: u32,
    /// Its newest sample; `None` if none has come.
    pub newest: Option<HostTime>,
}

/// A moment on the clock of a host and on that of this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostTime {
    pub there: Timestamp,
    pub here: Timestamp,
}

/// How a link is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkState {
    /// The first connection is being made.
    Connecting,
    Live,
    Lost(LostLink),
}

/// A link that is down. What happens on the host meanwhile is not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostLink {
    /// The time of the last line, on the clock of this machine.
    pub since: Timestamp,
    pub why: LinkFailure,
    /// When the next connection is tried; `None` while one is being made.
    pub retry_at: Option<Timestamp>,
}

/// A database on a host, as this machine names it: `HOST:/path`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPath {
    pub host: String,
    /// The path there.
    pub path: PathBuf,
}

impl WatchedHosts {
    /// The host of the database at `index`.
    pub fn of(&self, index: usize) -> Option<&WatchedHost> {
        self.hosts.get(*self.of_database.get(index)?)
    }

    /// When the newest sample came, on the clock of this machine.
    pub fn newest_here(&self) -> Option<Timestamp> {
        self.hosts.iter().filter_map(|host| Some(host.newest?.here)).max()
    }

    /// Those whose link is down.
    pub fn lost(&self) -> impl Iterator<Item = (&WatchedHost, &LostLink)> {
        self.hosts.iter().filter_map(|host| Some((host, host.lost()?)))
    }
}

impl LinkState {
    pub fn lost(&self) -> Option<&LostLink> {
        if let Self::Lost(lost) = self { Some(lost) } else { None }
    }
}

impl WatchedHost {
    /// What is known of the end of its link; `None` while there is one.
    pub fn lost(&self) -> Option<&LostLink> {
        self.link.lost()
    }

    /// What time it is there when it is `here` on this machine: clocks of two machines differ.
    pub fn time(&self, here: Timestamp) -> Timestamp {
        self.newest.map_or(here, |newest| newest.there_at(here))
    }
}

impl HostTime {
    fn there_at(&self, here: Timestamp) -> Timestamp {
        let ahead: SignedDuration = self.there.duration_since(self.here);
        here.checked_add(ahead).unwrap_or(here)
    }
}

impl HostPath {
    /// The name of the database at `path` on `host`.
    pub fn name(host: &str, path: &Path) -> PathBuf {
        let mut name = std::ffi::OsString::from(format!("{host}:"));
        name.push(path);
        name.into()
    }

    /// What `name` means if it is that of a database on one of `hosts`.
    pub fn of<'a>(name: &Path, hosts: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let text = name.to_str()?;
        let found = hosts.into_iter().find_map(|host| {
            let path = text.strip_prefix(host)?.strip_prefix(':')?;
            Some(Self { host: host.to_owned(), path: path.into() })
        });
        // A path there, or `CONTAINER:/path`.
        found.filter(|it| it.path.is_absolute() || it.path.to_string_lossy().contains(":/"))
    }
}

impl fmt::Display for WatchedHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    #[test]
    fn the_clock_of_a_host_that_is_ahead_or_behind_is_that_of_its_samples() {
        let host = |there| WatchedHost {
            name: "web1".into(),
            link: LinkState::Live,
            connection: 1,
            newest: Some(HostTime { there: at(there), here: at("2026-01-15T14:00:00Z") }),
        };
        let here = at("2026-01-15T14:00:05Z");
        assert_eq!(host("2026-01-15T15:00:00Z").time(here), at("2026-01-15T15:00:05Z"));
        assert_eq!(host("2026-01-15T13:59:00Z").time(here), at("2026-01-15T13:59:05Z"));
        assert_eq!(WatchedHost { newest: None, ..host("2026-01-15T14:00:00Z") }.time(here), here);
    }

    #[test]
    fn a_name_leads_back_to_the_host_and_the_path_there() {
        let name = HostPath::name("me@web1", Path::new("/srv/a b:c.db"));
        let back = HostPath::of(&name, ["web1", "me@web1"]).expect("a host");
        assert_eq!((back.host.as_str(), back.path.as_path()), ("me@web1", Path::new("/srv/a b:c.db")));
        let inside = HostPath::of(Path::new("web1:shop:/data/app.db"), ["web1"]).expect("a host");
        assert_eq!(inside.path, Path::new("shop:/data/app.db"));
        assert_eq!(HostPath::of(Path::new("/srv/notes.db"), ["web1"]), None);
        assert_eq!(HostPath::of(Path::new("web1:notes.db"), ["web1"]), None, "a name of waltop is absolute");
    }
}
