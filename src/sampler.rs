//! The samples of a running console: a named thread that observes, diagnoses and publishes; the latest sample wins.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use jiff::Timestamp;
use rustix::time::ClockId;
use tokio::sync::watch;

use crate::{
    clock,
    config::Config,
    diagnose::{self, compliance, schedule, suspicion},
    metrics::{MeterInput, MetricsMeter, MetricsText, SampleCost},
    observe::{self, Observer},
    recording::{self, LineStream, Recorder, RecorderHost, RecorderState},
    snapshot::{ConnectionFacts, Snapshot, Unseen},
    state::schedule_ledger::ScheduleLedger,
    threads,
};

mod sample;

pub use sample::Sample;

/// The most samples in a row to confirm or clear a suspicion.
const MOST_ROUNDS: u32 = 6;

/// Takes and diagnoses samples: an observer, with the state that the verdicts need.
#[derive(Debug)]
pub struct Monitor {
    observer: Observer,
    config: Config,
    facts: Vec<Option<ConnectionFacts>>,
    // Shared with the console: a copy of a snapshot costs more than most of a sample.
    previous: Option<Arc<Sample>>,
    ledger: ScheduleLedger,
    // Time of the first sample.
    since: Option<Timestamp>,
    recorder: Option<Recorder>,
    meter: Option<MetricsMeter>,
    stream: Option<LineStream>,
}

impl Monitor {
    /// A monitor of everything that `observer` observes.
    pub fn new(mut observer: Observer, config: Config) -> Self {
        name_daemons(&mut observer, &config);
        let ledger = ScheduleLedger::new(&config.places);
        Self {
            observer,
            config,
            facts: Vec::new(),
            previous: None,
            ledger,
            since: None,
            recorder: None,
            meter: None,
            stream: None,
        }
    }

    /// What a recording of samples that come `every` so often says of the machine.
    pub fn recorder_host(config: &Config, every: Duration) -> RecorderHost {
        let proc = &config.places.proc;
        RecorderHost { boot_id: observe::boot_id(proc), pid_namespace: observe::pid_namespace(proc), every }
    }

    /// The time between two samples; `every` or, while they are recorded, the longest that a recording allows.
    fn interval(&mut self, every: Duration) -> Duration {
        let Some(recorder) = &mut self.recorder else { return every };
        let every = every.min(recording::LONGEST_INTERVAL);
        recorder.set_interval(every);
        every
    }

    /// Records each sample from now on, or none.
    pub fn record(&mut self, recorder: Option<Recorder>) {
        self.recorder = recorder;
    }

    /// Counts metrics from the next sample on.
    pub fn count_metrics(&mut self) {
        self.meter.get_or_insert_with(|| MetricsMeter::new(Timestamp::now()));
    }

    /// Sends each sample from now on.
    pub fn stream(&mut self, stream: LineStream) {
        self.stream = Some(stream);
    }

    /// Samples `databases` by `config` from now on.
    pub fn reconfigure(&mut self, config: Config, databases: Vec<PathBuf>) {
        name_daemons(&mut self.observer, &config);
        self.observer.set_databases(databases);
        (self.config, self.previous) = (config, None);
        self.facts.clear();
    }

    /// Stores the pragma values of waltop's own connection to the database at `index`.
    pub fn set_facts(&mut self, index: usize, facts: Option<ConnectionFacts>) {
        if self.facts.len() <= index {
            self.facts.resize(index + 1, None);
        }
        self.facts[index] = facts;
    }

    /// What the last sample could not see of the lock table; `None` if it saw all of it.
    pub fn unseen_locks(&self) -> Option<&Unseen> {
        self.observer.unseen_locks()
    }

    /// What the last sample could not see of the processes that have a database open.
    pub fn unseen_processes(&self) -> Vec<Unseen> {
        self.observer.unseen_processes()
    }

    /// Lets the next samples wait for the SQLite libraries that are not read yet, for at most `limit` together: a command
    /// that takes one sample has no later one to name them.
    pub fn wait_for_libraries(&mut self, limit: Duration) {
        self.observer.wait_for_libraries(limit);
    }

