//! Carries effects out, off the thread that draws, and reports their results.

use std::{
    collections::HashMap,
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
};

use crossbeam_channel::Sender;
use jiff::Timestamp;
use log::Level;
use tokio::{
    sync::{mpsc::UnboundedSender, oneshot},
    task::AbortHandle,
};

use crate::{
    config::Permit,
    diagnose::{
        health::{HealthDepth, HealthReport},
        schedule::CheckpointPlan,
    },
    ingest::StopFlag,
    report::{self, DatabaseReports},
    sampler::SamplerCommand,
    snapshot::{Presence, Snapshot},
    state::{folder::StateFolder, places::Places, schedule_ledger::ScheduleLedger},
    text, threads,
};

use super::{
    ActionOutcome, ConfirmedAction, EffectReport, StopResult,
    gate::ConfirmedEffect,
    job_queue::{Admission, JobQueue},
    reap::{self, GRACE, StopOutcome, StopRequest},
    running::{RunningWorkers, WorkerKind},
    schedule::{self, DueCheckpoint},
    signal::{PinnedProcess, SignalRefusal, SignalTarget, StopSignal},
    worker,
};

/// A database whose pragmas are requested, and what a new client would find there.
struct PragmaQuery {
    path: PathBuf,
    presence: Presence,
}

fn lock(questions: &Mutex<JobQueue<PragmaQuery>>) -> MutexGuard<'_, JobQueue<PragmaQuery>> {
    threads::lock(questions)
}

pub(super) fn still_runs(kind: WorkerKind, database: &Path) -> ActionOutcome {
    let name = database.file_name().unwrap_or(database.as_os_str()).to_string_lossy();
    ActionOutcome::partial(format!(
        "another {} of {name} is still running; try again when it has ended",
        kind.name()
    ))
}

mod reading;

pub struct EffectExecutor {
    outbox: UnboundedSender<EffectReport>,
    proc: PathBuf,
    state: PathBuf,
    ledger: ScheduleLedger,
    pinned: HashMap<SignalTarget, Arc<PinnedProcess>>,
    /// The databases whose pragmas workers read now, and those that wait.
    questions: Arc<Mutex<JobQueue<PragmaQuery>>>,
    /// The workers that change or check a database.
    running: RunningWorkers,
    /// Stops the health check that was started last.
    health: Option<oneshot::Sender<()>>,
    /// Stops the preview that was started last.
    preview: StopFlag,
    /// Each running preview has a clone.
    previews: Arc<()>,
    /// The task of the search that was started last.
    search: Option<AbortHandle>,
}

impl EffectExecutor {
    /// An executor whose results go to `outbox`; `places` says where processes are read and turns are stored.
    pub fn new(outbox: UnboundedSender<EffectReport>, places: &Places) -> Self {
        let (proc, ledger) = (places.proc.clone(), ScheduleLedger::new(places));
        Self {
            outbox,
            proc,
            state: places.state().to_owned(),
            ledger,
            pinned: HashMap::new(),
            questions: Arc::default(),
            running: RunningWorkers::default(),
            health: None,
            preview: StopFlag::default(),
            previews: Arc::default(),
            search: None,
        }
    }

    /// Pins processes instead of those pinned before; the answer is [`EffectReport::Pinned`].
    pub fn pin(&mut self, meant: &[StopRequest]) {
        self.pinned.clear();
        let mut pin = |meant: &StopRequest| {
            let pinned = meant.pin(&self.proc)?;
            self.pinned.insert(meant.target, Arc::new(pinned));
            Ok(())
        };
        let answers = meant.iter().map(|meant| (meant.target, pin(meant))).collect();
        self.send(EffectReport::Pinned(answers));
    }

    /// Releases the pinned processes.
    pub fn unpin(&mut self) {
        self.pinned.clear();
    }

    pub fn act(&mut self, confirmed: ConfirmedEffect) {
        let (act, permit) = confirmed.into_parts();
        match act {
            ConfirmedAction::Signal { targets, signal } => self.signal(permit, &targets, signal),
            ConfirmedAction::Checkpoint { database, mode } => {
                let path = database.clone();
                self.spawn(WorkerKind::Checkpoint, &database, async move {
                    match schedule::checkpoint(permit, &path, mode).await {
                        Ok(report) if report.complete => ActionOutcome::good(report.to_string()),
                        Ok(report) => ActionOutcome { level: Level::Warn, text: report.to_string() },
                        Err(error) => ActionOutcome::bad(error.to_string()),
                    }
                });
            }
            ConfirmedAction::Scheduled(due) => self.scheduled(permit, due),
            ConfirmedAction::Fix { database } => {
                let path = database.clone();
                self.spawn(WorkerKind::Fix, &database, async move {
                    let args = ["fix".as_ref(), "--json".as_ref(), "--yes".as_ref(), path.as_os_str()];
                    match worker::ask::<DatabaseReports<report::FixReport>>(permit, &args).await {
                        Ok(reports) => ActionOutcome::good(
                            reports.databases.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
                        ),
                        Err(error) => ActionOutcome::bad(error.to_string()),
                    }
                });
            }
            ConfirmedAction::Health { database, depth } => self.health(permit, &database, depth),
            ConfirmedAction::Ingest { database, folder, batch } => {
                self.ingest(permit, &database, &folder, &batch);
            }
        }
    }

