//! Worker processes: everything that needs SQL runs in one of them, and its answer comes back as JSON.

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
use tokio::{
    io::AsyncReadExt,
    process::{Child, Command},
    sync::oneshot,
    time::timeout,
};

use super::document_search::{FoundTexts, MOST_FOUND};
use crate::{
    config::Permit,
    observe::proc,
    snapshot::{ConnectionFacts, Presence},
    text,
};

/// How long waltop waits for a worker that only reads the pragmas, before it ends it.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long waltop waits for a search.
const SEARCHING: Duration = Duration::from_secs(30);

/// How long a worker that changes something may take. waltop ends it then: the next checkpoint continues an interrupted
/// one, and a transaction is rolled back.
const LONGEST: Duration = Duration::from_mins(10);

/// The settings file for every worker; without one, a worker finds the user's own.
static SETTINGS: OnceLock<PathBuf> = OnceLock::new();

/// Makes every worker that starts from now on read its settings from `file`. A process has one such file, so only the
/// first call has an effect.
pub fn hand_down(file: PathBuf) {
    let _ = SETTINGS.set(file);
}

/// The option that names the settings file, if there is one.
pub fn settings() -> impl Iterator<Item = &'static OsStr> {
    SETTINGS.get().into_iter().flat_map(|file| ["--config".as_ref(), file.as_os_str()])
}

