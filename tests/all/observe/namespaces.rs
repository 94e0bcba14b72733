//! Real holders and observers in other PID and mount namespaces, and file systems that make up device numbers.

use std::os::unix::fs::MetadataExt;

use waltop::snapshot::{Presence, WalSource};

use super::*;
use crate::{
    fake_proc::sidecar,
    namespace::{ALONE, Namespace, OVERLAY, may_be_alone},
    python::Python,
};

#[test]
fn a_holder_outside_the_pid_namespace_is_held_by_a_process_not_visible_from_here() {
    if !may_be_alone() {
        return;
    }
    let scene = Scene::with_wal();
    let (mut reader, mut writer) = (scene.actor(), scene.actor());
    let look =
        |options: &[&str]| status(&ALONE, Path::new(WALTOP), options, &scene.path(), scene.state.path());
    writer.sql("INSERT INTO t VALUES (2)");
    reader.sql("BEGIN").sql("SELECT * FROM t");
    let idle = only(look(&[]));
    assert!(idle.locks.writer.is_none() && idle.locks.index_held);
    assert_eq!(idle.presence(), Presence::Live);

    writer.sql("INSERT INTO t VALUES (3)").sql("BEGIN IMMEDIATE");
    for options in [&[][..], &["--for", "300ms"]] {
        let database = only(look(options));
        let holder = database.locks.writer.as_ref().expect("held, and not free");
        assert_eq!(holder.pid, None);
        assert_eq!(database.presence(), Presence::Live);
        assert!(database.processes.is_empty(), "{:?}", pids(&database));
        let readers = database.locks.readers.iter();
        let readers: Vec<_> = readers.map(|reader| (reader.pid, reader.slot, reader.frame)).collect();
        assert_eq!(readers, [(None, Some(1), Some(1)), (None, Some(2), Some(2))]);
        let wal = database.wal.expect("a log");
        assert_eq!((wal.source, wal.frames), (WalSource::Index, Some(2)), "somebody vouches for the index");
        if !options.is_empty() {
            let holds = database.locks.write_holds.expect("sampled");
            assert_eq!((holds.count, holds.by_process.len()), (1, 1));
            assert_eq!(holds.by_process[0].pid, None);
            assert!(holds.held_ratio > 0.9, "{holds:?}");
        }
    }
    let text = Command::new(ALONE[0])
        .args(&ALONE[1..])
        .args([WALTOP, "status"])
        .arg(scene.path())
        .env("XDG_STATE_HOME", scene.state.path())
        .output()
        .expect("it starts");
    let text = String::from_utf8(text.stdout).expect("text");
    assert!(text.contains("a process not visible from here"), "{text}");
}

#[test]
fn a_database_is_not_called_healthy_beside_a_process_that_cannot_be_seen() {
    if !may_be_alone() {
        return;
    }
    let scene = Scene::with_wal();
    let mut idle = scene.actor();
    idle.sql("SELECT * FROM t");
    let check = |launcher: &[&str]| {
        let words: Vec<&str> = launcher.iter().copied().chain([WALTOP, "check"]).collect();
        let mut check = Command::new(words[0]);
        let output =
            check.args(&words[1..]).arg(scene.path()).env("XDG_STATE_HOME", scene.state.path()).output();
        String::from_utf8(output.expect("it starts").stdout).expect("text")
    };
    let (here, alone) = (check(&[]), check(&ALONE));
    assert!(here.contains("nothing wrong") && !here.contains("not seen"), "{here}");
    assert!(alone.contains("nothing wrong that could be seen"), "{alone}");
    assert!(alone.contains("not seen: a process that has"), "{alone}");
    idle.close();
    let alone = check(&ALONE);
    assert!(!alone.contains("not seen"), "no process has it open: {alone}");
}

/// A folder in a mount namespace of its own.
struct Mounted {
    namespace: Namespace,
    scene: Scene,
}

impl Mounted {
    /// After `script` was run in it with the folder `$1`; `None`, and a word about it, where it cannot be.
    fn new(what: &str, script: &str) -> Option<Self> {
        let scene = Scene::new();
        let namespace = Namespace::new(what, script, scene.path().parent().expect("a folder"))?;
        Some(Self { namespace, scene })
    }

