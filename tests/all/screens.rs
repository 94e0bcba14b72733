//! Fixture, keys, screen: what the console shows, and what its keys ask for.

mod keys;
mod texts;

use insta::assert_snapshot;
use log::Level;
use serde_json::json;
use waltop::{
    act::{
        ActionOutcome, ConfirmedAction, Effect, EffectReport,
        signal::{SignalTarget, StopSignal},
    },
    console::app::{LogLine, Message, Notice},
    diagnose::health::HealthDepth,
    ingest::batch::BatchSizeError,
    snapshot::{Process, Versioned},
};

use crate::{
    contract::assert_keeps_to_its_schema,
    stage::{Stage, contended, look, missing, process, rollback},
};

const USUAL: (u16, u16) = (120, 40);
const SMALL: (u16, u16) = (80, 24);

fn acts(effects: &[Effect]) -> Vec<&ConfirmedAction> {
    effects
        .iter()
        .filter_map(|effect| if let Effect::Act(it) = effect { Some(it.act()) } else { None })
        .collect()
}

fn pins(effects: &[Effect]) -> Vec<SignalTarget> {
    effects
        .iter()
        .filter_map(|effect| if let Effect::Pin(meant) = effect { Some(meant) } else { None })
        .flatten()
        .map(|meant| meant.target)
        .collect()
}

#[test]
fn the_whole_screen_at_its_usual_size() {
    assert_snapshot!(Stage::new(look(vec![contended()]), USUAL).screen());
}

#[test]
fn the_whole_screen_on_a_small_terminal() {
    assert_snapshot!(Stage::new(look(vec![contended()]), SMALL).screen());
}

#[test]
fn the_whole_screen_on_a_large_terminal() {
    assert_snapshot!(Stage::new(look(vec![contended()]), (200, 60)).screen());
}

#[test]
fn the_whole_screen_at_its_smallest_and_at_the_smallest_with_panels_at_the_side() {
    for (width, height) in [(60, 16), (100, 30)] {
        let screen = Stage::new(look(vec![contended()]), (width, height)).screen();
        assert_snapshot!(format!("the_whole_screen_{width}x{height}"), screen);
    }
}

#[test]
fn a_terminal_that_is_too_small_says_what_it_wants() {
    assert_snapshot!(Stage::new(look(vec![contended()]), (50, 12)).screen(), @"waltop wants 60x16, this is 50x12");
}

#[test]
fn no_size_of_terminal_makes_it_panic() {
    for keys in ["", "?", "<Enter>", "1", "2", "3", "4", "5", "<Tab>", "<Tab><Tab>", "c", "i"] {
        for width in [1, 2, 4, 32, 60, 61, 80, 99, 100, 120, 159, 160, 200] {
            for height in [1, 2, 7, 15, 16, 18, 19, 24, 30, 47, 48, 60] {
                let mut stage = Stage::new(look(vec![contended()]), (width, height));
                stage.keys(keys);
                stage.screen();
            }
        }
    }
}

#[test]
fn without_a_database_it_opens_empty_and_offers_i() {
    let stage = Stage::new(look(vec![missing()]), USUAL);
    assert_snapshot!(stage.screen());
}

#[test]
fn the_help_shows_the_keys_that_act_here() {
    let mut stage = Stage::new(look(vec![contended()]), USUAL);
    stage.keys("?");
    assert_snapshot!(stage.screen());
}

#[test]
fn details_of_a_process_show_its_evidence() {
    let mut stage = Stage::new(look(vec![contended()]), USUAL);
    stage.keys("/amalfa watch<Enter><Enter>");
    assert_snapshot!(stage.screen());
}

#[test]
fn details_of_a_finding_show_its_figures() {
    let mut stage = Stage::new(look(vec![contended()]), USUAL);
    stage.keys("1<Enter>");
    assert_snapshot!(stage.screen());
}

#[test]
fn details_of_the_files_show_the_header() {
    let mut stage = Stage::new(look(vec![contended()]), USUAL);
    stage.keys("3<Enter>");
    assert_snapshot!(stage.screen());
}

