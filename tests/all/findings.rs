//! The findings on the screen: what holds, what went away, and what Enter says about either.

use insta::assert_snapshot;
use waltop::{
    act::Effect,
    replay::RecordedFinding,
    sampler::Sample,
    snapshot::{Database, FindingKind, ProcessState, Severity, Unseen},
};

use crate::{
    stage::{self, Stage, contended, look, rollback},
    support::Actor,
    terminal::{Terminal, home},
};

const SMALL: (u16, u16) = (80, 24);
const USUAL: (u16, u16) = (120, 40);
const LARGE: (u16, u16) = (200, 60);
const SIZES: [(u16, u16); 3] = [SMALL, USUAL, LARGE];

/// A look at `databases`, so many seconds after the first one.
fn after(seconds: i64, databases: Vec<Database>) -> Sample {
    let mut look = look(databases);
    let taken_at = look.snapshot.taken_at;
    look.snapshot.taken_at = taken_at.checked_add(jiff::SignedDuration::from_secs(seconds)).expect("a time");
    look
}

/// The contended database after the stopped process went on and the reader of frame 812 ended.
fn relieved() -> Database {
    let mut database = contended();
    database.processes[0].state = ProcessState::Sleeping;
    database.locks.readers.remove(0);
    database
}

fn pins(effects: &[Effect]) -> usize {
    effects.iter().filter(|effect| matches!(effect, Effect::Pin(_))).count()
}

fn names(screen: &str, word: &str) -> usize {
    screen.lines().filter(|line| line.contains(word)).count()
}

#[test]
fn several_findings_and_what_went_away_at_three_sizes() {
    for size in SIZES {
        let mut stage = Stage::new(look(vec![contended()]), size);
        stage.look(after(200, vec![relieved()]));
        let mut blind = after(201, vec![relieved()]);
        let (what, why) = ("open files of 120 processes of other users", "permission denied");
        blind.snapshot.unseen.push(Unseen { what: what.to_owned(), why: why.to_owned() });
        stage.look(blind);
        assert_snapshot!(format!("several_findings_{}x{}", size.0, size.1), stage.screen());
    }
}

#[test]
fn a_finding_that_a_recorder_saw_before_the_console_is_older_and_the_title_says_so() {
    let sample = look(vec![contended()]);
    let mut findings = sample.snapshot.databases[0].findings.iter();
    let finding = findings.find(|finding| !finding.evidence.contains_key("held_ms")).cloned();
    let finding = finding.expect("one without a time of its own");
    let mut stage = Stage::new(sample, USUAL);
    let since = stage::now().checked_sub(jiff::SignedDuration::from_hours(3)).expect("a time");
    let recorded = RecordedFinding { index: 0, kind: finding.kind, pid: finding.pid, since };
    stage.app.findings_were_recorded(&[RecordedFinding { index: 7, ..recorded }]);
    stage.frame();
    assert!(!stage.screen().contains("ages recorded"), "of another database");
    stage.app.findings_were_recorded(&[recorded]);
    stage.look(after(5, vec![contended()]));
    let age = stage.app.finding_age(&finding).expect("known");
    assert!(age >= 3.0 * 3_600_000.0, "{age}");
    assert!(stage.screen().contains("ages recorded"), "{}", stage.screen());
}

#[test]
fn the_explanation_of_a_finding_at_three_sizes() {
    for size in SIZES {
        let mut stage = Stage::new(look(vec![contended()]), size);
        stage.keys("1jj<Enter>");
        assert_snapshot!(format!("explained_{}x{}", size.0, size.1), stage.screen());
    }
}

#[test]
fn an_explanation_scrolls_to_what_not_to_do() {
    let mut stage = Stage::new(look(vec![contended()]), SMALL);
    stage.keys("1jj<Enter>");
    assert!(stage.screen().contains("pins frame 812") && !stage.screen().contains("What not to do"));
    stage.keys("G");
    let end = stage.screen();
    assert!(end.contains("What not to do") && end.contains("Never delete `notes.db-wal`"), "{end}");
    stage.keys("<Esc>");
    assert!(!stage.screen().contains("What not to do"));
}

#[test]
fn what_went_away_can_still_be_explained_but_not_stopped() {
    let mut stage = Stage::new(look(vec![contended()]), USUAL);
    // The pin is selected, and stays selected when it goes.
    stage.keys("1jj");
    stage.look(after(200, vec![relieved()]));
    assert_eq!(pins(&stage.keys("x")), 0);
    stage.keys("<Enter>");
    let screen = stage.screen();
    assert!(screen.contains("gone at 14:06:42") && screen.contains("pins frame 812 for "), "{screen}");
    assert!(!screen.contains("kill -TERM"), "what is over needs no remedy: {screen}");
    let copied = stage.keys("<Esc>y");
    let is_gone =
        |effect: &Effect| matches!(effect, Effect::Copy(text) if text.starts_with("gone pinned-wal"));
    assert!(copied.iter().any(is_gone), "{copied:?}");
}

