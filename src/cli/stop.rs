//! `waltop stop`: a signal to one process, which is found and judged right before it.

use std::{
    io::{self, IsTerminal},
    path::PathBuf,
    sync::Arc,
    thread,
    time::Duration,
};

use anyhow::bail;
use jiff::Timestamp;

use crate::{
    act::{
        SignalOutcome, SignalReport,
        reap::{self, StopOutcome, StopRequest},
        signal::{SignalRefusal, SignalTarget, StopSignal},
    },
    config::{Config, duration_of},
    observe::Observer,
    sampler::Monitor,
    snapshot::{Database, Process},
    text, units,
};

use super::{BETWEEN_LOOKS, databases, output::answer, pid_of, print_json, print_line};

#[derive(Debug, clap::Args)]
pub struct StopArgs {
    /// The database that it has open.
    #[arg(value_name = "DB")]
    database: PathBuf,
    /// The process.
    #[arg(long, value_name = "PID", value_parser = pid_of)]
    pid: i32,
    /// Its start, in clock ticks since boot, as `start_ticks` of waltop status --json has it. Another process with that PID
    /// gets no signal.
    #[arg(long, value_name = "TICKS")]
    started: Option<u64>,
    /// The signal. After TERM and INT a process can end in good order; CONT resumes a stopped one.
    #[arg(long, value_enum, ignore_case = true, value_name = "SIGNAL", default_value_t = StopSignal::Term)]
    signal: StopSignal,
    /// How long to wait for its exit.
    #[arg(long, value_name = "DURATION", value_parser = duration_of, default_value = "5s")]
    grace: Duration,
    /// Do not ask for confirmation.
    #[arg(long)]
    yes: bool,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

/// Sends the signal if the user agrees.
///
/// # Errors
///
/// The process does not have the database open, is another one, or must not get the signal.
pub fn run(args: &StopArgs, config: &Config) -> anyhow::Result<u8> {
    let permit = config.permit()?;
    if !args.yes && !io::stdin().is_terminal() {
        bail!("nothing was signalled: there is no terminal to ask on; give --yes");
    }
    let paths = databases(std::slice::from_ref(&args.database), config)?;
    let mut watch = Monitor::new(Observer::new(&config.places, paths), config.clone());
    watch.sample();
    thread::sleep(BETWEEN_LOOKS);
    let before = watch.confirmed_sample();
    let (who, meant) = args.request(&before.snapshot.databases)?;
    let mut pinned = Arc::new(meant.pin(&config.places.proc)?);
    if !args.yes {
        if !answer(&format!("send {} to {}?", args.signal, text::clean(&who)))? {
            return Ok(1);
        }
        // The answer may have come an hour after the question.
        let (_, meant) = args.request(&watch.confirmed_sample().snapshot.databases)?;
        pinned = Arc::new(meant.pin(&config.places.proc)?);
    }
    let mut ended = None;
    reap::stop(permit, std::slice::from_ref(&pinned), args.signal, args.grace, |_, end, restart| {
        ended = Some((end, restart));
    });
    let Some((end, restart)) = ended else { bail!("no signal was sent to {who}") };
    let outcome = match end {
        StopOutcome::Refused(refusal) => return Err(refusal.into()),
        StopOutcome::Gone => SignalOutcome::Gone,
        StopOutcome::Stays => SignalOutcome::StillThere,
        StopOutcome::GoesOn => SignalOutcome::Resumed,
    };
    let path = before.snapshot.databases.first().map_or_else(|| args.database.clone(), |it| it.path.clone());
    let SignalTarget { pid, start_ticks: started } = pinned.target();
    let report =
        SignalReport { path, pid, started, signal: args.signal, outcome, restart, at: Timestamp::now() };
    if args.json {
        print_json(&report)?;
    } else {
        args.print(&report, &who)?;
    }
    Ok(u8::from(outcome == SignalOutcome::StillThere))
}

impl StopArgs {
    // The process and the request to signal it, if `databases` allow that.
    fn request(&self, databases: &[Database]) -> anyhow::Result<(String, StopRequest)> {
        let pid = self.pid;
        let find = |database| Database::process(database, pid);
        if let Some(process) = databases.iter().find_map(find) {
            let meant = self.request_of(process, databases)?;
            return Ok((process.who(), meant));
        }
        let own = databases.iter().find_map(|database| own_run(database, pid));
        let Some((_, start_ticks)) = own else {
            bail!("{pid} does not have the database open; nothing was signalled");
        };
        let start_ticks = start_ticks.ok_or(SignalRefusal::Nameless { pid })?;
        self.refuse_another(Some(start_ticks))?;
        Ok((pid.to_string(), StopRequest::ingestion(SignalTarget { pid, start_ticks })))
    }

    fn request_of(&self, process: &Process, databases: &[Database]) -> Result<StopRequest, SignalRefusal> {
        let pid = self.pid;
        self.refuse_another(process.start_ticks)?;
        let meant = StopRequest::new(process)?;
        // It may be the last process that has the data.
        if let Some(why) = reap::only_copy(meant.target, databases).filter(|_| self.signal.ends()) {
            return Err(SignalRefusal::Spared { pid, why });
        }
        let is_orderly = matches!(self.signal, StopSignal::Term | StopSignal::Int);
        if is_orderly && reap::is_split(databases, process) {
            return Err(SignalRefusal::Split { pid });
        }
        Ok(meant)
    }

    fn refuse_another(&self, start_ticks: Option<u64>) -> Result<(), SignalRefusal> {
        let is_meant = self.started.is_none_or(|started| start_ticks == Some(started));
        if is_meant { Ok(()) } else { Err(SignalRefusal::Reused { pid: self.pid }) }
    }

    fn print(&self, report: &SignalReport, who: &str) -> anyhow::Result<()> {
        let signal = report.signal;
        let line = match report.outcome {
            SignalOutcome::Gone => format!("{who} has ended after {signal}"),
            SignalOutcome::Resumed => format!("{who} was sent {signal}"),
            SignalOutcome::StillThere => {
                let grace = units::duration(units::milliseconds(self.grace));
                format!("{who} is still there {grace} after {signal}; try a longer --grace, or --signal KILL")
            }
        };
        print_line(&text::clean(&line))?;
        match &report.restart {
            Some(restart) if report.outcome == SignalOutcome::Gone => {
                print_line(&format!("  to start it again: {restart}"))
            }
            _ => Ok(()),
        }
    }
}

// The start of `pid`, if it runs an ingestion or a watch of waltop for `database`, which need not have it open now.
fn own_run(database: &Database, pid: i32) -> Option<(i32, Option<u64>)> {
    let runs = database.ingestions.iter().filter(|it| it.is_running()).map(|it| (it.pid, it.start_ticks));
    let watchers = database.watchers.iter().map(|it| (it.pid, it.start_ticks));
    runs.chain(watchers).find(|(found, _)| *found == pid)
}
