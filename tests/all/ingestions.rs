//! Ingestions on the screen: the one that runs, those before it, and all about one.

use insta::assert_snapshot;
use jiff::SignedDuration;
use log::Level;
use serde_json::{Value, json};
use waltop::{
    act::{EffectReport, worker::IngestEnd},
    console::app::{Message, Notice},
    snapshot::{CarriesOn, Database, Ingestion},
};

use crate::stage::{Stage, contended, look};

const SIZES: [(u16, u16); 3] = [(80, 24), (120, 40), (200, 60)];

/// A run that another writer keeps waiting, and three before it.
fn busy() -> Database {
    let mut database = contended();
    if let Some(writer) = &mut database.locks.writer {
        writer.pid = Some(71300);
    }
    let first = &mut database.ingestions[0];
    first.busy_retries = 3;
    for number in 0..70_u32 {
        let mut batch = first.recent_batches[0];
        batch.at -= SignedDuration::from_millis(i64::from(70 - number) * 250);
        batch.hold_ms = 20.0 + f64::from(number % 9) * 4.0;
        batch.wait_ms = f64::from(number % 5);
        batch.retries = u64::from(number % 23 == 0);
        first.recent_batches.push(batch);
    }
    first.recent_batches.drain(..75 - Ingestion::RECENT);
    first.recent_holds_ms = first.recent_batches.iter().map(|it| it.hold_ms).collect();
    let last = first.recent_batches.last_mut().expect("a batch");
    (last.bytes, last.files) = (None, 2);
    database.ingestions.extend([
        past("20260115T120000Z-70001", "completed", "2026-01-15T12:00:00Z", Value::Null),
        past("20260115T090000Z-70000", "failed", "2026-01-15T09:00:00Z", json!("the disk is full")),
        past("20260114T090000Z-69999", "crashed", "2026-01-14T09:00:00Z", Value::Null),
    ]);
    database
}

fn past(run: &str, state: &str, started_at: &str, error: Value) -> Ingestion {
    let mut value = serde_json::to_value(&contended().ingestions[0]).expect("JSON");
    let last_told_at = started_at.replace(":00Z", ":34Z");
    let finished_at = if state == "crashed" { Value::Null } else { json!(last_told_at) };
    for (field, new) in [
        ("run", json!(run)),
        ("pid", json!(70_000)),
        ("state", json!(state)),
        ("started_at", json!(started_at)),
        ("last_told_at", json!(last_told_at)),
        ("finished_at", finished_at),
        ("error", error),
    ] {
        value[field] = new;
    }
    serde_json::from_value(value).expect("the fixture keeps to the contract")
}

#[test]
fn the_panel_shows_one_run_whole_and_the_others_in_a_line() {
    for (width, height) in SIZES {
        let mut stage = Stage::new(look(vec![busy()]), (width, height));
        stage.keys("5");
        assert_snapshot!(format!("the_panel_alone_{width}x{height}"), stage.screen());
        stage.keys("5");
        assert_snapshot!(format!("the_panel_among_others_{width}x{height}"), stage.screen());
    }
}

#[test]
fn the_selected_run_is_the_one_that_is_shown_whole() {
    for (keys, error) in [("5", false), ("5jj", true), ("5G", false), ("5Gk", true)] {
        for (width, height) in SIZES {
            let mut stage = Stage::new(look(vec![busy()]), (width, height));
            stage.keys(keys);
            assert_eq!(stage.screen().contains("the disk is full"), error, "{keys} {width}x{height}");
            assert!(stage.screen().contains("crashed"), "{keys} {width}x{height}");
        }
    }
}

#[test]
fn details_show_what_each_batch_cost() {
    for (width, height) in SIZES {
        let mut stage = Stage::new(look(vec![busy()]), (width, height));
        stage.keys("5<Enter>");
        assert_snapshot!(format!("details_{width}x{height}"), stage.screen());
        stage.keys("G");
        assert_snapshot!(format!("details_at_their_end_{width}x{height}"), stage.screen());
    }
}

