//! What the threads of a process wait for: `/proc/PID/task/TID/{stat,wchan,syscall}`, and the descriptors that a wait
//! names in the memory of the process (`/proc/PID/mem`).

use std::{
    fs::{self, File},
    io,
    os::unix::fs::FileExt,
    path::Path,
};

use super::{FIGURES, ProcessFolder};
use crate::{
    bounded::{self, ReadLimits},
    snapshot::PeerProcess,
};

/// How many threads of one process a sample reads.
const MOST_THREADS: usize = 256;
/// How many descriptors of one wait are read.
pub const MOST_WAITED: usize = 64;
/// How many children of one process are named.
const MOST_CHILDREN: usize = 8;
/// Bytes of a `struct pollfd`.
const POLL_ENTRY: usize = 8;
/// An event loop may watch a million descriptors, each a line of `fdinfo`.
const LOOP_LIMITS: ReadLimits = ReadLimits { bytes: 256 << 10, time: std::time::Duration::from_millis(20) };

/// The state of one thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThreadState {
    /// As in `stat`: R, S, D and so on.
    pub letter: char,
    /// The kernel function in which it sleeps; `None` if it runs, or the kernel hides it.
    pub wchan: Option<String>,
    pub syscall: SyscallState,
}

/// The system call that a thread is in (`proc_pid_syscall(5)`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SyscallState {
    /// It runs, or is about to.
    Running,
    /// It is blocked in this call, with these arguments.
    Blocked { number: i64, arguments: [u64; 6] },
    /// It is blocked, and in no system call.
    Outside,
    /// The kernel hides it from this user.
    Hidden,
}

/// Which events a descriptor is polled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PolledDescriptor {
    pub number: i32,
    /// Whether only for the possibility to write.
    pub is_for_writing: bool,
}

impl ProcessFolder {
    /// Its threads that have not ended; `None` if the process is gone, or has too many to read.
    pub fn thread_states(&self) -> Option<Vec<ThreadState>> {
        let mut states = Vec::new();
        for task in fs::read_dir(self.0.join("task")).ok()?.flatten() {
            if states.len() == MOST_THREADS {
                return None;
            }
            let thread = Self(task.path());
            // A thread that ends between two reads has no state.
            let Some(stat) = thread.stat().filter(|stat| !super::stat::has_ended(stat.state)) else {
                continue;
            };
            states.push(ThreadState { letter: stat.state, wchan: thread.wchan(), syscall: thread.syscall() });
        }
        Some(states).filter(|states| !states.is_empty())
    }

    pub(super) fn wchan(&self) -> Option<String> {
        let name = bounded::read_record(&self.0.join("wchan"), FIGURES).ok()?;
        Some(name.trim().to_owned()).filter(|name| !name.is_empty() && name != "0")
    }

    fn syscall(&self) -> SyscallState {
        self.syscall_text().ok().and_then(|text| syscall(&text)).unwrap_or(SyscallState::Hidden)
    }

    pub(super) fn syscall_text(&self) -> io::Result<String> {
        bounded::read_record(&self.0.join("syscall"), FIGURES)
    }

    /// The descriptors in the array of `count` entries of `poll(2)` at `address`; `None` if its memory is hidden.
    pub fn polled(&self, address: u64, count: u64) -> Option<Vec<PolledDescriptor>> {
        let count = usize::try_from(count).ok()?.min(MOST_WAITED);
        Some(polled(&self.memory(address, count * POLL_ENTRY)?))
    }

    /// The descriptors in the sets of `select(2)` at `reading` and `writing`, of `count` bits each; `None` if its
    /// memory is hidden.
    pub fn selected(&self, count: u64, reading: u64, writing: u64) -> Option<Vec<PolledDescriptor>> {
        // A set has at most 1024 bits, in whole words.
        let bytes = usize::try_from(count.min(1024)).ok()?.div_ceil(64) * 8;
        let mut all = Vec::new();
        for (address, is_for_writing) in [(reading, false), (writing, true)] {
            if address != 0 {
                let set = self.memory(address, bytes)?;
                let numbers = bits(&set).filter(|number| u64::from(*number) < count);
                let descriptors = numbers.filter_map(|number| i32::try_from(number).ok());
                all.extend(descriptors.map(|number| PolledDescriptor { number, is_for_writing }));
            }
        }
        all.truncate(MOST_WAITED);
        Some(all)
    }

