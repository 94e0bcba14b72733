//! The clocks of the kernel that the standard library does not read (`clock_gettime(2)`).

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// The time of `clock`. None of them is ever negative.
pub fn read(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// The CPU time of this thread. It does not count how long a busy machine ran others.
pub fn cpu_time() -> Duration {
    read(ClockId::ThreadCPUTime)
}

/// The time since boot, with the time of sleep.
#[cfg(target_os = "linux")]
pub fn since_boot() -> Duration {
    read(ClockId::Boottime)
}

/// Elsewhere this clock stands still while the machine sleeps.
#[cfg(not(target_os = "linux"))]
pub fn since_boot() -> Duration {
    read(ClockId::Monotonic)
}

/// For how long the machine has slept since boot; `None` if that is unknown.
#[cfg(target_os = "linux")]
#[expect(clippy::unnecessary_wraps, reason = "other systems do not tell")]
pub fn slept() -> Option<Duration> {
    // The clock that includes sleep is read first, so that the difference shows no sleep that did not happen.
    let (all, awake) = (since_boot(), read(ClockId::Monotonic));
    Some(all.saturating_sub(awake))
}

/// Unknown on this system.
#[cfg(not(target_os = "linux"))]
pub fn slept() -> Option<Duration> {
    None
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    #[test]
    fn the_machine_has_slept_for_less_than_it_has_run() {
        assert!(slept().is_some_and(|slept| slept < since_boot()));
    }
}
