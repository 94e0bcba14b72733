//! A profile's file, held to its form.

use std::path::Path;

use super::{Expectation, Keeper, Profile, Schedule};
use crate::{
    diagnose::checkpoint::CheckpointMode,
    document::{Document, Error, Item, Table, value},
    snapshot::Severity,
};

/// What values a pragma takes.
#[derive(Debug, Clone, Copy)]
enum Form {
    /// A whole number between these.
    Whole(i64, i64),
    /// One of these words.
    Words(&'static [&'static str]),
}

const SWITCH: Form = Form::Words(&["ON", "OFF"]);
const ANY: Form = Form::Whole(i32::MIN as i64, i32::MAX as i64);
const FROM_0: Form = Form::Whole(0, i32::MAX as i64);

/// The pragmas that a profile can ask for, who keeps each, and its values as waltop names them. Our own connection is
/// told those that a connection keeps, so only those are here that do no more than be kept
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

/// What a profile is made of, where nothing of it is there.
const EXAMPLE: &str = "give one at least, as in [[pragma]] name = \"cache_size\", expected = -64000, \
                       kept_by = \"connection\", severity = \"info\", each key on a line of its own";

/// The profile `name` in `document`.
pub fn read(document: &Document, name: &str) -> Result<Profile, Error> {
    document.with(|table| {
        table.only(&["name", "about", "checkpoint", "pragma"])?;
        if let Some(named) = table.get("name")
            && named.text()? != name
        {
            return Err(named.wrong(&format!("must be {name}, as the file is called")));
        }
        let mut pragmas: Vec<Expectation> = Vec::new();
        let some =
            table.get("pragma").ok_or_else(|| table.wrong(&format!("pragma is missing: {EXAMPLE}")))?;
        for one in some.tables()? {
            let expectation = expectation(&one)?;
            if pragmas.iter().any(|it| it.name == expectation.name) {
                return Err(one.wrong(&format!("{} stands here twice; leave one", expectation.name)));
            }
            pragmas.push(expectation);
        }
        let about = table.get("about").map_or(Ok(""), |it| it.text())?.to_owned();
        let checkpoint = table.get("checkpoint").map(|it| schedule(&it.table()?)).transpose()?;
        Ok(Profile { name: name.to_owned(), about, pragmas, checkpoint })
    })
}

/// The profile `name` that is a part of the program.
pub fn built_in(name: &str, text: &str) -> Result<Profile, Error> {
    read(&Document::new(Path::new(name), text), name)
}

fn schedule(table: &Table<'_>) -> Result<Schedule, Error> {
    table.only(&["mode", "every"])?;
    let modes = CheckpointMode::ALL.map(|mode| (mode.to_string().to_lowercase(), mode));
    let modes: Vec<(&str, CheckpointMode)> =
        modes.iter().map(|(name, mode)| (name.as_str(), *mode)).collect();
    Ok(Schedule { mode: table.need("mode")?.one_of(&modes)?, every: value::duration(&table.need("every")?)? })
}

fn expectation(table: &Table<'_>) -> Result<Expectation, Error> {
    table.only(&["name", "expected", "kept_by", "severity", "why"])?;
    let known: Vec<_> = PRAGMAS.iter().map(|pragma| (pragma.0, *pragma)).collect();
    let (name, keeper, form) = table.need("name")?.one_of(&known)?;
    let kept_by = table.need("kept_by")?;
    if kept_by.one_of(&[("file", Keeper::File), ("connection", Keeper::Connection)])? != keeper {
        let who = if keeper == Keeper::File { "file" } else { "connection" };
        return Err(kept_by.wrong(&format!("must be {who}: that is who keeps {name}")));
    }
    let severities = [("info", Severity::Info), ("warning", Severity::Warning), ("error", Severity::Error)];
    Ok(Expectation {
        name: name.to_owned(),
        expected: expected(&table.need("expected")?, form)?,
        kept_by: keeper,
        severity: table.need("severity")?.one_of(&severities)?,
        why: table.get("why").map_or(Ok(""), |it| it.text())?.to_owned(),
    })
}

/// The value as compliance compares it.
fn expected(item: &Item<'_>, form: Form) -> Result<String, Error> {
    match form {
        Form::Whole(least, most) => {
            let whole = item.is_whole().or_else(|| item.is_text()?.parse().ok());
            let whole = whole.filter(|whole| (least..=most).contains(whole));
            let wrong = || item.wrong(&format!("takes a whole number from {least} to {most}"));
            whole.map(|whole| whole.to_string()).ok_or_else(wrong)
        }
        Form::Words(words) => {
            let switched = item.is_switch().map(|on| if on { "ON" } else { "OFF" });
            let written = switched.or_else(|| item.is_text()).unwrap_or_default();
            let word = words.iter().find(|word| word.eq_ignore_ascii_case(written));
            let wrong = || item.wrong(&format!("takes one of {}", words.join(", ")));
            word.map(|&word| word.to_owned()).ok_or_else(wrong)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{fuzz::for_a_while, fuzz_edits::edited_text};

    #[test]
    fn fuzz_profile() {
        let seeds = [PRAGMA, include_str!("../../assets/profiles/hardened.toml")];
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
        read(&Document::new(Path::new("p.toml"), text), "mine").map_err(|error| error.to_string())
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
            (String::new(), "p.toml, line 1: pragma is missing: give one at least, as in [[pragma]] name = "),
            (
                format!("chekpoint = 1\n{PRAGMA}"),
                "p.toml, line 1: there is no key chekpoint; the nearest is checkpoint",
            ),
            (
                format!("name = \"yours\"\n{PRAGMA}"),
                "p.toml, line 1: name must be mine, as the file is called",
            ),
            (
                format!("checkpoint = {{ mode = \"pasive\", every = \"15m\" }}\n{PRAGMA}"),
                "p.toml, line 1: checkpoint.mode cannot be pasive; the nearest is passive",
            ),
            (
                format!("checkpoint = {{ mode = \"passive\", every = 15 }}\n{PRAGMA}"),
                "p.toml, line 1: checkpoint.every takes a duration above nothing, as in \"500ms\", \"30s\", \
                 \"10m\" or \"24h\"",
            ),
            (
                PRAGMA.replace("cache_size", "writable_schema"),
                "p.toml, line 2: [[pragma]].name cannot be writable_schema; the nearest is temp_store",
            ),
            (
                PRAGMA.replace("-64000", "\"much\""),
                "p.toml, line 3: [[pragma]].expected takes a whole number from -2147483648 to 2147483647",
            ),
            (
                PRAGMA.replace("connection", "file"),
                "p.toml, line 4: [[pragma]].kept_by must be connection: that is who keeps cache_size",
            ),
            (
                PRAGMA.replace("info", "fatal"),
                "p.toml, line 5: [[pragma]].severity cannot be fatal; the nearest is",
            ),
            (
                format!("{PRAGMA}{PRAGMA}"),
                "p.toml, line 6: [[pragma]]: cache_size stands here twice; leave one",
            ),
            (
                PRAGMA.replace("kept_by", "kept"),
                "p.toml, line 4: there is no key kept in [[pragma]]; the nearest is kept_by",
            ),
        ] {
            let said = of(&text).expect_err("it is wrong");
            assert!(said.starts_with(line), "{said}");
        }
    }
}
