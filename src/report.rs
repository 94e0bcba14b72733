//! Snapshots and outcomes as text or JSON, for the commands.

use std::{
    fmt::{self, Write as _},
    fs::OpenOptions,
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

mod check;
mod locks;

pub use check::{CheckReport, CheckVerdict, CheckedDatabase};
pub use locks::{LockedDatabase, LocksReport, locks_text};

use crate::{
    diagnose::{self, checkpoint::CheckpointBlocker},
    json,
    snapshot::{
        CheckpointMode, Database, Ingestion, LogReader, Process, Snapshot, SpaceKind, Versioned, WalSource,
        lossy_path,
    },
    text, units,
};

/// The output of a command that processes each database.
#[derive(Debug, Clone, JsonSchema, Serialize, Deserialize)]
pub struct DatabaseReports<T> {
    /// A report for each database that succeeded, in the order of the command line.
    pub databases: Vec<T>,
}

/// The output of `waltop checkpoint` for one database.
#[derive(Debug, Clone, JsonSchema, Serialize, Deserialize)]
pub struct CheckpointReport {
    #[serde(serialize_with = "lossy_path")]
    #[schemars(with = "String")]
    pub path: PathBuf,
    pub mode: CheckpointMode,
    /// Whether `--dry-run` was given: none was run, and `blocked_by` is what would be in the way.
    #[serde(default)]
    pub dry_run: bool,
    /// Whether SQLite reported another process's lock.
    pub busy: bool,
    /// Committed frames in the log; `None` if SQLite did not report them.
    pub frames_in_log: Option<u32>,
    /// Those frames that are in the main file; `None` if SQLite did not report them.
    pub frames_moved: Option<u32>,
    /// Frames that this checkpoint has moved; `None` if unknown.
    #[serde(default)]
    pub frames_moved_now: Option<u32>,
    /// Its duration, in ms.
    pub waited_ms: f64,
    /// Whether every frame was checkpointed and, if the mode asks for it, the log can restart.
    pub complete: bool,
    /// Processes that block the remaining frames.
    pub blocked_by: Vec<CheckpointBlocker>,
}

impl fmt::Display for CheckpointReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.dry_run {
            return self.write_preview(f);
        }
        let verdict = if self.complete { "complete" } else { "incomplete" };
        write!(f, "{} checkpoint {verdict}: ", self.mode)?;
        match (self.frames_moved, self.frames_in_log) {
            (Some(moved), Some(all)) => {
                write!(f, "{} of {}", units::count(moved.into()), units::plural(all.into(), "frame"))?;
                match self.frames_moved_now {
                    Some(now) if now == moved => f.write_str(" moved")?,
                    Some(0) => f.write_str(" are in the main file, none moved by this checkpoint,")?,
                    Some(now) => {
                        write!(f, " are in the main file, {} of them moved now,", units::count(now.into()))?;
                    }
                    None => f.write_str(" are in the main file,")?,
                }
            }
            _ => f.write_str("another checkpoint was running")?,
        }
        write!(f, " in {}", units::duration(self.waited_ms))?;
        for blocker in self.blocked_by.iter().filter(|_| !self.complete) {
            write!(f, "; {}", blocker.why)?;
        }
        Ok(())
    }
}

impl CheckpointReport {
    fn write_preview(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match (self.frames_moved, self.frames_in_log) {
            (Some(moved), Some(all)) => {
                let waiting = units::count(all.saturating_sub(moved).into());
                format!("{waiting} of {}", units::plural(all.into(), "frame"))
            }
            _ if self.complete => "nothing: there is no log".to_owned(),
            _ => "what waits in the log, which is not known".to_owned(),
        };
        write!(f, "a {} checkpoint would move {what}", self.mode)?;
        for blocker in &self.blocked_by {
            write!(f, "; in the way: {}", blocker.why)?;
        }
        Ok(())
    }
}

/// The output of `waltop fix` for one database.
#[derive(Debug, Clone, JsonSchema, Serialize, Deserialize)]
pub struct FixReport {
    #[serde(serialize_with = "lossy_path")]
    #[schemars(with = "String")]
    pub path: PathBuf,
    /// The SQL of the fix, or the command that renames a log; empty if nothing had to be fixed.
    pub sql: Vec<String>,
    /// Whether it was run, or only printed.
    pub applied: bool,
    /// Processes that would have blocked it.
    pub in_the_way: Vec<CheckpointBlocker>,
    /// Processes that have the database open.
    #[serde(default)]
    pub users: Vec<CheckpointBlocker>,
    /// Deviations from the profile that stay, each with the reason.
    #[serde(default)]
    pub left_alone: Vec<String>,
}

