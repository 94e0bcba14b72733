use std::{
    os::unix::fs::MetadataExt,
    time::{Duration, Instant},
};

use super::{
    super::{clock, event::RequestKind, lock_state::tests::request},
    *,
};
use crate::{
    file_format::WRITE_BYTE,
    observe::proc::fake::{FakeProc, lock_row},
};

#[test]
fn a_request_is_of_the_database_whose_main_file_or_index_it_names() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let paths = ["a.db", "a.db-shm", "b.db", "b.db-shm"].map(|name| folder.path().join(name));
    let (proc, mounts) = (Path::new("/proc"), MountTable::read("/proc".as_ref()));
    let requests = paths.each_ref().map(|path| {
        std::fs::write(path, "").expect("written");
        let metadata = path.metadata().expect("it is there");
        let device = mounts.device_of(path).unwrap_or_else(|| FileId::of(&metadata).numbers());
        let write = request(7, RequestKind::Exclusive, WRITE_BYTE..=WRITE_BYTE, 0);
        LockRequest { device, inode: metadata.ino(), ..write }
    });
    let [main, index, other_main, other_index] = paths;
    let mut databases = [(main, index), (other_main, other_index)].map(|(main, index)| {
        let mounted = [main.clone(), index.clone()];
        TracedDatabase::new(TraceTarget { main, index, mounted, owner: None, history: Arc::default() })
    });
    for database in &mut databases {
        assert!(database.find_files(proc), "they were not known");
        assert!(!database.find_files(proc), "they are the same");
    }
    let of = requests.each_ref().map(|it| databases.each_ref().map(|database| database.is_of(it)));
    assert_eq!(of, [[true, false], [true, false], [false, true], [false, true]]);
    let mut names = HolderNames::from(std::path::PathBuf::from("/nowhere"));
    for database in &mut databases {
        database.apply(&requests[1], &clock(), &mut names);
    }
    let holder = |database: &TracedDatabase| {
        let history = threads::lock(&database.target.history);
        history.current(SampledLock::Write).and_then(|(_, owner)| owner.pid)
    };
    assert_eq!(databases.each_ref().map(holder), [Some(7), None]);
}

// A database whose index is seen under this `/proc`, and a clock.
pub(super) fn traced(proc: &FakeProc) -> (tempfile::TempDir, TracedDatabase, HolderNames) {
    let folder = tempfile::TempDir::new().expect("a folder");
    let [main, index] = ["a.db", "a.db-shm"].map(|name| folder.path().join(name));
    for path in [&main, &index] {
        std::fs::write(path, "").expect("written");
    }
    let mounted = [main.clone(), index.clone()];
    let target = TraceTarget { main, index, mounted, owner: None, history: Arc::default() };
    let mut database = TracedDatabase::new(target);
    assert!(database.find_files(proc.path()));
    (folder, database, HolderNames::from(proc.path().to_owned()))
}

fn at(micros: u64, instant: Instant) -> TraceClock {
    TraceClock { at: Duration::from_micros(micros), instant }
}

fn on_index(database: &TracedDatabase, owner: u64, kind: RequestKind, byte: u64, micros: u64) -> LockRequest {
    let file = database.index.file.as_ref().expect("it is there");
    let request = request(owner, kind, byte..=byte, micros);
    LockRequest { device: file.lock_device, inode: file.id.inode, ..request }
}

#[test]
fn present_holders_come_from_the_lock_table_after_requests_were_missed() {
    let proc = FakeProc::new();
    let (folder, mut database, mut names) = traced(&proc);
    let index = folder.path().join("a.db-shm");
    let writer = |database: &TracedDatabase| {
        let history = threads::lock(&database.target.history);
        history.current(SampledLock::Write).map(|(since, owner)| (since, owner.pid))
    };
    let start = Instant::now();
    let later = |seconds: u64| at(seconds * 1_000_000, start + Duration::from_secs(seconds));
    let hold = |pid: i32| lock_row("WRITE", pid, &index, "120 120") + &lock_row("READ", 6, &index, "124 124");
    proc.write("locks", &hold(7));
    assert!(!database.seed(proc.path(), &later(1), &mut names), "nothing was missed before the start");
    let since_start = Some((start + Duration::from_secs(1), Some(7)));
    assert_eq!(writer(&database), since_start);
    proc.write("locks", &hold(8));
    assert!(!database.seed(proc.path(), &later(2), &mut names), "nothing was missed");
    assert_eq!(writer(&database), since_start);
    database.forget();
    assert!(database.seed(proc.path(), &later(3), &mut names), "requests may be missing");
    assert_eq!(writer(&database), Some((start + Duration::from_secs(3), Some(8))));
    database.forget();
    database.seed(proc.path(), &later(4), &mut names);
    assert_eq!(writer(&database), Some((start + Duration::from_secs(3), Some(8))), "it is one hold");
    proc.write("locks", "");
    database.forget();
    database.seed(proc.path(), &later(5), &mut names);
    assert_eq!(writer(&database), None);
}

