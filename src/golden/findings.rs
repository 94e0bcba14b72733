use serde_json::json;

use super::{Lines, compare};
use crate::{
    diagnose::{SeverityRange, fixture::*, rule},
    snapshot::*,
};

mod configured;
mod lock_scenes;
mod log_scenes;
mod scenes;

use configured::*;
use lock_scenes::*;
use log_scenes::*;
use scenes::*;

#[test]
fn findings_read_as_in_their_file() {
    let mut lines = Lines::default();
    for &kind in FindingKind::ALL {
        let found = examples_of(kind);
        let facts = rule(kind).facts();
        if let SeverityRange::Of(severities) = facts.severity {
            let shown = |it: &Severity| found.iter().any(|finding| finding.severity == *it);
            assert!(severities.iter().all(shown), "{kind} has no example of each severity");
        }
        let shown = |it: &RemedyAction| found.iter().any(|finding| finding.remedy.action == Some(*it));
        assert!(facts.actions.iter().all(shown), "{kind} has no example of each action");
        for finding in found {
            assert_eq!(finding.kind, kind);
            let Remedy { action, command } = &finding.remedy;
            let remedy = command.as_ref().map_or_else(String::new, |command| format!("\n        {command}"));
            let action = action.map_or_else(String::new, |action| format!(" ({})", json!(action)));
            lines.add(kind.as_str(), &format!("{}: {}{remedy}{action}", finding.severity, finding.message));
        }
    }
    add_causes(&mut lines);
    add_protections(&mut lines);
    add_past_max_age(&mut lines);
    compare("findings.txt", &lines);
}

/// One finding for each sentence of `kind`.
fn examples_of(kind: FindingKind) -> Vec<Finding> {
    use FindingKind::{
        BareClient, BusyLock, CommitStorm, ContendedPool, CrashedIngestion, CrossedLocks, DamagedHeader,
        DeadPidfile, DiskLow, DoubtfulLog, DuplicateDaemon, ExclusiveMode, FailedFiles, ForeignOwner,
        ForkedConnection, HotJournal, LargeWal, LockBeside, LongCheckpoint, LongWriteLock, LostLocks,
        ManyHandles, MappedDatabase, MismatchedFiles, OldSnapshot, OtherLog, OutdatedReader, OutlivedSession,
        OverlayUpper, PinnedWal, PragmaMismatch, ProcessLimit, ReadonlyTrap, RefusedWriters, RestartLoop,
        RestartedCopy, RollbackJournal, SlowBatch, SlowDisk, SplitWal, StaleDaemon, StalledIngestion,
        StoppedHolder, UnreadLog, UnsafeFilesystem, WalResetBug, WalStarved,
    };
    let scenes = match kind {
        SplitWal => split(),
        LostLocks => lost(),
        ForkedConnection => vec![changed(quiet(), |it| {
            (it.processes[0].holds_index, it.processes[0].pairing.holds_main) = (false, false);
            it.processes[0].pairing.inherited_from = Some(READER);
            it.processes[0].holds = vec![LockHold::Read(1)];
        })],
        OtherLog => other_log(),
        OverlayUpper => vec![changed(quiet(), |it| {
            it.overlays = vec![OverlayMount { merged: "/merged".into(), pid: 77 }];
        })],
        MismatchedFiles => mismatched(),
        DamagedHeader => damaged(),
        StoppedHolder => stopped(),
        CrossedLocks => crossed_locks(),
        LongWriteLock => long_holds(),
        BusyLock => busy_lock(),
        LongCheckpoint => long_checkpoint(),
        ContendedPool => contended_pool(),
        SlowDisk => slow_disks(),
        ExclusiveMode => exclusive_mode(),
        LockBeside => locks_beside(),
        RefusedWriters => refused_writers(),
        DiskLow => low_disk(),
        UnsafeFilesystem => ["nfs4", "virtiofs", "fuse.sshfs", "overlay"].map(on).into(),
        PinnedWal => pins(),
        WalStarved => starved(),
        LargeWal => large(),
        CommitStorm => storms(),
        DoubtfulLog => doubtful(),
        HotJournal => vec![changed(quiet(), |it| {
            it.content.hot_journal = Some(crate::snapshot::HotJournal {
                path: "/srv/notes.db-journal".into(),
                bytes: 8720,
                modified_at: Some(at(10)),
                super_journal: None,
            });
        })],
        ForeignOwner => foreign(),
        RollbackJournal => return rollback_journals(),
        PragmaMismatch => return pragma_mismatches(),
        MappedDatabase => vec![changed(live(), |it| it.processes[1].maps_database = Some(true))],
        ManyHandles => many_handles(),
        ProcessLimit => near_limits(),
        RestartLoop => restart_loops(),
        RestartedCopy => vec![changed(live(), |it| {
            if let Some(file) = &mut it.files.db {
                file.bytes = 164_000_000;
            }
            it.processes[1].label = "sqlite3".to_owned();
            it.processes[1].started_at = Some(at(60));
            it.processes[1].read_bytes = Some(4_150_000_000);
        })],
        CrashedIngestion | StalledIngestion | SlowBatch | FailedFiles => ingestions(kind),
        ReadonlyTrap => readonly(),
        OldSnapshot => old_snapshots(),
        OutdatedReader => vec![changed(live(), |it| {
            let reader = &mut it.processes[1];
            reader.read_only = Some(true);
            (reader.index_read_only, reader.maps_index, reader.holds_index) =
                (Some(true), Some(false), false);
            reader.pairing.only_reads_files = Some(true);
            reader.pairing.holds_main = false;
            reader.pairing.outdated = vec!["/srv/notes.db".to_owned()];
        })],
        UnreadLog => unread_logs(),
        StaleDaemon => return stale(),
        DuplicateDaemon => return duplicates(),
        OutlivedSession => outlived_sessions(),
        DeadPidfile => return pidfiles(),
        WalResetBug => return wal_reset_bugs(),
        BareClient => return bare_clients(),
    };
    let found = scenes.iter().map(|scene| {
        let mut found = twice(scene);
        found.retain(|finding| finding.kind == kind);
        assert!(!found.is_empty(), "a scene of {kind} shows none");
        found
    });
    found.flatten().collect()
}
