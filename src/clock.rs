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
