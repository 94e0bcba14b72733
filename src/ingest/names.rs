//! Which document a wikilink means.
//!
//! A wiki name means a document in its folder whose path ends with it, ignoring case, Unicode form and extension. Of
//! several it means, in this order: the one that has the name's own extension; the one whose whole path it is; one below
//! the folder of the document with the link; the one with the shortest path; the first by path. A name that begins with
//! `./` or `../` is a path from the document's folder. If no document has the name but a folder does, it means that
//! folder's `index`, `README` or `_index`. A document `a___b` also has the name `a/b`, as in Logseq. So the answer depends
//! only on which documents exist, not on the order in which they were ingested. Aliases count only where no document has
//! the name: `store::by_name` resolves those.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

use super::{discover::EXTENSIONS, parse::DocumentEdge};

/// The names, without extension and in small letters, of a document that stands for its folder.
const OF_FOLDER: [&str; 3] = ["index", "readme", "_index"];

/// The documents of one folder by name, and the wikilinks in them.
#[derive(Debug)]
pub struct DocumentNames {
    prefix: String,
    documents: HashMap<String, BTreeSet<LinkCandidate>>,
    wanted: HashMap<String, BTreeSet<WantedLink>>,
    /// The folder of the last wikilink: those of one document come one after the other.
    last_folder: Arc<str>,
}

/// A wikilink, by the key of its row.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct WantedLink {
    /// Row of the document that contains it.
    pub source: i64,
    /// The other two parts of the key.
    pub edge: DocumentEdge,
    /// The folder of that document.
    folder: Arc<str>,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct LinkCandidate {
    /// Whether it is meant by the name of its folder.
    is_of_folder: bool,
    /// Its path in characters.
    length: usize,
    path: String,
    id: i64,
}

impl LinkCandidate {
    /// What a name without an extension is compared with.
    fn bare(&self) -> &str {
        if self.is_of_folder { parent_of(&self.path) } else { without_extension(&self.path) }
    }
}

/// A name, as the paths of documents are compared with it.
struct WikiName {
    path: String,
    /// Whether it is a path from the folder of the source, and so the whole path.
    is_relative: bool,
}

impl WikiName {
    /// `None` if it leads out of the folder.
    fn of(target: &str, folder: &str) -> Option<Self> {
        let target = folded(target);
        let is_relative = target.starts_with("./") || target.starts_with("../") || target == "..";
        if !is_relative {
            return Some(Self { path: target.trim_matches('/').to_owned(), is_relative });
        }
        let mut parts: Vec<&str> = folder.split('/').filter(|it| !it.is_empty()).collect();
        for part in target.split('/') {
            match part {
                "" | "." => {}
                ".." => drop(parts.pop()?),
                part => parts.push(part),
            }
        }
        Some(Self { path: parts.join("/"), is_relative })
    }

    /// The last parts of the documents that it may mean, without their extension.
    fn keys(&self) -> impl Iterator<Item = &str> {
        let whole = last_part(&self.path);
        let bare = last_part(without_extension(&self.path));
        std::iter::once(whole).chain((bare != whole).then_some(bare))
    }

    fn is_end_of(&self, path: &str) -> bool {
        match path.strip_suffix(&self.path) {
            Some("") => true,
            Some(rest) => !self.is_relative && rest.ends_with('/'),
            None => false,
        }
    }

    /// How `candidate` is preferred over others for a link in a document of `folder`, the least first; `None` if the name
    /// does not mean it.
    fn rank<'a>(
        &self,
        candidate: &'a LinkCandidate,
        folder: &str,
    ) -> Option<(u8, bool, bool, &'a LinkCandidate)> {
        let has_extension = !candidate.is_of_folder && self.is_end_of(&candidate.path);
        if !has_extension && !self.is_end_of(candidate.bare()) {
            return None;
        }
        let way = if has_extension { 0 } else { 1 + u8::from(candidate.is_of_folder) };
        let is_whole = candidate.path == self.path || candidate.bare() == self.path;
        let is_below = candidate.path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
        Some((way, !is_whole, !is_below, candidate))
    }
}

impl DocumentNames {
    /// No documents yet, for the folder whose document names start with `prefix`.
    pub fn new(prefix: String) -> Self {
        Self { prefix, documents: HashMap::new(), wanted: HashMap::new(), last_folder: "".into() }
    }

