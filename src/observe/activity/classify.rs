//! The activity of a process, from what its threads wait for.
//!
//! A lock belongs to the process, and which thread has the transaction is unknown: threads that wait for other threads
//! are left out, and what remains must agree.

use crate::{
    observe::proc::{FREEZER_TRAPS, SyscallState, ThreadState},
    snapshot::{Activity, WaitSource},
};

/// What a blocked thread is asked about in addition; it may be slow, and is asked only where its answer is needed.
pub trait WaitDetails {
    /// What the descriptor `number` leads to.
    fn source(&self, number: i32) -> WaitSource;
    /// What a `poll(2)` with the array at `address` waits for.
    fn polled(&self, address: u64, count: u64) -> Activity;
    /// What a `select(2)` with these sets waits for.
    fn selected(&self, count: u64, reading: u64, writing: u64) -> Activity;
    /// What the event loop behind descriptor `number` watches.
    fn event_loop(&self, number: i32) -> Activity;
    fn children(&self) -> Activity;
    /// The path of the file behind descriptor `number`.
    fn path(&self, number: i32) -> Option<String>;
    /// The databases that the process has open, and that other processes have locked.
    fn locked_databases(&self) -> Vec<String>;
}

/// The activity of a process with these threads.
pub fn activity(threads: &[ThreadState], details: &dyn WaitDetails) -> Activity {
    let mut found = threads.iter().map(|thread| (thread, class(thread))).collect::<Vec<_>>();
    if found.iter().any(|(_, class)| *class != WaitClass::Thread) {
        found.retain(|(_, class)| *class != WaitClass::Thread);
    }
    let Some(&(thread, first)) = found.first() else { return Activity::Hidden };
    if found.iter().any(|(_, class)| *class != first) {
        return Activity::SeveralThreads;
    }
    let activity = describe(thread, first, details);
    // Two threads in reads may read from different things.
    let is_same = |(other, class): &(&ThreadState, WaitClass)| describe(other, *class, details) == activity;
    let agree = !first.has_one_subject() || found[1..].iter().all(is_same);
    if agree { activity } else { Activity::SeveralThreads }
}

// What a thread does, before its details are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WaitClass {
    Computing,
    Disk,
    Stopped,
    Frozen,
    Sleep,
    Read,
    Write,
    Poll,
    Select,
    EventLoop,
    Child,
    Thread,
    FileLock,
    Hidden,
    Other,
}

impl WaitClass {
    // Whether two threads of this class may wait for different things. Event loops are left out: a runtime has one of
    // its own beside the program's, which is in the first thread.
    const fn has_one_subject(self) -> bool {
        matches!(self, Self::Read | Self::Write | Self::Poll | Self::Select | Self::FileLock)
    }
}

/// The kernel functions of a sleep.
pub const SLEEP_FUNCTIONS: [&str; 2] = ["hrtimer_nanosleep", "do_nanosleep"];

fn class(thread: &ThreadState) -> WaitClass {
    let wchan = thread.wchan.as_deref().unwrap_or_default();
    match thread.letter {
        'R' => return WaitClass::Computing,
        'T' | 't' => return WaitClass::Stopped,
        // A sleep that a signal could end, but none can now: version 1 of control groups has frozen it.
        'D' if is_interruptible(wchan) => return WaitClass::Frozen,
        'S' if FREEZER_TRAPS.contains(&wchan) => return WaitClass::Frozen,
        _ if matches!(wchan, "__refrigerator" | "do_freezer_trap" | "cgroup_freezer") => {
            return WaitClass::Frozen;
        }
        'D' if wchan.contains("vfork") => return WaitClass::Child,
        'D' => return WaitClass::Disk,
        _ => {}
    }
    match thread.syscall {
        SyscallState::Running => WaitClass::Computing,
        SyscallState::Blocked { number, .. } => by_call(number),
        SyscallState::Outside | SyscallState::Hidden => by_kernel_function(wchan),
    }
}

