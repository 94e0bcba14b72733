//! The output of `waltop status --locks`: who holds which lock, and who wants one.

use std::{
    fmt::{self, Write as _},
    path::PathBuf,
};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{process_line, write_locks};
use crate::{
    snapshot::{Database, DatabaseLocks, Process, Snapshot, Unseen, lossy_path},
    text,
};

/// The locks of the sampled databases.
#[derive(Debug, Clone, JsonSchema, Serialize, Deserialize)]
pub struct LocksReport {
    /// The time of the last sample.
    pub taken_at: Timestamp,
    pub databases: Vec<LockedDatabase>,
    /// What could not be seen: a process there may hold a lock.
    pub unseen: Vec<Unseen>,
}

/// The locks of one database.
#[derive(Debug, Clone, JsonSchema, Serialize, Deserialize)]
pub struct LockedDatabase {
    #[serde(serialize_with = "lossy_path")]
    #[schemars(with = "String")]
    pub path: PathBuf,
    /// Why it could not be sampled; `None` if it was.
    pub unfit: Option<String>,
    pub locks: DatabaseLocks,
    /// The processes that hold a lock on its data, or wait for the write lock as far as that can be seen.
    pub processes: Vec<Process>,
}

impl LocksReport {
    pub fn new(snapshot: &Snapshot) -> Self {
        let one = |database: &Database| LockedDatabase {
            path: database.path.clone(),
            unfit: database.unfit.clone(),
            locks: database.locks.clone(),
            processes: involved(database).cloned().collect(),
        };
        Self {
            taken_at: snapshot.taken_at,
            databases: snapshot.databases.iter().map(one).collect(),
            unseen: snapshot.unseen.clone(),
        }
    }
}

fn involved(database: &Database) -> impl Iterator<Item = &Process> {
    let is_involved = |it: &&Process| !it.holds.is_empty() || database.locks.wait_of(it.pid).is_some();
    database.processes.iter().filter(is_involved)
}

/// The same for people, one fact per line.
pub fn locks_text(snapshot: &Snapshot) -> String {
    let mut out = String::new();
    for database in &snapshot.databases {
        // Writing to a string cannot fail.
        let _ = write_database(&mut out, database);
    }
    for unseen in &snapshot.unseen {
        let _ = writeln!(out, "not seen    {}: {}", text::clean(&unseen.what), text::clean(&unseen.why));
    }
    out
}

fn write_database(out: &mut String, database: &Database) -> fmt::Result {
    writeln!(out, "{}", text::clean(&database.path.display().to_string()))?;
    if let Some(why) = &database.unfit {
        writeln!(out, "not seen    {}", text::clean(why))?;
    }
    write_locks(out, database)?;
    involved(database).try_for_each(|process| writeln!(out, "process     {}", process_line(process)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{diagnose::fixture, snapshot::LockHold};

    #[test]
    fn only_the_processes_of_locks_are_listed() {
        let mut database = fixture::live();
        let [holder, reader, ..] = database.processes.as_mut_slice() else { panic!("two processes") };
        holder.holds = vec![LockHold::Write];
        reader.holds = vec![LockHold::Read(1)];
        let involved = [holder.pid, reader.pid];
        let mut idle = fixture::live().processes[0].clone();
        (idle.pid, idle.label) = (4711, "idler".to_owned());
        database.processes = vec![holder.clone(), idle, reader.clone()];
        let snapshot = fixture::snapshot(vec![database]);
        let report = LocksReport::new(&snapshot);
        let listed = &report.databases[0].processes;
        assert_eq!(listed.iter().map(|it| it.pid).collect::<Vec<_>>(), involved);
        let text = locks_text(&snapshot);
        assert!(text.contains("write lock") && !text.contains("idler"), "{text}");
    }
}
