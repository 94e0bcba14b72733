//! A look leaves files, inodes, owners, modes and sizes as it found them.

use super::*;

// Looks at `path` in every way; the folder of the database must stay as it is.
fn assert_no_trace(home: &Home, user: User, words: &[&str]) {
    let before = Home::listing(&home.folder());
    for args in [&["status"][..], &["status", "--json"], &["status", "--for", "50ms"]] {
        let said = home.run_as(user, &[args, &["notes.db"]].concat());
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{args:?}: {said:?}");
        if args == ["status"] {
            for word in words {
                assert!(said.out.contains(word), "{word}: {}", said.out);
            }
        }
        assert_eq!(Home::listing(&home.folder()), before, "{args:?}");
    }
}

/// As it was, with the content of each file.
fn content(home: &Home) -> Vec<Vec<u8>> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(home.folder()).expect("readable").map(|it| it.expect("readable").path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).expect("readable")).collect()
}

#[test]
fn of_a_clean_database() {
    let home = Home::with_wal();
    let before = content(&home);
    assert_no_trace(&home, User::Myself, &["wal none, shm none; WAL", "processes   none"]);
    assert_eq!(content(&home), before);
}

#[test]
fn of_a_database_with_a_rollback_journal() {
    let home = Home::with_rollback();
    assert_no_trace(&home, User::Myself, &["rollback journal"]);
    let mut writer = home.actor();
    writer.sql("BEGIN IMMEDIATE").sql("INSERT INTO t VALUES (2)");
    assert_no_trace(&home, User::Myself, &[&format!("write lock  {}", writer.pid())]);
    writer.sql("COMMIT");
}

#[test]
fn of_what_a_crash_left() {
    let home = Home::with_wal();
    let mut writer = home.actor();
    writer.sql("INSERT INTO t VALUES (2)");
    writer.kill();
    let before = content(&home);
    assert_eq!(before.len(), 3);
    assert_no_trace(&home, User::Myself, &["counted in the log", "processes   none"]);
    assert_eq!(content(&home), before);
}

#[test]
fn of_a_live_database() {
    let home = Home::with_wal();
    let (mut writer, mut reader) = (home.actor(), home.actor());
    writer.sql("INSERT INTO t VALUES (2)");
    reader.sql("BEGIN").sql("SELECT * FROM t");
    writer.sql("BEGIN IMMEDIATE");
    assert_no_trace(&home, User::Myself, &[&format!("write lock  {}", writer.pid())]);
    writer.sql("INSERT INTO t VALUES (3)").sql("COMMIT");
    assert_no_trace(&home, User::Myself, &["write lock  free"]);
}

#[test]
fn of_a_database_in_a_read_only_folder() {
    let set_mode = |home: &Home, mode| {
        fs::set_permissions(home.folder(), fs::Permissions::from_mode(mode)).expect("a mode");
    };
    for home in [Home::with_wal(), Home::with_rollback()] {
        set_mode(&home, 0o555);
        assert_no_trace(&home, User::Myself, &["processes   none"]);
        if is_root() {
            home.let_another_in();
            assert_no_trace(&home, User::Another, &["processes   none"]);
        }
        set_mode(&home, 0o755);
    }
}

/// Only root can be somebody else, so elsewhere there is nothing to do here.
#[test]
fn of_another_users_database() {
    if !is_root() {
        eprintln!("not tested: only root can be another user");
        return;
    }
    let (clean, crashed, live) = (Home::with_wal(), Home::with_wal(), Home::with_wal());
    let mut killed = crashed.actor();
    killed.sql("INSERT INTO t VALUES (2)");
    killed.kill();
    let mut holder = live.actor();
    holder.sql("INSERT INTO t VALUES (2)").sql("BEGIN IMMEDIATE");
    // Root looks at an ordinary user's, and an ordinary user at root's, which everybody may write to.
    for (owner, mode, user) in [(ANOTHER, 0o644, User::Myself), (0, 0o666, User::Another)] {
        for home in [&clean, &crashed, &live] {
            home.let_another_in();
            fs::set_permissions(home.folder(), fs::Permissions::from_mode(0o777)).expect("a mode");
            for entry in fs::read_dir(home.folder()).expect("readable") {
                let path = entry.expect("readable").path();
                chown(&path, Some(owner), Some(owner)).expect("an owner");
                fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("a mode");
            }
            assert_no_trace(home, user, &["files"]);
        }
    }
    let pid = holder.pid().to_string();
    let said = live.run_as(User::Another, &["status", "notes.db"]);
    assert!(has_line(&said.out, "write lock", &pid), "{}", said.out);
    assert!(said.out.contains("not seen"), "his descriptors are not shown: {}", said.out);
}

#[test]
fn no_work_makes_files_that_the_databases_owner_could_not_write() {
    if !is_root() {
        eprintln!("not tested: only root can be somebody else");
        return;
    }
    let home = Home::with_wal();
    home.let_another_in();
    fs::set_permissions(home.folder(), fs::Permissions::from_mode(0o777)).expect("a mode");
    fs::set_permissions(home.folder().join("notes.db"), fs::Permissions::from_mode(0o666)).expect("a mode");
    let notes = home.folder().join("notes");
    fs::create_dir(&notes).expect("a folder");
    fs::write(notes.join("a.md"), "# A\n").expect("a note");
    let before = Home::listing(&home.folder());
    for args in [&["ingest", "notes", "--db", "notes.db"][..], &["search", "a", "--db", "notes.db"]] {
        let said = home.run_as(User::Another, args);
        assert_eq!(said.code, Some(2), "{said:?}");
        assert!(said.err.contains("belongs to another user"), "{said:?}");
        assert_eq!(Home::listing(&home.folder()), before, "{args:?}");
    }
}
