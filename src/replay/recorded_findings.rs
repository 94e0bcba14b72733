//! Since when the findings that go on have been there, as a recording says.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use jiff::Timestamp;

use crate::{
    recording::{LONGEST_SILENCE, RecordedFrame, Recording, RecordingError, RecordingEvent},
    snapshot::{FindingKind, Snapshot},
};

/// The most frames that are read: those of a day.
const MOST_FRAMES: usize = 24 * 60;

/// A finding that goes on at the end of a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordedFinding {
    /// Its database, by the index among those that were asked for.
    pub index: usize,
    pub kind: FindingKind,
    pub pid: Option<i32>,
    /// It has been there since this time at least.
    pub since: Timestamp,
}

/// A finding: its database, its kind and its process.
type FindingKey = (usize, FindingKind, Option<i32>);

/// Since when each finding of `databases` has been there that goes on at the end of `recording`. It is read backwards, as
/// far as needed and for a day at most.
///
/// # Errors
///
/// It cannot be read.
pub fn recorded_findings(
    recording: &Recording,
    databases: &[PathBuf],
) -> Result<Vec<RecordedFinding>, RecordingError> {
    let places = recording.places()?;
    let mut since = BTreeMap::new();
    let mut open: Option<BTreeSet<FindingKey>> = None;
    let mut later: Option<Timestamp> = None;
    for place in places.iter().rev().take(MOST_FRAMES) {
        if later.is_some_and(|later| later.duration_since(place.last_at) > LONGEST_SILENCE) {
            break;
        }
        later = Some(place.first_at);
        let Some(onsets) = recording.at(place, |frame| FrameOnsets::of(frame, databases))? else { break };
        let mut wanted = open.take().unwrap_or_else(|| onsets.0.keys().copied().collect());
        wanted.retain(|key| match onsets.0.get(key) {
            Some((at, is_earlier)) => {
                since.insert(*key, *at);
                *is_earlier
            }
            // It began with the frame behind this one.
            None => false,
        });
        if wanted.is_empty() {
            break;
        }
        open = Some(wanted);
    }
    let found = |((index, kind, pid), since)| RecordedFinding { index, kind, pid, since };
    Ok(since.into_iter().map(found).collect())
}

/// The findings that go on at the end of a frame: since when within it, and whether its first snapshot has them already.
#[derive(Debug, Default)]
struct FrameOnsets(BTreeMap<FindingKey, (Timestamp, bool)>);

impl FrameOnsets {
    fn of(frame: &RecordedFrame, databases: &[PathBuf]) -> Self {
        let index_of = |path: &Path| databases.iter().position(|it| it == path);
        let (mut onsets, mut is_first) = (Self::default(), true);
        for line in frame.judgements() {
            let at = line.stamp.at;
            let path = line.db.and_then(|db| frame.header.databases.get(db));
            let index = path.and_then(|path| index_of(Path::new(path)));
            match line.event {
                RecordingEvent::Snapshot { snapshot } => {
                    onsets.add_snapshot(&snapshot, &index_of, (at, is_first));
                    is_first = false;
                }
                RecordingEvent::FindingOn { finding } => {
                    if let Some(index) = index {
                        onsets.0.entry((index, finding.kind, finding.pid)).or_insert((at, false));
                    }
                }
                RecordingEvent::FindingOff { kind, pid, .. } => {
                    onsets.0.retain(|key, _| index.is_none_or(|index| *key != (index, kind, pid)));
                }
                RecordingEvent::Gap { reason, .. } if reason.is_blind() => {
                    onsets.0.clear();
                    is_first = false;
                }
                _ => {}
            }
        }
        onsets
    }

    fn add_snapshot(
        &mut self,
        snapshot: &Snapshot,
        index_of: &dyn Fn(&Path) -> Option<usize>,
        onset: (Timestamp, bool),
    ) {
        for database in &snapshot.databases {
            let Some(index) = index_of(&database.path) else { continue };
            for finding in &database.findings {
                self.0.entry((index, finding.kind, finding.pid)).or_insert(onset);
            }
        }
    }
}
