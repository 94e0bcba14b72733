//! The timeline on the screen: what its lanes show, what its cursor reads out, what its keys do.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use insta::assert_snapshot;
use waltop::{
    act::Effect,
    console::app::{Notice, Overlay, TimelineView},
    history::{LockHistory, LockOwner, SampledLock},
    snapshot::LockHolder,
};

use crate::{
    stage::{Stage, contended, look, missing, rollback},
    support::{Actor, eventually},
    terminal::{Terminal, home},
};

const USUAL: (u16, u16) = (120, 40);
const SMALL: (u16, u16) = (80, 24);

fn who(pid: i32, name: &str) -> Arc<LockOwner> {
    Arc::new(LockOwner {
        pid: Some(pid),
        start_ticks: u64::try_from(pid).ok(),
        name: name.to_owned(),
        ..LockOwner::default()
    })
}

// Ten minutes: a hold of five seconds by a process that is gone, then a writer that holds the lock for two seconds in
// six, a watcher that takes it for a quarter of a second each time, and an ingestion that had to wait.
fn sampled() -> (LockHistory, Instant) {
    let (mut history, start) = (LockHistory::default(), Instant::now());
    let at = |ms: u64| start + Duration::from_millis(ms);
    history.sampling_began(start);
    let mut hold = |who: Arc<LockOwner>, from: u64, length: u64| {
        history.open(SampledLock::Write, at(from), who);
        history.close(SampledLock::Write, at(from + length));
    };
    hold(who(612, "python3"), 20_000, 5000);
    for round in 10..99 {
        hold(who(71_168, "amalfa"), round * 6000 + 500, 250);
        hold(who(71_201, "amalfa"), round * 6000 + 1000, 2000);
    }
    history.open(SampledLock::Write, at(600_000 - 840), who(71_201, "amalfa"));
    for second in 0..600 {
        history.wal_is(at(second * 1000), 1, 2_000_000 + second % 90 * 300_000);
    }
    let reader = LockOwner {
        pid: Some(71_168),
        start_ticks: Some(71_168),
        name: "amalfa".to_owned(),
        ..LockOwner::default()
    };
    history.pins_are(at(560_000), vec![reader]);
    history.pins_are(at(585_000), Vec::new());
    history.open(SampledLock::Checkpoint, at(592_500), who(71_201, "amalfa"));
    history.close(SampledLock::Checkpoint, at(594_000));
    history.waited(at(588_000), Duration::from_millis(1500), who(71_400, "waltop"));
    (history, at(600_000))
}

fn stage(size: (u16, u16)) -> Stage {
    let mut stage = Stage::new(look(vec![contended()]), size);
    stage.history = Some(sampled());
    stage
}

fn is_held(stage: &Stage) -> bool {
    stage.app.timeline().is_some_and(TimelineView::is_held)
}

fn asks(effects: &[Effect]) -> usize {
    effects.iter().filter(|effect| matches!(effect, Effect::Timeline { .. })).count()
}

#[test]
fn the_last_minute_at_the_usual_size() {
    let mut stage = stage(USUAL);
    stage.keys("b");
    assert_snapshot!(stage.screen());
}

#[test]
fn the_last_minute_on_a_small_terminal_with_the_cursor_on_a_hold() {
    let mut stage = stage(SMALL);
    stage.keys(&("b".to_owned() + &"<Left>".repeat(16)));
    assert_snapshot!(stage.screen());
}

#[test]
fn zoomed_in_around_the_cursor() {
    let mut stage = stage(SMALL);
    stage.keys(&("b".to_owned() + &"<Left>".repeat(15) + "+"));
    assert_snapshot!(stage.screen());
}

#[test]
fn a_zoom_keeps_the_moment_under_the_cursor() {
    let mut stage = stage(USUAL);
    stage.keys(&("b".to_owned() + &"<Left>".repeat(30)));
    let before = stretch(&stage.screen());
    assert!(stage.screen().contains("30 s ago"), "{}", stage.screen());
    stage.keys("-");
    let longer = stage.screen();
    assert!(longer.contains("Write lock, 5 m") && longer.contains("30 s ago"), "{longer}");
    for keys in ["+", "--++", "---+++", "+-", "++--"] {
        stage.keys(keys);
        assert_eq!(stretch(&stage.screen()), before, "{keys}");
    }
}

