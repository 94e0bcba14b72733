//! `waltop demo`: a sandbox of real processes with real contention, and the console on it.
//!
//! This process only manages the sandbox. The console is a child process, so that the sandbox is cleaned up even if the
//! console dies. The actors exit with this process, whatever ends it.

use std::{
    io::{self, IsTerminal},
    path::{Path, PathBuf},
    process::ExitStatus,
    time::Duration,
};

use rustix::process;
use tokio::process::{Child, Command};

use crate::{
    act::{
        reap::StopRequest,
        signal::{SignalTarget, StopSignal},
        worker,
    },
    config::{Config, Permit, Thresholds},
    endings::{EndSignals, exit_code},
    observe::journals::Journals,
    snapshot::Ingestion,
};

mod cast;
mod documents;

use cast::DemoActors;

/// In the title of the sandbox's console.
pub const BANNER: &str = "DEMO";

/// Thresholds that make a pin a finding sooner than after a minute.
pub fn thresholds() -> Thresholds {
    Thresholds { pinned_wal: (Duration::from_secs(5), Duration::from_secs(30)), ..Thresholds::default() }
}

/// Why there is no sandbox.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// Stdin or stdout is a pipe or a file.
    #[error("the demo opens the console, which needs a terminal; run it in one")]
    NoTerminal,
    /// A file or a process could not be created.
    #[error("cannot set up the sandbox: {0}")]
    Io(#[from] io::Error),
    /// An actor failed.
    #[error("cannot set up the sandbox: {role} answered {answer}")]
    Actor { role: &'static str, answer: String },
}

/// Creates the sandbox, runs the console on it, and removes it afterwards; returns the console's exit code.
///
/// # Errors
///
/// There is no terminal, or the sandbox cannot be created.
pub fn run(config: &Config) -> Result<u8, DemoError> {
    if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
        return Err(DemoError::NoTerminal);
    }
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // From here on a signal no longer ends this process before it has cleaned up.
    let mut endings = tokio.block_on(async { EndSignals::listen() })?;
    let folder = tempfile::Builder::new().prefix("waltop-demo-").tempdir()?;
    let notes = folder.path().join("notes");
    documents::write(&notes)?;
    let database = folder.path().join("notes.db");
    // Dropped before the folder: no process uses a file that is being removed.
    let _cast = DemoActors::assemble(&database)?;
    let _runs = VisitorRuns { state: folder.path().join("state"), permit: config.permit().ok() };
    Ok(tokio.block_on(console(folder.path(), &notes, &database, &mut endings))?)
}

/// Runs the console in the sandbox, which also contains its journals, and forwards the signals that would end it;
/// returns its exit code, or that of a signal which came before it.
async fn console(folder: &Path, notes: &Path, database: &Path, endings: &mut EndSignals) -> io::Result<u8> {
    if let Some(signal) = endings.received().await {
        return Ok(exit_code(signal));
    }
    let mut child = Command::new(std::env::current_exe()?)
        .arg("--sandbox")
        .args(worker::settings())
        .arg(database)
        .current_dir(notes)
        .env("XDG_STATE_HOME", folder.join("state"))
        .env("XDG_DATA_HOME", folder.join("data"))
        .spawn()?;
    loop {
        tokio::select! {
            status = child.wait() => return status.map(code),
            signal = endings.next() => pass_on(&child, signal),
        }
    }
}

fn pass_on(child: &Child, signal: process::Signal) {
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(process::Pid::from_raw);
    if let Some(pid) = pid {
        // It is this process's child and has not been reaped yet, so the PID is still its own; it may have exited.
        let _ = process::kill_process(pid, signal);
    }
}

fn code(status: ExitStatus) -> u8 {
    use std::os::unix::process::ExitStatusExt;
    let killed = status.signal().map(|signal| 128 + signal);
    status.code().or(killed).and_then(|code| u8::try_from(code).ok()).unwrap_or(2)
}

/// The ingestions that the user started; they outlive a console, but not the sandbox.
struct VisitorRuns {
    state: PathBuf,
    // Without one the console in the sandbox could start none.
    permit: Option<Permit>,
}

impl Drop for VisitorRuns {
    fn drop(&mut self) {
        let Some(permit) = self.permit else { return };
        let proc = Path::new("/proc");
        let (ingestions, _) = Journals::new(self.state.join("waltop").join("runs"), proc.to_owned()).look();
        let running = ingestions.into_iter().map(|(_, ingestion)| ingestion).filter(Ingestion::is_running);
        for ingestion in running {
            let Some(start_ticks) = ingestion.start_ticks else { continue };
            let target = SignalTarget { pid: ingestion.pid, start_ticks };
            // One that has exited needs nothing.
            if let Ok(pinned) = StopRequest::ingestion(target).pin(proc)
                && pinned.send(permit, StopSignal::Kill).is_ok()
            {
                let _ = pinned.wait(Duration::from_secs(5));
            }
        }
    }
}
