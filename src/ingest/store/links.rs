//! The links of ingested documents: where they lead, and what is wrong with them.

use std::{
    collections::{HashMap, HashSet},
    path::Path,
};

use rusqlite::Connection;
use schemars::JsonSchema;
use serde::Serialize;

use super::search::{self, SearchError};
use crate::{
    config::profile::Profile,
    ingest::{
        discover::{self, IngestFolder},
        names::DocumentNames,
        parse::DocumentEdge,
    },
    snapshot::EdgeKind,
};

/// What a wikilink embeds and is no document, by its extension: Obsidian's accepted file formats.
const ATTACHMENTS: [&str; 24] = [
    "3gp", "avif", "base", "bmp", "canvas", "flac", "gif", "jpeg", "jpg", "m4a", "mkv", "mov", "mp3", "mp4",
    "oga", "ogg", "ogv", "opus", "pdf", "png", "svg", "wav", "webm", "webp",
];
/// The longest extension of a file.
const LONGEST_EXTENSION: usize = 8;

/// All links of a database. Tags, addresses and edges that waltop made are no links here.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize)]
pub struct DocumentLinks {
    pub documents: u64,
    pub links: u64,
    /// Those that lead to a document.
    pub resolved: u64,
    /// Those among them that lead to the only document of their name, because none has their path.
    pub by_name: Vec<ResolvedLink>,
    /// Those that name a file that is no document, such as a picture. Whether it exists is not checked.
    pub other_files: u64,
    /// Those that name a document that is not there.
    pub broken: Vec<LinkPlace>,
    /// Documents that no other document links to.
    pub orphans: Vec<String>,
    /// Wikilinks whose name several documents have.
    pub ambiguous: Vec<AmbiguousLink>,
}

/// Where a link is written.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize)]
pub struct LinkPlace {
    /// The document.
    pub source: String,
    /// The line in its file, from 1; `None` in the front matter, or if an older waltop ingested it.
    pub line: Option<u32>,
    /// `link`, `wikilink`, or `relation:` and its name in the front matter.
    pub kind: EdgeKind,
    /// The target in the document, normalised.
    pub target: String,
}

/// A link that leads to a document.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize)]
pub struct ResolvedLink {
    #[serde(flatten)]
    pub place: LinkPlace,
    /// The document that it leads to.
    pub path: String,
}

/// A wikilink that may mean several documents.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize)]
pub struct AmbiguousLink {
    #[serde(flatten)]
    pub place: LinkPlace,
    /// The document that it leads to.
    pub path: String,
    /// The others of that name, the nearest first.
    pub others: Vec<String>,
}

/// Reads the links in the database at `path`. The file stays as it is. The connection uses the settings of `profile`.
///
/// # Errors
///
/// There is no such database, nothing was ingested into it, or it cannot be read.
pub fn read(path: &Path, profile: &Profile) -> Result<DocumentLinks, SearchError> {
    search::read(path, profile, read_all)
}

fn read_all(connection: &Connection) -> rusqlite::Result<DocumentLinks> {
    let documents = KnownDocuments::read(connection)?;
    let mut found = DocumentLinks { documents: documents.paths.len() as u64, ..DocumentLinks::default() };
    let mut linked = HashSet::new();
    // A database that the first waltop made has no lines.
    let has_lines = connection.column_exists(None, "edges", "line")?;
    let columns = if has_lines { "edges.line, edges.by_name" } else { "NULL, 0" };
    let others = EdgeKind::WITHOUT_DOCUMENT.iter().chain([&EdgeKind::Semantic]);
    let sql = format!(
        "SELECT source, edges.kind, target, target_node, {columns} FROM edges JOIN nodes ON nodes.id = source
         WHERE edges.kind NOT IN ({}) ORDER BY nodes.path, 5, edges.kind, target",
        EdgeKind::sql_list(others)
    );
    let mut select = connection.prepare(&sql)?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let source: i64 = row.get(0)?;
        let edge = DocumentEdge { kind: row.get::<_, String>(1)?.into(), target: row.get(2)? };
        if matches!(edge.kind, EdgeKind::Relation(_)) && edge.target.contains("://") {
            continue;
        }
        let meant: Option<i64> = row.get(3)?;
        linked.extend(meant.filter(|&node| node != source));
        documents.note(&mut found, source, edge, meant, (row.get(4)?, row.get(5)?));
    }
    let is_orphan = |(id, _): &(&i64, &(String, String))| !linked.contains(*id);
    found.orphans = documents.paths.iter().filter(is_orphan).map(|(_, (path, _))| path.clone()).collect();
    found.orphans.sort();
    Ok(found)
}

