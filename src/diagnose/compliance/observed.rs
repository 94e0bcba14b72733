//! The settings of other processes, as far as they are visible from outside.
//!
//! If all processes agree, they share one row. If they differ, each exception has its own row and the others share one.

use super::row;
use crate::{
    config::profile::Profile,
    diagnose::who,
    snapshot::{Database, PragmaRow, PragmaSource, Process},
};

/// The rows for what is visible of the processes that have `database` open.
pub fn rows(database: &Database, profile: &Profile) -> Vec<PragmaRow> {
    let expected = |name: &str| profile.expectation(name).map(|it| it.expected.as_str());
    let mut rows = Vec::new();
    for trait_ in [mapped(expected("mmap_size")), read_only(), temporary(expected("temp_store"))] {
        rows.extend(trait_.rows(database));
    }
    rows.extend(exclusive(database, expected("locking_mode")));
    rows
}

/// A behaviour of a process that is visible from outside.
struct ObservedTrait<'a> {
    pragma: &'static str,
    expected: Option<&'a str>,
    /// Whether a process does it; `None` if that is not visible.
    seen: fn(&Process) -> Option<bool>,
    /// The value of the processes that do it, and whether it complies with the profile.
    does: (&'static str, Option<bool>),
    /// The observation about them, without their names.
    doing: &'static str,
    /// The same for the processes that do not; `None` if that shows nothing.
    does_not: Option<(&'static str, Option<bool>)>,
    /// Why it is not visible, without the names.
    unseen: &'static str,
}

// A mapping shows that a process set mmap_size. The absence of a mapping shows nothing if the profile expects one: a
// connection maps only what it reads.
fn mapped(expected: Option<&str>) -> ObservedTrait<'_> {
    ObservedTrait {
        pragma: "mmap_size",
        expected,
        seen: |process| process.maps_database,
        does: ("mapped", expected.map(|it| it != "0")),
        doing: "the main file is mapped by",
        does_not: Some(("not mapped", expected.filter(|&it| it == "0").map(|_| true))),
        unseen: "no permission to see the mappings of",
    }
}

// Every profile expects clients that can write: in WAL mode a read-only client can neither recover nor checkpoint.
fn read_only<'a>() -> ObservedTrait<'a> {
    ObservedTrait {
        pragma: "read_only",
        expected: Some("OFF"),
        seen: |process| process.read_only,
        does: ("ON", Some(false)),
        doing: "the main file was opened read-only by",
        does_not: None,
        unseen: "no permission to see the descriptors of",
    }
}

// The absence of such a file shows nothing: small data stays in memory either way.
fn temporary(expected: Option<&str>) -> ObservedTrait<'_> {
    let verdict = match expected {
        Some(it) if it == "2" || it.eq_ignore_ascii_case("memory") => Some(false),
        Some(it) if it == "1" || it.eq_ignore_ascii_case("file") => Some(true),
        // The default depends on the build.
        _ => None,
    };
    ObservedTrait {
        pragma: "temp_store",
        expected,
        seen: |process| process.temp_files.map(|count| count > 0),
        does: ("FILE", verdict),
        doing: "a temporary file of SQLite's is on disk, open in",
        does_not: None,
        unseen: "whether a temporary file of SQLite's is on disk cannot be seen of",
    }
}

fn exclusive(database: &Database, expected: Option<&str>) -> Option<PragmaRow> {
    // With a rollback journal each commit locks the whole file for a moment.
    let holder = database.locks.exclusive.as_ref().filter(|_| database.is_wal() == Some(true))?;
    let mut row =
        row("locking_mode", Some(expected.unwrap_or("NORMAL")), Some("EXCLUSIVE"), PragmaSource::Observed);
    row.pid = holder.pid;
    row.note = Some(format!("the whole file is held by {}", who(database, holder.pid)));
    Some(row)
}

