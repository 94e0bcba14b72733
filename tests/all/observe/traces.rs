//! Real databases: what is remembered of them, and that looking leaves no trace.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::MetadataExt,
    process::{Command, Stdio},
    time::Instant,
};

use super::*;
use crate::{
    fake_proc::sidecar,
    support::{WALTOP, eventually},
};

#[test]
fn held_times_go_on_counting_in_the_next_observer() {
    let scene = Scene::with_wal();
    let (mut reader, mut writer) = (scene.actor(), scene.actor());
    writer.sql("INSERT INTO t VALUES (2)");
    reader.sql("BEGIN").sql("SELECT * FROM t");
    writer.sql("BEGIN IMMEDIATE");
    let held = |database: &Database| {
        let readers = database.locks.readers.iter();
        let reader = readers.filter(|other| other.pid == Some(reader.pid())).find_map(|other| other.held_ms);
        (
            reader.expect("held"),
            database.locks.writer.as_ref().and_then(|writer| writer.held_ms).expect("held"),
        )
    };
    let first = held(&scene.look());
    let kept = fs::metadata(scene.places(Path::new("/proc")).first_seen).expect("written");
    assert_eq!(kept.mode() & 0o777, 0o600);
    eventually("time goes by", || {
        let (reader, writer) = held(&scene.look());
        assert!(reader >= first.0 && writer >= first.1);
        (reader > first.0 && writer > first.1 && reader >= 20.0 && writer >= 20.0).then_some(())
    });
}

#[test]
fn a_lock_that_is_taken_again_and_again_is_not_taken_for_one_long_hold() {
    let scene = Scene::with_wal();
    let (mut poller, mut reader) = (scene.actor(), scene.actor());
    poller.sql("BEGIN IMMEDIATE").sql("SELECT * FROM t");
    reader.sql("BEGIN").sql("SELECT * FROM t");
    scene.look();
    for _ in 0..3 {
        // Neither writes anything, so that no counter and no mark tells the holds apart.
        poller.sql("COMMIT");
        reader.sql("COMMIT");
        let again = Instant::now();
        poller.sql("BEGIN IMMEDIATE").sql("SELECT * FROM t");
        reader.sql("BEGIN").sql("SELECT * FROM t");
        let database = scene.look();
        let at_most = again.elapsed().as_secs_f64() * 1e3;
        let writer = database.locks.writer.as_ref().and_then(|writer| writer.held_ms).expect("held");
        assert!(writer <= at_most, "{writer} ms, but it was taken {at_most} ms ago");
        let mut readers = database.locks.readers.iter();
        let reading =
            readers.find(|it| it.pid == Some(reader.pid())).and_then(|it| it.held_ms).expect("held");
        assert!(reading <= at_most, "{reading} ms, but it was taken {at_most} ms ago");
    }
}

#[test]
fn a_state_folder_that_cannot_be_written_is_reported_and_is_no_error() {
    let scene = Scene::with_wal();
    let mut reader = scene.actor();
    reader.sql("BEGIN").sql("SELECT * FROM t");
    let mut places = scene.places(Path::new("/proc"));
    fs::write(scene.state.path().join("file"), "").expect("written");
    places.first_seen = scene.state.path().join("file/first-seen.json");
    let snapshot = Observer::new(&places, vec![scene.path()]).sample();
    assert!(
        snapshot.unseen.iter().any(|unseen| unseen.what.contains("earlier samples")),
        "{:?}",
        snapshot.unseen
    );
    assert_eq!(reader_of(&only(snapshot), reader.pid()).len(), 1);
}

