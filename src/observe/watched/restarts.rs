//! Which processes are started again and again, from sample to sample.

use std::{collections::HashMap, time::Duration};

use jiff::Timestamp;

use crate::snapshot::{Process, ProcessId, RestartedProcess};

/// For how long a start counts.
const WINDOW: Duration = Duration::from_secs(30);
/// Commands that are remembered of one database.
const MOST_COMMANDS: usize = 256;

/// Tracks the processes of one database.
#[derive(Debug, Default)]
pub struct RestartTracker {
    commands: HashMap<StartedCommand, Vec<Run>>,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct StartedCommand {
    program: String,
    command: Vec<String>,
    parent: i32,
}

#[derive(Debug, Clone, Copy)]
struct Run {
    id: ProcessId,
    started_at: Timestamp,
    last_seen: Timestamp,
}

impl RestartTracker {
    /// Adds `processes`, a sample at `now`, and returns those that are not the first of their command and parent.
    pub fn add_sample(&mut self, processes: &[Process], now: Timestamp) -> Vec<RestartedProcess> {
        let mut alive: HashMap<StartedCommand, Vec<(Run, &Process)>> = HashMap::new();
        for process in processes.iter().filter(|it| it.is_client()) {
            if let Some((command, run)) = run_of(process, now) {
                alive.entry(command).or_default().push((run, process));
            }
        }
        let is_recent =
            |at: Timestamp| Duration::try_from(now.duration_since(at)).unwrap_or_default() <= WINDOW;
        self.commands.retain(|_, runs| runs.last().is_some_and(|run| is_recent(run.last_seen)));
        let mut found = Vec::new();
        for (command, alive) in alive {
            // Several at once are a pool.
            let [(run, process)] = alive[..] else {
                self.commands.remove(&command);
                continue;
            };
            if self.commands.len() >= MOST_COMMANDS && !self.commands.contains_key(&command) {
                continue;
            }
            let runs = self.commands.entry(command).or_default();
            match runs.last_mut().filter(|last| last.id == run.id) {
                Some(last) => last.last_seen = now,
                None => runs.push(run),
            }
            let first = runs.iter().position(|run| is_recent(run.started_at)).unwrap_or(runs.len() - 1);
            runs.drain(..first);
            found.extend(restarted(runs, process));
        }
        found.sort_by_key(|it| it.pid);
        found
    }
}

// A process that was adopted was started by another one than its parent.
fn run_of(process: &Process, now: Timestamp) -> Option<(StartedCommand, Run)> {
    let origin = &process.origin;
    if process.command.is_empty() || origin.has_lost_parent == Some(true) {
        return None;
    }
    let program = origin.executable.as_ref()?.path.clone();
    let command = StartedCommand { program, command: process.command.clone(), parent: process.parent? };
    Some((command, Run { id: process.identity()?, started_at: process.started_at?, last_seen: now }))
}

fn restarted(runs: &[Run], process: &Process) -> Option<RestartedProcess> {
    let gap_ms = |pair: &[Run]| {
        let gap = Duration::try_from(pair[1].started_at.duration_since(pair[0].last_seen));
        gap.unwrap_or_default().as_secs_f64() * 1e3
    };
    (runs.len() > 1).then(|| RestartedProcess {
        pid: process.pid,
        label: process.label.clone(),
        program: process.origin.executable.as_ref().map(|it| it.path.clone()).unwrap_or_default(),
        command: process.command.clone(),
        parent: process.parent.unwrap_or_default(),
        parent_command: process.origin.parent_command.clone(),
        manager: process.origin.manager.clone(),
        starts: runs.iter().map(|run| run.started_at).collect(),
        gap_ms: runs.windows(2).map(gap_ms).fold(0.0, f64::max),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        diagnose::fixture::{WRITER, at, process},
        snapshot::{Executable, ExecutableState},
    };

    fn run(pid: i32, second: i64) -> Process {
        let mut run = process(pid, "worker");
        (run.start_ticks, run.started_at) = (Some(u64::try_from(pid).expect("a PID")), Some(at(second)));
        run.parent = Some(500);
        let (path, state) = ("/usr/bin/worker".to_owned(), Some(ExecutableState::Current));
        run.origin.executable = Some(Executable { path, state });
        run
    }

    fn starts(found: &[RestartedProcess]) -> Vec<usize> {
        found.iter().map(|it| it.starts.len()).collect()
    }

    #[test]
    fn runs_after_another_are_counted_for_half_a_minute() {
        let mut tracker = RestartTracker::default();
        assert_eq!(starts(&tracker.add_sample(&[run(1, 0)], at(1))), [0; 0]);
        assert_eq!(starts(&tracker.add_sample(&[run(1, 0)], at(8))), [0; 0], "it is the same");
        assert_eq!(starts(&tracker.add_sample(&[], at(9))), [0; 0], "none is there");
        assert_eq!(starts(&tracker.add_sample(&[run(2, 10)], at(11))), [2]);
        let third = tracker.add_sample(&[run(3, 20)], at(21));
        assert_eq!((third[0].pid, third[0].parent, third[0].gap_ms), (3, 500, 9_000.0));
        assert_eq!(third[0].starts, [at(0), at(10), at(20)]);
        assert_eq!(starts(&tracker.add_sample(&[run(3, 20)], at(35))), [2]);
        assert_eq!(starts(&tracker.add_sample(&[run(3, 20)], at(55))), [0; 0], "it stays");
    }

    #[test]
    fn a_pool_other_arguments_and_other_parents_are_no_restarts() {
        let mut tracker = RestartTracker::default();
        for second in 0..3 {
            let pid = i32::try_from(second).expect("few") * 10;
            let pool = [run(pid + 1, second), run(pid + 2, second)];
            assert_eq!(tracker.add_sample(&pool, at(second)), []);
        }
        let changes: [fn(&mut Process); 4] = [
            |it| it.command.push("--once".to_owned()),
            |it| it.parent = Some(501),
            |it| it.origin.has_lost_parent = Some(true),
            |it| it.pairing.only_reads_files = Some(true),
        ];
        for (pid, change) in (100..).zip(changes) {
            let mut other = run(pid, 5);
            change(&mut other);
            assert_eq!(tracker.add_sample(&[other], at(6)), []);
        }
        assert_eq!(tracker.add_sample(&[run(WRITER, 7)], at(8)), [], "the pool was forgotten");
    }
}
