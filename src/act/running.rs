//! Which workers run: of one kind no more than one for each database.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// What a worker does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Moves the log into the main file, asked for or by schedule.
    Checkpoint,
    /// Sets what the file keeps.
    Fix,
    /// Checks the file.
    Health,
}

impl Kind {
    /// What it is called in a sentence.
    pub fn name(self) -> &'static str {
        match self {
            Self::Checkpoint => "checkpoint",
            Self::Fix => "fix",
            Self::Health => "health check",
        }
    }
}

type Workers = HashSet<(Kind, PathBuf)>;

/// The workers that run.
#[derive(Debug, Clone, Default)]
pub struct Running(Arc<Mutex<Workers>>);

/// The place of one worker, which is free again when this is dropped.
#[derive(Debug)]
pub struct Place {
    running: Running,
    worker: (Kind, PathBuf),
}

impl Running {
    /// A place for a worker of `kind` for `database`; `None` where one runs.
    pub fn enter(&self, kind: Kind, database: &Path) -> Option<Place> {
        let worker = (kind, database.to_owned());
        self.workers().insert(worker.clone()).then(|| Place { running: self.clone(), worker })
    }

    fn workers(&self) -> MutexGuard<'_, Workers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.running.workers().remove(&self.worker);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_one_kind_one_worker_runs_for_each_database() {
        let running = Running::default();
        let (one, other) = (Path::new("/one.db"), Path::new("/other.db"));
        let first = running.enter(Kind::Checkpoint, one).expect("none runs");
        assert!(running.enter(Kind::Checkpoint, one).is_none());
        let beside = [running.enter(Kind::Checkpoint, other), running.enter(Kind::Fix, one)];
        assert!(beside.iter().all(Option::is_some));
        drop(first);
        assert!(running.enter(Kind::Checkpoint, one).is_some());
    }
}
