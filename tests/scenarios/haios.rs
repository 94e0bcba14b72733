//! HAIOS, 2025-12-23: an ingester that died while a synthesis wrote.
//!
//! The report: a synthesis run was at 37.8 % and held the write lock when the ingester of another process wanted to
//! write. Each had a connection of its own in WAL mode, neither had set a `busy_timeout`, nobody tried again, and the
//! ingester died of an error that it did not expect.
//!
//! There is no scale: the synthesis holds the lock until it is told to go on, which is once everybody has met it.

use std::{path::PathBuf, process::Child, thread, time::Duration};

use waltop::ingest::RunSummary;

use super::{
    cast::{Home, Imported, Importer, Said, refusal, rows, text},
    corpus,
    recorded::{Named, Recorder},
};
use crate::{python::Python, support::eventually};

const DOCUMENTS: usize = 20;
/// What the synthesis had done of its 119 when the ingester came.
const DONE: u64 = 45;
const WHOLE: u64 = 119;
/// For how long the ingestion with a small budget tries.
const BUDGET: &str = "300ms";

/// How it was lost.
#[derive(Debug)]
pub struct Lost {
    pub ingestion: Imported,
    /// The ingester's rows in the end.
    pub rows: u64,
    /// The synthesis, and whom a recording names for the moment of the error.
    pub synthesis: i32,
    pub named: Named,
}

/// How it was won.
#[derive(Debug)]
pub struct Won {
    /// What each ingestion had to take in.
    pub documents: u64,
    /// How many syntheses there were.
    pub syntheses: u64,
    /// The process of all of them.
    pub synthesis: i32,
    /// Whom `waltop status` named as the one with the write lock while the ingestion waited.
    pub named: Option<i32>,
    /// The ingestion that waited until the synthesis was done.
    pub patient: RunSummary,
    /// One with a small budget, while the synthesis had the lock again.
    pub refused: Said,
    /// That one run again after it.
    pub again: RunSummary,
    /// The documents that the database has in the end, and the concepts of the synthesis.
    pub rows: (u64, u64),
    /// What `PRAGMA integrity_check` says.
    pub integrity: String,
}

struct Scene {
    home: Home,
    database: PathBuf,
    notes: PathBuf,
    synthesis: Python,
}

impl Scene {
    fn new() -> Option<Self> {
        let home = Home::new();
        let database = home.database(
            "haios_memory.db",
            &[
                "PRAGMA journal_mode = WAL",
                "CREATE TABLE documents (path TEXT, body TEXT)",
                "CREATE TABLE concepts (text TEXT)",
            ],
        );
        let notes = home.at("notes");
        corpus::write(&notes, DOCUMENTS).expect("the notes");
        let mut synthesis = Python::open(&database)?;
        synthesis.sql("PRAGMA busy_timeout = 0");
        Some(Self { home, database, notes, synthesis })
    }

    /// The synthesis writes from concept to concept in one transaction.
    fn synthesise(&mut self, from: u64, to: u64) {
        for number in from..to {
            self.synthesis.sql(&format!("INSERT INTO concepts VALUES ('concept {number}')"));
        }
    }

    fn ingest(&self, more: &[&str]) -> Child {
        let (path, notes) = (self.database.display().to_string(), self.notes.display().to_string());
        let args = [&["ingest", "--json", "--db", &path], more, &[&notes]].concat();
        self.home.command(&args).spawn().expect("waltop starts")
    }

    fn more_notes(&self, name: &str) {
        corpus::write(&self.notes.join(name), DOCUMENTS).expect("more notes");
    }

    /// An ingestion of new notes that comes while the synthesis writes; whom `waltop status` names meanwhile.
    fn beside_a_synthesis(&mut self, round: u64) -> (Option<i32>, RunSummary) {
        self.more_notes(&format!("round-{round}"));
        self.synthesis.sql("BEGIN IMMEDIATE");
        self.synthesise(0, DONE);
        let ingestion = self.ingest(&[]);
        let named = eventually("the ingestion knows what is to be written", || {
            let status = self.home.status(&self.database);
            let newest = &status["ingestions"][0];
            let is_there = newest["pid"] == ingestion.id() && newest["files_total"].is_u64();
            let writer = status["locks"]["writer"]["pid"].as_i64();
            is_there.then(|| writer.and_then(|pid| i32::try_from(pid).ok()))
        });
        // For it to be refused some times.
        thread::sleep(Duration::from_millis(100));
        self.synthesise(DONE, WHOLE);
        self.synthesis.sql("COMMIT");
        (named, Said::of(ingestion).summary())
    }
}

