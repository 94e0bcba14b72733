//! Two of a kind.

use super::Scene;
use crate::snapshot::{Database, Process};

/// The newest process that matches the same rule as `process` and started after it. A process and its own
/// ancestor are one daemon, not two.
pub fn newer<'a>(scene: &Scene<'a>, process: &Process) -> Option<&'a Process> {
    let rule = scene.rule(process)?;
    let started = |process: &Process| process.start_ticks.map(|ticks| (ticks, process.pid));
    let processes = || scene.snapshot.databases.iter().flat_map(|database| &database.processes);
    processes()
        .filter(|other| started(other) > started(process) && started(process).is_some())
        .filter(|other| scene.rule(other).is_some_and(|it| std::ptr::eq(it, rule)))
        .filter(|other| !are_kin(scene.snapshot.databases.as_slice(), process, other))
        .max_by_key(|other| started(other))
}

/// Whether one of the two started the other, or the one that did, as far as the processes between them are known.
pub fn are_kin(databases: &[Database], one: &Process, other: &Process) -> bool {
    descends(databases, one, other.pid) || descends(databases, other, one.pid)
}

fn descends(databases: &[Database], process: &Process, ancestor: i32) -> bool {
    let known = |pid: i32| databases.iter().find_map(|database| database.process(pid));
    let mut parent = process.parent;
    // No longer than there are processes, should the parents go in a circle.
    for _ in 0..=databases.iter().map(|database| database.processes.len()).sum() {
        match parent {
            Some(pid) if pid == ancestor => return true,
            Some(pid) => parent = known(pid).and_then(|process| process.parent),
            None => return false,
        }
    }
    false
}
