//! `/proc/PID/stat`: distinguishes a process from others with the same PID (`proc_pid_stat(5)`).

use std::{collections::HashMap, path::Path};

use super::{ProcessFolder, command, pids};
use crate::{
    bounded,
    history::LockOwner,
    snapshot::{LabelRules, SamplingProcess},
};

/// The maximum size of `stat`, of which the kernel prints some hundred bytes.
const STAT: usize = 4 << 10;
/// `PF_KTHREAD` of the kernel: a kernel thread, which has no descriptors to hide.
const KERNEL_THREAD: u32 = 0x0020_0000;

/// The fields that are used here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessStat {
    pub pid: i32,
    /// Its name, which may contain any character, including spaces and brackets.
    pub name: String,
    /// Its state, a letter. For a process it is that of its first thread, which may end before the others do.
    pub state: char,
    /// Whether its first thread has ended and others have not.
    pub is_headless: bool,
    /// 0 if it is not visible.
    pub parent: i32,
    /// Its session: the PID of the leader, or 0 if that is not visible.
    pub session: i32,
    pub has_terminal: bool,
    /// Its threads.
    pub threads: u64,
    pub is_kernel_thread: bool,
    /// CPU time that it has used, in clock ticks.
    pub cpu_ticks: u64,
    /// CPU time of its descendants that exited and were waited for, in clock ticks.
    pub waited_ticks: u64,
    /// Its start in clock ticks since boot; also set for a zombie.
    pub start_ticks: u64,
}

impl ProcessStat {
    /// Whether it is dead and not yet reaped by its parent.
    pub fn is_dead(&self) -> bool {
        has_ended(self.state) && !self.is_headless
    }

    /// Its start in clock ticks since boot; `None` if it is dead and not yet reaped by its parent.
    pub fn living_start(&self) -> Option<u64> {
        (!self.is_dead()).then_some(self.start_ticks)
    }
}

/// The `stat` of `pid` in the `/proc` at `proc`; `None` if it is gone.
pub fn stat(proc: &Path, pid: i32) -> Option<ProcessStat> {
    ProcessFolder::of(proc, pid).stat()
}

/// When process `pid` started, in clock ticks since boot, according to the `/proc` at `proc`; `None` if it is gone, or
/// dead and not yet reaped by its parent.
pub fn process_start(proc: &Path, pid: i32) -> Option<u64> {
    stat(proc, pid)?.living_start()
}

/// The process `pid`, with its label in the `/proc` at `proc`.
pub fn owner_of_lock(proc: &Path, pid: i32, rules: &LabelRules) -> LockOwner {
    let stat = stat(proc, pid);
    let start_ticks = stat.as_ref().and_then(ProcessStat::living_start);
    let Some(stat) = stat else { return LockOwner { pid: Some(pid), ..LockOwner::default() } };
    let command = command(proc, pid).unwrap_or_default();
    let (name, program) = (rules.label(&stat.name, &command), rules.program(&stat.name, &command));
    LockOwner { pid: Some(pid), start_ticks, name, program: program.into() }
}

/// The parent of `pid`, its parent, and so on, up to the first process of the system.
pub fn process_ancestors(proc: &Path, pid: i32) -> Vec<i32> {
    let mut ancestors = Vec::new();
    let mut next = process_parent(proc, pid);
    // Readings at different times could form a cycle.
    while let Some(parent) = next.filter(|parent| *parent > 0 && !ancestors.contains(parent)) {
        ancestors.push(parent);
        next = process_parent(proc, parent);
    }
    ancestors
}

/// This process, as the kernel knows it, and who it runs under.
pub fn sampling_process(proc: &Path) -> SamplingProcess {
    let pid = i32::try_from(std::process::id()).unwrap_or(0);
    SamplingProcess { pid, uid: rustix::process::geteuid().as_raw(), ancestors: process_ancestors(proc, pid) }
}

