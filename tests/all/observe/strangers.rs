//! Real holders that are not ordinary: open-file-description locks, other users, other observers, many locks.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    process::Stdio,
    time::{Duration, Instant},
};

use waltop::snapshot::LockHold;

use super::*;
use crate::{
    python::Python,
    support::{copy_program, eventually},
    terminal::{Terminal, home},
};

/// A user who owns nothing here.
const ANOTHER: [&str; 4] = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];

/// Takes an open-file-description lock on the write byte, as some SQLite libraries for Go do. It is
/// `struct flock` of 64-bit Linux, packed by hand.
const TAKE: &str = "import fcntl, struct; shm = open(path + '-shm', 'r+b'); \
                    fcntl.fcntl(shm, fcntl.F_OFD_SETLK, struct.pack('hhqqi4x', fcntl.F_WRLCK, 0, 120, 1, 0))";

/// What `waltop status` says to an ordinary user: the program is put where he may run it.
fn status_as_another(scene: &Scene) -> Snapshot {
    let program = scene.state.path().join("waltop");
    copy_program(Path::new(WALTOP), &program);
    for folder in [&scene.folder, &scene.state] {
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("a mode");
    }
    let kept = TempDir::new().expect("a folder");
    fs::set_permissions(kept.path(), fs::Permissions::from_mode(0o777)).expect("a mode");
    status(&ANOTHER, &program, &[], &scene.path(), kept.path())
}

fn tells_of_other_users(snapshot: &Snapshot) -> bool {
    snapshot
        .unseen
        .iter()
        .any(|unseen| unseen.what.starts_with("open files of ") && unseen.what.ends_with("of other users"))
}

#[test]
fn a_real_ofd_lock_is_given_to_the_process_that_took_it() {
    let scene = Scene::with_wal();
    let mut idle = scene.actor();
    idle.sql("SELECT * FROM t");
    let Some(mut python) = Python::open(&scene.path()) else { return };
    let mut observer = scene.observer();
    observer.watch_locks();
    assert!(only(observer.sample()).locks.writer.is_none());
    python.run(TAKE);
    for database in [only(observer.sample()), scene.look()] {
        assert_eq!(writer_of(&database), Some(python.pid()));
        assert_eq!(process(&database, python.pid()).holds, [LockHold::Write]);
    }
    eventually("the sampler sees it", || {
        let database = only(observer.sample());
        assert_eq!(writer_of(&database), Some(python.pid()));
        // `F_GETLK` says that somebody has it, and cannot say who.
        let holds = database.locks.write_holds?;
        (holds.count == 1).then_some(())
    });
    python.run("shm.close()");
    assert!(only(observer.sample()).locks.writer.is_none());
}

#[test]
fn an_ofd_lock_of_a_process_that_had_nothing_open_before_is_given_to_it_soon() {
    let (scene, elsewhere) = (Scene::with_wal(), Scene::new());
    let mut idle = scene.actor();
    idle.sql("SELECT * FROM t");
    let Some(mut python) = Python::open(&elsewhere.path()) else { return };
    let mut observer = scene.observer();
    assert_eq!(pids(&only(observer.sample())), [idle.pid()]);
    python.run(&format!("path = {:?}; db = open(path, 'r+b')", scene.path()));
    python.run(TAKE);
    let began = Instant::now();
    eventually("it is attributed", || {
        let database = only(observer.sample());
        assert!(database.locks.writer.is_some(), "it is held, by whomever");
        (writer_of(&database) == Some(python.pid())).then_some(())
    });
    // A look at every process, wanted or not, comes only after ten seconds.
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
}

#[test]
fn a_real_ofd_lock_of_a_process_that_cannot_be_read_is_held_by_no_known_process() {
    if !may_change_namespaces() {
        return;
    }
    let scene = Scene::with_wal();
    let mut idle = scene.actor();
    idle.sql("SELECT * FROM t");
    let Some(mut python) = Python::open(&scene.path()) else { return };
    python.run(TAKE);
    let snapshot = status_as_another(&scene);
    assert!(tells_of_other_users(&snapshot), "{:?}", snapshot.unseen);
    let database = only(snapshot);
    assert!(database.locks.writer.is_some(), "held");
    assert_eq!(writer_of(&database), None, "and not by the idle connection");
    assert!(process(&database, idle.pid()).holds.is_empty());
}

#[test]
fn holders_of_another_user_are_seen_by_their_locks() {
    if !may_change_namespaces() {
        return;
    }
    let scene = Scene::with_wal();
    let (mut reader, mut writer) = (scene.actor(), scene.actor());
    writer.sql("INSERT INTO t VALUES (2)");
    reader.sql("BEGIN").sql("SELECT * FROM t");
    writer.sql("BEGIN IMMEDIATE");
    let snapshot = status_as_another(&scene);
    assert!(tells_of_other_users(&snapshot), "{:?}", snapshot.unseen);
    let database = only(snapshot);
    assert_eq!(writer_of(&database), Some(writer.pid()));
    assert_eq!(reader_of(&database, reader.pid()), [(Some(1), Some(1))]);
    assert_eq!(database.wal.as_ref().and_then(|wal| wal.frames), Some(1));
    for pid in [reader.pid(), writer.pid()] {
        let row = process(&database, pid);
        assert_eq!((row.handles, row.read_only, row.maps_index), (None, None, None), "unknown, and not none");
        assert_eq!((row.uid, row.holds_index), (Some(0), true));
    }
}

