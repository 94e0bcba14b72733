//! What a run says: in its journal, and on the terminal.

use waltop::{
    database::factory::OpenError,
    ingest::{StoreError, batch::BatchSizeError, search::SearchError},
};

use super::*;

#[test]
fn the_journal_records_what_the_summary_reports() {
    let scene = Scene::with(30);
    scene.write("old.md", "goes");
    scene.run();
    scene.delete("old.md");
    scene.write("00/doc-0.md", "changed");
    fs::write(scene.notes().join("bad.md"), b"\xff").expect("a file");
    let touched = File::options().write(true).open(scene.notes().join("01/doc-1.md")).expect("a document");
    touched.set_modified(SystemTime::UNIX_EPOCH).expect("another time");
    let summary = scene.run();
    assert_eq!((summary.ingested, summary.unchanged, summary.removed), (1, 29, 1));
    let (ingestions, unseen) = Journals::new(scene.runs(), "/proc".into()).look();
    assert_eq!((ingestions.len(), unseen), (2, vec![]));
    let (database, newest) = &ingestions[0];
    assert_eq!(*database, fs::canonicalize(scene.db()).expect("the database").display().to_string());
    assert_eq!((Some(&newest.run), newest.state), (summary.run.as_ref(), IngestionState::Completed));
    assert_eq!((newest.files_total, newest.files_done, newest.files_unchanged), (Some(31), 30, 29));
    assert_eq!((newest.files_failed, &newest.failures), (1, &summary.failed));
    assert_eq!((newest.batches, newest.busy_retries), (summary.batches, summary.retries));
    assert_eq!((newest.hold_ms, newest.wait_ms), (summary.hold, summary.wait));
    assert_eq!(newest.folders, [fs::canonicalize(scene.notes()).expect("the folder").display().to_string()]);
}

#[test]
fn a_refusal_before_there_are_tables_is_counted() {
    let scene = Scene::with(3);
    let mut other = Actor::open(&scene.db());
    other.sql("PRAGMA journal_mode = wal").sql("CREATE TABLE theirs (x)").sql("BEGIN IMMEDIATE");
    thread::scope(|scope| {
        let (sender, task) = std::sync::mpsc::channel();
        let scene = &scene;
        let run = scope.spawn(move || {
            sender.send(fs::read_link("/proc/thread-self").expect("a task")).expect("it is awaited");
            scene.run()
        });
        let status = Path::new("/proc").join(task.recv().expect("a task")).join("status");
        // Each pause after a refusal is a switch, and it reads nothing from a disk meanwhile.
        let switches = || -> u64 {
            let status = fs::read_to_string(&status).expect("it lives");
            let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
            line.and_then(|it| it.trim().parse().ok()).expect("a number")
        };
        eventually("it has a journal", || {
            (scene.runs().exists() && !scene.journal().is_empty()).then_some(())
        });
        let before = switches();
        eventually("it was refused", || (switches() > before + 9).then_some(()));
        other.sql("COMMIT");
        let summary = run.join().expect("it is ingested");
        assert!(summary.retries > 0 && summary.ingested == 3, "{summary:?}");
        let newest = &Journals::new(scene.runs(), "/proc".into()).look().0[0].1;
        assert_eq!(newest.busy_retries, summary.retries);
        // Nine pauses take milliseconds.
        let longest = [summary.wait, newest.wait_ms].map(|wait| wait.map(|wait| wait.max));
        assert!(longest.iter().all(|max| max.is_some_and(|max| max > 2.0)), "{longest:?}");
    });
}

#[test]
fn a_file_that_is_no_database_is_left_as_it_is() {
    let scene = Scene::with(1);
    fs::write(
        scene.db(),
        "this is a text, and long enough to be looked at as a header of a database, or so it seems",
    )
    .expect("a file");
    let text = fs::read(scene.db()).expect("the file");
    let error = go(&scene.request()).expect_err("it is no database");
    assert!(matches!(error, IngestError::Store(StoreError::Open(OpenError::NotADatabase { .. }))), "{error}");
    let error = error.to_string();
    assert_eq!(fs::read(scene.db()).expect("the file"), text);
    assert_eq!(scene.entries(), ["notes", "notes.db", "state"].map(str::to_owned).into());
    assert_eq!(scene.end(), (RunOutcome::Failed, Some(error)));
}

#[test]
fn a_run_that_no_journal_can_be_kept_of_leaves_the_database_as_it_is() {
    let scene = Scene::with(1);
    fs::write(scene.dir.path().join("state"), "in the way").expect("a file");
    let error = go(&scene.request()).expect_err("there is no room for journals");
    assert!(matches!(error, IngestError::Journal { .. }), "{error}");
    assert!(!scene.db().exists());
    Actor::open(&scene.db()).sql("CREATE TABLE theirs (x)");
    let before = fs::read(scene.db()).expect("the database");
    assert!(matches!(go(&scene.request()), Err(IngestError::Journal { .. })));
    assert_eq!(fs::read(scene.db()).expect("the database"), before, "its journal mode is theirs");
}

#[test]
fn the_command_reports_and_counts() {
    let scene = Scene::with(3);
    let output = scene.child(&[]).wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(0));
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(out.starts_with("3 of 3 ingested, 0 unchanged in "), "{out}");
    assert_eq!((out.lines().count(), err.as_ref()), (1, "3 files found, 0 of them unchanged\n"));
    fs::write(scene.notes().join("bad.md"), b"\xff").expect("a file");
    let output = scene.child(&[]).wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("/bad.md: it is not UTF-8"));
    let output = scene.child(&["--batch", "0"]).wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains(&BatchSizeError::Zero.to_string()));
}

#[test]
fn the_search_command_finds_and_never_makes_a_database() {
    let scene = Scene::with(3);
    let find = |words: &[&str]| {
        let output = Command::new(WALTOP)
            .args(["search", "--db"])
            .arg(scene.db())
            .arg("--")
            .args(words)
            .env("XDG_STATE_HOME", scene.dir.path().join("state"))
            .output()
            .expect("waltop runs");
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        (output.status.code(), text)
    };
    let (code, text) = find(&["lock"]);
    assert_eq!((code, text.lines().count()), (Some(2), 1), "{text}");
    assert!(!scene.db().exists());
    Actor::open(&scene.db()).sql("PRAGMA journal_mode = wal");
    let nothing = SearchError::NothingIngested(scene.db().display().to_string());
    assert!(find(&["lock"]).1.contains(&nothing.to_string()));
    scene.run();
    let (code, text) = find(&["document", "2"]);
    assert_eq!(code, Some(0));
    assert!(text.contains("notes/02/doc-2.md") && text.contains("«Document» «2»"), "{text}");
    for odd in ["\"", "zz\" OR *", "(", "NEAR(a b)", "title:", "^", "\u{202e}"] {
        let (code, text) = find(&[odd]);
        assert!(
            code == Some(1) && text.starts_with("nothing found for ")
                || text.contains(&SearchError::NoWords.to_string()),
            "{odd}: {text}"
        );
    }
}
