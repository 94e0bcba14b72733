//! Asking for pragmas leaves every file as it was found.

use std::{env, fs, os::unix::fs::PermissionsExt, path::Path, thread};

use tempfile::TempDir;
use waltop::{
    config::profile::Profile,
    database::pragmas::{PragmaError, ask},
    snapshot::Presence,
};

use super::{host, names, plain, text, trace, wal};
use crate::support::{ANOTHER, Actor, run_test_as_another};

fn look(path: &Path, presence: Presence) -> Result<Vec<(String, String)>, PragmaError> {
    ask(path, &Profile::hardened(), presence)
}

fn as_the_profile_asks() -> Vec<(String, String)> {
    let values = [
        ("busy_timeout", "5000"),
        ("synchronous", "NORMAL"),
        ("mmap_size", "0"),
        ("temp_store", "MEMORY"),
        ("foreign_keys", "ON"),
        ("wal_autocheckpoint", "1000"),
    ];
    values.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
}

#[test]
fn a_clean_database_stays_clean() {
    for mode in ["wal", "delete", "truncate"] {
        let folder = TempDir::new().expect("a folder");
        let path = host(&folder, &format!("PRAGMA journal_mode = {mode}"));
        let (before, content) = (trace(folder.path()), fs::read(&path).expect("the file"));
        assert_eq!(look(&path, Presence::Clean).expect("an answer"), as_the_profile_asks(), "{mode}");
        assert_eq!(trace(folder.path()), before, "{mode}");
        assert_eq!(fs::read(&path).expect("the file"), content, "{mode}");
    }
}

#[test]
fn a_live_database_keeps_its_files() {
    let folder = TempDir::new().expect("a folder");
    let (path, mut actor) = wal(&folder);
    let before = trace(folder.path());
    assert_eq!(before.len(), 3);
    assert_eq!(look(&path, Presence::Live).expect("an answer"), as_the_profile_asks());
    assert_eq!(trace(folder.path()), before);
    actor.sql("BEGIN IMMEDIATE").sql("INSERT INTO host VALUES (2)");
    assert_eq!(look(&path, Presence::Live).expect("an answer beside a writer"), as_the_profile_asks());
    assert_eq!(trace(folder.path()), before);
    actor.sql("COMMIT");
}

#[test]
fn what_a_crash_left_is_not_touched() {
    let folder = TempDir::new().expect("a folder");
    let (path, actor) = wal(&folder);
    actor.kill();
    let before = trace(folder.path());
    assert!(matches!(look(&path, Presence::Leftover), Err(PragmaError::Leftover { .. })));
    assert!(matches!(look(&path, Presence::Clean), Err(PragmaError::Changed { .. })));
    // Somebody has the main file open, and has read nothing yet: he does not use what was left.
    let bystander = Actor::open(&path);
    assert!(matches!(look(&path, Presence::Live), Err(PragmaError::Leftover { .. })));
    bystander.kill();
    assert_eq!(trace(folder.path()), before);
}

#[test]
fn only_a_process_that_keeps_the_whole_file_is_in_exclusive_mode() {
    let folder = TempDir::new().expect("a folder");
    let (path, actor) = wal(&folder);
    actor.close();
    let exclusive = || {
        let mut holder = Actor::open(&path);
        holder.sql("PRAGMA locking_mode = EXCLUSIVE").sql("INSERT INTO host VALUES (2)");
        holder
    };
    let holder = exclusive();
    assert!(matches!(look(&path, Presence::Live), Err(PragmaError::WholeFile { .. })));
    holder.close();
    // One that closes meanwhile has it for its last moments.
    let holder = exclusive();
    thread::scope(|scope| {
        let asked = scope.spawn(|| look(&path, Presence::Live));
        holder.close();
        let answer = asked.join().expect("an answer");
        assert!(!matches!(answer, Err(PragmaError::WholeFile { .. })), "{answer:?}");
    });
}

