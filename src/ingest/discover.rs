//! Which files of a folder are documents: the walk, before anything is created or changed.
//!
//! The walk skips symbolic links inside a folder: their target is either in the folder, under its own name, or outside
//! of it.

use std::{
    collections::HashSet,
    fs::Metadata,
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use super::StopFlag;
use crate::{paths::FileId, snapshot::FailedFile};

mod entries;
mod folder;
mod git_index;
mod ignored;

use entries::{FolderEntry, entries};
pub use folder::{DiscoverError, IngestFolder};

/// Extensions of documents, in the order in which a link without an extension is tried.
pub const EXTENSIONS: [&str; 4] = ["md", "markdown", "mdx", "txt"];

/// A document that the walk found.
#[derive(Debug, Clone)]
pub struct FoundDocument {
    pub file: PathBuf,
    /// Its unique name in the database.
    pub name: String,
    pub folder: usize,
    /// Size and time of change.
    pub stamp: FileStamp,
}

/// Size, times and inode: while all stay, waltop assumes that the file is unchanged. A file that was renamed over another
/// one can have the same size and time of modification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FileStamp {
    pub bytes: u64,
    /// Last modification in ns since 1970.
    pub modified_ns: i64,
    /// Last change of the inode in ns since 1970.
    pub changed_ns: i64,
    /// Its number, as the database stores it.
    pub inode: i64,
}

impl FileStamp {
    /// Whether only the permissions, the owner or the name of the file can differ.
    pub fn has_same_content(self, other: Self) -> bool {
        let content = |it: Self| (it.bytes, it.modified_ns, it.inode);
        content(self) == content(other)
    }

    pub fn of(metadata: &Metadata) -> Self {
        let in_ns = |seconds: i64, ns: i64| seconds.saturating_mul(1_000_000_000).saturating_add(ns);
        Self {
            bytes: metadata.len(),
            modified_ns: in_ns(metadata.mtime(), metadata.mtime_nsec()),
            changed_ns: in_ns(metadata.ctime(), metadata.ctime_nsec()),
            inode: metadata.ino().cast_signed(),
        }
    }
}

#[derive(Debug, Default)]
pub struct Discovery {
    /// The documents, each once, sorted by folder and name.
    pub found: Vec<FoundDocument>,
    /// Paths that could not be read, or that are no documents in spite of their names.
    pub failed: Vec<FailedFile>,
    /// Folders that could not be read: documents known from there may still exist.
    pub blind: Vec<PathBuf>,
    /// Ignore files with invalid lines.
    pub warned: Vec<FailedFile>,
    /// Documents that git tracks and an ignore file excludes; `None` if unknown.
    pub ignored_tracked: Option<u64>,
    /// Folders with a `.git`, within the folders.
    pub repositories: Vec<PathBuf>,
}

/// Which files of a folder are documents.
#[derive(Debug, Clone, Copy)]
pub struct WalkOptions<'a> {
    /// Whether hidden files and folders are walked too.
    pub hidden: bool,
    /// Largest file that is ingested, in bytes. The walk finds larger ones too: reading them fails.
    pub largest: u64,
    /// The database's own files, which are never opened here.
    pub ours: &'a [PathBuf],
}

/// Finds the documents in `folders`. `None` if `stop` was raised.
///
/// # Errors
///
/// A folder contains no document at all.
pub fn walk(
    folders: &[IngestFolder],
    options: &WalkOptions<'_>,
    stop: &StopFlag,
) -> Result<Option<Discovery>, DiscoverError> {
    let ours: HashSet<_> = options.ours.iter().filter_map(|path| FileId::at(path)).collect();
    let mut discovery = Discovery::default();
    let mut names = HashSet::new();
    for (index, folder) in folders.iter().enumerate() {
        let mut documents = 0;
        for entry in entries(&folder.path, options.hidden, stop) {
            match entry {
                Ok(entry) => {
                    documents += usize::from(discovery.see(entry, folder, index, &ours, &mut names));
                }
                Err(error) => discovery.blinded(&folder.path, &error),
            }
        }
        if stop.is_raised() {
            return Ok(None);
        }
        if documents == 0 {
            return Err(DiscoverError::NoDocuments(folder.path.display().to_string()));
        }
    }
    discovery.ignored_tracked = ignored::count(folders, &discovery, (options, &ours), stop);
    Ok((!stop.is_raised()).then_some(discovery))
}

/// The documents of a folder, without their names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DocumentCount {
    pub files: usize,
    pub bytes: u64,
    /// `false`: the walk was stopped, and there may be more.
    pub is_complete: bool,
}

