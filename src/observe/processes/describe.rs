//! The displayed facts about a process: from `/proc`, except the name of its user, which comes from sysinfo.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use sysinfo::{MINIMUM_CPU_UPDATE_INTERVAL, Users};

use super::origin::KnownOrigin;
use crate::{
    observe::proc::{self, ProcessFolder, program},
    snapshot::{
        LabelRules, Process, ProcessId, ProcessIdleness, ProcessLimits, ProcessState, ProgramSample,
        TemporaryFolder,
    },
};

/// Describes processes, and remembers the CPU time that they used.
pub struct ProcessDescriber {
    proc: PathBuf,
    users: Option<Users>,
    boot_second: Option<i64>,
    usages: HashMap<ProcessId, CpuUsage>,
    origins: HashMap<ProcessId, KnownOrigin>,
    habits: HashMap<ProcessId, ProcessConstants>,
    // The processes that this sample has described already: one process may have several databases open.
    described: HashMap<i32, Process>,
    rules: LabelRules,
}

/// Time between two readings of facts that change only when a process runs another program or becomes another user.
const REREAD: Duration = Duration::from_secs(10);

/// Facts about a process that seldom change or may be some seconds old, and the short name at that time: another program has another name.
#[derive(Debug)]
struct ProcessConstants {
    at: Instant,
    name: String,
    uid: Option<u32>,
    inner_pid: Option<i32>,
    command: Vec<String>,
    label: String,
    limits: Option<ProcessLimits>,
    temp_folder: Option<TemporaryFolder>,
}

/// The processor time of one process. The kernel counts it in ticks of about 10 ms. Over less than
/// `MINIMUM_CPU_UPDATE_INTERVAL` a difference means nothing, so the previous figure is kept.
#[derive(Debug, Default)]
struct CpuUsage {
    since: Option<(Instant, u64)>,
    percent: Option<f32>,
}

impl CpuUsage {
    // Percent of one processor; `None` until two readings are far enough apart.
    fn percent_since(&mut self, now: Instant, ticks: u64) -> Option<f32> {
        let Some((at, before)) = self.since else {
            self.since = Some((now, ticks));
            return None;
        };
        let elapsed = now.saturating_duration_since(at);
        if elapsed >= MINIMUM_CPU_UPDATE_INTERVAL {
            let spent = u32::try_from(ticks.saturating_sub(before)).unwrap_or(u32::MAX);
            let ticks_per_second = u32::try_from(proc::ticks_per_second()).unwrap_or(u32::MAX);
            let seconds = f64::from(spent) / f64::from(ticks_per_second);
            #[expect(clippy::cast_possible_truncation, reason = "a percentage needs no more digits")]
            let percent = (100.0 * seconds / elapsed.as_secs_f64()) as f32;
            self.percent = Some(percent);
            self.since = Some((now, ticks));
        }
        self.percent
    }
}

impl std::fmt::Debug for ProcessDescriber {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Describer").field("proc", &self.proc).finish_non_exhaustive()
    }
}

