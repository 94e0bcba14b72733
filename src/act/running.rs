//! Which workers run: of one kind no more than one for each database.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WorkerKind {
    /// Moves the log into the main file, asked for or by schedule.
    Checkpoint,
    /// Sets what the file keeps.
    Fix,
    Health,
}

impl WorkerKind {
    /// What it is called in a sentence.
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

/// The place of one worker, which is free again when this is dropped.
#[derive(Debug)]
pub struct WorkerSlot {
    running: RunningWorkers,
    worker: (WorkerKind, PathBuf),
}

impl RunningWorkers {
    /// A place for a worker of `kind` for `database`; `None` where one runs.
    pub fn enter(&self, kind: WorkerKind, database: &Path) -> Option<WorkerSlot> {
        let worker = (kind, database.to_owned());
        self.workers().insert(worker.clone()).then(|| WorkerSlot { running: self.clone(), worker })
    }

    fn workers(&self) -> MutexGuard<'_, Workers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
