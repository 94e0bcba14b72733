//! Which document a wikilink means.
//!
//! A wiki name means the document in its folder whose path ends with it, ignoring case and extension. Of several it
//! means the one with the shortest path, then the first by name. So the answer depends only on which documents exist,
//! not on the order in which they were ingested.

use std::collections::{BTreeSet, HashMap};

use super::{discover::EXTENSIONS, parse::DocumentEdge};
use crate::snapshot::EdgeKind;

/// The documents of one folder by name, and the wikilinks in them.
#[derive(Debug)]
pub struct DocumentNames {
    prefix: String,
    documents: HashMap<String, BTreeSet<LinkCandidate>>,
    wanted: HashMap<String, BTreeSet<WantedLink>>,
}

/// A wikilink, by the key of its row.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct WantedLink {
    /// Row of the document that contains it.
    pub source: i64,
    /// The other two parts of the key.
    pub edge: DocumentEdge,
}

/// Ordered by preference.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct LinkCandidate {
    length: usize,
    path: String,
    id: i64,
}

impl DocumentNames {
    /// No documents yet, for the folder whose document names start with `prefix`.
    pub fn new(prefix: String) -> Self {
        Self { prefix, documents: HashMap::new(), wanted: HashMap::new() }
    }

    /// Prefix of the names of its documents.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Records that the document `name` is in row `id`.
    pub fn insert(&mut self, name: &str, id: i64) {
        if let Some((last, candidate)) = self.candidate(name, id) {
            self.documents.entry(last).or_default().insert(candidate);
        }
    }

    /// Records that the document `name` is no longer in row `id`.
    pub fn remove(&mut self, name: &str, id: i64) {
        if let Some((last, candidate)) = self.candidate(name, id)
            && let Some(candidates) = self.documents.get_mut(&last)
        {
            candidates.remove(&candidate);
        }
    }

    /// Remembers a wikilink, to resolve it again when documents are added or removed.
    pub fn want(&mut self, source: i64, edge: DocumentEdge) {
        self.wanted.entry(last_part(&folded(&edge.target))).or_default().insert(WantedLink { source, edge });
    }

    /// The wikilinks that may mean another document after `name` was added or removed. Some may no longer exist.
    pub fn affected<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a WantedLink> {
        let last = self.relative(name).map(|path| last_part(&path));
        last.and_then(|last| self.wanted.get(&last)).into_iter().flatten()
    }

    /// The row of the document that `target` means.
    pub fn resolve(&self, target: &str) -> Option<i64> {
        let target = folded(target);
        let candidates = self.documents.get(&last_part(&target))?;
        let means = |path: &str| {
            path.strip_suffix(&target).is_some_and(|rest| rest.is_empty() || rest.ends_with('/'))
        };
        candidates.iter().find(|candidate| means(&candidate.path)).map(|candidate| candidate.id)
    }

    /// Whether `edge` names its target by wiki name, not by path.
    pub fn is_wiki(&self, edge: &DocumentEdge) -> bool {
        let target = &edge.target;
        match edge.kind {
            EdgeKind::Wikilink => true,
            EdgeKind::Relation(_) => {
                !target.starts_with('/')
                    && !target.starts_with("../")
                    && !target.starts_with(&self.prefix)
                    && !target.contains("://")
            }
            EdgeKind::Link | EdgeKind::Semantic | EdgeKind::Tag | EdgeKind::Url | EdgeKind::Other(_) => false,
        }
    }

    fn candidate(&self, name: &str, id: i64) -> Option<(String, LinkCandidate)> {
        let path = self.relative(name)?;
        Some((last_part(&path), LinkCandidate { length: path.len(), path, id }))
    }

    fn relative(&self, name: &str) -> Option<String> {
        name.strip_prefix(&self.prefix).map(folded)
    }
}

/// Lower case, without a document's extension.
fn folded(path: &str) -> String {
    let lower = path.trim_start_matches('/').to_lowercase();
    match lower.rsplit_once('.') {
        Some((stem, extension)) if EXTENSIONS.contains(&extension) => stem.to_owned(),
        _ => lower,
    }
}

fn last_part(path: &str) -> String {
    path.rsplit('/').next().unwrap_or(path).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(documents: &[&str]) -> DocumentNames {
        let mut names = DocumentNames::new("/n/".to_owned());
        documents.iter().zip(1..).for_each(|(name, id)| names.insert(name, id));
        names
    }

    #[test]
    fn a_name_is_found_whatever_its_case_ending_and_folder() {
        let names = names(&["/n/a/My Page.md", "/n/v1.2.txt", "/elsewhere/x.md"]);
        for target in ["My Page", "my page", "MY PAGE.md", "a/My Page", "/a/My Page.md"] {
            assert_eq!(names.resolve(target), Some(1), "{target}");
        }
        assert_eq!(names.resolve("v1.2"), Some(2));
        for target in ["Page", "b/My Page", "x", "", "/"] {
            assert_eq!(names.resolve(target), None, "{target}");
        }
    }

    #[test]
    fn of_several_the_shortest_path_is_meant_in_whatever_order_they_came() {
        assert_eq!(names(&["/n/deep/er/x.md", "/n/b/x.md", "/n/a/x.md"]).resolve("x"), Some(3));
        assert_eq!(names(&["/n/a/x.md", "/n/deep/er/x.md", "/n/b/x.md"]).resolve("x"), Some(1));
    }

    #[test]
    fn wikilinks_are_reported_when_their_document_comes_or_goes() {
        let mut names = names(&["/n/b/x.md"]);
        let edge = DocumentEdge { kind: EdgeKind::Wikilink, target: "B/X".to_owned() };
        names.want(7, edge.clone());
        let told: Vec<_> = names.affected("/n/a/x.txt").collect();
        assert_eq!(told, [&WantedLink { source: 7, edge }]);
        assert_eq!(names.affected("/n/y.md").count(), 0);
        names.remove("/n/b/x.md", 1);
        assert_eq!(names.resolve("B/X"), None);
    }
}