/// The ingester of the report beside the synthesis; `None` where there is no Python to play them.
pub fn lose() -> Option<Lost> {
    let mut scene = Scene::new()?;
    let recorder = Recorder::start(&scene.home, &[&scene.database]);
    scene.synthesis.sql("BEGIN IMMEDIATE");
    scene.synthesise(0, DONE);
    let importer = Importer {
        folder: &scene.notes,
        batch: 1,
        work: Duration::ZERO,
        pause: Duration::ZERO,
        timeout: Duration::ZERO,
    };
    let ingestion = importer.start("ingester", &scene.database)?.go().imported();
    let named = recorder.named(&scene.home, &scene.database, ingestion.error_time());
    scene.synthesise(DONE, WHOLE);
    scene.synthesis.sql("COMMIT");
    let (rows, synthesis) = (rows(&scene.database, "documents"), scene.synthesis.pid());
    Some(Lost { ingestion, rows, synthesis, named })
}

/// The same with waltop; `None` where there is no Python to play the synthesis.
pub fn win() -> Option<Won> {
    let mut scene = Scene::new()?;
    let before = Said::of(scene.ingest(&[])).summary();
    assert_eq!(before.ingested, DOCUMENTS as u64, "{before:?}");
    let mut rounds = 0;
    // Whether it comes to write before the lock is given back is not ours to say, so it is tried until it does.
    let (named, patient) = eventually("an ingestion that was refused the lock", || {
        rounds += 1;
        let (named, summary) = scene.beside_a_synthesis(rounds);
        (summary.retries > 0).then_some((named, summary))
    });

    scene.more_notes("last");
    scene.synthesis.sql("BEGIN IMMEDIATE");
    scene.synthesise(0, DONE);
    let refused = Said::of(scene.ingest(&["--budget", BUDGET]));
    scene.synthesise(DONE, WHOLE);
    let at_the_end = refusal(&mut scene.synthesis, "COMMIT");
    assert_eq!(at_the_end, None, "nobody was in the way of the synthesis");
    let again = Said::of(scene.ingest(&[])).summary();
    Some(Won {
        documents: DOCUMENTS as u64,
        syntheses: rounds + 1,
        synthesis: scene.synthesis.pid(),
        named,
        patient,
        refused,
        again,
        rows: (rows(&scene.database, "nodes"), rows(&scene.database, "concepts")),
        integrity: text(&scene.database, "PRAGMA integrity_check"),
    })
}

#[test]
fn the_old_way_the_ingester_dies_at_once_and_has_taken_nothing_in() {
    let Some(lost) = lose() else { return };
    assert_eq!(lost.ingestion.error.as_deref(), Some("database is locked"), "{lost:?}");
    assert_eq!((lost.ingestion.ingested, lost.rows), (0, 0), "{lost:?}");
    assert_eq!(lost.named.holder, Some(lost.synthesis), "{lost:?}");
}

#[test]
fn it_is_tried_again_until_the_synthesis_is_done_or_ended_with_its_name_and_nothing_lost() {
    let Some(won) = win() else { return };
    assert_eq!(won.named, Some(won.synthesis));
    let patient = &won.patient;
    assert_eq!((patient.ingested, patient.failed.len()), (won.documents, 0), "{patient:?}");
    assert!(patient.retries > 0, "{patient:?}");

    assert_eq!(won.refused.code, Some(2), "{:?}", won.refused);
    let line = won.refused.err.lines().last().unwrap_or_default();
    let by = format!("stayed locked for 0.3 s by {} (python3", won.synthesis);
    assert!(line.contains(&by) && line.contains("run this again to resume"), "{line}");

    assert_eq!((won.again.ingested, won.again.failed.len()), (won.documents, 0), "{:?}", won.again);
    // The first ingestion had no synthesis beside it.
    let expected = ((won.syntheses + 1) * won.documents, won.syntheses * WHOLE);
    assert_eq!((won.rows, won.integrity.as_str()), (expected, "ok"));
}
