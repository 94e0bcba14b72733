//! Database arguments of the form `CONTAINER:/path`: a file in the files of a container, reached through one of its
//! processes. CONTAINER is the beginning of its id, its host name, or the PID of any process.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use crossbeam_channel::Receiver;

use crate::{
    observe::proc::{self, ProcessFolder, ProcessGroups},
    snapshot::{GroupKind, ProcessGroup},
    text, threads,
};

/// How long a file may take to answer: one on a server that is gone takes for ever.
const PATIENCE: Duration = Duration::from_secs(2);
/// How many processes are searched for a container.
const MOST_PROCESSES: usize = 1 << 15;
/// Through how many of its processes a file is looked for.
const MOST_TRIED: usize = 8;
/// How many containers a message names.
const MOST_NAMED: usize = 5;

/// Why an argument of the form `CONTAINER:/path` names no file.
#[derive(Debug, thiserror::Error)]
pub enum ContainerPathError {
    #[error(
        "no container or process is called {word}{}; to list the open databases: waltop discover",
        there(known)
    )]
    Unknown {
        word: String,
        /// Containers that run.
        known: Vec<String>,
    },
    #[error(
        "{word} means several containers: {}; give more of an id, or PID:/PATH; see: waltop discover",
        candidates.join(", ")
    )]
    Ambiguous {
        word: String,
        /// What it may mean.
        candidates: Vec<String>,
    },
    #[error("no such file in {container}: {path}; to list the open databases: waltop discover")]
    Missing { container: String, path: String },
    #[error("{path} in {container} is not a regular file; name a SQLite database")]
    NotAFile { container: String, path: String },
    #[error("no permission to see the files of {container}; run as root")]
    Forbidden { container: String },
    #[error("{argument} has not answered within {} s; check the file system of the container", PATIENCE.as_secs())]
    Late { argument: String },
    #[error("cannot read {path} in {container}: {source}; check the path")]
    Unreadable {
        container: String,
        path: String,
        /// The error of the operating system.
        source: io::Error,
    },
}

fn there(known: &[String]) -> String {
    if known.is_empty() { String::new() } else { format!(" (there are: {})", known.join(", ")) }
}

/// Whether `argument` has the form `CONTAINER:/path`, and no file has that name.
pub fn is_container_path(argument: &Path) -> bool {
    parts(argument).is_some() && argument.symlink_metadata().is_err()
}

/// Whether `argument` names a container by its id or its name, so that the name outlives its processes; a PID does not.
pub fn names_container(argument: &Path) -> bool {
    let is_lasting = parts(argument).is_some_and(|(word, _)| word.parse::<i32>().is_err());
    is_lasting && is_container_path(argument)
}

/// The path that `argument` had if it is of the form `PID:/path`, whether or not that process lives.
pub fn path_of_process(argument: &Path, proc: &Path) -> Option<PathBuf> {
    let (word, inner) = parts(argument).filter(|_| is_container_path(argument))?;
    let pid: i32 = word.parse().ok()?;
    Some(ProcessFolder::of(proc, pid).seen_from_inside(inner))
}

/// What stays the same of a container when it is started again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContainerIdentity {
    /// The user gave the beginning of its id: a container with another id is another one.
    Id(GroupKind, Option<String>),
    /// The user gave its name, which the next container may have.
    Name(String),
}

impl ContainerIdentity {
    // What identifies `group`, which `word` means.
    fn of(group: &ProcessGroup, word: &str) -> Self {
        let is_name = group.name.as_deref() == Some(word);
        let is_id = group.id.as_deref().is_some_and(|id| id.starts_with(word));
        if is_name && !is_id { Self::Name(word.to_owned()) } else { Self::Id(group.kind, group.id.clone()) }
    }

    fn is_of(&self, group: &ProcessGroup) -> bool {
        match self {
            Self::Id(kind, id) => (group.kind, &group.id) == (*kind, id),
            Self::Name(name) => group.kind.is_container() && group.name.as_ref() == Some(name),
        }
    }
}

/// Where a database in a container is.
#[derive(Debug)]
pub struct LocatedContainer {
    /// Through the `/proc` of one of its processes.
    pub path: PathBuf,
    pub identity: ContainerIdentity,
}

