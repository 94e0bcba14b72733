//! What the console reports about a key or an effect. A test compares the kind; the sentence is made here.

use std::{fmt, path::PathBuf};

use log::Level;

use super::{RecordingNotice, RemoteNotice, StopReport};
use crate::{
    act::{ActionOutcome, gate::NotArmed, signal::SignalRefusal, worker::IngestEnd},
    diagnose::guard::GuardRefusal,
    keymap::Panel,
};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// An internal error.
    SamplerEnded,
    SettingsChanged,
    NothingSeen,
    /// The process of the selected row has exited.
    ProcessGone {
        who: String,
    },
    NothingSelected,
    Copied(String),
    UnknownKey {
        key: String,
        /// The key that lists the keys.
        help: String,
    },
    OnlyDatabase,
    Recording(RecordingNotice),
    Remote(RemoteNotice),
    /// `key` opens the timeline.
    NoTimeline {
        key: String,
    },
    /// No details of a Python process are open, or `py-spy` is not installed.
    NoStack,
    /// No row has the cursor, as after the selected process has left the table.
    NoProcessSelected {
        /// Selects the next one.
        key: String,
    },
    /// The selected database has no finding whose process could be stopped.
    NothingFound {
        /// Opens the database, where each process can be selected.
        key: String,
    },
    /// The worst finding of the selected database names no process.
    WorstNamesNobody,
    /// The process of the selected hold has exited.
    HolderGone {
        who: String,
    },
    HolderUnseen,
    /// These keys select a hold.
    NoHoldSelected {
        before: String,
        next: String,
    },
    /// Only a process can be tagged; `key` shows them.
    NotTaggable {
        key: String,
    },
    /// A process of unknown start could be taken for another one with its PID.
    UntaggableStart {
        pid: i32,
    },
    /// The filter hides every tagged process.
    TagsHidden {
        who: Vec<String>,
        filter: String,
        back: String,
    },
    NothingToSearch,
    /// The process table changed its form.
    Tree {
        is_on: bool,
    },
    /// What lies over the rows hides them; `key` closes it.
    RowsHidden {
        by: RowCover,
        key: String,
    },
    /// The process table is not drawn; `key` shows it.
    ProcessesHidden {
        key: String,
    },
    /// Nothing may be changed. `key` arms the actions.
    NotArmed {
        why: NotArmed,
        key: String,
    },
    /// The terminal has the mouse; `key` takes it back.
    MouseFreed {
        key: String,
    },
    /// The console has the mouse; `key` frees it.
    MouseTaken {
        key: String,
    },
    Armed,
    Disarmed {
        key: String,
    },
    /// Maintenance itself would lose data.
    Hazard(GuardRefusal),
    NoDatabase(PathBuf),
    /// It has no path, and processes still use it.
    DatabaseGone,
    NotWal,
    NothingToFix,
    /// No row of `panel` is a process that can be stopped; `key` shows the processes.
    NoProcessToStop {
        panel: Panel,
        key: String,
    },
    /// Nothing here can be stopped, but a watch runs: `panel` shows it unless it has the focus, and `stop` stops it.
    WatchElsewhere {
        pid: i32,
        panel: Option<String>,
        stop: String,
    },
    NothingStale,
    /// Nothing is known to be stale, but a process may become so.
    NotStaleYet {
        who: String,
        why: String,
    },
    /// The process of an ingestion could not be told from another one with its PID.
    UnknownStart {
        pid: i32,
    },
    Refused(SignalRefusal),
    /// The ingestion of an open dialog ended.
    IngestionEnded {
        /// What it did, as the middle of the sentence.
        figures: String,
    },
    /// The ingestion was started and is not in any sample yet; `key` stops it then.
    IngestionStarts {
        folder: String,
        key: String,
    },
    /// The watch of an open dialog ended.
    WatchEnded,
    /// The key would have stopped an ingestion that has just ended.
    IngestionJustEnded {
        /// What it did, as the middle of the sentence.
        figures: String,
        key: String,
    },
    IngestionRefused(String),
    /// An ingestion that the console started has ended.
    Ingested {
        name: String,
        pid: u32,
        end: IngestEnd,
        /// These keys, one after the other, show what failed.
        panel: String,
        details: String,
    },
    /// A confirmed action begins.
    Begins(String),
    HealthCheckEnds,
    /// The dialog was closed while processes exit.
    StillWaiting {
        who: String,
    },
    Stop(StopReport),
    Outcome(ActionOutcome),
}

/// What lies over the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowCover {
    Timeline,
    Overview,
    /// Something over either of them.
    Other,
}

