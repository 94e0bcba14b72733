//! Keys as people know them from other consoles: what is open is closed first, what is typed is never run, and a stop
//! hits the process that the screen complains about.

use waltop::{
    act::{Effect, EffectReport, signal::SignalTarget},
    console::{
        app::{FilterTarget, Message, Notice},
        dialogs::DialogKind,
    },
    keymap::Panel,
    snapshot::Severity,
};

use crate::stage::{Stage, contended, look};

mod documents;
mod fields;
mod mouse;
mod palette;
mod runs;
mod selection;
mod stopping;
mod tags;
mod terminal;
mod tree;
mod watches;

const USUAL: (u16, u16) = (120, 40);

fn stage() -> Stage {
    Stage::new(look(vec![contended()]), USUAL)
}

/// The same, where no ingestion runs.
// A new database, for which the ingestion dialog proposes the folder of the console.
fn without_run() -> Stage {
    let mut database = contended();
    database.ingestions.clear();
    database.files.wal = None;
    database.files.db.as_mut().expect("it is there").bytes = 0;
    Stage::new(look(vec![database]), USUAL)
}

fn pins(effects: &[Effect]) -> Vec<i32> {
    let pins = effects.iter().filter_map(|effect| match effect {
        Effect::Pin(meant) => Some(meant.iter().map(|it| it.target.pid)),
        _ => None,
    });
    pins.flatten().collect()
}

fn quits(effects: &[Effect]) -> bool {
    effects.iter().any(|effect| matches!(effect, Effect::Quit(_)))
}

/// Whether anything was changed or asked to be.
fn acts(effects: &[Effect]) -> bool {
    effects.iter().any(|effect| matches!(effect, Effect::Act(_) | Effect::Pin(_)))
}

fn target(pid: i32) -> SignalTarget {
    SignalTarget { pid, start_ticks: u64::try_from(pid).expect("a PID") }
}

fn is_ingest_open(stage: &Stage) -> bool {
    matches!(stage.app.dialog(), Some(DialogKind::Ingest(_)))
}

fn is_stop_open(stage: &Stage) -> bool {
    matches!(stage.app.dialog(), Some(DialogKind::Stop(_)))
}

/// What the open dialog says of the worst error, if that is about another process.
fn warning(stage: &Stage) -> Option<&str> {
    let Some(DialogKind::Stop(dialog)) = stage.app.dialog() else { panic!("no dialog is open") };
    dialog.advice.as_ref().filter(|it| it.is_warning).map(|it| it.text.as_str())
}

/// The PID that the worst finding on the screen is about.
fn worst(stage: &Stage) -> i32 {
    let findings = &stage.app.database().expect("a database").findings;
    assert_eq!(findings[0].severity, Severity::Error);
    findings[0].pid.expect("a process")
}

#[test]
fn x_means_the_selected_row_of_each_panel_that_names_a_process() {
    assert_eq!(pins(&stage().keys("2gx")), [71166]);
    assert_eq!(pins(&stage().keys("2gjx")), [71168]);
    assert_eq!(pins(&stage().keys("2Gx")), [71300]);
    let mut in_findings = stage();
    let subject = worst(&in_findings);
    assert_eq!(pins(&in_findings.keys("1x")), [subject]);
}

#[test]
fn the_dialog_says_whom_the_worst_error_is_about_where_that_is_another() {
    let mut stage = stage();
    let subject = worst(&stage);
    let pinned = pins(&stage.keys("gx"))[0];
    assert_ne!(pinned, subject);
    stage.pinned(target(pinned));
    assert!(warning(&stage).is_some_and(|it| it.contains(&subject.to_string())), "{}", stage.screen());
    let mut stage = self::stage();
    stage.keys("x");
    stage.pinned(target(subject));
    assert_eq!(warning(&stage), None);
}

#[test]
fn letters_after_a_slash_are_typed_in_every_panel_and_never_run() {
    for keys in ["", "1", "2", "3", "4", "5", "6", "b", "?", "1<Enter>"] {
        let mut stage = stage();
        let effects = stage.keys(&format!("{keys}/importer xXcfi"));
        assert!(!acts(&effects) && !quits(&effects), "{keys}: {effects:?}");
        assert!(stage.screen().contains("importer xXcfi▏"), "{keys}:\n{}", stage.screen());
    }
}

#[test]
fn the_findings_and_the_log_have_filters_of_their_own() {
    let mut stage = stage();
    stage.keys("1/pinned<Enter>");
    let rows = stage.app.finding_rows();
    assert!(!rows.is_empty() && rows.iter().all(|row| row.finding().kind.as_str().contains("pinned")));
    assert_eq!(stage.app.filter(FilterTarget::Processes), "");
    stage.keys("/<C-u>no such finding<Enter>");
    assert!(stage.app.finding_rows().is_empty());
    assert!(!stage.screen().contains("Nothing is wrong"), "{}", stage.screen());
    stage.keys("<Esc>");
    assert!(!stage.app.finding_rows().is_empty());
    stage.keys("6/no such line<Enter>");
    assert_eq!(stage.app.log_lines().count(), 0);
}

