use std::{fs, path::Path};

use tempfile::TempDir;

use super::{
    lock_probe::tests::lock,
    proc::fake::{FakeProc, lock_row, map_row},
    *,
};
use crate::{
    history::{LockOwner, SampledLock},
    snapshot::WalSource,
    state::journal,
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
    let owner = LockOwner {
        pid: Some(USER),
        start_ticks: Some(4200),
        name: "bun".to_owned(),
        ..LockOwner::default()
    };
    {
        let mut history = threads::lock(&history);
        history.sampling_began(began);
        history.open(SampledLock::Write, began, Arc::new(owner));
    }
    let lanes = scene.observer.trend(0).minute.lanes;
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

#[test]
fn a_database_is_unlocked_only_if_no_byte_of_sqlite_is_locked() {
    let scene = Scene::new();
    let [main, _, index] = &scene.paths;
    let is_unlocked = || scene.observer.watched[0].is_unlocked();
    assert!(is_unlocked());
    for (path, byte) in
        [(index, 120), (index, 123), (index, 128), (main, 1_073_741_825), (main, 1_073_742_000)]
    {
        let _hold = lock(path, &(byte..=byte));
        assert!(!is_unlocked(), "{byte}");
    }
    let _other = lock(index, &(5..=5));
    assert!(is_unlocked(), "no byte of SQLite");
    fs::remove_file(index).expect("removed");
    assert!(is_unlocked(), "there is no index");
}

#[test]
fn a_sample_is_complete_only_with_the_whole_lock_table() {
    let mut scene = Scene::with_user(["", ""]);
    let mut sampled = |what: &str| {
        let snapshot = scene.observer.sample();
        let is_told = snapshot.unseen.iter().any(|it| it.what == what);
        (snapshot.databases[0].is_complete, is_told)
    };
    assert_eq!(sampled("the lock table"), (true, false));
    fs::remove_file(scene.proc.path().join("locks")).expect("removed");
    assert_eq!(sampled("the lock table"), (false, true));
}

#[test]
fn a_process_is_named_by_the_rules_of_now_and_a_pidfile_is_read_once_asked_for() {
    let mut scene = Scene::with_user(["", ""]);
    scene.proc.write(&format!("{USER}/cmdline"), "bun\0report\0");
    let rule = regex::Regex::new("report").expect("a rule");
    scene.observer.set_label_rules(LabelRules::from_iter([(rule, "nightly".to_owned())]));
    assert_eq!(scene.user().label, "nightly");
    let pidfile = scene.paths[0].with_extension("pid");
    fs::write(&pidfile, format!("{USER}\n")).expect("written");
    assert!(scene.observer.sample().pidfiles.is_empty());
    scene.observer.set_pidfiles(vec![pidfile]);
    let found = scene.observer.sample().pidfiles.remove(0);
    assert_eq!(
        (found.pid, found.lives, found.command.as_deref()),
        (Some(USER), Some(true), Some("bun report"))
    );
}

#[test]
fn a_database_that_is_watched_later_is_sampled_as_well() {
    let (mut scene, other) = (Scene::new(), Scene::new());
    scene.observer.watch_locks();
    scene.observer.set_databases(vec![other.paths[0].clone()]);
    let history = scene.observer.histories().remove(0);
    let _writer = lock(&other.paths[2], &(120..=120));
    let deadline = Instant::now() + Duration::from_mins(1);
    while threads::lock(&history).current(SampledLock::Write).is_none() {
        assert!(Instant::now() < deadline, "its lock is sampled");
        std::thread::sleep(Duration::from_millis(1));
    }
    let locks = scene.observer.sample().databases.remove(0).locks;
    assert!(locks.window_ms.is_some() && locks.write_holds.is_some_and(|holds| holds.count == 1));
}

#[test]
fn a_trace_that_is_impossible_is_reported_in_each_snapshot_only_where_it_was_asked_for() {
    let mut scene = Scene::new();
    let mut traced = |mode| {
        let why = scene.observer.trace_locks(mode).is_some();
        let snapshot = scene.observer.sample();
        assert!(snapshot.trace.is_none() && snapshot.databases[0].locks.refusals.is_none());
        (why, snapshot.unseen.iter().any(|it| it.what.contains("trace of lock requests")))
    };
    assert_eq!(traced(TraceMode::Off), (false, false));
    assert_eq!(traced(TraceMode::Auto), (true, false));
    assert_eq!(traced(TraceMode::On), (true, true), "there is no tracefs");
}

#[test]
fn a_run_and_its_waits_belong_to_the_database_that_it_ingests_into() {
    let mut scene = Scene::new();
    let places = scene.paths[0].parent().expect("a folder").join("runs");
    fs::create_dir_all(&places).expect("a folder");
    let start = |run: &str, database: &Path| {
        let event = journal::JournalEvent::Started {
            run: run.to_owned(),
            pid: USER,
            start_ticks: Some(4200),
            boot: None,
            database: database.display().to_string(),
            folders: vec!["/srv/notes".to_owned()],
            batch: "auto".to_owned(),
            root: None,
            carries_on: None,
            hidden: None,
            began_at: None,
        };
        let line = journal::JournalLine { at: Timestamp::now(), event };
        let text = serde_json::to_string(&line).expect("JSON") + "\n";
        fs::write(places.join(format!("{run}.jsonl")), text).expect("written");
    };
    start("20260102T030405Z-70", &scene.paths[0]);
    start("20260102T030406Z-71", "/srv/other.db".as_ref());
    let batch = |database: &str, run: &str| {
        let cost = journal::RecordedCost { wait_ms: 200.0, hold_ms: 10.0, retries: 1 };
        let event = journal::JournalEvent::Batch { files: 1, bytes: 10, cost, decided: None };
        let line = journal::JournalLine { at: Timestamp::now(), event };
        let path = places.join(format!("{run}.jsonl"));
        let begun = fs::read_to_string(&path).expect("a journal");
        fs::write(path, begun + &serde_json::to_string(&line).expect(database) + "\n").expect("written");
    };
    batch("it", "20260102T030405Z-70");
    batch("the other", "20260102T030406Z-71");
    let history = scene.observer.histories().remove(0);
    threads::lock(&history)
        .sampling_began(Instant::now().checked_sub(Duration::from_secs(50)).expect("long ago"));
    let snapshot = scene.observer.sample();
    let now = (Instant::now(), Timestamp::now());
    let window = crate::history::TimeWindow { end: None, span: Duration::from_mins(1) };
    let timeline = threads::lock(&history).timeline(window, now).expect("sampled");
    let waiters: Vec<_> = timeline.lanes.iter().map(|lane| lane.who.pid).collect();
    assert_eq!(waiters, [Some(USER)], "only one waited for this database");
    assert!(!snapshot.host.is_empty());
    let runs: Vec<&str> = snapshot.databases[0].ingestions.iter().map(|it| it.run.as_str()).collect();
    assert_eq!(runs, ["20260102T030405Z-70"], "{:?}", snapshot.unseen);
    let record = journal::WatcherRecord {
        pid: USER,
        start_ticks: None,
        boot: None,
        database: scene.paths[0].display().to_string(),
        folder: "/srv/notes".to_owned(),
        since: Timestamp::UNIX_EPOCH,
    };
    scene.proc.process(USER);
    for (name, database) in [("a", record.database.clone()), ("b", "/srv/other.db".to_owned())] {
        let line =
            serde_json::to_string(&journal::WatcherRecord { database, ..record.clone() }).expect("JSON");
        let path = places.join(name).with_extension(journal::WATCH_EXTENSION);
        fs::write(path, format!("{USER}\n{line}\n")).expect("written");
    }
    let watchers = scene.observer.sample().databases.remove(0).watchers;
    assert_eq!(watchers.iter().map(|it| it.pid).collect::<Vec<_>>(), [USER]);
}

#[test]
fn a_file_that_is_gone_is_looked_for_among_the_processes_that_used_it() {
    let mut scene = Scene::new();
    let [main, log, _] = scene.paths.clone();
    assert_eq!(scene.view().target().former.map(|it| it.is_some()), [false; 3], "they are all there");
    let births = scene.view().sights.each_ref().map(|sight| sight.as_ref().and_then(|sight| sight.birth));
    fs::rename(&log, log.with_extension("old")).expect("moved");
    assert_eq!(scene.view().target().former, [None, births[1], None]);
    fs::write(&log, "").expect("written");
    assert_eq!(scene.view().target().former, [None; 3]);
    fs::rename(&main, main.with_extension("old")).expect("moved");
    assert_eq!(scene.view().target().former, [births[0], None, None]);
}
