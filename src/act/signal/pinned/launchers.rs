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

/// Whether the parent of `pid` could be continued if it stopped. The first process and waltop itself do not stop with a
/// child.
pub fn may_continue_parent(proc: &Path, pid: i32) -> bool {
    let parent = observe::process_ancestors(proc, pid).into_iter().next();
    parent.filter(|&parent| may_stop(parent)).is_none_or(|parent| {
        let raw = Pid::from_raw(parent);
        raw.is_some_and(|raw| process::test_kill_process(raw).is_ok())
    })
}

impl<'a> RunningAncestors<'a> {
    /// Those of `child`, before it is stopped.
    pub fn of(proc: &'a Path, child: SignalTarget) -> Self {
        let ancestors = observe::process_ancestors(proc, child.pid).into_iter().filter(|&pid| may_stop(pid));
        let pin = |pid| {
            let pidfd = process::pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()?;
            (!is_stopped(proc, pid)).then_some((pid, pidfd))
        };
        Self { proc, child, ancestors: ancestors.filter_map(pin).collect() }
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

fn may_stop(pid: i32) -> bool {
    pid > 1 && u32::try_from(pid).is_ok_and(|pid| pid != std::process::id())
}

// A process whose threads cannot be listed counts as running.
fn is_stopped(proc: &Path, pid: i32) -> bool {
    program::thread_states(proc, pid)
        .is_ok_and(|states| !states.is_empty() && states.values().all(|&state| state == 'T'))
}
