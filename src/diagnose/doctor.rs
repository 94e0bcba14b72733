//! What a machine lets waltop see, and what each limit costs: what `waltop doctor` reports.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::place::{FilesystemHazard, hazard};
use crate::snapshot::{
    DAC_READ_SEARCH, DatabasePlace, MachineFacts, SYS_PTRACE, SystemCallAccess, TraceAccess,
};

mod sentences;
mod text;

/// From which share of the watches of inotify in use on there are too few.
const FEW_WATCHES: f64 = 0.9;
/// The smallest terminal that the console draws on: columns and rows.
pub const SMALLEST_TERMINAL: (u16, u16) = (60, 16);

/// What a row of the report is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DoctorSubject {
    /// The user and its capabilities.
    User,
    /// The processes that `/proc` lists.
    Processes,
    /// The kernel's table of locks.
    LockTable,
    /// The namespaces of waltop.
    Namespaces,
    /// The system calls of the processes of the same user, which Yama may hide.
    SystemCalls,
    /// The kernel's trace of lock requests.
    Trace,
    /// Notices of changed files.
    Inotify,
    /// A database that is named.
    Database,
    /// The settings of this user.
    Settings,
    /// The folder of waltop's own files.
    StateFolder,
    /// The terminal.
    Terminal,
}

/// How much is seen of the subject of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DoctorState {
    /// All of it.
    Open,
    /// All facts, but something else is restricted.
    Note,
    /// Facts are missing.
    Limited,
    /// It could not be found out.
    Unknown,
}

macro_rules! limit_kinds {
    ($($(#[$attribute:meta])* $kind:ident,)*) => {
        /// What limits waltop.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum LimitKind {
            $($(#[$attribute])* $kind,)*
        }

        impl LimitKind {
            #[cfg(test)]
            pub(crate) const ALL: &[Self] = &[$(Self::$kind),*];
        }
    };
}

limit_kinds! {
    /// Processes hide their files: those of other users, and those of this user that the kernel protects from it.
    HiddenFiles,
    /// `/proc` does not list the processes, or could not be read in time.
    UnreadProcesses,
    /// The option `hidepid` hides processes of other users.
    HiddenProcesses,
    /// The lock table cannot be read.
    NoLockTable,
    PidNamespace,
    UserNamespace,
    MountNamespace,
    /// The system calls of other processes of this user are hidden.
    HiddenSystemCalls,
    /// The kernel has no tracefs, or no events for lock requests.
    NoTrace,
    TraceNotMounted,
    /// tracefs is closed to this user.
    TraceClosed,
    /// tracefs is mounted for reading only.
    TraceReadOnly,
    /// The kernel's trace is that of the host: it names other PIDs than a PID namespace, and a user namespace cannot open it.
    TraceElsewhere,
    /// The limits of inotify cannot be read, or not all watches were counted.
    UnreadInotify,
    FewInotifyInstances,
    FewInotifyWatches,
    NetworkFilesystem,
    SharedFilesystem,
    ProgramFilesystem,
    UnknownFilesystem,
    ReadOnlyFilesystem,
    /// The settings are not valid, or cannot be read.
    BadSettings,
    NoStateFolder,
    SmallTerminal,
    NoColours,
    AsciiOnly,
}

/// One limit: what it costs, and what opens it.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct DoctorLimit {
    pub kind: LimitKind,
    /// The facts that are missing, or what does not work.
    pub costs: String,
    /// What to do where no command here opens it, or before the command.
    pub advice: Option<String>,
    /// The command that opens it.
    pub command: Option<String>,
}

/// One row of the report.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct DoctorCheck {
    pub subject: DoctorSubject,
    /// The database that the row is about.
    pub path: Option<String>,
    pub state: DoctorState,
    /// What it is here.
    pub here: String,
    pub limits: Vec<DoctorLimit>,
}

/// What this machine lets waltop see.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct DoctorReport {
    /// The worst state of the rows; a note is as good as open.
    pub verdict: DoctorState,
    pub checks: Vec<DoctorCheck>,
}

