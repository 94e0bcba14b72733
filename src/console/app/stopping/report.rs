//! The reports about processes that were sent a signal.

use std::{fmt, path::Path};

use log::Level;

use crate::{
    act::{
        ConfirmedAction, StopResult,
        reap::{self, GRACE, StopAftermath, StopOutcome},
        schedule::DueCheckpoint,
        signal::{SignalRefusal, SignalTarget, StopSignal},
    },
    console::dialogs::{PendingStop, StoppedProcess},
    sampler::Sample,
    snapshot::{Database, Process, ProcessState},
    units,
};

/// What became of processes that were sent a signal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StopReport {
    /// A process that waltop no longer waited for.
    Ended {
        pid: i32,
    },
    Gone {
        stopped: StoppedProcess,
        signal: StopSignal,
    },
    /// It is there after the grace period.
    Stays {
        stopped: StoppedProcess,
        signal: StopSignal,
    },
    Continued {
        stopped: StoppedProcess,
    },
    Refused(SignalRefusal),
    /// A sample shows it running after CONT.
    Runs {
        stopped: StoppedProcess,
        state: ProcessState,
    },
    /// A sample shows it stopped after CONT.
    StaysStopped {
        stopped: StoppedProcess,
        state: ProcessState,
    },
    /// A sample shows several after CONT.
    AllContinued {
        /// How many were sent it, of how many.
        sent: usize,
        all: usize,
        still_stopped: Vec<StoppedProcess>,
    },
    /// What a sample shows of all of them.
    Aftermath {
        pending: StopTally,
        aftermath: StopAftermath,
    },
}

/// The processes of a [`StopReport::Aftermath`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StopTally {
    pub signal: StopSignal,
    pub gone: Vec<StoppedProcess>,
    pub stays: Vec<StoppedProcess>,
    /// How many got no signal.
    pub refused: usize,
}

impl StopReport {
    pub fn level(&self) -> Level {
        let is_good = match self {
            Self::Ended { .. } | Self::Gone { .. } | Self::Continued { .. } | Self::Runs { .. } => true,
            Self::Stays { .. } | Self::Refused(_) | Self::StaysStopped { .. } => false,
            Self::AllContinued { sent, all, still_stopped } => sent == all && still_stopped.is_empty(),
            Self::Aftermath { pending, aftermath } => {
                pending.stays.is_empty() && pending.refused == 0 && aftermath.is_good()
            }
        };
        if is_good { Level::Info } else { Level::Warn }
    }
}

impl fmt::Display for StopReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ended { pid } => write!(f, "{pid} has ended"),
            Self::Gone { stopped, signal } => write!(f, "{stopped} has ended after {signal}"),
            Self::Stays { stopped, signal } => {
                let grace = units::duration(units::milliseconds(GRACE));
                let advice = if *signal == StopSignal::Kill {
                    "it waits inside the kernel, and ends once that is over"
                } else {
                    "only KILL ends it now"
                };
                write!(f, "{stopped} is still there {grace} after {signal}: {advice}")
            }
            Self::Continued { stopped } => write!(f, "{stopped} was sent CONT"),
            Self::Refused(refusal) => refusal.fmt(f),
            Self::Runs { stopped, state } => write!(f, "{stopped} runs again after CONT: it is {state}"),
            Self::StaysStopped { stopped, state } => {
                write!(f, "{stopped} is {state} all the same: what holds it must let it go")
            }
            Self::AllContinued { sent, all, still_stopped } => {
                write!(f, "{} of {all} run after CONT", sent - still_stopped.len())?;
                if still_stopped.is_empty() {
                    return Ok(());
                }
                let still: Vec<String> = still_stopped.iter().map(ToString::to_string).collect();
                write!(f, "; still stopped, by what holds them: {}", still.join(", "))
            }
            Self::Aftermath { pending, aftermath } => write!(f, "{pending}: {aftermath}"),
        }
    }
}

impl fmt::Display for StopTally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { signal, gone, stays, refused } = self;
        match (&gone[..], &stays[..]) {
            ([gone], []) if *refused == 0 => write!(f, "{gone} has ended after {signal}"),
            ([], [stays]) if *refused == 0 => write!(f, "{stays} is still there after {signal}"),
            _ => {
                let all = gone.len() + stays.len() + refused;
                write!(f, "{} of {all} gone", units::count(gone.len() as u64))?;
                if !stays.is_empty() {
                    write!(f, ", {} still there", stays.len())?;
                }
                if *refused > 0 {
                    write!(f, ", {refused} got no signal")?;
                }
                Ok(())
            }
        }
    }
}

