//! Sentences of the rules that judge by settings, and of the verdict on a process.

use regex::Regex;

use crate::{
    config::{
        Config, DaemonRule,
        profile::{Expectation, Keeper, Profile},
    },
    diagnose::{RuleInput, compliance, fixture::*, rule},
    golden::{Lines, examples},
    snapshot::*,
};

use super::scenes::changed;

/// What the rule of `kind` finds in `database` under `config`, in two samples.
fn found(kind: FindingKind, database: &Database, config: &Config, pidfiles: &[Pidfile]) -> Vec<Finding> {
    rule(kind).check(&RuleInput {
        database,
        previous: Some(database),
        profile: &config.profile,
        config,
        pidfiles,
        pidfiles_before: pidfiles,
        taken_at: at(70),
    })
}

fn with_rows(mut database: Database, config: &Config) -> Database {
    database.pragmas = compliance::rows(&database, &config.profile, None);
    database
}

pub fn pragma_mismatches() -> Vec<Finding> {
    let usual = config();
    let mut alone = with_rows(rollback(), &usual);
    alone.processes.pop();
    let mut wanting = config();
    wanting.profile.pragmas = vec![Expectation {
        name: "page_size".to_owned(),
        expected: "8192".to_owned(),
        kept_by: Keeper::File,
        severity: Severity::Error,
        why: "It has to be.".to_owned(),
    }];
    let kind = FindingKind::PragmaMismatch;
    [found(kind, &alone, &usual, &[]), found(kind, &with_rows(live(), &wanting), &wanting, &[])].concat()
}

pub fn wal_reset_bugs() -> Vec<Finding> {
    let of = |change: fn(&mut SqliteLibrary), config: &Config| {
        let database = changed(live(), |it| {
            let mut library = SqliteLibrary {
                version: "3.40.1".to_owned(),
                source_id: "2022-12-28 14:03:47 df5c253c".to_owned(),
                library: "/usr/lib/x86_64-linux-gnu/libsqlite3.so.0.8.6".to_owned(),
                replaced: false,
                in_other_namespace: false,
            };
            change(&mut library);
            it.processes[0].sqlite = Some(library);
        });
        found(FindingKind::WalResetBug, &database, config, &[])
    };
    let usual = config();
    let mut asking = config();
    asking.profile.wal_reset_bug = Severity::Warning;
    let paths: [fn(&mut SqliteLibrary); 12] = [
        |it| it.source_id.push_str("alt1"),
        |it| it.replaced = true,
        |it| it.in_other_namespace = true,
        |it| it.library = "/usr/lib64/libsqlite3.so.3".to_owned(),
        |it| it.library = "/v/site-packages/apsw/a.so".to_owned(),
        |it| it.library = "/a/node_modules/better-sqlite3/b.node".to_owned(),
        |it| it.library = "/v/site-packages/rasterio.libs/libsqlite3-5a.so.0".to_owned(),
        |it| it.library = "/a/node_modules/knex/node_modules/sqlite3/b.node".to_owned(),
        |it| it.library = "/usr/bin/node".to_owned(),
        |it| it.library = "/root/.bun/bin/bun".to_owned(),
        |it| it.library = "/opt/bin/python3.12".to_owned(),
        |it| it.library = "/opt/bin/app".to_owned(),
    ];
    let mut found: Vec<Finding> = paths.into_iter().flat_map(|change| of(change, &usual)).collect();
    found.extend(of(|_| {}, &asking));
    found
}

pub fn rollback_journals() -> Vec<Finding> {
    let foreign = Config { profile: Profile::foreign(), ..config() };
    let of = |config: &Config| found(FindingKind::RollbackJournal, &rollback(), config, &[]);
    [of(&config()), of(&foreign)].concat()
}

pub fn bare_clients() -> Vec<Finding> {
    let usual = config();
    let mut milder = config();
    milder.profile.pragmas.retain(|it| it.name == "synchronous");
    let of = |config: &Config| found(FindingKind::BareClient, &with_rows(live(), config), config, &[]);
    [of(&usual), of(&milder)].concat()
}