#[test]
fn sampled_holds_name_their_process() {
    let scene = Scene::with_wal();
    let mut writer = scene.actor();
    writer.sql("SELECT * FROM t");
    let mut observer = scene.observer();
    let unsampled = only(observer.sample());
    assert!(unsampled.locks.window_ms.is_none() && unsampled.locks.write_holds.is_none());
    observer.watch_locks();
    let mut round = 0;
    let database = eventually("two holds are seen", || {
        round += 1;
        writer.sql("BEGIN IMMEDIATE").sql(&format!("INSERT INTO t VALUES ({round})"));
        // The lock is kept until the sampler has seen it, however slow this machine is.
        eventually("the hold is seen", || {
            let holds = only(observer.sample()).locks.write_holds?;
            (holds.count >= round).then_some(())
        });
        writer.sql("COMMIT");
        (round >= 2).then(|| only(observer.sample()))
    });
    assert!(database.locks.window_ms.is_some());
    let holds = database.locks.write_holds.expect("sampled");
    assert!(holds.by_process.iter().all(|part| part.pid == Some(writer.pid())), "{holds:?}");
    assert!(holds.max_ms > 0.0 && holds.held_ratio > 0.0);
    let trend = observer.trend(0);
    assert_eq!(trend.minute.lanes.len(), 1);
    assert_eq!(
        (trend.minute.lanes[0].pid, trend.minute.lanes[0].name.as_str()),
        (Some(writer.pid()), "waltop")
    );
    assert_eq!(observer.trend(7), waltop::history::DatabaseTrend::default());
}

#[test]
fn the_sampler_follows_a_new_index() {
    let scene = Scene::with_wal();
    let mut observer = scene.observer();
    observer.watch_locks();
    // Whoever opens the database alone makes -shm anew, and takes it away at the end.
    for count in 1..=2 {
        let mut writer = scene.actor();
        writer.sql("BEGIN IMMEDIATE");
        eventually("the hold is seen", || {
            let holds = only(observer.sample()).locks.write_holds?;
            (holds.count >= count && holds.by_process.iter().any(|part| part.pid == Some(writer.pid())))
                .then_some(())
        });
        writer.close();
    }
}

#[test]
fn samples_are_rare_while_nothing_happens_and_frequent_when_something_does() {
    let scene = Scene::with_wal();
    let mut writer = scene.actor();
    writer.sql("INSERT INTO t VALUES (1)");
    let mut observer = scene.observer();
    assert_eq!(observer.sample().sampling, None);
    observer.watch_locks();
    let mut interval = |what: &str, is_so: fn(f64) -> bool| {
        eventually(what, || observer.sample().sampling?.interval_ms.filter(|&it| is_so(it)))
    };
    interval("it rests", |it| it > 15.0);
    writer.sql("INSERT INTO t VALUES (2)");
    interval("a commit wakes it", |it| it < 10.0);
}

#[test]
fn it_never_rests_where_it_is_told_not_to() {
    let scene = Scene::with_wal();
    let mut observer = scene.observer();
    observer.watch_locks_steadily();
    // Many more samples than fit into a time in which rests are taken: 3 s without any, then 50 a second.
    let sampling = eventually("it has sampled for a while", || {
        observer.sample().sampling.filter(|sampling| sampling.samples > 2500)
    });
    assert!(sampling.interval_ms.is_some_and(|it| it < 15.0), "{sampling:?}");
}

#[test]
fn another_waltop_that_samples_is_no_row() {
    let scene = Scene::with_wal();
    let mut actor = scene.actor();
    actor.sql("BEGIN IMMEDIATE");
    let mut other = Command::new(WALTOP)
        .args(["status", "--for", "1m"])
        .arg(scene.path())
        .env("HOME", scene.state.path())
        .stdout(Stdio::null())
        .spawn()
        .expect("it runs");
    let index = ino(&sidecar(&scene.path(), "-shm"));
    eventually("it has the index open", || {
        let mut open = fs::read_dir(format!("/proc/{}/fd", other.id())).ok()?.flatten();
        open.any(|link| fs::metadata(link.path()).is_ok_and(|file| file.ino() == index)).then_some(())
    });
    let mut observer = scene.observer();
    observer.watch_locks();
    let database = eventually("the hold is sampled", || {
        let database = only(observer.sample());
        database.locks.write_holds.as_ref().is_some_and(|holds| holds.count > 0).then_some(database)
    });
    assert_eq!(pids(&database), [actor.pid()]);
    assert_eq!(database.locks.writer.as_ref().and_then(|holder| holder.pid), Some(actor.pid()));
    assert_eq!(locks_on(&scene, other.id()), 0);
    other.kill().expect("it can be killed");
    other.wait().expect("it ends");
}

