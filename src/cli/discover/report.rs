//! The output of `waltop discover`.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    observe::{OpenDatabase, OpenDatabases, proc::ProcessGroups},
    snapshot::{
        Database, Finding, JournalMode, LockHold, LockHolder, Process, ProcessGroup, Snapshot, Unseen,
        lossy_path,
    },
    text, units,
};

/// The SQLite databases that processes of this machine have open.
#[derive(Debug, JsonSchema, Serialize)]
pub struct DiscoveryReport {
    pub taken_at: Timestamp,
    pub host: String,
    /// By container, unit and user, then by path.
    pub databases: Vec<DiscoveredDatabase>,
    /// What could not be seen, or was left out by a limit: more databases may be open.
    pub unseen: Vec<Unseen>,
    /// The exit code: 0, or 1 if no open database is visible.
    pub exit: u8,
}

/// A database that a process has open.
#[derive(Debug, JsonSchema, Serialize)]
pub struct DiscoveredDatabase {
    /// What names it for the other commands: its path, or CONTAINER:PATH.
    #[serde(serialize_with = "lossy_path")]
    #[schemars(with = "String")]
    pub argument: PathBuf,
    /// The path by which it was sampled.
    #[serde(serialize_with = "lossy_path")]
    #[schemars(with = "String")]
    pub path: PathBuf,
    /// The path by which its processes know it.
    #[serde(serialize_with = "lossy_path")]
    #[schemars(with = "String")]
    pub inner_path: PathBuf,
    /// The container, unit or user of the process by which it was found.
    pub group: ProcessGroup,
    /// `None` if the header is not readable.
    pub journal_mode: Option<JournalMode>,
    /// Bytes of the main file; `None` if it was deleted.
    pub db_bytes: Option<u64>,
    /// Bytes of the log; `None` if there is none.
    pub wal_bytes: Option<u64>,
    /// The holder of the write lock.
    pub writer: Option<LockHolder>,
    /// The processes that have it open, by PID.
    pub processes: Vec<DiscoveredProcess>,
    /// Worst first. Findings that need a connection are not among them.
    pub findings: Vec<Finding>,
    /// Why it could not be sampled; `None` if it could.
    pub unfit: Option<String>,
}

/// A process that has a database open.
#[derive(Debug, JsonSchema, Serialize)]
pub struct DiscoveredProcess {
    pub pid: i32,
    /// Its PID in its own PID namespace; `None` if that is the one of waltop.
    pub inner_pid: Option<i32>,
    /// Start time in clock ticks since boot: PID and start together identify it.
    pub start_ticks: Option<u64>,
    /// Its label, as in the console.
    pub label: String,
    pub user: Option<String>,
    pub group: ProcessGroup,
    /// Its locks beyond those of any idle connection.
    pub holds: Vec<LockHold>,
}

impl DiscoveryReport {
    /// What was found, with what the sample of it shows. A database that no process has open any more is left out.
    pub fn new(found: OpenDatabases, sample: &Snapshot, groups: &mut ProcessGroups) -> Self {
        let mut databases = Vec::new();
        let mut unseen = found.unseen;
        for place in found.databases {
            let sampled = sample.databases.iter().find(|database| database.path == place.path);
            let sampled = sampled.filter(|it| !it.processes.is_empty() && is_database(it));
            databases.extend(sampled.map(|it| DiscoveredDatabase::new(place, it, groups)));
        }
        if sample.databases.is_empty() {
            unseen.extend(found.denied);
        } else {
            unseen.extend(sample.unseen.iter().cloned());
        }
        unseen.sort();
        unseen.dedup();
        let exit = u8::from(databases.is_empty());
        Self { taken_at: sample.taken_at, host: sample.host.clone(), databases, unseen, exit }
    }
}

// Whether the sample has found more than a file with a file of a similar name beside it.
fn is_database(database: &Database) -> bool {
    database.header.is_some() || database.content.is_encrypted() || database.is_gone()
}