#[test]
fn a_thousand_locks_of_others_hide_no_holder() {
    let scene = Scene::with_wal();
    let (mut first, mut second, mut writer) = (scene.actor(), scene.actor(), scene.actor());
    writer.sql("INSERT INTO t VALUES (2)");
    // Two on one slot: of such a pair the kernel, when asked, names only one.
    first.sql("BEGIN").sql("SELECT * FROM t");
    second.sql("BEGIN").sql("SELECT * FROM t");
    writer.sql("INSERT INTO t VALUES (3)").sql("BEGIN IMMEDIATE");
    let elsewhere = Scene::new();
    let Some(mut python) = Python::open(&elsewhere.path()) else { return };
    python.run("import fcntl, os, threading; other = open(path + '.locks', 'w+b')");
    // Every second byte, or the kernel would merge them.
    python.run("[fcntl.lockf(other, fcntl.LOCK_EX, 1, 2 * byte) for byte in range(1000)]");
    // And some that come and go all the time, so that rows move while the table is read.
    python.run(
        "exec('def churn():\\n while True:\\n  for n in range(500): \
         fcntl.lockf(other, fcntl.LOCK_UN, 1, 2 * n); fcntl.lockf(other, fcntl.LOCK_EX, 1, 2 * n)')",
    );
    python.run("threading.Thread(target=churn, daemon=True).start()");
    let rows = fs::read_to_string("/proc/locks").expect("readable").lines().count();
    assert!(rows > 900, "{rows}");
    let mut expected = [first.pid(), second.pid(), writer.pid()];
    expected.sort_unstable();
    let mut observer = scene.observer();
    for look in 1..=20 {
        let mut database = only(observer.sample());
        // The kernel can leave a row out while others come and go before it; not twice in a row.
        if database.locks.readers.len() < 3 {
            database = only(observer.sample());
        }
        assert_eq!(pids(&database), expected, "look {look}");
        assert_eq!(writer_of(&database), Some(writer.pid()), "look {look}");
        for reader in [&first, &second] {
            assert_eq!(reader_of(&database, reader.pid()), [(Some(1), Some(1))], "look {look}");
        }
        assert_eq!(reader_of(&database, writer.pid()), [(Some(2), Some(2))], "look {look}");
        assert_eq!(database.locks.readers.len(), 3, "look {look}");
    }
}

#[test]
fn another_console_is_neither_a_row_nor_a_holder() {
    let scene = Scene::with_wal();
    let (mut writer, mut reader) = (scene.actor(), scene.actor());
    writer.sql("INSERT INTO t VALUES (2)");
    reader.sql("BEGIN").sql("SELECT * FROM t");
    writer.sql("BEGIN IMMEDIATE");
    let expected = [writer.pid(), reader.pid()];
    let home = home();
    // A console that traces the locks keeps no file open.
    let arguments = ["--trace", "off", &scene.path().display().to_string()];
    let mut terminal = Terminal::open(home.path(), &arguments, (120, 40));
    terminal.shows(&reader.pid().to_string());
    let console = terminal.pid();
    let mut sampler = Command::new(WALTOP)
        .args(["status", "--json", "--for", "20s"])
        .arg(scene.path())
        .env("XDG_STATE_HOME", home.path())
        .stdout(Stdio::null())
        .spawn()
        .expect("it starts");
    let watching = |pid: i32| {
        let links = fs::read_dir(format!("/proc/{pid}/fd")).ok()?.flatten();
        let mut open = links.filter_map(|link| fs::read_link(link.path()).ok());
        open.any(|path| path.to_string_lossy().ends_with("notes.db-shm")).then_some(())
    };
    let mut observer = scene.observer();
    for pid in [console, i32::try_from(sampler.id()).expect("small")] {
        eventually("it watches", || watching(pid));
    }
    let watchers = [console, i32::try_from(sampler.id()).expect("small")];
    for _ in 0..100 {
        let database = only(observer.sample());
        assert_eq!(writer_of(&database), Some(writer.pid()));
        assert!(expected.iter().all(|pid| pids(&database).contains(pid)));
        // Workers of the console that ask for pragmas have a connection for a moment, and are rows by right.
        for row in database.processes.iter().filter(|row| !expected.contains(&row.pid)) {
            assert!(!watchers.contains(&row.pid) && row.parent == Some(console), "{row:?}");
        }
        let mut holders = database.locks.readers.iter().filter_map(|reader| reader.pid);
        assert!(holders.all(|pid| !watchers.contains(&pid)));
    }
    sampler.kill().expect("it can be killed");
    sampler.wait().expect("it ends");
    terminal.keys("q");
    assert_eq!(terminal.end(), 0);
}
