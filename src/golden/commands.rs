//! The lines that the commands print, and parts of them.

use super::{Lines, compare, discoveries};
use crate::{
    cli::{optimize::OptimizeReport, stats::StatsReport},
    database::{
        optimize::VacuumPreflight,
        stats::{DatabaseStats, DocumentStats},
    },
    diagnose::{
        checkpoint::CheckpointBlocker,
        health::{HealthReport, QuickCheck, SeenHolder, WriteProof},
        safe::{
            LeftFile, LeftKind, SafeCopy, SafeProcess, SafePurpose, SafeReport, SafeVerdict, WatchedCommand,
        },
        wait::{GoalState, WaitGoal, WaitReport},
    },
    ingest::{EmbeddingSummary, RunSummary},
    report::{CheckpointReport, FixReport},
    rescue::{CopiedBytes, CopyReport, LogRescue, ProcessRescue, TablePair, TableRows},
    snapshot::{CarriesOn, CheckpointMode, EmbeddingProgress, FailedFile, ProcessManager, Unseen},
    state::journal::RunOutcome,
};

#[test]
fn commands_print_what_is_in_their_file() {
    let mut lines = Lines::default();
    add_ingestions(&mut lines);
    add_checkpoints(&mut lines);
    add_fixes(&mut lines);
    add_health(&mut lines);
    add_figures(&mut lines);
    add_rescues(&mut lines);
    add_safety(&mut lines);
    add_waits(&mut lines);
    discoveries::add(&mut lines);
    compare("commands.txt", &lines);
}

fn blocker() -> CheckpointBlocker {
    CheckpointBlocker {
        pid: Some(71_168),
        label: Some("report.py".to_owned()),
        why: "71168 (python3)".to_owned(),
    }
}

fn add_ingestions(lines: &mut Lines) {
    let whole = RunSummary {
        files_total: 1_200,
        ingested: 1_100,
        unchanged: 100,
        elapsed_ms: 1_500.0,
        ..RunSummary::of_nothing(None, RunOutcome::Completed)
    };
    let file = FailedFile { path: "/srv/notes/a.md".to_owned(), reason: "it is not UTF-8".to_owned() };
    let embedding = EmbeddingSummary {
        model: "mini".to_owned(),
        wanted: 12,
        embedded: 11,
        edges_changed: 3,
        elapsed_ms: 20.0,
        held_ms: 1.0,
        error: None,
    };
    let one = RunSummary {
        ingested: 1,
        ingested_file: Some("/srv/notes/a.md".to_owned()),
        unchanged: 1_199,
        ..whole.clone()
    };
    let part = RunSummary {
        removed: 1,
        failed: vec![file.clone()],
        warned: vec![file],
        ignored_tracked: Some(2),
        embedding: Some(embedding),
        outcome: RunOutcome::Stopped,
        ..whole.clone()
    };
    lines.add("waltop ingest", &whole);
    lines.add("waltop ingest", &one);
    lines.add("waltop ingest", &part);
    let before = |files_total| CarriesOn {
        run: "20260101T000000Z-7".to_owned(),
        pid: 7,
        files_done: 312,
        files_total,
    };
    lines.add("waltop ingest: resumes", &before(Some(556)));
    lines.add("waltop ingest: resumes", &before(None));
    for error in [None, Some("http://127.0.0.1:11434/v1 answered 503".to_owned())] {
        let progress = EmbeddingProgress {
            model: "mini".to_owned(),
            wanted: 556,
            embedded: 312,
            started_at: jiff::Timestamp::UNIX_EPOCH,
            error,
        };
        lines.add("waltop runs: embedding", &progress);
    }
}