impl DiscoveredDatabase {
    fn new(place: OpenDatabase, sampled: &Database, groups: &mut ProcessGroups) -> Self {
        let process = |process: &Process| DiscoveredProcess {
            pid: process.pid,
            inner_pid: process.inner_pid,
            start_ticks: process.start_ticks,
            label: process.label.clone(),
            user: process.user.clone(),
            group: groups.of(process.pid),
            holds: process.holds.clone(),
        };
        Self {
            argument: place.argument,
            path: place.path,
            inner_path: place.inner,
            group: place.group,
            journal_mode: sampled.header.as_ref().map(|header| header.journal_mode),
            db_bytes: sampled.files.db.as_ref().map(|file| file.bytes),
            wal_bytes: sampled.files.wal.as_ref().map(|file| file.bytes),
            writer: sampled.locks.writer.clone(),
            processes: sampled.processes.iter().map(process).collect(),
            findings: sampled.findings.clone(),
            unfit: sampled.unfit.clone().filter(|_| !sampled.is_gone()),
        }
    }

    fn mode(&self) -> &'static str {
        match self.journal_mode {
            Some(JournalMode::Wal) => "WAL",
            Some(JournalMode::Wal2) => "WAL2",
            Some(JournalMode::Rollback) => "rollback journal",
            None if self.db_bytes.is_none() => "deleted",
            None => "encrypted or damaged",
        }
    }

    fn facts(&self) -> String {
        let log = self.wal_bytes.map(|bytes| format!("log {}", units::bytes(bytes)));
        let size = self.db_bytes.map(units::bytes);
        let processes = units::plural(self.processes.len() as u64, "process");
        let writer = self.writer.as_ref().map(|holder| {
            let who = holder
                .pid
                .map_or_else(|| "a process not visible from here".to_owned(), |pid| pid.to_string());
            format!("written by {who}{}", units::for_at_least(holder.held_ms))
        });
        let parts = [Some(self.mode().to_owned()), size, log, Some(processes), writer];
        parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}

impl fmt::Display for DiscoveryReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.databases.is_empty() {
            let as_seen = if self.unseen.is_empty() { "" } else { " that waltop could see" };
            writeln!(f, "no process{as_seen} has a SQLite database open")?;
        }
        let mut group = None;
        for database in &self.databases {
            if group != Some(&database.group) {
                writeln!(f, "{}", text::clean(&database.group.to_string()))?;
                group = Some(&database.group);
            }
            write!(f, "{database}")?;
        }
        for Unseen { what, why } in &self.unseen {
            writeln!(f, "not seen: {}: {}", text::clean(what), text::clean(why))?;
        }
        Ok(())
    }
}

impl fmt::Display for DiscoveredDatabase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  {}: {}", shown(&self.argument), self.facts())?;
        for process in &self.processes {
            let holds: Vec<String> = process.holds.iter().map(ToString::to_string).collect();
            let locks = if holds.is_empty() { "no lock on its data".to_owned() } else { holds.join(" ") };
            let inner = process.inner_pid.map(|pid| format!(", PID {pid} inside")).unwrap_or_default();
            let elsewhere =
                if process.group == self.group { String::new() } else { format!(", {}", process.group) };
            let (label, user) = (text::clean(&process.label), process.user.as_deref().unwrap_or("?"));
            let line = format!("{} ({label}){inner}{elsewhere}, {user}, {locks}", process.pid);
            writeln!(f, "    process  {}", text::clean(&line))?;
        }
        match (self.findings.first(), &self.unfit) {
            (Some(worst), _) => {
                let others = match self.findings.len() {
                    1 => String::new(),
                    count => format!(" (+{})", count - 1),
                };
                let Finding { severity, kind, message, .. } = worst;
                writeln!(f, "    {:<8} {kind}{others}: {}", severity.to_string(), text::clean(message))
            }
            (None, Some(why)) => writeln!(f, "    not seen {}", text::clean(why)),
            (None, None) => writeln!(f, "    nothing wrong"),
        }
    }
}

fn shown(path: &Path) -> String {
    text::clean(&text::shell_word(&path.to_string_lossy()))
}
