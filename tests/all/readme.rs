//! The README keeps its word: its keys are the keymap's, its commands run as they stand there.

use std::{env, fs, path::Path, process::Command};

use crate::{
    python::Python,
    support::{Actor, WALTOP},
    terminal::home,
};

const README: &str = include_str!("../../README.md");

#[test]
fn the_readme_lists_every_key() {
    for row in waltop::console::keymap::markdown().lines() {
        assert!(README.contains(row), "README.md lacks the row {row}");
    }
}

#[test]
fn the_picture_is_there() {
    let pictures: Vec<&str> = README
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split_once(')'))
        .map(|(path, _)| path)
        .filter(|path| path.starts_with("assets/"))
        .collect();
    assert!(!pictures.is_empty());
    for picture in pictures {
        assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(picture).is_file(), "{picture}");
    }
}

/// What the README gives to type, to a CI job and to cron, in order.
fn commands() -> Vec<&'static str> {
    let in_block = |block: &'static str| -> Vec<&'static str> {
        let (language, lines) = block.split_once('\n').unwrap_or_default();
        let lines = lines.lines();
        match language {
            "console" => lines.filter_map(|line| line.strip_prefix("$ ")).collect(),
            "yaml" => lines.filter_map(|line| line.trim_start().strip_prefix("run: ")).collect(),
            // Five fields say when.
            "crontab" => lines.filter_map(|line| line.splitn(6, ' ').nth(5)).collect(),
            _ => Vec::new(),
        }
    };
    README.split("```").skip(1).step_by(2).flat_map(in_block).collect()
}

#[test]
fn the_readme_explains_every_finding() {
    for page in waltop::diagnose::pages::PAGES {
        let row = format!("\n| [`{0}`](assets/findings/{0}.md) | ", page.name);
        assert!(README.contains(&row), "README.md lacks {}", page.name);
    }
}

/// The README's example of a configuration is one, and its profile is in force for the database that names it.
#[test]
fn the_configuration_in_the_readme_is_in_order() {
    let toml =
        README.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("an example");
    let home = home();
    fs::write(home.path().join("config.toml"), toml).expect("a file");
    fs::create_dir(home.path().join("queue")).expect("a folder");
    let mut actor = Actor::open(&home.path().join("queue/huey.db"));
    actor.sql("CREATE TABLE t (x)");
    actor.close();
    let output = Command::new(WALTOP)
        .args(["--config", "config.toml", "status", "queue/huey.db", "--json"])
        .current_dir(home.path())
        .env("HOME", home.path())
        .env("XDG_STATE_HOME", home.path().join("state"))
        .output()
        .expect("it starts");
    assert!(output.status.success(), "{output:?}");
    let snapshot: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(snapshot["databases"][0]["pragmas"]["profile"], "queue");
}

/// The recipes for a copy, as they stand there.
fn copies() -> Vec<&'static str> {
    README.lines().filter(|line| line.starts_with("sqlite3 ") && line.contains("VACUUM INTO")).collect()
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
    let recipe = copies()[0];
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
    assert_copies(recipes[1], home.path(), 2);
}

/// Every command of the README runs here, in order, in a folder with what it names.
#[test]
fn every_command_of_the_readme_runs() {
    let home = home();
    let notes = home.path().join("notes");
    fs::create_dir(&notes).expect("a folder");
    fs::write(notes.join("zebra.md"), "---\ntitle: Zebra\n---\n\nA zebra has stripes. [[Horse]]\n")
        .expect("a note");
    fs::write(notes.join("horse.md"), "# Horse\n\nA horse has none.\n").expect("a note");
    let mut holder = Actor::open(&home.path().join("notes.db"));
    holder.sql("PRAGMA journal_mode = WAL").sql("CREATE TABLE t (x)");
    let program = Path::new(WALTOP).parent().expect("it lies in a folder");
    let path = env::join_paths(
        [program.to_owned()].into_iter().chain(env::split_paths(&env::var_os("PATH").unwrap_or_default())),
    )
    .expect("a search path");
    let commands = commands();
    assert!(commands.len() >= 11, "{commands:?}");
    for command in commands {
        let output = Command::new("sh")
            .args(["-c", command])
            .current_dir(home.path())
            .env("PATH", &path)
            .env("XDG_STATE_HOME", home.path().join("state"))
            .env("XDG_DATA_HOME", home.path().join("data"))
            .env("XDG_CONFIG_HOME", home.path().join("config"))
            .output()
            .expect("a shell");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{command}: {stderr}");
    }
}
