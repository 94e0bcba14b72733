//! A healthy live database for the tests of the rules, to be made ill in one respect.

use std::path::Path;

use jiff::{SignedDuration, Timestamp};

pub use crate::snapshot::{FindingKind, RemedyAction};

use super::{RuleInput, findings, rule};
use crate::{
    config::Config,
    snapshot::{BatchDecision, LockSharing, *},
    state::places::Places,
};

/// A process that writes now and then.
pub const WRITER: i32 = 71_201;
pub const READER: i32 = 71_168;
/// A process of ours that takes files in, or did.
pub const INGESTER: i32 = 71_300;

/// `notes.db` in WAL mode with two processes: a short write, and a short read at the newest frame.
pub fn live() -> Database {
    Database {
        path: "/srv/notes.db".into(),
        files: DatabaseFiles { db: Some(file(1)), wal: Some(file(2)), shm: Some(file(3)), journal: None },
        header: Some(FileHeader {
            journal_mode: JournalMode::Wal,
            page_size: 4096,
            page_count: 1446,
            free_pages: Some(0),
            change_counter: Some(1),
            user_version: 3,
            application_id: 0,
            auto_vacuum: AutoVacuum::None,
            schema_cookie: 1,
            written_by: Some("3.54.1".to_owned()),
        }),
        wal: Some(wal(19_031, 19_000)),
        content: ContentEvidence::default(),
        space: Vec::new(),
        commits: None,
        filesystem: Some(Filesystem {
            kind: "ext4".to_owned(),
            mounted_at: "/srv".into(),
            read_only: Some(false),
            bytes: Some(100_000_000_000),
            free_bytes: Some(50_000_000_000),
            locks_match: Some(true),
        }),
        folder: Some(FolderFacts { uid: 1000, gid: 1000, mode: 0o755, owner_may_write: Some(true) }),
        locks: DatabaseLocks {
            writer: Some(held(WRITER, 20.0)),
            readers: vec![reader(READER, 1, 19_031, 50.0)],
            index_held: true,
            window_ms: Some(60_000.0),
            ..DatabaseLocks::default()
        },
        processes: vec![process(WRITER, "bun"), process(READER, "python3")],
        handle_growth: Vec::new(),
        restarts: Vec::new(),
        pragmas: PragmaCompliance::default(),
        ingestions: Vec::new(),
        watchers: Vec::new(),
        findings: Vec::new(),
        suspicions: Vec::new(),
        is_complete: true,
        locks_beside: Vec::new(),
        reach: PathReach::Direct,
        overlays: Vec::new(),
        unfit: None,
        schedule: None,
    }
}

/// The same database, with nobody who reads or writes.
pub fn quiet() -> Database {
    let mut database = live();
    database.locks.writer = None;
    database.locks.readers.clear();
    database
}

/// The same database, pinned by the reader at frame 812 for three days and twenty hours.
pub fn pinned() -> Database {
    let mut database = live();
    database.wal = Some(wal(19_031, 812));
    database.locks.writer = None;
    database.locks.readers = vec![reader(READER, 1, 812, 331_200_000.0)];
    database
}

/// The same database with a rollback journal.
pub fn rollback() -> Database {
    let mut database = live();
    if let Some(header) = &mut database.header {
        header.journal_mode = JournalMode::Rollback;
    }
    database.wal = None;
    database.files.wal = None;
    database.files.shm = None;
    database.locks = DatabaseLocks::default();
    for process in &mut database.processes {
        process.holds_index = false;
        process.handles = Some(HandleCounts { db: 1, wal: 0, shm: 0 });
        process.index_read_only = None;
        process.maps_index = Some(false);
    }
    database
}

/// An ingestion of `/srv/notes` that has come to its end.
pub fn ingestion(run: &str) -> Ingestion {
    Ingestion {
        run: run.to_owned(),
        pid: INGESTER,
        start_ticks: Some(2000),
        state: IngestionState::Completed,
        folders: vec!["/srv/notes".to_owned()],
        files_total: Some(556),
        files_done: 556,
        files_unchanged: 0,
        files_failed: 0,
        batches: 32,
        batch_size: Some(10),
        hold_ms: Some(DurationSpread { p50: 20.0, p99: 40.0, max: 50.0 }),
        wait_ms: Some(DurationSpread { p50: 1.0, p99: 3.0, max: 9.0 }),
        busy_retries: 0,
        started_at: at(0),
        finished_at: Some(at(60)),
        recent_holds_ms: vec![20.0, 50.0],
        recent_batches: vec![batch(20, 10, 20.0), batch(30, 10, 50.0)],
        slowest_batch: Some(batch(30, 10, 50.0)),
        decided: Some(BatchDecision {
            most_files: 34,
            most_ms: Some(13.3),
            gap_ms: 41.0,
            sharing: LockSharing::OpenElsewhere,
        }),
        last_batch_at: Some(at(50)),
        last_told_at: Some(at(60)),
        silent_ms: None,
        failures: Vec::new(),
        files_in_part: 0,
        in_part: Vec::new(),
        files_ignored_tracked: None,
        embedding: None,
        error: None,
        carries_on: None,
    }
}

