//! Documents that git tracks and an ignore file excludes. git records changes to them, so that a user expects to find
//! them.

use std::{
    collections::HashSet,
    ffi::OsStr,
    fs,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use super::{Discovery, IngestFolder, WalkOptions, git_index, is_document};
use crate::{bounded, ingest::StopFlag, observe, paths::FileId};

/// The largest index that is read, in bytes: 64 MiB. That of 500,000 files is smaller.
const LARGEST_INDEX: usize = 64 << 20;

/// The largest `.git` file, which names a folder.
const LARGEST_LINK: usize = 8 << 10;

/// Counts the files that git tracks and [`walk`](super::walk) would have found in `folders` without ignore files. `None`
/// if the index of a repository cannot be read. `discovery` is the result of the walk; `ours` are the database's own files.
pub fn count(
    folders: &[IngestFolder],
    discovery: &Discovery,
    (options, ours): (&WalkOptions<'_>, &HashSet<FileId>),
    stop: &StopFlag,
) -> Option<u64> {
    let around = folders.iter().filter_map(|folder| Repository::around(&folder.path));
    let below = discovery.repositories.iter().filter_map(|root| Repository::at(root));
    let mut repositories: Vec<Repository> = around.chain(below).collect();
    if repositories.is_empty() {
        return Some(0);
    }
    repositories.sort_unstable_by(|one, other| one.root.cmp(&other.root));
    repositories.dedup_by(|one, other| one.root == other.root);
    let found = discovery.found.iter().map(|found| found.file.as_os_str()).collect();
    let walked = Walked { folders, discovery, found, options, ours };
    repositories.iter().map(|repository| walked.left_out(repository, stop)).sum()
}

/// A folder with its own `.git`.
struct Repository {
    root: PathBuf,
    index: PathBuf,
}

impl Repository {
    /// The repository that `folder`, an absolute path, is in.
    fn around(folder: &Path) -> Option<Self> {
        folder.ancestors().find_map(Self::at)
    }

    fn at(root: &Path) -> Option<Self> {
        let git = root.join(".git");
        let data = match fs::metadata(&git).ok()? {
            it if it.is_dir() => git,
            it if it.is_file() => linked(&git, root)?,
            _ => return None,
        };
        // git itself recognises the folder by this file.
        fs::symlink_metadata(data.join("HEAD")).ok()?;
        Some(Self { root: root.to_owned(), index: data.join("index") })
    }

    /// Its index; empty if nothing was ever added.
    fn read(&self) -> Option<Vec<u8>> {
        match observe::files::open(&self.index) {
            Ok(file) => bounded::read_from(file, LARGEST_INDEX).ok()?.whole().ok(),
            Err(error) => (error.kind() == std::io::ErrorKind::NotFound).then(Vec::new),
        }
    }
}

/// The folder that the file `git` names: `root` is a worktree or a submodule.
fn linked(git: &Path, root: &Path) -> Option<PathBuf> {
    let bytes = bounded::read_from(observe::files::open(git).ok()?, LARGEST_LINK).ok()?.whole().ok()?;
    let path = bytes.strip_prefix(b"gitdir: ")?.trim_ascii_end();
    Some(root.join(OsStr::from_bytes(path)))
}

/// What the walk found, and how.
struct Walked<'a> {
    folders: &'a [IngestFolder],
    discovery: &'a Discovery,
    /// The files that it found.
    found: HashSet<&'a OsStr>,
    options: &'a WalkOptions<'a>,
    ours: &'a HashSet<FileId>,
}

impl Walked<'_> {
    /// How many of the files in the index of `repository` it left out.
    fn left_out(&self, repository: &Repository, stop: &StopFlag) -> Option<u64> {
        let index = repository.read()?;
        if index.is_empty() {
            return Some(0);
        }
        git_index::fold(&index, u64::default, |count, path| {
            let path = Path::new(OsStr::from_bytes(path));
            let is_counted =
                !stop.is_raised() && is_document(path) && self.is_left_out(&repository.root.join(path));
            *count += u64::from(is_counted);
        })
    }

    fn is_left_out(&self, path: &Path) -> bool {
        self.folders.iter().any(|folder| self.is_walked(path, folder))
            && !self.found.contains(path.as_os_str())
            && !self.discovery.blind.iter().any(|blind| path.starts_with(blind))
            && self.is_eligible(path)
    }

    /// Whether the walk of `folder` reaches `path` if no ignore file excludes it.
    fn is_walked(&self, path: &Path, folder: &IngestFolder) -> bool {
        let is_hidden = |part: &OsStr| part.as_bytes().starts_with(b".");
        let rest = path.strip_prefix(&folder.path);
        rest.is_ok_and(|rest| self.options.hidden || !rest.iter().any(is_hidden))
    }

    /// Whether the file at `path` is one that can be ingested, and not behind a symbolic link.
    fn is_eligible(&self, path: &Path) -> bool {
        let Ok(metadata) = fs::symlink_metadata(path) else { return false };
        metadata.is_file()
            && metadata.len() <= self.options.largest
            && path.to_str().is_some()
            && !self.ours.contains(&FileId::of(&metadata))
            && fs::canonicalize(path).is_ok_and(|real| real == path)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use tempfile::TempDir;

    use super::{super::walk, *};

    /// As `git update-index` wrote it: seven documents, a file that is none, a symbolic link and a submodule.
    const INDEX: &[u8] = include_bytes!("../../../tests/all/indexes/v2");
    const SPLIT: &[u8] = include_bytes!("../../../tests/all/indexes/split");

    /// A repository with the files of [`INDEX`], in which `drafts/` and large files are ignored.
    fn repository() -> TempDir {
        let dir = TempDir::new().expect("a folder");
        checked_out(dir.path());
        dir
    }

    fn checked_out(root: &Path) {
        let write = |name: &str, bytes: &[u8]| {
            let path = root.join(name);
            fs::create_dir_all(path.parent().expect("it has a parent")).expect("a folder");
            fs::write(path, bytes).expect("a file");
        };
        write(".git/HEAD", b"ref: refs/heads/main\n");
        write(".git/index", INDEX);
        write(".gitignore", b"drafts/\nbig.md\ncode.rs\n.hidden/\n");
        write("big.md", b"ten bytes.");
        for name in ["kept.md", "code.rs", ".hidden/h.md", "drafts/a.md", "drafts/b.md", "drafts/ü.md"] {
            write(name, b"text");
        }
        write("drafts/untracked.md", b"text");
        write("drafts/module.md/x.md", b"text");
        symlink("a.md", root.join("drafts/link.md")).expect("a link");
    }

    fn walked(folders: &[&Path], hidden: bool, ours: &[PathBuf]) -> Option<u64> {
        let folders: Vec<_> =
            folders.iter().map(|path| IngestFolder::open(path, None).expect("a folder")).collect();
        let options = WalkOptions { hidden, largest: 9, ours };
        let walked = walk(&folders, &options, &StopFlag::default()).expect("documents");
        walked.expect("nothing stops it").ignored_tracked
    }

    #[test]
    fn files_that_would_be_documents_are_counted() {
        let dir = repository();
        assert_eq!(walked(&[dir.path()], false, &[]), Some(3), "a.md, b.md and ü.md in drafts");
        assert_eq!(walked(&[dir.path()], true, &[]), Some(4), "h.md is hidden");
        let ours = [dir.path().join("drafts/a.md")];
        assert_eq!(walked(&[dir.path()], false, &ours), Some(2));
        fs::remove_file(dir.path().join(".gitignore")).expect("it was there");
        assert_eq!(walked(&[dir.path()], false, &[]), Some(0), "all are documents");
    }

    #[test]
    fn files_behind_a_symbolic_link_or_out_of_sight_are_not_counted() {
        let dir = repository();
        fs::rename(dir.path().join("drafts"), dir.path().join("moved")).expect("it was there");
        symlink("moved", dir.path().join("drafts")).expect("a link");
        assert_eq!(walked(&[dir.path()], false, &[]), Some(0));
    }

    #[test]
    fn a_folder_within_a_repository_counts_its_own_files() {
        let dir = repository();
        let drafts = dir.path().join("drafts");
        fs::write(dir.path().join(".gitignore"), "").expect("a file");
        fs::write(drafts.join(".gitignore"), "b.md\n").expect("a file");
        assert_eq!(walked(&[&drafts], false, &[]), Some(1));
        assert_eq!(walked(&[dir.path(), &drafts], false, &[]), Some(1), "once");
        let other = dir.path().join("drafts/module.md");
        assert_eq!(walked(&[&other], false, &[]), Some(0));
    }

    #[test]
    fn a_worktree_and_a_repository_within_the_folder_are_found() {
        let dir = repository();
        let (git, data) = (dir.path().join(".git"), dir.path().join("data"));
        fs::rename(&git, &data).expect("it was there");
        fs::write(&git, "gitdir: data\n").expect("a file");
        assert_eq!(walked(&[dir.path()], false, &[]), Some(3));
        fs::write(&git, format!("gitdir: {}\n", data.display())).expect("a file");
        assert_eq!(walked(&[dir.path()], false, &[]), Some(3));
        checked_out(&dir.path().join("clones/one"));
        checked_out(&dir.path().join("clones/two"));
        assert_eq!(walked(&[dir.path()], false, &[]), Some(9));
        assert_eq!(walked(&[&dir.path().join("clones")], false, &[]), Some(6));
    }

    #[test]
    fn what_cannot_be_read_is_unknown_and_nothing_fails() {
        let dir = repository();
        let index = dir.path().join(".git/index");
        for bytes in [SPLIT, &INDEX[..99], b"text"] {
            fs::write(&index, bytes).expect("a file");
            assert_eq!(walked(&[dir.path()], false, &[]), None, "{}", bytes.len());
        }
        let file = fs::File::create(&index).expect("a file");
        file.set_len(LARGEST_INDEX as u64 + 1).expect("a large file");
        assert_eq!(walked(&[dir.path()], false, &[]), None);
        fs::remove_file(&index).expect("it was there");
        assert_eq!(walked(&[dir.path()], false, &[]), Some(0), "nothing was added yet");
        rustix::fs::mknodat(rustix::fs::CWD, &index, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0)
            .expect("a pipe");
        assert_eq!(walked(&[dir.path()], false, &[]), None);
    }

    #[test]
    fn what_is_no_repository_tracks_nothing() {
        let dir = repository();
        let git = dir.path().join(".git");
        fs::remove_file(git.join("HEAD")).expect("it was there");
        assert_eq!(walked(&[dir.path()], false, &[]), Some(0));
        fs::remove_dir_all(&git).expect("it was there");
        for text in ["gitdir: nowhere\n", "gitdir: ", "text", "gitdir: \0"] {
            fs::write(&git, text).expect("a file");
            assert_eq!(walked(&[dir.path()], false, &[]), Some(0), "{text:?}");
        }
    }
}
