use super::{super::lock_state::tests::request, *};

mod blocked;

const HOLDER: u64 = 7;
const VICTIM: u64 = 8;
const REFUSED: RequestKind = RequestKind::Refused { is_exclusive: true };

/// Applies requests of `(owner, kind, byte, at in µs)`; the waits that ended, those by silence at the end included.
fn waits(requests: &[(u64, RequestKind, u64, u64)]) -> Vec<EndedWait> {
    let (mut locks, mut tracker, mut ended) = (FileLocks::default(), WaitTracker::default(), Vec::new());
    for &(owner, kind, byte, at) in requests {
        let request = request(owner, kind, byte..=byte, at);
        ended.extend(tracker.request(LockedFile::Index, &request, &locks));
        let before = locks.owner(owner);
        let edges = locks.apply(LockedFile::Index, &request);
        let after = locks.owner(owner);
        ended.extend(tracker.applied(LockedFile::Index, &request, &edges, (before, after)));
    }
    ended.extend(tracker.silent(Duration::from_hours(1)));
    ended
}

fn outline(waits: &[EndedWait]) -> Vec<(i32, Option<i32>, RefusalReason, u32, bool)> {
    waits.iter().map(|it| (it.pid, it.holder, it.reason, it.tries, it.got_it)).collect()
}

#[test]
fn a_wait_that_gets_the_lock() {
    let ended = waits(&[
        (HOLDER, RequestKind::Exclusive, 120, 0),
        (VICTIM, RequestKind::Shared, 124, 100),
        (VICTIM, REFUSED, 120, 110),
        (VICTIM, RequestKind::Released, 124, 120),
        (VICTIM, RequestKind::Shared, 124, 1_200),
        (VICTIM, REFUSED, 120, 1_210),
        (VICTIM, RequestKind::Released, 124, 1_220),
        (HOLDER, RequestKind::Released, 120, 1_500),
        (VICTIM, RequestKind::Shared, 124, 3_300),
        (VICTIM, RequestKind::Exclusive, 120, 3_310),
    ]);
    assert_eq!(outline(&ended), [(8, Some(7), RefusalReason::Waited, 2, true)]);
    assert_eq!(ended[0].to.saturating_sub(ended[0].from), Duration::from_micros(3_200));
}

#[test]
fn a_wait_is_under_way_from_its_second_try_until_it_falls_silent() {
    let (mut locks, mut tracker) = (FileLocks::default(), WaitTracker::default());
    locks.apply(LockedFile::Index, &request(VICTIM, RequestKind::Shared, 124..=124, 100));
    let seen = [110, 1_210, 3_300].map(|at| {
        tracker.request(LockedFile::Index, &request(VICTIM, REFUSED, 120..=120, at), &locks);
        tracker.under_way(Duration::from_micros(at)).map(|it| it.tries).sum::<u32>()
    });
    assert_eq!(seen, [0, 2, 3]);
    assert_eq!(tracker.under_way(Duration::from_millis(200)).count(), 0, "it sleeps for 5 ms at most");
}

#[test]
fn one_try_right_after_the_slot_has_no_timeout() {
    let ended = waits(&[
        (HOLDER, RequestKind::Exclusive, 120, 0),
        (VICTIM, RequestKind::Shared, 124, 100),
        (VICTIM, REFUSED, 120, 110),
        (VICTIM, RequestKind::Released, 124, 120),
    ]);
    assert_eq!(outline(&ended), [(8, Some(7), RefusalReason::NoTimeout, 1, false)]);
}