#[test]
fn the_marks_of_the_lanes_are_named_at_every_size() {
    for size in [(60, 16), SMALL, (100, 30), USUAL, (200, 60)] {
        let mut stage = stage(size);
        stage.keys("b");
        let screen = stage.screen();
        for mark in ["╌ wait", "─ pin", "═ checkpoint"] {
            assert!(screen.contains(mark), "{size:?} {mark}: {screen}");
        }
    }
}

#[test]
fn zoomed_out_past_the_beginning() {
    let mut stage = stage(USUAL);
    stage.keys("b--");
    assert_snapshot!(stage.screen());
}

#[test]
fn scrolled_to_the_oldest_and_frozen() {
    let mut stage = stage(SMALL);
    stage.keys(&("b<Home>p".to_owned() + &"<Right>".repeat(22)));
    assert_snapshot!(stage.screen());
}

#[test]
fn under_the_cursor_is_who_held_the_lock_when_and_how_long_or_no_process() {
    let mut stage = stage(USUAL);
    stage.keys("b");
    assert!(stage.screen().contains("71201 (amalfa) has held it for 840 ms so far from 14:03:21.160"));
    stage.keys("<Left><Left>");
    assert!(stage.screen().contains("free"), "{}", stage.screen());
    stage.keys("<Home>");
    assert!(stage.screen().contains("free"), "{}", stage.screen());
    stage.keys(&"<Right>".repeat(21));
    assert!(stage.screen().contains("612 (python3) held it for 5 s from 13:53:42.000"), "{}", stage.screen());
    stage.keys("<End>");
    assert!(stage.screen().contains("so far"));
}

fn pins(effects: &[Effect]) -> Vec<i32> {
    let pins = effects.iter().filter_map(|effect| match effect {
        Effect::Pin(meant) => Some(meant.iter().map(|it| it.target.pid)),
        _ => None,
    });
    pins.flatten().collect()
}

#[test]
fn keys_go_from_hold_to_hold_and_act_on_its_process_if_it_is_the_same_one() {
    let mut stage = stage(USUAL);
    // The one that goes on, then the watcher's before it.
    assert_eq!(pins(&stage.keys("bx")), [71_201]);
    let mut stage = self::stage(USUAL);
    assert_eq!(pins(&stage.keys("b,,x")), [71_168], "{}", stage.screen());
    let mut stage = self::stage(USUAL);
    assert_eq!(pins(&stage.keys("b,,.x")), [71_201]);
    let mut stage = self::stage(USUAL);
    stage.keys("b,,<Enter>");
    assert!(stage.screen().contains("bun amalfa watch"), "{}", stage.screen());
    assert!(
        stage.keys("<Esc>y").iter().any(|it| matches!(it, Effect::Copy(text) if text.starts_with("71168 ")))
    );
    // Another process with the number of the one that held the lock is not it.
    let mut reused = contended();
    for process in &mut reused.processes {
        process.start_ticks = Some(9_000_000);
    }
    let mut stage = Stage::new(look(vec![reused]), USUAL);
    stage.history = Some(sampled());
    assert!(pins(&stage.keys("b,,x")).is_empty());
    assert!(stage.screen().contains("71168 (amalfa) is no longer there"), "{}", stage.screen());
    let mut empty = self::stage(USUAL);
    assert!(pins(&empty.keys("b<Left><Left>x")).is_empty());
    assert!(empty.screen().contains("no hold is selected"), "{}", empty.screen());
}

#[test]
fn keys_act_on_the_process_of_a_hold_that_is_too_short_to_be_listed() {
    let (mut history, start) = (LockHistory::default(), Instant::now());
    let at = |ms: u64| start + Duration::from_millis(ms);
    history.sampling_began(start);
    for (pid, from, length) in [(71_201, 560_000, 5000), (71_168, 590_500, 4)] {
        history.open(SampledLock::Write, at(from), who(pid, "amalfa"));
        history.close(SampledLock::Write, at(from + length));
    }
    let mut stage = Stage::new(look(vec![contended()]), USUAL);
    stage.history = Some((history, at(600_000)));
    let lefts = |count| "<Left>".repeat(count);
    assert_eq!(pins(&stage.keys(&format!("b{}x", lefts(9)))), [71_168], "{}", stage.screen());
    let mut free = Stage::new(look(vec![contended()]), USUAL);
    free.history = stage.history.take();
    assert!(pins(&free.keys(&format!("b{}x", lefts(8)))).is_empty());
    assert!(matches!(free.app.notice(), Some(Notice::NoHoldSelected { .. })), "{}", free.screen());
}

