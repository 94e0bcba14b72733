//! The process that started a server. Its other children can keep the pipes open, so that its death alone does not end
//! them.

use std::{io, os::fd::OwnedFd, thread, time::Duration};

use rustix::{
    event::{PollFd, PollFlags, poll},
    io::Errno,
    process::{Pid, getppid},
};
use tokio::sync::oneshot;

use crate::threads;

/// How often the parent is compared where no pidfd says it.
const EVERY: Duration = Duration::from_millis(500);

/// Becomes ready when the parent of this process has ended: all of its threads, for which `PR_SET_PDEATHSIG` does not
/// wait. Never for a parent in another PID namespace.
///
/// # Errors
///
/// The system refuses a thread.
pub fn watch() -> io::Result<oneshot::Receiver<()>> {
    let (ended, end) = oneshot::channel();
    let parent = getppid();
    threads::start("waltop-parent", move || {
        match parent {
            Some(parent) => wait(parent),
            None => loop {
                thread::park();
            },
        }
        // The server may have ended first.
        let _ = ended.send(());
    })?;
    Ok(end)
}

fn wait(parent: Pid) {
    let is_there = || getppid() == Some(parent);
    if let Some(pidfd) = pidfd(parent) {
        // It may have ended before, and the pidfd is then that of another process.
        while is_there() {
            match poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], None) {
                Ok(_) => return,
                Err(Errno::INTR) => {}
                Err(_) => break,
            }
        }
    }
    while is_there() {
        thread::sleep(EVERY);
    }
}

#[cfg(target_os = "linux")]
fn pidfd(pid: Pid) -> Option<OwnedFd> {
    rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).ok()
}

#[cfg(not(target_os = "linux"))]
fn pidfd(_pid: Pid) -> Option<OwnedFd> {
    None
}
