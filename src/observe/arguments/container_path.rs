//! Database arguments of the form `CONTAINER:/path`: a file in the files of a container, reached through one of its
//! processes. CONTAINER is the beginning of its id, its host name, or the PID of any process.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

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

/// The path that `argument` means: itself, or for `CONTAINER:/path` one through the `/proc` at `proc`. Links in it lead
/// where they lead in the container, and only a regular file is found.
///
/// # Errors
///
/// There is no such container, or no such file in it.
pub fn located<'a>(argument: &'a Path, proc: &Path) -> Result<Cow<'a, Path>, ContainerPathError> {
    let Some((word, inner)) = parts(argument).filter(|_| is_container_path(argument)) else {
        return Ok(Cow::Borrowed(argument));
    };
    let shown = || text::clean(&argument.to_string_lossy());
    let (outbox, inbox) = crossbeam_channel::bounded(1);
    let (proc, word, inner) = (proc.to_owned(), word.to_owned(), inner.to_owned());
    let thread = threads::start_watched("waltop-container", move || {
        // The receiver is gone once it is late.
        let _ = outbox.send(find(&proc, &word, &inner));
    });
    match thread.map(|_| inbox.recv_timeout(PATIENCE)) {
        Ok(Ok(found)) => found.map(Cow::Owned),
        Ok(Err(_)) | Err(_) => Err(ContainerPathError::Late { argument: shown() }),
    }
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
}

fn find(proc: &Path, word: &str, inner: &Path) -> Result<PathBuf, ContainerPathError> {
    let (candidates, known) = candidates(proc, word);
    let mut found = Vec::new();
    let mut failures = Vec::new();
    for candidate in &candidates {
        match inside(proc, candidate, inner) {
            Ok(path) => found.push((&candidate.shown, path)),
            Err(error) => failures.push(error),
        }
    }
    let several = |shown: Vec<&String>| ContainerPathError::Ambiguous {
        word: text::clean(word),
        candidates: shown.into_iter().take(MOST_NAMED).cloned().collect(),
    };
    match (found.len(), failures.len()) {
        (1, _) => Ok(found.remove(0).1),
        (0, 0) => Err(ContainerPathError::Unknown { word: text::clean(word), known }),
        (0, 1) => Err(failures.remove(0)),
        (0, _) => Err(several(candidates.iter().map(|it| &it.shown).collect())),
        _ => Err(several(found.into_iter().map(|(shown, _)| shown).collect())),
    }
}

// What `word` may mean, and some of the containers that there are.
fn candidates(proc: &Path, word: &str) -> (Vec<Candidate>, Vec<String>) {
    let mut pids: Vec<i32> = proc::pids(proc).into_iter().flatten().collect();
    pids.sort_unstable();
    let mut candidates = Vec::new();
    if let Some(pid) = word.parse().ok().filter(|pid| pids.contains(pid)) {
        candidates.push(Candidate { shown: format!("process {pid}"), pids: vec![pid] });
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
        if group.is_meant_by(word) {
            let candidate = meant.entry((group.kind, group.id.clone()));
            let candidate = candidate.or_insert_with(|| Candidate { shown, pids: Vec::new() });
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