fn add_checkpoints(lines: &mut Lines) {
    let of = |moved: Option<u32>, now, complete: bool| CheckpointReport {
        path: "/srv/notes.db".into(),
        mode: CheckpointMode::Truncate,
        dry_run: false,
        busy: !complete,
        frames_in_log: moved.map(|_| 1_200),
        frames_moved: moved,
        frames_moved_now: now,
        waited_ms: 12.0,
        complete,
        blocked_by: vec![blocker()],
    };
    for report in [
        of(Some(1_200), Some(1_200), true),
        of(Some(1_200), Some(0), true),
        of(Some(1_200), Some(200), true),
        of(Some(1_200), None, true),
        of(Some(800), Some(800), false),
        of(None, None, false),
    ] {
        lines.add("waltop checkpoint", &report);
    }
    for (moved, complete) in [(Some(800), false), (None, true), (None, false)] {
        let report = CheckpointReport { dry_run: true, ..of(moved, Some(0), complete) };
        lines.add("waltop checkpoint --dry-run", &report);
    }
}

fn add_fixes(lines: &mut Lines) {
    let nothing = FixReport {
        path: "/srv/notes.db".into(),
        sql: Vec::new(),
        applied: false,
        in_the_way: Vec::new(),
        users: Vec::new(),
        left_alone: vec!["application_id stays 0, not 7".to_owned()],
    };
    let planned = FixReport { sql: vec!["PRAGMA journal_mode = wal".to_owned()], ..nothing.clone() };
    let held = FixReport { in_the_way: vec![blocker(), blocker()], ..planned.clone() };
    let used = FixReport { users: vec![blocker()], ..planned.clone() };
    let done = FixReport { applied: true, ..planned.clone() };
    for report in [nothing, planned, held, used, done] {
        lines.add("waltop fix", &report);
    }
}

fn add_health(lines: &mut Lines) {
    let seen = SeenHolder {
        pid: Some(71_201),
        name: Some("bun".to_owned()),
        label: Some("bun".to_owned()),
        seen_ms: 900.0,
    };
    let healthy = HealthReport {
        path: "/srv/notes.db".into(),
        healthy: true,
        troubles: Vec::new(),
        profile: "hardened".to_owned(),
        pragmas: Vec::new(),
        write: WriteProof { proved: true, waited_ms: 1.0, held_ms: Some(0.5), ..WriteProof::default() },
        recovered: false,
        free_bytes: None,
        quick_check: None,
    };
    let whole = HealthReport {
        recovered: true,
        free_bytes: Some(50_000_000_000),
        quick_check: Some(QuickCheck { ok: true, errors: Vec::new(), took_ms: 30.0 }),
        write: WriteProof {
            made_wait: vec![
                seen.clone(),
                SeenHolder { name: None, ..seen.clone() },
                SeenHolder { pid: None, ..seen },
            ],
            ..healthy.write.clone()
        },
        ..healthy.clone()
    };
    let ill = HealthReport {
        healthy: false,
        troubles: vec!["the file keeps journal_mode delete, not wal".to_owned()],
        write: WriteProof::default(),
        ..healthy.clone()
    };
    for report in [healthy, whole, ill] {
        lines.add("waltop health", &report);
    }
}

