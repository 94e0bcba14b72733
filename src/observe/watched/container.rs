//! The container of a database that is named by it: found again after the container was restarted.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, TryRecvError};

use super::DatabaseWatch;
use crate::{
    observe::{
        arguments::container_path::{
            ContainerIdentity, ContainerPathError, LocatedContainer, located_now, names_container, search,
        },
        proc::InsidePath,
        timing::SampleTime,
    },
    snapshot::{PathReach, Unseen},
};

/// Time between two searches for a container that is gone.
const SEARCH: Duration = Duration::from_secs(2);

type Search = Receiver<Result<LocatedContainer, ContainerPathError>>;

/// See the module.
#[derive(Debug)]
pub struct ContainerWatch {
    /// What identifies it: its id if the user named it by that, else its name. `None`: it was not found yet.
    identity: Option<ContainerIdentity>,
    search: Option<Search>,
    searched: Option<Instant>,
}

impl ContainerWatch {
    /// The container of the database `named`, and a path that leads there if it runs; `None` if no container is named.
    pub fn of(named: &Path, proc: &Path) -> Option<(Self, Option<PathBuf>)> {
        if !names_container(named) {
            return None;
        }
        let (identity, path) = located_now(named, proc).map(|it| (it.identity, it.path)).ok().unzip();
        Some((Self { identity, search: None, searched: None }, path))
    }

    /// A path to the database `named` in the container, once one is there again that is the same. A thread of its own
    /// searches, so that no sample waits for a file that does not answer.
    pub fn found_again(&mut self, named: &Path, proc: &Path, now: Instant) -> Option<PathBuf> {
        if let Some(search) = &self.search {
            let found = match search.try_recv() {
                Ok(found) => found,
                Err(TryRecvError::Empty) => return None,
                Err(TryRecvError::Disconnected) => {
                    self.search = None;
                    return None;
                }
            };
            self.search = None;
            // What it means now is ambiguous, or nothing: it stays gone.
            let LocatedContainer { path, identity } = found.ok()?;
            self.identity = Some(identity);
            return Some(path);
        }
        if self.searched.is_none_or(|at| now.duration_since(at) >= SEARCH) {
            self.searched = Some(now);
            self.search = search(named, self.identity.clone(), proc).ok();
        }
        None
    }
}

impl DatabaseWatch {
    /// Notes whether the process through which it is reached has ended. If its container is there again, it is reached
    /// there from now on, and its files have other paths: returns whether that is so.
    pub fn follow_container(&mut self, proc: &Path, now: SampleTime) -> bool {
        let is_reached = self.inside.as_mut().is_some_and(|inside| {
            !matches!(inside.follow(proc, now.instant), PathReach::ThroughProcess { has_ended: true, .. })
        });
        if is_reached {
            self.ended_at = None;
            return false;
        }
        if self.inside.is_some() || self.container.is_some() {
            self.ended_at.get_or_insert(now.timestamp);
        }
        let container = self.container.as_mut();
        let path = container.and_then(|container| container.found_again(&self.named, proc, now.instant));
        let Some(inside) = path.and_then(|path| InsidePath::of(&path, proc)) else { return false };
        let history = Arc::clone(&self.history);
        let (named, timed) = (self.named.clone(), self.timed.take());
        *self = Self { timed, ..Self::reached(named, self.container.take(), Some(inside), history) };
        true
    }

    /// What is not seen since the process `pid` has ended, through which it was reached.
    pub(super) fn unreached(&self, pid: i32) -> Unseen {
        let since = self.ended_at.map(|at| at.strftime(" since %H:%M:%SZ").to_string()).unwrap_or_default();
        let named = self.named.display();
        let (what, why) = match self.container {
            Some(_) => (
                named.to_string(),
                format!(
                    "it is gone{since}; the directory opened before is shown until the container is back"
                ),
            ),
            None => (
                format!("what process {pid} now has at {named}"),
                format!(
                    "it is gone{since}, and no other one takes the place of a PID; the directory opened before is shown"
                ),
            ),
        };
        Unseen { what, why }
    }
}
