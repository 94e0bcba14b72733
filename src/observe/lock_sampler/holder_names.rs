//! The names of the processes that hold a lock, which outlive the processes for a while.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{history::LockOwner, observe::proc, snapshot::LabelRules};

// How long a name is reused for the same PID.
const NAME_KEPT: Duration = Duration::from_secs(1);
// How long the name of a PID is remembered: it must outlive the process, and be shorter than the reuse of its PID.
const NAME_DROPPED: Duration = Duration::from_mins(1);

/// The labels of the holders.
pub struct HolderNames {
    proc: PathBuf,
    rules: LabelRules,
    known: HashMap<i32, (Instant, Arc<LockOwner>)>,
}

impl From<PathBuf> for HolderNames {
    fn from(proc: PathBuf) -> Self {
        Self { proc, rules: LabelRules::default(), known: HashMap::new() }
    }
}

impl HolderNames {
    /// Sets the rules that name processes.
    pub fn set_rules(&mut self, rules: LabelRules) {
        self.rules = rules;
        self.known.clear();
    }

    /// The process `pid` with its label; without one if it is not visible.
    pub fn of(&mut self, pid: Option<i32>, now: Instant) -> Arc<LockOwner> {
        let Some(pid) = pid else { return Arc::default() };
        if let Some((_, who)) = self.known.get(&pid).filter(|(at, _)| now.duration_since(*at) < NAME_KEPT) {
            return Arc::clone(who);
        }
        let read = proc::owner_of_lock(&self.proc, pid, &self.rules);
        let who = match self.known.get(&pid) {
            Some((_, before)) if self.has_ended(&read, before) => Arc::clone(before),
            _ => Arc::new(read),
        };
        // The name of a process that is gone is dropped; a dropped name can be read again.
        self.known.retain(|_, (at, _)| now.duration_since(*at) < NAME_DROPPED);
        self.known.insert(pid, (now, Arc::clone(&who)));
        who
    }

    // Whether `read` is the process `before` while or after it ends. It loses its command line before its locks, so its
    // label would be that of its interpreter.
    fn has_ended(&self, read: &LockOwner, before: &LockOwner) -> bool {
        let is_without_command =
            || read.pid.and_then(|pid| proc::command(&self.proc, pid)).is_none_or(|words| words.is_empty());
        !before.name.is_empty()
            && (read.start_ticks.is_none() || read.start_ticks == before.start_ticks && is_without_command())
    }
}
