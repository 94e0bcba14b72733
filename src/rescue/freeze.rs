//! Stops a process for as long as its files are copied.

use std::{
    os::fd::OwnedFd,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use rustix::process::{self, Pid, PidfdFlags, Signal};

use super::RescueError;
use crate::{
    act::signal,
    observe::{self, proc::program},
};

/// How long to wait for all threads of a process to stop. One in uninterruptible sleep stops when its I/O is done.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(2);

/// A stopped process. Dropping this resumes it, unless it was stopped before.
#[derive(Debug)]
pub struct FrozenProcess {
    pidfd: OwnedFd,
    was_stopped: bool,
}

impl FrozenProcess {
    /// Stops the process `pid` that started at `start_ticks`, and waits until all its threads have stopped.
    ///
    /// # Errors
    ///
    /// It is another process now, waltop or one of its ancestors, may not be signalled, or does not stop.
    pub fn stop(proc: &Path, pid: i32, start_ticks: u64) -> Result<Self, RescueError> {
        let refused = |why: String| RescueError::NotFrozen { pid, why };
        // A PID of another namespace would mean another process.
        if !observe::is_own_proc(proc) {
            return Err(refused("its number is one of another PID namespace".to_owned()));
        }
        if let Some(what) = signal::protection(pid, proc) {
            return Err(refused(format!("it is {what}")));
        }
        let raw = Pid::from_raw(pid).ok_or(RescueError::NoProcess { pid })?;
        let pidfd = process::pidfd_open(raw, PidfdFlags::empty());
        let pidfd = pidfd.map_err(|error| refused(std::io::Error::from(error).to_string()))?;
        if observe::process_start(proc, pid) != Some(start_ticks) {
            return Err(RescueError::NoProcess { pid });
        }
        let was_stopped = is_stopped(proc, pid);
        let frozen = Self { pidfd, was_stopped };
        if !was_stopped {
            let sent = process::pidfd_send_signal(&frozen.pidfd, Signal::STOP);
            sent.map_err(|error| refused(std::io::Error::from(error).to_string()))?;
        }
        let begun = Instant::now();
        while !is_stopped(proc, pid) {
            if begun.elapsed() >= PATIENCE {
                return Err(refused(format!("it still runs {} s after SIGSTOP", PATIENCE.as_secs())));
            }
            thread::sleep(PAUSE);
        }
        Ok(frozen)
    }
}

impl Drop for FrozenProcess {
    fn drop(&mut self) {
        if !self.was_stopped {
            // It may have exited meanwhile.
            let _ = process::pidfd_send_signal(&self.pidfd, Signal::CONT);
        }
    }
}

// Whether every thread is stopped (T), traced (t) or dead (`proc_pid_stat(5)`).
fn is_stopped(proc: &Path, pid: i32) -> bool {
    // A process or thread whose state cannot be read has exited.
    let states = program::thread_states(proc, pid).unwrap_or_default();
    states.values().all(|state| "TtZX?".contains(*state))
}
