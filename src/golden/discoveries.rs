//! The list that `waltop discover` prints.

use super::Lines;
use crate::{
    cli::discover::report::{DiscoveredDatabase, DiscoveredProcess, DiscoveryReport},
    diagnose::fixture::{at, pinned},
    snapshot::{GroupKind, JournalMode, LockHold, LockHolder, ProcessGroup, Unseen},
};

pub fn add(lines: &mut Lines) {
    let in_container = |name: &str| ProcessGroup {
        kind: GroupKind::Docker,
        id: Some(format!("3f2a9c0b7d1e{}", "0".repeat(52))),
        name: Some(name.to_owned()),
    };
    let process = |pid, inner_pid, group, holds| DiscoveredProcess {
        pid,
        inner_pid,
        start_ticks: Some(4200),
        label: "app.py".to_owned(),
        user: Some("web".to_owned()),
        group,
        holds,
    };
    let database = |argument: &str, group, processes| DiscoveredDatabase {
        argument: argument.into(),
        path: "/proc/71168/root/data/app.db".into(),
        inner_path: "/data/app.db".into(),
        group,
        journal_mode: Some(JournalMode::Wal),
        db_bytes: Some(8 << 20),
        wal_bytes: Some(4 << 20),
        writer: Some(LockHolder { pid: Some(71_168), label: None, held_ms: Some(3200.0) }),
        processes,
        findings: Vec::new(),
        unfit: None,
    };
    let writer = process(71_168, Some(12), in_container("web"), vec![LockHold::Write, LockHold::Read(1)]);
    let visitor = process(71_300, None, ProcessGroup::HOST, Vec::new());
    let plain = DiscoveredDatabase {
        journal_mode: Some(JournalMode::Rollback),
        wal_bytes: None,
        writer: None,
        findings: pinned().findings,
        ..database(
            "/srv/notes.db",
            ProcessGroup::HOST,
            vec![process(9, None, ProcessGroup::HOST, Vec::new())],
        )
    };
    let gone = DiscoveredDatabase {
        journal_mode: None,
        db_bytes: None,
        wal_bytes: None,
        writer: None,
        ..database("/srv/old.db", ProcessGroup::HOST, Vec::new())
    };
    let unseen = vec![Unseen {
        what: "open files of 3 processes of other users".to_owned(),
        why: "permission denied".to_owned(),
    }];
    let report = |databases: Vec<DiscoveredDatabase>, unseen| DiscoveryReport {
        taken_at: at(0),
        host: "lab".to_owned(),
        exit: u8::from(databases.is_empty()),
        databases,
        unseen,
    };
    let in_web = database("3f2a9c0b7d1e:/data/app.db", in_container("web"), vec![writer, visitor]);
    lines.add("DiscoveryReport", &report(Vec::new(), Vec::new()));
    lines.add("DiscoveryReport", &report(Vec::new(), unseen.clone()));
    lines.add("DiscoveryReport", &report(vec![in_web, plain, gone], unseen));
}
