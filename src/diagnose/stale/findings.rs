//! Findings about daemons that should not run, or run twice.

use super::{
    doubles::{self, DoubleFinder, DoubleRelation, Doubles},
    outlived::OutlivedSession,
    pidfile::DeadPidfile,
    twins::DaemonFamily,
};
use crate::{
    config::DaemonRule,
    diagnose::{Rule, RuleFacts, RuleInput, evidence, explain, no_remedy, quoted},
    snapshot::{Database, Finding, FindingKind, Process, Remedy, RemedyAction, Severity, StaleCause},
};

pub const RULES: &[&dyn Rule] = &[&StaleDaemon, &DuplicateDaemon, &OutlivedSession, &DeadPidfile];

/// A process is stale, and nothing protects it.
pub struct StaleDaemon;

impl Rule for StaleDaemon {
    fn facts(&self) -> RuleFacts {
        RuleFacts::new(FindingKind::StaleDaemon, &[Severity::Warning])
            .with_actions(&[RemedyAction::StopProcess])
    }

    fn check(&self, look: &RuleInput<'_>) -> Vec<Finding> {
        let stale: Vec<&Process> = look.database.processes.iter().filter(|it| it.is_stale()).collect();
        if stale.is_empty() {
            return Vec::new();
        }
        let family = DaemonFamily::of([look.database], &look.config.daemons);
        let mut doubles = doubles_without_rule(look, &family);
        doubles.retain(|it| it.relation == DoubleRelation::SameCommand);
        stale
            .into_iter()
            .map(|process| {
                let twins = doubles.iter().find(|doubles| doubles.oldest.pid == process.pid);
                self.finding(look.database, process, twins.map_or(&[][..], |twins| &twins.others))
            })
            .collect()
    }
}

impl StaleDaemon {
    // With what would be a `duplicate-daemon` of the same process: a process has one row.
    fn finding(&self, database: &Database, process: &Process, twins: &[&Process]) -> Finding {
        let causes: &[StaleCause] = process.stale.as_ref().map_or(&[], |stale| &stale.causes);
        let mut told: Vec<String> = causes.iter().map(ToString::to_string).collect();
        let mut names: Vec<&str> = causes.iter().map(StaleCause::name).collect();
        let mut evidence = evidence([]);
        for cause in causes {
            if let StaleCause::Duplicate { rule, newer, .. } = cause {
                evidence.insert("rule".to_owned(), rule.clone().into());
                evidence.insert("processes".to_owned(), vec![process.pid, *newer].into());
            }
        }
        if !twins.is_empty() {
            told.push(format!("it {}", doubles::same_command(twins)));
            names.push(DUPLICATE);
            let pids: Vec<i32> = std::iter::once(process.pid).chain(twins.iter().map(|it| it.pid)).collect();
            evidence.insert("processes".to_owned(), pids.into());
        }
        evidence.insert("causes".to_owned(), names.into());
        Finding {
            kind: self.kind(),
            severity: Severity::Warning,
            label: None,
            pid: Some(process.pid),
            message: format!("{} is stale: {}", process.who(), told.join("; ")),
            evidence,
            remedy: reap(database, process),
        }
    }
}

/// The name of [`StaleCause::Duplicate`].
const DUPLICATE: &str = "duplicate";

// A process with a rule is reported for that, or the rule permits several.
fn doubles_without_rule<'a>(look: &RuleInput<'a>, family: &DaemonFamily<'_>) -> Vec<Doubles<'a>> {
    let apart = look.config.thresholds.separate_runs;
    DoubleFinder { database: look.database, family, apart }.find()
}

/// Two processes look like the same daemon.
///
/// If a rule allows only one, it is a warning on each but the newest. Without a rule it is information: one finding for
/// all that differ from the oldest in the same way, on the oldest. A stale process has this in its [`StaleDaemon`] instead.
pub struct DuplicateDaemon;

impl Rule for DuplicateDaemon {
    fn facts(&self) -> RuleFacts {
        RuleFacts::new(FindingKind::DuplicateDaemon, &[Severity::Info, Severity::Warning])
    }

