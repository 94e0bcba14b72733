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
        if database.locks.index_held_unseen || database.locks.main_held_unseen {
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
    pub fn sampled(&mut self, database: &Database, unseen: Vec<Unseen>, is_own: impl Fn(i32) -> bool) {
        self.samples += 1;
        let strangers = database.processes.iter().filter(|process| !is_own(process.pid));
        let hidden = database.locks.index_held_unseen || database.locks.main_held_unseen;
        let all = strangers.map(|process| SafeProcess::of(process, false));
        for stranger in all.chain(hidden.then(SafeProcess::unseen)) {
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
mod tests {
    use super::{super::fixture::*, *};
    use crate::snapshot::{DatabaseLocks, HotJournal, LogBelongs, LogVerdict, WalState};

    fn nobody() -> Database {
        let mut database = quiet();
        database.processes.clear();
        database.locks = DatabaseLocks::default();
        database.wal = None;
        (database.files.wal, database.files.shm) = (None, None);
        database
    }

    fn report(purpose: SafePurpose, [first, last]: [&Database; 2]) -> SafeReport {
        SafeReport::new(purpose, [first, last], Vec::new())
    }

    fn outline(report: &SafeReport) -> (SafeVerdict, u8, Vec<(Option<i32>, bool)>) {
        let processes = report.processes.iter().map(|it| (it.pid, it.has_left)).collect();
        (report.verdict, report.exit(), processes)
    }

    #[test]
    fn a_process_of_either_sample_counts() {
        let (used, unused) = (live(), nobody());
        let of = |samples| outline(&report(SafePurpose::Vacuum, samples));
        assert_eq!(of([&unused, &unused]), (SafeVerdict::Safe, 0, Vec::new()));
        let both = |has_left| vec![(Some(READER), has_left), (Some(WRITER), has_left)];
        assert_eq!(of([&used, &used]), (SafeVerdict::InUse, 1, both(false)));
        assert_eq!(of([&unused, &used]), (SafeVerdict::InUse, 1, both(false)));
        assert_eq!(of([&used, &unused]), (SafeVerdict::InUse, 1, both(true)), "they come again");
    }

    #[test]
    fn a_lock_of_a_process_that_is_not_visible_counts() {
        let mut database = nobody();
        database.locks.main_held_unseen = true;
        let report = report(SafePurpose::Copy, [&database, &database]);
        assert_eq!(outline(&report), (SafeVerdict::InUse, 1, vec![(None, false)]));
    }

    #[test]
    fn without_a_whole_view_the_absence_of_processes_proves_nothing() {
        let unseen =
            || vec![Unseen { what: "open files of 3 processes".to_owned(), why: "denied".to_owned() }];
        let verdict = |database: &Database, unseen| {
            outline(&SafeReport::new(SafePurpose::Copy, [database, database], unseen)).0
        };
        assert_eq!(verdict(&nobody(), unseen()), SafeVerdict::Unknown);
        assert_eq!(verdict(&live(), unseen()), SafeVerdict::InUse);
        let mut shared = nobody();
        shared.filesystem.as_mut().expect("it is known").kind = "nfs4".to_owned();
        assert_eq!(verdict(&shared, Vec::new()), SafeVerdict::Unknown, "other machines may have it open");
        let unsteady = Database { is_complete: false, ..nobody() };
        assert_eq!(verdict(&unsteady, Vec::new()), SafeVerdict::Unknown);
    }

    #[test]
    fn what_was_left_is_named_where_no_process_uses_it() {
        let kinds = |database: &Database| -> Vec<LeftKind> {
            let left = report(SafePurpose::Copy, [database, database]).left;
            left.into_iter().map(|left| left.kind).collect()
        };
        let mut database = nobody();
        assert_eq!(kinds(&database), []);
        database.files.wal = live().files.wal;
        assert_eq!(kinds(&database), [LeftKind::Log], "it cannot be read");
        database.wal = Some(WalState { source: WalSource::Log, ..wal(12, 0) });
        assert_eq!(kinds(&database), [LeftKind::Log]);
        database.content.log_belongs = Some(LogBelongs {
            verdict: LogVerdict::Doubtful,
            frames: 12,
            main_written_at: None,
            main_born_at: None,
            log_written_at: None,
        });
        assert_eq!(kinds(&database), [LeftKind::DoubtfulLog]);
        database.wal = Some(WalState { source: WalSource::Log, ..wal(0, 0) });
        let path = "/srv/notes.db-journal".into();
        database.content.hot_journal =
            Some(HotJournal { path, bytes: 512, modified_at: None, super_journal: None });
        assert_eq!(kinds(&database), [LeftKind::HotJournal]);
        let verdict = |purpose| report(purpose, [&database, &database]).verdict;
        assert_eq!([SafePurpose::Vacuum, SafePurpose::Convert].map(verdict), [SafeVerdict::LeftFiles; 2]);
        assert_eq!([SafePurpose::Copy, SafePurpose::Restore].map(verdict), [SafeVerdict::Safe; 2]);
        database.processes = live().processes;
        assert_eq!(kinds(&database), []);
    }

    #[test]
    fn a_command_that_was_not_watched_in_full_did_not_run_alone() {
        let ran = |adapt: fn(&mut Database), unseen: Vec<Unseen>| {
            let mut ran =
                WatchedCommand { exit_code: Some(0), ..WatchedCommand::new(vec!["true".to_owned()]) };
            let mut database = nobody();
            adapt(&mut database);
            ran.sampled(&database, unseen, |pid| pid == WRITER);
            (ran.exit(), ran.came.iter().map(|it| it.pid).collect::<Vec<_>>())
        };
        assert_eq!(ran(|_| {}, Vec::new()), (0, vec![]));
        assert_eq!(ran(|it| it.processes = live().processes, Vec::new()), (1, vec![Some(READER)]));
        assert_eq!(ran(|it| it.locks.index_held_unseen = true, Vec::new()), (1, vec![None]));
        let unseen = Unseen { what: "open files of 3 processes".to_owned(), why: "denied".to_owned() };
        assert_eq!(ran(|_| {}, vec![unseen]), (2, vec![]));
        let never = WatchedCommand { exit_code: Some(0), ..WatchedCommand::new(Vec::new()) };
        assert_eq!(never.exit(), 2, "no sample was taken");
        assert_eq!(WatchedCommand { exit_code: Some(7), ..never }.exit(), 7);
    }

    #[test]
    fn a_restore_lists_the_files_that_exist_with_the_main_file_first() {
        let names = ["/srv/notes.db", "/srv/notes.db-wal", "/srv/notes.db-shm"].map(str::to_owned);
        assert_eq!(report(SafePurpose::Restore, [&live(), &live()]).files, names);
        assert_eq!(report(SafePurpose::Restore, [&nobody(), &nobody()]).files, names[..1]);
        assert_eq!(report(SafePurpose::Copy, [&live(), &live()]).files, Vec::<String>::new());
    }
}
