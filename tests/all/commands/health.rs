//! A write that is proved and rolled back, and whoever made it wait.

use std::io::Read;

use rustix::process::{Pid, Signal, kill_process};

use super::*;
use crate::{python::Python, support::eventually, terminal::Terminal};

/// What the program says of one database, with `--json`.
fn report(home: &Home, args: &[&str]) -> (Option<i32>, Value) {
    let said = home.run(&[&["health", "--json"], args, &["notes.db"]].concat());
    (said.code, said.json()["databases"][0].clone())
}

/// The bytes of everything in the folder but the index, which is shared memory, by name.
fn bytes(home: &Home) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(home.folder())
        .expect("the folder")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| !path.to_string_lossy().ends_with("-shm"))
        .map(|path| (path.display().to_string(), fs::read(&path).expect("readable")))
        .collect();
    files.sort();
    files
}

#[test]
fn a_database_that_no_process_uses_is_proved_without_a_trace() {
    let home = Home::with_wal();
    let (listing, before) = (Home::listing(&home.folder()), bytes(&home));
    for args in [&[][..], &["--quick-check"]] {
        let (code, report) = report(&home, args);
        assert_eq!(code, Some(0), "{report}");
        assert_eq!(
            (&report["healthy"], &report["write"]["proved"]),
            (&true.into(), &true.into()),
            "{report}"
        );
        assert_eq!(report["recovered"], false, "{report}");
        assert_eq!(report["quick_check"].is_null(), args.is_empty(), "{report}");
        assert!(report["free_bytes"].as_u64().is_some_and(|free| free > 0), "{report}");
        assert_eq!((Home::listing(&home.folder()), bytes(&home)), (listing.clone(), before.clone()));
    }
    let said = home.run(&["health", "notes.db"]);
    let start = format!("{}: healthy: wrote and rolled back, write lock had after ", home.db().display());
    assert!(said.out.starts_with(&start) && said.out.lines().count() == 1, "{said:?}");
}

#[test]
fn a_database_that_others_use_keeps_its_files_byte_for_byte() {
    let home = Home::with_wal();
    let mut user = home.actor();
    user.sql("INSERT INTO t VALUES (2)");
    let (listing, before) = (Home::listing(&home.folder()), bytes(&home));
    let (code, report) = report(&home, &["--quick-check"]);
    assert_eq!((code, &report["quick_check"]["ok"]), (Some(0), &true.into()), "{report}");
    assert_eq!((Home::listing(&home.folder()), bytes(&home)), (listing, before));
    user.sql("INSERT INTO t VALUES (3)");
}

#[test]
fn a_journal_that_others_keep_stays() {
    let home = Home::with_rollback();
    let mut user = home.actor();
    user.sql("PRAGMA journal_mode = persist").sql("INSERT INTO t VALUES (2)");
    assert!(home.at("notes.db-journal").exists());
    let (listing, before) = (Home::listing(&home.folder()), bytes(&home));
    let (code, report) = report(&home, &["--quick-check"]);
    // The mode is not what the profile asks for, and that is all that is wrong.
    assert_eq!((code, &report["write"]["proved"]), (Some(1), &true.into()), "{report}");
    assert_eq!(report["troubles"].as_array().map(Vec::len), Some(1), "{report}");
    assert!(report["troubles"][0].as_str().is_some_and(|it| it.contains("journal_mode")), "{report}");
    assert_eq!((Home::listing(&home.folder()), bytes(&home)), (listing, before));
}

#[test]
fn the_process_that_keeps_the_lock_is_named() {
    let home = Home::with_wal();
    let mut holder = home.actor();
    holder.sql("BEGIN IMMEDIATE");
    let (code, report) = report(&home, &["--for", "200ms"]);
    assert_eq!((code, &report["healthy"]), (Some(1), &false.into()), "{report}");
    let write = &report["write"];
    assert_eq!(write["proved"], false, "{report}");
    assert!(write["waited_ms"].as_f64().is_some_and(|waited| waited >= 200.0), "{report}");
    assert_eq!(write["made_wait"][0]["pid"], holder.pid(), "{report}");
    assert_eq!(write["made_wait"].as_array().map(Vec::len), Some(1), "{report}");
    assert!(write["held_ms"].is_null(), "{report}");
    let who = format!("{} (waltop) has it", holder.pid());
    assert!(write["refusal"].as_str().is_some_and(|it| it.ends_with(&who)), "{report}");
}