impl fmt::Display for FixReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match (self.sql.is_empty(), self.applied) {
            (true, _) => write!(f, "{path}: nothing to fix"),
            (false, false) if !self.users.is_empty() => {
                let users: Vec<&str> = self.users.iter().map(|it| it.why.as_str()).collect();
                write!(f, "{path}: open in {}: would run: {}", users.join(", "), self.sql.join("; "))
            }
            (false, true) => write!(f, "{path}: done: {}", self.sql.join("; ")),
            (false, false) => write!(f, "{path}: would run: {}", self.sql.join("; ")),
        }?;
        let mut lead = "; in the way: ";
        for blocker in &self.in_the_way {
            write!(f, "{lead}{}", blocker.why)?;
            lead = ", ";
        }
        self.left_alone.iter().try_for_each(|why| write!(f, "; {why}"))
    }
}

/// Writes `answer`, an object, as JSON with the version of the contract to a new file at `path`.
///
/// # Errors
///
/// The file exists already or cannot be written.
pub fn write_json(path: &Path, answer: &impl Serialize) -> io::Result<()> {
    // `create_new` follows no symbolic link. Other users of the machine must not read command lines of processes.
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let written = json::pretty(&Versioned::new(answer))
        .map_err(io::Error::from)
        .and_then(|text| writeln!(file, "{text}"));
    if written.is_err() {
        // A partial file would block the next try.
        let _ = std::fs::remove_file(path);
    }
    written
}

/// `snapshot` for people, one fact per line.
pub fn text(snapshot: &Snapshot) -> String {
    let mut out = String::new();
    for database in &snapshot.databases {
        // Writing to a string cannot fail.
        let _ = write_database(&mut out, database, snapshot.taken_at);
    }
    if let Some(sampling) = &snapshot.sampling {
        let _ = writeln!(out, "sampling    {sampling}");
    }
    for unseen in &snapshot.unseen {
        let _ = writeln!(out, "not seen    {}: {}", text::clean(&unseen.what), text::clean(&unseen.why));
    }
    out
}

fn write_database(out: &mut String, database: &Database, taken_at: Timestamp) -> fmt::Result {
    writeln!(out, "{}", text::clean(&database.path.display().to_string()))?;
    if let Some(why) = &database.unfit {
        writeln!(out, "not seen    {}", text::clean(why))?;
    }
    write_files(out, database)?;
    if database.space.iter().any(|part| part.kind != SpaceKind::Data) {
        writeln!(out, "space       {}", diagnose::describe_space(database).join("; "))?;
    }
    write_locks(out, database)?;
    if let Some(schedule) = &database.schedule {
        writeln!(out, "schedule    {}", text::clean(&schedule.describe(taken_at)))?;
    }
    if database.processes.is_empty() {
        writeln!(out, "processes   none that can be seen from here")?;
    }
    for process in &database.processes {
        writeln!(out, "process     {}", process_line(process))?;
        write_verdict(out, process)?;
    }
    for row in database.pragmas.rows.iter().filter(|row| row.ok == Some(false)) {
        let value = row.actual.as_deref().unwrap_or("unknown");
        let expected = row.expected.as_deref().unwrap_or("–");
        let note = row.note.as_deref().map(|note| format!(" ({note})")).unwrap_or_default();
        writeln!(
            out,
            "pragma      {} is {} ({}), {} asks for {expected}{}",
            row.name,
            text::clean(value),
            row.source,
            database.pragmas.profile,
            text::clean(&note)
        )?;
    }
    for lock in &database.locks_beside {
        writeln!(out, "beside      {}", text::clean(&lock.to_string()))?;
    }
    for ingestion in &database.ingestions {
        writeln!(out, "ingestion   {}", ingestion_line(ingestion))?;
    }
    for watcher in &database.watchers {
        let folders = watcher.folders.join(" ");
        writeln!(out, "watch       process {} keeps it in step with {}", watcher.pid, text::clean(&folders))?;
    }
    for finding in &database.findings {
        writeln!(out, "{:<11} {}: {}", finding.severity, finding.kind, text::clean(&finding.message))?;
    }
    if database.findings.is_empty() && database.files.db.is_some() {
        writeln!(out, "findings    none")?;
    }
    Ok(())
}

fn write_files(out: &mut String, database: &Database) -> fmt::Result {
    if let Some(filesystem) = database.filesystem.as_ref().filter(|it| it.read_only == Some(true)) {
        let at = filesystem.mounted_at.display().to_string();
        writeln!(out, "mounted     read-only at {}: nothing can be written to it", text::clean(&at))?;
    }
    let size = |file: &Option<crate::snapshot::FileFacts>| {
        file.as_ref().map_or_else(|| "none".to_owned(), |file| units::bytes(file.bytes))
    };
    let files = &database.files;
    let mode = database.mode();
    let heat = if database.content.hot_journal.is_some() { " hot" } else { "" };
    let journal = files.journal.as_ref().map(|it| format!(", journal {}{heat}", units::bytes(it.bytes)));
    writeln!(
        out,
        "files       db {}, wal {}, shm {}{}; {mode}",
        size(&files.db),
        size(&files.wal),
        size(&files.shm),
        journal.unwrap_or_default()
    )?;
    if let Some(wal) = &database.wal {
        let known = |count: Option<u32>| count.map_or_else(|| "?".to_owned(), |it| units::count(it.into()));
        let source = match wal.source {
            WalSource::Index => "",
            WalSource::Log => " (counted in the log: no process keeps its index)",
        };
        writeln!(
            out,
            "log         {} frames, {} moved, {} waiting{source}",
            known(wal.frames),
            known(wal.backfilled),
            known(wal.pending)
        )?;
    }
    Ok(())
}