fn add_figures(lines: &mut Lines) {
    let stats = |documents| StatsReport {
        path: "/srv/notes.db".into(),
        db_bytes: Some(4_096_000),
        wal_bytes: None,
        shm_bytes: None,
        stats: DatabaseStats { page_size: 4_096, pages: 1_000, free_pages: 10, documents },
        space: Vec::new(),
        space_lines: vec![
            "data 4.06 MB".to_owned(),
            "free pages 41 kB, given back by VACUUM (could not write meanwhile: 71201 (bun))".to_owned(),
        ],
    };
    let documents = |unresolved_edges, embeddings| DocumentStats {
        nodes: 12,
        edges: [("link".to_owned(), 3)].into(),
        unresolved_edges,
        embeddings,
        full_text_bytes: 40_000,
        word_indexes: Vec::new(),
    };
    lines.add("waltop stats", &stats(None));
    lines.add("waltop stats", &stats(Some(documents(0, None))));
    lines.add("waltop stats", &stats(Some(documents(2, Some([("mini".to_owned(), 12)].into())))));
    let planned = OptimizeReport {
        path: "/srv/notes.db".into(),
        sql: vec!["PRAGMA optimize", "VACUUM"],
        applied: false,
        vacuum: Some(VacuumPreflight {
            gives_back_bytes: 96_000,
            needed_bytes: 8_000_000,
            free_bytes: Some(50_000_000_000),
            temporary_folder: "/tmp".into(),
            temporary_needed_bytes: 4_000_000,
            temporary_free_bytes: None,
            would_wait: vec![blocker()],
        }),
        bytes_before: Some(4_096_000),
        bytes_after: None,
    };
    lines.add("waltop optimize", &planned);
    lines.add(
        "waltop optimize",
        &OptimizeReport { applied: true, vacuum: None, bytes_after: Some(4_000_000), ..planned },
    );
}

fn add_rescues(lines: &mut Lines) {
    let copied = CopiedBytes {
        main_bytes: 4_096_000,
        frames: 12,
        frames_moved: None,
        journal_bytes: 512,
        frozen: false,
    };
    let copy = |errors: &[&str], is_complete| CopyReport {
        path: "/srv/copy.db".into(),
        errors: errors.iter().map(|&error| error.to_owned()).collect(),
        is_complete,
    };
    let process = |copied, copy| ProcessRescue {
        path: "/srv/notes.db".into(),
        pid: 71_168,
        copied,
        copy,
        tables: vec![
            TableRows { name: "nodes".to_owned(), rows: Some(1_200) },
            TableRows { name: "edges".to_owned(), rows: None },
        ],
    };
    lines.add("waltop rescue", &process(copied.clone(), copy(&[], true)));
    let frozen = CopiedBytes { frozen: true, frames: 0, journal_bytes: 0, ..copied.clone() };
    lines.add("waltop rescue", &process(frozen, copy(&["page 3: bad", "page 4: bad"], false)));
    let table = TablePair { name: "nodes".to_owned(), with_log: Some(1_200), without_log: Some(1_000) };
    let both = LogRescue {
        path: "/srv/notes.db".into(),
        copied,
        with_log: copy(&[], true),
        without_log: copy(&["page 3: bad"], true),
        tables: vec![table],
    };
    lines.add("waltop rescue", &both);
}

fn unseen() -> Unseen {
    Unseen {
        what: "open files of 3 processes of other users".to_owned(),
        why: "permission denied".to_owned(),
    }
}

