//! Processes whose session is over.

use crate::{
    diagnose::{Rule, RuleFacts, RuleInput, evidence, no_remedy},
    snapshot::{Finding, FindingKind, LostInput, Process, ProcessManager, Severity},
    units,
};

/// A process has outlived its parent and the other end of its standard input. That alone does not make it stale: it is
/// information until it has been idle for long enough.
pub struct OutlivedSession;

impl Rule for OutlivedSession {
    fn facts(&self) -> RuleFacts {
        RuleFacts::new(FindingKind::OutlivedSession, &[Severity::Info])
    }

    fn check(&self, look: &RuleInput<'_>) -> Vec<Finding> {
        let processes = look.database.processes.iter();
        let outlived = processes.filter(|it| it.is_client() && !it.is_stale() && !is_managed(it));
        outlived.filter_map(|it| Some(self.finding(it, it.origin.lost_input?, look))).collect()
    }
}

impl OutlivedSession {
    fn finding(&self, process: &Process, lost: LostInput, look: &RuleInput<'_>) -> Finding {
        let holds: Vec<String> = process.holds.iter().map(ToString::to_string).collect();
        let held = match holds.as_slice() {
            [] => String::new(),
            holds => format!(", and holds {}", holds.join(", ")),
        };
        Finding {
            kind: self.kind(),
            severity: Severity::Info,
            label: None,
            pid: Some(process.pid),
            message: format!(
                "{} has outlived the process that started it ({lost}){held}: it may be forgotten, and counts as stale once \
                 it has been idle for {}",
                process.who(),
                units::duration(units::milliseconds(look.config.thresholds.idle)),
            ),
            evidence: evidence([
                ("lost_input", serde_json::json!(lost)),
                ("parent", process.parent.into()),
                ("holds", holds.into()),
                ("idle_ms", process.idleness.idle_ms.into()),
            ]),
            remedy: no_remedy(),
        }
    }
}

// A manager gives its processes an input without another end on purpose. A desktop only names a scope, and restarts nothing.
fn is_managed(process: &Process) -> bool {
    match &process.origin.manager {
        Some(ProcessManager::Service(unit)) => unit.strip_suffix(".scope").is_none(),
        manager => matches!(manager, Some(ProcessManager::Supervisor(_))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        diagnose::fixture::{WRITER, findings_of, live, outline},
        snapshot::{Database, LockHold, StaleVerdict},
    };

    fn outlived(change: impl FnOnce(&mut Process)) -> Database {
        let mut database = live();
        let process = &mut database.processes[0];
        process.origin.has_lost_parent = Some(true);
        process.origin.lost_input = Some(LostInput::Terminal);
        process.holds = vec![LockHold::Read(1)];
        change(process);
        database
    }

    #[test]
    fn a_process_without_its_terminal_is_worth_knowing() {
        let found = findings_of(&outlived(|_| {}));
        assert_eq!(outline(&found), [(FindingKind::OutlivedSession, Severity::Info, Some(WRITER))]);
        assert_eq!(found[0].evidence["lost_input"], "terminal");
        let scope = ProcessManager::Service("app-term-7.scope".to_owned());
        assert_eq!(findings_of(&outlived(|it| it.origin.manager = Some(scope))).len(), 1);
        assert_eq!(found[0].evidence["holds"], serde_json::json!(["read:1"]));
    }

    #[test]
    fn services_backups_and_stale_processes_are_none() {
        let normal: [fn(&mut Process); 4] = [
            |it| it.origin.lost_input = None,
            |it| it.origin.manager = Some(ProcessManager::Service("app.service".to_owned())),
            |it| it.pairing.only_reads_files = Some(true),
            |it| it.stale = Some(StaleVerdict { is_stale: true, ..StaleVerdict::default() }),
        ];
        for (index, change) in normal.into_iter().enumerate() {
            let found = findings_of(&outlived(change));
            assert!(found.iter().all(|it| it.kind != FindingKind::OutlivedSession), "{index}");
        }
    }
}