#[test]
fn the_holder_has_the_name_of_its_daemon_rule() {
    let home = Home::with_wal();
    home.set("[[daemon]]\nname = \"importer\"\npattern = \"actor.*notes.db\"\n");
    let mut holder = home.actor();
    holder.sql("BEGIN IMMEDIATE");
    let who = format!("{} (importer)", holder.pid());
    let (code, report) = report(&home, &["--for", "200ms"]);
    assert_eq!(code, Some(1), "{report}");
    assert!(report["write"]["refusal"].as_str().is_some_and(|it| it.contains(&who)), "{report}");
    let status = home.json(&["status", "--json", "notes.db"]);
    assert_eq!(status["databases"][0]["locks"]["writer"]["label"], "importer", "the same on each surface");
}

#[test]
fn whom_the_holder_waits_for_is_named() {
    let home = Home::with_wal();
    let (mut reader, mut checkpointer) = (home.actor(), home.actor());
    reader.sql("BEGIN").sql("SELECT * FROM t");
    checkpointer.sql("INSERT INTO t VALUES (2)").sql("PRAGMA busy_timeout = 60000");
    checkpointer.order("PRAGMA wal_checkpoint(RESTART)");
    eventually("it waits", || {
        let database = home.json(&["status", "--json", "notes.db"])["databases"][0].clone();
        (database["locks"]["holder_wait"]["readers"][0]["pid"] == reader.pid()).then_some(())
    });
    let (code, report) = report(&home, &["--for", "200ms"]);
    let refusal = report["write"]["refusal"].as_str().expect("refused").to_owned();
    assert_eq!(code, Some(1), "{report}");
    for pid in [checkpointer.pid(), reader.pid()] {
        assert!(refusal.contains(&format!("{pid} (waltop)")), "{refusal}");
    }
    reader.sql("COMMIT");
    checkpointer.answer();
}

#[test]
fn a_holder_with_open_file_description_locks_is_named() {
    let home = Home::with_wal();
    let mut user = home.actor();
    user.sql("INSERT INTO t VALUES (2)");
    let Some(mut python) = Python::open(&home.db()) else { return };
    python.hold_index_by_ofd_locks();
    python.run("main = open(path, 'r+b', buffering=0)");
    python.take_ofd_lock("main", "F_RDLCK", 0x4000_0002, 510);
    python.take_ofd_lock("shm", "F_WRLCK", 120, 1);
    let (code, report) = report(&home, &["--for", "200ms"]);
    assert_eq!((code, &report["write"]["made_wait"][0]["pid"]), (Some(1), &python.pid().into()), "{report}");
}

#[test]
fn a_recovery_by_another_process_is_waited_for_no_longer_than_asked() {
    let home = Home::with_wal();
    let mut user = home.actor();
    user.sql("INSERT INTO t VALUES (2)");
    let Some(mut python) = Python::open(&home.db()) else { return };
    python.run("import fcntl; shm = open(path + '-shm', 'r+b', buffering=0)");
    // What a recovery locks, without the slots of the reader that is there.
    python.run("fcntl.lockf(shm, fcntl.LOCK_EX, 3, 120)");
    let (code, report) = report(&home, &["--for", "200ms"]);
    let write = &report["write"];
    assert_eq!((code, &write["made_wait"][0]["pid"]), (Some(1), &python.pid().into()), "{report}");
    assert!(write["refusal"].as_str().is_some_and(|it| it.contains("recovers the index")), "{report}");
    // SQLite itself would wait for ten seconds.
    assert!(write["waited_ms"].as_f64().is_some_and(|waited| waited < 9_000.0), "{report}");
    python.run("fcntl.lockf(shm, fcntl.LOCK_UN, 3, 120)");
    assert_eq!(home.run(&["health", "notes.db"]).code, Some(0));
}

#[test]
fn a_process_that_has_the_whole_file_locked_is_named() {
    let home = Home::with_wal();
    let mut owner = home.actor();
    owner.sql("PRAGMA locking_mode = EXCLUSIVE").sql("INSERT INTO t VALUES (2)");
    let (code, report) = report(&home, &["--for", "200ms"]);
    assert_eq!((code, &report["write"]["made_wait"][0]["pid"]), (Some(1), &owner.pid().into()), "{report}");
    for command in ["stats", "optimize"] {
        let said = home.run(&[command, "notes.db"]);
        assert!(said.refusal().contains(&format!("{} (waltop)", owner.pid())), "{said:?}");
    }
}

