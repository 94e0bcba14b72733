//! The waits that have ended, and what a snapshot says of them.

use std::{collections::VecDeque, time::Duration};

use super::waits::EndedWait;
use crate::{
    snapshot::{RefusedWriter, WriterRefusals},
    units,
};

/// How many ended waits are kept.
const MOST_KEPT: usize = 4096;

/// The ended waits of the last minute or so.
#[derive(Debug, Default)]
pub struct WaitLog(VecDeque<EndedWait>);

impl WaitLog {
    pub fn add(&mut self, wait: EndedWait) {
        if self.0.len() == MOST_KEPT {
            self.0.pop_front();
        }
        self.0.push_back(wait);
    }

    /// The waits that ended in the last `window` before `now`, by victim, holder and reason.
    pub fn refusals(&mut self, now: Duration, window: Duration) -> WriterRefusals {
        while self.0.front().is_some_and(|wait| now.saturating_sub(wait.to) > window) {
            self.0.pop_front();
        }
        let mut victims: Vec<RefusedWriter> = Vec::new();
        for wait in &self.0 {
            let length = units::milliseconds(wait.to.saturating_sub(wait.from));
            let is_its = |known: &&mut RefusedWriter| {
                (known.pid, known.holder, known.reason) == (wait.pid, wait.holder, wait.reason)
            };
            let gave_up = u32::from(!wait.got_it);
            match victims.iter_mut().find(is_its) {
                Some(known) => {
                    known.thread = wait.thread;
                    known.waits += 1;
                    known.tries += wait.tries;
                    known.gave_up += gave_up;
                    known.longest_ms = known.longest_ms.max(length);
                    known.total_ms += length;
                }
                None => victims.push(RefusedWriter {
                    pid: wait.pid,
                    thread: wait.thread,
                    holder: wait.holder,
                    reason: wait.reason,
                    waits: 1,
                    tries: wait.tries,
                    gave_up,
                    longest_ms: length,
                    total_ms: length,
                }),
            }
        }
        victims.sort_by(|a, b| b.longest_ms.total_cmp(&a.longest_ms).then(a.pid.cmp(&b.pid)));
        WriterRefusals { window_ms: units::milliseconds(window), victims }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::RefusalReason;

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
}
