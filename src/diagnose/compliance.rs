//! Pragma compliance: each value, and whose it is.
//!
//! Most pragmas belong to a connection, and no other process's can be asked. So a pragma has up to four rows:
//! what the file keeps, what our own connection was told, what a client that sets nothing gets, and what can be
//! seen of others from outside. What nobody can know is `None`, and never complies.

use super::who;
use crate::{
    profile::{Keeper, Profile},
    snapshot::{AutoVacuum, Database, JournalMode, PragmaRow, PragmaSource, Pragmas, Process},
};

/// The rows of `database` under `profile`. `connection` is what our own connection answered, where it was asked.
#[must_use]
pub fn rows(database: &Database, profile: &Profile, connection: Option<&[(String, String)]>) -> Pragmas {
    let mut rows = file_rows(database, profile);
    for pragma in profile.pragmas.iter().filter(|it| it.kept_by == Keeper::Connection) {
        let expected = Some(pragma.expected.as_str());
        let answer = connection.and_then(|it| it.iter().find(|(name, _)| *name == pragma.name));
        if let Some((_, answer)) = answer {
            rows.push(row(&pragma.name, expected, Some(answer), PragmaSource::Connection));
        }
        let default = documented_default(&pragma.name);
        let mut plain = row(&pragma.name, expected, default, PragmaSource::NewClient);
        if default.is_none() {
            plain.note = Some("its default is not known here".to_owned());
        }
        rows.push(plain);
    }
    rows.extend(observed_rows(database, profile));
    Pragmas { profile: profile.name.clone(), rows }
}

/// What a client that sets nothing gets from plain `SQLite`, as <https://www.sqlite.org/pragma.html> documents it.
/// A build can differ: the one that waltop carries does, so it is not asked.
fn documented_default(pragma: &str) -> Option<&'static str> {
    Some(match pragma {
        "busy_timeout" | "mmap_size" => "0",
        "cache_size" => "-2000",
        "foreign_keys" | "query_only" => "OFF",
        "journal_size_limit" => "-1",
        "locking_mode" => "NORMAL",
        "synchronous" => "FULL",
        "temp_store" => "DEFAULT",
        "wal_autocheckpoint" => "1000",
        _ => return None,
    })
}

fn file_rows(database: &Database, profile: &Profile) -> Vec<PragmaRow> {
    let header = database.header.as_ref();
    let values = [
        ("journal_mode", header.map(|it| it.journal_mode.to_string())),
        ("page_size", header.map(|it| it.page_size.to_string())),
        ("auto_vacuum", header.map(|it| auto_vacuum(it.auto_vacuum).to_owned())),
        ("user_version", header.map(|it| it.user_version.to_string())),
        ("application_id", header.map(|it| it.application_id.to_string())),
    ];
    let file_row = |(name, actual): (&str, Option<String>)| {
        let expected = profile.expectation(name).filter(|it| it.kept_by == Keeper::File);
        let expected = expected.map(|it| it.expected.as_str());
        let mut row = row(name, expected, actual.as_deref(), PragmaSource::File);
        row.note = file_note(database, name).map(str::to_owned);
        row
    };
    values.into_iter().map(file_row).collect()
}

fn file_note(database: &Database, pragma: &str) -> Option<&'static str> {
    let Some(header) = &database.header else {
        return Some("the header could not be read");
    };
    match pragma {
        "journal_mode" if header.journal_mode == JournalMode::Rollback => {
            Some("delete, truncate or persist: the file does not say which")
        }
        // The first page may be in the log only. The mode is in the file itself, and the page size is fixed.
        "auto_vacuum" | "user_version" | "application_id" if database.files.wal.is_some() => {
            Some("as of the last checkpoint")
        }
        _ => None,
    }
}

fn auto_vacuum(mode: AutoVacuum) -> &'static str {
    match mode {
        AutoVacuum::None => "none",
        AutoVacuum::Full => "full",
        AutoVacuum::Incremental => "incremental",
    }
}

