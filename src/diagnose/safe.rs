//! Whether no process has a database open, so that it can be copied, vacuumed, converted or replaced: `waltop safe`.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::place::unseen_elsewhere;
use crate::snapshot::{
    Database, DatabaseFiles, LabelRules, Process, ProcessId, ProcessManager, Unseen, WalSource, lossy_path,
};

mod lines;

/// What is to be done with a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum SafePurpose {
    /// Copy its files.
    Copy,
    /// Run VACUUM.
    Vacuum,
    /// Change its journal mode or page size.
    Convert,
    /// Put a copy in its place.
    Restore,
}

impl fmt::Display for SafePurpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Copy => "copy",
            Self::Vacuum => "vacuum",
            Self::Convert => "convert",
            Self::Restore => "restore",
        })
    }
}

impl SafePurpose {
    /// What a left file of `kind` means for it.
    pub fn advice(self, kind: LeftKind) -> &'static str {
        match (kind, self) {
            (_, Self::Restore) => "move it away with the main file: SQLite would apply it to the copy",
            (LeftKind::DoubtfulLog, _) => {
                "it may not belong to the main file; see: waltop explain doubtful-log"
            }
            (_, Self::Copy) => "copy it with the main file, under the name of the copy",
            (LeftKind::HotJournal, _) => "the next connection rolls its transaction back first",
            (LeftKind::Log, _) => "the next connection recovers it first",
        }
    }
}

/// The output of `waltop safe`.
#[derive(Debug, Clone, JsonSchema, Serialize, Deserialize)]
pub struct SafeReport {
    #[serde(serialize_with = "lossy_path")]
    #[schemars(with = "String")]
    pub path: PathBuf,
    /// What is to be done.
    #[serde(rename = "for")]
    pub purpose: SafePurpose,
    pub verdict: SafeVerdict,
    /// The processes that had it open in one of the two samples, by PID.
    pub processes: Vec<SafeProcess>,
    /// The log and the journal that the last process has left, if they have data.
    pub left: Vec<LeftFile>,
    /// The files that belong together and exist, in the order in which a restore moves them away; empty for another
    /// purpose.
    pub files: Vec<String>,
    /// What could not be seen of the processes and locks.
    pub unseen: Vec<Unseen>,
    /// The copy that was made.
    #[serde(default)]
    pub copied: Option<SafeCopy>,
    /// The command that was run.
    #[serde(default)]
    pub ran: Option<WatchedCommand>,
}

/// A copy by SQLite, of one snapshot.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct SafeCopy {
    #[serde(serialize_with = "lossy_path")]
    #[schemars(with = "String")]
    pub to: PathBuf,
    pub pages: u64,
    pub bytes: u64,
    pub took_ms: f64,
}

/// A command that ran while the database was watched.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct WatchedCommand {
    /// Its words.
    pub command: Vec<String>,
    /// `None`: a signal ended it.
    pub exit_code: Option<i32>,
    /// The processes outside of it that a sample saw with the database open meanwhile, by PID.
    pub came: Vec<SafeProcess>,
    /// How many samples were taken.
    pub samples: u64,
    /// What the samples could not see of processes and locks.
    pub unseen: Vec<Unseen>,
}

/// Whether no process has the database open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SafeVerdict {
    /// No process has it open.
    Safe,
    InUse,
    /// No process has it open, and the next connection would apply a journal or a log that may destroy it.
    LeftFiles,
    /// No process is seen, and not all of them can be seen.
    Unknown,
}

/// A process that has the database open.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct SafeProcess {
    /// `None`: the process is not visible from here.
    pub pid: Option<i32>,
    /// Its label; `None` if it is not visible.
    pub label: Option<String>,
    /// What keeps it running, and would restart it; `None` if unknown.
    pub manager: Option<ProcessManager>,
    pub parent: Option<i32>,
    /// The label of its parent; `None` if unknown.
    pub parent_label: Option<String>,
    /// Whether it is visibly no SQLite client, but a program that reads the files.
    pub only_reads_files: bool,
    /// Files of an older generation that it has open: deleted or replaced since.
    pub replaced: Vec<String>,
    /// Those of `replaced` that have no name left: their data is lost when the last process closes them.
    pub deleted: Vec<String>,
    /// Whether the second sample does not show it any more: it comes and goes.
    pub has_left: bool,
}

/// A file that the last process has left, with data that is not in the main file.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct LeftFile {
    #[serde(serialize_with = "lossy_path")]
    #[schemars(with = "String")]
    pub path: PathBuf,
    pub kind: LeftKind,
    /// Committed frames of a log; `None` for a journal, or if they are not counted.
    pub frames: Option<u32>,
    pub bytes: u64,
    /// What it means for the purpose.
    pub advice: String,
}

/// The kind of a [`LeftFile`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LeftKind {
    /// A write-ahead log with committed frames.
    Log,
    /// A log that may not belong to the main file.
    DoubtfulLog,
    /// The rollback journal of a transaction that was cut off.
    HotJournal,
}

