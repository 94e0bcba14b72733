//! Whether a thread is in a sleep of SQLite's busy handler.

use std::time::Duration;

use super::classify::{SLEEP_FUNCTIONS, calls};
use crate::observe::{
    proc::{ProcessFolder, SyscallState, ThreadState},
    trace::HANDLER_SLEEPS_MS,
};

/// What the threads of a process show of such a sleep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SleepSight {
    /// A thread is in a sleep of this length, in ms, which is one of SQLite's.
    Handler(u32),
    /// A thread is in some sleep; which one is hidden.
    Hidden,
    /// No thread is in one, and one is ready to run: it may have woken up and wait for a processor.
    Ready,
    /// No thread is in one.
    None,
}

/// What `threads` show, the most certain first. `requested` reads the length of a sleep from an address.
pub fn sight_of(threads: &[ThreadState], requested: impl Fn(u64) -> Option<Duration>) -> SleepSight {
    if let Some(ms) = threads.iter().filter_map(|thread| handler_sleep(thread, &requested)).max() {
        return SleepSight::Handler(ms);
    }
    let is_hidden = |thread: &ThreadState| {
        let wchan = thread.wchan.as_deref().unwrap_or_default();
        thread.syscall == SyscallState::Hidden && SLEEP_FUNCTIONS.contains(&wchan)
    };
    if threads.iter().any(is_hidden) {
        return SleepSight::Hidden;
    }
    if threads.iter().any(|thread| thread.letter == 'R') { SleepSight::Ready } else { SleepSight::None }
}

/// How many of `threads` are in a sleep of the busy handler.
pub fn count(threads: &[ThreadState], requested: impl Fn(u64) -> Option<Duration>) -> u32 {
    let asleep = threads.iter().filter(|thread| handler_sleep(thread, &requested).is_some());
    u32::try_from(asleep.count()).unwrap_or(u32::MAX)
}

// The length of its sleep, in ms, if that is one of SQLite's.
fn handler_sleep(thread: &ThreadState, requested: impl Fn(u64) -> Option<Duration>) -> Option<u32> {
    let SyscallState::Blocked { number, arguments } = thread.syscall else { return None };
    let asked = requested(request_address(number, arguments)?)?;
    let ms = u64::try_from(asked.as_millis()).ok().filter(|ms| Duration::from_millis(*ms) == asked)?;
    HANDLER_SLEEPS_MS.contains(&ms).then_some(u32::try_from(ms).ok()?)
}

/// What the live process behind `folder` shows; `None` if it is gone.
pub fn sight(folder: &ProcessFolder) -> Option<SleepSight> {
    Some(sight_of(&folder.thread_states()?, |address| folder.requested_sleep(address)))
}

// Where the requested time is, if the call is one that SQLite's `usleep(3)` leads to: glibc sleeps by the realtime clock
// for a relative time, both 0, and musl calls nanosleep.
fn request_address(number: i64, arguments: [u64; 6]) -> Option<u64> {
    match number {
        calls::CLOCK_NANOSLEEP if arguments[..2] == [0, 0] => Some(arguments[2]),
        calls::NANOSLEEP => Some(arguments[0]),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: u64 = 4096;

    fn sleeping(number: i64, arguments: [u64; 3], ms: u64) -> SleepSight {
        let [first, second, third] = arguments;
        let syscall = SyscallState::Blocked { number, arguments: [first, second, third, 0, 0, 0] };
        let thread = ThreadState { letter: 'S', wchan: None, syscall };
        sight_of(&[thread], |address| (address == TIME).then_some(Duration::from_millis(ms)))
    }

    #[test]
    fn a_sleep_of_the_busy_handler_is_known_by_its_call_and_its_length() {
        let clock = |ms| sleeping(calls::CLOCK_NANOSLEEP, [0, 0, TIME], ms);
        for ms in [1, 2, 5, 10, 15, 20, 25, 50, 100] {
            assert_eq!(clock(ms), SleepSight::Handler(u32::try_from(ms).expect("small")));
        }
        for ms in [0, 3, 30, 101, 200, 1_000, 600_000] {
            assert_eq!(clock(ms), SleepSight::None, "{ms}");
        }
        assert_eq!(sleeping(calls::NANOSLEEP, [TIME, TIME, 0], 100), SleepSight::Handler(100));
        assert_eq!(sleeping(calls::CLOCK_NANOSLEEP, [1, 1, TIME], 100), SleepSight::None, "time.sleep()");
        assert_eq!(sleeping(232, [0, 0, TIME], 100), SleepSight::None, "an event loop");
    }

    #[test]
    fn who_is_ready_to_run_may_have_just_woken_up() {
        let ready = ThreadState { letter: 'R', wchan: None, syscall: SyscallState::Running };
        assert_eq!(sight_of(&[ready], |_| None), SleepSight::Ready);
    }

    #[test]
    fn a_sleep_whose_call_is_hidden_is_some_sleep() {
        let hidden = |wchan: &str| {
            let wchan = Some(wchan.to_owned());
            sight_of(&[ThreadState { letter: 'S', wchan, syscall: SyscallState::Hidden }], |_| None)
        };
        assert_eq!(hidden("hrtimer_nanosleep"), SleepSight::Hidden);
        assert_eq!(hidden("futex_do_wait"), SleepSight::None);
    }
}
