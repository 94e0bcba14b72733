use super::*;
use crate::observe::{
    files::{self, FileSighting},
    proc::{fake::FakeProc, mounts::MountTable},
};

// The `fdinfo` of a descriptor that only reads, and of one that also writes.
pub(super) const READS: &str = "flags:\t0100000\n";
pub(super) const WRITES: &str = "flags:\t0100002\n";

// A database whose files are empty.
pub(super) struct Scene {
    _folder: tempfile::TempDir,
    pub paths: [PathBuf; 3],
    sights: [Option<FileSighting>; 3],
    none: BTreeSet<i32>,
}

// Finds all openers in `proc`: the number of this process, which is low in a PID namespace, may be that of one of them.
fn finder_in(proc: &FakeProc) -> OpenerFinder {
    OpenerFinder { own: 0, ..OpenerFinder::new(proc.path()) }
}

impl Scene {
    pub fn new() -> Self {
        let folder = tempfile::TempDir::new().expect("a folder");
        let paths = files::with_sidecars(&folder.path().join("a.db"));
        let mounts = MountTable::read("/proc".as_ref());
        let sights = paths.each_ref().map(|path| {
            std::fs::write(path, "").expect("written");
            files::read_files(path, path, &mounts).expect("seen")
        });
        Self { _folder: folder, paths, sights, none: BTreeSet::new() }
    }

    // A folder on the same file system.
    pub fn parent(&self) -> &Path {
        self.paths[0].ancestors().nth(2).unwrap_or("/".as_ref())
    }

    pub fn target(&self) -> OpenerTarget<'_> {
        OpenerTarget {
            paths: self.paths.each_ref().map(PathBuf::as_path),
            namespace: None,
            sights: self.sights.each_ref().map(Option::as_ref),
            former: [None; 3],
            users: &self.none,
            holders: &self.none,
            is_cut: false,
            ofd_rows: Vec::new(),
        }
    }
}

#[test]
fn every_descriptor_on_one_of_the_three_files_counts() {
    let (scene, proc) = (Scene::new(), FakeProc::new());
    let [main, log, index] = &scene.paths;
    proc.process(70).process(71).process(72);
    for (number, path, info) in
        [(3, main, WRITES), (4, main, READS), (5, log, WRITES), (6, index, WRITES), (7, index, WRITES)]
    {
        proc.descriptor(70, number, path, info);
    }
    proc.descriptor(71, 3, log, READS).descriptor(71, 4, log, READS).descriptor(71, 5, main, READS);
    proc.descriptor(72, 3, "/etc/passwd".as_ref(), READS);
    let mut finder = finder_in(&proc);
    let found = finder.find(&[scene.target()], Instant::now()).remove(0);
    let found: BTreeMap<i32, _> =
        found.iter().map(|(&pid, opener)| (pid, (opener.handles, opener.read_only()))).collect();
    let handles = |db, wal, shm| Some(HandleCounts { db, wal, shm });
    let expected = [(70, (handles(2, 1, 2), Some(false))), (71, (handles(1, 2, 0), Some(true)))];
    assert_eq!(found, BTreeMap::from(expected));
}

#[test]
fn only_a_process_that_has_files_to_hide_is_reported_as_unseen() {
    let proc = FakeProc::new();
    let mut finder = finder_in(&proc);
    let mut unseen_after = |pid: i32, kind: io::ErrorKind| {
        finder.refused(pid, &kind.into());
        finder.unseen().map(|it| it.what).collect::<Vec<_>>().join("; ")
    };
    let denied = io::ErrorKind::PermissionDenied;
    let kernel_thread = 0x0020_0000;
    proc.stat(2, 'S', kernel_thread, 1).stat(68, 'Z', 0, 1).stat(69, 'Z', 0, 3).stat(70, 'S', 0, 1);
    assert_eq!(unseen_after(2, denied), "", "a thread of the kernel");
    assert_eq!(unseen_after(68, denied), "", "dead and not yet collected");
    assert_eq!(unseen_after(70, io::ErrorKind::NotFound), "", "it has ended");
    assert_eq!(unseen_after(70, denied), "open files of 1 process of other users");
    assert_eq!(
        unseen_after(69, denied),
        "open files of 2 processes of other users",
        "only its first thread ended"
    );
}

#[test]
fn a_name_may_stand_anywhere_in_a_path() {
    for (text, expected) in [("/srv/a.db", true), ("/srv/a.db-wal", true), ("/srv/b.db", false), ("a", false)]
    {
        assert_eq!(contains(text.as_bytes(), b"a.db"), expected, "{text}");
    }
    assert!(!contains(b"/srv", b""), "a path without a name is no database");
}

