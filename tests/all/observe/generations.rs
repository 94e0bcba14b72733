//! Real databases that are restarted, truncated, replaced, deleted and made new under the eyes of one observer.

use std::{fs, os::unix::fs::MetadataExt, time::Instant};

use waltop::snapshot::{WalSource, WalState};

use super::*;
use crate::{fake_proc::sidecar, python::Python, support::eventually};

fn paths(scene: &Scene) -> [PathBuf; 3] {
    ["", "-wal", "-shm"].map(|suffix| sidecar(&scene.path(), suffix))
}

fn insert(actor: &mut Actor, count: u32) {
    for value in 0..count {
        actor.sql(&format!("INSERT INTO t VALUES ({value})"));
    }
}

fn wal(observer: &mut Observer) -> WalState {
    only(observer.sample()).wal.expect("a log")
}

fn figures(wal: &WalState) -> (Option<u32>, Option<u32>, Option<u32>) {
    (wal.frames, wal.backfilled, wal.pending)
}

#[test]
fn a_restart_and_a_truncation_are_followed() {
    let scene = Scene::with_wal();
    let mut writer = scene.actor();
    insert(&mut writer, 20);
    let mut observer = scene.observer();
    let before = wal(&mut observer);
    assert_eq!((figures(&before), before.slots), ((Some(20), Some(0), Some(20)), Some(20)));

    writer.sql("PRAGMA wal_checkpoint(RESTART)");
    let restartable = wal(&mut observer);
    assert_eq!(figures(&restartable), (Some(20), Some(20), Some(0)), "the next writer restarts it");
    insert(&mut writer, 1);
    let restarted = wal(&mut observer);
    assert_eq!((figures(&restarted), restarted.slots), ((Some(1), Some(0), Some(1)), Some(20)));

    writer.sql("PRAGMA wal_checkpoint(TRUNCATE)");
    let truncated = only(observer.sample());
    assert_eq!(
        figures(truncated.wal.as_ref().expect("the index speaks for it")),
        (Some(0), Some(0), Some(0))
    );
    assert_eq!(truncated.files.wal.expect("there").bytes, 0);
    insert(&mut writer, 2);
    let again = wal(&mut observer);
    assert_eq!((figures(&again), again.slots), ((Some(2), Some(0), Some(2)), Some(2)));
}

#[test]
fn a_log_that_is_counted_itself_is_counted_again_after_each_restart() {
    let scene = Scene::with_wal();
    let mut observer = scene.observer();
    // Each generation is shorter than the one before, whose frames lie behind it in the file.
    for count in [9, 5, 1] {
        let mut writer = scene.actor();
        writer.sql("PRAGMA wal_checkpoint(RESTART)");
        insert(&mut writer, count);
        let live = wal(&mut observer);
        assert_eq!((live.source, live.frames), (WalSource::Index, Some(count)));
        writer.kill();
        let left = wal(&mut observer);
        assert_eq!((left.source, left.frames, left.backfilled), (WalSource::Log, Some(count), None));
        assert_eq!(left.slots, Some(9));
    }
}

