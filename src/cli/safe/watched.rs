//! The command that `waltop safe --for vacuum -- COMMAND` runs while it watches who opens the database.

use std::{
    ffi::OsString,
    io,
    os::fd::AsFd,
    path::Path,
    process::{Child, Command},
    thread,
};

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process};

use super::{
    super::databases::{monitor, only},
    BETWEEN,
};
use crate::{
    config::Config, diagnose::safe::WatchedCommand, ingest::stop_on_signals, observe::process_ancestors,
    snapshot::Process,
};

/// Runs `command` and samples the database at `path` until it ends. INT, TERM and HUP end it with TERM. Its output goes to
/// stderr if stdout is `for_json`.
///
/// # Errors
///
/// It cannot be started.
pub fn run(
    path: &Path,
    command: &[OsString],
    config: &Config,
    for_json: bool,
) -> anyhow::Result<WatchedCommand> {
    let words: Vec<String> = command.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let (program, arguments) = command.split_first().context("no command was given")?;
    let stop = stop_on_signals()?;
    let mut starting = Command::new(program);
    starting.args(arguments);
    if for_json {
        starting.stdout(io::stderr().as_fd().try_clone_to_owned()?);
    }
    let mut child = starting
        .spawn()
        .with_context(|| format!("cannot run {}; check that it is there and on the PATH", words[0]))?;
    let pid = i32::try_from(child.id()).ok();
    // A child that has ended since the sample has no ancestors any more, but the sample knows its parent.
    let is_own = |process: &Process| {
        let parent = process.parent.unwrap_or(process.pid);
        let ancestors = || process_ancestors(&config.places.proc, parent);
        pid.is_some_and(|pid| pid == process.pid || pid == parent || ancestors().contains(&pid))
    };
    let mut ran = WatchedCommand::new(words);
    let mut is_asked_to_end = false;
    loop {
        let ended = child.try_wait()?;
        // Once more after its end: who came in its last moments may still be there. A new monitor each time: it reads the
        // descriptors of all processes in its first sample, and with a rollback journal an idle connection has no lock.
        let mut watch = monitor(path, config);
        if let Ok(database) = only(&watch.sample()) {
            ran.sampled(&database, watch.unseen_processes(), is_own);
        }
        if let Some(status) = ended {
            ran.exit_code = status.code();
            return Ok(ran);
        }
        if stop.is_raised() && !is_asked_to_end {
            is_asked_to_end = true;
            end(&child);
        }
        thread::sleep(BETWEEN);
    }
}

fn end(child: &Child) {
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        // It is this process's child and has not been reaped yet, so the PID is still its own; it may have exited.
        let _ = kill_process(pid, Signal::TERM);
    }
}