#[test]
fn the_selected_finding_stays_the_same_one_when_rows_move() {
    let mut stage = Stage::new(look(vec![contended()]), USUAL);
    stage.keys("1jj");
    let selected = |stage: &Stage| stage.app.selected_finding().map(|it| it.kind);
    assert_eq!(selected(&stage), Some(FindingKind::PinnedWal));
    let mut moved = contended();
    moved.processes[0].state = ProcessState::Sleeping;
    stage.look(after(1, vec![moved]));
    assert_eq!(selected(&stage), Some(FindingKind::PinnedWal), "the one above it is gone");
}

#[test]
fn what_comes_and_goes_has_one_row_that_counts() {
    let mut stage = Stage::new(look(vec![contended()]), USUAL);
    stage.keys("1");
    for round in 0..3 {
        stage.look(after(round * 20 + 10, vec![relieved()]));
        stage.look(after(round * 20 + 20, vec![contended()]));
    }
    assert_eq!(names(&stage.screen(), "gone a"), 0, "{}", stage.screen());
    stage.look(after(100, vec![relieved()]));
    let screen = stage.screen();
    assert_eq!(names(&screen, "– pinned-wal"), 1, "{screen}");
    assert_eq!(names(&screen, "gone after 40 s, 14:05:02, 4 times"), 1, "{screen}");
    // How long the log was pinned, its sentence says.
    assert_eq!(names(&screen, "gone at 14:05:02, 4 times"), 1, "{screen}");
}

#[test]
fn each_database_has_a_past_of_its_own() {
    let mut stage = Stage::new(look(vec![contended(), rollback()]), USUAL);
    stage.look(after(5, vec![relieved(), rollback()]));
    stage.keys("1");
    assert_eq!(names(&stage.screen(), "gone a"), 2);
    stage.keys("]");
    let screen = stage.screen();
    assert!(names(&screen, "gone a") == 0 && screen.contains("rollback-journal"), "{screen}");
}

#[test]
fn a_pause_holds_what_holds_and_what_is_gone() {
    let mut stage = Stage::new(look(vec![contended()]), USUAL);
    stage.keys("1p");
    let held = stage.screen();
    stage.look(after(5, vec![relieved()]));
    let findings = |screen: &str| screen.lines().skip(1).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(findings(&stage.screen()), findings(&held));
    stage.keys("p");
    assert_eq!(names(&stage.screen(), "gone a"), 2);
}

#[test]
fn a_long_list_shows_its_selected_row_to_the_end() {
    let mut database = contended();
    for pid in 1..=30 {
        let mut process = database.processes[1].clone();
        process.pid = pid;
        process.start_ticks = u64::try_from(pid).ok();
        database.processes.push(process);
    }
    let mut stage = Stage::new(look(vec![database]), SMALL);
    stage.keys("1");
    assert!(stage.screen().contains(": j k shows them all"));
    stage.keys("G");
    let last = stage.app.selected_finding().expect("selected").clone();
    assert_eq!(last.severity, Severity::Info);
    let beginning: String = last.message.chars().take(30).collect();
    let screen = stage.screen();
    assert!(screen.contains(&beginning) && !screen.contains("shows them all"), "{screen}");
}

#[test]
fn a_finding_of_real_processes_comes_is_explained_and_goes() {
    let home = home();
    let database = home.path().join("queue.db");
    let (mut one, mut other) = (Actor::open(&database), Actor::open(&database));
    one.sql("CREATE TABLE t(x)");
    other.sql("SELECT * FROM t");
    let mut terminal = Terminal::open(home.path(), &["queue.db"], USUAL);
    terminal.shows("▲ rollback-journal");
    terminal.keys("1\r");
    terminal.shows("What it means");
    terminal.keys("\x1b");
    terminal.shows_no_more("What it means");
    other.close();
    terminal.shows("gone after");
    assert!(terminal.text().contains("– rollback-journal"), "{}", terminal.text());
    terminal.keys("qq");
    assert_eq!(terminal.end(), 0);
    terminal.assert_restored();
}

#[test]
fn free_lines_of_the_panel_show_the_selected_sentence_whole_and_then_the_worst() {
    let mut database = contended();
    database.findings.truncate(3);
    let sentences: Vec<String> = database.findings.iter().map(|it| it.message.clone()).collect();
    let mut stage = Stage::new(look(vec![database]), USUAL);
    let shows = |stage: &Stage, sentence: &str| {
        let screen = stage.screen();
        let words: Vec<&str> = screen.split_whitespace().collect();
        sentence.split_whitespace().all(|word| words.contains(&word))
    };
    assert!(sentences.iter().all(|sentence| shows(&stage, sentence)), "{}", stage.screen());
    // With six lines for six findings there is no room: each has one line.
    let mut all = contended();
    all.findings.truncate(6);
    stage.look(look(vec![all]));
    assert!(stage.screen().contains('…'), "{}", stage.screen());
}

#[test]
fn the_zoomed_panel_continues_a_long_sentence_on_the_next_line() {
    for size in [USUAL, LARGE] {
        let mut stage = Stage::new(look(vec![contended()]), size);
        assert!(stage.screen().contains('…'), "its usual panel cuts: {}", stage.screen());
        stage.keys("1g");
        let screen = stage.screen();
        let words: Vec<&str> = screen.split_whitespace().collect();
        let first = stage.app.database().expect("a database").findings[0].message.clone();
        let missing: Vec<&str> = first.split_whitespace().filter(|word| !words.contains(word)).collect();
        assert!(missing.is_empty(), "{missing:?}: {screen}");
    }
}
