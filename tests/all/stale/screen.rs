//! How staleness is shown: a word in the row, a count in the title, causes and reasons in the details.

use waltop::{
    report,
    snapshot::{StaleCause, StaleProtection, StaleVerdict},
};

use crate::stage::{Stage, contended, look};

const STALE: i32 = 71_168;
const LEFT_ALONE: i32 = 71_166;

fn staged() -> waltop::sampler::Sample {
    let mut look = look(vec![contended()]);
    for process in &mut look.snapshot.databases[0].processes {
        process.stale = match process.pid {
            STALE => Some(StaleVerdict {
                is_stale: true,
                causes: vec![
                    StaleCause::MaxAge {
                        rule: "watcher".to_owned(),
                        age_ms: 331_200_000.0,
                        limit_ms: 86_400_000.0,
                        idle_ms: 5000.0,
                    },
                    StaleCause::Executable { path: "/usr/bin/bun".to_owned(), is_replaced: true },
                ],
                ..StaleVerdict::default()
            }),
            LEFT_ALONE => Some(StaleVerdict {
                is_stale: false,
                causes: vec![StaleCause::Orphan { adopted_by: Some(1), lost_input: None, idle_ms: 5000.0 }],
                protected: Some(StaleProtection::Rule { rule: "vectors".to_owned() }),
                past_max_age: None,
            }),
            _ => process.stale.take(),
        };
    }
    look
}

#[test]
fn a_stale_process_is_marked_by_a_word_and_counted() {
    let screen = Stage::new(staged(), (120, 40)).screen();
    assert!(screen.contains("2 Locks and processes: 4 open, 1 stale, 1 stopped"), "{screen}");
    let row = |pid: i32| screen.lines().find(|line| line.contains(&format!(" {pid} ")) && line.contains('%'));
    assert!(row(STALE).is_some_and(|row| row.contains(" STALE")), "{screen}");
    assert!(row(LEFT_ALONE).is_some_and(|row| !row.contains("STALE")), "{screen}");
}

#[test]
fn details_list_the_causes_or_why_it_is_left_alone() {
    let details = |pid: i32| {
        let mut stage = Stage::new(staged(), (120, 60));
        stage.keys(&format!("2/{pid}<Enter><Enter>"));
        stage.screen()
    };
    let screen = details(STALE);
    assert!(screen.contains("stale             yes"), "{screen}");
    assert!(
        screen.contains("max-age           it is 3 d 20 h old, past the 1 d of the rule watcher"),
        "{screen}"
    );
    assert!(screen.contains("executable        its program /usr/bin/bun was replaced"), "{screen}");
    let screen = details(LEFT_ALONE);
    assert!(screen.contains("stale             no"), "{screen}");
    assert!(screen.contains("orphan            its parent has died"), "{screen}");
    assert!(screen.contains("protected         the rule vectors protects it"), "{screen}");
}

#[test]
fn the_status_text_lists_them_too() {
    let text = report::text(&staged().snapshot);
    for line in [
        "stale       71168 (amalfa) max-age: it is 3 d 20 h old, past the 1 d of the rule watcher, and idle: no tick of CPU \
         time and no lock of a transaction was seen in 5 s",
        "stale       71168 (amalfa) executable: its program /usr/bin/bun was replaced after it started, as an upgrade does: it \
         runs the old one",
        "left alone  71166 (amalfa) orphan: its parent has died (1 took it in), it has no terminal and no service manager, and \
         it is idle: no tick of CPU time and no lock of a transaction was seen in 5 s",
        "protected   71166 (amalfa) the rule vectors protects it",
    ] {
        assert!(text.lines().any(|it| it == line), "{line}\n{text}");
    }
}