#[test]
fn every_failed_file_has_its_reason_and_those_left_out_are_counted() {
    let mut database = busy();
    let first = &mut database.ingestions[0];
    first.files_failed = 3;
    let mut failure = first.failures[0].clone();
    failure.path = "/home/me/notes/b\u{1b}[31m.md".to_owned();
    first.failures.push(failure);
    let mut stage = Stage::new(look(vec![database]), (120, 40));
    stage.keys("5");
    assert!(stage.screen().contains("3 files failed: a.md: not valid UTF-8"), "{}", stage.screen());
    stage.keys("<Enter>");
    let screen = stage.screen();
    for line in ["/home/me/notes/a.md: not valid UTF-8", "/home/me/notes/b [31m.md: not valid", "and 1 more"]
    {
        assert!(screen.contains(line), "{screen}");
    }
}

#[test]
fn the_reason_of_a_failure_takes_the_lines_that_are_left() {
    let why = "the database stayed locked for 30 s: 9064 (importer) held the write lock all the time, and none of its \
               files was ingested";
    let mut database = contended();
    database.ingestions = vec![past("20260115T090000Z-70000", "failed", "2026-01-15T09:00:00Z", json!(why))];
    let mut stage = Stage::new(look(vec![database]), (80, 24));
    stage.keys("5");
    let words: Vec<String> = stage.screen().split_whitespace().map(str::to_owned).collect();
    assert!(words.join(" ").contains("none of its"), "{}", stage.screen());
}

#[test]
fn a_crashed_run_never_finished() {
    let mut stage = Stage::new(look(vec![busy()]), (120, 40));
    stage.keys("5G<Enter>");
    let screen = stage.screen();
    assert!(screen.contains("never: its process is gone") && !screen.contains("ETA"), "{screen}");
}

#[test]
fn a_run_names_the_one_that_it_carries_on() {
    let mut database = busy();
    database.ingestions[0].carries_on = Some(CarriesOn {
        run: "20260114T090000Z-69999".to_owned(),
        pid: 70_000,
        files_done: 312,
        files_total: Some(556),
    });
    let mut stage = Stage::new(look(vec![database]), (120, 40));
    stage.keys("5<Enter>");
    let screen = stage.screen();
    for line in ["resumes           run 20260114T090000Z-69999 of process 70000, which", "312 of 556"] {
        assert!(screen.contains(line), "{screen}");
    }
}

/// Once the documents are in, the bar is that of the vectors; an early end is told with its reason.
#[test]
fn the_panel_says_how_far_embedding_is() {
    let mut database = contended();
    let embedding = |embedded: u64, error: Option<&str>| {
        let started_at = "2026-01-15T12:00:00Z";
        let value = json!({ "model": "m", "wanted": 556, "embedded": embedded, "started_at": started_at, "error": error });
        serde_json::from_value(value).expect("the fixture keeps to the contract")
    };
    let run = &mut database.ingestions[0];
    assert!(run.is_running());
    run.embedding = Some(embedding(312, None));
    let mut stage = Stage::new(look(vec![database.clone()]), (120, 40));
    let screen = stage.screen();
    assert!(screen.contains("312 of 556 embedded") && screen.contains("56 %"), "{screen}");
    database.ingestions[0].embedding = Some(embedding(312, Some("nobody answers")));
    stage.look(look(vec![database]));
    stage.keys("5");
    assert!(stage.screen().contains("312 of 556 embedded: nobody"), "{}", stage.screen());
}

#[test]
fn the_end_of_a_run_with_failed_files_is_a_warning() {
    for (is_partial, level, sign) in [(true, Level::Warn, '▲'), (false, Level::Info, '✔')] {
        let mut stage = Stage::new(look(vec![busy()]), (120, 40));
        let end = IngestEnd { is_partial, figures: "3 of 4 ingested".to_owned() };
        let report = EffectReport::Ingested { name: "notes".to_owned(), pid: 9, end };
        stage.update(Message::Report(report));
        assert_eq!(stage.app.notice().map(Notice::level), Some(level));
        let screen = stage.screen();
        let line = screen.lines().find(|line| line.contains("3 of 4 ingested")).expect("it is shown");
        assert!(line.contains(sign) && line.contains("5, then Enter") == is_partial, "{line}");
    }
}
