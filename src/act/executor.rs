//! Carries effects out, off the thread that draws, and reports what became of them.

use std::{
    collections::HashSet,
    ffi::OsStr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use crossbeam_channel::Sender;
use tokio::sync::mpsc::UnboundedSender;

use crate::{
    report,
    sampler::Order,
    snapshot::{Presence, Snapshot},
    units,
};

use super::{
    Act, Outcome, Report,
    signal::{Pinned, Signal, Target},
    worker,
};

/// How long a process that was asked to end is waited for.
const GRACE: Duration = Duration::from_secs(5);

/// Carries effects out.
pub struct Executor {
    outbox: UnboundedSender<Report>,
    proc: PathBuf,
    readonly: bool,
    pinned: Option<Arc<Pinned>>,
    /// The databases about whose pragmas a worker is being asked.
    asking: Arc<Mutex<HashSet<usize>>>,
}

impl Executor {
    /// An executor whose outcomes go to `outbox`; with `readonly` it refuses every [`Act`].
    #[must_use]
    pub fn new(outbox: UnboundedSender<Report>, proc: PathBuf, readonly: bool) -> Self {
        Self { outbox, proc, readonly, pinned: None, asking: Arc::default() }
    }

    /// Gets hold of a process; the answer is [`Report::Pinned`].
    pub fn pin(&mut self, target: Target) {
        let pinned = Pinned::open(target, &self.proc);
        let answer = match pinned {
            Ok(pinned) => {
                self.pinned = Some(Arc::new(pinned));
                Ok(target)
            }
            Err(refusal) => Err(refusal.to_string()),
        };
        self.send(Report::Pinned(answer));
    }

    /// Lets go of the pinned process.
    pub fn unpin(&mut self) {
        self.pinned = None;
    }

    /// Changes something, as confirmed.
    pub fn act(&mut self, act: Act) {
        if self.readonly {
            return self.report(Outcome::bad("started with --readonly: nothing was changed"));
        }
        match act {
            Act::Signal { target, signal } => self.signal(target, signal),
            Act::Checkpoint { database, mode } => self.spawn(async move {
                let mode = mode.to_string();
                let args = [
                    "checkpoint".as_ref(),
                    "--json".as_ref(),
                    "--mode".as_ref(),
                    mode.as_ref(),
                    database.as_os_str(),
                ];
                match worker::ask::<Vec<report::CheckpointReport>>(&args).await {
                    Ok(reports) => reports.first().map_or_else(
                        || Outcome::bad("the checkpoint gave no answer"),
                        report::CheckpointReport::outcome,
                    ),
                    Err(error) => Outcome::bad(error.to_string()),
                }
            }),
            Act::Fix { database } => self.spawn(async move {
                let args = ["fix".as_ref(), "--json".as_ref(), "--yes".as_ref(), database.as_os_str()];
                match worker::ask::<Vec<report::FixReport>>(&args).await {
                    Ok(reports) => {
                        Outcome::good(reports.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
                    }
                    Err(error) => Outcome::bad(error.to_string()),
                }
            }),
            Act::Ingest { database, folder, batch } => self.ingest(&database, &folder, &batch),
        }
    }

    /// Asks a worker for the pragmas; what it answers goes to the sampler, and whether it did to the console.
    pub fn ask_pragmas(&self, index: usize, path: PathBuf, presence: Presence, orders: Sender<Order>) {
        let asking = Arc::clone(&self.asking);
        // One at a time for each database, however often it is asked for.
        if !asking.lock().unwrap_or_else(PoisonError::into_inner).insert(index) {
            return;
        }
        let outbox = self.outbox.clone();
        tokio::spawn(async move {
            let asked = worker::pragmas(&path, presence, None).await;
            let (facts, refusal) = match asked {
                Ok(facts) => (Some(facts), None),
                Err(error) => (None, Some(error.to_string())),
            };
            asking.lock().unwrap_or_else(PoisonError::into_inner).remove(&index);
            // Either may have ended meanwhile with the console.
            let _ = orders.send(Order::Facts { index, facts });
            let _ = outbox.send(Report::Pragmas { index, refusal });
        });
    }

    /// Writes `snapshot` to a new file in the working directory.
    pub fn export(&self, snapshot: &Snapshot) {
        let stamp = snapshot.taken_at.strftime("%Y%m%dT%H%M%SZ");
        let path = PathBuf::from(format!("waltop-{stamp}.json"));
        self.report(match report::write_json(&path, snapshot) {
            Ok(()) => Outcome::good(format!("written to {}", path.display())),
            Err(error) => Outcome::bad(format!("cannot write {}: {error}", path.display())),
        });
    }

    fn signal(&mut self, target: Target, signal: Signal) {
        let Some(pinned) = self.pinned.take().filter(|pinned| pinned.target() == target) else {
            return self.report(Outcome::bad(format!("{} is not the process that was pinned", target.pid)));
        };
        if let Err(refusal) = pinned.send(signal) {
            return self.report(Outcome::bad(refusal.to_string()));
        }
        if signal == Signal::Cont {
            return self.report(Outcome::good(format!("{} was sent CONT and goes on", target.pid)));
        }
        let outbox = self.outbox.clone();
        tokio::task::spawn_blocking(move || {
            let outcome = if pinned.wait(GRACE) {
                Outcome::good(format!("{} has ended after {signal}", target.pid))
            } else {
                let grace = units::duration(GRACE.as_secs_f64() * 1e3);
                Outcome::partial(format!(
                    "{} is still there {grace} after {signal}; x again, with KILL, ends it",
                    target.pid
                ))
            };
            let _ = outbox.send(Report::Outcome(outcome));
        });
    }

    fn ingest(&self, database: &Path, folder: &Path, batch: &str) {
        let args: [&OsStr; 8] = [
            "ingest".as_ref(),
            "--detached".as_ref(),
            "--batch".as_ref(),
            batch.as_ref(),
            "--db".as_ref(),
            database.as_os_str(),
            "--".as_ref(),
            folder.as_os_str(),
        ];
        let (pid, end) = match worker::detach(&args) {
            Ok(started) => started,
            Err(error) => return self.report(Outcome::bad(format!("no ingestion: {error}"))),
        };
        let folder = folder.file_name().unwrap_or(folder.as_os_str()).to_string_lossy().into_owned();
        self.spawn(async move {
            match end.await {
                Ok(()) => Outcome::good(format!("the ingestion of {folder} has ended, process {pid}")),
                Err(error) => Outcome::bad(format!("the ingestion of {folder} ended: {error}")),
            }
        });
    }

    fn spawn(&self, act: impl Future<Output = Outcome> + Send + 'static) {
        let outbox = self.outbox.clone();
        tokio::spawn(async move {
            // The console may have quit meanwhile; then nobody waits for the outcome.
            let _ = outbox.send(Report::Outcome(act.await));
        });
    }

    fn report(&self, outcome: Outcome) {
        self.send(Report::Outcome(outcome));
    }

    fn send(&self, report: Report) {
        let _ = self.outbox.send(report);
    }
}
