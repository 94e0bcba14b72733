//! Which workers are running: at most one of each kind per database.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
};

use crate::threads;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WorkerKind {
    /// Checkpoints the log, on request or by schedule.
    Checkpoint,
    /// Sets what the file keeps.
    Fix,
    Health,
}

impl WorkerKind {
    /// Its name in a sentence.
    pub fn name(self) -> &'static str {
        match self {
            Self::Checkpoint => "checkpoint",
            Self::Fix => "fix",
            Self::Health => "health check",
        }
    }
}

type Workers = HashSet<(WorkerKind, PathBuf)>;

#[derive(Debug, Clone, Default)]
pub struct RunningWorkers(Arc<Mutex<Workers>>);

/// The slot of one worker; dropping it frees the slot.
#[derive(Debug)]
pub struct WorkerSlot {
    running: RunningWorkers,
    worker: (WorkerKind, PathBuf),
}

impl RunningWorkers {
    /// A slot for a worker of `kind` for `database`; `None` if one is running.
    pub fn enter(&self, kind: WorkerKind, database: &Path) -> Option<WorkerSlot> {
        let worker = (kind, database.to_owned());
        self.workers().insert(worker.clone()).then(|| WorkerSlot { running: self.clone(), worker })
    }

    fn workers(&self) -> MutexGuard<'_, Workers> {
        threads::lock(&self.0)
    }
}

impl Drop for WorkerSlot {
    fn drop(&mut self) {
        self.running.workers().remove(&self.worker);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_one_kind_one_worker_runs_for_each_database() {
        let running = RunningWorkers::default();
        let (one, other) = (Path::new("/one.db"), Path::new("/other.db"));
        let first = running.enter(WorkerKind::Checkpoint, one).expect("none runs");
        assert!(running.enter(WorkerKind::Checkpoint, one).is_none());
        let beside = [running.enter(WorkerKind::Checkpoint, other), running.enter(WorkerKind::Fix, one)];
        assert!(beside.iter().all(Option::is_some));
        drop(first);
        assert!(running.enter(WorkerKind::Checkpoint, one).is_some());
    }
}