#[test]
fn a_program_that_starts_again_has_not_waited_in_between() {
    let try_at = |at: u64| {
        [
            (VICTIM, RequestKind::Shared, 124, at),
            (VICTIM, REFUSED, 120, at + 10),
            (VICTIM, RequestKind::Released, 124, at + 20),
        ]
    };
    let mut requests = vec![(HOLDER, RequestKind::Exclusive, 120, 0)];
    requests.extend([1_000, 71_000].into_iter().flat_map(try_at));
    requests.push((HOLDER, RequestKind::Released, 120, 80_000));
    requests.push((VICTIM, RequestKind::Shared, 124, 141_000));
    requests.push((VICTIM, RequestKind::Exclusive, 120, 141_010));
    let once = (8, Some(7), RefusalReason::NoTimeout, 1, false);
    assert_eq!(outline(&waits(&requests)), [once, once]);
}

#[test]
fn a_wait_that_began_before_the_trace_is_one_wait() {
    let mut tracker = WaitTracker::default();
    tracker.armed(Duration::from_millis(10));
    let mut locks = FileLocks::default();
    locks.apply(LockedFile::Index, &request(HOLDER, RequestKind::Exclusive, 120..=120, 0));
    for try_at in [60_000, 161_000, 262_000, 363_000] {
        let slot = request(VICTIM, RequestKind::Shared, 124..=124, try_at - 10);
        locks.apply(LockedFile::Index, &slot);
        let refused = request(VICTIM, REFUSED, 120..=120, try_at);
        assert_eq!(tracker.request(LockedFile::Index, &refused, &locks), None);
        locks.apply(LockedFile::Index, &request(VICTIM, RequestKind::Released, 124..=124, try_at + 10));
    }
    let ended = tracker.silent(Duration::from_hours(1));
    assert_eq!(outline(&ended), [(8, Some(7), RefusalReason::Waited, 4, false)]);
}

#[test]
fn the_first_sleep_of_the_handler_begins_another_wait() {
    let ms = |at: u64| (VICTIM, REFUSED, 120, 1_000 * at);
    let mut requests =
        vec![(HOLDER, RequestKind::Exclusive, 120, 0), (VICTIM, RequestKind::Shared, 124, 990)];
    // A timeout of 50 ms, a pause of 20 ms, and the same again.
    requests.extend([1, 2, 4, 9, 19, 34, 51].map(ms));
    requests.extend([71, 72, 74, 79].map(ms));
    let ended = waits(&requests);
    let waited = |tries| (8, Some(7), RefusalReason::Waited, tries, false);
    assert_eq!(outline(&ended), [waited(7), waited(4)]);
    assert_eq!(ended[0].to.saturating_sub(ended[0].from), Duration::from_millis(50));
}

#[test]
fn a_client_that_asks_each_millisecond_waits_once() {
    let ends = |gaps: &[u64]| {
        let mut requests =
            vec![(HOLDER, RequestKind::Exclusive, 120, 0), (VICTIM, RequestKind::Shared, 124, 990)];
        let mut at = 1_000;
        for gap in gaps {
            requests.push((VICTIM, REFUSED, 120, at));
            at += gap;
        }
        waits(&requests).iter().map(|it| it.tries).collect::<Vec<_>>()
    };
    assert_eq!(ends(&[1_060; 300]), [300]);
    // On a busy machine it is late now and then.
    let late: Vec<u64> = (0..300).map(|number| if number % 7 == 5 { 6_000 } else { 1_060 }).collect();
    assert_eq!(ends(&late), [300]);
    // SQLite's own handler, and the same again after 20 ms.
    let handler = [1_060, 2_060, 5_060, 10_060, 20_000];
    assert_eq!(ends(&[handler, handler].concat()), [5, 5]);
}