impl Notice {
    /// Whether it says that something succeeded or begins; a key that does nothing, or a process that has gone, is neither.
    pub fn is_success(&self) -> bool {
        let (level, is_success) = self.kind();
        is_success && level >= Level::Info
    }

    pub fn level(&self) -> Level {
        self.kind().0
    }

    // The level, and whether it is a success if that is info.
    fn kind(&self) -> (Level, bool) {
        match self {
            Self::SamplerEnded | Self::Hazard(_) | Self::IngestionRefused(_) => (Level::Error, false),
            Self::SettingsChanged
            | Self::NothingSelected
            | Self::NoProcessSelected { .. }
            | Self::UntaggableStart { .. }
            | Self::TagsHidden { .. }
            | Self::ProcessesHidden { .. }
            | Self::NotArmed { .. }
            | Self::NoDatabase(_)
            | Self::DatabaseGone
            | Self::NotWal
            | Self::NoProcessToStop { .. }
            | Self::WatchElsewhere { .. }
            | Self::UnknownStart { .. }
            | Self::Refused(_)
            | Self::IngestionJustEnded { .. } => (Level::Warn, false),
            Self::NothingSeen
            | Self::ProcessGone { .. }
            | Self::UnknownKey { .. }
            | Self::OnlyDatabase
            | Self::NoTimeline { .. }
            | Self::NoStack
            | Self::WorstNamesNobody
            | Self::NothingFound { .. }
            | Self::HolderGone { .. }
            | Self::HolderUnseen
            | Self::NoHoldSelected { .. }
            | Self::NotTaggable { .. }
            | Self::NothingToSearch
            | Self::RowsHidden { .. }
            | Self::NothingToFix
            | Self::NothingStale
            | Self::NotStaleYet { .. }
            | Self::IngestionEnded { .. }
            | Self::IngestionStarts { .. }
            | Self::WatchEnded => (Level::Info, false),
            Self::Copied(_)
            | Self::Tree { .. }
            | Self::MouseFreed { .. }
            | Self::MouseTaken { .. }
            | Self::Armed
            | Self::Disarmed { .. }
            | Self::Begins(_)
            | Self::HealthCheckEnds
            | Self::StillWaiting { .. } => (Level::Info, true),
            Self::Ingested { end, .. } => (if end.is_partial { Level::Warn } else { Level::Info }, true),
            Self::Recording(notice) => (notice.level(), false),
            Self::Remote(notice) => (notice.level(), false),
            Self::Stop(report) => (report.level(), true),
            Self::Outcome(outcome) => (outcome.level, true),
        }
    }
}

