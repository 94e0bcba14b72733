//! What watches the locks between the samples: the lock sampler or the kernel's trace, and the activity of the holders.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use super::{
    activity::{ActivitySampler, ActivityTargets},
    lock_sampler::{LockSampler, SampledDatabase, SamplingPace},
    trace::LockTracer,
    watched::DatabaseWatch,
};
use crate::{
    config::TraceMode,
    history::LockOwner,
    snapshot::{Database, LabelRules, PossibleWaiter, SamplingFacts, TraceFacts, Unseen},
};

/// The threads that watch the locks. Without a start nothing is watched.
#[derive(Debug, Default)]
pub struct LockWatch {
    sampler: Option<LockSampler>,
    activities: Option<ActivitySampler>,
    tracer: Option<LockTracer>,
    trace_mode: TraceMode,
    /// Why a thread could not be started, or has ended.
    troubles: Vec<Unseen>,
}

impl LockWatch {
    /// Starts to sample the locks of `watched`, and what their holders do.
    pub fn start(&mut self, proc: &Path, watched: &[DatabaseWatch], rules: LabelRules, pace: SamplingPace) {
        if self.sampler.is_some() {
            return;
        }
        match LockSampler::start(proc, self.sampled(watched), rules, pace) {
            Ok(sampler) => self.sampler = Some(sampler),
            Err(error) => self.note("locks held between the samples", &error.to_string()),
        }
        match ActivitySampler::start(proc) {
            Ok(activities) => self.activities = Some(activities),
            Err(error) => self.note("what the holders of locks do", &error.to_string()),
        }
        self.set_holders(&[], watched);
    }

    /// Traces the locks of `watched` in place of sampling them, as `mode` wants it. Returns why it does not, unless
    /// `mode` forbids it.
    pub fn trace(
        &mut self,
        proc: &Path,
        watched: &[DatabaseWatch],
        rules: LabelRules,
        mode: TraceMode,
    ) -> Option<String> {
        if mode == TraceMode::Off {
            return None;
        }
        if mode == TraceMode::Auto && !rustix::process::geteuid().is_root() {
            return Some("the kernel's trace of lock requests needs root".to_owned());
        }
        self.trace_mode = mode;
        let targets = watched.iter().map(DatabaseWatch::traced).collect();
        match LockTracer::start(proc, targets, rules) {
            Ok(tracer) => {
                self.tracer = Some(tracer);
                self.set_sampled(watched);
                None
            }
            Err(error) => {
                if mode == TraceMode::On {
                    self.note(TRACE, &error.to_string());
                }
                Some(error.to_string())
            }
        }
    }

    /// Watches `watched` from now on, if anything was watched before.
    pub fn set_databases(&mut self, proc: &Path, watched: &[DatabaseWatch], rules: LabelRules) {
        let was_traced = self.tracer.take().is_some();
        self.set_sampled(watched);
        self.set_holders(&[], watched);
        if was_traced {
            self.trace(proc, watched, rules, self.trace_mode);
        }
    }

    /// Names processes by `rules` from now on.
    pub fn set_label_rules(&self, rules: &LabelRules) {
        self.sampler.iter().for_each(|sampler| sampler.set_label_rules(rules.clone()));
        self.tracer.iter().for_each(|tracer| tracer.set_label_rules(rules.clone()));
    }

    /// Whether anything is watched.
    pub fn is_watching(&self) -> bool {
        self.sampler.is_some() || self.tracer.is_some()
    }

    /// Whether each lock request is known.
    pub fn is_tracing(&self) -> bool {
        self.tracer.is_some()
    }

    /// The cost of sampling, as of `now`.
    pub fn cost(&mut self, now: Instant) -> Option<SamplingFacts> {
        self.sampler.as_mut().map(|sampler| sampler.cost(now))
    }

    /// What could not be watched.
    pub fn unseen(&self) -> &[Unseen] {
        &self.troubles
    }

    /// Fills in what the holders of `databases` did, and watches them from now on.
    pub fn fill_in_activities(&self, databases: &mut [Database], watched: &[DatabaseWatch], now: Instant) {
        let Some(activities) = &self.activities else { return };
        for process in databases.iter_mut().flat_map(|database| &mut database.processes) {
            process.activity = process.identity().and_then(|process| activities.activity_of(process, now));
        }
        for (index, database) in databases.iter_mut().enumerate() {
            database.locks.own_waiters = activities.own_waiters(index);
            let Some(writer) = &database.locks.writer else { continue };
            // In the moments between the two samples the lock may have passed to one of them.
            let mut waiters = activities.possible_waiters(index);
            waiters.retain(|waiter| Some(waiter.pid) != writer.pid);
            database.locks.possible_waiters = waiters;
        }
        for (database, watched) in databases.iter().zip(watched) {
            watched.history().possible_waits_are(now, possible_waits(database));
        }
        self.set_holders(databases, watched);
    }

    /// Fills in what the trace has shown. If it has ended, the locks are sampled from now on.
    pub fn fill_in_refusals(
        &mut self,
        databases: &mut [Database],
        watched: &[DatabaseWatch],
    ) -> Option<TraceFacts> {
        let results = self.tracer.as_ref()?.results();
        for (database, refusals) in databases.iter_mut().zip(results.refusals) {
            database.locks.refusals = Some(refusals);
        }
        if let Some(why) = results.failure {
            self.tracer = None;
            self.note(TRACE, &why);
            self.set_sampled(watched);
        }
        Some(results.facts)
    }

    fn set_sampled(&self, watched: &[DatabaseWatch]) {
        if let Some(sampler) = &self.sampler {
            sampler.set_targets(self.sampled(watched));
        }
    }

    // Both would write the same holds.
    fn sampled(&self, watched: &[DatabaseWatch]) -> Vec<SampledDatabase> {
        if self.is_tracing() { Vec::new() } else { watched.iter().map(DatabaseWatch::sampled).collect() }
    }

    fn set_holders(&self, databases: &[Database], watched: &[DatabaseWatch]) {
        if let Some(activities) = &self.activities {
            let histories = watched.iter().map(|watched| watched.sampled().history).collect();
            let mut targets = ActivityTargets::of(databases, histories);
            // The trace shows each refused try.
            if self.is_tracing() {
                targets.openers.clear();
            }
            activities.set_targets(targets);
        }
    }

    fn note(&mut self, what: &str, why: &str) {
        self.troubles.push(Unseen { what: what.to_owned(), why: why.to_owned() });
    }
}

// For how long each process has looked as if it waited.
fn possible_waits(database: &Database) -> Vec<(Duration, LockOwner)> {
    let wait = |waiter: &PossibleWaiter| {
        let process = database.process(waiter.pid)?;
        let length = Duration::try_from_secs_f64(waiter.span_ms / 1e3).unwrap_or_default();
        let (pid, name) = (Some(waiter.pid), process.label.clone());
        Some((length, LockOwner { pid, start_ticks: process.start_ticks, name, ..LockOwner::default() }))
    };
    database.locks.possible_waiters.iter().filter_map(wait).collect()
}

const TRACE: &str = "the kernel's trace of lock requests";
