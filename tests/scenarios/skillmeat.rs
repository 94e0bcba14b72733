//! `SkillMeat`, 2026-02-27: five imports at once, each in one transaction.
//!
//! The report: an import of 100 artifacts was one transaction that held the write lock for 3 to 4 s. Five of them took
//! 17.5 s one after another, and whatever else wrote waited as long; timeouts of 30 s hid it. What was asked for: holds
//! under 500 ms, 99 % of other writes under 1 s, more than 99.5 % of requests done, an artifact that fails leaves the
//! others, a warning from 1 s on and an alarm from 2 s on.
//!
//! The scale of the test: 10 to 1. An artifact takes 3.5 ms, an import some 350 ms, the timeout is 3 s, and the
//! thresholds for what held the lock too long are 100 and 200 ms. With waltop the 3.5 ms are those of a server that makes
//! a vector of each document. The rest of what it does is not scaled.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Child,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use waltop::{ingest::RunSummary, snapshot::Finding};

use super::{
    cast::{Home, Imported, Importer, Program, Said, Scale, Writer, Wrote, embedder, rows},
    corpus,
    recorded::{Named, Recorder},
};

/// The scale of the test.
pub const SCALE: Scale = Scale(10);

const IMPORTS: usize = 5;
const DOCUMENTS: usize = 100;
/// For each of them, in ms.
const WORK: u64 = 35;
const TIMEOUT: u64 = 30_000;
/// From when on a hold is told, and from when on it is an error.
const THRESHOLDS: [u64; 2] = [1000, 2000];
/// How often the bystander writes.
const EVERY: Duration = Duration::from_millis(20);

/// How it was lost.
#[derive(Debug)]
pub struct Lost {
    pub imports: Vec<Imported>,
    /// From the start of the first to the end of the last, in ms.
    pub elapsed_ms: f64,
    pub bystander: Wrote,
    /// What `waltop check` said meanwhile of the lock.
    pub findings: Vec<Finding>,
    /// The shortest time for which an import can have had the lock, in ms.
    pub least_hold_ms: f64,
    /// The processes of the imports, and whom a recording names for the middle of them.
    pub pids: Vec<i32>,
    pub named: Named,
}

/// How it was won.
#[derive(Debug)]
pub struct Won {
    pub imports: Vec<RunSummary>,
    /// Their exit codes.
    pub codes: Vec<Option<i32>>,
    /// From the start of the first to the end of the last, in ms.
    pub elapsed_ms: f64,
    pub bystander: Wrote,
    /// The documents that the database has in the end.
    pub rows: u64,
}

struct Scene {
    home: Home,
    database: PathBuf,
    scale: Scale,
}

impl Scene {
    fn new(scale: Scale) -> Self {
        let home = Home::new();
        let database = home.database(
            "skillmeat.db",
            &[
                "PRAGMA journal_mode = WAL",
                "CREATE TABLE documents (path TEXT, body TEXT)",
                "CREATE TABLE theirs (who TEXT)",
            ],
        );
        for number in 0..IMPORTS {
            corpus::write(&folder(&home, number), DOCUMENTS).expect("the documents");
        }
        Self { home, database, scale }
    }

    fn path(&self) -> String {
        self.database.display().to_string()
    }

    fn bystander(&self) -> Option<Program> {
        let writer = Writer { hold: Duration::ZERO, pause: EVERY, timeout: self.scale.ms(TIMEOUT) };
        writer.start("bystander", &self.database).map(Program::go)
    }

    /// Holds are told from the report's thresholds on, as this scene is scaled.
    fn warn_of_holds(&self) {
        // A share of the 5 s for which the profile asks.
        let share = THRESHOLDS.map(|ms| self.scale.ms(ms).as_secs_f64() / 5.0);
        self.home
            .set("config.toml", &format!("[thresholds]\nlong_write_lock = [{}, {}]\n", share[0], share[1]));
    }

    fn import(&self, folder: &Path, options: &[&str]) -> Child {
        let folder = folder.display().to_string();
        let path = self.path();
        let args = [&["ingest", "--json", "--db", &path], options, &[&folder]].concat();
        self.home.command(&args).spawn().expect("waltop starts")
    }
}

fn folder(home: &Home, number: usize) -> PathBuf {
    home.at(&format!("source-{number}"))
}

/// Five imports at once, each in one transaction, beside a bystander; `None` where there is no Python to play them.
pub fn lose(scale: Scale) -> Option<Lost> {
    let scene = Scene::new(scale);
    scene.warn_of_holds();
    let bystander = scene.bystander()?;
    let start = |number| {
        let importer = Importer {
            folder: &folder(&scene.home, number),
            batch: DOCUMENTS,
            work: scale.ms(WORK),
            pause: Duration::ZERO,
            // As long at any scale: on a busy machine the work takes longer, and all of them shall get through.
            timeout: Duration::from_millis(TIMEOUT),
        };
        importer.start("import", &scene.database)
    };
    let imports: Vec<Program> = (0..IMPORTS).map(start).collect::<Option<_>>()?;
    let least_hold = scale.ms(WORK) * u32::try_from(DOCUMENTS).expect("small");
    let recorder = Recorder::start(&scene.home, &[&scene.database]);
    // From before them until the last of them has the lock.
    let check = scene.home.check(&scene.database, least_hold * 5);
    let (began, start) = (Instant::now(), Timestamp::now());
    let imports: Vec<Program> = imports.into_iter().map(Program::go).collect();
    let pids = imports.iter().map(Program::pid).collect();
    let imports = imports.into_iter().map(Program::imported).collect();
    let elapsed = began.elapsed();
    let findings = Said::of(check).findings();
    let named = recorder.named(&scene.home, &scene.database, start + elapsed / 2);
    let elapsed_ms = elapsed.as_secs_f64() * 1e3;
    let least_hold_ms = least_hold.as_secs_f64() * 1e3;
    Some(Lost { imports, elapsed_ms, bystander: bystander.wrote(), findings, least_hold_ms, pids, named })
}