impl DoctorReport {
    /// The report on `facts`.
    pub fn new(facts: &MachineFacts) -> Self {
        use DoctorSubject::{
            Database, Inotify, LockTable, Namespaces, Processes, Settings, StateFolder, SystemCalls,
            Terminal, Trace, User,
        };
        let mut checks: Vec<DoctorCheck> =
            [User, Processes, LockTable, Namespaces, SystemCalls, Trace, Inotify]
                .into_iter()
                .map(|subject| DoctorCheck::new(subject, facts, None, limits(subject, facts)))
                .collect();
        checks.extend(
            facts.databases.iter().map(|it| DoctorCheck::new(Database, facts, Some(it), database(it))),
        );
        checks.extend(
            [Settings, StateFolder, Terminal]
                .map(|subject| DoctorCheck::new(subject, facts, None, limits(subject, facts))),
        );
        let worst = checks.iter().map(|check| check.state).max().unwrap_or(DoctorState::Open);
        let verdict = if worst == DoctorState::Note { DoctorState::Open } else { worst };
        Self { verdict, checks }
    }

    /// The exit code: 0 everything can be seen, 1 a fact is missing, 2 it could not be found out.
    pub fn exit(&self) -> u8 {
        match self.verdict {
            DoctorState::Open | DoctorState::Note => 0,
            DoctorState::Limited => 1,
            DoctorState::Unknown => 2,
        }
    }
}

impl DoctorCheck {
    fn new(
        subject: DoctorSubject,
        facts: &MachineFacts,
        database: Option<&DatabasePlace>,
        kinds: Vec<LimitKind>,
    ) -> Self {
        let state = kinds.iter().map(|kind| kind.state()).max().unwrap_or(DoctorState::Open);
        Self {
            subject,
            path: database.map(|it| it.path.to_string_lossy().into_owned()),
            state,
            here: sentences::here(subject, facts, database),
            limits: kinds.into_iter().map(|kind| sentences::limit(kind, facts, database)).collect(),
        }
    }
}

impl LimitKind {
    /// How much it takes from what waltop sees.
    fn state(self) -> DoctorState {
        match self {
            Self::UnreadProcesses | Self::UnknownFilesystem => DoctorState::Unknown,
            Self::MountNamespace
            | Self::UnreadInotify
            | Self::ReadOnlyFilesystem
            | Self::SmallTerminal
            | Self::NoColours
            | Self::AsciiOnly => DoctorState::Note,
            _ => DoctorState::Limited,
        }
    }
}

/// The names of the capabilities that waltop has not, of those that show the processes of other users.
fn missing_capabilities(facts: &MachineFacts) -> Vec<&'static str> {
    let needed = [(SYS_PTRACE, "CAP_SYS_PTRACE"), (DAC_READ_SEARCH, "CAP_DAC_READ_SEARCH")];
    let is_missing = |number| facts.has_capability(number) == Some(false);
    needed.into_iter().filter(|(number, _)| is_missing(*number)).map(|(_, name)| name).collect()
}

