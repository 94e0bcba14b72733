use std::fs;

use tempfile::TempDir;

use super::{
    proc::fake::{FakeProc, lock_row, map_row},
    *,
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
