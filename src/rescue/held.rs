//! The files of a database that a process has open, grouped into sets that belong together.

use std::{fmt, fs::File, io, os::unix::ffi::OsStrExt, path::Path, time::SystemTime};

use super::RescueError;
use crate::{
    observe::{
        proc::{self, ProcessFolder},
        process_owner, sidecar,
        wal::LogHeader,
        wal_index,
    },
    paths::FileId,
};

/// Suffixes of a database's files: main file, log, index and journal.
const SUFFIXES: [&str; 4] = ["", "-wal", "-shm", "-journal"];

/// A file that a process has open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldFile {
    /// The number of its descriptor; of several, the lowest.
    pub number: i32,
    pub id: FileId,
    pub bytes: u64,
    /// Whether the kernel shows that it was deleted.
    pub is_deleted: bool,
    born: Option<SystemTime>,
}

/// The files of one database, or of one generation of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldFiles {
    pub main: HeldFile,
    pub log: Option<HeldFile>,
    pub index: Option<HeldFile>,
    pub journal: Option<HeldFile>,
}

impl HeldFiles {
    /// Whether one of its files was deleted.
    pub fn is_deleted(&self) -> bool {
        self.files().any(|(_, file)| file.is_deleted)
    }

    fn files(&self) -> impl Iterator<Item = (&'static str, HeldFile)> {
        let [_, log, index, journal] = SUFFIXES;
        let rest = [(log, self.log), (index, self.index), (journal, self.journal)];
        let rest = rest.into_iter().filter_map(|(name, file)| Some((name, file?)));
        std::iter::once(("main", self.main)).chain(rest)
    }
}

impl fmt::Display for HeldFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lead = "";
        for (name, file) in self.files() {
            let fate = if file.is_deleted { " deleted" } else { "" };
            write!(f, "{lead}{name} {}{fate} ({} bytes)", file.id.inode, crate::units::count(file.bytes))?;
            lead = ", ";
        }
        Ok(())
    }
}

/// The sets of descriptors of `pid` on the database that is, or was, at `path`.
///
/// # Errors
///
/// The descriptors cannot be read, or none is on such a file.
pub fn sets(proc: &Path, pid: i32, path: &Path) -> Result<Vec<HeldFiles>, RescueError> {
    let paths = SUFFIXES.map(|suffix| sidecar(path, suffix));
    let current = paths.each_ref().map(|path| path.metadata().ok().map(|it| FileId::of(&it)));
    let mut held: [Vec<HeldFile>; 4] = Default::default();
    let process = ProcessFolder::with_files(proc, pid);
    let descriptors = process.descriptors().map_err(|cause| unreadable(proc, pid, cause))?.flatten();
    let mut numbers: Vec<i32> = descriptors.filter_map(|it| it.number().to_str()?.parse().ok()).collect();
    numbers.sort_unstable();
    for number in numbers {
        let descriptor = process.descriptor(number);
        // A descriptor may be closed at any time.
        let (Ok(text), Ok(metadata)) = (descriptor.target(), descriptor.metadata()) else { continue };
        if !metadata.is_file() {
            continue;
        }
        let id = FileId::of(&metadata);
        let is_current = |at: usize| current[at] == Some(id);
        let Some(at) = (0..4).find(|&at| is_current(at) || was_at(&text, &paths[at], id)) else { continue };
        if !held[at].iter().any(|it| it.id == id) {
            held[at].push(HeldFile {
                number,
                id,
                bytes: metadata.len(),
                is_deleted: !is_current(at),
                born: metadata.created().ok(),
            });
        }
    }
    if held[0].is_empty() {
        return Err(RescueError::NotOpen { pid, path: path.to_owned() });
    }
    let salts = |log: &HeldFile, index: &HeldFile| have_same_salts(proc, pid, log, index);
    Ok(group(&held, salts))
}

// Whether the kernel's text says that the file was at `path`, and was deleted there. The real name of an existing file
// may end with the kernel's suffix: then it is not deleted.
fn was_at(text: &Path, path: &Path, id: FileId) -> bool {
    let is_named =
        text.as_os_str().as_bytes().strip_suffix(b" (deleted)") == Some(path.as_os_str().as_bytes());
    is_named && !text.metadata().is_ok_and(|there| FileId::of(&there) == id)
}