    pub fn sample(&mut self) -> Arc<Sample> {
        let began = Instant::now();
        let mut snapshot = self.observer.sample();
        for (index, database) in snapshot.databases.iter_mut().enumerate() {
            let facts = self.facts.get(index).and_then(Option::as_deref);
            database.pragmas = compliance::rows(database, self.config.profile_of(&database.path), facts);
        }
        let previous = self.previous.as_ref().map(|look| &look.snapshot);
        diagnose::diagnose(&mut snapshot, previous, &self.config);
        self.fill_in_schedules(&mut snapshot);
        let trends = (0..snapshot.databases.len()).map(|index| self.observer.trend(index)).collect();
        let recorder = self.recorder.as_mut().map(|recorder| {
            recorder.tick(&snapshot, &self.observer.histories());
            recorder.state()
        });
        if let Some(stream) = &mut self.stream {
            stream.tick(&snapshot, &self.observer.histories());
        }
        let took = began.elapsed();
        let has_lock_table = self.observer.unseen_locks().is_none();
        let metrics = self.metrics(&snapshot, recorder.as_ref(), has_lock_table, took);
        let look =
            Arc::new(Sample { recorder, metrics, has_lock_table, took, ..Sample::of(snapshot, trends) });
        self.previous = Some(Arc::clone(&look));
        look
    }

    /// Takes samples until the suspicions of the last one are confirmed or cleared, for at most some seconds: a process
    /// with short-lived connections causes new suspicions again and again. Returns the last sample. If the first one
    /// has no suspicions, or only those that earlier samples have settled, it is the only one.
    pub fn confirmed_sample(&mut self) -> Arc<Sample> {
        let mut look = self.sample();
        for _ in 0..MOST_ROUNDS {
            let open = look.snapshot.databases.iter().filter_map(suspicion::open_for_ms).max();
            let Some(ms) = open.and_then(|ms| u64::try_from(ms).ok()) else { break };
            std::thread::sleep(Duration::from_millis(ms));
            look = self.sample();
        }
        look
    }

    fn metrics(
        &mut self,
        snapshot: &Snapshot,
        recorder: Option<&RecorderState>,
        has_lock_table: bool,
        took: Duration,
    ) -> Option<MetricsText> {
        let meter = self.meter.as_mut()?;
        let cost = SampleCost {
            cpu: clock::read(ClockId::ProcessCPUTime),
            memory_bytes: self.observer.own_memory_bytes(),
            took,
        };
        Some(meter.tick(&MeterInput {
            snapshot,
            histories: &self.observer.histories(),
            now: Instant::now(),
            has_lock_table,
            unseen_processes: self.observer.unseen_process_count(),
            is_written: recorder.map(|it| it.trouble.is_none()),
            cost,
        }))
    }

    // After the findings, because some of them forbid a checkpoint.
    fn fill_in_schedules(&mut self, snapshot: &mut Snapshot) {
        let now = snapshot.taken_at;
        let since = *self.since.get_or_insert(now);
        for database in &mut snapshot.databases {
            if let Some(asked) = self.config.profile_of(&database.path).checkpoint {
                let last = self.ledger.last(&database.path);
                database.schedule = Some(schedule::seen(asked, database, last, (since, now)));
            }
        }
    }
}

// Gives the observer the names and the pidfiles of the daemons of `config`.
fn name_daemons(observer: &mut Observer, config: &Config) {
    observer.set_pidfiles(config.daemons.iter().filter_map(|rule| rule.pidfile.clone()).collect());
    observer.set_label_rules(config.label_rules());
}

/// A command to a running sampler.
#[derive(Debug)]
pub enum SamplerCommand {
    Now,
    /// End, even if a sender of commands still exists.
    End,
    /// Set the time between samples.
    Every(Duration),
    /// The pragma values of waltop's own connection to a database; `None`: they could not be read.
    Facts {
        index: usize,
        facts: Option<ConnectionFacts>,
    },
    /// Record the samples from now on, or none.
    Record(Option<Box<Recorder>>),
    /// Sample these databases by these settings from now on.
    Reconfigure {
        config: Box<Config>,
        databases: Vec<PathBuf>,
    },
}

/// How long an end waits for the current sample. A file access on an unreachable network can take forever.
const PATIENCE: Duration = Duration::from_millis(500);

/// A running sampler. It ends when this is dropped, or after the current sample if that takes long.
#[derive(Debug)]
pub struct Sampler {
    orders: Sender<SamplerCommand>,
    // Nothing is ever sent: the channel closes when the thread is done.
    done: Receiver<()>,
}

impl Sampler {
    /// Starts the thread; the receiver gets only the newest sample.
    ///
    /// # Errors
    ///
    /// The operating system refuses a thread.
    pub fn start(
        watch: Monitor,
        every: Duration,
    ) -> std::io::Result<(Self, watch::Receiver<Option<Arc<Sample>>>)> {
        let (orders, inbox) = crossbeam_channel::unbounded();
        let (publish, looks) = watch::channel(None);
        let done =
            threads::start_watched("waltop-sampler", move || keep_looking(watch, every, &inbox, &publish))?;
        Ok((Self { orders, done }, looks))
    }

