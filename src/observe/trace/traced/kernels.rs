//! What several kernels printed for the same program, beside the program's own account (`tests/kernels`).

use std::{
    iter,
    ops::RangeInclusive,
    time::{Duration, Instant},
};

use super::{
    super::{
        event::{self, RequestKind},
        tracefs,
    },
    tests::traced,
    *,
};
use crate::{
    history::LockOwner,
    observe::proc::{fake::FakeProc, mounts::DeviceNumber},
    snapshot::{RefusalReason, RefusedWriter},
};

struct KernelTrace {
    name: &'static str,
    /// What the kernel says of the events' fields.
    formats: [&'static str; 2],
    /// The inodes and devices of the database and its index.
    files: &'static str,
    /// The account of the program.
    steps: &'static str,
    lines: &'static str,
}

macro_rules! kernels {
    ($($name:literal),*) => {
        [$(KernelTrace {
            name: $name,
            formats: [
                include_str!(concat!("../../../../tests/kernels/", $name, "/posix_lock_inode.format")),
                include_str!(concat!("../../../../tests/kernels/", $name, "/locks_remove_posix.format")),
            ],
            files: include_str!(concat!("../../../../tests/kernels/", $name, "/files")),
            steps: include_str!(concat!("../../../../tests/kernels/", $name, "/requests")),
            lines: include_str!(concat!("../../../../tests/kernels/", $name, "/trace_pipe")),
        }),*]
    };
}

const KERNELS: [KernelTrace; 9] =
    kernels!["5.10", "6.1", "6.12", "6.16", "6.17", "6.18", "6.19", "7.0", "7.3"];

/// A line of the account.
struct Step {
    pid: i32,
    thread: i32,
    /// When it was carried out, since boot.
    time: RangeInclusive<Duration>,
    file: &'static str,
    request: &'static str,
    bytes: RangeInclusive<u64>,
    is_granted: bool,
}

impl KernelTrace {
    fn requests(&self) -> Vec<LockRequest> {
        let parse = |line| event::parse(line).unwrap_or_else(|| panic!("{}: {line}", self.name));
        self.lines.lines().map(parse).collect()
    }

    fn steps(&self) -> Vec<Step> {
        self.steps.lines().map(Step::parse).collect()
    }

    /// The device and inode of `file`.
    fn file(&self, file: &str) -> (DeviceNumber, u64) {
        let mut rows = self.files.lines().map(|row| row.split(' ').collect::<Vec<_>>());
        let row = rows.find(|row| row[0] == file).expect("listed");
        ((0, u32::from_str_radix(row[2], 16).expect("a device")), row[1].parse().expect("an inode"))
    }

    /// The database whose files these are, as [`TracedDatabase::find_files`] leaves it.
    fn place(&self, database: &mut TracedDatabase) {
        for (trace, name) in [(&mut database.main, "a.db"), (&mut database.index, "a.db-shm")] {
            let file = trace.file.as_mut().expect("found");
            (file.lock_device, file.id.inode) = self.file(name);
        }
    }
}

impl Step {
    fn parse(line: &'static str) -> Self {
        let words: Vec<&str> = line.split(' ').collect();
        let number = |at: usize| words[at].parse::<u64>().unwrap_or_else(|_| panic!("{line}"));
        let id = |at: usize| i32::try_from(number(at)).expect("a process");
        let answer = words[8];
        assert!(matches!(answer, "granted" | "refused"), "{line}");
        Self {
            pid: id(0),
            thread: id(1),
            // The account drops parts of a microsecond, and the kernel rounds them.
            time: Duration::from_micros(number(2))..=Duration::from_micros(number(3) + 1),
            file: words[4],
            request: words[5],
            bytes: number(6)..=number(7),
            is_granted: answer == "granted",
        }
    }

    /// Whether the filter lets its request through; asking who holds a lock is none.
    fn is_traced(&self) -> bool {
        let watched = match self.file {
            "a.db" => MAIN_LOCKS,
            "a.db-shm" => INDEX_LOCKS,
            _ => return false,
        };
        self.request != "query" && self.bytes.start() <= watched.end() && self.bytes.end() >= watched.start()
    }

