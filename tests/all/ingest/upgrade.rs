//! A database of an earlier version: it answers as before, and its documents move to the new index with the next run.

use super::*;

const OLDER: [&str; 5] = [
    include_str!("../../../migrations/V1__documents.sql"),
    include_str!("../../../migrations/V2__search_segments.sql"),
    include_str!("../../../migrations/V3__vectors.sql"),
    include_str!("../../../migrations/V4__files.sql"),
    include_str!("../../../migrations/V5__link_lines.sql"),
];

/// A database of the five older migrations, with the documents of `scene` as their reader had them, and their vectors.
fn make_older(scene: &Scene) {
    let made = TempDir::new().expect("a folder");
    let made = made.path().join("older.db");
    let connection = Connection::open(&made).expect("a database");
    for sql in OLDER {
        connection.execute_batch(sql).expect("an older migration");
    }
    let new = scene.db().display().to_string();
    connection.execute("ATTACH ?1 AS new", [&new]).expect("attached");
    connection
        .execute_batch(
            "CREATE TABLE waltop_migrations AS SELECT * FROM new.waltop_migrations WHERE version < 6;
             INSERT INTO nodes SELECT id, path, folder, title, kind, bytes, modified_ns, hash, ingested_at, front_matter, body
                 FROM new.nodes;
             INSERT INTO edges SELECT * FROM new.edges;
             INSERT INTO nodes_files SELECT node, changed_ns, inode, 3 FROM new.nodes_files;
             INSERT INTO nodes_vectors (node, model, dimension, hash, vector) SELECT id, 'm', 0, hash, x'' FROM nodes;
             DETACH new; PRAGMA journal_mode = wal;",
        )
        .expect("its rows");
    connection.close().expect("closed");
    for suffix in ["-wal", "-shm"] {
        let _ = fs::remove_file(format!("{new}{suffix}"));
    }
    fs::copy(&made, &new).expect("it is the database");
}

fn count(scene: &Scene, sql: &str) -> i64 {
    let connection = Connection::open(scene.db()).expect("the database");
    connection.query_row(sql, [], |row| row.get(0)).expect("a count")
}

fn older_scene() -> (Scene, Rows) {
    let scene = Scene::with(4);
    scene.write("locked.md", "# Locks\n\n数据库被锁定了\n");
    scene.run();
    let rows = scene.rows();
    make_older(&scene);
    (scene, rows)
}

const OLD_ENTRIES: &str = "SELECT count(*) FROM nodes_fts_docsize";
const MOVED: &str = "SELECT count(*) FROM nodes WHERE name_words IS NOT NULL";

#[test]
fn an_older_database_is_searched_as_it_is_and_moves_with_the_next_run() {
    let (scene, rows) = older_scene();
    assert_eq!(scene.found("locks"), ["notes/locked.md"], "a search changes no tables");
    assert!(scene.found("锁定").is_empty());
    let summary = scene.run();
    assert_eq!((summary.ingested, summary.unchanged), (5, 0));
    assert!(scene.rows() == rows, "its rows and its index are those of this version");
    assert_eq!(scene.found("锁定"), ["notes/locked.md"]);
    assert_eq!((count(&scene, OLD_ENTRIES), count(&scene, MOVED)), (0, 5));
    assert_eq!(count(&scene, "SELECT count(*) FROM nodes_vectors"), 5, "the texts are the same");
    assert_eq!(scene.run().batches, 0);
}

#[test]
fn while_only_some_documents_have_moved_all_are_found_once() {
    let (scene, _) = older_scene();
    // The other folder's documents stay in the old index.
    let connection = Connection::open(scene.db()).expect("the database");
    connection
        .execute_batch(
            "UPDATE nodes SET path = 'else' || path, folder = 'elsenotes' WHERE path LIKE '%doc-0.md'",
        )
        .expect("another folder");
    connection.close().expect("closed");
    let before = scene.found("document");
    assert_eq!(before.len(), 4);
    scene.run();
    let sorted = |mut paths: Vec<String>| {
        paths.sort();
        paths
    };
    let all: Vec<String> = sorted(scene.found("document"));
    let mut expected = sorted(before);
    // The file itself is a new document now.
    expected.push("notes/00/doc-0.md".to_owned());
    expected.sort();
    assert_eq!(all, expected);
    assert!(count(&scene, OLD_ENTRIES) > 0, "one document is in it");
    assert_eq!(scene.found("锁定"), ["notes/locked.md"]);
}

#[test]
fn a_migration_that_is_killed_leaves_the_older_database() {
    let (scene, rows) = older_scene();
    let mut migrating = Actor::open(&scene.db());
    // So that its pages get into the log before the commit.
    migrating.sql("PRAGMA cache_size = 1").sql("BEGIN IMMEDIATE");
    let mut statement = String::new();
    for line in
        include_str!("../../../migrations/V6__words.sql").lines().filter(|line| !line.starts_with("--"))
    {
        statement.push_str(line);
        statement.push(' ');
        let is_whole =
            if statement.contains("CREATE TRIGGER") { line == "END;" } else { line.ends_with(';') };
        if is_whole {
            migrating.sql(statement.trim());
            statement.clear();
        }
    }
    migrating.kill();
    assert_eq!(scene.found("locks"), ["notes/locked.md"]);
    assert_eq!(count(&scene, "SELECT count(*) FROM sqlite_schema WHERE name LIKE 'nodes_words%'"), 0);
    assert_eq!(scene.run().ingested, 5);
    assert!(scene.rows() == rows);
}
