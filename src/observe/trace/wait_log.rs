//! The waits that have ended, and what a snapshot says of them.

use std::{collections::VecDeque, time::Duration};

use super::waits::EndedWait;
use crate::{
    snapshot::{RefusalReason, RefusedWriter, WriterRefusals},
    units,
};

/// How many ended waits are kept.
const MOST_KEPT: usize = 4096;

/// The ended waits of the last minute or so, and those under way.
#[derive(Debug, Default)]
pub struct WaitLog {
    ended: VecDeque<EndedWait>,
    /// Each up to its last try.
    pub under_way: Vec<EndedWait>,
}

impl WaitLog {
    pub fn add(&mut self, wait: EndedWait) {
        if self.ended.len() == MOST_KEPT {
            self.ended.pop_front();
        }
        self.ended.push_back(wait);
    }

    /// The waits that ended in the last `window` before `now`, and those under way, by victim, holder and reason.
    pub fn refusals(&mut self, now: Duration, window: Duration) -> WriterRefusals {
        while self.ended.front().is_some_and(|wait| now.saturating_sub(wait.to) > window) {
            self.ended.pop_front();
        }
        let mut victims: Vec<RefusedWriter> = Vec::new();
        for wait in &self.ended {
            let known = victim_of(&mut victims, wait, wait.reason);
            known.gave_up += u32::from(!wait.got_it);
            known.add(wait.to.saturating_sub(wait.from), wait.tries);
        }
        for wait in &self.under_way {
            let known = victim_of(&mut victims, wait, RefusalReason::Waited);
            let length = now.saturating_sub(wait.from);
            known.waiting_ms = Some(units::milliseconds(length));
            known.add(length, wait.tries);
        }
        victims.sort_by(|a, b| {
            let (is_a, is_b) = (a.waiting_ms.is_some(), b.waiting_ms.is_some());
            is_b.cmp(&is_a).then(b.longest_ms.total_cmp(&a.longest_ms)).then(a.pid.cmp(&b.pid))
        });
        WriterRefusals { window_ms: units::milliseconds(window), victims }
    }
}

impl RefusedWriter {
    fn add(&mut self, length: Duration, tries: u32) {
        let length = units::milliseconds(length);
        self.waits += 1;
        self.tries += tries;
        self.longest_ms = self.longest_ms.max(length);
        self.total_ms += length;
    }
}

// The entry of the victim of `wait`, which is made if there is none.
fn victim_of<'a>(
    victims: &'a mut Vec<RefusedWriter>,
    wait: &EndedWait,
    reason: RefusalReason,
) -> &'a mut RefusedWriter {
    let is_its =
        |known: &RefusedWriter| (known.pid, known.holder, known.reason) == (wait.pid, wait.holder, reason);
    let at = victims.iter().position(is_its).unwrap_or_else(|| {
        victims.push(RefusedWriter {
            pid: wait.pid,
            thread: wait.thread,
            holder: wait.holder,
            reason,
            waits: 0,
            tries: 0,
            gave_up: 0,
            longest_ms: 0.0,
            total_ms: 0.0,
            waiting_ms: None,
        });
        victims.len() - 1
    });
    victims[at].thread = wait.thread;
    &mut victims[at]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_counted_by_victim_holder_and_reason() {
        let mut log = WaitLog::default();
        let wait = |holder: i32, from: u64, to: u64, got_it: bool| EndedWait {
            pid: 8,
            thread: 9,
            holder: Some(holder),
            reason: RefusalReason::Waited,
            tries: 3,
            got_it,
            from: Duration::from_millis(from),
            to: Duration::from_millis(to),
        };
        for ended in [
            wait(7, 0, 1_000, true),
            wait(7, 70_000, 70_100, true),
            wait(7, 71_000, 71_400, false),
            wait(6, 72_000, 72_050, true),
        ] {
            log.add(ended);
        }
        let refusals = log.refusals(Duration::from_secs(80), Duration::from_mins(1));
        let outline: Vec<_> = refusals
            .victims
            .iter()
            .map(|it| (it.holder, it.waits, it.tries, it.gave_up, it.longest_ms))
            .collect();
        assert_eq!(outline, [(Some(7), 2, 6, 1, 400.0), (Some(6), 1, 3, 0, 50.0)], "the first is too old");
    }

    #[test]
    fn a_wait_under_way_comes_first_with_its_time_so_far() {
        let mut log = WaitLog::default();
        let wait = |pid: i32, from: u64, to: u64| EndedWait {
            pid,
            thread: pid,
            holder: Some(7),
            reason: RefusalReason::Waited,
            tries: 3,
            got_it: false,
            from: Duration::from_millis(from),
            to: Duration::from_millis(to),
        };
        log.add(wait(8, 0, 5_000));
        log.under_way = vec![wait(9, 9_000, 9_900)];
        let victims = log.refusals(Duration::from_secs(10), Duration::from_mins(1)).victims;
        let outline: Vec<_> = victims.iter().map(|it| (it.pid, it.waiting_ms, it.gave_up)).collect();
        assert_eq!(outline, [(9, Some(1_000.0), 0), (8, None, 1)], "it may still get the lock");
    }

    #[test]
    fn a_wait_counts_for_the_window_and_its_length_for_the_victim() {
        let mut log = WaitLog::default();
        let wait = |reason, from: u64, to: u64| EndedWait {
            pid: 8,
            thread: i32::try_from(from).expect("small"),
            holder: None,
            reason,
            tries: 1,
            got_it: false,
            from: Duration::from_millis(from),
            to: Duration::from_millis(to),
        };
        for (reason, from, to) in [
            (RefusalReason::Waited, 100, 600),
            (RefusalReason::Waited, 200, 1_100),
            (RefusalReason::OldSnapshot, 700, 700),
        ] {
            log.add(wait(reason, from, to));
        }
        let mut victims = |now: u64| {
            let refusals = log.refusals(Duration::from_millis(now), Duration::from_secs(1));
            assert!((refusals.window_ms - 1_000.0).abs() < 1e-9);
            let of = |it: &RefusedWriter| (it.reason, it.waits, it.thread, it.total_ms, it.longest_ms);
            refusals.victims.iter().map(of).collect::<Vec<_>>()
        };
        let snapshot = (RefusalReason::OldSnapshot, 1, 700, 0.0, 0.0);
        assert_eq!(victims(1_600), [(RefusalReason::Waited, 2, 200, 1_400.0, 900.0), snapshot]);
        assert_eq!(victims(1_601), [(RefusalReason::Waited, 1, 200, 900.0, 900.0), snapshot]);
    }

    #[test]
    fn the_oldest_wait_goes_where_there_are_too_many() {
        let mut log = WaitLog::default();
        for number in 0..=i32::try_from(MOST_KEPT).expect("small") {
            log.add(EndedWait {
                pid: number,
                thread: number,
                holder: None,
                reason: RefusalReason::NoTimeout,
                tries: 1,
                got_it: false,
                from: Duration::ZERO,
                to: Duration::ZERO,
            });
        }
        assert_eq!((log.ended.len(), log.ended.front().map(|it| it.pid)), (MOST_KEPT, Some(1)));
    }
}
