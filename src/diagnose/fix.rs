//! Fixes for the settings in the file itself, as SQL statements.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::checkpoint::CheckpointBlocker;
use crate::{
    config::profile::{Keeper, Profile},
    snapshot::{AutoVacuum, Database, Presence},
};

/// One statement of a fix.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct FixStep {
    /// The statement that is executed.
    pub sql: String,
    pub why: String,
}

/// The statement that switches a file to WAL.
pub const TO_WAL: &str = "PRAGMA journal_mode = wal";

/// The statement that moves the log left by a crash into the main file; closing the connection then deletes the log.
pub const TO_FILE: &str = "PRAGMA wal_checkpoint(truncate)";

/// The message for a file that was never written to: it has no mode yet, and a fix does not write one.
pub(super) const EMPTY: &str =
    "the file is empty and has no journal mode yet: waltop ingest sets WAL mode with its first write";

/// Whether `database` was never written to.
pub(super) fn is_empty(database: &Database) -> bool {
    database.files.db.as_ref().is_some_and(|file| file.bytes == 0)
}

/// The statement that rebuilds the file.
pub const VACUUM: &str = "VACUUM";

/// The extent of a fix.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum FixExtent {
    #[default]
    InPlace,
    /// Also the statements that copy the whole file.
    WithVacuum,
}

/// The statements that make `database` comply with `profile`; none if it complies, or if its header could not be read.
pub fn plan(database: &Database, profile: &Profile, extent: FixExtent) -> Vec<FixStep> {
    let step = |sql: &str, why: &str| FixStep { sql: sql.to_owned(), why: why.to_owned() };
    let mut steps = Vec::new();
    if database.is_wal() == Some(false) && !profile.is_foreign {
        steps.push(step(
            TO_WAL,
            "With a rollback journal each commit locks all readers out; the file stores WAL mode for every client.",
        ));
    }
    if database.is_wal() == Some(true) && database.presence() == Presence::Leftover {
        steps.push(step(
            TO_FILE,
            "A crash has left a log that no process uses; the next process to open it must recover it.",
        ));
    }
    match vacuum_mode(database, profile) {
        Some(mode) if !mode.needs_vacuum => {
            steps.push(step(&mode.sql(), "The file stores how free pages are returned."));
        }
        Some(mode) if extent == FixExtent::WithVacuum => {
            steps.push(step(
                &mode.sql(),
                "The file stores how free pages are returned, from the next VACUUM on.",
            ));
            steps.push(step(VACUUM, "Only a copy of the whole file can be laid out for that."));
        }
        _ => {}
    }
    steps
}

/// The differences from `profile` that remain under `extent`, each with its reason.
pub fn left_alone(database: &Database, profile: &Profile, extent: FixExtent) -> Vec<String> {
    if is_empty(database) {
        return vec![EMPTY.to_owned()];
    }
    let Some(header) = &database.header else { return Vec::new() };
    let differs = |pragma: &str, actual: String| {
        let wanted = profile.expectation(pragma).filter(|it| it.kept_by == Keeper::File)?;
        (wanted.expected != actual).then(|| format!("{pragma} stays {actual}, not {}", wanted.expected))
    };
    let page_size = differs("page_size", header.page_size.to_string());
    let user_version = differs("user_version", header.user_version.to_string());
    let application_id = differs("application_id", header.application_id.to_string());
    let vacuum = vacuum_mode(database, profile).filter(|it| it.needs_vacuum && extent == FixExtent::InPlace);
    let vacuum = vacuum.map(|it| {
        format!("auto_vacuum stays as it is, not {}: that takes a VACUUM; give --vacuum", it.wanted)
    });
    let page_size = page_size.map(|it| format!("{it}: in WAL mode it cannot be changed"));
    let of_owner = "belongs to the program whose file it is";
    let of_host =
        [user_version, application_id].into_iter().flatten().map(|it| format!("{it}: it {of_owner}"));
    let mode = (profile.is_foreign && database.is_wal() == Some(false))
        .then(|| format!("journal_mode stays rollback: it {of_owner}"));
    mode.into_iter().chain(vacuum).chain(page_size).chain(of_host).collect()
}

/// The `auto_vacuum` mode that the profile expects and the file does not have.
struct VacuumMode {
    wanted: String,
    /// A change from or to `none` requires a rebuild of the file.
    needs_vacuum: bool,
}

impl VacuumMode {
    fn sql(&self) -> String {
        format!("PRAGMA auto_vacuum = {}", self.wanted)
    }
}

fn vacuum_mode(database: &Database, profile: &Profile) -> Option<VacuumMode> {
    let wanted = profile.expectation("auto_vacuum")?.expected.clone();
    let keeps = match database.header.as_ref()?.auto_vacuum {
        AutoVacuum::None => "none",
        AutoVacuum::Full => "full",
        AutoVacuum::Incremental => "incremental",
    };
    let needs_vacuum = keeps == "none" || wanted == "none";
    (wanted != keeps).then_some(VacuumMode { wanted, needs_vacuum })
}

/// The processes that have the database open.
pub fn users(database: &Database) -> Vec<CheckpointBlocker> {
    let users = database.processes.iter().filter(|process| process.has_main_file());
    users.map(CheckpointBlocker::of).collect()
}