#[test]
fn another_index_at_the_path_is_traced_in_place_of_the_one_before() {
    let proc = FakeProc::new();
    let (folder, mut database, _) = traced(&proc);
    let inodes = |database: &TracedDatabase| database.files().map(|it| it.inode).collect::<Vec<_>>();
    let bytes: Vec<_> = database.files().map(|it| (it.first, it.last)).collect();
    assert_eq!(bytes, [MAIN_LOCKS, INDEX_LOCKS].map(|it| (*it.start(), *it.end())));
    let before = inodes(&database);
    let index = folder.path().join("a.db-shm");
    std::fs::rename(&index, folder.path().join("old")).expect("moved");
    std::fs::write(&index, "").expect("written");
    assert!(database.has_other_files(), "the next round traces it");
    assert!(database.find_files(proc.path()) && !database.find_files(proc.path()));
    assert!(!database.has_other_files());
    let now = inodes(&database);
    assert_eq!((now.len(), now[0], now[1] == before[1]), (2, before[0], false));
    std::fs::remove_file(&index).expect("removed");
    assert!(database.find_files(proc.path()));
    assert_eq!(inodes(&database), before[..1]);
}

#[test]
fn a_refused_writer_is_listed_while_it_waits_and_with_its_wait_after_that() {
    let proc = FakeProc::new();
    let (_folder, mut database, mut names) = traced(&proc);
    let start = Instant::now();
    let clock = |micros: u64| at(micros, start + Duration::from_micros(micros));
    let refused = RequestKind::Refused { is_exclusive: true };
    for (owner, kind, byte, micros) in [
        (7, RequestKind::Exclusive, 120, 1_000),
        (8, RequestKind::Shared, 124, 1_990),
        (8, refused, 120, 2_000),
        (8, refused, 120, 3_100),
    ] {
        let request = on_index(&database, owner, kind, byte, micros);
        database.apply(&request, &clock(3_200), &mut names);
    }
    let victims = |database: &TracedDatabase, micros: u64| {
        let now = Duration::from_micros(micros);
        let log = database.waits();
        let victims = threads::lock(&log).refusals(now, Duration::from_mins(1)).victims;
        victims.iter().map(|it| (it.pid, it.tries, it.gave_up, it.waiting_ms)).collect::<Vec<_>>()
    };
    database.end_silent_waits(&clock(4_000), &mut names);
    assert_eq!(victims(&database, 4_000), [(8, 2, 0, Some(2.0))]);
    let released = on_index(&database, 7, RequestKind::Released, 120, 5_000);
    database.apply(&released, &clock(5_000), &mut names);
    let taken = on_index(&database, 8, RequestKind::Exclusive, 120, 6_000);
    database.apply(&taken, &clock(6_000), &mut names);
    database.end_silent_waits(&clock(6_000), &mut names);
    assert_eq!(victims(&database, 6_000), [(8, 2, 0, None)]);
    let holder = threads::lock(&database.target.history)
        .current(SampledLock::Write)
        .map(|(since, owner)| (since.duration_since(start).as_micros(), owner.pid));
    assert_eq!(holder, Some((6_000, Some(8))));
    let refused = on_index(&database, 9, refused, 120, 7_000);
    let slot = on_index(&database, 9, RequestKind::Shared, 125, 6_990);
    for request in [slot, refused] {
        database.apply(&request, &clock(7_000), &mut names);
    }
    database.end_silent_waits(&clock(7_100), &mut names);
    assert_eq!(victims(&database, 7_100).len(), 1, "it may still try again");
    database.end_silent_waits(&clock(2_000_000), &mut names);
    assert_eq!(victims(&database, 2_000_000), [(8, 2, 0, None), (9, 1, 1, None)]);
}
