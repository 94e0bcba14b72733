//! The SQLite library of each process, read from outside.

use std::os::unix::fs::PermissionsExt;

use waltop::{
    sampler::Monitor,
    snapshot::{Process, SqliteLibrary},
};

use super::*;
use crate::support::{WALTOP, copy_program};

/// The process `pid`, once its libraries are read.
fn known(watch: &mut Monitor, pid: i32) -> Process {
    eventually("the libraries are read", || {
        let database = look(watch);
        database.process(pid).filter(|it| it.sqlite.is_some()).cloned()
    })
}

fn library(watch: &mut Monitor, pid: i32) -> SqliteLibrary {
    known(watch, pid).sqlite.expect("known")
}

/// A copy of the program under test in `folder` whose SQLite says that it is `version`.
fn program_of_version(folder: &Path, version: &str) -> PathBuf {
    let number = |version: &str| format!("{version}\0").into_bytes();
    let (old, new) = (number(rusqlite::version()), number(version));
    assert_eq!(old.len(), new.len());
    let mut bytes = fs::read(WALTOP).expect("readable");
    let places: Vec<usize> =
        (0..bytes.len() - old.len()).filter(|&at| bytes[at..].starts_with(&old)).collect();
    assert!(!places.is_empty());
    for at in places {
        bytes[at..at + new.len()].copy_from_slice(&new);
    }
    let draft = folder.join("draft");
    fs::write(&draft, bytes).expect("written");
    fs::set_permissions(&draft, fs::Permissions::from_mode(0o755)).expect("ours");
    let program = folder.join("old-client");
    copy_program(&draft, &program);
    program
}

#[test]
fn a_writer_with_an_affected_version() {
    let scene = Scene::new("wal");
    let folder = TempDir::new().expect("a folder");
    let program = program_of_version(folder.path(), "3.50.4");
    let mut current = scene.actor();
    current.sql("SELECT * FROM t");
    let mut watch = scene.patient();
    // The healthy twin: the same program with the SQLite that it was built with.
    let own = library(&mut watch, current.pid());
    assert_eq!((own.version.as_str(), own.replaced), (rusqlite::version(), false));
    assert_eq!(own.source_id, source_id(&mut rusqlite::Connection::open_in_memory().expect("a database")));
    assert_eq!(Path::new(&own.library), Path::new(WALTOP).canonicalize().expect("there"));
    assert_healthy(&mut watch);
    assert!(!has(&look(&mut watch), FindingKind::WalResetBug));
    let mut old = Actor::open_by(&program, &scene.path(), "writer");
    old.sql("INSERT INTO t VALUES (2)");
    let finding = found(&mut watch, FindingKind::WalResetBug, Some(old.pid()));
    assert_eq!((finding.severity, &finding.evidence["version"]), (Severity::Info, &"3.50.4".into()));
    assert_eq!(finding.remedy.command.as_deref(), Some("waltop explain wal-reset-bug"));
    let mut asking = scene.watch_with(|config| config.profile.wal_reset_bug = Severity::Warning);
    let finding = found(&mut asking, FindingKind::WalResetBug, Some(old.pid()));
    assert_eq!(finding.severity, Severity::Warning);
    fs::remove_file(&program).expect("removed");
    let mut watch = scene.patient();
    let finding = found(&mut watch, FindingKind::WalResetBug, Some(old.pid()));
    assert_eq!(finding.evidence["replaced"], true, "it runs what is gone");
    old.close();
    assert_healthy(&mut watch);
    assert!(!has(&look(&mut watch), FindingKind::WalResetBug));
}

#[test]
fn one_sample_names_the_library_if_it_may_wait() {
    let scene = Scene::new("wal");
    let mut actor = scene.actor();
    actor.sql("SELECT * FROM t");
    let mut watch = scene.patient();
    watch.wait_for_libraries(LONG);
    let library = look(&mut watch).process(actor.pid()).and_then(|it| it.sqlite.clone()).expect("read");
    assert_eq!((library.version.as_str(), library.in_other_namespace), (rusqlite::version(), false));
}

fn source_id(connection: &mut rusqlite::Connection) -> String {
    connection.query_row("SELECT sqlite_source_id()", [], |row| row.get(0)).expect("an answer")
}

#[test]
fn the_library_of_another_program_is_the_one_that_it_says() {
    let scene = Scene::new("wal");
    let Some(mut python) = Python::open(&scene.path()) else { return };
    python.run("db.execute('SELECT * FROM t').fetchall()");
    let said = python.run("import sqlite3; print(sqlite3.sqlite_version)");
    let source = python.run("print(db.execute('SELECT sqlite_source_id()').fetchone()[0])");
    let mut watch = scene.patient();
    let process = known(&mut watch, python.pid());
    let library = process.sqlite.expect("known");
    assert_eq!((vec![library.version], vec![library.source_id]), (said, source));
    assert!(process.other_sqlite.is_empty());
}

#[test]
fn a_library_that_was_read_is_known_to_the_next_command() {
    let scene = Scene::new("wal");
    let mut actor = scene.actor();
    actor.sql("SELECT * FROM t");
    let read = library(&mut scene.patient(), actor.pid());
    let file = scene.state.path().join("sqlite-libraries.json");
    let text = eventually("the file is written", || fs::read_to_string(&file).ok());
    assert!(text.contains(&read.source_id));
    // What it says is believed while the file is the same.
    fs::write(&file, text.replace(&read.version, "3.1.4")).expect("written");
    assert_eq!(library(&mut scene.patient(), actor.pid()).version, "3.1.4");
    fs::write(&file, "not what waltop wrote").expect("written");
    assert_eq!(library(&mut scene.patient(), actor.pid()), read);
}

/// Python that loads a copy of the SQLite that it uses; `None` where it has SQLite built in.
fn with_two_libraries(scene: &Scene, folder: &Path) -> Option<Python> {
    let mut python = Python::open(&scene.path())?;
    let copy = folder.join("libsqlite3-copy.so");
    python.run("import ctypes, shutil");
    python.run("mapped = {line.split()[-1] for line in open('/proc/self/maps') if 'libsqlite3' in line}");
    if python.run("print(len(mapped))") != ["1"] {
        eprintln!("not tested: the SQLite of python3 is no shared library");
        return None;
    }
    python.run(&format!("copy = '{}'; shutil.copy(mapped.pop(), copy)", copy.display()));
    python.run("two = ctypes.CDLL(copy); other = ctypes.c_void_p()");
    python.run("db.execute('INSERT INTO t VALUES (3)')");
    Some(python)
}

#[test]
fn two_libraries_are_healthy_until_one_drops_the_locks_of_the_other() {
    let scene = Scene::new("wal");
    let folder = TempDir::new().expect("a folder");
    let Some(mut python) = with_two_libraries(&scene, folder.path()) else { return };
    // Beside another process, the close of one library does not delete the log.
    let mut beside = scene.actor();
    beside.sql("SELECT * FROM t");
    let mut watch = scene.patient();
    let process = known(&mut watch, python.pid());
    assert_eq!(process.other_sqlite.len(), 1, "{process:?}");
    assert_healthy(&mut watch);
    python.run("two.sqlite3_open(path.encode(), ctypes.byref(other))");
    python.run("two.sqlite3_exec(other, b'INSERT INTO t VALUES (4)', None, None, None)");
    assert_healthy(&mut watch);
    python.run("two.sqlite3_close(other)");
    let finding = found(&mut watch, FindingKind::LostLocks, Some(python.pid()));
    assert_eq!(finding.evidence["sqlite"].as_array().map(Vec::len), Some(2));
}
