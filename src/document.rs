//! A TOML file that is read key by key, so that every complaint names the file, the line and the key.

use std::{
    fs::{self, File},
    io::{self, Read},
    ops::Range,
    path::{Path, PathBuf},
};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::text;

pub mod value;

/// A file of settings is some kilobytes; what is larger was not meant.
const LARGEST: u64 = 1 << 20;

/// Why a file says nothing that could be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is none.
    #[error("no such file: {}; check the path", path.display())]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// It could not be read.
    #[error("cannot read {}: {cause}; check its permissions", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        cause: io::Error,
    },
    /// It is something else than a file of settings.
    #[error("{} is {what}; name a TOML file", path.display())]
    NoFile {
        /// The path.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// One line is wrong.
    #[error("{}, line {line}: {what}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong, and what to write instead.
        what: String,
    },
}

/// The text of a file of settings.
#[derive(Debug)]
pub struct Document {
    path: PathBuf,
    text: String,
}

impl Document {
    /// Reads `path`.
    ///
    /// # Errors
    ///
    /// Where there is no such file, or it is none that holds text.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let say = |cause: io::Error| {
            let path = path.to_owned();
            match cause.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Error::Missing { path },
                _ => Error::Unreadable { path, cause },
            }
        };
        let what = fs::metadata(path).map_err(say)?;
        let wrong = if what.is_dir() {
            Some("a directory")
        } else if !what.is_file() {
            // Workers read it again, which a pipe does not allow.
            Some("not a regular file")
        } else if what.len() > LARGEST {
            Some("larger than 1 MiB")
        } else {
            None
        };
        if let Some(what) = wrong {
            return Err(Error::NoFile { path: path.to_owned(), what });
        }
        let mut bytes = Vec::new();
        // It may have grown since.
        File::open(path).and_then(|file| file.take(LARGEST).read_to_end(&mut bytes)).map_err(say)?;
        let text = String::from_utf8(bytes).map_err(|error| {
            let line = line_of(error.as_bytes(), error.utf8_error().valid_up_to());
            let what = "not UTF-8; save the file as UTF-8".to_owned();
            Error::Line { path: path.to_owned(), line, what }
        })?;
        Ok(Self { path: path.to_owned(), text })
    }

    /// A document with this text, whose complaints name `path`.
    #[must_use]
    pub fn new(path: &Path, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    /// What `read` makes of the whole.
    ///
    /// # Errors
    ///
    /// Where it is no TOML, or `read` complains.
    pub fn with<T>(&self, read: impl FnOnce(&Table<'_>) -> Result<T, Error>) -> Result<T, Error> {
        let table = DeTable::parse(&self.text).map_err(|error| {
            self.wrong(error.span().unwrap_or_default(), &format!("not valid TOML: {}", error.message()))
        })?;
        read(&Table { document: self, name: String::new(), at: table.span(), entries: table.get_ref() })
    }

    fn wrong(&self, at: Range<usize>, what: &str) -> Error {
        let line = line_of(self.text.as_bytes(), at.start);
        Error::Line { path: self.path.clone(), line, what: text::clean(what) }
    }
}

fn line_of(text: &[u8], at: usize) -> usize {
    text[..at.min(text.len())].split(|&byte| byte == b'\n').count()
}

/// A table of a document: its whole, or one below it.
#[derive(Debug)]
pub struct Table<'a> {
    document: &'a Document,
    name: String,
    at: Range<usize>,
    entries: &'a DeTable<'a>,
}

impl<'a> Table<'a> {
    /// Complains of the first key that is none of `keys`.
    ///
    /// # Errors
    ///
    /// Where there is one.
    pub fn only(&self, keys: &[&str]) -> Result<(), Error> {
        let unknown = self.entries.keys().filter(|key| !keys.contains(&key.get_ref().as_ref()));
        let Some(key) = unknown.min_by_key(|key| key.span().start) else { return Ok(()) };
        let nearest = text::nearest(key.get_ref(), keys.iter().copied()).unwrap_or_default();
        let whose = if self.name.is_empty() { String::new() } else { format!(" in {}", self.name) };
        let what = format!("there is no key {}{whose}; the nearest is {nearest}", key.get_ref());
        Err(self.document.wrong(key.span(), &what))
    }