fn limits(subject: DoctorSubject, facts: &MachineFacts) -> Vec<LimitKind> {
    use LimitKind::{
        AsciiOnly, BadSettings, HiddenFiles, HiddenProcesses, HiddenSystemCalls, MountNamespace, NoColours,
        NoLockTable, NoStateFolder, PidNamespace, SmallTerminal, UnreadProcesses, UserNamespace,
    };
    let one = |is_there: bool, kind: LimitKind| if is_there { vec![kind] } else { Vec::new() };
    match subject {
        DoctorSubject::User => one(facts.processes.as_ref().is_some_and(|it| it.closed > 0), HiddenFiles),
        DoctorSubject::Processes => match &facts.processes {
            Some(sight) if !sight.is_whole => vec![UnreadProcesses],
            Some(sight) => one(!sight.has_first || sight.nameless > 0, HiddenProcesses),
            None => vec![UnreadProcesses],
        },
        DoctorSubject::LockTable => one(facts.lock_table_error.is_some(), NoLockTable),
        DoctorSubject::Namespaces => {
            let it = facts.namespaces;
            [
                one(it.has_own_pids, PidNamespace),
                one(it.has_own_users, UserNamespace),
                one(it.has_own_mounts == Some(true), MountNamespace),
            ]
            .concat()
        }
        DoctorSubject::SystemCalls => one(hides_system_calls(facts), HiddenSystemCalls),
        DoctorSubject::Trace => trace(facts),
        DoctorSubject::Inotify => inotify(facts),
        DoctorSubject::Database => Vec::new(),
        DoctorSubject::Settings => one(facts.settings.refused.is_some(), BadSettings),
        DoctorSubject::StateFolder => one(facts.state.refused.is_some(), NoStateFolder),
        DoctorSubject::Terminal => {
            let it = &facts.terminal;
            let (columns, rows) = SMALLEST_TERMINAL;
            let is_small = it.size.is_some_and(|size| size.0 < columns || size.1 < rows);
            let on_terminal = it.size.is_some();
            [
                one(is_small, SmallTerminal),
                one(on_terminal && it.is_colourless, NoColours),
                one(on_terminal && it.is_ascii, AsciiOnly),
            ]
            .concat()
        }
    }
}

/// What was tried counts. Where there was no process to try it on, Yama's setting does.
fn hides_system_calls(facts: &MachineFacts) -> bool {
    match facts.processes.as_ref().map(|it| it.system_calls).unwrap_or_default() {
        SystemCallAccess::Readable => false,
        SystemCallAccess::Denied => true,
        SystemCallAccess::Unknown => match facts.yama {
            None | Some(0) => false,
            Some(1 | 2) => facts.has_capability(SYS_PTRACE) != Some(true),
            Some(_) => true,
        },
    }
}

fn trace(facts: &MachineFacts) -> Vec<LimitKind> {
    let is_usable = matches!(facts.trace, TraceAccess::Usable { .. });
    if facts.namespaces.has_own_pids || facts.namespaces.has_own_users && !is_usable {
        return vec![LimitKind::TraceElsewhere];
    }
    match &facts.trace {
        TraceAccess::Usable { .. } => Vec::new(),
        TraceAccess::Missing | TraceAccess::WithoutEvents { .. } => vec![LimitKind::NoTrace],
        TraceAccess::NotMounted => vec![LimitKind::TraceNotMounted],
        TraceAccess::Closed { is_read_only: true, .. } => vec![LimitKind::TraceReadOnly],
        TraceAccess::Closed { .. } => vec![LimitKind::TraceClosed],
    }
}

fn inotify(facts: &MachineFacts) -> Vec<LimitKind> {
    let it = facts.inotify;
    let (Some(instances), Some(watches)) = (it.max_instances, it.max_watches) else {
        return vec![LimitKind::UnreadInotify];
    };
    let mut limits = Vec::new();
    if it.instances >= instances {
        limits.push(LimitKind::FewInotifyInstances);
    }
    // Counts of files are far below 2^52.
    #[expect(clippy::cast_precision_loss, reason = "a share")]
    if it.watches as f64 >= watches as f64 * FEW_WATCHES {
        limits.push(LimitKind::FewInotifyWatches);
    } else if it.is_cut {
        limits.push(LimitKind::UnreadInotify);
    }
    limits
}

fn database(place: &DatabasePlace) -> Vec<LimitKind> {
    let Some(filesystem) = &place.filesystem else { return vec![LimitKind::UnknownFilesystem] };
    let hazard = hazard(&filesystem.kind).map(|hazard| match hazard {
        FilesystemHazard::Network => LimitKind::NetworkFilesystem,
        FilesystemHazard::Shared => LimitKind::SharedFilesystem,
        FilesystemHazard::Program => LimitKind::ProgramFilesystem,
    });
    let is_read_only = filesystem.read_only == Some(true);
    hazard.into_iter().chain(is_read_only.then_some(LimitKind::ReadOnlyFilesystem)).collect()
}

#[cfg(test)]
pub(crate) mod tests;
