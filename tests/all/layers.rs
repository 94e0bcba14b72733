//! The house's invariants: who may name whom. A room that must not know something does not name it.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Rooms (paths below `src/`), and words that must not stand in them. A room is named by what stands before its
/// `::`, whether it is reached by `crate::`, by a brace below that, or by a name that was imported.
const MUST_NOT_NAME: &[(&[&str], &[&str], &str)] = &[
    (
        &[
            "observe",
            "observe.rs",
            "snapshot",
            "snapshot.rs",
            "history.rs",
            "history",
            "diagnose",
            "diagnose.rs",
            "act",
            "act.rs",
            "rescue",
            "rescue.rs",
        ],
        &["rusqlite", "database::"],
        "looks, thinks and acts without SQL; whatever needs it is a worker process",
    ),
    (
        &["console", "console.rs", "sampler.rs", "report.rs", "demo", "demo.rs"],
        &["rusqlite", "database::"],
        "the console process never opens a connection",
    ),
    (
        &[
            "observe",
            "observe.rs",
            "diagnose",
            "diagnose.rs",
            "snapshot.rs",
            "database",
            "database.rs",
            "ingest",
            "ingest.rs",
            "rescue",
            "rescue.rs",
        ],
        &["ratatui", "crossterm", "console::"],
        "what looks, thinks and works knows no screen",
    ),
    (
        &[
            "diagnose",
            "diagnose.rs",
            "snapshot.rs",
            "snapshot",
            "schedule.rs",
            "history.rs",
            "history",
            "console/app.rs",
            "console/app",
            "console/keymap.rs",
        ],
        &["fs::", "fs,", "fs;", "Instant::now", "Timestamp::now", "SystemTime", "thread::"],
        "pure: no I/O and no clock",
    ),
    (
        &["console/view", "console/view.rs"],
        &["fs::", "fs,", "fs;", "&mut App", "::now()"],
        "drawing reads the state only",
    ),
    (&["ingest", "ingest.rs"], &["act::", "report::"], "an ingestion knows no console"),
    (&["observe", "observe.rs"], &["diagnose::", "ingest::"], "data flows one way"),
    (
        &["console", "console.rs", "sampler.rs", "report.rs", "demo", "demo.rs", "act", "act.rs"],
        &["ingest::run", "ingest::search", "ingest::{", "ingest::*", "Store", "cli::"],
        "whatever works on a database, or answers a command, is a process of its own",
    ),
];

#[test]
fn no_room_names_what_it_must_not_know() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut offences = Vec::new();
    for (rooms, words, reason) in MUST_NOT_NAME {
        for room in *rooms {
            let files = rust_files(&src.join(room));
            assert!(!files.is_empty(), "there is no room {room}: mend this test");
            for file in files {
                let text = fs::read_to_string(&file).expect("a source file is text");
                let shipped = text.split("#[cfg(test)]\nmod").next().unwrap_or_default();
                for (number, line) in shipped.lines().enumerate() {
                    let code = line.split("//").next().unwrap_or_default();
                    for word in *words {
                        if names(code, word) {
                            offences.push(format!(
                                "{}:{} names {word}: {reason}",
                                file.display(),
                                number + 1
                            ));
                        }
                    }
                }
            }
        }
    }
    assert!(offences.is_empty(), "{offences:#?}");
}

/// Whether `word` stands in `code`, and not as the end or the beginning of a longer one.
fn names(code: &str, word: &str) -> bool {
    let goes_on = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word).any(|(at, _)| {
        let (before, after) = (&code[..at], &code[at + word.len()..]);
        !(word.starts_with(goes_on) && before.ends_with(goes_on)
            || word.ends_with(goes_on) && after.starts_with(goes_on))
    })
}

#[test]
fn a_room_is_named_in_every_spelling_that_the_house_uses() {
    for code in ["use crate::act::Act;", "    act::{Effect, Report},", "act::run()", "use crate::{act::Act};"]
    {
        assert!(names(code, "act::"), "{code}");
    }
    for code in ["use crate::{fact::Fact};", "exact::now()", "pact::x", "let act = 1;"] {
        assert!(!names(code, "act::"), "{code}");
    }
    assert!(names("ingest::run(&request)", "ingest::run") && !names("ingest::running", "ingest::run"));
    assert!(names("struct A(Store);", "Store") && !names("Restore, StoreError", "Store"));
}

#[test]
fn only_the_door_and_the_store_name_rusqlite() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let allowed = ["database", "database.rs", "ingest/store", "ingest/store.rs"];
    for file in rust_files(&src) {
        let room = file.strip_prefix(&src).expect("a file below src");
        if !allowed.iter().any(|allowed| room.starts_with(allowed)) {
            let text = fs::read_to_string(&file).expect("a source file is text");
            assert!(!text.contains("rusqlite"), "{} names rusqlite", room.display());
        }
    }
}

fn rust_files(path: &Path) -> Vec<PathBuf> {
    if path.is_file() {
        return vec![path.to_owned()];
    }
    let Ok(entries) = fs::read_dir(path) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries.flatten().flat_map(|entry| rust_files(&entry.path())).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "rs"));
    files
}