/// The index may be recreated right after that, and then the trace begins again.
#[test]
fn a_wait_ends_with_the_last_connection_of_its_process() {
    let (mut locks, mut tracker) = (FileLocks::default(), WaitTracker::default());
    let mut ended = |(owner, kind, byte, at): (u64, RequestKind, u64, u64)| {
        let request = request(owner, kind, byte..=byte, at);
        assert_eq!(tracker.request(LockedFile::Index, &request, &locks), None);
        let before = locks.owner(owner);
        let edges = locks.apply(LockedFile::Index, &request);
        tracker.applied(LockedFile::Index, &request, &edges, (before, locks.owner(owner)))
    };
    for request in [
        (HOLDER, RequestKind::Exclusive, 120, 0),
        (VICTIM, RequestKind::Shared, 128, 50),
        (VICTIM, RequestKind::Shared, 124, 100),
        (VICTIM, REFUSED, 120, 110),
        (VICTIM, RequestKind::Released, 124, 120),
        (HOLDER, RequestKind::Released, 128, 130),
    ] {
        assert_eq!(ended(request), None, "{request:?}");
    }
    let ended = ended((VICTIM, RequestKind::Released, 128, 200)).expect("it has closed the database");
    assert_eq!(outline(&[ended]), [(8, Some(7), RefusalReason::NoTimeout, 1, false)]);
}

#[test]
fn one_try_long_after_the_slot_is_a_read_that_became_a_write() {
    let ended = waits(&[
        (HOLDER, RequestKind::Exclusive, 120, 0),
        (VICTIM, RequestKind::Shared, 124, 100),
        (VICTIM, REFUSED, 120, 9_000),
    ]);
    assert_eq!(outline(&ended), [(8, Some(7), RefusalReason::DeferredUpgrade, 1, false)]);
}

#[test]
fn a_lock_that_is_given_back_after_another_commit_is_an_old_snapshot() {
    let ended = waits(&[
        (VICTIM, RequestKind::Shared, 124, 0),
        (HOLDER, RequestKind::Exclusive, 120, 100),
        (HOLDER, RequestKind::Released, 120, 200),
        (VICTIM, RequestKind::Exclusive, 120, 9_000),
        (VICTIM, RequestKind::Released, 120, 9_010),
    ]);
    assert_eq!(outline(&ended), [(8, None, RefusalReason::OldSnapshot, 1, false)]);
}

#[test]
fn what_healthy_clients_ask_for_is_no_refusal() {
    let healthy = [
        // A read that found the index unfinished.
        vec![
            (HOLDER, RequestKind::Exclusive, 120, 0),
            (VICTIM, REFUSED, 120, 10),
            (VICTIM, RequestKind::Shared, 124, 20),
        ],
        // A slot that another reader has, and a checkpoint that another process runs.
        vec![(VICTIM, REFUSED, 124, 0), (VICTIM, REFUSED, 121, 10)],
        // A write after a read, with nobody between.
        vec![
            (HOLDER, RequestKind::Exclusive, 120, 0),
            (HOLDER, RequestKind::Released, 120, 10),
            (VICTIM, RequestKind::Shared, 124, 20),
            (VICTIM, RequestKind::Exclusive, 120, 9_000),
            (VICTIM, RequestKind::Released, 120, 9_010),
        ],
    ];
    for requests in healthy {
        assert_eq!(waits(&requests), []);
    }
}

#[test]
fn a_lock_that_is_kept_for_long_enough_to_write_is_a_commit() {
    let given_back_after = |micros: u64| {
        waits(&[
            (VICTIM, RequestKind::Shared, 124, 0),
            (HOLDER, RequestKind::Exclusive, 120, 100),
            (HOLDER, RequestKind::Released, 120, 200),
            (VICTIM, RequestKind::Exclusive, 120, 9_000),
            (VICTIM, RequestKind::Released, 120, 9_000 + micros),
        ])
        .len()
    };
    assert_eq!([0, 49, 50, 700].map(given_back_after), [1, 1, 0, 0]);
}

#[test]
fn a_snapshot_is_old_only_after_a_commit_of_another() {
    let ended = |slot_at: u64, writer: u64| {
        waits(&[
            (writer, RequestKind::Exclusive, 120, 100),
            (writer, RequestKind::Released, 120, 200),
            (VICTIM, RequestKind::Shared, 124, slot_at),
            (VICTIM, RequestKind::Exclusive, 120, 9_000),
            (VICTIM, RequestKind::Released, 120, 9_010),
        ])
        .len()
    };
    assert_eq!(ended(200, HOLDER), 0, "it began to read at the end of the commit");
    assert_eq!(ended(199, HOLDER), 1);
    assert_eq!(ended(199, VICTIM), 0, "its own commit");
}

