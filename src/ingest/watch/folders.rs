//! The folders of a watch, of which each may go away, come back, or be replaced by another of its name.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{ingest::discover::IngestFolder, paths::FileId};

/// The folders, and what stood there when it was last looked.
#[derive(Debug)]
pub struct WatchedFolders(Vec<(PathBuf, Option<FileId>)>);

impl WatchedFolders {
    pub fn new(folders: &[IngestFolder]) -> Self {
        Self(folders.iter().map(|it| (it.path.clone(), identity(&it.path))).collect())
    }

    pub fn is_any_missing(&self) -> bool {
        self.0.iter().any(|(_, there)| there.is_none())
    }

    /// Those that were there when it was last looked.
    pub fn present(&self) -> Vec<PathBuf> {
        self.0.iter().filter(|(_, there)| there.is_some()).map(|(path, _)| path.clone()).collect()
    }

    /// Looks again: a line for each that went or came back; `None` where all are what they were.
    pub fn changes(&mut self) -> Option<Vec<String>> {
        let mut lines = Vec::new();
        let mut is_changed = false;
        for (path, there) in &mut self.0 {
            let now = identity(path);
            if now == *there {
                continue;
            }
            is_changed = true;
            match (&there, now) {
                (Some(_), None) => lines.push(format!("{} is gone: waiting for it", path.display())),
                (None, Some(_)) => lines.push(format!("{} is back", path.display())),
                _ => {}
            }
            *there = now;
        }
        is_changed.then_some(lines)
    }
}

fn identity(folder: &Path) -> Option<FileId> {
    let there = fs::metadata(folder).ok().filter(fs::Metadata::is_dir)?;
    Some(FileId::of(&there))
}
