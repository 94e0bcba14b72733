//! Worker processes: everything that needs SQL happens in one of these, and its answer comes back as JSON.

use std::{
    ffi::OsStr,
    io,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    pin::pin,
    process::{Output, Stdio},
    sync::OnceLock,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, de::DeserializeOwned};
use tokio::{process::Command, sync::oneshot, time::timeout};

use crate::{
    config::Permit,
    snapshot::{ConnectionFacts, Presence},
};

/// How long a worker that only asks for the pragmas is waited for, before it is ended.
const PATIENCE: Duration = Duration::from_secs(2);

/// The file of settings that every worker is told to read; where none is set, it finds the user's own.
static SETTINGS: OnceLock<PathBuf> = OnceLock::new();

/// Tells every worker that is started from now on to read its settings from `file`. A process has one such file, so the
/// first one counts.
pub fn hand_down(file: PathBuf) {
    let _ = SETTINGS.set(file);
}

/// The file that was handed down, as the option that names it.
pub fn settings() -> impl Iterator<Item = &'static OsStr> {
    SETTINGS.get().into_iter().flat_map(|file| ["--config".as_ref(), file.as_os_str()])
}

/// Why a worker gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It could not be started.
    #[error("cannot start a worker process: {0}")]
    Start(#[from] io::Error),
    /// It said why it could not do it.
    #[error("{0}")]
    Refused(String),
    /// It did not answer in time.
    #[error("the worker did not answer within {}", crate::units::duration(PATIENCE.as_secs_f64() * 1e3))]
    Late,
    /// Its answer makes no sense.
    #[error("the worker's answer makes no sense: {0}")]
    Answer(#[from] serde_json::Error),
}

/// Runs `waltop ARGS…` to its end and reads its answer from stdout. A worker that answers may exit with 1,
/// which says that the answer is not all good; one that gives none has said why on stderr. Nothing ends it early:
/// it finishes what it began even where the console has quit.
///
/// # Errors
///
/// Where it cannot be started, refuses, or answers something else.
pub async fn ask<T: DeserializeOwned>(_permit: Permit, args: &[&OsStr]) -> Result<T, Error> {
    ask_and_wait(args, false).await
}

/// As [`ask`], but the worker gets SIGINT where `stop` is sent first, and says what came of that.
///
/// # Errors
///
/// As [`ask`].
pub async fn ask_unless<T: DeserializeOwned>(
    _permit: Permit,
    args: &[&OsStr],
    stop: oneshot::Receiver<()>,
) -> Result<T, Error> {
    let mut command = command(args)?;
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let pid = child.id();
    let mut end = pin!(child.wait_with_output());
    let output = tokio::select! {
        output = &mut end => output?,
        Ok(()) = stop => {
            // It is not waited for yet, so that the number is still its own.
            if let Some(pid) = pid.and_then(|pid| Pid::from_raw(pid.cast_signed())) {
                let _ = kill_process(pid, Signal::INT);
            }
            let output = end.await?;
            if output.status.signal().is_some() {
                // It had not come to listen for signals, and so to nothing that it could leave half done.
                return Err(Error::Refused("stopped before it had begun".to_owned()));
            }
            output
        }
    };
    answer(&output)
}

async fn ask_and_wait<T: DeserializeOwned>(args: &[&OsStr], kill_on_drop: bool) -> Result<T, Error> {
    let mut command = command(args)?;
    let output = command.stdin(Stdio::null()).kill_on_drop(kill_on_drop).output().await?;
    answer(&output)
}

fn answer<T: DeserializeOwned>(output: &Output) -> Result<T, Error> {
    if output.stdout.is_empty() {
        return Err(Error::Refused(reason(&output.stderr)));
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Asks a worker what our own connection to `path` answers for the pragmas of `profile`, or of the one that the
/// settings give the database.
///
/// # Errors
///
/// Where asking would leave a trace, or `SQLite` says no.
pub async fn pragmas(
    path: &Path,
    presence: Presence,
    profile: Option<&str>,
) -> Result<ConnectionFacts, Error> {
    #[derive(Deserialize)]
    struct Answer {
        rows: ConnectionFacts,
    }
    let presence = presence.to_string();
    let mut args = vec!["pragmas".as_ref(), "--presence".as_ref(), presence.as_ref()];
    args.extend(profile.into_iter().flat_map(|name| [OsStr::new("--profile"), name.as_ref()]));
    args.push(path.as_os_str());
    let answer = timeout(PATIENCE, ask_and_wait::<Answer>(&args, true)).await.map_err(|_| Error::Late)?;
    Ok(answer?.rows)
}

/// Starts `waltop ARGS…` so that it outlives this process, and returns its PID, and a future that tells why
/// it ended where it ends badly while somebody still listens. Failed files (exit 1) and a stop (130) are no bad
/// ends: the journal tells of them.
///
/// # Errors
///
/// Where it cannot be started.
pub fn detach(
    _permit: Permit,
    args: &[&OsStr],
) -> Result<(u32, impl Future<Output = Result<(), Error>> + use<>), Error> {
    let child = command(args)?.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    let pid = child.id().unwrap_or_default();
    let end = async move {
        let output = child.wait_with_output().await?;
        match output.status.code() {
            Some(0 | 1 | 130) => Ok(()),
            _ => Err(Error::Refused(reason(&output.stderr))),
        }
    };
    Ok((pid, end))
}

/// `waltop ARGS…`, with the settings that were handed down.
fn command(args: &[&OsStr]) -> io::Result<Command> {
    let mut command = Command::new(program()?);
    let (name, rest) = args.split_at(args.len().min(1));
    command.args(name).args(settings()).args(rest);
    Ok(command)
}

fn program() -> io::Result<PathBuf> {
    let named = std::env::current_exe()?;
    // After an upgrade the path leads to another program or to none; this link still leads to what runs now.
    let running = PathBuf::from("/proc/self/exe");
    Ok(if !named.exists() && running.exists() { running } else { named })
}

fn reason(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let line = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it gave no reason");
    line.strip_prefix("waltop: ").unwrap_or(line).to_owned()
}
