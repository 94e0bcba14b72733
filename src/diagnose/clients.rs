//! How clients use the database: what they map, how often they open it, and the defaults of a client that sets nothing.

use serde_json::{Map, Value};

use super::{Rule, RuleFacts, RuleInput, evidence, no_remedy, quoted, who};
use crate::{
    config::profile::Expectation,
    snapshot::{
        Database, Finding, FindingKind, PragmaRow, PragmaSource, Process, Remedy, RemedyAction, Severity,
    },
};

mod many_handles;
mod process_limit;
mod restart_loop;
mod restarted_copy;
mod wal_reset_bug;

pub use many_handles::ManyHandles;
use process_limit::NearLimit;
use restart_loop::RestartLoop;
use restarted_copy::RestartedCopy;
use wal_reset_bug::WalResetBug;

pub const RULES: &[&dyn Rule] = &[
    &MappedDatabase,
    &ManyHandles,
    &NearLimit,
    &RestartedCopy,
    &RestartLoop,
    &WalResetBug,
    &BareClient,
    &PragmaMismatch,
];

/// A process maps the main file while the profile says `mmap_size` 0.
pub struct MappedDatabase;

impl Rule for MappedDatabase {
    fn facts(&self) -> RuleFacts {
        RuleFacts::by_profile(FindingKind::MappedDatabase)
    }

    fn check(&self, look: &RuleInput<'_>) -> Vec<Finding> {
        let wanted = look.profile.expectation("mmap_size");
        let Some(wanted) = wanted.filter(|it| it.expected.parse() == Ok(0_i64)) else {
            return Vec::new();
        };
        let mapping = look.database.processes.iter().filter(|process| process.maps_database == Some(true));
        mapping
            .map(|process| Finding {
                kind: self.kind(),
                severity: wanted.severity,
                label: None,
                pid: Some(process.pid),
                message: format!(
                    "{} maps the main file while the profile {} says mmap_size 0: \
                     an error while it reads there can end it with SIGBUS",
                    who(look.database, Some(process.pid)),
                    look.profile.name,
                ),
                evidence: evidence([
                    ("profile", look.profile.name.clone().into()),
                    ("database_bytes", look.database.files.db.as_ref().map(|it| it.bytes).into()),
                ]),
                // Only the code of the process can change the settings of its connection.
                remedy: no_remedy(),
            })
            .collect()
    }
}

/// A client that sets nothing gets other values than the profile expects.
///
/// It accuses no process: the settings of others are not visible. It is information while the database is in use.
pub struct BareClient;

impl Rule for BareClient {
    fn facts(&self) -> RuleFacts {
        RuleFacts::new(FindingKind::BareClient, &[Severity::Info])
    }

    fn check(&self, look: &RuleInput<'_>) -> Vec<Finding> {
        let database = look.database;
        let rows = &database.pragmas.rows;
        let differs: Vec<&PragmaRow> = rows
            .iter()
            .filter(|row| row.source == PragmaSource::NewClient && row.ok == Some(false))
            .collect();
        // No one but the program itself opens its file.
        let is_alone = look.profile.is_foreign;
        if is_alone || differs.is_empty() || !database.processes.iter().any(Process::is_client) {
            return Vec::new();
        }
        let value = |row: &PragmaRow| row.actual.clone().unwrap_or_default();
        let gets: Vec<String> = differs.iter().map(|row| format!("{} {}", row.name, value(row))).collect();
        let fails = differs.iter().any(|row| row.name == "busy_timeout" && value(row) == "0");
        let cost = if fails {
            "where the lock is held it fails at once".to_owned()
        } else {
            format!("the profile {} asks for something else", look.profile.name)
        };
        let of = |pick: fn(&PragmaRow) -> Option<String>| -> Map<String, Value> {
            differs.iter().map(|row| (row.name.clone(), pick(row).into())).collect()
        };
        vec![Finding {
            kind: self.kind(),
            severity: Severity::Info,
            label: None,
            pid: None,
            message: format!("a client that sets nothing gets {}: {cost}", gets.join(", ")),
            evidence: evidence([
                ("profile", look.profile.name.clone().into()),
                ("gets", of(|row| row.actual.clone()).into()),
                ("expected", of(|row| row.expected.clone()).into()),
            ]),
            // Each client sets them on its own connections.
            remedy: no_remedy(),
        }]
    }
}

/// A persistent setting of the file differs from the profile. It has the severity of the worst pragma and reports its
/// reason.
pub struct PragmaMismatch;

impl Rule for PragmaMismatch {
    fn facts(&self) -> RuleFacts {
        RuleFacts::by_profile(FindingKind::PragmaMismatch).with_actions(&[RemedyAction::Fix])
    }

