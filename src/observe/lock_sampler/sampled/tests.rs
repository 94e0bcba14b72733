use std::{
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

use super::*;
use crate::observe::lock_probe::tests::lock;

#[test]
fn a_process_that_ends_keeps_its_name() {
    let proc = tempfile::tempdir().expect("a folder");
    let folder = proc.path().join("7");
    let zeros = "0 ".repeat(17);
    let write = |state: char, start: u64, command: &str| {
        fs::create_dir_all(&folder).expect("its folder");
        let stat = format!("7 (python3) {state} 1 {zeros}{start} 9 9\n");
        fs::write(folder.join("stat"), stat).expect("stat");
        fs::write(folder.join("cmdline"), command).expect("cmdline");
    };
    let mut names = HolderNames::from(proc.path().to_owned());
    let start = Instant::now();
    let mut name = |after: u64| names.of(Some(7), start + Duration::from_secs(after)).name.clone();
    write('S', 4200, "python3\0report.py\0");
    assert_eq!(name(0), "report.py");
    write('R', 4200, "");
    assert_eq!(name(2), "report.py", "it has no command line any more");
    write('Z', 4200, "");
    assert_eq!(name(4), "report.py", "it is dead");
    fs::remove_dir_all(&folder).expect("it is gone");
    assert_eq!(name(6), "report.py");
    write('S', 9900, "");
    assert_eq!(name(8), "python3", "another process with its number");
}

#[test]
fn a_commit_ends_the_hold_of_the_write_lock_and_of_no_other() {
    let target = SampledDatabase {
        main: "/srv/a.db".into(),
        index: "/srv/a.db-shm".into(),
        log: "/srv/a.db-wal".into(),
        history: Arc::default(),
    };
    let history = Arc::clone(&target.history);
    let (start, milliseconds) = (Instant::now(), Duration::from_millis);
    threads::lock(&history).sampling_began(start);
    let mut samples = LockSamples::new(target);
    let mut names = HolderNames::from(PathBuf::from("/nowhere"));
    let mut since_after = |at: u64, committed| {
        let holder = Some(SampledHolder(Some(70)));
        let (now, before) = (start + milliseconds(at), start + milliseconds(at.saturating_sub(10)));
        samples.note([holder, holder, None], now, Some(before), committed, &mut names);
        let history = threads::lock(&history);
        SampledLock::ALL.map(|lock| history.current(lock).map(|(since, _)| since - start))
    };
    let taken = milliseconds(98);
    assert_eq!(since_after(100, false), [Some(taken), Some(taken), None]);
    assert_eq!(since_after(110, false), [Some(taken), Some(taken), None], "it holds them still");
    assert_eq!(since_after(120, true), [Some(milliseconds(118)), Some(taken), None], "it has them again");
}

// The files of a database that is sampled, and what is asked of it.
struct Sampled {
    _folder: tempfile::TempDir,
    samples: LockSamples,
    names: HolderNames,
}

impl Sampled {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let [main, log, index] = files::with_sidecars(&folder.path().join("a.db"));
        let target = SampledDatabase { main, index, log, history: Arc::default() };
        let names = HolderNames::from(PathBuf::from("/nowhere"));
        Self { _folder: folder, samples: LockSamples::new(target), names }
    }

    fn write(path: &Path, at: usize, bytes: &[u8]) {
        let mut content = fs::read(path).unwrap_or_else(|_| vec![0; 200]);
        content[at..at + bytes.len()].copy_from_slice(bytes);
        fs::write(path, content).expect("written");
    }

    fn sample(&mut self) -> LockActivity {
        self.samples.sample(&mut self.names, None)
    }

    fn held(&self) -> [bool; 3] {
        let history = threads::lock(&self.samples.target.history);
        SampledLock::ALL.map(|lock| history.current(lock).is_some())
    }
}

#[test]
fn the_holder_of_each_exclusive_byte_of_the_index_is_sampled() {
    let mut scene = Sampled::new();
    let index = scene.samples.target.index.clone();
    Sampled::write(&index, 0, &[]);
    assert_eq!(scene.sample(), LockActivity::Some, "there is an index now");
    assert_eq!(scene.sample(), LockActivity::None);
    for (bytes, expected) in [
        (vec![120..=120], [true, false, false]),
        (vec![121..=121], [false, true, false]),
        (vec![122..=122], [false, false, true]),
        (vec![120..=122], [true; 3]),
        (vec![120..=120, 122..=122], [true, false, true]),
        (vec![119..=121], [true, true, false]),
        (vec![123..=128], [false; 3]),
    ] {
        let _locks: Vec<File> = bytes.iter().map(|bytes| lock(&index, bytes)).collect();
        let activity = if expected == [false; 3] { LockActivity::None } else { LockActivity::Held };
        assert_eq!((scene.sample(), scene.held()), (activity, expected), "{bytes:?}");
    }
    assert_eq!((scene.sample(), scene.held()), (LockActivity::None, [false; 3]));
}

