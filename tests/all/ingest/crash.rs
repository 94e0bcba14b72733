//! Runs that are killed, and what the next makes of it.

use super::*;

#[path = "../../../benches/support/dice.rs"]
mod dice;

use dice::Dice;

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
    assert!(summary.unchanged > 0 && summary.ingested > 0, "{summary}");
    assert_eq!(scene.rows(), expected);
}

#[test]
fn a_run_that_was_cut_off_is_found_behind_any_number_of_others() {
    let scene = Scene::with(200);
    let mut other = Actor::open(&scene.db());
    other.sql("PRAGMA journal_mode = wal").sql("CREATE TABLE theirs (x)").sql("SELECT * FROM theirs");
    let mut cut_off = scene.child(&["--batch", "3"]);
    eventually("some batches", || (scene.batches() > 2).then_some(()));
    cut_off.kill().expect("it can be killed");
    cut_off.wait().expect("it ends");
    other.close();
    let elsewhere = Scene { db: "other.db".into(), ..Scene::with(1) };
    elsewhere.run();
    let journal =
        fs::read_dir(elsewhere.runs()).expect("its journals").next().expect("one").expect("one").path();
    for number in 0..100 {
        fs::copy(&journal, scene.runs().join(format!("9-{number:03}.jsonl"))).expect("a journal");
    }
    let line = format!("of process {}, which ended without a word", cut_off.id());
    let said = scene.said(&[]);
    assert!(said.err.contains(&line), "{said:?}");
    assert!(!scene.said(&[]).err.contains("resumes run"), "that one came to its end");
    let entries = fs::read_dir(scene.runs()).expect("the folder").map(|it| it.expect("an entry").path());
    assert!(!entries.into_iter().any(|path| path.extension().is_some_and(|it| it == "lock")));
}

/// Kills an ingestion once it has told of `batches` and some microseconds went by. Whether it was at work.
fn kill_after(scene: &Scene, batches: u64, pause: Duration) -> bool {
    let mut child = scene.child(&["--batch", "7"]);
    eventually("the run has come that far, or to its end", || {
        let is_over = child.try_wait().expect("it is ours").is_some();
        (is_over || scene.batches() as u64 >= batches).then_some(())
    });
    thread::sleep(pause);
    child.kill().expect("it is ours");
    !child.wait().expect("it ends").success()
}

#[test]
fn killed_at_any_moment_the_next_run_ends_where_a_clean_one_does() {
    let scene = Scene::with(300);
    scene.run();
    let expected = scene.rows();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a time after 1970");
    let seed = u64::try_from(now.as_nanos() % u128::from(u64::MAX)).expect("it fits") | 1;
    println!("seed {seed}");
    let mut dice = Dice(seed);
    for round in 0..10 {
        for name in ["notes.db", "notes.db-wal", "notes.db-shm"] {
            // The sidecars are there only after a crash.
            let _ = fs::remove_file(scene.dir.path().join(name));
        }
        fs::remove_dir_all(scene.runs()).expect("the journals");
        let (batches, pause) = (dice.below(44), Duration::from_micros(dice.below(20_000)));
        let was_killed = kill_after(&scene, batches, pause);
        println!("round {round}: killed {was_killed} after {batches} batches and {pause:?}");
        // It may have told its end, and died on the way out.
        let was_cut_off =
            scene.journal().last().is_some_and(|line| !matches!(line.event, JournalEvent::Finished { .. }));
        let said = scene.said(&[]);
        assert_eq!(said.code, Some(0), "{said:?}");
        assert!(!was_cut_off || said.err.starts_with("resumes run "), "{said:?}");
        assert!(scene.rows() == expected, "not what a clean run gives");
    }
}

#[test]
fn the_next_run_says_what_it_carries_on() {
    let scene = Scene::with(200);
    let mut other = Actor::open(&scene.db());
    other.sql("PRAGMA journal_mode = wal").sql("CREATE TABLE theirs (x)").sql("SELECT * FROM theirs");
    let mut first = scene.child(&["--batch", "3"]);
    eventually("some batches", || (scene.batches() > 2).then_some(()));
    first.kill().expect("it can be killed");
    first.wait().expect("it ends");
    other.close();
    let done = scene.batches() * 3;
    let look = || Journals::new(scene.runs(), "/proc".into()).look().0;
    let crashed = look().remove(0).1;
    let said = scene.said(&["--hidden"]);
    let line = format!(
        "resumes run {} of process {}, which ended without a word after {done} of 200 files",
        crashed.run,
        first.id()
    );
    assert_eq!(said.err.lines().next(), Some(line.as_str()), "{said:?}");
    let newest = look().remove(0).1;
    let carried = newest.carries_on.expect("it is told in the journal");
    assert_eq!((carried.run, carried.files_done), (crashed.run, done as u64));
    let started = scene.journal().into_iter().rev().find_map(|line| match line.event {
        JournalEvent::Started { root, hidden, batch, .. } => Some((root, hidden, batch)),
        _ => None,
    });
    assert_eq!(started, Some((Some("notes".to_owned()), Some(true), "auto".to_owned())));
    let runs = Command::new(WALTOP)
        .arg("runs")
        .arg(scene.db())
        .env("XDG_STATE_HOME", scene.dir.path().join("state"))
        .output()
        .expect("waltop runs");
    assert!(String::from_utf8_lossy(&runs.stdout).contains(&line), "{runs:?}");
    assert!(!scene.said(&[]).err.contains("resumes run"), "that one came to its end");
}