#[test]
fn at_the_other_sizes() {
    for (width, height) in [(60, 16), (100, 30), (200, 60)] {
        let mut stage = stage((width, height));
        stage.keys(&("b".to_owned() + &"<Left>".repeat(16)));
        assert_snapshot!(format!("the_timeline_{width}x{height}"), stage.screen());
    }
}

#[test]
fn on_a_large_screen_the_last_minutes_are_among_the_panels() {
    let mut stage = stage((200, 60));
    stage.keys("k");
    let screen = stage.screen();
    assert!(screen.contains("the last 5 m") && screen.contains("71201 amalfa"), "{screen}");
    assert_snapshot!(screen);
}

#[test]
fn it_follows_until_it_is_held_or_frozen() {
    let mut stage = stage(USUAL);
    assert_eq!(asks(&stage.look(look(vec![contended()]))), 0, "none is open");
    assert_eq!(asks(&stage.keys("b")), 1);
    assert_eq!(asks(&stage.look(look(vec![contended()]))), 1);
    stage.keys("<Left>");
    assert!(is_held(&stage), "{}", stage.screen());
    assert_eq!(asks(&stage.look(look(vec![contended()]))), 0);
    stage.keys("<End>");
    assert_eq!(asks(&stage.look(look(vec![contended()]))), 1);
    stage.keys("p");
    let frozen = stage.screen();
    assert!(frozen.contains("frozen"), "{frozen}");
    // Sampling goes on: a second later there is more to show, but not here.
    if let Some((history, present)) = &mut stage.history {
        history.close(SampledLock::Write, *present);
        *present += Duration::from_secs(1);
    }
    assert_eq!(asks(&stage.look(look(vec![contended()]))), 0);
    assert_eq!(stage.screen(), frozen);
    stage.keys("p");
    assert!(!stage.screen().contains("so far"), "{}", stage.screen());
}

#[test]
fn the_cursor_goes_through_the_edge_to_all_that_is_known_and_no_further() {
    let mut stage = stage(SMALL);
    stage.keys(&("b".to_owned() + &"<Left>".repeat(60 * 12)));
    let oldest = stage.screen();
    assert!(oldest.contains("13:53:22.000 to 13:53:23.000"), "{oldest}");
    stage.keys("<Left>");
    assert_eq!(stage.screen(), oldest);
    stage.keys(&"<PgDn>".repeat(12));
    assert!(!is_held(&stage), "{}", stage.screen());
    stage.keys(&("<PgUp>".repeat(12) + "<Home>"));
    assert_eq!(stage.screen(), oldest);
}

#[test]
fn escape_and_b_close_it_and_the_rows_below_cannot_be_hit() {
    for close in ["b", "<Esc>", "1", "<Tab>"] {
        let mut stage = stage(USUAL);
        stage.keys("b");
        stage.keys(close);
        assert!(stage.app.timeline().is_none(), "{close}");
    }
    let mut stage = stage(USUAL);
    stage.keys("b?");
    assert!(matches!(stage.app.overlay(), Some(Overlay::Help)));
    stage.keys("<Esc>");
    assert!(stage.app.overlay().is_none() && stage.app.timeline().is_some(), "what lies over it goes first");
}

#[test]
fn what_has_no_timeline_says_why() {
    let mut exclusive = contended();
    exclusive.locks.exclusive = Some(LockHolder { pid: Some(71_201), label: None, held_ms: None });
    let cases = [
        (contended(), true, "no process held the write lock"),
        (contended(), false, "are not sampled"),
        (rollback(), false, "In rollback mode the write lock cannot be sampled"),
        (exclusive, false, "71201 (amalfa) has the whole file to itself"),
        (missing(), false, "does not exist yet"),
    ];
    for (database, is_sampled, words) in cases {
        for size in [USUAL, SMALL, (60, 16)] {
            let mut stage = Stage::new(look(vec![database.clone()]), size);
            stage.history = is_sampled.then(|| {
                let (mut nobody, start) = (LockHistory::default(), Instant::now());
                nobody.sampling_began(start);
                (nobody, start + Duration::from_secs(90))
            });
            stage.keys("b");
            let screen =
                stage.screen().split_whitespace().filter(|word| *word != "│").collect::<Vec<_>>().join(" ");
            let screen = screen.replace("││", "").replace("│ │", "").replace('│', "");
            assert!(screen.contains(words), "{words}: {screen}");
        }
    }
}

