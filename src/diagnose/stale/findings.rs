//! Findings about daemons that should not run, run twice, or contradict their pidfile.

use super::twins::{self, DaemonFamily};
use crate::{
    config::DaemonRule,
    diagnose::{Rule, RuleFacts, RuleInput, evidence, explain, no_remedy, quoted, who},
    snapshot::{
        Database, Finding, FindingKind, Pidfile, Process, Remedy, RemedyAction, Severity, StaleCause,
    },
};

pub const RULES: &[&dyn Rule] = &[&StaleDaemon, &DuplicateDaemon, &DeadPidfile];

/// A process is stale, and nothing protects it.
pub struct StaleDaemon;

impl Rule for StaleDaemon {
    fn facts(&self) -> RuleFacts {
        RuleFacts::new(FindingKind::StaleDaemon, &[Severity::Warning])
            .with_actions(&[RemedyAction::StopProcess])
    }

    fn check(&self, look: &RuleInput<'_>) -> Vec<Finding> {
        let mut found = Vec::new();
        for process in &look.database.processes {
            let Some(stale) = process.stale.as_ref().filter(|_| process.is_stale()) else { continue };
            let told: Vec<String> = stale.causes.iter().map(ToString::to_string).collect();
            let names: Vec<&str> = stale.causes.iter().map(StaleCause::name).collect();
            found.push(Finding {
                kind: self.kind(),
                severity: Severity::Warning,
                pid: Some(process.pid),
                message: format!("{} is stale: {}", who(look.database, Some(process.pid)), told.join("; ")),
                evidence: evidence([("causes", names.into())]),
                remedy: reap(look.database, process),
            });
        }
        found
    }
}

/// Two processes look like the same daemon.
///
/// If a rule allows only one, it is a warning on each but the newest. Without a rule it is information: one finding for
/// all equal processes, on the oldest.
pub struct DuplicateDaemon;

impl Rule for DuplicateDaemon {
    fn facts(&self) -> RuleFacts {
        RuleFacts::new(FindingKind::DuplicateDaemon, &[Severity::Info, Severity::Warning])
            .with_actions(&[RemedyAction::StopProcess])
    }

    fn check(&self, look: &RuleInput<'_>) -> Vec<Finding> {
        let mut found = Vec::new();
        let family = DaemonFamily::of([look.database], &look.config.daemons);
        for process in &look.database.processes {
            if let (Some(rule), Some(newer)) = (family.rule(process), family.newer(process)) {
                found.push(self.warning(look, rule, process, newer));
            }
        }
        let alike = twins::alike(look.database, &family);
        // A process with a rule is reported already, or the rule permits several.
        let without_rule = alike.iter().filter(|twins| twins.iter().all(|it| family.rule(it).is_none()));
        found.extend(without_rule.filter_map(|twins| self.info(look, twins)));
        found
    }
}

impl DuplicateDaemon {
    fn warning(&self, look: &RuleInput<'_>, rule: &DaemonRule, older: &Process, newer: &Process) -> Finding {
        Finding {
            kind: self.kind(),
            severity: Severity::Warning,
            pid: Some(older.pid),
            message: format!(
                "{} and the newer {} are both {}, of which there should be one: they do the same work twice",
                who(look.database, Some(older.pid)),
                who(look.database, Some(newer.pid)),
                rule.name
            ),
            evidence: evidence([
                ("rule", rule.name.clone().into()),
                ("processes", vec![older.pid, newer.pid].into()),
            ]),
            remedy: if older.is_stale() { reap(look.database, older) } else { no_remedy() },
        }
    }

    fn info(&self, look: &RuleInput<'_>, twins: &[&Process]) -> Option<Finding> {
        let (oldest, others) = twins.split_first()?;
        let pids: Vec<i32> = twins.iter().map(|process| process.pid).collect();
        let named: Vec<String> = others.iter().map(|it| who(look.database, Some(it.pid))).collect();
        Some(Finding {
            kind: self.kind(),
            severity: Severity::Info,
            pid: Some(oldest.pid),
            message: format!(
                "{} runs the same command in the same folder as {}: they may do the same work twice",
                who(look.database, Some(oldest.pid)),
                named.join(", ")
            ),
            evidence: evidence([
                ("processes", pids.into()),
                ("command", oldest.command_line().into()),
                ("directory", oldest.origin.directory.clone().into()),
            ]),
            remedy: no_remedy(),
        })
    }
}

/// The pidfile of a daemon rule names no live process, or another one.
///
/// Two samples have to see it: while a daemon restarts, its pidfile is outdated for a moment. In a container a daemon
/// also knows itself by another PID than the one visible from outside.
pub struct DeadPidfile;

impl Rule for DeadPidfile {
    fn facts(&self) -> RuleFacts {
        RuleFacts::new(FindingKind::DeadPidfile, &[Severity::Warning])
    }

    fn check(&self, look: &RuleInput<'_>) -> Vec<Finding> {
        let rules = look.config.daemons.iter();
        let pairs = rules.filter_map(|rule| {
            let path = rule.pidfile.as_ref()?;
            Some((rule, look.pidfiles.iter().find(|pidfile| pidfile.path == *path)?))
        });
        let is_old = |rule: &DaemonRule, pidfile: &Pidfile| {
            let before = look.pidfiles_before.iter().find(|before| before.path == pidfile.path);
            before.is_some_and(|before| before.pid == pidfile.pid && who_else(rule, before).is_some())
        };
        let twice = pairs.filter(|(rule, pidfile)| is_old(rule, pidfile));
        twice.filter_map(|(rule, pidfile)| self.finding(rule, pidfile)).collect()
    }
}

