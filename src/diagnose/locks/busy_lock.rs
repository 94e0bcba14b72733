//! A write lock that is hardly ever free, however short each hold is.

use super::super::{Rule, RuleFacts, RuleInput, evidence, no_remedy, step, who};
use crate::{
    snapshot::{Finding, FindingKind, Severity, WriteHolds},
    units,
};

/// How many processes the sentence names.
const NAMED: usize = 3;
/// A few long holds are for `long-write-lock`.
const FEWEST_HOLDS: u64 = 10;
/// The shortest window that says something about the future.
const SHORTEST_WINDOW_MS: f64 = 2_000.0;

/// The write lock is held nearly all the time, by many holds.
///
/// That hurts only if another process wants the lock: one that was refused, that may be waiting, or that wrote in the
/// same window. A bulk import alone is info.
pub struct BusyLock;

impl Rule for BusyLock {
    fn facts(&self) -> RuleFacts {
        RuleFacts::new(FindingKind::BusyLock, &[Severity::Info, Severity::Warning, Severity::Error])
    }

    fn check(&self, look: &RuleInput<'_>) -> Vec<Finding> {
        let locks = &look.database.locks;
        let Some((holds, window_ms)) = locks.write_holds.as_ref().zip(locks.window_ms) else {
            return Vec::new();
        };
        if holds.count < FEWEST_HOLDS || window_ms < SHORTEST_WINDOW_MS {
            return Vec::new();
        }
        let Some(reached) = step(&holds.held_ratio, &look.config.thresholds.busy_lock) else {
            return Vec::new();
        };
        let refused: Vec<i32> = locks.refusals.iter().flat_map(|it| &it.victims).map(|it| it.pid).collect();
        let waiting: Vec<i32> = locks.possible_waiters.iter().map(|it| it.pid).collect();
        let hurts = !refused.is_empty() || !waiting.is_empty() || holds.by_process.len() > 1;
        vec![Finding {
            kind: self.kind(),
            severity: if hurts { reached } else { Severity::Info },
            label: None,
            pid: None,
            message: message(holds, window_ms, &[&refused[..], &waiting].concat(), look),
            evidence: evidence([
                ("window_ms", window_ms.into()),
                ("held_ratio", holds.held_ratio.into()),
                ("holds", holds.count.into()),
                ("median_hold_ms", holds.p50_ms.into()),
                ("mean_gap_ms", mean_gap_ms(holds, window_ms).into()),
                ("by_process", serde_json::to_value(&holds.by_process).unwrap_or_default()),
                ("refused", refused.into()),
                ("may_wait", waiting.into()),
            ]),
            // Only the programs that write can leave gaps.
            remedy: no_remedy(),
        }]
    }
}

#[expect(clippy::cast_precision_loss, reason = "a minute has fewer holds than a double has exact integers")]
fn mean_gap_ms(holds: &WriteHolds, window_ms: f64) -> f64 {
    window_ms * (1.0 - holds.held_ratio) / holds.count as f64
}

fn message(holds: &WriteHolds, window_ms: f64, wanting: &[i32], look: &RuleInput<'_>) -> String {
    let share = |ms: f64| format!("{:.0} %", 100.0 * ms / window_ms);
    let parts = holds.by_process.iter().take(NAMED);
    let parts: Vec<String> =
        parts.map(|it| format!("{} {}", who(look.database, it.pid), share(it.total_ms))).collect();
    let never = wanting.iter().find(|pid| holds.by_process.iter().all(|it| it.pid != Some(**pid)));
    let never = never.map(|pid| format!("; {} never got it", who(look.database, Some(*pid))));
    let each = holds.p50_ms.map(|median| format!(" of {} each", units::duration(median)));
    format!(
        "the write lock was held {:.1} % of the last {}, in {}{}, with gaps of {}: {}{}",
        100.0 * holds.held_ratio,
        units::duration(window_ms),
        units::plural(holds.count, "hold"),
        each.unwrap_or_default(),
        units::duration(mean_gap_ms(holds, window_ms)),
        parts.join(", "),
        never.unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use super::super::super::fixture::*;
    use crate::snapshot::{Database, Severity::*, WriteHolds};

    fn busy(ratio: f64, pids: &[i32]) -> Database {
        let mut database = live();
        database.locks.window_ms = Some(60_000.0);
        database.locks.write_holds = Some(WriteHolds {
            count: 1_000,
            p50_ms: Some(44.0),
            p99_ms: Some(89.0),
            max_ms: 125.0,
            held_ratio: ratio,
            by_process: pids.iter().map(|&pid| holds(pid, 500, 125.0, 10_000.0)).collect(),
        });
        database
    }

    fn severity(database: &Database) -> Option<crate::snapshot::Severity> {
        findings_of(database).iter().find(|it| it.kind == FindingKind::BusyLock).map(|it| it.severity)
    }

    #[test]
    fn many_short_holds_of_several_processes_are_judged_by_their_share() {
        let severities = [0.79, 0.8, 0.949, 0.95].map(|ratio| severity(&busy(ratio, &[WRITER, READER])));
        assert_eq!(severities, [None, Some(Warning), Some(Warning), Some(Error)]);
    }

    #[test]
    fn one_writer_alone_hurts_nobody() {
        assert_eq!(severity(&busy(0.99, &[WRITER])), Some(Info));
    }

    #[test]
    fn few_holds_or_a_short_window_say_nothing() {
        let mut few = busy(0.99, &[WRITER, READER]);
        few.locks.write_holds.as_mut().expect("holds").count = 9;
        let mut short = busy(0.99, &[WRITER, READER]);
        short.locks.window_ms = Some(1_999.0);
        assert_eq!([few, short].each_ref().map(severity), [None, None]);
    }

    #[test]
    fn the_evidence_has_shares_and_gaps() {
        let found = findings_of(&busy(0.9, &[WRITER, READER]));
        assert_eq!(found[0].evidence["mean_gap_ms"].as_f64().map(f64::round), Some(6.0));
        assert_eq!(found[0].evidence["by_process"][0]["pid"], WRITER);
        assert_eq!((found[0].pid, found[0].remedy.action), (None, None), "no process alone is to blame");
    }
}