    fn check(&self, look: &RuleInput<'_>) -> Vec<Finding> {
        let database = look.database;
        let is_told = !super::modes::RollbackJournal.check(look).is_empty();
        let rows = database.pragmas.rows.iter();
        let differs: Vec<(&PragmaRow, &Expectation)> = rows
            .filter(|row| row.source == PragmaSource::File && row.ok == Some(false))
            .filter(|row| is_of_now(row, database) && !(is_told && row.name == "journal_mode"))
            .filter_map(|row| Some((row, look.profile.expectation(&row.name)?)))
            .collect();
        let Some((_, worst)) = differs.iter().rev().max_by_key(|(_, wanted)| wanted.severity) else {
            return Vec::new();
        };
        let value = |row: &PragmaRow| row.actual.clone().unwrap_or_default();
        let keeps: Vec<String> = differs
            .iter()
            .map(|(row, wanted)| format!("{} {} (not {})", row.name, value(row), wanted.expected))
            .collect();
        let is_fixable = differs.iter().any(|(row, _)| row.name == "journal_mode");
        let command = is_fixable.then(|| format!("waltop fix {}", quoted(&database.path)));
        let keeps_by_name: Map<String, Value> =
            differs.iter().map(|(row, _)| (row.name.clone(), value(row).into())).collect();
        let expected: Map<String, Value> =
            differs.iter().map(|(row, wanted)| (row.name.clone(), wanted.expected.clone().into())).collect();
        vec![Finding {
            kind: self.kind(),
            severity: worst.severity,
            label: None,
            pid: None,
            message: format!(
                "{} keeps {}, against the profile {}: {}",
                database.name(),
                keeps.join(", "),
                look.profile.name,
                worst.why.trim_end_matches('.'),
            ),
            evidence: evidence([
                ("profile", look.profile.name.clone().into()),
                ("keeps", keeps_by_name.into()),
                ("expected", expected.into()),
            ]),
            remedy: Remedy { action: is_fixable.then_some(RemedyAction::Fix), command },
        }]
    }
}

// Only the log may have the current first page. The mode and the page size are exceptions.
fn is_of_now(row: &PragmaRow, database: &Database) -> bool {
    let is_moved = || database.wal.as_ref().is_some_and(|wal| wal.pending == Some(0));
    matches!(row.name.as_str(), "journal_mode" | "page_size")
        || database.files.wal.as_ref().is_none_or(|wal| wal.bytes == 0)
        || is_moved()
}

#[cfg(test)]
mod tests {
    use super::super::{compliance, fixture::*};
    use crate::{
        config::{
            Config,
            profile::{Expectation, Keeper},
        },
        snapshot::{Database, HandleCounts, HandleGrowth, Severity::*},
    };

    #[test]
    fn a_mapping_is_found_where_the_profile_wants_none() {
        let mut database = live();
        database.processes[1].maps_database = Some(true);
        let found = findings_of(&database);
        assert_eq!(outline(&found), [(FindingKind::MappedDatabase, Warning, Some(READER))]);
        assert_eq!(found[0].evidence["profile"], "hardened");
        let mut config = config();
        let wanted = config.profile.pragmas.iter_mut().find(|it| it.name == "mmap_size").expect("it cares");
        wanted.severity = Info;
        assert_eq!(findings_with(&config, None, &database)[0].severity, Info);
        let wanted = config.profile.pragmas.iter_mut().find(|it| it.name == "mmap_size").expect("it cares");
        wanted.expected = "268435456".to_owned();
        assert_eq!(findings_with(&config, None, &database), []);
        config.profile.pragmas.retain(|it| it.name != "mmap_size");
        assert_eq!(findings_with(&config, None, &database), []);
        database.processes[1].maps_database = None;
        assert_eq!(findings_of(&database), []);
    }

    #[test]
    fn more_descriptors_than_the_limit_are_many() {
        let mut database = live();
        let handles = |db| Some(HandleCounts { db, wal: db, shm: 1 });
        database.processes[0].handles = handles(8);
        assert_eq!(findings_of(&database), []);
        database.processes[0].handles = handles(9);
        let found = findings_of(&database);
        assert_eq!(outline(&found), [(FindingKind::ManyHandles, Warning, Some(WRITER))]);
        assert_eq!(found[0].evidence["descriptors"], 9);
        assert_eq!(found[0].evidence["grew_from"], serde_json::Value::Null);
        let mut config = config();
        config.thresholds.many_handles = 9;
        assert_eq!(findings_with(&config, None, &database), []);
    }

