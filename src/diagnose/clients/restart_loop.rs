//! Processes that are started again and again.

use std::{path::Path, time::Duration};

use super::super::{Rule, RuleFacts, RuleInput, evidence, no_remedy};
use crate::{
    snapshot::{
        Finding, FindingKind, RestartedProcess, Severity, command_label, is_shell_of_databases,
        is_started_by_manager, program_word,
    },
    units,
};

/// A start that comes so soon after the previous run restarts it; a schedule leaves more time. Samples are up to a second
/// apart, and the last one of a run may be that much before its end.
const SOON_MS: f64 = 2_000.0;

/// The same parent has started the same command several times within half a minute.
pub struct RestartLoop;

impl Rule for RestartLoop {
    fn facts(&self) -> RuleFacts {
        RuleFacts::new(FindingKind::RestartLoop, &[Severity::Info, Severity::Warning])
    }

    fn check(&self, look: &RuleInput<'_>) -> Vec<Finding> {
        let least = look.config.thresholds.restarts as usize;
        let restarts = look.database.restarts.iter();
        let loops = restarts.filter(|it| it.starts.len() >= least.max(2) && !is_tool(&it.program));
        loops.map(|it| self.finding(it, look)).collect()
    }
}

impl RestartLoop {
    fn finding(&self, restarts: &RestartedProcess, look: &RuleInput<'_>) -> Finding {
        let RestartedProcess { pid, label, parent, starts, gap_ms, .. } = restarts;
        let starter = restarts.parent_command.as_deref().filter(|command| !command.is_empty());
        let starter = starter.map_or_else(String::new, |command| format!(" ({})", command_label(command)));
        let between = starts.last().zip(starts.first()).map(|(last, first)| last.duration_since(*first));
        let span = between.and_then(|it| Duration::try_from(it).ok()).map(units::milliseconds);
        let (severity, ending) = if is_kept_running(restarts) {
            (Severity::Warning, "each ends soon, and the program's log should say why")
        } else {
            (Severity::Info, "it is a frequent job, or it ends soon after each start")
        };
        Finding {
            kind: self.kind(),
            severity,
            label: None,
            pid: look.database.process(*pid).map(|process| process.pid),
            message: format!(
                "{pid} ({label}) is one of {} runs of the same command that {parent}{starter} started in {}: {ending}",
                starts.len(),
                units::duration(span.unwrap_or_default()),
            ),
            evidence: evidence([
                ("starts", starts.iter().map(ToString::to_string).collect::<Vec<_>>().into()),
                ("parent", (*parent).into()),
                ("gap_ms", (*gap_ms).into()),
                ("command", restarts.command.join(" ").into()),
            ]),
            remedy: no_remedy(),
        }
    }
}

// They run for a moment by their nature.
fn is_tool(program: &str) -> bool {
    is_shell_of_databases(program) || Path::new(program).file_name().is_some_and(|name| name == "waltop")
}

// Whether what starts it is there to keep it running, rather than to run it now and then.
fn is_kept_running(restarts: &RestartedProcess) -> bool {
    let parent = restarts.parent_command.as_deref();
    if is_started_by_manager(Some(restarts.parent), parent, restarts.manager.as_ref()) {
        return true;
    }
    let Some(parent) = parent.filter(|command| !command.is_empty()) else { return false };
    let name = Path::new(&parent[0]).file_name().map(|name| name.to_string_lossy().into_owned());
    let name = name.unwrap_or_default();
    let is_script = ["sh", "bash", "dash", "zsh", "ksh", "ash", "make", "cron", "crond", "watch", "xargs"];
    runs_the_same(&restarts.command, parent)
        || !is_script.contains(&name.trim_start_matches('-')) && restarts.gap_ms <= SOON_MS
}

// A server that forks workers has their command line.
fn runs_the_same(command: &[String], parent: &[String]) -> bool {
    let program = |command: &[String]| program_word("", command).map(|at| command[at].clone());
    program(command).is_some_and(|own| Some(own) == program(parent))
}

#[cfg(test)]
mod tests {
    use super::super::super::fixture::*;
    use crate::snapshot::{Database, ProcessManager, RestartedProcess, Severity::*};

    fn with(change: impl FnOnce(&mut RestartedProcess)) -> Database {
        let mut restarts = RestartedProcess {
            pid: READER,
            label: "worker.py".to_owned(),
            program: "/usr/bin/python3".to_owned(),
            command: ["python3", "worker.py"].map(str::to_owned).to_vec(),
            parent: 500,
            parent_command: Some(["python3", "supervisor.py"].map(str::to_owned).to_vec()),
            manager: None,
            starts: vec![at(50), at(58), at(66)],
            gap_ms: 300.0,
        };
        change(&mut restarts);
        Database { restarts: vec![restarts], ..live() }
    }

    #[test]
    fn three_starts_in_half_a_minute_are_a_loop_and_one_restart_is_none() {
        let found = findings_of(&with(|_| {}));
        assert_eq!(outline(&found), [(FindingKind::RestartLoop, Warning, Some(READER))]);
        assert_eq!(
            (&found[0].evidence["parent"], &found[0].evidence["gap_ms"]),
            (&500.into(), &300.0.into())
        );
        assert_eq!(findings_of(&with(|it| it.starts.truncate(2))), [], "restarted once");
        let ended = findings_of(&with(|it| it.pid = 5));
        assert_eq!(outline(&ended), [(FindingKind::RestartLoop, Warning, None)]);
    }

    #[test]
    fn jobs_are_no_warning_and_tools_no_finding() {
        let severity = |change: fn(&mut RestartedProcess)| {
            findings_of(&with(change)).first().map(|finding| finding.severity)
        };
        let command = |words: &[&str]| Some(words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>());
        assert_eq!(severity(|it| it.gap_ms = 5_000.0), Some(Info), "a schedule");
        let by_shell = with(|it| it.parent_command = command(&["/bin/bash", "loop.sh"]));
        assert_eq!(findings_of(&by_shell)[0].severity, Info);
        let by_master = with(|it| {
            (it.parent_command, it.gap_ms) = (command(&["python3", "worker.py"]), 5_000.0);
        });
        assert_eq!(findings_of(&by_master)[0].severity, Warning, "a server and its workers");
        let managed: [fn(&mut RestartedProcess); 3] = [
            |it| (it.parent, it.gap_ms) = (1, 5_000.0),
            |it| it.parent_command = Some(vec!["/usr/lib/systemd/systemd".to_owned(), "--user".to_owned()]),
            |it| it.manager = Some(ProcessManager::Supervisor("runsv".to_owned())),
        ];
        for (index, change) in managed.into_iter().enumerate() {
            assert_eq!(severity(change), Some(Warning), "{index}");
        }
        assert_eq!(severity(|it| it.program = "/usr/bin/sqlite3".to_owned()), None);
        assert_eq!(severity(|it| it.program = "/usr/bin/waltop".to_owned()), None);
    }
}
