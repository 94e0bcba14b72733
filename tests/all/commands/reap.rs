//! What is stale is listed, and ends when somebody says yes; nothing else does.

use waltop::{
    act::signal::SignalRefusal,
    snapshot::{LockHold, NotIdle, StaleProtection},
};

use super::*;
use crate::{python::Python, support::eventually, terminal::Terminal};

/// Watching is short where nobody's idleness is to be proved.
const BRIEFLY: [&str; 3] = ["reap", "--for", "50ms"];

fn with<'a>(more: &[&'a str]) -> Vec<&'a str> {
    BRIEFLY.iter().copied().chain(more.iter().copied()).collect()
}

#[test]
fn without_a_terminal_it_asks_for_yes_before_it_watches() {
    let home = Home::with_wal();
    let mut holder = home.actor();
    holder.sql("SELECT * FROM t");
    for args in [&["reap", "notes.db"][..], &["reap", "--json", "notes.db"]] {
        let said = home.run(args);
        assert!(said.refusal().contains("give --yes, or --dry-run"), "{said:?}");
    }
    holder.sql("SELECT * FROM t");
}

#[test]
fn a_process_that_is_not_stale_is_left_alone_and_refused_by_name() {
    let home = Home::with_wal();
    let mut holder = home.actor();
    holder.sql("SELECT * FROM t");
    let pid = holder.pid().to_string();
    let said = home.run(&with(&["--yes", "notes.db"]));
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{said:?}");
    assert_eq!(said.out, format!("{}: 0 of 1 stale, watched for 50 ms\n", home.db().display()));
    for named in [&["--yes"][..], &["--dry-run"], &["--yes", "--json"]] {
        let said = home.run(&with(&[named, &["--pid", &pid, "notes.db"]].concat()));
        assert!(said.refusal().starts_with(&format!("{pid} is not stale, no cause holds")), "{said:?}");
    }
    holder.sql("SELECT * FROM t");
}

#[test]
fn what_may_never_be_stopped_is_refused_with_the_reason() {
    let home = Home::with_wal();
    let holder = home.actor();
    let gone = holder.pid().to_string();
    holder.close();
    let (own, stranger) = (std::process::id().to_string(), home.actor());
    for (pid, why) in [
        ("1", "is the system's first process"),
        (own.as_str(), "is an ancestor of waltop"),
        (gone.as_str(), "is already gone"),
        ("0", "is the system's first process"),
    ] {
        let said = home.run(&with(&["--yes", "--pid", pid, "notes.db"]));
        assert!(said.refusal().contains(why), "{pid}: {said:?}");
    }
    let other = Home::with_wal();
    let pid = stranger.pid().to_string();
    let said = other.run(&with(&["--yes", "--pid", &pid, "notes.db"]));
    assert!(said.refusal().contains("does not have the database open"), "{said:?}");
    if is_root() {
        let mut foreign = Command::new("sleep").arg("600").uid(ANOTHER).spawn().expect("it starts");
        let said = home.run(&with(&["--yes", "--pid", &foreign.id().to_string(), "notes.db"]));
        assert!(
            said.refusal().contains(&SignalRefusal::Foreign { pid: foreign.id().cast_signed() }.to_string()),
            "{said:?}"
        );
        assert!(foreign.try_wait().expect("it can be asked for").is_none(), "it lives");
        foreign.kill().and_then(|()| foreign.wait()).expect("it ends");
    }
}

/// The numbers of that `/proc` are somebody else's in here, and a signal by one of them could reach anybody.
#[test]
fn in_a_pid_namespace_without_a_proc_of_its_own_no_process_is_stopped() {
    if !crate::namespace::may_change_namespaces() {
        return;
    }
    let home = Home::with_wal();
    let (mut old, mut other) = replaced(&home, &[PLAIN]);
    let pid = old[0].pid().to_string();
    let path = home.db().display().to_string();
    for (named, code) in [(&["--pid", pid.as_str()][..], 2), (&[], 0)] {
        let output = Command::new("unshare")
            .args(["--pid", "--fork", WALTOP, "reap", "--for", "50ms", "--yes"])
            .args(named)
            .arg(&path)
            .env("XDG_STATE_HOME", home.at("state"))
            .env("XDG_CONFIG_HOME", home.at("config"))
            .output()
            .expect("it runs");
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(said.contains(&format!("{pid} is a number of another PID namespace")), "{said}");
        assert_eq!(output.status.code(), Some(code), "{said}");
    }
    assert!(lives(&old[0]));
    old[0].sql("SELECT * FROM t");
    other.sql("INSERT INTO t VALUES (1)");
}

