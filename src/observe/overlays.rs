//! Overlay mounts that show a database under another path, in any mount namespace of a visible process.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use crate::{
    bounded,
    observe::proc::{self, ProcessFolder, mounts},
    paths::FileId,
    snapshot::OverlayMount,
};

/// Time between two readings of the namespaces: containers seldom start, and each reading covers every process.
const REREAD: Duration = Duration::from_secs(30);

// The list of file systems has some tens of short lines.
const FILESYSTEMS: usize = 64 << 10;

/// The upper directories of all overlays, cached for a while.
#[derive(Debug)]
pub struct OverlayUppers {
    proc: PathBuf,
    read_at: Option<Instant>,
    uppers: Vec<(FileId, OverlayMount)>,
}

impl OverlayUppers {
    /// For the processes of the `/proc` at `proc`.
    pub fn new(proc: &Path) -> Self {
        Self { proc: proc.to_owned(), read_at: None, uppers: Vec::new() }
    }

    /// The overlays whose upper directory is a directory above `path`.
    pub fn above(&mut self, path: &Path, now: Instant) -> Vec<OverlayMount> {
        if self.read_at.is_none_or(|at| now.saturating_duration_since(at) >= REREAD) {
            self.read_at = Some(now);
            self.uppers = self.read();
        }
        if self.uppers.is_empty() {
            return Vec::new();
        }
        let folders = path.ancestors().skip(1).filter_map(|folder| folder.metadata().ok());
        let above: Vec<FileId> = folders.map(|folder| FileId::of(&folder)).collect();
        self.uppers.iter().filter(|(upper, _)| above.contains(upper)).map(|(_, it)| it.clone()).collect()
    }

    fn read(&self) -> Vec<(FileId, OverlayMount)> {
        let mut uppers = Vec::new();
        if !self.can_be_any() {
            return uppers;
        }
        for pid in proc::mount_namespaces(&self.proc) {
            let process = ProcessFolder::of(&self.proc, pid);
            for (merged, upper) in mounts::overlays(&process) {
                // The path is that of the process that mounted it, which may have been inside or outside.
                let inside = upper.is_absolute().then(|| process.seen_from_inside(&upper));
                let ids = [Some(upper), inside].into_iter().flatten();
                let ids = ids.filter_map(|path| path.metadata().ok()).map(|it| FileId::of(&it));
                uppers.extend(ids.map(|id| (id, OverlayMount { merged: merged.clone(), pid })));
            }
        }
        uppers.sort_by_key(|(id, overlay)| (id.device, id.inode, overlay.pid));
        uppers.dedup();
        uppers
    }

    // If the kernel supports no overlays, as on a machine that has run no container since boot, no process has one.
    fn can_be_any(&self) -> bool {
        let known = bounded::read_text(&self.proc.join("filesystems"), FILESYSTEMS);
        known
            .is_ok_and(|known| known.lines().any(|line| line.trim_start_matches("nodev").trim() == "overlay"))
    }
}
