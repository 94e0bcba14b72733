//! Version and source of a SQLite in the bytes of a program or library.
//!
//! The text at the beginning of each database file is in each SQLite, as are its version and its source id
//! (`sqlite3_version`, `SQLITE_SOURCE_ID`). Other programs may have the first one, such as file(1).

use std::{fs::File, io, sync::LazyLock};

use regex::bytes::{Match, Regex, RegexBuilder};
use serde::{Deserialize, Serialize};

use crate::observe::files;

/// The most bytes of one file that are read.
const MOST: u64 = 64 << 20;
/// The bytes of one reading.
const CHUNK: usize = 1 << 20;
/// Bytes of a reading that the next one begins with: more than the longest text that is looked for.
const OVERLAP: usize = 256;

/// The versions of one file of which it cannot have more.
const MOST_VERSIONS: usize = 64;

static MAGIC: LazyLock<Regex> = LazyLock::new(|| compiled(r"SQLite format 3\x00"));
// A hash of SHA-1 (until 3.17) or SHA3-256, of which the end may be another text where the source was edited.
static SOURCE: LazyLock<Regex> = LazyLock::new(|| {
    let time = "20[0-9]{2}-[01][0-9]-[0-3][0-9] [0-2][0-9]:[0-5][0-9]:[0-5][0-9]";
    compiled(&format!(r"{time} [0-9a-f]{{36}}(?:[0-9a-f]{{24}})?[0-9a-z]{{4}}\x00"))
});
static VERSION: LazyLock<Regex> =
    LazyLock::new(|| compiled(r"3\.[0-9]{1,3}\.[0-9]{1,3}(?:\.[0-9]{1,2})?\x00"));

fn compiled(pattern: &str) -> Regex {
    RegexBuilder::new(pattern).unicode(false).build().expect("a fixed pattern")
}

/// A SQLite in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundSqlite {
    pub version: String,
    pub source_id: String,
}

/// The SQLite in those `segments` of `file` (first byte and length); `None` if there is none in as much as is read.
///
/// # Errors
///
/// It cannot be read.
pub fn scan(file: &File, segments: &[(u64, u64)]) -> io::Result<Option<FoundSqlite>> {
    let mut has_magic = false;
    each_chunk(file, segments, |bytes| {
        has_magic = MAGIC.is_match(bytes);
        !has_magic
    })?;
    if !has_magic {
        return Ok(None);
    }
    let mut texts = SqliteTexts::default();
    each_chunk(file, segments, |bytes| {
        texts.add(bytes);
        true
    })?;
    Ok(texts.found())
}

/// The texts that may be version and source. Those that follow other text are second best: a program names its own
/// version so, and the source id follows "fts5: ", with the end that it has if that module was not edited.
#[derive(Default)]
struct SqliteTexts {
    source: [Option<String>; 2],
    versions: [Vec<String>; 2],
}

impl SqliteTexts {
    fn add(&mut self, bytes: &[u8]) {
        for (rank, text) in SOURCE.find_iter(bytes).filter_map(|found| ranked(bytes, found)) {
            self.source[rank].get_or_insert(text);
        }
        for (rank, text) in VERSION.find_iter(bytes).filter_map(|found| ranked(bytes, found)) {
            let versions = &mut self.versions[rank];
            if versions.len() < MOST_VERSIONS && !versions.contains(&text) {
                versions.push(text);
            }
        }
    }

    fn found(self) -> Option<FoundSqlite> {
        let source_id = self.source.into_iter().flatten().next()?;
        let version = self.versions.iter().find_map(|versions| version_of(versions, &source_id))?;
        Some(FoundSqlite { version, source_id })
    }
}

// A text without its end, and 1 if it follows other text; `None` if it is a part of a number, or what is before it is in
// the reading before.
fn ranked(bytes: &[u8], found: Match<'_>) -> Option<(usize, String)> {
    let before = *bytes.get(found.start().checked_sub(1)?)?;
    let text = String::from_utf8_lossy(found.as_bytes()).trim_end_matches('\0').to_owned();
    match before {
        b'.' | b'0'..=b'9' => None,
        b' '..=b'~' => Some((1, text)),
        _ => Some((0, text)),
    }
}

// Which of `versions` belongs to the source: other software has version numbers that begin with 3, too, such as Python.
// SQLite's minor number grows by the year, except for corrections of older branches.
fn version_of(versions: &[String], source_id: &str) -> Option<String> {
    let year: u32 = source_id.get(..4)?.parse().ok()?;
    let (least, most) = minors_of(year);
    let minor = |version: &String| version.split('.').nth(1).and_then(|minor| minor.parse::<u32>().ok());
    let possible = || versions.iter().filter(|it| minor(it).is_some_and(|minor| minor <= most));
    let in_year = possible().filter(|it| minor(it) >= Some(least)).max_by_key(|it| minor(it));
    in_year.or_else(|| possible().max_by_key(|it| minor(it))).cloned()
}

