use std::path::Path;

use super::{Lines, SECONDS, cause, examples, path, text};
use crate::{
    database::{
        self,
        checkpoint::CheckpointError,
        factory::{HeldLock, OpenError},
        fix::FixError,
        health::HealthError,
        holder::BlockingProcess,
        kept_log::KeepLogError,
        migrations::MigrationError,
        optimize::OptimizeError,
        pragmas::PragmaError,
        renumbering::RowidRenumbering,
        rescue::VerifyError,
    },
    diagnose::fixture::{READER, at, live, pinned, quiet},
    diagnose::guard::{self, GuardRefusal},
    observe::{ContainerPathError, UnfitPath},
    rescue::RescueError,
    snapshot::{Database, PathReach, ReachChange, Suspicion, SuspicionKind},
};

pub fn add(lines: &mut Lines) {
    unfit_paths(lines);
    add_refusals(lines);
    openings(lines);
    examples!(*lines, MigrationError {
        MigrationError::Foreign { .. } => [MigrationError::Foreign { path: path(), name: "table nodes".to_owned() }],
        MigrationError::Newer { .. } => [MigrationError::Newer { path: path(), found: 99, known: 6 }],
        MigrationError::Different { .. } => [MigrationError::Different { path: path(), version: 1 }],
        MigrationError::Busy { .. } => [
            MigrationError::Busy { path: path(), holder: Some(blocking()) },
            MigrationError::Busy { path: path(), holder: None },
        ],
        MigrationError::Apply { .. } => [MigrationError::Apply { path: path(), cause: "disk I/O error".to_owned() }],
    });
    examples!(*lines, CheckpointError {
        CheckpointError::Hazard(_) => [CheckpointError::Hazard(hazard())],
        CheckpointError::NotWal { .. } => [CheckpointError::NotWal { path: path() }],
        CheckpointError::Empty { .. } => [CheckpointError::Empty { path: path() }],
        CheckpointError::OtherUser { .. } => [CheckpointError::OtherUser { path: path() }],
        CheckpointError::Examine { .. } => [CheckpointError::Examine { path: path(), cause: cause() }],
        CheckpointError::Open(_) => [CheckpointError::Open(not_a_database())],
    });
    examples!(*lines, FixError {
        FixError::Hazard(_) => [FixError::Hazard(hazard())],
        FixError::Unread { .. } => [FixError::Unread { path: path() }],
        FixError::Held { .. } => [FixError::Held { path: path(), holders: "71168 (python3)".to_owned() }],
        FixError::Renumbers(_) => [FixError::Renumbers(renumbering())],
        FixError::Partly { .. } => [
            FixError::Partly { done: vec!["PRAGMA journal_mode = wal".to_owned()], cause: not_a_database() },
        ],
        FixError::Open(_) => [FixError::Open(not_a_database())],
    });
    examples!(*lines, HealthError {
        HealthError::Hazard(_) => [HealthError::Hazard(hazard())],
        HealthError::OtherUser { .. } => [HealthError::OtherUser { path: path() }],
        HealthError::Examine { .. } => [HealthError::Examine { path: path(), cause: cause() }],
        HealthError::Stopped => [HealthError::Stopped],
        HealthError::Open(_) => [HealthError::Open(not_a_database())],
    });
    examples!(*lines, OptimizeError {
        OptimizeError::InUse { .. } => [OptimizeError::InUse { path: path(), who: "71168 (python3)".to_owned() }],
        OptimizeError::Space { .. } => [
            OptimizeError::Space { folder: "/srv".into(), needed: 80_000_000, free: 9_000_000 },
        ],
        OptimizeError::TemporarySpace { .. } => [
            OptimizeError::TemporarySpace { folder: "/tmp".into(), needed: 80_000_000, free: 9_000_000 },
        ],
        OptimizeError::Renumbers(_) => [OptimizeError::Renumbers(renumbering())],
        OptimizeError::Open(_) => [OptimizeError::Open(not_a_database())],
        OptimizeError::Look(_) => [OptimizeError::Look(PragmaError::Leftover { path: path() })],
    });
    examples!(*lines, PragmaError {
        PragmaError::Leftover { .. } => [PragmaError::Leftover { path: path() }],
        PragmaError::WholeFile { .. } => [PragmaError::WholeFile { path: path(), holder: blocking() }],
        PragmaError::Journal { .. } => [PragmaError::Journal { path: path() }],
        PragmaError::OtherUser { .. } => [PragmaError::OtherUser { path: path() }],
        PragmaError::Folder { .. } => [PragmaError::Folder { path: path() }],
        PragmaError::Changed { .. } => [PragmaError::Changed { path: path() }],
        PragmaError::Examine { .. } => [PragmaError::Examine { path: path(), cause: cause() }],
        PragmaError::Open(_) => [PragmaError::Open(not_a_database())],
    });
}

