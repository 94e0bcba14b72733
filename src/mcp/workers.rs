//! Worker processes of calls: at most four at once, each with a deadline and a limit on its answer.

use std::{
    ffi::{OsStr, OsString},
    io,
    pin::{Pin, pin},
    process::Stdio,
    time::Duration,
};

use rustix::process::Signal;
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::Child,
    sync::Semaphore,
    time::timeout,
};

use crate::{act::worker, units};

/// Workers at the same time.
const AT_ONCE: usize = 4;
/// Calls that wait for one of them to end.
const MOST_WAITING: usize = 32;
/// How long a worker has after TERM.
const GOOD_ORDER: Duration = Duration::from_secs(10);
/// Bytes of an answer.
const MOST_ANSWERED: u64 = 8 << 20;
/// Bytes of the reason of a refusal that are read.
const MOST_COMPLAINED: u64 = 64 << 10;

/// What a worker is to do.
#[derive(Debug)]
pub struct WorkerOrder {
    /// The arguments of waltop; its output is JSON.
    pub words: Vec<OsString>,
    /// How long it may take.
    pub deadline: Duration,
    pub late: LateWorker,
}

/// What becomes of a worker that is late, or that no one waits for any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LateWorker {
    /// It only reads.
    Killed,
    /// It gets TERM, and a while to end in good order and to answer what it has done.
    Terminated,
}

impl WorkerOrder {
    /// Of a worker that only reads.
    pub fn reading(words: Vec<OsString>, deadline: Duration) -> Self {
        Self { words, deadline, late: LateWorker::Killed }
    }
}

/// A worker that gets TERM if it is no longer waited for and may change something.
struct RunningWorker {
    child: Child,
    late: LateWorker,
}

impl RunningWorker {
    fn terminate(&self) {
        if self.late == LateWorker::Terminated {
            worker::send(self.child.id(), Signal::TERM);
        }
    }
}

impl Drop for RunningWorker {
    fn drop(&mut self) {
        self.terminate();
    }
}

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// Its own reason for a refusal, or what is wrong with the arguments.
    #[error("{0}")]
    Refused(String),
    #[error("{AT_ONCE} calls run and {MOST_WAITING} wait; call again when one of them has been answered")]
    Busy,
    #[error(
        "no answer within {}, so that it was ended; call again, or ask for less",
        units::duration(units::milliseconds(*.0))
    )]
    Late(Duration),
    #[error("cancelled")]
    Cancelled,
    #[error(
        "the answer is longer than {}; ask for less, with a limit or for one database",
        units::bytes(MOST_ANSWERED)
    )]
    TooLong,
    #[error("cannot start a worker process: {0}")]
    Start(#[from] io::Error),
    #[error("the worker's answer makes no sense: {0}")]
    Answer(#[from] serde_json::Error),
}

/// Runs workers.
#[derive(Debug)]
pub struct Workers {
    /// A permit for each call that runs or waits.
    admitted: Semaphore,
    running: Semaphore,
}

impl Workers {
    pub fn new() -> Self {
        Self { admitted: Semaphore::new(AT_ONCE + MOST_WAITING), running: Semaphore::new(AT_ONCE) }
    }

    /// Runs `order` and reads its answer, until `cancelled` is ready. A worker that answers may exit with another code
    /// than 0, which says the same as its answer.
    ///
    /// # Errors
    ///
    /// Too many calls wait, or the worker refuses, is late, or answers too much.
    pub async fn run(
        &self,
        order: &WorkerOrder,
        cancelled: impl Future<Output = ()>,
    ) -> Result<Value, CallError> {
        let mut cancelled = pin!(cancelled);
        let _admitted = self.admitted.try_acquire().map_err(|_| CallError::Busy)?;
        let _running = tokio::select! {
            // It is never closed.
            permit = self.running.acquire() => permit.map_err(|_| CallError::Busy)?,
            () = &mut cancelled => return Err(CallError::Cancelled),
        };
        let words: Vec<&OsStr> = order.words.iter().map(OsString::as_os_str).collect();
        let mut command = worker::command(&words)?;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.kill_on_drop(order.late == LateWorker::Killed);
        let mut running = RunningWorker { child: command.spawn()?, late: order.late };
        let answer = running.answer(order.deadline, cancelled).await;
        if answer.is_err() {
            // It may have exited. Otherwise its place is free again when it has.
            let _ = running.child.kill().await;
        }
        answer
    }
}

impl RunningWorker {
    async fn answer(
        &mut self,
        deadline: Duration,
        mut cancelled: Pin<&mut impl Future<Output = ()>>,
    ) -> Result<Value, CallError> {
        let (pid, late) = (self.child.id(), self.late);
        let mut answer = pin!(answer(&mut self.child));
        let end = tokio::select! {
            answer = &mut answer => return answer,
            () = tokio::time::sleep(deadline) => CallError::Late(deadline),
            () = &mut cancelled => CallError::Cancelled,
        };
        if late == LateWorker::Killed {
            return Err(end);
        }
        worker::send(pid, Signal::TERM);
        timeout(GOOD_ORDER, answer).await.unwrap_or(Err(end))
    }
}

async fn answer(child: &mut Child) -> Result<Value, CallError> {
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (answer, complaint) =
        tokio::try_join!(read(stdout, MOST_ANSWERED + 1), read(stderr, MOST_COMPLAINED))?;
    if answer.len() as u64 > MOST_ANSWERED {
        return Err(CallError::TooLong);
    }
    child.wait().await?;
    if answer.is_empty() {
        return Err(CallError::Refused(worker::reason(&complaint)));
    }
    Ok(serde_json::from_slice(&answer)?)
}

async fn read(from: Option<impl AsyncRead + Unpin>, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(from) = from {
        from.take(most).read_to_end(&mut bytes).await?;
    }
    Ok(bytes)
}
