//! The causes that make a process stale, with their evidence.

use super::{ProcessVerdict, StaleInput, twins};
use crate::snapshot::{Executable, ExecutableState, Process, StaleCause, SuspicionKind};

mod idleness;

pub use idleness::past_max_age;
use idleness::{max_age, orphan, pinned_wal};

pub fn causes(scene: &StaleInput<'_>, subject: &ProcessVerdict<'_>) -> Vec<StaleCause> {
    let Some((_, process)) = subject.rows.first() else { return Vec::new() };
    // A backup that reads the files is no daemon of the database.
    if subject.rows.iter().all(|(_, process)| process.only_reads_files()) {
        return Vec::new();
    }
    // A stopped process is always idle. It has to be resumed first.
    let by_idleness = |cause: Option<StaleCause>| cause.filter(|_| !process.is_stopped());
    let found = [
        split_wal(subject),
        executable(process),
        duplicate(scene, process),
        by_idleness(max_age(scene, process)),
        by_idleness(orphan(scene, process)),
        by_idleness(pinned_wal(scene, subject)),
    ];
    found.into_iter().flatten().collect()
}

// Later samples have to confirm it: the last process to close a database deletes its log a moment before its own
// descriptor.
fn split_wal(subject: &ProcessVerdict<'_>) -> Option<StaleCause> {
    let mut files: Vec<String> = Vec::new();
    for (database, process) in &subject.rows {
        // A whole database that was moved is still in use at its new path, and so is its process.
        if !process.moved_to.is_empty() && !database.is_split_from(process) {
            continue;
        }
        let confirmed = database.confirmed(SuspicionKind::ReplacedFile, process);
        files.extend(confirmed.iter().flat_map(|it| &it.evidence).cloned());
    }
    (!files.is_empty()).then_some(StaleCause::SplitWal { files })
}

fn executable(process: &Process) -> Option<StaleCause> {
    let Executable { path, state } = process.origin.executable.as_ref()?;
    let is_replaced = match (*state)? {
        ExecutableState::Deleted => false,
        ExecutableState::Replaced => true,
        ExecutableState::Current => return None,
    };
    Some(StaleCause::Executable { path: path.clone(), is_replaced })
}

fn duplicate(scene: &StaleInput<'_>, process: &Process) -> Option<StaleCause> {
    let rule = scene.rule(process).filter(|rule| rule.singleton)?;
    let newer = twins::newer(scene, process)?;
    Some(StaleCause::Duplicate {
        rule: rule.name.clone(),
        newer: newer.pid,
        newer_name: newer.name.clone(),
        newer_label: newer.label.clone(),
    })
}

#[cfg(test)]
mod tests {
    use regex::Regex;

    use crate::{
        config::{Config, DaemonRule},
        diagnose::{
            diagnose,
            fixture::{READER, WRITER, at, config, live, snapshot},
        },
        snapshot::{
            Database, Executable, ExecutableState, Process, ProcessIdleness, Snapshot, StaleCause,
            StaleVerdict,
        },
    };

    pub(super) fn rule(name: &str, adapt: impl FnOnce(&mut DaemonRule)) -> DaemonRule {
        let pattern = Regex::new(&format!("^{name}")).expect("a pattern");
        let name = name.to_owned();
        let mut rule =
            DaemonRule { name, pattern, singleton: false, max_age: None, pidfile: None, protect: false };
        adapt(&mut rule);
        rule
    }

    pub(super) fn ruled(rules: Vec<DaemonRule>) -> Config {
        Config { daemons: rules, ..config() }
    }

    pub(super) fn idle(ms: f64, watched_ms: f64) -> ProcessIdleness {
        ProcessIdleness {
            cpu_ticks: Some(5),
            cpu_idle_ms: Some(ms),
            idle_ms: Some(ms),
            watched_ms: Some(watched_ms),
        }
    }

    pub(super) fn judged(
        databases: Vec<Database>,
        previous: Option<Vec<Database>>,
        config: &Config,
    ) -> Snapshot {
        let before = previous.map(|databases| {
            let mut before = snapshot(databases);
            diagnose(&mut before, None, config);
            before
        });
        let mut now = Snapshot { taken_at: at(1), ..snapshot(databases) };
        diagnose(&mut now, before.as_ref(), config);
        now
    }

