mod hostile;

use std::{
    fs::{self, File},
    io::Write,
};

use tempfile::TempDir;

use super::*;
use crate::{
    snapshot::{DurationSpread, IngestionState},
    state::journal::{JournalEvent, JournalLine, RecordedCost, RunOutcome},
};

struct JournalScene {
    dir: TempDir,
    journals: Journals,
}

impl JournalScene {
    fn new() -> Self {
        let dir = TempDir::new().expect("a folder");
        for folder in ["runs", "proc"] {
            fs::create_dir_all(dir.path().join(folder)).expect("a folder");
        }
        let journals = Journals::new(dir.path().join("runs"), dir.path().join("proc"));
        Self { dir, journals }
    }

    fn process(&self, pid: i32, state: char, ticks: u64) {
        let proc = self.dir.path().join("proc").join(pid.to_string());
        fs::create_dir_all(&proc).expect("a folder");
        let zeros = "0 ".repeat(18);
        fs::write(proc.join("stat"), format!("{pid} (a ) b) {state} {zeros}{ticks} 0 0\n")).expect("a file");
    }

    fn append(&self, run: &str, text: &str) {
        let path = self.dir.path().join("runs").join(format!("{run}.jsonl"));
        let mut file = File::options().create(true).append(true).open(path).expect("a journal");
        file.write_all(text.as_bytes()).expect("a line");
    }

    fn tell(&self, run: &str, event: JournalEvent) {
        let line = JournalLine { at: "2026-01-02T03:04:05Z".parse().expect("a time"), event };
        self.append(run, &(serde_json::to_string(&line).expect("JSON") + "\n"));
    }

    fn start(&self, run: &str, pid: i32) {
        self.tell(run, started(run, pid));
    }

    fn only(&mut self) -> Ingestion {
        let (mut ingestions, unseen) = self.journals.look();
        assert_eq!(unseen, []);
        assert_eq!(ingestions.len(), 1);
        ingestions.remove(0).1
    }
}

fn started(run: &str, pid: i32) -> JournalEvent {
    JournalEvent::Started {
        run: run.to_owned(),
        pid,
        start_ticks: Some(500),
        boot: Some("this one".to_owned()),
        database: "/x/notes.db".to_owned(),
        folders: vec!["/x/notes".to_owned()],
        batch: "auto".to_owned(),
        root: None,
        hidden: Some(false),
        carries_on: None,
        began_at: None,
    }
}

fn batch(files: u64, hold_ms: f64) -> JournalEvent {
    JournalEvent::Batch {
        files,
        bytes: 10,
        cost: RecordedCost { wait_ms: 1.0, hold_ms, retries: 1 },
        decided: None,
    }
}

#[test]
fn a_missing_folder_is_no_ingestion() {
    let (ingestions, unseen) = Journals::new("/nowhere/at/all".into(), "/proc".into()).look();
    assert!(ingestions.is_empty());
    assert_eq!(unseen, []);
}

#[test]
fn a_live_run_is_followed_to_its_end() {
    let mut scene = JournalScene::new();
    scene.process(7, 'S', 500);
    scene.start("r", 7);
    let ingestion = scene.only();
    assert_eq!((ingestion.state, ingestion.files_total), (IngestionState::Running, None));
    scene.tell("r", JournalEvent::Discovered { files: 10, unchanged: 2, ignored_tracked: None });
    scene.tell("r", batch(3, 4.0));
    scene.tell("r", JournalEvent::Unchanged { files: 1 });
    scene.tell("r", JournalEvent::FileFailed { path: "p".into(), reason: "why".into() });
    scene.tell("r", JournalEvent::FileWarned { path: "p".into(), reason: "why".into() });
    scene.append("r", "{\"at\":\"2026-01-02T03:04:05Z\",\"event\":\"of_tomorrow\",\"x\":1}\n");
    let ingestion = scene.only();
    assert_eq!((ingestion.files_total, ingestion.files_done, ingestion.files_unchanged), (Some(10), 6, 3));
    assert_eq!((ingestion.files_failed, ingestion.failures.len()), (1, 1));
    assert_eq!((ingestion.files_in_part, ingestion.in_part.len()), (1, 1));
    assert_eq!((ingestion.batches, ingestion.batch_size, ingestion.busy_retries), (1, Some(3), 1));
    scene.tell("r", batch(4, 8.0));
    scene.tell(
        "r",
        JournalEvent::Removed { files: 5, cost: RecordedCost { wait_ms: 2.0, hold_ms: 1.0, retries: 0 } },
    );
    scene.tell("r", JournalEvent::Finished { outcome: RunOutcome::Completed, error: None });
    let ingestion = scene.only();
    assert_eq!((ingestion.state, ingestion.files_done), (IngestionState::Completed, 10));
    assert_eq!(ingestion.hold_ms, Some(DurationSpread { p50: 4.0, p99: 8.0, max: 8.0 }));
    assert_eq!(ingestion.recent_holds_ms, [4.0, 8.0, 1.0]);
    let recent: Vec<_> =
        ingestion.recent_batches.iter().map(|it| (it.files, it.bytes, it.wait_ms, it.retries)).collect();
    assert_eq!(recent, [(3, Some(10), 1.0, 1), (4, Some(10), 1.0, 1), (5, None, 2.0, 0)]);
    assert_eq!(ingestion.slowest_batch.map(|it| (it.files, it.hold_ms)), Some((4, 8.0)));
    assert!(ingestion.last_batch_at.is_some() && ingestion.last_told_at == ingestion.finished_at);
    let told = scene.journals.take_transactions();
    assert_eq!(
        told.iter().map(|it| (it.wait_ms, it.hold_ms)).collect::<Vec<_>>(),
        [(1.0, 4.0), (1.0, 8.0), (2.0, 1.0)]
    );
    assert_eq!((told[0].database.as_str(), told[0].pid, told[0].start_ticks), ("/x/notes.db", 7, Some(500)));
    assert_eq!(scene.journals.take_transactions(), [], "once is enough");
    assert!(ingestion.finished_at.is_some());
}