    /// The descriptors that the event loop behind descriptor `number` watches; `None` if they are hidden.
    pub fn watched_by(&self, number: i32) -> Option<Vec<i32>> {
        let file = File::open(self.0.join("fdinfo").join(number.to_string())).ok()?;
        let mut watched = Vec::new();
        let read = bounded::each_line(file, LOOP_LIMITS, |line| {
            watched.extend(watched_descriptor(line));
            true
        });
        read.ok().map(|_| watched)
    }

    /// The length of the sleep that the `struct timespec` at `address` asks for; `None` if its memory is hidden.
    pub fn requested_sleep(&self, address: u64) -> Option<std::time::Duration> {
        let time = self.memory(address, 16)?;
        let part = |at: usize| Some(i64::from_ne_bytes(time.get(at..at + 8)?.try_into().ok()?));
        let (seconds, nanoseconds) = (u64::try_from(part(0)?).ok()?, u32::try_from(part(8)?).ok()?);
        Some(std::time::Duration::new(seconds, nanoseconds.min(999_999_999)))
    }

    fn memory(&self, address: u64, bytes: usize) -> Option<Vec<u8>> {
        let mut content = vec![0; bytes];
        File::open(self.0.join("mem")).ok()?.read_exact_at(&mut content, address).ok()?;
        Some(content)
    }
}

/// The children of `pid`, the first few, where the kernel lists them (`CONFIG_PROC_CHILDREN`).
pub fn children(proc: &Path, pid: i32) -> Vec<PeerProcess> {
    let Ok(tasks) = fs::read_dir(ProcessFolder::of(proc, pid).0.join("task")) else { return Vec::new() };
    let mut children = Vec::new();
    for task in tasks.flatten().take(MOST_THREADS) {
        let listed = bounded::read(&task.path().join("children"), FIGURES);
        let text =
            listed.map(|listed| String::from_utf8_lossy(&listed.bytes).into_owned()).unwrap_or_default();
        let pids = text.split_ascii_whitespace().filter_map(|pid| pid.parse().ok());
        children.extend(pids.map(|pid| named(proc, pid)));
        children.truncate(MOST_CHILDREN);
    }
    children
}

/// The process `pid` with its name, which is empty if it is gone.
pub fn named(proc: &Path, pid: i32) -> PeerProcess {
    PeerProcess { pid, name: super::process_name(proc, pid).unwrap_or_default() }
}

// `45 0x3 0x7f… … 0x… SP PC`, `running`, or `-1 SP PC`.
fn syscall(text: &str) -> Option<SyscallState> {
    let mut fields = text.split_ascii_whitespace();
    let first = fields.next()?;
    if first == "running" {
        return Some(SyscallState::Running);
    }
    let number: i64 = first.parse().ok()?;
    if number < 0 {
        return Some(SyscallState::Outside);
    }
    let mut arguments = [0; 6];
    for argument in &mut arguments {
        *argument = u64::from_str_radix(fields.next()?.strip_prefix("0x")?, 16).ok()?;
    }
    Some(SyscallState::Blocked { number, arguments })
}

// `struct pollfd`: the descriptor, 4 bytes; the requested events, 2 bytes; the returned ones, 2 bytes.
fn polled(array: &[u8]) -> Vec<PolledDescriptor> {
    const POLLIN: u16 = 1;
    let entries = array.chunks_exact(POLL_ENTRY);
    let all = entries.map(|entry| {
        let number = i32::from_ne_bytes([entry[0], entry[1], entry[2], entry[3]]);
        let events = u16::from_ne_bytes([entry[4], entry[5]]);
        PolledDescriptor { number, is_for_writing: events & POLLIN == 0 && events != 0 }
    });
    // A negative descriptor is one that is ignored (`poll(2)`).
    all.filter(|polled| polled.number >= 0).collect()
}

fn bits(set: &[u8]) -> impl Iterator<Item = u32> + '_ {
    let words = set.chunks_exact(8).map(|word| u64::from_ne_bytes(word.try_into().unwrap_or_default()));
    (0_u32..)
        .step_by(64)
        .zip(words)
        .flat_map(|(first, word)| (0..64).filter(move |bit| word >> bit & 1 == 1).map(move |bit| first + bit))
}

