//! The recipes for a copy of a database, run as `docs/commands.md` shows them.

use std::{fs, path::Path, process::Command};

use super::{parts, read};
use crate::{python::Python, terminal::home};

fn copies() -> Vec<String> {
    let (blocks, _) = parts(&read("docs/commands.md"));
    let lines = blocks.into_iter().filter(|block| block.language == "sh").flat_map(|block| block.lines);
    lines.filter(|line| line.contains("VACUUM INTO")).collect()
}

fn has_shell() -> bool {
    let has = Command::new("sqlite3").arg("--version").output().is_ok_and(|it| it.status.success());
    if !has {
        eprintln!("not tested: there is no sqlite3 shell here");
    }
    has
}

fn assert_copies(recipe: &str, folder: &Path, rows: usize) {
    let copied = Command::new("sh").args(["-c", recipe]).current_dir(folder).output().expect("a shell");
    assert!(copied.status.success(), "{recipe}: {copied:?}");
    let mut copy = Python::open(&folder.join("notes-copy.db")).expect("there is one");
    let read = "print(*[db.execute(it).fetchone()[0] for it in ('SELECT count(*) FROM t', 'PRAGMA integrity_check')])";
    let said = copy.run(read);
    let (found, integrity) = said[0].split_once(' ').expect("two answers");
    assert!(found.parse::<usize>().expect("a count") >= rows && integrity == "ok", "{recipe}: {said:?}");
}

#[test]
fn the_first_recipe_copies_beside_a_commit_every_20_ms_and_leaves_the_log_of_one_that_lost_its_locks() {
    let home = home();
    let path = home.path().join("notes.db");
    let (true, Some(mut writer)) = (has_shell(), Python::open(&path)) else { return };
    writer.sql("PRAGMA journal_mode = wal").sql("CREATE TABLE t(x)").sql("BEGIN");
    writer.run("db.executemany('INSERT INTO t VALUES (randomblob(4000))', [()] * 5000)");
    writer.sql("COMMIT").run("import sqlite3, threading; stop = threading.Event()");
    let code = "def work():\\n db = sqlite3.connect(path, timeout=20, isolation_level=None)\\n while not \
                stop.wait(.02): db.execute('INSERT INTO t VALUES (1)')";
    writer.run(&format!("exec(\"{code}\", globals())"));
    writer.run("thread = threading.Thread(target=work); thread.start()");
    let recipe = &copies()[0];
    assert!(recipe.starts_with("sqlite3 -readonly "), "{recipe}");
    assert_copies(recipe, home.path(), 5000);
    writer.run("stop.set(); thread.join()");
    fs::remove_file(home.path().join("notes-copy.db")).expect("removed");
    // As a server does that reads its own files.
    writer.run("open(path, 'rb').close()");
    writer.lose_locks();
    assert_copies(recipe, home.path(), 5000);
    assert!(home.path().join("notes.db-wal").exists());
}

#[test]
fn the_second_recipe_copies_what_a_crash_left() {
    let home = home();
    let path = home.path().join("notes.db");
    let (true, Some(mut writer)) = (has_shell(), Python::open(&path)) else { return };
    writer.sql("PRAGMA journal_mode = wal").sql("CREATE TABLE t(x)").sql("INSERT INTO t VALUES (1), (2)");
    writer.kill();
    let recipes = copies();
    assert!(recipes.len() == 2 && recipes[1].starts_with("sqlite3 notes.db "), "{recipes:?}");
    assert_copies(&recipes[1], home.path(), 2);
}
