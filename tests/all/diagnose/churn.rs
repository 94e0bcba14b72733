//! Processes that come back again and again, and copies that start again.

use std::process::{Child, Command, Stdio};

use super::*;

#[test]
fn a_process_that_is_started_again_and_again() {
    let scene = Scene::new("wal");
    let mut watch = scene.patient();
    let run = || {
        let mut python = Python::open(&scene.path())?;
        python.sql("SELECT * FROM t");
        Some(python)
    };
    let mut is_seen = |pid: i32| {
        let database = eventually("it is seen", || {
            let database = look(&mut watch);
            database.process(pid).is_some().then_some(database)
        });
        has(&database, FindingKind::RestartLoop)
    };
    for _ in 0..2 {
        let Some(run) = run() else { return };
        assert!(!is_seen(run.pid()), "it was restarted once at most");
    }
    let third = run().expect("Python is here");
    let finding = found(&mut watch, FindingKind::RestartLoop, Some(third.pid()));
    assert_eq!(finding.evidence["parent"], std::process::id());
    assert_eq!(finding.evidence["starts"].as_array().map(Vec::len), Some(3));
    let gap_ms = finding.evidence["gap_ms"].as_f64().expect("a figure");
    assert_eq!(finding.severity == Severity::Warning, gap_ms <= 2000.0, "{finding:?}");
}

#[test]
fn a_pool_whose_members_come_and_go_is_no_restart_loop() {
    let scene = Scene::new("wal");
    let mut watch = scene.patient();
    let Some(mut member) = Python::open(&scene.path()) else { return };
    for _ in 0..4 {
        let next = Python::open(&scene.path()).expect("Python is here");
        eventually("both are seen", || {
            let database = look(&mut watch);
            assert!(!has(&database, FindingKind::RestartLoop));
            (database.processes.len() == 2).then_some(())
        });
        member = next;
    }
    drop(member);
}

/// The sqlite3 shell with these arguments after the database; `None` if there is none. Its input stays open.
struct Shell(Child);

impl Shell {
    fn open(database: &Path, arguments: &[&str]) -> Option<Self> {
        Self::of(Command::new("sqlite3"), database, arguments)
    }

    /// At a low priority: it never gets the time between two commits of a busy machine for a whole copy.
    fn open_slow(database: &Path, arguments: &[&str]) -> Option<Self> {
        let mut command = Command::new("nice");
        command.args(["-n", "10", "sqlite3"]);
        Self::of(command, database, arguments)
    }

    fn of(mut command: Command, database: &Path, arguments: &[&str]) -> Option<Self> {
        command.arg(database).args(arguments).stdin(Stdio::piped()).stdout(Stdio::null());
        let shell = command.spawn();
        if shell.is_err() {
            eprintln!("not tested: there is no sqlite3 shell here");
        }
        shell.ok().map(Self)
    }

    fn pid(&self) -> i32 {
        i32::try_from(self.0.id()).expect("a PID fits")
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_copy_page_by_page_never_ends_beside_commits() {
    let scene = Scene::new("wal");
    let Some(mut writer) = Python::open(&scene.path()) else { return };
    writer.sql("PRAGMA synchronous = OFF").sql("CREATE TABLE big(x)");
    writer.run("db.executemany('INSERT INTO big VALUES (zeroblob(1000000))', [()] * 24)");
    let backup = |name: &str| format!(".backup {}", scene.folder.path().join(name).display());
    // The healthy twin is done, and its shell waits for a program that reads its input.
    let is_done = scene.folder.path().join("is-done");
    let waits = format!(".shell touch {}; cat", is_done.display());
    let Some(done) = Shell::open(&scene.path(), &[&backup("done.db"), &waits]) else { return };
    // The copy keeps the log from restarting, which is not what is tested.
    let mut watch = scene.watch_with(|config| config.thresholds.large_wal = 1 << 40);
    let read = |database: &Database, pid| database.process(pid).and_then(|it| it.read_bytes);
    eventually("it has read the database once", || {
        let database = look(&mut watch);
        let bytes = database.files.db.as_ref().map_or(0, |file| file.bytes);
        read(&database, done.pid()).filter(|read| bytes > 1 << 20 && *read >= bytes && is_done.exists())
    });
    writer.run("import time");
    writer.start("while True: db.execute('UPDATE t SET x = x + 1'); time.sleep(0.002)");
    let again = Shell::open_slow(&scene.path(), &[&backup("again.db")]).expect("the shell is here");
    let finding = found(&mut watch, FindingKind::RestartedCopy, Some(again.pid()));
    let copies = look(&mut watch).findings;
    assert!(copies.iter().all(|it| it.kind != FindingKind::RestartedCopy || it.pid == finding.pid));
    assert_eq!(finding.severity, Severity::Warning);
    let figure = |name: &str| finding.evidence[name].as_u64().expect("a figure");
    assert!(figure("read_bytes") >= 3 * figure("database_bytes"), "{finding:?}");
    assert!(finding.remedy.command.is_some_and(|it| it.contains("VACUUM INTO")));
}
