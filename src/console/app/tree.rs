//! The process table as a tree: children below their parents, siblings in the chosen order.

use std::collections::{HashMap, HashSet};

use crate::{act::Effect, snapshot::Process};

use super::{App, Notice};

/// What stands before a process in the tree.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TreeBranch {
    /// The lines that lead to it; empty for one whose parent is not listed.
    pub lines: String,
    /// The parent of one whose parent is not listed.
    pub parent: Option<UnlistedParent>,
}

/// A parent that is not among the processes of the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UnlistedParent {
    Exited,
    Runs {
        pid: i32,
        /// The name of its program, if that is known.
        name: Option<String>,
    },
}

impl UnlistedParent {
    /// What to call it, in words and shorter.
    pub fn names(&self) -> Vec<String> {
        match self {
            Self::Exited => vec!["parent exited".to_owned(), "exited".to_owned()],
            Self::Runs { pid, name: Some(name) } => {
                vec![format!("{name} {pid}"), name.clone(), pid.to_string()]
            }
            Self::Runs { pid, name: None } => vec![pid.to_string()],
        }
    }
}

impl App {
    #[must_use]
    pub(super) fn toggle_tree(&mut self) -> Vec<Effect> {
        self.order.is_tree = !self.order.is_tree;
        self.keep_selection();
        self.show_notice(Notice::Tree { is_on: self.order.is_tree });
        Vec::new()
    }

    /// What stands before each of the visible processes; empty without a tree.
    pub fn tree_branches(&self) -> Vec<TreeBranch> {
        if !self.order.is_tree {
            return Vec::new();
        }
        grown(self.visible_processes()).into_iter().map(|(_, branch)| branch).collect()
    }
}

/// `processes` in the order of a tree.
pub(super) fn in_tree_order(processes: Vec<&Process>) -> Vec<&Process> {
    grown(processes).into_iter().map(|(process, _)| process).collect()
}

fn grown(processes: Vec<&Process>) -> Vec<(&Process, TreeBranch)> {
    let by_pid: HashMap<i32, &Process> = processes.iter().map(|process| (process.pid, *process)).collect();
    let mut tree = ProcessTree { rows: Vec::new(), children: HashMap::new(), seen: HashSet::new() };
    let mut roots = Vec::new();
    for &child in &processes {
        match child.parent.and_then(|pid| by_pid.get(&pid)).filter(|parent| is_parent(parent, child)) {
            Some(parent) => tree.children.entry(parent.pid).or_default().push(child),
            None => roots.push(child),
        }
    }
    // Those in a circle, which only unknown starts can make, are below no root.
    for root in roots.into_iter().chain(processes) {
        tree.grow(root, TreeBranch { lines: String::new(), parent: unlisted_parent(root) }, "");
    }
    tree.rows
}

struct ProcessTree<'a> {
    children: HashMap<i32, Vec<&'a Process>>,
    rows: Vec<(&'a Process, TreeBranch)>,
    seen: HashSet<i32>,
}

impl<'a> ProcessTree<'a> {
    /// Adds `process` and its children. `below` leads to the children of `process`.
    fn grow(&mut self, process: &'a Process, branch: TreeBranch, below: &str) {
        if !self.seen.insert(process.pid) {
            return;
        }
        self.rows.push((process, branch));
        let children = self.children.remove(&process.pid).unwrap_or_default();
        let last = children.len().saturating_sub(1);
        for (at, child) in children.into_iter().enumerate() {
            let (corner, line) = if at == last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
            let branch = TreeBranch { lines: format!("{below}{corner}"), parent: None };
            self.grow(child, branch, &format!("{below}{line}"));
        }
    }
}

/// Whether `process` is the parent of `child`. One that started later has only the PID of the parent.
fn is_parent(process: &Process, child: &Process) -> bool {
    let is_earlier = match (process.start_ticks, child.start_ticks) {
        (Some(parent), Some(child)) => parent <= child,
        _ => true,
    };
    child.parent == Some(process.pid) && child.pid != process.pid && is_earlier
}

fn unlisted_parent(process: &Process) -> Option<UnlistedParent> {
    if process.origin.has_lost_parent == Some(true) {
        return Some(UnlistedParent::Exited);
    }
    let pid = process.parent?;
    let program = process.origin.parent_command.as_ref().and_then(|command| command.first());
    let name = program.map(|program| program.rsplit('/').next().unwrap_or(program));
    let name = name.filter(|name| !name.is_empty()).map(str::to_owned);
    Some(UnlistedParent::Runs { pid, name })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: i32, parent: i32) -> Process {
        let start_ticks = u64::try_from(pid).ok();
        Process { parent: Some(parent), start_ticks, ..Process::unknown(pid, "python3".to_owned()) }
    }

    fn drawn(processes: &[Process]) -> Vec<String> {
        let rows = grown(processes.iter().collect());
        rows.into_iter().map(|(process, branch)| format!("{}{}", branch.lines, process.pid)).collect()
    }

    #[test]
    fn children_follow_their_parents_in_the_given_order() {
        let all = [process(30, 10), process(50, 1), process(20, 10), process(10, 1), process(25, 20)];
        assert_eq!(drawn(&all), ["50", "10", "├─ 30", "└─ 20", "   └─ 25"]);
        let mut turned = all;
        turned.reverse();
        assert_eq!(drawn(&turned), ["10", "├─ 20", "│  └─ 25", "└─ 30", "50"]);
    }

    #[test]
    fn a_later_process_with_the_pid_of_the_parent_is_no_parent() {
        let mut reused = process(10, 1);
        reused.start_ticks = Some(99);
        assert_eq!(drawn(&[reused, process(30, 10)]), ["10", "30"]);
    }

    #[test]
    fn a_circle_of_unknown_starts_loses_no_row() {
        let [mut one, mut other] = [process(10, 20), process(20, 10)];
        (one.start_ticks, other.start_ticks) = (None, None);
        assert_eq!(drawn(&[one, other]), ["10", "└─ 20"]);
    }

    #[test]
    fn a_parent_that_is_not_listed_is_named() {
        let names = |child: &Process| unlisted_parent(child).map(|it| it.names()).unwrap_or_default();
        let mut child = process(30, 7);
        assert_eq!(names(&child), ["7"]);
        child.origin.parent_command = Some(vec!["/usr/bin/bash".to_owned(), "-l".to_owned()]);
        assert_eq!(names(&child), ["bash 7", "bash", "7"]);
        child.origin.has_lost_parent = Some(true);
        assert_eq!(names(&child), ["parent exited", "exited"]);
    }
}
