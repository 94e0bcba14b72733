//! Worker processes of calls: at most four at once, each with a deadline and a limit on its answer.

use std::{
    ffi::{OsStr, OsString},
    io,
    process::Stdio,
    time::Duration,
};

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
        tokio::pin!(cancelled);
        let _admitted = self.admitted.try_acquire().map_err(|_| CallError::Busy)?;
        let _running = tokio::select! {
            // It is never closed.
            permit = self.running.acquire() => permit.map_err(|_| CallError::Busy)?,
            () = &mut cancelled => return Err(CallError::Cancelled),
        };
        let words: Vec<&OsStr> = order.words.iter().map(OsString::as_os_str).collect();
        let mut command = worker::command(&words)?;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn()?;
        let answer = tokio::select! {
            answer = timeout(order.deadline, answer(&mut child)) => {
                answer.unwrap_or(Err(CallError::Late(order.deadline)))
            }
            () = &mut cancelled => Err(CallError::Cancelled),
        };
        if answer.is_err() {
            // It may have exited. Otherwise its place is free again when it has.
            let _ = child.kill().await;
        }
        answer
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
