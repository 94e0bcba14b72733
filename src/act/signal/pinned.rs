//! Processes that a pidfd holds, and what is read of them before a signal.

use std::{
    collections::{BTreeMap, BTreeSet},
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    process::{self, Pid, PidfdFlags},
};

mod launchers;

use launchers::RunningAncestors;

use crate::{
    act::RestartCommand,
    config::Permit,
    observe::{
        self,
        proc::program::{self, ProgramError},
    },
    paths::FileId,
};

use super::{
    AfterCheck, ExpectedProgram, SentSignal, SignalRefusal, SignalTarget, StopSignal, UnprovenProgram,
};

/// How long to wait for the threads of a process after STOP. [`UnprovenProgram::NotStopped`] mentions it.
const STOP_PATIENCE: Duration = Duration::from_millis(200);
/// Pause between two readings of the states of its threads.
const STOP_PAUSE: Duration = Duration::from_micros(500);

#[derive(Debug)]
pub struct PinnedProcess {
    target: SignalTarget,
    pidfd: OwnedFd,
    proc: PathBuf,
    expected: ExpectedState,
}

// `None` if the sample could not read it.
#[derive(Debug)]
struct ExpectedState {
    executable: Option<FileId>,
    files: ExpectedFiles,
}

#[derive(Debug)]
enum ExpectedFiles {
    Unlisted,
    NotRequired,
    AnyOf(Vec<FileId>),
}

// A reason against a signal, before it is decided how to handle it.
#[derive(Debug)]
enum SignalObjection {
    Refused(SignalRefusal),
    Unproven(UnprovenProgram),
}

impl PinnedProcess {
    /// Pins `target`. Opens the pidfd first and reads the start time after it, so that a process that takes over the
    /// PID in between is recognised. [`send`](Self::send) checks each time whether it runs the `expected` program.
    ///
    /// # Errors
    ///
    /// The process is gone, is another one, is waltop itself, an ancestor or PID 1, belongs to another user, or is out
    /// of reach.
    pub fn open(target: SignalTarget, expected: ExpectedProgram, proc: &Path) -> Result<Self, SignalRefusal> {
        let pid = target.pid;
        // A pidfd is opened by a PID of waltop's own namespace: in another one not even waltop's ancestors are known.
        if !observe::is_own_proc(proc) {
            return Err(SignalRefusal::Elsewhere { pid });
        }
        if let Some(what) = super::protection(pid, proc) {
            return Err(SignalRefusal::Protected { pid, what });
        }
        let raw = Pid::from_raw(pid).ok_or(SignalRefusal::Gone { pid })?;
        let pidfd = process::pidfd_open(raw, PidfdFlags::empty()).map_err(|error| refusal(pid, error))?;
        match super::start_ticks(pid, proc) {
            None => Err(SignalRefusal::Gone { pid }),
            Some(ticks) if ticks != target.start_ticks => Err(SignalRefusal::Reused { pid }),
            Some(_) if !is_own(pid, proc) => Err(SignalRefusal::Foreign { pid }),
            Some(_) => {
                let expected = ExpectedState::of(expected, pid, proc);
                Ok(Self { target, pidfd, proc: proc.to_owned(), expected })
            }
        }
    }

    pub fn target(&self) -> SignalTarget {
        self.target
    }

    /// How to start it again; `None` if it is gone.
    pub fn restart(&self) -> Option<RestartCommand> {
        RestartCommand::read(self.target, &self.proc)
    }

    /// Sends `signal`, only to the expected program.
    ///
    /// waltop sends TERM and INT right after it has read the process. A program that is executed between the two gets
    /// the signal: the window is 9 µs in the median, 36 µs in 99 of 100 cases, and some milliseconds if the scheduler
    /// interrupts waltop in it (`benches/signals.rs`, unoptimised, on two busy cores). [`SentSignal`] reports its
    /// length. They reach a stopped process only after it is resumed, so it gets CONT as well.
    ///
    /// KILL has no such window: STOP comes first, and while every thread is stopped nothing is executed. A process that
    /// is refused gets CONT, unless it was stopped before. waltop itself must live until then: if waltop is killed
    /// between STOP and KILL, the process stays stopped. The kernel informs the parent of the stop: a shell treats a
    /// foreground job as suspended, and a launcher may stop itself, for which it gets CONT. If waltop lacks the
    /// permission to continue the parent, it sends KILL as it sends TERM.
    ///
    /// CONT needs no reading: it changes nothing in a running process.
    ///
    /// # Errors
    ///
    /// The process is gone, waltop lacks the permission to signal it, or it is not known to run the expected program.
    pub fn send(&self, _permit: Permit, signal: StopSignal) -> Result<SentSignal, SignalRefusal> {
        match signal {
            StopSignal::Term => self.ask_to_end(signal, process::Signal::TERM),
            StopSignal::Int => self.ask_to_end(signal, process::Signal::INT),
            StopSignal::Cont => self.raw(process::Signal::CONT).map(|()| SentSignal { window: None }),
            StopSignal::Kill => self.kill(),
        }
    }

