//! Processes that write with a SQLite that has the WAL-reset bug by its version number.

use std::collections::BTreeMap;

use super::super::{Rule, RuleFacts, RuleInput, evidence, explain, no_remedy, who};
use crate::snapshot::{
    Database, Finding, FindingKind, Process, Remedy, Severity, SqliteCarrier, SqliteLibrary,
};

/// A process has a WAL database open for writing with a SQLite of an affected version number.
///
/// Most SQLite libraries in use have one, and the bug is rare: it is information unless the profile asks for a warning.
/// `waltop health` names it beside the errors of a check of all pages.
pub struct WalResetBug;

impl Rule for WalResetBug {
    fn facts(&self) -> RuleFacts {
        RuleFacts::new(FindingKind::WalResetBug, &[Severity::Info, Severity::Warning])
    }

    fn check(&self, look: &RuleInput<'_>) -> Vec<Finding> {
        let database = look.database;
        if database.is_wal() != Some(true) {
            return Vec::new();
        }
        let mut affected: BTreeMap<(&str, &str), (&SqliteLibrary, Vec<&Process>)> = BTreeMap::new();
        for process in database.processes.iter().filter(|it| it.is_client() && it.read_only == Some(false)) {
            // Which of two libraries has the database open is not visible.
            if !process.sqlite_libraries().all(|it| it.has_wal_reset_bug() == Some(true)) {
                continue;
            }
            if let Some(library) = &process.sqlite {
                let key = (library.library.as_str(), library.source_id.as_str());
                affected.entry(key).or_insert_with(|| (library, Vec::new())).1.push(process);
            }
        }
        let each = affected.into_values();
        each.map(|(library, users)| self.finding(look, library, &users)).collect()
    }
}

impl WalResetBug {
    fn finding(&self, look: &RuleInput<'_>, library: &SqliteLibrary, users: &[&Process]) -> Finding {
        let pid = if let [only] = users { Some(only.pid) } else { None };
        let carrier = library.carrier();
        Finding {
            kind: self.kind(),
            severity: look.profile.wal_reset_bug,
            label: None,
            pid,
            message: format!(
                "{} with SQLite {} of {carrier}. By its version number it has the WAL-reset bug, which can lose a \
                 commit in rare cases{}",
                writers(look.database, users),
                library.version,
                notes(library, &carrier),
            ),
            evidence: evidence([
                ("version", library.version.clone().into()),
                ("source_id", library.source_id.clone().into()),
                ("library", library.library.clone().into()),
                ("replaced", library.replaced.into()),
                ("in_other_namespace", library.in_other_namespace.into()),
                ("edited_source", library.is_edited().into()),
                ("processes", users.iter().map(|it| it.pid).collect::<Vec<_>>().into()),
            ]),
            remedy: remedy(library, &carrier),
        }
    }
}

// Whether it may be corrected, and where it is updated, one sentence each.
fn notes(library: &SqliteLibrary, carrier: &SqliteCarrier) -> String {
    let mut notes = String::new();
    if library.is_edited() {
        notes += ". Its source was edited, perhaps to correct it";
    } else if carrier.is_of_distribution() {
        notes += ". The distribution may have backported the correction";
    }
    if library.replaced {
        notes += ". Its file was replaced since: restart the process";
    } else if library.in_other_namespace {
        notes += ". It is in another mount namespace, as in a container: update it there";
    }
    notes
}

fn writers(database: &Database, users: &[&Process]) -> String {
    match users {
        [only] => format!("{} has {} open for writing", who(database, Some(only.pid)), database.name()),
        several => format!("{} processes have {} open for writing", several.len(), database.name()),
    }
}

