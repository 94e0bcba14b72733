//! One look: who holds what, as text and as JSON.

use super::*;
use crate::{python::Python, support::eventually};

/// A writer in a transaction, a reader that pins the frames before it, and an idle connection.
struct Cast {
    writer: Actor,
    reader: Actor,
    idle: Actor,
}

fn cast(home: &Home) -> Cast {
    let (mut writer, mut reader, mut idle) = (home.actor(), home.actor(), home.actor());
    writer.sql("PRAGMA wal_autocheckpoint = 0").sql("INSERT INTO t VALUES (2)");
    reader.sql("BEGIN").sql("SELECT * FROM t");
    writer.sql("INSERT INTO t VALUES (3)").sql("INSERT INTO t VALUES (4)");
    idle.sql("SELECT * FROM t");
    writer.sql("BEGIN IMMEDIATE").sql("INSERT INTO t VALUES (5)");
    Cast { writer, reader, idle }
}

fn only(value: &Value) -> &Value {
    let databases = value["databases"].as_array().expect("databases");
    assert_eq!(databases.len(), 1);
    &databases[0]
}

fn process(database: &Value, pid: i32) -> &Value {
    let processes = database["processes"].as_array().expect("processes");
    processes.iter().find(|it| it["pid"] == pid).unwrap_or_else(|| panic!("no {pid} in {processes:?}"))
}

fn holds(database: &Value, pid: i32) -> Vec<&str> {
    let holds = process(database, pid)["holds"].as_array().expect("holds");
    holds.iter().filter_map(Value::as_str).filter(|hold| *hold != "shared").collect()
}

// The roles of three processes, each by its PID.
fn assert_roles(database: &Value, writer: i32, reader: i32, idle: i32) {
    assert_eq!(database["locks"]["writer"]["pid"], writer);
    assert_eq!(database["processes"].as_array().map(Vec::len), Some(3));
    let readers: Vec<i64> = database["locks"]["readers"]
        .as_array()
        .expect("readers")
        .iter()
        .filter_map(|it| it["pid"].as_i64())
        .collect();
    // A write transaction reads, too.
    assert!(readers.contains(&reader.into()) && !readers.contains(&idle.into()), "{readers:?}");
    assert!(holds(database, writer).contains(&"write"));
    assert!(holds(database, reader).iter().all(|hold| hold.starts_with("read:")));
    assert_eq!(holds(database, reader).len(), 1);
    assert_eq!(holds(database, idle), Vec::<&str>::new());
}