    /// Waits until the process has exited, for at most `patience`; returns whether it has.
    pub fn wait(&self, patience: Duration) -> bool {
        !ended(&[self], patience).is_empty()
    }

    fn ask_to_end(&self, signal: StopSignal, raw: process::Signal) -> Result<SentSignal, SignalRefusal> {
        let refuse =
            |objection: SignalObjection| objection.refusal(self.target.pid, signal, AfterCheck::Untouched);
        let read_at = self.check().map_err(refuse)?;
        self.raw(raw)?;
        let window = Some(read_at.elapsed());
        // It may have exited after the signal before.
        let _ = self.raw(process::Signal::CONT);
        Ok(SentSignal { window })
    }

    fn kill(&self) -> Result<SentSignal, SignalRefusal> {
        let was_stopped = self.running_thread().is_ok_and(|running| running.is_none());
        let Some(ancestors) = RunningAncestors::of(&self.proc, self.target) else {
            return self.ask_to_end(StopSignal::Kill, process::Signal::KILL);
        };
        self.raw(process::Signal::STOP)?;
        let killed = self.check_stopped().and_then(|read_at| {
            self.raw(process::Signal::KILL).map_err(SignalObjection::Refused)?;
            Ok(SentSignal { window: Some(read_at.elapsed()) })
        });
        let outcome = killed.map_err(|objection| {
            let after = if was_stopped {
                AfterCheck::StillStopped
            } else {
                // It may have exited by now.
                let _ = self.raw(process::Signal::CONT);
                AfterCheck::Continued
            };
            objection.refusal(self.target.pid, StopSignal::Kill, after)
        });
        ancestors.resume();
        outcome
    }

    fn check_stopped(&self) -> Result<Instant, SignalObjection> {
        self.wait_until_stopped()?;
        let read_at = self.check()?;
        // Another process may have sent CONT since.
        match self.running_thread()? {
            Some((tid, state)) => Err(SignalObjection::Unproven(UnprovenProgram::Continued { tid, state })),
            None => Ok(read_at),
        }
    }

    // Waits until two consecutive readings show the same threads, and none of them runs: a thread that is in neither
    // would have been started by a running one.
    fn wait_until_stopped(&self) -> Result<(), SignalObjection> {
        let deadline = Instant::now() + STOP_PATIENCE;
        let mut stopped: Option<BTreeSet<i32>> = None;
        loop {
            let states = self.thread_states()?;
            let running = program::running_thread(&states);
            let threads: BTreeSet<i32> = states.into_keys().collect();
            match running {
                None if stopped.as_ref() == Some(&threads) => return Ok(()),
                None => stopped = Some(threads),
                Some((tid, state)) if Instant::now() >= deadline => {
                    return Err(SignalObjection::Unproven(UnprovenProgram::NotStopped { tid, state }));
                }
                Some(_) => {
                    stopped = None;
                    thread::sleep(STOP_PAUSE);
                }
            }
        }
    }

    fn running_thread(&self) -> Result<Option<(i32, char)>, SignalObjection> {
        Ok(program::running_thread(&self.thread_states()?))
    }

    fn thread_states(&self) -> Result<BTreeMap<i32, char>, SignalObjection> {
        let states =
            program::thread_states(&self.proc, self.target.pid).map_err(|error| self.objection(error))?;
        if self.wait(Duration::ZERO) {
            return Err(self.gone_objection());
        }
        Ok(states)
    }