#[test]
fn mounts_are_shared_unless_the_namespaces_are_known_to_differ() {
    let (scene, proc) = (Scene::new(), FakeProc::new());
    let shares =
        |pid, target: &OpenerTarget| shares_mounts(proc.path(), &ProcessFolder::of(proc.path(), pid), target);
    proc.mount_namespace("70", "mnt:[1]").mount_namespace("71", "mnt:[2]");
    assert!(shares(71, &scene.target()), "that of waltop is unknown");
    proc.mount_namespace("self", "mnt:[1]");
    assert!(shares(70, &scene.target()) && !shares(71, &scene.target()));
    assert!(shares(72, &scene.target()), "its own is unknown");
    let inside = OpenerTarget { namespace: Some("mnt:[2]".as_ref()), ..scene.target() };
    assert!(!shares(70, &inside) && shares(71, &inside));
}

fn pids(found: &BTreeMap<i32, DatabaseOpener>) -> Vec<i32> {
    found.keys().copied().collect()
}

#[test]
fn all_processes_are_read_every_ten_seconds_and_new_ones_at_once() {
    let (scene, proc, start) = (Scene::new(), FakeProc::new(), Instant::now());
    let main = &scene.paths[0];
    let mut finder = finder_in(&proc);
    let mut found = |newest: &str, ms: u64| {
        proc.write("loadavg", &format!("0.00 0.00 0.00 1/1 {newest}\n"));
        pids(&finder.find(&[scene.target()], start + Duration::from_millis(ms)).remove(0))
    };
    proc.process(70).process(71).descriptor(70, 3, main, WRITES);
    assert_eq!(found("71", 0), [70]);
    proc.descriptor(71, 3, main, WRITES);
    proc.process(72).descriptor(72, 3, main, WRITES);
    assert_eq!(found("71", 1_000), [70], "no PID was assigned since");
    assert_eq!(found("72", 2_000), [70, 72], "the new one only");
    proc.process(79)
        .process(80)
        .descriptor(79, 3, main, WRITES)
        .descriptor(80, 3, main, WRITES)
        .write("80/status", "Tgid:\t79\n");
    assert_eq!(found("81", 2_100), [70, 72, 79], "80 is a thread");
    std::fs::remove_dir_all(proc.path().join("80")).expect("ended");
    proc.process(78).descriptor(78, 3, main, WRITES);
    assert_eq!(found("81", 2_200), [70, 72, 79], "it is not listed yet");
    assert_eq!(found("82", 2_300), [70, 72, 78, 79], "it had its PID before the newest one");
    proc.process(200).descriptor(200, 3, main, WRITES);
    assert_eq!(found("300", 2_400), [70, 72, 78, 79, 200], "all are listed");
    std::fs::remove_dir_all(proc.path().join("200")).expect("ended");
    proc.process(5).descriptor(5, 3, main, WRITES);
    assert_eq!(found("5", 2_500), [5, 70, 72, 78, 79], "the numbers begin again");
    for pid in [5, 78, 79] {
        std::fs::remove_dir_all(proc.path().join(pid.to_string())).expect("ended");
    }
    assert_eq!(found("5", 9_999), [70, 72]);
    assert_eq!(found("5", 10_000), [70, 71, 72]);
    std::fs::remove_file(proc.path().join("70/fd/3")).expect("closed");
    assert_eq!(found("5", 11_000), [71, 72], "one that is known is read each time");
}

#[test]
fn another_main_file_at_the_path_is_searched_in_all_processes_at_once() {
    let (one, other, proc) = (Scene::new(), Scene::new(), FakeProc::new());
    proc.process(70).process(71).write("loadavg", "0 0 0 1/1 71\n");
    proc.descriptor(70, 3, &one.paths[0], WRITES).descriptor(71, 3, &other.paths[0], WRITES);
    let mut finder = finder_in(&proc);
    let now = Instant::now();
    assert_eq!(pids(&finder.find(&[one.target()], now).remove(0)), [70]);
    assert_eq!(pids(&finder.find(&[other.target()], now).remove(0)), [71]);
    let both = finder.find(&[one.target(), other.target()], now);
    assert_eq!(both.iter().map(pids).collect::<Vec<_>>(), [[70], [71]]);
}

