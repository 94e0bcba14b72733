//! What a run has to do: the difference between the walk and the database.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    fs, io,
};

use super::{
    discover::{Discovery, FoundDocument, IngestFolder},
    parse::{DocumentTree, KnownContent},
    readers::ReadJob,
    store::KnownDocument,
};

/// The files to read: those whose stamp differs from the database, or whose row was made by an older reader.
pub(super) fn jobs<'a>(
    found: &'a [FoundDocument],
    known: &'a HashMap<String, KnownDocument>,
    trees: &'a [DocumentTree],
    largest: u64,
) -> Vec<ReadJob<'a>> {
    let job = |found: &'a FoundDocument| {
        let known = known.get(&found.name).filter(|known| known.is_current);
        let changed = known.is_none_or(|known| known.stamp != found.stamp);
        changed.then(|| ReadJob {
            found,
            tree: &trees[found.folder],
            known: known.map(|it| KnownContent { hash: it.hash, stamp: it.stamp }),
            largest,
        })
    };
    found.iter().filter_map(job).collect()
}

/// Names of documents that are in the database but no longer in the folders.
pub(super) fn removed(
    folders: &[IngestFolder],
    discovery: &Discovery,
    known: &HashMap<String, KnownDocument>,
    vanished: &HashSet<String>,
) -> VecDeque<(String, i64)> {
    let is_there = |name: &&str| !vanished.contains(*name);
    let found: HashSet<&str> =
        discovery.found.iter().map(|found| found.name.as_str()).filter(is_there).collect();
    let is_gone = |name: &str, known: &KnownDocument| {
        !found.contains(name) && folders.iter().any(|folder| has_no_longer(folder, discovery, name, known))
    };
    let mut gone: Vec<_> = known
        .iter()
        .filter(|(name, known)| is_gone(name, known))
        .map(|(name, known)| (name.clone(), known.id))
        .collect();
    gone.sort_unstable();
    gone.into()
}

/// Whether a document that was not found is gone from `folder`. For a document ingested with this folder, an ignored
/// file counts as gone. For one of a folder within or around it, only a deleted file does.
fn has_no_longer(folder: &IngestFolder, discovery: &Discovery, name: &str, known: &KnownDocument) -> bool {
    let Some(relative) = name.strip_prefix(&folder.prefix()) else { return false };
    let file = folder.path.join(relative);
    if discovery.blind.iter().any(|blind| file.starts_with(blind)) {
        return false;
    }
    known.folder == folder.name
        || fs::symlink_metadata(&file).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tempfile::TempDir;

    use super::*;
    use crate::ingest::discover::FileStamp;
    use crate::ingest::parse::Dialect;

    const STAMP: FileStamp =
        FileStamp { bytes: 4, modified_ns: 1_700_000_000_000_000_000, changed_ns: 8, inode: 9 };

    /// The folder `name`, in `dir` and under that name.
    fn folder(dir: &TempDir, name: &str) -> IngestFolder {
        let path = dir.path().join(name);
        fs::create_dir_all(&path).expect("a folder");
        IngestFolder { path, name: name.to_owned() }
    }

    fn found(name: &str, stamp: FileStamp) -> FoundDocument {
        FoundDocument { file: Path::new("/").join(name), name: name.to_owned(), folder: 0, stamp }
    }

    fn known(documents: &[(&str, i64, &str)]) -> HashMap<String, KnownDocument> {
        let known = |id, folder: &str| KnownDocument {
            id,
            folder: folder.to_owned(),
            stamp: STAMP,
            hash: [7; 32],
            is_current: true,
        };
        documents.iter().map(|&(name, id, folder)| (name.to_owned(), known(id, folder))).collect()
    }

    fn names(gone: VecDeque<(String, i64)>) -> Vec<String> {
        gone.into_iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn only_what_is_new_has_another_stamp_or_was_made_by_an_older_reader_is_read() {
        let newer = FileStamp { modified_ns: STAMP.modified_ns - 1, ..STAMP };
        let longer = FileStamp { bytes: 5, ..STAMP };
        let renamed = FileStamp { changed_ns: STAMP.changed_ns + 1, ..STAMP };
        let other = FileStamp { inode: STAMP.inode + 1, ..STAMP };
        let all = [
            found("a/old.md", STAMP),
            found("a/renamed.md", renamed),
            found("a/other.md", other),
            found("a/outdated.md", STAMP),
            found("a/newer.md", newer),
            found("a/longer.md", longer),
            found("a/new.md", STAMP),
        ];
        let names =
            ["old", "newer", "longer", "renamed", "other", "outdated"].map(|name| format!("a/{name}.md"));
        let rows: Vec<_> = names.iter().zip(1..).map(|(name, id)| (name.as_str(), id, "a")).collect();
        let mut known = known(&rows);
        known.get_mut("a/outdated.md").expect("it is known").is_current = false;
        let trees = [DocumentTree { prefix: "a/".to_owned(), dialect: Dialect::Common }];
        let jobs = jobs(&all, &known, &trees, 9);
        let read: Vec<_> = jobs.iter().map(|job| (&*job.found.name, job.known.is_some())).collect();
        let expected = [
            ("a/renamed.md", true),
            ("a/other.md", true),
            ("a/outdated.md", false),
            ("a/newer.md", true),
            ("a/longer.md", true),
            ("a/new.md", false),
        ];
        assert_eq!(read, expected);
        assert!(jobs.iter().all(|job| (&*job.tree.prefix, job.largest) == ("a/", 9)));
    }

    #[test]
    fn what_the_folder_has_no_longer_is_gone_and_nothing_of_another_one() {
        let dir = TempDir::new().expect("a folder");
        let folders = [folder(&dir, "a")];
        let discovery = Discovery { found: vec![found("a/there.md", STAMP)], ..Discovery::default() };
        let known =
            known(&[("a/there.md", 1, "a"), ("a/z.md", 2, "a"), ("a/b.md", 3, "a"), ("ab/x.md", 4, "ab")]);
        let of = |vanished: &[&str]| {
            let vanished = vanished.iter().map(|&name| name.to_owned()).collect();
            names(removed(&folders, &discovery, &known, &vanished))
        };
        assert_eq!(of(&[]), ["a/b.md", "a/z.md"]);
        assert_eq!(of(&["a/there.md"]), ["a/b.md", "a/there.md", "a/z.md"], "found, and gone since");
    }

    #[test]
    fn of_a_folder_around_it_only_what_has_no_file_is_gone() {
        let dir = TempDir::new().expect("a folder");
        let folders = [folder(&dir, "a/inner")];
        // Ingested with the outer folder, which does not ignore it.
        fs::write(folders[0].path.join("ignored.md"), "text").expect("a file");
        let known = known(&[("a/inner/ignored.md", 1, "a"), ("a/inner/deleted.md", 2, "a")]);
        assert_eq!(
            names(removed(&folders, &Discovery::default(), &known, &HashSet::new())),
            ["a/inner/deleted.md"]
        );
    }

    #[test]
    fn where_nothing_could_be_seen_nothing_is_gone() {
        let dir = TempDir::new().expect("a folder");
        let folders = [folder(&dir, "a")];
        let blind = vec![folders[0].path.join("closed")];
        let known = known(&[("a/closed/x.md", 1, "a"), ("a/closed.md", 2, "a")]);
        let discovery = Discovery { blind, ..Discovery::default() };
        assert_eq!(names(removed(&folders, &discovery, &known, &HashSet::new())), ["a/closed.md"]);
    }
}
