//! Parses a TOML file into a type. Every error names the file and the line, and for a mistyped name the nearest one.

use std::{
    fs::{self, File},
    io::{self, Read},
    ops::Range,
    path::{Path, PathBuf},
};

use serde::de::DeserializeOwned;

use crate::text;

/// A settings file has some kilobytes.
const MAX_BYTES: u64 = 1 << 20;

/// Why a settings file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    #[error("no such file: {}; check the path", path.display())]
    Missing { path: PathBuf },
    #[error("cannot read {}: {cause}; check its permissions", path.display())]
    Unreadable { path: PathBuf, cause: io::Error },
    #[error("{} is {what}; name a TOML file", path.display())]
    NotAFile { path: PathBuf, what: &'static str },
    /// `line` counts from 1.
    #[error("{}, line {line}: {what}", path.display())]
    Line { path: PathBuf, line: usize, what: String },
}

/// The text of a settings file.
#[derive(Debug)]
pub struct SettingsFile {
    path: PathBuf,
    text: String,
}

impl SettingsFile {
    /// Reads the regular file at `path`.
    pub fn read(path: &Path) -> Result<Self, SettingsError> {
        let failed = |cause: io::Error| {
            let path = path.to_owned();
            match cause.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => SettingsError::Missing { path },
                _ => SettingsError::Unreadable { path, cause },
            }
        };
        let metadata = fs::metadata(path).map_err(failed)?;
        let unusable = if metadata.is_dir() {
            Some("a directory")
        } else if !metadata.is_file() {
            // Workers read it again, which a pipe does not allow.
            Some("not a regular file")
        } else if metadata.len() > MAX_BYTES {
            Some("larger than 1 MiB")
        } else {
            None
        };
        if let Some(what) = unusable {
            return Err(SettingsError::NotAFile { path: path.to_owned(), what });
        }
        let mut bytes = Vec::new();
        // It may have grown since.
        File::open(path).and_then(|file| file.take(MAX_BYTES).read_to_end(&mut bytes)).map_err(failed)?;
        let text = String::from_utf8(bytes).map_err(|error| {
            let line = line_of(error.as_bytes(), error.utf8_error().valid_up_to());
            let what = "not UTF-8; save the file as UTF-8".to_owned();
            SettingsError::Line { path: path.to_owned(), line, what }
        })?;
        Ok(Self { path: path.to_owned(), text })
    }

    /// A file with the content `text`; its errors name `path`.
    pub fn new(path: &Path, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, SettingsError> {
        let document = toml::Deserializer::parse(&self.text).map_err(|error| {
            self.error(error.span().unwrap_or_default(), &format!("not valid TOML: {}", error.message()))
        })?;
        T::deserialize(document).map_err(|error| {
            let what = in_plain_english(error.message(), &keys_of(error.clone()));
            self.error(error.span().unwrap_or_default(), &what)
        })
    }

    /// An error at the bytes `at` of the text.
    pub fn error(&self, at: Range<usize>, what: &str) -> SettingsError {
        let line = line_of(self.text.as_bytes(), at.start);
        SettingsError::Line { path: self.path.clone(), line, what: text::clean(what) }
    }
}

fn line_of(text: &[u8], at: usize) -> usize {
    text[..at.min(text.len())].split(|&byte| byte == b'\n').count()
}

/// The keys that lead to the error, as in `thresholds.idle`; empty at the top. `toml` reports them only in an error
/// that does not quote its input.
fn keys_of(mut error: toml::de::Error) -> String {
    error.set_input(None);
    let message = error.to_string();
    let keys = message.trim_end().rsplit_once("\nin `").and_then(|(_, keys)| keys.strip_suffix('`'));
    keys.unwrap_or_default().to_owned()
}