#[test]
fn a_holder_that_lets_go_in_time_is_named_all_the_same() {
    let home = Home::with_wal();
    let mut holder = home.actor();
    holder.sql("BEGIN IMMEDIATE");
    let mut child = home
        .command(Path::new(WALTOP))
        .args(["health", "--json", "--for", "30s", "notes.db"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let pid = i32::try_from(child.id()).expect("a PID fits");
    // Once connected it sleeps between two tries, and nowhere else.
    eventually("it was refused", || (holds_a_lock(pid) && sleeps(pid)).then_some(()));
    holder.sql("COMMIT");
    let mut out = String::new();
    child.stdout.take().expect("piped").read_to_string(&mut out).expect("text");
    assert_eq!(child.wait().expect("it ends").code(), Some(0), "{out}");
    let report: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(report["databases"][0]["write"]["made_wait"][0]["pid"], holder.pid(), "{report}");
    assert!(report["databases"][0]["write"]["retries"].as_u64().is_some_and(|it| it > 0), "{report}");
}

fn sleeps(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("it lives");
    stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('S'))
}

/// Whether it has a reader's slot (bytes 123 to 127), and not the write lock (byte 120).
fn reads_the_log(pid: i32) -> bool {
    let table = fs::read_to_string("/proc/locks").expect("the lock table");
    let rows = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let starts: Vec<u64> = rows
        .filter(|row| row.get(4) == Some(&pid.to_string().as_str()))
        .filter_map(|row| row.get(6)?.parse().ok())
        .collect();
    starts.iter().any(|start| (123..=127).contains(start)) && !starts.contains(&120)
}

fn holds_a_lock(pid: i32) -> bool {
    let table = fs::read_to_string("/proc/locks").expect("the lock table");
    table.lines().any(|line| line.split_whitespace().nth(4) == Some(&pid.to_string()))
}

#[test]
fn what_a_crash_left_is_recovered() {
    let home = Home::with_wal();
    let mut writer = home.actor();
    writer.sql("PRAGMA wal_autocheckpoint = 0").sql("INSERT INTO t VALUES (2)");
    writer.kill();
    assert!(home.at("notes.db-wal").exists());
    let (code, report) = report(&home, &[]);
    assert_eq!((code, &report["recovered"]), (Some(0), &true.into()), "{report}");
    assert!(!home.at("notes.db-wal").exists() && !home.at("notes.db-shm").exists());
    let mut reader = home.actor();
    reader.sql("SELECT 1 / (count(*) = 2) FROM t");
}

#[test]
fn damage_is_found_by_a_quick_check_only() {
    let home = Home::new();
    let mut maker = home.actor();
    maker.sql("PRAGMA journal_mode = wal").sql("CREATE TABLE t(x)");
    maker.sql("INSERT INTO t SELECT randomblob(900) FROM (SELECT 1 FROM pragma_function_list LIMIT 60)");
    maker.close();
    let mut file = fs::read(home.db()).expect("readable");
    let length = file.len();
    file[length - 4096..].fill(0xff);
    fs::write(home.db(), file).expect("written");
    assert_eq!(report(&home, &[]).0, Some(0));
    let (code, report) = report(&home, &["--quick-check"]);
    assert_eq!((code, &report["quick_check"]["ok"]), (Some(1), &false.into()), "{report}");
    assert!(
        report["troubles"][0].as_str().is_some_and(|it| it.starts_with("quick_check found ")),
        "{report}"
    );
}

/// A database whose `quick_check` takes far longer than anybody waits, though it is made in a moment: each row keeps
/// a promise that is dear to check, and was not checked when the row was written.
fn dear_to_check() -> Home {
    let home = Home::with_wal();
    let mut maker = home.actor();
    maker.sql("CREATE TABLE dear(x INTEGER CHECK (length(hex(zeroblob(x))) = 2 * x))");
    maker.sql("PRAGMA ignore_check_constraints = ON");
    maker.sql(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500000) \
         INSERT INTO dear SELECT 20000 FROM n",
    );
    maker.close();
    home
}

#[test]
fn a_quick_check_reports_how_far_it_is_and_ends_when_it_is_asked_to() {
    let home = dear_to_check();
    let mut user = home.actor();
    user.sql("INSERT INTO t VALUES (2)");
    let (listing, before) = (Home::listing(&home.folder()), bytes(&home));
    let path = home.db().display().to_string();
    let mut terminal = Terminal::open(&home.root(), &["health", "--quick-check", &path], (120, 10));
    terminal.shows(" s so far; Ctrl-C ends it");
    let told = terminal.text();
    assert!(told.contains("quick_check of ") && told.contains(" pages, "), "{told}");
    kill_process(Pid::from_raw(terminal.pid()).expect("a PID"), Signal::INT).expect("it lives");
    assert_eq!(terminal.end(), 130);
    terminal.shows("waltop: stopped; nothing in the file was changed");
    terminal.shows_no_more("so far");
    assert_eq!((Home::listing(&home.folder()), bytes(&home)), (listing, before));
    user.sql("INSERT INTO t VALUES (3)");
}