/// Why a worker gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    #[error("cannot start a worker process: {0}")]
    Start(#[from] io::Error),
    /// Its own reason for a refusal.
    #[error("{0}")]
    Refused(String),
    /// It did not answer in time.
    #[error("the worker did not answer within {}", crate::units::duration(.0.as_secs_f64() * 1e3))]
    Late(Duration),
    /// Its answer is not valid.
    #[error("the worker's answer makes no sense: {0}")]
    Answer(#[from] serde_json::Error),
}

/// Runs `waltop ARGS…` until it exits and reads its answer from stdout. A worker that answers may exit with 1, which
/// means that the answer is not entirely good; one without an answer has printed the reason to stderr. A worker
/// finishes its work even if the console has quit; after 10 minutes waltop ends it, and waits for its exit.
///
/// # Errors
///
/// It cannot be started, refuses, or its answer is invalid.
pub async fn ask<T: DeserializeOwned>(_permit: Permit, args: &[&OsStr]) -> Result<T, WorkerError> {
    let child = spawn(args, false)?;
    let pid = child.id();
    let mut end = pin!(child.wait_with_output());
    if let Ok(output) = timeout(LONGEST, &mut end).await {
        return answer(&output?);
    }
    send(pid, Signal::TERM);
    end.await?;
    Err(WorkerError::Late(LONGEST))
}

/// As [`ask`], but the worker gets SIGINT if `stop` is sent first, and reports the result.
///
/// # Errors
///
/// As [`ask`].
pub async fn ask_unless<T: DeserializeOwned>(
    _permit: Permit,
    args: &[&OsStr],
    stop: oneshot::Receiver<()>,
) -> Result<T, WorkerError> {
    let child = spawn(args, false)?;
    let pid = child.id();
    let mut end = pin!(child.wait_with_output());
    let output = tokio::select! {
        output = &mut end => output?,
        Ok(()) = stop => {
            send(pid, Signal::INT);
            let output = end.await?;
            if output.status.signal().is_some() {
                // It had no signal handlers yet, so it had not started anything that it could leave half done.
                return Err(WorkerError::Refused("stopped before it started".to_owned()));
            }
            output
        }
    };
    answer(&output)
}

fn spawn(args: &[&OsStr], kill_on_drop: bool) -> io::Result<Child> {
    let mut command = command(args)?;
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.kill_on_drop(kill_on_drop).spawn()
}

// For a worker that has not been waited for yet, so its PID is still its own.
pub(crate) fn send(pid: Option<u32>, signal: Signal) {
    if let Some(pid) = pid.and_then(|pid| Pid::from_raw(pid.cast_signed())) {
        // It may have exited.
        let _ = kill_process(pid, signal);
    }
}

fn answer<T: DeserializeOwned>(output: &Output) -> Result<T, WorkerError> {
    if output.stdout.is_empty() {
        return Err(WorkerError::Refused(reason(&output.stderr)));
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Asks a worker for the pragma values of waltop's own connection to `path`, for `profile` or the one that the settings
/// give the database. An error if asking would leave something behind, or SQLite fails; and a worker that was late,
/// which must exit before another one is started.
pub async fn pragmas(
    path: &Path,
    presence: Presence,
    profile: Option<&str>,
) -> (Result<ConnectionFacts, WorkerError>, LingeringWorker) {
    #[derive(Deserialize)]
    struct WorkerAnswer {
        rows: ConnectionFacts,
    }
    let presence = presence.to_string();
    let mut args = vec!["pragmas".as_ref(), "--presence".as_ref(), presence.as_ref()];
    args.extend(profile.into_iter().flat_map(|name| [OsStr::new("--profile"), name.as_ref()]));
    args.push(path.as_os_str());
    let child = match spawn(&args, true) {
        Ok(child) => child,
        Err(error) => return (Err(error.into()), LingeringWorker::default()),
    };
    let (answer, lingering) = answer_within::<WorkerAnswer>(PATIENCE, child).await;
    (answer.map(|answer| answer.rows), lingering)
}

/// Lets a worker search the documents in the database at `path`. It is ended if the caller no longer waits.
///
/// # Errors
///
/// It cannot be started, refuses, is late, or its answer is invalid.
pub async fn search(path: &Path, query: &str) -> Result<FoundTexts, WorkerError> {
    let most = MOST_FOUND.to_string();
    let args: [&OsStr; 8] = [
        "search".as_ref(),
        "--json".as_ref(),
        "--limit".as_ref(),
        most.as_ref(),
        "--db".as_ref(),
        path.as_os_str(),
        "--".as_ref(),
        query.as_ref(),
    ];
    let (answer, lingering) = answer_within::<FoundTexts>(SEARCHING, spawn(&args, true)?).await;
    lingering.wait_for_exit().await;
    answer
}

/// A worker that was killed because it was late, and may still be inside the kernel.
#[derive(Debug, Default)]
pub struct LingeringWorker(Option<Child>);

impl LingeringWorker {
    /// Waits until it has exited.
    pub async fn wait_for_exit(self) {
        if let Some(mut child) = self.0 {
            // It was started, so it can be waited for.
            let _ = child.wait().await;
        }
    }
}

async fn answer_within<T: DeserializeOwned>(
    time: Duration,
    mut child: Child,
) -> (Result<T, WorkerError>, LingeringWorker) {
    if let Ok(output) = timeout(time, output(&mut child)).await {
        return (
            output.map_err(WorkerError::from).and_then(|output| answer(&output)),
            LingeringWorker::default(),
        );
    }
    // If it is already gone, there is nothing to kill.
    let _ = child.start_kill();
    (Err(WorkerError::Late(time)), LingeringWorker(Some(child)))
}

// As `wait_with_output`, but it leaves the child to the caller.
async fn output(child: &mut Child) -> io::Result<Output> {
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let (mut said, mut complained) = (child.stdout.take(), child.stderr.take());
    let read = async {
        let answer =
            async { if let Some(said) = &mut said { said.read_to_end(&mut stdout).await } else { Ok(0) } };
        let reason =
            async { if let Some(it) = &mut complained { it.read_to_end(&mut stderr).await } else { Ok(0) } };
        tokio::try_join!(answer, reason)
    };
    let (status, _) = tokio::try_join!(child.wait(), read)?;
    Ok(Output { status, stdout, stderr })
}

/// How a detached ingestion ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IngestEnd {
    /// Whether files failed, or have no vector (exit 1). That is no failure of the run, nor is a stop (130).
    pub is_partial: bool,
    /// The figures that it printed.
    pub figures: String,
}

/// Starts `waltop ARGS…`, an ingestion, so that it outlives this process. Returns its PID, and a future with its end or
/// the reason of a failure, for as long as this process lives.
///
/// # Errors
///
/// It cannot be started.
pub fn detach(
    _permit: Permit,
    args: &[&OsStr],
) -> Result<(u32, impl Future<Output = Result<IngestEnd, WorkerError>> + use<>), WorkerError> {
    let child = command(args)?.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let pid = child.id().unwrap_or_default();
    let end = async move {
        let output = child.wait_with_output().await?;
        match output.status.code() {
            Some(code @ (0 | 1 | 130)) => {
                let figures = String::from_utf8_lossy(&output.stdout);
                let figures = text::clean(figures.lines().last().unwrap_or_default());
                Ok(IngestEnd { is_partial: code == 1, figures })
            }
            _ => Err(WorkerError::Refused(reason(&output.stderr))),
        }
    };
    Ok((pid, end))
}

/// `waltop ARGS…`, with the settings file if there is one.
pub(crate) fn command(args: &[&OsStr]) -> io::Result<Command> {
    let mut command = Command::new(program()?);
    let (name, rest) = args.split_at(args.len().min(1));
    command.args(name).args(settings()).args(rest);
    Ok(command)
}

fn program() -> io::Result<PathBuf> {
    let named = std::env::current_exe()?;
    // After an upgrade the path leads to another program or to none; this link still leads to the running one.
    let running = proc::own_program();
    Ok(if !named.exists() && running.exists() { running } else { named })
}

/// Why a worker refused: the last line that it wrote to `stderr`.
pub(crate) fn reason(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let line = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it gave no reason");
    line.strip_prefix("waltop: ").unwrap_or(line).to_owned()
}

#[cfg(test)]
mod tests {
    use rustix::{io::Errno, process::test_kill_process};

    use super::*;

    fn shell(script: &str) -> Child {
        let mut command = Command::new("sh");
        command.args(["-c", script]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.kill_on_drop(true).spawn().expect("a shell starts")
    }

    fn run<T>(future: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(future)
    }

    #[test]
    fn an_answer_in_time_is_read_and_a_refusal_gives_its_reason() {
        run(async {
            let hour = Duration::from_hours(1);
            let (answer, _) = answer_within::<u32>(hour, shell("echo 42")).await;
            assert_eq!(answer.expect("an answer"), 42);
            let (answer, _) = answer_within::<u32>(hour, shell("echo waltop: no >&2; exit 1")).await;
            assert_eq!(answer.expect_err("refused").to_string(), "no");
        });
    }

    // The program of a test is no waltop, and refuses the options of one.
    #[test]
    fn pragmas_that_a_worker_refuses_are_not_made_up() {
        let (answer, lingering) =
            run(async { pragmas("/srv/a.db".as_ref(), Presence::Live, Some("waltop")).await });
        assert!(matches!(answer, Err(WorkerError::Refused(_))), "{answer:?}");
        assert!(lingering.0.is_none(), "it has exited");
    }

    #[test]
    fn a_late_worker_is_killed_and_can_be_waited_for() {
        run(async {
            let child = shell("exec sleep 1000");
            let pid = child.id().and_then(|pid| Pid::from_raw(pid.cast_signed())).expect("a PID");
            let (answer, lingering) = answer_within::<u32>(Duration::from_millis(1), child).await;
            assert!(matches!(answer, Err(WorkerError::Late(_))));
            lingering.wait_for_exit().await;
            assert_eq!(test_kill_process(pid), Err(Errno::SRCH));
        });
    }
}
