//! Huey: two databases of a task consumer, neither with a timeout.
//!
//! The report: `system.db` was in DELETE mode and `huey.db` in WAL mode, both with a `busy_timeout` of 0. Tasks kept a
//! connection for 300 s and more while a model thought, others were refused or hung, and the log grew. The fix there was
//! WAL for both, a timeout of 30 s, and a PASSIVE checkpoint every 15 minutes.
//!
//! The scale: the 15 minutes are 1 s (900 to 1). The 300 s of the reader have no scale: it reads for as long as three
//! bursts of tasks take, or until it is told that its time is over. The thresholds for a pinned and for a large log are
//! 100 ms and 2 MiB here instead of 1 minute and 64 MiB.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::Timestamp;
use waltop::snapshot::{Finding, FindingKind, LastCheckpoint};

use super::{
    cast::{Home, Program, Said, Writer, Wrote, refusal, text},
    recorded::{Named, Recorder},
};
use crate::{python::Python, support::eventually, terminal::Terminal};

/// How often tasks come in a burst.
const BURSTS: usize = 3;
/// What a burst writes: some 400 pages of 4 KiB.
const BURST: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 400) \
                     INSERT INTO tasks SELECT randomblob(3500) FROM n";
/// The profile of both: the queue's, with its checkpoints every second.
const QUEUE: &str = include_str!("../../assets/profiles/queue.toml");
const LARGE: (u16, u16) = (200, 60);

/// How it was lost.
#[derive(Debug)]
pub struct Lost {
    /// What a task was told that wrote to the database in DELETE mode while another one read.
    pub system: Option<String>,
    /// What a task was told that wrote to the queue while another one did.
    pub queue: Option<String>,
    /// Bytes of the log after each burst.
    pub log: Vec<u64>,
    /// The reader of the one database and the writer of the other, and whom a recording names for their moments.
    pub culprits: [i32; 2],
    pub named: [Named; 2],
}

/// How it was won.
#[derive(Debug)]
pub struct Won {
    /// What was found in `system.db`.
    pub system: Vec<Finding>,
    /// What was found in `huey.db`.
    pub queue: Vec<Finding>,
    /// The process that read for so long.
    pub reader: i32,
    /// What the attempt to set the journal mode came to while it read.
    pub in_use: Said,
    /// And after that.
    pub fixed: Said,
    pub journal_mode: String,
    /// What a task is told now that writes to `system.db` while another one reads.
    pub beside_a_reader: Option<String>,
    /// What two workers with the profile's timeout wrote at the same time.
    pub workers: Vec<Wrote>,
    /// Bytes of the log after each burst, with the console's checkpoints.
    pub log: Vec<u64>,
    /// What `waltop status` says of the last of them that has ended.
    pub last: LastCheckpoint,
}

struct Scene {
    home: Home,
    system: PathBuf,
    queue: PathBuf,
    /// The task that has a connection to each for 300 s.
    thinker: [Python; 2],
    /// A task that comes meanwhile.
    task: [Python; 2],
}

impl Scene {
    fn new() -> Option<Self> {
        let home = Home::new();
        let system = home.database(
            "system.db",
            &["PRAGMA journal_mode = DELETE", "CREATE TABLE tasks (x)", "INSERT INTO tasks VALUES (1)"],
        );
        let queue = home.database(
            "huey.db",
            &[
                "PRAGMA journal_mode = WAL",
                "CREATE TABLE tasks (x)",
                "CREATE TABLE theirs (who TEXT)",
                "INSERT INTO tasks VALUES (1)",
            ],
        );
        home.set(
            "profiles/huey.toml",
            &QUEUE
                .replace("name = \"queue\"", "name = \"huey\"")
                .replace("every = \"15m\"", "every = \"1s\""),
        );
        let database = |path: &Path| format!("[[database]]\npath = '{}'\nprofile = 'huey'\n", path.display());
        home.set(
            "config.toml",
            &format!(
                "refresh = '250ms'\n[thresholds]\npinned_wal = ['100ms', '1h']\nlarge_wal = '2MiB'\n{}{}",
                database(&system),
                database(&queue)
            ),
        );
        let both = || Some([bare(&system)?, bare(&queue)?]);
        let (thinker, task) = (both()?, both()?);
        Some(Self { home, system, queue, thinker, task })
    }

