//! What the errors of SQLite mean (<https://sqlite.org/rescode.html>), and which findings show their cause: one embedded
//! page for each.

use crate::{snapshot::FindingKind, text};

/// The explanation of an error of SQLite.
#[derive(Debug, PartialEq, Eq)]
pub struct ErrorPage {
    /// Its name in C.
    pub name: &'static str,
    /// Its result code; an extended one is above 255, and its lowest byte is the primary one.
    pub code: u32,
    /// What its message contains, in small letters; empty if it shares the message of its primary code.
    phrases: &'static [&'static str],
    /// The whole page, Markdown in lines of at most 78 columns.
    pub text: &'static str,
}

macro_rules! error_pages {
    ($($name:literal ($code:literal) $phrases:expr;)*) => {
        /// Every page, by its code.
        pub static ERROR_PAGES: &[ErrorPage] = &[$(ErrorPage {
            name: $name,
            code: $code,
            phrases: &$phrases,
            text: include_str!(concat!("../../assets/errors/", $name, ".md")),
        }),*];
    };
}

error_pages! {
    "SQLITE_BUSY" (5) ["database is locked", "database file is locked"];
    "SQLITE_LOCKED" (6) ["table is locked", "schema is locked"];
    "SQLITE_READONLY" (8) ["readonly database", "read-only database"];
    "SQLITE_IOERR" (10) ["disk i/o error", "disk io error"];
    "SQLITE_CORRUPT" (11) ["disk image is malformed"];
    "SQLITE_FULL" (13) ["database or disk is full"];
    "SQLITE_CANTOPEN" (14) ["unable to open database", "unable to open the database"];
    "SQLITE_PROTOCOL" (15) ["locking protocol"];
    "SQLITE_NOTADB" (26) ["file is not a database", "file is encrypted"];
    "SQLITE_BUSY_RECOVERY" (261) [];
    "SQLITE_BUSY_SNAPSHOT" (517) [];
    "SQLITE_READONLY_DBMOVED" (1032) [];
}

impl ErrorPage {
    /// The page of the error that `text` reports, as a code, a name or a message, with whatever a driver adds to it. Of
    /// several, the most specific: a driver may print the primary code and the extended one.
    pub fn find(text: &str) -> Option<&'static Self> {
        let text = text.to_lowercase();
        let named = words(&text).filter_map(|(_, word)| Self::of_name(word));
        let coded = words(&text).filter(|(before, _)| announces_code(before));
        let coded = coded.filter_map(|(_, word)| Self::of_code(word.parse().ok()?));
        let said = ERROR_PAGES.iter().filter(|page| page.phrases.iter().any(|phrase| text.contains(phrase)));
        let mut found: Vec<&Self> = named.chain(coded).chain(said).collect();
        // Of equally specific ones the first is the surest.
        found.sort_by_key(|page| page.code <= 255);
        let part = || {
            let has = |page: &&Self| page.phrases.iter().any(|phrase| phrase.contains(text.as_str()));
            ERROR_PAGES.iter().find(|page| text.len() >= SHORTEST_PART && has(page))
        };
        let mistyped = || {
            let phrases =
                || ERROR_PAGES.iter().flat_map(|page| page.phrases.iter().map(move |it| (page, *it)));
            let meant = text::similar(&text, phrases().map(|(_, phrase)| phrase))?;
            phrases().find(|(_, phrase)| *phrase == meant).map(|(page, _)| page)
        };
        found.first().copied().or_else(part).or_else(mistyped)
    }

    /// The findings that show its cause: those in the list of its page.
    pub fn findings(&self) -> impl Iterator<Item = FindingKind> {
        self.listed().filter_map(|name| name.parse().ok())
    }

    fn listed(&self) -> impl Iterator<Item = &'static str> {
        self.text.lines().filter_map(|line| line.strip_prefix("- `")?.strip_suffix('`'))
    }

    fn of_code(code: u32) -> Option<&'static Self> {
        let exact = ERROR_PAGES.iter().find(|page| page.code == code);
        exact.or_else(|| ERROR_PAGES.iter().find(|page| page.code == code & 0xff))
    }

    // `SQLITE_IOERR_READ` is explained by `SQLITE_IOERR`.
    fn of_name(word: &str) -> Option<&'static Self> {
        let begins = |page: &&Self| {
            let rest = word.strip_prefix(&page.name.to_lowercase());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
        };
        ERROR_PAGES.iter().filter(begins).max_by_key(|page| page.name.len())
    }
}