fn unreadable(proc: &Path, pid: i32, cause: io::Error) -> RescueError {
    match cause.kind() {
        io::ErrorKind::NotFound => RescueError::NoProcess { pid },
        io::ErrorKind::PermissionDenied => {
            let owner = process_owner(proc, pid).map_or_else(|| "unknown".to_owned(), |uid| uid.to_string());
            RescueError::Hidden { pid, owner }
        }
        _ => RescueError::Io { what: format!("read the descriptors of {pid}"), cause },
    }
}

// A log and an index belong to the main file that existed when they were created; those at the path belong to the main
// file at the path. If one main file has several logs, the salts show which one the index describes.
fn group(
    held: &[Vec<HeldFile>; 4],
    have_same_salts: impl Fn(&HeldFile, &HeldFile) -> bool,
) -> Vec<HeldFiles> {
    let [mains, logs, indexes, journals] = held;
    let mut sets = Vec::new();
    for main in mains {
        let of_it = |files: &[HeldFile]| -> Vec<HeldFile> {
            files.iter().filter(|file| main_of(file, mains) == Some(main)).copied().collect()
        };
        let (logs, indexes, journal) = (of_it(logs), of_it(indexes), of_it(journals).pop());
        let set = |log, index| HeldFiles { main: *main, log, index, journal };
        match (logs.as_slice(), indexes.as_slice()) {
            ([], _) | ([_], [] | [_]) => {
                sets.push(set(logs.first().copied(), indexes.last().copied()));
            }
            _ => sets.extend(logs.iter().map(|log| {
                let index = indexes.iter().find(|index| have_same_salts(log, index));
                set(Some(*log), index.copied())
            })),
        }
    }
    sets
}

fn main_of<'a>(file: &HeldFile, mains: &'a [HeldFile]) -> Option<&'a HeldFile> {
    if let [only] = mains {
        return Some(only);
    }
    if let Some(current) = mains.iter().find(|main| !main.is_deleted && !file.is_deleted) {
        return Some(current);
    }
    let is_before = |main: &&HeldFile| match (main.born, file.born) {
        (Some(main), Some(file)) => main <= file,
        _ => main.number < file.number,
    };
    let before = mains.iter().filter(is_before);
    before.max_by_key(|main| (main.born, main.number)).or_else(|| mains.first())
}

fn have_same_salts(proc: &Path, pid: i32, log: &HeldFile, index: &HeldFile) -> bool {
    let log = open(proc, pid, log).ok().and_then(|file| LogHeader::read(&file).ok().flatten());
    let index = open(proc, pid, index).ok().and_then(|file| wal_index::read(&file).ok());
    log.zip(index).is_some_and(|(log, index)| log.salts() == index.salts)
}

/// The set to copy: the one that contains `inode`, else the only one with a deleted file.
///
/// # Errors
///
/// There is none, or there are several.
pub fn choose(
    sets: &[HeldFiles],
    pid: i32,
    path: &Path,
    inode: Option<u64>,
) -> Result<HeldFiles, RescueError> {
    let list = || sets.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    let is_meant = |set: &&HeldFiles| match inode {
        Some(inode) => set.files().any(|(_, file)| file.id.inode == inode),
        None => set.is_deleted(),
    };
    let meant: Vec<&HeldFiles> = sets.iter().filter(is_meant).collect();
    match (meant.as_slice(), inode) {
        ([one], _) => Ok((*one).clone()),
        (_, Some(inode)) => Err(RescueError::NoSuchInode { pid, inode, list: list() }),
        ([], None) => Err(RescueError::NothingDeleted { pid, path: path.to_owned() }),
        (_, None) => Err(RescueError::Several { pid, path: path.to_owned(), list: list() }),
    }
}

/// Opens the file of a descriptor of `pid` for reading. It is pinned first, so that exactly that file, and only a
/// regular one, is opened, whatever the descriptor refers to now.
///
/// # Errors
///
/// It is another file now, or cannot be opened.
pub fn open(proc: &Path, pid: i32, held: &HeldFile) -> Result<File, RescueError> {
    let what = || format!("open descriptor {} of {pid}", held.number);
    let descriptor = ProcessFolder::with_files(proc, pid).descriptor(held.number);
    let pin = descriptor.pin().map_err(RescueError::io(what()))?;
    let metadata = pin.metadata().map_err(RescueError::io(what()))?;
    if !metadata.is_file() || FileId::of(&metadata) != held.id {
        return Err(RescueError::Changed { what: format!("{pid} has closed descriptor {}", held.number) });
    }
    proc::reopen(&pin).map_err(RescueError::io(what()))
}

