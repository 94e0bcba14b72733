//! Processes that do not use the files beside the path as the others do, each beside a healthy twin.

use std::os::unix::fs::MetadataExt;

use super::*;
use crate::namespace::{Namespace, may_change_namespaces};

// A second name of the database in a folder of its own, where its log is another one.
fn second_name(scene: &Scene) -> PathBuf {
    let folder = scene.folder.path().canonicalize().expect("there").join("second");
    fs::create_dir(&folder).expect("made");
    let link = folder.join("notes.db");
    fs::hard_link(scene.path(), &link).expect("linked");
    link
}

#[test]
fn one_file_under_two_names_has_two_logs() {
    let scene = Scene::new("wal");
    let mut sound = scene.actor();
    sound.sql("INSERT INTO t VALUES (2)");
    let link = second_name(&scene);
    let mut watch = scene.patient();
    assert_healthy(&mut watch);
    let mut other = Actor::open(&link);
    other.sql("SELECT * FROM t");
    let finding = found(&mut watch, FindingKind::OtherLog, Some(other.pid()));
    assert_eq!(finding.severity, Severity::Error);
    let log = format!("{}-wal", link.display());
    assert!(finding.evidence["other_log"].as_array().expect("a list").contains(&log.into()), "{finding:?}");
    // From the other side it is the first one that uses another log.
    let config = scene.config(LONG, LONG);
    let mut watch = Monitor::new(Observer::new(&config.places, vec![link]), config);
    found(&mut watch, FindingKind::OtherLog, Some(sound.pid()));
}

#[test]
fn a_file_that_is_mounted_alone_has_two_logs() {
    let scene = Scene::new("wal");
    let script = "mkdir in; touch in/app.db; mount --bind notes.db in/app.db";
    let Some(namespace) = Namespace::new("a bind mount", script, scene.folder.path()) else { return };
    let mut watch = scene.patient();
    assert_healthy(&mut watch);
    let mut other = Actor::open_through(&namespace.launcher(), &scene.folder.path().join("in/app.db"));
    other.sql("INSERT INTO t VALUES (2)");
    found(&mut watch, FindingKind::OtherLog, Some(other.pid()));
}

#[test]
fn a_directory_that_is_mounted_has_one_log() {
    let scene = Scene::new("wal");
    let twin = scene.state.path().canonicalize().expect("there").join("twin");
    fs::create_dir(&twin).expect("made");
    let script = format!("mount --bind . {}", twin.display());
    let Some(namespace) = Namespace::new("a bind mount", &script, scene.folder.path()) else { return };
    let path = twin.join("notes.db");
    let mut other = Actor::open_through(&namespace.launcher(), &path);
    other.sql("INSERT INTO t VALUES (2)");
    let mut watch = scene.patient();
    eventually("it is seen", || look(&mut watch).process(other.pid()).map(|_| ()));
    assert_healthy(&mut watch);
}

// Judged by its locks alone, as a process of another user is.
#[test]
fn a_process_that_cannot_be_examined_is_judged_by_its_locks() {
    if !may_change_namespaces() {
        return;
    }
    let scene = Scene::new("wal");
    let link = second_name(&scene);
    let mut other = Actor::open(&link);
    other.sql("SELECT * FROM t");
    let folder = scene.folder.path();
    for path in [folder.to_owned(), folder.join("second"), scene.path(), scene.state.path().to_owned()] {
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o777)).expect("opened up");
    }
    let check = || {
        let output = std::process::Command::new("setpriv")
            .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
            .arg(crate::support::WALTOP)
            .args(["check", "--json"])
            .arg(scene.path())
            .env("XDG_STATE_HOME", scene.state.path().join("state"))
            .env("XDG_CONFIG_HOME", scene.state.path().join("config"))
            .output()
            .expect("it runs");
        serde_json::from_slice::<serde_json::Value>(&output.stdout).expect("JSON")
    };
    let report = check();
    let findings = report["databases"][0]["findings"].as_array().expect("a list").clone();
    let finding = findings.iter().find(|it| it["name"] == "other-log").unwrap_or_else(|| panic!("{report}"));
    assert_eq!((&finding["severity"], &finding["pid"]), (&"warning".into(), &other.pid().into()));
    // Its twin, by the path itself.
    other.close();
    let mut sound = scene.actor();
    sound.sql("SELECT * FROM t");
    let report = check();
    let findings = report["databases"][0]["findings"].as_array().expect("a list").clone();
    assert!(findings.iter().all(|it| it["name"] != "other-log"), "{report}");
}