fn by_call(number: i64) -> WaitClass {
    let is_in = |calls: &[i64]| calls.contains(&number);
    match () {
        () if is_in(calls::READ) => WaitClass::Read,
        () if is_in(calls::WRITE) => WaitClass::Write,
        () if is_in(calls::POLL) => WaitClass::Poll,
        () if is_in(calls::SELECT) => WaitClass::Select,
        () if is_in(calls::EVENT_LOOP) => WaitClass::EventLoop,
        () if is_in(&[calls::CLOCK_NANOSLEEP, calls::NANOSLEEP]) => WaitClass::Sleep,
        () if is_in(calls::THREAD) => WaitClass::Thread,
        () if is_in(calls::CHILD) => WaitClass::Child,
        () if is_in(calls::SYNC) => WaitClass::Disk,
        () if is_in(calls::FILE_LOCK) => WaitClass::FileLock,
        () => WaitClass::Other,
    }
}

fn is_interruptible(wchan: &str) -> bool {
    matches!(by_kernel_function(wchan), WaitClass::Sleep | WaitClass::Thread | WaitClass::EventLoop)
        || begins(wchan, &["pipe_read", "do_select", "do_sys_poll"])
}

fn begins(name: &str, known: &[&str]) -> bool {
    known.iter().any(|known| name.starts_with(known))
}

// Where the call itself is hidden. Kernels differ in these names.
fn by_kernel_function(name: &str) -> WaitClass {
    let begins = |names: &[&str]| begins(name, names);
    match () {
        () if name.is_empty() => WaitClass::Hidden,
        () if begins(&SLEEP_FUNCTIONS) => WaitClass::Sleep,
        () if begins(&["futex_"]) => WaitClass::Thread,
        () if begins(&["do_wait", "do_wait4", "kernel_wait"]) => WaitClass::Child,
        () if begins(&["ep_poll", "do_epoll_wait"]) => WaitClass::EventLoop,
        () => WaitClass::Other,
    }
}

fn describe(thread: &ThreadState, class: WaitClass, details: &dyn WaitDetails) -> Activity {
    let (number, arguments) = match thread.syscall {
        SyscallState::Blocked { number, arguments } => (Some(number), Some(arguments)),
        _ => (None, None),
    };
    let descriptor = arguments.and_then(|arguments| i32::try_from(arguments[0]).ok());
    let source = || descriptor.map_or(WaitSource::Unknown, |number| details.source(number));
    match class {
        WaitClass::Computing => Activity::Computing,
        WaitClass::Disk => Activity::Disk,
        WaitClass::Stopped => Activity::Stopped,
        WaitClass::Frozen => Activity::Frozen,
        WaitClass::Sleep => sleep(arguments, details),
        WaitClass::Read => Activity::Reading { from: source() },
        WaitClass::Write => Activity::Writing { to: source() },
        WaitClass::Poll => arguments.map_or(LOOP, |it| details.polled(it[0], it[1])),
        WaitClass::Select => arguments.map_or(LOOP, |it| details.selected(it[0], it[1], it[2])),
        WaitClass::EventLoop => descriptor.map_or(LOOP, |number| details.event_loop(number)),
        WaitClass::Child => details.children(),
        WaitClass::Thread => Activity::Thread,
        WaitClass::FileLock => {
            Activity::FileLock { path: descriptor.and_then(|number| details.path(number)) }
        }
        WaitClass::Hidden => Activity::Hidden,
        WaitClass::Other => Activity::Other { wchan: thread.wchan.clone(), syscall: number },
    }
}

// SQLite's own wait between two tries is `usleep(3)`: the clock is CLOCK_REALTIME and the time is relative, both 0. A
// program may sleep in the same way, so that the locks on its other databases decide.
fn sleep(arguments: Option<[u64; 6]>, details: &dyn WaitDetails) -> Activity {
    let may_be_sqlite = arguments.is_some_and(|arguments| arguments[..2] == [0, 0]);
    let databases = if may_be_sqlite { details.locked_databases() } else { Vec::new() };
    if databases.is_empty() { Activity::Asleep } else { Activity::BusyWait { databases } }
}

/// An event loop of which nothing more is known.
pub const LOOP: Activity = Activity::EventLoop { sources: Vec::new(), more: 0 };

