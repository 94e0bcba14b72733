use super::*;
use crate::{
    diagnose::fixture::{READER, WRITER, at, config, held, live, reader},
    snapshot::{Executable, ExecutableState, PossibleWaiter, WaiterEvidence},
};

/// Two runs of a script by different parents, a minute apart, and nothing locked.
fn runs(change: impl FnOnce(&mut Database)) -> Database {
    let mut database = live();
    database.locks.writer = None;
    database.locks.readers.clear();
    for (index, process) in database.processes.iter_mut().enumerate() {
        process.name = "python3".to_owned();
        process.command = ["python3", "/srv/app.py", "notes.db"].map(str::to_owned).to_vec();
        let (path, state) = ("/usr/bin/python3".to_owned(), Some(ExecutableState::Current));
        process.origin.executable = Some(Executable { path, state });
        process.origin.directory = Some("/srv".to_owned());
        process.origin.parent_command = Some(vec!["bash".to_owned()]);
        let second = i64::try_from(index).expect("two") * 60;
        process.parent = Some(500 + i32::try_from(index).expect("two"));
        (process.start_ticks, process.started_at) = (Some(1000 + index as u64), Some(at(second)));
    }
    change(&mut database);
    database
}

fn found(database: &Database) -> Vec<(&'static str, i32, Vec<i32>)> {
    let family = DaemonFamily::of([database], &[]);
    let apart = config().thresholds.separate_runs;
    let found = DoubleFinder { database, family: &family, apart }.find();
    found
        .iter()
        .map(|it| (it.relation.name(), it.oldest.pid, it.others.iter().map(|it| it.pid).collect::<Vec<_>>()))
        .collect()
}

fn both(database: &mut Database, change: impl Fn(&mut Process)) {
    database.processes.iter_mut().for_each(change);
}

fn siblings(database: &mut Database) {
    both(database, |it| it.parent = Some(500));
}

fn options(database: &mut Database, name: &str) {
    for (process, value) in database.processes.iter_mut().zip(["1", "2"]) {
        process.command.extend([name, value].map(str::to_owned));
    }
}

fn waits(database: &mut Database) {
    database.locks.writer = Some(held(WRITER, 1_200.0));
    database.locks.possible_waiters = vec![PossibleWaiter {
        pid: READER,
        holder: Some(WRITER),
        samples: 5,
        asleep: 5,
        span_ms: 900.0,
        evidence: WaiterEvidence::HandlerSleep { sleep_ms: 100 },
    }];
}

#[test]
fn each_relation_is_named() {
    type Change = fn(&mut Database);
    let relations: [(Change, &str); 9] = [
        (|_| {}, "same-command"),
        (|it| it.processes[1].origin.directory = Some("/tmp".to_owned()), "other-folder"),
        (
            |it| it.processes[1].origin.manager = Some(ProcessManager::Container("docker-2".to_owned())),
            "other-container",
        ),
        (|it| options(it, "--port"), "other-arguments"),
        (
            |it| {
                options(it, "--port");
                siblings(it);
            },
            "other-arguments",
        ),
        (
            |it| {
                for (process, port) in it.processes.iter_mut().zip(["4545", "5000"]) {
                    process.command.push(format!("--port={port}"));
                }
            },
            "other-arguments",
        ),
        (|it| it.locks.readers = vec![reader(WRITER, 1, 5, 1_200.0)], "earlier-run"),
        (waits, "earlier-run"),
        (
            |it| {
                waits(it);
                siblings(it);
            },
            "earlier-run",
        ),
    ];
    for (index, (change, relation)) in relations.into_iter().enumerate() {
        assert_eq!(found(&runs(change)), [(relation, WRITER, vec![READER])], "{index}");
    }
}

#[test]
fn pools_and_other_jobs_are_no_doubles() {
    let normal: [fn(&mut Database); 10] = [
        siblings,
        |it| {
            siblings(it);
            it.locks.writer = Some(held(WRITER, 1_200.0));
        },
        |it| {
            siblings(it);
            options(it, "--port");
            both(it, |it| it.started_at = Some(at(0)));
        },
        |it| {
            siblings(it);
            options(it, "--port");
            both(it, |it| it.origin.parent_command = Some(it.command.clone()));
        },
        |it| {
            siblings(it);
            options(it, "--port");
            both(it, |it| it.origin.manager = Some(ProcessManager::Supervisor("runsv".to_owned())));
        },
        |it| {
            options(it, "--port");
            both(it, |it| it.parent = Some(1));
        },
        |it| options(it, "--worker-id"),
        |it| options(it, "serve"),
        |it| it.processes[1].command[1] = "/srv/other.py".to_owned(),
        |it| it.processes[1].parent = Some(WRITER),
    ];
    for (index, change) in normal.into_iter().enumerate() {
        assert_eq!(found(&runs(change)), [], "{index}");
    }
}

#[test]
fn two_shells_on_terminals_are_two_people() {
    let shells = |has_terminal: bool, program: &str, command: &[&str]| {
        found(&runs(|it| {
            both(it, |it| {
                it.command = command.iter().map(|&word| word.to_owned()).collect();
                it.name = command[0].to_owned();
                it.origin.has_terminal = Some(has_terminal);
                let state = Some(ExecutableState::Current);
                it.origin.executable = Some(Executable { path: program.to_owned(), state });
            });
        }))
    };
    assert_eq!(shells(true, "/usr/bin/sqlite3", &["sqlite3", "notes.db"]), []);
    assert_eq!(shells(true, "/usr/bin/python3", &["python3"]), []);
    assert_eq!(shells(false, "/usr/bin/sqlite3", &["sqlite3", "notes.db"]).len(), 1);
    assert_eq!(shells(true, "/usr/bin/python3", &["python3", "/srv/app.py"]).len(), 1, "a script by hand");
}