#[test]
fn mistakes_get_a_line() {
    let home = Home::with_wal();
    for (args, what) in [
        (&["reap", "--grace", "0s", "notes.db"][..], "give a duration"),
        (&["reap", "--for", "soon", "notes.db"], "give a duration"),
        // Longer than the clock goes: to wait that long must not fail once TERM is out.
        (&["reap", "--yes", "--grace", "9000000000000000000s", "notes.db"], "give a duration"),
        (&["reap", "--dry-run", "--for", "9000000000s", "notes.db"], "longer than ten years"),
        (&["status", "--for", "3651d", "notes.db"], "longer than ten years"),
        (&["reap", "--pid", "me", "notes.db"], "invalid value"),
        (&["reap", "--dry-run", "none.db"], "none.db"),
    ] {
        assert!(home.run(args).refusal().contains(what), "{args:?}");
    }
}

#[test]
fn the_answer_is_an_object() {
    let home = Home::with_wal();
    let mut holder = home.actor();
    holder.sql("SELECT * FROM t");
    let answer = home.json(&with(&["--json", "--dry-run", "notes.db"]));
    assert_eq!((&answer["version"], &answer["dry_run"]), (&1.into(), &true.into()), "{answer}");
    assert_eq!(answer["databases"][0]["path"], home.db().display().to_string());
    assert_eq!(answer["databases"][0]["candidates"], Value::Array(Vec::new()));
}

/// Holders of a database that was replaced under them by a new one, which somebody else uses. The old one has another
/// name, so that they hold no data that nothing else has.
fn replaced(home: &Home, holders: &[&[&str]]) -> (Vec<Actor>, Actor) {
    let open = |launcher: &&[&str]| {
        let mut actor = Actor::open_through(launcher, &home.db());
        actor.sql("SELECT * FROM t");
        actor
    };
    let old = holders.iter().map(open).collect();
    fs::hard_link(home.db(), home.at("kept.db")).expect("a link");
    for name in ["notes.db", "notes.db-wal", "notes.db-shm"] {
        fs::remove_file(home.at(name)).expect("removed");
    }
    let mut other = home.actor();
    other.sql("PRAGMA journal_mode = wal").sql("CREATE TABLE t(x)");
    (old, other)
}

const PLAIN: &[&str] = &["env"];
/// What a shell ignores stays ignored in what it becomes.
const DEAF: &[&str] = &["sh", "-c", "trap '' TERM; exec \"$@\"", "sh"];

fn lives(actor: &Actor) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", actor.pid())).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, fields)| !fields.starts_with('Z'))
}

#[test]
fn what_is_stale_is_listed_by_a_dry_run_and_ends_with_yes() {
    let home = Home::with_wal();
    let (old, mut other) = replaced(&home, &[PLAIN, PLAIN]);
    let said = home.run(&with(&["--dry-run", "notes.db"]));
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{said:?}");
    assert!(said.out.contains("2 of 3 stale") && said.out.contains("    split-wal: "), "{said:?}");
    assert!(old.iter().all(lives));
    let pid = old[0].pid().to_string();
    let said = home.run(&with(&["--yes", "--pid", &pid, "notes.db"]));
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{said:?}");
    assert!(said.out.contains(&format!("{pid} (waltop) has ended after TERM\n")), "{said:?}");
    // The other one has its old files open still.
    let last = said.out.lines().last().unwrap_or_default();
    let left =
        "1 gone, 0 still there: all locks released; the WAL cannot be checkpointed while split-wal stands";
    assert!(last.ends_with(left), "{said:?}");
    assert!(!lives(&old[0]) && lives(&old[1]), "only the one that was named");
    let answer = home.json(&with(&["--yes", "--json", "notes.db"]));
    let database = &answer["databases"][0];
    assert_eq!(database["candidates"][0]["pid"], old[1].pid(), "{answer}");
    assert_eq!(database["candidates"][0]["outcome"], "gone", "{answer}");
    assert_eq!(database["candidates"][0]["causes"][0]["cause"], "split-wal", "{answer}");
    assert_eq!((&database["locks_released"], &database["log_movable"]), (&true.into(), &true.into()));
    assert!(!lives(&old[1]));
    other.sql("INSERT INTO t VALUES (1)");
}