    /// Sends a command to the sampler. One that has ended ignores it.
    pub fn order(&self, order: SamplerCommand) {
        let _ = self.orders.send(order);
    }

    /// A sender of commands for other threads.
    pub fn orders(&self) -> Sender<SamplerCommand> {
        self.orders.clone()
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        self.order(SamplerCommand::End);
        // Done, ended by a panic, or still in a sample: do not wait any longer.
        let _ = self.done.recv_timeout(PATIENCE);
    }
}

fn keep_looking(
    mut watch: Monitor,
    mut every: Duration,
    inbox: &Receiver<SamplerCommand>,
    publish: &watch::Sender<Option<Arc<Sample>>>,
) {
    loop {
        let due = Instant::now() + watch.interval(every);
        if publish.send(Some(watch.sample())).is_err() {
            return;
        }
        if !take_commands(&mut watch, &mut every, inbox, due) {
            return;
        }
    }
}

// Waits for commands until `due`, and processes all that have arrived: one sample answers any number of requests for
// one. Returns whether to continue.
fn take_commands(
    watch: &mut Monitor,
    every: &mut Duration,
    inbox: &Receiver<SamplerCommand>,
    due: Instant,
) -> bool {
    let mut order = match inbox.recv_deadline(due) {
        Ok(order) => Some(order),
        Err(RecvTimeoutError::Timeout) => None,
        Err(RecvTimeoutError::Disconnected) => return false,
    };
    while let Some(given) = order {
        match given {
            SamplerCommand::Now => {}
            SamplerCommand::Every(interval) => *every = interval,
            SamplerCommand::Facts { index, facts } => watch.set_facts(index, facts),
            SamplerCommand::Record(recorder) => watch.record(recorder.map(|it| *it)),
            SamplerCommand::Reconfigure { config, databases } => watch.reconfigure(*config, databases),
            SamplerCommand::End => return false,
        }
        order = inbox.try_recv().ok();
    }
    true
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tempfile::TempDir;

    use super::*;
    use crate::state::places::Places;

    fn watch(folder: &Path) -> Monitor {
        let places = Places { proc: folder.join("proc"), ..Places::under(folder) };
        Monitor::new(Observer::new(&places, Vec::new()), Config::new(places))
    }

    #[test]
    fn orders_that_piled_up_are_answered_by_one_sample() {
        let folder = TempDir::new().expect("a folder");
        let (orders, inbox) = crossbeam_channel::unbounded();
        let (mut watch, mut every) = (watch(folder.path()), Duration::from_secs(1));
        orders.send(SamplerCommand::Every(Duration::from_secs(9))).expect("heard");
        for _ in 0..1000 {
            orders.send(SamplerCommand::Now).expect("heard");
        }
        let due = Instant::now() + Duration::from_hours(1);
        assert!(take_commands(&mut watch, &mut every, &inbox, due));
        assert!(inbox.is_empty());
        assert_eq!(every, Duration::from_secs(9));
        orders.send(SamplerCommand::Now).and_then(|()| orders.send(SamplerCommand::End)).expect("heard");
        assert!(!take_commands(&mut watch, &mut every, &inbox, due));
    }

    #[test]
    fn an_end_does_not_wait_for_a_sample_that_hangs() {
        let (release, hung) = crossbeam_channel::bounded::<()>(0);
        let (orders, _inbox) = crossbeam_channel::unbounded();
        let done = threads::start_watched("waltop-sampler", move || {
            let _ = hung.recv();
        });
        let done = done.expect("a thread");
        drop(Sampler { orders, done: done.clone() });
        assert_eq!(done.try_recv(), Err(crossbeam_channel::TryRecvError::Empty), "it hangs still");
        drop(release);
        assert_eq!(done.recv(), Err(crossbeam_channel::RecvError), "and ends once it can");
    }

    #[test]
    fn an_end_waits_for_a_sample_that_goes_on() {
        let folder = TempDir::new().expect("a folder");
        let (sampler, looks) =
            Sampler::start(watch(folder.path()), Duration::from_hours(1)).expect("a thread");
        let done = sampler.done.clone();
        drop(sampler);
        assert_eq!(done.try_recv(), Err(crossbeam_channel::TryRecvError::Disconnected));
        assert!(looks.has_changed().is_err(), "nothing more is published");
    }
}
