//! The scheduled checkpoints of the watched database, between two runs.
//!
//! As with the console's, a worker process runs each of them, and the ledger ensures that of all waltop processes only
//! one does. The sample before it opens the database's files raw: this process must have no connection then.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use jiff::Timestamp;

use crate::{
    act::schedule::{DueCheckpoint, run_checkpoint},
    config::{Config, Permit, profile::Schedule},
    diagnose::schedule::{self, CheckpointPlan},
    ingest::StopFlag,
    paths,
    snapshot::LastCheckpoint,
    state::schedule_ledger::ScheduleLedger,
};

use super::super::diagnosed;

/// Time until the next sample after a checkpoint was held back; it doubles each time after that.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest time until the next sample.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How often the timer checks whether the watch has to end while a worker is running.
const STOP_CHECK: Duration = Duration::from_millis(20);

/// The schedule of one database, and its state.
#[derive(Debug)]
pub struct CheckpointTimer<'a> {
    config: &'a Config,
    permit: Permit,
    database: PathBuf,
    asked: Schedule,
    ledger: ScheduleLedger,
    since: Timestamp,
    pause: Duration,
    not_before: Option<Instant>,
    /// The last notice about the checkpoint that is due: each is reported once.
    said: Option<String>,
}

impl<'a> CheckpointTimer<'a> {
    /// The timer of `database`, which may be new; `None` if its profile has no schedule.
    ///
    /// # Errors
    ///
    /// The configuration is read-only.
    pub fn of(database: &Path, config: &'a Config) -> anyhow::Result<Option<Self>> {
        // The console and other watches use this name for it.
        let database = paths::canonical_or_future(database).unwrap_or_else(|_| database.to_owned());
        let Some(asked) = config.profile_of(&database).checkpoint else { return Ok(None) };
        Ok(Some(Self {
            config,
            permit: config.permit()?,
            asked,
            ledger: ScheduleLedger::new(&config.places),
            since: Timestamp::now(),
            pause: FIRST_PAUSE,
            not_before: None,
            said: None,
            database,
        }))
    }

    /// When the next one is due, as far as is known now.
    pub fn next(&self) -> Instant {
        let now = Timestamp::now();
        let wait = self.due(self.ledger.last(&self.database).as_ref(), now).duration_since(now);
        let due = Instant::now() + Duration::try_from(wait).unwrap_or_default();
        self.not_before.map_or(due, |not_before| not_before.max(due))
    }

    /// Runs the checkpoint that is due, unless something blocks it. A worker that is running when `stop` is raised
    /// finishes by itself. Calls `tell` with a line if there is something to report.
    pub fn run(&mut self, stop: &StopFlag, tell: impl Fn(&str)) {
        let (now, last) = (Timestamp::now(), self.ledger.last(&self.database));
        let due = self.due(last.as_ref(), now);
        if due > now {
            return;
        }
        self.put_off();
        if !self.database.exists() {
            return;
        }
        let plan = match diagnosed(&self.database, self.config) {
            Ok(database) => schedule::plan(&database, self.asked.mode),
            Err(error) => CheckpointPlan::Wait(error.to_string()),
        };
        if let CheckpointPlan::Wait(why) = &plan {
            // The text includes how long something has lasted, so the notice is compared by checkpoint.
            self.notify_once(due.to_string(), &format!("the scheduled checkpoint waits: {why}"), tell);
            return;
        }
        let database = self.database.clone();
        let scheduled =
            DueCheckpoint { database, mode: self.asked.mode, plan, seen: last.map(|last| last.at) };
        match self.run_checkpoint(&scheduled, stop) {
            Ok(Some(last)) => {
                (self.pause, self.not_before, self.said) = (FIRST_PAUSE, None, None);
                // A checkpoint without frames is not reported each time.
                if scheduled.plan != CheckpointPlan::Idle {
                    tell(&format!(
                        "scheduled {} checkpoint of {}: {}",
                        last.mode,
                        self.database.display(),
                        last.outcome()
                    ));
                }
            }
            // Another process has or had the turn, or will have the next one; or the watch has to end.
            Ok(None) => self.pause = FIRST_PAUSE,
            Err(error) => {
                let line = format!("no scheduled checkpoint: {error}");
                self.notify_once(line.clone(), &line, tell);
            }
        }
    }

    /// When the checkpoint after `last` is due. A `last` in the future was recorded before the clock was set back.
    fn due(&self, last: Option<&LastCheckpoint>, now: Timestamp) -> Timestamp {
        let at = last.map(|last| last.at).filter(|at| *at <= now);
        schedule::due(self.asked, &self.database, at, self.since.min(now))
    }

    /// Delays the next sample, whatever this checkpoint's result.
    fn put_off(&mut self) {
        self.not_before = Some(Instant::now() + self.pause.min(self.asked.every));
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
    }

    fn notify_once(&mut self, of: String, line: &str, tell: impl Fn(&str)) {
        if self.said.as_ref() != Some(&of) {
            tell(line);
            self.said = Some(of);
        }
    }

    fn run_checkpoint(
        &self,
        scheduled: &DueCheckpoint,
        stop: &StopFlag,
    ) -> std::io::Result<Option<LastCheckpoint>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let stopped = async {
            while !stop.is_raised() {
                tokio::time::sleep(STOP_CHECK).await;
            }
        };
        runtime.block_on(async {
            tokio::select! {
                done = run_checkpoint(self.permit, &self.ledger, scheduled) => done,
                () = stopped => Ok(None),
            }
        })
    }
}
