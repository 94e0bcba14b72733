//! Threads that ask with `F_SETLKW`.

use super::*;

const DEFERRED: RequestKind = RequestKind::Deferred { is_exclusive: true };

#[test]
fn a_thread_that_blocks_waits_until_it_has_the_lock_however_long_that_takes() {
    // Another process is faster once, so that it blocks again.
    let ended = waits(&[
        (HOLDER, RequestKind::Exclusive, 120, 0),
        (VICTIM, RequestKind::Shared, 124, 100),
        (VICTIM, DEFERRED, 120, 110),
        (HOLDER, RequestKind::Released, 120, 9_000_000),
        (6, RequestKind::Exclusive, 120, 9_000_010),
        (VICTIM, DEFERRED, 120, 9_000_020),
        (6, RequestKind::Released, 120, 20_000_000),
        (VICTIM, RequestKind::Exclusive, 120, 20_000_110),
        (VICTIM, RequestKind::Released, 120, 20_000_900),
    ]);
    assert_eq!(outline(&ended), [(8, Some(7), RefusalReason::Waited, 2, true)]);
    assert_eq!(ended[0].to.saturating_sub(ended[0].from), Duration::from_secs(20));
}

#[test]
fn a_thread_that_blocks_waits_from_its_first_request_also_for_recovery() {
    let (mut locks, mut tracker) = (FileLocks::default(), WaitTracker::default());
    locks.apply(LockedFile::Index, &request(HOLDER, RequestKind::Exclusive, 120..=122, 0));
    let asked = request(VICTIM, DEFERRED, 120..=120, 100);
    assert_eq!(tracker.request(LockedFile::Index, &asked, &locks), None);
    let an_hour = Duration::from_hours(1);
    assert_eq!(tracker.silent(an_hour), [], "it says nothing while it waits");
    let open: Vec<_> = tracker.under_way(an_hour).collect();
    assert_eq!(open.iter().map(|it| (it.pid, it.holder)).collect::<Vec<_>>(), [(8, Some(7))]);
}

#[test]
fn what_else_a_blocked_thread_asks_for_shows_that_it_has_given_up() {
    let waited = |next: (u64, RequestKind, u64, u64), thread: i32| {
        let (mut locks, mut tracker) = (FileLocks::default(), WaitTracker::default());
        locks.apply(LockedFile::Index, &request(HOLDER, RequestKind::Exclusive, 120..=120, 0));
        let asked = request(VICTIM, DEFERRED, 120..=120, 100);
        assert_eq!(tracker.request(LockedFile::Index, &asked, &locks), None);
        let (owner, kind, byte, at) = next;
        let next = LockRequest { thread, ..request(owner, kind, byte..=byte, at) };
        tracker.request(LockedFile::Index, &next, &locks)
    };
    for (kind, byte) in [
        (RequestKind::Released, 124),
        (RequestKind::Shared, 125),
        (DEFERRED, 121),
        (RequestKind::Exclusive, 121),
        (RequestKind::Released, 120),
    ] {
        let ended = waited((VICTIM, kind, byte, 500_100), 8).expect("it is back");
        let gave_up = (8, Some(7), RefusalReason::Waited, 1, false);
        assert_eq!(outline(std::slice::from_ref(&ended)), [gave_up], "{kind:?} {byte}");
        assert_eq!(ended.to.saturating_sub(ended.from), Duration::from_millis(500));
    }
    for (next, thread) in [
        ((VICTIM, RequestKind::Released, 124, 500_100), 9),
        ((HOLDER, RequestKind::Released, 124, 500_100), 7),
        ((VICTIM, DEFERRED, 120, 500_100), 8),
        ((VICTIM, REFUSED, 120, 500_100), 8),
    ] {
        assert_eq!(waited(next, thread), None, "{next:?} of thread {thread}");
    }
}

#[test]
fn a_blocked_thread_that_does_not_ask_for_a_free_lock_has_given_up() {
    // The owners that take the lock (`true`) and release it, in ms, after the victim blocks at 100 ms; what is silent.
    let silent = |edges: &[(u64, bool, u64)], now: u64| {
        let (mut locks, mut tracker) = (FileLocks::default(), WaitTracker::default());
        let mut apply = |owner, kind, at| {
            let request = request(owner, kind, 120..=120, 1_000 * at);
            tracker.request(LockedFile::Index, &request, &locks);
            let before = locks.owner(owner);
            let edges = locks.apply(LockedFile::Index, &request);
            tracker.applied(LockedFile::Index, &request, &edges, (before, locks.owner(owner)));
        };
        apply(6, RequestKind::Exclusive, 0);
        apply(6, RequestKind::Released, 50);
        apply(HOLDER, RequestKind::Exclusive, 60);
        apply(VICTIM, DEFERRED, 100);
        for &(owner, is_taken, at) in edges {
            apply(owner, if is_taken { RequestKind::Exclusive } else { RequestKind::Released }, at);
        }
        tracker.silent(Duration::from_millis(now)).len()
    };
    assert_eq!(silent(&[], 3_600_000), 0, "it was free only before");
    assert_eq!([1_200, 1_201].map(|now| silent(&[(HOLDER, false, 200)], now)), [0, 1]);
    let first = [(HOLDER, false, 200), (9, true, 201)];
    assert_eq!(
        silent(&first, 3_600_000),
        0,
        "another one that blocked has it, and the kernel wakes up only the first"
    );
    assert_eq!(silent(&[&first[..], &[(9, false, 5_000)]].concat(), 6_001), 1);
}

#[test]
fn the_end_of_its_last_connection_ends_the_wait_of_a_blocked_process() {
    let (mut locks, mut tracker) = (FileLocks::default(), WaitTracker::default());
    let mut ended = Vec::new();
    for (thread, kind, byte, at) in [
        (8, RequestKind::Shared, 128, 50),
        (8, DEFERRED, 120, 100),
        // Another thread is the last to end.
        (9, RequestKind::Released, 128, 700_100),
    ] {
        let request = LockRequest { thread, ..request(VICTIM, kind, byte..=byte, at) };
        ended.extend(tracker.request(LockedFile::Index, &request, &locks));
        let before = locks.owner(VICTIM);
        let edges = locks.apply(LockedFile::Index, &request);
        let states = (before, locks.owner(VICTIM));
        ended.extend(tracker.applied(LockedFile::Index, &request, &edges, states));
    }
    assert_eq!(outline(&ended), [(8, None, RefusalReason::Waited, 1, false)]);
    assert_eq!(ended[0].to.saturating_sub(ended[0].from), Duration::from_millis(700));
}