    /// What became of a request for a lock; `None` for a close and the end of the process.
    fn kind(&self) -> Option<RequestKind> {
        match (self.request, self.is_granted) {
            ("F_UNLCK", true) => Some(RequestKind::Released),
            ("F_RDLCK", true) => Some(RequestKind::Shared),
            ("F_WRLCK", true) => Some(RequestKind::Exclusive),
            ("F_RDLCK" | "F_WRLCK", false) => {
                Some(RequestKind::Refused { is_exclusive: self.request == "F_WRLCK" })
            }
            _ => None,
        }
    }
}

#[test]
fn a_filter_names_fields_that_every_kernel_has() {
    let file = TracedFile { device: (0, 22), inode: 5, first: 120, last: 128 };
    let filter = tracefs::filter(&[file]);
    let words = filter.split(|letter: char| !letter.is_alphanumeric() && letter != '_');
    let names: Vec<&str> = words.filter(|word| word.starts_with(char::is_alphabetic)).collect();
    assert_eq!(names, ["i_ino", "s_dev", "fl_start", "fl_end"]);
    for kernel in KERNELS {
        for format in kernel.formats {
            let has = |name: &&str| format.contains(&format!(" {name};\t"));
            assert!(names.iter().all(has), "{}: {format}", kernel.name);
        }
    }
}

#[test]
fn every_kernel_prints_each_request_of_the_program_and_no_other() {
    for kernel in KERNELS {
        let mut requests = kernel.requests().into_iter().peekable();
        for (number, step) in kernel.steps().iter().enumerate() {
            let its: Vec<LockRequest> =
                iter::from_fn(|| requests.next_if(|request| step.time.contains(&request.at))).collect();
            let place = format!("{}, step {number}: {its:?}", kernel.name);
            assert!(its.iter().all(|it| it.pid == step.pid), "{place}");
            let (device, inode) = kernel.file("a.db-shm");
            if let Some(kind) = step.kind().filter(|_| step.is_traced()) {
                let (device, inode) = kernel.file(step.file);
                let asked = (step.thread, device, inode, kind, step.bytes.clone());
                let seen = |it: &LockRequest| (it.thread, it.device, it.inode, it.kind, it.first..=it.last);
                assert_eq!(its.iter().map(seen).collect::<Vec<_>>(), [asked], "{place}");
            } else if step.is_traced() {
                let releases =
                    |it: &LockRequest| (it.kind, it.last) == (RequestKind::Released, *step.bytes.end());
                assert!(!its.is_empty() && its.iter().all(releases), "{place}");
                let is_of_index = |it: &LockRequest| (it.device, it.inode) == (device, inode);
                assert_eq!(its.iter().any(is_of_index), step.file == "a.db-shm", "{place}");
            } else {
                assert!(its.is_empty(), "{place}");
            }
        }
        let is_exit = |request: LockRequest| request.kind == RequestKind::Released;
        assert!(requests.all(is_exit), "{}: only the ends of the processes are left", kernel.name);
    }
}

/// Applies the requests; the holds that ended, with the steps in which each began and ended, and the refused writers.
fn outcome(kernel: &KernelTrace) -> (Vec<(SampledLock, usize, usize)>, Vec<RefusedWriter>) {
    let (requests, steps, proc) = (kernel.requests(), kernel.steps(), FakeProc::new());
    let (_folder, mut database, mut names) = traced(&proc);
    kernel.place(&mut database);
    let end = requests.last().expect("some").at;
    let clock = TraceClock { at: end, instant: Instant::now() };
    let step_at = |at: Duration| steps.iter().position(|step| step.time.contains(&at)).expect("a step");
    let (mut held, mut holds) = ([None; 3], Vec::new());
    for request in &requests {
        assert!(database.is_of(request), "{}: {request:?}", kernel.name);
        database.apply(request, &clock, &mut names);
        let history = threads::lock(&database.target.history);
        for (lock, held) in SampledLock::ALL.into_iter().zip(&mut held) {
            let before_end = |since: Instant| end.saturating_sub(clock.instant - since);
            let since = |(since, owner): (Instant, &LockOwner)| (before_end(since), owner.pid);
            let now = history.current(lock).map(since);
            if let Some((from, pid)) = held.filter(|_| now != *held) {
                let from = step_at(from);
                assert_eq!(pid, Some(steps[from].pid), "{}: {lock:?} from step {from}", kernel.name);
                holds.push((lock, from, step_at(request.at)));
            }
            *held = now;
        }
    }
    assert_eq!(held, [None; 3], "{}: no process is left", kernel.name);
    let later = end + Duration::from_secs(2);
    database.end_silent_waits(&TraceClock { at: later, ..clock }, &mut names);
    let waits = database.waits();
    let refusals = threads::lock(&waits).refusals(later, Duration::from_mins(1));
    (holds, refusals.victims)
}

#[test]
fn holds_and_refused_writers_are_those_of_the_program_on_every_kernel() {
    use RefusalReason::{DeferredUpgrade, NoTimeout, Waited};
    for kernel in KERNELS {
        let (holds, victims) = outcome(&kernel);
        let expected = [
            (SampledLock::Write, 8, 19),
            (SampledLock::Write, 21, 23),
            (SampledLock::Checkpoint, 25, 28),
            (SampledLock::Recover, 25, 28),
            (SampledLock::Write, 25, 29),
            // RESERVED.
            (SampledLock::Write, 30, 32),
            // Lost by a close, and ended by a kill.
            (SampledLock::Write, 35, 39),
            (SampledLock::Write, 40, 46),
            (SampledLock::Write, 48, 49),
        ];
        assert_eq!(holds, expected, "{}", kernel.name);
        let steps = kernel.steps();
        let [writer, victim, reader] = [0, 3, 5].map(|step: usize| steps[step].pid);
        let mut seen: Vec<_> =
            victims.iter().map(|it| (it.pid, it.holder, it.reason, it.tries, it.gave_up)).collect();
        seen.sort_by_key(|it| (it.0, it.3));
        let expected = [
            (victim, Some(writer), DeferredUpgrade, 1, 1),
            (victim, Some(writer), NoTimeout, 1, 1),
            (victim, Some(writer), Waited, 3, 0),
            (reader, Some(victim), Waited, 1, 0),
        ];
        assert_eq!(seen, expected, "{}", kernel.name);
    }
}
