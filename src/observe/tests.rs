use std::fs;

use tempfile::TempDir;

use super::{
    proc::fake::{FakeProc, lock_row, map_row},
    *,
};
use crate::{
    history::{LockOwner, SampledLock},
    snapshot::WalSource,
    threads,
};

/// A process that has the database of a [`Scene`] open.
pub const USER: i32 = 70;

/// An empty database with a log and an index, under a `/proc` of the test's own.
pub struct Scene {
    _folder: TempDir,
    pub paths: [PathBuf; 3],
    pub proc: FakeProc,
    pub observer: Observer,
}

impl Scene {
    pub fn new() -> Self {
        let (folder, proc) = (TempDir::new().expect("a folder"), FakeProc::new());
        let paths = files::with_sidecars(&folder.path().join("a.db"));
        for (path, bytes) in paths.iter().zip([0, 0, 32_768]) {
            fs::write(path, vec![0; bytes]).expect("written");
        }
        let places = Places { proc: proc.path().to_owned(), ..Places::under(folder.path()) };
        let observer = Observer::new(&places, vec![paths[0].clone()]);
        Self { _folder: folder, paths, proc, observer }
    }

    /// The same with [`USER`], who has each file open for writing and the index mapped, and whose descriptors show `locks`
    /// on the main file and on the index.
    pub fn with_user(locks: [&str; 2]) -> Self {
        let scene = Self::new();
        let [main, log, index] = &scene.paths;
        let lock = |path: &Path, bytes: &str| match bytes {
            "" => String::new(),
            bytes => format!("lock:\t{}", lock_row("READ", USER, path, bytes)),
        };
        scene.proc.process(USER).write("70/maps", &map_row(0x7f00_0000, index));
        for (number, path, locks) in [(3, main, locks[0]), (4, log, ""), (5, index, locks[1])] {
            let info = format!("pos:\t0\nflags:\t0100002\n{}", lock(path, locks));
            scene.proc.descriptor(USER, number, path, &info);
        }
        scene
    }

    /// What one sample sees of the files, before the processes are read.
    pub fn view(&mut self) -> DatabaseView {
        self.observer.views(now(), &mut Vec::new()).remove(0)
    }

    fn user(&mut self) -> crate::snapshot::Process {
        let snapshot = self.observer.sample();
        snapshot.databases[0].process(USER).expect("it has the database open").clone()
    }
}

pub fn now() -> SampleTime {
    SampleTime { timestamp: Timestamp::now(), instant: Instant::now() }
}

#[test]
fn a_lock_that_the_lock_table_lacks_is_found_at_the_descriptor() {
    for (main, index) in
        [("", ""), ("1073741826 1073742335", ""), ("", "128 128"), ("1073741826 1073742335", "128 128")]
    {
        let user = Scene::with_user([main, index]).user();
        assert_eq!(user.pairing.holds_main, !main.is_empty(), "{main:?}, {index:?}");
        assert_eq!(user.holds_index, !index.is_empty(), "{main:?}, {index:?}");
    }
}

#[test]
fn the_mappings_of_a_process_without_a_lock_on_its_index_are_read_in_each_sample() {
    let mut scene = Scene::with_user(["", ""]);
    assert_eq!(scene.user().maps_index, Some(true));
    scene.proc.write("70/maps", "");
    assert_eq!(scene.user().maps_index, Some(false));
}

#[test]
fn locks_are_watched_between_samples_only_after_that_was_asked_for() {
    let mut scene = Scene::new();
    assert_eq!(scene.observer.sample().sampling, None);
    scene.observer.watch_locks();
    let snapshot = scene.observer.sample();
    assert!(snapshot.sampling.is_some(), "{:?}", snapshot.unseen);
}

#[test]
fn the_trend_of_a_database_shows_who_has_held_its_write_lock_lately() {
    let mut scene = Scene::new();
    scene.observer.sample();
    let history = scene.observer.histories().remove(0);
    let began = Instant::now();
    let owner = LockOwner { pid: Some(USER), start_ticks: Some(4200), name: "bun".to_owned() };
    {
        let mut history = threads::lock(&history);
        history.sampling_began(began);
        history.open(SampledLock::Write, began, Arc::new(owner));
    }
    let lanes = scene.observer.trend(0).lanes;
    assert_eq!(
        lanes.iter().map(|lane| (lane.pid, lane.name.as_str())).collect::<Vec<_>>(),
        [(Some(USER), "bun")]
    );
    assert_eq!(scene.observer.trend(1), DatabaseTrend::default(), "there is no other database");
}

#[test]
fn the_times_of_a_database_are_given_up_when_its_file_is_replaced_or_deleted() {
    let mut scene = Scene::new();
    let main = scene.paths[0].clone();
    let mut next = || {
        let view = scene.view();
        (view.name(), scene.observer.watched[0].outdated(&view))
    };
    let (first, outdated) = next();
    assert!(first.is_some() && outdated.is_none());
    assert_eq!(next(), (first.clone(), None), "it is the same");
    fs::rename(&main, main.with_extension("old")).expect("moved away");
    fs::write(&main, "").expect("written");
    let (second, outdated) = next();
    assert_eq!(outdated, first, "another has its place");
    fs::remove_file(&main).expect("removed");
    assert_eq!(next(), (None, second));
    assert_eq!(next(), (None, None), "once is enough");
}

#[test]
fn an_index_is_believed_only_while_a_process_holds_its_lock() {
    let mut scene = Scene::with_user(["", ""]);
    let [_, log, index] = scene.paths.clone();
    // The log has no valid frame.
    fs::write(log, content::fixture::log(4096, &[(1, 1, b"x"), (2, 2, b"y")])).expect("written");
    fs::write(&index, content::fixture::index(4096, &[1, 2], 2, 1)).expect("written");
    let mut counted = |table: &str| {
        scene.proc.write("locks", table);
        let wal = scene.observer.sample().databases.remove(0).wal.expect("there is a log");
        (wal.source, wal.frames, wal.backfilled)
    };
    assert_eq!(counted(&lock_row("READ", USER, &index, "128 128")), (WalSource::Index, Some(2), Some(1)));
    assert_eq!(counted(""), (WalSource::Log, Some(0), None));
}

#[test]
fn a_client_is_read_only_if_it_can_write_by_no_descriptor_on_the_main_file() {
    let mut scene = Scene::with_user(["", ""]);
    assert_eq!(scene.user().read_only, Some(false));
    let reads = "flags:\t0100000\n";
    scene.proc.write(&format!("{USER}/fdinfo/3"), reads);
    assert_eq!(scene.user().read_only, Some(true));
    scene.proc.descriptor(USER, 6, &scene.paths[0], "flags:\t0100002\n");
    assert_eq!(scene.user().read_only, Some(false));
}