#[test]
fn after_a_filter_n_goes_to_the_next_row_that_matches() {
    let mut stage = stage();
    let selected = |stage: &Stage| stage.app.selected_process().map(|it| it.pid);
    stage.keys("2/amalfa<Enter>g");
    let first = selected(&stage);
    stage.keys("n");
    let second = selected(&stage);
    assert_ne!(second, first, "{}", stage.screen());
    stage.keys("N");
    assert_eq!(selected(&stage), first);
    stage.keys("<Esc>n");
    assert!(matches!(stage.app.notice(), Some(Notice::UnknownKey { .. })), "there is no filter");
}

#[test]
fn processes_are_found_by_user_lock_and_state() {
    let mut stage = stage();
    let user = stage.app.visible_processes()[0].user.clone().expect("the fixture names users");
    for (filter, found) in [("write", vec![71201]), ("stopped", vec![71300])] {
        stage.keys(&format!("/<C-u>{filter}<Enter>"));
        let pids: Vec<i32> = stage.app.visible_processes().iter().map(|it| it.pid).collect();
        assert_eq!(pids, found, "{filter}");
    }
    stage.keys(&format!("/<C-u>{user}<Enter>"));
    assert!(stage.app.visible_processes().iter().all(|it| it.user.as_ref() == Some(&user)));
    assert!(!stage.app.visible_processes().is_empty());
}

#[test]
fn a_text_is_searched_and_n_goes_from_match_to_match() {
    let mut stage = Stage::new(look(vec![contended()]), (80, 24));
    stage.keys("?/panel<Enter>");
    let first = stage.screen();
    assert!(first.contains("n next match") && first.contains("search: panel   1 of "), "{first}");
    stage.keys("n");
    assert!(stage.screen().contains("search: panel   2 of "), "{}", stage.screen());
    stage.keys("N");
    assert_eq!(stage.screen(), first);
    stage.keys("<Esc>");
    assert!(!stage.screen().contains("next match"));
    stage.keys("?/zebra<Enter>");
    assert!(stage.screen().contains("search: zebra   not found"), "{}", stage.screen());
}

#[test]
fn q_closes_what_is_open_and_quits_from_the_plain_screen_only() {
    for open in ["?", "b", "<Enter>", "1<Enter>", "3", "b?"] {
        let mut stage = stage();
        assert!(!quits(&stage.keys(&format!("{open}q"))), "{open}");
    }
    for (open, closes) in [("?", 1), ("b", 1), ("<Enter>", 1), ("3", 1), ("1<Enter>", 2), ("b?", 2), ("", 0)]
    {
        let mut stage = stage();
        stage.keys(open);
        for _ in 0..closes {
            assert!(!quits(&stage.keys("q")), "{open}");
        }
        assert!(quits(&stage.keys("q")), "{open}");
    }
}

#[test]
fn ctrl_c_and_q_cancel_a_dialog_and_ctrl_c_quits_elsewhere() {
    for cancel in ["<C-c>", "q"] {
        let mut stage = stage();
        let pinned = pins(&stage.keys("x"))[0];
        stage.pinned(target(pinned));
        assert!(is_stop_open(&stage), "{}", stage.screen());
        let effects = stage.keys(cancel);
        assert!(
            !quits(&effects) && effects.iter().any(|it| matches!(it, Effect::Unpin)),
            "{cancel}: {effects:?}"
        );
        assert!(!is_stop_open(&stage), "{}", stage.screen());
    }
    let mut stage = without_run();
    assert!(!quits(&stage.keys("i<C-c>")));
    assert!(!is_ingest_open(&stage));
    assert!(quits(&stage.keys("<C-c>")));
}

#[test]
fn n_and_y_are_text_while_a_text_field_has_the_focus_and_the_buttons_say_so() {
    let mut stage = without_run();
    assert!(!acts(&stage.keys("iny")));
    let screen = stage.screen();
    assert!(screen.contains("ny▏") && screen.contains("[ No ]") && screen.contains("[ Yes ]"), "{screen}");
    stage.keys("<Tab><Tab><Tab>");
    assert!(stage.screen().contains("[ n No ]"), "{}", stage.screen());
}

#[test]
fn a_message_goes_with_the_next_key_and_leaves_the_keys_in_sight() {
    let mut stage = stage();
    stage.keys("3x");
    let screen = stage.screen();
    let notice = stage.app.notice().expect("a notice");
    assert!(matches!(notice, Notice::NoProcessToStop { panel: Panel::Files, .. }), "{notice:?}");
    assert!(screen.contains(&notice.to_string()), "{screen}");
    assert!(screen.lines().last().is_some_and(|line| line.contains("Esc all panels")), "{screen}");
    stage.keys("j");
    assert_eq!(stage.app.notice(), None);
}

