//! What a kernel printed for processes that block for the lock, beside their own account (`tests/kernels/blocked.c`).

use std::time::{Duration, Instant};

use super::{super::event, tests::traced, *};
use crate::{
    observe::proc::fake::FakeProc,
    snapshot::{RefusalReason, RefusedWriter},
    units,
};

const LINES: &str = include_str!("../../../../tests/kernels/6.18-blocked/trace_pipe");
const ACCOUNT: &str = include_str!("../../../../tests/kernels/6.18-blocked/requests");
/// The device and the inode of the index in it.
const INDEX: ((u32, u32), u64) = ((0, 0x27), 3);

/// A line of the account: the process and its thread, how long it waited, and whether it got the lock.
fn waits() -> Vec<(i32, i32, Duration, bool)> {
    let rows = ACCOUNT.lines().map(|row| row.split(' ').collect::<Vec<_>>()).filter(|row| row.len() == 5);
    let wait = |row: Vec<&str>| {
        let id = |at: usize| row[at].parse::<i32>().expect("a number");
        let time = |at: usize| Duration::from_micros(row[at].parse().expect("a time"));
        (id(0), id(1), time(3).saturating_sub(time(2)), row[4] == "granted")
    };
    rows.map(wait).collect()
}

/// The database after each line, up to `end`, and one that was read later.
fn victims(end: Option<Duration>) -> Vec<RefusedWriter> {
    let proc = FakeProc::new();
    let (_folder, mut database, mut names) = traced(&proc);
    let index = database.index.file.as_mut().expect("found");
    (index.lock_device, index.id.inode) = INDEX;
    let requests = LINES.lines().map(|line| event::parse(line).unwrap_or_else(|| panic!("{line}")));
    let requests: Vec<LockRequest> =
        requests.take_while(|request| end.is_none_or(|end| request.at <= end)).collect();
    let at = end.unwrap_or_else(|| requests.last().expect("some").at + Duration::from_secs(2));
    let clock = TraceClock { at, instant: Instant::now() };
    for request in &requests {
        assert!(database.is_of(request), "{request:?}");
        database.apply(request, &clock, &mut names);
    }
    database.end_silent_waits(&clock, &mut names);
    let waits = database.waits();
    threads::lock(&waits).refusals(at, Duration::from_mins(1)).victims
}

#[test]
fn each_wait_of_a_blocked_process_has_its_holder_its_length_and_its_end() {
    let (victims, holder) = (victims(None), ACCOUNT.lines().next().expect("a holder"));
    let holder: i32 = holder.strip_prefix("holder ").expect("a holder").parse().expect("a number");
    let waits = waits();
    assert_eq!((victims.len(), waits.len()), (5, 5));
    for (pid, thread, waited, has_got_it) in waits {
        let victim = victims.iter().find(|it| it.pid == pid).unwrap_or_else(|| panic!("{pid}"));
        assert_eq!((victim.thread, victim.holder), (thread, Some(holder)), "{pid}");
        let end = (victim.reason, victim.waits, victim.gave_up, victim.waiting_ms);
        assert_eq!(end, (RefusalReason::Waited, 1, u32::from(!has_got_it), None), "{pid}");
        // The account of one that is killed begins before its process does, and ends when that was waited for.
        let apart = (victim.longest_ms - units::milliseconds(waited)).abs();
        assert!(apart < 5.0, "{pid}: {} ms, {waited:?}", victim.longest_ms);
    }
}

#[test]
fn a_blocked_process_waits_from_its_first_request_on() {
    let (pid, ..) = waits()[2];
    let asked = LINES.lines().filter_map(event::parse);
    let mut asked =
        asked.filter(|it| it.pid == pid && matches!(it.kind, event::RequestKind::Deferred { .. }));
    let later = asked.next().expect("it blocks").at + Duration::from_millis(50);
    let victims = victims(Some(later));
    let waiting: Vec<_> = victims.iter().filter_map(|it| Some((it.pid, it.waiting_ms?))).collect();
    assert_eq!(waiting.len(), 3, "{victims:?}");
    assert!(waiting.contains(&(pid, 50.0)), "{waiting:?}");
}