/// The path that `argument` means: itself, or for `CONTAINER:/path` one through the `/proc` at `proc`. Links in it lead
/// where they lead in the container, and only a regular file is found.
///
/// # Errors
///
/// There is no such container, or no such file in it.
pub fn located<'a>(argument: &'a Path, proc: &Path) -> Result<Cow<'a, Path>, ContainerPathError> {
    if parts(argument).is_none() || !is_container_path(argument) {
        return Ok(Cow::Borrowed(argument));
    }
    located_now(argument, proc).map(|it| Cow::Owned(it.path))
}

/// Where the database is that `argument` of the form `CONTAINER:/path` means.
///
/// # Errors
///
/// As [`located`].
pub fn located_now(argument: &Path, proc: &Path) -> Result<LocatedContainer, ContainerPathError> {
    let late = || ContainerPathError::Late { argument: text::clean(&argument.to_string_lossy()) };
    let found = search(argument, None, proc).map_err(|_| late())?;
    found.recv_timeout(PATIENCE).map_err(|_| late())?
}

/// The answer of a thread that searches for the database that `argument` means, in the container of `identity` if that
/// is known.
///
/// # Errors
///
/// The system refuses a thread.
pub fn search(
    argument: &Path,
    identity: Option<ContainerIdentity>,
    proc: &Path,
) -> io::Result<Receiver<Result<LocatedContainer, ContainerPathError>>> {
    let (outbox, inbox) = crossbeam_channel::bounded(1);
    let (proc, argument) = (proc.to_owned(), argument.to_owned());
    threads::start("waltop-container", move || {
        let Some((word, inner)) = parts(&argument) else { return };
        // The receiver is gone once it is late.
        let _ = outbox.send(find(&proc, word, identity.as_ref(), inner));
    })?;
    Ok(inbox)
}

// The word before the path, and the absolute path.
fn parts(argument: &Path) -> Option<(&str, &Path)> {
    let text = argument.to_str()?;
    let (word, path) = text.split_at(text.find(":/")?);
    (!word.is_empty() && !word.contains('/')).then(|| (word, Path::new(&path[1..])))
}

/// A container that a word may mean.
#[derive(Debug)]
struct Candidate {
    shown: String,
    pids: Vec<i32>,
    identity: ContainerIdentity,
}

fn find(
    proc: &Path,
    word: &str,
    identity: Option<&ContainerIdentity>,
    inner: &Path,
) -> Result<LocatedContainer, ContainerPathError> {
    let (candidates, known) = candidates(proc, word, identity);
    let mut found = Vec::new();
    let mut failures = Vec::new();
    for candidate in &candidates {
        match inside(proc, candidate, inner) {
            Ok(path) => found.push((candidate, path)),
            Err(error) => failures.push(error),
        }
    }
    let several = |shown: Vec<&String>| ContainerPathError::Ambiguous {
        word: text::clean(word),
        candidates: shown.into_iter().take(MOST_NAMED).cloned().collect(),
    };
    match (found.len(), failures.len()) {
        (1, _) => {
            let (candidate, path) = found.remove(0);
            Ok(LocatedContainer { path, identity: candidate.identity.clone() })
        }
        (0, 0) => Err(ContainerPathError::Unknown { word: text::clean(word), known }),
        (0, 1) => Err(failures.remove(0)),
        (0, _) => Err(several(candidates.iter().map(|it| &it.shown).collect())),
        _ => Err(several(found.into_iter().map(|(candidate, _)| &candidate.shown).collect())),
    }
}

