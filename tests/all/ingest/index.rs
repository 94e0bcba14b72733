//! The full-text index: kept by the run itself or by triggers, and merged as the run goes.

use super::*;

/// Segments of the index.
fn segments(scene: &Scene) -> i64 {
    let connection = Connection::open(scene.db()).expect("the database");
    let sql = "SELECT count(DISTINCT segid) FROM nodes_words_idx";
    connection.query_row(sql, [], |row| row.get(0)).expect("a count")
}

#[test]
fn many_small_batches_leave_few_segments() {
    let scene = Scene::with(300);
    let summary = go(&IngestRequest { batch: batch(1), ..scene.request() }).expect("it is ingested");
    assert_eq!(summary.ingested, 300);
    // Merged they are at eight of a level; three levels are enough for as many batches.
    let count = segments(&scene);
    assert!(count <= 24, "{count} segments");
    assert!(scene.journal().iter().any(|line| matches!(line.event, JournalEvent::Merged { .. })));
    scene.rows();
}

#[test]
fn another_programs_trigger_is_fired_and_the_index_is_the_same() {
    let [by_run, by_triggers] = [(); 2].map(|()| Scene::with(1));
    for scene in [&by_run, &by_triggers] {
        scene.run();
    }
    let mut other = Actor::open(&by_triggers.db());
    other.sql("CREATE TABLE theirs (id)");
    for event in ["INSERT", "UPDATE"] {
        other.sql(&format!(
            "CREATE TRIGGER theirs_{event} AFTER {event} ON nodes BEGIN INSERT INTO theirs VALUES (new.id); END"
        ));
    }
    other.close();
    let both = |what: &str, act: &dyn Fn(&Scene)| {
        for scene in [&by_run, &by_triggers] {
            act(scene);
            scene.run();
        }
        assert!(by_run.rows() == by_triggers.rows(), "not the same after {what}");
    };
    let write = |scene: &Scene, text: &str| {
        for number in 0..40 {
            scene.write(&format!("{number}.md"), &format!("# Title {number}\n\n{text} lock {number}"));
        }
    };
    both("documents came", &|scene| write(scene, "first"));
    both("documents changed", &|scene| write(scene, "second thoughts"));
    both("documents went", &|scene| (0..20).for_each(|number| scene.delete(&format!("{number}.md"))));
    assert_eq!((by_run.found("first").len(), by_run.found("second").len()), (0, 20));
    let fired = "SELECT count(*) FROM theirs";
    let theirs = Connection::open(by_triggers.db()).expect("the database");
    assert_eq!(theirs.query_row(fired, [], |row| row.get::<_, i64>(0)), Ok(80));
}