#[test]
fn one_that_would_not_go_is_left_and_reported_with_exit_1() {
    let home = Home::with_wal();
    let (mut old, _other) = replaced(&home, &[DEAF, PLAIN]);
    let args = with(&["--yes", "--grace", "200ms", "notes.db"]);
    let said = home.run(&args);
    assert_eq!((said.code, said.err.as_str()), (Some(1), ""), "{said:?}");
    let stays =
        format!("{} (waltop) is still there 200 ms after TERM; x in the console offers KILL", old[0].pid());
    assert!(said.out.contains(&stays) && said.out.contains("1 gone, 1 still there"), "{said:?}");
    assert!(!lives(&old[1]));
    old[0].sql("SELECT * FROM t");
    let answer = home.run(&with(&["--yes", "--json", "--grace", "200ms", "notes.db"]));
    assert_eq!(answer.code, Some(1), "{answer:?}");
    assert_eq!(answer.json()["databases"][0]["candidates"][0]["outcome"], "still-there");
}

#[test]
fn on_a_terminal_it_asks_and_asks_again_before_kill() {
    let home = Home::with_wal();
    let (mut old, _other) = replaced(&home, &[DEAF]);
    let path = home.db().display().to_string();
    let open = || {
        let args = ["reap", "--for", "50ms", "--grace", "200ms", &path];
        let terminal = Terminal::open(&home.root(), &args, (140, 20));
        terminal.shows("stop 1 process? [y/N]");
        terminal
    };
    for no in ["\r", "n\r", "yes, but\r"] {
        let mut terminal = open();
        terminal.keys(no);
        assert_eq!(terminal.end(), 1, "{no:?}");
        old[0].sql("SELECT 1");
    }
    let mut terminal = open();
    terminal.keys("y\r");
    terminal.shows("1 process still there: end with KILL");
    terminal.keys("\r");
    assert_eq!(terminal.end(), 1);
    old[0].sql("SELECT 1");
    let mut terminal = open();
    terminal.keys("y\r");
    terminal.shows("end with KILL");
    terminal.keys("y\r");
    terminal.shows("has ended after KILL");
    assert_eq!(terminal.end(), 0);
    eventually("it is gone", || (!lives(&old[0])).then_some(()));
}

/// It is asked about because it is still there. What is there by then is another program.
#[test]
fn one_that_executes_another_program_on_term_is_refused_kill() {
    let home = Home::with_wal();
    let Some(mut python) = Python::open(&home.db()) else { return };
    python.sql("SELECT count(*) FROM sqlite_schema").run("import os, signal");
    python.run("signal.signal(signal.SIGTERM, lambda *_: os.execvp('sleep', ['sleep', '600']))");
    let (_, mut other) = replaced(&home, &[]);
    let pid = python.pid();
    let path = home.db().display().to_string();
    let args = ["reap", "--for", "50ms", "--grace", "500ms", &path];
    let mut terminal = Terminal::open(&home.root(), &args, (140, 20));
    terminal.shows("stop 1 process? [y/N]");
    terminal.keys("y\r");
    terminal.shows("1 process still there: end with KILL");
    terminal.keys("y\r");
    terminal.shows(&format!("{pid} runs another program than when it was listed"));
    assert_eq!(terminal.end(), 1);
    let comm = fs::read_to_string(format!("/proc/{pid}/comm")).expect("it lives");
    assert_eq!(comm, "sleep\n");
    other.sql("INSERT INTO t VALUES (1)");
}

#[test]
fn one_whose_log_was_deleted_is_left_alone_with_the_reason() {
    let home = Home::with_wal();
    let mut split = home.actor();
    split.sql("SELECT * FROM t");
    for name in ["notes.db-wal", "notes.db-shm"] {
        fs::remove_file(home.at(name)).expect("removed");
    }
    let pid = split.pid().to_string();
    let said = home.run(&with(&["--yes", "notes.db"]));
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{said:?}");
    assert!(said.out.contains("0 of 1 stale") && said.out.contains("left alone: "), "{said:?}");
    let said = home.run(&with(&["--yes", "--pid", &pid, "notes.db"]));
    assert_eq!(said.refusal(), SignalRefusal::Split { pid: split.pid() }.to_string(), "{said:?}");
    assert!(lives(&split));
}

#[test]
fn the_only_holder_of_deleted_data_is_left_alone_though_a_cause_holds() {
    let home = Home::with_wal();
    let mut holder = home.actor();
    holder.sql("INSERT INTO t VALUES (2)");
    for name in ["notes.db", "notes.db-wal", "notes.db-shm"] {
        fs::remove_file(home.at(name)).expect("removed");
    }
    let mut other = home.actor();
    other.sql("PRAGMA journal_mode = wal").sql("CREATE TABLE t(x)");
    let pid = holder.pid().to_string();
    // Two samples that are half a second apart have to see it.
    let said = home.run(&["reap", "--for", "1s", "--yes", "notes.db"]);
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{said:?}");
    assert!(said.out.contains("0 of 2 stale") && said.out.contains("it holds the only copy of "), "{said:?}");
    let said = home.run(&["reap", "--for", "1s", "--yes", "--pid", &pid, "notes.db"]);
    assert!(said.refusal().contains("it holds the only copy of "), "{said:?}");
    assert!(lives(&holder) && lives(&other));
}