/// The same five folders by five ingestions at once; `None` where there is no Python to play the bystander.
pub fn win(scale: Scale) -> Option<Won> {
    let scene = Scene::new(scale);
    let embedder = embedder(scale.ms(WORK));
    let bystander = scene.bystander()?;
    let began = Instant::now();
    let import = |number| scene.import(&folder(&scene.home, number), &["--embed", &embedder.url()]);
    let imports: Vec<Child> = (0..IMPORTS).map(import).collect();
    let said: Vec<Said> = imports.into_iter().map(Said::of).collect();
    let elapsed_ms = began.elapsed().as_secs_f64() * 1e3;
    Some(Won {
        imports: said.iter().map(Said::summary).collect(),
        codes: said.iter().map(|it| it.code).collect(),
        elapsed_ms,
        bystander: bystander.wrote(),
        rows: rows(&scene.database, "nodes"),
    })
}

/// Five ingestions at once, one of which has a document that is no text.
fn with_a_bad_one() -> (Vec<Said>, u64) {
    let scene = Scene::new(SCALE);
    fs::write(folder(&scene.home, 3).join("bad.md"), b"no \xff text").expect("written");
    let imports: Vec<Child> =
        (0..IMPORTS).map(|number| scene.import(&folder(&scene.home, number), &[])).collect();
    (imports.into_iter().map(Said::of).collect(), rows(&scene.database, "nodes"))
}

/// One ingestion with all in one transaction, as the imports were; what is found where a hold of a millisecond is to
/// be told, and one of `error` is an error.
pub fn in_one_transaction(error: &str) -> Vec<Finding> {
    let scene = Scene::new(SCALE);
    let said = Said::of(scene.import(&folder(&scene.home, 0), &["--batch", "100"]));
    assert_eq!(said.code, Some(0), "{said:?}");
    scene.home.set("config.toml", &format!("[thresholds]\nslow_batch = ['1ms', '{error}']\n"));
    scene.home.findings(&scene.database, Duration::from_millis(50))
}

#[test]
fn the_old_way_they_come_one_after_another_and_everybody_waits() {
    use waltop::snapshot::FindingKind;
    let Some(lost) = lose(SCALE) else { return };
    for import in &lost.imports {
        assert_eq!((import.ingested, import.error.as_deref()), (100, None), "{lost:?}");
        assert!(import.longest_hold_ms >= lost.least_hold_ms, "{lost:?}");
    }
    assert!(lost.elapsed_ms >= 5.0 * lost.least_hold_ms, "{lost:?}");
    // Its longest wait may have ended without the lock.
    let has_waited = lost.bystander.spread().is_some_and(|it| it.max >= lost.least_hold_ms / 2.0);
    assert!(has_waited || lost.bystander.busy > 0, "{lost:?}");
    assert!(lost.named.longest.is_some_and(|pid| lost.pids.contains(&pid)), "{lost:?}");
    // Those that have ended by then are info.
    let is_told = |it: &Finding| it.kind == FindingKind::LongWriteLock && it.pid.is_some();
    assert!(lost.findings.iter().any(is_told), "{:?}", lost.findings);
}

#[test]
fn they_interleave_and_no_process_is_refused() {
    let Some(won) = win(SCALE) else { return };
    assert_eq!((won.codes.as_slice(), won.rows), (&[Some(0); IMPORTS][..], 500), "{won:?}");
    for import in &won.imports {
        assert_eq!((import.ingested, import.failed.len()), (100, 0), "{import:?}");
        assert!(import.hold.is_some_and(|hold| hold.max < 500.0), "{import:?}");
    }
    assert_eq!(won.bystander.busy, 0, "{won:?}");
    assert!(!won.bystander.waits_ms.is_empty());
}

#[test]
fn a_document_that_fails_leaves_the_others() {
    let (said, rows) = with_a_bad_one();
    let codes: Vec<_> = said.iter().map(|it| it.code).collect();
    assert_eq!((codes, rows), (vec![Some(0), Some(0), Some(0), Some(1), Some(0)], 500), "{said:?}");
    let failed = said[3].summary().failed;
    assert!(failed.len() == 1 && failed[0].path.ends_with("bad.md"), "{failed:?}");
}

#[test]
fn a_batch_that_takes_long_is_reported_and_one_that_takes_longer_is_an_error() {
    use waltop::snapshot::{FindingKind, Severity};
    for (error, severity) in [("1h", Severity::Warning), ("2ms", Severity::Error)] {
        let findings = in_one_transaction(error);
        let told: Vec<_> = findings.iter().filter(|it| it.kind == FindingKind::SlowBatch).collect();
        assert!(told.len() == 1 && told[0].severity == severity, "{findings:?}");
    }
}