fn unfit_paths(lines: &mut Lines) {
    examples!(*lines, UnfitPath {
        UnfitPath::Missing { .. } => [
            UnfitPath::Missing { path: text(), nearest: Some("/srv/note.db".to_owned()) },
            UnfitPath::Missing { path: text(), nearest: None },
        ],
        UnfitPath::Directory(_) => [UnfitPath::Directory("/srv".to_owned())],
        UnfitPath::NotAFile(_) => [UnfitPath::NotAFile(text())],
        UnfitPath::Forbidden(_) => [UnfitPath::Forbidden(text())],
        UnfitPath::NotADatabase(_) => [UnfitPath::NotADatabase(text())],
        UnfitPath::Encrypted(_) => [UnfitPath::Encrypted(text())],
        UnfitPath::Wal2(_) => [UnfitPath::Wal2(text())],
        UnfitPath::Sidecar { .. } => [
            UnfitPath::Sidecar { path: "/srv/notes.db-wal".to_owned(), main: "/srv/notes.db".to_owned() },
        ],
        UnfitPath::Damaged(_) => [UnfitPath::Damaged(text())],
        UnfitPath::Truncated { .. } => [UnfitPath::Truncated { path: text(), bytes: 50, expected: 4096 }],
        UnfitPath::Unreadable { .. } => [UnfitPath::Unreadable { path: text(), source: cause() }],
        UnfitPath::Container(_) => [UnfitPath::Container(no_container(Vec::new()))],
    });
    let (container, path) = (|| "docker 3f2a9c0b7d1e web".to_owned(), || "/data/app.db".to_owned());
    examples!(*lines, ContainerPathError {
        ContainerPathError::Unknown { .. } => [no_container(Vec::new()), no_container(vec![container()])],
        ContainerPathError::Ambiguous { .. } => [ContainerPathError::Ambiguous {
            word: "3f2a".to_owned(),
            candidates: vec![container(), "podman 3f2a00112233".to_owned()],
        }],
        ContainerPathError::Missing { .. } => [
            ContainerPathError::Missing { container: container(), path: path() },
        ],
        ContainerPathError::NotAFile { .. } => [
            ContainerPathError::NotAFile { container: container(), path: path() },
        ],
        ContainerPathError::Forbidden { .. } => [ContainerPathError::Forbidden { container: container() }],
        ContainerPathError::Late { .. } => [
            ContainerPathError::Late { argument: "3f2a9c0b7d1e:/data/app.db".to_owned() },
        ],
        ContainerPathError::Unreadable { .. } => [
            ContainerPathError::Unreadable { container: container(), path: path(), source: cause() },
        ],
    });
}

fn no_container(known: Vec<String>) -> ContainerPathError {
    ContainerPathError::Unknown { word: "web".to_owned(), known }
}

fn add_refusals(lines: &mut Lines) {
    examples!(*lines, ReachChange {
        ReachChange::Gone { .. } => [ReachChange::Gone { since: at(0) }],
        ReachChange::Back { .. } => [ReachChange::Back { pid: 77, gone_since: at(0) }],
    });
    let through = |has_ended| Database {
        reach: PathReach::ThroughProcess { pid: 77, has_ended, ended_at: None },
        ..quiet()
    };
    let suspected = |kind, process| {
        let mut database = live();
        let process = database.processes.iter().find(|it| Some(it.pid) == process);
        database.suspicions = vec![Suspicion::new(kind, process, Vec::new(), at(0))];
        database
    };
    let mut owned = quiet();
    owned.files.wal.as_mut().expect("a log").uid = 0;
    for database in [
        through(false),
        through(true),
        suspected(SuspicionKind::Contradiction, None),
        suspected(SuspicionKind::LostIndexLock, Some(READER)),
        owned,
    ] {
        lines.add("GuardRefusal", &guard::refusal(&database, false).expect("a refusal"));
    }
    lines.add("GuardRefusal", &hazard());
}