#[test]
fn a_read_that_became_a_write_and_is_given_up_has_waited_until_its_last_try() {
    let ended = waits(&[
        (HOLDER, RequestKind::Exclusive, 120, 0),
        (VICTIM, RequestKind::Shared, 124, 100),
        (VICTIM, REFUSED, 120, 9_000),
        (VICTIM, REFUSED, 120, 500_000),
        (VICTIM, RequestKind::Released, 124, 600_000),
        (VICTIM, RequestKind::Shared, 124, 700_000),
        (VICTIM, REFUSED, 120, 700_010),
    ]);
    let upgrade = (8, Some(7), RefusalReason::DeferredUpgrade, 2, false);
    let other = (8, Some(7), RefusalReason::NoTimeout, 1, false);
    assert_eq!(outline(&ended), [upgrade, other]);
    let micros = Duration::from_micros;
    assert_eq!((ended[0].from, ended[0].to), (micros(9_000), micros(500_000)));
}

#[test]
fn a_read_for_a_millisecond_before_the_try_is_a_part_of_the_write() {
    let reason = |slot_at: u64| {
        let ended = waits(&[
            (HOLDER, RequestKind::Exclusive, 120, 0),
            (VICTIM, RequestKind::Shared, 124, slot_at),
            (VICTIM, REFUSED, 120, 5_000),
        ]);
        ended[0].reason
    };
    assert_eq!(reason(4_000), RefusalReason::NoTimeout);
    assert_eq!(reason(3_999), RefusalReason::DeferredUpgrade);
}

#[test]
fn the_next_try_comes_within_twice_the_sleep_of_the_handler_and_some_slack() {
    let waits_with_gap = |tries_before: usize, gap: u64| {
        let mut at = 1_000;
        let mut requests =
            vec![(HOLDER, RequestKind::Exclusive, 120, 0), (VICTIM, RequestKind::Shared, 124, 990)];
        for sleep in SLEEPS_MS.into_iter().chain([100; 4]).take(tries_before) {
            requests.push((VICTIM, REFUSED, 120, at));
            at += 1_000 * sleep;
        }
        let last = requests.last().expect("a try").3;
        requests.push((VICTIM, REFUSED, 120, last + gap));
        waits(&requests).len()
    };
    assert_eq!([32_000, 32_001].map(|gap| waits_with_gap(1, gap)), [1, 2], "after 1 ms");
    assert_eq!([34_000, 34_001].map(|gap| waits_with_gap(2, gap)), [1, 2], "after 2 ms");
    assert_eq!([230_000, 230_001].map(|gap| waits_with_gap(12, gap)), [1, 2], "after 100 ms");
    assert_eq!([230_000, 230_001].map(|gap| waits_with_gap(14, gap)), [1, 2], "the last one repeats");
}

#[test]
fn a_writer_has_given_up_after_a_second_of_silence() {
    let open = |slot_at: u64| {
        let (mut locks, mut tracker) = (FileLocks::default(), WaitTracker::default());
        locks.apply(LockedFile::Index, &request(VICTIM, RequestKind::Shared, 124..=124, slot_at));
        tracker.request(LockedFile::Index, &request(VICTIM, REFUSED, 120..=120, 5_000), &locks);
        tracker
    };
    let mut upgrade = open(0);
    assert_eq!(upgrade.silent(Duration::from_millis(1_005)), []);
    assert_eq!(upgrade.silent(Duration::from_micros(1_005_001)).len(), 1, "a read that became a write");
    assert_eq!(upgrade.silent(Duration::from_hours(1)), [], "once");
    let mut immediate = open(4_900);
    assert_eq!(immediate.silent(Duration::from_millis(37)), []);
    assert_eq!(immediate.silent(Duration::from_micros(37_001)).len(), 1);
    let mut forgotten = open(0);
    forgotten.clear();
    assert_eq!(forgotten.silent(Duration::from_hours(1)), [], "requests were missed");
}

