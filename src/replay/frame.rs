//! A frame of a recording in memory.

use jiff::Timestamp;

use crate::{
    recording::{LineHead, RecordedFrame, RecordedText, RecordingEvent, RecordingLine},
    snapshot::Snapshot,
};

/// A minute of a recording. Its snapshots are parsed as they are shown.
#[derive(Debug, Default)]
pub struct PlayedFrame {
    /// All lines in their order; of the snapshots the first one alone, and the first one behind each gap.
    pub lines: Vec<RecordingLine>,
    snapshots: Vec<(LineHead, Vec<u8>)>,
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
                    played.snapshots.push((head, text.to_vec()));
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
        self.snapshots.get(index).map(|(head, _)| head.at)
    }

    /// The time since boot of the snapshot `index`, in ms.
    pub fn boot_ms(&self, index: usize) -> Option<f64> {
        self.snapshots.get(index).map(|(head, _)| head.boot_ms)
    }

    /// The index of the last snapshot that was taken `boot_ms` after boot or before.
    pub fn last_since_boot(&self, boot_ms: f64) -> Option<usize> {
        self.snapshots.iter().rposition(|(head, _)| head.boot_ms <= boot_ms)
    }

    /// The index of the last snapshot at `at` or before.
    pub fn last_until(&self, at: Timestamp) -> Option<usize> {
        self.snapshots.iter().rposition(|(head, _)| head.at <= at)
    }

    /// The indices of the snapshots at `at` or before that no such one follows, the last one first. There are several if
    /// the clock was set back.
    pub fn all_until(&self, at: Timestamp) -> Vec<usize> {
        let is_last = |index: usize| {
            let [taken, next] = [index, index + 1].map(|index| self.at(index));
            taken.is_some_and(|taken| taken <= at && !next.is_some_and(|next| (taken..=at).contains(&next)))
        };
        (0..self.count()).rev().filter(|index| is_last(*index)).collect()
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