// What `word` may mean, and some of the containers that there are.
fn candidates(
    proc: &Path,
    word: &str,
    identity: Option<&ContainerIdentity>,
) -> (Vec<Candidate>, Vec<String>) {
    let mut pids: Vec<i32> = proc::pids(proc).into_iter().flatten().collect();
    pids.sort_unstable();
    let mut candidates = Vec::new();
    if let Some(pid) = word.parse().ok().filter(|pid| identity.is_none() && pids.contains(pid)) {
        let (shown, identity) = (format!("process {pid}"), ContainerIdentity::Id(GroupKind::Host, None));
        candidates.push(Candidate { shown, pids: vec![pid], identity });
    }
    let mut groups = ProcessGroups::new(proc);
    let mut meant: BTreeMap<(GroupKind, Option<String>), Candidate> = BTreeMap::new();
    let mut known = Vec::new();
    for &pid in pids.iter().take(MOST_PROCESSES) {
        let group = groups.of(pid);
        if !group.kind.is_container() {
            continue;
        }
        let shown = named(&group, pid);
        if known.len() < MOST_NAMED && !known.contains(&shown) && group.kind != GroupKind::Namespace {
            known.push(shown.clone());
        }
        if identity.map_or_else(|| group.is_meant_by(word), |identity| identity.is_of(&group)) {
            let identity = ContainerIdentity::of(&group, word);
            let candidate = meant.entry((group.kind, group.id.clone()));
            let candidate = candidate.or_insert_with(|| Candidate { shown, pids: Vec::new(), identity });
            candidate.pids.push(pid);
        }
    }
    candidates.extend(meant.into_values());
    (candidates, known)
}

fn named(group: &ProcessGroup, pid: i32) -> String {
    let group_text = text::clean(&group.to_string());
    if group.kind == GroupKind::Namespace { format!("{group_text} (PID {pid})") } else { group_text }
}

// The path of `inner` through a process of `candidate`.
fn inside(proc: &Path, candidate: &Candidate, inner: &Path) -> Result<PathBuf, ContainerPathError> {
    let mut last = io::ErrorKind::NotFound.into();
    for &pid in candidate.pids.iter().take(MOST_TRIED) {
        let process = ProcessFolder::of(proc, pid);
        match process.file_inside(inner) {
            Ok(file) => return Ok(process.seen_from_inside(&file.inner)),
            Err(error) => last = error,
        }
    }
    let (container, path) = (candidate.shown.clone(), text::clean(&inner.to_string_lossy()));
    Err(match last.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            ContainerPathError::Missing { container, path }
        }
        io::ErrorKind::InvalidInput => ContainerPathError::NotAFile { container, path },
        io::ErrorKind::PermissionDenied => ContainerPathError::Forbidden { container },
        _ => ContainerPathError::Unreadable { container, path, source: last },
    })
}