// `tfd:       11 events:       19 data: b  pos:0 ino:5f3 sdev:8`
fn watched_descriptor(line: &[u8]) -> Option<i32> {
    let line = std::str::from_utf8(line).ok()?.strip_prefix("tfd:")?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fuzz::for_a_while;

    #[test]
    fn the_three_forms_of_a_system_call_are_read() {
        let blocked = "45 0x3 0x7f00 0x400 0x0 0x0 0x0 0x7ffd 0x7f01\n";
        let expected = SyscallState::Blocked { number: 45, arguments: [3, 0x7f00, 0x400, 0, 0, 0] };
        assert_eq!(syscall(blocked), Some(expected));
        assert_eq!(syscall("running\n"), Some(SyscallState::Running));
        assert_eq!(syscall("-1 0x7ffd 0x7f01\n"), Some(SyscallState::Outside));
        assert_eq!(syscall("45 0x3\n"), None, "too few arguments");
    }

    #[test]
    fn an_array_of_poll_names_its_descriptors() {
        let entry =
            |number: i32, events: u16| [&number.to_ne_bytes()[..], &events.to_ne_bytes(), &[0, 0]].concat();
        let array = [entry(7, 1), entry(-1, 1), entry(9, 4)].concat();
        let read = polled(&array);
        assert_eq!(
            read.iter().map(|it| (it.number, it.is_for_writing)).collect::<Vec<_>>(),
            [(7, false), (9, true)]
        );
    }

    #[test]
    fn a_set_of_select_names_its_descriptors() {
        let set = [1_u64 << 3 | 1 << 63, 1 << 1].map(u64::to_ne_bytes).concat();
        assert_eq!(bits(&set).collect::<Vec<_>>(), [3, 63, 65]);
    }

    #[test]
    fn the_lines_of_an_event_loop_name_what_it_watches() {
        assert_eq!(
            watched_descriptor(b"tfd:       11 events:       19 data: b  pos:0 ino:5f3 sdev:8"),
            Some(11)
        );
        assert_eq!(watched_descriptor(b"pos:\t0"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_a_thread_that_runs() {
        let states = ProcessFolder::own("/proc".as_ref()).thread_states().expect("it lives");
        assert!(states.iter().any(|thread| thread.letter == 'R'), "{states:?}");
    }

    #[test]
    fn fuzz_syscall() {
        for_a_while("syscall", |runner| {
            let inputs = "(running|-?[0-9]{1,22})?( (0x)?[0-9a-g]{0,20}){0,9}\n?";
            runner.run(&inputs, |text| {
                if let Some(SyscallState::Blocked { number, .. }) = syscall(&text) {
                    prop_assert!(number >= 0);
                }
                watched_descriptor(text.as_bytes());
                Ok(())
            })
        });
    }

    #[test]
    fn what_a_thread_sleeps_in_is_known_unless_it_runs_or_the_kernel_hides_it() {
        let proc = crate::observe::proc::fake::FakeProc::new();
        for (thread, wchan) in [("70", "futex_wait_queue\n"), ("71", "0"), ("72", "")] {
            let stat = format!("{thread} (bun) S 1 {}4200\n", "0 ".repeat(17));
            proc.write(&format!("70/task/{thread}/stat"), &stat);
            proc.write(&format!("70/task/{thread}/wchan"), wchan);
        }
        let threads = ProcessFolder::of(proc.path(), 70).thread_states().expect("it lives");
        let mut known: Vec<_> = threads.into_iter().map(|thread| thread.wchan).collect();
        known.sort();
        assert_eq!(known, [None, None, Some("futex_wait_queue".to_owned())]);
    }

    #[test]
    fn the_first_system_call_of_the_table_is_one_as_well() {
        let read = "0 0x3 0x7f00 0x400 0x0 0x0 0x0 0x7ffd 0x7f01\n";
        let expected = SyscallState::Blocked { number: 0, arguments: [3, 0x7f00, 0x400, 0, 0, 0] };
        assert_eq!(syscall(read), Some(expected));
    }
}
