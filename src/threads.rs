//! Threads that the system may refuse: because of a limit on processes (`ulimit -u`, `pids.max` of a cgroup) or on
//! memory (`ulimit -v`). `std::thread::spawn` and `Scope::spawn` panic then.

use std::{
    io,
    sync::{Mutex, MutexGuard, PoisonError, mpsc},
    thread::{Builder, JoinHandle, Scope, ScopedJoinHandle},
};

use crossbeam_channel::{Receiver, Sender};

/// Starts `work` on a thread of that name.
///
/// # Errors
///
/// The system refuses it; the message names the limits.
pub fn start<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    Builder::new().name(name.to_owned()).spawn(work).map_err(|error| refused(&error))
}

/// Starts `work` on a thread of that name. The channel closes once it is done and everything it owned is dropped.
///
/// # Errors
///
/// As [`start`].
pub fn start_watched(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<Receiver<()>> {
    let (working, done) = crossbeam_channel::bounded(0);
    start(name, move || {
        // Nothing is ever sent.
        let _working: Sender<()> = working;
        work();
    })?;
    Ok(done)
}

/// As [`start`], inside `scope`.
///
/// # Errors
///
/// As [`start`].
pub fn start_in<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    name: &str,
    work: impl FnOnce() -> T + Send + 'scope,
) -> io::Result<ScopedJoinHandle<'scope, T>> {
    Builder::new().name(name.to_owned()).spawn_scoped(scope, work).map_err(|error| refused(&error))
}

/// Locks `mutex`. The panic of a former holder was already reported, and what it left is used as it is.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How many of `wanted` threads the system allows at the same time. Needed before a call into a library that starts
/// threads and panics if one is refused.
pub fn available(wanted: usize) -> usize {
    let probes = (0..wanted).map_while(|_| {
        let (release, wait) = mpsc::channel::<()>();
        let probe = start("probe", move || {
            // Dropping the other half releases it.
            let _ = wait.recv();
        });
        probe.ok().map(|probe| (release, probe))
    });
    let (release, probes): (Vec<_>, Vec<_>) = probes.unzip();
    drop(release);
    let count = probes.len();
    for probe in probes {
        // It cannot panic, and only its end matters.
        let _ = probe.join();
    }
    count
}

/// Fails if the system does not allow `wanted` more threads at the same time.
///
/// # Errors
///
/// As [`start`].
pub fn need(wanted: usize) -> io::Result<()> {
    if available(wanted) == wanted { Ok(()) } else { Err(refused(&io::ErrorKind::WouldBlock.into())) }
}

fn refused(error: &io::Error) -> io::Error {
    let why = match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::OutOfMemory => String::new(),
        _ => format!(" ({error})"),
    };
    io::Error::new(
        error.kind(),
        format!(
            "the system refuses another thread{why}; raise the limit on processes (ulimit -u) or memory (ulimit -v)"
        ),
    )
}

#[cfg(test)]
mod tests {
    use std::iter;

    use super::*;

    #[test]
    fn threads_run_and_probes_are_counted() {
        assert_eq!(start("one", || 1).expect("a thread").join().expect("no panic"), 1);
        let sum: i32 = std::thread::scope(|scope| {
            let threads: Vec<_> =
                iter::repeat_with(|| start_in(scope, "two", || 2).expect("a thread")).take(3).collect();
            threads.into_iter().map(|it| it.join().expect("no panic")).sum()
        });
        assert_eq!((sum, available(4), available(0)), (6, 4, 0));
        need(2).expect("two threads");
    }

    #[test]
    fn a_refusal_names_the_limits_in_one_line() {
        for kind in [io::ErrorKind::WouldBlock, io::ErrorKind::OutOfMemory, io::ErrorKind::PermissionDenied] {
            let error = refused(&kind.into()).to_string();
            assert!(error.contains("ulimit -u") && !error.contains('\n'), "{error}");
        }
    }
}
