//! The kernel's trace of lock requests, with real writers. It needs root and a mounted tracefs, and says so where there
//! is none.

use std::{
    fs,
    io::Read,
    os::unix::{fs::MetadataExt, process::ExitStatusExt},
    path::Path,
    process::{Child, Command},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::{namespace::Namespace, python::Python, support};

const INSTANCES: &str = "/sys/kernel/tracing/instances";

/// Whether the kernel can be asked; mounts nothing.
fn is_possible() -> bool {
    let is = rustix::process::geteuid().is_root() && Path::new(INSTANCES).is_dir();
    if !is {
        eprintln!("not tested: the trace needs root and a tracefs at /sys/kernel/tracing");
    }
    is
}

/// A database `a.db` in WAL mode with one connection; `None` where the kernel or Python is not there for it.
fn scene() -> Option<(TempDir, Python)> {
    if !is_possible() {
        return None;
    }
    let folder = TempDir::new().expect("a folder");
    let mut python = Python::open(&folder.path().join("a.db"))?;
    python.sql("PRAGMA journal_mode = WAL").sql("CREATE TABLE t (x)");
    Some((folder, python))
}

/// waltop that traces `database` for a while.
fn tracing(database: &Path, time: &str) -> Child {
    tracing_from(database.parent().expect("a folder"), &[database], time)
}

/// The same for several databases, with its own files in the folder `home`.
fn tracing_from(home: &Path, databases: &[impl AsRef<Path>], time: &str) -> Child {
    let mut command = Command::new(support::WALTOP);
    command.arg("status").args(databases.iter().map(AsRef::as_ref));
    command.args(["--for", time, "--trace", "on", "--json"]);
    let tracer = support::set_apart(command, home).spawn().expect("waltop runs");
    let id = tracer.id();
    support::eventually("the trace runs", || {
        instances_of(id).first().is_some_and(|folder| is_armed(folder)).then_some(())
    });
    tracer
}

fn instances_of(process: u32) -> Vec<std::path::PathBuf> {
    let prefix = format!("waltop-{process}-");
    let entries = fs::read_dir(INSTANCES).expect("instances").flatten();
    entries.filter(|it| it.file_name().to_string_lossy().starts_with(&prefix)).map(|it| it.path()).collect()
}

fn is_armed(folder: &Path) -> bool {
    let enabled = fs::read_to_string(folder.join("events/filelock/locks_remove_posix/enable"));
    enabled.is_ok_and(|text| text.trim() == "1")
}

fn answer(tracer: Child) -> Value {
    let (id, output) = (tracer.id(), tracer.wait_with_output().expect("it ends"));
    assert!(instances_of(id).is_empty(), "its instance is gone");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn refused_writers_are_named_with_holder_and_reason() {
    let Some((folder, mut holder)) = scene() else { return };
    let database = folder.path().join("a.db");
    let mut victims = [(); 4].map(|()| Python::open(&database).expect("Python"));
    let tracer = tracing(&database, "6s");
    let try_to = |what: &str| format!("exec('try:\\n {what}\\nexcept sqlite3.OperationalError: pass')");
    let [none, short, upgrade, snapshot] = &mut victims;
    for victim in [&mut *none, &mut *short, &mut *upgrade, &mut *snapshot] {
        victim.run("import sqlite3");
        victim.sql("PRAGMA busy_timeout = 0");
    }
    short.sql("PRAGMA busy_timeout = 200");
    snapshot.sql("BEGIN").sql("SELECT count(*) FROM t");
    holder.sql("BEGIN IMMEDIATE").sql("INSERT INTO t VALUES (1)").sql("COMMIT");
    snapshot.run(&try_to("db.execute(\"INSERT INTO t VALUES (2)\")"));
    holder.sql("BEGIN IMMEDIATE");
    none.run(&try_to("db.execute(\"BEGIN IMMEDIATE\")"));
    short.run(&try_to("db.execute(\"BEGIN IMMEDIATE\")"));
    upgrade.sql("BEGIN").sql("SELECT count(*) FROM t").run("import time; time.sleep(0.01)");
    upgrade.run(&try_to("db.execute(\"INSERT INTO t VALUES (2)\")"));
    upgrade.sql("ROLLBACK");
    holder.sql("COMMIT");
    let snapshot_pid = snapshot.pid();
    let answer = answer(tracer);
    let listed = answer["databases"][0]["locks"]["refusals"]["victims"].as_array().expect("victims").clone();
    let of = |pid: i32| {
        let its: Vec<_> = listed.iter().filter(|victim| victim["pid"] == pid).collect();
        assert_eq!(its.len(), 1, "{listed:?}");
        (
            its[0]["reason"].clone(),
            its[0]["holder"].clone(),
            its[0]["gave_up"].clone(),
            its[0]["tries"].as_u64(),
        )
    };
    assert_eq!(of(none.pid()), ("no-timeout".into(), holder.pid().into(), 1.into(), Some(1)));
    assert_eq!(of(upgrade.pid()), ("deferred-upgrade".into(), holder.pid().into(), 1.into(), Some(1)));
    assert_eq!(of(snapshot_pid), ("old-snapshot".into(), Value::Null, 1.into(), Some(1)));
    let (reason, by, gave_up, tries) = of(short.pid());
    assert_eq!((reason, by, gave_up), ("waited".into(), holder.pid().into(), 1.into()));
    assert!(tries.is_some_and(|tries| tries > 2), "{tries:?}");
    let findings = answer["databases"][0]["findings"].as_array().expect("findings");
    assert!(findings.iter().any(|it| it["name"] == "refused-writers" && it["pid"].is_null()), "{findings:?}");
}

#[test]
fn a_healthy_writer_is_refused_nothing_and_its_holds_are_exact() {
    let Some((folder, mut writer)) = scene() else { return };
    let database = folder.path().join("a.db");
    let tracer = tracing(&database, "3s");
    for _ in 0..50 {
        writer.sql("BEGIN IMMEDIATE").sql("INSERT INTO t VALUES (1)").sql("COMMIT");
    }
    let answer = answer(tracer);
    let locks = &answer["databases"][0]["locks"];
    assert_eq!(locks["refusals"]["victims"], serde_json::json!([]));
    let holds = locks["write_holds"]["by_process"].as_array().expect("holds");
    let own = holds.iter().find(|it| it["pid"] == writer.pid()).expect("the writer");
    assert_eq!(own["count"], 50, "none is missed, however short");
    assert_eq!(answer["trace"]["unparsed"], 0);
}

// The kernel gives the filter to the first read alone.
fn filter_of(instance: &Path) -> Option<String> {
    let mut text = vec![0; 4096];
    let mut file = fs::File::open(instance.join("events/filelock/posix_lock_inode/filter")).ok()?;
    let length = file.read(&mut text).ok()?;
    String::from_utf8(text[..length].to_vec()).ok()
}

/// Waits until the trace has found the index of `database`.
fn await_index(tracer: &Child, database: &Path) {
    support::eventually("the filter names the new index", || {
        let index = fs::metadata(database.with_extension("db-shm")).expect("an index");
        let mut filters = instances_of(tracer.id()).into_iter().filter_map(|instance| filter_of(&instance));
        filters.find(|filter| filter.contains(&format!("i_ino=={} ", index.ino())))
    });
}

/// The index is recreated at each first open, and the trace follows it.
#[test]
fn an_index_that_is_recreated_is_traced_as_well() {
    let Some((folder, mut first)) = scene() else { return };
    let database = folder.path().join("a.db");
    let tracer = tracing(&database, "10s");
    first.run("db.close()");
    let mut second = Python::open(&database).expect("Python");
    second.sql("SELECT count(*) FROM t");
    await_index(&tracer, &database);
    second.sql("BEGIN IMMEDIATE").sql("INSERT INTO t VALUES (1)").sql("COMMIT");
    let answer = answer(tracer);
    let holds = answer["databases"][0]["locks"]["write_holds"]["by_process"].as_array().expect("holds");
    assert!(holds.iter().any(|it| it["pid"] == second.pid()), "{holds:?}");
}

/// Otherwise the kernel would trace on for nobody.
#[test]
fn a_signal_removes_the_instance_and_ends_the_process() {
    let Some((folder, _writer)) = scene() else { return };
    let database = folder.path().join("a.db");
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let mut tracer = tracing(&database, "60s");
        let pid = Pid::from_child(&tracer);
        kill_process(pid, signal).expect("it lives");
        let status = tracer.wait().expect("it ends");
        assert_eq!(status.signal(), Some(signal.as_raw()));
        assert!(instances_of(tracer.id()).is_empty(), "{signal:?}");
    }
}

/// A killed waltop cannot remove its instance; the next one does.
#[test]
fn an_instance_that_was_left_is_removed_by_the_next_start() {
    let Some((folder, _writer)) = scene() else { return };
    let database = folder.path().join("a.db");
    let mut killed = tracing(&database, "60s");
    killed.kill().expect("it lives");
    killed.wait().expect("it ends");
    let left = instances_of(killed.id());
    // Another test may have started a trace meanwhile, which removes it.
    answer(tracing(&database, "1s"));
    assert!(left.iter().all(|folder| !folder.exists()), "{left:?}");
}

/// Its device is that of a mount that only the process sees.
#[test]
fn a_database_in_another_mount_namespace_is_traced_by_its_own_device() {
    if !is_possible() {
        return;
    }
    let folder = TempDir::new().expect("a folder");
    let script = "mkdir data; mount -t tmpfs none data";
    let Some(namespace) = Namespace::new("a file system in memory", script, folder.path()) else { return };
    let inside = folder.path().join("data/a.db");
    let open = || Python::open_through(&namespace.launcher(), &inside);
    let Some(mut holder) = open() else { return };
    let mut victim = open().expect("Python");
    holder.sql("PRAGMA journal_mode = WAL").sql("CREATE TABLE t (x)");
    victim.sql("PRAGMA busy_timeout = 0").run("import sqlite3");
    let through = Path::new("/proc").join(holder.pid().to_string()).join("root");
    let path = through.join(inside.strip_prefix("/").expect("absolute"));
    let tracer = tracing_from(folder.path(), &[&path], "4s");
    holder.sql("BEGIN IMMEDIATE");
    victim.run("exec('try:\\n db.execute(\"BEGIN IMMEDIATE\")\\nexcept sqlite3.OperationalError: pass')");
    holder.sql("COMMIT");
    let answer = answer(tracer);
    let victims = answer["databases"][0]["locks"]["refusals"]["victims"].as_array().expect("victims").clone();
    let outline: Vec<_> = victims.iter().map(|it| (it["pid"].clone(), it["holder"].clone())).collect();
    assert_eq!(outline, [(victim.pid().into(), holder.pid().into())], "{answer}");
}

/// 40 databases have 80 files.
#[test]
fn more_databases_than_one_filter_holds_have_a_second_instance() {
    if !is_possible() {
        return;
    }
    let folder = TempDir::new().expect("a folder");
    let paths: Vec<_> = (0..40).map(|number| folder.path().join(format!("{number}.db"))).collect();
    let Some(mut python) = Python::open(&paths[0]) else { return };
    python.run("import sqlite3");
    let all = format!("{:?}", paths.iter().map(|path| path.to_str().expect("text")).collect::<Vec<_>>());
    python.run(&format!("all = [sqlite3.connect(p, isolation_level=None) for p in {all}]"));
    python.run("[d.execute('PRAGMA journal_mode = WAL') and d.execute('CREATE TABLE t (x)') for d in all]");
    let tracer = tracing_from(folder.path(), &paths, "5s");
    support::eventually("there are two instances", || {
        let instances = instances_of(tracer.id());
        (instances.len() == 2 && instances.iter().all(|folder| is_armed(folder))).then_some(())
    });
    python.run("[d.execute('INSERT INTO t VALUES (1)') for d in all]");
    let answer = answer(tracer);
    let databases = answer["databases"].as_array().expect("databases");
    assert_eq!(databases.len(), 40);
    for database in databases {
        let holds = database["locks"]["write_holds"]["by_process"].as_array().expect("holds");
        assert!(holds.iter().any(|it| it["pid"] == python.pid() && it["count"] == 1), "{database}");
    }
}

/// A handler of the program's own. One that sleeps no longer than SQLite's is one wait; one that sleeps longer looks like
/// a program that starts again each time.
#[test]
fn a_busy_handler_of_a_program_is_told_by_its_rhythm() {
    let Some((folder, mut holder)) = scene() else { return };
    let database = folder.path().join("a.db");
    let (mut close, mut wide) =
        (Python::open(&database).expect("Python"), Python::open(&database).expect("Python"));
    let tracer = tracing(&database, "8s");
    holder.sql("BEGIN IMMEDIATE");
    for (program, seconds, tries) in [(&mut close, 0.015, 20), (&mut wide, 0.3, 4)] {
        program.run("import sqlite3, time");
        program.sql("PRAGMA busy_timeout = 0");
        program.run(&format!(
            "exec('for n in range({tries}):\\n try: db.execute(\"BEGIN IMMEDIATE\"); break\\n \
             except sqlite3.OperationalError: time.sleep({seconds})')"
        ));
    }
    holder.sql("COMMIT");
    let answer = answer(tracer);
    let victims = answer["databases"][0]["locks"]["refusals"]["victims"].as_array().expect("victims").clone();
    let sum = |pid: i32, what: &str| -> u64 {
        victims.iter().filter(|it| it["pid"] == pid).filter_map(|it| it[what].as_u64()).sum()
    };
    assert_eq!(
        (sum(close.pid(), "tries"), sum(wide.pid(), "tries")),
        (20, 4),
        "each try is counted: {victims:?}"
    );
    assert_eq!(sum(wide.pid(), "waits"), 4, "{victims:?}");
    let reasons: Vec<_> =
        victims.iter().filter(|it| it["pid"] == wide.pid()).map(|it| &it["reason"]).collect();
    assert_eq!(reasons, ["no-timeout"]);
    assert!(sum(close.pid(), "waits") < 20, "it waits, as SQLite does: {victims:?}");
    assert!(victims.iter().all(|it| it["holder"] == holder.pid()));
}

#[test]
fn an_index_that_is_recreated_a_hundred_times_accuses_nobody_and_is_traced_at_the_end() {
    let Some((folder, mut python)) = scene() else { return };
    let database = folder.path().join("a.db");
    let tracer = tracing(&database, "20s");
    python.run("import sqlite3");
    python.run("db.close()");
    python.run(
        "exec('for n in range(100):\\n d = sqlite3.connect(path, isolation_level=None)\\n \
         d.execute(\"INSERT INTO t VALUES (1)\")\\n d.close()')",
    );
    let mut holder = Python::open(&database).expect("Python");
    holder.sql("SELECT count(*) FROM t");
    let mut victim = Python::open(&database).expect("Python");
    victim.sql("PRAGMA busy_timeout = 0").run("import sqlite3");
    await_index(&tracer, &database);
    holder.sql("BEGIN IMMEDIATE");
    victim.run("exec('try:\\n db.execute(\"BEGIN IMMEDIATE\")\\nexcept sqlite3.OperationalError: pass')");
    holder.sql("COMMIT");
    let answer = answer(tracer);
    let locks = &answer["databases"][0]["locks"];
    let victims = locks["refusals"]["victims"].as_array().expect("victims");
    let outline: Vec<_> = victims.iter().map(|it| (it["pid"].clone(), it["holder"].clone())).collect();
    assert_eq!(outline, [(victim.pid().into(), holder.pid().into())], "{victims:?}");
    assert!(answer["trace"]["gaps"].as_u64().is_some_and(|gaps| gaps >= 1), "{}", answer["trace"]);
    assert_eq!(answer["trace"]["unparsed"], 0);
}