fn openings(lines: &mut Lines) {
    let held = |holder: Option<BlockingProcess>, readers: usize| {
        let readers = vec![blocking(); readers];
        OpenError::Busy {
            path: path(),
            kept: Box::new(HeldLock { lock: "the write lock", waited: SECONDS, holder, readers }),
        }
    };
    examples!(*lines, OpenError {
        OpenError::Path { .. } => [OpenError::Path { path: path(), cause: cause() }],
        OpenError::Open { .. } => [OpenError::Open { path: path(), cause: database::example_error() }],
        OpenError::NotADatabase { .. } => [not_a_database()],
        OpenError::AnotherNamespace { .. } => [OpenError::AnotherNamespace { path: path() }],
        OpenError::Identity { .. } => [OpenError::Identity { path: path(), cause: cause() }],
        OpenError::ReadOnly { .. } => [OpenError::ReadOnly { path: path() }],
        OpenError::OtherUser { .. } => [OpenError::OtherUser { path: path() }],
        OpenError::Stray { .. } => [
            OpenError::Stray { path: path(), sidecar: "/srv/notes.db-wal".into() },
        ],
        OpenError::Busy { .. } => [held(Some(blocking()), 0), held(None, 0), held(None, 1), held(None, 2)],
        OpenError::Switch { .. } => [OpenError::Switch { path: path(), mode: "delete".to_owned() }],
        OpenError::Schema(_) => [
            OpenError::Schema(MigrationError::Newer { path: path(), found: 99, known: 6 }),
        ],
    });
    for holder in [
        BlockingProcess { name: None, label: None, ..blocking() },
        BlockingProcess { pid: None, name: None, label: None },
    ] {
        lines.add("BlockingProcess", &holder);
    }
}

pub fn add_rescue(lines: &mut Lines) {
    let list = || "7 (main file 12, log 13)".to_owned();
    examples!(*lines, RescueError {
        RescueError::NoProcess { .. } => [RescueError::NoProcess { pid: 7 }],
        RescueError::Hidden { .. } => [RescueError::Hidden { pid: 7, owner: "1000".to_owned() }],
        RescueError::NotOpen { .. } => [RescueError::NotOpen { pid: 7, path: path() }],
        RescueError::NothingDeleted { .. } => [RescueError::NothingDeleted { pid: 7, path: path() }],
        RescueError::Several { .. } => [RescueError::Several { pid: 7, path: path(), list: list() }],
        RescueError::NoSuchInode { .. } => [RescueError::NoSuchInode { pid: 7, inode: 9, list: list() }],
        RescueError::NeedsFreeze { .. } => [RescueError::NeedsFreeze { pid: 7, why: "it has no -shm open" }],
        RescueError::Shared { .. } => [RescueError::Shared { pids: vec![7, 8] }, RescueError::Shared { pids: Vec::new() }],
        RescueError::AlwaysWrites { .. } => [RescueError::AlwaysWrites { pid: 7 }],
        RescueError::NotFrozen { .. } => [RescueError::NotFrozen { pid: 7, why: "it has ended".to_owned() }],
        RescueError::Locked { .. } => [
            RescueError::Locked { what: "the main file", patience_s: 5, holder: Some(7) },
            RescueError::Locked { what: "the main file", patience_s: 5, holder: None },
        ],
        RescueError::InUse { .. } => [RescueError::InUse { pids: vec![7], path: path() }],
        RescueError::Changed { .. } => [RescueError::Changed { what: "/srv/notes.db became shorter".to_owned() }],
        RescueError::Short { .. } => [RescueError::Short { expected: 1_200, found: 3 }],
        RescueError::Exists { .. } => [RescueError::Exists { path: "/srv/copy.db".into() }],
        RescueError::SamePath { .. } => [RescueError::SamePath { pid: 7, path: path() }],
        RescueError::NotEmpty { .. } => [RescueError::NotEmpty { path: "/srv/copies".into() }],
        RescueError::Space { .. } => [
            RescueError::Space { path: "/srv".into(), needed: 80_000_000, free: 9_000_000 },
        ],
        RescueError::Stopped => [RescueError::Stopped],
        RescueError::Io { .. } => [RescueError::io("read /srv/notes.db")(cause())],
    });
    examples!(*lines, VerifyError {
        VerifyError::Stopped(_) => [VerifyError::Stopped("/srv/copy.db".to_owned())],
        VerifyError::Io { .. } => [VerifyError::Io { path: "/srv/copy.db".to_owned(), cause: cause() }],
    });
    examples!(*lines, KeepLogError {
        KeepLogError::Used { .. } => [KeepLogError::Used { path: path() }],
        KeepLogError::Rename { .. } => [
            KeepLogError::Rename { log: Path::new("/srv/notes.db-wal").to_owned(), cause: cause() },
        ],
    });
}

fn hazard() -> GuardRefusal {
    let mut split = pinned();
    split.processes[1].replaced = vec!["/srv/notes.db-wal".to_owned()];
    split.findings = crate::diagnose::fixture::twice(&split);
    guard::refusal(&split, false).expect("a refusal")
}

fn not_a_database() -> OpenError {
    OpenError::NotADatabase { path: path() }
}

fn blocking() -> BlockingProcess {
    BlockingProcess {
        pid: Some(READER),
        name: Some("python3".to_owned()),
        label: Some("report.py".to_owned()),
    }
}

fn renumbering() -> RowidRenumbering {
    RowidRenumbering { table: "pages".to_owned(), index: "pages_fts".to_owned() }
}
