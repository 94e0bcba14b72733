//! The looks of a running console: a named thread that observes, diagnoses and publishes; the latest wins.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use jiff::Timestamp;
use tokio::sync::watch;

use crate::{
    config::Config,
    diagnose::{self, compliance, schedule, suspicion},
    history::DatabaseTrend,
    observe::Observer,
    snapshot::{ConnectionFacts, Snapshot},
    state::schedule_ledger::ScheduleLedger,
    threads,
};

/// A snapshot with its findings, and what a console draws beside it.
#[derive(Debug, Clone)]
pub struct Sample {
    /// What was seen, and what is wrong with it.
    pub snapshot: Snapshot,
    /// One for each database of the snapshot.
    pub trends: Vec<DatabaseTrend>,
    /// What the look itself took.
    pub took: Duration,
}

/// How often a sample is followed by another to settle what it says.
const MOST_ROUNDS: u32 = 6;

/// Looks and thinks: an observer, with what the verdicts on its snapshots need.
#[derive(Debug)]
pub struct Monitor {
    observer: Observer,
    config: Config,
    facts: Vec<Option<ConnectionFacts>>,
    // Shared with whoever draws it: a copy of a snapshot costs more than most of a look.
    previous: Option<Arc<Sample>>,
    ledger: ScheduleLedger,
    // When the first look was taken.
    since: Option<Timestamp>,
}

impl Monitor {
    /// A watch on what `observer` observes.
    pub fn new(mut observer: Observer, config: Config) -> Self {
        observer.set_pidfiles(config.daemons.iter().filter_map(|rule| rule.pidfile.clone()).collect());
        let ledger = ScheduleLedger::new(&config.places);
        Self { observer, config, facts: Vec::new(), previous: None, ledger, since: None }
    }

    /// Takes in what our own connection to the database at `index` answered.
    pub fn set_facts(&mut self, index: usize, facts: Option<ConnectionFacts>) {
        if self.facts.len() <= index {
            self.facts.resize(index + 1, None);
        }
        self.facts[index] = facts;
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
        let look = Arc::new(Sample { snapshot, trends, took: began.elapsed() });
        self.previous = Some(Arc::clone(&look));
        look
    }

    /// Samples until what the last sample says against processes is confirmed or cleared, at most some seconds: a neighbour
    /// whose connections live for a moment gives new reasons again and again. The last sample. Where it says nothing, or what
    /// the samples before have settled, that is the only one.
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

    // After the findings, since some of them forbid a checkpoint.
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

/// What a running sampler can be told.
#[derive(Debug)]
pub enum SamplerCommand {
    Now,
    /// End, though somebody may still hold a way to give orders.
    End,
    /// Look this often from now on.
    Every(Duration),
    /// What our own connection to a database answered; `None`: it could not be asked.
    Facts {
        index: usize,
        facts: Option<ConnectionFacts>,
    },
}

/// How long an end waits for the look in flight. Asking for a file on a network that is gone can take forever.
const PATIENCE: Duration = Duration::from_millis(500);

/// A running sampler. It ends when this is dropped, or after the look in flight where that takes long.
#[derive(Debug)]
pub struct Sampler {
    orders: Sender<SamplerCommand>,
    // Nothing is ever sent: it is closed when the thread is done.
    done: Receiver<()>,
}

impl Sampler {
    /// Starts the thread; its looks arrive at the receiver, the newest only.
    ///
    /// # Errors
    ///
    /// Where the operating system gives no thread.
    pub fn start(
        watch: Monitor,
        every: Duration,
    ) -> std::io::Result<(Self, watch::Receiver<Option<Arc<Sample>>>)> {
        let (orders, inbox) = crossbeam_channel::unbounded();
        let (publish, looks) = watch::channel(None);
        let done = spawn(move || keep_looking(watch, every, &inbox, &publish))?;
        Ok((Self { orders, done }, looks))
    }

    /// Tells the sampler something. One that has ended hears nothing.
    pub fn order(&self, order: SamplerCommand) {
        let _ = self.orders.send(order);
    }

    /// A way to tell the sampler something from elsewhere.
    pub fn orders(&self) -> Sender<SamplerCommand> {
        self.orders.clone()
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        self.order(SamplerCommand::End);
        // Done, given up with a panic, or still looking: there is no more to wait for.
        let _ = self.done.recv_timeout(PATIENCE);
    }
}

// Gives a channel that closes once `work` is done and all that it owned is gone.
fn spawn(work: impl FnOnce() + Send + 'static) -> std::io::Result<Receiver<()>> {
    let (working, done) = crossbeam_channel::bounded(0);
    threads::start("waltop-sampler", move || {
        let _working: Sender<()> = working;
        work();
    })?;
    Ok(done)
}

fn keep_looking(
    mut watch: Monitor,
    mut every: Duration,
    inbox: &Receiver<SamplerCommand>,
    publish: &watch::Sender<Option<Arc<Sample>>>,
) {
    loop {
        let due = Instant::now() + every;
        if publish.send(Some(watch.sample())).is_err() {
            return;
        }
        if !take_commands(&mut watch, &mut every, inbox, due) {
            return;
        }
    }
}

// Waits for orders until `due`, and takes in all that have come: one look answers any number of orders for one. Whether
// to go on.
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
    fn orders_that_piled_up_are_answered_by_one_look() {
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
    fn an_end_does_not_wait_for_a_look_that_hangs() {
        let (release, hung) = crossbeam_channel::bounded::<()>(0);
        let (orders, _inbox) = crossbeam_channel::unbounded();
        let done = spawn(move || {
            let _ = hung.recv();
        });
        let done = done.expect("a thread");
        drop(Sampler { orders, done: done.clone() });
        assert_eq!(done.try_recv(), Err(crossbeam_channel::TryRecvError::Empty), "it hangs still");
        drop(release);
        assert_eq!(done.recv(), Err(crossbeam_channel::RecvError), "and ends once it can");
    }

    #[test]
    fn an_end_waits_for_a_look_that_goes_on() {
        let folder = TempDir::new().expect("a folder");
        let (sampler, looks) =
            Sampler::start(watch(folder.path()), Duration::from_hours(1)).expect("a thread");
        let done = sampler.done.clone();
        drop(sampler);
        assert_eq!(done.try_recv(), Err(crossbeam_channel::TryRecvError::Disconnected));
        assert!(looks.has_changed().is_err(), "nothing more is published");
    }
}
