//! Reading a journal as it grows.

use std::{
    fs::{self, File, Metadata},
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::MetadataExt,
    path::Path,
    time::SystemTime,
};

use super::story::Story;

/// A journal, and how far it has been read.
#[derive(Debug, Default)]
pub(super) struct Followed {
    inode: u64,
    read_to: u64,
    // Size and time of the journal when it was last read.
    read_at: Option<(u64, SystemTime)>,
    pub story: Option<Story>,
    /// What was wrong with a line that was passed over.
    pub nonsense: Option<String>,
}

impl Followed {
    /// Reads what was appended to the journal at `path`; `proc` tells whether its process lives.
    pub fn catch_up(&mut self, path: &Path, proc: &Path) -> io::Result<()> {
        // A process that was gone before its journal is read has written all that it ever will. Where the
        // journal had not named it yet, it is asked for after the reading, and what came in between is read too.
        let mut known_to_live = self.story.as_ref().map(|story| story.lives(proc));
        let metadata = match fs::symlink_metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other?,
        };
        if metadata.ino() != self.inode || metadata.len() < self.read_to {
            *self = Self { inode: metadata.ino(), ..Self::default() };
            known_to_live = None;
        }
        self.read_on(path, &metadata)?;
        let lives =
            known_to_live.or_else(|| self.story.as_ref().map(|story| story.lives(proc))).unwrap_or(true);
        if known_to_live.is_none() && !lives {
            self.read_on(path, &fs::symlink_metadata(path)?)?;
        }
        if let Some(story) = &mut self.story {
            story.settle(lives);
        }
        Ok(())
    }

    /// Reads the whole lines that were appended; one that is being written is left for the next look.
    fn read_on(&mut self, path: &Path, metadata: &Metadata) -> io::Result<()> {
        let state = (metadata.len(), metadata.modified()?);
        if metadata.len() <= self.read_to || self.read_at == Some(state) {
            return Ok(());
        }
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(self.read_to))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        self.read_at = Some(state);
        let Some(end) = bytes.iter().rposition(|&byte| byte == b'\n') else { return Ok(()) };
        self.read_to += end as u64 + 1;
        for line in bytes[..end].split(|&byte| byte == b'\n') {
            if let Err(nonsense) = self.take(line) {
                self.nonsense = Some(nonsense);
            }
        }
        Ok(())
    }

    fn take(&mut self, line: &[u8]) -> Result<(), String> {
        let line = serde_json::from_slice(line).map_err(|error| format!("a line makes no sense: {error}"))?;
        match &mut self.story {
            Some(story) => story.go_on(line),
            None => self.story = Some(Story::begin(line)?),
        }
        Ok(())
    }
}