// The minor numbers of the first and the last branch that had releases in `year` (<https://sqlite.org/chronology.html>).
// One of an older branch is the end of a branch that began the year before. For years to come, at most seven a year.
fn minors_of(year: u32) -> (u32, u32) {
    match year {
        ..=2010 => (6, 7),
        2011..=2014 => (7, 8),
        2015 => (8, 9),
        2016 => (9, 15),
        2017 => (16, 21),
        2018 => (21, 26),
        2019 => (26, 30),
        2020 => (30, 34),
        2021 => (34, 37),
        2022 => (37, 40),
        2023 => (40, 44),
        2024 => (44, 47),
        2025 => (47, 51),
        later => (51, 51 + 7 * (later - 2025)),
    }
}

// Reads the segments up to the limit, while `more` says so.
fn each_chunk(file: &File, segments: &[(u64, u64)], mut more: impl FnMut(&[u8]) -> bool) -> io::Result<()> {
    let mut left = MOST;
    let mut buffer = vec![0; CHUNK];
    for &(start, length) in segments {
        let end = start + length.min(left);
        left -= end - start;
        let mut at = start;
        while at < end {
            let wanted = usize::try_from(end - at).unwrap_or(CHUNK).min(CHUNK);
            let read = files::read_at(file, &mut buffer[..wanted], at)?;
            if !more(&buffer[..read]) {
                return Ok(());
            }
            if read < wanted || at + read as u64 == end {
                break;
            }
            at += (read - OVERLAP) as u64;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::{Seek, SeekFrom, Write};

    use super::*;

    const ID: &str = "2023-11-01 11:23:50 17129ba1ff7f0daf37100ee82d507aef7827cf38de1866e2633096ae6ad81301";

    fn scanned(bytes: &[u8]) -> Option<FoundSqlite> {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(bytes).expect("written");
        scan(&file, &[(0, bytes.len() as u64)]).expect("read")
    }

    #[test]
    fn version_and_source_are_found_across_readings() {
        for at in [0, CHUNK - 200, CHUNK - OVERLAP, CHUNK - 10, CHUNK, 2 * CHUNK - 20] {
            let mut bytes = vec![1; at];
            bytes.extend_from_slice(format!("\0SQLite format 3\0\u{1}{ID}\0\u{1}3.44.0\0").as_bytes());
            bytes.extend(vec![1; CHUNK]);
            let expected = FoundSqlite { version: "3.44.0".to_owned(), source_id: ID.to_owned() };
            assert_eq!(scanned(&bytes), Some(expected), "{at}");
        }
    }

    #[test]
    fn a_program_that_only_knows_the_format_has_no_sqlite() {
        assert_eq!(scanned(b"\0SQLite format 3\0, and \x003.44.0\0"), None);
        assert_eq!(scanned(format!("\03.44.0\0{ID}\0").as_bytes()), None);
        assert_eq!(scanned(b""), None);
    }

    #[test]
    fn of_several_numbers_the_one_that_was_released_then_is_its_version() {
        let version = |versions: &[&str], year: &str| {
            let versions: Vec<String> = versions.iter().map(|it| (*it).to_owned()).collect();
            version_of(&versions, &ID.replace("2023", year))
        };
        assert_eq!(version(&["3.12.4", "3.45.3", "3.0.15"], "2024").as_deref(), Some("3.45.3"));
        assert_eq!(version(&["3.45.3", "3.101.2"], "2024").as_deref(), Some("3.45.3"));
        assert_eq!(version(&["3.14.2", "3.44.6"], "2026").as_deref(), Some("3.44.6"), "an older branch");
        assert_eq!(version(&["3.9.1", "3.8.7.4"], "2014").as_deref(), Some("3.8.7.4"));
        assert_eq!(version(&["3.57.1"], "2027").as_deref(), Some("3.57.1"));
        assert_eq!(version(&["3.90.0"], "2024"), None);
    }

    #[test]
    fn edited_and_older_sources_are_sources() {
        let short = "2017-03-28 18:48:43 424a0d380332858ee55bdebc4af3789f74e70a2b";
        let edited = format!("{}alt1", &ID[..ID.len() - 4]);
        for (id, version) in [(short, "3.18.0"), (edited.as_str(), "3.43.2")] {
            let found = scanned(format!("SQLite format 3\0fts5: {ID}\0{id}\0{version}\0").as_bytes());
            assert_eq!(found.map(|it| (it.version, it.source_id)), Some((version.to_owned(), id.to_owned())));
        }
    }

    #[test]
    fn only_the_segments_are_read() {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(format!("\0SQLite format 3\0{ID}\03.44.0\0").as_bytes()).expect("written");
        for (segments, expected) in
            [(vec![(0, 40)], false), (vec![(200, 10)], false), (vec![(0, 4096)], true)]
        {
            assert_eq!(scan(&file, &segments).expect("read").is_some(), expected, "{segments:?}");
        }
    }

    #[test]
    fn a_file_is_read_up_to_a_limit() {
        let mut file = tempfile::tempfile().expect("a file");
        file.set_len(MOST).expect("sparse");
        let text = format!("\0SQLite format 3\0{ID}\03.44.0\0");
        file.seek(SeekFrom::End(0)).and_then(|_| file.write_all(text.as_bytes())).expect("written");
        let length = MOST + text.len() as u64;
        assert_eq!(scan(&file, &[(0, length)]).expect("read"), None);
        assert!(scan(&file, &[(4096, length - 4096)]).expect("read").is_some());
    }
}
