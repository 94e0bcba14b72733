//! Two of a kind.

use std::collections::BTreeMap;

use super::Scene;
use crate::snapshot::{Database, Process};

/// The newest process that matches the same rule as `process` and started after it, whichever database it has open.
pub fn newer<'a>(scene: &Scene<'a>, process: &Process) -> Option<&'a Process> {
    let rule = scene.rule(process)?;
    let of_rule = |other: &&Process| scene.rule(other).is_some_and(|it| std::ptr::eq(it, rule));
    let candidates = scene.snapshot.databases.iter().map(|database| {
        let others: Vec<&Process> = database.processes.iter().filter(of_rule).collect();
        newest_after(database, process, &others)
    });
    candidates.flatten().max_by_key(|other| started(other))
}

/// The newest of `others` that started after `process`. A process and its own ancestor are one daemon, not two.
pub fn newest_after<'a>(
    database: &Database,
    process: &Process,
    others: &[&'a Process],
) -> Option<&'a Process> {
    let start = started(process)?;
    let is_later = |other: &&Process| started(other).is_some_and(|it| it > start);
    let later = others.iter().copied().filter(is_later);
    later.filter(|other| !are_kin(database, process, other)).max_by_key(|other| started(other))
}

/// Processes with the same program, arguments and working directory that are neither siblings nor ancestor and
/// child, as pre-forked workers are: the oldest first.
pub fn alike(database: &Database) -> Vec<Vec<&Process>> {
    let mut kinds: BTreeMap<(&str, &[String], &str), Vec<&Process>> = BTreeMap::new();
    for process in &database.processes {
        let origin = &process.origin;
        if let (Some(executable), Some(directory)) = (&origin.executable, &origin.directory)
            && !process.command.is_empty()
            && process.start_ticks.is_some()
        {
            kinds.entry((&executable.path, &process.command, directory)).or_default().push(process);
        }
    }
    kinds
        .into_values()
        .filter_map(|mut twins| {
            twins.sort_by_key(|process| started(process));
            let oldest = *twins.first()?;
            let is_apart =
                |other: &&Process| !are_siblings(oldest, other) && !are_kin(database, oldest, other);
            let apart: Vec<&Process> = twins.into_iter().skip(1).filter(is_apart).collect();
            (!apart.is_empty()).then(|| [oldest].into_iter().chain(apart).collect())
        })
        .collect()
}

fn started(process: &Process) -> Option<(u64, i32)> {
    process.start_ticks.map(|ticks| (ticks, process.pid))
}

// Those who were taken in by the same process need not have had the same parent.
fn are_siblings(one: &Process, other: &Process) -> bool {
    let is_taken_in = |process: &Process| process.origin.has_lost_parent == Some(true);
    one.parent.is_some() && one.parent == other.parent && !(is_taken_in(one) || is_taken_in(other))
}

// Whether one of the two started the other, or the one that did, as far as those between them are known.
fn are_kin(database: &Database, one: &Process, other: &Process) -> bool {
    descends(database, one, other.pid) || descends(database, other, one.pid)
}

fn descends(database: &Database, process: &Process, ancestor: i32) -> bool {
    let mut parent = process.parent;
    // No longer than there are processes, should the parents go in a circle.
    for _ in 0..=database.processes.len() {
        match parent {
            Some(pid) if pid == ancestor => return true,
            Some(pid) => parent = database.process(pid).and_then(|process| process.parent),
            None => return false,
        }
    }
    false
}
