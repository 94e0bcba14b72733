//! The program of a process, and the state of its file.

use std::{
    ffi::OsStr,
    fs, io,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use crate::{
    observe::proc::ProcessFolder,
    paths::FileId,
    snapshot::{Executable, ExecutableState},
};

/// The program of `process`, in the `/proc` at `proc`.
///
/// The link itself leads to the executable even if its file was renamed or deleted; the name alone can be wrong.
pub fn of(proc: &Path, process: &ProcessFolder) -> Option<Executable> {
    let named = process.executable_name().ok()?;
    let text = named.as_os_str().as_bytes();
    let stripped = text.strip_suffix(b" (deleted)");
    let place = |text: &[u8]| PathBuf::from(OsStr::from_bytes(text));
    // A file that never had a name (memfd) cannot be replaced.
    if !text.starts_with(b"/") || text.starts_with(b"/memfd:") {
        return Some(Executable { path: named.to_string_lossy().into_owned(), state: None });
    }
    let running = process.executable().ok().map(|it| FileId::of(&it));
    let there = |path: &Path| match fs::metadata(as_seen_by(proc, process, path)) {
        Ok(it) => Ok(Some(FileId::of(&it))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    };
    // A real file name may end with the kernel's mark of deletion.
    let is_there = running.is_some() && there(&named).is_ok_and(|it| it == running);
    let path = stripped.filter(|_| !is_there).map_or_else(|| named.clone(), place);
    let state = executable_state(running, there(&path), stripped.is_some());
    Some(Executable { path: path.to_string_lossy().into_owned(), state })
}

// The state of the file `running`; `there` is the file at its path as seen by waltop, if known. Without the kernel's
// mark of deletion the file is at its original place, and the path leads to another one, for example below a later
// mount.
fn executable_state(
    running: Option<FileId>,
    there: io::Result<Option<FileId>>,
    is_unlinked: bool,
) -> Option<ExecutableState> {
    match (running?, there.ok()?) {
        (running, Some(found)) if found == running => Some(ExecutableState::Current),
        (_, Some(_)) => is_unlinked.then_some(ExecutableState::Replaced),
        (_, None) => is_unlinked.then_some(ExecutableState::Deleted),
    }
}

// In another mount namespace the path leads elsewhere.
fn as_seen_by(proc: &Path, process: &ProcessFolder, path: &Path) -> PathBuf {
    let namespace = |process: &ProcessFolder| process.mount_namespace().ok();
    if namespace(process) == namespace(&ProcessFolder::own(proc)) {
        return path.to_owned();
    }
    process.seen_from_inside(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use tempfile::TempDir;

    use super::*;

    // A `/proc` with one process, whose program is `program`; the link to it says `says`.
    fn seen(program: &Path, says: &str) -> Option<ExecutableState> {
        let proc = TempDir::new().expect("a folder");
        let process = proc.path().join("70");
        fs::create_dir(&process).expect("a folder");
        // In the real /proc one link is both: a text, and a way to a file that may have no name.
        symlink(says, process.join("exe")).expect("a link");
        let found = of(proc.path(), &ProcessFolder::of(proc.path(), 70))?;
        assert_eq!(found.path, program.to_string_lossy());
        found.state
    }

    #[test]
    fn a_name_that_ends_with_the_kernels_word_may_be_one() {
        let folder = TempDir::new().expect("a folder");
        let odd = folder.path().join("bun (deleted)");
        fs::write(&odd, "").expect("a file");
        assert_eq!(seen(&odd, &odd.to_string_lossy()), Some(ExecutableState::Current));
    }

    #[test]
    fn another_file_there_is_a_replacement_only_with_the_kernels_word() {
        let [running, other] = [7, 8].map(|inode| Some(FileId { device: 1, inode }));
        assert_eq!(executable_state(running, Ok(running), false), Some(ExecutableState::Current));
        assert_eq!(executable_state(running, Ok(other), true), Some(ExecutableState::Replaced));
        assert_eq!(executable_state(running, Ok(None), true), Some(ExecutableState::Deleted));
        for there in [other, None] {
            assert_eq!(executable_state(running, Ok(there), false), None, "another mount hides it");
        }
        assert_eq!(executable_state(None, Ok(other), true), None);
        assert_eq!(executable_state(running, Err(io::ErrorKind::PermissionDenied.into()), true), None);
    }

    #[test]
    fn what_has_no_name_cannot_be_replaced() {
        assert_eq!(seen(Path::new("/memfd:runc (deleted)"), "/memfd:runc (deleted)"), None);
    }
}
