//! The pressure on the disk, read only where a holder of a lock waits for it.

use std::collections::BTreeSet;

use super::{Observer, proc, proc::ProcessFolder, proc::mounts::MountTable};
use crate::snapshot::{Activity, Database, DiskWait, Process, ProcessState};

/// A shorter hold is not asked about, in ms.
const LONG_MS: f64 = 1000.0;

impl Observer {
    /// Fills in the disk waits of `databases`, now that the activities are known.
    pub(super) fn note_disk_waits(&self, databases: &mut [Database]) {
        let holders: Vec<Vec<i32>> = databases.iter().map(holders_in_disk_wait).collect();
        // One process may hold the locks of several databases.
        let distinct: BTreeSet<i32> = holders.iter().flatten().copied().collect();
        if distinct.is_empty() {
            return;
        }
        let processes = u32::try_from(distinct.len()).unwrap_or(u32::MAX);
        let (machine, mounts) = (proc::io_pressure(&self.proc), MountTable::read(&self.proc));
        for (database, holders) in databases.iter_mut().zip(holders) {
            database.locks.disk_wait = holders.first().map(|&pid| DiskWait {
                pid,
                machine,
                group: ProcessFolder::of(&self.proc, pid).io_pressure(&mounts),
                processes,
            });
        }
    }
}

// The processes that have held a lock for long, and of which the samples name the disk; without samples their state now.
fn holders_in_disk_wait(database: &Database) -> Vec<i32> {
    let locks = &database.locks;
    let holders = [&locks.writer, &locks.checkpointer, &locks.exclusive];
    let long = holders.into_iter().flatten().filter(|holder| holder.held_ms >= Some(LONG_MS));
    let processes = long.filter_map(|holder| database.process(holder.pid?));
    processes.filter(|process| waits_for_disk(process)).map(|process| process.pid).collect()
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
        state::places::Places,
    };

    const NONE: [i32; 0] = [];

    fn holding(state: ProcessState, held_ms: f64) -> Database {
        let mut database = live();
        database.locks.writer = Some(held(WRITER, held_ms));
        database.processes[0].state = state;
        database
    }

    #[test]
    fn a_long_hold_in_a_disk_wait_is_asked_about() {
        let disk = ProcessState::DiskSleep;
        assert_eq!(holders_in_disk_wait(&holding(disk, 1000.0)), [WRITER]);
        assert_eq!(holders_in_disk_wait(&holding(disk, 999.0)), NONE);
        assert_eq!(holders_in_disk_wait(&holding(ProcessState::Sleeping, 9000.0)), NONE);
        let mut sampled = holding(disk, 9000.0);
        let asleep = std::iter::repeat_n(&Activity::Asleep, 20);
        sampled.processes[0].activity = HolderActivity::of(asleep, 9000.0);
        assert_eq!(holders_in_disk_wait(&sampled), NONE, "its samples name something else");
        let disk = std::iter::repeat_n(&Activity::Disk, 20);
        sampled.processes[0].activity = HolderActivity::of(disk, 9000.0);
        assert_eq!(holders_in_disk_wait(&sampled), [WRITER]);
        let mut checkpoint = quiet();
        checkpoint.locks.checkpointer = Some(held(READER, 5000.0));
        checkpoint.processes[1].state = ProcessState::DiskSleep;
        assert_eq!(holders_in_disk_wait(&checkpoint), [READER]);
        checkpoint.locks.writer = Some(held(WRITER, 5000.0));
        checkpoint.processes[0].state = ProcessState::DiskSleep;
        assert_eq!(holders_in_disk_wait(&checkpoint), [WRITER, READER]);
    }

    #[test]
    fn one_process_in_two_databases_is_one_process() {
        let observer = Observer::new(&Places::under("/nowhere".as_ref()), Vec::new());
        let waiting = || holding(ProcessState::DiskSleep, 5000.0);
        let processes = |mut databases: Vec<Database>| {
            observer.note_disk_waits(&mut databases);
            let waits = databases.iter().map(|it| it.locks.disk_wait.as_ref().map(|wait| wait.processes));
            waits.collect::<Vec<_>>()
        };
        assert_eq!(processes(vec![waiting(), waiting()]), [Some(1), Some(1)]);
        let mut other = waiting();
        other.processes[0].pid = 4_242;
        other.locks.writer = Some(held(4_242, 5000.0));
        assert_eq!(processes(vec![waiting(), other, live()]), [Some(2), Some(2), None]);
    }
}
