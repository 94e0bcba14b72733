//! The folders of an ingestion, and why one cannot be ingested.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::text::{Advised, display_as_line};

/// A folder, with its name in the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IngestFolder {
    /// Its path, without symbolic links.
    pub path: PathBuf,
    /// The path as text, or the name given with `--root`; document names start with it.
    pub name: String,
}

impl IngestFolder {
    /// Opens the folder at `path`, named `root` if that is given.
    ///
    /// # Errors
    ///
    /// There is no such folder, or its path is not UTF-8.
    pub fn open(path: &Path, root: Option<&str>) -> Result<Self, DiscoverError> {
        let wrap = |source| DiscoverError::Unreadable { path: path.display().to_string(), source };
        let real = fs::canonicalize(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => DiscoverError::Missing(path.display().to_string()),
            _ => wrap(error),
        })?;
        if !real.is_dir() {
            return Err(DiscoverError::NotAFolder(path.display().to_string()));
        }
        fs::read_dir(&real).map_err(wrap)?;
        let name = match root {
            Some(root) => root.to_owned(),
            None => {
                real.to_str().ok_or_else(|| DiscoverError::NotUtf8(path.display().to_string()))?.to_owned()
            }
        };
        Ok(Self { path: real, name })
    }

    /// Prefix of the names of its documents.
    pub fn prefix(&self) -> String {
        Self::prefix_of(&self.name)
    }

    /// The same of the folder `name`.
    pub fn prefix_of(name: &str) -> String {
        format!("{}/", name.trim_end_matches('/'))
    }
}

/// Why folders cannot be ingested.
#[derive(Debug, thiserror::Error)]
pub enum DiscoverError {
    NoFolder,
    Missing(String),
    NotAFolder(String),
    Unreadable {
        path: String,
        source: io::Error,
    },
    /// Its name cannot be stored in the database.
    NotUtf8(String),
    NoDocuments(String),
}

impl Advised for DiscoverError {
    fn fact(&self) -> String {
        match self {
            Self::NoFolder => "no folder to ingest".to_owned(),
            Self::Missing(path) => format!("there is no folder {path}"),
            Self::NotAFolder(path) => format!("{path} is not a folder"),
            Self::Unreadable { path, source } => format!("cannot read the folder {path}: {source}"),
            Self::NotUtf8(path) => format!("the path of {path} is not UTF-8"),
            Self::NoDocuments(path) => format!("no documents in {path}"),
        }
    }

    fn advice(&self) -> Option<String> {
        let advice = match self {
            Self::NoFolder => "name one",
            Self::Missing(_) => "check the path",
            Self::NotAFolder(_) => "name the folder that holds the documents",
            Self::Unreadable { .. } => "check who may read it, or name another",
            Self::NotUtf8(_) => "name the folder with --root",
            Self::NoDocuments(_) => {
                "it needs .md, .markdown, .mdx or .txt files that are not ignored (--hidden takes hidden ones)"
            }
        };
        Some(advice.to_owned())
    }
}

display_as_line!(DiscoverError);
