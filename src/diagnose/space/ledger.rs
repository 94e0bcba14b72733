//! What the disk space of a database is used for, what gives it back, and who is in the way.

use crate::{
    diagnose::checkpoint::{self, CheckpointObstacle},
    file_format::{FRAME_HEADER, LOG_HEADER},
    snapshot::{AutoVacuum, CheckpointMode, Database, Process, SpaceKind, SpaceRelease, SpaceUse, WalSource},
    text, units,
};

/// How many processes in the way are named in a sentence.
const NAMED: usize = 3;

/// The uses of the disk space of `database`, without those of no byte.
pub fn ledger(database: &Database) -> Vec<SpaceUse> {
    let parts = pages(database).into_iter().chain(log(database)).chain(journal(database));
    parts.chain(processes(database)).filter(|part| part.bytes > 0).collect()
}

/// One sentence for each of the uses in `database`: how much, what gives it back, and who is in the way.
pub fn describe(database: &Database) -> Vec<String> {
    database.space.iter().map(|part| sentence(part, database)).collect()
}

fn sentence(part: &SpaceUse, database: &Database) -> String {
    let who = |pid: i32| super::super::who(database, Some(pid));
    let mut sentence = format!("{} {}", part.kind.name(), units::bytes(part.bytes));
    if let Some(pid) = part.pid {
        sentence.push_str(&format!(" of {}", who(pid)));
    }
    let Some(release) = part.release else { return sentence };
    sentence.push_str(&format!(", given back by {release}"));
    if !part.in_the_way.is_empty() {
        // A VACUUM needs the write lock alone: others may keep the file open.
        let verb = if release == SpaceRelease::Vacuum { "could not write meanwhile" } else { "in the way" };
        let mut names: Vec<String> = part.in_the_way.iter().take(NAMED).map(|&pid| who(pid)).collect();
        let more = part.in_the_way.len() - names.len();
        names.extend((more > 0).then(|| format!("{} more", units::count(more as u64))));
        sentence.push_str(&format!(" ({verb}: {})", names.join(", ")));
    }
    if let Some(missing) = part.missing_bytes {
        sentence.push_str(&format!(" (the disk lacks {} for it)", units::bytes(missing)));
    }
    text::clean(&sentence)
}

fn part(kind: SpaceKind, bytes: u64) -> SpaceUse {
    SpaceUse { kind, bytes, pid: None, release: None, in_the_way: Vec::new(), missing_bytes: None }
}

fn pages(database: &Database) -> Vec<SpaceUse> {
    let (Some(header), Some(file)) = (&database.header, &database.files.db) else { return Vec::new() };
    // A header that is damaged, or that a process is writing, may state more than there is.
    let free = header.free_pages.unwrap_or_default().min(header.page_count);
    let bytes = (u64::from(free) * u64::from(header.page_size)).min(file.bytes);
    let (release, in_the_way) = match header.auto_vacuum {
        // While other processes have it open, they could not write until it ends.
        AutoVacuum::None => (SpaceRelease::Vacuum, clients(database)),
        AutoVacuum::Incremental => (SpaceRelease::IncrementalVacuum, writer(database).into_iter().collect()),
        AutoVacuum::Full => (SpaceRelease::Commit, writer(database).into_iter().collect()),
    };
    vec![
        part(SpaceKind::Data, file.bytes - bytes),
        SpaceUse { release: Some(release), in_the_way, ..part(SpaceKind::FreePages, bytes) },
    ]
}

