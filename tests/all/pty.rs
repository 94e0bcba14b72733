//! The binary in a real terminal: start, resize, act, quit, signals, panic.

use std::{fs, os::unix::fs::symlink, path::Path};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use crate::{
    namespace::{ALONE, may_be_alone},
    support::{Actor, WALTOP, eventually},
    terminal::{Terminal, database, home},
};

const USUAL: (u16, u16) = (120, 40);

fn pid(raw: i32) -> Pid {
    Pid::from_raw(raw).expect("a PID")
}

#[test]
fn a_process_is_stopped_by_key_and_the_terminal_comes_back() {
    let home = home();
    let (path, writer) = database(home.path());
    let mut reader = Actor::open(Path::new(&path));
    reader.sql("BEGIN").sql("SELECT * FROM t");
    let mut terminal = Terminal::open(home.path(), &[&path], USUAL);
    terminal.shows("notes.db");
    terminal.shows(&writer.pid().to_string());
    terminal.shows("read@");
    terminal.resize(80, 24);
    terminal.shows("1 Findings");
    terminal.resize(50, 10);
    terminal.shows("waltop wants 60x16");
    terminal.resize(120, 40);
    terminal.shows("4 Pragmas");
    terminal.keys(&format!("/{}\r", reader.pid()));
    terminal.shows("filter");
    terminal.keys("x");
    terminal.shows(&format!("Stop {}", reader.pid()));
    terminal.keys("n");
    terminal.shows_no_more("Stop ");
    assert_eq!(reader.try_sql("SELECT 1"), "ok", "no is no");
    terminal.keys("x");
    terminal.shows(&format!("Stop {}", reader.pid()));
    terminal.keys("y");
    // The reader is this test's child, so its end is seen by the pidfd before it is collected here.
    terminal.shows("has ended after TERM");
    terminal.keys("q");
    assert_eq!(terminal.end(), 0);
    terminal.assert_restored();
}

#[test]
fn a_key_that_comes_with_the_signal_of_a_resize_is_taken() {
    let home = home();
    let (path, _writer) = database(home.path());
    let mut terminal = Terminal::open(home.path(), &[&path], USUAL);
    terminal.shows("4 Pragmas");
    for turn in 0..100_u16 {
        terminal.resize(120 + turn % 2, 40);
        terminal.keys("?");
        terminal.shows("Keys that act here and now");
        terminal.resize(122 + turn % 2, 40);
        terminal.keys("?");
        terminal.shows_no_more("Keys that act here and now");
    }
    terminal.keys("q");
    assert_eq!(terminal.end(), 0);
}

#[test]
fn signals_end_it_with_their_own_codes_and_give_the_terminal_back() {
    let home = home();
    let (path, _writer) = database(home.path());
    for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130), (Signal::HUP, 129)] {
        let mut terminal = Terminal::open(home.path(), &[&path], USUAL);
        terminal.shows("2 Locks and processes");
        kill_process(pid(terminal.pid()), signal).expect("it lives");
        assert_eq!(terminal.end(), code);
        terminal.assert_restored();
    }
}

#[test]
fn a_panic_gives_the_terminal_back_and_is_reported_on_it() {
    let home = home();
    let mut terminal = Terminal::open(home.path(), &["crash"], USUAL);
    assert_eq!(terminal.end(), 101);
    terminal.assert_restored();
    terminal.shows("as asked");
}

#[test]
fn the_console_holds_no_lock_and_keeps_no_descriptor_on_the_database() {
    let home = home();
    let (path, mut writer) = database(home.path());
    let mut terminal = Terminal::open(home.path(), &[&path], USUAL);
    terminal.shows("2 Locks and processes");
    terminal.shows("our client");
    let console = terminal.pid();
    for number in 0..40 {
        writer.sql(&format!("INSERT INTO t VALUES ({number})"));
        terminal.keys("r");
        let locks = fs::read_to_string("/proc/locks").expect("the lock table");
        let own =
            locks.lines().filter(|line| line.split_whitespace().any(|word| word == console.to_string()));
        assert_eq!(own.count(), 0, "{locks}");
    }
    // A read of the header opens and closes the file; what is kept never goes.
    let (main, log) = (path.clone(), format!("{path}-wal"));
    eventually("no descriptor is kept", || {
        let now = descriptors(console);
        (!now.is_empty() && !now.contains(&main) && !now.contains(&log)).then_some(())
    });
    terminal.keys("q");
    assert_eq!(terminal.end(), 0);
}

