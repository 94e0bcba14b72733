//! The fields of the ingestion dialog: a cursor, a preview of the folder, and names that complete the path.

use waltop::{
    act::{
        ConfirmedAction, Effect, EffectReport,
        preview::{FolderPreview, FolderQuery},
    },
    console::app::Message,
    ingest::discover::DocumentCount,
};

use super::without_run;
use crate::stage::Stage;

fn queries(effects: &[Effect]) -> Vec<FolderQuery> {
    let queries = effects.iter().filter_map(|effect| match effect {
        Effect::Preview(query) => Some(query.clone()),
        _ => None,
    });
    queries.collect()
}

fn answer(stage: &mut Stage, typed: &str, documents: Result<DocumentCount, &str>, names: &[&str]) {
    let preview = FolderPreview {
        typed: typed.to_owned(),
        folder: typed.into(),
        documents: documents.map_err(str::to_owned),
        names: names.iter().map(|name| (*name).to_owned()).collect(),
    };
    stage.update(Message::Report(EffectReport::Preview(preview)));
}

const COUNT: DocumentCount = DocumentCount { files: 301, bytes: 2_300_000, is_complete: true };

#[test]
fn the_dialog_shows_what_the_folder_holds_and_where_it_stopped_counting() {
    let mut stage = without_run();
    let asked = queries(&stage.keys("i"));
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].folder.to_str(), Some("/home/me/notes"));
    assert!(stage.screen().contains("counting the documents"), "{}", stage.screen());
    answer(&mut stage, "/home/me/notes", Ok(COUNT), &[]);
    assert!(stage.screen().contains("301 files, 2.30 MB"), "{}", stage.screen());
    answer(&mut stage, "/home/me/notes", Ok(DocumentCount { is_complete: false, ..COUNT }), &[]);
    assert!(stage.screen().contains("or more: counting stopped after 2 s"), "{}", stage.screen());
    answer(&mut stage, "/home/me/notes", Ok(DocumentCount { files: 0, ..COUNT }), &[]);
    assert!(stage.screen().contains("No documents"), "{}", stage.screen());
    answer(&mut stage, "/home/me/notes", Err("there is no folder /home/me/notes"), &[]);
    assert!(stage.screen().contains("there is no folder"), "{}", stage.screen());
}

#[test]
fn an_answer_about_another_text_is_not_shown_and_a_tilde_is_the_home() {
    let mut stage = without_run();
    let asked = queries(&stage.keys("i~/n"));
    let last = asked.last().expect("a request for each text");
    assert_eq!((last.typed.as_str(), last.folder.to_str()), ("~/n", Some("/home/me/n")));
    answer(&mut stage, "~/", Ok(COUNT), &[]);
    assert!(!stage.screen().contains("301 files"), "{}", stage.screen());
}

#[test]
fn tab_completes_a_path_lists_names_once_and_then_moves_on() {
    let mut stage = without_run();
    stage.keys("i/home/me/no");
    answer(&mut stage, "/home/me/no", Err("there is no folder"), &["notes", "notes-old"]);
    stage.keys("<Tab>");
    assert!(stage.screen().contains("/home/me/notes▏"), "{}", stage.screen());
    answer(&mut stage, "/home/me/notes", Ok(COUNT), &["notes", "notes-old"]);
    stage.keys("<Tab>");
    assert!(stage.screen().contains("notes/ notes-old/"), "{}", stage.screen());
    stage.keys("-");
    answer(&mut stage, "/home/me/notes-", Err("there is no folder"), &["notes-old"]);
    stage.keys("<Tab>");
    assert!(stage.screen().contains("/home/me/notes-old/▏"), "{}", stage.screen());
    answer(&mut stage, "/home/me/notes-old/", Ok(COUNT), &[]);
    stage.keys("<Tab>");
    assert!(stage.screen().contains("auto  typing"), "nothing is left to complete:\n{}", stage.screen());
}

#[test]
fn a_field_has_a_cursor_that_moves() {
    let mut stage = without_run();
    let effects = stage.keys("iab<Left>c<Home>/<End>d<Enter>");
    let folder = effects.iter().find_map(|effect| match effect {
        Effect::Act(confirmed) => match confirmed.act() {
            ConfirmedAction::Ingest { folder, .. } => folder.to_str().map(str::to_owned),
            _ => None,
        },
        _ => None,
    });
    assert_eq!(folder.as_deref(), Some("/acbd"));
}

#[test]
fn tab_right_after_a_letter_completes_once_the_names_are_known() {
    let mut stage = without_run();
    stage.keys("i/home/me/no<Tab>");
    answer(&mut stage, "/home/me/no", Err("there is no folder"), &["notes"]);
    assert!(stage.screen().contains("/home/me/notes/▏"), "{}", stage.screen());
    let mut stage = without_run();
    stage.keys("i/home/me/no<Tab>t");
    answer(&mut stage, "/home/me/no", Err("there is no folder"), &["notes"]);
    assert!(stage.screen().contains("/home/me/not▏"), "it was typed on:\n{}", stage.screen());
    let mut stage = without_run();
    stage.keys("i/home/me/no<Tab><Tab>");
    assert!(stage.screen().contains("auto  typing replaces it"), "{}", stage.screen());
}

#[test]
fn a_default_says_that_typing_replaces_it_and_an_arrow_keeps_it() {
    for (keys, value) in [("ix", "x▏"), ("i<Right>/x", "/home/me/notes/x▏"), ("i<End>x", "/home/me/notesx▏")]
    {
        let mut stage = without_run();
        stage.keys("i");
        let screen = stage.screen();
        assert!(screen.contains("/home/me/notes  typing replaces it, → edits it"), "{screen}");
        stage.keys(&keys[1..]);
        let screen = stage.screen();
        assert!(screen.contains(&format!(" {value}")) && !screen.contains("typing replaces"), "{screen}");
    }
}