/// A batch that had committed `seconds` after the fixture's clock began.
pub fn batch(seconds: i64, files: u64, hold_ms: f64) -> IngestedBatch {
    IngestedBatch { at: at(seconds), files, bytes: Some(files * 4096), wait_ms: 1.0, hold_ms, retries: 0 }
}

/// `seconds` after the fixture's clock began; the looks are taken 70 seconds after it.
pub fn at(seconds: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds)
}

/// The findings of one look without one before.
pub fn findings_of(database: &Database) -> Vec<Finding> {
    findings_after(None, database)
}

/// The findings of the second of two looks.
pub fn findings_after(previous: Option<&Database>, database: &Database) -> Vec<Finding> {
    findings_with(&config(), previous, database)
}

/// The findings on a database that two samples show alike, so that the second confirms the first.
pub fn twice(database: &Database) -> Vec<Finding> {
    findings_after(Some(database), database)
}

/// [`findings_after`] under `config`.
pub fn findings_with(config: &Config, previous: Option<&Database>, database: &Database) -> Vec<Finding> {
    let sampled = |database: &Database, previous: Option<&Database>, at| {
        let suspicions = super::suspicion::suspicions(database, previous, at);
        Database { suspicions, ..database.clone() }
    };
    let previous = previous.map(|it| {
        let times = (66..70).map(at);
        times.fold(sampled(it, None, at(65)), |before, now| sampled(it, Some(&before), now))
    });
    let database = &sampled(database, previous.as_ref(), at(70));
    let found = findings(&RuleInput {
        database,
        previous: previous.as_ref(),
        profile: &config.profile,
        config,
        pidfiles: &[],
        pidfiles_before: &[],
        taken_at: at(70),
    });
    assert_declared(&found);
    found
}

/// Each finding is as its rule declares it.
pub fn assert_declared(findings: &[Finding]) {
    for finding in findings {
        let facts = rule(finding.kind).facts();
        assert!(facts.severity.contains(finding.severity), "{finding:?}");
        assert!(finding.remedy.action.is_none_or(|it| facts.actions.contains(&it)), "{finding:?}");
    }
}

/// What holds where nothing is set.
pub fn config() -> Config {
    Config::new(Places::under(Path::new("/srv")))
}

/// The kind, severity and PID of each finding.
pub fn outline(findings: &[Finding]) -> Vec<(FindingKind, Severity, Option<i32>)> {
    findings.iter().map(|it| (it.kind, it.severity, it.pid)).collect()
}

pub fn snapshot(databases: Vec<Database>) -> Snapshot {
    Snapshot {
        taken_at: jiff::Timestamp::UNIX_EPOCH,
        host: "here".to_owned(),
        looker: Some(SamplingProcess { pid: 70_000, uid: 1000, ancestors: vec![69_999, 1] }),
        databases,
        pidfiles: Vec::new(),
        trace: None,
        sampling: None,
        unseen: Vec::new(),
    }
}

/// Holds of `pid` in a window: how many, the longest and their sum in ms.
pub fn holds(pid: i32, count: u64, max_ms: f64, total_ms: f64) -> ProcessHolds {
    ProcessHolds { pid: Some(pid), label: None, count, max_ms, max_is_checkpoint: false, total_ms }
}

pub fn wal(frames: u32, backfilled: u32) -> WalState {
    WalState {
        frames: Some(frames),
        backfilled: Some(backfilled),
        pending: Some(frames - backfilled),
        checkpoint_sequence: Some(7),
        source: WalSource::Index,
        page_count: Some(1446),
        slots: Some(frames),
        commits: Some(1),
        read_marks: None,
        growth_bytes_per_second: None,
        progress: None,
        uncommitted_frames: None,
    }
}

pub fn held(pid: i32, held_ms: f64) -> LockHolder {
    LockHolder { pid: Some(pid), label: None, held_ms: Some(held_ms) }
}

pub fn reader(pid: i32, slot: u8, frame: u32, held_ms: f64) -> LogReader {
    LogReader { pid: Some(pid), label: None, slot: Some(slot), frame: Some(frame), held_ms: Some(held_ms) }
}

pub fn process(pid: i32, name: &str) -> Process {
    Process {
        start_ticks: Some(1000),
        command: vec![name.to_owned()],
        user: Some("me".to_owned()),
        uid: Some(1000),
        parent: Some(1),
        state: ProcessState::Sleeping,
        handles: Some(HandleCounts { db: 1, wal: 1, shm: 1 }),
        read_only: Some(false),
        index_read_only: Some(false),
        maps_database: Some(false),
        temp_files: Some(0),
        temp_bytes: Some(0),
        maps_index: Some(true),
        holds_index: true,
        pairing: PairingFacts {
            holds_main: true,
            only_reads_files: Some(false),
            writes_log: true,
            ..PairingFacts::default()
        },
        ..Process::unknown(pid, name.to_owned())
    }
}

fn file(inode: u64) -> FileFacts {
    FileFacts {
        bytes: 4096,
        device: "fe:00".to_owned(),
        inode,
        uid: 1000,
        gid: Some(1000),
        mode: 0o644,
        modified_at: None,
    }
}
