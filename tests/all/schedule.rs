//! Checkpoints that a profile asks for at regular times, carried out by the console with real processes around it.

use std::{fs, path::PathBuf};

use serde_json::Value;
use tempfile::TempDir;
use waltop::{
    act::{ConfirmedAction, Effect},
    diagnose::schedule::{self, CheckpointPlan},
    sampler::Sample,
    snapshot::CheckpointMode,
    snapshot::{Database, LastCheckpoint},
    state::places::Places,
    state::schedule_ledger::ScheduleLedger,
};

use crate::{
    contract::assert_keeps_to_its_schema,
    stage::{Stage, contended, look},
    support::{Actor, WALTOP, eventually},
    terminal::{Terminal, home},
};

const USUAL: (u16, u16) = (120, 40);
const LARGE: (u16, u16) = (200, 60);

/// A database whose profile, one of the user's own, asks for checkpoints, and a writer that moves nothing by itself.
struct Scene {
    home: TempDir,
    path: PathBuf,
    writer: Actor,
}

impl Scene {
    fn new(mode: &str, every: &str) -> Self {
        let home = home();
        let path = home.path().canonicalize().expect("the folder").join("notes.db");
        let mut writer = Actor::open(&path);
        writer.sql("PRAGMA journal_mode = WAL").sql("PRAGMA wal_autocheckpoint = 0");
        writer.sql("CREATE TABLE t (x)").sql("INSERT INTO t VALUES (1)");
        let settings = home.path().join("config/waltop");
        fs::create_dir_all(settings.join("profiles")).expect("a folder");
        let profile = format!(
            "about = 'kept short'\ncheckpoint = {{ mode = '{mode}', every = '{every}' }}\n\
             [[pragma]]\nname = 'busy_timeout'\nexpected = '5000'\nkept_by = 'connection'\nseverity = 'warning'\nwhy = 'so'\n"
        );
        fs::write(settings.join("profiles/mine.toml"), profile).expect("written");
        let text = format!("[[database]]\npath = '{}'\nprofile = 'mine'\n", path.display());
        fs::write(settings.join("config.toml"), text).expect("written");
        Self { home, path, writer }
    }

    fn console(&self, args: &[&str]) -> Terminal {
        Terminal::open(self.home.path(), args, LARGE)
    }

    /// What `waltop status` tells of the database.
    fn status(&self) -> Value {
        let output = self.run(&["status", "--json"]);
        let snapshot: Value =
            serde_json::from_str(&output).unwrap_or_else(|error| panic!("{error}: {output}"));
        snapshot["databases"][0].clone()
    }

    fn run(&self, args: &[&str]) -> String {
        let at = |name: &str| self.home.path().join(name);
        let output = std::process::Command::new(WALTOP)
            .args(args)
            .env("XDG_STATE_HOME", at("state"))
            .env("XDG_DATA_HOME", at("data"))
            .env("XDG_CONFIG_HOME", at("config"))
            .output()
            .expect("it starts");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("text")
    }

    fn pending(&self) -> u64 {
        self.status()["wal"]["pending"].as_u64().expect("somebody keeps the index")
    }
}

fn quit(mut terminal: Terminal) {
    terminal.keys("q");
    assert_eq!(terminal.end(), 0);
}

#[test]
fn the_console_moves_the_log_as_far_as_a_reader_lets_it_and_says_who_is_in_the_way() {
    let mut scene = Scene::new("passive", "1s");
    let mut reader = Actor::open(&scene.path);
    reader.sql("BEGIN").sql("SELECT * FROM t");
    scene.writer.sql("INSERT INTO t VALUES (2)");
    let terminal = scene.console(&[]);
    terminal.shows("checkpoint PASSIVE every 1 s:");
    terminal.shows(&format!("blocked by {}", reader.pid()));
    assert!(scene.pending() > 0);
    // The files panel names the reader before the first checkpoint has run.
    eventually("the checkpoint names the reader", || {
        let text = scene.run(&["status"]);
        let line = text.lines().find(|line| line.starts_with("schedule    PASSIVE every 1 s: "))?;
        line.contains(&format!("{} (waltop) pins", reader.pid())).then_some(())
    });
    reader.sql("COMMIT");
    eventually("all is moved", || (scene.pending() == 0).then_some(()));
    let snapshot: Value = serde_json::from_str(&scene.run(&["status", "--json"])).expect("JSON");
    assert_keeps_to_its_schema(&["status"], &snapshot);
    let last = &snapshot["databases"][0]["schedule"]["last"];
    assert_eq!((&last["mode"], &last["complete"]), (&"passive".into(), &true.into()), "{last}");
    quit(terminal);
}

