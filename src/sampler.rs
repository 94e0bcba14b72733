//! The looks of a running console: a named thread that observes, diagnoses and publishes; the latest wins.

use std::{
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use tokio::sync::watch;

use crate::{
    config::Config,
    diagnose::{self, compliance},
    history::Trend,
    observe::Observer,
    snapshot::Snapshot,
};

/// A snapshot with its findings, and what a console draws beside it.
#[derive(Debug, Clone)]
pub struct Look {
    /// What was seen, and what is wrong with it.
    pub snapshot: Snapshot,
    /// One for each database of the snapshot.
    pub trends: Vec<Trend>,
    /// What the look itself took.
    pub took: Duration,
}

/// What our own connection answers for the pragmas, as `(name, value)`.
pub type ConnectionFacts = Vec<(String, String)>;

/// Looks and thinks: an observer, with what the verdicts on its snapshots need.
#[derive(Debug)]
pub struct Watch {
    observer: Observer,
    config: Config,
    facts: Vec<Option<ConnectionFacts>>,
    previous: Option<Snapshot>,
}

impl Watch {
    /// A watch on what `observer` observes.
    #[must_use]
    pub fn new(observer: Observer, config: Config) -> Self {
        Self { observer, config, facts: Vec::new(), previous: None }
    }

    /// Takes in what our own connection to the database at `index` answered.
    pub fn set_facts(&mut self, index: usize, facts: Option<ConnectionFacts>) {
        if self.facts.len() <= index {
            self.facts.resize(index + 1, None);
        }
        self.facts[index] = facts;
    }

    /// One look, diagnosed.
    pub fn look(&mut self) -> Look {
        let began = Instant::now();
        let mut snapshot = self.observer.look();
        for (index, database) in snapshot.databases.iter_mut().enumerate() {
            let facts = self.facts.get(index).and_then(Option::as_deref);
            database.pragmas = compliance::rows(database, &self.config.profile, facts);
        }
        diagnose::diagnose(
            &mut snapshot,
            self.previous.as_ref(),
            &self.config.profile,
            &self.config.thresholds,
        );
        self.previous = Some(snapshot.clone());
        let trends = (0..snapshot.databases.len()).map(|index| self.observer.trend(index)).collect();
        Look { snapshot, trends, took: began.elapsed() }
    }
}

/// What a running sampler can be told.
#[derive(Debug)]
pub enum Order {
    /// Look now.
    Now,
    /// End, though somebody may still hold a way to give orders.
    End,
    /// Look this often from now on.
    Every(Duration),
    /// What our own connection to a database answered; `None`: it could not be asked.
    Facts {
        /// Which database.
        index: usize,
        /// What it answered.
        facts: Option<ConnectionFacts>,
    },
}

/// A running sampler. It ends when this is dropped.
#[derive(Debug)]
pub struct Sampler {
    orders: Sender<Order>,
    thread: Option<JoinHandle<()>>,
}

impl Sampler {
    /// Starts the thread; its looks arrive at the receiver, the newest only.
    ///
    /// # Errors
    ///
    /// Where the operating system gives no thread.
    pub fn start(
        watch: Watch,
        every: Duration,
    ) -> std::io::Result<(Self, watch::Receiver<Option<Arc<Look>>>)> {
        let (orders, inbox) = crossbeam_channel::unbounded();
        let (publish, looks) = watch::channel(None);
        let thread = std::thread::Builder::new()
            .name("waltop-sampler".to_owned())
            .spawn(move || keep_looking(watch, every, &inbox, &publish))?;
        Ok((Self { orders, thread: Some(thread) }, looks))
    }

    /// Tells the sampler something. One that has ended hears nothing.
    pub fn order(&self, order: Order) {
        let _ = self.orders.send(order);
    }

    /// A way to tell the sampler something from elsewhere.
    #[must_use]
    pub fn orders(&self) -> Sender<Order> {
        self.orders.clone()
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        self.order(Order::End);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn keep_looking(
    mut watch: Watch,
    mut every: Duration,
    inbox: &Receiver<Order>,
    publish: &watch::Sender<Option<Arc<Look>>>,
) {
    loop {
        let due = Instant::now() + every;
        if publish.send(Some(Arc::new(watch.look()))).is_err() {
            return;
        }
        match inbox.recv_deadline(due) {
            Ok(Order::Now) | Err(RecvTimeoutError::Timeout) => {}
            Ok(Order::Every(interval)) => every = interval,
            Ok(Order::Facts { index, facts }) => watch.set_facts(index, facts),
            Ok(Order::End) | Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}
