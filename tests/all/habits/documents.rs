//! `S` searches the ingested documents: a worker answers, and letters are text.

use std::{fs, process::Command};

use waltop::{
    act::{
        Effect, EffectReport,
        document_search::{DocumentText, FoundDocuments, FoundText, FoundTexts, MOST_FOUND},
    },
    console::app::Message,
    ingest::query::{SearchMode, WordMatch},
};

use super::{USUAL, acts, quits, stage};
use crate::{
    stage::Stage,
    support::{WALTOP, set_apart},
    terminal::{Terminal, database, home},
};

fn found() -> Vec<FoundText> {
    let found = |number: usize| FoundText {
        path: format!("/home/me/notes/{number}.md"),
        title: format!("Note {number}"),
        snippet: format!("a «zebra» in line {number}"),
    };
    (1..=30).map(found).collect()
}

fn answer(stage: &mut Stage, query: &str, hits: Result<Vec<FoundText>, String>) {
    let database = stage.app.database().expect("a database").path.clone();
    let found = hits.map(|hits| FoundTexts {
        hits,
        matched: Some(WordMatch::All),
        by: SearchMode::Words,
        words_alone: None,
    });
    let found = FoundDocuments { database, query: query.to_owned(), found };
    stage.update(Message::Report(EffectReport::DocumentsFound(found)));
}

fn searches(effects: &[Effect]) -> Vec<&str> {
    let queries = effects.iter().filter_map(|effect| match effect {
        Effect::SearchDocuments { query, .. } => Some(query.as_str()),
        _ => None,
    });
    queries.collect()
}

#[test]
fn letters_are_text_and_enter_asks_a_worker_once() {
    let mut stage = stage();
    let effects = stage.keys("Sxqzebra<Enter>");
    assert_eq!(searches(&effects), ["xqzebra"]);
    assert!(!acts(&effects) && !quits(&effects), "{effects:?}");
    assert!(stage.screen().contains("a worker searches for xqzebra"), "{}", stage.screen());
    assert!(searches(&stage.keys("<Enter>")).is_empty(), "it is being searched");
}

#[test]
fn a_list_that_is_cut_at_the_limit_is_not_called_all_of_them() {
    for (count, told) in
        [(MOST_FOUND - 1, "49 documents for zebra"), (MOST_FOUND, "the best 50 documents for zebra")]
    {
        let mut stage = stage();
        stage.keys("Szebra<Enter>");
        let hit = found().remove(0);
        answer(&mut stage, "zebra", Ok(vec![hit; count]));
        assert!(stage.screen().contains(told), "{}", stage.screen());
    }
}

#[test]
fn the_found_are_listed_with_snippets_and_one_is_opened_and_searched() {
    let mut stage = stage();
    stage.keys("Szebra<Enter>");
    answer(&mut stage, "zebra", Ok(found()));
    let screen = stage.screen();
    for part in ["30 documents for zebra, best first", "▸Note 1", "a «zebra» in line 2"] {
        assert!(screen.contains(part), "{part}:\n{screen}");
    }
    let effects = stage.keys("<Down><Enter>");
    let path = "/home/me/notes/2.md";
    assert!(
        effects.iter().any(|it| matches!(it, Effect::ReadDocument(wanted) if wanted == path)),
        "{effects:?}"
    );
    let lines: Vec<String> = (1..200).map(|number| format!("line {number}")).collect();
    let text = DocumentText { text: lines.join("\n"), is_cut: true };
    stage.update(Message::Report(EffectReport::DocumentRead { path: path.to_owned(), text: Ok(text) }));
    assert!(stage.screen().contains("Note 2: Esc goes back"), "{}", stage.screen());
    stage.keys("/line 150<Enter>");
    assert!(stage.screen().contains("line 150"), "{}", stage.screen());
    stage.keys("G");
    assert!(stage.screen().contains("only the beginning is shown"), "{}", stage.screen());
    assert!(!quits(&stage.keys("q")));
    assert!(stage.screen().contains("▸Note 2"), "{}", stage.screen());
    stage.keys("<Esc>");
    assert!(!stage.screen().contains("Documents in"), "{}", stage.screen());
}

#[test]
fn refusals_are_shown_with_the_reason_and_late_answers_are_not_shown() {
    let mut stage = stage();
    stage.keys("Sone<Enter>");
    answer(&mut stage, "one", Err("nothing was searched: split-wal".to_owned()));
    assert!(stage.screen().contains("✖ nothing was searched: split-wal"), "{}", stage.screen());
    assert_eq!(searches(&stage.keys("<C-u>two<Enter>")), ["two"]);
    answer(&mut stage, "one", Ok(found()));
    assert!(stage.screen().contains("a worker searches for two"), "{}", stage.screen());
    answer(&mut stage, "two", Ok(Vec::new()));
    assert!(stage.screen().contains("nothing found for two"), "{}", stage.screen());
    let effects = stage.keys("<C-c>");
    assert!(!quits(&effects) && effects.iter().any(|it| matches!(it, Effect::StopSearch)), "{effects:?}");
}

#[test]
fn documents_that_lack_words_are_shown_as_such() {
    let mut stage = stage();
    stage.keys("Szebra lion<Enter>");
    let database = stage.app.database().expect("a database").path.clone();
    let found =
        FoundTexts { hits: found(), matched: Some(WordMatch::Any), by: SearchMode::Words, words_alone: None };
    let found = FoundDocuments { database, query: "zebra lion".to_owned(), found: Ok(found) };
    stage.update(Message::Report(EffectReport::DocumentsFound(found)));
    assert!(stage.screen().contains("none has all of the words"), "{}", stage.screen());
}

#[test]
fn a_document_that_cannot_be_read_says_why_beside_its_snippet() {
    let mut stage = stage();
    stage.keys("Szebra<Enter>");
    answer(&mut stage, "zebra", Ok(found()));
    stage.keys("<Enter>");
    let (path, why) = ("/home/me/notes/1.md".to_owned(), "cannot read /home/me/notes/1.md".to_owned());
    stage.update(Message::Report(EffectReport::DocumentRead { path, text: Err(why) }));
    let screen = stage.screen();
    assert!(screen.contains("cannot read /home/me/notes/1.md") && screen.contains("«zebra»"), "{screen}");
}

#[test]
fn the_program_finds_and_shows_a_document_that_was_ingested() {
    let home = home();
    let notes = home.path().join("notes");
    fs::create_dir(&notes).expect("a folder");
    fs::write(notes.join("stripes.md"), "# Stripes\n\nA zebra has stripes.\n").expect("a note");
    let (path, mut writer) = database(home.path());
    let mut ingest = set_apart(Command::new(WALTOP), home.path());
    let ingest = ingest.args(["ingest", "--db", &path]).arg(&notes).output().expect("it runs");
    assert!(ingest.status.success(), "{ingest:?}");
    let mut terminal = Terminal::open(home.path(), &[&path], USUAL);
    terminal.shows("our client");
    terminal.keys("Szebr\r");
    terminal.shows("1 document for zebr");
    terminal.shows("«zebra»");
    terminal.keys("\r");
    terminal.shows("A zebra has stripes.");
    terminal.keys("q");
    terminal.shows("1 document for zebr");
    terminal.keys("\u{15}lion\r");
    terminal.shows("nothing found for lion");
    writer.sql("DROP TABLE nodes_fts");
    terminal.keys("\u{15}zebra\r");
    terminal.shows("nothing was ingested into");
    terminal.keys("\u{1b}");
    terminal.shows_no_more("Documents in");
    terminal.keys("q");
    assert_eq!(terminal.end(), 0);
}
