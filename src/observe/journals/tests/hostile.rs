//! Journals that are no journals, or larger than anything that waltop writes.

use proptest::prelude::*;

use super::*;
use crate::{fuzz::for_a_while, fuzz_edits::edited_text};

#[test]
fn a_sparse_file_of_a_terabyte_is_reported_and_not_read() {
    let mut scene = JournalScene::new();
    scene.process(7, 'S', 500);
    scene.start("r", 7);
    scene.tell("r", batch(3, 4.0));
    let path = scene.dir.path().join("runs/r.jsonl");
    if File::options().write(true).open(&path).and_then(|file| file.set_len(1 << 40)).is_err() {
        eprintln!("not tested: this file system has no sparse file of that size");
        return;
    }
    for _ in 0..3 {
        let (ingestions, unseen) = scene.journals.look();
        assert_eq!((ingestions.len(), ingestions[0].1.batches), (1, 1), "what stands before it is known");
        assert!(unseen.len() == 1 && unseen[0].why.contains("longer than 1 MiB"), "{unseen:?}");
    }
    assert!(!has_end(&path));
    assert!(matches!(first_line(&path), Some(JournalEvent::Started { .. })));
}

#[test]
fn a_large_journal_is_read_in_several_samples() {
    let mut scene = JournalScene::new();
    scene.process(7, 'S', 500);
    scene.start("r", 7);
    for _ in 0..100 {
        scene.tell("r", batch(1, 1.0));
    }
    scene.journals.bytes_per_look = 4096;
    let (first, unseen) = scene.journals.look();
    let batches = first[0].1.batches;
    assert!((1..100).contains(&batches) && unseen.len() == 1, "{batches} {unseen:?}");
    let mut looks = 1;
    while !scene.journals.look().1.is_empty() {
        looks += 1;
    }
    assert!(looks > 2 && scene.only().batches == 100, "{looks}");
}

#[test]
fn lines_without_sense_have_an_end() {
    let mut scene = JournalScene::new();
    scene.append("r", &"\n".repeat(1 << 20));
    let (ingestions, unseen) = scene.journals.look();
    assert!(ingestions.is_empty() && unseen[0].why.contains("too many lines"), "{unseen:?}");
    assert!(scene.journals.followed.values().all(|it| it.read_to < 1000));
}

#[test]
fn fuzz_journal() {
    let line = |event| {
        let line = JournalLine { at: "2026-01-02T03:04:05Z".parse().expect("a time"), event };
        serde_json::to_string(&line).expect("JSON") + "\n"
    };
    let seed = [
        started("r", 7),
        JournalEvent::Discovered { files: 10, unchanged: 2, ignored_tracked: None },
        batch(3, 4.0),
        JournalEvent::FileFailed { path: "p".to_owned(), reason: "why".to_owned() },
        JournalEvent::Removed { files: 5, cost: RecordedCost { wait_ms: 2.0, hold_ms: 1.0, retries: 0 } },
        JournalEvent::Finished { outcome: RunOutcome::Failed, error: Some("x".to_owned()) },
    ]
    .map(line)
    .concat();
    for_a_while("journal", |runner| {
        runner.run(&(edited_text(&[&seed]), any::<prop::sample::Index>()), |(text, at)| {
            let scene = JournalScene::new();
            let journals = || Journals::new(scene.dir.path().join("runs"), scene.dir.path().join("proc"));
            // A journal that is followed tells what one tells that is read at once.
            let (mut followed, bytes) = (journals(), text.as_bytes());
            let (first, second) = bytes.split_at(at.index(bytes.len() + 1));
            let path = scene.dir.path().join("runs/r.jsonl");
            fs::write(&path, first).expect("a journal");
            followed.look();
            File::options().append(true).open(&path).and_then(|mut it| it.write_all(second)).expect("more");
            let (followed, at_once) = (followed.look(), journals().look());
            prop_assert_eq!(format!("{followed:?}"), format!("{at_once:?}"));
            prop_assert!(followed.0.len() <= 1 && followed.1.len() <= 1);
            let _ = (first_line(&path), has_end(&path));
            Ok(())
        })
    });
}

#[test]
fn a_place_for_journals_that_is_no_folder_is_reported() {
    let scene = JournalScene::new();
    let file = scene.dir.path().join("file");
    fs::write(&file, "").expect("written");
    for (place, expected) in [(file.clone(), 1), (file.join("runs"), 1), (scene.dir.path().join("none"), 0)] {
        let (ingestions, unseen) = Journals::new(place.clone(), scene.dir.path().join("proc")).look();
        assert_eq!((ingestions.len(), unseen.len()), (0, expected), "{}", place.display());
    }
}