#[test]
fn the_locks_are_sampled_by_a_thread_of_its_own_or_not_at_all() {
    let home = home();
    let (path, _writer) = database(home.path());
    for (args, is_sampled) in [(&[path.as_str()][..], true), (&["--no-sampling", &path], false)] {
        let mut terminal = Terminal::open(home.path(), args, USUAL);
        terminal.shows("our client");
        let threads = fs::read_dir(format!("/proc/{}/task", terminal.pid())).expect("it runs");
        let names = threads.flatten().filter_map(|it| fs::read_to_string(it.path().join("comm")).ok());
        assert_eq!(names.filter(|name| name.trim() == "waltop-locks").count(), usize::from(is_sampled));
        terminal.keys("3\r");
        terminal.shows("sampling");
        terminal.shows(if is_sampled { "% of a CPU" } else { "off" });
        terminal.keys("\u{1b}");
        terminal.shows_no_more("Details");
        terminal.keys("qq");
        assert_eq!(terminal.end(), 0);
    }
}

fn descriptors(pid: i32) -> Vec<String> {
    let Ok(links) = fs::read_dir(format!("/proc/{pid}/fd")) else { return Vec::new() };
    links.flatten().filter_map(|link| Some(fs::read_link(link.path()).ok()?.display().to_string())).collect()
}

#[test]
fn an_ingestion_started_by_key_outlives_the_console_and_shows_up_in_the_next() {
    let home = home();
    let notes = home.path().join("notes");
    fs::create_dir(&notes).expect("a folder");
    for number in 0..30 {
        fs::write(notes.join(format!("{number}.md")), format!("# Note {number}\n\nzebra\n")).expect("a note");
    }
    let (path, mut writer) = database(home.path());
    writer.sql("BEGIN IMMEDIATE");
    let mut terminal = Terminal::open(home.path(), &[&path], USUAL);
    terminal.shows("WRITE");
    terminal.keys("i");
    terminal.shows("Start an ingestion");
    terminal.keys(&format!("\u{15}{}\r", notes.display()));
    terminal.shows("5 Ingestion: 1 running");
    terminal.keys("q");
    assert_eq!(terminal.end(), 0);
    terminal.shows("continues in process");
    let mut next = Terminal::open(home.path(), &[&path], USUAL);
    next.shows("5 Ingestion: 1 running");
    writer.sql("COMMIT");
    next.shows("completed");
    next.shows("30 of 30");
    next.keys("q");
    assert_eq!(next.end(), 0);
    assert!(!next.text().contains("continues in process"));
}

#[test]
fn without_any_database_it_opens_empty_and_creates_nothing() {
    if !may_be_alone() {
        return;
    }
    let home = home();
    // Where no other test has a database open.
    let mut terminal = Terminal::launched(&ALONE, home.path(), &format!("exec {WALTOP}"), USUAL);
    terminal.shows("does not exist yet");
    terminal.shows("i ingest");
    terminal.keys("q");
    assert_eq!(terminal.end(), 0);
    assert!(!home.path().join("data").exists());
}

#[test]
fn without_any_database_it_lists_those_that_are_open() {
    if !may_be_alone() {
        return;
    }
    let home = home();
    // The actor ends when the last process that has its orders open does.
    let script = format!(
        "mkfifo orders; {WALTOP} actor found.db <orders >answers & exec 3>orders; \
         echo 'PRAGMA journal_mode = WAL' >&3; echo 'CREATE TABLE t(x)' >&3; \
         until [ \"$(grep -c ok answers)\" = 3 ]; do sleep 0.05; done; exec {WALTOP}"
    );
    let mut terminal = Terminal::launched(&ALONE, home.path(), &script, USUAL);
    terminal.shows("1 open database");
    terminal.shows("found.db");
    terminal.keys("\r");
    terminal.shows("2 Locks and processes: 1 open");
    terminal.keys("\u{1b}");
    terminal.shows("1 open database");
    terminal.keys("q");
    assert_eq!(terminal.end(), 0);
    assert!(!home.path().join("data").exists());
}