#[test]
fn a_database_that_was_left_since_the_sample_is_left_clean() {
    let folder = TempDir::new().expect("a folder");
    let (path, actor) = wal(&folder);
    actor.close();
    let before = trace(folder.path());
    assert_eq!(names(folder.path()), ["notes.db"]);
    assert_eq!(look(&path, Presence::Live).expect("an answer"), as_the_profile_asks());
    assert_eq!(trace(folder.path()), before);
}

#[test]
fn a_database_that_was_opened_since_the_sample_is_left_alone() {
    let folder = TempDir::new().expect("a folder");
    let (path, actor) = wal(&folder);
    let before = trace(folder.path());
    assert!(matches!(look(&path, Presence::Clean), Err(PragmaError::Changed { .. })));
    assert_eq!(trace(folder.path()), before);
    actor.close();
}

#[test]
fn a_hot_journal_is_not_rolled_back() {
    let folder = TempDir::new().expect("a folder");
    let path = host(&folder, "INSERT INTO host VALUES (1)");
    let mut writer = Actor::open(&path);
    writer.sql("PRAGMA cache_size = 1").sql("BEGIN IMMEDIATE");
    writer.sql(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500) \
                INSERT INTO host SELECT randomblob(1000) FROM n",
    );
    let live = trace(folder.path());
    assert_eq!(names(folder.path()), ["notes.db", "notes.db-journal"]);
    assert!(matches!(look(&path, Presence::Live), Err(PragmaError::Journal { .. })));
    assert_eq!(trace(folder.path()), live);
    writer.kill();
    let hot = trace(folder.path());
    assert!(matches!(look(&path, Presence::Clean), Err(PragmaError::Journal { .. })));
    assert_eq!(trace(folder.path()), hot);
    assert_eq!(text(&plain(&path), "SELECT count(*) FROM host"), "1");
}

#[test]
fn a_link_leads_to_the_files_beside_its_target() {
    let folder = TempDir::new().expect("a folder");
    let elsewhere = TempDir::new().expect("a folder");
    let (path, actor) = wal(&folder);
    let link = elsewhere.path().join("link.db");
    std::os::unix::fs::symlink(&path, &link).expect("a link");
    let before = trace(folder.path());
    assert_eq!(look(&link, Presence::Live).expect("an answer"), as_the_profile_asks());
    assert_eq!((trace(folder.path()), names(elsewhere.path())), (before, vec!["link.db".to_owned()]));
    actor.close();
}

/// Names the folder for the part of the next test that runs as another user.
const AS_ANOTHER: &str = "WALTOP_TEST_AS_ANOTHER_USER";

/// Only root can be somebody else, so elsewhere there is nothing to do here.
#[test]
fn another_user_leaves_nothing_that_the_owner_could_not_use() {
    if let Some(folder) = env::var_os(AS_ANOTHER) {
        let folder = Path::new(&folder);
        assert!(matches!(
            look(&folder.join("open/notes.db"), Presence::Clean),
            Err(PragmaError::OtherUser { .. })
        ));
        assert!(matches!(
            look(&folder.join("shut/notes.db"), Presence::Clean),
            Err(PragmaError::Folder { .. })
        ));
        return;
    }
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let folder = TempDir::new().expect("a folder");
    let set_mode =
        |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
    set_mode(folder.path(), 0o755);
    // One may be written by everybody but is root's; the other is the user's, in a folder that is not.
    for (name, folder_mode, owner) in [("open", 0o777, 0), ("shut", 0o755, ANOTHER)] {
        let inner = folder.path().join(name);
        fs::create_dir(&inner).expect("a folder");
        let path = inner.join("notes.db");
        plain(&path).execute_batch("PRAGMA journal_mode = wal; CREATE TABLE host(id)").expect("a database");
        std::os::unix::fs::chown(&path, Some(owner), Some(owner)).expect("an owner");
        set_mode(&path, 0o666);
        set_mode(&inner, folder_mode);
    }
    let before = ["open", "shut"].map(|name| trace(&folder.path().join(name)));
    let name = "database::pragmas::another_user_leaves_nothing_that_the_owner_could_not_use";
    run_test_as_another(folder.path(), name, AS_ANOTHER, folder.path());
    assert_eq!(["open", "shut"].map(|name| trace(&folder.path().join(name))), before);
}
