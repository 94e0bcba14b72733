//! One descriptor of a process, and its relation to a database.

use std::{
    collections::HashSet,
    ffi::OsStr,
    fs,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::Path,
};

use crate::{
    observe::{
        files::{BirthId, FileSighting},
        lock_table::LockRow,
        opener::{DatabaseOpener, OpenerTarget},
        proc::{Descriptor, DescriptorInfo, ProcessFolder},
    },
    paths::FileId,
    snapshot::HandleCounts,
};

/// A descriptor on a file, with what a sample has read of it.
pub struct OpenDescriptor<'a> {
    pub pid: i32,
    pub proc: &'a Path,
    pub process: &'a ProcessFolder,
    pub descriptor: &'a Descriptor,
    /// The path of its file, as the kernel names it.
    pub text: &'a [u8],
    pub id: FileId,
    pub birth: Option<BirthId>,
    /// No folder lists the file any more, and it is not empty.
    pub is_last_of_data: bool,
}

impl OpenDescriptor<'_> {
    /// Records in `opener` what it has open of `target`, if anything.
    pub fn note(&self, opener: &mut Option<DatabaseOpener>, target: &OpenerTarget) {
        let is_at = |sight: Option<&FileSighting>| sight.is_some_and(|sight| sight.id == self.id);
        if let Some(which) = target.sights.iter().position(|&sight| is_at(sight)) {
            // No process locks `-wal`, and it adds nothing to the main file, which is opened first.
            let is_beside = |handles: &HandleCounts| which == 1 && handles.db > 0;
            let is_known = opener.as_ref().and_then(|opener| opener.handles.as_ref()).is_some_and(is_beside);
            // Most descriptors belong to connections that may write. Their `fdinfo` adds only open-file-description
            // locks, and the lock table shows whether there are any. Reading it costs more than all other parts of a
            // sample.
            let is_plain = is_known || !target.is_cut && target.ofd_rows.is_empty() && self.is_writable();
            let info = if is_plain { Some(DescriptorInfo::default()) } else { self.descriptor.info() };
            // It was closed during the sample.
            let Some(info) = info else { return };
            let opener = opener.get_or_insert_default();
            opener.note_file(self.id);
            let handles = opener.handles.get_or_insert_default();
            let is_writable = self.is_writable() || !(is_plain || info.is_read_only);
            opener.writable += u32::from(is_writable);
            opener.writable_log += u32::from(is_writable && which == 1);
            if which != 1 {
                opener.lockable.push((which, self.descriptor.number().to_string_lossy().into_owned()));
            }
            opener.glances += u32::from(which != 2 && info.is_glance);
            match which {
                0 => {
                    handles.db += 1;
                    opener.read_only_db += u32::from(info.is_read_only);
                }
                1 => handles.wal += 1,
                _ => {
                    handles.shm += 1;
                    opener.read_only_shm += u32::from(info.is_read_only);
                }
            }
            let is_needed = |row: &LockRow| row.is_ofd || target.is_cut;
            opener.taken_locks.extend(info.locks.into_iter().filter(is_needed));
        } else if let Some((which, place)) = self.outdated(target) {
            let info = self.descriptor.info().unwrap_or_default();
            // A waltop that copies it.
            if info.is_glance {
                return;
            }
            let opener = opener.get_or_insert_default();
            opener.note_file(self.id);
            opener.moved_to.extend(place.filter(|place| !opener.moved_to.contains(place)));
            opener.handles.get_or_insert_default();
            opener.writable_replaced += u32::from(which != 2 || !info.is_read_only);
            opener.writable += u32::from(!info.is_read_only);
            let name = target.paths[which].to_string_lossy().into_owned();
            if which != 2 && self.is_last_of_data && !opener.deleted.contains(&name) {
                opener.deleted.push(name.clone());
            }
            if !opener.replaced.contains(&name) {
                opener.replaced.push(name);
            }
        }
    }

    // The index of the target's file that the descriptor was opened on, and its current path, if it has one.
    fn outdated(&self, target: &OpenerTarget) -> Option<(usize, Option<String>)> {
        if let Some(which) = self.replaced(target) {
            return Some((which, None));
        }
        let which = target.moved(self.pid, self.birth?, self.text)?;
        Some((which, Some(String::from_utf8_lossy(self.text).into_owned())))
    }

    // The index of the target's file that the descriptor was opened on before that file was deleted or replaced. Only
    // the path is left as evidence, so a process with another file system at that path must not match. A real file name
    // may also end with the kernel's mark of deletion: such a file still exists.
    fn replaced(&self, target: &OpenerTarget) -> Option<usize> {
        let path = self.text.strip_suffix(b" (deleted)")?;
        let which = target.paths.iter().position(|ours| ours.as_os_str().as_bytes() == path)?;
        let there = fs::metadata(OsStr::from_bytes(self.text));
        if target.namespace.is_none() && there.is_ok_and(|there| FileId::of(&there) == self.id) {
            return None;
        }
        let mut devices = target.sights.iter().flatten().map(|sight| sight.id.device).peekable();
        let is_on_ours = if devices.peek().is_some() {
            devices.any(|device| device == self.id.device)
        } else {
            // If none of the files is left, their folder shows the device.
            let folder = target.paths[which].parent().and_then(|folder| folder.metadata().ok());
            folder.is_some_and(|folder| folder.dev() == self.id.device)
        };
        (is_on_ours || shares_mounts(self.proc, self.process, target)).then_some(which)
    }

    fn is_writable(&self) -> bool {
        self.descriptor.is_writable()
    }
}

