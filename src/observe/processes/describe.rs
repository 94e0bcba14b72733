//! Everything about a process that is shown: who it is from `/proc`, CPU and memory from sysinfo.

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use procfs::process::Process as Entry;
use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System, Users};

use crate::snapshot::{Process, ProcessState};

/// Describes processes, and remembers what CPU they used.
pub struct Describer {
    proc: PathBuf,
    // sysinfo knows one /proc only; where another is given, its figures would be those of strangers.
    system: Option<System>,
    users: Option<Users>,
    boot_second: Option<i64>,
    measured: HashSet<(i32, u64)>,
}

impl std::fmt::Debug for Describer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Describer").field("proc", &self.proc).finish_non_exhaustive()
    }
}

impl Describer {
    /// Describes the processes of the `/proc` at `proc`.
    pub fn new(proc: &Path) -> Self {
        let is_real = proc == Path::new("/proc");
        Self {
            proc: proc.to_owned(),
            system: is_real.then(System::new).and_then(Result::ok),
            users: None,
            boot_second: boot_second(proc),
            measured: HashSet::new(),
        }
    }

    /// Takes the CPU and memory of `pids`, once before they are described.
    pub fn measure(&mut self, pids: &[i32]) {
        let Some(system) = &mut self.system else { return };
        let pids: Vec<_> =
            pids.iter().filter_map(|&pid| u32::try_from(pid).ok()).map(Pid::from_u32).collect();
        system.refresh_processes_specifics(
            ProcessesToUpdate::Some(&pids),
            true,
            ProcessRefreshKind::nothing().with_cpu().with_memory().without_tasks(),
        );
    }

    /// The process `pid`, but for what it has to do with a database; `None` where it is gone.
    pub fn describe(&mut self, pid: i32) -> Option<Process> {
        let entry = Entry::new_with_root(self.proc.join(pid.to_string())).ok()?;
        let stat = entry.stat().ok()?;
        let uid = entry.status().ok().map(|status| status.euid);
        let (cpu_percent, memory_bytes) = self.figures(pid, stat.starttime);
        Some(Process {
            pid,
            started_at: self.boot_second.and_then(|boot| started_at(boot, stat.starttime)),
            start_ticks: Some(stat.starttime),
            name: stat.comm,
            command: command(&self.proc, pid),
            user: uid.map(|uid| self.user(uid)),
            uid,
            parent: Some(stat.ppid).filter(|&parent| parent > 0),
            state: state(stat.state),
            cpu_percent,
            memory_bytes,
            handles: None,
            read_only: None,
            index_read_only: None,
            maps_database: None,
            maps_index: None,
            holds_index: false,
            replaced: Vec::new(),
            holds: Vec::new(),
            stale: None,
        })
    }

    /// Forgets the processes that are not among `pids`.
    pub fn forget_all_but(&mut self, pids: &[i32]) {
        self.measured.retain(|(pid, _)| pids.contains(pid));
    }

    // The first measurement of a process gives no CPU: there is nothing to compare it with.
    fn figures(&mut self, pid: i32, start_ticks: u64) -> (Option<f32>, Option<u64>) {
        let system = self.system.as_ref();
        let process =
            system.zip(u32::try_from(pid).ok()).and_then(|(all, pid)| all.process(Pid::from_u32(pid)));
        let Some(process) = process else { return (None, None) };
        let is_first = self.measured.insert((pid, start_ticks));
        ((!is_first).then(|| process.cpu_usage()), Some(process.memory()))
    }

    fn user(&mut self, uid: u32) -> String {
        let name =
            |users: &Users| users.iter().find(|user| **user.id() == uid).map(|user| user.name().to_owned());
        if self.users.is_none() {
            self.users = Users::new_with_refreshed_list().ok();
        }
        self.users.as_ref().and_then(name).unwrap_or_else(|| uid.to_string())
    }
}

// The arguments end with a zero each, and need not be UTF-8.
fn command(proc: &Path, pid: i32) -> Vec<String> {
    let bytes = fs::read(proc.join(pid.to_string()).join("cmdline")).unwrap_or_default();
    let arguments = bytes.strip_suffix(b"\0").unwrap_or(&bytes);
    if arguments.is_empty() {
        return Vec::new();
    }
    arguments.split(|&byte| byte == 0).map(|part| String::from_utf8_lossy(part).into_owned()).collect()
}

// The kernel counts start times in ticks since boot; `btime` in `/proc/stat` is the second of the boot.
fn boot_second(proc: &Path) -> Option<i64> {
    let text = fs::read_to_string(proc.join("stat")).ok()?;
    text.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

fn started_at(boot_second: i64, ticks: u64) -> Option<Timestamp> {
    let milliseconds = i64::try_from(ticks.saturating_mul(1000) / procfs::ticks_per_second().max(1)).ok()?;
    Timestamp::from_millisecond(boot_second.checked_mul(1000)?.checked_add(milliseconds)?).ok()
}

fn state(letter: char) -> ProcessState {
    match letter {
        'R' => ProcessState::Running,
        'S' => ProcessState::Sleeping,
        'D' => ProcessState::DiskSleep,
        'T' => ProcessState::Stopped,
        't' => ProcessState::Traced,
        'Z' => ProcessState::Zombie,
        'I' => ProcessState::Idle,
        'X' | 'x' => ProcessState::Dead,
        _ => ProcessState::Unknown,
    }
}
