//! Searches ingested documents in a worker process, and reads the file of one.

use std::{
    io,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use crate::{
    bounded,
    ingest::discover,
    ingest::query::{SearchMode, WordMatch, WordsAlone},
    state::folder,
};

/// How much of a document is shown.
const MOST_BYTES: usize = 1 << 20;

/// How many documents a search lists.
pub const MOST_FOUND: usize = 50;

/// A document that was found.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct FoundText {
    /// Its name in the database: the path of its file, if it was ingested without another root.
    pub path: String,
    pub title: String,
    /// The text around the words, which are marked.
    pub snippet: String,
}

/// What a worker found.
#[derive(Debug, Clone, Deserialize)]
pub struct FoundTexts {
    pub hits: Vec<FoundText>,
    /// Whether all words are in each document.
    pub matched: Option<WordMatch>,
    pub by: SearchMode,
    /// Why it was by words alone although the settings name an embeddings API.
    pub words_alone: Option<WordsAlone>,
}

/// The answer to a search.
#[derive(Debug, Clone)]
pub struct FoundDocuments {
    pub database: PathBuf,
    pub query: String,
    /// An error says why nothing was searched.
    pub found: Result<FoundTexts, String>,
}

impl FoundTexts {
    /// Whether no document has all words, and these have some.
    pub fn lacks_words(&self) -> bool {
        self.by == SearchMode::Words && self.matched == Some(WordMatch::Any)
    }

    /// Whether the embeddings API gave no vector in time.
    pub fn lacks_meaning(&self) -> bool {
        self.words_alone.is_some_and(|why| why != WordsAlone::NoVectors)
    }
}

/// The beginning of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentText {
    pub text: String,
    pub is_cut: bool,
}

/// Reads the document at `path`, as it is now.
pub(super) fn read(path: &str) -> Result<DocumentText, String> {
    let file = Path::new(path);
    if !file.is_absolute() {
        return Err(format!("{path} was ingested under another name than its path: open the file yourself"));
    }
    if !discover::is_document(file) {
        return Err(format!("{path} is not named as a document is: it was not opened"));
    }
    let say =
        |error: io::Error| format!("cannot read {path}: {error}; it may have moved since it was ingested");
    let read = folder::open(file).and_then(|file| bounded::read_from(file, MOST_BYTES)).map_err(say)?;
    Ok(DocumentText { text: String::from_utf8_lossy(&read.bytes).into_owned(), is_cut: read.is_cut })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;

    #[test]
    fn a_document_is_read_up_to_the_limit_and_nothing_else_is_opened() {
        let dir = TempDir::new().expect("a folder");
        let path = |name: &str| dir.path().join(name).display().to_string();
        fs::write(path("a.md"), "# Zebra\n").expect("a file");
        assert_eq!(read(&path("a.md")), Ok(DocumentText { text: "# Zebra\n".to_owned(), is_cut: false }));
        fs::write(path("long.md"), vec![b'x'; MOST_BYTES + 1]).expect("a file");
        assert!(read(&path("long.md")).is_ok_and(|it| it.is_cut && it.text.len() == MOST_BYTES));
        fs::write(path("notes.db"), "text").expect("a file");
        fs::create_dir(path("folder.md")).expect("a folder");
        for refused in ["notes.db", "folder.md", "none.md"] {
            assert!(read(&path(refused)).is_err_and(|why| why.contains(refused)), "{refused}");
        }
        assert!(read("root/a.md").is_err_and(|why| why.contains("another name")));
    }
}
