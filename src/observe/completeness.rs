//! What a sample sees of the lock table and of the processes, and what it cannot see of them.

use super::{
    DatabaseWatch, Observer,
    lock_table::{self, LockTable},
    proc,
};
use crate::snapshot::Unseen;

impl Observer {
    /// What the last sample could not see of the lock table; `None` if it saw all of it.
    pub fn unseen_locks(&self) -> Option<&Unseen> {
        self.unseen_locks.as_ref()
    }

    /// What the last sample could not see of the processes that have a database open. Only without any of it does the
    /// absence of a process prove that there is none.
    pub fn unseen_processes(&self) -> Vec<Unseen> {
        let mut unseen: Vec<Unseen> = self.unseen_locks.iter().cloned().collect();
        unseen.extend(self.processes.unseen());
        unseen.extend(proc::hidden_processes(&self.proc));
        unseen
    }

    /// How many processes have open files that the last sample could not read; `None` if processes are not listed, or are
    /// hidden.
    pub fn unseen_process_count(&self) -> Option<usize> {
        if proc::hidden_processes(&self.proc).is_some() {
            return None;
        }
        self.processes.unseen_count()
    }

    /// The resident memory of this process.
    pub fn own_memory_bytes(&self) -> Option<u64> {
        proc::ProcessFolder::own(&self.proc).resident_bytes()
    }

    /// Reads the lock table, and notes what it does not show.
    pub(super) fn lock_table(&mut self) -> LockTable {
        // While the kernel prints the table, every process that takes or releases a lock waits, and the first reader
        // after a while waits some milliseconds. It is not worth that for databases that no process has locked.
        let table = if self.is_own_proc && self.watched.iter().all(DatabaseWatch::is_unlocked) {
            Ok(LockTable::default())
        } else {
            let inodes: Vec<u64> = self.watched.iter().flat_map(DatabaseWatch::locked_inodes).collect();
            lock_table::read(&self.proc, &inodes)
        };
        let why = table.as_ref().map_or_else(
            |error| Some(error.to_string()),
            |table| {
                table.cut.map(|cut| {
                    format!("{cut}: of each lock only the holder that the kernel names first is certain")
                })
            },
        );
        self.unseen_locks = why.map(|why| Unseen { what: "the lock table".to_owned(), why });
        table.unwrap_or_default()
    }
}