    /// The thinker begins to read, of the one database or of the other.
    fn think(&mut self) {
        for connection in &mut self.thinker {
            connection.sql("BEGIN").sql("SELECT count(*) FROM tasks");
        }
    }

    /// The 300 s are over.
    fn stop_thinking(&mut self) {
        for connection in &mut self.thinker {
            connection.sql("COMMIT");
        }
    }

    fn log(&self) -> u64 {
        fs::metadata(format!("{}-wal", self.queue.display())).expect("a log").len()
    }

    fn path(&self) -> String {
        self.system.display().to_string()
    }
}

/// A connection without any timeout.
fn bare(database: &Path) -> Option<Python> {
    let mut python = Python::open(database)?;
    python.sql("PRAGMA busy_timeout = 0").sql("SELECT count(*) FROM tasks");
    Some(python)
}

/// The tasks of the report; `None` where there is no Python to play them.
pub fn lose() -> Option<Lost> {
    let mut scene = Scene::new()?;
    let recorder = Recorder::start(&scene.home, &[&scene.system, &scene.queue]);
    scene.think();
    // The report's reader reads for 300 s: a sample sees it.
    eventually("the reader is recorded", || {
        let named = recorder.named(&scene.home, &scene.system, Timestamp::now());
        (!named.readers.is_empty()).then_some(())
    });
    let one_row = "INSERT INTO tasks VALUES (2)";
    let system = refusal(&mut scene.task[0], one_row);
    let at = Timestamp::now();
    let of_system = recorder.named(&scene.home, &scene.system, at);
    let mut other = bare(&scene.queue)?;
    other.sql("BEGIN IMMEDIATE").sql(one_row);
    let queue = refusal(&mut scene.task[1], one_row);
    let of_queue = recorder.named(&scene.home, &scene.queue, Timestamp::now());
    other.sql("COMMIT");
    let mut log = Vec::new();
    for _ in 0..BURSTS {
        scene.task[1].sql(BURST);
        log.push(scene.log());
    }
    let culprits = [scene.thinker[0].pid(), other.pid()];
    Some(Lost { system, queue, log, culprits, named: [of_system, of_queue] })
}

/// The same with waltop, from what it finds to what it keeps in order; `None` where there is no Python.
pub fn win() -> Option<Won> {
    let mut scene = Scene::new()?;
    scene.think();
    for _ in 0..BURSTS {
        scene.task[1].sql(BURST);
    }
    let watch = Duration::from_millis(300);
    let system = scene.home.findings(&scene.system, watch);
    let queue = eventually("the reader that pins the log is told", || {
        let findings = scene.home.findings(&scene.queue, watch);
        findings.iter().any(|it| it.kind == FindingKind::PinnedWal).then_some(findings)
    });
    let reader = scene.thinker[0].pid();
    let in_use = scene.home.run(&["fix", "--yes", &scene.path()]);
    scene.stop_thinking();
    let fixed = scene.home.run(&["fix", "--yes", &scene.path()]);
    let journal_mode = text(&scene.system, "PRAGMA journal_mode");
    scene.think();
    let beside_a_reader = refusal(&mut scene.task[0], "INSERT INTO tasks VALUES (3)");
    scene.stop_thinking();

    let workers = workers(&scene)?;
    let (log, last) = bursts_beside_a_console(&mut scene);
    Some(Won { system, queue, reader, in_use, fixed, journal_mode, beside_a_reader, workers, log, last })
}

