//! The file that keeps the times.

use std::{collections::BTreeMap, ffi::OsStr, io, path::Path};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{FirstSeen, HeldKey, TimedEntry, idle::PersistedIdle, is_holder_alive};
use crate::state::folder::StateFolder;

const VERSION: u32 = 1;
// A larger file is not waltop's.
const LARGEST: u64 = 4 << 20;

#[derive(Serialize, Deserialize)]
struct PersistedFile {
    version: u32,
    boot: String,
    seen: Vec<PersistedEntry>,
    #[serde(default)]
    idle: Vec<PersistedIdle>,
}

#[derive(Serialize, Deserialize)]
struct PersistedEntry {
    #[serde(flatten)]
    key: HeldKey,
    at: Timestamp,
    runs: Option<u64>,
    #[serde(default)]
    is_irretrievable: bool,
}

impl FirstSeen {
    pub(super) fn try_write(
        &mut self,
        databases: &[String],
        lives: &dyn Fn(i32, Option<u64>) -> bool,
    ) -> io::Result<()> {
        // Another console may watch other databases, and has newer times for them, and older ones for these. An
        // unreadable file is replaced.
        self.entries.retain(|key, _| databases.contains(&key.database));
        let (kept, idle) = self.kept().unwrap_or_default();
        for (key, theirs) in kept {
            let is_stranger = !databases.contains(&key.database) && !self.forgotten.contains(&key.database);
            if is_stranger && is_holder_alive(&key, lives) {
                self.entries.insert(key, theirs);
            }
        }
        self.idle.merge(idle, &|process| lives(process.pid, Some(process.start_ticks)));
        let seen = self.entries.iter().map(|(key, entry)| PersistedEntry {
            key: key.clone(),
            at: entry.at,
            runs: entry.runs,
            is_irretrievable: entry.is_irretrievable,
        });
        let kept = PersistedFile {
            version: VERSION,
            boot: self.boot.clone(),
            seen: seen.collect(),
            idle: self.idle.entries(),
        };
        StateFolder::make(self.folder())?.replace(self.name(), &serde_json::to_vec(&kept)?)?;
        self.forgotten.clear();
        self.idle.is_written();
        Ok(())
    }

    fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("."))
    }

    fn name(&self) -> &OsStr {
        self.path.file_name().unwrap_or_default()
    }

    pub(super) fn kept(&self) -> io::Result<(BTreeMap<HeldKey, TimedEntry>, Vec<PersistedIdle>)> {
        let bytes = StateFolder::open(self.folder()).and_then(|folder| folder.read(self.name(), LARGEST));
        let bytes = match bytes {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Default::default()),
            Err(error) => return Err(error),
        };
        let kept: PersistedFile = serde_json::from_slice(&bytes)?;
        // PIDs, ticks and inodes of another boot mean nothing, nor do entries of a future version.
        if kept.version != VERSION || kept.boot != self.boot {
            return Ok(Default::default());
        }
        let entry = |PersistedEntry { key, at, runs, is_irretrievable }| {
            (key, TimedEntry { at, runs, is_irretrievable, is_held: false })
        };
        Ok((kept.seen.into_iter().map(entry).collect(), kept.idle))
    }
}