    // The names of the causes against the writer.
    pub(super) fn against(database: &Database, config: &Config) -> Vec<&'static str> {
        let now = judged(vec![database.clone()], Some(vec![database.clone()]), config);
        names(verdict(&now.databases[0], WRITER))
    }

    pub(super) fn verdict(database: &Database, pid: i32) -> &StaleVerdict {
        database.process(pid).and_then(|process| process.stale.as_ref()).expect("it was judged")
    }

    pub(super) fn names(stale: &StaleVerdict) -> Vec<&'static str> {
        stale.causes.iter().map(StaleCause::name).collect()
    }

    pub(super) fn with(adapt: impl FnOnce(&mut Process)) -> Database {
        let mut database = live();
        database.locks.writer = None;
        adapt(&mut database.processes[0]);
        database
    }

    pub(super) const NONE: [&str; 0] = [];

    #[test]
    fn a_deleted_file_counts_when_two_samples_see_it() {
        let split = with(|process| process.replaced = vec!["notes.db-wal".to_owned()]);
        assert_eq!(against(&split, &config()), ["split-wal"]);
        for before in [None, Some(vec![live()])] {
            let now = judged(vec![split.clone()], before, &config());
            assert_eq!(names(verdict(&now.databases[0], WRITER)), NONE, "it may be closing it");
        }
    }

    #[test]
    fn a_verdict_stands_in_every_database_that_the_process_has_open() {
        let split = with(|process| process.replaced = vec!["notes.db-wal".to_owned()]);
        let mut other = live();
        other.path = "/srv/other.db".into();
        let both = vec![other, split];
        let now = judged(both.clone(), Some(both), &config());
        for database in &now.databases {
            assert_eq!(names(verdict(database, WRITER)), ["split-wal"]);
            assert_eq!(names(verdict(database, READER)), NONE);
        }
    }

    #[test]
    fn a_program_counts_only_where_it_is_known_to_be_gone() {
        let states = [
            (Some(ExecutableState::Deleted), vec!["executable"]),
            (Some(ExecutableState::Replaced), vec!["executable"]),
            (Some(ExecutableState::Current), vec![]),
            (None, vec![]),
        ];
        for (state, expected) in states {
            let path = "/usr/bin/bun".to_owned();
            let database = with(|process| process.origin.executable = Some(Executable { path, state }));
            assert_eq!(against(&database, &config()), expected, "{state:?}");
        }
    }

    #[test]
    fn of_a_singleton_all_but_the_newest_count() {
        let only = ruled(vec![rule("bun", |rule| rule.singleton = true)]);
        let pair = |adapt: fn(&mut Process)| {
            let mut database = with(|_| {});
            let mut newer = database.processes[0].clone();
            newer.pid = 80_000;
            newer.start_ticks = Some(2000);
            adapt(&mut newer);
            database.processes.push(newer);
            database
        };
        let twice = pair(|_| {});
        assert_eq!(against(&twice, &only), ["duplicate"]);
        let now = judged(vec![twice.clone()], None, &only);
        assert_eq!(names(verdict(&now.databases[0], 80_000)), NONE, "the newest");
        assert_eq!(against(&twice, &config()), NONE, "a twin without a rule is no cause");
        assert_eq!(against(&twice, &ruled(vec![rule("bun", |_| {})])), NONE);
        assert_eq!(against(&pair(|newer| newer.parent = Some(WRITER)), &only), NONE, "its own child");
        assert_eq!(against(&pair(|newer| newer.command = vec!["node".to_owned()]), &only), NONE);
        assert_eq!(against(&pair(|newer| newer.start_ticks = None), &only), NONE, "not known to be newer");
        let first = rule("bun", |_| {});
        let second = rule("bun", |rule| rule.singleton = true);
        assert_eq!(against(&twice, &ruled(vec![first, second])), NONE, "the first rule counts");
    }

    #[test]
    fn what_only_looks_odd_is_no_cause() {
        let database = with(|process| {
            process.started_at = Some("1960-01-01T00:00:00Z".parse().expect("a time"));
            process.memory_bytes = Some(1 << 40);
            process.parent = Some(1);
            process.idleness = idle(1e9, 1e9);
        });
        assert_eq!(against(&database, &config()), NONE);
    }
}
