//! The file of a profile.

use std::path::Path;

use serde::Deserialize;
use toml::Spanned;

use super::{Expectation, Keeper, Profile, Schedule};
use crate::{
    config::{
        scalar::{Scalar, ScalarError, Written, scalar},
        settings_file::{SettingsError, SettingsFile, unknown_value},
    },
    snapshot::Severity,
};

/// The values that a pragma accepts.
#[derive(Debug, Clone, Copy)]
enum Form {
    /// A whole number in this range.
    Whole(i64, i64),
    Words(&'static [&'static str]),
}

const SWITCH: Form = Form::Words(&["ON", "OFF"]);
const ANY: Form = Form::Whole(i32::MIN as i64, i32::MAX as i64);
const FROM_0: Form = Form::Whole(0, i32::MAX as i64);

/// The pragmas that a profile can set, where each is kept, and its values as waltop names them. waltop's own connection
/// sets those that a connection keeps, so the list contains only pragmas that set a value and do nothing else
/// (<https://www.sqlite.org/pragma.html>).
const PRAGMAS: &[(&str, Keeper, Form)] = &[
    ("busy_timeout", Keeper::Connection, FROM_0),
    ("journal_mode", Keeper::File, Form::Words(&["wal"])),
    ("synchronous", Keeper::Connection, Form::Words(&["OFF", "NORMAL", "FULL", "EXTRA"])),
    ("mmap_size", Keeper::Connection, Form::Whole(0, i64::MAX)),
    ("cache_size", Keeper::Connection, ANY),
    ("temp_store", Keeper::Connection, Form::Words(&["DEFAULT", "FILE", "MEMORY"])),
    ("foreign_keys", Keeper::Connection, SWITCH),
    ("wal_autocheckpoint", Keeper::Connection, FROM_0),
    ("journal_size_limit", Keeper::Connection, Form::Whole(-1, i64::MAX)),
    ("query_only", Keeper::Connection, SWITCH),
    ("page_size", Keeper::File, Form::Whole(512, 65_536)),
    ("auto_vacuum", Keeper::File, Form::Words(&["none", "full", "incremental"])),
    ("user_version", Keeper::File, ANY),
    ("application_id", Keeper::File, ANY),
];

/// The advice for an empty profile.
const EXAMPLE: &str = "give one at least, as in [[pragma]] name = \"cache_size\", expected = -64000, \
                       kept_by = \"connection\", severity = \"info\", each key on a line of its own";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ProfileFile {
    name: Option<Spanned<String>>,
    #[serde(default)]
    about: String,
    checkpoint: Option<Schedule>,
    wal_reset_bug: Option<Spanned<Severity>>,
    #[serde(default)]
    foreign: bool,
    pragma: Option<Vec<Spanned<PragmaEntry>>>,
}

/// One `[[pragma]]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table, written [[pragma]]")]
struct PragmaEntry {
    name: Spanned<String>,
    expected: Spanned<PragmaValue>,
    kept_by: Spanned<Keeper>,
    severity: Severity,
    #[serde(default)]
    why: String,
}

