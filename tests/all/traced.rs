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

use crate::{python::Python, support};

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
    let mut command = Command::new(support::WALTOP);
    command.arg("status").arg(database).args(["--for", time, "--trace", "on", "--json"]);
    let tracer =
        support::set_apart(command, database.parent().expect("a folder")).spawn().expect("waltop runs");
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

/// The index is recreated at each first open, and the trace follows it.
#[test]
fn an_index_that_is_recreated_is_traced_as_well() {
    let Some((folder, mut first)) = scene() else { return };
    let database = folder.path().join("a.db");
    let tracer = tracing(&database, "10s");
    first.run("db.close()");
    let mut second = Python::open(&database).expect("Python");
    second.sql("SELECT count(*) FROM t");
    // Until the trace has found the new file.
    support::eventually("the filter names the new index", || {
        let index = fs::metadata(folder.path().join("a.db-shm")).expect("an index");
        let mut filters = instances_of(tracer.id()).into_iter().filter_map(|instance| filter_of(&instance));
        filters.find(|filter| filter.contains(&format!("i_ino=={} ", index.ino())))
    });
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
