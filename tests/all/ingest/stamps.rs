//! Files that were touched, and hold what they held.

use std::os::unix::fs::PermissionsExt;

use super::*;

/// Gives `name` another time of change, `seconds` from now.
fn touch(scene: &Scene, name: &str, seconds: u64) {
    let file = File::options().write(true).open(scene.notes().join(name)).expect("a document");
    file.set_modified(SystemTime::now() + Duration::from_secs(seconds)).expect("another time");
}

/// `(files, unchanged)` as each run found them by stamp alone.
fn discovered(scene: &Scene) -> Vec<(u64, u64)> {
    let of = |line: JournalLine| match line.event {
        JournalEvent::Discovered { files, unchanged, .. } => Some((files, unchanged)),
        _ => None,
    };
    scene.journal().into_iter().filter_map(of).collect()
}

/// Of how many files each transaction noted the stamp.
fn restamped(scene: &Scene) -> Vec<u64> {
    let of = |line: JournalLine| match line.event {
        JournalEvent::Restamped { files, .. } => Some(files),
        _ => None,
    };
    scene.journal().into_iter().filter_map(of).collect()
}

#[test]
fn a_touched_file_is_read_once() {
    let scene = Scene::with(60);
    scene.run();
    let before = scene.rows();
    for number in 0..50 {
        touch(&scene, &format!("{:02}/doc-{number}.md", number % 7), 60);
    }
    let summary = scene.run();
    assert_eq!((summary.files_total, summary.unchanged, summary.ingested), (60, 60, 0));
    assert!(summary.batches > 0 && summary.hold.is_some(), "{summary:?}");
    let summary = scene.run();
    assert_eq!((summary.unchanged, summary.batches), (60, 0), "nothing was to be written");
    assert_eq!(discovered(&scene), [(60, 0), (60, 10), (60, 60)], "nor read");
    assert_eq!(restamped(&scene).iter().sum::<u64>(), 50);
    let unchanged: u64 = scene
        .journal()
        .iter()
        .map(|line| if let JournalEvent::Unchanged { files } = line.event { files } else { 0 })
        .sum();
    assert_eq!(unchanged, 50);
    assert_eq!(scene.rows(), before);
}

#[test]
fn stamps_are_noted_in_batches_too_and_beside_documents() {
    let scene = Scene::with(20);
    scene.run();
    for number in 0..10 {
        touch(&scene, &format!("{:02}/doc-{number}.md", number % 7), 60);
    }
    scene.write("new.md", "a new one");
    scene.delete("05/doc-19.md");
    let summary = go(&IngestRequest { batch: batch(4), ..scene.request() }).expect("it is ingested");
    assert_eq!((summary.ingested, summary.unchanged, summary.removed), (1, 19, 1));
    assert_eq!(restamped(&scene), [4, 4, 2]);
    assert_eq!(scene.run().batches, 0);
    assert_eq!(discovered(&scene).last(), Some(&(20, 20)));
}

#[test]
fn of_a_long_text_no_page_is_written_for_it() {
    let scene = Scene::with(1);
    scene.write("long.md", &"A text that fills many pages of the file. ".repeat(50_000));
    scene.run();
    // While it reads, the log only grows.
    let mut reader = Actor::open(&scene.db());
    reader.sql("BEGIN").sql("SELECT count(*) FROM nodes");
    let log = scene.dir.path().join("notes.db-wal");
    let length = || fs::metadata(&log).map_or(0, |file| file.len());
    let before = length();
    touch(&scene, "long.md", 60);
    let summary = scene.run();
    assert_eq!((summary.unchanged, summary.batches), (2, 1));
    let written = length() - before;
    assert!((1..=3 * 4096).contains(&written), "{written} bytes of a log");
    reader.close();
    assert_eq!(scene.run().batches, 0);
}

#[test]
fn a_very_long_file_is_rather_read_again_than_its_row_under_the_lock() {
    let scene = Scene::with(1);
    scene.write("very-long.md", &"A text that fills many pages of the file. ".repeat(110_000));
    scene.run();
    touch(&scene, "very-long.md", 60);
    touch(&scene, "00/doc-0.md", 60);
    assert_eq!((scene.run().unchanged, restamped(&scene)), (2, vec![1]));
    assert_eq!((scene.run().unchanged, discovered(&scene).last()), (2, Some(&(2, 1))));
}

