//! The kernel's trace of lock requests (`filelock` events of tracefs): exact holds, and the writers that are refused.
//!
//! A thread reads it every 100 ms. It needs root, and a tracefs that is mounted already: waltop mounts none. Each lock
//! request on the machine becomes some microseconds slower meanwhile.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crate::{
    history::LockHistory,
    snapshot::{LabelRules, TraceFacts, WriterRefusals},
    threads,
};

mod event;
mod instances;
mod lock_state;
mod traced;
mod tracefs;
mod wait_log;
mod waits;

use super::{lock_sampler::HolderNames, proc::mounts::MountTable};
use instances::TraceInstances;
use traced::TracedDatabase;
use wait_log::WaitLog;

pub use tracefs::EVENTS;
pub use waits::SLEEPS_MS as HANDLER_SLEEPS_MS;

/// Time between two readings: each costs as much as some 30 requests.
const ROUND: Duration = Duration::from_millis(100);
/// Time between two looks for another `-shm`, whose requests are missed until it is traced, and between two readings
/// while there is much to read.
const LOOK: Duration = Duration::from_millis(25);
/// For how long such looks come between the readings after there was another: where a program recreates it, it does so
/// again and again.
const RESTLESS: Duration = Duration::from_secs(10);
/// Many requests of one reading: an eighth of what the buffer of one processor holds.
const MANY: u64 = 500;

/// The files of one database, and the history for its holds.
#[derive(Debug, Clone)]
pub struct TraceTarget {
    pub main: PathBuf,
    pub index: PathBuf,
    /// Main file and `-shm`, by their paths in the mounts of `owner`.
    pub mounted: [PathBuf; 2],
    /// The process whose mounts they are on; `None`: waltop's own.
    pub owner: Option<i32>,
    pub history: Arc<Mutex<LockHistory>>,
}

/// The tracing thread. It ends, and the instance goes, with this value.
#[derive(Debug)]
pub struct LockTracer {
    shared: Arc<TracerState>,
    /// The ended waits of each target.
    waits: Vec<Arc<Mutex<WaitLog>>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct TracerState {
    is_over: AtomicBool,
    /// The rules that name processes, until the thread has taken them.
    rules: Mutex<Option<LabelRules>>,
    facts: Mutex<TraceFacts>,
    /// Why the trace has ended.
    failure: Mutex<Option<String>>,
}

/// What the trace has shown.
#[derive(Debug, Clone)]
pub struct TraceResults {
    pub facts: TraceFacts,
    /// One for each target.
    pub refusals: Vec<WriterRefusals>,
    /// Why the trace has ended.
    pub failure: Option<String>,
}

impl LockTracer {
    /// Starts to trace `targets`; the lock table and the names of holders come from the `/proc` at `proc`.
    ///
    /// # Errors
    ///
    /// There is no tracefs, it does not allow an instance, or the thread cannot be started.
    pub fn start(proc: &Path, targets: Vec<TraceTarget>, rules: LabelRules) -> io::Result<Self> {
        let root = tracefs_of(&MountTable::read(proc))?;
        if super::proc::is_in_pid_namespace(proc) {
            let why = "this is a PID namespace, and the kernel traces the PIDs of the host: run waltop there";
            return Err(io::Error::new(io::ErrorKind::Unsupported, why));
        }
        let instances = TraceInstances::create(root)?;
        let shared = Arc::new(TracerState { rules: Mutex::new(Some(rules)), ..TracerState::default() });
        let databases: Vec<TracedDatabase> = targets.into_iter().map(TracedDatabase::new).collect();
        let waits = databases.iter().map(TracedDatabase::waits).collect();
        let (theirs, proc) = (Arc::clone(&shared), proc.to_owned());
        let thread = threads::start("waltop-trace", move || {
            run(&theirs, instances, &proc, databases);
        })?;
        Ok(Self { shared, waits, thread: Some(thread) })
    }

    /// Names processes by `rules` from now on.
    pub fn set_label_rules(&self, rules: LabelRules) {
        *threads::lock(&self.shared.rules) = Some(rules);
    }

    /// What it has shown up to now.
    pub fn results(&self) -> TraceResults {
        let now = clock().at;
        let of = |waits: &Arc<Mutex<WaitLog>>| threads::lock(waits).refusals(now, LockHistory::WINDOW);
        TraceResults {
            facts: *threads::lock(&self.shared.facts),
            refusals: self.waits.iter().map(of).collect(),
            failure: threads::lock(&self.shared.failure).clone(),
        }
    }
}

impl Drop for LockTracer {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // The panic of a tracer was already reported.
            let _ = thread.join();
        }
    }
}

fn tracefs_of(mounts: &MountTable) -> io::Result<PathBuf> {
    mounts.mounted_at("tracefs").ok_or_else(|| {
        let why = "tracefs is not mounted: mount -t tracefs nodev /sys/kernel/tracing";
        io::Error::new(io::ErrorKind::NotFound, why)
    })
}