/// Counts the documents that [`walk`] would find in the folder at `path`, until `stop` is raised.
///
/// # Errors
///
/// There is no such folder, or it cannot be read.
pub fn count(path: &Path, ours: &[PathBuf], stop: &StopFlag) -> Result<DocumentCount, DiscoverError> {
    let folder = IngestFolder::open(path, None)?;
    let ours: HashSet<_> = ours.iter().filter_map(|path| FileId::at(path)).collect();
    let (mut discovery, mut names) = (Discovery::default(), HashSet::new());
    for entry in entries(&folder.path, false, stop).into_iter().flatten() {
        discovery.see(entry, &folder, 0, &ours, &mut names);
    }
    let bytes = discovery.found.iter().map(|found| found.stamp.bytes).sum();
    Ok(DocumentCount { files: discovery.found.len(), bytes, is_complete: !stop.is_raised() })
}

impl Discovery {
    /// Whether `entry` has a document's name, even if it could not be read.
    fn see(
        &mut self,
        entry: FolderEntry,
        folder: &IngestFolder,
        index: usize,
        ours: &HashSet<FileId>,
        names: &mut HashSet<String>,
    ) -> bool {
        let FolderEntry { found: entry, metadata, has_name, has_repository } = entry;
        if has_repository {
            self.repositories.push(entry.path().to_owned());
        }
        if let Some(error) = entry.error() {
            self.warned.push(failure(entry.path(), error));
        }
        if !has_name {
            return false;
        }
        let Ok(relative) = entry.path().strip_prefix(&folder.path) else { return false };
        let metadata = match metadata {
            Some(Ok(metadata)) => metadata,
            Some(Err(error)) => {
                // Deleted since its folder was listed: no document any more.
                if error.io_error().is_none_or(|error| error.kind() != io::ErrorKind::NotFound) {
                    self.blinded(entry.path(), &error);
                }
                return true;
            }
            None => {
                self.fail(entry.path(), "it is not a regular file");
                return true;
            }
        };
        if ours.contains(&FileId::of(&metadata)) {
            return false;
        }
        let Some(relative) = relative.to_str() else {
            self.fail(entry.path(), "its name is not UTF-8");
            return true;
        };
        let name = format!("{}{relative}", folder.prefix());
        if names.insert(name.clone()) {
            let stamp = FileStamp::of(&metadata);
            self.found.push(FoundDocument { file: entry.path().to_owned(), name, folder: index, stamp });
        }
        true
    }

    fn fail(&mut self, path: &Path, reason: &str) {
        self.failed.push(FailedFile { path: path.display().to_string(), reason: reason.to_owned() });
        self.blind.push(path.to_owned());
    }

    fn blinded(&mut self, near: &Path, error: &ignore::Error) {
        let path = path_of(error).unwrap_or(near);
        self.failed.push(failure(path, error));
        self.blind.push(path.to_owned());
    }
}

/// Whether the name of `path` is that of a document.
pub fn is_document(path: &Path) -> bool {
    let Some(extension) = path.extension().and_then(|it| it.to_str()) else { return false };
    EXTENSIONS.iter().any(|known| known.eq_ignore_ascii_case(extension))
}

fn failure(path: &Path, error: &ignore::Error) -> FailedFile {
    let reason = error.io_error().map_or_else(|| error.to_string(), io::Error::to_string);
    FailedFile { path: path.display().to_string(), reason }
}

