//! Runs that are killed, and what the next makes of it.

use super::*;

#[test]
fn a_killed_run_is_seen_to_have_crashed_and_the_next_ends_where_a_clean_one_does() {
    let clean = Scene::with(300);
    clean.run();
    let expected = clean.rows();
    let scene = Scene::with(300);
    let mut other = Actor::open(&scene.db());
    other.sql("PRAGMA journal_mode = wal").sql("CREATE TABLE theirs (x)").sql("SELECT * FROM theirs");
    for killed in 1..=3 {
        let before = scene.batches();
        let mut child = scene.child(&["--batch", "3"]);
        eventually("some batches", || (scene.batches() > before + killed).then_some(()));
        child.kill().expect("it can be killed");
        // Not collected yet, it is dead all the same.
        let mut journals = Journals::new(scene.runs(), "/proc".into());
        let newest = eventually("the crash is seen", || {
            let (ingestions, unseen) = journals.look();
            assert_eq!(unseen, []);
            let newest = ingestions.into_iter().next().expect("an ingestion").1;
            (newest.state == IngestionState::Crashed).then_some(newest)
        });
        assert_eq!(newest.pid, i32::try_from(child.id()).expect("a PID fits"));
        child.wait().expect("it ends");
    }
    other.close();
    let summary = scene.run();
    assert!(summary.unchanged > 0 && summary.taken_in > 0, "{summary}");
    assert_eq!(scene.rows(), expected);
}