#[test]
fn an_index_that_changed_long_ago_is_known_by_its_inode_until_it_is_renamed_or_removed() {
    let mut scene = Sampled::new();
    let index = scene.samples.target.index.clone();
    for is_removed in [false, true] {
        Sampled::write(&index, 8, &[1, 0, 0, 0]);
        scene.sample();
        while scene.samples.file.as_ref().is_none_or(|file| file.found.is_none()) {
            std::thread::sleep(Duration::from_millis(1));
            scene.sample();
        }
        assert_eq!(scene.sample(), LockActivity::None);
        if is_removed {
            fs::remove_file(&index).expect("removed");
        } else {
            fs::rename(&index, index.with_extension("old")).expect("moved");
        }
        assert_eq!(scene.sample(), LockActivity::Some, "it is no longer there");
        assert!(scene.samples.file.is_none());
    }
}

#[test]
fn a_commit_and_another_index_are_activity() {
    let mut scene = Sampled::new();
    let index = scene.samples.target.index.clone();
    assert_eq!(scene.sample(), LockActivity::None, "there is no file");
    Sampled::write(&index, 0, &[]);
    assert_eq!(scene.sample(), LockActivity::Some);
    Sampled::write(&index, 8, &[1, 0, 0, 0]);
    assert_eq!(scene.sample(), LockActivity::Some, "a commit");
    assert_eq!(scene.sample(), LockActivity::None);
    Sampled::write(&index, 12, &[1, 1, 1, 1]);
    assert_eq!(scene.sample(), LockActivity::None, "it is no counter");
    let old = lock(&index, &(120..=120));
    assert_eq!((scene.sample(), scene.held()), (LockActivity::Held, [true, false, false]));
    fs::rename(&index, index.with_extension("old")).expect("moved");
    Sampled::write(&index, 8, &[1, 0, 0, 0]);
    assert_eq!(
        (scene.sample(), scene.held()),
        (LockActivity::Some, [false; 3]),
        "it has no lock on this one"
    );
    drop(old);
    fs::remove_file(&index).expect("removed");
    assert_eq!(scene.sample(), LockActivity::Some, "the last one has closed it");
    assert_eq!(scene.sample(), LockActivity::None);
}

#[test]
fn reserved_is_sampled_in_rollback_mode_and_not_in_wal_mode() {
    let mut scene = Sampled::new();
    let main = scene.samples.target.main.clone();
    Sampled::write(&main, 18, &[2]);
    let _writer = lock(&main, &(RESERVED_BYTE..=RESERVED_BYTE));
    for _ in 0..2 {
        assert_eq!((scene.sample(), scene.held()), (LockActivity::None, [false; 3]), "nobody uses it");
    }
    Sampled::write(&main, 18, &[1]);
    File::options()
        .append(true)
        .open(&main)
        .and_then(|it| it.set_modified(SystemTime::UNIX_EPOCH))
        .expect("set");
    assert_eq!((scene.sample(), scene.held()), (LockActivity::Held, [true, false, false]));
}

#[test]
fn a_rollback_commit_is_counted_when_the_whole_file_is_released() {
    let mut scene = Sampled::new();
    let main = scene.samples.target.main.clone();
    Sampled::write(&main, 18, &[1]);
    assert_eq!(scene.sample(), LockActivity::Some);
    let since = |scene: &Sampled| {
        threads::lock(&scene.samples.target.history).current(SampledLock::Write).map(|(since, _)| since)
    };
    let commit = lock(&main, &(RESERVED_BYTE..=*SHARED_BYTES.end()));
    assert_eq!(scene.sample(), LockActivity::Held);
    let began = since(&scene);
    Sampled::write(&main, 24, &[0, 0, 0, 1]);
    assert_eq!(scene.sample(), LockActivity::Held);
    assert_eq!(since(&scene), began, "it is one hold up to its end");
    drop(commit);
    assert_eq!(scene.sample(), LockActivity::Some, "it has committed");
    assert_eq!(scene.sample(), LockActivity::None);
    Sampled::write(&main, 28, &[1]);
    assert_eq!(scene.sample(), LockActivity::None, "it is no counter");
}

#[test]
fn a_commit_is_expected_to_end_its_hold_and_a_constant_writer_is_watched_less_and_less() {
    let (now, milliseconds) = (Instant::now(), Duration::from_millis);
    let mut hold = SampledLongHold::started(now);
    assert_eq!(hold.deaf_until, now + LONG);
    assert!(!hold.is_ending(now));
    hold.ends_until = Some(now + ENDS_WITHIN);
    assert!(hold.is_ending(now) && !hold.is_ending(now + ENDS_WITHIN));
    let pauses = [(); 6].map(|()| {
        hold.back_off(now);
        hold.deaf_until.duration_since(now)
    });
    assert_eq!(pauses, [40, 80, 160, 320, 500, 500].map(milliseconds));
}