/// The value of a pragma, before it is checked against the pragma's form.
#[derive(Debug, Deserialize)]
struct PragmaValue(#[serde(deserialize_with = "scalar")] WrittenPragma);

#[derive(Debug)]
enum WrittenPragma {
    Integer(i64),
    Word(String),
}

impl Scalar for WrittenPragma {
    const EXPECTED: &'static str = "a whole number, a word in quotes, true or false";

    fn of(written: Written<'_>) -> Result<Self, ScalarError> {
        match written {
            Written::Integer(integer) => Ok(Self::Integer(integer)),
            Written::Text(word) => Ok(Self::Word(word.to_owned())),
            Written::Switch(on) => Ok(Self::Word(if on { "ON" } else { "OFF" }.to_owned())),
            Written::Float(_) => Err(ScalarError::Form),
        }
    }
}

/// Reads the profile `name` from `file`.
pub fn read(file: &SettingsFile, name: &str) -> Result<Profile, SettingsError> {
    let ProfileFile { name: named, about, checkpoint, wal_reset_bug, foreign, pragma } = file.parse()?;
    if let Some(named) = named.filter(|named| named.get_ref() != name) {
        let what = format!("`name`: must be `{name}`, as the file is called");
        return Err(file.error(named.span(), &what));
    }
    if let Some(wanted) = wal_reset_bug.as_ref().filter(|it| *it.get_ref() == Severity::Error) {
        let what = "`wal_reset_bug`: must be `info` or `warning`: a version number proves no damage";
        return Err(file.error(wanted.span(), what));
    }
    let wal_reset_bug = wal_reset_bug.map_or(Severity::Info, Spanned::into_inner);
    let Some(entries) = pragma else {
        return Err(file.error(0..0, &format!("missing key `pragma`; {EXAMPLE}")));
    };
    let mut pragmas: Vec<Expectation> = Vec::new();
    for entry in entries {
        let at = entry.span();
        let expectation = expectation(file, entry.into_inner())?;
        if pragmas.iter().any(|it| it.name == expectation.name) {
            return Err(file.error(at, &format!("`pragma`: {} is set twice; keep one", expectation.name)));
        }
        pragmas.push(expectation);
    }
    Ok(Profile { name: name.to_owned(), about, pragmas, is_foreign: foreign, checkpoint, wal_reset_bug })
}

/// The built-in profile `name`.
pub fn built_in(name: &str, text: &str) -> Result<Profile, SettingsError> {
    read(&SettingsFile::new(Path::new(name), text), name)
}

fn expectation(file: &SettingsFile, entry: PragmaEntry) -> Result<Expectation, SettingsError> {
    let named = PRAGMAS.iter().find(|(name, ..)| name == entry.name.get_ref());
    let Some((name, keeper, form)) = named else {
        let what = unknown_value(entry.name.get_ref(), PRAGMAS.iter().map(|(name, ..)| *name));
        return Err(file.error(entry.name.span(), &format!("`pragma.name`: {what}")));
    };
    if entry.kept_by.get_ref() != keeper {
        let who = if *keeper == Keeper::File { "file" } else { "connection" };
        let what = format!("`pragma.kept_by`: must be `{who}`, which keeps {name}");
        return Err(file.error(entry.kept_by.span(), &what));
    }
    let expected = expected(&entry.expected.get_ref().0, *form)
        .map_err(|what| file.error(entry.expected.span(), &format!("`pragma.expected`: {what}")))?;
    Ok(Expectation {
        name: (*name).to_owned(),
        expected,
        kept_by: *keeper,
        severity: entry.severity,
        why: entry.why,
    })
}

/// The value as the compliance check compares it.
fn expected(written: &WrittenPragma, form: Form) -> Result<String, String> {
    match form {
        Form::Whole(least, most) => {
            let whole = match written {
                WrittenPragma::Integer(whole) => Some(*whole),
                WrittenPragma::Word(word) => word.parse().ok(),
            };
            let whole = whole.filter(|whole| (least..=most).contains(whole));
            let wrong = || format!("expected a whole number from {least} to {most}");
            whole.map(|whole| whole.to_string()).ok_or_else(wrong)
        }
        Form::Words(words) => {
            let is_it =
                |word: &&&str| matches!(written, WrittenPragma::Word(it) if word.eq_ignore_ascii_case(it));
            let word = words.iter().find(is_it);
            word.map(|&word| word.to_owned()).ok_or_else(|| format!("expected one of {}", words.join(", ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{fuzz::for_a_while, fuzz_edits::edited_text, snapshot::CheckpointMode};

    #[test]
    fn fuzz_profile() {
        let seeds = [PRAGMA, include_str!("../../../assets/profiles/hardened.toml")];
        for_a_while("profile", |runner| {
            runner.run(&edited_text(&seeds), |text| {
                match of(&text) {
                    Ok(profile) => prop_assert!(profile.pragmas.iter().all(|it| !it.name.is_empty())),
                    Err(error) => {
                        prop_assert!(
                            error.starts_with("p.toml, line ") && !error.contains('\n'),
                            "{}",
                            error
                        );
                    }
                }
                Ok(())
            })
        });
    }

    fn of(text: &str) -> Result<Profile, String> {
        read(&SettingsFile::new(Path::new("p.toml"), text), "mine").map_err(|error| error.to_string())
    }

    const PRAGMA: &str = "[[pragma]]\nname = \"cache_size\"\nexpected = -64000\nkept_by = \"connection\"\n\
                          severity = \"info\"\n";

    #[test]
    fn a_profile_of_ones_own_needs_little() {
        let text = format!("checkpoint = {{ mode = \"passive\", every = \"15m\" }}\n{PRAGMA}");
        let profile = of(&text).expect("well-formed");
        assert_eq!(profile.name, "mine");
        assert_eq!(profile.expectation("cache_size").map(|it| it.expected.as_str()), Some("-64000"));
        let every = std::time::Duration::from_mins(15);
        assert_eq!(profile.checkpoint, Some(Schedule { mode: CheckpointMode::Passive, every }));
        assert_eq!(profile.wal_reset_bug, Severity::Info);
        let asked = of(&format!("wal_reset_bug = \"warning\"\n{PRAGMA}")).expect("well-formed");
        assert_eq!(asked.wal_reset_bug, Severity::Warning);
    }

    #[test]
    fn values_are_named_as_compliance_names_them() {
        let switched = PRAGMA.replace("cache_size", "foreign_keys").replace("-64000", "true");
        assert_eq!(of(&switched).expect("well-formed").pragmas[0].expected, "ON");
        let worded = PRAGMA.replace("cache_size", "synchronous").replace("-64000", "\"normal\"");
        assert_eq!(of(&worded).expect("well-formed").pragmas[0].expected, "NORMAL");
    }

    #[test]
    fn every_mistake_names_its_line() {
        for (text, line) in [
            (
                String::new(),
                "p.toml, line 1: missing key `pragma`; give one at least, as in [[pragma]] name = ",
            ),
            (
                format!("chekpoint = 1\n{PRAGMA}"),
                "p.toml, line 1: unknown key `chekpoint`; did you mean `checkpoint`?",
            ),
            (
                format!("name = \"yours\"\n{PRAGMA}"),
                "p.toml, line 1: `name`: must be `mine`, as the file is called",
            ),
            (
                format!("checkpoint = {{ mode = \"pasive\", every = \"15m\" }}\n{PRAGMA}"),
                "p.toml, line 1: `checkpoint.mode`: unknown value `pasive`; did you mean `passive`?",
            ),
            (
                format!("checkpoint = {{ mode = \"passive\", every = 15 }}\n{PRAGMA}"),
                "p.toml, line 1: `checkpoint.every`: invalid value: integer `15`, expected a duration above zero, \
                 such as \"500ms\", \"30s\", \"10m\" or \"24h\"",
            ),
            (
                format!("wal_reset_bug = \"error\"\n{PRAGMA}"),
                "p.toml, line 1: `wal_reset_bug`: must be `info` or `warning`",
            ),
            (
                PRAGMA.replace("cache_size", "writable_schema"),
                "p.toml, line 2: `pragma.name`: unknown value `writable_schema`; did you mean `temp_store`?",
            ),
            (
                PRAGMA.replace("-64000", "\"much\""),
                "p.toml, line 3: `pragma.expected`: expected a whole number from -2147483648 to 2147483647",
            ),
            (
                PRAGMA.replace("connection", "file"),
                "p.toml, line 4: `pragma.kept_by`: must be `connection`, which keeps cache_size",
            ),
            (
                PRAGMA.replace("info", "fatal"),
                "p.toml, line 5: `pragma.severity`: unknown value `fatal`; did you mean ",
            ),
            (format!("{PRAGMA}{PRAGMA}"), "p.toml, line 6: `pragma`: cache_size is set twice; keep one"),
            (
                PRAGMA.replace("kept_by", "kept"),
                "p.toml, line 4: unknown key `kept` in `pragma`; did you mean `kept_by`?",
            ),
        ] {
            let said = of(&text).expect_err("it is wrong");
            assert!(said.starts_with(line), "{said}");
        }
    }
}