fn observed_rows(database: &Database, profile: &Profile) -> Vec<PragmaRow> {
    let mut rows = Vec::new();
    rows.extend(mapped_row(database, profile));
    rows.extend(read_only_row(database));
    rows.extend(exclusive_row(database, profile));
    rows
}

// A mapping shows that a process set mmap_size. That there is none shows nothing of a profile that wants one: a
// connection maps only what it reads.
fn mapped_row(database: &Database, profile: &Profile) -> Option<PragmaRow> {
    let processes: Vec<&Process> = database.processes.iter().filter(|it| it.has_main_file()).collect();
    if processes.is_empty() {
        return None;
    }
    let expected = profile.expectation("mmap_size").map(|it| it.expected.as_str());
    let mapping = names(database, processes.iter().copied().filter(|it| it.maps_database == Some(true)));
    let unseen = names(database, processes.iter().copied().filter(|it| it.maps_database.is_none()));
    let mut row = row("mmap_size", expected, None, PragmaSource::Observed);
    if let Some(mapping) = mapping {
        row.actual = Some("mapped".to_owned());
        row.ok = expected.map(|it| it != "0");
        row.note = Some(format!("the main file is mapped by {mapping}"));
    } else if let Some(unseen) = unseen {
        row.note = Some(format!("no permission to see the mappings of {unseen}"));
    } else {
        row.actual = Some("not mapped".to_owned());
        row.ok = expected.filter(|&it| it == "0").map(|_| true);
    }
    Some(row)
}

fn read_only_row(database: &Database) -> Option<PragmaRow> {
    let read_only = database.processes.iter().filter(|it| it.read_only == Some(true));
    let who = names(database, read_only)?;
    // Every profile wants clients that can write: in WAL mode a read-only one can neither recover nor checkpoint.
    let mut row = row("read_only", Some("OFF"), Some("ON"), PragmaSource::Observed);
    row.note = Some(format!("the main file was opened read-only by {who}"));
    Some(row)
}

fn exclusive_row(database: &Database, profile: &Profile) -> Option<PragmaRow> {
    // With a rollback journal each commit takes the whole file for a moment.
    let holder = database.locks.exclusive.as_ref().filter(|_| database.is_wal() == Some(true))?;
    let expected = profile.expectation("locking_mode").map_or("NORMAL", |it| it.expected.as_str());
    let mut row = row("locking_mode", Some(expected), Some("EXCLUSIVE"), PragmaSource::Observed);
    row.note = Some(format!("the whole file is held by {}", who(database, holder.pid)));
    Some(row)
}

fn names<'a>(database: &Database, processes: impl Iterator<Item = &'a Process>) -> Option<String> {
    let names: Vec<String> = processes.map(|process| who(database, Some(process.pid))).collect();
    (!names.is_empty()).then(|| names.join(", "))
}

fn row(name: &str, expected: Option<&str>, actual: Option<&str>, source: PragmaSource) -> PragmaRow {
    let ok = expected.zip(actual).map(|(expected, actual)| expected.eq_ignore_ascii_case(actual));
    let (expected, actual) = (expected.map(str::to_owned), actual.map(str::to_owned));
    PragmaRow { name: name.to_owned(), expected, actual, source, ok, note: None }
}

#[cfg(test)]
mod tests {
    use super::{super::fixture::*, *};