pub fn stale() -> Vec<Finding> {
    let of = |causes: Vec<StaleCause>| {
        let database = changed(live(), |it| {
            it.processes[0].stale = Some(StaleVerdict { is_stale: true, causes, ..StaleVerdict::default() });
        });
        found(FindingKind::StaleDaemon, &database, &config(), &[])
    };
    let executable = StaleCause::Executable { path: "/usr/bin/bun".to_owned(), is_replaced: true };
    let split = StaleCause::SplitWal { files: vec!["/srv/notes.db-wal".to_owned()] };
    [of(vec![executable.clone()]), of(vec![split, executable])].concat()
}

fn watcher() -> DaemonRule {
    DaemonRule {
        name: "watcher".to_owned(),
        pattern: Regex::new("^bun").expect("a pattern"),
        singleton: true,
        max_age: None,
        pidfile: Some("/srv/my daemon.pid".into()),
        protect: false,
    }
}

pub fn duplicates() -> Vec<Finding> {
    let twins = changed(live(), |it| {
        for (process, parent) in it.processes.iter_mut().zip([500, 600]) {
            process.name = "bun".to_owned();
            process.command = vec!["bun".to_owned(), "watch".to_owned()];
            process.parent = Some(parent);
            let path = "/usr/bin/bun".to_owned();
            process.origin.executable = Some(Executable { path, state: Some(ExecutableState::Current) });
            process.origin.directory = Some("/srv".to_owned());
        }
        it.processes[1].start_ticks = Some(2000);
    });
    let executable = StaleCause::Executable { path: "/usr/bin/bun".to_owned(), is_replaced: true };
    let stale = changed(twins.clone(), |it| {
        it.processes[0].stale =
            Some(StaleVerdict { is_stale: true, causes: vec![executable], ..StaleVerdict::default() });
    });
    let ruled = Config { daemons: vec![watcher()], ..config() };
    let kind = FindingKind::DuplicateDaemon;
    let found_in = |database: &Database, config: &Config| found(kind, database, config, &[]);
    let usual = config();
    let changed_twins = |change: fn(&mut Database)| found_in(&changed(twins.clone(), change), &usual);
    let info: [fn(&mut Database); 6] = [
        |_| {},
        |it| {
            it.processes[0].origin.manager = Some(ProcessManager::Container("docker-1.scope".to_owned()));
            it.processes[1].origin.manager = Some(ProcessManager::Container("docker-2.scope".to_owned()));
        },
        |it| {
            it.processes.iter_mut().for_each(|it| it.command[1] = "/srv/watch.ts".to_owned());
            it.processes[1].origin.directory = Some("/home/me".to_owned());
        },
        |it| {
            for (process, port) in it.processes.iter_mut().zip(["4545", "5000"]) {
                process.command.extend(["--port", port].map(str::to_owned));
            }
        },
        |it| {
            runs_apart(it);
            it.locks.writer = None;
            it.locks.readers = vec![reader(WRITER, 1, 19_031, 95_000.0)];
        },
        |it| {
            runs_apart(it);
            it.locks.writer = Some(held(WRITER, 95_000.0));
            it.locks.possible_waiters = vec![waiter(READER)];
        },
    ];
    let info = info.into_iter().flat_map(changed_twins);
    [found_in(&twins, &ruled), found_in(&stale, &ruled)].concat().into_iter().chain(info).collect()
}

fn runs_apart(database: &mut Database) {
    for (process, second) in database.processes.iter_mut().zip([0, 60]) {
        process.started_at = Some(at(second));
    }
}

fn waiter(pid: i32) -> PossibleWaiter {
    PossibleWaiter {
        pid,
        holder: Some(WRITER),
        samples: 5,
        asleep: 4,
        span_ms: 900.0,
        evidence: WaiterEvidence::HandlerSleep { sleep_ms: 100 },
    }
}

