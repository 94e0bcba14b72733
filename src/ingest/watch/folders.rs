//! The folders of a watch. Each may be removed, restored, or replaced by another of the same name.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{ingest::discover::IngestFolder, paths::FileId};

/// The folders, and what was there at the last check.
#[derive(Debug)]
pub struct WatchedFolders(Vec<(PathBuf, Option<FileId>)>);

impl WatchedFolders {
    pub fn new(folders: &[IngestFolder]) -> Self {
        Self(folders.iter().map(|it| (it.path.clone(), identity(&it.path))).collect())
    }

    pub fn is_any_missing(&self) -> bool {
        self.0.iter().any(|(_, there)| there.is_none())
    }

    /// Those that existed at the last check.
    pub fn present(&self) -> Vec<PathBuf> {
        self.0.iter().filter(|(_, there)| there.is_some()).map(|(path, _)| path.clone()).collect()
    }

    /// Checks again: a line for each that was removed or restored; `None` if all are unchanged.
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