impl Notice {
    /// The sentence of a notice about an ingestion; nothing for another.
    fn ingestion_sentence(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::IngestionEnded { figures } => {
                write!(f, "the ingestion has ended{figures}: nothing was stopped")
            }
            Self::IngestionStarts { folder, key } => {
                write!(f, "the ingestion of {folder} is starting: {key} stops it once it is in the panel")
            }
            Self::IngestionJustEnded { figures, key } => write!(
                f,
                "the ingestion has just ended{figures}: nothing was started; {key} again starts one"
            ),
            Self::IngestionRefused(why) => write!(f, "no ingestion: {why}"),
            Self::Ingested { name, pid, end, panel, details } => {
                write!(f, "the ingestion of {name} has ended, process {pid}: {}", end.figures)?;
                if end.is_partial { write!(f, "; {panel}, then {details} lists what failed") } else { Ok(()) }
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Notice {
    #[expect(clippy::too_many_lines, reason = "a sentence for each notice")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SamplerEnded => f.write_str("internal error: sampling stopped; restart waltop"),
            Self::SettingsChanged => {
                f.write_str("the settings were changed; quit and open waltop again to use them")
            }
            Self::NothingSeen => f.write_str("nothing has been seen yet; try again in a moment"),
            Self::ProcessGone { who } => write!(f, "{who} has gone"),
            Self::NothingSelected => f.write_str("nothing is selected here"),
            Self::Copied(text) => write!(f, "copied: {text}"),
            Self::UnknownKey { key, help } => write!(f, "no key {key} here; {help} lists the keys"),
            Self::OnlyDatabase => f.write_str("there is no other database; name several at the start"),
            Self::Recording(notice) => notice.fmt(f),
            Self::Remote(notice) => notice.fmt(f),
            Self::NoTimeline { key } => write!(f, "no timeline is open: {key} opens it"),
            Self::NoStack => {
                f.write_str("this shows the stack in the details of a Python process, if py-spy is installed")
            }
            Self::HolderGone { who } => write!(f, "{who} is no longer there"),
            Self::HolderUnseen => f.write_str("the process of this hold is not visible from here"),
            Self::NoHoldSelected { before, next } => {
                write!(f, "no hold is selected: {before} and {next} select one")
            }
            Self::NothingFound { key } => {
                write!(f, "nothing is found here that would call for a stop: {key} shows the processes")
            }
            Self::WorstNamesNobody => f.write_str("the worst finding here names no process to stop"),
            Self::NoProcessSelected { key } => {
                write!(f, "no process is selected here: {key} selects one, if there is any")
            }
            Self::NotTaggable { key } => {
                write!(f, "only a row of the processes can be tagged: {key} shows them")
            }
            Self::UntaggableStart { pid } => write!(f, "cannot tag {pid}: its start is unknown"),
            Self::TagsHidden { who, filter, back } => write!(
                f,
                "the filter hides what is tagged, {}: {filter} changes it, {back} untags",
                who.join(", ")
            ),
            Self::NothingToSearch => f.write_str("there is no database here to search in"),
            Self::Tree { is_on } => f.write_str(match is_on {
                true => "the processes are a tree: children below their parents",
                false => "the processes are a list",
            }),
            Self::RowsHidden { by: RowCover::Timeline, key } => {
                write!(f, "the rows lie under the timeline: {key} closes it")
            }
            Self::RowsHidden { by: RowCover::Overview, key } => {
                write!(f, "the rows lie under the overview: {key} goes to the selected database")
            }
            Self::RowsHidden { by: RowCover::Other, key } => {
                write!(f, "the rows are hidden: {key} closes what hides them")
            }
            Self::ProcessesHidden { key } => {
                write!(f, "the processes are not on the screen: {key} shows them")
            }
            Self::NotArmed { why: NotArmed::ReadOnly(why), .. } => why.fmt(f),
            Self::NotArmed { why: why @ NotArmed::Disarmed, key } => write!(f, "{why}: {key} arms them"),
            Self::MouseFreed { key } => {
                write!(f, "the mouse is free: it selects text in the terminal; {key} takes it back")
            }
            Self::MouseTaken { key } => {
                write!(f, "the mouse acts on the screen; {key} frees it to select text")
            }
            Self::Armed => f.write_str("actions are armed"),
            Self::Disarmed { key } => write!(f, "actions are disarmed: {key} arms them again"),
            Self::Hazard(why) => write!(f, "refused, since data could be lost: {why}"),
            Self::NoDatabase(path) => write!(f, "there is no database at {}", path.display()),
            Self::DatabaseGone => f.write_str(
                "the database is gone from its path while others use it: a new one would mix with its log",
            ),
            Self::NotWal => f.write_str("there is no WAL to checkpoint: the database is not in WAL mode"),
            Self::NothingToFix => f.write_str("nothing to fix: the file matches the profile"),
            Self::NoProcessToStop { panel, key } => write!(
                f,
                "no process that can be stopped is selected in {}; {key} shows the processes",
                panel.title()
            ),
            Self::WatchElsewhere { pid, panel: Some(panel), stop } => {
                write!(
                    f,
                    "no process is selected here; {panel}, then {stop} on its row stops the watch {pid}"
                )
            }
            Self::WatchElsewhere { pid, panel: None, stop } => {
                write!(f, "the selected run has ended; {stop} on the row of the watch stops {pid}")
            }
            Self::NothingStale => f.write_str("nothing is stale here"),
            Self::NotStaleYet { who, why } => write!(f, "{who}: {why}"),
            Self::UnknownStart { pid } => {
                write!(f, "cannot tell when {pid} started; stop it with kill {pid}")
            }
            Self::Refused(refusal) => refusal.fmt(f),
            Self::WatchEnded => f.write_str("the watch has ended: nothing was stopped"),
            Self::IngestionEnded { .. }
            | Self::IngestionStarts { .. }
            | Self::IngestionJustEnded { .. }
            | Self::IngestionRefused(_)
            | Self::Ingested { .. } => self.ingestion_sentence(f),
            Self::Begins(what) => f.write_str(what),
            Self::HealthCheckEnds => f.write_str("the health check is being ended"),
            Self::StillWaiting { who } => write!(f, "{who} waited for; the log records the outcome"),
            Self::Stop(report) => report.fmt(f),
            Self::Outcome(outcome) => f.write_str(&outcome.text),
        }
    }
}

impl From<RecordingNotice> for Notice {
    fn from(notice: RecordingNotice) -> Self {
        Self::Recording(notice)
    }
}

impl From<RemoteNotice> for Notice {
    fn from(notice: RemoteNotice) -> Self {
        Self::Remote(notice)
    }
}

impl From<SignalRefusal> for Notice {
    fn from(refusal: SignalRefusal) -> Self {
        Self::Refused(refusal)
    }
}