    fn check(&self, look: &RuleInput<'_>) -> Vec<Finding> {
        let mut found = Vec::new();
        let family = DaemonFamily::of([look.database], &look.config.daemons);
        for process in look.database.processes.iter().filter(|it| !it.is_stale()) {
            if let (Some(rule), Some(newer)) = (family.rule(process), family.newer(process)) {
                found.push(self.warning(rule, process, newer));
            }
        }
        let doubles = doubles_without_rule(look, &family);
        found.extend(doubles.iter().filter_map(|doubles| self.info(doubles)));
        found
    }
}

impl DuplicateDaemon {
    fn warning(&self, rule: &DaemonRule, older: &Process, newer: &Process) -> Finding {
        Finding {
            kind: self.kind(),
            severity: Severity::Warning,
            label: None,
            pid: Some(older.pid),
            message: format!(
                "{} and the newer {} are both {}, of which there should be one: they do the same work twice",
                older.who(),
                newer.who(),
                rule.name
            ),
            evidence: evidence([
                ("rule", rule.name.clone().into()),
                ("processes", vec![older.pid, newer.pid].into()),
            ]),
            remedy: no_remedy(),
        }
    }

    // That a stale process runs twice is in its `stale-daemon`.
    fn info(&self, doubles: &Doubles<'_>) -> Option<Finding> {
        let Doubles { relation, oldest, others } = doubles;
        if oldest.is_stale() && *relation == DoubleRelation::SameCommand {
            return None;
        }
        let processes: Vec<i32> = [*oldest].iter().chain(others).map(|process| process.pid).collect();
        Some(Finding {
            kind: self.kind(),
            severity: Severity::Info,
            label: None,
            pid: Some(oldest.pid),
            message: doubles.to_string(),
            evidence: evidence([
                ("relation", relation.name().into()),
                ("processes", processes.into()),
                ("command", oldest.command_line().into()),
                ("directory", oldest.origin.directory.clone().into()),
            ]),
            remedy: no_remedy(),
        })
    }
}

// Never offered for a process whose log was replaced, here or in another database: its close does the damage.
fn reap(database: &Database, process: &Process) -> Remedy {
    let mut causes = process.stale.iter().flat_map(|stale| &stale.causes);
    let is_split = causes.any(|it| matches!(it, StaleCause::SplitWal { .. }));
    if is_split && (process.replaced.is_empty() || database.is_split_from(process)) {
        return explain(FindingKind::SplitWal);
    }
    let command = format!("waltop reap {} --pid {}", quoted(&database.path), process.pid);
    Remedy { action: Some(RemedyAction::StopProcess), command: Some(command) }
}

#[cfg(test)]
pub(super) mod tests {
    use jiff::Timestamp;
    use regex::Regex;

    use super::*;
    use crate::{
        config::Config,
        diagnose::fixture::{READER, WRITER, config, live, outline},
        snapshot::{Executable, ExecutableState, Pidfile, ProcessManager, Severity::*, StaleVerdict},
    };

    pub fn rule(pidfile: Option<&str>) -> DaemonRule {
        DaemonRule {
            name: "watcher".to_owned(),
            pattern: Regex::new("^bun").expect("a pattern"),
            singleton: true,
            max_age: None,
            pidfile: pidfile.map(Into::into),
            protect: false,
        }
    }

    pub fn found(
        rule: &dyn Rule,
        database: &Database,
        daemons: Vec<DaemonRule>,
        pidfiles: &[Pidfile],
    ) -> Vec<Finding> {
        found_after(rule, database, daemons, [pidfiles, pidfiles])
    }

    // With the pidfiles of two looks.
    pub fn found_after(
        rule: &dyn Rule,
        database: &Database,
        daemons: Vec<DaemonRule>,
        [pidfiles_before, pidfiles]: [&[Pidfile]; 2],
    ) -> Vec<Finding> {
        let config = Config { daemons, ..config() };
        rule.check(&RuleInput {
            database,
            previous: None,
            profile: &config.profile,
            config: &config,
            pidfiles,
            pidfiles_before,
            taken_at: Timestamp::UNIX_EPOCH,
        })
    }