/// The names by which one process has the main files and sidecars open.
#[derive(Default)]
pub struct OpenedNames {
    // The target, and the name without a mark of deletion.
    mains: HashSet<(usize, Vec<u8>)>,
    // The target of the link, and whether the descriptor is writable.
    sidecars: Vec<(Vec<u8>, FileId, bool)>,
}

impl OpenedNames {
    /// Records the name of `descriptor`, if it is one of those.
    pub fn note(&mut self, descriptor: &OpenDescriptor, targets: &[OpenerTarget]) {
        let text = descriptor.text;
        let is_main = |target: &OpenerTarget| target.sights[0].is_some_and(|sight| sight.id == descriptor.id);
        self.mains.extend(
            (0..).zip(targets).filter(|(_, target)| is_main(target)).map(|(at, _)| (at, text.to_vec())),
        );
        if text.ends_with(b"-wal") || text.ends_with(b"-shm") {
            self.sidecars.push((text.to_vec(), descriptor.id, descriptor.is_writable()));
        }
    }

    /// A log or an index beside a name of this main file that is not the one beside the path. A deleted one counts as a
    /// replaced file. If the process `shares_mounts` with waltop, a file at that very path is the one beside it: it was
    /// created after the sample had read the path, as the first connection creates it after the last one has closed.
    pub fn judge(
        &self,
        at: usize,
        opener: &mut DatabaseOpener,
        target: &OpenerTarget,
        shares_mounts: impl Fn() -> bool,
    ) {
        for (text, id, is_writable) in &self.sidecars {
            let (name, suffix) = text.split_at(text.len() - 4);
            let which = if suffix == b"-wal" { 1 } else { 2 };
            let is_beside_main = self.mains.contains(&(at, name.to_vec()));
            let is_current = target.sights[which].is_some_and(|sight| sight.id == *id);
            let is_at_path = || text == target.paths[which].as_os_str().as_bytes() && shares_mounts();
            if is_beside_main && !is_current && !is_at_path() {
                opener.other_log.push(String::from_utf8_lossy(text).into_owned());
                opener.other_files.push(format!("{}:{}", id.device, id.inode));
                opener.writable += u32::from(*is_writable);
            }
        }
        for list in [&mut opener.other_log, &mut opener.other_files] {
            list.sort();
            list.dedup();
        }
    }
}

/// Whether `process` is in the mount namespace of the paths of `target`, as far as that is visible.
pub fn shares_mounts(proc: &Path, process: &ProcessFolder, target: &OpenerTarget) -> bool {
    let own = || ProcessFolder::own(proc).mount_namespace();
    let ours = target.namespace.map_or_else(own, |it| Ok(it.to_owned()));
    match (process.mount_namespace(), ours) {
        (Ok(theirs), Ok(ours)) => theirs == ours,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::{
        proc::fake::FakeProc,
        processes::tests::{READS, Scene, WRITES},
    };

    // What process 70 has open, whose descriptor was opened with `info` on the file `which` that was replaced since.
    fn opener_of_replaced(which: usize, info: &str) -> DatabaseOpener {
        let (scene, proc) = (Scene::new(), FakeProc::new());
        let path = &scene.paths[which];
        proc.process(70).descriptor(70, 3, path, info);
        let process = ProcessFolder::of(proc.path(), 70);
        let metadata = path.metadata().expect("it is there");
        let id = FileId { inode: 1, ..FileId::of(&metadata) };
        let descriptor = OpenDescriptor {
            pid: 70,
            proc: proc.path(),
            process: &process,
            descriptor: &process.descriptor(3),
            text: &[path.as_os_str().as_bytes(), b" (deleted)"].concat(),
            id,
            birth: None,
            is_last_of_data: true,
        };
        let mut opener = None;
        descriptor.note(&mut opener, &scene.target());
        let opener = opener.expect("it has the file open");
        let name = path.to_string_lossy().into_owned();
        assert_eq!((&opener.replaced, &opener.files), (&vec![name.clone()], &vec![id]));
        assert_eq!(
            opener.deleted,
            if which == 2 { vec![] } else { vec![name] },
            "an index has no data to lose"
        );
        opener
    }

    #[test]
    fn who_has_a_replaced_file_open_is_a_client_unless_it_only_reads_an_index() {
        for (which, info, is_client, writable) in [
            (0, READS, true, 0),
            (1, READS, true, 0),
            (1, WRITES, true, 1),
            (2, READS, false, 0),
            (2, WRITES, true, 1),
        ] {
            let opener = opener_of_replaced(which, info);
            assert_eq!(!opener.is_observer(), is_client, "file {which}, {info}");
            assert_eq!(opener.writable, writable, "file {which}, {info}");
        }
    }
}
