//! `waltop reap`: watch for a while, then stop what is stale.

use std::{
    collections::HashMap,
    io::{self, IsTerminal, Write},
    path::PathBuf,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::bail;

use crate::{
    act::{
        RestartCommand,
        reap::{self, StopAftermath, StopOutcome, StopRequest},
        signal::{ExpectedProgram, PinnedProcess, SignalRefusal, SignalTarget, StopSignal, start_ticks},
    },
    config::{Config, Permit, duration_of},
    observe::Observer,
    sampler::Monitor,
    snapshot::{Database, Process, Snapshot},
    text, units,
};

use super::{BETWEEN_LOOKS, databases, output::answer, pid_of, print_json, print_line};

mod list;
mod report;

use list::past_max_age;

pub use report::ReapReport;
use report::{DatabaseReap, ReapCandidate, ReapOutcome};

/// Time between two samples while it watches.
const EVERY: Duration = Duration::from_secs(1);

/// A shorter watch says how to watch longer.
const LONG_WATCH: Duration = Duration::from_secs(30);

#[derive(Debug, clap::Args)]
pub struct ReapArgs {
    /// The databases; default: those in the settings, else the default database.
    #[arg(value_name = "DB")]
    databases: Vec<PathBuf>,
    /// List stale processes, and stop none.
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask for confirmation. KILL is never sent without a question.
    #[arg(long)]
    yes: bool,
    /// How long to wait for processes to exit after SIGTERM.
    #[arg(long, value_name = "DURATION", value_parser = duration_of, default_value = "5s")]
    grace: Duration,
    /// How long to watch first: a process is idle only if it does nothing all that time, and for 30s or more.
    #[arg(long = "for", value_name = "DURATION", value_parser = duration_of, default_value = "30s")]
    watch: Duration,
    /// Stop only this process; can be repeated.
    #[arg(long, value_name = "PID", value_parser = pid_of)]
    pid: Vec<i32>,
    /// With one --pid: its start, in clock ticks since boot, as `start_ticks` of the JSON has it. Another process with that PID
    /// is not stopped.
    #[arg(long, value_name = "TICKS", requires = "pid")]
    started: Option<u64>,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

pub fn run(args: &ReapArgs, config: &Config) -> anyhow::Result<u8> {
    let paths = databases(&args.databases, config)?;
    if args.started.is_some() && args.pid.len() > 1 {
        bail!("--started is the start of one process: give one --pid");
    }
    let permit = if args.dry_run { None } else { Some(config.permit()?) };
    if permit.is_some() && !args.yes && !io::stdin().is_terminal() {
        bail!(
            "nothing was stopped: there is no terminal to ask on; give --yes, or --dry-run to see what is stale"
        );
    }
    let mut observer = Observer::new(&config.places, paths);
    observer.watch_locks_steadily();
    let mut watch = Monitor::new(observer, config.clone());
    let snapshot = watched(&mut watch, args.watch);
    let mut reaping = ReapPlan::new(&snapshot, args, config)?;
    let declined = match permit {
        None => {
            reaping.list(args, &snapshot)?;
            false
        }
        Some(permit) => !reaping.stop(permit, args, &snapshot, &mut watch)?,
    };
    if !declined && permit.is_some() && !reaping.pinned.is_empty() {
        // A sample that was started before the last exit could still show its locks.
        watch.sample();
        thread::sleep(BETWEEN_LOOKS);
        reaping.verify(&snapshot, &watch.sample().snapshot, args)?;
    }
    if args.json {
        print_json(&reaping.report(&snapshot, args, declined))?;
    }
    Ok(u8::from(declined || reaping.any_still_there()))
}

/// Takes samples for `time`, and returns the last one.
fn watched(watch: &mut Monitor, time: Duration) -> Snapshot {
    if io::stderr().is_terminal() {
        // stderr may be closed, and nothing depends on the message.
        let _ = writeln!(io::stderr(), "watching for {}", units::duration(units::milliseconds(time)));
    }
    watch.sample();
    // From the first sample on, so that the last one can prove idleness for as long as requested.
    let until = Instant::now() + time;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        thread::sleep(left.min(EVERY));
        if left <= EVERY {
            // Its suspicions count only if a second sample confirms them.
            return watch.confirmed_sample().snapshot.clone();
        }
        watch.sample();
    }
}

/// The processes for which a cause holds, and the result for each.
struct ReapPlan {
    /// In the order of the databases; a process that has two of them open is there twice.
    candidates: Vec<(usize, Process)>,
    /// Those that are offered, pinned before the question.
    pinned: Vec<Arc<PinnedProcess>>,
    /// Why the others are not, by PID.
    refused: HashMap<i32, SignalRefusal>,
    ends: HashMap<SignalTarget, (StopSignal, StopOutcome)>,
    /// How to start those again that are gone.
    restarts: HashMap<SignalTarget, RestartCommand>,
    /// For each database, what is left.
    aftermath: Vec<StopAftermath>,
}

impl ReapPlan {
    fn new(snapshot: &Snapshot, args: &ReapArgs, config: &Config) -> anyhow::Result<Self> {
        let proc = &config.places.proc;
        for &pid in &args.pid {
            refuse_another(pid, args.started, snapshot)?;
            refuse_unfit(pid, snapshot, config)?;
        }
        let databases = snapshot.databases.iter().enumerate();
        let candidates: Vec<(usize, Process)> = databases
            .flat_map(|(index, database)| reap::candidates(database).map(move |it| (index, it.clone())))
            .filter(|(_, process)| args.pid.is_empty() || args.pid.contains(&process.pid))
            .collect();
        let mut pinned: HashMap<SignalTarget, Arc<PinnedProcess>> = HashMap::new();
        let mut refused = HashMap::new();
        for (_, process) in &candidates {
            let meant = StopRequest::among_others(&snapshot.databases, process);
            let held = meant.and_then(|meant| meant.pin(proc));
            match held {
                Ok(held) => {
                    pinned.entry(held.target()).or_insert_with(|| Arc::new(held));
                }
                Err(refusal) => {
                    refused.insert(process.pid, refusal);
                }
            }
        }
        // A process that one database's findings protect is not stopped because of another database, either.
        pinned.retain(|target, _| !refused.contains_key(&target.pid));
        let mut pinned: Vec<_> = pinned.into_values().collect();
        pinned.sort_by_key(|held| held.target().pid);
        let (ends, restarts) = (HashMap::new(), HashMap::new());
        Ok(Self { candidates, pinned, refused, ends, restarts, aftermath: Vec::new() })
    }

    /// Asks and stops; returns whether the user agreed. If nothing is stale, it does not ask.
    fn stop(
        &mut self,
        permit: Permit,
        args: &ReapArgs,
        snapshot: &Snapshot,
        watch: &mut Monitor,
    ) -> anyhow::Result<bool> {
        let is_asked = !args.yes && !self.pinned.is_empty();
        if is_asked || !args.json {
            self.list(args, snapshot)?;
        }
        if self.pinned.is_empty() {
            return Ok(true);
        }
        if is_asked && !answer(&format!("stop {}?", processes(self.pinned.len())))? {
            return Ok(false);
        }
        if is_asked {
            self.drop_no_longer_stale(&watch.sample().snapshot, args)?;
        }
        self.send(permit, &self.pinned.clone(), StopSignal::Term, args)?;
        let stays = self.staying();
        let kill = format!("{} still there: end with KILL, unsaved work is lost?", processes(stays.len()));
        if !stays.is_empty() && is_asked && answer(&kill)? {
            self.send(permit, &stays, StopSignal::Kill, args)?;
        }
        Ok(true)
    }

    /// Drops processes that are no longer stale: the answer may have come an hour after the question.
    fn drop_no_longer_stale(&mut self, now: &Snapshot, args: &ReapArgs) -> anyhow::Result<()> {
        for held in std::mem::take(&mut self.pinned) {
            let pid = held.target().pid;
            // If it has exited, the failed signal reports that.
            let lives = !held.wait(Duration::ZERO);
            match StopRequest::again(held.target(), &now.databases) {
                Err(refusal) if lives => {
                    report_line(args, &refusal.to_string())?;
                    self.refused.insert(pid, refusal);
                }
                _ => self.pinned.push(held),
            }
        }
        Ok(())
    }

    fn send(
        &mut self,
        permit: Permit,
        pinned: &[Arc<PinnedProcess>],
        signal: StopSignal,
        args: &ReapArgs,
    ) -> anyhow::Result<()> {
        let mut said = Ok(());
        reap::stop(permit, pinned, signal, args.grace, |target, end, restart| {
            let line = self.line(target, signal, &end, args.grace);
            self.ends.insert(target, (signal, end));
            if !args.json && said.is_ok() {
                said = print_line(&text::clean(&line));
            }
            if let Some(restart) = restart {
                if !args.json && said.is_ok() {
                    said = print_line(&format!("  to start it again: {restart}"));
                }
                self.restarts.insert(target, restart);
            }
        });
        said
    }

    fn line(&self, target: SignalTarget, signal: StopSignal, end: &StopOutcome, grace: Duration) -> String {
        let found = self.candidates.iter().find(|(_, it)| it.pid == target.pid);
        let who = found.map_or_else(|| target.pid.to_string(), |(_, it)| it.who());
        let grace = units::duration(units::milliseconds(grace));
        match end {
            StopOutcome::Gone => format!("{who} has ended after {signal}"),
            StopOutcome::GoesOn => format!("{who} was sent {signal}"),
            StopOutcome::Refused(refusal) => refusal.to_string(),
            StopOutcome::Stays if signal == StopSignal::Kill => {
                format!("{who} is still there {grace} after KILL: it waits inside the kernel")
            }
            StopOutcome::Stays => format!(
                "{who} is still there {grace} after TERM; x in the console offers KILL, or try a longer --grace"
            ),
        }
    }

    fn staying(&self) -> Vec<Arc<PinnedProcess>> {
        let stays = |held: &&Arc<PinnedProcess>| {
            matches!(self.ends.get(&held.target()), Some((_, StopOutcome::Stays)))
        };
        self.pinned.iter().filter(stays).cloned().collect()
    }

    /// Whether a process that was asked to exit is still there. One that was gone before does not count.
    fn any_still_there(&self) -> bool {
        self.ends.values().any(|(_, end)| match end {
            StopOutcome::Gone | StopOutcome::GoesOn | StopOutcome::Refused(SignalRefusal::Gone { .. }) => {
                false
            }
            StopOutcome::Stays | StopOutcome::Refused(_) => true,
        })
    }

    /// Prints what `after` shows of the locks and the log, compared with `before`.
    fn verify(&mut self, before: &Snapshot, after: &Snapshot, args: &ReapArgs) -> anyhow::Result<()> {
        let with = |is_gone: bool| -> Vec<SignalTarget> {
            let ends = self.ends.iter().filter(|(_, (_, end))| (*end == StopOutcome::Gone) == is_gone);
            ends.map(|(target, _)| *target).collect()
        };
        let (gone, stays) = (with(true), with(false));
        let both = before.databases.iter().zip(&after.databases);
        let aftermath =
            both.map(|(before, after)| StopAftermath::of(after, &gone, &stays, &reap::in_the_way(before)));
        self.aftermath = aftermath.collect();
        if args.json {
            return Ok(());
        }
        for (database, aftermath) in after.databases.iter().zip(&self.aftermath) {
            let path = database.path.display();
            let line = format!("{path}: {} gone, {} still there: {aftermath}", gone.len(), stays.len());
            print_line(&text::clean(&line))?;
        }
        Ok(())
    }

    fn report(&self, snapshot: &Snapshot, args: &ReapArgs, declined: bool) -> ReapReport {
        let databases = snapshot.databases.iter().enumerate().map(|(index, database)| {
            let of_it = self.candidates.iter().filter(|(at, _)| *at == index);
            let mut told = DatabaseReap {
                path: database.path.clone(),
                candidates: of_it.map(|(_, process)| self.candidate(process, declined)).collect(),
                locks_released: None,
                log_movable: None,
                in_the_way: Vec::new(),
            };
            if let Some(aftermath) = self.aftermath.get(index) {
                told.add_aftermath(aftermath);
            }
            told
        });
        ReapReport {
            watched_ms: units::milliseconds(args.watch),
            grace_ms: units::milliseconds(args.grace),
            dry_run: args.dry_run,
            databases: databases.collect(),
        }
    }

    fn candidate(&self, process: &Process, declined: bool) -> ReapCandidate {
        let target = process.start_ticks.map(|start_ticks| SignalTarget { pid: process.pid, start_ticks });
        let (outcome, refusal) = match target.and_then(|target| self.ends.get(&target)) {
            Some((StopSignal::Kill, StopOutcome::Gone)) => (ReapOutcome::Killed, None),
            Some((_, StopOutcome::Gone)) => (ReapOutcome::Gone, None),
            Some((_, StopOutcome::Stays | StopOutcome::GoesOn)) => (ReapOutcome::StillThere, None),
            Some((_, StopOutcome::Refused(refusal))) => (ReapOutcome::Refused, Some(refusal)),
            None => match self.refused.get(&process.pid) {
                Some(refusal) => (ReapOutcome::Refused, Some(refusal)),
                None if declined => (ReapOutcome::Declined, None),
                None => (ReapOutcome::WouldStop, None),
            },
        };
        let restart = target.and_then(|target| self.restarts.get(&target));
        let mut candidate = ReapCandidate::new(process, outcome, refusal.map(ToString::to_string));
        candidate.start_again = restart.map(ToString::to_string);
        candidate
    }
}

/// Fails if the process that has `pid` now is not the one that started at `started`.
fn refuse_another(pid: i32, started: Option<u64>, snapshot: &Snapshot) -> Result<(), SignalRefusal> {
    let mut found = snapshot.databases.iter().filter_map(|database| database.process(pid));
    let is_another = |process: &Process| started.is_some_and(|started| process.start_ticks != Some(started));
    if found.any(is_another) { Err(SignalRefusal::Reused { pid }) } else { Ok(()) }
}

/// Fails if a process named by the user may not be stopped, or is not stale.
fn refuse_unfit(pid: i32, snapshot: &Snapshot, config: &Config) -> anyhow::Result<()> {
    let proc = &config.places.proc;
    // A process that is out of reach stays so, whatever it has open.
    let target = SignalTarget { pid, start_ticks: start_ticks(pid, proc).unwrap_or_default() };
    PinnedProcess::open(target, ExpectedProgram::AsPinned, proc)?;
    let holds = |database| Some((database, Database::process(database, pid)?));
    let found: Vec<(&Database, &Process)> = snapshot.databases.iter().filter_map(holds).collect();
    if found.is_empty() {
        bail!("{pid} does not have the database open; nothing was stopped");
    }
    if found.iter().all(|(_, process)| reap::causes(process).is_empty()) {
        if let Some(past) = found.iter().find_map(|(_, process)| past_max_age(process)) {
            bail!("{pid}: {past}; nothing was stopped");
        }
        bail!("{pid} is not stale, no cause holds; nothing was stopped (waltop status shows what it does)");
    }
    for (_, process) in found {
        StopRequest::among_others(&snapshot.databases, process).and_then(|meant| meant.pin(proc))?;
    }
    Ok(())
}

fn processes(count: usize) -> String {
    if count == 1 { "1 process".to_owned() } else { format!("{count} processes") }
}

fn report_line(args: &ReapArgs, line: &str) -> anyhow::Result<()> {
    let line = text::clean(line);
    if args.json {
        if !args.dry_run {
            writeln!(io::stderr(), "{line}")?;
        }
        return Ok(());
    }
    print_line(&line)
}
