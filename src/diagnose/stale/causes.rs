//! What makes a process stale, and what was seen of it.

use std::time::Duration;

use super::{ProcessVerdict, StaleInput, twins};
use crate::{
    diagnose::wal::frames_pinned_by,
    snapshot::{
        Executable, ExecutableState, LogReader, Process, ProcessActivity, ProcessManager, ProcessOrigin,
        StaleCause, SuspicionKind,
    },
    units::milliseconds,
};

/// What may lie between two clocks that measure the same stretch of looks.
const SLACK_MS: f64 = 50.0;

pub fn causes(scene: &StaleInput<'_>, subject: &ProcessVerdict<'_>) -> Vec<StaleCause> {
    let Some((_, process)) = subject.rows.first() else { return Vec::new() };
    // A backup that reads the files is no daemon of the database.
    if subject.rows.iter().all(|(_, process)| process.only_reads_files()) {
        return Vec::new();
    }
    // Whoever is stopped can be nothing but idle: it is to be let go on first.
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

// Samples have to confirm it: the process that closes a database last deletes its log a moment before its own descriptor.
fn split_wal(subject: &ProcessVerdict<'_>) -> Option<StaleCause> {
    let mut files: Vec<String> = Vec::new();
    for (database, process) in &subject.rows {
        // A whole database that was moved lives on at its new place, and so does the process that uses it.
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

// What is not known makes no orphan.
fn orphan(scene: &StaleInput<'_>, process: &Process) -> Option<StaleCause> {
    let ProcessOrigin { has_terminal, manager, has_lost_parent, .. } = &process.origin;
    let is_orphan = *has_lost_parent == Some(true)
        && *has_terminal == Some(false)
        && *manager == Some(ProcessManager::Nobody);
    let limit = scene.config.thresholds.idle.max(scene.config.thresholds.least_idle);
    let idle_ms = process.activity.idle_ms.filter(|idle| is_orphan && *idle >= milliseconds(limit))?;
    Some(StaleCause::Orphan { adopted_by: process.parent, idle_ms })
}

fn duplicate(scene: &StaleInput<'_>, process: &Process) -> Option<StaleCause> {
    let rule = scene.rule(process).filter(|rule| rule.singleton)?;
    let newer = twins::newer(scene, process)?;
    Some(StaleCause::Duplicate { rule: rule.name.clone(), newer: newer.pid, newer_name: newer.name.clone() })
}

fn max_age(scene: &StaleInput<'_>, process: &Process) -> Option<StaleCause> {
    let rule = scene.rule(process)?;
    let limit_ms = milliseconds(rule.max_age?);
    let age_ms = scene.snapshot.taken_at.duration_since(process.started_at?).as_millis_f64();
    if age_ms < limit_ms {
        return None;
    }
    let cap = scene.config.thresholds.idle;
    let idle_ms = over_window(scene, process.activity.idle_ms?, &process.activity, cap)?;
    Some(StaleCause::MaxAge { rule: rule.name.clone(), age_ms, limit_ms, idle_ms })
}

// Here the pin itself is no activity.
fn pinned_wal(scene: &StaleInput<'_>, subject: &ProcessVerdict<'_>) -> Option<StaleCause> {
    let limit = scene.config.thresholds.pinned_wal.1;
    let limit_ms = milliseconds(limit);
    let (_, process) = subject.rows.first()?;
    let idle_ms = over_window(scene, process.activity.cpu_idle_ms?, &process.activity, limit)?;
    subject.rows.iter().find_map(|(database, process)| {
        let wal = database.wal.as_ref()?;
        let readers = database.locks.readers.iter().filter(|reader| reader.pid == Some(process.pid));
        let pin = |reader: &LogReader| {
            let kept = frames_pinned_by(reader, wal).filter(|kept| *kept > 0)?;
            Some((kept, reader.held_ms.filter(|held| *held >= limit_ms)?))
        };
        let (frames, held_ms) = readers.filter_map(pin).max_by(|one, other| one.1.total_cmp(&other.1))?;
        Some(StaleCause::PinnedWal { database: database.name(), frames, held_ms, idle_ms })
    })
}

// Whether that is idleness over all that the looks have covered, or over `cap`, whichever is shorter; and never over less
// than means anything.
fn over_window(
    scene: &StaleInput<'_>,
    idle_ms: f64,
    activity: &ProcessActivity,
    cap: Duration,
) -> Option<f64> {
    let window_ms = activity.watched_ms.unwrap_or(f64::INFINITY).min(milliseconds(cap));
    let least_ms = milliseconds(scene.config.thresholds.least_idle);
    (idle_ms >= least_ms && idle_ms + SLACK_MS >= window_ms).then_some(idle_ms)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use regex::Regex;

    use crate::{
        config::{Config, DaemonRule},
        diagnose::{
            diagnose,
            fixture::{READER, WRITER, at, config, live, pinned, snapshot},
        },
        snapshot::{
            Database, Executable, ExecutableState, Process, ProcessActivity, ProcessManager, ProcessOrigin,
            ProcessState, Snapshot, StaleCause, StaleVerdict,
        },
    };

    fn rule(name: &str, adapt: impl FnOnce(&mut DaemonRule)) -> DaemonRule {
        let pattern = Regex::new(&format!("^{name}")).expect("a pattern");
        let name = name.to_owned();
        let mut rule =
            DaemonRule { name, pattern, singleton: false, max_age: None, pidfile: None, protect: false };
        adapt(&mut rule);
        rule
    }

    fn ruled(rules: Vec<DaemonRule>) -> Config {
        Config { daemons: rules, ..config() }
    }

    fn idle(ms: f64, watched_ms: f64) -> ProcessActivity {
        ProcessActivity {
            cpu_ticks: Some(5),
            cpu_idle_ms: Some(ms),
            idle_ms: Some(ms),
            watched_ms: Some(watched_ms),
        }
    }

    fn judged(databases: Vec<Database>, previous: Option<Vec<Database>>, config: &Config) -> Snapshot {
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
    fn against(database: &Database, config: &Config) -> Vec<&'static str> {
        let now = judged(vec![database.clone()], Some(vec![database.clone()]), config);
        names(verdict(&now.databases[0], WRITER))
    }

    fn verdict(database: &Database, pid: i32) -> &StaleVerdict {
        database.process(pid).and_then(|process| process.stale.as_ref()).expect("it was judged")
    }

    fn names(stale: &StaleVerdict) -> Vec<&'static str> {
        stale.causes.iter().map(StaleCause::name).collect()
    }

    fn with(adapt: impl FnOnce(&mut Process)) -> Database {
        let mut database = live();
        database.locks.writer = None;
        adapt(&mut database.processes[0]);
        database
    }

    const NONE: [&str; 0] = [];

    #[test]
    fn a_deleted_file_counts_when_two_looks_see_it() {
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

    fn old(activity: ProcessActivity) -> Database {
        // The snapshots of these tests are taken at the epoch.
        let started_at = "1969-12-30T00:00:00Z".parse().expect("a time");
        with(|process| {
            process.started_at = Some(started_at);
            process.activity = activity;
        })
    }

    #[test]
    fn age_counts_only_with_a_rule_and_idleness() {
        let day = ruled(vec![rule("bun", |rule| rule.max_age = Some(Duration::from_hours(24)))]);
        let week = ruled(vec![rule("bun", |rule| rule.max_age = Some(Duration::from_hours(168)))]);
        let other = ruled(vec![rule("node", |rule| rule.max_age = Some(Duration::from_hours(24)))]);
        let idling = old(idle(5000.0, 5000.0));
        assert_eq!(against(&idling, &day), ["max-age"]);
        for config in [&week, &other, &config(), &ruled(vec![rule("bun", |_| {})])] {
            assert_eq!(against(&idling, config), NONE);
        }
        let now = judged(vec![idling], None, &day);
        let age_ms = 172_801_000.0;
        assert_eq!(
            verdict(&now.databases[0], WRITER).causes,
            [StaleCause::MaxAge { rule: "bun".to_owned(), age_ms, limit_ms: 86_400_000.0, idle_ms: 5000.0 }]
        );
    }

    #[test]
    fn idleness_is_that_of_the_whole_window() {
        let day = ruled(vec![rule("bun", |rule| rule.max_age = Some(Duration::from_hours(24)))]);
        let unknown = ProcessActivity { idle_ms: None, ..idle(5000.0, 5000.0) };
        let half_hour = 1_800_000.0;
        for (activity, expected) in [
            (idle(5000.0, 60_000.0), &[][..]),
            (idle(half_hour, 10.0 * half_hour), &["max-age"]),
            // An earlier waltop has seen it idle, and this one nothing else.
            (idle(5000.0, 0.0), &["max-age"]),
            // A second after the start everybody who happened not to tick is idle.
            (idle(1000.0, 1000.0), &[]),
            (idle(4999.0, 4999.0), &[]),
            (idle(4999.0, 0.0), &[]),
            (unknown, &[]),
            (ProcessActivity::default(), &[]),
        ] {
            assert_eq!(against(&old(activity), &day), expected, "{activity:?}");
        }
    }

    #[test]
    fn who_is_stopped_is_not_idle_of_its_own_accord() {
        let day = ruled(vec![rule("bun", |rule| rule.max_age = Some(Duration::from_hours(24)))]);
        let mut idling = old(idle(5000.0, 5000.0));
        assert_eq!(against(&idling, &day), ["max-age"]);
        idling.processes[0].state = ProcessState::Stopped;
        assert_eq!(against(&idling, &day), NONE);
    }

    fn orphan() -> ProcessOrigin {
        ProcessOrigin {
            has_terminal: Some(false),
            manager: Some(ProcessManager::Nobody),
            has_lost_parent: Some(true),
            ..ProcessOrigin::default()
        }
    }

    #[test]
    fn an_orphan_is_one_in_every_respect() {
        let forgotten = |origin: ProcessOrigin, idle_ms: f64| {
            with(|process| {
                process.origin = origin;
                process.activity = idle(idle_ms, 5000.0);
            })
        };
        let half_hour = 1_800_000.0;
        assert_eq!(against(&forgotten(orphan(), half_hour), &config()), ["orphan"]);
        assert_eq!(against(&forgotten(orphan(), half_hour - 1.0), &config()), NONE);
        let unlike: [fn(&mut ProcessOrigin); 7] = [
            |it| it.has_lost_parent = Some(false),
            |it| it.has_lost_parent = None,
            |it| it.has_terminal = Some(true),
            |it| it.has_terminal = None,
            |it| it.manager = Some(ProcessManager::Service("foo.service".to_owned())),
            |it| it.manager = Some(ProcessManager::Container("docker-1.scope".to_owned())),
            |it| it.manager = None,
        ];
        for (index, adapt) in unlike.into_iter().enumerate() {
            let mut origin = orphan();
            adapt(&mut origin);
            assert_eq!(against(&forgotten(origin, half_hour), &config()), NONE, "{index}");
        }
    }

    #[test]
    fn the_pin_itself_is_no_activity_but_cpu_time_is() {
        let pinning = |activity: ProcessActivity, held_ms: f64| {
            let mut database = pinned();
            database.processes[1].activity = activity;
            database.locks.readers[0].held_ms = Some(held_ms);
            let now = judged(vec![database], None, &config());
            names(verdict(&now.databases[0], READER))
        };
        let ten_minutes = 600_000.0;
        let holding = ProcessActivity { idle_ms: Some(0.0), ..idle(5000.0, 5000.0) };
        assert_eq!(pinning(holding, ten_minutes), ["pinned-wal"]);
        assert_eq!(pinning(holding, ten_minutes - 1.0), NONE);
        assert_eq!(pinning(ProcessActivity { cpu_idle_ms: Some(1000.0), ..holding }, ten_minutes), NONE);
        let for_a_second = ProcessActivity { idle_ms: Some(0.0), ..idle(1000.0, 1000.0) };
        assert_eq!(pinning(for_a_second, ten_minutes), NONE, "watched for too short a time");
        assert_eq!(pinning(ProcessActivity { cpu_idle_ms: None, ..holding }, ten_minutes), NONE);
        let mut caught_up = pinned();
        caught_up.processes[1].activity = holding;
        caught_up.locks.readers[0].frame = Some(19_031);
        let now = judged(vec![caught_up], None, &config());
        assert_eq!(names(verdict(&now.databases[0], READER)), NONE, "it keeps nothing from being moved");
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
            process.activity = idle(1e9, 1e9);
        });
        assert_eq!(against(&database, &config()), NONE);
    }
}
