//! The stop dialog: its facts are those of the newest sample, and of the very process that it asks about.

use jiff::SignedDuration;
use waltop::{
    act::{ActionOutcome, EffectReport, StopResult, reap::StopOutcome, signal::StopSignal},
    console::{
        app::{Message, Notice},
        dialogs::DialogKind,
    },
    snapshot::{
        Database, Finding, FindingKind, LockHold, NotIdle, PastMaxAge, Remedy, Severity, StaleVerdict,
    },
};

use super::{pins, stage, target};
use crate::stage::{Stage, contended, look};

const HOLDER: i32 = 71201;

/// The dialog that asks about the holder of the write lock.
fn asked() -> Stage {
    let mut stage = stage();
    assert_eq!(pins(&stage.keys("2/71201<Enter>x")), [HOLDER]);
    stage.pinned(target(HOLDER));
    assert!(stage.screen().contains("locks held: WRITE"), "{}", stage.screen());
    stage
}

fn released() -> Database {
    let mut database = contended();
    database.locks.writer = None;
    let holder = database.processes.iter_mut().find(|it| it.pid == HOLDER).expect("it is listed");
    holder.holds.retain(|hold| *hold != LockHold::Write);
    database
}

#[test]
fn the_locks_are_those_of_the_newest_sample() {
    let mut stage = asked();
    stage.look(look(vec![released()]));
    let screen = stage.screen();
    assert!(screen.contains("locks held: read@19031"), "{screen}");
    assert!(screen.contains("it has no open write transaction"), "{screen}");
}

#[test]
fn a_process_with_a_twin_says_which_of_them_is_older() {
    let mut database = contended();
    let other =
        database.processes.iter().find(|it| it.pid != HOLDER && it.started_at.is_some()).expect("one");
    let (twin, started) = (other.pid, other.started_at.expect("a time"));
    let ms = SignedDuration::from_millis(300);
    for (start, order) in [(started - ms, "later"), (started + ms, "earlier")] {
        let holder = database.processes.iter_mut().find(|it| it.pid == HOLDER).expect("it is listed");
        holder.started_at = Some(start);
        let mut stage = Stage::new(look(vec![database.clone()]), (120, 40));
        assert!(!stage.screen().contains("Its twin"), "{}", stage.screen());
        let mut sample = look(vec![database.clone()]);
        sample.snapshot.databases[0].findings.push(Finding {
            kind: FindingKind::DuplicateDaemon,
            severity: Severity::Info,
            label: None,
            pid: Some(HOLDER),
            message: "they run the same command".to_owned(),
            evidence: [("processes".to_owned(), vec![HOLDER, twin].into())].into_iter().collect(),
            remedy: Remedy { action: None, command: None },
        });
        stage.look(sample);
        stage.keys("2/71201<Enter>x");
        stage.pinned(target(HOLDER));
        let line = format!("Its twin {twin} (");
        let screen = stage.screen();
        assert!(screen.contains(&line) && screen.contains(&format!("started 300 ms {order}")), "{screen}");
    }
}

#[test]
fn with_the_first_process_of_a_pid_namespace_all_others_in_it_end() {
    const WARNING: &str = "first process of its PID namespace";
    for (inner_pid, is_warned) in [(None, false), (Some(12), false), (Some(1), true)] {
        let mut stage = asked();
        let mut database = contended();
        let holder = database.processes.iter_mut().find(|it| it.pid == HOLDER).expect("it is listed");
        holder.inner_pid = inner_pid;
        stage.look(look(vec![database]));
        assert_eq!(stage.screen().contains(WARNING), is_warned, "{inner_pid:?}: {}", stage.screen());
    }
}

#[test]
fn a_pause_keeps_no_old_lock_in_the_dialog() {
    let mut stage = stage();
    stage.keys("p2/71201<Enter>x");
    stage.pinned(target(HOLDER));
    stage.look(look(vec![released()]));
    assert!(stage.screen().contains("locks held: read@19031"), "{}", stage.screen());
}

#[test]
fn a_process_that_ended_or_whose_pid_another_has_is_gone() {
    let mut ended = contended();
    ended.processes.retain(|process| process.pid != HOLDER);
    let mut reused = contended();
    let other = reused.processes.iter_mut().find(|it| it.pid == HOLDER).expect("it is listed");
    other.start_ticks = Some(9_000_000);
    for database in [ended, reused] {
        let mut stage = asked();
        stage.look(look(vec![database]));
        let screen = stage.screen();
        assert!(screen.contains("is gone: it has ended or closed the database"), "{screen}");
        assert!(!screen.contains("locks held"), "{screen}");
    }
}