#[test]
fn the_help_is_grouped_and_the_keys_that_act_on_the_row_come_first() {
    let headings = |keys: &str| {
        let mut stage = Stage::new(look(vec![contended()]), (120, 80));
        stage.keys(keys);
        let screen = stage.screen();
        let mut found: Vec<(usize, &str)> = ["This row", "This database", "View", "Timeline", "waltop"]
            .into_iter()
            .filter_map(|title| Some((screen.find(&format!("│ {title}   "))?, title)))
            .collect();
        found.sort_unstable();
        found.into_iter().map(|(_, title)| title).collect::<Vec<_>>()
    };
    assert_eq!(headings("?"), ["This row", "This database", "View", "Timeline", "waltop"]);
    assert_eq!(headings("b?"), ["Timeline", "This database", "View", "waltop"]);
}

#[test]
fn an_unknown_key_is_named() {
    let mut stage = stage();
    stage.keys("<F12>");
    let named = Notice::UnknownKey { key: "F12".to_owned(), help: "?".to_owned() };
    assert_eq!(stage.app.notice(), Some(&named));
}

#[test]
fn tab_and_shift_tab_go_around_in_opposite_directions() {
    let mut stage = stage();
    let before = stage.screen();
    stage.keys("<Tab><Shift-Tab>");
    assert_eq!(stage.screen(), before);
    stage.keys("<Shift-Tab>");
    assert_ne!(stage.screen(), before);
}

#[test]
fn a_refused_ingestion_keeps_its_dialog_with_what_was_typed() {
    let mut stage = without_run();
    let effects = stage.keys("i/no/such/folder<Tab><Tab><Right><Enter>");
    let act = effects.iter().find_map(|effect| match effect {
        Effect::Act(confirmed) => Some(confirmed.act().clone()),
        _ => None,
    });
    assert!(act.is_some(), "{effects:?}");
    stage.update(Message::Report(EffectReport::IngestRefused("cannot read /no/such/folder".to_owned())));
    let screen = stage.screen();
    assert!(is_ingest_open(&stage) && stage.app.notice().is_none(), "{screen}");
    assert!(screen.contains("✖ cannot read /no/such/folder"), "{screen}");
}

#[test]
fn x_under_open_details_means_what_the_details_are_about() {
    let mut stage = Stage::new(look(vec![contended()]), USUAL);
    let holder = 71201;
    stage.keys("2/71201<Enter><Enter>");
    let mut released = contended();
    released.locks.writer = None;
    stage.look(look(vec![released]));
    assert_eq!(pins(&stage.keys("x")), [holder]);
}

#[test]
fn rows_that_the_timeline_or_the_overview_hides_cannot_be_hit_through_the_help() {
    for keys in ["b?x", "b?y", "b?<Enter>"] {
        let mut stage = stage();
        let effects = stage.keys(keys);
        assert!(!acts(&effects), "{keys}: {effects:?}");
        assert!(!effects.iter().any(|effect| matches!(effect, Effect::Copy(_))), "{keys}");
        assert!(!stage.screen().contains("Details:"), "{keys}");
    }
    let mut stage = Stage::new(look(vec![contended(), crate::stage::rollback()]), USUAL);
    assert!(!acts(&stage.keys("o?x")));
}

#[test]
fn a_search_goes_with_its_text() {
    for close in ["<Enter>2", "<Tab>", "<F1>"] {
        let mut stage = stage();
        stage.keys(&format!("?/pan{close}"));
        let screen = stage.screen();
        assert!(!screen.contains("search: pan"), "{close}:\n{screen}");
        stage.keys("gx");
        assert!(!stage.screen().contains("▏"), "{close}: the keys are no text any more");
    }
}

#[test]
fn a_finding_that_a_filter_hides_still_holds_in_its_details() {
    let mut stage = stage();
    stage.keys("1<Enter><Esc>");
    let severity = stage.app.finding_rows()[0].finding().severity.to_string();
    stage.keys(&format!("/{severity}<Enter><Enter>"));
    let mut milder = look(vec![contended()]);
    milder.snapshot.databases[0].findings[0].severity = Severity::Info;
    stage.look(milder);
    assert!(!stage.screen().contains("no longer holds"), "{}", stage.screen());
}

#[test]
fn each_database_opens_with_its_own_worst_process() {
    let mut stage = Stage::new(look(vec![crate::stage::rollback(), contended()]), USUAL);
    stage.keys("]");
    let subject = worst(&stage);
    assert_eq!(pins(&stage.keys("x")), [subject]);
}

#[test]
fn a_key_that_is_no_text_ends_the_filter_and_keeps_it() {
    let mut stage = stage();
    assert!(!quits(&stage.keys("2/bun<F1>")));
    stage.keys("<Esc>");
    assert!(!stage.screen().contains("bun▏"), "{}", stage.screen());
    assert_eq!(stage.app.filter(FilterTarget::Processes), "bun");
    stage.keys("q");
    assert_eq!(stage.app.filter(FilterTarget::Processes), "bun", "q restores the layout first");
}