#[test]
fn a_checkpoint_and_a_writer_in_rollback_mode_wait_without_a_slot() {
    let wait_of = |file, taken: Option<u64>, byte| {
        let (mut locks, mut tracker) = (FileLocks::default(), WaitTracker::default());
        if let Some(taken) = taken {
            locks.apply(file, &request(VICTIM, RequestKind::Exclusive, taken..=taken, 0));
        }
        locks.apply(file, &request(HOLDER, RequestKind::Exclusive, byte..=byte, 0));
        let mut refused = request(VICTIM, REFUSED, byte..=byte, 10);
        refused.thread = 9;
        assert_eq!(tracker.request(file, &refused, &locks), None);
        tracker.silent(Duration::from_hours(1))
    };
    for (file, taken, byte) in
        [(LockedFile::Index, Some(121), 120), (LockedFile::Main, None, crate::file_format::RESERVED_BYTE)]
    {
        let ended = wait_of(file, taken, byte);
        assert_eq!(outline(&ended), [(8, Some(7), RefusalReason::NoTimeout, 1, false)], "{file:?}");
        assert_eq!(ended[0].thread, 9);
    }
    assert_eq!(wait_of(LockedFile::Index, None, 120), [], "it recovers the index");
    assert_eq!(wait_of(LockedFile::Index, Some(122), 120), [], "it recovers the index");
}

#[test]
fn a_shared_request_waits_for_no_write_lock() {
    let shared = RequestKind::Refused { is_exclusive: false };
    let ended = waits(&[
        (HOLDER, RequestKind::Exclusive, 120, 0),
        (VICTIM, RequestKind::Shared, 124, 100),
        (VICTIM, shared, 120, 110),
    ]);
    assert_eq!(ended, []);
}

#[test]
fn only_a_wait_that_begins_right_after_the_start_may_have_begun_before() {
    let waits_armed_at = |armed: u64| {
        let mut tracker = WaitTracker::default();
        tracker.armed(Duration::from_micros(armed));
        let mut locks = FileLocks::default();
        locks.apply(LockedFile::Index, &request(VICTIM, RequestKind::Shared, 124..=124, 1_000_000));
        let tries = [1_000_010, 1_100_010];
        let ended = tries.map(|at| {
            let refused = request(VICTIM, REFUSED, 120..=120, at);
            tracker.request(LockedFile::Index, &refused, &locks).map_or(0, |_| 1)
        });
        ended.iter().sum::<usize>() + tracker.silent(Duration::from_hours(1)).len()
    };
    assert_eq!(waits_armed_at(870_010), 1, "its handler may sleep for 100 ms");
    assert_eq!(waits_armed_at(870_009), 2, "it would have been seen before");
}

#[test]
fn a_lock_that_comes_too_late_for_a_wait_ends_it_at_its_last_try() {
    let got_after = |gap: u64| {
        let ended = waits(&[
            (HOLDER, RequestKind::Exclusive, 120, 0),
            (VICTIM, RequestKind::Shared, 124, 100),
            (VICTIM, REFUSED, 120, 110),
            (HOLDER, RequestKind::Released, 120, 200),
            (VICTIM, RequestKind::Exclusive, 120, 110 + gap),
        ]);
        (ended.len(), ended[0].got_it, ended[0].reason, ended[0].to.as_micros())
    };
    assert_eq!(got_after(32_000), (1, true, RefusalReason::Waited, 32_110));
    assert_eq!(got_after(32_001), (1, false, RefusalReason::NoTimeout, 110));
}