    /// What stands under `key`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Item<'a>> {
        let value = self.entries.get(key)?;
        Some(Item { document: self.document, name: self.below(key), value })
    }

    /// What stands under `key`, which must be there.
    ///
    /// # Errors
    ///
    /// Where it is not.
    pub fn need(&self, key: &str) -> Result<Item<'a>, Error> {
        self.get(key).ok_or_else(|| self.wrong(&format!("{key} is missing")))
    }

    /// Everything in it, in the order of the lines.
    #[must_use]
    pub fn items(&self) -> Vec<(&'a str, Item<'a>)> {
        let mut keys: Vec<_> = self.entries.iter().collect();
        keys.sort_by_key(|(key, _)| key.span().start);
        let item = |name: &str, value| Item { document: self.document, name: self.below(name), value };
        keys.into_iter().map(|(key, value)| (key.get_ref().as_ref(), item(key.get_ref(), value))).collect()
    }

    /// A complaint about the table as a whole.
    #[must_use]
    pub fn wrong(&self, what: &str) -> Error {
        let whose = if self.name.is_empty() { String::new() } else { format!("{}: ", self.name) };
        self.document.wrong(self.at.clone(), &format!("{whose}{what}"))
    }

    fn below(&self, key: &str) -> String {
        if self.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.name) }
    }
}

/// A value of a document.
#[derive(Debug)]
pub struct Item<'a> {
    document: &'a Document,
    name: String,
    value: &'a Spanned<DeValue<'a>>,
}

impl<'a> Item<'a> {
    /// A text.
    ///
    /// # Errors
    ///
    /// Where it is something else.
    pub fn text(&self) -> Result<&'a str, Error> {
        self.is_text().ok_or_else(|| self.wrong("takes a text in quotes"))
    }

    /// The text that it is, if it is one.
    #[must_use]
    pub fn is_text(&self) -> Option<&'a str> {
        self.value.get_ref().as_str()
    }

    /// A text that says something.
    ///
    /// # Errors
    ///
    /// Where it is something else, or nothing but blanks.
    pub fn words(&self) -> Result<&'a str, Error> {
        let text = self.text()?;
        if text.trim().is_empty() { Err(self.wrong("is empty")) } else { Ok(text) }
    }

    /// One of `names`.
    ///
    /// # Errors
    ///
    /// Where it is none of them; the nearest is named.
    pub fn one_of<T: Copy>(&self, names: &[(&str, T)]) -> Result<T, Error> {
        let text = self.text()?;
        if let Some((_, value)) = names.iter().find(|(name, _)| *name == text) {
            return Ok(*value);
        }
        let nearest = text::nearest(text, names.iter().map(|(name, _)| *name)).unwrap_or_default();
        Err(self.wrong(&format!("cannot be {text}; the nearest is {nearest}")))
    }

    /// True or false.
    ///
    /// # Errors
    ///
    /// Where it is something else.
    pub fn switch(&self) -> Result<bool, Error> {
        self.is_switch().ok_or_else(|| self.wrong("takes true or false"))
    }

    /// Whether it is true or false, if it is either.
    #[must_use]
    pub fn is_switch(&self) -> Option<bool> {
        self.value.get_ref().as_bool()
    }

    /// The whole number that it is, if it is one.
    #[must_use]
    pub fn is_whole(&self) -> Option<i64> {
        let integer = self.value.get_ref().as_integer()?;
        i64::from_str_radix(integer.as_str(), integer.radix()).ok()
    }

    /// The number that it is, whole or not, if it is one.
    #[must_use]
    pub fn is_number(&self) -> Option<f64> {
        let float = || self.value.get_ref().as_float()?.as_str().parse().ok();
        let whole = || self.value.get_ref().as_integer()?.as_str().parse().ok();
        float().or_else(whole)
    }

    /// The list that it is, if it is one.
    #[must_use]
    pub fn is_list(&self) -> Option<Vec<Self>> {
        let list = self.value.get_ref().as_array()?;
        Some(list.iter().map(|value| Self { value, name: self.name.clone(), ..*self }).collect())
    }

    /// A list of tables, as `[[name]]` makes it.
    ///
    /// # Errors
    ///
    /// Where it is something else.
    pub fn tables(&self) -> Result<Vec<Table<'a>>, Error> {
        let list = self.value.get_ref().as_array().map(|list| {
            let item = |value| Self { value, name: format!("[[{}]]", self.name), ..*self }.is_table();
            list.iter().map(item).collect::<Option<Vec<_>>>()
        });
        list.flatten().ok_or_else(|| self.wrong(&format!("is a list of tables; write [[{}]]", self.name)))
    }

    /// A table.
    ///
    /// # Errors
    ///
    /// Where it is something else.
    pub fn table(&self) -> Result<Table<'a>, Error> {
        self.is_table().ok_or_else(|| self.wrong(&format!("is a table; write [{}]", self.name)))
    }

    fn is_table(&self) -> Option<Table<'a>> {
        let entries = self.value.get_ref().as_table()?;
        Some(Table { document: self.document, name: self.name.clone(), at: self.value.span(), entries })
    }

    /// A complaint about the value.
    #[must_use]
    pub fn wrong(&self, what: &str) -> Error {
        self.document.wrong(self.value.span(), &format!("{} {what}", self.name))
    }
}
