//! Waits for the write lock, but not after a request to stop.

use std::{
    fmt,
    ops::ControlFlow,
    path::Path,
    rc::Rc,
    time::{Duration, Instant},
};

use super::{super::stop::StopFlag, StoreError};
pub(super) use crate::database::busy::RetryFailure;
use crate::database::{
    busy::{self, MayBeBusy},
    holder::write_lock_holder,
    migrations,
};

/// A wait of this length is reported while it goes on.
const LONG_WAIT: Duration = Duration::from_secs(1);

/// How long to try for a lock.
#[derive(Debug, Clone)]
pub struct LockPatience {
    pub budget: Duration,
    /// Stops the wait when it is raised.
    pub stop: StopFlag,
    /// Called once in each wait that takes longer than a second.
    pub long_wait: WaitListener,
}

/// Receives long waits while they go on. The default ignores them.
#[derive(Clone, Default)]
pub struct WaitListener(Option<Rc<dyn Fn()>>);

impl WaitListener {
    pub fn new(listener: impl Fn() + 'static) -> Self {
        Self(Some(Rc::new(listener)))
    }

    fn call(&self) {
        if let Some(listener) = &self.0 {
            listener();
        }
    }
}

impl fmt::Debug for WaitListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WaitListener").field(&self.0.is_some()).finish()
    }
}

impl MayBeBusy for migrations::MigrationError {
    fn is_busy(&self) -> bool {
        matches!(self, Self::Busy { .. })
    }
}

impl<E> RetryFailure<E> {
    /// The store's error; `other` converts any other failure.
    pub(super) fn or(self, path: &Path, other: impl FnOnce(E) -> StoreError) -> StoreError {
        match self {
            Self::Busy(waited) => StoreError::Busy {
                path: path.display().to_string(),
                seconds: (waited.as_secs_f64() * 10.0).round() / 10.0,
                // Not the configurable `/proc`: this is about a lock that this very process was refused.
                holder: write_lock_holder(path, Path::new("/proc")),
            },
            Self::Stopped => StoreError::Stopped,
            Self::Other(error) => other(error),
        }
    }
}

impl RetryFailure {
    pub(super) fn into_error(self, path: &Path, doing: &'static str) -> StoreError {
        self.or(path, |source| StoreError::of(doing, path, source))
    }
}

/// The result of `attempt`, with retries while another process has the lock; and how often it was refused.
pub(super) fn patiently<T, E: MayBeBusy>(
    patience: &LockPatience,
    attempt: impl FnMut() -> Result<T, E>,
) -> Result<(T, u64), RetryFailure<E>> {
    let (begun, mut is_reported) = (Instant::now(), false);
    let refused = || {
        if patience.stop.is_raised() {
            return ControlFlow::Break(());
        }
        if !is_reported && begun.elapsed() >= LONG_WAIT {
            is_reported = true;
            patience.long_wait.call();
        }
        ControlFlow::Continue(())
    };
    busy::patiently(patience.budget, refused, attempt)
}
