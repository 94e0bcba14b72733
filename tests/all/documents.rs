//! The README and the documents: their form, their links, and that what they show and quote is true.

use std::{collections::BTreeSet, fs, path::Path};

mod commands;
mod copies;
mod figures;
mod generated;

/// Every document that people read, by its path in the repository.
const DOCUMENTS: &[&str] = &[
    "README.md",
    "CHANGELOG.md",
    ".github/CONTRIBUTING.md",
    ".github/SECURITY.md",
    "docs/architecture.md",
    "docs/benchmarks.md",
    "docs/building.md",
    "docs/commands.md",
    "docs/configuration.md",
    "docs/field-reports.md",
    "docs/findings.md",
    "docs/how-it-works.md",
    "docs/installing.md",
    "docs/limits.md",
    "docs/mcp.md",
    "docs/monitoring.md",
    "docs/recording.md",
    "docs/remote.md",
    "docs/search.md",
];

const MOST_WORDS: usize = 1200;
const MOST_WORDS_IN_A_CELL: usize = 15;

/// A fenced block: its language and its lines.
struct Block {
    language: String,
    lines: Vec<String>,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The fenced blocks of `text`, and the lines outside of them.
fn parts(text: &str) -> (Vec<Block>, Vec<&str>) {
    let (mut blocks, mut prose) = (Vec::new(), Vec::new());
    let mut is_open = false;
    for line in text.lines() {
        if let Some(language) = line.strip_prefix("```") {
            is_open = !is_open;
            if is_open {
                blocks.push(Block { language: language.to_owned(), lines: Vec::new() });
            }
        } else if is_open {
            blocks.last_mut().expect("a block is open").lines.push(line.to_owned());
        } else {
            prose.push(line);
        }
    }
    assert!(!is_open, "a block is not closed");
    (blocks, prose)
}

/// What stands between backticks in `lines`.
fn inline_code(lines: &[&str]) -> Vec<String> {
    lines.join(" ").split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn words(text: &str) -> usize {
    text.split_whitespace().filter(|word| word.contains(char::is_alphanumeric)).count()
}

#[test]
fn every_document_is_listed() {
    let files = |folder: &str| -> Vec<String> {
        let entries = fs::read_dir(root().join(folder)).expect("a folder");
        entries
            .map(|entry| entry.expect("an entry").file_name().into_string().expect("text"))
            .filter(|name| Path::new(name).extension().is_some_and(|it| it == "md"))
            .map(|name| format!("{folder}/{name}").trim_start_matches("./").to_owned())
            .collect()
    };
    let found: BTreeSet<String> = [".", ".github", "docs"].into_iter().flat_map(files).collect();
    let listed: BTreeSet<String> = DOCUMENTS.iter().map(|&path| path.to_owned()).collect();
    assert_eq!(found, listed);
}

#[test]
fn the_readme_is_short() {
    let text = read("README.md");
    let (_, prose) = parts(&text);
    let prose: Vec<&str> = prose.into_iter().filter(|line| !line.starts_with("<!--")).collect();
    let count = words(&prose.join("\n"));
    assert!(count <= MOST_WORDS, "README.md has {count} words, more than {MOST_WORDS}");
    for row in prose.iter().filter(|line| line.starts_with('|')) {
        for cell in row.split('|') {
            let count = words(cell);
            assert!(count <= MOST_WORDS_IN_A_CELL, "{count} words in the cell `{}`", cell.trim());
        }
    }
}

/// The name by which a link reaches a heading.
fn anchor(heading: &str) -> String {
    let letters = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    letters.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
}

fn has_anchor(path: &Path, wanted: &str) -> bool {
    let text = fs::read_to_string(path).unwrap_or_default();
    let (_, prose) = parts(&text);
    let headings = prose.iter().filter_map(|line| line.strip_prefix('#'));
    headings.map(|line| line.trim_start_matches('#').trim()).any(|heading| anchor(heading) == wanted)
}

#[test]
fn every_link_leads_somewhere() {
    for document in DOCUMENTS {
        let text = read(document);
        let folder = Path::new(document).parent().expect("a file has a folder");
        let (_, prose) = parts(&text);
        for line in prose {
            for target in line.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|it| it.0) {
                if target.starts_with("https://") {
                    continue;
                }
                let (file, heading) = target.split_once('#').unwrap_or((target, ""));
                let path =
                    if file.is_empty() { root().join(document) } else { root().join(folder).join(file) };
                assert!(path.exists(), "{document}: {target} does not exist");
                assert!(
                    heading.is_empty() || has_anchor(&path, heading),
                    "{document}: {target} has no such heading"
                );
            }
        }
    }
}

#[test]
fn the_readme_shows_a_picture_and_links_every_document() {
    let text = read("README.md");
    assert!(text.contains("](assets/console.png)"));
    let is_linked = |path: &&&str| **path == "README.md" || text.contains(&format!("]({path})"));
    let missing: Vec<_> = DOCUMENTS.iter().filter(|path| !is_linked(path)).collect();
    assert!(missing.is_empty(), "README.md does not link {missing:?}");
}
