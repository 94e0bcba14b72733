//! The libraries that were read, in a file of waltop's.

use std::{collections::HashMap, ffi::OsStr, fs::Metadata, os::unix::fs::MetadataExt, path::PathBuf};

use serde::{Deserialize, Serialize};

use super::scan::FoundSqlite;
use crate::state::folder::StateFolder;

/// The file in waltop's state folder.
const NAME: &str = "sqlite-libraries.json";
/// Changes when libraries are read in another way.
const FORMAT: u32 = 1;
/// The most libraries that are kept.
const MOST: usize = 4096;
/// Bytes of the file with so many.
const MOST_BYTES: usize = 4 << 20;

/// Identifies the content of a file: another one has another time or size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LibraryIdentity {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

impl LibraryIdentity {
    pub fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

/// The libraries that were read, now or by an earlier waltop.
#[derive(Debug)]
pub struct KnownLibraries {
    state: PathBuf,
    known: HashMap<LibraryIdentity, Option<FoundSqlite>>,
    is_changed: bool,
}

#[derive(Debug, Serialize, Deserialize)]
struct KnownFile {
    format: u32,
    libraries: Vec<(LibraryIdentity, Option<FoundSqlite>)>,
}

impl KnownLibraries {
    /// What the file in the folder `state` has; nothing if it cannot be read.
    pub fn load(state: PathBuf) -> Self {
        let read = StateFolder::open(&state).and_then(|folder| {
            let bytes = folder.read(OsStr::new(NAME), MOST_BYTES as u64)?;
            Ok(serde_json::from_slice::<KnownFile>(&bytes)?)
        });
        let libraries = read.ok().filter(|file| file.format == FORMAT).map(|file| file.libraries);
        Self { state, known: libraries.unwrap_or_default().into_iter().collect(), is_changed: false }
    }

    /// The SQLite in a library, if it was read before.
    pub fn get(&self, identity: LibraryIdentity) -> Option<&Option<FoundSqlite>> {
        self.known.get(&identity)
    }

    pub fn insert(&mut self, identity: LibraryIdentity, found: Option<FoundSqlite>) {
        if self.known.len() >= MOST {
            // Rare, and they are read again.
            self.known.clear();
        }
        self.known.insert(identity, found);
        self.is_changed = true;
    }

    /// Writes what is new to the file. What cannot be written is read again by the next waltop.
    pub fn save(&mut self) {
        if !std::mem::take(&mut self.is_changed) {
            return;
        }
        let libraries = self.known.iter().map(|(identity, found)| (*identity, found.clone())).collect();
        let Ok(bytes) = serde_json::to_vec(&KnownFile { format: FORMAT, libraries }) else { return };
        let _ = StateFolder::make(&self.state).and_then(|folder| folder.replace(OsStr::new(NAME), &bytes));
    }
}
