//! Findings about pidfiles that contradict their daemon.

use crate::{
    config::DaemonRule,
    diagnose::{Rule, RuleFacts, RuleInput, evidence, quoted},
    snapshot::{Finding, FindingKind, Pidfile, Remedy, Severity},
};

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
            label: None,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnose::{
        fixture::{live, outline},
        stale::findings::tests::{found, found_after, rule},
    };

    fn dead(lives: Option<bool>, command: Option<&str>) -> Vec<Finding> {
        let command = command.map(str::to_owned);
        let pidfile =
            Pidfile { path: "/srv/my daemon.pid".into(), pid: Some(42), lives, command, inside: Vec::new() };
        found(&DeadPidfile, &live(), vec![rule(Some("/srv/my daemon.pid"))], &[pidfile])
    }

    #[test]
    fn a_pidfile_is_dead_where_its_process_is_gone_or_another() {
        let gone = dead(Some(false), None);
        assert_eq!(outline(&gone), [(FindingKind::DeadPidfile, Severity::Warning, None)]);
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
        let path = "/srv/my daemon.pid".into();
        let empty = Pidfile { path, pid: None, lives: None, command: None, inside: Vec::new() };
        assert_eq!(found(&DeadPidfile, &live(), vec![rule(Some("/srv/my daemon.pid"))], &[empty]), []);
        assert_eq!(found(&DeadPidfile, &live(), vec![rule(Some("/srv/my daemon.pid"))], &[]), []);
    }

    #[test]
    fn two_looks_have_to_read_the_same_of_a_pidfile() {
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
        assert_eq!(found(&gone(41), &gone(42)), 0, "it was written again");
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