impl DeadPidfile {
    fn finding(&self, rule: &DaemonRule, pidfile: &Pidfile) -> Option<Finding> {
        let pid = pidfile.pid?;
        let what = who_else(rule, pidfile)?;
        Some(Finding {
            kind: self.kind(),
            severity: Severity::Warning,
            // The process that has this PID now is unrelated.
            pid: None,
            message: format!(
                "the pidfile {} of {} names {what}: a start may be refused, and a stop may hit a stranger",
                pidfile.path.display(),
                rule.name
            ),
            evidence: evidence([
                ("pidfile", pidfile.path.display().to_string().into()),
                ("pid", pid.into()),
                ("command", pidfile.command.clone().into()),
            ]),
            remedy: Remedy { action: None, command: Some(format!("rm {}", quoted(&pidfile.path))) },
        })
    }
}

// The process that the pidfile names, if it is not one that the rule is about.
fn who_else(rule: &DaemonRule, pidfile: &Pidfile) -> Option<String> {
    let pid = pidfile.pid?;
    if pidfile.inside.iter().any(|command| rule.pattern.is_match(command)) {
        return None;
    }
    let is_other = |command: &&String| !rule.pattern.is_match(command);
    match (pidfile.lives?, pidfile.command.as_ref().filter(is_other)) {
        (false, _) => Some(format!("{pid}, which is gone")),
        (true, Some(command)) => Some(format!("{pid}, which is another process now ({command})")),
        (true, None) => None,
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
mod tests {
    use jiff::Timestamp;
    use regex::Regex;

    use super::*;
    use crate::{
        config::Config,
        diagnose::fixture::{READER, WRITER, config, live, outline},
        snapshot::{Executable, ExecutableState, Severity::*, StaleVerdict},
    };

    fn rule(pidfile: Option<&str>) -> DaemonRule {
        DaemonRule {
            name: "watcher".to_owned(),
            pattern: Regex::new("^bun").expect("a pattern"),
            singleton: true,
            max_age: None,
            pidfile: pidfile.map(Into::into),
            protect: false,
        }
    }

    fn found(
        rule: &dyn Rule,
        database: &Database,
        daemons: Vec<DaemonRule>,
        pidfiles: &[Pidfile],
    ) -> Vec<Finding> {
        found_after(rule, database, daemons, [pidfiles, pidfiles])
    }

    // With the pidfiles of two looks.
    fn found_after(
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
    fn one_whose_log_was_replaced_is_not_to_be_reaped() {
        let stale = |replaced: &[&str], cause: &StaleCause| {
            let mut database = live();
            let process = &mut database.processes[0];
            process.replaced = replaced.iter().map(|&path| path.to_owned()).collect();
            process.stale =
                Some(StaleVerdict { is_stale: true, causes: vec![cause.clone()], protected: None });
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

    fn dead(lives: Option<bool>, command: Option<&str>) -> Vec<Finding> {
        let command = command.map(str::to_owned);
        let pidfile =
            Pidfile { path: "/srv/my daemon.pid".into(), pid: Some(42), lives, command, inside: Vec::new() };
        found(&DeadPidfile, &live(), vec![rule(Some("/srv/my daemon.pid"))], &[pidfile])
    }

    #[test]
    fn a_pidfile_is_dead_where_its_process_is_gone_or_another() {
        let gone = dead(Some(false), None);
        assert_eq!(outline(&gone), [(FindingKind::DeadPidfile, Warning, None)]);
        assert_eq!(
            (&gone[0].evidence["pid"], &gone[0].evidence["command"]),
            (&42.into(), &serde_json::Value::Null)
        );
        assert_eq!(gone[0].remedy.command.as_deref(), Some("rm '/srv/my daemon.pid'"));
        let other = dead(Some(true), Some("vim notes.md"));
        assert_eq!(other[0].evidence["command"], "vim notes.md");
    }

    #[test]
    fn a_pidfile_is_left_alone_where_it_is_right_or_cannot_be_judged() {
        for (lives, command) in [(Some(true), Some("bun watch")), (Some(true), None), (None, None)] {
            assert_eq!(dead(lives, command), []);
        }
        let path = "/srv/my daemon.pid".into();
        let empty = Pidfile { path, pid: None, lives: None, command: None, inside: Vec::new() };
        assert_eq!(found(&DeadPidfile, &live(), vec![rule(Some("/srv/my daemon.pid"))], &[empty]), []);
        assert_eq!(found(&DeadPidfile, &live(), vec![rule(Some("/srv/my daemon.pid"))], &[]), []);
    }

    #[test]
    fn two_samples_have_to_read_the_same_of_a_pidfile() {
        let path = std::path::PathBuf::from("/srv/daemon.pid");
        let gone = |pid: i32| {
            vec![Pidfile {
                path: path.clone(),
                pid: Some(pid),
                lives: Some(false),
                command: None,
                inside: Vec::new(),
            }]
        };
        let found = |before: &[Pidfile], now: &[Pidfile]| {
            found_after(&DeadPidfile, &live(), vec![rule(Some("/srv/daemon.pid"))], [before, now]).len()
        };
        assert_eq!(found(&gone(42), &gone(42)), 1);
        assert_eq!(found(&[], &gone(42)), 0, "one look proves nothing");
        assert_eq!(found(&gone(41), &gone(42)), 0, "it was written anew");
        let alive: Vec<_> = gone(42).into_iter().map(|it| Pidfile { lives: Some(true), ..it }).collect();
        assert_eq!(found(&alive, &gone(42)), 0, "it has just ended");
        for (command, expected) in [("bun watch", 0), ("node", 1)] {
            let inside = vec![command.to_owned()];
            let contained: Vec<_> =
                gone(1).into_iter().map(|it| Pidfile { inside: inside.clone(), ..it }).collect();
            assert_eq!(found(&contained, &contained), expected, "{command} is 1 in a container");
        }
    }
}