    fn at(&self, path: &str) -> PathBuf {
        self.scene.path().with_file_name(path)
    }

    fn actor(&self, path: &str) -> Actor {
        Actor::open_through(&self.namespace.launcher(), &self.at(path))
    }

    /// A database in WAL mode with the table `t`, and its one connection.
    fn make(&self, path: &str) -> Actor {
        let mut actor = self.actor(path);
        actor.sql("PRAGMA journal_mode = wal").sql("CREATE TABLE t(x)").sql("INSERT INTO t VALUES (1)");
        actor
    }

    fn look(&self, path: &str) -> Database {
        let launcher = self.namespace.launcher();
        only(status(&launcher, Path::new(WALTOP), &[], &self.at(path), self.scene.state.path()))
    }

    fn stat(&self, path: &Path) -> std::fs::Metadata {
        self.namespace.stat(path)
    }

    fn python(&self, path: &str) -> Option<Python> {
        Python::open_through(&self.namespace.launcher(), &self.at(path))
    }
}

/// A reader, a writer and an idle connection on `path`: each is what it is.
fn assert_roles(mounted: &Mounted, path: &str) {
    let (mut reader, mut writer, mut idle) = (mounted.make(path), mounted.actor(path), mounted.actor(path));
    reader.sql("BEGIN").sql("SELECT * FROM t");
    writer.sql("INSERT INTO t VALUES (2)").sql("BEGIN IMMEDIATE");
    idle.sql("SELECT * FROM t");
    let database = mounted.look(path);
    let mut expected = [reader.pid(), writer.pid(), idle.pid()];
    expected.sort_unstable();
    assert_eq!(pids(&database), expected);
    assert_eq!(writer_of(&database), Some(writer.pid()));
    assert_eq!(reader_of(&database, reader.pid()).len(), 1);
    assert!(reader_of(&database, idle.pid()).is_empty());
    for pid in expected {
        let handles = process(&database, pid).handles.expect("readable");
        assert_eq!((handles.db, handles.wal, handles.shm), (1, 1, 1));
        assert!(process(&database, pid).holds_index && process(&database, pid).replaced.is_empty());
    }
}

#[test]
fn holders_are_found_through_a_bind_mount() {
    let script = "mkdir real bound; mount --bind real bound";
    let Some(mounted) = Mounted::new("a bind mount", script) else { return };
    assert_roles(&mounted, "bound/notes.db");
    // Those who came by the one path are seen by the other.
    let mut writer = mounted.make("real/other.db");
    writer.sql("BEGIN IMMEDIATE");
    let database = mounted.look("bound/other.db");
    assert_eq!(writer_of(&database), Some(writer.pid()));
    assert_eq!(pids(&database), [writer.pid()]);
}

#[test]
fn holders_are_found_on_an_overlay_over_two_file_systems() {
    let Some(mounted) = Mounted::new("an overlay", OVERLAY) else { return };
    assert_roles(&mounted, "all/notes.db");
}

#[test]
fn a_database_from_the_lower_layer_of_an_overlay_has_its_holder() {
    let script = "mkdir low high all; mount -t tmpfs none high; mkdir high/upper high/work; cp \"$2\" low/notes.db; \
        mount -t overlay -o lowerdir=low,upperdir=high/upper,workdir=high/work,xino=off none all";
    let image = Scene::with_wal();
    let script = script.replace("\"$2\"", &format!("'{}'", image.path().display()));
    let Some(mounted) = Mounted::new("an overlay", &script) else { return };
    // Writing moves the file to the upper layer while it is open, and its numbers may change with that.
    let mut holder = mounted.actor("all/notes.db");
    holder.sql("PRAGMA locking_mode = EXCLUSIVE").sql("INSERT INTO t VALUES (2)");
    let database = mounted.look("all/notes.db");
    assert_eq!(writer_of(&database), Some(holder.pid()));
    assert_eq!(database.locks.exclusive.as_ref().and_then(|holder| holder.pid), Some(holder.pid()));
    assert_eq!(pids(&database), [holder.pid()]);
}