#[test]
fn a_replaced_database_is_followed() {
    let scene = Scene::with_wal();
    let (mut old, mut reader) = (scene.actor(), scene.actor());
    insert(&mut old, 7);
    reader.sql("BEGIN").sql("SELECT * FROM t");
    old.sql("BEGIN IMMEDIATE");
    let mut observer = scene.observer();
    observer.watch_locks();
    let before = only(observer.sample());
    assert_eq!(writer_of(&before), Some(old.pid()));
    assert_eq!(reader_of(&before, reader.pid()).len(), 1);
    let inode = before.files.db.expect("there").inode;

    let copy = scene.folder.path().join("copy.db");
    fs::copy(scene.path(), &copy).expect("copied");
    fs::rename(&copy, scene.path()).expect("replaced");
    // The sidecars still lie there, and still have their holders: of another main file, but these locks are held.
    let between = only(observer.sample());
    assert_ne!(between.files.db.as_ref().expect("there").inode, inode);
    assert_eq!(writer_of(&between), Some(old.pid()));
    assert_eq!(process(&between, old.pid()).replaced, [scene.path().to_string_lossy()]);

    for sidecar in &paths(&scene)[1..] {
        fs::remove_file(sidecar).expect("removed");
    }
    let alone = only(observer.sample());
    assert!(alone.locks.writer.is_none() && alone.locks.readers.is_empty() && !alone.locks.index_held);
    assert!(alone.wal.is_none() && alone.files.shm.is_none());
    for actor in [&old, &reader] {
        assert_eq!(process(&alone, actor.pid()).replaced.len(), 3);
        assert!(process(&alone, actor.pid()).holds.is_empty(), "those locks are on files that are gone");
    }

    let mut new = scene.actor();
    let taken = Instant::now();
    new.sql("INSERT INTO t VALUES (1)").sql("BEGIN IMMEDIATE");
    let after = only(observer.sample());
    assert_eq!(writer_of(&after), Some(new.pid()));
    assert!(after.locks.writer.as_ref().and_then(|writer| writer.held_ms) <= Some(millis(taken)));
    assert!(after.locks.readers.iter().all(|reader| reader.pid == Some(new.pid())));
    assert_eq!(after.wal.as_ref().expect("a log").frames, Some(1));
    assert!(process(&after, new.pid()).replaced.is_empty());
    eventually("the sampler has the new holder, and ended the hold of the old one", || {
        let holds = only(observer.sample()).locks.write_holds?;
        let of = |pid| holds.by_process.iter().filter(|part| part.pid == Some(pid)).count();
        (of(old.pid()) == 1 && of(new.pid()) == 1).then_some(())
    });
    drop(observer.sample());
    let lanes = observer.trend(0).minute.lanes;
    assert!(lanes.iter().any(|lane| lane.pid == Some(new.pid())), "{lanes:?}");
}

#[test]
fn a_database_that_was_deleted_and_made_new_is_followed() {
    let scene = Scene::with_wal();
    let mut observer = scene.observer();
    for round in 1..=3_u32 {
        let mut actor = scene.actor();
        actor.sql("PRAGMA journal_mode = wal").sql("CREATE TABLE IF NOT EXISTS t(x)");
        insert(&mut actor, round);
        actor.sql("BEGIN IMMEDIATE");
        let live = only(observer.sample());
        assert_eq!(pids(&live), [actor.pid()]);
        assert_eq!(writer_of(&live), Some(actor.pid()));
        assert_eq!(live.files.db.expect("there").inode, scene.path().metadata().expect("there").ino());
        // The first file is older than the log; the others were made in it, which took two frames.
        let made = if round == 1 { 0 } else { 2 };
        assert_eq!(live.wal.expect("a log").frames, Some(made + round));

        for path in paths(&scene) {
            fs::remove_file(path).expect("removed");
        }
        let gone = only(observer.sample());
        assert!(gone.files.db.is_none() && gone.files.wal.is_none() && gone.header.is_none());
        assert!(gone.wal.is_none() && gone.locks.writer.is_none() && !gone.locks.index_held);
        assert_eq!(process(&gone, actor.pid()).replaced.len(), 3);
        actor.close();
        let nobody = only(observer.sample());
        assert!(nobody.processes.is_empty() && nobody.locks.readers.is_empty());
    }
}