#[test]
fn a_child_that_writes_on_the_connection_of_its_parent() {
    let scene = Scene::new("wal");
    let Some(mut python) = Python::open(&scene.path()) else { return };
    python.sql("INSERT INTO t VALUES (2)");
    python.run("import os, signal; orders, give = os.pipe(); answers, answer = os.pipe()");
    python.run(
        "child = os.fork() or (os.read(orders, 1), db.execute('BEGIN IMMEDIATE'), \
         db.execute('INSERT INTO t VALUES (3)'), os.write(answer, b'x'), os.read(orders, 1), os._exit(0))",
    );
    let child: i32 = python.run("print(child)")[0].parse().expect("a PID");
    let mut watch = scene.patient();
    eventually("the child is seen", || look(&mut watch).process(child).map(|_| ()));
    assert_healthy(&mut watch);
    python.run("os.write(give, b'x'); os.read(answers, 1)");
    let finding = found(&mut watch, FindingKind::ForkedConnection, Some(child));
    assert_eq!(finding.evidence["inherited_from"], python.pid());
    python.run("os.kill(child, signal.SIGKILL); os.waitpid(child, 0)");
}

#[test]
fn a_child_that_runs_another_program_is_no_case() {
    let scene = Scene::new("wal");
    let Some(mut python) = Python::open(&scene.path()) else { return };
    python.sql("INSERT INTO t VALUES (2)");
    python.run("import subprocess; child = subprocess.Popen(['sleep', '600'], close_fds=False)");
    let mut watch = scene.patient();
    for _ in 0..2 {
        assert_healthy(&mut watch);
    }
    python.run("child.kill(); child.wait()");
}

#[test]
fn the_lock_on_the_main_file_is_lost_by_reading_its_header() {
    let scene = Scene::new("wal");
    let (Some(mut python), Some(mut careful)) = (Python::open(&scene.path()), Python::open(&scene.path()))
    else {
        return;
    };
    for one in [&mut python, &mut careful] {
        one.sql("INSERT INTO t VALUES (2)");
    }
    careful.run("import os; os.stat(path); kept = open(path, 'rb')");
    let mut watch = scene.patient();
    assert_healthy(&mut watch);
    python.run("open(path, 'rb').read(16)");
    let finding = found(&mut watch, FindingKind::LostLocks, Some(python.pid()));
    assert_eq!(finding.evidence["lost_on"], "main");
}

#[test]
fn a_backup_that_reads_the_files_is_accused_of_nothing() {
    let scene = Scene::new("wal");
    let Some(mut python) = Python::open(&scene.path()) else { return };
    let mut writer = scene.actor();
    writer.sql("INSERT INTO t VALUES (2)");
    python.run("db.close(); files = [open(path + suffix, 'rb') for suffix in ('', '-wal', '-shm') * 5]");
    python.run("import fcntl; [file.read(100) for file in files]");
    let mut watch = scene.patient();
    let database = eventually("it is seen", || {
        let database = look(&mut watch);
        database.process(python.pid()).is_some().then_some(database)
    });
    assert!(database.process(python.pid()).is_some_and(waltop::snapshot::Process::only_reads_files));
    for _ in 0..2 {
        assert_healthy(&mut watch);
    }
}

#[test]
fn a_reader_of_a_file_that_was_replaced_on_purpose_is_worth_knowing() {
    let scene = Scene::new("delete");
    let mut reader = Actor::open_read_only(&scene.path());
    reader.sql("SELECT * FROM t");
    let mut watch = scene.watch_with(|config| config.profile.pragmas.retain(|it| it.name != "journal_mode"));
    assert!(!has(&look(&mut watch), FindingKind::OutdatedReader));
    let new = scene.folder.path().join("new.db");
    fs::copy(scene.path(), &new).expect("a copy");
    fs::rename(new, scene.path()).expect("in its place");
    let finding = found(&mut watch, FindingKind::OutdatedReader, Some(reader.pid()));
    assert_eq!(finding.severity, Severity::Info);
}