/// Records what happened to one process of `ending` and returns the report.
pub(super) fn record(ending: &mut PendingStop, ended: StopResult) -> StopReport {
    let StopResult { target, signal, end, at, .. } = ended;
    ending.known_at = ending.known_at.max(at);
    let found = ending.waiting.iter().position(|it| it.target == target);
    let Some(stopped) = found.map(|at| ending.waiting.swap_remove(at)) else {
        return StopReport::Ended { pid: target.pid };
    };
    match end {
        StopOutcome::Gone => {
            ending.gone.push(stopped.clone());
            StopReport::Gone { stopped, signal }
        }
        StopOutcome::Stays => {
            ending.stays.push(stopped.clone());
            StopReport::Stays { stopped, signal }
        }
        StopOutcome::GoesOn => {
            ending.stays.push(stopped.clone());
            StopReport::Continued { stopped }
        }
        StopOutcome::Refused(refusal) => {
            ending.refused += 1;
            StopReport::Refused(refusal)
        }
    }
}

/// What `database` shows of processes that exited or were resumed.
pub(super) fn verdict(ending: &PendingStop, database: &Database) -> Option<StopReport> {
    let PendingStop { signal, gone, stays, refused, .. } = ending;
    if *signal == StopSignal::Cont && ending.count() > 1 {
        return continued(ending, database);
    }
    if *signal == StopSignal::Cont {
        let stopped = stays.first()?.clone();
        let process = database.process(stopped.target.pid)?;
        let state = process.state;
        return Some(if process.is_stopped() {
            StopReport::StaysStopped { stopped, state }
        } else {
            StopReport::Runs { stopped, state }
        });
    }
    if gone.is_empty() && stays.is_empty() {
        return None;
    }
    let targets = |stopped: &[StoppedProcess]| stopped.iter().map(|it| it.target).collect::<Vec<_>>();
    let aftermath = StopAftermath::of(database, &targets(gone), &targets(stays), &ending.were_in_the_way);
    let pending = StopTally { signal: *signal, gone: gone.clone(), stays: stays.clone(), refused: *refused };
    Some(StopReport::Aftermath { pending, aftermath })
}

/// What `database` shows of several processes that were to continue.
fn continued(ending: &PendingStop, database: &Database) -> Option<StopReport> {
    if ending.stays.is_empty() {
        return None;
    }
    let is_stopped = |it: &&StoppedProcess| database.process(it.target.pid).is_some_and(Process::is_stopped);
    let still_stopped = ending.stays.iter().filter(is_stopped).cloned().collect();
    Some(StopReport::AllContinued { sent: ending.stays.len(), all: ending.count(), still_stopped })
}

/// What starts now; `subject` names the process of a signal to one.
pub(super) fn announcement(act: &ConfirmedAction, subject: Option<String>) -> String {
    match act {
        ConfirmedAction::Signal { targets, signal } => match targets.as_slice() {
            [target] => format!("{signal} goes to {}", subject.unwrap_or_else(|| target.pid.to_string())),
            targets => format!("{signal} goes to {} processes", targets.len()),
        },
        ConfirmedAction::Checkpoint { mode, .. } | ConfirmedAction::Scheduled(DueCheckpoint { mode, .. }) => {
            format!("a {mode} checkpoint runs")
        }
        ConfirmedAction::Ingest { folder, batch, .. } => {
            format!("an ingestion of {} starts, batch {batch}", folder.display())
        }
        ConfirmedAction::Fix { .. } => "the file is being fixed".to_owned(),
        ConfirmedAction::Health { depth, .. } => format!("a health check runs: {depth}"),
    }
}

/// The processes that keep frames of the log of `database` from being checkpointed, as of `sample`.
pub(super) fn in_the_way(sample: Option<&Sample>, database: &Path) -> Vec<SignalTarget> {
    let databases = sample.map_or(&[][..], |sample| &sample.snapshot.databases);
    databases.iter().find(|it| it.path == database).map_or_else(Vec::new, reap::in_the_way)
}

pub(super) fn in_all(waiting: &[StoppedProcess]) -> String {
    match waiting {
        [one] => format!("{one} is"),
        some => format!("{} processes are", some.len()),
    }
}
