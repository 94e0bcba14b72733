//! Whether a sampled database permits a connection or a write. Every worker checks this.

use std::fmt;

use crate::snapshot::{Database, FileFacts, Finding, FindingKind, PathReach, SuspicionKind};

/// What forbids a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForbiddingFact {
    Finding(FindingKind),
    /// The path leads into the files of another mount namespace.
    AnotherNamespace,
    /// Later samples have not confirmed a suspicion.
    Unconfirmed,
}

/// The fact that forbids a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuardRefusal {
    pub fact: ForbiddingFact,
    /// The process that the fact is about.
    pub pid: Option<i32>,
    /// The fact in one sentence.
    pub what: String,
}

impl std::error::Error for GuardRefusal {}

impl fmt::Display for GuardRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        match self.fact {
            ForbiddingFact::Finding(kind) => write!(f, "; see: waltop explain {kind}"),
            ForbiddingFact::AnotherNamespace | ForbiddingFact::Unconfirmed => Ok(()),
        }
    }
}

/// Why a connection to `database` could lose data, as of the sample; `None` if no visible fact forbids one. `as_root`:
/// root would own the connection.
pub fn refusal(database: &Database, as_root: bool) -> Option<GuardRefusal> {
    confirmed_hazard(database, as_root).or_else(|| unconfirmed(database))
}

/// The same without unconfirmed suspicions: for the preparation of an action whose worker checks them.
pub fn confirmed_hazard(database: &Database, as_root: bool) -> Option<GuardRefusal> {
    reach(database).or_else(|| hazard(database).map(of_finding)).or_else(|| owner(database, as_root))
}

/// The same as a result, for callers that continue if there is no refusal.
///
/// # Errors
///
/// If a connection could lose data.
pub fn allow(database: &Database, as_root: bool) -> Result<(), GuardRefusal> {
    refusal(database, as_root).map_or(Ok(()), Err)
}

/// Removes the doubts about the log from `database`, after the user has decided that the log belongs to the main file.
pub fn accept_log(database: &mut Database) {
    database.findings.retain(|finding| finding.kind != FindingKind::DoubtfulLog);
    database.suspicions.retain(|suspicion| suspicion.kind != SuspicionKind::DoubtfulLog);
}

/// The finding that forbids a connection, if there is one.
pub fn hazard(database: &Database) -> Option<&Finding> {
    database.findings.iter().find(|finding| super::rule(finding.kind).facts().forbids_connection)
}

fn of_finding(finding: &Finding) -> GuardRefusal {
    GuardRefusal {
        fact: ForbiddingFact::Finding(finding.kind),
        pid: finding.pid,
        what: finding.message.clone(),
    }
}

// SQLite follows links by their text (`unixFullPathname`). It would open the file of that name in this mount namespace.
fn reach(database: &Database) -> Option<GuardRefusal> {
    let PathReach::ThroughProcess { pid, has_ended, .. } = database.reach else { return None };
    let what = if has_ended {
        format!("process {pid}, through which the path leads, has ended; name the database by another path")
    } else {
        format!(
            "the path leads into the files of process {pid}, and SQLite would open another file; run waltop there: \
             nsenter --target {pid} --mount waltop …"
        )
    };
    Some(GuardRefusal { fact: ForbiddingFact::AnotherNamespace, pid: Some(pid), what })
}

// As root, SQLite gives both files to the owner of the main file when it opens them (`robustFchown` in its
// `os_unix.c`). A program that runs as another user could then no longer write to its own files. Files that a group
// shares on purpose are no obstacle for its members, whose connections change no owner.
fn owner(database: &Database, as_root: bool) -> Option<GuardRefusal> {
    let main = database.files.db.as_ref()?;
    let files = [("-wal", &database.files.wal), ("-shm", &database.files.shm)];
    let foreign = |file: &&FileFacts| {
        let differs = (file.uid, file.gid) != (main.uid, main.gid);
        differs && (as_root || file.uid != main.uid && !super::place::is_shared(file, main))
    };
    let (suffix, file) =
        files.into_iter().find_map(|(suffix, file)| Some((suffix, file.as_ref().filter(foreign)?)))?;
    let ids = |file: &FileFacts| match file.gid {
        Some(gid) => format!("{}:{gid}", file.uid),
        None => file.uid.to_string(),
    };
    let what = format!(
        "{}{suffix} belongs to {}, and the database to {}: a connection could change that",
        database.name(),
        ids(file),
        ids(main)
    );
    Some(GuardRefusal { fact: ForbiddingFact::Finding(FindingKind::ForeignOwner), pid: None, what })
}

fn unconfirmed(database: &Database) -> Option<GuardRefusal> {
    let suspicion = database.suspicions.iter().find(|it| !it.is_confirmed())?;
    let what = if suspicion.kind.is_about_content() {
        format!("the content of {} changes faster than samples can follow; try again", database.name())
    } else {
        let who = super::who(database, suspicion.pid);
        format!("{who} changes the files or locks that it uses faster than samples can follow; try again")
    };
    Some(GuardRefusal { fact: ForbiddingFact::Unconfirmed, pid: suspicion.pid, what })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnose::fixture::live;

    #[test]
    fn a_connection_that_could_change_an_owner_is_refused() {
        // Of the log its user, its group and its mode: is a connection refused to its user, and to root?
        for (uid, gid, mode, refused) in [
            (1000, 1000, 0o644, [false, false]),
            (1000, 1001, 0o644, [false, true]),
            (1001, 1000, 0o644, [true, true]),
            // A group shares them.
            (1001, 1000, 0o664, [false, true]),
        ] {
            let mut database = live();
            database.files.db.as_mut().expect("a database").mode = mode;
            let log = database.files.wal.as_mut().expect("a log");
            (log.uid, log.gid, log.mode) = (uid, Some(gid), mode);
            let found = [false, true].map(|as_root| refusal(&database, as_root));
            assert_eq!(found.each_ref().map(Option::is_some), refused, "{uid}:{gid} {mode:o}");
            let fact = ForbiddingFact::Finding(FindingKind::ForeignOwner);
            assert!(found.into_iter().flatten().all(|it| it.fact == fact));
        }
    }
}