    /// Prefix of the names of its documents.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Records that the document `name` is in row `id`.
    pub fn insert(&mut self, name: &str, id: i64) {
        for (key, candidate) in self.candidates(name, id) {
            self.documents.entry(key).or_default().insert(candidate);
        }
    }

    /// Records that the document `name` is no longer in row `id`.
    pub fn remove(&mut self, name: &str, id: i64) {
        for (key, candidate) in self.candidates(name, id) {
            if let Some(candidates) = self.documents.get_mut(&key) {
                candidates.remove(&candidate);
            }
        }
    }

    /// Remembers a wikilink in the document `from`, which is in row `source`, to resolve it again when documents are added
    /// or removed.
    pub fn want(&mut self, source: i64, from: &str, edge: &DocumentEdge) {
        let folder = self.folder_of(from);
        if *self.last_folder != *folder {
            self.last_folder = folder.into();
        }
        let folder = Arc::clone(&self.last_folder);
        let Some(name) = WikiName::of(&edge.target, &folder) else { return };
        for key in name.keys() {
            let wanted = WantedLink { source, edge: edge.clone(), folder: Arc::clone(&folder) };
            self.wanted.entry(key.to_owned()).or_default().insert(wanted);
        }
    }

    /// The wikilinks that may mean another document after `name` was added or removed. Some may no longer exist.
    pub fn affected<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a WantedLink> {
        let keys = self.candidates(name, 0).into_iter().map(|(key, _)| key);
        keys.filter_map(|key| self.wanted.get(&key)).flatten()
    }

    /// The row of the document that `target` means in the document `from`.
    pub fn resolve(&self, from: &str, target: &str) -> Option<i64> {
        self.meant(&self.folder_of(from), target)
    }

    /// The row of the document that a wikilink means.
    pub fn resolve_again(&self, wanted: &WantedLink) -> Option<i64> {
        self.meant(&wanted.folder, &wanted.edge.target)
    }

    /// The row of the only document that a link to `path` can mean, if no document has that path: the one whose path
    /// differs in case or Unicode form alone, or else the one of that name.
    pub fn only(&self, path: &str) -> Option<i64> {
        let wanted = WikiName { path: self.relative(path)?, is_relative: true };
        let named = || self.keyed(&wanted).filter(|it| !it.is_of_folder);
        let name = last_part(&wanted.path);
        let is_named = |it: &&LinkCandidate| last_part(&it.path) == name || last_part(it.bare()) == name;
        only_one(named().filter(|it| it.path == wanted.path || it.bare() == wanted.path))
            .or_else(|| only_one(named().filter(is_named)))
    }

    /// Whether a document may have `path`, or stand for the folder of that path; false only if none does.
    pub fn may_have(&self, path: &str) -> bool {
        let Some(path) = self.relative(path) else { return false };
        let wanted = WikiName { path, is_relative: true };
        self.keyed(&wanted).any(|it| it.path == wanted.path || it.bare() == wanted.path)
    }

    /// The rows of the documents that a wikilink to `target` in the document `from` may mean, the one that it means first;
    /// none if it names the whole path of one, or no document.
    pub fn meanings(&self, from: &str, target: &str) -> Vec<i64> {
        let folder = self.folder_of(from);
        let Some(name) = WikiName::of(target, &folder) else { return Vec::new() };
        let ranked = self.keyed(&name).filter_map(|candidate| name.rank(candidate, &folder));
        let mut ranked: Vec<_> = ranked.collect();
        ranked.sort();
        let Some(&(way, is_part, ..)) = ranked.first() else { return Vec::new() };
        ranked.retain(|rank| is_part && rank.0 == way);
        let mut ids: Vec<i64> = ranked.into_iter().map(|(.., candidate)| candidate.id).collect();
        ids.dedup();
        ids
    }

    fn meant(&self, folder: &str, target: &str) -> Option<i64> {
        let name = WikiName::of(target, folder)?;
        let ranked = self.keyed(&name).filter_map(|candidate| name.rank(candidate, folder));
        ranked.min().map(|(.., candidate)| candidate.id)
    }

    /// The documents whose last part is that of `name`.
    fn keyed<'a>(&'a self, name: &'a WikiName) -> impl Iterator<Item = &'a LinkCandidate> {
        name.keys().filter_map(|key| self.documents.get(key)).flatten()
    }

