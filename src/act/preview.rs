//! What an ingestion of a folder would take, and the folders that complete a typed path.
//!
//! Both are bounded: a path may lead to a whole disk, or to a file system that does not answer.

use std::{fs, path::PathBuf, time::Duration};

use crate::{
    ingest::StopFlag,
    ingest::discover::{self, DocumentCount},
    observe::with_sidecars,
};

/// How long the documents of a folder are counted.
pub const COUNTING: Duration = Duration::from_secs(2);
/// How many previews run at the same time; more wait on a file system that does not answer.
pub(super) const MOST_RUNNING: usize = 4;
/// How many entries of a folder are read for names that complete a path.
const MOST_ENTRIES: usize = 10_000;
/// How many such names are kept.
const MOST_NAMES: usize = 100;

/// A typed path whose folder is previewed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderQuery {
    /// The path as typed, which the answer repeats.
    pub typed: String,
    /// The same with `~` replaced.
    pub folder: PathBuf,
    /// Its files are no documents.
    pub database: PathBuf,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderPreview {
    pub typed: String,
    /// The folder without links and `..`, or as it was asked for if it cannot be resolved.
    pub folder: PathBuf,
    /// An error says why the folder cannot be ingested.
    pub documents: Result<DocumentCount, String>,
    /// The folders beside which the typed path ends and whose names begin with its last part, sorted.
    pub names: Vec<String>,
}

/// The preview of `query`; the count ends early if `stop` is raised.
pub(super) fn preview(query: FolderQuery, stop: &StopFlag) -> FolderPreview {
    let names = names(&query);
    let ours = with_sidecars(&query.database);
    let documents = discover::count(&query.folder, &ours, stop).map_err(|error| error.to_string());
    let folder = query.folder.canonicalize().unwrap_or(query.folder);
    FolderPreview { typed: query.typed, folder, documents, names }
}

fn names(query: &FolderQuery) -> Vec<String> {
    let begun = query.typed.rsplit('/').next().unwrap_or_default();
    let parent = match query.folder.to_str() {
        Some(path) if path.ends_with('/') => query.folder.clone(),
        _ => query.folder.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(".".as_ref()).to_owned(),
    };
    let Ok(entries) = fs::read_dir(parent) else { return Vec::new() };
    let mut names: Vec<String> = entries
        .take(MOST_ENTRIES)
        .flatten()
        .filter(|entry| {
            entry.file_type().is_ok_and(|kind| kind.is_dir())
                || entry.file_type().is_ok_and(|kind| kind.is_symlink()) && entry.path().is_dir()
        })
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.starts_with(begun) && (begun.starts_with('.') || !name.starts_with('.')))
        .collect();
    names.sort_unstable();
    names.truncate(MOST_NAMES);
    names
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn home() -> TempDir {
        let home = TempDir::new().expect("a folder");
        for folder in ["notes", "notes-old", "other", ".hidden"] {
            fs::create_dir(home.path().join(folder)).expect("a folder");
        }
        for file in ["notes/a.md", "notes/b.txt", "notes/c.rs", "nothing"] {
            fs::write(home.path().join(file), "four").expect("a file");
        }
        home
    }

    fn of(home: &TempDir, typed: &str) -> FolderPreview {
        let folder = PathBuf::from(format!("{}/{typed}", home.path().display()));
        let typed = folder.display().to_string();
        let database = home.path().join("notes/b.txt");
        preview(FolderQuery { typed, folder, database }, &StopFlag::default())
    }

    #[test]
    fn the_folders_that_begin_as_typed_complete_a_path() {
        let home = home();
        assert_eq!(of(&home, "no").names, ["notes", "notes-old"]);
        assert_eq!(of(&home, "").names, ["notes", "notes-old", "other"]);
        assert_eq!(of(&home, ".h").names, [".hidden"]);
        assert!(of(&home, "nowhere/x").names.is_empty());
    }

    #[test]
    fn documents_are_counted_as_an_ingestion_takes_them_without_the_database() {
        let home = home();
        let count = of(&home, "notes").documents.expect("a folder");
        assert_eq!(count, DocumentCount { files: 1, bytes: 4, is_complete: true });
        assert!(of(&home, "nowhere").documents.is_err_and(|why| why.starts_with("there is no folder")));
        assert!(of(&home, "nothing").documents.is_err_and(|why| why.contains("is not a folder")));
    }

    #[test]
    fn a_link_completes_a_path_only_where_it_leads_to_a_folder() {
        let home = home();
        for (name, target) in [("link-folder", "notes"), ("link-file", "nothing"), ("link-none", "nowhere")] {
            std::os::unix::fs::symlink(home.path().join(target), home.path().join(name)).expect("a link");
        }
        assert_eq!(of(&home, "link").names, ["link-folder"]);
    }

    #[test]
    fn a_path_that_ends_in_a_slash_is_completed_by_what_is_below_it() {
        let home = home();
        fs::create_dir(home.path().join("notes/drafts")).expect("a folder");
        assert_eq!(of(&home, "notes/").names, ["drafts"]);
        assert_eq!(of(&home, "notes/d").names, ["drafts"]);
    }
}