// `arch/x86/entry/syscalls/syscall_64.tbl` of the kernel.
#[cfg(target_arch = "x86_64")]
pub mod calls {
    // read, pread64, readv, accept, recvfrom, recvmsg, accept4, preadv, recvmmsg
    pub const READ: &[i64] = &[0, 17, 19, 43, 45, 47, 288, 295, 299];
    // write, pwrite64, writev, connect, sendto, sendmsg, sendmmsg
    pub const WRITE: &[i64] = &[1, 18, 20, 42, 44, 46, 307];
    // poll, ppoll
    pub const POLL: &[i64] = &[7, 271];
    // select, pselect6
    pub const SELECT: &[i64] = &[23, 270];
    // epoll_wait, epoll_pwait, epoll_pwait2
    pub const EVENT_LOOP: &[i64] = &[232, 281, 441];
    pub const CLOCK_NANOSLEEP: i64 = 230;
    pub const NANOSLEEP: i64 = 35;
    // futex, futex_waitv
    pub const THREAD: &[i64] = &[202, 449];
    // wait4, waitid
    pub const CHILD: &[i64] = &[61, 247];
    // fsync, fdatasync, msync, sync_file_range
    pub const SYNC: &[i64] = &[74, 75, 26, 277];
    // fcntl, flock
    pub const FILE_LOCK: &[i64] = &[72, 73];
}

// `include/uapi/asm-generic/unistd.h` of the kernel.
#[cfg(not(target_arch = "x86_64"))]
pub mod calls {
    // read, readv, pread64, preadv, accept, recvfrom, recvmsg, accept4, recvmmsg
    pub const READ: &[i64] = &[63, 65, 67, 69, 202, 207, 212, 242, 243];
    // write, writev, pwrite64, connect, sendto, sendmsg, sendmmsg
    pub const WRITE: &[i64] = &[64, 66, 68, 203, 206, 211, 269];
    // ppoll
    pub const POLL: &[i64] = &[73];
    // pselect6
    pub const SELECT: &[i64] = &[72];
    // epoll_pwait, epoll_pwait2
    pub const EVENT_LOOP: &[i64] = &[22, 441];
    pub const CLOCK_NANOSLEEP: i64 = 115;
    pub const NANOSLEEP: i64 = 101;
    // futex, futex_waitv
    pub const THREAD: &[i64] = &[98, 449];
    // wait4, waitid
    pub const CHILD: &[i64] = &[260, 95];
    // fsync, fdatasync, sync_file_range, msync
    pub const SYNC: &[i64] = &[82, 83, 84, 227];
    // fcntl, flock
    pub const FILE_LOCK: &[i64] = &[25, 32];
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;

    /// Descriptor 3 is a file, and another one a terminal of its number.
    struct Details(Vec<String>);

    impl WaitDetails for Details {
        fn source(&self, number: i32) -> WaitSource {
            if number == 3 {
                WaitSource::File { path: "/srv/a".to_owned() }
            } else {
                WaitSource::Terminal { name: number.to_string() }
            }
        }

        fn polled(&self, address: u64, count: u64) -> Activity {
            Activity::Reading { from: WaitSource::Object { name: format!("{count} at {address}") } }
        }

        fn selected(&self, _: u64, _: u64, _: u64) -> Activity {
            LOOP
        }

        fn event_loop(&self, _: i32) -> Activity {
            LOOP
        }

        fn children(&self) -> Activity {
            Activity::Child { children: Vec::new() }
        }

        fn path(&self, number: i32) -> Option<String> {
            Some(number.to_string())
        }

        fn locked_databases(&self) -> Vec<String> {
            self.0.clone()
        }
    }

    fn blocked(number: i64, first: u64, second: u64) -> ThreadState {
        let arguments = [first, second, 0, 0, 0, 0];
        let syscall = SyscallState::Blocked { number, arguments };
        ThreadState { letter: 'S', wchan: None, syscall }
    }

    fn hidden(letter: char, wchan: &str) -> ThreadState {
        let wchan = Some(wchan.to_owned()).filter(|name| !name.is_empty());
        ThreadState { letter, wchan, syscall: SyscallState::Hidden }
    }

    fn of(threads: &[ThreadState]) -> Activity {
        activity(threads, &Details(Vec::new()))
    }

