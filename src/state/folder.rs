//! waltop's files: in folders that no other user can change, under names where no other user can place a symbolic link.
//!
//! Otherwise root with the HOME of another user, as `sudo` leaves it on some systems, would write wherever a link of
//! that user points.

use std::{
    ffi::OsStr,
    fs::{self, DirBuilder, File, Metadata, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{self, Path, PathBuf},
};

use rustix::{
    fs::OFlags,
    process::{getegid, geteuid},
};
use tempfile::NamedTempFile;

/// Write permission of a group, and of all others.
const GROUP: u32 = 0o020;
const WORLD: u32 = 0o002;
/// In a folder with this bit only the owners of the file and of the folder can change a name.
const STICKY: u32 = 0o1000;

/// A folder that belongs to this user or to root, as does each folder above it, and that other users cannot write to.
/// Its path has no symbolic links; those in the original path are in such folders, too.
#[derive(Debug, Clone)]
pub struct StateFolder(PathBuf);

impl StateFolder {
    /// The folder at `path`, created with mode 0700 if it is missing.
    ///
    /// # Errors
    ///
    /// It cannot be created, or another user could change it.
    pub fn make(path: &Path) -> io::Result<Self> {
        let path = &path::absolute(path)?;
        Self::check_place(path)?;
        DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        Self::open(path)
    }

    /// Whether no other user could change the folders above `path`, if it is missing. Nothing is created.
    ///
    /// # Errors
    ///
    /// Another user could.
    pub fn check_place(path: &Path) -> io::Result<()> {
        if let Some(there) = path.ancestors().find(|it| it.exists()).filter(|it| *it != path) {
            check_above(there)?;
            check_above(&there.canonicalize()?)?;
        }
        Ok(())
    }

    /// The existing folder at `path`.
    ///
    /// # Errors
    ///
    /// There is none, or another user could change it.
    pub fn open(path: &Path) -> io::Result<Self> {
        // A user who can change a folder of the path can place a link there that leads to a folder with correct
        // permissions.
        path::absolute(path)?.parent().map_or(Ok(()), check_above)?;
        let path = path.canonicalize()?;
        let metadata = fs::metadata(&path)?;
        if !metadata.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        check(&path, &metadata)?;
        path.parent().map_or(Ok(()), check_above)?;
        Ok(Self(path))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Replaces the file `name` with `bytes`, whole or not at all. Only this user can read it.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    pub fn replace(&self, name: &OsStr, bytes: &[u8]) -> io::Result<()> {
        let mut draft = NamedTempFile::with_prefix_in(".draft-", &self.0)?;
        draft.write_all(bytes)?;
        draft.persist(self.0.join(name))?;
        Ok(())
    }

    /// The first `most` bytes of the file `name`.
    ///
    /// # Errors
    ///
    /// There is no such regular file, or it cannot be read.
    pub fn read(&self, name: &OsStr, most: u64) -> io::Result<Vec<u8>> {
        read(&self.0.join(name), most)
    }
}

/// The first `most` bytes of the regular file at `path`, which must not be a symbolic link.
///
/// # Errors
///
/// There is no such file, or it cannot be read.
pub fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Opens the regular file at `path`, which must not be a symbolic link, for reading. Never waits, for example for the
/// other end of a pipe.
///
/// # Errors
///
/// There is no such file, or it cannot be read.
pub fn open(path: &Path) -> io::Result<File> {
    let file = options().read(true).open(path)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"))
    }
}

/// Opens or creates a file with mode 0600, without following symbolic links or waiting for pipes.
pub fn options() -> OpenOptions {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let mut options = OpenOptions::new();
    options.mode(0o600).custom_flags(flags.bits().cast_signed());
    options
}

/// Whether no other user can change the content of the folder at `path`.
fn check(path: &Path, metadata: &Metadata) -> io::Result<()> {
    let (own, owner) = (geteuid().as_raw(), metadata.uid());
    if owner != own && owner != 0 {
        return Err(refused(path, &format!("belongs to user {owner}, and waltop runs as user {own}")));
    }
    let is_own_group = metadata.gid() == getegid().as_raw();
    let open = if is_own_group { WORLD } else { GROUP | WORLD };
    if metadata.mode() & open != 0 {
        return Err(refused(
            path,
            &format!("can be written to by others (mode {:o})", metadata.mode() & 0o7777),
        ));
    }
    Ok(())
}

/// Whether no other user can replace `path`, or a folder above it.
fn check_above(path: &Path) -> io::Result<()> {
    let own = geteuid().as_raw();
    for above in path.ancestors() {
        let metadata = match fs::metadata(above) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            metadata => metadata?,
        };
        let owner = metadata.uid();
        if owner != own && owner != 0 && is_user_here(owner) {
            return Err(refused(above, &format!("belongs to user {owner}, and waltop runs as user {own}")));
        }
        // The people of a machine may share a group that owns the folder of their home folders; root trusts only its
        // own group.
        let open = if own == 0 && metadata.gid() != 0 { GROUP | WORLD } else { WORLD };
        if metadata.mode() & open != 0 && metadata.mode() & STICKY == 0 {
            let mode = metadata.mode() & 0o7777;
            return Err(refused(above, &format!("can be written to by others (mode {mode:o})")));
        }
    }
    Ok(())
}

