//! The pressure on the disk, read only where a holder of a lock waits for it.

use super::{Observer, proc, proc::ProcessFolder, proc::mounts::MountTable};
use crate::snapshot::{Activity, Database, DiskWait, Process, ProcessState};

/// A shorter hold is not asked about, in ms.
const LONG_MS: f64 = 1000.0;

impl Observer {
    /// Fills in the disk waits of `databases`, now that the activities are known.
    pub(super) fn note_disk_waits(&self, databases: &mut [Database]) {
        let holders: Vec<Option<i32>> = databases.iter().map(holder_in_disk_wait).collect();
        let count = u32::try_from(holders.iter().flatten().count()).unwrap_or(u32::MAX);
        if count == 0 {
            return;
        }
        let (machine, mounts) = (proc::io_pressure(&self.proc), MountTable::read(&self.proc));
        for (database, holder) in databases.iter_mut().zip(holders) {
            database.locks.disk_wait = holder.map(|pid| DiskWait {
                pid,
                machine,
                group: ProcessFolder::of(&self.proc, pid).io_pressure(&mounts),
                databases: count,
            });
        }
    }
}

// The process that has held a lock for long, and of which the samples name the disk; without samples its state now.
fn holder_in_disk_wait(database: &Database) -> Option<i32> {
    let locks = &database.locks;
    let holders = [&locks.writer, &locks.checkpointer, &locks.exclusive];
    let long = holders.into_iter().flatten().filter(|holder| holder.held_ms >= Some(LONG_MS));
    let mut processes = long.filter_map(|holder| database.process(holder.pid?));
    processes.find(|process| waits_for_disk(process)).map(|process| process.pid)
}

fn waits_for_disk(process: &Process) -> bool {
    match &process.activity {
        Some(activity) => activity.named().is_some_and(|named| named.activity == Activity::Disk),
        None => process.state == ProcessState::DiskSleep,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        diagnose::fixture::{READER, WRITER, held, live, quiet},
        snapshot::HolderActivity,
    };

    fn holding(state: ProcessState, held_ms: f64) -> Database {
        let mut database = live();
        database.locks.writer = Some(held(WRITER, held_ms));
        database.processes[0].state = state;
        database
    }

    #[test]
    fn a_long_hold_in_a_disk_wait_is_asked_about() {
        let disk = ProcessState::DiskSleep;
        assert_eq!(holder_in_disk_wait(&holding(disk, 1000.0)), Some(WRITER));
        assert_eq!(holder_in_disk_wait(&holding(disk, 999.0)), None);
        assert_eq!(holder_in_disk_wait(&holding(ProcessState::Sleeping, 9000.0)), None);
        let mut sampled = holding(disk, 9000.0);
        let asleep = std::iter::repeat_n(&Activity::Asleep, 20);
        sampled.processes[0].activity = HolderActivity::of(asleep, 9000.0);
        assert_eq!(holder_in_disk_wait(&sampled), None, "its samples name something else");
        let disk = std::iter::repeat_n(&Activity::Disk, 20);
        sampled.processes[0].activity = HolderActivity::of(disk, 9000.0);
        assert_eq!(holder_in_disk_wait(&sampled), Some(WRITER));
        let mut checkpoint = quiet();
        checkpoint.locks.checkpointer = Some(held(READER, 5000.0));
        checkpoint.processes[1].state = ProcessState::DiskSleep;
        assert_eq!(holder_in_disk_wait(&checkpoint), Some(READER));
    }
}
