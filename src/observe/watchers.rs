//! The processes that keep a database in sync with folders, from the files that watchers store beside the journals.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::liveness;
use crate::{
    snapshot::IngestWatcher,
    state::{folder, journal},
};

/// The maximum size of a watcher's file; the remaining content does not matter.
const LARGEST: u64 = 64 << 10;

/// The watchers that keep `files`, with their databases. A file left by a killed watcher is ignored.
pub fn read(files: &[PathBuf], proc: &Path) -> Vec<(String, IngestWatcher)> {
    let mut found: Vec<(String, IngestWatcher)> = Vec::new();
    for line in files.iter().filter_map(|path| line(path).ok().flatten()) {
        let journal::WatcherRecord { pid, start_ticks, boot, database, folder, since } = line;
        if liveness::is_there(proc, pid, start_ticks, boot.as_deref()) == Some(false) {
            continue;
        }
        let same = |(known, watcher): &&mut (String, IngestWatcher)| *known == database && watcher.pid == pid;
        match found.iter_mut().find(same) {
            // It keeps one file per folder.
            Some((_, watcher)) => watcher.folders.push(folder),
            None => found.push((database, IngestWatcher { pid, start_ticks, folders: vec![folder], since })),
        }
    }
    for (_, watcher) in &mut found {
        watcher.folders.sort();
    }
    found.sort_by_key(|(_, watcher)| (watcher.since, watcher.pid));
    found
}

/// The record of a watcher; `None` if it is incomplete, or a newer version writes another format.
fn line(path: &Path) -> io::Result<Option<journal::WatcherRecord>> {
    let text = folder::read(path, LARGEST)?;
    Ok(String::from_utf8_lossy(&text).lines().nth(1).and_then(|line| serde_json::from_str(line).ok()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use jiff::Timestamp;
    use tempfile::TempDir;

    use super::*;
    use crate::observe::process_start;

    #[test]
    fn who_lives_is_reported_once_with_all_folders() {
        let dir = TempDir::new().expect("a folder");
        let proc = Path::new("/proc");
        let own = std::process::id().cast_signed();
        let ticks = process_start(proc, own).expect("it lives");
        let mut files = Vec::new();
        let mut write = |name: &str, ticks: u64, database: &str, folder: &str| {
            let line = journal::WatcherRecord {
                pid: own,
                start_ticks: Some(ticks),
                boot: liveness::boot(proc),
                database: database.to_owned(),
                folder: folder.to_owned(),
                since: Timestamp::UNIX_EPOCH,
            };
            let path = dir.path().join(name);
            let text = format!("{own}\n{}\n", serde_json::to_string(&line).expect("JSON"));
            fs::write(&path, text).expect("a file");
            files.push(path);
        };
        write("1.watch", ticks, "/x.db", "/b");
        write("2.watch", ticks, "/x.db", "/a");
        write("3.watch", ticks, "/y.db", "/a");
        write("4.watch", ticks + 1, "/x.db", "/c");
        for (name, text) in [("5.watch", "71168\n"), ("6.watch", ""), ("7.watch", "1\nnonsense\n")] {
            fs::write(dir.path().join(name), text).expect("a file");
            files.push(dir.path().join(name));
        }
        files.push(dir.path().join("gone.watch"));
        let told: Vec<_> =
            read(&files, proc).into_iter().map(|(it, watcher)| (it, watcher.folders)).collect();
        let expected = [("/x.db", vec!["/a", "/b"]), ("/y.db", vec!["/a"])];
        assert_eq!(
            told,
            expected
                .map(|(it, them)| (it.to_owned(), them.into_iter().map(str::to_owned).collect::<Vec<_>>()))
        );
    }
}