#[test]
fn a_write_to_the_log_ends_the_watch_of_its_own_hold() {
    let mut samples = Sampled::new().samples;
    let now = Instant::now();
    assert!(!samples.is_listening() && !samples.commits_seen(&[1], now), "nothing is held");
    samples.hold = Some(SampledLongHold { watch: Some(1), ..SampledLongHold::started(now) });
    assert!(samples.is_listening() && !samples.commits_seen(&[2, 3], now), "another log");
    assert!(samples.is_listening() && samples.commits_seen(&[2, 1], now));
    assert!(!samples.is_listening() && !samples.commits_seen(&[1], now), "once");
    let hold = samples.hold.as_ref().expect("it goes on");
    assert!(hold.is_ending(now) && samples.last == Some(now));
    assert_eq!(hold.deaf_until, now + 2 * LONG);
}

#[test]
fn after_a_commit_the_lock_is_in_another_hold_whose_own_commit_is_not_watched_yet() {
    let mut scene = Sampled::new();
    let SampledDatabase { index, log, .. } = scene.samples.target.clone();
    Sampled::write(&index, 0, &[]);
    fs::write(log, "").expect("written");
    let ear = CommitWatcher::open().expect("a watcher");
    let _writer = lock(&index, &(120..=120));
    scene.samples.sample(&mut scene.names, Some(&ear));
    let hold = scene.samples.hold.as_mut().expect("it is held");
    hold.deaf_until = Instant::now();
    scene.samples.sample(&mut scene.names, Some(&ear));
    assert!(scene.samples.is_listening(), "it is a long hold");
    Sampled::write(&index, 8, &[1, 0, 0, 0]);
    scene.samples.sample(&mut scene.names, Some(&ear));
    assert!(scene.held()[0] && !scene.samples.is_listening(), "it has committed");
}

#[test]
fn a_hold_begins_and_ends_between_two_samples() {
    let mut scene = Sampled::new();
    let (start, milliseconds) = (Instant::now(), Duration::from_millis);
    let holder = Some(SampledHolder(None));
    let mut note = |holder, at: u64, before: Option<u64>| {
        let before = before.map(|ms| start + milliseconds(ms));
        scene.samples.note([None, holder, None], start + milliseconds(at), before, false, &mut scene.names);
        let history = threads::lock(&scene.samples.target.history);
        history.current(SampledLock::Checkpoint).map(|(since, _)| since.duration_since(start).as_millis())
    };
    assert_eq!(note(holder, 10, None), Some(10), "it may be older");
    assert_eq!(note(None, 20, Some(10)), None);
    assert_eq!(note(holder, 40, Some(38)), Some(39));
    assert_eq!(note(None, 50, Some(40)), None);
    assert_eq!(note(holder, 90, Some(50)), Some(88), "its length is a lower bound");
}

#[test]
fn readers_of_a_deep_log_are_sampled_while_no_process_writes() {
    let mut sampled = Sampled::new();
    let index = sampled.samples.target.index.clone();
    let reading = |sampled: &Sampled| {
        let (mut history, now) = (threads::lock(&sampled.samples.target.history), Instant::now());
        for (frames, at) in [(1_000, now), (1_001, now + Duration::from_millis(1))] {
            let salts = [0; 8];
            history.log_is(at, crate::history::LogSight { bytes: 0, frames, backfilled: 0, salts });
        }
        let reading = history.log_progress(now + Duration::from_millis(1)).expect("two samples").reading;
        (reading.samples, reading.read)
    };
    Sampled::write(&index, 16, &999_u32.to_ne_bytes());
    sampled.sample();
    assert_eq!(reading(&sampled), (0, 0), "it is not deep");
    Sampled::write(&index, 16, &1_000_u32.to_ne_bytes());
    let record = |sampled: &mut Sampled| {
        sampled.samples.told = None;
        sampled.sample();
    };
    record(&mut sampled);
    assert_eq!(reading(&sampled), (1, 0));
    let slots = [124..=124, 126..=126].map(|bytes| lock(&index, &bytes));
    record(&mut sampled);
    assert_eq!(reading(&sampled), (2, 1), "two slots are read");
    let writer = lock(&index, &(120..=120));
    record(&mut sampled);
    assert_eq!(reading(&sampled), (2, 1), "it has a read lock itself");
    drop((slots, writer));
    let _restarts = lock(&index, &(124..=127));
    record(&mut sampled);
    assert_eq!(reading(&sampled), (3, 1), "who has them all restarts the log");
}