#[test]
fn what_was_held_in_a_deleted_database_is_not_counted_on_in_its_namesake() {
    let scene = Scene::with_wal();
    let Some(mut python) = Python::open(&scene.path()) else { return };
    let mut observer = scene.observer();
    // One process, and the same slot at the same frame, in a file that gets the same inode if the file system
    // gives out again what is free.
    let read = |python: &mut Python| {
        python.sql("INSERT INTO t VALUES (2)").sql("BEGIN").sql("SELECT * FROM t");
    };
    let held = |observer: &mut Observer| {
        let readers = only(observer.sample()).locks.readers;
        assert_eq!(readers.len(), 1);
        (readers[0].slot, readers[0].frame, readers[0].held_ms.expect("held"))
    };
    read(&mut python);
    let first = eventually("it is held for a while", || {
        let held = held(&mut observer);
        (held.2 > 300.0).then_some(held)
    });
    let before = scene.path().metadata().expect("there").ino();
    let copy = scene.state.path().join("copy.db");
    fs::copy(scene.path(), &copy).expect("copied");
    python.run("db.close()");
    for path in paths(&scene) {
        // The last connection that closes takes its sidecars away itself.
        let _ = fs::remove_file(path);
    }
    assert!(only(observer.sample()).files.db.is_none());

    let began = Instant::now();
    let Some(same) = with_inode(&scene, before) else {
        eprintln!("not tested: this file system does not give inode {before} out again");
        return;
    };
    fs::copy(&copy, &same).expect("made new");
    fs::rename(&same, scene.path()).expect("made new");
    python.run("import sqlite3; db = sqlite3.connect(path, isolation_level=None)");
    read(&mut python);
    let (slot, frame, ms) = held(&mut observer);
    assert_eq!((slot, frame), (first.0, first.1));
    assert!(ms <= millis(began), "{ms} ms, in a file that is {} ms old", millis(began));
}

/// A new file with the number `inode`, if one of the next that are made gets it.
fn with_inode(scene: &Scene, inode: u64) -> Option<PathBuf> {
    (0..500).map(|number| scene.folder.path().join(format!("new-{number}"))).find(|path| {
        fs::write(path, "").expect("written");
        path.metadata().expect("there").ino() == inode
    })
}

fn millis(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1000.0
}

#[test]
fn a_moved_database_keeps_the_processes_that_used_it() {
    for is_folder in [true, false] {
        let scene = Scene::new();
        let folder = scene.folder.path().canonicalize().expect("there");
        let [old, new] = if is_folder {
            [folder.join("q/notes.db"), folder.join("qq/notes.db")]
        } else {
            [folder.join("notes.db"), folder.join("kept.db")]
        };
        fs::create_dir_all(folder.join("q")).expect("a folder");
        let mut writer = Actor::open(&old);
        writer.sql("PRAGMA journal_mode = wal").sql("CREATE TABLE t(x)");
        if old.metadata().expect("there").created().is_err() {
            return eprintln!("skipped: the file system keeps no time of birth");
        }
        let mut observer = Observer::new(&scene.places(Path::new("/proc")), vec![old.clone()]);
        assert_eq!(pids(&only(observer.sample())), [writer.pid()]);
        let paths = |path: &Path| ["", "-wal", "-shm"].map(|suffix| sidecar(path, suffix));
        let rename = |old: &Path, new: &Path| {
            if is_folder {
                return fs::rename(old.parent().expect("q"), new.parent().expect("qq")).expect("moved");
            }
            for (from, to) in paths(old).iter().zip(paths(new)) {
                fs::rename(from, to).expect("moved");
            }
        };
        rename(&old, &new);
        // Who opens it where it lies now is no concern of the path before.
        let mut newcomer = Actor::open(&new);
        newcomer.sql("SELECT * FROM t");
        let sorted = |mut texts: Vec<String>| {
            texts.sort();
            texts
        };
        let named = |path: &Path| sorted(paths(path).map(|it| it.to_string_lossy().into_owned()).to_vec());
        for _ in 0..3 {
            let gone = only(observer.sample());
            assert!(gone.is_gone());
            assert_eq!(pids(&gone), [writer.pid()]);
            let row = process(&gone, writer.pid());
            assert_eq!(sorted(row.replaced.clone()), named(&old));
            assert_eq!(sorted(row.moved_to.clone()), named(&new));
            assert!(!row.has_main_file());
        }
        rename(&new, &old);
        let back = only(observer.sample());
        let row = process(&back, writer.pid());
        assert!(!back.is_gone() && row.has_main_file() && row.replaced.is_empty() && row.moved_to.is_empty());
        rename(&old, &new);
        assert_eq!(pids(&only(observer.sample())).len(), 2, "both were seen to use it where it was");
        drop(newcomer);
        writer.close();
        assert!(only(observer.sample()).processes.is_empty());
    }
}