#[test]
fn a_namesake_in_the_lower_layer_of_an_overlay_is_another_file() {
    let Some(mounted) = Mounted::new("an overlay", OVERLAY) else { return };
    let mut ours = mounted.make("all/notes.db");
    let index = sidecar(&mounted.at("all/notes.db"), "-shm");
    let inode = mounted.stat(&index).ino();
    let is_namesake = |name: &u32| mounted.stat(&mounted.at(&format!("low/{name}"))).ino() == inode;
    let Some(name) = (10..100).find(is_namesake) else {
        eprintln!("not tested: no file of the lower layer has inode {inode}");
        return;
    };
    let Some(mut stranger) = mounted.python("elsewhere.db") else { return };
    stranger.run(&format!("import fcntl; file = open({:?}, 'rb')", mounted.at(&format!("all/{name}"))));
    // As a reader in slot 1 would, who vouches for the index.
    stranger.run("fcntl.lockf(file, fcntl.LOCK_SH, 5, 124)");
    let row = format!(":{inode} 124 128");
    assert!(std::fs::read_to_string("/proc/locks").expect("readable").contains(&row), "it is in the table");

    let database = mounted.look("all/notes.db");
    assert_eq!(pids(&database), [ours.pid()]);
    assert!(database.locks.readers.is_empty(), "{:?}", database.locks.readers);
    assert_eq!(database.wal.as_ref().expect("a log").source, WalSource::Index);
    ours.sql("BEGIN IMMEDIATE");
    assert_eq!(writer_of(&mounted.look("all/notes.db")), Some(ours.pid()));

    // Of an open-file-description lock the table does not even say whose it is.
    stranger.run("fcntl.lockf(file, fcntl.LOCK_UN); import struct");
    stranger.run("fcntl.fcntl(file, fcntl.F_OFD_SETLK, struct.pack('hhqqi4x', fcntl.F_RDLCK, 0, 124, 5, 0))");
    let database = mounted.look("all/notes.db");
    assert!(database.locks.readers.iter().all(|reader| reader.pid == Some(ours.pid())));

    // Nobody vouches for our index now, whatever the namesake's has.
    ours.kill();
    let database = mounted.look("all/notes.db");
    assert!(database.processes.is_empty() && !database.locks.index_held && database.locks.readers.is_empty());
    let wal = database.wal.expect("a log");
    assert_eq!((wal.source, wal.frames, wal.backfilled), (WalSource::Log, Some(3), None));
}

#[test]
fn a_namesake_in_another_subvolume_of_btrfs_is_another_file() {
    let script = "command -v mkfs.btrfs btrfs >/dev/null; truncate -s 256M image; mkfs.btrfs -q image; mkdir disk; \
        mount -o loop image disk; btrfs -q subvolume create disk/one; btrfs -q subvolume create disk/two";
    let Some(mounted) = Mounted::new("a file system with btrfs", script) else { return };
    let (mut one, mut two) = (mounted.make("disk/one/notes.db"), mounted.make("disk/two/notes.db"));
    let inode = |path: &str| mounted.stat(&sidecar(&mounted.at(path), "-shm")).ino();
    assert_eq!(
        inode("disk/one/notes.db"),
        inode("disk/two/notes.db"),
        "subvolumes number from the same start"
    );
    two.sql("BEGIN IMMEDIATE");
    let database = mounted.look("disk/one/notes.db");
    assert!(database.locks.writer.is_none() && database.locks.readers.is_empty());
    assert_eq!(pids(&database), [one.pid()]);
    let database = mounted.look("disk/two/notes.db");
    assert_eq!((writer_of(&database), pids(&database)), (Some(two.pid()), vec![two.pid()]));
    one.sql("INSERT INTO t VALUES (2)");
    one.kill();
    let database = mounted.look("disk/one/notes.db");
    assert!(database.processes.is_empty() && !database.locks.index_held);
    assert_eq!(database.wal.expect("a log").source, WalSource::Log);
}