fn path_of(error: &ignore::Error) -> Option<&Path> {
    match error {
        ignore::Error::WithPath { path, .. } => Some(path),
        ignore::Error::Loop { child, .. } => Some(child),
        ignore::Error::WithDepth { err, .. } | ignore::Error::WithLineNumber { err, .. } => path_of(err),
        ignore::Error::Partial(errors) => errors.iter().find_map(path_of),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::{
        ffi::OsStr,
        fs,
        os::unix::{ffi::OsStrExt, fs::symlink},
    };

    use tempfile::TempDir;

    use super::*;

    const PLAIN: WalkOptions<'_> = WalkOptions { hidden: false, largest: 9, ours: &[] };

    fn tree(files: &[&str]) -> TempDir {
        let dir = TempDir::new().expect("a folder");
        for file in files {
            let path = dir.path().join(file);
            fs::create_dir_all(path.parent().expect("it has a parent")).expect("a folder");
            fs::write(path, "text").expect("a file");
        }
        dir
    }

    fn look(folders: &[IngestFolder], hidden: bool, ours: &[PathBuf]) -> Discovery {
        let options = WalkOptions { hidden, largest: 9, ours };
        let walked = walk(folders, &options, &StopFlag::default());
        walked.expect("documents").expect("nobody stops it")
    }

    fn names(dir: &TempDir, hidden: bool) -> Vec<String> {
        let folder = IngestFolder::open(dir.path(), Some("r")).expect("a folder");
        let discovery = look(&[folder], hidden, &[]);
        discovery.found.into_iter().map(|found| found.name).collect()
    }

    #[test]
    fn documents_are_recognised_by_their_ending() {
        let dir = tree(&["b/c.MD", "a.markdown", "d.mdx", "e.txt", "f.rs", "md", "g.md.bak"]);
        assert_eq!(names(&dir, false), ["r/a.markdown", "r/b/c.MD", "r/d.mdx", "r/e.txt"]);
    }

    #[test]
    fn ignored_and_hidden_files_are_passed_over_outside_of_git_too() {
        let dir = tree(&["a.md", "drafts/b.md", ".hidden/c.md", ".d.md"]);
        fs::write(dir.path().join(".gitignore"), "drafts/\n").expect("a file");
        assert_eq!(names(&dir, false), ["r/a.md"]);
        assert_eq!(names(&dir, true), ["r/.d.md", "r/.hidden/c.md", "r/a.md"]);
    }

    #[test]
    fn symbolic_links_are_passed_over_even_in_circles() {
        let dir = tree(&["a.md", "b/c.md"]);
        symlink(dir.path(), dir.path().join("b/circle")).expect("a link");
        symlink(dir.path().join("a.md"), dir.path().join("link.md")).expect("a link");
        assert_eq!(names(&dir, false), ["r/a.md", "r/b/c.md"]);
    }

    #[test]
    fn what_has_a_documents_name_and_is_none_is_reported_unopened() {
        let dir = tree(&["a.md"]);
        rustix::fs::mknodat(
            rustix::fs::CWD,
            dir.path().join("pipe.md"),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR,
            0,
        )
        .expect("a pipe");
        fs::write(dir.path().join(OsStr::from_bytes(b"\xff.md")), "text").expect("a file");
        let folder = IngestFolder::open(dir.path(), None).expect("a folder");
        let discovery = look(&[folder], false, &[]);
        assert_eq!(discovery.found.len(), 1);
        let reasons: Vec<_> = discovery.failed.iter().map(|it| it.reason.as_str()).collect();
        assert_eq!(reasons, ["it is not a regular file", "its name is not UTF-8"]);
        assert_eq!(discovery.blind.len(), 2);
    }

    #[test]
    fn overlapping_folders_give_each_document_once() {
        let dir = tree(&["a.md", "b/c.md"]);
        let folders = [dir.path().to_owned(), dir.path().join("b")]
            .map(|it| IngestFolder::open(&it, None).expect("a folder"));
        let discovery = look(&folders, false, &[]);
        assert_eq!(discovery.found.iter().map(|it| it.folder).collect::<Vec<_>>(), [0, 0]);
    }

    #[test]
    fn the_database_is_no_document_whatever_its_name() {
        let dir = tree(&["a.md", "base.md"]);
        fs::hard_link(dir.path().join("base.md"), dir.path().join("c.md")).expect("a link");
        let folder = IngestFolder::open(dir.path(), Some("r")).expect("a folder");
        let discovery = look(&[folder], false, &[dir.path().join("base.md")]);
        assert_eq!(discovery.found.iter().map(|it| it.name.as_str()).collect::<Vec<_>>(), ["r/a.md"]);
    }

    #[test]
    fn a_folder_that_cannot_be_ingested_gives_the_reason() {
        let dir = tree(&["a.rs"]);
        let open = |path: PathBuf| IngestFolder::open(&path, None);
        assert!(matches!(open(dir.path().join("none")), Err(DiscoverError::Missing(_))));
        assert!(matches!(open(dir.path().join("a.rs")), Err(DiscoverError::NotAFolder(_))));
        let folder = open(dir.path().to_owned()).expect("a folder");
        assert!(matches!(walk(&[folder], &PLAIN, &StopFlag::default()), Err(DiscoverError::NoDocuments(_))));
    }

    #[test]
    fn a_walk_that_is_stopped_ends_at_the_next_entry_and_finds_no_fault() {
        let dir = tree(&["a.rs"]);
        let stop = StopFlag::default();
        stop.raise();
        let folder = IngestFolder::open(dir.path(), None).expect("a folder");
        assert!(matches!(walk(&[folder], &PLAIN, &stop), Ok(None)));
    }
}