#[test]
fn the_dialog_before_a_stop_says_what_is_lost() {
    let mut stage = Stage::new(look(vec![contended()]), USUAL);
    let pins = pins(&stage.keys("/init<Enter>x"));
    assert_eq!(pins, [SignalTarget { pid: 71201, start_ticks: 71201 }]);
    stage.pinned(pins[0]);
    assert_snapshot!(stage.screen());
}

#[test]
fn a_stopped_process_is_offered_to_go_on_first() {
    let mut stage = Stage::new(look(vec![contended()]), SMALL);
    let pins = pins(&stage.keys("/report<Enter>x"));
    stage.pinned(pins[0]);
    assert_snapshot!(stage.screen());
    let effects = stage.keys("y");
    let target = SignalTarget { pid: 71300, start_ticks: 71300 };
    assert_eq!(
        acts(&effects),
        [&ConfirmedAction::Signal { targets: vec![target], signal: StopSignal::Cont }]
    );
}

#[test]
fn the_checkpoint_dialog_names_who_is_in_the_way() {
    let mut stage = Stage::new(look(vec![contended()]), USUAL);
    stage.keys("c<Up><Up><Right><Right>");
    assert_snapshot!(stage.screen());
}

#[test]
fn the_ingestion_dialog_starts_in_its_folder() {
    let mut database = contended();
    database.ingestions.clear();
    let mut stage = Stage::new(look(vec![database]), SMALL);
    stage.keys("i");
    assert_snapshot!(stage.screen());
    // y is typing here, not yes.
    assert!(acts(&stage.keys("/yy<Tab><Tab>0<Enter>")).is_empty());
    assert!(stage.screen().contains(&BatchSizeError::Zero.to_string()));
    let effects = stage.keys("<C-u>10<Enter>");
    let [ConfirmedAction::Ingest { database, folder, batch }] = acts(&effects)[..] else {
        panic!("{effects:?}")
    };
    assert_eq!(database.as_os_str(), "/home/me/notes.db");
    assert_eq!((folder.as_os_str(), batch.as_str()), ("/yy".as_ref(), "10"));
    let gone = EffectReport::IngestGone { database: database.clone() };
    stage.update(Message::Report(gone));
    assert!(acts(&stage.keys("i<C-u>/ntes<Left><Left><Left>o")).is_empty());
    assert!(stage.screen().contains("folder  /no▏tes"), "{}", stage.screen());
    let effects = stage.keys("<C-u>~/more<Enter>");
    let [ConfirmedAction::Ingest { folder, .. }] = acts(&effects)[..] else { panic!("{effects:?}") };
    assert_eq!(folder.as_os_str(), "/home/me/more");
}

#[test]
fn i_on_a_running_ingestion_asks_to_stop_it() {
    let mut stage = Stage::new(look(vec![contended()]), USUAL);
    let target = SignalTarget { pid: 71201, start_ticks: 71201 };
    assert_eq!(pins(&stage.keys("i")), [target]);
    stage.pinned(target);
    assert_snapshot!(stage.screen());
    assert_eq!(
        acts(&stage.keys("y")),
        [&ConfirmedAction::Signal { targets: vec![target], signal: StopSignal::Term }]
    );
}

#[test]
fn fixing_shows_the_sql_and_who_is_in_the_way() {
    let mut stage = Stage::new(look(vec![rollback()]), SMALL);
    stage.keys("f");
    assert_snapshot!(stage.screen());
    assert!(acts(&stage.keys("<Enter>")).is_empty(), "the focus starts on No");
    assert_eq!(acts(&stage.keys("fy")).len(), 1);
}

