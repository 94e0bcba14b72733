//! Upkeep: what it does, beside whom, and what it refuses.

use super::*;
use crate::namespace::Namespace;

/// A database with documents in many segments, and free pages.
fn grown() -> Home {
    let home = Home::new();
    for index in 0..30 {
        home.document(
            &format!("{index}.md"),
            &format!("# Zebra {index}\n\n{}\n", "stripes and more ".repeat(400)),
        );
    }
    assert_eq!(home.run(&["ingest", "notes", "--db", "notes.db", "--batch", "2"]).code, Some(0));
    let mut host = home.actor();
    host.sql("CREATE TABLE host(x)");
    host.sql("INSERT INTO host SELECT randomblob(900) FROM (SELECT 1 FROM pragma_function_list LIMIT 100)");
    host.sql("CREATE INDEX host_x ON host(x)").sql("DELETE FROM host WHERE rowid > 10");
    host.close();
    home
}

fn stats(home: &Home) -> Value {
    home.json(&["stats", "--json", "notes.db"])["databases"][0].clone()
}

/// Segments of the full-text index: the blocks that are no pages of one stand under small numbers.
fn segments(home: &Home) -> i64 {
    let connection = rusqlite::Connection::open(home.db()).expect("a connection");
    let sql = "SELECT count(DISTINCT segid) FROM nodes_words_idx";
    connection.query_row(sql, [], |row| row.get(0)).expect("a count")
}

#[test]
fn a_dry_run_changes_nothing_and_prints_the_sql_the_space_and_who_waits() {
    let home = grown();
    let (user, before) = (home.actor(), Home::listing(&home.folder()));
    let args = ["optimize", "--vacuum", "--analyze", "--dry-run", "--json", "notes.db"];
    let report = &home.json(&args)["databases"][0];
    assert_eq!((&report["sql"][0], &report["sql"][2]), (&"ANALYZE".into(), &"VACUUM".into()), "{report}");
    assert_eq!(report["applied"], false);
    assert_eq!(report["vacuum"]["would_wait"][0]["pid"], user.pid(), "{report}");
    assert!(report["vacuum"]["needed_bytes"].as_u64().is_some_and(|it| it > 0), "{report}");
    assert!(report["vacuum"]["free_bytes"].as_u64().is_some(), "{report}");
    assert_eq!(Home::listing(&home.folder()), before);
}

#[test]
fn it_gives_free_pages_back_and_leaves_one_segment() {
    let home = grown();
    assert!(segments(&home) > 1);
    assert!(stats(&home)["free_pages"].as_u64().is_some_and(|it| it > 0));
    let said = home.run(&["optimize", "--vacuum", "--yes", "notes.db"]);
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{said:?}");
    assert!(said.out.contains("done: PRAGMA optimize") && said.out.contains(" before, "), "{said:?}");
    assert_eq!(stats(&home)["free_pages"], 0);
    assert_eq!(segments(&home), 1);
    assert_eq!(home.run(&["search", "zebra", "--db", "notes.db"]).code, Some(0));
    let files: Vec<_> = fs::read_dir(home.folder()).expect("the folder").collect();
    assert_eq!(files.len(), 2, "the database and the folder of notes: {files:?}");
}

#[test]
fn beside_others_all_but_a_vacuum_is_done() {
    let home = grown();
    let mut user = home.actor();
    user.sql("SELECT * FROM host");
    let said = home.run(&["optimize", "--vacuum", "--yes", "notes.db"]);
    let who = format!("no VACUUM: {} (waltop) could not write", user.pid());
    assert!(said.refusal().contains(&who), "{said:?}");
    assert!(segments(&home) > 1, "and nothing else either");
    assert_eq!(home.run(&["optimize", "--analyze", "--yes", "notes.db"]).code, Some(0));
    assert_eq!(segments(&home), 1);
    user.sql("SELECT 1 / count(*) FROM sqlite_stat1 WHERE tbl = 'host'").sql("DELETE FROM host");
}