fn configure(home: &Home, settings: &str) {
    let folder = home.root().join("config/waltop");
    fs::create_dir_all(&folder).expect("a folder");
    fs::write(folder.join("config.toml"), settings).expect("written");
}

#[test]
fn a_read_only_configuration_refuses_every_command_that_changes_something() {
    let home = Home::with_rollback();
    home.document("a.md", "# A lock\n");
    configure(&home, "readonly = true\n");
    let before = Home::listing(&home.root());
    for args in [
        &["checkpoint", "notes.db"][..],
        &["checkpoint", "--json", "notes.db"],
        &["fix", "--yes", "notes.db"],
        &["fix", "notes.db"],
        &["ingest", "--db", "notes.db", "notes"],
        &["ingest", "notes"],
        &["reap", "--yes", "notes.db"],
        &["reap", "notes.db"],
    ] {
        let said = home.run(args);
        assert!(
            said.refusal().contains("read-only here (--readonly, or readonly = true"),
            "{args:?}: {said:?}"
        );
        assert_eq!(Home::listing(&home.root()), before, "{args:?}");
    }
    for args in
        [&["fix", "--dry-run", "notes.db"][..], &with(&["--dry-run", "notes.db"]), &["status", "notes.db"]]
    {
        assert_eq!(home.run(args).code, Some(0), "{args:?} only looks");
    }
}

#[test]
fn a_read_only_configuration_makes_a_read_only_console() {
    let home = Home::with_wal();
    let mut holder = home.actor();
    holder.sql("SELECT * FROM t");
    configure(&home, "readonly = true\n");
    let path = home.db().display().to_string();
    let mut terminal = Terminal::open(&home.root(), &[&path], (120, 40));
    terminal.shows("READ-ONLY");
    terminal.shows(&holder.pid().to_string());
    for key in ["x", "X", "c", "i", "f", "a"] {
        terminal.keys(key);
        terminal.shows("nothing was changed: waltop is read-only here");
        // Where a dialog were open this would be its yes.
        terminal.keys("y");
        terminal.shows("copied: ");
    }
    terminal.keys("q");
    assert_eq!(terminal.end(), 0);
    holder.sql("INSERT INTO t VALUES (2)");
}

#[test]
fn a_rule_of_the_configuration_condemns_what_is_idle_and_spares_what_works() {
    let home = Home::with_wal();
    let named = |role| {
        let mut actor = Actor::open_as(&home.db(), role);
        actor.sql("SELECT * FROM t");
        actor
    };
    let (idle, mut working, mut spared) = (named("old"), named("old"), named("server"));
    working.sql("BEGIN IMMEDIATE");
    configure(
        &home,
        "[thresholds]\nleast_idle = \"200ms\"\n\
         [[daemon]]\nname = \"server\"\npattern = \"--role server\"\nmax_age = \"1ms\"\nprotect = true\n\
         [[daemon]]\nname = \"watcher\"\npattern = \"--role old\"\nmax_age = \"1ms\"\n",
    );
    let said = home.run(&["reap", "--yes", "--for", "1s", "notes.db"]);
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{said:?}");
    assert!(said.out.contains("1 of 3 stale, watched for 1 s"), "{said:?}");
    let works = NotIdle::Lock { lock: LockHold::Write }.to_string();
    assert!(said.out.contains(&works), "{said:?}");
    let protected = StaleProtection::Rule { rule: "server".to_owned() };
    assert!(said.out.contains("left alone: ") && said.out.contains(&protected.to_string()), "{said:?}");
    assert!(said.out.contains(&format!("{} (watcher) has ended after TERM", idle.pid())), "{said:?}");
    assert!(!lives(&idle) && lives(&working) && lives(&spared));
    let said = home.run(&["reap", "--yes", "--for", "1s", "--pid", &spared.pid().to_string(), "notes.db"]);
    let spared_by_rule = SignalRefusal::Spared { pid: spared.pid(), why: protected };
    assert_eq!(said.refusal(), spared_by_rule.to_string(), "{said:?}");
    working.sql("COMMIT");
    spared.sql("SELECT * FROM t");
}