#[test]
fn a_line_that_is_being_written_waits_for_its_end() {
    let mut scene = JournalScene::new();
    scene.process(7, 'S', 500);
    scene.start("r", 7);
    let line = serde_json::to_string(&JournalLine { at: jiff::Timestamp::UNIX_EPOCH, event: batch(3, 4.0) });
    let line = line.expect("JSON");
    let (first, second) = line.split_at(20);
    scene.append("r", first);
    assert_eq!(scene.only().batches, 0);
    scene.append("r", second);
    assert_eq!(scene.only().batches, 0);
    scene.append("r", "\n");
    assert_eq!(scene.only().batches, 1);
}

#[test]
fn a_run_without_an_end_whose_process_is_gone_has_crashed() {
    let mut scene = JournalScene::new();
    scene.start("r", 7);
    assert_eq!(scene.only().state, IngestionState::Crashed);
    scene.process(7, 'S', 500);
    assert_eq!(scene.only().state, IngestionState::Running);
    // The PID is somebody else's now, then that of a process that nobody has collected yet.
    scene.process(7, 'S', 501);
    assert_eq!(scene.only().state, IngestionState::Crashed);
    scene.process(7, 'Z', 500);
    assert_eq!(scene.only().state, IngestionState::Crashed);
    scene.append("r", "{\"at\":");
    assert_eq!(scene.only().state, IngestionState::Crashed);
}

#[test]
fn where_there_is_no_proc_a_run_without_an_end_has_not_crashed() {
    let mut scene = JournalScene::new();
    scene.start("1-7", 7);
    fs::remove_dir(scene.dir.path().join("proc")).expect("an empty folder");
    assert_eq!(scene.only().state, IngestionState::Running);
    let left = left_off(
        &scene.dir.path().join("runs"),
        &scene.dir.path().join("proc"),
        "/x/notes.db",
        &["/x/notes".to_owned()],
        &[7],
    );
    assert_eq!(left, None, "it may still run");
}

#[test]
fn a_run_of_another_boot_has_crashed_whichever_process_has_its_number_now() {
    let mut scene = JournalScene::new();
    scene.process(7, 'S', 500);
    scene.start("r", 7);
    assert_eq!(scene.only().state, IngestionState::Running, "nothing names the boot");
    for (boot, state) in [("this one", IngestionState::Running), ("the next", IngestionState::Crashed)] {
        let random = scene.dir.path().join("proc/sys/kernel/random");
        fs::create_dir_all(&random).expect("a folder");
        fs::write(random.join("boot_id"), format!("{boot}\n")).expect("a file");
        assert_eq!(scene.only().state, state, "{boot}");
    }
}

#[test]
fn a_journal_that_names_no_boot_is_read_as_before() {
    let mut scene = JournalScene::new();
    scene.process(7, 'S', 500);
    scene.append(
        "r",
        "{\"at\":\"2026-01-02T03:04:05Z\",\"event\":\"started\",\"run\":\"r\",\"pid\":7,\"start_ticks\":500,\
         \"database\":\"/x/notes.db\",\"folders\":[],\"batch\":\"auto\"}\n",
    );
    assert_eq!(scene.only().state, IngestionState::Running);
}