// The shortest part of an error text that stands for it, as `locked` does for `database is locked`.
const SHORTEST_PART: usize = 4;

// The words of `text`, each with what stands before it.
fn words(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    text.split(move |letter| !is_part(letter)).filter(|word| !word.is_empty()).map(move |word| {
        let at = word.as_ptr().addr() - text.as_ptr().addr();
        (&text[..at], word)
    })
}

// Whether a number after `before` is a result code, and not a line or a port.
fn announces_code(before: &str) -> bool {
    let before = before.trim_end_matches([' ', ':', '=']);
    before.is_empty() || before.ends_with('(') || before.ends_with("code") || before.ends_with("error")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Option<&'static str> {
        ErrorPage::find(text).map(|page| page.name)
    }

    #[test]
    fn the_error_is_found_in_what_drivers_print() {
        for (text, name) in [
            ("sqlite3.OperationalError: database is locked", "SQLITE_BUSY"),
            ("SqliteError: database is locked", "SQLITE_BUSY"),
            ("[SQLITE_BUSY] The database file is locked (database is locked)", "SQLITE_BUSY"),
            ("database is locked (5) (SQLITE_BUSY)", "SQLITE_BUSY"),
            ("SQLSTATE[HY000]: General error: 5 database is locked", "SQLITE_BUSY"),
            ("SQLite3::BusyException: database is locked", "SQLITE_BUSY"),
            ("database is locked (517)", "SQLITE_BUSY_SNAPSHOT"),
            (
                "SqliteFailure(Error { code: DatabaseBusy, extended_code: 517 }, Some(\"database is locked\"))",
                "SQLITE_BUSY_SNAPSHOT",
            ),
            ("error returned from database: (code: 517) database is locked", "SQLITE_BUSY_SNAPSHOT"),
            ("SQLITE_BUSY_SNAPSHOT", "SQLITE_BUSY_SNAPSHOT"),
            ("517", "SQLITE_BUSY_SNAPSHOT"),
            ("261", "SQLITE_BUSY_RECOVERY"),
            ("773", "SQLITE_BUSY"),
            ("database table is locked: nodes", "SQLITE_LOCKED"),
            ("sqlite3.OperationalError: attempt to write a readonly database", "SQLITE_READONLY"),
            ("attempt to write a readonly database (1032)", "SQLITE_READONLY_DBMOVED"),
            ("SQLITE_IOERR_SHORT_READ: disk I/O error", "SQLITE_IOERR"),
            ("sqlite3.DatabaseError: database disk image is malformed", "SQLITE_CORRUPT"),
            ("database or disk is full", "SQLITE_FULL"),
            ("SQLITE_CANTOPEN: unable to open database file", "SQLITE_CANTOPEN"),
            ("locking protocol", "SQLITE_PROTOCOL"),
            ("file is not a database", "SQLITE_NOTADB"),
            ("locked", "SQLITE_BUSY"),
            ("Malformed", "SQLITE_CORRUPT"),
            ("databse is locked", "SQLITE_BUSY"),
            ("unable to open datbase", "SQLITE_CANTOPEN"),
        ] {
            assert_eq!(found(text), Some(name), "{text}");
        }
    }

    #[test]
    fn other_texts_are_no_errors_of_sqlite() {
        for text in [
            "",
            "is",
            "hello",
            "connection to 10.0.0.5:517 refused",
            "line 5",
            "99",
            "UNIQUE constraint failed",
        ] {
            assert_eq!(found(text), None, "{text}");
        }
        assert_eq!(found("main.py line 517: database is locked"), Some("SQLITE_BUSY"));
    }

    #[test]
    fn each_page_begins_with_its_name_and_lists_its_findings() {
        for page in ERROR_PAGES {
            let title = format!("# {} ({}): ", page.name, page.code);
            assert!(page.text.starts_with(&title), "{}", page.name);
            assert!(page.text.lines().all(|line| line.chars().count() <= 78), "{}", page.name);
            let findings: Vec<_> = page.findings().map(FindingKind::as_str).collect();
            assert_eq!(page.listed().collect::<Vec<_>>(), findings, "{}", page.name);
            assert_eq!(findings.is_empty(), page.name == "SQLITE_LOCKED", "{}", page.name);
        }
        assert!(ERROR_PAGES.is_sorted_by_key(|page| page.code));
    }
}
