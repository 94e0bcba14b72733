//! Processes on systems without a Linux `/proc`: the holders of sampled locks, described by sysinfo.

#![expect(clippy::unused_self, reason = "the same calls as on Linux")]

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::Path,
    time::Instant,
};

use jiff::Timestamp;
use sysinfo::{
    MINIMUM_CPU_UPDATE_INTERVAL, Pid, ProcessRefreshKind, ProcessStatus, ProcessesToUpdate, System,
    UpdateKind,
};

use crate::{
    observe::opener::{DatabaseOpener, OpenerTarget},
    snapshot::{LabelRules, Process, ProcessState, Unseen},
};

/// Finds only the holders of locks.
#[derive(Debug)]
pub struct OpenerFinder;

impl OpenerFinder {
    /// Ignores the `/proc` at `proc`.
    pub fn new(_proc: &Path) -> Self {
        Self
    }

    /// The holders of locks on each target.
    pub fn find(&mut self, targets: &[OpenerTarget], _now: Instant) -> Vec<BTreeMap<i32, DatabaseOpener>> {
        let openers =
            |holders: &BTreeSet<i32>| holders.iter().map(|&pid| (pid, DatabaseOpener::default())).collect();
        targets.iter().map(|target| openers(target.holders)).collect()
    }

    /// Processes are not listed.
    pub fn unseen_count(&self) -> Option<usize> {
        None
    }

    /// What could not be sampled.
    pub fn unseen(&self) -> impl Iterator<Item = Unseen> {
        std::iter::once(Unseen {
            what: "processes that have the database open without holding a lock, and their open files"
                .to_owned(),
            why: "only Linux shows them in /proc".to_owned(),
        })
    }
}

/// Identifies the running boot of the system by its second.
pub fn boot(_proc: &Path) -> String {
    System::boot_time().map(|second| second.to_string()).unwrap_or_default()
}

pub struct ProcessDescriber {
    system: Option<System>,
    cpu_taken: Option<Instant>,
    // How often the CPU of each process was measured: from the second time on there is a difference.
    takings: HashMap<i32, u32>,
    rules: LabelRules,
}

impl std::fmt::Debug for ProcessDescriber {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ProcessDescriber")
    }
}

impl ProcessDescriber {
    /// Describes the processes of this machine.
    pub fn new(_proc: &Path) -> Self {
        Self {
            system: System::new().ok(),
            cpu_taken: None,
            takings: HashMap::new(),
            rules: LabelRules::default(),
        }
    }

    /// The rules that name processes.
    pub fn label_rules(&self) -> LabelRules {
        self.rules.clone()
    }

    /// Sets the rules that name processes.
    pub fn set_label_rules(&mut self, rules: LabelRules) {
        self.rules = rules;
    }

    /// Starts a sample: measures `pids`, before they are described. Their CPU is measured at longer intervals, because
    /// over a shorter time it means nothing.
    pub fn start_sample(&mut self, pids: &[i32]) {
        let Some(system) = &mut self.system else { return };
        let mut kind = ProcessRefreshKind::nothing().with_memory().with_cmd(UpdateKind::OnlyIfNotSet);
        if self.cpu_taken.is_none_or(|at| at.elapsed() >= MINIMUM_CPU_UPDATE_INTERVAL) {
            kind = kind.with_cpu();
            self.cpu_taken = Some(Instant::now());
            for &pid in pids {
                *self.takings.entry(pid).or_default() += 1;
            }
        }
        let pids: Vec<_> =
            pids.iter().filter_map(|&pid| u32::try_from(pid).ok()).map(Pid::from_u32).collect();
        system.refresh_processes_specifics(ProcessesToUpdate::Some(&pids), true, kind);
    }

    /// The process `pid` without its relation to a database; `None` if it is gone.
    pub fn describe(&mut self, pid: i32) -> Option<Process> {
        let process = self.system.as_ref()?.process(Pid::from_u32(u32::try_from(pid).ok()?))?;
        let name = process.name().to_string_lossy().into_owned();
        let command: Vec<String> =
            process.cmd().iter().map(|part| part.to_string_lossy().into_owned()).collect();
        Some(Process {
            label: self.rules.label(&name, &command),
            started_at: i64::try_from(process.start_time())
                .ok()
                .and_then(|at| Timestamp::from_second(at).ok()),
            command,
            parent: process.parent().and_then(|parent| i32::try_from(parent.as_u32()).ok()),
            state: match process.status() {
                ProcessStatus::Run => ProcessState::Running,
                ProcessStatus::Sleep => ProcessState::Sleeping,
                ProcessStatus::Stop => ProcessState::Stopped,
                ProcessStatus::Zombie => ProcessState::Zombie,
                ProcessStatus::Idle => ProcessState::Idle,
                _ => ProcessState::Unknown,
            },
            cpu_percent: self.takings.get(&pid).filter(|&&times| times > 1).map(|_| process.cpu_usage()),
            memory_bytes: Some(process.memory()),
            ..Process::unknown(pid, name)
        })
    }

    /// Forgets the processes that are not among `pids`.
    pub fn retain_pids(&mut self, pids: &[i32]) {
        self.takings.retain(|pid, _| pids.contains(pid));
    }
}
