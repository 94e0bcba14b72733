//! Asking a run to end after the current batch.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use tokio::signal::unix::{SignalKind, signal};

/// A request to end after the current batch; its clones are one flag.
#[derive(Debug, Clone, Default)]
pub struct StopFlag(Arc<AtomicBool>);

impl StopFlag {
    /// Asks the run to end.
    pub fn raise(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether the run was asked to end.
    #[must_use]
    pub fn is_raised(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A flag that SIGINT and SIGTERM raise from now on, instead of ending the process.
///
/// # Errors
///
/// Where the process cannot listen to signals.
pub fn stop_on_signals() -> io::Result<StopFlag> {
    let flag = StopFlag::default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let (mut interrupt, mut terminate) = {
        let _context = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
    };
    let raised = flag.clone();
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        runtime.block_on(async {
            // `None` would mean that no signal can come any more: nothing to wait for then.
            while tokio::select! { seen = interrupt.recv() => seen, seen = terminate.recv() => seen }
                .is_some()
            {
                raised.raise();
            }
        });
    })?;
    Ok(flag)
}
