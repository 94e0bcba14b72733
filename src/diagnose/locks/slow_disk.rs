//! A lock that is held for long because the disk is slow.

use super::super::{Rule, RuleFacts, RuleInput, evidence, explain, who};
use crate::{
    snapshot::{DatabaseLocks, DiskWait, Finding, FindingKind, LockHolder, Severity},
    units,
};

/// A process holds a lock for long while it waits for its disk, and others wait for a disk, too.
///
/// The time of the hold alone says nothing about the cause, and a holder that waits for the disk may write much.
pub struct SlowDisk;

impl Rule for SlowDisk {
    fn facts(&self) -> RuleFacts {
        RuleFacts::new(FindingKind::SlowDisk, &[Severity::Info])
    }

    fn check(&self, look: &RuleInput<'_>) -> Vec<Finding> {
        let locks = &look.database.locks;
        let Some(wait) = &locks.disk_wait else { return Vec::new() };
        let Some((what, held_ms)) = hold_of(locks, wait.pid).filter(|(_, ms)| look.is_long_hold(*ms)) else {
            return Vec::new();
        };
        let Some(others) = others(wait, look.config.thresholds.disk_pressure) else { return Vec::new() };
        vec![Finding {
            kind: self.kind(),
            severity: Severity::Info,
            label: None,
            pid: Some(wait.pid),
            message: format!(
                "{} has held {what} for at least {} and waits for its disk, and {others}: the disk is slow, and who waits \
                 for the lock waits for it, too",
                who(look.database, Some(wait.pid)),
                units::duration(held_ms)
            ),
            evidence: evidence([
                ("held_ms", held_ms.into()),
                ("machine_some", wait.machine.map(|it| it.some).into()),
                ("group_some", wait.group.map(|it| it.some).into()),
                ("databases", wait.databases.into()),
            ]),
            remedy: explain(self.kind()),
        }]
    }
}

fn hold_of(locks: &DatabaseLocks, pid: i32) -> Option<(&'static str, f64)> {
    let holds = [
        ("the write lock", &locks.writer),
        ("the checkpoint lock", &locks.checkpointer),
        ("the whole file", &locks.exclusive),
    ];
    let of_it = |holder: &LockHolder| if holder.pid == Some(pid) { holder.held_ms } else { None };
    holds.into_iter().find_map(|(what, holder)| Some((what, of_it(holder.as_ref()?)?)))
}

// What says that not only this holder waits for a disk.
fn others(wait: &DiskWait, least: f64) -> Option<String> {
    let share = |share: f64| format!("{:.0} % of the last 10 s", share * 100.0);
    let group = wait.group.filter(|it| it.some >= least);
    let machine = wait.machine.filter(|it| it.some >= least);
    match (group, machine) {
        (Some(group), _) => Some(format!("its control group did so in {}", share(group.some))),
        (None, Some(machine)) => Some(format!("processes of this machine did so in {}", share(machine.some))),
        (None, None) if wait.databases > 1 => {
            Some(format!("so do holders of {} databases", units::count(wait.databases.into())))
        }
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::fixture::*;
    use crate::snapshot::{Database, DiskPressure, DiskWait, FindingKind};

    fn waiting(held_ms: f64, machine: Option<f64>, group: Option<f64>, databases: u32) -> Database {
        let mut database = live();
        database.locks.writer = Some(held(WRITER, held_ms));
        let pressure = |some: f64| DiskPressure { some, full: None };
        let (machine, group) = (machine.map(pressure), group.map(pressure));
        database.locks.disk_wait = Some(DiskWait { pid: WRITER, machine, group, databases });
        database
    }

    fn is_found(database: &Database) -> bool {
        findings_of(database).iter().any(|it| it.kind == FindingKind::SlowDisk)
    }

    #[test]
    fn a_long_hold_needs_pressure_of_the_machine_of_the_group_or_other_databases() {
        assert!(is_found(&waiting(2_500.0, Some(0.1), None, 1)));
        assert!(is_found(&waiting(2_500.0, Some(0.0), Some(0.1), 1)));
        assert!(is_found(&waiting(2_500.0, None, None, 2)));
        assert!(!is_found(&waiting(2_500.0, Some(0.09), Some(0.09), 1)));
        assert!(!is_found(&waiting(2_500.0, None, None, 1)));
        assert!(!is_found(&waiting(2_499.0, Some(0.9), None, 3)), "the hold is short");
        let mut released = waiting(2_500.0, Some(0.9), None, 1);
        released.locks.writer = Some(held(READER, 9_000.0));
        assert!(!is_found(&released), "another process holds it");
    }
}
