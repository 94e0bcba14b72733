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
    /// Tags the selected process for a stop of several, or untags it.
    Tag,
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
    /// Shows the stack of the Python process in the open details.
    Stack,
    Filter,
    /// Searches the ingested documents.
    Documents,
    Help,
    /// Opens the list of all actions.
    Palette,
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
    /// Shows the processes as a tree, or as a list.
    Tree,
    Pause,
    Refresh,
    Faster,
    Slower,
    /// Writes the snapshot to a file.
    Export,
    /// Records what happens, or stops that.
    Record,
    Copy,
    CopyPid,
    /// Draws every cell again.
    Redraw,
    /// Leaves the mouse to the terminal, or takes it back.
    Mouse,
    /// Stops this process as the shell would.
    Suspend,
    /// Disarms or arms the keys that change something.
    Arm,
    /// Plays a recording, or stops that.
    Play,
    /// Goes to a moment of a recording.
    GoTo,
    /// The beginning of the finding before the moment on the screen.
    PreviousFinding,
    NextFinding,
    PlaySlower,
    PlayFaster,
}

/// What an action is about: a group of the help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyGroup {
    Row,
    Database,
    View,
    Timeline,
    /// Only in a replay.
    Replay,
    Program,
}

impl KeyGroup {
    /// All groups in the order of the help.
    pub const ALL: [Self; 6] =
        [Self::Replay, Self::Row, Self::Database, Self::View, Self::Timeline, Self::Program];

    pub const fn title(self) -> &'static str {
        match self {
            Self::Row => "This row",
            Self::Database => "This database",
            Self::View => "View",
            Self::Timeline => "Timeline",
            Self::Replay => "Replay",
            Self::Program => "waltop",
        }
    }
}

impl Action {
    /// The group in which the help lists it.
    pub const fn group(self) -> KeyGroup {
        match self {
            Self::Stop | Self::Tag | Self::Details | Self::Stack | Self::Copy | Self::CopyPid => {
                KeyGroup::Row
            }
            Self::Ingest
            | Self::Checkpoint
            | Self::Reap
            | Self::Fix
            | Self::Health
            | Self::Documents
            | Self::Record
            | Self::Export => KeyGroup::Database,
            Self::Timeline | Self::Earlier | Self::Later | Self::PreviousHold | Self::NextHold => {
                KeyGroup::Timeline
            }
            Self::Play
            | Self::GoTo
            | Self::PreviousFinding
            | Self::NextFinding
            | Self::PlaySlower
            | Self::PlayFaster => KeyGroup::Replay,
            Self::Palette | Self::Help | Self::Back | Self::Arm | Self::Suspend | Self::Quit => {
                KeyGroup::Program
            }
            Self::Filter
            | Self::Down
            | Self::Up
            | Self::PageDown
            | Self::PageUp
            | Self::First
            | Self::Last
            | Self::NextPanel
            | Self::PreviousPanel
            | Self::Zoom(_)
            | Self::Overview
            | Self::PreviousDatabase
            | Self::NextDatabase
            | Self::Sort
            | Self::Invert
            | Self::Tree
            | Self::Pause
            | Self::Refresh
            | Self::Faster
            | Self::Slower
            | Self::Redraw
            | Self::Mouse => KeyGroup::View,
        }
    }
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