#[test]
fn every_database_has_its_own() {
    let mut stage = Stage::new(look(vec![contended(), rollback()]), USUAL);
    stage.history = Some(sampled());
    stage.keys("b]");
    assert!(stage.app.current() == 1 && stage.screen().contains("rollback mode"), "{}", stage.screen());
    stage.keys("]");
    assert!(stage.screen().contains("so far"));
}

#[test]
fn the_growth_of_the_log_stands_still_while_the_timeline_or_the_screen_does() {
    let growing = |rate: f64| {
        let mut sample = look(vec![contended()]);
        sample.trends[0].wal_bytes_per_second = Some(rate);
        sample
    };
    let growth = |stage: &Stage| {
        let screen = stage.screen();
        let lines = screen
            .lines()
            .filter(|line| line.contains("-wal gr") || line.contains("▲1.") || line.contains("▲9."));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let mut stage = stage(USUAL);
    stage.keys("b");
    stage.look(growing(1e6));
    let followed = stage.screen();
    assert!(followed.contains("-wal grows 1.00 MB/s"), "{followed}");
    stage.look(growing(9e6));
    assert!(stage.screen().contains("-wal grows 9.00 MB/s"), "it follows: {}", stage.screen());
    stage.keys("<Left>");
    let held = stage.screen();
    assert!(!held.contains("-wal grows"), "{held}");
    let in_it = |screen: &str| screen.lines().find(|line| line.contains("-wal grew")).map(str::to_owned);
    stage.look(growing(1e6));
    assert_eq!(in_it(&stage.screen()), in_it(&held));
    let mut stage = self::stage(USUAL);
    stage.look(growing(1e6));
    stage.keys("p");
    let paused = growth(&stage);
    stage.look(growing(9e6));
    assert_eq!(growth(&stage), paused);
    assert!(paused.iter().any(|line| line.contains("▲1.00 MB/s")), "{paused:?}");
}

#[test]
fn no_size_of_terminal_makes_it_panic() {
    for width in [1, 4, 53, 60, 100, 200] {
        for height in [1, 9, 16, 17, 24, 30, 60] {
            let mut stage = stage((width, height));
            for keys in ["b", "<Left>", ",,.", "-", "---", "<Home>", "+++++", "<PgDn>", "jjj", "p"] {
                stage.keys(keys);
                stage.screen();
            }
        }
    }
}

// The line that tells which stretch lies under the cursor.
fn stretch(screen: &str) -> Option<String> {
    screen.lines().find(|line| line.contains(" to ") && line.contains('.')).map(str::to_owned)
}

#[test]
fn a_hold_stands_in_its_lane_and_under_the_cursor() {
    let home = home();
    let path = home.path().join("notes.db");
    let mut writer = Actor::open_as(Path::new(&path), "holder");
    writer.sql("PRAGMA journal_mode = WAL").sql("CREATE TABLE t (x)");
    let mut terminal = Terminal::open(home.path(), &[&path.display().to_string()], USUAL);
    terminal.shows("notes.db");
    terminal.shows("no writer");
    terminal.keys("b");
    terminal.shows("Write lock, 1 m");
    terminal.shows("free");
    writer.sql("BEGIN IMMEDIATE");
    terminal.shows(&format!("{} (holder) has held it for", writer.pid()));
    terminal.shows("so far from");
    assert!(terminal.text().contains("1 hold"), "{}", terminal.text());
    writer.sql("COMMIT");
    // Back past the moment of the commit: the hold has a length and an end.
    terminal.shows("no writer");
    terminal.shows("free");
    for _ in 0..59 {
        let text = terminal.text();
        if text.contains("held it for") {
            break;
        }
        terminal.keys("\u{1b}[D");
        let before = stretch(&text);
        eventually("the cursor moves", || (stretch(&terminal.text()) != before).then_some(()));
    }
    terminal.shows(&format!("{} (holder) held it for", writer.pid()));
    terminal.shows("(paused: G follows again)");
    terminal.keys("b");
    terminal.shows("2 Locks and processes");
    terminal.keys("q");
    assert_eq!(terminal.end(), 0);
}