#[test]
fn a_health_check_says_what_it_does_and_is_shown_until_it_ends() {
    let mut stage = Stage::new(look(vec![contended()]), SMALL);
    stage.keys("H");
    assert_snapshot!(stage.screen());
    assert!(acts(&stage.keys("<Enter>")).is_empty(), "the focus starts on No");
    let checks = |effects: &[Effect], depth| {
        let [ConfirmedAction::Health { depth: asked, .. }] = acts(effects)[..] else { return false };
        *asked == depth
    };
    assert!(checks(&stage.keys("H<Tab><Tab><Right>y"), HealthDepth::QuickCheck));
    assert_snapshot!(stage.screen());
    assert!(acts(&stage.keys("y<Enter>")).is_empty(), "there is nothing to say yes to");
    stage.update(Message::Report(EffectReport::Health(ActionOutcome::good("healthy"))));
    assert!(stage.app.dialog().is_none());
    assert!(checks(&stage.keys("Hy"), HealthDepth::Write));
    let ended = stage.keys("<Esc>");
    assert!(ended.iter().any(|effect| matches!(effect, Effect::StopHealth)), "{ended:?}");
}

#[test]
fn what_was_left_over_points_to_the_health_check() {
    let mut left = contended();
    left.locks.index_held = false;
    left.processes.clear();
    assert!(
        Stage::new(look(vec![left]), USUAL).screen().contains("left over, no process uses it: H recovers")
    );
}

#[test]
fn text_from_outside_is_harmless_and_aligned() {
    let mut database = contended();
    database.processes = vec![
        from(process(1001, "\x1b[31mred\x07", &["\x1b]0;owned\x07sh", "-c", "a\nb"], "2026-01-15T14:00:00Z")),
        from(process(1002, "\u{202e}live", &["\u{202e}gpj.exe", "\u{200b}x"], "2026-01-15T14:00:00Z")),
        from(process(1003, "日本語の名前", &["日本語/データベース", "e\u{301}"], "2026-01-15T14:00:00Z")),
    ];
    database.path = "/tmp/\x1b[2Jevil\u{202e}.db".into();
    database.ingestions[0].folders = vec!["/tmp/\x1b[1mfolder".to_owned()];
    let stage = Stage::new(look(vec![database]), USUAL);
    let screen = stage.screen();
    assert!(!screen.chars().any(|c| c.is_control() && c != '\n'));
    assert!(!screen.contains('\u{202e}') && !screen.contains('\u{200b}'));
    assert_snapshot!(screen);
}

#[test]
fn a_long_text_scrolls_to_its_end_and_back_at_once() {
    let mut stage = Stage::new(look(vec![contended()]), SMALL);
    stage.keys("?");
    let top = stage.screen();
    stage.keys("G");
    assert_ne!(stage.screen(), top);
    let end = stage.screen();
    stage.keys("k");
    assert_ne!(stage.screen(), end, "one step up is one step up");
    stage.keys("g");
    assert_eq!(stage.screen(), top);
}

#[test]
fn a_database_that_is_gone_from_its_path_is_not_created_again() {
    let mut gone = contended();
    gone.files.db = None;
    gone.header = None;
    let mut stage = Stage::new(look(vec![gone]), USUAL);
    assert_snapshot!(stage.screen());
    assert!(acts(&stage.keys("5<Esc>iy<Enter>")).is_empty());
}

#[test]
fn a_running_checkpoint_is_shown_with_whom_it_waits_for() {
    let mut database = contended();
    database.locks.checkpointer =
        Some(waltop::snapshot::LockHolder { pid: Some(71_166), label: None, held_ms: Some(2100.0) });
    let mut stage = Stage::new(look(vec![database]), USUAL);
    stage.keys("2");
    assert!(
        stage
            .screen()
            .contains("checkpoint  71166 (amalfa) for 2.1 s, waits for 71168 (amalfa), 1,200 frames/s moved"),
        "{}",
        stage.screen()
    );
    stage.keys("2");
    let screen = stage.screen();
    assert!(
        screen.contains("waits for 71168 (amalfa)") && screen.contains("p50 900 ms  p99 1.6 s  max 6.5 s"),
        "{screen}"
    );
}

