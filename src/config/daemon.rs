//! What the user says of processes that belong to a database: which they are, and when one has outlived its use.

use std::{path::PathBuf, time::Duration};

use regex::Regex;

use crate::document::{
    Error, Item, Table,
    value::{self, Base},
};

/// One `[[daemon]]` of the configuration. Of several that match a process the first one counts.
#[derive(Debug, Clone)]
pub struct DaemonRule {
    /// Its name, for evidence.
    pub name: String,
    /// Matches the whole command line, arguments joined by a blank.
    pub pattern: Regex,
    /// Whether there should be only one such process.
    pub singleton: bool,
    /// From what age on an idle one has outlived its use.
    pub max_age: Option<Duration>,
    /// The file in which it keeps its PID.
    pub pidfile: Option<PathBuf>,
    /// Whether such a process is never offered for a stop.
    pub protect: bool,
}

impl DaemonRule {
    /// The first of `rules` that matches `command_line`.
    #[must_use]
    pub fn of<'a>(rules: &'a [Self], command_line: &str) -> Option<&'a Self> {
        rules.iter().find(|rule| rule.pattern.is_match(command_line))
    }

    /// The rule of one `[[daemon]]`.
    pub(super) fn read(table: &Table<'_>, base: &Base) -> Result<Self, Error> {
        table.only(&["name", "pattern", "singleton", "max_age", "pidfile", "protect"])?;
        let switch = |key| table.get(key).map_or(Ok(false), |item| item.switch());
        Ok(Self {
            name: table.need("name")?.words()?.to_owned(),
            pattern: pattern(&table.need("pattern")?)?,
            singleton: switch("singleton")?,
            max_age: table.get("max_age").map(|item| value::duration(&item)).transpose()?,
            pidfile: table.get("pidfile").map(|item| value::path(&item, base)).transpose()?,
            protect: switch("protect")?,
        })
    }
}

fn pattern(item: &Item<'_>) -> Result<Regex, Error> {
    Regex::new(item.words()?).map_err(|error| {
        // The message draws the place over several lines, and ends with what is wrong there.
        let text = error.to_string();
        let last = text.lines().last().unwrap_or_default();
        item.wrong(&format!("is no regular expression: {}", last.strip_prefix("error: ").unwrap_or(last)))
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::document::Document;

    fn of(text: &str) -> Result<Vec<DaemonRule>, String> {
        let base = Base { home: Some("/home/me".into()), folder: "/etc/waltop".into() };
        let document = Document::new(Path::new("c.toml"), text);
        let rules = document.with(|table| {
            table.need("daemon")?.tables()?.iter().map(|one| DaemonRule::read(one, &base)).collect()
        });
        rules.map_err(|error| error.to_string())
    }

    #[test]
    fn the_first_rule_that_matches_the_whole_command_line_counts() {
        let rules = of("[[daemon]]\nname = \"watcher\"\npattern = \"bun.*amalfa watch\"\nsingleton = true\n\
                        max_age = \"24h\"\npidfile = \"~/.amalfa/watcher.pid\"\n\
                        [[daemon]]\nname = \"any\"\npattern = \"bun\"\nprotect = true\n")
        .expect("in order");
        let name = |line| DaemonRule::of(&rules, line).map(|rule| rule.name.as_str());
        assert_eq!(name("/usr/bin/bun run amalfa watch"), Some("watcher"));
        assert_eq!((name("bun init"), name("node x")), (Some("any"), None));
        assert_eq!(rules[0].max_age, Some(Duration::from_hours(24)));
        assert_eq!(rules[0].pidfile.as_deref(), Some(Path::new("/home/me/.amalfa/watcher.pid")));
        assert!(rules[0].singleton && !rules[0].protect && !rules[1].singleton && rules[1].protect);
    }

    #[test]
    fn every_mistake_names_its_line_and_key() {
        for (text, said) in [
            ("daemon = 1", "c.toml, line 1: daemon is a list of tables; write [[daemon]]"),
            ("\n[daemon]\nname = \"a\"", "c.toml, line 2: daemon is a list of tables; write [[daemon]]"),
            ("[[daemon]]\npattern = \"a\"", "c.toml, line 1: [[daemon]]: name is missing"),
            ("[[daemon]]\nname = \"a\"", "c.toml, line 1: [[daemon]]: pattern is missing"),
            ("[[daemon]]\nname = \" \"", "c.toml, line 2: [[daemon]].name is empty"),
            (
                "[[daemon]]\nname = \"a\"\npattern = \"a(\"",
                "c.toml, line 3: [[daemon]].pattern is no regular expression: unclosed group",
            ),
            (
                "[[daemon]]\nname = \"a\"\npattern = \"a\"\nmaxage = \"1h\"",
                "c.toml, line 4: there is no key maxage in [[daemon]]; the nearest is max_age",
            ),
            (
                "[[daemon]]\nname = \"a\"\npattern = \"a\"\nsingleton = 1",
                "c.toml, line 4: [[daemon]].singleton takes true or false",
            ),
        ] {
            let it = of(text).expect_err("it is wrong");
            assert!(it.starts_with(said), "{it}\n{said}");
        }
    }
}
