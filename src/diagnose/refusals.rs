//! Writers that were refused the write lock.

use super::{Rule, RuleFacts, RuleInput, evidence, no_remedy, who};
use crate::{
    snapshot::{Finding, FindingKind, RefusalReason, RefusedWriter, Severity, WriterRefusals},
    units,
};

pub const RULES: &[&dyn Rule] = &[&RefusedWriters];

/// How many waits without the lock in the window make a warning.
const OFTEN: u32 = 2;

/// The kernel's trace shows writers that were refused.
///
/// It is about no process: the victims wait, and the holder may do what it should.
pub struct RefusedWriters;

impl Rule for RefusedWriters {
    fn facts(&self) -> RuleFacts {
        RuleFacts::new(FindingKind::RefusedWriters, &[Severity::Info, Severity::Warning])
    }

    fn check(&self, look: &RuleInput<'_>) -> Vec<Finding> {
        let refusals = look.database.locks.refusals.as_ref();
        refusals.and_then(|refusals| self.finding(refusals, look)).into_iter().collect()
    }
}

impl RefusedWriters {
    fn finding(&self, refusals: &WriterRefusals, look: &RuleInput<'_>) -> Option<Finding> {
        let victims = &refusals.victims;
        // Who gave up is worse off than who got the lock late.
        let worst = victims.iter().max_by(|a, b| {
            (a.gave_up > 0).cmp(&(b.gave_up > 0)).then(a.longest_ms.total_cmp(&b.longest_ms))
        })?;
        let budget_ms = look.profile.wait_budget_ms().map(f64::from);
        let gave_up: u32 = victims.iter().map(|it| it.gave_up).sum();
        let waits_long =
            budget_ms.is_some_and(|budget| victims.iter().any(|it| it.longest_ms > budget / 2.0));
        let severity = if waits_long || gave_up >= OFTEN { Severity::Warning } else { Severity::Info };
        let list = serde_json::to_value(victims).unwrap_or_default();
        Some(Finding {
            kind: self.kind(),
            severity,
            pid: None,
            label: None,
            message: message(worst, refusals, gave_up, look),
            evidence: evidence([
                ("window_ms", refusals.window_ms.into()),
                ("gave_up", gave_up.into()),
                ("busy_timeout_ms", budget_ms.into()),
                ("victims", list),
            ]),
            remedy: no_remedy(),
        })
    }
}

fn message(worst: &RefusedWriter, refusals: &WriterRefusals, gave_up: u32, look: &RuleInput<'_>) -> String {
    let database = look.database;
    let waits: u32 = refusals.victims.iter().map(|it| it.waits).sum();
    let by = worst.holder.map(|holder| format!(" by {}", who(database, Some(holder)))).unwrap_or_default();
    let outcome = match (worst.gave_up, worst.reason) {
        (0, _) if worst.waiting_ms.is_some() => {
            format!("and has waited for {} so far", units::duration(worst.longest_ms))
        }
        (0, _) => format!("and got it after {}", units::duration(worst.longest_ms)),
        (_, RefusalReason::Waited) => format!("and gave up after {}", units::duration(worst.longest_ms)),
        (_, reason) => format!("and did not get it: {reason}"),
    };
    let lost = if gave_up > 0 { format!(", {gave_up} never got the lock") } else { String::new() };
    format!(
        "{} in the last {}{lost}; {} was refused the write lock{by}, {outcome}",
        units::plural(waits.into(), "refused write"),
        units::duration(refusals.window_ms),
        who(database, Some(worst.pid)),
    )
}

#[cfg(test)]
mod tests {
    use super::super::fixture::*;
    use crate::snapshot::{
        Database, RefusalReason, RefusedWriter,
        Severity::{self, *},
        WriterRefusals,
    };

    fn refused(victims: &[(RefusalReason, u32, f64)]) -> Database {
        let mut database = live();
        let victim = |&(reason, gave_up, longest_ms): &(RefusalReason, u32, f64)| RefusedWriter {
            pid: READER,
            thread: READER,
            holder: Some(WRITER),
            reason,
            waits: gave_up + 1,
            tries: 13,
            gave_up,
            longest_ms,
            total_ms: longest_ms,
            waiting_ms: None,
        };
        database.locks.refusals =
            Some(WriterRefusals { window_ms: 60_000.0, victims: victims.iter().map(victim).collect() });
        database
    }

    fn severity(victims: &[(RefusalReason, u32, f64)]) -> Option<Severity> {
        let found = findings_of(&refused(victims));
        assert!(found.iter().all(|it| it.pid.is_none() && it.remedy.action.is_none()), "nobody is accused");
        found.first().map(|it| it.severity)
    }

    #[test]
    fn half_of_the_timeout_or_two_that_gave_up_are_a_warning_and_never_more() {
        assert_eq!(severity(&[]), None);
        assert_eq!(severity(&[(RefusalReason::Waited, 0, 300.0)]), Some(Info));
        assert_eq!(severity(&[(RefusalReason::Waited, 0, 2_500.0)]), Some(Info));
        assert_eq!(severity(&[(RefusalReason::Waited, 0, 2_501.0)]), Some(Warning));
        assert_eq!(severity(&[(RefusalReason::NoTimeout, 1, 0.0)]), Some(Info));
        assert_eq!(severity(&[(RefusalReason::OldSnapshot, 2, 0.0)]), Some(Warning));
        assert_eq!(severity(&[(RefusalReason::Waited, 900, 60_000.0)]), Some(Warning));
    }

    #[test]
    fn the_victims_are_the_evidence() {
        let found = findings_of(&refused(&[(RefusalReason::DeferredUpgrade, 1, 0.0)]));
        assert_eq!(found[0].kind, FindingKind::RefusedWriters);
        assert_eq!(found[0].evidence["victims"][0]["pid"], READER);
        assert_eq!(found[0].evidence["victims"][0]["holder"], WRITER);
        assert_eq!(found[0].evidence["victims"][0]["reason"], "deferred-upgrade");
    }

    #[test]
    fn who_gave_up_is_told_before_who_got_the_lock_late() {
        let (late, gave_up) = ((RefusalReason::Waited, 0, 4_000.0), (RefusalReason::NoTimeout, 1, 0.0));
        for victims in [[late, gave_up], [gave_up, late]] {
            let message = findings_of(&refused(&victims)).remove(0).message;
            assert!(message.ends_with(&format!("and did not get it: {}", gave_up.0)), "{message}");
        }
    }
}
