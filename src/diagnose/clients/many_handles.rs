//! Too many descriptors on the database, or too many processes.

use super::super::{Rule, RuleFacts, RuleInput, evidence, no_remedy, quoted, who};
use crate::{
    snapshot::{Finding, FindingKind, HandleGrowth, Process, Remedy, Severity},
    units,
};

/// A process has many descriptors on the main file, or their number keeps growing; or many processes have it open.
///
/// A pool that fills up also grows, and then stops. A growth therefore counts if it lasts for [`ManyHandles::SPAN_MS`],
/// has [`ManyHandles::RISES`] steps, and never falls.
pub struct ManyHandles;

impl ManyHandles {
    /// Steps of a growth that is reported.
    const RISES: u32 = 5;
    /// The minimum duration of a growth: most of the minute that is covered.
    const SPAN_MS: f64 = 40_000.0;
    /// How many processes may have a database open.
    pub const PROCESSES: usize = 20;

    fn of_process(&self, process: &Process, look: &RuleInput<'_>) -> Option<Finding> {
        let count = process.handles.filter(|_| !process.only_reads_files())?.db;
        let growth = look
            .database
            .handle_growth
            .iter()
            .find(|it| it.pid == process.pid && it.rises >= Self::RISES && it.span_ms >= Self::SPAN_MS);
        let limit = look.config.thresholds.many_handles;
        if count <= limit && growth.is_none() {
            return None;
        }
        let who = who(look.database, Some(process.pid));
        let message = match growth {
            Some(HandleGrowth { from, to, span_ms, .. }) => format!(
                "{who} went from {from} to {to} descriptors on the main file in {} and closed none: \
                 connections that nobody closes end at its limit of open files",
                units::duration(*span_ms)
            ),
            None => format!(
                "{who} has {count} descriptors on the main file, more than {limit}: \
                 of so many connections one writes at a time, and each can pin the log"
            ),
        };
        Some(Finding {
            kind: self.kind(),
            severity: Severity::Warning,
            label: None,
            pid: Some(process.pid),
            message,
            evidence: evidence([
                ("descriptors", count.into()),
                ("limit", limit.into()),
                ("grew_from", growth.map(|it| it.from).into()),
                ("rises", growth.map(|it| it.rises).into()),
                ("span_ms", growth.map(|it| it.span_ms).into()),
            ]),
            // The fix belongs where the program opens the database.
            remedy: no_remedy(),
        })
    }

    fn of_all(&self, look: &RuleInput<'_>) -> Option<Finding> {
        let sharers: Vec<i32> =
            look.database.processes.iter().filter(|it| it.is_client()).map(|it| it.pid).collect();
        (sharers.len() > Self::PROCESSES).then(|| Finding {
            kind: self.kind(),
            severity: Severity::Warning,
            label: None,
            pid: None,
            message: format!(
                "{} is open in {} processes: one writes at a time, and each can pin the log",
                look.database.name(),
                sharers.len(),
            ),
            evidence: evidence([("limit", Self::PROCESSES.into()), ("processes", sharers.into())]),
            remedy: Remedy {
                action: None,
                command: Some(format!("waltop reap {} --dry-run", quoted(&look.database.path))),
            },
        })
    }
}

impl Rule for ManyHandles {
    fn facts(&self) -> RuleFacts {
        RuleFacts::new(FindingKind::ManyHandles, &[Severity::Warning])
    }

    fn check(&self, look: &RuleInput<'_>) -> Vec<Finding> {
        let each = look.database.processes.iter().filter_map(|process| self.of_process(process, look));
        each.chain(self.of_all(look)).collect()
    }
}