    // Two of the same program, of which the writer is the older.
    fn twins(adapt: impl FnOnce(&mut [Process])) -> Database {
        let mut database = live();
        for (process, parent) in database.processes.iter_mut().zip([500, 600]) {
            process.name = "bun".to_owned();
            process.command = vec!["bun".to_owned(), "watch".to_owned()];
            process.parent = Some(parent);
            let path = "/usr/bin/bun".to_owned();
            let state = Some(ExecutableState::Current);
            process.origin.executable = Some(Executable { path, state });
            process.origin.directory = Some("/srv".to_owned());
        }
        database.processes[1].start_ticks = Some(2000);
        adapt(&mut database.processes);
        database
    }

    #[test]
    fn a_pair_of_which_there_should_be_one_is_a_warning_on_the_older() {
        let found = found(&DuplicateDaemon, &twins(|_| {}), vec![rule(None)], &[]);
        assert_eq!(outline(&found), [(FindingKind::DuplicateDaemon, Warning, Some(WRITER))]);
        assert_eq!(found[0].evidence["rule"], "watcher");
        assert_eq!(found[0].evidence["processes"], serde_json::json!([WRITER, READER]));
        assert_eq!(found[0].remedy, no_remedy(), "it was not judged to be stale");
    }

    #[test]
    fn a_stale_process_with_a_twin_has_one_finding_and_the_healthy_twin_none() {
        let judge = |process: &mut Process, cause| {
            process.stale =
                Some(StaleVerdict { is_stale: true, causes: vec![cause], ..StaleVerdict::default() });
        };
        let all = |database: &Database, daemons: fn() -> Vec<DaemonRule>| {
            [&StaleDaemon as &dyn Rule, &DuplicateDaemon]
                .map(|it| found(it, database, daemons(), &[]))
                .concat()
        };
        let newer = StaleCause::Duplicate {
            rule: "watcher".to_owned(),
            newer: READER,
            newer_name: "bun".to_owned(),
            newer_label: "bun".to_owned(),
        };
        let by_rule = all(&twins(|it| judge(&mut it[0], newer.clone())), || vec![rule(None)]);
        assert_eq!(outline(&by_rule), [(FindingKind::StaleDaemon, Warning, Some(WRITER))]);
        assert_eq!(by_rule[0].evidence["causes"], serde_json::json!(["duplicate"]));
        assert_eq!(by_rule[0].evidence["processes"], serde_json::json!([WRITER, READER]));
        assert_eq!(by_rule[0].evidence["rule"], "watcher");

        let orphan = StaleCause::Orphan { adopted_by: Some(1), lost_input: None, idle_ms: 1.8e6 };
        let by_command = all(&twins(|it| judge(&mut it[0], orphan.clone())), Vec::new);
        assert_eq!(outline(&by_command), [(FindingKind::StaleDaemon, Warning, Some(WRITER))]);
        assert_eq!(by_command[0].evidence["causes"], serde_json::json!(["orphan", "duplicate"]));
        let end = "; it runs the same command in the same folder as 71168 (python3)";
        assert!(by_command[0].message.ends_with(end), "{}", by_command[0].message);

        // The newer one of the two is stale for a reason of its own: the older is not.
        let other = all(&twins(|it| judge(&mut it[1], orphan.clone())), Vec::new);
        let [stale, twin] =
            [(FindingKind::StaleDaemon, Warning, READER), (FindingKind::DuplicateDaemon, Info, WRITER)];
        assert_eq!(outline(&other), [stale, twin].map(|(kind, severity, pid)| (kind, severity, Some(pid))));
        assert_eq!(all(&twins(|_| {}), Vec::new).len(), 1, "without a verdict it is a duplicate");
    }

    #[test]
    fn the_workers_of_one_daemon_are_no_duplicates() {
        let told = |adapt: fn(&mut [Process])| {
            let found = found(&DuplicateDaemon, &twins(adapt), vec![rule(None)], &[]);
            found.iter().filter(|finding| finding.severity == Warning).count()
        };
        assert_eq!(told(|it| it[1].parent = Some(500)), 1, "what started both is not known");
        assert_eq!(told(|it| it.iter_mut().for_each(|it| worker(it, "sh"))), 1, "two, started by hand");
        assert_eq!(told(|it| it.iter_mut().for_each(|it| worker(it, "bun"))), 0, "pre-forked");
        let grandchild: fn(&mut [Process]) = |it| {
            worker(&mut it[0], "bun");
            it[1].parent = Some(it[0].pid);
        };
        assert_eq!(told(grandchild), 0);
    }