// A library that was replaced is new once its processes start again: how they are restarted is not known here.
fn remedy(library: &SqliteLibrary, carrier: &SqliteCarrier) -> Remedy {
    if library.replaced {
        return no_remedy();
    }
    // A command changes the library of waltop's own namespace.
    match carrier.update().filter(|_| !library.in_other_namespace) {
        Some(command) => Remedy { action: None, command: Some(command) },
        None => explain(FindingKind::WalResetBug),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::super::fixture::*, *};
    use crate::snapshot::Severity::{Info, Warning};

    fn library(version: &str, path: &str) -> SqliteLibrary {
        SqliteLibrary {
            version: version.to_owned(),
            source_id: format!("source of {version}"),
            library: path.to_owned(),
            replaced: false,
            in_other_namespace: false,
        }
    }

    const DEBIAN: &str = "/usr/lib/x86_64-linux-gnu/libsqlite3.so.0.8.6";

    fn with(libraries: [Option<SqliteLibrary>; 2]) -> Database {
        let mut database = live();
        for (process, library) in database.processes.iter_mut().zip(libraries) {
            process.sqlite = library;
        }
        database
    }

    fn outlined(database: &Database) -> Vec<(FindingKind, Severity, Option<i32>)> {
        outline(&findings_of(database))
    }

    #[test]
    fn it_is_information_once_for_each_library() {
        let old = || Some(library("3.40.1", DEBIAN));
        let finding = |pid| (FindingKind::WalResetBug, Info, pid);
        assert_eq!(outlined(&with([old(), old()])), [finding(None)]);
        let apsw = Some(library("3.45.3", "/v/site-packages/apsw/a.so"));
        assert_eq!(outlined(&with([old(), apsw])), [finding(Some(WRITER)), finding(Some(READER))]);
        assert_eq!(outlined(&with([None, old()])), [finding(Some(READER))]);
        assert_eq!(outlined(&with([None, None])), []);
        assert_eq!(outlined(&with([Some(library("3.51.3", DEBIAN)), None])), []);
    }

    #[test]
    fn who_cannot_lose_a_commit_is_not_named() {
        let affected = with([Some(library("3.40.1", DEBIAN)), None]);
        let healthy: [fn(&mut Database); 4] = [
            |it| it.processes[0].read_only = Some(true),
            |it| it.processes[0].read_only = None,
            |it| it.processes[0].pairing.only_reads_files = Some(true),
            |it| it.processes[0].other_sqlite = vec![library("3.53.0", "/v/site-packages/apsw/a.so")],
        ];
        for (index, make) in healthy.into_iter().enumerate() {
            let mut database = affected.clone();
            make(&mut database);
            assert!(outlined(&database).iter().all(|it| it.0 != FindingKind::WalResetBug), "{index}");
        }
        let mut rollback = rollback();
        rollback.processes[0].sqlite = Some(library("3.40.1", DEBIAN));
        assert!(outlined(&rollback).iter().all(|it| it.0 != FindingKind::WalResetBug));
    }

    #[test]
    fn only_a_profile_makes_it_a_warning() {
        let affected = with([Some(library("3.40.1", DEBIAN)), None]);
        let mut config = config();
        config.profile.wal_reset_bug = Warning;
        let found = findings_with(&config, None, &affected);
        assert_eq!(outline(&found), [(FindingKind::WalResetBug, Warning, Some(WRITER))]);
    }

    #[test]
    fn the_remedy_is_of_what_brings_the_library() {
        let command = |library: SqliteLibrary| {
            let found = findings_of(&with([Some(library), None]));
            found[0].remedy.command.clone()
        };
        let update = "apt-get install --only-upgrade libsqlite3-0";
        assert_eq!(command(library("3.40.1", DEBIAN)).as_deref(), Some(update));
        assert_eq!(
            command(library("3.49.1", "/usr/bin/node")).as_deref(),
            Some("waltop explain wal-reset-bug")
        );
        assert_eq!(command(SqliteLibrary { replaced: true, ..library("3.40.1", DEBIAN) }), None);
        let inside = SqliteLibrary { in_other_namespace: true, ..library("3.40.1", DEBIAN) };
        assert_eq!(command(inside).as_deref(), Some("waltop explain wal-reset-bug"));
    }

    #[test]
    fn only_a_package_of_a_distribution_may_have_the_correction_under_the_old_number() {
        let says = |path: &str, end: &str| {
            let source_id = format!("2022-12-28 14:03:47 df5c253c{end}");
            let library = SqliteLibrary { source_id, ..library("3.40.1", path) };
            let message = findings_of(&with([Some(library), None])).remove(0).message;
            (message.contains("backported"), message.contains("edited"))
        };
        assert_eq!(says(DEBIAN, ""), (true, false));
        assert_eq!(says("/usr/lib64/libsqlite3.so.3", ""), (true, false));
        assert_eq!(says(DEBIAN, "alt1"), (false, true));
        for path in ["/v/site-packages/rasterio.libs/a.so", "/root/.bun/bin/bun", "/opt/bin/app"] {
            assert_eq!(says(path, ""), (false, false), "{path}");
        }
    }
}