/// Two workers on the queue, each of which waits for as long as the profile says.
fn workers(scene: &Scene) -> Option<Vec<Wrote>> {
    let worker = Writer {
        hold: Duration::from_millis(10),
        pause: Duration::from_millis(1),
        timeout: Duration::from_secs(30),
    };
    let workers = [worker.start("one", &scene.queue)?, worker.start("other", &scene.queue)?];
    let workers = workers.map(Program::go);
    std::thread::sleep(Duration::from_millis(500));
    Some(workers.map(Program::wrote).into())
}

/// Bytes of the log after each burst, where a console that is left open has moved all of it before the next one; and the
/// last of its checkpoints that has ended. The end of the console may interrupt one more.
fn bursts_beside_a_console(scene: &mut Scene) -> (Vec<u64>, LastCheckpoint) {
    // What the bursts before it left is cut off, as `c` does.
    let truncated = scene.home.run(&["checkpoint", "--mode", "truncate", &scene.queue.display().to_string()]);
    assert_eq!(truncated.code, Some(0), "{truncated:?}");
    let mut console = Terminal::open(&scene.home.root(), &[&scene.queue.display().to_string()], LARGE);
    console.shows("checkpoint PASSIVE every 1 s");
    let mut log = Vec::new();
    for _ in 0..BURSTS {
        // Each burst finds a thinker at work, whose read is over before the next.
        scene.thinker[1].sql("BEGIN").sql("SELECT count(*) FROM tasks");
        scene.task[1].sql(BURST);
        log.push(scene.log());
        scene.thinker[1].sql("COMMIT");
        eventually("the schedule has moved all of it", || {
            (scene.home.status(&scene.queue)["wal"]["pending"] == 0).then_some(())
        });
    }
    let last = eventually("a checkpoint has ended", || {
        let last = scene.home.status(&scene.queue)["schedule"]["last"].take();
        let last: LastCheckpoint = serde_json::from_value(last).expect("there was one");
        last.complete.is_some().then_some(last)
    });
    console.keys("q");
    assert_eq!(console.end(), 0);
    (log, last)
}

#[test]
fn the_old_way_tasks_are_refused_at_once_and_the_log_grows_without_end() {
    let Some(lost) = lose() else { return };
    for told in [&lost.system, &lost.queue] {
        assert_eq!(told.as_deref(), Some("database is locked"), "{lost:?}");
    }
    assert_eq!(lost.named[0].readers, [lost.culprits[0]], "{lost:?}");
    // Refused at once, it can be before the first sample of the hold.
    let culprit = lost.named[1].holder.or(lost.named[1].longest);
    assert_eq!(culprit, Some(lost.culprits[1]), "{lost:?}");
    for (number, bytes) in (1..).zip(&lost.log) {
        assert!(*bytes >= number * lost.log[0] * 9 / 10, "{lost:?}");
    }
}

#[test]
fn it_is_found_and_put_right_and_the_log_stays_as_small_as_a_burst() {
    let Some(won) = win() else { return };
    let found = |findings: &[Finding], kind: FindingKind| findings.iter().find(|it| it.kind == kind).cloned();
    assert!(found(&won.system, FindingKind::RollbackJournal).is_some(), "{won:?}");
    let pinned = found(&won.queue, FindingKind::PinnedWal).expect("it waited for it");
    assert!(won.queue.iter().any(|it| it.kind == FindingKind::LargeWal) && pinned.pid.is_some(), "{won:?}");

    let refused = won.in_use.err.as_str();
    assert_eq!(won.in_use.code, Some(2), "{won:?}");
    assert!(refused.contains("is in use") && refused.contains(&won.reader.to_string()), "{refused}");
    assert_eq!((won.fixed.code, won.journal_mode.as_str()), (Some(0), "wal"), "{won:?}");
    assert_eq!(won.beside_a_reader, None);
    for worker in &won.workers {
        assert_eq!(worker.busy, 0, "{worker:?}");
        assert!(!worker.waits_ms.is_empty());
    }
    assert_eq!(won.last.complete, Some(true), "{:?}", won.last);
    // Three bursts without a checkpoint would be three times as much.
    assert!(won.log.iter().all(|bytes| *bytes < 2 * won.log[0]), "{:?}", won.log);
}
