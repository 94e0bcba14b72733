//! From a file to a document, before the write lock is taken: read, hash, front matter, title, links.

mod autolink;
mod comments;
mod file;
pub mod front_matter;
mod markdown;
mod page_properties;
mod search_words;
mod target;
mod yaml;

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashSet},
    path::{Path, PathBuf},
};

use serde_json::Value;

pub use self::file::{FileOutcome, KnownContent, LARGEST, read};
use self::front_matter::FrontMatter;
pub(super) use self::markdown::{OPTIONS, searched};
use super::discover::{FileStamp, IngestFolder};
use crate::snapshot::EdgeKind;

/// The most links and tags that are stored for one document: more would hold the write lock for too long.
pub const MOST_EDGES: usize = 10_000;

/// The version of what is read of a document. A run reads the documents again that an older version has read.
pub const READER_VERSION: i64 = 6;

/// BLAKE3 of a file's bytes.
pub type ContentHash = [u8; 32];

/// A document, ready to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParsedDocument {
    pub file: PathBuf,
    pub name: String,
    pub folder: usize,
    /// From the front matter, else the properties of a page of Logseq, else the first heading of level 1, else the file's
    /// name without its extension.
    pub title: String,
    /// `type` or `kind` of the front matter, else `document`.
    pub kind: String,
    /// The front matter as JSON.
    pub front_matter: Option<String>,
    /// The text without the front matter.
    pub body: String,
    /// Words of its name, as the index gets them.
    pub name_words: String,
    /// Words of front matter and folders, and those that the tokenizer does not find in title and text.
    pub more_words: String,
    /// Size and time of change of the content that was read.
    pub stamp: FileStamp,
    /// Hash of the content that was read.
    pub hash: ContentHash,
    /// Links, wikilinks, tags, relations, aliases; each once, with the line of its first place, from 1, or `None` in the
    /// front matter.
    pub edges: BTreeMap<DocumentEdge, Option<u32>>,
    /// What was left out, and why.
    pub warnings: Vec<String>,
}

/// A connection from a document to a target.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DocumentEdge {
    pub kind: EdgeKind,
    /// A document's name, an address, a wiki name, a tag or an alias.
    pub target: String,
}

/// Where a document is, to resolve what it links to.
#[derive(Debug, Clone, Copy)]
pub struct DocumentPlace<'a> {
    pub name: &'a str,
    /// Prefix of the names of its folder's documents.
    pub prefix: &'a str,
    pub dialect: Dialect,
}

/// What the documents of a folder are written for, where programs differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// What most programs have in common.
    Common,
    /// Of a wikilink with a `|`, the text to show stands first.
    Dendron,
    /// A text may begin with properties of its page.
    Logseq,
}

impl Dialect {
    /// The dialect of the documents in `folder`, by the files of the program that keeps them.
    pub fn of(folder: &Path) -> Self {
        if folder.join("dendron.yml").is_file() {
            Self::Dendron
        } else if folder.join("logseq").is_dir() {
            Self::Logseq
        } else {
            Self::Common
        }
    }
}

/// What the documents of a folder have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentTree {
    /// Prefix of their names.
    pub prefix: String,
    pub dialect: Dialect,
}

impl DocumentTree {
    pub fn of(folder: &IngestFolder) -> Self {
        Self { prefix: folder.prefix(), dialect: Dialect::of(&folder.path) }
    }
}

/// Whether the document `name` has markup. Plain text has none: what resembles a heading or a tag there may be a comment
/// or a number.
pub(super) fn has_markup(name: &str) -> bool {
    !Path::new(name).extension().is_some_and(|it| it.eq_ignore_ascii_case("txt"))
}

/// Parses `text`; fields that only the file can supply stay empty.
pub fn parse(place: DocumentPlace<'_>, text: String) -> ParsedDocument {
    let mut warnings = Vec::new();
    let (values, first_line, body) = match front_matter::split(&text) {
        FrontMatter::None => (None, 1, without_byte_order_mark(text)),
        FrontMatter::Values { values, body, odd } => {
            warnings.extend(odd.into_iter().map(|it| format!("the front matter, {it}")));
            (Some(values), line_of(body, &text), body.to_owned())
        }
        FrontMatter::Malformed { reason, body } => {
            warnings.push(format!("the front matter was left out: {reason}"));
            (None, line_of(body, &text), body.to_owned())
        }
    };
    let mut edges = EdgeSet::default();
    if let Some(values) = &values {
        front_matter::relations(values, place, &mut edges);
    }
    let mut title = None;
    if has_markup(place.name) {
        let mut text = Cow::Borrowed(body.as_str());
        if place.dialect == Dialect::Logseq {
            (title, text) = page_properties::read(values.as_ref(), &body, first_line, &mut edges);
        }
        let searched = markdown::searched(&text);
        if searched.len() < body.len() {
            warnings.push(format!(
                "links, tags and headings were searched in its first {} KiB only: it has too much markup",
                searched.len() >> 10
            ));
        }
        title = title.or(markdown::scan(searched, first_line, place, &mut edges));
    }
    if edges.left_out {
        warnings.push(format!("only the first {MOST_EDGES} links and tags were stored"));
    }
    let title = values
        .as_ref()
        .and_then(|it| front_matter::text(it, &["title"]))
        .or(title)
        .unwrap_or_else(|| stem(place.name).to_owned());
    ParsedDocument {
        file: PathBuf::new(),
        name: place.name.to_owned(),
        folder: 0,
        name_words: search_words::of_name(place.name, &title),
        more_words: search_words::of_rest(place, values.as_ref(), &body),
        title,
        kind: values
            .as_ref()
            .and_then(|it| front_matter::text(it, &["type", "kind"]))
            .unwrap_or_else(|| "document".to_owned()),
        front_matter: values.map(|values| Value::Object(values).to_string()),
        body,
        stamp: FileStamp::default(),
        hash: ContentHash::default(),
        edges: edges.kept,
        warnings,
    }
}

/// The last part of a document's name, without its extension.
pub fn stem(name: &str) -> &str {
    let file = name.rsplit('/').next().unwrap_or(name);
    match file.rsplit_once('.') {
        Some((stem, _)) if !stem.is_empty() => stem,
        _ => file,
    }
}

fn without_byte_order_mark(text: String) -> String {
    match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.to_owned(),
        None => text,
    }
}

/// The line, from 1, on which `end` begins, which is the end of `text`.
fn line_of(end: &str, text: &str) -> u32 {
    newlines(&text[..text.len() - end.len()]).saturating_add(1)
}

fn newlines(text: &str) -> u32 {
    u32::try_from(text.bytes().filter(|byte| *byte == b'\n').count()).unwrap_or(u32::MAX)
}

/// Edges, each once, up to [`MOST_EDGES`]. A tag is the same in whatever case; it keeps that of its first place.
#[derive(Debug, Default)]
struct EdgeSet {
    kept: BTreeMap<DocumentEdge, Option<u32>>,
    /// The tags in small letters.
    tags: HashSet<String>,
    left_out: bool,
    /// The line of what is added next; `None` in the front matter.
    line: Option<u32>,
}

impl EdgeSet {
    fn add(&mut self, kind: EdgeKind, target: &str) {
        if target.is_empty() || kind == EdgeKind::Tag && !self.tags.insert(target.to_lowercase()) {
            return;
        }
        let edge = DocumentEdge { kind, target: target.to_owned() };
        if self.kept.len() < MOST_EDGES {
            self.kept.entry(edge).or_insert(self.line);
        } else {
            self.left_out |= !self.kept.contains_key(&edge);
        }
    }
}

#[cfg(test)]
mod tests;
