//! Watches folders for changes: which folders are watched, and which events matter.
//!
//! Each folder that the walk enters has a watch of its own, so ignored folders cost nothing. The parent folder reports
//! a new folder, and then waltop watches the whole tree again.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
};

use ignore::WalkBuilder;
use notify::{
    ErrorKind, Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode, CreateKind, ModifyKind, RemoveKind},
};

use super::{debounce::WatchEvent, wake_signal::WakeSignal};
use crate::{ingest::discover::is_document, threads};

/// Files with ignore rules.
const IGNORE_FILES: [&str; 2] = [".gitignore", ".ignore"];

/// Watches folders until it is dropped.
#[derive(Debug)]
pub struct FolderWatcher {
    _watcher: RecommendedWatcher,
    /// Why some changes are not watchable; `None` if all are.
    pub deaf: Option<String>,
}

#[derive(Debug, Clone)]
pub struct WatchInterest {
    /// The folders, without symbolic links.
    pub folders: Vec<PathBuf>,
    /// Whether hidden files and folders matter.
    pub hidden: bool,
    /// Files and folders that waltop itself changes: the database and the journals.
    pub ours: Vec<PathBuf>,
}

impl FolderWatcher {
    /// Watches everything in `interest` from now on, and signals `bell`.
    ///
    /// # Errors
    ///
    /// The operating system does not support it, with the reason.
    pub fn listen(interest: &WatchInterest, bell: &WakeSignal) -> Result<Self, String> {
        let handler = {
            let (interest, bell) = (interest.clone(), bell.clone());
            move |event: notify::Result<Event>| match event {
                Ok(event) => {
                    if let Some(heard) = interest.of(&event) {
                        bell.add_event(heard);
                    }
                }
                // The lost event may have been any change.
                Err(_) => bell.add_event(WatchEvent::Lost),
            }
        };
        // The library starts a thread: if that fails, it continues without one and waits for it forever.
        threads::need(1).map_err(|error| error.to_string())?;
        let mut watcher = notify::recommended_watcher(handler).map_err(|error| reason(&error))?;
        let mut deaf = None;
        for folder in &interest.folders {
            for path in entered(folder, interest.hidden) {
                match watcher.watch(&path, RecursiveMode::NonRecursive) {
                    Ok(()) => {}
                    // Deleted since it was listed, which its parent folder reports.
                    Err(error) if is_gone(&error) => {}
                    Err(error) => {
                        deaf.get_or_insert_with(|| format!("{}: {}", path.display(), reason(&error)));
                    }
                }
            }
        }
        Ok(Self { _watcher: watcher, deaf })
    }
}

impl WatchInterest {
    /// The meaning of `event`; `None` if it does not matter.
    pub fn of(&self, event: &Event) -> Option<WatchEvent> {
        if event.need_rescan() {
            return Some(WatchEvent::Lost);
        }
        match event.kind {
            // Reading changes nothing, and waltop itself reads.
            EventKind::Access(AccessKind::Close(AccessMode::Write)) => {}
            EventKind::Access(_) => return None,
            _ => {}
        }
        event.paths.iter().filter_map(|path| self.of_path(path, event.kind)).max()
    }

    fn of_path(&self, path: &Path, kind: EventKind) -> Option<WatchEvent> {
        if self.ours.iter().any(|ours| path.starts_with(ours)) {
            return None;
        }
        if path.file_name().is_some_and(|name| IGNORE_FILES.iter().any(|known| name == *known)) {
            return Some(WatchEvent::Folders);
        }
        let is_folder = match kind {
            EventKind::Create(CreateKind::Folder) | EventKind::Remove(RemoveKind::Folder) => true,
            EventKind::Modify(ModifyKind::Data(_)) | EventKind::Access(_) => false,
            // The old name of a renamed path no longer shows whether it was a file or a folder.
            EventKind::Modify(ModifyKind::Name(_)) => {
                fs::symlink_metadata(path).map_or(true, |it| it.is_dir())
            }
            _ => fs::symlink_metadata(path).is_ok_and(|it| it.is_dir()),
        };
        if self.folders.iter().any(|folder| folder == path) {
            return Some(WatchEvent::Folders);
        }
        if !self.hidden && self.is_hidden(path) {
            return None;
        }
        // A folder may have a document's name, and a renamed path may have been either.
        if is_folder { Some(WatchEvent::Folders) } else { is_document(path).then_some(WatchEvent::Document) }
    }

