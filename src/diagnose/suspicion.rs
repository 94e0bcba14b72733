//! Suspicions from one sample against a process, and their confirmation by samples at least half a second apart.
//!
//! For a moment, a connection that opens or closes appears like one that has lost its locks or its files. Every
//! accusation therefore needs two samples with the same evidence against the same process, both complete.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::snapshot::{Database, LockHold, Process, Suspicion, SuspicionKind};

/// The suspicions from the sample `database`, taken at `now`. A suspicion that `previous` also has keeps its start
/// time. A partial sample confirms nothing and clears nothing.
pub fn suspicions(database: &Database, previous: Option<&Database>, now: Timestamp) -> Vec<Suspicion> {
    let before = previous.map_or(&[][..], |it| &it.suspicions);
    // The kernel's answer about a file does not depend on the lock table, so the evidence from its bytes is certain.
    let mut seen = super::content::suspicions(database, now);
    if database.is_complete {
        seen.extend(database.processes.iter().flat_map(|it| against(it, database, now)));
        seen.extend(against_unseen(database, now));
    }
    for suspicion in &mut seen {
        suspicion.keep_start(before, now);
    }
    if !database.is_complete {
        seen.extend(before.iter().filter(|it| !it.kind.is_about_content()).cloned());
    }
    seen
}

/// For how long samples have to continue until every suspicion of `database` is confirmed or cleared, in milliseconds;
/// `None` if none is open.
pub fn open_for_ms(database: &Database) -> Option<i64> {
    database.suspicions.iter().map(|it| it.remaining_ms).filter(|ms| *ms > 0).max()
}

fn against(process: &Process, database: &Database, now: Timestamp) -> Vec<Suspicion> {
    let suspicion = |(kind, evidence)| Suspicion::new(kind, Some(process), evidence, now);
    let found = [
        replaced(process),
        outdated(process),
        unread_log(process, database),
        log_without_main(process, database),
        other_log(process),
        unproven_log(process, database),
        lost_locks(process, database),
    ];
    found.into_iter().flatten().map(suspicion).collect()
}

fn replaced(process: &Process) -> Option<(SuspicionKind, Vec<String>)> {
    let files = &process.replaced;
    (!files.is_empty()).then(|| (SuspicionKind::ReplacedFile, files.clone()))
}

fn outdated(process: &Process) -> Option<(SuspicionKind, Vec<String>)> {
    let files = &process.pairing.outdated;
    (!files.is_empty()).then(|| (SuspicionKind::OutdatedReader, files.clone()))
}

// In WAL mode every connection that has read anything holds SHARED on the main file and has the log open, unless it takes
// the file for one that no process changes (`immutable=1`). An empty log hides nothing.
fn unread_log(process: &Process, database: &Database) -> Option<(SuspicionKind, Vec<String>)> {
    process.handles.filter(|it| it.db > 0 && it.wal == 0 && it.shm == 0)?;
    let pairing = &process.pairing;
    let locks_nothing = !pairing.holds_main && !process.holds_index && process.holds.is_empty();
    let has_other_files = !process.replaced.is_empty() || !pairing.other_log.is_empty();
    let is_copying = pairing.reads_in_order || pairing.has_closed;
    let hides = database.is_wal() == Some(true) && super::pairing::logged_frames(database).is_some();
    let is_suspect = locks_nothing && !has_other_files && !is_copying && hides;
    is_suspect.then(|| (SuspicionKind::UnreadLog, files_of(database)))
}

// A connection opens the main file first and closes it last. A connection with the log and another main file was left
// behind when its main file was replaced. Its descriptors are read one after another, while a connection may open or
// close. Its locks therefore have to agree: the lock table shows byte 128 of this index, and nothing on this main file.
fn log_without_main(process: &Process, database: &Database) -> Option<(SuspicionKind, Vec<String>)> {
    let handles = process.handles.filter(|handles| handles.db == 0 && !process.pairing.has_closed)?;
    let has_no_main = database.files.db.is_some();
    let uses_index = process.maps_index == Some(true) && process.holds_index && handles.shm > 0;
    let uses_log = process.pairing.writes_log && database.files.shm.is_none();
    let is_suspect = has_no_main && !process.pairing.holds_main && (uses_index || uses_log);
    is_suspect.then(|| (SuspicionKind::LogWithoutMain, files_of(database)))
}

fn other_log(process: &Process) -> Option<(SuspicionKind, Vec<String>)> {
    let pairing = &process.pairing;
    let is_client = !pairing.other_log.is_empty() && !process.only_reads_files();
    is_client.then(|| (SuspicionKind::OtherLog, pairing.other_files.clone()))
}