/// Whether the user namespace of this process has that user. In a namespace without it, files of outside users seem to
/// belong to the user 65534, whom no process inside can become (`user_namespaces(7)`).
fn is_user_here(uid: u32) -> bool {
    let Ok(map) = read(Path::new("/proc/self/uid_map"), 64 << 10) else { return true };
    is_mapped(&String::from_utf8_lossy(&map), uid)
}

fn is_mapped(map: &str, uid: u32) -> bool {
    map.lines().any(|line| {
        let mut numbers = line.split_ascii_whitespace().map_while(|it| it.parse::<u64>().ok());
        let (first, count) = (numbers.next(), numbers.nth(1));
        first.zip(count).is_some_and(|(first, count)| (first..first + count).contains(&uid.into()))
    })
}

fn refused(path: &Path, why: &str) -> io::Error {
    let path = path.display();
    let text = format!(
        "{path} {why}, so waltop stores nothing there; set HOME (sudo -H) or XDG_STATE_HOME to a folder of your own"
    );
    io::Error::new(io::ErrorKind::PermissionDenied, text)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

    use tempfile::TempDir;

    use super::*;

    fn mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("it is ours");
    }

    #[test]
    fn a_folder_is_made_private_and_its_files_replaced_whole() {
        let dir = TempDir::new().expect("a folder");
        let folder = StateFolder::make(&dir.path().join("a/b")).expect("made");
        assert_eq!(fs::metadata(folder.path()).expect("it").mode() & 0o777, 0o700);
        let name = OsStr::new("state.json");
        folder.replace(name, b"one").and_then(|()| folder.replace(name, b"two")).expect("written");
        assert_eq!(folder.read(name, 2).expect("read"), b"tw");
        assert_eq!(fs::metadata(folder.path().join(name)).expect("it").mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).expect("it").count(), 1, "no draft is left");
        let missing = StateFolder::open(&dir.path().join("c")).expect_err("there is none");
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
        let file = StateFolder::make(&folder.path().join(name)).map(drop).expect_err("a file");
        assert!(matches!(file.kind(), io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory), "{file}");
    }

    #[test]
    fn a_folder_that_others_write_to_is_refused() {
        let dir = TempDir::new().expect("a folder");
        let path = dir.path().join("state");
        fs::create_dir(&path).expect("a folder");
        for (bits, is_fine) in [(0o700, true), (0o755, true), (0o777, false), (0o1777, false), (0o702, false)]
        {
            mode(&path, bits);
            assert_eq!(StateFolder::open(&path).is_ok(), is_fine, "{bits:o}");
        }
        mode(&path, 0o700);
        for (bits, is_fine) in [(0o777, false), (0o1777, true)] {
            mode(dir.path(), bits);
            assert_eq!(StateFolder::open(&path).is_ok(), is_fine, "above: {bits:o}");
            assert_eq!(StateFolder::make(&dir.path().join("new/er")).is_ok(), is_fine, "above: {bits:o}");
        }
    }

    #[test]
    fn links_are_not_followed_and_pipes_not_waited_for() {
        let dir = TempDir::new().expect("a folder");
        let folder = StateFolder::open(dir.path()).expect("ours");
        let victim = dir.path().join("victim");
        fs::write(&victim, "precious").expect("a file");
        symlink(&victim, dir.path().join("link")).expect("a link");
        assert!(folder.read(OsStr::new("link"), 9).is_err());
        assert!(options().write(true).create(true).truncate(true).open(dir.path().join("link")).is_err());
        folder.replace(OsStr::new("link"), b"mine").expect("the link goes, and not what it points to");
        assert_eq!(fs::read(&victim).expect("it"), b"precious");
        assert_eq!(folder.read(OsStr::new("link"), 9).expect("a file"), b"mine");
        let pipe = dir.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0)
            .expect("a pipe");
        assert!(read(&pipe, 9).is_err());
    }

    #[test]
    fn a_folder_of_another_user_is_refused() {
        if !geteuid().is_root() {
            eprintln!("skipped: only root can give folders away");
            return;
        }
        let dir = TempDir::new().expect("a folder");
        let theirs = dir.path().join("home");
        fs::create_dir(&theirs)
            .and_then(|()| chown(&theirs, Some(65_534), Some(65_534)))
            .expect("given away");
        for path in ["home", "home/state"] {
            let error = StateFolder::make(&dir.path().join(path)).expect_err(path).to_string();
            assert!(error.contains("user 65534") && !error.contains('\n'), "{error}");
        }
        assert!(!theirs.join("state").exists(), "nothing is made there");
        // Root's own folder, through that user's link.
        let own = dir.path().join("own");
        fs::create_dir(&own).and_then(|()| symlink(&own, theirs.join("link"))).expect("a link");
        assert!(StateFolder::open(&own).is_ok() && StateFolder::open(&theirs.join("link")).is_err());
        assert!(StateFolder::make(&theirs.join("link/new")).is_err() && !own.join("new").exists());
        // A folder of root's own below it could still be replaced.
        fs::create_dir(theirs.join("state")).expect("a folder");
        assert!(StateFolder::open(&theirs.join("state")).is_err());
    }

    #[test]
    fn a_user_namespace_shows_whom_it_has() {
        assert!(is_mapped("         0          0 4294967295\n", 65_534));
        assert!(!is_mapped("         0       1000          1\n", 65_534));
        assert!(
            is_mapped("0 1000 1\n1 100000 65536\n", 65_534) && !is_mapped("", 0) && !is_mapped("x y z\n", 0)
        );
    }
}
