//! Follows a recording that is still written.

use std::{fs, path::Path};

use jiff::Timestamp;

use super::{FramePlace, OpenFrame, Recording, RecordingError};
use crate::recording::{open_minute, segment};

/// When the open minute was last written, and its length then. Each line changes it.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct GrowthMark {
    length: u64,
    written_at: Option<Timestamp>,
}

impl GrowthMark {
    /// That of the recording in `folder`.
    pub fn of(folder: &Path) -> Self {
        let Ok(metadata) = fs::metadata(folder.join(open_minute::FILE)) else { return Self::default() };
        let written_at = metadata.modified().ok().and_then(|at| Timestamp::try_from(at).ok());
        Self { length: metadata.len(), written_at }
    }
}

impl Recording {
    /// Reads what was written since it was opened, and adds it to `places`, which are those of all its frames. The open
    /// minute is read whole; of the segments, the index of the newest one. Returns the number of the first frame that is
    /// another one now; `None` if nothing was written.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    pub fn follow(&mut self, places: &mut Vec<FramePlace>) -> Result<Option<usize>, RecordingError> {
        let Some(folder) = &self.folder else { return Ok(None) };
        let mark = GrowthMark::of(folder);
        if mark == self.mark {
            return Ok(None);
        }
        self.mark = mark;
        let failed = |error| RecordingError::Io { path: folder.clone(), error };
        // The open minute first, as when it is opened.
        let lines = open_minute::lines(folder).map_err(failed)?;
        let names = segment::segments(folder).map_err(failed)?;
        let paths = names.into_iter().map(|name| name.in_folder(folder));
        // One that was removed meanwhile keeps its number, so that the frames of the others keep theirs.
        let new: Vec<_> = paths.filter(|path| !self.segments.contains(path)).collect();
        self.segments.extend(new);
        self.open = OpenFrame::of(lines);
        if let Some(open) = &self.open {
            self.databases.clone_from(&open.frame.header.databases);
        }
        // What was the open minute becomes the next frame of a segment.
        let open_at = places.iter().position(|place| place.segment.is_none());
        let first_changed = open_at.unwrap_or(places.len());
        places.truncate(first_changed);
        let newest = places.last().and_then(|place| place.segment);
        let (segment, position) = newest.map_or((0, 0), |(segment, position)| (segment, position + 1));
        places.extend(self.places_from(segment, position)?);
        Ok(Some(first_changed))
    }
}