#[cfg(target_os = "linux")]
#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use tempfile::TempDir;

    use super::*;
    use crate::observe::proc::fake::FakeProc;

    const IDS: [&str; 2] = ["aaaa11110000", "aaaa22220000"];

    // Two containers with one process each, 70 and 71, and a root with `/data/app.db` each.
    fn containers() -> (FakeProc, [TempDir; 2]) {
        let proc = FakeProc::new();
        let roots = [70, 71].map(|_| TempDir::new().expect("a folder"));
        for ((pid, root), id) in [70, 71].into_iter().zip(&roots).zip(IDS) {
            fs::create_dir_all(root.path().join("data")).expect("a folder");
            fs::write(root.path().join("data/app.db"), "x").expect("written");
            proc.process(pid).write(&format!("{pid}/cgroup"), &format!("0::/docker/{id}\n"));
            symlink(root.path(), proc.path().join(format!("{pid}/root"))).expect("linked");
        }
        (proc, roots)
    }

    fn path(proc: &FakeProc, argument: &str) -> Result<String, ContainerPathError> {
        let path = located(Path::new(argument), proc.path())?.into_owned();
        Ok(path.strip_prefix(proc.path()).unwrap_or(&path).display().to_string())
    }

    #[test]
    fn a_container_is_named_by_its_id_and_a_process_by_its_pid() {
        let (proc, roots) = containers();
        for (argument, expected) in [
            ("aaaa1111:/data/app.db", "70/root/data/app.db"),
            ("aaaa22220000:/data/app.db", "71/root/data/app.db"),
            ("71:/data/app.db", "71/root/data/app.db"),
            ("notes.db", "notes.db"),
            ("./aaaa1111:/data/app.db", "./aaaa1111:/data/app.db"),
        ] {
            assert_eq!(path(&proc, argument).expect(argument), expected);
        }
        assert!(matches!(path(&proc, "aaaa:/data/app.db"), Err(ContainerPathError::Ambiguous { .. })));
        fs::remove_file(roots[0].path().join("data/app.db")).expect("removed");
        let only = path(&proc, "aaaa:/data/app.db");
        assert_eq!(only.expect("one has the file"), "71/root/data/app.db");
        assert!(matches!(path(&proc, "aaaa1111:/data/app.db"), Err(ContainerPathError::Missing { .. })));
        match path(&proc, "web:/data/app.db") {
            Err(ContainerPathError::Unknown { known, .. }) => assert_eq!(known.len(), 2, "{known:?}"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_container_named_by_its_id_is_no_other_one_later_and_a_name_may_be_that_of_the_next() {
        let (proc, roots) = containers();
        let name = |root: &TempDir, name: &str| {
            fs::create_dir_all(root.path().join("etc")).expect("a folder");
            fs::write(root.path().join("etc/hostname"), name).expect("written");
        };
        name(&roots[0], "web");
        let identity =
            |argument: &str| located_now(Path::new(argument), proc.path()).expect(argument).identity;
        let id = ContainerIdentity::Id(GroupKind::Docker, Some(IDS[0].to_owned()));
        let web = ContainerIdentity::Name("web".to_owned());
        assert_eq!(identity("aaaa1111:/data/app.db"), id);
        assert_eq!(identity("web:/data/app.db"), web);
        let again = |argument: &str, identity: &ContainerIdentity| {
            let found = search(Path::new(argument), Some(identity.clone()), proc.path()).expect("a thread");
            let found = found.recv().expect("an answer");
            found.map(|it| it.path.strip_prefix(proc.path()).expect("below").to_owned())
        };
        assert_eq!(again("aaaa1111:/data/app.db", &id).expect("it runs"), Path::new("70/root/data/app.db"));
        // Another container that the word means as well, and that has the name.
        proc.write("70/cgroup", "0::/docker/aaaa11119999\n");
        assert!(matches!(again("aaaa1111:/data/app.db", &id), Err(ContainerPathError::Unknown { .. })));
        assert_eq!(again("web:/data/app.db", &web).expect("its name"), Path::new("70/root/data/app.db"));
        name(&roots[1], "web");
        assert!(matches!(again("web:/data/app.db", &web), Err(ContainerPathError::Ambiguous { .. })));
        for (argument, is_lasting) in [("web:/a.db", true), ("aaaa1111:/a.db", true), ("70:/a.db", false)] {
            assert_eq!(names_container(Path::new(argument)), is_lasting, "{argument}");
        }
        let former = path_of_process(Path::new("77:/a.db"), Path::new("/proc"));
        assert_eq!(former.as_deref(), Some(Path::new("/proc/77/root/a.db")), "whether or not it lives");
    }

    #[test]
    fn links_stay_in_the_container_and_lead_to_regular_files_only() {
        let (proc, roots) = containers();
        let data = roots[0].path().join("data");
        symlink("/data/app.db", data.join("absolute.db")).expect("linked");
        symlink("../../../../data", data.join("up")).expect("linked");
        for name in ["absolute.db", "up/app.db"] {
            let found = path(&proc, &format!("aaaa1111:/data/{name}")).expect(name);
            assert_eq!(found, "70/root/data/app.db", "{name}");
        }
        symlink("/etc/passwd", data.join("out.db")).expect("linked");
        assert!(matches!(path(&proc, "aaaa1111:/data/out.db"), Err(ContainerPathError::Missing { .. })));
        assert!(matches!(path(&proc, "aaaa1111:/data"), Err(ContainerPathError::NotAFile { .. })));
    }

    #[test]
    fn a_file_of_that_name_wins() {
        let folder = TempDir::new().expect("a folder");
        fs::create_dir(folder.path().join("aaaa:")).expect("a folder");
        let file = folder.path().join("aaaa:/app.db");
        assert!(parts(&file).is_none(), "it is an absolute path");
        assert_eq!(parts(Path::new("aaaa:/app.db")), Some(("aaaa", Path::new("/app.db"))));
        for other in [":/a.db", "a/b:/c.db", "a:b", "a.db"] {
            assert!(parts(Path::new(other)).is_none(), "{other}");
        }
    }
}
