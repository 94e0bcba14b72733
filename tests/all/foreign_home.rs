//! Root with the HOME of another user: nothing is written there, and so not through that user's symbolic links.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{MetadataExt, chown, symlink},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::{
    namespace::may_change_namespaces,
    support::{ANOTHER, Actor, WALTOP, eventually},
};

/// A HOME with what a hostile owner could put there, and what its links point to.
struct Scene {
    dir: TempDir,
    home: PathBuf,
}

impl Scene {
    fn new(owner: u32) -> Self {
        let dir = TempDir::new().expect("a folder");
        let home = dir.path().join("home");
        let state = home.join(".local/state/waltop");
        fs::create_dir_all(state.join("checkpoints")).expect("folders");
        fs::create_dir(dir.path().join("victims")).expect("a folder");
        let victim = dir.path().join("victims/file");
        fs::write(&victim, "precious").expect("a file");
        if owner != 0 {
            symlink(&victim, state.join("first-seen.json")).expect("a link");
            symlink(dir.path().join("victims"), state.join("runs")).expect("a link");
            let folders =
                ["", ".local", ".local/state", ".local/state/waltop", ".local/state/waltop/checkpoints"];
            for folder in folders {
                chown(home.join(folder), Some(owner), Some(owner)).expect("given away");
            }
        }
        fs::create_dir(dir.path().join("notes")).expect("a folder");
        fs::write(dir.path().join("notes/a.md"), "# A\n").expect("a note");
        Self { dir, home }
    }

    fn waltop(&self, args: &[&str]) -> Output {
        let mut command = Command::new(WALTOP);
        command.args(args).current_dir(self.dir.path()).env("HOME", &self.home).stdin(Stdio::null());
        for name in ["STATE", "DATA", "CONFIG"] {
            command.env_remove(format!("XDG_{name}_HOME"));
        }
        command.output().expect("it starts")
    }

    /// All that could be written by mistake, with its content and owner.
    fn tree(&self) -> BTreeMap<PathBuf, (u32, Option<String>)> {
        let mut tree = BTreeMap::new();
        let mut folders = vec![self.home.clone(), self.dir.path().join("victims")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).expect("a folder").flatten() {
                let metadata = entry.path().symlink_metadata().expect("it");
                if metadata.is_dir() {
                    folders.push(entry.path());
                }
                tree.insert(entry.path(), (metadata.uid(), fs::read_to_string(entry.path()).ok()));
            }
        }
        tree
    }
}

fn database(folder: &Path) -> (String, Actor) {
    let path = folder.join("notes.db");
    let mut reader = Actor::open(&path);
    reader.sql("PRAGMA journal_mode = WAL").sql("CREATE TABLE t (x)").sql("BEGIN").sql("SELECT * FROM t");
    (path.display().to_string(), reader)
}

#[test]
fn nothing_is_written_into_the_home_of_another_user() {
    if !may_change_namespaces() {
        return;
    }
    let scene = Scene::new(ANOTHER);
    let (path, _reader) = database(scene.dir.path());
    let before = scene.tree();
    let output = scene.waltop(&["status", &path]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let told: Vec<&str> = said.lines().filter(|line| line.contains("belongs to user 65534")).collect();
    assert!(told.len() == 1 && told[0].contains("sudo -H"), "{said}");
    let output = scene.waltop(&["ingest", "notes", "--db", "new.db"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.lines().count() == 1 && said.contains("sudo -H"), "{said}");
    assert!(!scene.dir.path().join("new.db").exists());
    assert_eq!(scene.tree(), before);
}

#[test]
fn in_a_home_of_its_own_it_keeps_what_it_has_seen() {
    let scene = Scene::new(0);
    let (path, _reader) = database(scene.dir.path());
    let output = scene.waltop(&["status", &path]);
    assert!(!String::from_utf8_lossy(&output.stdout).contains("not seen"), "{output:?}");
    assert!(scene.home.join(".local/state/waltop/first-seen.json").is_file());
    let output = scene.waltop(&["ingest", "notes", "--db", "new.db"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(fs::read_dir(scene.home.join(".local/state/waltop/runs")).expect("runs").count(), 1);
}

#[test]
fn a_watch_keeps_its_journal_as_root_beside_a_database_of_another_user() {
    if !may_change_namespaces() {
        return;
    }
    let scene = Scene::new(0);
    let theirs = scene.dir.path().join("theirs");
    fs::create_dir(&theirs).expect("a folder");
    let (_, actor) = database(&theirs);
    actor.close();
    for path in [theirs.clone(), theirs.join("notes.db")] {
        chown(path, Some(ANOTHER), Some(ANOTHER)).expect("given away");
    }
    let mut command = Command::new(WALTOP);
    command.args(["watch", "notes", "--db", "theirs/notes.db"]).current_dir(scene.dir.path());
    command.env("HOME", &scene.home).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    for name in ["STATE", "DATA", "CONFIG"] {
        command.env_remove(format!("XDG_{name}_HOME"));
    }
    let watch = command.spawn().expect("it starts");
    let runs = scene.home.join(".local/state/waltop/runs");
    let is_finished = |path: &PathBuf| fs::read_to_string(path).is_ok_and(|it| it.contains("finished"));
    let journal = || fs::read_dir(&runs).ok()?.flatten().map(|it| it.path()).find(is_finished);
    let journal = eventually("the first run is in a journal", journal);
    assert_eq!(journal.metadata().expect("it").uid(), 0);
    assert_eq!(theirs.join("notes.db").metadata().expect("it").uid(), ANOTHER);
    // It is our own child, and not collected yet.
    let pid = Pid::from_raw(watch.id().cast_signed()).expect("a PID");
    kill_process(pid, Signal::TERM).expect("it lives");
    let output = watch.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}