fn add_safety(lines: &mut Lines) {
    let child = SafeProcess {
        pid: Some(71_168),
        label: Some("report.py".to_owned()),
        manager: Some(ProcessManager::Nobody),
        parent: Some(71_000),
        parent_label: Some("bash".to_owned()),
        only_reads_files: false,
        replaced: Vec::new(),
        deleted: Vec::new(),
        has_left: false,
    };
    let unit = SafeProcess {
        manager: Some(ProcessManager::Service("notes.service".to_owned())),
        replaced: vec!["/srv/notes.db-wal".to_owned()],
        ..child.clone()
    };
    let deleted = vec!["/srv/notes.db".to_owned()];
    let keeper = SafeProcess { replaced: deleted.clone(), deleted, ..child.clone() };
    let backup = SafeProcess { parent_label: None, only_reads_files: true, has_left: true, ..child.clone() };
    let hidden = SafeProcess { pid: None, label: None, parent: None, ..child.clone() };
    let left = |kind, suffix: &str, advice: &str| LeftFile {
        path: format!("/srv/notes.db{suffix}").into(),
        kind,
        frames: (kind == LeftKind::Log).then_some(1_200),
        bytes: 512,
        advice: advice.to_owned(),
    };
    let nobody = |purpose| SafeReport {
        path: "/srv/notes.db".into(),
        purpose,
        verdict: SafeVerdict::Safe,
        processes: Vec::new(),
        left: Vec::new(),
        files: Vec::new(),
        unseen: Vec::new(),
        copied: None,
        ran: None,
    };
    let copied = SafeCopy { to: "/srv/copy.db".into(), pages: 25, bytes: 102_400, took_ms: 12.0 };
    lines.add("waltop safe", &SafeReport { copied: Some(copied), ..nobody(SafePurpose::Copy) });
    let command = ["sqlite3", "notes.db", "VACUUM INTO 'x'"].map(str::to_owned).to_vec();
    let ran = WatchedCommand { exit_code: Some(0), samples: 12, ..WatchedCommand::new(command) };
    for ran in [
        ran.clone(),
        WatchedCommand { exit_code: None, ..ran.clone() },
        WatchedCommand { unseen: vec![unseen()], ..ran.clone() },
        WatchedCommand { came: vec![child.clone(), unit.clone()], ..ran },
    ] {
        lines.add("waltop safe", &SafeReport { ran: Some(ran), ..nobody(SafePurpose::Vacuum) });
    }
    let files = vec!["/srv/notes.db".to_owned(), "/srv/notes.db-wal".to_owned()];
    for purpose in [SafePurpose::Copy, SafePurpose::Vacuum, SafePurpose::Convert, SafePurpose::Restore] {
        let files = if purpose == SafePurpose::Restore { files.clone() } else { Vec::new() };
        let safe = SafeReport { files, ..nobody(purpose) };
        let found = vec![
            left(LeftKind::HotJournal, "-journal", purpose.advice(LeftKind::HotJournal)),
            left(LeftKind::DoubtfulLog, "-wal", purpose.advice(LeftKind::DoubtfulLog)),
            left(LeftKind::Log, "-wal", purpose.advice(LeftKind::Log)),
        ];
        let used = vec![child.clone()];
        let all = vec![child.clone(), unit.clone(), backup.clone(), hidden.clone()];
        lines.add("waltop safe", &safe);
        lines.add("waltop safe", &SafeReport { left: found, ..safe.clone() });
        let in_use = SafeReport { verdict: SafeVerdict::InUse, processes: used, ..safe.clone() };
        lines.add("waltop safe", &in_use);
        let kept = SafeReport { processes: vec![keeper.clone()], ..in_use.clone() };
        lines.add("waltop safe", &kept);
        lines.add("waltop safe", &SafeReport { processes: all, unseen: vec![unseen()], ..in_use });
        lines.add("waltop safe", &SafeReport { verdict: SafeVerdict::LeftFiles, ..safe.clone() });
        lines.add(
            "waltop safe",
            &SafeReport { verdict: SafeVerdict::Unknown, unseen: vec![unseen()], ..safe },
        );
    }
}

fn add_waits(lines: &mut Lines) {
    let by = || vec![blocker(), blocker()];
    let full = || Some("a checkpoint would grow notes.db by 5 MB, of which 1 MB are not free".to_owned());
    for (until, state) in [
        (WaitGoal::Free, GoalState::Reached),
        (WaitGoal::Free, GoalState::Blocked { by: by(), frames: None, futile: None }),
        (WaitGoal::Free, GoalState::Unknown(unseen())),
        (WaitGoal::Checkpointed, GoalState::Reached),
        (WaitGoal::Checkpointed, GoalState::Blocked { by: by(), frames: Some(1_200), futile: None }),
        (WaitGoal::Checkpointed, GoalState::Blocked { by: Vec::new(), frames: Some(1), futile: None }),
        (WaitGoal::Checkpointed, GoalState::Blocked { by: Vec::new(), frames: Some(1), futile: full() }),
        (WaitGoal::Checkpointed, GoalState::Unknown(unseen())),
    ] {
        lines.add("waltop wait", &WaitReport::new("/srv/notes.db".into(), until, 30_000.0, state));
    }
}
