//! Pragma compliance: each value, and where it applies.
//!
//! Most pragmas belong to a connection, and the connections of other processes cannot be queried. A pragma therefore
//! has up to four rows: the value in the file, the value of waltop's connection, the default of a client that sets
//! nothing, and what is visible of other processes from outside. An unknowable value is `None` and never complies.

use crate::{
    config::profile::{Keeper, Profile},
    snapshot::{AutoVacuum, Database, JournalMode, PragmaCompliance, PragmaRow, PragmaSource},
};

mod observed;

/// The rows of `database` under `profile`. `connection` has the answers of waltop's connection, if there was one.
pub fn rows(
    database: &Database,
    profile: &Profile,
    connection: Option<&[(String, String)]>,
) -> PragmaCompliance {
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
    rows.extend(observed::rows(database, profile));
    PragmaCompliance { profile: profile.name.clone(), rows }
}

/// The value that a client gets from plain SQLite if it sets nothing, as <https://www.sqlite.org/pragma.html> documents
/// it. Builds can differ. waltop's bundled one does, so it is not queried.
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
        if name == "journal_mode" && is_wal2(database) {
            // No statement of a released SQLite changes it.
            row.ok = None;
        }
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
        "journal_mode" if is_wal2(database) => Some("a mode of a branch of SQLite"),
        // Only the log may have the current first page. The mode is in the main file, and the page size never changes.
        "auto_vacuum" | "user_version" | "application_id" if database.files.wal.is_some() => {
            Some("as of the last checkpoint")
        }
        _ => None,
    }
}

fn is_wal2(database: &Database) -> bool {
    database.header.as_ref().is_some_and(|header| header.journal_mode == JournalMode::Wal2)
}

fn auto_vacuum(mode: AutoVacuum) -> &'static str {
    match mode {
        AutoVacuum::None => "none",
        AutoVacuum::Full => "full",
        AutoVacuum::Incremental => "incremental",
    }
}

fn row(name: &str, expected: Option<&str>, actual: Option<&str>, source: PragmaSource) -> PragmaRow {
    let ok = expected.zip(actual).map(|(expected, actual)| expected.eq_ignore_ascii_case(actual));
    let (expected, actual) = (expected.map(str::to_owned), actual.map(str::to_owned));
    PragmaRow { name: name.to_owned(), expected, actual, source, ok, pid: None, note: None }
}

#[cfg(test)]
mod tests {
    use super::{super::fixture::*, *};

    fn find<'a>(pragmas: &'a PragmaCompliance, name: &str, source: PragmaSource) -> Option<&'a PragmaRow> {
        pragmas.rows.iter().find(|row| row.name == name && row.source == source)
    }

    fn verdict(
        pragmas: &PragmaCompliance,
        name: &str,
        source: PragmaSource,
    ) -> Option<(Option<String>, Option<bool>)> {
        find(pragmas, name, source).map(|row| (row.actual.clone(), row.ok))
    }

    fn plain(database: &Database) -> PragmaCompliance {
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
        let note =
            |pragmas, name| find(pragmas, name, PragmaSource::File).and_then(|row| row.note.as_deref());
        assert_eq!(note(&pragmas, "user_version"), Some("as of the last checkpoint"));
        assert_eq!(note(&pragmas, "journal_mode"), None);
        let pragmas = plain(&rollback());
        assert_eq!(verdict(&pragmas, "journal_mode", PragmaSource::File), said("rollback", Some(false)));
        assert_eq!(
            note(&pragmas, "journal_mode"),
            Some("delete, truncate or persist: the file does not say which")
        );
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
}