    /// Whether `edge` names its target by wiki name, not by path.
    pub fn is_wiki(&self, edge: &DocumentEdge) -> bool {
        let target = &edge.target;
        edge.kind.is_wiki(|| {
            !target.starts_with('/')
                && !target.starts_with("../")
                && !target.starts_with(&self.prefix)
                && !target.contains("://")
        })
    }

    /// The document under its own name, and under that of its folder if it stands for that.
    fn candidates(&self, name: &str, id: i64) -> Vec<(String, LinkCandidate)> {
        let Some(path) = self.relative(name) else { return Vec::new() };
        let candidate = |path: &str, is_of_folder| LinkCandidate {
            is_of_folder,
            length: path.chars().count(),
            path: path.to_owned(),
            id,
        };
        let own = last_part(without_extension(&path));
        let folder = last_part(parent_of(&path));
        let mut found = vec![(own.to_owned(), candidate(&path, false))];
        // Logseq keeps the page `a/b` in `a___b.md`.
        if own.contains("___") {
            let page = path.replace("___", "/");
            found.push((last_part(without_extension(&page)).to_owned(), candidate(&page, false)));
        }
        if OF_FOLDER.contains(&own) && !folder.is_empty() {
            found.push((folder.to_owned(), candidate(&path, true)));
        }
        found
    }

    fn folder_of(&self, name: &str) -> String {
        self.relative(name).map_or_else(String::new, |path| parent_of(&path).to_owned())
    }

    fn relative(&self, name: &str) -> Option<String> {
        name.strip_prefix(&self.prefix).map(folded)
    }
}

fn only_one<'a>(mut found: impl Iterator<Item = &'a LinkCandidate>) -> Option<i64> {
    let first = found.next()?;
    found.all(|other| other.id == first.id).then_some(first.id)
}

/// Small letters in Unicode's form NFC, with plain blanks: file systems and keyboards differ in both.
pub(super) fn folded(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let small = text.replace('\u{a0}', " ").to_lowercase();
    if is_nfc_quick(small.chars()) == IsNormalized::Yes { small } else { small.nfc().collect() }
}

fn without_extension(path: &str) -> &str {
    match path.rsplit_once('.') {
        Some((stem, extension)) if EXTENSIONS.contains(&extension) => stem,
        _ => path,
    }
}

fn parent_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