fn unproven_log(process: &Process, database: &Database) -> Option<(SuspicionKind, Vec<String>)> {
    let holds_main_alone =
        process.pairing.holds_main && !process.holds_index && !holds_all(process, database);
    let is_suspect = process.handles.is_none() && holds_main_alone && database.is_wal() == Some(true);
    is_suspect.then(|| (SuspicionKind::UnprovenLog, files_of(database)))
}

fn lost_locks(process: &Process, database: &Database) -> Option<(SuspicionKind, Vec<String>)> {
    let maps_index =
        process.maps_index == Some(true) && process.handles.is_some_and(|handles| handles.shm > 0);
    if !maps_index
        || process.pairing.has_closed
        || !process.replaced.is_empty()
        || holds_all(process, database)
    {
        return None;
    }
    let kind = if process.holds_index {
        (!process.pairing.holds_main && process.has_main_file()).then_some(SuspicionKind::LostMainLock)
    } else if process.pairing.inherited_from.is_some() {
        // A child that does not use what a fork gave it does no harm.
        is_active(process, database).then_some(SuspicionKind::ForkedConnection)
    } else {
        let is_excused = process.index_read_only != Some(false)
            || is_lock_unattributed(database)
            || is_child_of_holder(process, database) && !is_active(process, database);
        (!is_excused).then_some(SuspicionKind::LostIndexLock)
    };
    kind.map(|kind| (kind, files_of(database)))
}

// An invisible process holds the main file, and no such process holds byte 128 of this index.
fn against_unseen(database: &Database, now: Timestamp) -> Option<Suspicion> {
    let locks = &database.locks;
    let is_exclusive = locks.exclusive.as_ref().is_some_and(|holder| holder.pid.is_none());
    let is_suspect = locks.main_held_unseen && !locks.index_held_unseen && !is_exclusive;
    (is_suspect && database.is_wal() == Some(true))
        .then(|| Suspicion::new(SuspicionKind::UnprovenLog, None, files_of(database), now))
}

// Evidence against a process applies to its use of these files only; other files at the path are a separate matter.
fn files_of(database: &Database) -> Vec<String> {
    let files = [&database.files.db, &database.files.shm];
    files.into_iter().flatten().map(|file| format!("{}:{}", file.device, file.inode)).collect()
}

/// Whether it was seen with a lock of a transaction: it holds one now, or samples saw it write.
fn is_active(process: &Process, database: &Database) -> bool {
    let is_transaction = |hold: &LockHold| {
        matches!(hold, LockHold::Write | LockHold::Checkpoint | LockHold::Recover | LockHold::Read(_))
    };
    let holds = database.locks.write_holds.as_ref().map_or(&[][..], |holds| &holds.by_process);
    process.holds.iter().any(is_transaction) || holds.iter().any(|it| it.pid == Some(process.pid))
}

// A connection with an exclusive lock on the whole file needs no other lock.
fn holds_all(process: &Process, database: &Database) -> bool {
    database.locks.exclusive.as_ref().is_some_and(|holder| holder.pid == Some(process.pid))
}

// Byte 128 is held by an unidentified process. It may be this one, through an open-file-description lock.
fn is_lock_unattributed(database: &Database) -> bool {
    database.locks.index_held && !database.processes.iter().any(|process| process.holds_index)
}

// A forked child has its parent's descriptors and mappings, but never its locks.
fn is_child_of_holder(process: &Process, database: &Database) -> bool {
    let mut seen = BTreeSet::new();
    let mut parent = process.parent;
    while let Some(ancestor) = parent.filter(|pid| seen.insert(*pid)).and_then(|pid| database.process(pid)) {
        if ancestor.holds_index {
            return true;
        }
        parent = ancestor.parent;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::{super::fixture::*, *};

    #[test]
    fn samples_go_on_until_the_last_suspicion_is_decided() {
        let mut database = live();
        assert_eq!(open_for_ms(&database), None, "there is none");
        database.suspicions = [0, 300, 200]
            .into_iter()
            .map(|remaining_ms| Suspicion {
                remaining_ms,
                ..Suspicion::new(SuspicionKind::ReplacedFile, None, Vec::new(), Timestamp::UNIX_EPOCH)
            })
            .collect();
        assert_eq!(open_for_ms(&database), Some(300));
        database.suspicions.truncate(1);
        assert_eq!(open_for_ms(&database), None, "it is confirmed");
    }
}