pub fn pidfiles() -> Vec<Finding> {
    let ruled = Config { daemons: vec![watcher()], ..config() };
    let of = |lives: bool, command: Option<&str>| {
        let pidfile = Pidfile {
            path: "/srv/my daemon.pid".into(),
            pid: Some(42),
            lives: Some(lives),
            command: command.map(str::to_owned),
            inside: Vec::new(),
        };
        found(FindingKind::DeadPidfile, &live(), &ruled, &[pidfile])
    };
    [of(false, None), of(true, Some("vim notes.md"))].concat()
}

pub fn add_causes(lines: &mut Lines) {
    let path = "/usr/bin/bun".to_owned();
    let rule = "watcher".to_owned();
    let (age_ms, limit_ms, idle_ms) = (172_800_000.0, 86_400_000.0, 5000.0);
    examples!(*lines, StaleCause {
        StaleCause::SplitWal { .. } => [StaleCause::SplitWal {
            files: vec!["/srv/a.db-wal".to_owned(), "/srv/a.db-shm".to_owned()],
        }],
        StaleCause::Executable { .. } => [
            StaleCause::Executable { path: path.clone(), is_replaced: false },
            StaleCause::Executable { path: path.clone(), is_replaced: true },
        ],
        StaleCause::Duplicate { .. } => [
            StaleCause::Duplicate { rule: rule.clone(), newer: 7, newer_name: "bun".to_owned(), newer_label: "watch.ts".to_owned() },
        ],
        StaleCause::MaxAge { .. } => [
            StaleCause::MaxAge { rule: rule.clone(), age_ms, limit_ms, idle_ms },
        ],
        StaleCause::Orphan { .. } => [
            StaleCause::Orphan { adopted_by: Some(1), lost_input: None, idle_ms },
            StaleCause::Orphan { adopted_by: None, lost_input: Some(LostInput::Pipe), idle_ms },
            StaleCause::Orphan { adopted_by: None, lost_input: Some(LostInput::Socket), idle_ms },
            StaleCause::Orphan { adopted_by: None, lost_input: Some(LostInput::Terminal), idle_ms },
        ],
        StaleCause::PinnedWal { .. } => [StaleCause::PinnedWal {
            database: "a.db".to_owned(),
            frames: 18_219,
            held_ms: 600_000.0,
            idle_ms,
        }],
    });
}

pub fn add_protections(lines: &mut Lines) {
    examples!(*lines, StaleProtection {
        StaleProtection::First => [StaleProtection::First],
        StaleProtection::OnlyCopy { .. } => [StaleProtection::OnlyCopy {
            files: vec!["/srv/a.db".to_owned(), "/srv/a.db-wal".to_owned()],
        }],
        StaleProtection::Looker => [StaleProtection::Looker],
        StaleProtection::Ancestor => [StaleProtection::Ancestor],
        StaleProtection::AnotherUser { .. } => [StaleProtection::AnotherUser { user: "root".to_owned() }],
        StaleProtection::UnknownUser => [StaleProtection::UnknownUser],
        StaleProtection::OwnKind { .. } => [StaleProtection::OwnKind { command: "ingest".to_owned() }],
        StaleProtection::Rule { .. } => [StaleProtection::Rule { rule: "server".to_owned() }],
        StaleProtection::Replicator { .. } => [
            StaleProtection::Replicator { program: "litestream".to_owned() },
        ],
    });
}

pub fn add_past_max_age(lines: &mut Lines) {
    let past =
        |not_idle| PastMaxAge { rule: "reader".to_owned(), age_ms: 240_000.0, limit_ms: 60_000.0, not_idle };
    examples!(*lines, PastMaxAge { PastMaxAge { .. } => [past(NotIdle::Unknown)] });
    examples!(*lines, NotIdle {
        NotIdle::Stopped => [NotIdle::Stopped],
        NotIdle::Lock { .. } => [NotIdle::Lock { lock: LockHold::Read(1) }],
        NotIdle::BriefWatch { .. } => [NotIdle::BriefWatch { watched_ms: 200.0, least_ms: 5000.0 }],
        NotIdle::Work { .. } => [NotIdle::Work { idle_ms: 700.0 }],
        NotIdle::Unknown => [NotIdle::Unknown],
    });
}
