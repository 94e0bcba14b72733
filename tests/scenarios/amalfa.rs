//! Amalfa, 2026-01-15: an ingestion beside daemons that were left running.
//!
//! The report: 555 files in batches of 50, each file worked on for 130 ms inside of the transaction, so that a batch
//! held the write lock for 6 to 7 s. Everybody waited for it for 5 s. A file watcher and a vector daemon had been running
//! for days, and new ones were started beside them. After 82 files the ingestion ended with `SQLITE_BUSY`. The fix there
//! was to end the old daemons by hand and to take batches of 10, which held the lock for 1.6 s: 556 of 556 in 87 s.
//!
//! The scale of the test: 5 to 1. A file takes 26 ms, a batch some 1.3 s, and everybody waits for 1 s. With waltop the
//! 26 ms are those of a server that makes a vector of each file. The rest of what it does is not scaled.

use std::{path::PathBuf, time::Duration};

use waltop::ingest::RunSummary;

use super::{
    cast::{Home, Imported, Importer, Program, Scale, Writer, Wrote, embedder, rows},
    corpus,
    recorded::{Named, Recorder},
};
use crate::support::eventually;

/// The scale of the test.
pub const SCALE: Scale = Scale(5);

const DOCUMENTS: usize = 556;
/// Files to a transaction.
const BATCH: usize = 50;
/// For each of them, in ms.
const WORK: u64 = 130;
const BUSY_TIMEOUT: u64 = 5000;
/// Between two batches: to read on, and no longer than the pause of somebody who waits for the lock.
const PAUSE: u64 = 250;

/// The daemons of the report, of which there should be one each.
const DAEMONS: [&str; 2] = ["watcher", "vectors"];

/// How it was lost.
#[derive(Debug)]
pub struct Lost {
    pub documents: usize,
    /// For how long everybody waits, in ms.
    pub busy_timeout_ms: f64,
    pub ingestion: Imported,
    /// How often the daemons were refused.
    pub busy_of_daemons: u64,
    /// The documents that the database has in the end.
    pub rows: u64,
    /// The daemons, and whom a recording names for the moment of the error.
    pub daemons: Vec<i32>,
    pub named: Named,
}

/// How it was won.
#[derive(Debug)]
pub struct Won {
    pub documents: usize,
    /// The daemons that were left running.
    pub old: Vec<i32>,
    /// Those that waltop called stale, with the cause.
    pub stale: Vec<(i32, String)>,
    /// Those that were gone after `waltop reap`.
    pub reaped: Vec<i32>,
    /// The new daemons, which have to stay.
    pub all_new_live: bool,
    pub ingestion: RunSummary,
    /// What the new daemons wrote meanwhile.
    pub daemons: Vec<Wrote>,
    pub busy_timeout_ms: f64,
}

struct Scene {
    home: Home,
    database: PathBuf,
    notes: PathBuf,
    scale: Scale,
}

impl Scene {
    fn new(scale: Scale) -> Self {
        let home = Home::new();
        let database = home.database(
            "amalfa.db",
            &[
                "PRAGMA journal_mode = WAL",
                "CREATE TABLE documents (path TEXT, body TEXT)",
                "CREATE TABLE theirs (who TEXT)",
            ],
        );
        let notes = home.at("notes");
        corpus::write(&notes, DOCUMENTS).expect("the notes");
        Self { home, database, notes, scale }
    }

    /// Both daemons as they were: they work in batches of their own, inside of the transaction.
    fn old_daemons(&self) -> Option<Vec<Program>> {
        let batch = WORK * BATCH as u64;
        let daemon =
            Writer { hold: self.scale.ms(batch), pause: self.scale.ms(PAUSE), timeout: self.timeout() };
        DAEMONS.iter().map(|name| daemon.start(name, &self.database)).collect()
    }

    /// Both daemons as they ought to be: what they do before they write is no transaction's affair.
    fn new_daemons(&self) -> Option<Vec<Program>> {
        let daemon =
            Writer { hold: Duration::ZERO, pause: Duration::from_millis(20), timeout: self.timeout() };
        DAEMONS.iter().map(|name| daemon.start(name, &self.database)).collect()
    }

    fn timeout(&self) -> Duration {
        self.scale.ms(BUSY_TIMEOUT)
    }
}

