//! A frame of a recording in memory.

use jiff::Timestamp;

use crate::{
    recording::{RecordedFrame, RecordedText, RecordingEvent, RecordingLine},
    snapshot::Snapshot,
};

/// A minute of a recording. Its snapshots are parsed as they are shown.
#[derive(Debug, Default)]
pub struct PlayedFrame {
    /// All lines in their order; of the snapshots the first one alone, and the first one behind each gap.
    pub lines: Vec<RecordingLine>,
    snapshots: Vec<(Timestamp, Vec<u8>)>,
}

impl PlayedFrame {
    pub fn of(frame: &RecordedFrame) -> Self {
        let mut played = Self::default();
        for text in frame.texts() {
            match text {
                RecordedText::Event(line) => played.lines.push(*line),
                RecordedText::Snapshot { head, text, is_first } => {
                    if is_first {
                        played.lines.extend(serde_json::from_slice::<RecordingLine>(text));
                    }
                    played.snapshots.push((head.at, text.to_vec()));
                }
            }
        }
        played
    }

    /// How many snapshots it has.
    pub fn count(&self) -> usize {
        self.snapshots.len()
    }

    /// The time of the snapshot `index`.
    pub fn at(&self, index: usize) -> Option<Timestamp> {
        self.snapshots.get(index).map(|(at, _)| *at)
    }

    /// The index of the last snapshot at `at` or before.
    pub fn last_until(&self, at: Timestamp) -> Option<usize> {
        self.snapshots.iter().rposition(|(taken, _)| *taken <= at)
    }

    /// The snapshot `index`; `None` if there is none, or if its line is damaged.
    pub fn snapshot(&self, index: usize) -> Option<Snapshot> {
        let (_, text) = self.snapshots.get(index)?;
        match serde_json::from_slice::<RecordingLine>(text).ok()?.event {
            RecordingEvent::Snapshot { snapshot } => Some(*snapshot),
            _ => None,
        }
    }
}