    #[test]
    fn a_count_that_only_grows_is_a_leak() {
        let mut database = live();
        database.processes[0].handles = Some(HandleCounts { db: 7, wal: 7, shm: 1 });
        let growth = HandleGrowth { pid: WRITER, from: 2, to: 7, rises: 5, span_ms: 40_000.0 };
        database.handle_growth = vec![growth.clone()];
        let found = findings_of(&database);
        assert_eq!(outline(&found), [(FindingKind::ManyHandles, Warning, Some(WRITER))]);
        assert_eq!(
            (&found[0].evidence["grew_from"], &found[0].evidence["descriptors"]),
            (&2.into(), &7.into())
        );
        for (rises, span_ms) in [(4, 60_000.0), (5, 39_999.0)] {
            database.handle_growth = vec![HandleGrowth { rises, span_ms, ..growth.clone() }];
            assert_eq!(findings_of(&database), []);
        }
    }

    #[test]
    fn more_than_twenty_processes_are_many() {
        let mut database = live();
        database.processes = (1..=20).map(|pid| process(pid, "worker")).collect();
        assert_eq!(findings_of(&database), []);
        database.processes.push(process(21, "worker"));
        let found = findings_of(&database);
        assert_eq!(outline(&found), [(FindingKind::ManyHandles, Warning, None)]);
        assert_eq!(found[0].evidence["processes"].as_array().map(Vec::len), Some(21));
        database.processes[0].handles = Some(HandleCounts { db: 0, wal: 1, shm: 0 });
        assert_eq!(findings_of(&database), []);
    }

    fn with_rows(mut database: Database, config: &Config) -> Database {
        database.pragmas = compliance::rows(&database, &config.profile, None);
        database
    }

    #[test]
    fn what_a_bare_client_gets_is_worth_knowing_while_a_process_is_there() {
        let mut config = config();
        let mut database = with_rows(live(), &config);
        let found = findings_of(&database);
        assert_eq!(outline(&found), [(FindingKind::BareClient, Info, None)]);
        let gets = serde_json::json!({
            "busy_timeout": "0", "synchronous": "FULL", "temp_store": "DEFAULT", "foreign_keys": "OFF"
        });
        assert_eq!(found[0].evidence["gets"], gets);
        assert_eq!(found[0].evidence["expected"]["busy_timeout"], "5000");
        database.processes.clear();
        assert_eq!(findings_of(&database), []);
        config.profile.pragmas.retain(|it| it.name == "synchronous");
        let found = findings_of(&with_rows(live(), &config));
        assert_eq!(found[0].evidence["gets"], serde_json::json!({"synchronous": "FULL"}));
        config.profile.pragmas.clear();
        assert_eq!(findings_of(&with_rows(live(), &config)), []);
    }

    #[test]
    fn a_file_that_keeps_another_journal_is_reported_once() {
        let config = config();
        let mut database = with_rows(rollback(), &config);
        let shared: Vec<_> = findings_of(&database).into_iter().map(|it| it.kind).collect();
        assert_eq!(shared, [FindingKind::RollbackJournal, FindingKind::BareClient]);
        database.processes.pop();
        let found = findings_of(&database);
        assert_eq!(outline(&found)[0], (FindingKind::PragmaMismatch, Warning, None));
        assert_eq!(found[0].evidence["keeps"], serde_json::json!({"journal_mode": "rollback"}));
        assert_eq!(found[0].evidence["expected"], serde_json::json!({"journal_mode": "wal"}));
        assert_eq!(found[0].remedy.action, Some(RemedyAction::Fix));
        assert_eq!(found[0].remedy.command.as_deref(), Some("waltop fix /srv/notes.db"));
    }

    #[test]
    fn what_the_file_keeps_is_held_to_the_profile() {
        let mut config = config();
        let wants = |name: &str, expected: &str| Expectation {
            name: name.to_owned(),
            expected: expected.to_owned(),
            kept_by: Keeper::File,
            severity: Error,
            why: "It has to be.".to_owned(),
        };
        config.profile.pragmas = vec![wants("page_size", "8192"), wants("user_version", "4")];
        let mut database = with_rows(live(), &config);
        let found = findings_with(&config, None, &database);
        assert_eq!(outline(&found), [(FindingKind::PragmaMismatch, Error, None)]);
        // The log may hold another user_version than the main file.
        assert_eq!(found[0].evidence["keeps"], serde_json::json!({"page_size": "4096"}));
        database.wal = Some(wal(10, 10));
        config.profile.pragmas[0].severity = Warning;
        let found = findings_with(&config, None, &database);
        assert_eq!(outline(&found), [(FindingKind::PragmaMismatch, Error, None)]);
        let keeps = serde_json::json!({"page_size": "4096", "user_version": "3"});
        assert_eq!(found[0].evidence["keeps"], keeps);
        assert_eq!(found[0].remedy.command, None);
        let mut unread = live();
        unread.header = None;
        assert_eq!(findings_with(&config, None, &with_rows(unread, &config)), []);
    }
}
