//! The user's rules for processes of a database: which they are, and when one is no longer needed.

use std::{path::PathBuf, time::Duration};

use regex::Regex;
use serde::{Deserialize, Deserializer};

use super::scalar::{Scalar, ScalarError, Written, WrittenPath, optional, scalar};

/// One `[[daemon]]` of the configuration. If several match a process, the first one applies.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table, written [[daemon]]")]
pub struct DaemonRule {
    #[serde(deserialize_with = "scalar")]
    pub name: String,
    /// Matches the whole command line, arguments joined by a space.
    #[serde(deserialize_with = "scalar")]
    pub pattern: Regex,
    /// Whether there should be only one such process.
    #[serde(default)]
    pub singleton: bool,
    /// The age from which on an idle one is no longer needed.
    #[serde(default, deserialize_with = "optional")]
    pub max_age: Option<Duration>,
    /// The file that contains its PID.
    #[serde(default, deserialize_with = "path")]
    pub pidfile: Option<PathBuf>,
    /// Whether waltop never offers to stop such a process.
    #[serde(default)]
    pub protect: bool,
}

impl DaemonRule {
    /// The first of `rules` that matches `command_line`.
    pub fn of<'a>(rules: &'a [Self], command_line: &str) -> Option<&'a Self> {
        rules.iter().find(|rule| rule.pattern.is_match(command_line))
    }
}

impl Scalar for Regex {
    const EXPECTED: &'static str = "a regular expression in quotes";

    fn of(written: Written<'_>) -> Result<Self, ScalarError> {
        let pattern = String::of(written)?;
        Self::new(&pattern).map_err(|error| {
            // The message shows the position over several lines, and ends with the problem.
            let text = error.to_string();
            let last = text.lines().last().unwrap_or_default();
            let what = last.strip_prefix("error: ").unwrap_or(last);
            ScalarError::Other(format!("not a regular expression: {what}"))
        })
    }
}

/// As written in the file; [`super::settings::apply`] makes it absolute.
fn path<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<PathBuf>, D::Error> {
    WrittenPath::deserialize(deserializer).map(|WrittenPath(path)| Some(path))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::{
        config::{Config, scalar::BaseFolders, settings, settings_file::SettingsFile},
        state::places::Places,
    };

    fn of(text: &str) -> Result<Vec<DaemonRule>, String> {
        let base = BaseFolders { home: Some("/home/me".into()), folder: "/etc/waltop".into() };
        let mut config = Config::new(Places::under(Path::new("/etc/waltop")));
        let file = SettingsFile::new(Path::new("c.toml"), text);
        settings::apply(&file, &mut config, &base).map_err(|error| error.to_string())?;
        Ok(config.daemons)
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
            ("daemon = 1", "c.toml, line 1: `daemon`: invalid type: integer `1`, expected a list"),
            (
                "\n[daemon]\nname = \"a\"",
                "c.toml, line 2: `daemon`: expected a list of tables; write [[daemon]]",
            ),
            ("[[daemon]]\npattern = \"a\"", "c.toml, line 1: `daemon`: missing key `name`"),
            ("[[daemon]]\nname = \"a\"", "c.toml, line 1: `daemon`: missing key `pattern`"),
            (
                "[[daemon]]\nname = \" \"",
                "c.toml, line 2: `daemon.name`: invalid value: string \" \", expected text that is not blank",
            ),
            (
                "[[daemon]]\nname = \"a\"\npattern = \"a(\"",
                "c.toml, line 3: `daemon.pattern`: not a regular expression: unclosed group",
            ),
            (
                "[[daemon]]\nname = \"a\"\npattern = \"a\"\nmaxage = \"1h\"",
                "c.toml, line 4: unknown key `maxage` in `daemon`; did you mean `max_age`?",
            ),
            (
                "[[daemon]]\nname = \"a\"\nmatch = \"a\"",
                "c.toml, line 3: unknown key `match` in `daemon`; did you mean `pattern`?",
            ),
            (
                "[[daemon]]\nname = \"a\"\npattern = \"a\"\nsingleton = 1",
                "c.toml, line 4: `daemon.singleton`: invalid type: integer `1`, expected a boolean",
            ),
        ] {
            let it = of(text).expect_err("it is wrong");
            assert!(it.starts_with(said), "{it}\n{said}");
        }
    }
}