fn log(database: &Database) -> Vec<SpaceUse> {
    let Some(file) = &database.files.wal else { return Vec::new() };
    let of_header = database.header.as_ref().map(|header| header.page_size);
    let of_log = || database.content.first_page.as_ref().and_then(|page| page.page_size);
    // The header of an encrypted database cannot be read, and that of its log can.
    let Some(page) = of_header.or_else(of_log).map(u64::from) else { return Vec::new() };
    let frames = |count: u32| match u64::from(count) * (FRAME_HEADER as u64 + page) {
        0 => 0,
        bytes => (bytes + LOG_HEADER as u64).min(file.bytes),
    };
    let wal = database.wal.as_ref();
    // Without a trusted index it is not known what has been moved.
    let waiting = wal.and_then(|wal| wal.pending.or(wal.frames)).map_or(0, frames);
    let open = wal.and_then(|wal| wal.uncommitted_frames).map_or(0, frames).min(file.bytes - waiting);
    let is_unused = clients(database).is_empty() && !database.locks.is_held_unseen();
    let is_left = wal.is_some_and(|wal| wal.source == WalSource::Log) && is_unused;
    let release = if is_left { SpaceRelease::Recovery } else { SpaceRelease::TruncateCheckpoint };
    let mut in_the_way: Vec<i32> = checkpoint::blockers(database, CheckpointMode::Truncate)
        .into_iter()
        .filter_map(|blocker| blocker.pid)
        .collect();
    in_the_way.sort_unstable();
    in_the_way.dedup();
    let missing_bytes = match checkpoint::no_room(database) {
        Some(CheckpointObstacle::NoRoom { missing, .. }) => Some(missing),
        _ => None,
    };
    let of_checkpoint = |kind, bytes| SpaceUse {
        release: Some(release),
        in_the_way: in_the_way.clone(),
        missing_bytes,
        ..part(kind, bytes)
    };
    vec![
        of_checkpoint(SpaceKind::LogWaiting, waiting),
        of_checkpoint(SpaceKind::LogMoved, file.bytes - waiting - open),
        SpaceUse {
            pid: writer(database),
            release: Some(SpaceRelease::TransactionEnd),
            ..part(SpaceKind::LogUncommitted, open)
        },
    ]
}

fn journal(database: &Database) -> Option<SpaceUse> {
    let bytes = database.files.journal.as_ref()?.bytes;
    let pid = writer(database);
    // Its process may be invisible from here.
    let is_in_use = database.locks.writer.is_some() || database.locks.is_held_unseen();
    let release = match (database.content.hot_journal.is_some(), is_in_use) {
        (true, _) => SpaceRelease::Recovery,
        (false, true) => SpaceRelease::TransactionEnd,
        (false, false) => SpaceRelease::JournalModeDelete,
    };
    Some(SpaceUse { pid, release: Some(release), ..part(SpaceKind::Journal, bytes) })
}

fn processes(database: &Database) -> impl Iterator<Item = SpaceUse> {
    database.processes.iter().flat_map(|process| {
        let of_it = |kind, bytes, release| SpaceUse {
            pid: Some(process.pid),
            release: Some(release),
            ..part(kind, bytes)
        };
        [
            of_it(SpaceKind::DeletedFiles, process.deleted_bytes, SpaceRelease::ProcessEnd),
            of_it(
                SpaceKind::TemporaryFiles,
                process.temp_bytes.unwrap_or_default(),
                SpaceRelease::StatementEnd,
            ),
        ]
    })
}

fn clients(database: &Database) -> Vec<i32> {
    database.processes.iter().filter(|process| Process::is_client(process)).map(|it| it.pid).collect()
}

fn writer(database: &Database) -> Option<i32> {
    database.locks.writer.as_ref().and_then(|holder| holder.pid)
}

#[cfg(test)]
mod tests {
    use super::{
        super::super::fixture::{READER, WRITER, held, live, pinned, quiet, rollback},
        *,
    };

    const PAGE: u64 = 4096;
    const FRAME: u64 = 24 + PAGE;

    fn filled(mut database: Database) -> Database {
        let header = database.header.as_mut().expect("a header");
        header.free_pages = Some(1_000);
        database.files.db.as_mut().expect("a file").bytes = 1_446 * PAGE;
        if let Some(wal) = &mut database.files.wal {
            wal.bytes = 32 + 20_000 * FRAME;
        }
        database
    }

    fn outline(database: &Database) -> Vec<(SpaceKind, u64, Option<SpaceRelease>, Vec<i32>)> {
        let parts = ledger(database).into_iter();
        parts.map(|part| (part.kind, part.bytes, part.release, part.in_the_way)).collect()
    }