    #[test]
    fn a_call_names_the_activity() {
        let terminal = || WaitSource::Terminal { name: "5".to_owned() };
        for (thread, expected) in [
            (blocked(0, 5, 0), Activity::Reading { from: terminal() }),
            (blocked(44, 5, 0), Activity::Writing { to: terminal() }),
            (
                blocked(7, 64, 1),
                Activity::Reading { from: WaitSource::Object { name: "1 at 64".to_owned() } },
            ),
            (blocked(232, 5, 0), LOOP),
            (blocked(61, 0, 0), Activity::Child { children: Vec::new() }),
            (blocked(202, 0, 0), Activity::Thread),
            (blocked(75, 5, 0), Activity::Disk),
            (blocked(72, 5, 0), Activity::FileLock { path: Some("5".to_owned()) }),
            (blocked(230, 1, 1), Activity::Asleep),
            (blocked(999, 0, 0), Activity::Other { wchan: None, syscall: Some(999) }),
        ] {
            assert_eq!(of(&[thread]), expected);
        }
    }

    #[test]
    fn what_another_user_may_not_see_is_hidden_and_not_guessed() {
        for (thread, expected) in [
            (hidden('S', ""), Activity::Hidden),
            (hidden('R', ""), Activity::Computing),
            (hidden('D', ""), Activity::Disk),
            (hidden('T', ""), Activity::Stopped),
            (hidden('S', "futex_wait_queue"), Activity::Thread),
            (hidden('S', "hrtimer_nanosleep"), Activity::Asleep),
            (hidden('S', "do_nanosleep"), Activity::Asleep),
            (hidden('S', "ep_poll"), LOOP),
            (hidden('S', "do_epoll_wait"), LOOP),
            (hidden('S', "do_wait"), Activity::Child { children: Vec::new() }),
            (hidden('S', "kernel_wait4"), Activity::Child { children: Vec::new() }),
            (hidden('S', "do_freezer_trap"), Activity::Frozen),
            (hidden('D', "do_freezer_trap"), Activity::Frozen),
            (hidden('S', "get_signal"), Activity::Frozen),
            (hidden('D', "hrtimer_nanosleep"), Activity::Frozen),
            (hidden('D', "io_schedule"), Activity::Disk),
            (hidden('S', "__refrigerator"), Activity::Frozen),
            (hidden('S', "cgroup_freezer"), Activity::Frozen),
            (hidden('D', "wait_for_vfork_done"), Activity::Child { children: Vec::new() }),
            (
                hidden('S', "sk_wait_data"),
                Activity::Other { wchan: Some("sk_wait_data".to_owned()), syscall: None },
            ),
        ] {
            assert_eq!(of(&[thread]), expected);
        }
    }

    #[test]
    fn threads_that_wait_for_others_are_left_out_and_the_rest_must_agree() {
        let (parked, reads, sleeps) = (blocked(202, 0, 0), blocked(0, 3, 0), blocked(230, 1, 1));
        let from_file = Activity::Reading { from: WaitSource::File { path: "/srv/a".to_owned() } };
        assert_eq!(of(&[parked.clone(), reads.clone(), parked.clone()]), from_file);
        assert_eq!(of(&[parked.clone(), parked]), Activity::Thread);
        assert_eq!(of(&[reads.clone(), sleeps]), Activity::SeveralThreads);
        assert_eq!(of(&[reads.clone(), reads.clone()]), from_file);
        assert_eq!(
            of(&[reads, blocked(0, 9, 0)]),
            Activity::SeveralThreads,
            "they read from different things"
        );
        assert_eq!(of(&[blocked(232, 5, 0), blocked(281, 7, 0)]), LOOP, "a runtime has a loop of its own");
        assert_eq!(of(&[]), Activity::Hidden);
    }

    #[test]
    fn a_sleep_like_that_of_sqlite_is_one_only_if_another_database_is_locked() {
        let sleep = [blocked(230, 0, 0)];
        assert_eq!(of(&sleep), Activity::Asleep);
        let databases = vec!["/srv/b.db".to_owned()];
        let details = Details(databases.clone());
        assert_eq!(activity(&sleep, &details), Activity::BusyWait { databases });
        assert_eq!(activity(&[blocked(230, 1, 1)], &details), Activity::Asleep);
    }
}
