//! The invariants of `lib.rs`: the rooms (top-level modules) form an acyclic graph, and some words never occur in some rooms.

use std::{
    collections::{BTreeMap, BTreeSet},
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
            "recording",
            "recording.rs",
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
        &["console", "console.rs", "replay", "replay.rs", "sampler.rs", "report.rs", "demo", "demo.rs"],
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
            "history.rs",
            "history",
            "console/app.rs",
            "console/app",
            "console/dialogs.rs",
            "console/dialogs",
            "console/process_columns.rs",
            "console/widgets.rs",
            "console/widgets",
            "keymap.rs",
            "keymap",
        ],
        &["fs::", "fs,", "fs;", "Instant::now", "Timestamp::now", "SystemTime", "thread::"],
        "pure: no I/O and no clock",
    ),
    (
        &["console/view", "console/view.rs"],
        &["fs::", "fs,", "fs;", "&mut App", "::now()"],
        "drawing reads the state only",
    ),
    (
        &["console/view", "console/view.rs"],
        &["log::log", "tui_logger"],
        "the screen shows nothing but `&App`",
    ),
    (
        &["console/app.rs", "console/app", "console/process_columns.rs"],
        &["view::"],
        "the state knows no drawing",
    ),
    (
        &["console/dialogs.rs", "console/dialogs"],
        &["app::", "App"],
        "a dialog is a part of the state and draws from what it is given",
    ),
    (
        &["console/dialogs.rs", "console/dialogs"],
        &["view", "view::"],
        "what a dialog and a panel are both drawn with is in `console/widgets`",
    ),
    (
        &["console/view"],
        &["dialogs", "dialogs::"],
        "`console/view.rs` draws the open dialog; panels know none",
    ),
    (
        &["console/widgets.rs", "console/widgets"],
        &["app", "app::", "App", "dialogs", "dialogs::", "view", "view::"],
        "what all are drawn with knows none of them",
    ),
    (
        &["console/screen_map.rs"],
        &["app::", "App", "dialogs", "view", "widgets"],
        "drawing reports to it what lies where",
    ),
    (
        &["metrics.rs", "metrics"],
        &["fs::", "fs,", "fs;", "Instant::now", "Timestamp::now", "SystemTime", "thread::", "hyper"],
        "metrics are numbers and text",
    ),
    (
        &["serve.rs", "serve", "metrics.rs", "metrics"],
        &["rusqlite", "database::", "observe::", "cli::", "console::", "act::"],
        "what is served comes from samples alone",
    ),
    (
        &["mcp.rs", "mcp"],
        &[
            "rusqlite",
            "database::",
            "ingest::",
            "observe::",
            "sampler::",
            "cli::",
            "console::",
            "fs::",
            "File",
        ],
        "an MCP server holds nothing open: its workers do",
    ),
    (
        &[
            "observe",
            "observe.rs",
            "snapshot.rs",
            "snapshot",
            "diagnose.rs",
            "diagnose",
            "history.rs",
            "history",
        ],
        &["metrics::", "serve::"],
        "what is sampled does not depend on who reads it",
    ),
    (&["sampler.rs", "recording.rs", "recording"], &["serve::", "hyper"], "no sample waits for a client"),
    (&["ingest", "ingest.rs"], &["act::", "report::"], "an ingestion knows no console"),
    (&["observe", "observe.rs"], &["diagnose::", "ingest::"], "data flows one way"),
    (
        &["console", "console.rs", "sampler.rs", "report.rs", "demo", "demo.rs", "act", "act.rs"],
        &[
            "ingest::run",
            "ingest::search",
            "ingest::hybrid",
            "ingest::nearest",
            "ingest::{",
            "ingest::*",
            "DocumentStore",
            "cli::",
        ],
        "whatever works on a database, or answers a command, is a process of its own",
    ),
];