    #[test]
    fn the_parts_of_the_files_add_up_to_their_sizes() {
        let database = filled(pinned());
        let all = ledger(&database);
        let files = &database.files;
        let sizes = [&files.db, &files.wal].map(|file| file.as_ref().expect("a file").bytes);
        assert_eq!(all.iter().map(|part| part.bytes).sum::<u64>(), sizes.iter().sum::<u64>());
        let both = vec![WRITER, READER];
        assert_eq!(
            outline(&database),
            [
                (SpaceKind::Data, 446 * PAGE, None, vec![]),
                (SpaceKind::FreePages, 1_000 * PAGE, Some(SpaceRelease::Vacuum), both),
                (
                    SpaceKind::LogWaiting,
                    32 + 18_219 * FRAME,
                    Some(SpaceRelease::TruncateCheckpoint),
                    vec![READER]
                ),
                (
                    SpaceKind::LogMoved,
                    (20_000 - 18_219) * FRAME,
                    Some(SpaceRelease::TruncateCheckpoint),
                    vec![READER]
                ),
            ]
        );
    }

    #[test]
    fn what_gives_free_pages_back_is_a_setting_of_the_file() {
        let release = |auto_vacuum| {
            let mut database = filled(live());
            database.header.as_mut().expect("a header").auto_vacuum = auto_vacuum;
            let part = ledger(&database).into_iter().find(|part| part.kind == SpaceKind::FreePages);
            part.map(|part| (part.release.expect("one"), part.in_the_way)).expect("free pages")
        };
        assert_eq!(release(AutoVacuum::Incremental), (SpaceRelease::IncrementalVacuum, vec![WRITER]));
        assert_eq!(release(AutoVacuum::Full), (SpaceRelease::Commit, vec![WRITER]));
    }

    #[test]
    fn open_transactions_deleted_and_temporary_files_have_an_owner() {
        let mut database = filled(live());
        database.wal.as_mut().expect("a log").uncommitted_frames = Some(500);
        database.processes[1].deleted_bytes = 77;
        database.processes[0].temp_bytes = Some(88);
        let owned = |kind| {
            let part = ledger(&database).into_iter().find(|part| part.kind == kind).expect("it is there");
            (part.bytes, part.pid)
        };
        assert_eq!(owned(SpaceKind::LogUncommitted), (32 + 500 * FRAME, Some(WRITER)));
        assert_eq!(owned(SpaceKind::DeletedFiles), (77, Some(READER)));
        assert_eq!(owned(SpaceKind::TemporaryFiles), (88, Some(WRITER)));
    }

    #[test]
    fn a_journal_ends_with_its_transaction_or_is_kept() {
        let mut database = rollback();
        let journal = |database: &Database| {
            let part = ledger(database).into_iter().find(|part| part.kind == SpaceKind::Journal);
            part.and_then(|part| part.release)
        };
        assert_eq!(journal(&database), None);
        database.files.journal = database.files.db.clone();
        assert_eq!(journal(&database), Some(SpaceRelease::JournalModeDelete));
        database.locks.writer = Some(held(WRITER, 5.0));
        assert_eq!(journal(&database), Some(SpaceRelease::TransactionEnd));
    }

    #[test]
    fn a_header_that_states_too_much_gives_no_more_than_there_is() {
        let mut database = quiet();
        database.header.as_mut().expect("a header").free_pages = Some(u32::MAX);
        let file = database.files.db.as_ref().expect("a file").bytes;
        let main: u64 = ledger(&database)
            .iter()
            .filter(|part| matches!(part.kind, SpaceKind::Data | SpaceKind::FreePages))
            .map(|part| part.bytes)
            .sum();
        assert_eq!(main, file);
    }

    #[test]
    fn a_sentence_names_three_that_are_in_the_way_and_counts_the_rest() {
        let mut database = filled(live());
        for pid in [1, 2, 3] {
            let mut other = database.processes[0].clone();
            other.pid = pid;
            database.processes.push(other);
        }
        database.space = ledger(&database);
        let free = &describe(&database)[1];
        assert_eq!(
            free,
            "free pages 4.10 MB, given back by VACUUM (could not write meanwhile: 71201 (bun), 71168 (python3), 1 (bun), 2 more)"
        );
    }
}