    fn find<'a>(pragmas: &'a Pragmas, name: &str, source: PragmaSource) -> Option<&'a PragmaRow> {
        pragmas.rows.iter().find(|row| row.name == name && row.source == source)
    }

    fn verdict(
        pragmas: &Pragmas,
        name: &str,
        source: PragmaSource,
    ) -> Option<(Option<String>, Option<bool>)> {
        find(pragmas, name, source).map(|row| (row.actual.clone(), row.ok))
    }

    fn plain(database: &Database) -> Pragmas {
        rows(database, &Profile::hardened(), None)
    }

    #[expect(clippy::unnecessary_wraps, reason = "it is compared with a verdict")]
    fn said(value: &str, ok: Option<bool>) -> Option<(Option<String>, Option<bool>)> {
        Some((Some(value.to_owned()), ok))
    }

    #[test]
    fn the_file_is_read_from_its_header() {
        let pragmas = plain(&live());
        assert_eq!(pragmas.profile, "hardened");
        assert_eq!(verdict(&pragmas, "journal_mode", PragmaSource::File), said("wal", Some(true)));
        for (name, value) in
            [("page_size", "4096"), ("auto_vacuum", "none"), ("user_version", "3"), ("application_id", "0")]
        {
            assert_eq!(verdict(&pragmas, name, PragmaSource::File), said(value, None));
        }
        let note = find(&pragmas, "user_version", PragmaSource::File).and_then(|row| row.note.clone());
        assert_eq!(note.as_deref(), Some("as of the last checkpoint"));
        let pragmas = plain(&rollback());
        assert_eq!(verdict(&pragmas, "journal_mode", PragmaSource::File), said("rollback", Some(false)));
    }

    #[test]
    fn an_unread_header_is_unknown_and_not_fine() {
        let mut database = live();
        database.header = None;
        let pragmas = plain(&database);
        assert_eq!(verdict(&pragmas, "journal_mode", PragmaSource::File), Some((None, None)));
    }

    #[test]
    fn a_new_client_gets_what_sqlite_documents() {
        let pragmas = plain(&live());
        for (name, value, ok) in [
            ("busy_timeout", "0", false),
            ("synchronous", "FULL", false),
            ("mmap_size", "0", true),
            ("temp_store", "DEFAULT", false),
            ("foreign_keys", "OFF", false),
            ("wal_autocheckpoint", "1000", true),
        ] {
            assert_eq!(verdict(&pragmas, name, PragmaSource::NewClient), said(value, Some(ok)), "{name}");
        }
        let mut profile = Profile::hardened();
        profile.pragmas[0].name = "secure_delete".to_owned();
        let pragmas = rows(&live(), &profile, None);
        assert_eq!(verdict(&pragmas, "secure_delete", PragmaSource::NewClient), Some((None, None)));
    }

    #[test]
    fn our_connection_is_shown_only_where_it_was_asked() {
        assert_eq!(find(&plain(&live()), "synchronous", PragmaSource::Connection), None);
        let answers = [("synchronous", "normal"), ("mmap_size", "1048576")];
        let answers = answers.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let pragmas = rows(&live(), &Profile::hardened(), Some(&answers));
        assert_eq!(verdict(&pragmas, "synchronous", PragmaSource::Connection), said("normal", Some(true)));
        assert_eq!(verdict(&pragmas, "mmap_size", PragmaSource::Connection), said("1048576", Some(false)));
        assert_eq!(find(&pragmas, "foreign_keys", PragmaSource::Connection), None);
    }

    #[test]
    fn a_mapping_is_seen_from_outside() {
        let mut database = live();
        let mapped = |database: &Database| verdict(&plain(database), "mmap_size", PragmaSource::Observed);
        assert_eq!(mapped(&database), said("not mapped", Some(true)));
        database.processes[1].maps_database = None;
        assert_eq!(mapped(&database), Some((None, None)));
        database.processes[0].maps_database = Some(true);
        assert_eq!(mapped(&database), said("mapped", Some(false)));
        let pragmas = plain(&database);
        let note = find(&pragmas, "mmap_size", PragmaSource::Observed).and_then(|row| row.note.clone());
        assert_eq!(note.as_deref(), Some("the main file is mapped by 71201 (bun)"));
        database.processes.clear();
        assert_eq!(mapped(&database), None);
    }

    #[test]
    fn a_read_only_and_an_exclusive_client_are_seen_from_outside() {
        let mut database = live();
        assert_eq!(find(&plain(&database), "read_only", PragmaSource::Observed), None);
        assert_eq!(find(&plain(&database), "locking_mode", PragmaSource::Observed), None);
        database.processes[1].read_only = Some(true);
        database.locks.exclusive = Some(held(WRITER, 1.0));
        let pragmas = plain(&database);
        assert_eq!(verdict(&pragmas, "read_only", PragmaSource::Observed), said("ON", Some(false)));
        assert_eq!(verdict(&pragmas, "locking_mode", PragmaSource::Observed), said("EXCLUSIVE", Some(false)));
    }
}