    // Started by a process without the database, which runs `program`.
    fn worker(process: &mut Process, program: &str) {
        process.parent = Some(500);
        process.origin.parent_command = Some(vec![program.to_owned(), "watch".to_owned()]);
    }

    #[test]
    fn twins_without_a_rule_are_worth_knowing() {
        let found_in = |database: &Database| found(&DuplicateDaemon, database, Vec::new(), &[]);
        let twice = found_in(&twins(|_| {}));
        assert_eq!(outline(&twice), [(FindingKind::DuplicateDaemon, Info, Some(WRITER))]);
        assert_eq!(twice[0].evidence["processes"], serde_json::json!([WRITER, READER]));
        let normal: [fn(&mut [Process]); 7] = [
            |it| it[1].parent = Some(500),
            |it| it[1].parent = Some(WRITER),
            |it| it[0].parent = Some(READER),
            |it| it[1].command.push("--once".to_owned()),
            |it| it[1].origin.directory = Some("/tmp".to_owned()),
            |it| it[1].origin.executable = None,
            |it| it[1].origin.directory = None,
        ];
        for (index, adapt) in normal.into_iter().enumerate() {
            assert_eq!(found_in(&twins(adapt)), [], "{index}");
        }
        let adopted = twins(|it| {
            for process in it {
                process.parent = Some(1);
                process.origin.has_lost_parent = Some(true);
            }
        });
        assert_eq!(found_in(&adopted).len(), 1, "the process that adopted them is no parent");
    }

    #[test]
    fn twins_that_setsid_detached_are_no_pool_of_workers() {
        let below_init = |leads_session: bool, manager: Option<ProcessManager>| {
            let twins = twins(|it| {
                for process in it {
                    process.parent = Some(1);
                    process.origin.leads_session = Some(leads_session);
                    process.origin.manager.clone_from(&manager);
                }
            });
            found(&DuplicateDaemon, &twins, Vec::new(), &[]).len()
        };
        assert_eq!(below_init(true, None), 1);
        assert_eq!(below_init(true, Some(ProcessManager::Container("docker-1".to_owned()))), 1);
        assert_eq!(below_init(false, None), 0, "the workers of a master that is PID 1");
        assert_eq!(
            below_init(true, Some(ProcessManager::Service("app@1.service".to_owned()))),
            0,
            "instances"
        );
        assert_eq!(below_init(true, Some(ProcessManager::Supervisor("pm2".to_owned()))), 0);
    }

    #[test]
    fn one_whose_log_was_replaced_is_not_to_be_reaped() {
        let stale = |replaced: &[&str], cause: &StaleCause| {
            let mut database = live();
            let process = &mut database.processes[0];
            process.replaced = replaced.iter().map(|&path| path.to_owned()).collect();
            process.stale =
                Some(StaleVerdict { is_stale: true, causes: vec![cause.clone()], ..StaleVerdict::default() });
            let command = found(&StaleDaemon, &database, Vec::new(), &[])[0].remedy.command.clone();
            command.expect("a command")
        };
        let path = live().path.display().to_string();
        let split = StaleCause::SplitWal { files: vec!["/srv/notes.db-wal".to_owned()] };
        let upgraded = StaleCause::Executable { path: "/usr/bin/bun".to_owned(), is_replaced: true };
        let (reap, page) =
            (format!("waltop reap /srv/notes.db --pid {WRITER}"), "waltop explain split-wal".to_owned());
        assert_eq!(stale(&["/srv/notes.db-wal"], &split), page);
        assert_eq!(stale(&[], &split), page, "it is in another database");
        assert_eq!(stale(&[&path, "/srv/notes.db-wal"], &split), reap, "all of it was replaced");
        assert_eq!(stale(&[], &upgraded), reap);
    }
}