#[test]
fn a_quick_check_of_an_unused_database_that_is_ended_leaves_no_trace() {
    let home = dear_to_check();
    let (listing, before) = (Home::listing(&home.folder()), bytes(&home));
    let child = home
        .command(Path::new(WALTOP))
        .args(["health", "--quick-check", "notes.db"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let pid = i32::try_from(child.id()).expect("a PID fits");
    let mut times = 0;
    eventually("it checks", || {
        times = if reads_the_log(pid) { times + 1 } else { 0 };
        // The questions before it read for a moment only.
        (times == 20).then_some(())
    });
    kill_process(Pid::from_raw(pid).expect("a PID"), Signal::INT).expect("it lives");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!((output.status.code(), output.stdout.len()), (Some(130), 0), "{output:?}");
    // Told where no terminal is, progress would be a log full of it.
    assert_eq!(output.stderr, b"waltop: stopped; nothing in the file was changed\n");
    assert_eq!((Home::listing(&home.folder()), bytes(&home)), (listing, before));
}

#[test]
fn it_ends_when_it_is_asked_to_and_leaves_no_trace() {
    let home = Home::with_wal();
    let mut holder = home.actor();
    holder.sql("BEGIN IMMEDIATE");
    let (listing, before) = (Home::listing(&home.folder()), bytes(&home));
    let child = home
        .command(Path::new(WALTOP))
        .args(["health", "--for", "10m", "notes.db"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let pid = i32::try_from(child.id()).expect("a PID fits");
    eventually("it has connected", || holds_a_lock(pid).then_some(()));
    kill_process(Pid::from_raw(pid).expect("a PID"), Signal::INT).expect("it lives");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!((output.status.code(), output.stdout.len()), (Some(130), 0), "{output:?}");
    assert_eq!(output.stderr, b"waltop: stopped; nothing in the file was changed\n");
    assert_eq!((Home::listing(&home.folder()), bytes(&home)), (listing, before));
    holder.sql("COMMIT");
}

#[test]
fn another_users_database_is_left_alone_where_it_would_be_harmed() {
    if !is_root() {
        eprintln!("not tested: only root can be two users");
        return;
    }
    for home in [Home::with_wal(), Home::with_rollback()] {
        home.let_another_in();
        fs::set_permissions(home.folder(), fs::Permissions::from_mode(0o777)).expect("a mode");
        fs::set_permissions(home.db(), fs::Permissions::from_mode(0o666)).expect("a mode");
        let (listing, before) = (Home::listing(&home.folder()), bytes(&home));
        let said = home.run_as(User::Another, &["health", "notes.db"]);
        assert!(said.refusal().contains("belongs to another user"), "{said:?}");
        assert_eq!((Home::listing(&home.folder()), bytes(&home)), (listing, before));
    }
}

#[test]
fn it_is_refused_where_data_could_be_lost_and_where_nothing_may_be_changed() {
    let home = Home::with_wal();
    let mut holder = home.actor();
    holder.sql("INSERT INTO t VALUES (2)");
    fs::remove_file(home.at("notes.db-wal")).expect("removed");
    let said = home.run(&["health", "notes.db"]);
    let line = said.refusal();
    assert!(line.contains("data could be lost") && line.contains(&holder.pid().to_string()), "{line}");
    fs::create_dir_all(home.root().join("config/waltop")).expect("a folder");
    fs::write(home.root().join("config/waltop/config.toml"), "readonly = true\n").expect("written");
    assert!(home.run(&["health", "notes.db"]).refusal().contains("read-only"));
}

#[test]
fn the_console_runs_it_and_ends_it_on_esc() {
    let home = Home::with_wal();
    let mut holder = home.actor();
    holder.sql("INSERT INTO t VALUES (2)");
    let path = home.db().display().to_string();
    let mut terminal = Terminal::open(&home.root(), &[&path], (120, 40));
    terminal.shows("1 open");
    terminal.keys("Hy");
    terminal.shows("healthy: wrote and rolled back");
    holder.sql("BEGIN IMMEDIATE");
    terminal.keys("Hy");
    terminal.shows("Esc ends the check");
    terminal.keys("\u{1b}");
    terminal.shows("no health check: stopped");
    holder.sql("COMMIT");
    terminal.keys("q");
    assert_eq!(terminal.end(), 0);
}