impl ProcessDescriber {
    /// Describes the processes of the `/proc` at `proc`.
    pub fn new(proc: &Path) -> Self {
        Self {
            proc: proc.to_owned(),
            users: None,
            boot_second: proc::boot_second(proc),
            usages: HashMap::new(),
            origins: HashMap::new(),
            habits: HashMap::new(),
            described: HashMap::new(),
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
        self.habits.clear();
    }

    /// Starts a sample, in which each process is read once.
    pub fn start_sample(&mut self, _pids: &[i32]) {
        self.described.clear();
    }

    /// The process `pid` without its relation to a database; `None` if it is gone.
    pub fn describe(&mut self, pid: i32) -> Option<Process> {
        if let Some(process) = self.described.get(&pid) {
            return Some(process.clone());
        }
        let process = self.read(pid)?;
        self.described.insert(pid, process.clone());
        Some(process)
    }

    fn read(&mut self, pid: i32) -> Option<Process> {
        let stat = proc::stat(&self.proc, pid)?;
        let identity = ProcessId { pid, start_ticks: stat.start_ticks };
        let now = Instant::now();
        let cpu_percent = self.usages.entry(identity).or_default().percent_since(now, stat.cpu_ticks);
        let is_fresh = |habit: &ProcessConstants| {
            habit.name == stat.name && now.saturating_duration_since(habit.at) < REREAD
        };
        if !self.habits.get(&identity).is_some_and(is_fresh) {
            let uid = proc::process_owner(&self.proc, pid);
            let inner_pid = proc::inner_pid(&self.proc, pid);
            let command = proc::command(&self.proc, pid).unwrap_or_default();
            let label = self.rules.label(&stat.name, &command);
            let folder = ProcessFolder::of(&self.proc, pid);
            let (limits, temp_folder) = (folder.limits(), folder.temporary_folder());
            let name = stat.name.clone();
            let constants =
                ProcessConstants { at: now, name, uid, inner_pid, command, label, limits, temp_folder };
            self.habits.insert(identity, constants);
        }
        // If its first thread has exited, another one shows its state and its memory.
        let thread = stat.is_headless.then(|| ProcessFolder::living_thread(&self.proc, pid)).flatten();
        let shown = thread.as_ref().and_then(ProcessFolder::stat).map_or(stat.state, |thread| thread.state);
        let memory_bytes = thread.unwrap_or_else(|| ProcessFolder::of(&self.proc, pid)).resident_bytes();
        let ProcessConstants { uid, inner_pid, command, label, limits, temp_folder, .. } =
            self.habits.get(&identity)?;
        let (uid, inner_pid, command, label, limits) =
            (*uid, *inner_pid, command.clone(), label.clone(), *limits);
        let temp_folder = temp_folder.clone();
        let known = self.origins.entry(identity);
        let origin =
            known.or_insert_with(|| KnownOrigin::of(&self.proc, &stat, now)).at(&self.proc, &stat, now);
        Some(Process {
            inner_pid,
            started_at: self.boot_second.and_then(|boot| started_at(boot, stat.start_ticks)),
            start_ticks: Some(stat.start_ticks),
            command,
            label,
            limits,
            temp_folder,
            user: uid.map(|uid| self.user(uid)),
            uid,
            parent: Some(stat.parent).filter(|&parent| parent > 0),
            state: state(shown),
            threads: Some(stat.threads),
            cpu_percent,
            memory_bytes,
            origin,
            idleness: ProcessIdleness { cpu_ticks: Some(stat.cpu_ticks), ..ProcessIdleness::default() },
            program: ProgramSample { executable: program::executable(&self.proc, pid).ok(), files: None },
            ..Process::unknown(pid, stat.name)
        })
    }

    /// Forgets the processes that are not among `pids`.
    pub fn retain_pids(&mut self, pids: &[i32]) {
        self.usages.retain(|process, _| pids.contains(&process.pid));
        self.origins.retain(|process, _| pids.contains(&process.pid));
        self.habits.retain(|process, _| pids.contains(&process.pid));
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

fn started_at(boot_second: i64, ticks: u64) -> Option<Timestamp> {
    let milliseconds = i64::try_from(ticks.saturating_mul(1000) / proc::ticks_per_second()).ok()?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_is_that_of_a_thread_that_lives() {
        let proc = crate::observe::proc::fake::FakeProc::new();
        let memory = |state, threads| {
            proc.stat(70, state, 0, threads);
            ProcessDescriber::new(proc.path()).describe(70).expect("it is there").memory_bytes
        };
        assert_eq!(memory('S', 1), None, "it is not known");
        let page = rustix::param::page_size() as u64;
        proc.write("70/statm", "9 0 1 1 0 1 0\n").write("70/task/71/statm", "9 5 1 1 0 1 0\n");
        let stat = format!("71 (bun) S 1 {}4200\n", "0 ".repeat(17));
        proc.write("70/task/71/stat", &stat).write("70/task/70/statm", "0 0 0 0 0 0 0\n");
        assert_eq!((memory('S', 1), memory('Z', 2)), (Some(0), Some(5 * page)));
    }

    #[test]
    fn cpu_is_reported_over_a_time_that_means_something() {
        let (start, second) = (Instant::now(), proc::ticks_per_second());
        let after = |milliseconds| start + Duration::from_millis(milliseconds);
        let mut usage = CpuUsage::default();
        assert_eq!(usage.percent_since(start, 1000), None, "nothing to compare with");
        assert_eq!(usage.percent_since(after(3), 1000), None, "too soon: it may well be spinning");
        assert_eq!(usage.percent_since(after(1000), 1000 + second), Some(100.0));
        assert_eq!(usage.percent_since(after(1003), 1000 + second), Some(100.0), "the figure before is kept");
        assert_eq!(
            usage.percent_since(after(2000), 1000 + second + second / 2),
            Some(50.0),
            "and measured from its time"
        );
    }

    #[test]
    fn a_process_is_described_by_its_arguments_its_state_and_its_start() {
        let proc = crate::observe::proc::fake::FakeProc::new();
        proc.process(70).write("70/cmdline", "bun\0run\0serve\0");
        let described = |state| {
            proc.stat(70, state, 0, 1);
            ProcessDescriber::new(proc.path()).describe(70).expect("it is there")
        };
        let process = described('S');
        assert_eq!((process.pid, process.command), (70, ["bun", "run", "serve"].map(str::to_owned).to_vec()));
        assert_eq!((process.parent, process.start_ticks), (Some(1), Some(4200)));
        for (letter, state) in [
            ('R', ProcessState::Running),
            ('S', ProcessState::Sleeping),
            ('D', ProcessState::DiskSleep),
            ('T', ProcessState::Stopped),
            ('t', ProcessState::Traced),
            ('Z', ProcessState::Zombie),
            ('I', ProcessState::Idle),
            ('X', ProcessState::Dead),
            ('?', ProcessState::Unknown),
        ] {
            assert_eq!(described(letter).state, state, "{letter}");
        }
    }

    #[test]
    fn a_user_without_a_name_is_shown_by_its_number() {
        let proc = crate::observe::proc::fake::FakeProc::new();
        proc.process(70);
        for (uid, name) in [("0", "root"), ("4000000001", "4000000001")] {
            proc.write("70/status", &format!("Uid:\t7\t{uid}\t7\t7\n"));
            let process = ProcessDescriber::new(proc.path()).describe(70).expect("it is there");
            assert_eq!(
                (process.uid.map(|it| it.to_string()).as_deref(), process.user.as_deref()),
                (Some(uid), Some(name))
            );
        }
    }

    #[test]
    fn arguments_are_read_again_at_once_if_a_process_runs_another_program() {
        let proc = crate::observe::proc::fake::FakeProc::new();
        let mut describer = ProcessDescriber::new(proc.path());
        let mut command = |name: &str, line: &str| {
            let stat = format!("70 ({name}) S 1 {}4200 9 9\n", "0 ".repeat(17));
            proc.write("70/stat", &stat).write("70/cmdline", line);
            describer.start_sample(&[70]);
            describer.describe(70).expect("it is there").command.join(" ")
        };
        assert_eq!(command("bun", "bun\0a.ts\0"), "bun a.ts");
        assert_eq!(command("bun", "bun\0b.ts\0"), "bun a.ts", "they seldom change");
        assert_eq!(command("node", "node\0c.js\0"), "node c.js");
    }
}
