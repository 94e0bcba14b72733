//! Follows a recording that is still written.

use std::{fs, path::Path};

use jiff::Timestamp;

use super::{FramePlace, OpenFrame, Recording, RecordingError, places_from, understood};
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
    /// It cannot be read, or a later format has written the open minute. It and `places` then stay as they are.
    pub fn follow(&mut self, places: &mut Vec<FramePlace>) -> Result<Option<usize>, RecordingError> {
        let Some(folder) = &self.folder else { return Ok(None) };
        let mark = GrowthMark::of(folder);
        if mark == self.mark {
            return Ok(None);
        }
        let failed = |error| RecordingError::Io { path: folder.clone(), error };
        // The open minute first, as when it is opened.
        let open = OpenFrame::of(open_minute::lines(folder).map_err(failed)?);
        if let Some(open) = &open {
            understood(&open.frame)?;
        }
        let names = segment::segments(folder).map_err(failed)?;
        let listed: Vec<_> = names.into_iter().map(|name| name.in_folder(folder)).collect();
        // One that was removed meanwhile keeps its number, so that the frames of the others keep theirs.
        let mut segments = self.segments.clone();
        segments.extend(listed.iter().filter(|path| !self.segments.contains(path)).cloned());
        let numbered = segments.iter().enumerate();
        let removed = numbered.filter(|(_, path)| !listed.contains(path)).map(|(number, _)| number).collect();
        // What was the open minute becomes the next frame of a segment.
        let open_at = places.iter().position(|place| place.segment.is_none());
        let first_changed = open_at.unwrap_or(places.len());
        let newest = places[..first_changed].last().and_then(|place| place.segment);
        let next = newest.map_or((0, 0), |(segment, position)| (segment, position + 1));
        let new = places_from(&segments, open.as_ref(), next)?;
        places.truncate(first_changed);
        places.extend(new);
        if let Some(open) = &open {
            self.databases.clone_from(&open.frame.header.databases);
        }
        (self.mark, self.segments, self.removed, self.open) = (mark, segments, removed, open);
        Ok(Some(first_changed))
    }
}