/// Whether one of `pid` and `other` started the other, or the same process started both.
pub fn are_related(proc: &Path, pid: i32, other: i32) -> bool {
    let (above, above_other) = (process_ancestors(proc, pid), process_ancestors(proc, other));
    let parent = above.first().filter(|&&parent| parent > 1);
    above.contains(&other) || above_other.contains(&pid) || parent.is_some() && parent == above_other.first()
}

fn process_parent(proc: &Path, pid: i32) -> Option<i32> {
    Some(stat(proc, pid)?.parent)
}

/// The CPU time of all descendants of each process, including those that exited and were waited for, in clock ticks.
/// One pass over every process of the `/proc` at `proc`.
pub fn ticks_below(proc: &Path) -> HashMap<i32, u64> {
    let pids = pids(proc).into_iter().flatten();
    let all: HashMap<i32, ProcessStat> = pids.filter_map(|pid| Some((pid, stat(proc, pid)?))).collect();
    let mut below: HashMap<i32, u64> = all.iter().map(|(&pid, stat)| (pid, stat.waited_ticks)).collect();
    for stat in all.values() {
        let ticks = stat.cpu_ticks.saturating_add(stat.waited_ticks);
        let parent = |stat: &ProcessStat| Some(stat.parent).filter(|parent| all.contains_key(parent));
        // Limited to the number of processes, in case readings at different times form a cycle.
        let ancestors = std::iter::successors(parent(stat), |pid| parent(&all[pid])).take(all.len());
        for ancestor in ancestors {
            *below.entry(ancestor).or_default() += ticks;
        }
    }
    below
}

impl ProcessFolder {
    /// Its `stat`; `None` if it is gone.
    pub fn stat(&self) -> Option<ProcessStat> {
        parse(&bounded::read_record(&self.0.join("stat"), STAT).ok()?)
    }
}

fn parse(stat: &str) -> Option<ProcessStat> {
    let (before, after) = stat.rsplit_once(')')?;
    let (pid, name) = before.split_once('(')?;
    // The fields after the name; the first of them is field 3.
    let fields: Vec<&str> = after.split_ascii_whitespace().collect();
    let field = |number: usize| fields.get(number - 3).copied();
    let number = |of: usize| field(of).and_then(|it| it.parse::<u64>().ok()).unwrap_or(0);
    let state = field(3)?.chars().next()?;
    let flags = field(9).and_then(|flags| flags.parse::<u32>().ok()).unwrap_or(0);
    Some(ProcessStat {
        pid: pid.trim().parse().ok()?,
        name: name.to_owned(),
        state,
        is_headless: has_ended(state) && number(20) > 1,
        parent: field(4)?.parse().ok()?,
        session: field(6)?.parse().ok()?,
        has_terminal: field(7)? != "0",
        threads: number(20),
        is_kernel_thread: flags & KERNEL_THREAD != 0,
        cpu_ticks: number(14).saturating_add(number(15)),
        waited_ticks: number(16).saturating_add(number(17)),
        start_ticks: field(22)?.parse().ok()?,
    })
}