#[test]
fn json_names_each_process_and_counts_frames_as_a_checkpoint_does() {
    let home = Home::with_wal();
    let cast = cast(&home);
    let status = home.json(&["status", "--json", "notes.db"]);
    let database = only(&status);
    assert_eq!(database["path"], home.db().to_str().expect("text"));
    assert_roles(database, cast.writer.pid(), cast.reader.pid(), cast.idle.pid());
    assert_eq!(database["wal"]["source"], "index");
    assert_eq!(database["wal"]["frames"], 3, "the open transaction is not committed");

    let said = home.run(&["checkpoint", "--json", "notes.db"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    let checkpoint = &said.json()["databases"][0];
    assert_eq!(checkpoint["frames_in_log"], database["wal"]["frames"]);
    let after = home.json(&["status", "--json", "notes.db"]);
    let wal = &only(&after)["wal"];
    assert_eq!(checkpoint["frames_in_log"], wal["frames"]);
    assert_eq!(checkpoint["frames_moved"], wal["backfilled"]);
    assert_eq!(wal["pending"], 2, "what the reader pins");
    assert_eq!(process(only(&after), cast.reader.pid())["state"], "sleeping");
}

#[test]
fn python_is_seen_for_what_it_does_and_counts_the_same_frames() {
    let home = Home::with_wal();
    let Some(mut writer) = Python::open(&home.db()) else { return };
    let (Some(mut reader), Some(mut idle)) = (Python::open(&home.db()), Python::open(&home.db())) else {
        return;
    };
    writer.sql("PRAGMA wal_autocheckpoint = 0").sql("INSERT INTO t VALUES (2)");
    reader.sql("BEGIN").sql("SELECT * FROM t");
    writer.sql("INSERT INTO t VALUES (3)").sql("INSERT INTO t VALUES (4)");
    idle.sql("SELECT * FROM t");
    writer.sql("BEGIN IMMEDIATE").sql("INSERT INTO t VALUES (5)");
    let status = home.json(&["status", "--json", "notes.db"]);
    assert_roles(only(&status), writer.pid(), reader.pid(), idle.pid());
    let row = idle.run("print(*db.execute('PRAGMA wal_checkpoint').fetchone())");
    let row: Vec<i64> = row[0].split(' ').map(|it| it.parse().expect("a number")).collect();
    let after = home.json(&["status", "--json", "notes.db"]);
    for status in [&status, &after] {
        assert_eq!(only(status)["wal"]["frames"], row[1]);
    }
    let wal = &only(&after)["wal"];
    assert_eq!((wal["backfilled"].as_i64(), wal["pending"].as_i64()), (Some(row[2]), Some(row[1] - row[2])));
}

#[test]
fn of_one_that_is_missing_no_lock_is_free_and_nothing_is_well() {
    let home = Home::with_wal();
    let said = home.run(&["status", "notes.db", "missing.db"]);
    let (there, missing) = said.out.split_once("missing.db\n").expect("both");
    assert!(has_line(there, "write lock", "free"), "{said:?}");
    assert!(missing.starts_with("not seen    no such file: "), "{said:?}");
    assert!(!missing.contains("write lock") && !missing.contains("findings"), "{said:?}");
}

#[test]
fn text_names_each_process() {
    let home = Home::with_wal();
    let cast = cast(&home);
    let said = home.run(&["status", "notes.db"]);
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{said:?}");
    assert!(said.out.starts_with(home.db().to_str().expect("text")), "{}", said.out);
    assert!(has_line(&said.out, "write lock", &cast.writer.pid().to_string()), "{}", said.out);
    assert!(has_line(&said.out, "reader", &cast.reader.pid().to_string()), "{}", said.out);
    assert!(has_line(&said.out, "log", "3"), "{}", said.out);
    for actor in [&cast.writer, &cast.reader, &cast.idle] {
        assert!(has_line(&said.out, "process", &actor.pid().to_string()), "{}", said.out);
    }
}

#[test]
fn several_databases_are_looked_at_in_the_order_asked_for() {
    let (home, other) = (Home::with_wal(), Home::with_rollback());
    let (first, second) = (other.db(), home.db());
    let status = home.json(&["status".as_ref(), "--json".as_ref(), first.as_os_str(), second.as_os_str()]);
    let paths: Vec<_> = status["databases"].as_array().expect("two").iter().map(|it| &it["path"]).collect();
    assert_eq!(paths, [first.to_str().expect("text"), second.to_str().expect("text")]);
    let said = home.run(&["status".as_ref(), first.as_os_str(), second.as_os_str()]);
    assert!(said.out.contains("rollback journal") && said.out.contains("WAL"), "{}", said.out);
}

#[test]
fn text_from_outside_is_harmless() {
    let home = Home::new();
    let name = raw(b"evil\x1b[31m\x1b]0;x\x07\xe2\x80\xaegpj\n\x9b2J.db");
    let path = home.folder().join(name);
    let mut holder = Actor::open_as(&path, "\u{1b}[2Jro\u{202e}le");
    holder.sql("PRAGMA journal_mode = wal");
    holder.sql("CREATE TABLE t(x)");
    holder.sql("BEGIN IMMEDIATE");
    let mut reader = Actor::open(&path);
    reader.sql("BEGIN").sql("SELECT * FROM t");
    holder.sql("INSERT INTO t VALUES (1)");
    holder.sql("COMMIT");
    holder.sql("BEGIN IMMEDIATE");
    let rollback = home.folder().join(raw(b"roll\x1b[31m\xe2\x80\xaeback.db"));
    let mut maker = Actor::open(&rollback);
    maker.sql("CREATE TABLE t(x)");
    maker.close();
    for (args, path) in [
        (&["status"][..], &path),
        (&["status", "--for", "50ms"], &path),
        (&["checkpoint"], &path),
        (&["checkpoint", "--mode", "full"], &path),
        (&["checkpoint"], &rollback),
        (&["fix", "--dry-run"], &path),
        (&["fix", "--dry-run"], &rollback),
        (&["fix"], &rollback),
        (&["search", "x", "--db"], &path),
        (&["fix", "--yes"], &rollback),
    ] {
        let mut words: Vec<&OsStr> = args.iter().map(OsStr::new).collect();
        words.push(path.as_os_str());
        let said = home.run(&words);
        for text in [&said.out, &said.err] {
            let harmless = |c: char| c == '\n' || !(c.is_control() || c == '\u{202e}');
            assert!(text.chars().all(harmless), "{args:?}: {text:?}");
        }
        assert!(said.out.contains("gpj") || said.out.contains("back.db") || said.code == Some(2), "{said:?}");
    }
    let said = home.run(&["status".as_ref(), path.as_os_str()]);
    assert!(has_line(&said.out, "write lock", &holder.pid().to_string()), "{}", said.out);
    assert!(said.out.contains("[2Jrole"), "{}", said.out);
}

#[test]
fn a_longer_sample_samples_the_locks() {
    let home = Home::with_wal();
    let mut writer = home.actor();
    writer.sql("BEGIN IMMEDIATE");
    let short = home.json(&["status", "--json", "notes.db"]);
    assert!(only(&short)["locks"]["write_holds"].is_null(), "nothing was sampled");
    assert!(short["sampling"].is_null(), "and nothing spent on it");
    let status = home.json(&["status", "--json", "--for", "300ms", "notes.db"]);
    let locks = &only(&status)["locks"];
    let holds = &locks["write_holds"];
    assert_eq!(holds["count"], 1, "{holds}");
    assert!(holds["held_ratio"].as_f64().is_some_and(|it| it > 0.5), "{holds}");
    assert_eq!(holds["by_process"][0]["pid"], writer.pid(), "{holds}");
    assert_eq!(holds["by_process"].as_array().map(Vec::len), Some(1));
    assert!(locks["window_ms"].as_f64().is_some_and(|it| it > 0.0), "{locks}");
    let sampling = &status["sampling"];
    assert!(sampling["samples"].as_u64().is_some_and(|it| it > 0), "{sampling}");
    assert!(sampling["interval_ms"].as_f64().is_some_and(|it| it > 0.0), "{sampling}");
    let [own, all] = ["cpu_percent", "process_cpu_percent"].map(|name| sampling[name].as_f64());
    assert!(own.is_some_and(|own| own > 0.0 && all.is_some_and(|all| all >= own)), "{sampling}");
    let said = home.run(&["status", "--for", "300ms", "notes.db"]);
    assert!(has_line(&said.out, "sampling", "CPU;"), "{}", said.out);
    assert!(has_line(&said.out, "held", "%") && said.out.contains("1 hold,"), "{}", said.out);
    writer.sql("COMMIT");
    let free = home.json(&["status", "--json", "--for", "100ms", "notes.db"]);
    assert!(only(&free)["locks"]["writer"].is_null());
    assert_eq!(only(&free)["locks"]["write_holds"]["count"], 0);
}

#[test]
fn held_times_go_on_from_one_sample_to_the_next() {
    let home = Home::with_wal();
    let cast = cast(&home);
    let held = || {
        let status = home.json(&["status", "--json", "notes.db"]);
        only(&status)["locks"]["writer"]["held_ms"].as_f64().expect("held")
    };
    let first = held();
    eventually("it is held for longer", || (held() > first + 20.0).then_some(()));
    drop(cast);
}