    /// Asks a worker for the pragmas; its answer goes to the sampler, and its success or failure to the console. Waits
    /// for its turn if the maximum number of workers is running.
    pub fn ask_pragmas(
        &self,
        index: usize,
        path: PathBuf,
        presence: Presence,
        orders: Sender<SamplerCommand>,
    ) {
        let questions = Arc::clone(&self.questions);
        if lock(&questions).admit(index, PragmaQuery { path, presence }) == Admission::Later {
            return;
        }
        let outbox = self.outbox.clone();
        tokio::spawn(async move {
            loop {
                // Not in the condition of a `while let`, which would hold the lock until the worker answers.
                let next = lock(&questions).next();
                let Some((index, PragmaQuery { path, presence })) = next else { return };
                let (asked, lingering) = worker::pragmas(&path, presence, None).await;
                let (facts, refusal) = match asked {
                    Ok(facts) => (Some(facts), None),
                    Err(error) => (None, Some(error.to_string())),
                };
                // The receivers may be gone, because the console has quit.
                let _ = orders.send(SamplerCommand::Facts { index, facts });
                let _ = outbox.send(EffectReport::Pragmas { index, refusal });
                // A worker that was killed inside the kernel exits when the kernel is done with it, and others would
                // pile up behind it.
                lingering.wait_for_exit().await;
                lock(&questions).done(index);
            }
        });
    }

    /// Writes `snapshot` to a new file in the state folder.
    pub fn export(&self, snapshot: &Snapshot) {
        let stamp = snapshot.taken_at.strftime("%Y%m%dT%H%M%SZ");
        let path = self.state.join(format!("waltop-{stamp}.json"));
        let written = StateFolder::make(&self.state).and_then(|_| report::write_json(&path, snapshot));
        self.report(match written {
            Ok(()) => ActionOutcome::good(format!("written to {}", path.display())),
            Err(error) => ActionOutcome::bad(format!("cannot write {}: {error}", path.display())),
        });
    }

    /// Stops the running health check, if there is one.
    pub fn stop_health(&mut self) {
        if let Some(stop) = self.health.take() {
            // It may have finished.
            let _ = stop.send(());
        }
    }

    fn health(&mut self, permit: Permit, database: &Path, depth: HealthDepth) {
        let Some(place) = self.running.enter(WorkerKind::Health, database) else {
            return self.send(EffectReport::Health(still_runs(WorkerKind::Health, database)));
        };
        let (stop, stopped) = oneshot::channel();
        self.health = Some(stop);
        let (outbox, database) = (self.outbox.clone(), database.to_owned());
        tokio::spawn(async move {
            let mut args: Vec<&OsStr> = vec!["health".as_ref(), "--json".as_ref()];
            args.extend((depth == HealthDepth::QuickCheck).then_some(OsStr::new("--quick-check")));
            args.push(database.as_os_str());
            let outcome =
                match worker::ask_unless::<DatabaseReports<HealthReport>>(permit, &args, stopped).await {
                    Ok(reports) => reports.databases.first().map_or_else(
                        || ActionOutcome::bad("the health check gave no answer"),
                        |health| {
                            if health.healthy {
                                ActionOutcome::good(health.to_string())
                            } else {
                                ActionOutcome::bad(health.to_string())
                            }
                        },
                    ),
                    Err(error) => ActionOutcome::partial(format!("no health check: {error}")),
                };
            drop(place);
            // The console may have quit; then the outcome is not needed.
            let _ = outbox.send(EffectReport::Health(outcome));
        });
    }

    /// The pinned ones stay pinned: the user may ask again for those that do not exit.
    fn signal(&self, permit: Permit, targets: &[SignalTarget], signal: StopSignal) {
        let outbox = self.outbox.clone();
        let tell = move |target, end, restart| {
            let ended = StopResult { target, signal, end, restart, at: Timestamp::now() };
            // The console may have quit; then the report is not needed.
            let _ = outbox.send(EffectReport::Ended(ended));
        };
        let mut pinned = Vec::new();
        for target in targets {
            match self.pinned.get(target) {
                Some(held) => pinned.push(Arc::clone(held)),
                None => {
                    tell(*target, StopOutcome::Refused(SignalRefusal::Unpinned { pid: target.pid }), None);
                }
            }
        }
        // The runtime's thread pool panics if the system refuses a thread.
        if let Err(error) = threads::start("stop", move || reap::stop(permit, &pinned, signal, GRACE, tell)) {
            self.report(ActionOutcome::bad(format!("no signal was sent: {error}")));
        }
    }

