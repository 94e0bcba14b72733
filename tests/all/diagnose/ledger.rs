//! What the disk space of a database is used for, and who keeps it.

use waltop::snapshot::{SpaceKind, SpaceRelease, SpaceUse};

use super::*;

/// A few pages.
const BLOB: usize = 40_000;
const PAGE: u64 = 4096;

fn part(watch: &mut Monitor, kind: SpaceKind) -> Option<SpaceUse> {
    look(watch).space.into_iter().find(|part| part.kind == kind)
}

#[test]
fn free_pages_are_counted_and_a_vacuum_gives_them_back() {
    let scene = Scene::new("wal");
    let (mut writer, mut reader) = (scene.actor(), scene.actor());
    fill(&mut writer, 5, BLOB);
    writer.sql("PRAGMA wal_checkpoint(TRUNCATE)");
    reader.sql("SELECT * FROM t");
    let mut watch = scene.patient();
    assert_eq!(part(&mut watch, SpaceKind::FreePages), None, "every page has content");
    writer.sql("DELETE FROM t WHERE length(x) > 9").sql("PRAGMA wal_checkpoint(TRUNCATE)");
    let free = part(&mut watch, SpaceKind::FreePages).expect("free pages");
    let header = look(&mut watch).header.expect("a header");
    assert_eq!(free.bytes, u64::from(header.free_pages.expect("known")) * PAGE);
    assert!(free.bytes >= 5 * 9 * PAGE, "{free:?}");
    assert_eq!(free.release, Some(SpaceRelease::Vacuum));
    let mut pids = vec![writer.pid(), reader.pid()];
    pids.sort_unstable();
    assert_eq!(free.in_the_way, pids);
    writer.sql("VACUUM").sql("PRAGMA wal_checkpoint(TRUNCATE)");
    assert_eq!(part(&mut watch, SpaceKind::FreePages), None);
    reader.sql("SELECT * FROM t");
}

#[test]
fn the_log_is_divided_by_what_gives_it_back() {
    let scene = Scene::new("wal");
    let (mut writer, mut reader) = (scene.actor(), scene.actor());
    writer.sql("PRAGMA wal_autocheckpoint = 0");
    fill(&mut writer, 2, BLOB);
    let mut watch = scene.patient();
    let frames = |watch: &mut Monitor| u64::from(look(watch).wal.expect("a log").frames.expect("known"));
    let before = frames(&mut watch);
    let waiting = part(&mut watch, SpaceKind::LogWaiting).expect("nothing is moved");
    assert_eq!(waiting.bytes, 32 + before * (PAGE + 24));
    assert!(waiting.in_the_way.is_empty(), "the healthy twin: nobody reads");
    reader.sql("BEGIN").sql("SELECT * FROM t");
    fill(&mut writer, 1, BLOB);
    writer.sql("PRAGMA wal_checkpoint(PASSIVE)");
    let waiting = part(&mut watch, SpaceKind::LogWaiting).expect("the reader keeps it");
    assert_eq!(waiting.release, Some(SpaceRelease::TruncateCheckpoint));
    assert_eq!(waiting.in_the_way, [reader.pid()]);
    assert!(part(&mut watch, SpaceKind::LogMoved).expect("the rest is moved").bytes > before * PAGE);
    reader.sql("COMMIT");
    // A small cache, so that the pages of the transaction go to the log before its end.
    writer.sql("PRAGMA cache_size = 1").sql("BEGIN IMMEDIATE");
    fill(&mut writer, 2, BLOB);
    let open = part(&mut watch, SpaceKind::LogUncommitted).expect("a transaction is open");
    assert_eq!((open.pid, open.release), (Some(writer.pid()), Some(SpaceRelease::TransactionEnd)));
    writer.sql("ROLLBACK");
    assert_eq!(part(&mut watch, SpaceKind::LogUncommitted), None);
}

#[test]
fn deleted_files_are_counted_for_each_process_that_keeps_them() {
    let scene = Scene::new("wal");
    let mut holder = scene.actor();
    holder.sql("PRAGMA wal_autocheckpoint = 0");
    fill(&mut holder, 3, BLOB);
    let mut watch = scene.patient();
    assert_eq!(part(&mut watch, SpaceKind::DeletedFiles), None);
    let bytes: u64 = [scene.path(), scene.sidecar("-wal")]
        .iter()
        .map(|path| path.metadata().expect("it is there").len())
        .sum();
    for path in [scene.path(), scene.sidecar("-wal"), scene.sidecar("-shm")] {
        fs::remove_file(path).expect("removed");
    }
    let deleted = part(&mut watch, SpaceKind::DeletedFiles).expect("it has them open");
    assert_eq!((deleted.bytes, deleted.pid), (bytes, Some(holder.pid())));
    assert_eq!(deleted.release, Some(SpaceRelease::ProcessEnd));
}

#[test]
fn temporary_files_are_counted_with_their_process() {
    let scene = Scene::new("wal");
    let Some(mut python) = Python::open(&scene.path()) else { return };
    python.sql("SELECT * FROM t");
    let mut watch = scene.patient();
    assert_eq!(part(&mut watch, SpaceKind::TemporaryFiles), None);
    python.sql("PRAGMA temp_store = FILE").sql(
        "CREATE TEMP TABLE big AS WITH RECURSIVE n(x) AS \
         (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 20000) SELECT x, randomblob(200) FROM n",
    );
    if look(&mut watch).process(python.pid()).expect("it is there").temp_files.is_none() {
        eprintln!("not tested: this SQLite gives its temporary files no name");
        return;
    }
    let temporary = part(&mut watch, SpaceKind::TemporaryFiles).expect("a file");
    assert_eq!((temporary.pid, temporary.release), (Some(python.pid()), Some(SpaceRelease::StatementEnd)));
    assert!(temporary.bytes > 500_000, "{temporary:?}");
}
