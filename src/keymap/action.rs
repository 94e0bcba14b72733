//! What a key can do, and which key a remedy of a finding has.

use super::Panel;
use crate::snapshot::RemedyAction;

/// What a key can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Starts an ingestion, or stops a running one.
    Ingest,
    Checkpoint,
    Stop,
    Reap,
    /// Fixes the settings that the file stores.
    Fix,
    /// Tests that the database can be written to.
    Health,
    /// Opens or closes the timeline.
    Timeline,
    Earlier,
    Later,
    /// The hold before the selected one in the timeline.
    PreviousHold,
    NextHold,
    /// Shows the details of the selected row.
    Details,
    Filter,
    Help,
    Quit,
    Down,
    Up,
    PageDown,
    PageUp,
    First,
    Last,
    NextPanel,
    PreviousPanel,
    /// Zooms this panel, or restores all panels.
    Zoom(Panel),
    /// Opens or closes the overview of all databases.
    Overview,
    /// The database before this one.
    PreviousDatabase,
    /// The database after this one.
    NextDatabase,
    /// Closes, clears or leaves whatever is open.
    Back,
    /// Sorts by the next column.
    Sort,
    Invert,
    Pause,
    Refresh,
    Faster,
    Slower,
    /// Writes the snapshot to a file.
    Export,
    Copy,
    /// Disarms or arms the keys that change something.
    Arm,
}

impl From<RemedyAction> for Action {
    fn from(remedy: RemedyAction) -> Self {
        match remedy {
            RemedyAction::StopProcess | RemedyAction::ContinueProcess => Self::Stop,
            RemedyAction::Checkpoint => Self::Checkpoint,
            RemedyAction::Fix => Self::Fix,
            RemedyAction::Ingest | RemedyAction::StopIngestion => Self::Ingest,
        }
    }
}
