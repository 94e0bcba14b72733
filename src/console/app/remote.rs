//! A console that shows other hosts: which one, its clock, its link, and what cannot be done from here.

use std::{fmt, sync::Arc};

use jiff::Timestamp;
use log::Level;

use super::{App, ConsoleKind, Overlay};
use crate::{
    act::Effect,
    hosts::{LostLink, WatchedHost, WatchedHosts},
    keymap::Action,
    sampler::Sample,
};

/// Why an action is not possible in a console that shows other hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RemoteNotice {
    /// `command` does it on the host.
    OnlyThere { host: Arc<str>, command: &'static str },
    /// What the key does, it does for this machine only.
    OnlyHere,
    /// There is no link, so nothing is known of the host now.
    NoLink { host: Arc<str> },
}

impl RemoteNotice {
    pub fn level(&self) -> Level {
        match self {
            Self::NoLink { .. } => Level::Warn,
            Self::OnlyThere { .. } | Self::OnlyHere => Level::Info,
        }
    }
}

impl fmt::Display for RemoteNotice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OnlyThere { host, command } => {
                write!(f, "not over --host; on the host itself: ssh -t {host} {command}")
            }
            Self::OnlyHere => f.write_str("not over --host: the host sends its samples by itself"),
            Self::NoLink { host } => {
                write!(f, "there is no link to {host}: nothing is known of it now, so nothing is changed")
            }
        }
    }
}

impl App {
    /// Whether the console shows other hosts.
    pub fn is_remote(&self) -> bool {
        self.setup.kind == ConsoleKind::Remote
    }

    /// The hosts of the sample on the screen; `None` if it shows none but this one.
    pub fn hosts(&self) -> Option<&WatchedHosts> {
        self.sample()?.hosts.as_ref()
    }

    /// The host of the database at `index`, as of the newest sample.
    pub fn host_of(&self, index: usize) -> Option<&WatchedHost> {
        self.newest.as_ref()?.hosts.as_ref()?.of(index)
    }

    /// The link to the host of the database at `index`, if it is down.
    pub fn lost_link(&self, index: usize) -> Option<(&WatchedHost, &LostLink)> {
        let host = self.host_of(index)?;
        Some((host, host.lost()?))
    }

    /// The present on the clock of this machine.
    pub fn here(&self) -> Timestamp {
        self.clock
    }

    /// The present of what is on the screen: on the clock of the host of the database there.
    pub(super) fn time_of_shown(&self) -> Timestamp {
        self.host_of(self.current()).map_or(self.clock, |host| host.time(self.clock))
    }

    /// Forgets what was seen of the hosts of `hosts` that have a new connection: what has happened in between is not known.
    pub(super) fn follow_links(&mut self, sample: &Sample) {
        let Some(hosts) = &sample.hosts else { return };
        for index in 0..sample.snapshot.databases.len() {
            let before = self.host_of(index).map(|host| host.connection);
            let now = hosts.of(index).map(|host| host.connection);
            if before.is_some_and(|before| now.is_some_and(|now| now > before))
                && let Some(state) = self.states.get_mut(index)
            {
                state.forget_past(sample.taken_at(index));
            }
        }
        let is_lost = hosts.of(self.current()).is_some_and(|host| host.lost().is_some());
        if is_lost && matches!(self.overlay, Some(Overlay::Details(_))) {
            self.close_overlay();
        }
    }

    /// The databases of `visible`, those that are worst off first: a host without a link is one of them.
    pub(super) fn worst_first(&self, visible: &mut [usize]) {
        let severity = |index: usize| self.databases()[index].worst().map(|finding| finding.severity);
        visible.sort_by_key(|&index| std::cmp::Reverse((self.lost_link(index).is_some(), severity(index))));
    }

    /// What `action` does in a console that shows other hosts; `None`: the same as elsewhere.
    #[must_use]
    pub(super) fn act_on_hosts(&mut self, action: Action) -> Option<Vec<Effect>> {
        if !self.is_remote() {
            return None;
        }
        let host = self.host_of(self.current()).map(|host| Arc::clone(&host.name));
        let there = |command| host.clone().map(|host| RemoteNotice::OnlyThere { host, command });
        let notice = match action {
            Action::Ingest if self.ingestion_to_stop().is_none() => there("waltop ingest FOLDER --db DB"),
            Action::Fix => there("waltop fix DB"),
            Action::Documents => there("waltop search --db DB WORDS"),
            Action::Record => there("waltop record DB"),
            Action::Stack => there("py-spy dump --pid PID"),
            Action::Refresh | Action::Faster | Action::Slower if self.timeline().is_none() => {
                Some(RemoteNotice::OnlyHere)
            }
            Action::Ingest | Action::Stop | Action::Reap | Action::Checkpoint | Action::Health => {
                let lost = self.lost_link(self.current());
                lost.map(|(host, _)| RemoteNotice::NoLink { host: Arc::clone(&host.name) })
            }
            _ => None,
        };
        Some(vec![self.notify(notice?)])
    }
}
