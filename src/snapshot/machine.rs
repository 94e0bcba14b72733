//! What decides how much of a machine waltop sees, as it was read: nothing is judged here.

use std::path::PathBuf;

use super::Filesystem;

/// The facts of one machine, user and terminal.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MachineFacts {
    /// The effective user.
    pub uid: u32,
    /// The effective capabilities, a bit for each (`capabilities(7)`); `None` if the kernel does not report them.
    pub capabilities: Option<u64>,
    pub proc: ProcMount,
    /// Whether the settings of the kernel cannot be written: a container often mounts `/proc/sys` for reading only, and
    /// the rest of `/proc` not.
    pub is_sysctl_read_only: bool,
    /// `None` if `/proc` lists no processes.
    pub processes: Option<ProcessSight>,
    /// Why the lock table cannot be read; `None` if it can.
    pub lock_table_error: Option<String>,
    pub namespaces: NamespaceFacts,
    /// `ptrace_scope` of the security module Yama; `None` without that module.
    pub yama: Option<u32>,
    pub trace: TraceAccess,
    pub inotify: InotifyUse,
    pub databases: Vec<DatabasePlace>,
    pub settings: SettingsState,
    pub state: StateAccess,
    pub terminal: TerminalFacts,
}

/// How `/proc` is mounted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProcMount {
    /// The option `hidepid` as the kernel prints it: a number, or `noaccess`, `invisible`, `ptraceable`. `None` without.
    pub hidepid: Option<String>,
    /// Whether it is mounted for reading only.
    pub is_read_only: bool,
}

/// What the processes in `/proc` show.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProcessSight {
    /// Processes that are listed, without threads of the kernel.
    pub listed: u64,
    /// Those of them whose name and state are hidden.
    pub nameless: u64,
    /// Those of them whose descriptors are hidden.
    pub closed: u64,
    /// Whether the first process of this PID namespace is listed.
    pub has_first: bool,
    /// What the system calls of another process of the same user show.
    pub system_calls: SystemCallAccess,
    /// Whether all of them were read in time.
    pub is_whole: bool,
}

/// Whether the system call of another process of the same user can be read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SystemCallAccess {
    Readable,
    Denied,
    /// No other process of this user was there, or the kernel has no such file.
    #[default]
    Unknown,
}

impl SystemCallAccess {
    /// What two processes show together: one that is readable proves that none is hidden by a rule.
    pub fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Readable, _) | (_, Self::Readable) => Self::Readable,
            (Self::Denied, _) | (_, Self::Denied) => Self::Denied,
            (Self::Unknown, Self::Unknown) => Self::Unknown,
        }
    }
}

/// The namespaces of this process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NamespaceFacts {
    /// Whether it is in another PID namespace than the kernel's first.
    pub has_own_pids: bool,
    /// Whether it is in another user namespace than the kernel's first.
    pub has_own_users: bool,
    /// Whether it has other mounts than the first process; `None` if that process hides its own.
    pub has_own_mounts: Option<bool>,
}

/// What tracefs allows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum TraceAccess {
    /// The kernel has no tracefs.
    #[default]
    Missing,
    NotMounted,
    /// An instance of waltop's own cannot be made there.
    Closed {
        at: PathBuf,
        is_read_only: bool,
    },
    /// The kernel has no events for lock requests.
    WithoutEvents {
        at: PathBuf,
    },
    Usable {
        at: PathBuf,
    },
}

/// The limits of inotify, and what this user has in use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct InotifyUse {
    pub max_instances: Option<u64>,
    pub max_watches: Option<u64>,
    /// Instances and watches of the processes that show their descriptors.
    pub instances: u64,
    pub watches: u64,
    /// Whether there are more watches than were counted.
    pub is_cut: bool,
}

/// Where a database is.
#[derive(Debug, Clone, PartialEq)]
pub struct DatabasePlace {
    pub path: PathBuf,
    /// `None` if the mounts do not show it.
    pub filesystem: Option<Filesystem>,
}

/// The settings of this user.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SettingsState {
    pub path: PathBuf,
    pub is_there: bool,
    /// Why they are not valid; `None` if they are, or there are none.
    pub refused: Option<String>,
}

/// Whether waltop can keep its own files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StateAccess {
    pub path: PathBuf,
    /// Why it cannot; `None` if it can.
    pub refused: Option<String>,
}

/// What standard output shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TerminalFacts {
    /// Columns and rows; `None` if it is no terminal.
    pub size: Option<(u16, u16)>,
    /// The variable `TERM`.
    pub term: Option<String>,
    pub is_colourless: bool,
    /// Whether the locale names another character set than UTF-8.
    pub is_ascii: bool,
}

/// `CAP_DAC_READ_SEARCH`: to read the files of other users.
pub const DAC_READ_SEARCH: u32 = 2;
/// `CAP_SYS_PTRACE`: to read what the processes of other users do.
pub const SYS_PTRACE: u32 = 19;

impl MachineFacts {
    /// Whether the effective capabilities have the one with that number; `None` if they are unknown.
    pub fn has_capability(&self, number: u32) -> Option<bool> {
        Some(self.capabilities? >> number & 1 == 1)
    }
}