#[test]
fn a_lock_of_a_process_that_is_not_in_the_table_is_a_row_of_its_own() {
    let mut database = contended();
    let row = |screen: &str, word: &str| {
        screen.lines().find(|line| line.contains(word) && line.contains('│')).unwrap_or_default().to_owned()
    };
    let hidden = |pid| waltop::snapshot::LockHolder { pid, label: None, held_ms: Some(2100.0) };
    database.locks.writer = Some(hidden(None));
    database.locks.checkpointer = Some(hidden(Some(4242)));
    for size in [USUAL, SMALL, (60, 16)] {
        let mut stage = Stage::new(look(vec![database.clone()]), size);
        stage.keys("G");
        let screen = stage.screen();
        assert!(row(&screen, "4242").contains("CKPT"), "{screen}");
        assert_eq!(pins(&stage.keys("x")), [], "a process that cannot be seen cannot be hit");
        stage.keys("k");
        assert!(row(&stage.screen(), "not visible").contains("WRITE"), "{}", stage.screen());
    }
    let mut filtered = Stage::new(look(vec![database]), USUAL);
    filtered.keys("/4242<Enter>");
    assert_eq!(filtered.app.table_rows().len(), 1);
}

#[test]
fn nothing_moves_when_findings_and_locks_come_and_go() {
    let mut calm = contended();
    calm.processes.clear();
    calm.locks = waltop::snapshot::DatabaseLocks::default();
    for size in [(60, 16), SMALL, (100, 30), USUAL, (200, 60)] {
        let [busy, calm] = [contended(), calm.clone()].map(|it| Stage::new(look(vec![it]), size).screen());
        let frames = |screen: &str| -> Vec<(usize, usize)> {
            let corners = screen.lines().enumerate().flat_map(|(y, line)| {
                let at = line.chars().enumerate().filter(|(_, c)| "╭╮╰╯".contains(*c));
                at.map(move |(x, _)| (x, y)).collect::<Vec<_>>()
            });
            corners.collect()
        };
        assert_eq!(frames(&busy), frames(&calm), "{size:?}");
    }
}

#[test]
fn what_cannot_be_seen_is_said() {
    let mut blind = look(vec![rollback()]);
    let (what, why) =
        ("open files of 120 processes of other users".to_owned(), "permission denied".to_owned());
    blind.snapshot.unseen.push(waltop::snapshot::Unseen { what, why });
    let screen = Stage::new(blind, USUAL).screen();
    assert!(
        screen.contains("not seen: open files of 120 processes of other users: permission denied"),
        "{screen}"
    );
}

fn from(value: serde_json::Value) -> Process {
    serde_json::from_value(value).expect("the fixture keeps to the contract")
}

#[test]
fn the_fixture_is_what_the_contract_says() {
    let mut snapshot = look(vec![contended(), rollback(), missing()]).snapshot;
    let watcher =
        json!({"pid": 1, "start_ticks": null, "folders": ["/notes"], "since": "2026-01-15T13:00:00Z"});
    snapshot.databases[0].watchers.push(serde_json::from_value(watcher).expect("it keeps to the contract"));
    let value = serde_json::to_value(Versioned::new(&snapshot)).expect("a snapshot is JSON");
    assert_keeps_to_its_schema(&["status"], &value);
}

#[test]
fn the_log_shows_its_newest_lines_wrapped_and_a_pause_holds_them() {
    let line = |level, text: &str| {
        let at = "2026-01-15T14:03:20Z".parse().expect("a time");
        Message::Logged(vec![LogLine { at, level, text: text.to_owned() }])
    };
    let mut stage = Stage::new(look(vec![contended()]), USUAL);
    for number in 1..=20 {
        stage.update(line(Level::Info, &format!("line {number}")));
    }
    stage.update(line(Level::Warn, "the scheduled checkpoint waits: 71168 (amalfa) pins frame 812\u{1b}[2J"));
    assert_snapshot!(stage.screen());
    stage.keys("p");
    stage.update(line(Level::Error, "during the pause"));
    assert!(!stage.screen().contains("during the pause"), "{}", stage.screen());
    stage.keys("p6");
    let screen = stage.screen();
    assert!(screen.contains("line 1\u{20}") && screen.contains("14:03:20 E during the pause"), "{screen}");
}
