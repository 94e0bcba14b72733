//! File systems on which a database is not safe, and files that belong to somebody else.

use std::{
    os::unix::fs::{PermissionsExt, chown},
    process::Command,
};

use waltop::snapshot::Snapshot;

use super::*;
use crate::{
    fake_proc::FakeProc,
    namespace::{Namespace, OVERLAY, may_change_namespaces},
    support::{ANOTHER, WALTOP},
};

/// A folder in a mount namespace of its own, and a place for what a look keeps.
pub struct Mounted {
    namespace: Namespace,
    folder: TempDir,
    state: TempDir,
}

impl Mounted {
    /// After `script` was run in the folder; `None`, and a word about it, where it cannot make `what`.
    pub fn new(what: &str, script: &str) -> Option<Self> {
        let [folder, state] = [(); 2].map(|()| TempDir::new().expect("a folder"));
        let namespace = Namespace::new(what, script, folder.path())?;
        Some(Self { namespace, folder, state })
    }

    pub fn at(&self, path: &str) -> PathBuf {
        self.folder.path().canonicalize().expect("there").join(path)
    }

    /// A database in WAL mode with the table `t`, and its one connection.
    pub fn make(&self, path: &str) -> Actor {
        let mut actor = Actor::open_through(&self.namespace.launcher(), &self.at(path));
        actor.sql("PRAGMA journal_mode = wal").sql("CREATE TABLE t(x)").sql("INSERT INTO t VALUES (1)");
        actor
    }

    /// What `waltop status` in there says.
    pub fn look(&self, path: &str) -> Database {
        let [program, options @ ..] = self.namespace.launcher();
        let output = Command::new(program)
            .args(options)
            .args([WALTOP, "status", "--json"])
            .arg(self.at(path))
            .env("XDG_STATE_HOME", self.state.path())
            .output()
            .expect("it starts");
        assert!(output.status.success(), "{output:?}");
        let mut snapshot: Snapshot = serde_json::from_slice(&output.stdout).expect("a snapshot");
        snapshot.databases.remove(0)
    }
}

/// The same watch, told by a made-up `/proc` that the folder is on a file system of this `kind`.
fn watch_on(scene: &Scene, proc: &FakeProc, kind: &str) -> Monitor {
    let folder = scene.folder.path().canonicalize().expect("there");
    let mounts =
        format!("22 1 0:43 / / rw - ext4 /dev/vda rw\n30 22 0:44 / {} rw - {kind} x rw\n", folder.display());
    proc.write("self/mountinfo", &mounts);
    scene.watch_with(|config| proc.path().clone_into(&mut config.places.proc))
}

#[test]
fn a_network_file_system() {
    let scene = Scene::new("wal");
    let proc = FakeProc::new();
    let mut client = scene.actor();
    client.sql("INSERT INTO t VALUES (2)");
    assert_healthy(&mut watch_on(&scene, &proc, "ext4"));
    for (kind, severity) in [
        ("nfs4", Severity::Error),
        ("9p", Severity::Error),
        ("virtiofs", Severity::Warning),
        ("fuse.sshfs", Severity::Warning),
    ] {
        let mut watch = watch_on(&scene, &proc, kind);
        let finding = found(&mut watch, FindingKind::UnsafeFilesystem, None);
        assert_eq!((finding.severity, &finding.evidence["filesystem"]), (severity, &kind.into()));
    }
}

#[test]
fn a_mount_that_is_read_only_is_a_fact() {
    let script =
        "mkdir all other; mount -t tmpfs none all; mount --bind all other; mount -o remount,ro,bind other";
    let Some(mounted) = Mounted::new("a read-only mount", script) else { return };
    let mut client = mounted.make("all/notes.db");
    client.sql("INSERT INTO t VALUES (2)");
    let read_only = |path: &str| mounted.look(path).filesystem.and_then(|it| it.read_only);
    assert_eq!((read_only("all/notes.db"), read_only("other/notes.db")), (Some(false), Some(true)));
}

#[test]
fn an_overlay_whose_locks_cannot_be_matched() {
    let scene = Scene::new("wal");
    let proc = FakeProc::new();
    let mut client = scene.actor();
    // Its lock table is empty, and the kernel names a holder.
    client.sql("INSERT INTO t VALUES (2)");
    let mut watch = watch_on(&scene, &proc, "overlay");
    let finding = found(&mut watch, FindingKind::UnsafeFilesystem, None);
    assert_eq!((finding.severity, &finding.evidence["locks_match"]), (Severity::Warning, &false.into()));
    client.close();
    assert_healthy(&mut watch);
}

#[test]
fn an_overlay_whose_locks_are_seen_is_healthy() {
    let Some(mounted) = Mounted::new("an overlay", OVERLAY) else { return };
    let mut client = mounted.make("all/notes.db");
    client.sql("BEGIN IMMEDIATE");
    let database = mounted.look("all/notes.db");
    let filesystem = database.filesystem.as_ref().expect("it is known");
    assert_eq!((filesystem.kind.as_str(), filesystem.locks_match), ("overlay", Some(true)));
    assert!(serious(&database).is_empty(), "{:?}", database.findings);
}

#[test]
fn a_log_of_another_user() {
    if !may_change_namespaces() {
        return;
    }
    let scene = Scene::new("wal");
    let mut client = scene.actor();
    client.sql("INSERT INTO t VALUES (2)");
    let mut watch = scene.patient();
    assert_healthy(&mut watch);
    chown(scene.sidecar("-wal"), Some(ANOTHER), None).expect("given away");
    let finding = found(&mut watch, FindingKind::ForeignOwner, None);
    assert_eq!((finding.severity, &finding.evidence["wal_uid"]), (Severity::Warning, &ANOTHER.into()));
    let command = finding.remedy.command.expect("there is one");
    let done = Command::new("sh").args(["-c", &command]).status().expect("sh runs");
    assert!(done.success(), "{command}");
    assert_healthy(&mut watch);
}

#[test]
fn a_folder_that_the_owner_of_the_database_cannot_write() {
    if !may_change_namespaces() {
        return;
    }
    let scene = Scene::new("wal");
    chown(scene.path(), Some(ANOTHER), None).expect("given away");
    fs::set_permissions(scene.folder.path(), fs::Permissions::from_mode(0o755)).expect("a mode");
    let mut watch = scene.patient();
    let finding = found(&mut watch, FindingKind::ForeignOwner, None);
    assert_eq!(finding.evidence["folder_mode"], "755");
    // The healthy twin has the folder as well.
    chown(scene.folder.path(), Some(ANOTHER), None).expect("given away");
    assert_healthy(&mut watch);
}