#[test]
fn a_truncate_is_only_run_where_no_process_would_be_blocked() {
    let mut scene = Scene::new("truncate", "1s");
    scene.writer.sql("BEGIN IMMEDIATE").sql("INSERT INTO t VALUES (3)");
    let terminal = scene.console(&[]);
    terminal.shows("would block others");
    let last = eventually("a gentle one was run", || {
        let last = scene.status()["schedule"]["last"].clone();
        last["complete"].as_bool().map(|_| last)
    });
    assert_eq!(last["mode"], "passive", "{last}");
    assert!(last["instead"].as_str().is_some_and(|why| why.contains("holds the write lock")), "{last}");
    assert_eq!(scene.writer.try_sql("COMMIT"), "ok", "and blocked nobody");
    let log = scene.path.with_file_name("notes.db-wal");
    eventually("it is cut", || (fs::metadata(&log).expect("a log").len() == 0).then_some(()));
    quit(terminal);
}

#[test]
fn a_console_that_may_not_act_runs_none() {
    let scene = Scene::new("passive", "100ms");
    let before = scene.pending();
    for (args, keys) in [(&["--readonly"][..], ""), (&[], "a")] {
        let mut terminal = scene.console(args);
        if keys.is_empty() {
            terminal.shows("READ-ONLY");
        } else {
            // It may have run one by then; what is written from now on stays.
            terminal.keys(keys);
            terminal.shows("DISARMED");
        }
        terminal.shows("(not while");
        let last = scene.status()["schedule"]["last"]["at"].clone();
        for _ in 0..5 {
            // As many looks, each with a checkpoint due.
            terminal.keys("r");
            let _ = scene.pending();
        }
        assert_eq!(scene.status()["schedule"]["last"]["at"], last, "{args:?}");
        if keys.is_empty() {
            assert_eq!((scene.pending(), &last), (before, &Value::Null));
        }
        quit(terminal);
    }
}

#[test]
fn two_consoles_run_one_checkpoint_a_period() {
    let mut scene = Scene::new("passive", "2s");
    let (mut one, mut other) = (scene.console(&[]), scene.console(&[]));
    one.keys("6");
    other.keys("6");
    let count = |terminal: &Terminal| terminal.text().matches("scheduled PASSIVE checkpoint").count();
    let mut ends = Vec::new();
    for number in 0..3 {
        scene.writer.sql(&format!("INSERT INTO t VALUES ({number})"));
        let at = eventually("the next one", || {
            let last = scene.status()["schedule"]["last"].clone();
            let at: jiff::Timestamp = last["at"].as_str()?.parse().ok()?;
            (last["complete"] == true && Some(&at) != ends.last()).then_some(at)
        });
        ends.push(at);
    }
    for pair in ends.windows(2) {
        let apart = pair[1].duration_since(pair[0]).unsigned_abs();
        assert!(apart >= std::time::Duration::from_secs(2), "{ends:?}");
    }
    // Of those that ran, each is in the log of one of the two.
    eventually("the log has them", || (count(&one) + count(&other) >= 3).then_some(()));
    assert!(count(&one) + count(&other) <= 4, "{}\n{}", one.text(), other.text());
    one.keys("6");
    other.keys("6");
    quit(one);
    quit(other);
}