#[test]
fn the_title_follows_the_signal_and_the_other_process_has_its_label() {
    let mut stage = stage();
    let subject = stage.app.database().and_then(|it| it.process(super::worst(&stage))).expect("listed");
    let who = subject.who();
    let pinned = pins(&stage.keys("2gx"))[0];
    stage.pinned(target(pinned));
    assert!(super::warning(&stage).is_some_and(|it| it.ends_with(&who)), "{who}:\n{}", stage.screen());
    assert!(stage.screen().contains(" Stop 71166"), "{}", stage.screen());
    stage.keys("c");
    assert!(stage.screen().contains(" Continue 71166"), "{}", stage.screen());
}

#[test]
fn an_error_about_another_process_comes_first_unless_one_is_about_the_selected_one() {
    let advice = |change: fn(&mut Vec<Finding>)| {
        let mut sample = look(vec![contended()]);
        change(&mut sample.snapshot.databases[0].findings);
        let mut stage = Stage::new(sample, super::USUAL);
        assert_eq!(pins(&stage.keys("2/71168<Enter>x")), [71168]);
        stage.pinned(target(71168));
        let Some(DialogKind::Stop(dialog)) = stage.app.dialog() else { panic!("{}", stage.screen()) };
        dialog.advice.clone().expect("there is an error")
    };
    let own = advice(|_| ());
    assert!(!own.is_warning && own.text.contains("pinned-wal"), "{own:?}");
    // It keeps every waiting frame in the log.
    let blocks = advice(|findings| findings.retain(|finding| finding.pid != Some(71168)));
    assert!(blocks.is_warning && blocks.text.starts_with("The error "), "{blocks:?}");
    assert!(blocks.text.contains(". The log waits for it"), "{blocks:?}");
}

#[test]
fn the_selection_stays_where_the_first_worst_finding_put_it() {
    let mut stage = stage();
    let first = stage.app.selected_process().map(|it| it.pid);
    assert_eq!(first, Some(super::worst(&stage)));
    let mut other = contended();
    other.processes.retain(|process| process.state != waltop::snapshot::ProcessState::Stopped);
    let mut still = contended();
    for process in &mut still.processes {
        process.state = waltop::snapshot::ProcessState::Sleeping;
    }
    stage.look(look(vec![still]));
    assert_eq!(stage.app.selected_process().map(|it| it.pid), first, "it lives");
    stage.look(look(vec![other]));
    assert_eq!(stage.app.selected_process().map(|it| it.pid), None, "it has ended");
}

#[test]
fn after_the_selected_process_ended_x_hits_nobody_until_the_user_moves() {
    let mut stage = stage();
    stage.keys("2gj");
    let selected = stage.app.selected_process().expect("one is selected").pid;
    let mut ended = contended();
    ended.processes.retain(|process| process.pid != selected);
    stage.look(look(vec![ended]));
    assert_eq!(pins(&stage.keys("x")), Vec::<i32>::new());
    assert!(matches!(stage.app.notice(), Some(Notice::NoProcessSelected { .. })));
    assert!(!stage.screen().contains('▸'), "{}", stage.screen());
    stage.keys("j");
    assert!(stage.app.selected_process().is_some());
    assert_eq!(pins(&stage.keys("x")).len(), 1);
}

#[test]
fn after_the_user_stopped_the_selected_process_the_next_worst_finding_selects_a_row() {
    let without = |pid: i32| {
        let mut database = contended();
        database.processes.retain(|process| process.pid != pid);
        look(vec![database])
    };
    let stop = |keys: &str, pid: i32| {
        let mut stage = stage();
        assert_eq!(pins(&stage.keys(keys)), [pid]);
        stage.pinned(target(pid));
        assert!(super::acts(&stage.keys("y")), "{}", stage.screen());
        stage
    };
    let end = |stage: &mut Stage, pid: i32, end: StopOutcome| {
        let at = "2026-01-15T14:03:27Z".parse().expect("a time");
        let result = StopResult { target: target(pid), signal: StopSignal::Term, end, restart: None, at };
        stage.update(Message::Report(EffectReport::Ended(result)));
        stage.look(without(pid));
    };
    let selected = |stage: &Stage| stage.app.selected_process().map(|it| it.pid);
    let mut stopped = stop("2gx", 71166);
    let subject = super::worst(&stopped);
    end(&mut stopped, 71166, StopOutcome::Gone);
    assert_eq!(selected(&stopped), Some(subject));
    let mut moved = stop("2gx", 71166);
    moved.keys("n");
    moved.keys("2G");
    end(&mut moved, 71166, StopOutcome::Gone);
    assert_eq!(selected(&moved), Some(71300), "another row was selected meanwhile");
    let mut stays = stop("2gx", 71166);
    end(&mut stays, 71166, StopOutcome::Stays);
    assert_eq!(selected(&stays), None, "waltop did not see it end");
}