#[test]
fn without_a_terminal_it_asks_for_yes() {
    let home = grown();
    let before = Home::listing(&home.folder());
    let said = home.run(&["optimize", "notes.db"]);
    assert!(said.refusal().contains("give --yes, or --dry-run"), "{said:?}");
    assert_eq!(Home::listing(&home.folder()), before);
}

#[test]
fn a_vacuum_that_would_spoil_a_hosts_index_is_refused() {
    let home = Home::new();
    let mut host = home.actor();
    host.sql("PRAGMA journal_mode = wal").sql("CREATE TABLE docs (t)");
    host.sql("CREATE VIRTUAL TABLE finds USING fts5 (t, content = 'docs')");
    host.sql("INSERT INTO docs VALUES ('one'), ('two')");
    host.sql("INSERT INTO finds (rowid, t) SELECT rowid, t FROM docs WHERE rowid = 2");
    host.sql("DELETE FROM docs WHERE rowid = 1");
    host.close();
    let before = Home::listing(&home.folder());
    let said = home.run(&["optimize", "--vacuum", "--yes", "notes.db"]);
    let why = "no VACUUM: it may number the rows of docs anew, by which the full-text index finds finds them";
    assert!(said.refusal().contains(why), "{said:?}");
    assert_eq!(Home::listing(&home.folder()), before);
    assert_eq!(home.run(&["optimize", "--yes", "notes.db"]).code, Some(0));
    let mut host = home.actor();
    host.sql("INSERT INTO finds (finds, rank) VALUES ('integrity-check', 1)");
}

#[test]
fn the_folder_of_the_copy_is_checked_for_room() {
    let home = Home::with_rollback();
    let mut host = home.actor();
    for _ in 0..40 {
        host.sql("INSERT INTO t VALUES (randomblob(40000))");
    }
    host.sql("DELETE FROM t WHERE rowid % 2 = 0");
    host.close();
    let temporary = home.root().join("small");
    fs::create_dir(&temporary).expect("a folder");
    let script = "mount -t tmpfs -o size=64k none small";
    let Some(namespace) = Namespace::new("a small file system", script, &home.root()) else { return };
    let run = |folder: &Path, options: &[&str]| {
        let [program, rest @ ..] = namespace.launcher();
        let mut command = home.command(Path::new(program));
        command.env("SQLITE_TMPDIR", folder).args(rest).args([WALTOP, "optimize"]);
        command.args(options).arg(home.db()).output().expect("it starts")
    };
    let planned = run(&temporary, &["--vacuum", "--dry-run", "--json"]);
    let report: Value = serde_json::from_slice(&planned.stdout).expect("JSON");
    let vacuum = &report["databases"][0]["vacuum"];
    assert_eq!(vacuum["temporary_folder"], temporary.to_str().expect("text"), "{report}");
    assert!(vacuum["temporary_free_bytes"].as_u64() < vacuum["temporary_needed_bytes"].as_u64(), "{report}");
    let size = home.db().metadata().expect("there").len();
    let (gives_back, takes) = (&vacuum["gives_back_bytes"], &vacuum["temporary_needed_bytes"]);
    assert_eq!(gives_back.as_u64().zip(takes.as_u64()).map(|(back, copy)| back + copy), Some(size));
    let refused = run(&temporary, &["--vacuum", "--yes"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("no VACUUM: its copy may take") && said.contains("set SQLITE_TMPDIR"), "{said}");
    assert_eq!(home.db().metadata().expect("there").len(), size, "nothing was changed");
    // The same command with room for the copy.
    let done = run(&home.root(), &["--vacuum", "--yes"]);
    assert!(done.status.success(), "{done:?}");
    let gave_back = size - home.db().metadata().expect("there").len();
    // The statistics of the step before take some pages.
    assert!(gave_back + 5 * 4096 > gives_back.as_u64().expect("known"), "{gave_back} {report}");
}
