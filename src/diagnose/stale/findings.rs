//! What is told of daemons that should not be, or not twice, or are not what their pidfile says.

use std::collections::BTreeMap;

use super::{rule, twins};
use crate::{
    config::DaemonRule,
    diagnose::{Look, Rule, evidence, no_remedy, quoted, signal, who},
    snapshot::{Database, Finding, Pidfile, Process, Remedy, Severity},
};

/// A process is stale, and nothing protects it.
pub struct StaleDaemon;

impl Rule for StaleDaemon {
    fn name(&self) -> &'static str {
        "stale-daemon"
    }

    fn check(&self, look: &Look<'_>) -> Vec<Finding> {
        let mut found = Vec::new();
        for process in &look.database.processes {
            let Some(stale) = process.stale.as_ref().filter(|_| process.is_stale()) else { continue };
            let told: Vec<&str> = stale.causes.iter().map(|cause| cause.evidence.as_str()).collect();
            let names: Vec<&str> = stale.causes.iter().map(|cause| cause.cause.as_str()).collect();
            found.push(Finding {
                name: self.name().to_owned(),
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
/// A warning where a rule says that there should be one, on each but the newest. Without a rule it is worth
/// knowing, and no more: one finding for all that are alike, on the oldest.
pub struct DuplicateDaemon;

impl Rule for DuplicateDaemon {
    fn name(&self) -> &'static str {
        "duplicate-daemon"
    }

    fn check(&self, look: &Look<'_>) -> Vec<Finding> {
        let mut found = Vec::new();
        for (rule, processes) in by_rule(look) {
            for process in &processes {
                if let Some(newer) = twins::newest_after(look.database, process, &processes) {
                    found.push(self.warning(look, rule, process, newer));
                }
            }
        }
        found.extend(twins::alike(look.database).iter().filter_map(|twins| self.info(look, twins)));
        found
    }
}

impl DuplicateDaemon {
    fn warning(&self, look: &Look<'_>, rule: &DaemonRule, older: &Process, newer: &Process) -> Finding {
        Finding {
            name: self.name().to_owned(),
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

    fn info(&self, look: &Look<'_>, twins: &[&Process]) -> Option<Finding> {
        let (oldest, others) = twins.split_first()?;
        // What a rule says of them has been told, or is that they may be many.
        if others.is_empty() || rule(look.config, oldest).is_some() {
            return None;
        }
        let pids: Vec<i32> = twins.iter().map(|process| process.pid).collect();
        let named: Vec<String> = others.iter().map(|it| who(look.database, Some(it.pid))).collect();
        Some(Finding {
            name: self.name().to_owned(),
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

// The processes that match each rule of which there should be one.
fn by_rule<'a>(look: &Look<'a>) -> Vec<(&'a DaemonRule, Vec<&'a Process>)> {
    let database: &'a Database = look.database;
    let mut matched: BTreeMap<usize, Vec<&Process>> = BTreeMap::new();
    for process in &database.processes {
        let line = process.command_line();
        let daemons = &look.config.daemons;
        let first = daemons.iter().position(|rule| rule.pattern.is_match(&line));
        if let Some(index) = first.filter(|index| daemons[*index].singleton) {
            matched.entry(index).or_default().push(process);
        }
    }
    matched.into_iter().map(|(index, processes)| (&look.config.daemons[index], processes)).collect()
}

/// The pidfile of a daemon rule names nobody who lives, or somebody else.
pub struct DeadPidfile;

impl Rule for DeadPidfile {
    fn name(&self) -> &'static str {
        "dead-pidfile"
    }

    fn check(&self, look: &Look<'_>) -> Vec<Finding> {
        let rules = look.config.daemons.iter();
        let pairs = rules.filter_map(|rule| {
            let path = rule.pidfile.as_ref()?;
            Some((rule, look.pidfiles.iter().find(|pidfile| pidfile.path == *path)?))
        });
        pairs.filter_map(|(rule, pidfile)| self.finding(rule, pidfile)).collect()
    }
}

impl DeadPidfile {
    fn finding(&self, rule: &DaemonRule, pidfile: &Pidfile) -> Option<Finding> {
        let pid = pidfile.pid?;
        let is_other = |command: &&String| !rule.pattern.is_match(command);
        let what = match (pidfile.lives?, pidfile.command.as_ref().filter(is_other)) {
            (false, _) => format!("{pid}, which is gone"),
            (true, Some(command)) => format!("{pid}, which is another process now ({command})"),
            (true, None) => return None,
        };
        Some(Finding {
            name: self.name().to_owned(),
            severity: Severity::Warning,
            // Not the one that has this PID now: it has nothing to do with it.
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
            remedy: Remedy { key: None, command: Some(format!("rm {}", quoted(&pidfile.path))) },
        })
    }
}

// One whose log was deleted, here or in another database, is never asked to end: that close does the damage.
fn reap(database: &Database, process: &Process) -> Remedy {
    let mut causes = process.stale.iter().flat_map(|stale| &stale.causes);
    let is_split = causes.any(|it| it.cause == "split-wal");
    if is_split && (process.replaced.is_empty() || database.is_split_from(process)) {
        return signal("KILL", Some(process.pid));
    }
    Remedy { key: Some("x".to_owned()), command: Some(format!("waltop reap --pid {}", process.pid)) }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use regex::Regex;

    use super::*;
    use crate::{
        config::Config,
        diagnose::fixture::{READER, WRITER, config, live, outline},
        snapshot::{Cause, Executable, ExecutableState, Severity::*, Stale},
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
        let config = Config { daemons, ..config() };
        rule.check(&Look {
            database,
            previous: None,
            profile: &config.profile,
            config: &config,
            pidfiles,
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
        assert_eq!(outline(&found), [("duplicate-daemon", Warning, Some(WRITER))]);
        assert_eq!(
            found[0].message,
            "71201 (bun) and the newer 71168 (bun) are both watcher, of which there should be one: they do the same \
             work twice"
        );
        assert_eq!(found[0].remedy, no_remedy(), "it was not judged to be stale");
    }

    #[test]
    fn twins_without_a_rule_are_worth_knowing() {
        let found_in = |database: &Database| found(&DuplicateDaemon, database, Vec::new(), &[]);
        let twice = found_in(&twins(|_| {}));
        assert_eq!(outline(&twice), [("duplicate-daemon", Info, Some(WRITER))]);
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
        let taken_in = twins(|it| {
            for process in it {
                process.parent = Some(1);
                process.origin.has_lost_parent = Some(true);
            }
        });
        assert_eq!(found_in(&taken_in).len(), 1, "whoever took them in is no parent");
    }

    #[test]
    fn one_whose_log_was_deleted_is_not_to_be_reaped_but_killed() {
        let stale = |replaced: &[&str], cause: &str| {
            let mut database = live();
            let process = &mut database.processes[0];
            process.replaced = replaced.iter().map(|&path| path.to_owned()).collect();
            let cause = Cause { cause: cause.to_owned(), evidence: "seen".to_owned() };
            process.stale = Some(Stale { is_stale: true, causes: vec![cause], protected: None });
            let command = found(&StaleDaemon, &database, Vec::new(), &[])[0].remedy.command.clone();
            command.expect("a command")
        };
        let path = live().path.display().to_string();
        let (reap, kill) = (format!("waltop reap --pid {WRITER}"), format!("kill -KILL {WRITER}"));
        assert_eq!(stale(&["/srv/notes.db-wal"], "split-wal"), kill);
        assert_eq!(stale(&[], "split-wal"), kill, "it is in another database");
        assert_eq!(stale(&[&path, "/srv/notes.db-wal"], "split-wal"), reap, "all of it was replaced");
        assert_eq!(stale(&[], "executable"), reap);
    }

    fn dead(lives: Option<bool>, command: Option<&str>) -> Vec<Finding> {
        let command = command.map(str::to_owned);
        let pidfile = Pidfile { path: "/srv/my daemon.pid".into(), pid: Some(42), lives, command };
        found(&DeadPidfile, &live(), vec![rule(Some("/srv/my daemon.pid"))], &[pidfile])
    }

    #[test]
    fn a_pidfile_is_dead_where_its_process_is_gone_or_another() {
        let gone = dead(Some(false), None);
        assert_eq!(outline(&gone), [("dead-pidfile", Warning, None)]);
        assert_eq!(
            gone[0].message,
            "the pidfile /srv/my daemon.pid of watcher names 42, which is gone: a start may be refused, and a stop \
             may hit a stranger"
        );
        assert_eq!(gone[0].remedy.command.as_deref(), Some("rm '/srv/my daemon.pid'"));
        assert!(dead(Some(true), Some("vim notes.md"))[0].message.contains("now (vim notes.md)"));
    }

    #[test]
    fn a_pidfile_is_left_alone_where_it_is_right_or_cannot_be_judged() {
        for (lives, command) in [(Some(true), Some("bun watch")), (Some(true), None), (None, None)] {
            assert_eq!(dead(lives, command), []);
        }
        let empty = Pidfile { path: "/srv/my daemon.pid".into(), pid: None, lives: None, command: None };
        assert_eq!(found(&DeadPidfile, &live(), vec![rule(Some("/srv/my daemon.pid"))], &[empty]), []);
        assert_eq!(found(&DeadPidfile, &live(), vec![rule(Some("/srv/my daemon.pid"))], &[]), []);
    }
}
