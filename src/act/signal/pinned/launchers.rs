//! Launchers that stop themselves when their child is stopped, as nsenter(1) and sudo(8) do so that a shell gets its
//! terminal back. Nothing continues them when the child is killed.

use std::{
    os::fd::OwnedFd,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use rustix::process::{self, Pid, PidfdFlags, Signal};

use super::SignalTarget;
use crate::observe::{
    self,
    proc::{self, program},
};

/// How long to wait for an ancestor to stop, after the child was stopped or another ancestor was continued.
const PATIENCE: Duration = Duration::from_millis(100);
/// The whole wait, even if ancestors stop again and again.
const LONGEST: Duration = Duration::from_secs(1);
/// Pause between two readings of their states.
const PAUSE: Duration = Duration::from_millis(1);

/// The ancestors of a process that were not stopped.
#[derive(Debug)]
pub struct RunningAncestors<'a> {
    proc: &'a Path,
    child: SignalTarget,
    ancestors: Vec<(i32, OwnedFd)>,
}

impl<'a> RunningAncestors<'a> {
    /// Those of `child`, before it is stopped; `None` if its parent could not be continued.
    pub fn of(proc: &'a Path, child: SignalTarget) -> Option<Self> {
        let ancestors = observe::process_ancestors(proc, child.pid);
        let may_continue = |&pid: &i32| {
            !may_stop(pid) || Pid::from_raw(pid).is_some_and(|pid| process::test_kill_process(pid).is_ok())
        };
        if !ancestors.first().is_none_or(may_continue) {
            return None;
        }
        let pin = |pid| {
            let pidfd = process::pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()?;
            (!is_stopped(proc, pid)).then_some((pid, pidfd))
        };
        let ancestors = ancestors.into_iter().filter(|&pid| may_stop(pid)).filter_map(pin).collect();
        Some(Self { proc, child, ancestors })
    }

    /// Continues those that stop because the child was stopped. Returns once the child's parent has collected its exit
    /// status without having stopped, or when none has stopped for a while.
    pub fn resume(self) {
        let begun = Instant::now();
        let (mut resumed, mut until) = (false, begun + PATIENCE);
        loop {
            let now = Instant::now();
            for (_, pidfd) in self.ancestors.iter().filter(|(pid, _)| is_stopped(self.proc, *pid)) {
                // It may have exited, or may belong to another user.
                if process::pidfd_send_signal(pidfd, Signal::CONT).is_ok() {
                    (resumed, until) = (true, now + PATIENCE);
                }
            }
            if now >= until.min(begun + LONGEST) || !resumed && self.is_collected() {
                return;
            }
            thread::sleep(PAUSE);
        }
    }

    fn is_collected(&self) -> bool {
        let stat = proc::stat(self.proc, self.child.pid);
        stat.is_none_or(|stat| stat.start_ticks != self.child.start_ticks)
    }
}

// The first process and waltop itself do not stop with a child.
fn may_stop(pid: i32) -> bool {
    pid > 1 && u32::try_from(pid).is_ok_and(|pid| pid != std::process::id())
}

// A process whose threads cannot be listed counts as running, and one that has ended is not stopped.
fn is_stopped(proc: &Path, pid: i32) -> bool {
    program::thread_states(proc, pid).is_ok_and(|states| {
        program::running_thread(&states).is_none() && states.values().any(|&state| state == 'T')
    })
}