#[test]
fn no_trigger_of_the_index_fires_for_it() {
    let scene = Scene::with(5);
    scene.run();
    // Beside a trigger of somebody else's, the run keeps triggers on.
    let mut owner = Actor::open(&scene.db());
    owner.sql("CREATE TABLE told (x)");
    owner.sql("CREATE TRIGGER theirs AFTER UPDATE OF title ON nodes BEGIN INSERT INTO told VALUES (1); END");
    let segments = || {
        let connection = Connection::open(scene.db()).expect("the database");
        let count = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0)).expect("a count");
        (count("SELECT count(*) FROM nodes_words_data"), count("SELECT count(*) FROM told"))
    };
    let before = segments();
    touch(&scene, "00/doc-0.md", 60);
    assert_eq!(scene.run().batches, 1);
    assert_eq!(segments(), before);
    let rows = scene.rows();
    scene.write("00/doc-0.md", "# Another text");
    scene.run();
    assert_ne!((segments(), scene.rows() == rows), (before, true), "that is another matter");
}

#[test]
fn a_lock_that_stays_is_no_reason_to_fail() {
    let scene = Scene::with(3);
    scene.run();
    let mut other = Actor::open(&scene.db());
    other.sql("BEGIN IMMEDIATE");
    touch(&scene, "00/doc-0.md", 60);
    let summary = scene.run();
    assert_eq!((summary.unchanged, summary.batches, summary.outcome), (3, 0, RunOutcome::Completed));
    other.sql("COMMIT");
    assert_eq!(scene.run().batches, 1, "the next one does it");
    assert_eq!(scene.run().batches, 0);
}

#[test]
fn a_file_that_was_renamed_over_another_of_the_same_size_and_time_is_read() {
    let scene = Scene::new();
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    for (name, text) in [("draft.md", "the new text"), ("final.md", "the old text")] {
        scene.write(name, text);
        let file = File::options().write(true).open(scene.notes().join(name)).expect("a document");
        file.set_modified(time).expect("the same time");
    }
    scene.run();
    let [draft, last] = ["draft.md", "final.md"].map(|name| scene.notes().join(name));
    let aside = scene.notes().join("aside");
    fs::rename(&draft, &aside).and_then(|()| fs::rename(&last, &draft)).expect("they are swapped");
    fs::rename(&aside, &last).expect("they are swapped");
    let summary = scene.run();
    assert_eq!((summary.ingested, summary.removed), (2, 0), "{summary:?}");
    assert_eq!(scene.found("new"), ["notes/final.md"]);
    // A change of the inode alone makes no new row, and is noted.
    fs::set_permissions(&last, fs::Permissions::from_mode(0o600)).expect("other permissions");
    assert_eq!((scene.run().ingested, restamped(&scene).iter().sum::<u64>()), (0, 1));
    assert_eq!(scene.run().batches, 0);
}

#[test]
fn documents_of_an_older_reader_are_read_again_once() {
    let scene = Scene::with(6);
    scene.run();
    let rows = scene.rows();
    let connection = Connection::open(scene.db()).expect("it opens");
    // As an earlier version leaves it: without a row for one, and with an older version for another.
    let older = "UPDATE nodes SET title = 'by an older reader' WHERE id IN (1, 2);
        DELETE FROM nodes_files WHERE node = 1; UPDATE nodes_files SET reader = reader - 1 WHERE node = 2;
        INSERT INTO nodes_vectors (node, model, dimension, hash, vector) SELECT id, 'm', 0, hash, x'' FROM nodes";
    connection.execute_batch(older).expect("its rows");
    drop(connection);
    let summary = scene.run();
    assert_eq!((summary.ingested, summary.unchanged), (2, 4));
    assert_eq!(scene.rows().nodes, rows.nodes);
    let connection = Connection::open(scene.db()).expect("it opens");
    let vectors = connection.query_row("SELECT count(*) FROM nodes_vectors", [], |row| row.get(0));
    assert_eq!(vectors, Ok(6), "the text is the same");
    drop(connection);
    assert_eq!(scene.run().batches, 0);
}