fn run(shared: &TracerState, mut instances: TraceInstances, proc: &Path, mut databases: Vec<TracedDatabase>) {
    let mut names = HolderNames::from(proc.to_owned());
    let mut facts = TraceFacts::default();
    let (mut due, mut restless, mut is_first) = (Instant::now(), Instant::now(), true);
    while !shared.is_over.load(Ordering::Acquire) {
        let now = Instant::now();
        if now < due && !databases.iter().any(TracedDatabase::has_other_files) {
            pause(now, due, restless);
            continue;
        }
        if let Some(rules) = threads::lock(&shared.rules).take() {
            names.set_rules(rules);
        }
        let before = facts.requests;
        let done = round(&mut instances, proc, &mut databases, &mut names, &mut facts);
        *threads::lock(&shared.facts) = facts;
        match done {
            // The first round finds the files, which nothing has recreated.
            Ok(has_changed) if has_changed && !is_first => restless = now + RESTLESS,
            Ok(_) => {}
            Err(error) => {
                *threads::lock(&shared.failure) = Some(error.to_string());
                return;
            }
        }
        is_first = false;
        due = now + if facts.requests - before < MANY { ROUND } else { LOOK };
        pause(now, due, restless);
    }
}

fn pause(now: Instant, due: Instant, restless: Instant) {
    let pause = due.saturating_duration_since(Instant::now());
    thread::park_timeout(if now < restless { pause.min(LOOK) } else { pause });
}

/// Reads what has arrived; returns whether a database has another file.
fn round(
    instances: &mut TraceInstances,
    proc: &Path,
    databases: &mut [TracedDatabase],
    names: &mut HolderNames,
    facts: &mut TraceFacts,
) -> io::Result<bool> {
    let (clock_of_round, mut has_lost) = (clock(), false);
    instances.read(|line| {
        has_lost |= event::is_loss(line);
        if let Some(request) = event::parse(line) {
            facts.requests += 1;
            if let Some(database) = databases.iter_mut().find(|database| database.is_of(&request)) {
                database.apply(&request, &clock_of_round, names);
            }
        } else if event::is_request(line) {
            facts.unparsed += 1;
        }
    })?;
    // What the old filter still let through is read before the files are exchanged.
    let mut has_changed = false;
    for database in databases.iter_mut() {
        has_changed |= database.find_files(proc);
    }
    if has_changed {
        let files: Vec<Vec<_>> = databases.iter().map(|database| database.files().collect()).collect();
        for (database, has_moved) in databases.iter_mut().zip(instances.trace(&files)?) {
            if has_moved {
                database.forget();
            }
        }
    }
    for database in databases.iter_mut() {
        let now = clock();
        facts.gaps += u64::from(database.seed(proc, &now, names));
        database.end_silent_waits(&now, names);
    }
    // The statistics are one file for each processor, so they are read only where the buffer says that it has lost some.
    let lost = if has_lost { instances.overruns() } else { 0 };
    if lost > facts.overruns {
        facts.overruns = lost;
        databases.iter_mut().for_each(TracedDatabase::forget);
    }
    Ok(has_changed)
}

/// The present on the clock of the trace, which counts sleep, and on that of the histories.
#[derive(Debug, Clone, Copy)]
struct TraceClock {
    at: Duration,
    instant: Instant,
}

impl TraceClock {
    // A request may come after the clocks were read, and be read in the same round.
    fn instant_of(&self, at: Duration) -> Instant {
        match self.at.checked_sub(at) {
            Some(ago) => self.instant.checked_sub(ago).unwrap_or(self.instant),
            None => self.instant.checked_add(at.saturating_sub(self.at)).unwrap_or(self.instant),
        }
    }
}

/// Another process may run between the readings of the two clocks, which would shift each time of the round: the closest
/// of some pairs counts.
fn clock() -> TraceClock {
    const PAIRS: usize = 4;
    let pair = || {
        let before = Instant::now();
        let at = crate::clock::since_boot();
        let apart = before.elapsed();
        (apart, TraceClock { at, instant: before + apart / 2 })
    };
    let closer = |known: (Duration, TraceClock), next: (Duration, TraceClock)| {
        if next.0 < known.0 { next } else { known }
    };
    (1..PAIRS).map(|_| pair()).fold(pair(), closer).1
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{event::tests::REFUSED, *};

    #[test]
    fn a_request_keeps_its_time_before_and_after_the_reading_of_the_clocks() {
        let clock = clock();
        let apart = |micros: u64| Duration::from_micros(micros);
        assert_eq!(clock.instant - clock.instant_of(clock.at.saturating_sub(apart(70))), apart(70));
        assert_eq!(clock.instant_of(clock.at + apart(300)) - clock.instant, apart(300));
    }

    #[test]
    fn what_was_read_what_made_no_sense_and_what_was_lost_is_counted() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let write = |file: &str, text: &str| {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(path, text).expect("written");
        };
        let odd = REFUSED.replace("fl_start", "start");
        let failed = REFUSED.replace("-11", "-9");
        write("trace_pipe", &format!("{REFUSED}\n{odd}\n{REFUSED}\nCPU:1 [LOST 7 EVENTS]\n{failed}\n"));
        write("per_cpu/cpu0/stats", "overrun: 4\n");
        write("per_cpu/cpu1/stats", "overrun: 3\n");
        let mut names = HolderNames::from(folder.path().to_owned());
        let mut facts = TraceFacts::default();
        let mut instances = instances::tests::only(tracefs::tests::instance(folder.path()));
        for _ in 0..2 {
            round(&mut instances, folder.path(), &mut [], &mut names, &mut facts).expect("readable");
            assert_eq!((facts.requests, facts.unparsed, facts.overruns), (2, 1, 7), "and each once");
        }
    }
}