    fn is_hidden(&self, path: &Path) -> bool {
        let within = self.folders.iter().filter_map(|folder| path.strip_prefix(folder).ok());
        let starts_with_dot = |part: &OsStr| part.as_encoded_bytes().starts_with(b".");
        within.into_iter().all(|relative| relative.iter().any(starts_with_dot))
    }
}

/// The folders that the walk for documents enters, `folder` first.
fn entered(folder: &Path, hidden: bool) -> impl Iterator<Item = PathBuf> {
    let walk = WalkBuilder::new(folder)
        .standard_filters(true)
        .require_git(false)
        .hidden(!hidden)
        .follow_links(false)
        .filter_entry(|entry| entry.file_type().is_some_and(|kind| kind.is_dir()))
        .build();
    // The run reports folders that cannot be entered.
    walk.filter_map(Result::ok).map(ignore::DirEntry::into_path)
}

fn is_gone(error: &notify::Error) -> bool {
    match &error.kind {
        ErrorKind::PathNotFound => true,
        ErrorKind::Io(error) => {
            matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::PermissionDenied)
        }
        _ => false,
    }
}

fn reason(error: &notify::Error) -> String {
    match &error.kind {
        ErrorKind::MaxFilesWatch => {
            "the system's limit of watched folders is reached; raise fs.inotify.max_user_watches".to_owned()
        }
        // The library's own message says less.
        ErrorKind::Io(error) => error.to_string(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use notify::event::{DataChange, Flag, MetadataKind, RenameMode};
    use tempfile::TempDir;

    use super::{
        super::wake_signal::{WakeOn, Wakeup},
        *,
    };

    /// Events that have not arrived by then never will.
    const PATIENCE: Duration = Duration::from_secs(30);

    fn interest(folder: &Path) -> WatchInterest {
        WatchInterest {
            folders: vec![folder.to_owned()],
            hidden: false,
            ours: vec![folder.join("notes.db"), folder.join("notes.db-wal"), folder.join("runs")],
        }
    }

    #[test]
    fn documents_folders_and_ignore_files_matter_and_nothing_else() {
        let dir = TempDir::new().expect("a folder");
        let root = dir.path();
        fs::create_dir_all(root.join("sub/.git")).expect("a folder");
        fs::create_dir(root.join("runs")).expect("a folder");
        for name in ["a.md", "image.png"] {
            fs::write(root.join(name), "text").expect("a file");
        }
        let interest = interest(root);
        let data = EventKind::Modify(ModifyKind::Data(DataChange::Any));
        let metadata = EventKind::Modify(ModifyKind::Metadata(MetadataKind::Any));
        let from = EventKind::Modify(ModifyKind::Name(RenameMode::From));
        let to = EventKind::Modify(ModifyKind::Name(RenameMode::To));
        let opened = EventKind::Access(AccessKind::Open(AccessMode::Any));
        let written = EventKind::Access(AccessKind::Close(AccessMode::Write));
        let (file, folder) = (EventKind::Create(CreateKind::File), EventKind::Create(CreateKind::Folder));
        for (kind, name, expected) in [
            (data, "a.md", Some(WatchEvent::Document)),
            (written, "a.md", Some(WatchEvent::Document)),
            (metadata, "a.md", Some(WatchEvent::Document)),
            (opened, "a.md", None),
            (opened, "sub", None),
            (file, "image.png", None),
            (to, "image.png", None),
            (to, "sub", Some(WatchEvent::Folders)),
            (from, "gone", Some(WatchEvent::Folders)),
            (folder, "new", Some(WatchEvent::Folders)),
            (folder, "sub/.git", None),
            (data, ".gitignore", Some(WatchEvent::Folders)),
            (EventKind::Remove(RemoveKind::File), "sub/.ignore", Some(WatchEvent::Folders)),
            (EventKind::Remove(RemoveKind::File), "a.md", Some(WatchEvent::Document)),
            (data, ".a.md.swp", None),
            (from, ".a.md", None),
            (data, "notes.db-wal", None),
            (EventKind::Remove(RemoveKind::File), "notes.db-wal", None),
            (file, "runs/x.md", None),
            (EventKind::Modify(ModifyKind::Name(RenameMode::From)), "", Some(WatchEvent::Folders)),
        ] {
            let path = if name.is_empty() { root.to_owned() } else { root.join(name) };
            assert_eq!(interest.of(&Event::new(kind).add_path(path)), expected, "{kind:?} {name}");
        }
        let hidden = WatchInterest { hidden: true, ..interest };
        let event = Event::new(data).add_path(root.join(".a.md"));
        assert_eq!(hidden.of(&event), Some(WatchEvent::Document));
    }

    #[test]
    fn an_overflow_is_reported() {
        let interest = interest(Path::new("/nowhere"));
        let event = Event::new(EventKind::Other).set_flag(Flag::Rescan);
        assert_eq!(interest.of(&event), Some(WatchEvent::Lost));
    }

    #[test]
    fn folders_that_the_walk_passes_over_are_not_watched() {
        let dir = TempDir::new().expect("a folder");
        for name in ["a/b", "target/deep", ".hidden"] {
            fs::create_dir_all(dir.path().join(name)).expect("a folder");
        }
        fs::write(dir.path().join(".gitignore"), "target\n").expect("a file");
        let mut names: Vec<_> = entered(dir.path(), false).collect();
        names.sort();
        assert_eq!(
            names,
            ["", "a", "a/b"].map(|name| dir.path().join(name).components().collect::<PathBuf>())
        );
    }

    #[test]
    fn a_database_in_the_folder_is_not_noticed() {
        let dir = TempDir::new().expect("a folder");
        let root = dir.path().canonicalize().expect("the folder");
        let bell = WakeSignal::default();
        let ears = FolderWatcher::listen(&interest(&root), &bell).expect("it can listen");
        assert_eq!(ears.deaf, None);
        for number in 0..200 {
            fs::write(root.join("notes.db-wal"), format!("{number}")).expect("a file");
            fs::write(root.join("notes.db"), format!("{number}")).expect("a file");
        }
        fs::write(root.join("a.md"), "text").expect("a file");
        let far = Instant::now() + PATIENCE;
        // Events arrive in order, so an event before the document's would have been received.
        let Wakeup::By(wave) = bell.wait(far, WakeOn::Changes) else { panic!("there is a change") };
        assert_eq!(wave.heard, WatchEvent::Document);
        assert!((1..10).contains(&wave.events), "{wave:?}");
    }

    #[test]
    fn what_the_kernel_could_not_queue_is_noticed() {
        let queue = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap_or_default();
        let Some(queue) = queue.trim().parse().ok().filter(|queue: &u32| *queue <= 1 << 17) else {
            eprintln!("skipped: the queue of events is too long to be filled");
            return;
        };
        let dir = TempDir::new().expect("a folder");
        let root = dir.path().canonicalize().expect("the folder");
        let bell = WakeSignal::default();
        let _ears = FolderWatcher::listen(&interest(&root), &bell).expect("it can listen");
        let deaf = bell.debounce();
        // Two files in turn, because the kernel merges consecutive identical events; each is opened and closed.
        for number in 0..queue {
            fs::write(root.join(["a.md", "b.md"][number as usize % 2]), "text").expect("a file");
        }
        drop(deaf);
        let far = Instant::now() + PATIENCE;
        loop {
            let Wakeup::By(wave) = bell.wait(far, WakeOn::Changes) else { panic!("there is a change") };
            if wave.heard == WatchEvent::Lost {
                break;
            }
        }
    }
}