/// The ingestion of the report, beside its daemons; `None` where there is no Python to play them.
pub fn lose(scale: Scale) -> Option<Lost> {
    let scene = Scene::new(scale);
    // They look for something to do until there is something.
    let daemons = scene.old_daemons()?;
    let importer = Importer {
        folder: &scene.notes,
        batch: BATCH,
        work: scale.ms(WORK),
        pause: scale.ms(PAUSE),
        timeout: scene.timeout(),
    };
    let recorder = Recorder::start(&scene.home, &[&scene.database]);
    let ingestion = importer.start("ingest", &scene.database)?.go();
    eventually("the ingestion has the write lock", || {
        (scene.home.status(&scene.database)["locks"]["writer"]["pid"] == ingestion.pid()).then_some(())
    });
    let daemons: Vec<Program> = daemons.into_iter().map(Program::go).collect();
    let ingestion = ingestion.imported();
    let named = recorder.named(&scene.home, &scene.database, ingestion.error_time());
    let pids = daemons.iter().map(Program::pid).collect();
    let busy_of_daemons = daemons.into_iter().map(|it| it.wrote().busy).sum();
    let rows = rows(&scene.database, "documents");
    let busy_timeout_ms = scene.timeout().as_secs_f64() * 1e3;
    let documents = DOCUMENTS;
    Some(Lost { documents, busy_timeout_ms, ingestion, busy_of_daemons, rows, daemons: pids, named })
}

/// The same with waltop: it shows who is stale and ends them, and then takes the notes in beside the new daemons.
pub fn win(scale: Scale) -> Option<Won> {
    let scene = Scene::new(scale);
    let rules = DAEMONS.map(|name| {
        format!("[[daemon]]\nname = '{name}'\npattern = 'old_way.py writer name={name} '\nsingleton = true\n")
    });
    scene.home.set("config.toml", &rules.join("\n"));
    let mut old: Vec<Program> = scene.old_daemons()?.into_iter().map(Program::go).collect();
    let mut new: Vec<Program> = scene.new_daemons()?.into_iter().map(Program::go).collect();

    let path = scene.database.display().to_string();
    let answer = scene.home.json(&["reap", "--dry-run", "--json", "--for", "500ms", &path]);
    let candidates = answer["databases"][0]["candidates"].as_array().expect("a list").iter().map(|it| {
        let cause = it["causes"][0]["cause"].as_str().expect("a cause").to_owned();
        (it["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok()).expect("a PID"), cause)
    });
    let condemned = candidates.collect();
    let said = scene.home.run(&["reap", "--yes", "--for", "500ms", &path]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let end = |it: &mut Program| {
        eventually("an old daemon has ended", || it.has_ended().then_some(()));
        it.pid()
    };
    let reaped = old.iter_mut().map(end).collect();

    // What they were refused until here, it was the old ones that refused it.
    new.iter_mut().for_each(Program::anew);
    let (notes, embedder) = (scene.notes.display().to_string(), embedder(scale.ms(WORK)));
    let said = scene.home.run(&["ingest", "--json", "--db", &path, "--embed", &embedder.url(), &notes]);
    let ingestion = said.summary();
    let all_new_live = new.iter_mut().all(|it| !it.has_ended());
    Some(Won {
        documents: DOCUMENTS,
        old: old.iter().map(Program::pid).collect(),
        stale: condemned,
        reaped,
        all_new_live,
        ingestion,
        daemons: new.into_iter().map(Program::wrote).collect(),
        busy_timeout_ms: scene.timeout().as_secs_f64() * 1e3,
    })
}

#[test]
fn the_old_way_is_refused_and_ends_before_its_end() {
    let Some(lost) = lose(SCALE) else { return };
    assert_eq!(lost.ingestion.error.as_deref(), Some("database is locked"), "{lost:?}");
    assert!(lost.ingestion.longest_hold_ms > lost.busy_timeout_ms, "{lost:?}");
    assert!(
        lost.rows > 0 && lost.rows < lost.documents as u64 && lost.rows == lost.ingestion.ingested,
        "{lost:?}"
    );
    assert!(lost.named.holder.is_some_and(|pid| lost.daemons.contains(&pid)), "{lost:?}");
}

#[test]
fn who_was_left_running_is_shown_and_ended_and_all_is_ingested_without_a_refusal() {
    use waltop::{ingest::embed::EmbeddingSummary, state::journal::RunOutcome};
    let Some(mut won) = win(SCALE) else { return };
    won.stale.sort();
    let mut expected: Vec<_> = won.old.iter().map(|&pid| (pid, "duplicate".to_owned())).collect();
    expected.sort();
    assert_eq!((&won.stale, &won.reaped), (&expected, &won.old));
    assert!(won.all_new_live);
    let ours = &won.ingestion;
    assert_eq!(
        (ours.ingested, ours.failed.len(), ours.outcome),
        (won.documents as u64, 0, RunOutcome::Completed),
        "{ours:?}"
    );
    assert!(ours.embedding.as_ref().is_some_and(EmbeddingSummary::is_complete), "{ours:?}");
    assert!(ours.hold.is_some_and(|hold| hold.max < won.busy_timeout_ms / 2.0), "{ours:?}");
    for daemon in &won.daemons {
        assert_eq!(daemon.busy, 0, "{daemon:?}");
        assert!(!daemon.waits_ms.is_empty(), "it wrote meanwhile");
    }
}
