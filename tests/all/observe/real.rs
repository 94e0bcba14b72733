//! Real databases, held by real processes.

use waltop::snapshot::{Hold, JournalMode, Presence, WalSource};

use super::*;

#[test]
fn idle_reader_and_writer_are_each_found() {
    let scene = Scene::with_wal();
    let (mut idle, mut reader, mut writer) = (scene.actor(), scene.actor(), scene.actor());
    idle.sql("SELECT * FROM t");
    writer.sql("INSERT INTO t VALUES (2)");
    reader.sql("BEGIN").sql("SELECT * FROM t");
    writer.sql("INSERT INTO t VALUES (3)").sql("BEGIN IMMEDIATE").sql("INSERT INTO t VALUES (4)");

    let database = scene.look();
    let mut expected = [idle.pid(), reader.pid(), writer.pid()];
    expected.sort_unstable();
    assert_eq!(pids(&database), expected);
    assert_eq!(database.presence(), Presence::Live);
    assert!(process(&database, idle.pid()).holds.is_empty());
    assert!(process(&database, idle.pid()).holds_index);
    assert_eq!(database.locks.writer.as_ref().and_then(|holder| holder.pid), Some(writer.pid()));
    assert!(process(&database, writer.pid()).holds.contains(&Hold::Write));
    let pinned =
        database.locks.readers.iter().find(|other| other.pid == Some(reader.pid())).expect("a reader");
    assert_eq!(pinned.frame, Some(1));
    let wal = database.wal.expect("a log");
    assert_eq!((wal.frames, wal.backfilled, wal.pending), (Some(2), Some(0), Some(2)));
    assert_eq!(wal.source, WalSource::Index);
    assert_eq!(database.header.expect("a header").journal_mode, JournalMode::Wal);
}