#[test]
fn a_restart_does_not_at_once_do_it_again() {
    let scene = Scene::new("passive", "1h");
    let mut last = LastCheckpoint::started(jiff::Timestamp::now(), CheckpointMode::Passive, None);
    (last.complete, last.frames_in_log, last.frames_moved) = (Some(true), Some(812), Some(812));
    let ledger = ScheduleLedger::new(&Places::under(&scene.home.path().join("state/waltop")));
    let turn = ledger.claim(&scene.path, None).expect("writable").expect("nobody had one");
    turn.note(&last).expect("written");
    drop(turn);
    let terminal = scene.console(&[]);
    terminal.shows("checkpoint PASSIVE every 1 h");
    terminal.shows("812 of 812 frames");
    assert!(scene.pending() > 0);
    quit(terminal);
    assert!(scene.pending() > 0);
}

fn scheduled(mut database: Database, mode: CheckpointMode, last_second: Option<i64>) -> Sample {
    let profile = waltop::config::profile::Schedule { mode, every: std::time::Duration::from_mins(15) };
    database.ingestions.clear();
    let mut look = look(vec![database]);
    let now = look.snapshot.taken_at;
    let last = last_second.map(|ago| {
        let at = now - jiff::SignedDuration::from_secs(ago);
        let mut last = LastCheckpoint::started(at, mode, None);
        (last.complete, last.frames_in_log, last.frames_moved) = (Some(true), Some(812), Some(812));
        last
    });
    let seen = schedule::seen(
        profile,
        &look.snapshot.databases[0],
        last,
        (now - jiff::SignedDuration::from_hours(1), now),
    );
    look.snapshot.databases[0].schedule = Some(seen);
    look
}

fn runs(effects: &[Effect]) -> Vec<CheckpointPlan> {
    let acts =
        effects.iter().filter_map(|effect| if let Effect::Act(it) = effect { Some(it.act()) } else { None });
    acts.filter_map(|act| if let ConfirmedAction::Scheduled(it) = act { Some(it.plan.clone()) } else { None })
        .collect()
}

#[test]
fn what_is_due_is_run_by_an_armed_console_alone() {
    let overdue = || scheduled(contended(), CheckpointMode::Passive, Some(1200));
    let mut stage = Stage::new(look(vec![contended()]), USUAL);
    assert_eq!(
        runs(&stage.look(scheduled(contended(), CheckpointMode::Passive, Some(180)))),
        [],
        "it is not due"
    );
    assert_eq!(
        runs(&stage.look(overdue())),
        [CheckpointPlan::Run { mode: CheckpointMode::Passive, instead: None }]
    );
    stage.keys("a");
    assert_eq!(runs(&stage.look(overdue())), []);
    let mut stage = Stage::readonly(look(vec![contended()]), USUAL);
    assert_eq!(runs(&stage.look(overdue())), []);
}

#[test]
fn one_that_waits_is_logged_once() {
    let mut waiting = contended();
    waiting.locks.checkpointer = waiting.locks.writer.take();
    let overdue = || scheduled(waiting.clone(), CheckpointMode::Passive, Some(1200));
    let mut stage = Stage::new(look(vec![contended()]), USUAL);
    let says = |effects: &[Effect]| {
        effects
            .iter()
            .filter(|it| matches!(it, Effect::Note(_, text) if text.contains("waits: 71201")))
            .count()
    };
    let effects = stage.look(overdue());
    assert_eq!((runs(&effects).len(), says(&effects)), (0, 1), "{effects:?}");
    assert_eq!(says(&stage.look(overdue())), 0);
}

#[test]
fn the_screen_shows_the_last_one_and_why_the_next_waits() {
    for (size, word) in [(USUAL, "checkpoint PASSIVE every 15 m"), (LARGE, "812 of 812 frames, 3 m ago")] {
        let stage = Stage::new(scheduled(contended(), CheckpointMode::Passive, Some(180)), size);
        assert!(stage.screen().contains(word), "{}", stage.screen());
    }
    let stage = Stage::new(scheduled(contended(), CheckpointMode::Truncate, Some(1200)), LARGE);
    assert!(stage.screen().contains("TRUNCATE would block others"), "{}", stage.screen());
}