    fn scheduled(&self, permit: Permit, due: DueCheckpoint) {
        // The next sample finds it due again.
        let Some(place) = self.running.enter(WorkerKind::Checkpoint, &due.database) else { return };
        let (outbox, ledger) = (self.outbox.clone(), self.ledger.clone());
        tokio::spawn(async move {
            let _place = place;
            let name = due.database.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let outcome = match schedule::run_checkpoint(permit, &ledger, &due).await {
                // Another waltop has the turn; or there was nothing to do, which is not reported each time.
                Ok(None) => return,
                Ok(Some(_)) if due.plan == CheckpointPlan::Idle => return,
                Ok(Some(last)) => {
                    let text = format!("{name}: scheduled {} checkpoint: {}", last.mode, last.outcome());
                    match (last.complete, last.frames_in_log) {
                        (Some(true), _) => ActionOutcome::good(text),
                        (_, Some(_)) => ActionOutcome::partial(text),
                        (_, None) => ActionOutcome::bad(text),
                    }
                }
                Err(error) => ActionOutcome::bad(format!("{name}: no scheduled checkpoint: {error}")),
            };
            // The console may have quit.
            let _ = outbox.send(EffectReport::Noted(outcome));
        });
    }

    fn ingest(&self, permit: Permit, database: &Path, folder: &Path, batch: &str) {
        let args: [OsString; 8] = [
            "ingest".into(),
            "--detached".into(),
            "--batch".into(),
            batch.into(),
            "--db".into(),
            database.into(),
            "--".into(),
            folder.into(),
        ];
        let (outbox, folder, database) = (self.outbox.clone(), folder.to_owned(), database.to_owned());
        tokio::spawn(async move {
            let refuse = |why: String| EffectReport::IngestRefused(text::clean(&why));
            let name = folder.file_name().unwrap_or(folder.as_os_str()).to_string_lossy().into_owned();
            // A network filesystem may not answer.
            let report = match tokio::task::spawn_blocking(move || refusal_of_folder(&folder)).await {
                Ok(Some(why)) => refuse(why),
                Err(error) => refuse(error.to_string()),
                Ok(None) => match worker::detach(permit, &args.each_ref().map(AsRef::as_ref)) {
                    Err(error) => refuse(error.to_string()),
                    Ok((pid, end)) => {
                        let _ = outbox.send(EffectReport::IngestStarted { database: database.clone(), pid });
                        match end.await {
                            Ok(end) => EffectReport::Ingested { name: text::clean(&name), pid, end },
                            Err(error) => {
                                let text = format!("the ingestion of {name} ended: {error}");
                                EffectReport::Outcome(ActionOutcome::bad(text))
                            }
                        }
                    }
                },
            };
            // The console may have quit; then the reports are not needed.
            let _ = outbox.send(EffectReport::IngestGone { database });
            let _ = outbox.send(report);
        });
    }

    // Runs `act`, the work of a worker of `kind`, unless such a worker is running.
    fn spawn(
        &self,
        kind: WorkerKind,
        database: &Path,
        act: impl Future<Output = ActionOutcome> + Send + 'static,
    ) {
        match self.running.enter(kind, database) {
            Some(place) => self.wait_for(async move {
                let outcome = act.await;
                drop(place);
                outcome
            }),
            None => self.report(still_runs(kind, database)),
        }
    }

    fn wait_for(&self, act: impl Future<Output = ActionOutcome> + Send + 'static) {
        let outbox = self.outbox.clone();
        tokio::spawn(async move {
            // The console may have quit; then the outcome is not needed.
            let _ = outbox.send(EffectReport::Outcome(act.await));
        });
    }

    fn report(&self, outcome: ActionOutcome) {
        self.send(EffectReport::Outcome(outcome));
    }

    fn send(&self, report: EffectReport) {
        let _ = self.outbox.send(report);
    }
}

/// Why `folder` cannot be ingested, if it cannot be.
fn refusal_of_folder(folder: &Path) -> Option<String> {
    match std::fs::metadata(folder) {
        Ok(metadata) if metadata.is_dir() => None,
        Ok(_) => Some(format!("{} is not a folder; name a folder", folder.display())),
        Err(error) => Some(format!("cannot read {}: {error}; check the path", folder.display())),
    }
}

#[cfg(test)]
mod tests;