#[test]
fn a_refusal_has_no_mark_of_success() {
    for keys in ["~", "3 ", "6<Enter>"] {
        let mut stage = stage();
        stage.keys(keys);
        assert!(stage.app.notice().is_some_and(|it| !it.is_success()), "{keys}");
        assert!(!stage.screen().contains('✔'), "{keys}:\n{}", stage.screen());
    }
}

#[test]
fn enter_on_an_empty_table_opens_the_finding_that_is_marked_and_x_refuses() {
    let mut database = contended();
    database.processes.clear();
    database.locks = waltop::snapshot::DatabaseLocks::default();
    let mut stage = Stage::new(look(vec![database]), super::USUAL);
    let finding = stage.app.selected_finding_id().expect("a finding");
    assert!(!super::acts(&stage.keys("2x")));
    stage.keys("<Esc><Enter>");
    assert!(stage.screen().contains(finding.kind.as_str()), "{}", stage.screen());
    assert_ne!(stage.app.notice(), Some(&Notice::NothingSelected));
    assert!(stage.screen().contains("Details:"), "{}", stage.screen());
}

#[test]
fn a_long_notice_takes_two_lines_and_is_not_cut() {
    let mut stage = Stage::new(look(vec![contended()]), (80, 24));
    let who = "71300 (report.py)".to_owned();
    let notice = Notice::TagsHidden { who: vec![who; 3], filter: "/".to_owned(), back: "Esc".to_owned() };
    let notice = notice.to_string();
    assert!(notice.len() > 78, "{notice}");
    let outcome = ActionOutcome { level: log::Level::Warn, text: notice.clone() };
    stage.update(Message::Report(EffectReport::Outcome(outcome)));
    let screen = stage.screen();
    for word in notice.split_whitespace() {
        assert!(screen.contains(word), "{word}:\n{screen}");
    }
    let last = screen.lines().last().expect("the key bar");
    assert!(last.contains("quit"), "{screen}");
}

#[test]
fn the_last_line_shows_the_keys_of_what_lies_over_the_panels() {
    for (keys, there) in [("S", "letters are typed"), (":", "letters filter"), ("2gx", "Esc leaves")] {
        let mut stage = stage();
        for pid in pins(&stage.keys(keys)) {
            stage.pinned(target(pid));
        }
        let screen = stage.screen();
        let last = screen.lines().last().expect("the key bar");
        assert!(last.contains(there) && !last.contains("quit"), "{keys}:\n{screen}");
    }
}

#[test]
fn a_list_of_stale_processes_says_that_idleness_is_not_known_yet() {
    let noticed = |not_idle: NotIdle| {
        let mut sample = look(vec![contended()]);
        for process in &mut sample.snapshot.databases[0].processes {
            process.stale = None;
        }
        let past = PastMaxAge { rule: "report".to_owned(), age_ms: 1e8, limit_ms: 1e7, not_idle };
        let verdict =
            StaleVerdict { is_stale: false, causes: vec![], protected: None, past_max_age: Some(past) };
        sample.snapshot.databases[0].processes[0].stale = Some(verdict);
        let mut stage = Stage::new(sample, super::USUAL);
        assert!(!super::acts(&stage.keys("X")));
        stage.app.notice().cloned().expect("a notice")
    };
    let brief = noticed(NotIdle::BriefWatch { watched_ms: 7_000.0, least_ms: 30_000.0 });
    assert!(matches!(brief, Notice::NotStaleYet { .. }), "{brief:?}");
    assert_eq!(noticed(NotIdle::Work { idle_ms: 7_000.0 }), Notice::NothingStale);
}