impl SafeReport {
    /// The report on two samples of the database, and what they could not see of its processes.
    pub fn new(purpose: SafePurpose, [first, last]: [&Database; 2], mut unseen: Vec<Unseen>) -> Self {
        let processes = processes(first, last);
        if !(first.is_complete && last.is_complete) && unseen.is_empty() {
            let what = format!("which processes have the files of {} open", last.path.display());
            let why = "the files were replaced during the sample".to_owned();
            unseen.push(Unseen { what, why });
        }
        unseen.extend(unseen_elsewhere(last));
        unseen.sort();
        unseen.dedup();
        let files = if purpose == SafePurpose::Restore { files(last) } else { Vec::new() };
        // What a process uses is not left.
        let left = if processes.is_empty() { left(purpose, last) } else { Vec::new() };
        let connects = matches!(purpose, SafePurpose::Vacuum | SafePurpose::Convert);
        let destroys = left.iter().any(|it| it.kind != LeftKind::Log);
        let verdict = match (processes.is_empty(), unseen.is_empty()) {
            (false, _) => SafeVerdict::InUse,
            (true, false) => SafeVerdict::Unknown,
            (true, true) if connects && destroys => SafeVerdict::LeftFiles,
            (true, true) => SafeVerdict::Safe,
        };
        let path = last.path.clone();
        Self { path, purpose, verdict, processes, left, files, unseen, copied: None, ran: None }
    }

    /// The verdict, or the end of what was done after it, as an exit code.
    pub fn exit(&self) -> u8 {
        if self.copied.is_some() {
            return 0;
        }
        if let Some(ran) = &self.ran {
            return ran.exit();
        }
        match self.verdict {
            SafeVerdict::Safe => 0,
            SafeVerdict::InUse | SafeVerdict::LeftFiles => 1,
            SafeVerdict::Unknown => 2,
        }
    }
}

/// The processes of either sample; those of the last one count as they are there.
fn processes(first: &Database, last: &Database) -> Vec<SafeProcess> {
    let keyed = |process: &Process| {
        (process.pid, process.identity().map(|ProcessId { start_ticks, .. }| start_ticks))
    };
    let mut found = BTreeMap::new();
    for (database, has_left) in [(first, true), (last, false)] {
        let visible = database.processes.iter();
        found.extend(visible.map(|process| (Some(keyed(process)), SafeProcess::of(process, has_left))));
        if database.locks.is_held_unseen() {
            found.insert(None, SafeProcess { has_left, ..SafeProcess::unseen() });
        }
    }
    found.into_values().collect()
}

impl WatchedCommand {
    pub fn new(command: Vec<String>) -> Self {
        Self { command, exit_code: None, came: Vec::new(), samples: 0, unseen: Vec::new() }
    }

    /// Counts the processes that `database` shows and of which `is_own` says that they are not of the command. `unseen`
    /// is what this sample could not see.
    pub fn sampled(&mut self, database: &Database, unseen: Vec<Unseen>, is_own: impl Fn(&Process) -> bool) {
        self.samples += 1;
        let strangers = database.processes.iter().filter(|process| !is_own(process));
        let all = strangers.map(|process| SafeProcess::of(process, false));
        for stranger in all.chain(database.locks.is_held_unseen().then(SafeProcess::unseen)) {
            if !self.came.iter().any(|known| known.pid == stranger.pid) {
                self.came.push(stranger);
            }
        }
        self.unseen.extend(unseen);
        self.unseen.sort();
        self.unseen.dedup();
    }

    /// The code of the command; 1 instead of 0 if others came, and 2 if that is not known.
    fn exit(&self) -> u8 {
        let code = self.exit_code.and_then(|code| u8::try_from(code).ok()).unwrap_or(2);
        match code {
            0 if !self.came.is_empty() => 1,
            0 if self.samples == 0 || !self.unseen.is_empty() => 2,
            code => code,
        }
    }
}

impl SafeProcess {
    fn of(process: &Process, has_left: bool) -> Self {
        let parent = process.origin.parent_command.as_deref();
        Self {
            pid: Some(process.pid),
            label: Some(process.label.clone()),
            manager: process.origin.manager.clone(),
            parent: process.parent,
            parent_label: parent.map(|command| LabelRules::default().label("", command)),
            only_reads_files: process.only_reads_files(),
            replaced: process.replaced.clone(),
            deleted: process.deleted.clone(),
            has_left,
        }
    }

    fn unseen() -> Self {
        Self {
            pid: None,
            label: None,
            manager: None,
            parent: None,
            parent_label: None,
            only_reads_files: false,
            replaced: Vec::new(),
            deleted: Vec::new(),
            has_left: false,
        }
    }
}

fn files(database: &Database) -> Vec<String> {
    let DatabaseFiles { db, wal, shm, journal } = &database.files;
    let main = database.path.to_string_lossy();
    let all = [("", db), ("-wal", wal), ("-shm", shm), ("-journal", journal)];
    all.into_iter().filter(|(_, file)| file.is_some()).map(|(suffix, _)| format!("{main}{suffix}")).collect()
}

fn left(purpose: SafePurpose, database: &Database) -> Vec<LeftFile> {
    let mut left = Vec::new();
    if let Some(journal) = &database.content.hot_journal {
        left.push(LeftFile {
            path: journal.path.clone(),
            kind: LeftKind::HotJournal,
            frames: None,
            bytes: journal.bytes,
            advice: purpose.advice(LeftKind::HotJournal).to_owned(),
        });
    }
    // `None`: it has data that cannot be read.
    let counted = match &database.wal {
        None => Some(None),
        Some(wal) if wal.source == WalSource::Log && wal.frames != Some(0) => Some(wal.frames),
        Some(_) => None,
    };
    let log = database.files.wal.as_ref().filter(|log| log.bytes > 0);
    left.extend(log.zip(counted).map(|(log, frames)| {
        let is_doubtful = database.content.doubtful_log().is_some();
        let kind = if is_doubtful { LeftKind::DoubtfulLog } else { LeftKind::Log };
        LeftFile {
            path: format!("{}-wal", database.path.display()).into(),
            kind,
            frames,
            bytes: log.bytes,
            advice: purpose.advice(kind).to_owned(),
        }
    }));
    left
}

#[cfg(test)]
mod tests;