/// The other processes that have one of `files` open, as far as their descriptors can be read.
pub fn openers(proc: &Path, files: &[FileId]) -> Vec<i32> {
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    let has_it = |pid: &i32| {
        let descriptors = ProcessFolder::with_files(proc, *pid).descriptors();
        let mut found = descriptors.into_iter().flatten().flatten().filter_map(|it| it.metadata().ok());
        found.any(|it| files.contains(&FileId::of(&it)))
    };
    proc::pids(proc).into_iter().flatten().filter(|&pid| pid != own).filter(has_it).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn held(number: i32, inode: u64, born: Option<u64>, is_deleted: bool) -> HeldFile {
        let born = born.map(|second| SystemTime::UNIX_EPOCH + Duration::from_secs(second));
        HeldFile { number, id: FileId { device: 1, inode }, bytes: 4096, is_deleted, born }
    }

    fn inodes(sets: &[HeldFiles]) -> Vec<[Option<u64>; 3]> {
        let inode = |file: Option<HeldFile>| file.map(|it| it.id.inode);
        sets.iter().map(|it| [Some(it.main.id.inode), inode(it.log), inode(it.index)]).collect()
    }

    #[test]
    fn two_generations_are_distinguished_by_what_is_at_the_path_and_by_birth() {
        let old = [held(3, 10, Some(1), true), held(4, 11, Some(2), true), held(5, 12, Some(2), true)];
        for is_gone in [false, true] {
            let new = [(6, 20, 5), (7, 21, 6), (8, 22, 6)];
            let new = new.map(|(number, inode, born)| held(number, inode, Some(born), is_gone));
            let all = [0, 1, 2].map(|at| vec![old[at], new[at]]);
            let [mains, logs, indexes] = all;
            let sets = group(&[mains, logs, indexes, Vec::new()], |_, _| panic!("no need to ask"));
            assert_eq!(
                inodes(&sets),
                [[Some(10), Some(11), Some(12)], [Some(20), Some(21), Some(22)]],
                "{is_gone}"
            );
            let chosen = choose(&sets, 1, Path::new("a.db"), None);
            if is_gone {
                assert!(matches!(chosen, Err(RescueError::Several { .. })));
                let by_log = choose(&sets, 1, Path::new("a.db"), Some(21)).expect("one");
                assert_eq!(by_log.main.id.inode, 20);
            } else {
                assert_eq!(chosen.expect("only one was deleted").main.id.inode, 10);
            }
            assert!(matches!(
                choose(&sets, 1, Path::new("a.db"), Some(9)),
                Err(RescueError::NoSuchInode { .. })
            ));
        }
    }

    #[test]
    fn without_births_the_numbers_tell() {
        let file = |number, inode| held(number, inode, None, true);
        let held = [vec![file(3, 10), file(6, 20)], vec![file(4, 11), file(7, 21)], Vec::new(), Vec::new()];
        assert_eq!(
            inodes(&group(&held, |_, _| false)),
            [[Some(10), Some(11), None], [Some(20), Some(21), None]]
        );
    }

    #[test]
    fn of_two_logs_the_salts_say_whose_the_index_is() {
        let main = held(3, 10, Some(1), false);
        let (old, new) = (held(4, 11, Some(2), true), held(6, 21, Some(5), false));
        let index = held(5, 12, Some(2), true);
        let sets = group(&[vec![main], vec![old, new], vec![index], Vec::new()], |log, _| log.id.inode == 11);
        assert_eq!(inodes(&sets), [[Some(10), Some(11), Some(12)], [Some(10), Some(21), None]]);
        assert_eq!(
            choose(&sets, 1, Path::new("a.db"), None).expect("one").log.map(|it| it.id.inode),
            Some(11)
        );
    }

    #[test]
    fn a_process_that_has_deleted_nothing_has_nothing_to_rescue() {
        let sets = [HeldFiles { main: held(3, 10, None, false), log: None, index: None, journal: None }];
        assert!(matches!(choose(&sets, 1, Path::new("a.db"), None), Err(RescueError::NothingDeleted { .. })));
    }
}
