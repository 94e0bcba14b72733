//! Databases in a `/proc` of plain files.

use std::{
    fs,
    os::unix::{ffi::OsStrExt, fs::symlink},
    path::Path,
};

use tempfile::TempDir;

use super::*;
use crate::observe::{content::fixture::main_header, proc::fake::FakeProc};

// A `/proc` with the processes 70 and 71, and a folder for their files.
fn scene() -> (FakeProc, TempDir) {
    let (proc, folder) = (FakeProc::new(), TempDir::new().expect("a folder"));
    proc.process(1).process(70).process(71);
    (proc, folder)
}

fn database(path: &Path) {
    let mut page = main_header(1).to_vec();
    page.resize(512, 0);
    fs::write(path, page).expect("written");
}

fn found(proc: &FakeProc) -> OpenDatabases {
    OpenDatabases::find(proc.path()).expect("listed")
}

fn arguments(found: &OpenDatabases) -> Vec<&Path> {
    found.databases.iter().map(|it| &*it.argument).collect()
}

#[test]
fn an_open_file_is_a_database_if_it_begins_like_one() {
    let (proc, folder) = scene();
    let at = |name: &str| folder.path().join(name);
    for (number, name) in ["a.db", "b.dat", "notes.txt", "short.db", "etilqs_1"].into_iter().enumerate() {
        database(&at(name));
        proc.descriptor(70, u32::try_from(number).expect("few"), &at(name), "");
    }
    fs::write(at("notes.txt"), vec![b'#'; 1024]).expect("written");
    fs::write(at("short.db"), main_header(1)).expect("written");
    proc.descriptor(71, 3, &at("a.db"), "");
    let found = found(&proc);
    assert_eq!(arguments(&found), [at("a.db"), at("b.dat"), at("etilqs_1")]);
    assert_eq!(found.databases[0].pid, 70);
    assert_eq!((found.unseen.len(), found.denied), (0, None), "{:?}", found.unseen);
}

#[test]
fn pipes_devices_and_files_of_the_kernel_are_not_read() {
    let (proc, folder) = scene();
    let pipe = folder.path().join("pipe");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &pipe,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .expect("a pipe");
    for (number, path) in
        [pipe.as_path(), Path::new("/dev/zero"), Path::new("/proc/self/mem")].iter().enumerate()
    {
        proc.descriptor(70, u32::try_from(number).expect("few"), path, "");
    }
    assert!(found(&proc).databases.is_empty());
}

#[test]
fn an_encrypted_database_is_known_by_the_log_beside_it() {
    let (proc, folder) = scene();
    let main = folder.path().join("a.db");
    fs::write(&main, vec![7; 4096]).expect("written");
    proc.descriptor(70, 3, &main, "");
    assert!(found(&proc).databases.is_empty());
    let log = folder.path().join("a.db-wal");
    fs::write(&log, vec![7; 4096]).expect("written");
    proc.descriptor(70, 4, &log, "");
    assert_eq!(arguments(&found(&proc)), [main]);
}

#[test]
fn the_main_file_of_an_open_index_is_found_in_the_files_of_its_process() {
    let (proc, root) = scene();
    fs::create_dir(root.path().join("srv")).expect("a folder");
    let main = root.path().join("srv/a.db");
    database(&main);
    symlink(root.path(), proc.path().join("70/root")).expect("linked");
    proc.write("70/cgroup", &format!("0::/docker/{}\n", "0123456789abcdef".repeat(4)));
    // As the kernel names it in another mount namespace.
    let inside = Path::new("/srv/a.db");
    let index = root.path().join("srv/a.db-shm");
    fs::write(&index, vec![0; 512]).expect("written");
    proc.descriptor(70, 3, &index, "");
    let by_host = found(&proc);
    assert_eq!(arguments(&by_host), [main.as_path()], "its descriptor names a path of this machine");
    let name = inside.as_os_str().as_bytes();
    let id = FileId::at(&main).expect("it is there");
    let place = DatabasePlace::of(proc.path(), 70, name, id).expect("it is reached");
    assert_eq!((place.path, place.inner.as_path()), (proc.path().join("70/root/srv/a.db"), inside));
    assert!(DatabasePlace::of(proc.path(), 71, name, id).is_none(), "71 has no such root");
}

#[test]
fn a_container_is_named_by_its_id_and_another_namespace_by_the_process() {
    let group = |kind, id: &str| ProcessGroup { kind, id: Some(id.to_owned()), name: Some("web".to_owned()) };
    let (path, inner) = (Path::new("/proc/70/root/srv/a.db"), Path::new("/srv/a.db"));
    let id = "0123456789abcdef".repeat(4);
    let named = |group: &ProcessGroup| argument(path, inner, group, 70);
    assert_eq!(named(&group(GroupKind::Docker, &id)), Path::new("0123456789ab:/srv/a.db"));
    assert_eq!(named(&group(GroupKind::Lxc, "mail")), Path::new("mail:/srv/a.db"));
    for kind in [GroupKind::Namespace, GroupKind::Service] {
        assert_eq!(named(&group(kind, "4026532567")), Path::new("70:/srv/a.db"));
    }
    assert_eq!(argument(inner, inner, &group(GroupKind::Docker, &id), 70), inner);
}

#[test]
fn files_that_are_not_read_and_processes_that_are_not_read_in_time_are_counted() {
    let mut judged =
        JudgedFiles((0..MOST_FILES as u64).map(|inode| (FileId { device: 1, inode }, true)).collect());
    assert_eq!(judged.is_database(FileId { device: 1, inode: 3 }, || unreachable!("known")), Some(true));
    assert_eq!(judged.is_database(FileId { device: 2, inode: 3 }, || unreachable!("too many")), None);
    let (outbox, inbox) = crossbeam_channel::unbounded();
    let files = ProcessFiles { pid: 70, databases: Vec::new(), is_denied: true, is_crowded: true, unread: 2 };
    outbox.send(files).expect("received");
    let mut found = OpenDatabases::default();
    found.collect(&inbox, 3, Instant::now());
    let what: Vec<&str> = found.unseen.iter().map(|it| &*it.what).collect();
    assert_eq!(what, ["open files of 2 processes", "open files of 1 process", "2 open files"]);
    assert_eq!(found.denied.expect("one").what, "open files of 1 process of other users");
}