#[test]
fn a_run_that_ended_has_not_crashed_though_its_process_is_gone() {
    let mut scene = JournalScene::new();
    scene.start("r", 7);
    scene.tell("r", JournalEvent::Finished { outcome: RunOutcome::Failed, error: Some("disk full".into()) });
    let ingestion = scene.only();
    assert_eq!((ingestion.state, ingestion.error.as_deref()), (IngestionState::Failed, Some("disk full")));
}

#[test]
fn the_newest_come_first_and_only_so_many_of_each_database() {
    let mut scene = JournalScene::new();
    for number in 0..SHOWN + 3 {
        scene.start(&format!("r{number:02}"), 7);
    }
    let (ingestions, _) = scene.journals.look();
    assert_eq!(ingestions.len(), SHOWN);
    assert_eq!((ingestions[0].1.run.as_str(), ingestions[0].0.as_str()), ("r22", "/x/notes.db"));
    let JournalScene { dir: _dir, journals } = scene;
    assert_eq!(journals.showing(SHOWN + 1).look().0.len(), SHOWN + 1);
}

#[test]
fn only_the_newest_batches_are_carried_along() {
    let mut scene = JournalScene::new();
    scene.start("r", 7);
    for files in 1..=Ingestion::RECENT as u64 + 3 {
        scene.tell("r", batch(files, 1.0));
    }
    let recent = scene.only().recent_batches;
    assert_eq!((recent.len(), recent[0].files), (Ingestion::RECENT, 4));
}

#[test]
fn what_makes_no_sense_is_reported_and_hides_nothing_else() {
    let mut scene = JournalScene::new();
    scene.append("bad", "not JSON\n");
    scene.tell("headless", batch(1, 1.0));
    scene.append("empty", "");
    scene.start("good", 7);
    fs::create_dir(scene.dir.path().join("runs/folder.jsonl")).expect("a folder");
    for _ in 0..2 {
        let (ingestions, unseen) = scene.journals.look();
        assert_eq!(ingestions.len(), 1);
        assert_eq!(unseen.len(), 2, "{unseen:?}");
    }
}

#[test]
fn the_time_that_the_machine_slept_is_no_silence() {
    let mut scene = JournalScene::new();
    scene.process(7, 'S', 500);
    scene.start("r", 7);
    let began = Instant::now();
    let told: Timestamp = "2026-01-02T03:04:05Z".parse().expect("a time");
    let mut silent = |calendar: i64, awake: u64, slept: Option<u64>| {
        let (mut ingestions, _) = scene.journals.look();
        let timestamp = told + jiff::SignedDuration::from_secs(calendar);
        let now = SampleTime { timestamp, instant: began + Duration::from_secs(awake) };
        scene.journals.fill_in_silence(&mut ingestions, now, slept.map(Duration::from_secs));
        ingestions.remove(0).1.silent_ms
    };
    assert_eq!(silent(40, 0, Some(0)), Some(40_000.0), "it never slept");
    let night = 8 * 3600;
    assert_eq!(silent(night + 40, 1, Some(28_790)), Some(50_000.0));
    assert_eq!(silent(night + 40, 2, None), Some(2000.0), "what the looks have seen of it");
    assert_eq!(silent(night + 70, 32, Some(30_000)), Some(32_000.0));
    assert_eq!(silent(-5, 33, Some(0)), Some(33_000.0), "the clock was set back");
    scene.tell("r", batch(1, 1.0));
    let (mut ingestions, _) = scene.journals.look();
    ingestions[0].1.last_told_at = Some(told + jiff::SignedDuration::from_secs(1));
    let now = SampleTime { timestamp: told, instant: began + Duration::from_secs(40) };
    scene.journals.fill_in_silence(&mut ingestions, now, None);
    assert_eq!(ingestions[0].1.silent_ms, Some(0.0), "it told something");
}

#[test]
fn a_spoilt_line_takes_no_other_with_it() {
    let mut scene = JournalScene::new();
    scene.process(7, 'S', 500);
    scene.start("r", 7);
    scene.tell("r", batch(3, 4.0));
    scene.append("r", "spoilt\n");
    scene.tell("r", batch(3, 4.0));
    for _ in 0..2 {
        let (ingestions, unseen) = scene.journals.look();
        assert_eq!((ingestions[0].1.batches, unseen.len()), (2, 1));
    }
}