struct KnownDocuments {
    /// Path and folder by row.
    paths: HashMap<i64, (String, String)>,
    /// The names in each folder.
    names: HashMap<String, DocumentNames>,
}

impl KnownDocuments {
    fn read(connection: &Connection) -> rusqlite::Result<Self> {
        let mut known = Self { paths: HashMap::new(), names: HashMap::new() };
        let mut select = connection.prepare("SELECT id, path, folder FROM nodes")?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            let (id, path, folder): (i64, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let names = known.names.entry(folder.clone());
            names.or_insert_with(|| DocumentNames::new(IngestFolder::prefix_of(&folder))).insert(&path, id);
            known.paths.insert(id, (path, folder));
        }
        Ok(known)
    }

    fn path(&self, id: i64) -> Option<&str> {
        self.paths.get(&id).map(|(path, _)| path.as_str())
    }

    fn note(
        &self,
        found: &mut DocumentLinks,
        source: i64,
        edge: DocumentEdge,
        meant: Option<i64>,
        (line, by_name): (Option<u32>, bool),
    ) {
        let Some((from, folder)) = self.paths.get(&source) else { return };
        found.links += 1;
        let names = self.names.get(folder).filter(|names| names.is_wiki(&edge));
        let same = names.map_or_else(Vec::new, |names| names.meanings(from, &edge.target));
        let is_other_file = names_another_file(&edge, names.is_some());
        let place = LinkPlace { source: from.clone(), line, kind: edge.kind, target: edge.target };
        let Some(path) = meant.and_then(|id| self.path(id)).map(str::to_owned) else {
            if is_other_file {
                found.other_files += 1;
            } else {
                found.broken.push(place);
            }
            return;
        };
        found.resolved += 1;
        // A wikilink found by an alias is as the author meant it.
        if by_name && names.is_none() {
            found.by_name.push(ResolvedLink { place, path });
        } else if same.len() > 1 {
            let others = same.into_iter().filter(|id| Some(*id) != meant);
            let others = others.filter_map(|id| self.path(id)).map(str::to_owned).collect();
            found.ambiguous.push(AmbiguousLink { place, path, others });
        }
    }
}

/// Whether `edge` names a file that is no document. A name in a wikilink may have a dot in it, a path has an extension.
fn names_another_file(edge: &DocumentEdge, is_wiki: bool) -> bool {
    let name = edge.target.rsplit('/').next().unwrap_or(&edge.target);
    let Some((_, extension)) = name.rsplit_once('.') else { return false };
    if is_wiki {
        return ATTACHMENTS.iter().any(|known| known.eq_ignore_ascii_case(extension));
    }
    let is_extension = (1..=LONGEST_EXTENSION).contains(&extension.len())
        && extension.bytes().all(|byte| byte.is_ascii_alphanumeric())
        && !extension.bytes().all(|byte| byte.is_ascii_digit());
    is_extension && !discover::is_document(Path::new(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_and_a_source_file_are_other_files_and_a_version_is_a_name() {
        let is_other = |target: &str, is_wiki| {
            let kind = if is_wiki { EdgeKind::Wikilink } else { EdgeKind::Link };
            names_another_file(&DocumentEdge { kind, target: target.to_owned() }, is_wiki)
        };
        for (target, as_wikilink, as_link) in [
            ("pic.PNG", true, true),
            ("a/main.rs", false, true),
            ("Node.js", false, true),
            ("Release 1.2", false, false),
            ("notes/b.md", false, false),
            ("plain", false, false),
            ("What. Ever", false, false),
        ] {
            assert_eq!((is_other(target, true), is_other(target, false)), (as_wikilink, as_link), "{target}");
        }
    }
}