fn write_locks(out: &mut String, database: &Database) -> fmt::Result {
    let locks = &database.locks;
    for (label, holder) in [
        ("write lock", &locks.writer),
        ("checkpoint", &locks.checkpointer),
        ("recovery", &locks.recoverer),
        ("whole file", &locks.exclusive),
    ] {
        match holder {
            Some(holder) => {
                writeln!(
                    out,
                    "{label:<11} {}{}",
                    who(database, holder.pid),
                    units::for_at_least(holder.held_ms)
                )?;
            }
            // It is unknown whether a missing file is locked.
            None if label == "write lock" && database.files.db.is_some() => {
                writeln!(out, "write lock  free")?;
            }
            None => {}
        }
    }
    if let Some(wait) = &locks.holder_wait {
        let readers: Vec<_> = wait.readers.iter().map(|reader| who(database, reader.pid)).collect();
        writeln!(out, "waits for   {}, in a {}", readers.join(", "), wait.cause)?;
    }
    if let (Some(holds), Some(window)) = (&locks.write_holds, locks.window_ms) {
        let ended = holds
            .p50_ms
            .zip(holds.p99_ms)
            .map(|(p50, p99)| format!(", p50 {}, p99 {}", units::duration(p50), units::duration(p99)));
        writeln!(
            out,
            "held        {:.1} % of {}: {}{}, longest {}",
            holds.held_ratio * 100.0,
            units::duration(window),
            units::plural(holds.count, "hold"),
            ended.unwrap_or_default(),
            units::duration(holds.max_ms)
        )?;
    }
    if let Some(commits) = &database.commits {
        writeln!(out, "commits     {commits}")?;
    }
    if let Some(free) = locks.availability.as_ref().filter(|it| it.is_free) {
        writeln!(out, "write lock  {}", text::clean(&free.to_string()))?;
    }
    for reader in &locks.readers {
        writeln!(out, "reader      {}", reader_line(database, reader))?;
    }
    Ok(())
}

fn who(database: &Database, pid: Option<i32>) -> String {
    match pid {
        None => "a process not visible from here".to_owned(),
        Some(pid) => match database.process(pid) {
            Some(process) => text::clean(&process.who()),
            None => pid.to_string(),
        },
    }
}

fn reader_line(database: &Database, reader: &LogReader) -> String {
    let place = match (reader.slot, reader.frame) {
        (Some(slot), Some(frame)) => format!(" in slot {slot} at frame {}", units::count(frame.into())),
        (Some(slot), None) => format!(" in slot {slot}"),
        (None, _) => String::new(),
    };
    format!("{}{place}{}", who(database, reader.pid), units::for_at_least(reader.held_ms))
}

fn process_line(process: &Process) -> String {
    let holds: Vec<String> = process.holds.iter().map(ToString::to_string).collect();
    let locks = if holds.is_empty() { "no lock on its data".to_owned() } else { holds.join(" ") };
    let read_only = if process.read_only == Some(true) { ", read-only" } else { "" };
    let versions: Vec<String> = process.sqlite_libraries().map(|it| text::clean(&it.version)).collect();
    let sqlite =
        if versions.is_empty() { String::new() } else { format!(", SQLite {}", versions.join(" and ")) };
    let user = process.user.as_deref().unwrap_or("?");
    let writes = process.write_rate.filter(|rate| *rate > 0.0);
    let writes = writes.map(|rate| format!(", writes {}", units::byte_rate(rate))).unwrap_or_default();
    format!(
        "{} {}, {}{read_only}{sqlite}, {locks}{writes}: {}",
        text::clean(&process.who()),
        text::clean(user),
        process.state,
        text::clean(&process.command_line())
    )
}

// The causes, and the protection if there is one.
fn write_verdict(out: &mut String, process: &Process) -> fmt::Result {
    let Some(stale) = process.stale.as_ref().filter(|stale| !stale.causes.is_empty()) else {
        return Ok(());
    };
    let label = if stale.is_stale { "stale" } else { "left alone" };
    for cause in &stale.causes {
        let who = text::clean(&process.who());
        writeln!(out, "{label:<11} {who} {}: {}", cause.name(), text::clean(&cause.to_string()))?;
    }
    if let Some(reason) = &stale.protected {
        writeln!(out, "protected   {} {}", text::clean(&process.who()), text::clean(&reason.to_string()))?;
    }
    Ok(())
}

fn ingestion_line(ingestion: &Ingestion) -> String {
    let total = ingestion.files_total.map_or_else(|| "?".to_owned(), units::count);
    format!(
        "{} {}: {} of {total} files, {} failed, batches: {}",
        text::clean(&ingestion.folders.join(" ")),
        ingestion.state,
        units::count(ingestion.files_done),
        units::count(ingestion.files_failed),
        units::count(ingestion.batches)
    )
}