#[test]
fn no_room_names_what_it_must_not_know() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut offences = Vec::new();
    for (rooms, words, reason) in MUST_NOT_NAME {
        for room in *rooms {
            let files = program_files(&src.join(room));
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

/// Room -> the rooms that its files name after `crate::`, with one of those files.
type RoomGraph = BTreeMap<String, BTreeMap<String, PathBuf>>;

#[test]
fn the_room_graph_is_acyclic() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut graph = RoomGraph::new();
    for file in program_files(&src) {
        let below = file.strip_prefix(&src).expect("a file below src").to_owned();
        let room = below.iter().next().expect("a name").to_string_lossy().trim_end_matches(".rs").to_owned();
        let text = fs::read_to_string(&file).expect("a source file is text");
        for named in rooms_named(&text).into_iter().filter(|named| *named != room) {
            graph.entry(room.clone()).or_default().entry(named).or_insert_with(|| below.clone());
        }
    }
    assert!(
        graph.len() > 15 && graph["observe"].contains_key("snapshot"),
        "too few arrows were read: {graph:#?}"
    );
    assert_eq!(cycle(&graph), None, "rooms depend on each other in a cycle");
}

#[test]
fn a_cycle_of_rooms_is_found_in_every_form_of_import() {
    assert_eq!(
        rooms_named(
            "use crate::{\n    act::{Effect, signal},\n    text, units,\n};\nfn f() { crate::paths::x() }"
        ),
        ["act", "paths", "text", "units"].map(str::to_owned).into(),
    );
    assert_eq!(
        rooms_named("use crate::act::x;\n// crate::b\n#[cfg(test)]\nmod tests { use crate::c; }").len(),
        1
    );
    let graph = |arrows: &[(&str, &str)]| {
        let mut graph = RoomGraph::new();
        for (from, to) in arrows {
            graph.entry((*from).to_owned()).or_default().insert((*to).to_owned(), PathBuf::new());
        }
        graph
    };
    assert_eq!(cycle(&graph(&[("a", "b"), ("b", "c"), ("a", "c")])), None);
    assert!(cycle(&graph(&[("a", "b"), ("b", "c"), ("c", "b")])).is_some());
}

/// The rooms that the shipped part of a file names.
fn rooms_named(text: &str) -> BTreeSet<String> {
    let shipped = text.split("#[cfg(test)]\nmod").next().unwrap_or_default();
    let code: String =
        shipped.lines().map(|line| line.split("//").next().unwrap_or_default().to_owned() + "\n").collect();
    let first = |path: &str| {
        path.trim_start().split(|c: char| !c.is_alphanumeric() && c != '_').next().map(str::to_owned)
    };
    let mut rooms = BTreeSet::new();
    for (at, found) in code.match_indices("crate::") {
        let rest = &code[at + found.len()..];
        match rest.strip_prefix('{') {
            Some(list) => rooms.extend(outermost(list).into_iter().filter_map(first)),
            None => rooms.extend(first(rest)),
        }
    }
    rooms.retain(|room| room.chars().next().is_some_and(char::is_lowercase) && room != "self");
    rooms
}

/// The items of a `use` list, up to the brace that closes it; each with what is nested in it.
fn outermost(list: &str) -> Vec<&str> {
    let (mut depth, mut start, mut items) = (0, 0, Vec::new());
    for (at, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                items.push(&list[start..at]);
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                items.push(&list[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    items
}

/// What is left of the graph once every room is taken out that names no room left: the cycles and what leads to them.
fn cycle(graph: &RoomGraph) -> Option<RoomGraph> {
    let mut left = graph.clone();
    loop {
        let rooms: BTreeSet<String> = left.keys().cloned().collect();
        for named in left.values_mut() {
            named.retain(|room, _| rooms.contains(room));
        }
        let before = left.len();
        left.retain(|_, named| !named.is_empty());
        match left.len() {
            0 => return None,
            now if now == before => return Some(left),
            _ => {}
        }
    }
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

/// What only `observe/proc/` may name: the files of `/proc/PID`, and a crate that reads them.
const FILES_OF_A_PROCESS: &[&str] = &[
    "procfs::",
    "/proc/self/",
    "/proc/{",
    "(\"cgroup\")",
    "(\"cmdline\")",
    "(\"comm\")",
    "(\"cwd\")",
    "(\"environ\")",
    "(\"exe\")",
    "(\"fd\")",
    "(\"fdinfo\")",
    "(\"maps\")",
    "(\"mountinfo\")",
    "(\"ns/",
    "/ns/",
    "(\"schedstat\")",
    "(\"stat\")",
    "(\"statm\")",
    "(\"status\")",
    "(\"task\")",
];

/// Files that may, and why.
const MAY_READ_A_PROCESS: &[(&str, &str)] =
    &[("state/folder.rs", "the user namespace of waltop itself; `observe` stands above `state`")];

#[test]
fn one_room_reads_the_files_of_a_process() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut named: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for file in program_files(&src) {
        let below = file.strip_prefix(&src).expect("a file below src").to_string_lossy().into_owned();
        let text = fs::read_to_string(&file).expect("a source file is text");
        let shipped = text.split("#[cfg(test)]\nmod").next().unwrap_or_default();
        let code = shipped.lines().map(|line| line.split("//").next().unwrap_or_default());
        for line in code {
            let words = FILES_OF_A_PROCESS.iter().filter(|word| line.contains(**word));
            words.for_each(|word| _ = named.entry(below.clone()).or_default().insert(word));
        }
    }
    let inside: BTreeSet<&str> = named
        .extract_if(.., |file, _| file.starts_with("observe/proc/") || file == "observe/proc.rs")
        .flat_map(|(_, words)| words)
        .collect();
    assert!(inside.len() > 12, "the room reads fewer files than it is known to: {inside:?}");
    for (file, reason) in MAY_READ_A_PROCESS {
        assert!(named.remove(*file).is_some(), "{file} needs no exception any more ({reason})");
    }
    assert!(named.is_empty(), "read these through `observe::proc`: {named:#?}");
}

/// The files of the program below `path`: those of nothing but tests may name more.
fn program_files(path: &Path) -> Vec<PathBuf> {
    let is_test = |file: &Path| {
        let below = file.strip_prefix(env!("CARGO_MANIFEST_DIR")).expect("a file of the package");
        below.iter().any(|part| part == "tests" || part == "tests.rs")
    };
    rust_files(path).into_iter().filter(|file| !is_test(file)).collect()
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

#[test]
fn no_effect_that_the_state_returns_can_be_dropped() {
    let app = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/console");
    let mut functions = 0;
    for file in [rust_files(&app.join("app.rs")), rust_files(&app.join("app"))].concat() {
        let text = fs::read_to_string(&file).expect("a source file is text");
        let mut before = "";
        for line in text.lines() {
            if line.contains("-> Vec<Effect>") && line.contains("fn ") {
                functions += 1;
                assert_eq!(before.trim(), "#[must_use]", "{}: {line}", file.display());
            }
            before = line;
        }
    }
    assert!(functions > 20, "too few functions were read: {functions}");
}
