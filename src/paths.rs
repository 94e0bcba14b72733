//! Paths of files that may not exist yet, and the identity of files.

use std::{
    fs::{self, Metadata},
    io,
    os::unix::fs::MetadataExt,
    path::{self, Path, PathBuf},
};

/// `path` as an absolute path with its symbolic links followed. Unchanged if its links, followed by their text, lead to
/// another file than the kernel reaches, as those below `/proc/PID/root` can.
///
/// # Errors
///
/// Nothing exists there, or it cannot be examined.
pub fn real(path: &Path) -> io::Result<PathBuf> {
    let meant = path.metadata()?;
    match path.canonicalize() {
        Ok(followed) if followed.metadata().is_ok_and(|it| is_same(&it, &meant)) => Ok(followed),
        _ => path::absolute(path),
    }
}

/// Whether the links in `path`, followed by their text as SQLite does, lead to the file that the kernel reaches. For a
/// missing file, checks its directory.
pub fn is_reached_by_text(path: &Path) -> bool {
    let Ok(meant) = path.metadata() else {
        return path.parent().is_none_or(|folder| folder.metadata().is_err() || is_reached_by_text(folder));
    };
    let followed = path.canonicalize().and_then(|followed| followed.metadata());
    followed.is_ok_and(|followed| is_same(&followed, &meant))
}

fn is_same(one: &Metadata, other: &Metadata) -> bool {
    FileId::of(one) == FileId::of(other)
}

/// Identifies a file at one point in time: `st_dev` and `st_ino` of `stat`. Its path may lead to another file later,
/// and after its deletion another file may get its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId {
    /// Device number from `stat`.
    pub device: u64,
    pub inode: u64,
}

impl FileId {
    pub fn of(metadata: &Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino() }
    }

    /// The identity of the file at `path`; `None` if there is none, or it cannot be read.
    pub fn at(path: &Path) -> Option<Self> {
        Some(Self::of(&path.metadata().ok()?))
    }
}

/// `path` as an absolute path with its symbolic links followed, as far as it exists; the last part is kept. A dangling
/// link is followed too, as SQLite does when it creates the file.
///
/// # Errors
///
/// A part of it cannot be examined, or the missing part ends in `..`.
pub fn canonical_or_future(path: &Path) -> io::Result<PathBuf> {
    let missing = match real(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => error,
        other => return other,
    };
    let absolute = path::absolute(path)?;
    let Some((folder, name)) = absolute.parent().zip(absolute.file_name()) else { return Err(missing) };
    match fs::read_link(&absolute) {
        // `canonicalize` reports a cycle of links as another error, so this recursion ends.
        Ok(target) => canonical_or_future(&folder.join(target)),
        Err(_) => Ok(canonical_or_future(folder)?.join(name)),
    }
}

/// A name for each of `paths`: the file name, and if another path has the same, enough parent folders to distinguish
/// the two.
pub fn names(paths: &[&Path]) -> Vec<String> {
    let tail = |path: &Path, count: usize| {
        let parts: Vec<_> = path.iter().collect();
        let from = parts.len().saturating_sub(count);
        parts[from..].iter().collect::<PathBuf>()
    };
    let name = |path: &Path| {
        let is_taken = |name: &PathBuf, count| paths.iter().any(|it| *it != path && tail(it, count) == *name);
        let longest = path.iter().count().max(1);
        let mut names = (1..=longest).map(|count| (tail(path, count), count));
        let name = names.find(|(name, count)| *count == longest || !is_taken(name, *count));
        name.map_or_else(|| path.to_owned(), |(name, _)| name).to_string_lossy().into_owned()
    };
    paths.iter().map(|path| name(path)).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use tempfile::TempDir;

    use super::*;

    #[test]
    fn what_is_there_is_followed_and_what_is_missing_is_kept() {
        let dir = TempDir::new().expect("a folder");
        let root = dir.path().canonicalize().expect("the folder");
        fs::create_dir(root.join("real")).expect("a folder");
        symlink("real", root.join("link")).expect("a link");
        symlink("real/later", root.join("nowhere")).expect("a link");
        symlink("circle", root.join("circle")).expect("a link");
        let of = |path: &str| canonical_or_future(&root.join(path)).ok();
        assert_eq!(of("link"), Some(root.join("real")));
        assert_eq!(of("link/a/b.db"), Some(root.join("real/a/b.db")));
        assert_eq!(of("nowhere"), Some(root.join("real/later")));
        assert_eq!(of("nowhere/b.db"), Some(root.join("real/later/b.db")));
        assert_eq!((of("circle"), of("missing/..")), (None, None));
    }

    #[test]
    fn names_are_as_short_as_they_can_be() {
        let of = |paths: &[&str]| names(&paths.iter().map(Path::new).collect::<Vec<_>>());
        assert_eq!(of(&["/a/notes.db", "/a/queue.db"]), ["notes.db", "queue.db"]);
        assert_eq!(
            of(&["/a/x/notes.db", "/b/x/notes.db", "/c/y.db"]),
            ["a/x/notes.db", "b/x/notes.db", "y.db"]
        );
        assert_eq!(of(&["/notes.db", "/a/notes.db"]), ["/notes.db", "a/notes.db"]);
        assert_eq!(of(&["/a/notes.db", "/a/notes.db"]), ["notes.db", "notes.db"], "it is the same one");
        assert_eq!(of(&["/"]), ["/"]);
    }
}