/// Whether `state` is that of a thread that has ended.
pub(super) fn has_ended(state: char) -> bool {
    matches!(state, 'Z' | 'X' | 'x')
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;

    use super::*;
    use crate::fuzz::for_a_while;
    use crate::observe::process_owner;

    fn parsed(text: &str) -> Option<ProcessStat> {
        let proc = tempfile::TempDir::new().expect("a folder");
        fs::create_dir(proc.path().join("7")).expect("a folder");
        fs::write(proc.path().join("7/stat"), text).expect("a file");
        super::stat(proc.path(), 7)
    }

    #[test]
    fn a_name_may_look_like_fields() {
        let zeros = "0 ".repeat(15);
        let stat = parsed(&format!("7 (a (b) S 1) R 42 {zeros}6 0 4200 9 9\n"));
        let expected = ProcessStat {
            pid: 7,
            name: "a (b) S 1".to_owned(),
            state: 'R',
            is_headless: false,
            parent: 42,
            session: 0,
            has_terminal: false,
            threads: 6,
            is_kernel_thread: false,
            cpu_ticks: 0,
            waited_ticks: 0,
            start_ticks: 4200,
        };
        assert_eq!(stat, Some(expected));
    }

    #[test]
    fn those_below_count_for_every_ancestor() {
        let proc = tempfile::TempDir::new().expect("a folder");
        let own_and_waited = [(1, 0, 1, 0), (7, 1, 2, 10), (8, 7, 40, 100), (9, 8, 1000, 0)];
        for (pid, parent, own, waited) in own_and_waited {
            let folder = proc.path().join(pid.to_string());
            fs::create_dir(&folder).expect("a folder");
            let fields = format!("{}{own} 0 {waited} 0 {}", "0 ".repeat(9), "0 ".repeat(5));
            fs::write(folder.join("stat"), format!("{pid} (a) S {parent} {fields}\n")).expect("a file");
        }
        let below = ticks_below(proc.path());
        let of = |pid: i32| below.get(&pid).copied();
        assert_eq!((of(9), of(8)), (Some(0), Some(100 + 1000)));
        assert_eq!((of(7), of(1)), (Some(10 + 140 + 1000), Some(12 + 140 + 1000)));
    }

    #[test]
    fn the_dead_have_no_start() {
        let zeros = "0 ".repeat(17);
        for state in ["Z", "X", "x"] {
            let stat = parsed(&format!("7 (a) {state} 42 {zeros}4200 9 9\n")).expect("it is there");
            assert_eq!((stat.living_start(), stat.parent), (None, 42), "{state}");
        }
    }

    #[test]
    fn fuzz_stat() {
        for_a_while("stat", |runner| {
            runner.run(
                &"[0-9]{0,3} ?\\([a-z() \u{0}-\u{ff}]{0,20}\\)? ?[A-Za-z]? ([0-9-]{0,21} ){0,24}",
                |text| {
                    if let Some(stat) = parse(&text) {
                        prop_assert!(!stat.is_headless || has_ended(stat.state));
                        prop_assert!(text.contains(&stat.name));
                    }
                    Ok(())
                },
            )
        });
    }

    #[test]
    fn rubbish_is_no_process() {
        for text in ["", "7", "7 (a", "7 (a)", "7 (a) S", "7 (a) S 1 2"] {
            assert_eq!(parsed(text), None, "{text:?}");
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_has_a_start_and_a_parent() {
        let pid = i32::try_from(std::process::id()).expect("a PID fits");
        assert!(process_start(Path::new("/proc"), pid).is_some_and(|ticks| ticks > 0));
        assert_eq!(process_owner(Path::new("/proc"), pid), Some(rustix::process::geteuid().as_raw()));
        let parent = i32::try_from(std::os::unix::process::parent_id()).ok();
        assert_eq!(process_parent(Path::new("/proc"), pid), parent);
    }

    #[test]
    fn ancestors_lead_up_to_the_first_process_and_never_in_a_circle() {
        let proc = tempfile::TempDir::new().expect("a folder");
        let write = |pid: i32, parent: i32| {
            let folder = proc.path().join(pid.to_string());
            fs::create_dir_all(&folder).expect("a folder");
            let text = format!("{pid} (a) S {parent} {}4200\n", "0 ".repeat(17));
            fs::write(folder.join("stat"), text).expect("a file");
        };
        for (pid, parent) in [(1, 0), (7, 1), (8, 7), (9, 1), (10, 9)] {
            write(pid, parent);
        }
        assert_eq!(process_ancestors(proc.path(), 8), [7, 1]);
        assert!(process_ancestors(proc.path(), 1).is_empty());
        assert!(process_ancestors(proc.path(), 99).is_empty(), "it is gone");
        for (pid, other, expected) in [(8, 7, true), (7, 8, true), (8, 10, false), (7, 9, false)] {
            assert_eq!(are_related(proc.path(), pid, other), expected, "{pid} and {other}");
        }
        write(11, 7);
        assert!(are_related(proc.path(), 8, 11), "one process started both");
        write(7, 8);
        assert_eq!(process_ancestors(proc.path(), 8), [7, 8], "the PID was given again meanwhile");
    }
}