fn last_part(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::EdgeKind;

    fn names(documents: &[&str]) -> DocumentNames {
        let mut names = DocumentNames::new("/n/".to_owned());
        documents.iter().zip(1..).for_each(|(name, id)| names.insert(name, id));
        names
    }

    /// What `target` means at the top of the folder.
    fn at_top(names: &DocumentNames, target: &str) -> Option<i64> {
        names.resolve("/n/source.md", target)
    }

    #[test]
    fn a_name_is_found_whatever_its_case_ending_and_folder() {
        let names = names(&["/n/a/My Page.md", "/n/v1.2.txt", "/elsewhere/x.md"]);
        for target in ["My Page", "my page", "MY PAGE.md", "a/My Page", "/a/My Page.md", "My\u{a0}Page"] {
            assert_eq!(at_top(&names, target), Some(1), "{target}");
        }
        assert_eq!(at_top(&names, "v1.2"), Some(2));
        for target in ["Page", "b/My Page", "x", "", "/", "My Page.txt"] {
            assert_eq!(at_top(&names, target), None, "{target}");
        }
    }

    #[test]
    fn a_name_in_another_unicode_form_is_the_same() {
        let names = names(&["/n/Cafe\u{301}.md"]);
        assert_eq!((at_top(&names, "caf\u{e9}"), at_top(&names, "cafe\u{301}")), (Some(1), Some(1)));
    }

    #[test]
    fn of_several_the_shortest_path_is_meant_in_whatever_order_they_came() {
        assert_eq!(at_top(&names(&["/n/deep/er/x.md", "/n/b/x.md", "/n/a/x.md"]), "x"), Some(3));
        assert_eq!(at_top(&names(&["/n/a/x.md", "/n/deep/er/x.md", "/n/b/x.md"]), "x"), Some(1));
        // The length is in characters.
        assert_eq!(at_top(&names(&["/n/\u{4e2d}\u{6587}/x.md", "/n/abcd/x.md"]), "x"), Some(1));
    }

    #[test]
    fn a_whole_path_comes_first_then_what_is_below_the_folder_of_the_source() {
        let names = names(&["/n/a/Dup.md", "/n/b/Dup.md", "/n/b/deep/Top.md", "/n/Top.md"]);
        assert_eq!(names.resolve("/n/b/src.md", "Dup"), Some(2));
        assert_eq!(names.resolve("/n/a/src.md", "Dup"), Some(1));
        assert_eq!(names.resolve("/n/c/src.md", "Dup"), Some(1));
        assert_eq!(names.resolve("/n/b/src.md", "Top"), Some(4), "its whole path");
    }

    #[test]
    fn a_relative_name_is_a_path_from_the_folder_of_the_source() {
        let names = names(&["/n/a/Dup.md", "/n/b/Dup.md", "/n/b/c/Here.md"]);
        let of = |target: &str| names.resolve("/n/b/src.md", target);
        assert_eq!((of("../a/Dup"), of("./Dup.md"), of("./c/here")), (Some(1), Some(2), Some(3)));
        assert_eq!((of("./Here"), of("../../a/Dup"), of("..")), (None, None, None));
    }

    #[test]
    fn the_exact_name_comes_before_one_that_gets_an_extension() {
        let both = names(&["/n/topic.markdown.md", "/n/topic.md", "/n/README.md", "/n/readme.txt"]);
        assert_eq!((at_top(&both, "topic.markdown"), at_top(&both, "readme.txt")), (Some(1), Some(4)));
        let exact = names(&["/n/topic.markdown.md", "/n/a/topic.markdown"]);
        assert_eq!(at_top(&exact, "topic.markdown"), Some(2));
    }

    #[test]
    fn a_folder_means_the_document_that_stands_for_it() {
        let names = names(&["/n/guide/README.md", "/n/setup/_index.md", "/n/setup.md", "/n/index.md"]);
        assert_eq!((at_top(&names, "guide"), at_top(&names, "guide/readme")), (Some(1), Some(1)));
        assert_eq!(at_top(&names, "setup"), Some(3), "a document comes first");
        assert_eq!(names.resolve("/n/guide/a.md", "../setup/"), Some(3));
    }

    #[test]
    fn a_page_of_logseq_has_the_name_that_its_file_stands_for() {
        let mut names = names(&["/n/pages/db___wal___index.md", "/n/pages/b.md"]);
        for target in ["db/wal/index", "DB/WAL/Index", "db___wal___index", "index"] {
            assert_eq!(at_top(&names, target), Some(1), "{target}");
        }
        names.remove("/n/pages/db___wal___index.md", 1);
        assert_eq!(at_top(&names, "db/wal/index"), None);
    }

    #[test]
    fn a_path_that_no_document_has_is_ruled_out() {
        let names = names(&["/n/a/Page.md", "/n/guide/README.md"]);
        for path in ["/n/a/Page.md", "/n/a/Page", "/n/guide", "/n/a/page"] {
            assert!(names.may_have(path), "{path}");
        }
        for path in ["/n/b/Page.md", "/n/Page", "/n/a", "/elsewhere/a/Page.md"] {
            assert!(!names.may_have(path), "{path}");
        }
    }

    #[test]
    fn wikilinks_are_reported_when_their_document_comes_or_goes() {
        let mut names = names(&["/n/b/x.md"]);
        let edge = DocumentEdge { kind: EdgeKind::Wikilink, target: "B/X".to_owned() };
        names.want(7, "/n/c/y.md", &edge);
        let told: Vec<_> = names.affected("/n/a/x.txt").map(|it| (it.source, it.edge.clone())).collect();
        assert_eq!(told, [(7, edge)]);
        assert_eq!(names.affected("/n/y.md").count(), 0);
        names.remove("/n/b/x.md", 1);
        assert_eq!(names.resolve("/n/c/y.md", "B/X"), None);
        names.insert("/n/b/x/index.md", 3);
        let again: Vec<_> = names.affected("/n/b/x/index.md").map(|it| names.resolve_again(it)).collect();
        assert_eq!(again, [Some(3)], "by the name of its folder");
    }
}
