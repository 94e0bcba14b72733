//! The state of the log in one sample.

use std::io;

use super::{DatabaseView, DatabaseWatch, note};
use crate::{
    file_format::WRITE_BYTE,
    observe::{files, wal::LogHeader},
    snapshot::{Unseen, WalSource, WalState},
};

impl DatabaseWatch {
    /// What the index says of the log, if a process vouches for it, else what the log itself says.
    pub(super) fn wal(&mut self, view: &DatabaseView, unseen: &mut Vec<Unseen>) -> Option<WalState> {
        let sight = view.sights[1].as_ref()?;
        let path = &self.paths[1];
        let mut tell = |error: &io::Error| note(unseen, "the log", path, error);
        let file = files::open(path).map_err(|error| tell(&error)).ok()?;
        let header = LogHeader::read(&file).map_err(|error| tell(&error)).unwrap_or_default();
        let is_vouched_for = view.is_index_in_use();
        if header.is_none() && view.index.is_none() {
            return None;
        }
        let mut wal = WalState {
            frames: view.index.map(|index| index.frames),
            backfilled: view.index.map(|index| index.backfilled),
            pending: view.index.map(|index| index.frames.saturating_sub(index.backfilled)),
            checkpoint_sequence: header.map(|header| header.checkpoint_sequence),
            source: if is_vouched_for { WalSource::Index } else { WalSource::Log },
            page_count: view.index.map(|index| index.page_count),
            slots: header.map(|header| header.slots(sight.facts.bytes)),
            commits: view.index.map(|index| index.commits),
            read_marks: view.index.map(|index| index.read_marks),
            growth_bytes_per_second: self.history().wal_bytes_per_second(),
            progress: None,
            uncommitted_frames: header
                .zip(view.index)
                // The first writer of an empty log gives it salts of its own, which the index has after its commit.
                .filter(|(header, index)| header.salts() == index.salts || index.frames == 0)
                .filter(|_| view.index_rows.iter().any(|row| row.is_write && row.covers(WRITE_BYTE)))
                .and_then(|(header, index)| header.frames_after(&file, index.frames, sight.facts.bytes).ok())
                .filter(|frames| *frames > 0),
        };
        if let Some(header) = header.filter(|_| !is_vouched_for) {
            match self.counter.count(&file, header) {
                Ok(committed) if committed.is_complete => {
                    wal.frames = Some(committed.frames);
                    wal.page_count = committed.page_count;
                }
                Ok(committed) => {
                    let why =
                        format!("it is large; {} counted so far, more in the next sample", committed.frames);
                    note(unseen, "the number of frames in", path, &io::Error::other(why));
                }
                Err(error) => note(unseen, "the frames of", path, &error),
            }
        }
        Some(wal)
    }
}
