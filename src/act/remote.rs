//! Carries out what a console of other hosts confirms: waltop there does it, and judges it again.

use std::{collections::HashMap, ffi::OsString, path::Path, process::Stdio, time::Duration};

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use tokio::{
    process::Command,
    sync::{mpsc::UnboundedSender, oneshot},
    time::timeout,
};

use super::{
    ActionOutcome, ConfirmedAction, EffectReport, SignalReport, StopResult,
    executor::still_runs,
    gate::ConfirmedEffect,
    reap::{GRACE, StopOutcome, StopRequest},
    running::{RunningWorkers, WorkerKind},
    signal::{SignalRefusal, SignalTarget, StopSignal},
};
use crate::{
    diagnose::health::{HealthDepth, HealthReport},
    hosts::HostPath,
    remote::{self, SshHost},
    report::{CheckpointReport, DatabaseReports},
    units,
};

/// How long an action may take, beside the time that the process has after a signal. waltop there ends as its own would.
const LONGEST: Duration = Duration::from_mins(10);
const CONNECTING: Duration = Duration::from_secs(30);

/// See the module.
pub struct RemoteExecutor {
    hosts: Vec<SshHost>,
    outbox: UnboundedSender<EffectReport>,
    /// The processes of the open dialog, with the database of each.
    pinned: HashMap<SignalTarget, HostPath>,
    running: RunningWorkers,
    /// Stops the health check that was started last.
    health: Option<oneshot::Sender<()>>,
}

impl RemoteExecutor {
    pub fn new(hosts: Vec<SshHost>, outbox: UnboundedSender<EffectReport>) -> Self {
        let (pinned, running) = (HashMap::new(), RunningWorkers::default());
        Self { hosts, outbox, pinned, running, health: None }
    }

    /// Notes processes of `database` instead of those before. waltop there finds each by PID and start, and pins it before
    /// it sends a signal; the answer here is [`EffectReport::Pinned`].
    pub fn pin(&mut self, meant: &[StopRequest], database: Option<&Path>) {
        self.pinned.clear();
        let place = database.and_then(|path| self.place(path));
        let mut pin = |meant: &StopRequest| {
            let pid = meant.target.pid;
            if let Some(why) = &meant.protected {
                return Err(SignalRefusal::Spared { pid, why: why.clone() });
            }
            let place = place.clone().ok_or(SignalRefusal::Unpinned { pid })?;
            self.pinned.insert(meant.target, place);
            Ok(())
        };
        let answers = meant.iter().map(|meant| (meant.target, pin(meant))).collect();
        let _ = self.outbox.send(EffectReport::Pinned(answers));
    }

    /// Forgets them.
    pub fn unpin(&mut self) {
        self.pinned.clear();
    }

    /// Stops the running health check, if there is one.
    pub fn stop_health(&mut self) {
        if let Some(stop) = self.health.take() {
            // It may have finished.
            let _ = stop.send(());
        }
    }

    pub fn act(&mut self, confirmed: ConfirmedEffect) {
        // The permit of waltop there decides as well.
        let (act, _permit) = confirmed.into_parts();
        match act {
            ConfirmedAction::Signal { targets, signal } => {
                for target in targets {
                    self.signal(target, signal);
                }
            }
            ConfirmedAction::Checkpoint { database, mode } => {
                let words = ["checkpoint".into(), "--json".into(), "--mode".into(), mode.to_string().into()];
                self.work(WorkerKind::Checkpoint, &database, words.into(), |answer| match answer {
                    Ok(DatabaseReports::<CheckpointReport> { databases }) => match databases.first() {
                        Some(report) if report.complete => ActionOutcome::good(report.to_string()),
                        Some(report) => ActionOutcome::partial(report.to_string()),
                        None => ActionOutcome::bad("the checkpoint gave no answer"),
                    },
                    Err(why) => ActionOutcome::bad(why),
                });
            }
            ConfirmedAction::Health { database, depth } => self.check(&database, depth),
            ConfirmedAction::Scheduled(_) | ConfirmedAction::Ingest { .. } | ConfirmedAction::Fix { .. } => {
                self.report(ActionOutcome::bad("nothing was done: that is not possible over --host"));
            }
        }
    }