#[test]
fn a_reader_that_never_opens_the_log_sees_nothing_new() {
    let scene = Scene::new("wal");
    let mut writer = scene.actor();
    writer.sql("PRAGMA wal_autocheckpoint = 0").sql("INSERT INTO t VALUES (2)");
    let (Some(mut old), Some(mut copier)) = (Python::open(&scene.path()), Python::open(&scene.path())) else {
        return;
    };
    old.run("import sqlite3; db.close(); db = sqlite3.connect(f'file:{path}?immutable=1', uri=True)");
    let seen = "print(db.execute('SELECT count(*) FROM t').fetchone()[0])";
    assert_eq!(old.run(seen), ["1"]);
    copier.run("db.close(); file = open(path, 'rb', buffering=0); file.read(100)");
    let mut reader = Actor::open_read_only(&scene.path());
    reader.sql("SELECT * FROM t");
    let mut watch = scene.patient();
    let finding = found(&mut watch, FindingKind::UnreadLog, Some(old.pid()));
    assert_eq!(finding.severity, Severity::Info);
    assert_eq!(finding.evidence["frames"], finding.evidence["pending"]);
    let database = look(&mut watch);
    let others =
        database.findings.iter().filter(|it| it.kind == FindingKind::UnreadLog && it.pid != finding.pid);
    assert_eq!(others.count(), 0, "the copy and the reader are healthy");
    old.run("db.close(); db = sqlite3.connect(f'file:{path}?mode=ro', uri=True)");
    assert_eq!(old.run(seen), ["2"]);
    eventually("it has opened the log", || (!has(&look(&mut watch), FindingKind::UnreadLog)).then_some(()));
}

#[test]
fn a_backup_that_was_put_in_the_place_of_a_live_file() {
    let scene = Scene::new("wal");
    let mut service = scene.actor();
    service.sql("INSERT INTO t VALUES (2)");
    let mut watch = scene.patient();
    assert_healthy(&mut watch);
    let broken = scene.folder.path().join("broken.db");
    let backup = scene.folder.path().join("backup.db");
    fs::copy(scene.path(), &backup).expect("a copy");
    fs::rename(scene.path(), &broken).expect("out of the way");
    fs::copy(&backup, scene.path()).expect("in its place");
    // A waltop that comes now has never seen the file that was there.
    let mut fresh = scene.patient();
    let finding = found(&mut fresh, FindingKind::SplitWal, Some(service.pid()));
    assert_eq!(finding.severity, Severity::Error);
    let inode = scene.path().metadata().expect("there").ino();
    assert_eq!(finding.evidence["db_inode"], inode);
    // The one that has watched all the time goes on saying so.
    eventually("it is told by the other as well", || {
        has(&look(&mut watch), FindingKind::SplitWal).then_some(())
    });
    assert!(has(&look(&mut watch), FindingKind::SplitWal));
}

#[test]
fn a_database_in_the_upper_directory_of_an_overlay() {
    let scene = Scene::new("wal");
    let mut watch = scene.patient();
    assert_healthy(&mut watch);
    let beside = scene.state.path().canonicalize().expect("there").join("overlay");
    fs::create_dir(&beside).expect("made");
    let at = beside.display();
    let script = format!(
        "mkdir {at}/low {at}/work {at}/merged; \
         mount -t overlay -o lowerdir={at}/low,upperdir=$(pwd),workdir={at}/work none {at}/merged"
    );
    let Some(namespace) = Namespace::new("an overlay", &script, scene.folder.path()) else { return };
    let mut inside = Actor::open_through(&namespace.launcher(), &beside.join("merged/notes.db"));
    inside.sql("INSERT INTO t VALUES (2)");
    // The namespaces are read again every ten seconds, by a new observer at once.
    let mut watch = scene.patient();
    let database = look(&mut watch);
    let finding = database
        .findings
        .iter()
        .find(|it| it.kind == FindingKind::OverlayUpper)
        .expect("it is found")
        .clone();
    assert_eq!(finding.severity, Severity::Error);
    let merged = finding.evidence["merged"].as_str().expect("a path");
    assert!(merged.ends_with("/merged"), "{merged}");
    found(&mut watch, FindingKind::OverlayUpper, finding.pid);
}