#[test]
fn the_demo_shows_its_trouble_and_leaves_nothing() {
    for ending in
        [Ending::Key("q", 0), Ending::Key("\u{3}", 130), Ending::Signal(Signal::TERM, 143), Ending::Crash]
    {
        let home = home();
        let mut terminal = Terminal::open(home.path(), &["demo"], USUAL);
        terminal.shows("DEMO");
        terminal.shows("stopped-holder");
        terminal.shows("STOPPED");
        terminal.shows("pinned-wal");
        let console = console_of(terminal.pid());
        let cast =
            eventually("four actors", || Some(children(terminal.pid())).filter(|cast| cast.len() == 5));
        match ending {
            Ending::Key(key, code) => {
                terminal.keys(key);
                assert_eq!(terminal.end(), code);
                terminal.assert_restored();
            }
            Ending::Signal(signal, code) => {
                kill_process(pid(terminal.pid()), signal).expect("it lives");
                assert_eq!(terminal.end(), code);
                terminal.assert_restored();
            }
            Ending::Crash => {
                kill_process(pid(console), Signal::KILL).expect("it lives");
                assert_eq!(terminal.end(), 137);
            }
        }
        for actor in cast {
            eventually("every actor is gone", || test_kill_process(pid(actor)).is_err().then_some(()));
        }
        let left: Vec<_> =
            fs::read_dir(home.path()).expect("the folder").flatten().map(|it| it.file_name()).collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

#[test]
fn a_demo_that_is_ended_while_it_is_set_up_leaves_nothing() {
    let home = home();
    let mut terminal = Terminal::open(home.path(), &["demo"], USUAL);
    let files = || fs::read_dir(home.path()).expect("the folder").count();
    eventually("the sandbox is being set up", || (files() > 0).then_some(()));
    kill_process(pid(terminal.pid()), Signal::TERM).expect("it lives");
    assert_eq!(terminal.end(), 143);
    assert_eq!(files(), 0);
}

enum Ending {
    Key(&'static str, u32),
    Signal(Signal, u32),
    /// The console is killed under its keeper.
    Crash,
}

fn children(parent: i32) -> Vec<i32> {
    let tasks = format!("/proc/{parent}/task");
    let Ok(tasks) = fs::read_dir(tasks) else { return Vec::new() };
    tasks
        .flatten()
        .filter_map(|task| fs::read_to_string(task.path().join("children")).ok())
        .flat_map(|pids| pids.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .collect()
}

fn console_of(keeper: i32) -> i32 {
    let is_console = |pid: &i32| {
        fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.contains("--sandbox"))
    };
    eventually("the console starts", || children(keeper).into_iter().find(is_console))
}

const HOLDERS: usize = 60;
const STALE: usize = 50;

#[test]
fn fifty_stale_holders_are_reaped_by_key_but_for_two() {
    let home = home();
    let (name, mut writer) = database(home.path());
    // By another name of the same file, so that a rule can tell them.
    let old_name = home.path().join("old-notes.db");
    symlink(home.path().join(&name), &old_name).expect("linked");
    let hold = |path: &Path| {
        let mut actor = Actor::open(path);
        actor.sql("SELECT count(*) FROM sqlite_schema");
        actor
    };
    let mut old: Vec<Actor> = (0..STALE).map(|_| hold(&old_name)).collect();
    let mut young: Vec<Actor> = (STALE + 1..HOLDERS).map(|_| hold(&home.path().join("notes.db"))).collect();
    let rule = "[thresholds]\nidle = \"1s\"\nleast_idle = \"1s\"\n\n[[daemon]]\nname = \"old\"\npattern = \"old-notes\"\nmax_age = \"1s\"\n";
    fs::write(home.path().join("config.toml"), rule).expect("written");
    let mut terminal = Terminal::open(home.path(), &["--config", "config.toml", &name], (140, 100));
    terminal.shows(&format!("2 Locks and processes: {HOLDERS} open, {STALE} stale"));
    terminal.keys("X");
    terminal.shows("50 of 50 ticked");
    terminal.keys(" G ");
    terminal.shows("48 of 50 ticked");
    terminal.resize(100, 30);
    terminal.shows("rows ");
    terminal.resize(140, 100);
    terminal.keys("y");
    terminal.shows("48 of 48 gone: all locks released");
    let is_gone = |actor: &Actor| {
        let stat = fs::read_to_string(format!("/proc/{}/stat", actor.pid())).unwrap_or_default();
        stat.rsplit_once(") ").is_none_or(|(_, fields)| fields.starts_with('Z'))
    };
    let (gone, mut alive): (Vec<_>, Vec<_>) = old.drain(..).partition(is_gone);
    assert_eq!((gone.len(), alive.len() + young.len() + 1), (48, 12));
    for actor in alive.iter_mut().chain(&mut young) {
        actor.sql("SELECT 1");
    }
    // Fails as busy where anybody still keeps the log.
    writer.sql("INSERT INTO t VALUES (2)").sql("PRAGMA wal_checkpoint(TRUNCATE)");
    let log = fs::metadata(format!("{name}-wal")).expect("it stays while somebody is connected");
    assert_eq!(log.len(), 0, "all was moved, and the log cut to nothing");
    terminal.keys("6/has ended after TERM\r");
    for actor in &gone {
        terminal.shows(&format!("{} (old) has ended after TERM", actor.pid()));
    }
    terminal.keys("/\u{15}TERM goes to\r");
    terminal.shows("TERM goes to 48 processes");
    terminal.keys("qq");
    assert_eq!(terminal.end(), 0);
    terminal.assert_restored();
}