impl ObservedTrait<'_> {
    fn rows(&self, database: &Database) -> Vec<PragmaRow> {
        let users = || database.processes.iter().filter(|it| it.has_main_file());
        let which = |seen: Option<bool>| users().filter(move |it| (self.seen)(it) == seen).collect();
        let (doing, unseen, others): (Vec<_>, Vec<_>, Vec<_>) =
            (which(Some(true)), which(None), which(Some(false)));
        let are_alike = unseen.is_empty() && others.is_empty();
        let groups: Vec<&[&Process]> =
            if are_alike { doing.chunks(doing.len().max(1)).collect() } else { doing.chunks(1).collect() };
        let mut rows: Vec<PragmaRow> =
            groups.into_iter().map(|group| self.row(database, group, Some(self.does), self.doing)).collect();
        if !unseen.is_empty() {
            rows.push(self.row(database, &unseen, None, self.unseen));
        }
        if let Some(does_not) = self.does_not.filter(|_| !others.is_empty()) {
            let mut row = self.row(database, &others, Some(does_not), "not by");
            // If all processes do it there is no exception to name.
            if doing.is_empty() && unseen.is_empty() {
                (row.pid, row.note) = (None, None);
            }
            rows.push(row);
        }
        rows
    }

    // One row for all of `group`, whose names follow `note`.
    fn row(
        &self,
        database: &Database,
        group: &[&Process],
        value: Option<(&str, Option<bool>)>,
        note: &str,
    ) -> PragmaRow {
        let names: Vec<String> = group.iter().map(|process| who(database, Some(process.pid))).collect();
        PragmaRow {
            name: self.pragma.to_owned(),
            expected: self.expected.map(str::to_owned),
            actual: value.map(|(actual, _)| actual.to_owned()),
            source: PragmaSource::Observed,
            ok: value.and_then(|(_, ok)| ok),
            pid: if let [one] = group { Some(one.pid) } else { None },
            note: Some(format!("{note} {}", names.join(", "))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::super::fixture::*, *};

    fn seen(database: &Database, pragma: &str) -> Vec<(Option<i32>, Option<String>, Option<bool>)> {
        let rows = rows(database, &Profile::hardened());
        let of_it = rows.into_iter().filter(|row| row.name == pragma);
        of_it.map(|row| (row.pid, row.actual, row.ok)).collect()
    }

    fn said(pid: Option<i32>, value: &str, ok: Option<bool>) -> (Option<i32>, Option<String>, Option<bool>) {
        (pid, Some(value.to_owned()), ok)
    }

    fn notes(database: &Database, pragma: &str) -> Vec<String> {
        let rows = rows(database, &Profile::hardened());
        rows.into_iter().filter(|row| row.name == pragma).filter_map(|row| row.note).collect()
    }

    /// Three processes that do nothing that stands out.
    fn three() -> (Database, [i32; 3]) {
        let mut database = live();
        database.processes.push(process(4000, "node"));
        let pids = [database.processes[0].pid, database.processes[1].pid, 4000];
        (database, pids)
    }

    #[test]
    fn a_mapping_is_seen_and_the_process_that_differs_has_a_row_of_its_own() {
        let (mut database, [first, second, third]) = three();
        assert_eq!(seen(&database, "mmap_size"), [said(None, "not mapped", Some(true))]);
        assert!(notes(&database, "mmap_size").is_empty(), "there is nobody to tell apart");
        for index in [0, 1] {
            database.processes[index].maps_database = Some(true);
        }
        let (mine, yours) =
            (said(Some(first), "mapped", Some(false)), said(Some(second), "mapped", Some(false)));
        assert_eq!(
            seen(&database, "mmap_size"),
            [mine.clone(), yours.clone(), said(Some(third), "not mapped", Some(true))]
        );
        assert_eq!(notes(&database, "mmap_size")[0], "the main file is mapped by 71201 (bun)");
        assert_eq!(notes(&database, "mmap_size")[2], "not by 4000 (node)");
        database.processes[2].maps_database = None;
        assert_eq!(seen(&database, "mmap_size"), [mine, yours, (Some(third), None, None)]);
        database.processes[2].maps_database = Some(true);
        assert_eq!(seen(&database, "mmap_size"), [said(None, "mapped", Some(false))], "all do it");
        let all = "the main file is mapped by 71201 (bun), 71168 (python3), 4000 (node)";
        assert_eq!(notes(&database, "mmap_size"), [all]);
        database.processes.clear();
        assert!(seen(&database, "mmap_size").is_empty());
    }

    #[test]
    fn a_read_only_client_is_seen_and_one_that_cannot_be_looked_into_is_unknown() {
        let (mut database, [first, second, _]) = three();
        assert!(seen(&database, "read_only").is_empty());
        database.processes[1].read_only = Some(true);
        assert_eq!(seen(&database, "read_only"), [said(Some(second), "ON", Some(false))]);
        (database.processes[0].handles, database.processes[0].read_only) = (None, None);
        assert_eq!(
            seen(&database, "read_only"),
            [said(Some(second), "ON", Some(false)), (Some(first), None, None)]
        );
    }

    #[test]
    fn a_temporary_file_on_disk_is_judged_by_what_the_profile_asks_for() {
        let (mut database, [first, second, _]) = three();
        assert!(seen(&database, "temp_store").is_empty(), "none shows nothing");
        database.processes[0].temp_files = Some(2);
        database.processes[1].temp_files = None;
        assert_eq!(
            seen(&database, "temp_store"),
            [said(Some(first), "FILE", Some(false)), (Some(second), None, None)]
        );
        assert_eq!(
            notes(&database, "temp_store")[0],
            "a temporary file of SQLite's is on disk, open in 71201 (bun)"
        );
        for (expected, ok) in [("2", Some(false)), ("file", Some(true)), ("DEFAULT", None)] {
            assert_eq!(temporary(Some(expected)).does.1, ok, "{expected}");
        }
        assert_eq!(temporary(None).does.1, None);
    }

    #[test]
    fn who_holds_the_whole_file_is_named() {
        let mut database = live();
        assert!(seen(&database, "locking_mode").is_empty());
        database.locks.exclusive = Some(held(WRITER, 1.0));
        assert_eq!(seen(&database, "locking_mode"), [said(Some(WRITER), "EXCLUSIVE", Some(false))]);
        let mut database = rollback();
        database.locks.exclusive = Some(held(WRITER, 1.0));
        assert!(seen(&database, "locking_mode").is_empty(), "each commit does that");
    }
}