#[test]
fn a_lock_that_no_known_process_took_is_searched_after_two_seconds() {
    let (scene, proc, start) = (Scene::new(), FakeProc::new(), Instant::now());
    proc.process(70).write("loadavg", "0 0 0 1/1 70\n");
    let row = |owner: &str| format!("1: OFDLCK ADVISORY  READ  {owner} 00:01:5 128 128\n");
    let rows = crate::observe::lock_table::parse(&row("-1"));
    let mut finder = finder_in(&proc);
    let mut found = |rows: &[LockRow], ms: u64| {
        let target = OpenerTarget { ofd_rows: rows.iter().collect(), ..scene.target() };
        pids(&finder.find(&[target], start + Duration::from_millis(ms)).remove(0))
    };
    assert_eq!(found(&[], 0), [0; 0]);
    let info = format!("{WRITES}lock:\t{}", row("-1"));
    proc.descriptor(70, 3, &scene.paths[2], &info);
    assert_eq!(found(&rows, 1_000), [0; 0], "it is not known yet");
    assert_eq!(found(&rows, 1_999), [0; 0]);
    assert_eq!(found(&rows, 2_000), [70]);
    std::fs::remove_file(proc.path().join("70/fd/3")).expect("closed");
    assert_eq!(found(&rows, 3_000), [0; 0]);
}

#[test]
fn a_holder_of_locks_is_listed_without_a_descriptor_and_waltop_is_not() {
    let (scene, proc) = (Scene::new(), FakeProc::new());
    let own = std::process::id().cast_signed();
    proc.process(70).process(own).descriptor(own, 3, &scene.paths[0], WRITES);
    let holders = BTreeSet::from([70, 71, own]);
    let target = OpenerTarget { holders: &holders, ..scene.target() };
    let found = OpenerFinder::new(proc.path()).find(&[target], Instant::now()).remove(0);
    let handles: Vec<_> = found.iter().map(|(pid, opener)| (*pid, opener.handles)).collect();
    assert_eq!(handles, [(70, Some(HandleCounts::default())), (71, None)], "it has closed it; it is hidden");
}

#[test]
fn another_waltop_is_listed_only_while_it_holds_a_lock() {
    let (scene, proc) = (Scene::new(), FakeProc::new());
    proc.process(70).descriptor(70, 3, &scene.paths[2], "flags:\t0104000\n");
    let holders = BTreeSet::from([70]);
    let found = |target: OpenerTarget| pids(&finder_in(&proc).find(&[target], Instant::now()).remove(0));
    assert_eq!(found(scene.target()), [0; 0]);
    assert_eq!(found(OpenerTarget { holders: &holders, ..scene.target() }), [70]);
}

#[test]
fn the_descriptors_of_a_process_whose_first_thread_has_ended_are_those_of_another_thread() {
    let (scene, proc) = (Scene::new(), FakeProc::new());
    proc.process(70).stat(70, 'Z', 0, 2).stat(71, 'S', 0, 1);
    let (stat, thread) = (proc.path().join("71/stat"), proc.path().join("70/task/71"));
    std::fs::create_dir_all(thread.join("fd")).expect("made");
    std::fs::create_dir(proc.path().join("70/task/70")).expect("made");
    std::fs::rename(stat, thread.join("stat")).expect("moved");
    std::fs::remove_dir_all(proc.path().join("71")).expect("removed");
    std::os::unix::fs::symlink(&scene.paths[0], thread.join("fd/3")).expect("linked");
    proc.write("70/task/71/fdinfo/3", WRITES);
    let found = finder_in(&proc).find(&[scene.target()], Instant::now()).remove(0);
    assert_eq!(pids(&found), [70]);
}

#[test]
fn a_file_under_another_name_is_found_in_a_process_that_is_known() {
    let (scene, proc) = (Scene::new(), FakeProc::new());
    let link = scene.parent().join(format!("{}-link", std::process::id()));
    std::fs::hard_link(&scene.paths[0], &link).expect("a link");
    proc.process(70).descriptor(70, 3, &link, WRITES).descriptor(70, 4, "socket:[5]".as_ref(), "");
    proc.descriptor(70, 5, "/tmp/etilqs_1 (deleted)".as_ref(), "");
    let holders = BTreeSet::from([70]);
    let target = OpenerTarget { holders: &holders, ..scene.target() };
    let found = finder_in(&proc).find(&[target], Instant::now()).remove(0);
    let opener = found.get(&70).expect("it is known by its lock");
    assert_eq!(opener.handles, Some(HandleCounts { db: 1, wal: 0, shm: 0 }));
    assert_eq!(opener.temporary.confirmed_count(), Some(1));
    std::fs::remove_file(link).expect("removed");
    let unknown = finder_in(&proc).find(&[scene.target()], Instant::now()).remove(0);
    assert_eq!(pids(&unknown), [0; 0]);
}