#[test]
fn a_finished_journal_is_not_read_again_until_it_changes() {
    let mut scene = JournalScene::new();
    scene.start("r", 7);
    scene.tell("r", JournalEvent::Finished { outcome: RunOutcome::Completed, error: None });
    scene.append("r", "torn off");
    scene.only();
    // Whoever reads it again finds a whole line, which makes no sense.
    let path = scene.dir.path().join("runs/r.jsonl");
    let text = fs::read_to_string(&path).expect("a journal").replace("torn off", "spoiled\n");
    let modified = fs::metadata(&path).expect("a journal").modified().expect("a time");
    fs::write(&path, text).expect("written in place");
    let file = File::options().append(true).open(&path).expect("a journal");
    file.set_modified(modified).expect("a time");
    assert_eq!(scene.only().state, IngestionState::Completed);
    file.set_modified(modified + std::time::Duration::from_secs(1)).expect("a time");
    assert_eq!(scene.journals.look().1.len(), 1);
}

#[test]
fn journals_that_went_away_are_forgotten() {
    let mut scene = JournalScene::new();
    scene.start("a", 7);
    scene.start("b", 7);
    assert_eq!(scene.journals.look().0.len(), 2);
    fs::remove_file(scene.dir.path().join("runs/a.jsonl")).expect("removed");
    assert_eq!(scene.only().run, "b");
    assert_eq!(scene.journals.followed.len(), 1);
}

#[test]
fn a_journal_that_was_replaced_is_read_again() {
    let mut scene = JournalScene::new();
    scene.start("r", 7);
    scene.tell("r", batch(3, 4.0));
    assert_eq!(scene.only().batches, 1);
    let path = scene.dir.path().join("runs/r.jsonl");
    fs::write(&path, "").expect("an empty file");
    scene.start("r", 7);
    assert_eq!(scene.only().batches, 0);
    // Another file, longer than what was read of that one.
    fs::rename(&path, path.with_extension("kept")).expect("moved away");
    scene.start("r", 8);
    scene.tell("r", batch(3, 4.0));
    assert_eq!(scene.only().pid, 8);
}

#[test]
fn files_that_vanished_are_none_to_take_in() {
    let mut scene = JournalScene::new();
    scene.process(7, 'S', 500);
    scene.start("r", 7);
    scene.tell("r", JournalEvent::Discovered { files: 10, unchanged: 0, ignored_tracked: None });
    scene.tell("r", batch(8, 4.0));
    scene.tell("r", JournalEvent::Vanished { files: 2 });
    let ingestion = scene.only();
    assert_eq!((ingestion.files_done, ingestion.files_total), (8, Some(8)));
}

#[test]
fn what_was_left_off_is_the_newest_run_of_the_folder_if_that_died() {
    let scene = JournalScene::new();
    let left = |database: &str, folder: &str| {
        left_off(
            &scene.dir.path().join("runs"),
            &scene.dir.path().join("proc"),
            database,
            &[folder.to_owned()],
            &[7, 8],
        )
    };
    assert_eq!(left("/x/notes.db", "/x/notes"), None);
    scene.append("0-7", "not JSON\n");
    scene.start("1-7", 7);
    scene.tell("1-7", JournalEvent::Discovered { files: 556, unchanged: 2, ignored_tracked: None });
    scene.tell("1-7", batch(310, 4.0));
    // Torn off as it died.
    scene.append("1-7", "{\"at\":");
    let expected = CarriesOn { run: "1-7".to_owned(), pid: 7, files_done: 312, files_total: Some(556) };
    assert_eq!(left("/x/notes.db", "/x/notes"), Some(expected.clone()));
    assert_eq!(
        expected.to_string(),
        "run 1-7 of process 7, which ended without a word after 312 of 556 files"
    );
    assert_eq!(left("/x/other.db", "/x/notes"), None);
    assert_eq!(left("/x/notes.db", "/x/other"), None);
    scene.process(7, 'S', 500);
    assert_eq!(left("/x/notes.db", "/x/notes"), None, "it goes on");
    scene.process(7, 'S', 501);
    scene.start("2-7", 7);
    let early = left("/x/notes.db", "/x/notes").expect("it died before it had counted");
    assert!(early.to_string().ends_with("before its files were counted"), "{early}");
    scene.start("2-9", 9);
    assert_eq!(left("/x/notes.db", "/x/notes"), Some(early), "what others left is theirs");
    scene.start("3-7-2", 7);
    scene.tell("3-7-2", JournalEvent::Finished { outcome: RunOutcome::Stopped, error: None });
    assert_eq!(left("/x/notes.db", "/x/notes"), None, "a later one came to its end");
}