    // When the reading ended, if it shows the expected program. It need not check that the reading is about the process
    // of the pidfd: if that has exited, and another one has its PID, a signal through the pidfd fails.
    fn check(&self) -> Result<Instant, SignalObjection> {
        let files = self.expected.files.required();
        let reading =
            program::read(&self.proc, self.target.pid, files).map_err(|error| self.objection(error))?;
        let judged = if reading.start_ticks == self.target.start_ticks {
            self.expected.compare(reading.executable, reading.has_file).map_err(SignalObjection::Unproven)
        } else {
            Err(SignalObjection::Refused(SignalRefusal::Reused { pid: self.target.pid }))
        };
        // A fact that forbids the signal must be about this process.
        judged
            .map(|()| reading.read_at)
            .map_err(|objection| if self.wait(Duration::ZERO) { self.gone_objection() } else { objection })
    }

    fn objection(&self, error: ProgramError) -> SignalObjection {
        match error {
            ProgramError::Gone => self.gone_objection(),
            ProgramError::Changing => SignalObjection::Unproven(UnprovenProgram::Changing),
            ProgramError::Unreadable { what, source } => {
                SignalObjection::Unproven(UnprovenProgram::Unreadable { what, why: source.to_string() })
            }
        }
    }

    fn gone_objection(&self) -> SignalObjection {
        SignalObjection::Refused(SignalRefusal::Gone { pid: self.target.pid })
    }

    fn raw(&self, signal: process::Signal) -> Result<(), SignalRefusal> {
        process::pidfd_send_signal(&self.pidfd, signal).map_err(|error| refusal(self.target.pid, error))
    }
}

impl ExpectedState {
    fn of(expected: ExpectedProgram, pid: i32, proc: &Path) -> Self {
        match expected {
            ExpectedProgram::AsPinned => {
                let executable = program::executable(proc, pid).ok();
                Self { executable, files: ExpectedFiles::NotRequired }
            }
            ExpectedProgram::Listed(sample) => {
                let files = sample.files.map_or(ExpectedFiles::Unlisted, ExpectedFiles::AnyOf);
                Self { executable: sample.executable, files }
            }
        }
    }

    fn compare(&self, executable: FileId, has_file: bool) -> Result<(), UnprovenProgram> {
        match (self.executable, &self.files) {
            (None, _) => Err(UnprovenProgram::Unlisted("executable")),
            (Some(expected), _) if expected != executable => Err(UnprovenProgram::OtherExecutable),
            (_, ExpectedFiles::Unlisted) => Err(UnprovenProgram::Unlisted("descriptors")),
            (_, ExpectedFiles::AnyOf(_)) if !has_file => Err(UnprovenProgram::NoDescriptor),
            (_, ExpectedFiles::AnyOf(_) | ExpectedFiles::NotRequired) => Ok(()),
        }
    }
}

impl ExpectedFiles {
    fn required(&self) -> &[FileId] {
        match self {
            Self::AnyOf(files) => files,
            Self::Unlisted | Self::NotRequired => &[],
        }
    }
}

impl SignalObjection {
    fn refusal(self, pid: i32, signal: StopSignal, after: AfterCheck) -> SignalRefusal {
        match self {
            Self::Refused(refusal) => refusal,
            Self::Unproven(fact) => SignalRefusal::Unproven { pid, signal, fact, after },
        }
    }
}

/// Waits until one of `pinned` has exited, for at most `patience`; returns the indices of those that have.
pub fn ended(pinned: &[&PinnedProcess], patience: Duration) -> Vec<usize> {
    let deadline = Instant::now() + patience;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).ok();
        let mut fds: Vec<_> = pinned.iter().map(|it| PollFd::new(&it.pidfd, PollFlags::IN)).collect();
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) => {
                let is_over = |fd: &PollFd<'_>| fd.revents().contains(PollFlags::IN);
                return (0..fds.len()).filter(|&at| is_over(&fds[at])).collect();
            }
            Err(Errno::INTR) => {}
            Err(_) => return Vec::new(),
        }
    }
}

// If the process is unknown, it is not waltop's.
fn is_own(pid: i32, proc: &Path) -> bool {
    observe::process_owner(proc, pid) == Some(process::geteuid().as_raw())
}

fn refusal(pid: i32, error: Errno) -> SignalRefusal {
    match error {
        Errno::SRCH => SignalRefusal::Gone { pid },
        Errno::NOSYS => SignalRefusal::Unsupported { pid },
        other => SignalRefusal::Forbidden { pid, why: std::io::Error::from(other).to_string() },
    }
}

#[cfg(test)]
mod tests;
