//! Upkeep that somebody else keeps from its end.

use tempfile::TempDir;
use waltop::{
    config::profile::Profile,
    database::optimize::{OptimizeStep, apply},
    snapshot::JournalMode,
};

use super::{host, plain, seen, text};
use crate::support::Actor;

/// The default profile, but with little patience.
fn impatient() -> Profile {
    let mut profile = Profile::hardened();
    let timeout = profile.pragmas.iter_mut().find(|it| it.name == "busy_timeout").expect("it has one");
    "100".clone_into(&mut timeout.expected);
    profile
}

#[test]
fn readers_that_came_after_the_sample_are_named_where_they_are_the_cause() {
    let folder = TempDir::new().expect("a folder");
    let path = host(&folder, "INSERT INTO host VALUES (1), (2); DELETE FROM host WHERE id = 1");
    let looked = seen(&path, JournalMode::Rollback, false);
    let mut readers = [Actor::open(&path), Actor::open(&path)];
    for reader in &mut readers {
        reader.sql("BEGIN").sql("SELECT * FROM host");
    }
    let mut pids = readers.each_ref().map(Actor::pid);
    pids.sort_unstable();
    let names = format!("{} (waltop), {} (waltop) read it, and no commit can be made", pids[0], pids[1]);
    for step in [OptimizeStep::Vacuum, OptimizeStep::Analyze] {
        let error = apply(&path, &looked, &impatient(), &[step]).expect_err("it is read").to_string();
        assert!(error.contains(&names), "{error}");
    }
    let [first, second] = readers;
    first.close();
    let error =
        apply(&path, &looked, &impatient(), &[OptimizeStep::Vacuum]).expect_err("it is read").to_string();
    assert!(error.contains(&format!(": {} (waltop) reads it, and ", second.pid())), "{error}");
    second.close();
    apply(&path, &looked, &impatient(), &[OptimizeStep::Vacuum]).expect("nobody reads");
    assert_eq!(text(&plain(&path), "SELECT count(*) FROM host"), "1");
}

#[test]
fn a_writer_is_named_and_not_those_that_read_beside_it() {
    let folder = TempDir::new().expect("a folder");
    for mode in ["delete", "wal"] {
        let path = folder.path().join(format!("{mode}.db"));
        plain(&path)
            .execute_batch(&format!("PRAGMA journal_mode = {mode}; CREATE TABLE host(id)"))
            .expect("a database");
        let (mut reader, mut writer) = (Actor::open(&path), Actor::open(&path));
        reader.sql("BEGIN").sql("SELECT * FROM host");
        writer.sql("BEGIN IMMEDIATE");
        let journal = if mode == "wal" { JournalMode::Wal } else { JournalMode::Rollback };
        let looked = seen(&path, journal, mode == "wal");
        let error =
            apply(&path, &looked, &impatient(), &[OptimizeStep::Vacuum]).expect_err("locked").to_string();
        let who = format!(": {} (waltop) has the write lock", writer.pid());
        assert!(error.contains(&who) && !error.contains("no commit"), "{mode}: {error}");
        writer.sql("ROLLBACK");
        if mode == "wal" {
            apply(&path, &looked, &impatient(), &[OptimizeStep::Vacuum])
                .expect("readers of a log are in nobody's way");
        }
    }
}
