//! A lock that is held for long because the disk is slow.

use super::super::{Rule, RuleFacts, RuleInput, evidence, explain, who};
use crate::{
    snapshot::{DatabaseLocks, DiskWait, Finding, FindingKind, LockHolder, Severity},
    units,
};

/// A process holds a lock for long while it waits for its disk, and another one does so or the disk has been waited for.
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
        let Some(cause) = cause(wait, look.config.thresholds.disk_pressure) else { return Vec::new() };
        vec![Finding {
            kind: self.kind(),
            severity: Severity::Info,
            label: None,
            pid: Some(wait.pid),
            message: format!(
                "{} has held {what} for at least {} and waits for its disk{cause}",
                who(look.database, Some(wait.pid)),
                units::duration(held_ms)
            ),
            evidence: evidence([
                ("held_ms", held_ms.into()),
                ("machine_some", wait.machine.map(|it| it.some).into()),
                ("group_some", wait.group.map(|it| it.some).into()),
                ("processes", wait.processes.into()),
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

// What else is known of the disk. The figures of the kernel count the holder itself: a long write of one process on an idle
// machine has them, too.
fn cause(wait: &DiskWait, least: f64) -> Option<String> {
    if wait.processes > 1 {
        let others = match wait.processes - 1 {
            1 => "so does another holder of a lock".to_owned(),
            several => format!("so do {} other holders of locks", units::count(several.into())),
        };
        return Some(format!(", and {others}: the disk is slow or busy"));
    }
    let some = |whose: &str, share: f64| {
        format!(
            ": some task of {whose}, perhaps only this process, waited for a disk in {:.0} % of the last 10 s",
            share * 100.0
        )
    };
    let [group, machine] =
        [wait.group, wait.machine].map(|it| it.map(|it| it.some).filter(|it| *it >= least));
    group
        .map(|share| some("its control group", share))
        .or_else(|| machine.map(|share| some("this machine", share)))
}

#[cfg(test)]
mod tests {
    use super::super::super::fixture::*;
    use crate::snapshot::{Database, DiskPressure, DiskWait, FindingKind};

    fn waiting(held_ms: f64, machine: Option<f64>, group: Option<f64>, processes: u32) -> Database {
        let mut database = live();
        database.locks.writer = Some(held(WRITER, held_ms));
        let pressure = |some: f64| DiskPressure { some, full: None };
        let (machine, group) = (machine.map(pressure), group.map(pressure));
        database.locks.disk_wait = Some(DiskWait { pid: WRITER, machine, group, processes });
        database
    }

    fn is_found(database: &Database) -> bool {
        findings_of(database).iter().any(|it| it.kind == FindingKind::SlowDisk)
    }

    #[test]
    fn a_long_hold_needs_pressure_of_the_machine_or_the_group_or_another_process() {
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

    #[test]
    fn only_a_second_process_shows_that_the_disk_is_slow() {
        let message = |database: &Database| {
            let mut found = findings_of(database).into_iter().filter(|it| it.kind == FindingKind::SlowDisk);
            found.next().map(|it| it.message).unwrap_or_default()
        };
        let alone = message(&waiting(2_500.0, Some(0.9), Some(0.9), 1));
        assert!(alone.contains("perhaps only this process") && !alone.contains("slow"), "{alone}");
        let two = message(&waiting(2_500.0, Some(0.9), Some(0.9), 2));
        assert!(two.contains("slow") && !two.contains("perhaps"), "{two}");
    }
}