/// The processes that would prevent the switch, as of the sample: those that hold any lock on the file. An open
/// descriptor alone does not prevent it.
pub fn in_the_way(database: &Database) -> Vec<CheckpointBlocker> {
    let locks = &database.locks;
    let writers = [&locks.exclusive, &locks.writer].into_iter().flatten().map(|it| (it.pid, "writes"));
    let readers = locks.readers.iter().map(|it| (it.pid, "reads"));
    let mut blockers: Vec<CheckpointBlocker> = Vec::new();
    for (pid, how) in writers.chain(readers) {
        if blockers.iter().all(|it| it.pid != pid) {
            blockers.push(CheckpointBlocker::new(database, pid, how));
        }
    }
    blockers
}

#[cfg(test)]
mod tests {
    use super::{super::fixture::*, *};
    use crate::snapshot::HandleCounts;

    fn sql(database: &Database, profile: &Profile, extent: FixExtent) -> Vec<String> {
        plan(database, profile, extent).into_iter().map(|step| step.sql).collect()
    }

    const NOTHING: [&str; 0] = [];

    #[test]
    fn a_rollback_journal_becomes_a_log_and_a_log_that_was_left_goes() {
        let profile = Profile::hardened();
        assert_eq!(sql(&rollback(), &profile, FixExtent::InPlace), [TO_WAL]);
        assert_eq!(sql(&live(), &profile, FixExtent::WithVacuum), NOTHING);
        let mut left = live();
        left.processes.clear();
        left.locks.index_held = false;
        assert_eq!(sql(&left, &profile, FixExtent::InPlace), [TO_FILE]);
        let mut unread = rollback();
        unread.header = None;
        assert_eq!(sql(&unread, &profile, FixExtent::InPlace), NOTHING);
    }

    #[test]
    fn an_empty_file_is_reported_and_left_alone() {
        let mut empty = rollback();
        empty.header = None;
        empty.files.db.as_mut().expect("there").bytes = 0;
        assert_eq!(sql(&empty, &Profile::hardened(), FixExtent::WithVacuum), NOTHING);
        assert_eq!(left_alone(&empty, &Profile::hardened(), FixExtent::InPlace), [EMPTY]);
    }

    #[test]
    fn what_takes_a_vacuum_is_done_only_where_that_is_asked_for() {
        let profile = profile_with(&[("auto_vacuum", "full")]);
        let mut database = live();
        assert_eq!(sql(&database, &profile, FixExtent::InPlace), NOTHING);
        assert!(left_alone(&database, &profile, FixExtent::InPlace)[0].contains("give --vacuum"));
        assert_eq!(sql(&database, &profile, FixExtent::WithVacuum), ["PRAGMA auto_vacuum = full", "VACUUM"]);
        assert_eq!(left_alone(&database, &profile, FixExtent::WithVacuum), NOTHING);
        database.header.as_mut().expect("there").auto_vacuum = AutoVacuum::Incremental;
        assert_eq!(sql(&database, &profile, FixExtent::InPlace), ["PRAGMA auto_vacuum = full"]);
    }

    #[test]
    fn what_belongs_to_the_host_is_never_touched() {
        let profile = profile_with(&[("user_version", "9"), ("application_id", "7"), ("page_size", "8192")]);
        assert_eq!(sql(&live(), &profile, FixExtent::WithVacuum), NOTHING);
        assert_eq!(
            left_alone(&live(), &profile, FixExtent::WithVacuum),
            [
                "page_size stays 4096, not 8192: in WAL mode it cannot be changed",
                "user_version stays 3, not 9: it belongs to the program whose file it is",
                "application_id stays 0, not 7: it belongs to the program whose file it is",
            ]
        );
    }

    fn profile_with(file: &[(&str, &str)]) -> Profile {
        let mut profile = Profile::hardened();
        profile.pragmas.extend(file.iter().map(|(name, expected)| crate::config::profile::Expectation {
            name: (*name).to_owned(),
            expected: (*expected).to_owned(),
            kept_by: Keeper::File,
            severity: crate::snapshot::Severity::Warning,
            why: String::new(),
        }));
        profile
    }

    #[test]
    fn the_process_that_holds_a_lock_is_in_the_way_and_named_once() {
        let mut database = rollback();
        database.locks = crate::snapshot::DatabaseLocks::default();
        assert_eq!(in_the_way(&database), []);
        database.locks.writer = Some(held(WRITER, 1.0));
        let reads =
            |pid| crate::snapshot::LogReader { pid, label: None, slot: None, frame: None, held_ms: None };
        database.locks.readers = [Some(WRITER), Some(READER), None].map(reads).into();
        let whys: Vec<String> = in_the_way(&database).into_iter().map(|it| it.why).collect();
        assert_eq!(
            whys,
            ["71201 (bun) writes", "71168 (python3) reads", "a process not visible from here reads"]
        );
    }

    #[test]
    fn whoever_has_the_main_file_open_is_a_user() {
        let mut database = live();
        let pids = |database: &Database| users(database).into_iter().map(|it| it.pid).collect::<Vec<_>>();
        assert_eq!(pids(&database), [Some(WRITER), Some(READER)]);
        database.processes[0].handles = Some(HandleCounts { db: 0, wal: 1, shm: 1 });
        assert_eq!(pids(&database), [Some(READER)]);
    }
}