/// Rewrites serde's messages for an unknown key, an unknown variant and a missing key (`serde::de::Error`), with the
/// nearest name instead of the list of all names. Its other messages already say what they expect.
fn in_plain_english(message: &str, keys: &str) -> String {
    // The name is the user's and may contain anything; the expected names are waltop's.
    let mistyped = |kind: &str| message.strip_prefix(kind)?.strip_prefix(" `")?.rsplit_once("`, expected ");
    let of_key = if keys.is_empty() { String::new() } else { format!("`{keys}`: ") };
    if let Some((name, known)) = mistyped("unknown field") {
        return unknown_key(name, keys, known.split('`').skip(1).step_by(2));
    }
    if let Some((name, known)) = mistyped("unknown variant") {
        return format!("{of_key}{}", unknown_value(name, known.split('`').skip(1).step_by(2)));
    }
    let message = match (message.strip_prefix("missing field"), message.strip_suffix("expected a sequence")) {
        (Some(key), _) => format!("missing key{key}"),
        (_, Some("invalid type: map, ")) => format!("expected a list of tables; write [[{keys}]]"),
        (_, Some(found)) => format!("{found}expected a list"),
        _ => message.to_owned(),
    };
    format!("{of_key}{message}")
}

/// A message lists all keys of a table with at most this many.
const FEW_KEYS: usize = 8;

/// The message for the key `name` in `table` (empty at the top), where only `known` keys are valid.
pub fn unknown_key<'a>(name: &str, table: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let of_table = if table.is_empty() { String::new() } else { format!(" in `{table}`") };
    let known: Vec<&str> = known.into_iter().collect();
    // A guess among few names would hide the others.
    let all = if (2..=FEW_KEYS).contains(&known.len()) {
        format!(" The keys are `{}`.", known.join("`, `"))
    } else {
        String::new()
    };
    format!("unknown key `{name}`{of_table}{}{all}", did_you_mean(name, known))
}

/// The message for the value `name` where only `known` values are valid.
pub fn unknown_value<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    format!("unknown value `{name}`{}", did_you_mean(name, known))
}

/// What other programs call a key, and its name here.
const HABITS: [(&str, &str); 5] = [
    ("match", "pattern"),
    ("matches", "pattern"),
    ("regex", "pattern"),
    ("command", "pattern"),
    ("age", "max_age"),
];

fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    let is_meant = |(habit, key): &&(&str, &str)| *habit == name && known.contains(key);
    let meant = HABITS.iter().find(is_meant).map(|(_, key)| *key);
    meant
        .or_else(|| text::nearest(name, known.iter().copied()))
        .map(|nearest| format!("; did you mean `{nearest}`?"))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "kebab-case")]
    enum Colour {
        DarkBlue,
        Red,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only their parsing is tested")]
    struct Example {
        colour: Colour,
        #[serde(default)]
        list: Vec<u8>,
        inner: Option<Box<Example>>,
    }

    #[test]
    fn an_error_names_the_line_the_key_and_the_nearest_name() {
        for (text, message) in [
            ("color = 1", "c.toml, line 1: unknown key `color`; did you mean `colour`?"),
            ("\n\"a`, expected `b`\" = 1", "c.toml, line 2: unknown key `a`, expected `b``; did you mean "),
            (
                "colour = 'drakblue'",
                "c.toml, line 1: `colour`: unknown value `drakblue`; did you mean `dark-blue`?",
            ),
            ("colour = 'red'\n[inner]\nlist = []", "c.toml, line 2: `inner`: missing key `colour`"),
            (
                "colour = 'red'\n[inner]\nlst = []",
                "c.toml, line 3: unknown key `lst` in `inner`; did you mean `list`?",
            ),
            (
                "colour = 'red'\nlist = 1",
                "c.toml, line 2: `list`: invalid type: integer `1`, expected a list",
            ),
            (
                "colour = 'red'\nlist = [\n1,\n'x']",
                "c.toml, line 4: `list`: invalid type: string \"x\", expected u8",
            ),
            ("colour = ", "c.toml, line 1: not valid TOML: "),
        ] {
            let error = SettingsFile::new(Path::new("c.toml"), text).parse::<Example>().expect_err(text);
            assert!(error.to_string().starts_with(message), "{error}\n{message}");
        }
    }
}