#[test]
fn a_sample_changes_nothing_and_holds_nothing() {
    let clean = Scene::with_wal();
    let leftover = Scene::with_wal();
    let mut killed = leftover.actor();
    killed.sql("INSERT INTO t VALUES (2)");
    killed.kill();
    let live = Scene::with_wal();
    let mut holder = live.actor();
    holder.sql("INSERT INTO t VALUES (2)").sql("BEGIN IMMEDIATE");
    for scene in [&clean, &leftover, &live] {
        let before = listing(scene.folder.path());
        let mut observer = scene.observer();
        observer.sample();
        observer.watch_locks();
        let database = only(observer.sample());
        assert_eq!(listing(scene.folder.path()), before);
        assert_eq!(database.files.shm.is_some(), before.len() == 3);
        for suffix in ["", "-wal"] {
            assert_eq!(descriptors_on(&sidecar(&scene.path(), suffix)), 0, "{suffix}");
        }
        assert_eq!(locks_on(scene, std::process::id()), 0);
        drop(observer);
        assert_eq!(descriptors_on(&sidecar(&scene.path(), "-shm")), 0, "the sampler lets go");
    }
    assert!(
        locks_on(&live, u32::try_from(holder.pid()).expect("positive")) > 0,
        "the holder still has its locks"
    );
    holder.sql("COMMIT");
}

#[test]
fn another_observer_is_no_row() {
    let scene = Scene::with_wal();
    let mut actor = scene.actor();
    actor.sql("SELECT * FROM t");
    // As the sampler of another waltop does: -shm open for reading, and nothing else.
    let mut other = Command::new("sh")
        .arg("-c")
        .arg("exec 3<\"$1\"; read line")
        .arg("sh")
        .arg(sidecar(&scene.path(), "-shm"))
        .stdin(Stdio::piped())
        .spawn()
        .expect("sh runs");
    eventually("it has the file open", || {
        let fd = format!("/proc/{}/fd/3", other.id());
        fs::metadata(fd).ok().filter(|open| open.ino() == ino(&sidecar(&scene.path(), "-shm")))
    });
    assert_eq!(pids(&scene.look()), [actor.pid()]);
    other.kill().expect("it can be killed");
    other.wait().expect("it ends");
}

fn ino(path: &Path) -> u64 {
    path.metadata().expect("there").ino()
}

// Name, inode, owner, group, mode, size and times of change of everything in `folder`.
fn listing(folder: &Path) -> BTreeMap<String, [i64; 7]> {
    let entries = fs::read_dir(folder).expect("readable").map(|entry| entry.expect("readable"));
    let facts = entries.map(|entry| {
        let file = entry.metadata().expect("there");
        let number = |value: u64| i64::try_from(value).expect("small");
        let facts = [
            number(file.ino()),
            file.uid().into(),
            file.gid().into(),
            file.mode().into(),
            number(file.len()),
            file.mtime_nsec(),
            file.ctime_nsec(),
        ];
        (entry.file_name().to_string_lossy().into_owned(), facts)
    });
    facts.collect()
}

fn descriptors_on(path: &Path) -> usize {
    let Ok(file) = path.metadata() else { return 0 };
    let open = fs::read_dir("/proc/self/fd")
        .expect("readable")
        .flatten()
        .filter_map(|fd| fs::metadata(fd.path()).ok());
    open.filter(|open| (open.dev(), open.ino()) == (file.dev(), file.ino())).count()
}

fn locks_on(scene: &Scene, pid: u32) -> usize {
    let table = fs::read_to_string("/proc/locks").expect("readable");
    let files = ["", "-wal", "-shm"].map(|suffix| sidecar(&scene.path(), suffix));
    let inodes: Vec<_> =
        files.iter().filter_map(|file| file.metadata().ok()).map(|file| file.ino()).collect();
    let is_ours = |line: &&str| {
        line.split_whitespace().any(|field| field == pid.to_string())
            && inodes.iter().any(|inode| line.contains(&format!(":{inode} ")))
    };
    table.lines().filter(is_ours).count()
}
