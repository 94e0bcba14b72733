//! Processes of the same daemon.

use std::collections::BTreeMap;

use super::StaleInput;
use crate::{
    config::DaemonRule,
    snapshot::{Database, Process, ProcessManager},
};

/// The relations among some processes: which rule each one matches, and which belong together. Built once, because a
/// rule is a regular expression over the whole command line.
pub struct DaemonFamily<'a> {
    members: BTreeMap<i32, FamilyMember<'a>>,
}

struct FamilyMember<'a> {
    process: &'a Process,
    rule: Option<&'a DaemonRule>,
    // For a rule that allows one daemon: the PID of its first ancestor that matches the same rule. A daemon and its
    // workers share it, even if some of them do not have the database open.
    head: Option<i32>,
}

impl<'a> DaemonFamily<'a> {
    /// The processes of `databases`, each once.
    pub fn of(databases: impl IntoIterator<Item = &'a Database>, rules: &'a [DaemonRule]) -> Self {
        let processes = databases.into_iter().flat_map(|database| &database.processes);
        let rule = |process: &Process| {
            (!rules.is_empty()).then(|| DaemonRule::of(rules, &process.command_line())).flatten()
        };
        let mut members: BTreeMap<i32, FamilyMember<'a>> = BTreeMap::new();
        for process in processes {
            let member = || FamilyMember { process, rule: rule(process), head: None };
            members.entry(process.pid).or_insert_with(member);
        }
        let mut family = Self { members };
        let heads = family.members.values().filter_map(|it| Some((it.process.pid, family.head(it, rules)?)));
        for (pid, head) in heads.collect::<Vec<_>>() {
            if let Some(member) = family.members.get_mut(&pid) {
                member.head = Some(head);
            }
        }
        family
    }

    /// The rule that `process` matches.
    pub fn rule(&self, process: &Process) -> Option<&'a DaemonRule> {
        self.members.get(&process.pid)?.rule
    }

    /// The newest process that matches the same rule, which allows one daemon, and started after `process`. A process,
    /// its ancestors and the other children of a matching parent are one daemon.
    pub fn newer(&self, process: &Process) -> Option<&'a Process> {
        let (start, this) = (started(process)?, self.members.get(&process.pid)?);
        let (rule, head) = (this.rule?, this.head?);
        let is_twin = |other: &&FamilyMember<'a>| {
            other.head.is_some_and(|it| it != head)
                && other.rule.is_some_and(|it| std::ptr::eq(it, rule))
                && started(other.process).is_some_and(|it| it > start)
        };
        let twins = self.members.values().filter(is_twin).map(|other| other.process);
        twins.max_by_key(|other| started(other))
    }

    fn head(&self, member: &FamilyMember<'a>, rules: &[DaemonRule]) -> Option<i32> {
        let rule = member.rule.filter(|rule| rule.singleton)?;
        let matches = |other: Option<&DaemonRule>| other.is_some_and(|other| std::ptr::eq(other, rule));
        let (mut head, mut last) = (member.process.pid, member.process);
        for ancestor in self.ancestors(member.process) {
            if matches(ancestor.rule) {
                head = ancestor.process.pid;
            }
            last = ancestor.process;
        }
        // Outside the known rows, at least the command line of one parent is known.
        let beyond = last.origin.parent_command.as_ref().filter(|command| !command.is_empty());
        match (last.parent, beyond) {
            (Some(parent), Some(command))
                if !self.members.contains_key(&parent)
                    && matches(DaemonRule::of(rules, &command.join(" "))) =>
            {
                Some(parent)
            }
            _ => Some(head),
        }
    }

    // The parent of `process`, its parent, and so on, as far as they are known.
    fn ancestors(&self, process: &Process) -> impl Iterator<Item = &FamilyMember<'a>> {
        let parent = |process: &Process| self.members.get(&process.parent?);
        // Limited to the number of processes, in case the parents form a cycle.
        std::iter::successors(parent(process), move |member| parent(member.process)).take(self.members.len())
    }

    /// Whether one of the two, or its parent, started the other, as far as the processes between them are known.
    pub fn are_kin(&self, one: &Process, other: &Process) -> bool {
        let descends = |process: &Process, ancestor: i32| {
            process.parent == Some(ancestor)
                || self.ancestors(process).any(|it| it.process.parent == Some(ancestor))
        };
        descends(one, other.pid) || descends(other, one.pid)
    }
}

/// The newer twin of `process`, whichever database it has open.
pub fn newer<'a>(scene: &StaleInput<'a>, process: &Process) -> Option<&'a Process> {
    scene.family.newer(process)
}

/// Its start, to sort by.
pub fn started(process: &Process) -> Option<(u64, i32)> {
    process.start_ticks.map(|ticks| (ticks, process.pid))
}

/// Whether one process started both. Processes that the same process adopted need not have had the same parent.
pub fn are_siblings(one: &Process, other: &Process) -> bool {
    one.parent.is_some() && one.parent == other.parent && !(may_be_adopted(one) || may_be_adopted(other))
}

// A child of PID 1 that leads a session of its own, and that nothing is known to manage, was most likely detached by
// `setsid`, and PID 1 took it in. The workers of a pool whose master is PID 1 stay in the session of the master.
fn may_be_adopted(process: &Process) -> bool {
    let origin = &process.origin;
    let is_managed =
        matches!(origin.manager, Some(ProcessManager::Service(_) | ProcessManager::Supervisor(_)));
    origin.has_lost_parent == Some(true)
        || (process.parent == Some(1) && origin.leads_session == Some(true) && !is_managed)
}
