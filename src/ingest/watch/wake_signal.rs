//! Connects the sources of events with the thread that waits for them; no queue grows.

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use super::debounce::{EventDebouncer, EventGroup, WatchEvent};
use crate::{ingest::StopFlag, threads};

/// Wakes the watch; all clones are one signal.
#[derive(Debug, Clone, Default)]
pub struct WakeSignal {
    stop: StopFlag,
    inner: Arc<WakeState>,
}

#[derive(Debug, Default)]
struct WakeState {
    debounce: Mutex<EventDebouncer>,
    rung: Condvar,
}

/// Why the wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wakeup {
    /// The watch has to end.
    ToEnd,
    /// Something changed, and it has been quiet since, or changes continue for too long.
    By(EventGroup),
    InTime,
}

/// Whether changes end the wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WakeOn {
    /// Changes end it.
    Changes,
    OnlyTime,
}

impl WakeSignal {
    /// Asks the watch to end, after the current batch if a run is active.
    pub fn end(&self) {
        // Under the lock, so that no thread goes to sleep between its check and the wake-up.
        let _debounce = self.debounce();
        self.stop.raise();
        self.inner.rung.notify_all();
    }

    /// The stop flag of a run.
    pub fn stop(&self) -> &StopFlag {
        &self.stop
    }

    pub fn add_event(&self, heard: WatchEvent) {
        self.debounce().add(heard, Instant::now());
        self.inner.rung.notify_all();
    }

    /// The events so far, which a run that starts now covers.
    pub fn take(&self) -> Option<EventGroup> {
        self.debounce().take()
    }

    /// Waits for the end, for the time `until`, and for changes if `mind` says so.
    pub fn wait(&self, until: Instant, mind: WakeOn) -> Wakeup {
        let mut debounce = self.debounce();
        loop {
            let now = Instant::now();
            if self.stop.is_raised() {
                return Wakeup::ToEnd;
            }
            let minds = mind == WakeOn::Changes;
            if let Some(wave) = minds.then(|| debounce.take_if_due(now)).flatten() {
                return Wakeup::By(wave);
            }
            if until <= now {
                return Wakeup::InTime;
            }
            let due = debounce.due().filter(|_| minds).map_or(until, |due| due.min(until));
            let woken = self.inner.rung.wait_timeout(debounce, due - now);
            debounce = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Blocks new events until it is dropped.
    pub(super) fn debounce(&self) -> MutexGuard<'_, EventDebouncer> {
        threads::lock(&self.inner.debounce)
    }
}

#[cfg(test)]
mod tests {
    use std::{thread, time::Duration};

    use super::*;

    const LONG: Duration = Duration::from_hours(1);

    #[test]
    fn changes_wake_and_the_end_wakes_before_them() {
        let bell = WakeSignal::default();
        let far = Instant::now() + LONG;
        let other = bell.clone();
        let hears = thread::spawn(move || (0..100).for_each(|_| other.add_event(WatchEvent::Document)));
        let Wakeup::By(wave) = bell.wait(far, WakeOn::Changes) else { panic!("it is a change") };
        hears.join().expect("it ends");
        let rest = bell.take().map_or(0, |wave| wave.events);
        assert_eq!((wave.heard, wave.events + rest), (WatchEvent::Document, 100));

        bell.add_event(WatchEvent::Lost);
        assert_eq!(bell.wait(Instant::now(), WakeOn::OnlyTime), Wakeup::InTime, "changes wait");
        let other = bell.clone();
        let ends = thread::spawn(move || other.end());
        assert_eq!(bell.wait(far, WakeOn::OnlyTime), Wakeup::ToEnd);
        ends.join().expect("it ends");
        assert_eq!(bell.wait(far, WakeOn::Changes), Wakeup::ToEnd);
        assert_eq!(bell.take().map(|wave| wave.heard), Some(WatchEvent::Lost), "nothing was lost");
    }
}