    fn signal(&self, target: SignalTarget, signal: StopSignal) {
        let pid = target.pid;
        let outbox = self.outbox.clone();
        let place = self.pinned.get(&target).cloned();
        let Some((host, place)) = place.and_then(|place| Some((self.host(&place)?, place))) else {
            let end = StopOutcome::Refused(SignalRefusal::Unpinned { pid });
            let ended = StopResult { target, signal, end, restart: None, at: Timestamp::MIN };
            let _ = outbox.send(EffectReport::Ended(ended));
            return;
        };
        let grace = format!("{}s", GRACE.as_secs());
        let mut words: Vec<OsString> = ["stop", "--yes", "--json", "--pid"].map(Into::into).into();
        words.extend(
            [pid.to_string(), "--started".to_owned(), target.start_ticks.to_string()].map(Into::into),
        );
        words
            .extend(["--signal".to_owned(), signal.to_string(), "--grace".to_owned(), grace].map(Into::into));
        words.extend(["--".into(), place.path.into()]);
        tokio::spawn(async move {
            let ended = match ask::<SignalReport>(&host, &words, GRACE + CONNECTING).await {
                Ok(SignalReport { outcome, restart, at, .. }) => {
                    StopResult { target, signal, end: outcome.into(), restart, at }
                }
                Err(why) => {
                    let end = StopOutcome::Refused(SignalRefusal::There { pid, why });
                    // The clock there is not known.
                    StopResult { target, signal, end, restart: None, at: Timestamp::MIN }
                }
            };
            // The console may have quit.
            let _ = outbox.send(EffectReport::Ended(ended));
        });
    }

    fn check(&mut self, database: &Path, depth: HealthDepth) {
        let Some((host, place)) = self.place(database).and_then(|place| Some((self.host(&place)?, place)))
        else {
            return self.report(unknown_host());
        };
        let Some(slot) = self.running.enter(WorkerKind::Health, database) else {
            let _ = self.outbox.send(EffectReport::Health(still_runs(WorkerKind::Health, database)));
            return;
        };
        let (stop, stopped) = oneshot::channel();
        self.health = Some(stop);
        let mut words: Vec<OsString> = ["health", "--json"].map(Into::into).into();
        words.extend((depth == HealthDepth::QuickCheck).then(|| "--quick-check".into()));
        words.extend(["--".into(), place.path.into()]);
        let outbox = self.outbox.clone();
        tokio::spawn(async move {
            let outcome = tokio::select! {
                answer = ask::<DatabaseReports<HealthReport>>(&host, &words, LONGEST) => match answer {
                    Ok(reports) => match reports.databases.first() {
                        Some(health) if health.healthy => ActionOutcome::good(health.to_string()),
                        Some(health) => ActionOutcome::bad(health.to_string()),
                        None => ActionOutcome::bad("the health check gave no answer"),
                    },
                    Err(why) => ActionOutcome::partial(format!("no health check: {why}")),
                },
                // The end of ssh ends what it runs there at its next output; what it has written is rolled back.
                Ok(()) = stopped => ActionOutcome::partial("the health check is no longer waited for"),
            };
            drop(slot);
            let _ = outbox.send(EffectReport::Health(outcome));
        });
    }

    fn work<T: DeserializeOwned + Send + 'static>(
        &self,
        kind: WorkerKind,
        database: &Path,
        mut words: Vec<OsString>,
        outcome: impl FnOnce(Result<T, String>) -> ActionOutcome + Send + 'static,
    ) {
        let Some((host, place)) = self.place(database).and_then(|place| Some((self.host(&place)?, place)))
        else {
            return self.report(unknown_host());
        };
        let Some(slot) = self.running.enter(kind, database) else {
            return self.report(still_runs(kind, database));
        };
        words.extend(["--".into(), place.path.into()]);
        let outbox = self.outbox.clone();
        tokio::spawn(async move {
            let outcome = outcome(ask(&host, &words, LONGEST).await);
            drop(slot);
            let _ = outbox.send(EffectReport::Outcome(outcome));
        });
    }

    fn place(&self, database: &Path) -> Option<HostPath> {
        HostPath::of(database, self.hosts.iter().map(SshHost::name))
    }

    fn host(&self, place: &HostPath) -> Option<SshHost> {
        self.hosts.iter().find(|host| host.name() == place.host).cloned()
    }

    fn report(&self, outcome: ActionOutcome) {
        let _ = self.outbox.send(EffectReport::Outcome(outcome));
    }
}

fn unknown_host() -> ActionOutcome {
    ActionOutcome::bad("nothing was done: the database is on none of the hosts")
}

/// Runs `waltop WORDS…` on `host` and reads its answer; an error is the reason in one line.
async fn ask<T: DeserializeOwned>(host: &SshHost, words: &[OsString], within: Duration) -> Result<T, String> {
    let mut command = Command::from(host.command(words));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let output = match timeout(within, command.output()).await {
        Ok(Ok(output)) => output,
        Ok(Err(error)) => return Err(remote::of_start(host, &error).to_string()),
        Err(_) => {
            let waited = units::duration(units::milliseconds(within));
            return Err(format!(
                "{} has not answered within {waited}: what it has done is not known",
                host.name()
            ));
        }
    };
    if output.stdout.is_empty() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        return Err(remote::of_command(host, output.status, &complaint).to_string());
    }
    serde_json::from_slice(&output.stdout)
        .map_err(|error| format!("the answer of {} makes no sense: {error}", host.name()))
}
