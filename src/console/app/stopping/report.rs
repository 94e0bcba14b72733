//! The reports about processes that were sent a signal.

use log::Level;

use crate::{
    act::{
        ConfirmedAction, StopResult,
        reap::{GRACE, StopAftermath, StopOutcome},
        schedule::DueCheckpoint,
        signal::StopSignal,
    },
    console::dialogs::{PendingStop, StoppedProcess},
    snapshot::Database,
    units,
};

/// Records what happened to one process of `ending` and returns the report.
pub(super) fn record(ending: &mut PendingStop, ended: StopResult) -> (Level, String) {
    let StopResult { target, signal, end, at, .. } = ended;
    ending.known_at = ending.known_at.max(at);
    let found = ending.waiting.iter().position(|it| it.target == target);
    let Some(stopped) = found.map(|at| ending.waiting.swap_remove(at)) else {
        return (Level::Info, format!("{} has ended", target.pid));
    };
    match end {
        StopOutcome::Gone => {
            let text = format!("{stopped} has ended after {signal}");
            ending.gone.push(stopped);
            (Level::Info, text)
        }
        StopOutcome::Stays => {
            let grace = units::duration(GRACE.as_secs_f64() * 1e3);
            let advice = if signal == StopSignal::Kill {
                "it waits inside the kernel, and ends once that is over"
            } else {
                "only KILL ends it now"
            };
            let text = format!("{stopped} is still there {grace} after {signal}: {advice}");
            ending.stays.push(stopped);
            (Level::Warn, text)
        }
        StopOutcome::GoesOn => {
            let text = format!("{stopped} was sent CONT");
            ending.stays.push(stopped);
            (Level::Info, text)
        }
        StopOutcome::Refused(refusal) => {
            ending.refused += 1;
            (Level::Warn, refusal.to_string())
        }
    }
}

/// What `database` shows of processes that exited or were resumed.
pub(super) fn verdict(ending: &PendingStop, database: &Database) -> Option<(Level, String)> {
    if ending.signal == StopSignal::Cont {
        let stopped = ending.stays.first()?;
        let process = database.process(stopped.target.pid)?;
        return Some(if process.is_stopped() {
            (
                Level::Warn,
                format!("{stopped} is {} all the same: what holds it must let it go", process.state),
            )
        } else {
            (Level::Info, format!("{stopped} runs again after CONT: it is {}", process.state))
        });
    }
    let targets = |stopped: &[StoppedProcess]| stopped.iter().map(|it| it.target).collect::<Vec<_>>();
    let aftermath = StopAftermath::of(database, &targets(&ending.gone), &targets(&ending.stays));
    let (signal, stays) = (ending.signal, ending.stays.len());
    let who = match (&ending.gone[..], &ending.stays[..]) {
        ([], []) => return None,
        ([gone], []) if ending.refused == 0 => format!("{gone} has ended after {signal}"),
        ([], [stays]) if ending.refused == 0 => format!("{stays} is still there after {signal}"),
        _ => {
            let mut text = format!("{} of {} gone", units::count(ending.gone.len() as u64), ending.count());
            if stays > 0 {
                text += &format!(", {stays} still there");
            }
            if ending.refused > 0 {
                text += &format!(", {} got no signal", ending.refused);
            }
            text
        }
    };
    let is_good = stays == 0 && ending.refused == 0 && aftermath.is_good();
    Some((if is_good { Level::Info } else { Level::Warn }, format!("{who}: {aftermath}")))
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

pub(super) fn in_all(waiting: &[StoppedProcess]) -> String {
    match waiting {
        [one] => format!("{one} is"),
        some => format!("{} processes are", some.len()),
    }
}
